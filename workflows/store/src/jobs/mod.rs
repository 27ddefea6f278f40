//! The job table: written inside the transaction that needs the work done, leased by workers, finished inside the
//! transaction of the handler.
//!
//! A claim adds one to `fence` and moves `visible_at` to the end of the lease. So one index serves new, waiting and
//! abandoned jobs, a crash needs no recovery step, and `fence` is the fencing token: whoever finishes, renews or fails a
//! job names the claim it was given, and nobody who lost the lease can do any of them. `attempt` counts the claims that
//! cost one of `max_attempts`: what was put off or given back costs none.
//!
//! A job ends by leaving the table: deleted when it is done, moved to the archive when it was given up or cancelled.

mod archive;
mod change;
mod claim;
mod insert;
mod nodes;
mod queues;
mod schedule;
mod settle;
mod views;

pub use archive::{ArchiveFilter, Archived, Outcome};
pub use change::{JobChange, ScheduleSwitch};
pub use claim::{Claimed, Now};
pub use insert::{NewJob, OnDuplicate, Unique};
pub use nodes::Node;
pub use queues::{Limits, Queue, Ready};
pub use schedule::{Due, Schedule};
pub(crate) use schedule::{keep, keep_only};
pub use views::{Depth, JobFilter, JobState, Waiting};

pub(crate) use insert::{add, planned};
pub(crate) use settle::{check, finish};

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, Statement, Value};
use serde::Serialize;

/// How often a job is tried before it is put aside as dead, unless it says otherwise.
pub const MAX_ATTEMPTS: i32 = 25;

/// No lease is longer, in milliseconds: what is running is found among the jobs visible within that time.
pub const LONGEST_LEASE_MS: i64 = 600_000;

/// The right to run one attempt of one job, until it runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Lease {
    /// The job.
    pub job: i64,
    /// The claim, which is the fencing token.
    pub fence: i32,
}

fn moment(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// Keeps the first thousand characters of an error, without what PostgreSQL's text cannot hold.
fn shorten(error: &str) -> String {
    error.chars().filter(|c| *c != '\0').take(1_000).collect()
}

fn statement<I: IntoIterator<Item = Value>>(backend: DbBackend, sql: impl Into<String>, values: I) -> Statement {
    Statement::from_sql_and_values(backend, sql, values)
}

/// SQL for the condition that a job is under one of the leases in the JSON array bound as `$1`: one text for any number of
/// leases, so that one plan serves. The ids come first and alone: then the plan goes by the primary key, whatever the
/// database believes about the size of the table.
fn leased_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "id = ANY(ARRAY(SELECT l.job FROM jsonb_to_recordset($1::jsonb) AS l(job bigint))) \
             AND (id, fence) IN (SELECT l.job, l.fence FROM jsonb_to_recordset($1::jsonb) AS l(job bigint, fence integer))"
        }
        _ => {
            "id IN (SELECT value ->> 'job' FROM json_each($1)) \
             AND (id, fence) IN (SELECT value ->> 'job', value ->> 'fence' FROM json_each($1))"
        }
    }
}
