//! Schedules: rows that say when their next job falls due. Any node may turn them; each tick is turned once.

use super::{NewJob, Now, OnDuplicate, Unique, insert, moment, statement};
use crate::{Result, Store, ms};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// The five fields of cron: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// The time zone the fields are read in, an IANA name.
    pub zone: String,
    /// The job to run, as JSON.
    pub payload: String,
    /// What becomes of missed ticks: `SKIP`, `ONCE` or `ALL`.
    pub missed: String,
    /// Whether it stands still.
    pub paused: bool,
    /// The next tick.
    pub next_at: DateTime<Utc>,
    /// The last tick that was run.
    pub last_at: Option<DateTime<Utc>>,
}

/// What a tick leads to: the jobs to add, and the schedule's next tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// The ticks to run, each with its job.
    pub jobs: Vec<(DateTime<Utc>, NewJob)>,
    /// The next tick.
    pub next_at: DateTime<Utc>,
}

pub(super) fn read(row: &QueryResult) -> Result<Schedule> {
    Ok(Schedule {
        name: row.try_get("", "name")?,
        cron: row.try_get("", "cron")?,
        zone: row.try_get("", "zone")?,
        payload: row.try_get("", "payload")?,
        missed: row.try_get("", "missed")?,
        paused: row.try_get("", "paused")?,
        next_at: moment(row.try_get("", "next_at")?),
        last_at: row.try_get::<Option<i64>>("", "last_at")?.map(moment),
    })
}

/// Sets a schedule's switch and, where it is given, its next tick.
pub(super) async fn switch(
    connection: &impl ConnectionTrait,
    name: &str,
    paused: bool,
    next_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let sql = "UPDATE job_schedule SET paused = $2, next_at = COALESCE($3, next_at) WHERE name = $1";
    let values = [name.into(), paused.into(), next_at.map(ms).into()];
    connection.execute_raw(statement(connection.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// Makes a schedule what it should be; see [`Store::keep_schedule`].
pub(crate) async fn keep(connection: &impl ConnectionTrait, schedule: &Schedule) -> Result<()> {
    let sql = "INSERT INTO job_schedule (name, cron, zone, payload, missed, paused, next_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET cron = $2, zone = $3, payload = $4, \
               missed = $5, next_at = CASE WHEN job_schedule.cron = $2 AND job_schedule.zone = $3 \
               THEN job_schedule.next_at ELSE $7 END";
    let values = [
        schedule.name.as_str().into(),
        schedule.cron.as_str().into(),
        schedule.zone.as_str().into(),
        schedule.payload.as_str().into(),
        schedule.missed.as_str().into(),
        schedule.paused.into(),
        ms(schedule.next_at).into(),
    ];
    connection.execute_raw(statement(connection.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// Takes away the schedules whose names begin with `prefix`, apart from these.
pub(crate) async fn keep_only(connection: &impl ConnectionTrait, prefix: &str, names: &[&str]) -> Result<()> {
    let marks: String = (0..names.len()).map(|at| format!(", ${}", at + 3)).collect();
    // The second is there so that the list is never empty.
    let sql = format!(
        "DELETE FROM job_schedule WHERE substr(name, 1, {}) = $1 AND name NOT IN ($2{marks})",
        prefix.chars().count()
    );
    let values = [prefix.into(), String::new().into()].into_iter().chain(names.iter().map(|name| (*name).into()));
    connection.execute_raw(statement(connection.get_database_backend(), sql, values)).await?;
    Ok(())
}

impl Store {
    /// Makes a schedule what it should be: a new one begins at its next tick, one whose times changed too; the switch of
    /// one that is there stays as an operator set it.
    pub async fn keep_schedule(&self, schedule: &Schedule) -> Result<()> {
        keep(self.writer(), schedule).await
    }

    /// Every schedule, by name.
    pub async fn schedules(&self) -> Result<Vec<Schedule>> {
        let sql = "SELECT * FROM job_schedule ORDER BY name";
        let rows = self.reader().query_all_raw(statement(self.reader().get_database_backend(), sql, [])).await?;
        rows.iter().map(read).collect()
    }

    /// How long it is until the next schedule that is not paused ticks: nothing, or less, where one has to be turned.
    pub async fn until_tick(&self, now: Now) -> Result<Option<TimeDelta>> {
        let backend = self.reader().get_database_backend();
        let sql = format!("SELECT MIN(next_at) - {} AS wait FROM job_schedule WHERE NOT paused", now.sql(backend));
        let row = self.reader().query_one_raw(statement(backend, sql, [])).await?;
        let wait: Option<i64> = row.map(|row| row.try_get("", "wait")).transpose()?.flatten();
        Ok(wait.map(TimeDelta::milliseconds))
    }

    /// Turns every schedule whose tick has come: `due` says what that leads to, and its jobs and the next tick are
    /// written together. Another node that turns at the same moment passes the row over; a job's unique key
    /// `name@tick` keeps a tick from running twice even so. Gives how many jobs were added.
    pub async fn turn_schedules(&self, now: Now, due: impl Fn(&Schedule, DateTime<Utc>) -> Due + Send) -> Result<u64> {
        let tx = self.begin(None).await?;
        let connection = tx.connection().await?;
        let backend = connection.get_database_backend();
        let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let now = now.sql(backend);
        let sql = format!(
            "SELECT job_schedule.*, {now} AS now FROM job_schedule WHERE NOT paused AND next_at <= {now} ORDER BY name{lock}"
        );
        let rows = connection.query_all_raw(statement(backend, sql, [])).await?;
        let mut added = 0;
        for row in &rows {
            let schedule = read(row)?;
            let Due { jobs, next_at } = due(&schedule, moment(row.try_get("", "now")?));
            let last = jobs.last().map(|(tick, _)| ms(*tick));
            let unique = |tick: DateTime<Utc>| Unique {
                key: format!("{}@{}", schedule.name, ms(tick)),
                on_duplicate: OnDuplicate::KeepFirst,
            };
            let jobs: Vec<NewJob> =
                jobs.into_iter().map(|(tick, job)| NewJob { unique: Some(unique(tick)), ..job }).collect();
            self.know_queues(connection, &jobs).await?;
            added += insert::add(connection, &jobs).await?;
            let sql = "UPDATE job_schedule SET next_at = $2, last_at = COALESCE($3, last_at) WHERE name = $1";
            let values = [schedule.name.as_str().into(), ms(next_at).into(), last.into()];
            connection.execute_raw(statement(backend, sql, values)).await?;
        }
        tx.end_with_jobs(added > 0).await?;
        Ok(added)
    }
}
