//! What operators see of jobs.

use super::{LONGEST_LEASE_MS, Now, Value, moment, statement};
use crate::page::{Page, PageOf};
use crate::{Result, Store};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, QueryResult};
use serde::Serialize;

/// How many jobs a queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Depth {
    /// The queue.
    pub queue: String,
    /// Due, and nobody has them.
    pub due: i64,
    /// Leased to a node.
    pub running: i64,
    /// Not yet due, or put off.
    pub waiting: i64,
    /// The earliest due moment of those that are due.
    pub oldest_due: Option<DateTime<Utc>>,
}

/// Where a job in the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Due, and nobody has it.
    Due,
    /// Leased to a node.
    Running,
    /// Not yet due, or put off.
    Waiting,
}

/// A job in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its id.
    pub id: i64,
    /// Its queue.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// Its input, as JSON.
    pub payload: String,
    /// Where it is.
    pub state: JobState,
    /// When it fell or falls due.
    pub due_at: DateTime<Utc>,
    /// When it may be claimed; while it runs, when its lease ends.
    pub visible_at: DateTime<Utc>,
    /// How many attempts counted.
    pub attempt: i32,
    /// How many may.
    pub max_attempts: i32,
    /// The unique key.
    pub unique_key: Option<String>,
    /// The ordering key.
    pub ordering_key: Option<String>,
    /// The limit key.
    pub limit_key: Option<String>,
    /// The node that has it.
    pub leased_by: Option<String>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// The request that led to it.
    pub request_id: String,
}

/// Which jobs. Every condition given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JobFilter {
    /// With these ids.
    pub ids: Option<Vec<i64>>,
    /// Of this queue.
    pub queue: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
    /// Only those whose last attempt failed.
    pub failed: bool,
}

impl JobFilter {
    /// The condition in SQL; what it binds goes to `values`.
    pub(super) fn sql(&self, now: &str, values: &mut Vec<Value>) -> String {
        let mut conditions = vec!["NOT dead".to_owned()];
        if let Some(ids) = &self.ids {
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            conditions.push(if ids.is_empty() { "1 = 0".to_owned() } else { format!("id IN ({})", ids.join(", ")) });
        }
        for (column, value) in [("queue", &self.queue), ("kind", &self.kind)] {
            if let Some(value) = value {
                values.push(value.as_str().into());
                conditions.push(format!("{column} = ${}", values.len()));
            }
        }
        match self.state {
            None => {}
            Some(JobState::Due) => conditions.push(format!("visible_at <= {now}")),
            Some(JobState::Running) => conditions.push(format!("leased_by IS NOT NULL AND visible_at > {now}")),
            Some(JobState::Waiting) => conditions.push(format!("leased_by IS NULL AND visible_at > {now}")),
        }
        if self.failed {
            conditions.push("last_error IS NOT NULL".to_owned());
        }
        conditions.join(" AND ")
    }
}

fn read(row: &QueryResult) -> Result<Waiting> {
    let (visible_at, now): (i64, i64) = (row.try_get("", "visible_at")?, row.try_get("", "now")?);
    let leased_by: Option<String> = row.try_get("", "leased_by")?;
    let state = match (visible_at <= now, &leased_by) {
        (true, _) => JobState::Due,
        (false, Some(_)) => JobState::Running,
        (false, None) => JobState::Waiting,
    };
    Ok(Waiting {
        id: row.try_get("", "id")?,
        queue: row.try_get("", "queue")?,
        kind: row.try_get("", "kind")?,
        payload: row.try_get("", "payload")?,
        state,
        due_at: moment(row.try_get("", "due_at")?),
        visible_at: moment(visible_at),
        attempt: row.try_get("", "attempt")?,
        max_attempts: row.try_get("", "max_attempts")?,
        unique_key: row.try_get("", "unique_key")?,
        ordering_key: row.try_get("", "ordering_key")?,
        limit_key: row.try_get("", "limit_key")?,
        leased_by: leased_by.filter(|_| state == JobState::Running),
        last_error: row.try_get("", "last_error")?,
        request_id: row.try_get("", "request_id")?,
    })
}

impl Store {
    /// How many jobs each queue holds. Counts every row of the table, so that it is for people and scrapes, not for
    /// loops.
    pub async fn job_depths(&self, now: Now) -> Result<Vec<Depth>> {
        let backend = self.reader().get_database_backend();
        let now = now.sql(backend);
        let count =
            |condition: &str| format!("CAST(COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS BIGINT)");
        let sql = format!(
            "SELECT q.name AS queue, {} AS due, {} AS running, {} AS waiting, \
             MIN(CASE WHEN j.visible_at <= {now} THEN j.due_at END) AS oldest \
             FROM job_queue q LEFT JOIN job j ON j.queue = q.name AND NOT j.dead GROUP BY q.name ORDER BY q.name",
            count(&format!("j.visible_at <= {now}")),
            count(&format!(
                "j.visible_at > {now} AND j.leased_by IS NOT NULL AND j.visible_at <= {now} + {LONGEST_LEASE_MS}"
            )),
            count(&format!("j.visible_at > {now} AND j.leased_by IS NULL")),
        );
        let rows = self.reader().query_all_raw(statement(backend, sql, [])).await?;
        rows.iter()
            .map(|row| {
                Ok(Depth {
                    queue: row.try_get("", "queue")?,
                    due: row.try_get("", "due")?,
                    running: row.try_get("", "running")?,
                    waiting: row.try_get("", "waiting")?,
                    oldest_due: row.try_get::<Option<i64>>("", "oldest")?.map(moment),
                })
            })
            .collect()
    }

    /// For how long the job that waits longest has been due; zero where none is. A few index look-ups, whatever the number of
    /// jobs; queues that are paused do not count.
    pub async fn job_lag(&self, now: Now) -> Result<TimeDelta> {
        let ready = self.ready_queues(now).await?;
        Ok(ready.first().map_or(TimeDelta::zero(), |ready| (-ready.wait).max(TimeDelta::zero())))
    }

    /// How many jobs were given up and not yet pruned.
    pub async fn dead_jobs(&self) -> Result<i64> {
        let sql = "SELECT COUNT(*) AS jobs FROM job_archive WHERE outcome = 'DEAD'";
        let row = self.reader().query_one_raw(statement(self.reader().get_database_backend(), sql, [])).await?;
        Ok(row.map(|row| row.try_get("", "jobs")).transpose()?.unwrap_or(0))
    }

    /// A page of the jobs in the table, in the order of ids.
    pub async fn job_page(&self, filter: &JobFilter, now: Now, page: &Page<i64>) -> Result<PageOf<Waiting>> {
        let backend = self.reader().get_database_backend();
        let now = now.sql(backend);
        let mut values = Vec::new();
        let mut condition = filter.sql(&now, &mut values);
        if let Some(after) = page.after {
            condition.push_str(&format!(" AND id > {after}"));
        }
        if let Some(before) = page.before {
            condition.push_str(&format!(" AND id < {before}"));
        }
        let order = if page.backward { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT job.*, {now} AS now FROM job WHERE {condition} ORDER BY id {order} LIMIT {}",
            page.limit + 1
        );
        let rows = self.reader().query_all_raw(statement(backend, sql, values)).await?;
        Ok(PageOf::cut(rows.iter().map(read).collect::<Result<Vec<_>>>()?, page))
    }

    /// The earliest moment at which a job may be claimed.
    pub async fn next_job_at(&self) -> Result<Option<DateTime<Utc>>> {
        let ready = self.ready_queues(Now::Database).await?;
        Ok(ready.first().map(|ready| ready.at))
    }

    /// Every job: its kind, its JSON and when it falls due. For tests and small tables.
    pub async fn pending_jobs(&self) -> Result<Vec<(String, String, DateTime<Utc>)>> {
        let sql = "SELECT kind, payload, due_at FROM job WHERE NOT dead ORDER BY due_at, id";
        let rows = self.reader().query_all_raw(statement(self.reader().get_database_backend(), sql, [])).await?;
        rows.iter()
            .map(|row| Ok((row.try_get("", "kind")?, row.try_get("", "payload")?, moment(row.try_get("", "due_at")?))))
            .collect()
    }
}
