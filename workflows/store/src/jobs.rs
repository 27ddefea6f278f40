//! The job table: written inside the transaction that needs the work done, leased by workers, finished inside the
//! transaction of the handler.
//!
//! A claim adds one to `attempt` and moves `visible_at` to the end of the lease. So one index serves both new and
//! abandoned jobs, a crash needs no recovery step, and `attempt` is the fencing token: whoever finishes, renews or
//! fails a job names the attempt it was given, and nobody who lost the lease can do any of them.

use crate::{Result, Store, StoreError, ms};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::NotSet, ActiveValue::Set, ConnectionTrait, DbBackend, Statement};
use tandem_domain::decision::{Job, Planned};
use tandem_domain::ledger::Stamp;

/// How often a job is tried before it is put aside as dead, unless it says otherwise.
pub const MAX_ATTEMPTS: i32 = 25;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "job")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub queue: String,
        pub kind: String,
        pub payload: String,
        pub due_at: i64,
        pub visible_at: i64,
        pub attempt: i32,
        pub max_attempts: i32,
        pub dead: bool,
        pub unique_key: Option<String>,
        pub leased_by: Option<String>,
        pub last_error: Option<String>,
        pub request_id: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The right to run one attempt of one job, until it runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: i64,
    /// The attempt, which is the fencing token.
    pub attempt: i32,
}

/// A job that was leased.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The lease.
    pub lease: Lease,
    /// The job's kind, as stored.
    pub kind: String,
    /// The job, as JSON.
    pub payload: String,
    /// When it fell due.
    pub due_at: DateTime<Utc>,
    /// How often it may be tried.
    pub max_attempts: i32,
    /// The request that led to it.
    pub request_id: String,
}

/// How many jobs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Due, and not dead.
    pub due: i64,
    /// Not yet due.
    pub waiting: i64,
    /// Given up.
    pub dead: i64,
    /// The earliest due moment of a job that is not dead.
    pub oldest_due: Option<DateTime<Utc>>,
}

/// Fails unless the lease still holds; locks the job's row on PostgreSQL.
pub(crate) async fn check(connection: &impl ConnectionTrait, postgres: bool, lease: &Lease) -> Result<()> {
    use sea_orm::QuerySelect;
    let query = row::Entity::find()
        .filter(row::Column::Id.eq(lease.job))
        .filter(row::Column::Attempt.eq(lease.attempt))
        .filter(row::Column::Dead.eq(false));
    let query = if postgres { query.lock_exclusive() } else { query };
    match query.one(connection).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::LeaseLost { job: lease.job }),
    }
}

/// Adds planned jobs, each under the stamp of its decision, due when they say.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    jobs: impl Iterator<Item = (&Stamp, &Planned)>,
) -> Result<()> {
    let mut rows = Vec::new();
    for (stamp, Planned { job, due }) in jobs {
        rows.push(row::ActiveModel {
            id: NotSet,
            queue: Set("default".to_owned()),
            kind: Set(job.kind().to_owned()),
            payload: Set(encode(job)?),
            due_at: Set(ms(*due)),
            visible_at: Set(ms(*due)),
            attempt: Set(0),
            max_attempts: Set(MAX_ATTEMPTS),
            dead: Set(false),
            unique_key: Set(None),
            leased_by: Set(None),
            last_error: Set(None),
            request_id: Set(stamp.request_id.clone()),
        });
    }
    for rows in rows.chunks(500) {
        row::Entity::insert_many(rows.iter().cloned()).exec_without_returning(connection).await?;
    }
    Ok(())
}

fn encode(job: &Job) -> Result<String> {
    serde_json::to_string(job).map_err(|source| StoreError::Decode { kind: "job", source })
}

/// Deletes a job that is done. No row means that the lease was lost: the caller's transaction must not happen.
pub(crate) async fn finish(connection: &impl ConnectionTrait, lease: &Lease) -> Result<()> {
    let done = row::Entity::delete_many()
        .filter(row::Column::Id.eq(lease.job))
        .filter(row::Column::Attempt.eq(lease.attempt))
        .filter(row::Column::Dead.eq(false))
        .exec(connection)
        .await?;
    if done.rows_affected == 1 { Ok(()) } else { Err(StoreError::LeaseLost { job: lease.job }) }
}

fn moment(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

impl Store {
    /// Leases up to `limit` jobs that are due at `now` to `node`, until `now + lease`; oldest first.
    pub async fn claim_jobs(
        &self,
        node: &str,
        now: DateTime<Utc>,
        lease: TimeDelta,
        limit: u64,
    ) -> Result<Vec<Claimed>> {
        let backend = self.writer().get_database_backend();
        // PostgreSQL: through an array, so that the plan reads `limit` rows of the index and locks only those.
        let chosen = match backend {
            DbBackend::Postgres => {
                "= ANY(ARRAY(SELECT id FROM job WHERE NOT dead AND visible_at <= $2 ORDER BY visible_at, id \
                 LIMIT $4 FOR UPDATE SKIP LOCKED))"
            }
            _ => "IN (SELECT id FROM job WHERE NOT dead AND visible_at <= $2 ORDER BY visible_at, id LIMIT $4)",
        };
        let sql = format!(
            "UPDATE job SET attempt = attempt + 1, visible_at = $3, leased_by = $1 WHERE id {chosen} \
             RETURNING id, kind, payload, due_at, attempt, max_attempts, request_id"
        );
        let until = ms(now + lease);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = [node.into(), ms(now).into(), until.into(), limit.into()];
        let rows = self.writer().query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            claimed.push(Claimed {
                lease: Lease { job: row.try_get("", "id")?, attempt: row.try_get("", "attempt")? },
                kind: row.try_get("", "kind")?,
                payload: row.try_get("", "payload")?,
                due_at: moment(row.try_get("", "due_at")?),
                max_attempts: row.try_get("", "max_attempts")?,
                request_id: row.try_get("", "request_id")?,
            });
        }
        claimed.sort_by_key(|job| (job.due_at, job.lease.job));
        Ok(claimed)
    }

    /// Prolongs a lease until `until`. Fails with [`StoreError::LeaseLost`] where somebody else has the job.
    pub async fn renew_job(&self, lease: &Lease, until: DateTime<Utc>) -> Result<()> {
        self.change_leased(lease, &[(row::Column::VisibleAt, ms(until).into())]).await
    }

    /// Puts a job back, to be tried again at `at`, with the error that made it fail.
    pub async fn retry_job(&self, lease: &Lease, at: DateTime<Utc>, error: &str) -> Result<()> {
        let error = shorten(error);
        let nobody: Option<String> = None;
        let values = [
            (row::Column::VisibleAt, ms(at).into()),
            (row::Column::LastError, error.into()),
            (row::Column::LeasedBy, nobody.into()),
        ];
        self.change_leased(lease, &values).await
    }

    /// Puts a job aside for good, with the reason. It stays in the table for an operator to see.
    pub async fn bury_job(&self, lease: &Lease, error: &str) -> Result<()> {
        let error = shorten(error);
        self.change_leased(lease, &[(row::Column::Dead, true.into()), (row::Column::LastError, error.into())]).await
    }

    /// Deletes a leased job outside any other transaction: for a job that found nothing to do.
    pub async fn finish_job(&self, lease: &Lease) -> Result<()> {
        finish(self.writer(), lease).await
    }

    async fn change_leased(&self, lease: &Lease, values: &[(row::Column, sea_orm::Value)]) -> Result<()> {
        let mut update = row::Entity::update_many();
        for (column, value) in values {
            update = update.col_expr(*column, Expr::value(value.clone()));
        }
        let changed = update
            .filter(row::Column::Id.eq(lease.job))
            .filter(row::Column::Attempt.eq(lease.attempt))
            .filter(row::Column::Dead.eq(false))
            .exec(self.writer())
            .await?;
        if changed.rows_affected == 1 { Ok(()) } else { Err(StoreError::LeaseLost { job: lease.job }) }
    }

    /// Gives back every lease of `node`: for a node that stops, or that starts again under the same name.
    pub async fn release_jobs(&self, node: &str) -> Result<u64> {
        let statement = Statement::from_sql_and_values(
            self.writer().get_database_backend(),
            "UPDATE job SET visible_at = due_at, leased_by = NULL WHERE leased_by = $1 AND NOT dead",
            [node.into()],
        );
        let released = self.writer().execute_raw(statement).await?.rows_affected();
        if released > 0 {
            self.jobs_added().notify_waiters();
        }
        Ok(released)
    }

    /// The earliest moment at which a job that is not dead may be claimed.
    pub async fn next_job_at(&self) -> Result<Option<DateTime<Utc>>> {
        let sql = "SELECT MIN(visible_at) AS next FROM job WHERE NOT dead";
        let statement = Statement::from_string(self.reader().get_database_backend(), sql);
        let row = self.reader().query_one_raw(statement).await?;
        let next: Option<i64> = row.map(|row| row.try_get("", "next")).transpose()?.flatten();
        Ok(next.map(moment))
    }

    /// How many jobs there are at `now`.
    pub async fn job_depth(&self, now: DateTime<Utc>) -> Result<Depth> {
        let statement = Statement::from_sql_and_values(
            self.reader().get_database_backend(),
            "SELECT CAST(COALESCE(SUM(CASE WHEN NOT dead AND due_at <= $1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS due, \
             CAST(COALESCE(SUM(CASE WHEN NOT dead AND due_at > $1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS waiting, \
             CAST(COALESCE(SUM(CASE WHEN dead THEN 1 ELSE 0 END), 0) AS BIGINT) AS dead, \
             MIN(CASE WHEN NOT dead THEN due_at END) AS oldest FROM job",
            [ms(now).into()],
        );
        let Some(row) = self.reader().query_one_raw(statement).await? else { return Ok(Depth::default()) };
        let oldest: Option<i64> = row.try_get("", "oldest")?;
        Ok(Depth {
            due: row.try_get("", "due")?,
            waiting: row.try_get("", "waiting")?,
            dead: row.try_get("", "dead")?,
            oldest_due: oldest.map(moment),
        })
    }

    /// Every job that is not dead: its kind, its JSON and when it falls due. For tests and small tables.
    pub async fn pending_jobs(&self) -> Result<Vec<(String, String, DateTime<Utc>)>> {
        use sea_orm::QueryOrder;
        let rows = row::Entity::find()
            .filter(row::Column::Dead.eq(false))
            .order_by_asc(row::Column::DueAt)
            .order_by_asc(row::Column::Id)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|row| (row.kind, row.payload, moment(row.due_at))).collect())
    }
}

/// Keeps the first thousand characters of an error.
fn shorten(error: &str) -> String {
    error.chars().take(1_000).collect()
}
