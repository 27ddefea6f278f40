//! What becomes of a leased job. Every way is fenced: zero rows mean that the lease was lost, and that nothing happened.

use super::archive::{self, Outcome};
use super::{Lease, Now, leased_sql, shorten, statement};
use crate::{Result, Store, StoreError};
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DbBackend};

/// Fails unless the lease still holds; locks the job's row on PostgreSQL.
pub(crate) async fn check(connection: &impl ConnectionTrait, lease: &Lease) -> Result<()> {
    let backend = connection.get_database_backend();
    let lock = if backend == DbBackend::Postgres { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT id FROM job WHERE id = $1 AND fence = $2{lock}");
    match connection.query_one_raw(statement(backend, sql, [lease.job.into(), lease.fence.into()])).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::LeaseLost { job: lease.job }),
    }
}

/// Deletes jobs that are done. A lease that was lost means that the caller's transaction must not happen.
pub(crate) async fn finish(connection: &impl ConnectionTrait, leases: &[Lease]) -> Result<()> {
    let gone = delete(connection, leases).await?;
    match leases.iter().find(|lease| !gone.contains(&lease.job)) {
        Some(lost) => Err(StoreError::LeaseLost { job: lost.job }),
        None => Ok(()),
    }
}

async fn delete(connection: &impl ConnectionTrait, leases: &[Lease]) -> Result<std::collections::HashSet<i64>> {
    if leases.is_empty() {
        return Ok(std::collections::HashSet::new());
    }
    let backend = connection.get_database_backend();
    let sql = format!("DELETE FROM job WHERE {} RETURNING id", leased_sql(backend));
    let rows = connection.query_all_raw(statement(backend, sql, [leases_json(leases)?.into()])).await?;
    rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
}

fn leases_json(leases: &[Lease]) -> Result<String> {
    serde_json::to_string(leases).map_err(|source| StoreError::Decode { kind: "lease", source })
}

impl Store {
    /// Deletes leased jobs outside any other transaction, for jobs that had nothing to do; gives those whose lease was
    /// lost.
    pub async fn finish_jobs(&self, leases: &[Lease]) -> Result<Vec<Lease>> {
        let gone = delete(self.writer(), leases).await?;
        Ok(leases.iter().filter(|lease| !gone.contains(&lease.job)).copied().collect())
    }

    /// Prolongs leases to `lease` from now. What is being finished at this moment is passed over, and so is what somebody
    /// else has by now. Gives how many were prolonged.
    pub async fn renew_jobs(&self, leases: &[Lease], now: Now, lease: TimeDelta) -> Result<u64> {
        if leases.is_empty() {
            return Ok(0);
        }
        let backend = self.writer().get_database_backend();
        let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "UPDATE job SET visible_at = {} + $2 WHERE id IN (SELECT id FROM job WHERE {} AND leased_by IS NOT NULL{lock})",
            now.sql(backend),
            leased_sql(backend)
        );
        let values = [leases_json(leases)?.into(), lease.num_milliseconds().into()];
        Ok(self.writer().execute_raw(statement(backend, sql, values)).await?.rows_affected())
    }

    /// Puts a job back to be tried again after `delay`, with the error that made it fail. The attempt counts.
    pub async fn retry_job(&self, lease: &Lease, now: Now, delay: TimeDelta, error: &str) -> Result<()> {
        self.put_back(lease, now, delay, 0, Some(&shorten(error))).await
    }

    /// Puts a job off for `delay`. The attempt does not count.
    pub async fn snooze_job(&self, lease: &Lease, now: Now, delay: TimeDelta) -> Result<()> {
        self.put_back(lease, now, delay, 1, None).await
    }

    async fn put_back(
        &self,
        lease: &Lease,
        now: Now,
        delay: TimeDelta,
        returned: i32,
        error: Option<&str>,
    ) -> Result<()> {
        let backend = self.writer().get_database_backend();
        let sql = format!(
            "UPDATE job SET visible_at = {} + $3, leased_by = NULL, attempt = attempt - $4, \
             last_error = COALESCE($5, last_error) WHERE id = $1 AND fence = $2 AND leased_by IS NOT NULL",
            now.sql(backend)
        );
        let values = [
            lease.job.into(),
            lease.fence.into(),
            delay.num_milliseconds().into(),
            returned.into(),
            error.map(str::to_owned).into(),
        ];
        let changed = self.writer().execute_raw(statement(backend, sql, values)).await?.rows_affected();
        if changed == 1 { Ok(()) } else { Err(StoreError::LeaseLost { job: lease.job }) }
    }

    /// Puts a job aside for good, with the reason: an operator sees it in the archive, and may bring it back.
    pub async fn archive_job(&self, lease: &Lease, now: Now, outcome: Outcome, reason: &str) -> Result<()> {
        let tx = self.begin(None).await?;
        let condition = format!("id = {} AND fence = {}", lease.job, lease.fence);
        let moved = archive::put_aside(tx.connection().await?, now, outcome, &shorten(reason), &condition).await?;
        if moved != 1 {
            return Err(StoreError::LeaseLost { job: lease.job });
        }
        tx.end_with_jobs(false).await
    }

    /// Gives leases back at once: for a node that stops. The attempts do not count. Gives how many were given back.
    pub async fn release_jobs(&self, leases: &[Lease]) -> Result<u64> {
        if leases.is_empty() {
            return Ok(0);
        }
        let backend = self.writer().get_database_backend();
        let sql = format!(
            "UPDATE job SET visible_at = due_at, leased_by = NULL, attempt = attempt - 1 WHERE leased_by IS NOT NULL \
             AND {}",
            leased_sql(backend)
        );
        let values = [leases_json(leases)?.into()];
        let released = self.writer().execute_raw(statement(backend, sql, values)).await?.rows_affected();
        if released > 0 {
            self.announce_jobs();
        }
        Ok(released)
    }

    /// Gives back every lease of a node that starts again under its old name, in time that is played. The attempts do not
    /// count.
    pub async fn release_node(&self, node: &str) -> Result<u64> {
        let sql = "UPDATE job SET visible_at = due_at, leased_by = NULL, attempt = attempt - 1 WHERE leased_by = $1";
        let done = statement(self.writer().get_database_backend(), sql, [node.into()]);
        Ok(self.writer().execute_raw(done).await?.rows_affected())
    }
}
