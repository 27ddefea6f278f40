//! Adding jobs.

use super::{MAX_ATTEMPTS, Value, statement};
use crate::{Result, Store, StoreError, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend};
use serde::Serialize;
use tandem_domain::decision::{Planned, Priority};
use tandem_domain::ledger::Stamp;

/// What becomes of a job whose unique key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDuplicate {
    /// The job that waits stays; the new one is left out.
    KeepFirst,
    /// The job that waits takes the new one's payload and due time. One that has been started is left as it is, and the
    /// new one left out.
    Replace,
    /// The whole transaction fails with [`StoreError::Duplicate`].
    Reject,
}

/// At most one job in the table has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// The key.
    pub key: String,
    /// What becomes of the second.
    pub on_duplicate: OnDuplicate,
}

/// A job to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its queue.
    pub queue: String,
    /// Its kind: the name of its handler.
    pub kind: String,
    /// What the handler gets, as JSON.
    pub payload: String,
    /// Not before this moment.
    pub due: DateTime<Utc>,
    /// How soon it is taken among those that are due.
    pub priority: Priority,
    /// Jobs of one ordering key run one at a time, in order of due time.
    pub ordering_key: Option<String>,
    /// What its queue's limits per key count it under.
    pub limit_key: Option<String>,
    /// How often it may be tried.
    pub max_attempts: i32,
    /// Its unique key.
    pub unique: Option<Unique>,
    /// The request that led to it.
    pub request_id: String,
    /// The W3C trace context it continues.
    pub trace: Option<String>,
}

impl NewJob {
    /// A job that stands alone, of normal priority.
    pub fn new(
        queue: impl Into<String>,
        kind: impl Into<String>,
        payload: impl Into<String>,
        due: DateTime<Utc>,
    ) -> Self {
        Self {
            queue: queue.into(),
            kind: kind.into(),
            payload: payload.into(),
            due,
            priority: Priority::Normal,
            ordering_key: None,
            limit_key: None,
            max_attempts: MAX_ATTEMPTS,
            unique: None,
            request_id: String::new(),
            trace: None,
        }
    }
}

/// The row of a job that a decision planned.
pub(crate) fn planned(stamp: &Stamp, planned: &Planned) -> Result<NewJob> {
    let Planned { job, due, limit_key } = planned;
    let payload = serde_json::to_string(job).map_err(|source| StoreError::Decode { kind: "job", source })?;
    Ok(NewJob {
        priority: job.priority(),
        ordering_key: job.ordering_key(),
        limit_key: limit_key.clone(),
        request_id: stamp.request_id.clone(),
        trace: stamp.trace.clone(),
        ..NewJob::new(job.queue(), job.kind(), payload, *due)
    })
}

/// One job as the insert statement reads it.
#[derive(Serialize)]
struct Row<'a> {
    queue: &'a str,
    lane: i32,
    kind: &'a str,
    payload: &'a str,
    due_at: i64,
    max_attempts: i32,
    unique_key: Option<&'a str>,
    ordering_key: Option<&'a str>,
    limit_key: Option<&'a str>,
    request_id: &'a str,
    trace: Option<&'a str>,
}

impl<'a> From<&'a NewJob> for Row<'a> {
    fn from(job: &'a NewJob) -> Self {
        Self {
            queue: &job.queue,
            lane: lane(job.priority),
            kind: &job.kind,
            payload: &job.payload,
            due_at: ms(job.due),
            max_attempts: job.max_attempts,
            unique_key: job.unique.as_ref().map(|unique| unique.key.as_str()),
            ordering_key: job.ordering_key.as_deref(),
            limit_key: job.limit_key.as_deref(),
            request_id: &job.request_id,
            trace: job.trace.as_deref(),
        }
    }
}

/// The stored form of a priority; the order of the numbers is the order of taking.
pub(super) const fn lane(priority: Priority) -> i32 {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

/// Adds jobs, in few statements whatever their number. Gives how many were added or replaced.
pub(crate) async fn add(connection: &impl ConnectionTrait, jobs: &[NewJob]) -> Result<u64> {
    let mut added = 0;
    for policy in [None, Some(OnDuplicate::KeepFirst), Some(OnDuplicate::Replace), Some(OnDuplicate::Reject)] {
        let rows: Vec<Row<'_>> = jobs
            .iter()
            .filter(|job| job.unique.as_ref().map(|unique| unique.on_duplicate) == policy)
            .map(Row::from)
            .collect();
        // A statement that replaces may not meet one key twice.
        let size = if policy == Some(OnDuplicate::Replace) { 1 } else { 1_000 };
        for rows in rows.chunks(size) {
            added += add_rows(connection, rows, policy).await?;
        }
    }
    Ok(added)
}

async fn add_rows(connection: &impl ConnectionTrait, rows: &[Row<'_>], policy: Option<OnDuplicate>) -> Result<u64> {
    let backend = connection.get_database_backend();
    let source = match backend {
        DbBackend::Postgres => {
            "SELECT queue, lane, kind, payload, due_at, due_at, 0, 0, max_attempts, false, unique_key, ordering_key, \
             limit_key, request_id, trace FROM jsonb_to_recordset($1::jsonb) AS j(queue text, lane integer, kind text, \
             payload text, due_at bigint, max_attempts integer, unique_key text, ordering_key text, limit_key text, \
             request_id text, trace text) WHERE true"
        }
        _ => {
            "SELECT value ->> 'queue', value ->> 'lane', value ->> 'kind', value ->> 'payload', value ->> 'due_at', \
             value ->> 'due_at', 0, 0, value ->> 'max_attempts', 0, value ->> 'unique_key', value ->> 'ordering_key', \
             value ->> 'limit_key', value ->> 'request_id', value ->> 'trace' FROM json_each($1) WHERE true"
        }
    };
    let conflict = match policy {
        None | Some(OnDuplicate::Reject) => "",
        Some(OnDuplicate::KeepFirst) => " ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO NOTHING",
        Some(OnDuplicate::Replace) => {
            " ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL DO UPDATE SET payload = excluded.payload, \
             due_at = excluded.due_at, visible_at = excluded.visible_at, lane = excluded.lane, \
             request_id = excluded.request_id, trace = excluded.trace WHERE job.fence = 0"
        }
    };
    let sql = format!(
        "INSERT INTO job (queue, lane, kind, payload, due_at, visible_at, attempt, fence, max_attempts, dead, unique_key, \
         ordering_key, limit_key, request_id, trace) {source}{conflict}"
    );
    let json = serde_json::to_string(rows).map_err(|source| StoreError::Decode { kind: "job", source })?;
    let done = connection.execute_raw(statement(backend, sql, [Value::from(json)])).await;
    Ok(done.map_err(|error| StoreError::writing(error, "Job"))?.rows_affected())
}

impl Store {
    /// Adds jobs that belong to no decision, in one transaction. Gives how many were added or replaced.
    pub async fn add_jobs(&self, jobs: &[NewJob]) -> Result<u64> {
        let tx = self.begin(None).await?;
        self.know_queues(tx.connection().await?, jobs).await?;
        let added = add(tx.connection().await?, jobs).await?;
        tx.end_with_jobs(added > 0).await?;
        Ok(added)
    }
}
