//! Queues: what an operator pauses and limits as a whole, and what is ready in them.

use super::{NewJob, Now, moment, statement};
use crate::{Result, Store, ms};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, QueryResult};
use serde::{Deserialize, Serialize};

/// How much of a queue may run, over all nodes. None: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Jobs at once.
    pub max_running: Option<i32>,
    /// Jobs at once under one limit key.
    pub max_running_per_key: Option<i32>,
    /// Starts a minute, at an even pace with a second's worth of burst.
    pub per_minute: Option<i32>,
    /// Starts a minute under one limit key.
    pub per_minute_per_key: Option<i32>,
}

impl Limits {
    /// Whether anything is limited.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Whether none of its jobs is started.
    pub paused: bool,
    /// Its limits.
    pub limits: Limits,
}

/// A queue with something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its name.
    pub queue: String,
    /// When its first job may be claimed.
    pub at: DateTime<Utc>,
    /// How long until then; not positive where that is so now.
    pub wait: TimeDelta,
}

pub(super) fn read(row: &QueryResult) -> Result<Queue> {
    Ok(Queue {
        name: row.try_get("", "name")?,
        paused: row.try_get("", "paused")?,
        limits: Limits {
            max_running: row.try_get("", "max_running")?,
            max_running_per_key: row.try_get("", "max_running_per_key")?,
            per_minute: row.try_get("", "per_minute")?,
            per_minute_per_key: row.try_get("", "per_minute_per_key")?,
        },
    })
}

/// Writes a queue's switch and limits.
pub(super) async fn save(connection: &impl ConnectionTrait, queue: &Queue) -> Result<()> {
    let sql = "INSERT INTO job_queue (name, paused, max_running, max_running_per_key, per_minute, per_minute_per_key, \
               paced_to) VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (name) DO UPDATE SET paused = $2, \
               max_running = $3, max_running_per_key = $4, per_minute = $5, per_minute_per_key = $6";
    let Limits { max_running, max_running_per_key, per_minute, per_minute_per_key } = queue.limits;
    let values = [
        queue.name.as_str().into(),
        queue.paused.into(),
        max_running.into(),
        max_running_per_key.into(),
        per_minute.into(),
        per_minute_per_key.into(),
    ];
    connection.execute_raw(statement(connection.get_database_backend(), sql, values)).await?;
    Ok(())
}

impl Store {
    /// Every queue, by name.
    pub async fn queues(&self) -> Result<Vec<Queue>> {
        let sql = "SELECT * FROM job_queue ORDER BY name";
        let rows = self.reader().query_all_raw(statement(self.reader().get_database_backend(), sql, [])).await?;
        rows.iter().map(read).collect()
    }

    /// The queue of this name.
    pub async fn queue(&self, name: &str) -> Result<Option<Queue>> {
        let sql = "SELECT * FROM job_queue WHERE name = $1";
        let row =
            self.reader().query_one_raw(statement(self.reader().get_database_backend(), sql, [name.into()])).await?;
        row.as_ref().map(read).transpose()
    }

    /// The limits of a queue that is not paused and has any.
    pub(super) async fn queue_limits(&self, name: &str) -> Result<Option<Limits>> {
        let queue = self.queue(name).await?.filter(|queue| !queue.paused && queue.limits.any());
        Ok(queue.map(|queue| queue.limits))
    }

    /// The queues that are not paused and have jobs, soonest first: one query of a few index look-ups, whatever the
    /// number of jobs.
    pub async fn ready_queues(&self, now: Now) -> Result<Vec<Ready>> {
        let backend = self.writer().get_database_backend();
        let first = |lane: i32| format!("SELECT MIN(visible_at) AS at FROM job WHERE queue = q.name AND lane = {lane}");
        let at = format!("SELECT MIN(at) FROM ({} UNION ALL {} UNION ALL {}) AS lanes", first(0), first(1), first(2));
        let sql =
            format!("SELECT q.*, ({at}) AS ready_at, {} AS now FROM job_queue q WHERE NOT q.paused", now.sql(backend));
        let rows = self.writer().query_all_raw(statement(backend, sql, [])).await?;
        let mut ready = Vec::with_capacity(rows.len());
        for row in rows {
            let queue = read(&row)?;
            let Some(at) = row.try_get::<Option<i64>>("", "ready_at")? else { continue };
            let wait = TimeDelta::milliseconds(at - row.try_get::<i64>("", "now")?);
            ready.push(Ready { queue: queue.name, at: moment(at), wait });
        }
        ready.sort_by(|a, b| (a.at, &a.queue).cmp(&(b.at, &b.queue)));
        Ok(ready)
    }

    /// Forgets limit keys whose pace has run out, at most `limit`: they are like new ones. Gives how many.
    pub async fn prune_paces(&self, now: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM job_pace WHERE (queue, limit_key) IN (SELECT queue, limit_key FROM job_pace \
             WHERE paced_to < $1 LIMIT {limit})"
        );
        let values = [ms(now).into()];
        Ok(self
            .writer()
            .execute_raw(statement(self.writer().get_database_backend(), sql, values))
            .await?
            .rows_affected())
    }

    /// Makes the queues of jobs known, so that workers look into them.
    pub(super) async fn know_queues(&self, connection: &impl ConnectionTrait, jobs: &[NewJob]) -> Result<()> {
        let names: std::collections::BTreeSet<&str> = jobs.iter().map(|job| job.queue.as_str()).collect();
        for name in names {
            let sql = "INSERT INTO job_queue (name, paused, paced_to) VALUES ($1, $2, 0) ON CONFLICT (name) DO NOTHING";
            let values = [name.into(), false.into()];
            connection.execute_raw(statement(connection.get_database_backend(), sql, values)).await?;
        }
        Ok(())
    }
}
