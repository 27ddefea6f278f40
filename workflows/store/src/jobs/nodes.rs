//! The processes that run jobs, as they last reported.

use super::{Now, moment, statement};
use crate::{Result, Store};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ConnectionTrait;

/// A process that runs jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, its own for each start.
    pub name: String,
    /// The version of Tandem it runs.
    pub version: String,
    /// How many jobs it runs at once at most.
    pub concurrency: i32,
    /// How many it had in hand when it last reported.
    pub running: i32,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it last reported.
    pub seen_at: DateTime<Utc>,
    /// For how long it has not, by the clock it reports by.
    pub silent: TimeDelta,
}

impl Node {
    /// Whether it has been silent for half a minute, though it reports every ten seconds: it died, or is cut off.
    pub fn lost(&self) -> bool {
        self.silent > TimeDelta::seconds(30)
    }
}

impl Store {
    /// Reports a node as alive, by the database's clock or the one that is played.
    pub async fn report_node(&self, name: &str, version: &str, concurrency: i32, running: i32, now: Now) -> Result<()> {
        let backend = self.writer().get_database_backend();
        let now = now.sql(backend);
        let sql = format!(
            "INSERT INTO job_node (name, version, concurrency, running, started_at, seen_at) \
             VALUES ($1, $2, $3, $4, {now}, {now}) ON CONFLICT (name) DO UPDATE SET running = $4, seen_at = {now}"
        );
        let values = [name.into(), version.into(), concurrency.into(), running.into()];
        self.writer().execute_raw(statement(backend, sql, values)).await?;
        Ok(())
    }

    /// Forgets a node that stops.
    pub async fn forget_node(&self, name: &str) -> Result<()> {
        let sql = "DELETE FROM job_node WHERE name = $1";
        let values = [name.into()];
        self.writer().execute_raw(statement(self.writer().get_database_backend(), sql, values)).await?;
        Ok(())
    }

    /// Forgets nodes that have not reported for `silence`.
    pub async fn forget_silent_nodes(&self, silence: TimeDelta, now: Now) -> Result<()> {
        let backend = self.writer().get_database_backend();
        let sql = format!("DELETE FROM job_node WHERE seen_at < {} - $1", now.sql(backend));
        let values = [silence.num_milliseconds().into()];
        self.writer().execute_raw(statement(backend, sql, values)).await?;
        Ok(())
    }

    /// The nodes, by name.
    pub async fn nodes(&self, now: Now) -> Result<Vec<Node>> {
        let backend = self.reader().get_database_backend();
        let sql = format!("SELECT job_node.*, {} - seen_at AS silent FROM job_node ORDER BY name", now.sql(backend));
        let rows = self.reader().query_all_raw(statement(backend, sql, [])).await?;
        rows.iter()
            .map(|row| {
                Ok(Node {
                    name: row.try_get("", "name")?,
                    version: row.try_get("", "version")?,
                    concurrency: row.try_get("", "concurrency")?,
                    running: row.try_get("", "running")?,
                    started_at: moment(row.try_get("", "started_at")?),
                    seen_at: moment(row.try_get("", "seen_at")?),
                    silent: TimeDelta::milliseconds(row.try_get("", "silent")?).max(TimeDelta::zero()),
                })
            })
            .collect()
    }
}
