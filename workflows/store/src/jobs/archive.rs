//! Jobs that were given up or cancelled, kept with reason and input until they are pruned or brought back.

use super::{Now, Value, moment, statement};
use crate::page::{Page, PageOf};
use crate::{Result, Store, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};
use serde::Serialize;

/// How a job ended that was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Given up after its last attempt, or because it cannot succeed.
    Dead,
    /// Called off.
    Cancelled,
}

impl Outcome {
    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "DEAD",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The outcome of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Dead, Self::Cancelled].into_iter().find(|outcome| outcome.as_str() == code)
    }
}

/// A job in the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Archived {
    /// Its id, as it was in the table.
    pub id: i64,
    /// Its queue.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// Its input, as JSON.
    pub payload: String,
    /// When it fell due.
    pub due_at: DateTime<Utc>,
    /// How many attempts counted.
    pub attempt: i32,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// The request that led to it.
    pub request_id: String,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
}

/// Which archived jobs. Every condition given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveFilter {
    /// With these ids.
    pub ids: Option<Vec<i64>>,
    /// Of this queue.
    pub queue: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Ended so.
    pub outcome: Option<Outcome>,
    /// Whose reason contains this.
    pub reason: Option<String>,
}

impl ArchiveFilter {
    pub(super) fn sql(&self, values: &mut Vec<Value>) -> String {
        let mut conditions = vec!["1 = 1".to_owned()];
        if let Some(ids) = &self.ids {
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            conditions.push(if ids.is_empty() { "1 = 0".to_owned() } else { format!("id IN ({})", ids.join(", ")) });
        }
        let mut bind = |value: Value| {
            values.push(value);
            values.len()
        };
        if let Some(queue) = &self.queue {
            conditions.push(format!("queue = ${}", bind(queue.as_str().into())));
        }
        if let Some(kind) = &self.kind {
            conditions.push(format!("kind = ${}", bind(kind.as_str().into())));
        }
        if let Some(outcome) = self.outcome {
            conditions.push(format!("outcome = '{}'", outcome.as_str()));
        }
        if let Some(reason) = &self.reason {
            let escaped = reason.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            conditions.push(format!("reason LIKE ${} ESCAPE '\\'", bind(format!("%{escaped}%").into())));
        }
        conditions.join(" AND ")
    }
}

fn read(row: &QueryResult) -> Result<Archived> {
    let outcome: String = row.try_get("", "outcome")?;
    Ok(Archived {
        id: row.try_get("", "id")?,
        queue: row.try_get("", "queue")?,
        kind: row.try_get("", "kind")?,
        payload: row.try_get("", "payload")?,
        due_at: moment(row.try_get("", "due_at")?),
        attempt: row.try_get("", "attempt")?,
        outcome: Outcome::from_code(&outcome).unwrap_or(Outcome::Dead),
        reason: row.try_get("", "reason")?,
        request_id: row.try_get("", "request_id")?,
        ended_at: moment(row.try_get("", "ended_at")?),
    })
}

/// Moves the jobs that a condition on `job` selects to the archive.
pub(super) async fn put_aside(
    connection: &impl ConnectionTrait,
    now: Now,
    outcome: Outcome,
    reason: &str,
    condition: &str,
) -> Result<u64> {
    let backend = connection.get_database_backend();
    // Locked first: a job that is claimed between the two statements would be archived and run.
    let lock = if backend == DbBackend::Postgres { " FOR UPDATE" } else { "" };
    let ids = format!("SELECT id FROM job WHERE {condition}{lock}");
    let ids = connection.query_all_raw(statement(backend, ids, [])).await?;
    let ids = ids.iter().map(|row| Ok(row.try_get::<i64>("", "id")?.to_string())).collect::<Result<Vec<_>>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    let ids = ids.join(", ");
    let sql = format!(
        "INSERT INTO job_archive (id, queue, lane, kind, payload, ordering_key, limit_key, trace, due_at, fence, attempt, \
         max_attempts, outcome, reason, request_id, ended_at) SELECT id, queue, lane, kind, payload, ordering_key, limit_key, \
         trace, due_at, fence, attempt, max_attempts, '{}', $1, request_id, {} FROM job WHERE id IN ({ids})",
        outcome.as_str(),
        now.sql(backend)
    );
    let moved = connection.execute_raw(statement(backend, sql, [reason.into()])).await?.rows_affected();
    connection.execute_unprepared(&format!("DELETE FROM job WHERE id IN ({ids})")).await?;
    Ok(moved)
}

/// Brings archived jobs back with all their attempts before them: due at `now`, or at their own moment where that lies
/// ahead, since a timer that comes too early finds nothing to do and is gone.
pub(super) async fn redrive(connection: &impl ConnectionTrait, ids: &[i64], now: DateTime<Utc>) -> Result<()> {
    let backend = connection.get_database_backend();
    let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    // With ids of their own: a worker that still holds a lease of the old job cannot touch the new one.
    let due = "CASE WHEN due_at > $1 THEN due_at ELSE $1 END";
    let sql = format!(
        "INSERT INTO job (queue, lane, kind, payload, ordering_key, limit_key, trace, due_at, visible_at, fence, attempt, \
         max_attempts, dead, last_error, request_id) SELECT queue, lane, kind, payload, ordering_key, limit_key, trace, \
         {due}, {due}, 0, 0, max_attempts, {}, reason, request_id FROM job_archive WHERE id IN ({ids}) ORDER BY id",
        if backend == DbBackend::Postgres { "false" } else { "0" }
    );
    connection.execute_raw(statement(backend, sql, [ms(now).into()])).await?;
    connection.execute_unprepared(&format!("DELETE FROM job_archive WHERE id IN ({ids})")).await?;
    Ok(())
}

impl Store {
    /// A page of the archive, in the order of ids.
    pub async fn archived_jobs(&self, filter: &ArchiveFilter, page: &Page<i64>) -> Result<PageOf<Archived>> {
        let mut values = Vec::new();
        let mut condition = filter.sql(&mut values);
        if let Some(after) = page.after {
            condition.push_str(&format!(" AND id > {after}"));
        }
        if let Some(before) = page.before {
            condition.push_str(&format!(" AND id < {before}"));
        }
        let order = if page.backward { "DESC" } else { "ASC" };
        let sql = format!("SELECT * FROM job_archive WHERE {condition} ORDER BY id {order} LIMIT {}", page.limit + 1);
        let rows = self.reader().query_all_raw(statement(self.reader().get_database_backend(), sql, values)).await?;
        Ok(PageOf::cut(rows.iter().map(read).collect::<Result<Vec<_>>>()?, page))
    }

    /// Forgets archived jobs that ended before a moment, at most `limit`. Gives how many.
    pub async fn prune_archive(&self, before: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM job_archive WHERE id IN (SELECT id FROM job_archive WHERE ended_at < $1 ORDER BY ended_at \
             LIMIT {limit})"
        );
        let done = statement(self.writer().get_database_backend(), sql, [ms(before).into()]);
        Ok(self.writer().execute_raw(done).await?.rows_affected())
    }
}
