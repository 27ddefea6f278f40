//! What operators do to jobs, queues and schedules: chosen under lock, written by the commit of their command.

use super::archive::{self, ArchiveFilter, Outcome};
use super::queues::{self, Queue};
use super::views::JobFilter;
use super::{Now, schedule, statement};
use crate::{Result, Save, Tx, ms};
use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

/// A change to jobs that were chosen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobChange {
    /// Jobs that were put off may be claimed from this moment on.
    RunNow(Vec<i64>, DateTime<Utc>),
    /// Jobs are called off at this moment, for this reason. Whoever runs one finds the lease lost.
    Cancel(Vec<i64>, DateTime<Utc>, String),
    /// Archived jobs come back, due at this moment, or at their own where that lies ahead.
    Redrive(Vec<i64>, DateTime<Utc>),
}

fn list(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

impl Save for JobChange {
    async fn save(&self, tx: &Tx) -> Result<()> {
        let connection = tx.connection().await?;
        match self {
            Self::RunNow(ids, _) | Self::Cancel(ids, ..) | Self::Redrive(ids, _) if ids.is_empty() => {}
            Self::RunNow(ids, at) => {
                let sql = format!("UPDATE job SET visible_at = $1 WHERE leased_by IS NULL AND id IN ({})", list(ids));
                let values = [ms(*at).into()];
                connection.execute_raw(statement(connection.get_database_backend(), sql, values)).await?;
            }
            Self::Cancel(ids, at, reason) => {
                let condition = format!("id IN ({})", list(ids));
                archive::put_aside(connection, Now::At(*at), Outcome::Cancelled, reason, &condition).await?;
            }
            Self::Redrive(ids, at) => archive::redrive(connection, ids, *at).await?,
        }
        tx.ring_at_commit();
        Ok(())
    }
}

impl Save for Queue {
    async fn save(&self, tx: &Tx) -> Result<()> {
        queues::save(tx.connection().await?, self).await?;
        tx.ring_at_commit();
        Ok(())
    }
}

/// A schedule's switch, and where it goes on its next tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSwitch {
    /// Its name.
    pub name: String,
    /// Whether it stands still.
    pub paused: bool,
    /// The next tick; none to leave it as it is.
    pub next_at: Option<DateTime<Utc>>,
}

impl Save for ScheduleSwitch {
    async fn save(&self, tx: &Tx) -> Result<()> {
        schedule::switch(tx.connection().await?, &self.name, self.paused, self.next_at).await
    }
}

impl Tx {
    /// The ids of up to `limit` jobs in the table, oldest first, locked.
    pub async fn choose_jobs(&self, filter: &JobFilter, now: DateTime<Utc>, limit: u64) -> Result<Vec<i64>> {
        let mut values = Vec::new();
        let condition = filter.sql(&Now::At(now).sql(self.backend()), &mut values);
        self.choose("job", &condition, values, limit).await
    }

    /// The ids of up to `limit` jobs that fell due and were put off, oldest first, locked. A timer whose moment lies ahead
    /// is not among them: run too early, it would find nothing to do and be gone.
    pub async fn choose_put_off(&self, filter: &JobFilter, now: DateTime<Utc>, limit: u64) -> Result<Vec<i64>> {
        let mut values = Vec::new();
        let condition = filter.sql(&Now::At(now).sql(self.backend()), &mut values);
        let condition = format!("{condition} AND leased_by IS NULL AND due_at <= {}", ms(now));
        self.choose("job", &condition, values, limit).await
    }

    /// The ids of up to `limit` archived jobs, oldest first, locked.
    pub async fn choose_archived(&self, filter: &ArchiveFilter, limit: u64) -> Result<Vec<i64>> {
        let mut values = Vec::new();
        let condition = filter.sql(&mut values);
        self.choose("job_archive", &condition, values, limit).await
    }

    async fn choose(&self, table: &str, condition: &str, values: Vec<sea_orm::Value>, limit: u64) -> Result<Vec<i64>> {
        let lock = if self.is_postgres() { " FOR UPDATE" } else { "" };
        let sql = format!("SELECT id FROM {table} WHERE {condition} ORDER BY id LIMIT {limit}{lock}");
        let rows = self.connection().await?.query_all_raw(statement(self.backend(), sql, values)).await?;
        rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
    }

    /// The queue of this name, locked.
    pub async fn job_queue(&self, name: &str) -> Result<Option<Queue>> {
        let lock = if self.is_postgres() { " FOR UPDATE" } else { "" };
        let sql = format!("SELECT * FROM job_queue WHERE name = $1{lock}");
        let row = self.connection().await?.query_one_raw(statement(self.backend(), sql, [name.into()])).await?;
        row.as_ref().map(queues::read).transpose()
    }

    /// The schedule of this name, locked.
    pub async fn job_schedule(&self, name: &str) -> Result<Option<schedule::Schedule>> {
        let lock = if self.is_postgres() { " FOR UPDATE" } else { "" };
        let sql = format!("SELECT * FROM job_schedule WHERE name = $1{lock}");
        let row = self.connection().await?.query_one_raw(statement(self.backend(), sql, [name.into()])).await?;
        row.as_ref().map(schedule::read).transpose()
    }
}
