//! What operators do to jobs, queues and schedules. Each is a command with an entry in the audit book.

use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tandem_domain::decision::{Decision, Fact, Subject};
use tandem_store::jobs::{ArchiveFilter, JobChange, JobFilter, Limits, Queue, ScheduleSwitch};
use tandem_store::{Save, StoreError, Tx};
use uuid::Uuid;

/// No command changes more jobs than this.
pub const MOST_JOBS: u64 = 10_000;

/// No limit is larger than this.
const LARGEST_LIMIT: i32 = 1_000_000;

/// How many jobs a command changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsChanged {
    /// How many.
    pub jobs: u64,
    #[serde(skip)]
    change: Option<JobChange>,
}

impl Save for JobsChanged {
    async fn save(&self, tx: &Tx) -> Result<(), StoreError> {
        self.change.save(tx).await
    }
}

/// Jobs, queues and schedules have names and numbers; the ledger's subject is the runner as a whole.
fn fact(kind: &'static str) -> Fact {
    Fact::audit(kind, Subject::new("Jobs", Uuid::nil()))
}

fn changed(
    kind: &'static str,
    filter: &impl Serialize,
    ids: Vec<i64>,
    change: impl FnOnce(Vec<i64>) -> JobChange,
) -> Decision<JobsChanged> {
    if ids.is_empty() {
        return Decision::unchanged(JobsChanged { jobs: 0, change: None });
    }
    let shown: Vec<i64> = ids.iter().copied().take(100).collect();
    let fact = fact(kind).with("filter", filter).with("jobs", ids.len()).with("first", shown);
    let jobs = ids.len() as u64;
    Decision::new(JobsChanged { jobs, change: Some(change(ids)) }, fact)
}

/// Lets waiting jobs be claimed at once.
#[derive(Debug, Clone, Serialize)]
pub struct JobsRunNow {
    /// Which.
    pub filter: JobFilter,
    /// How many at most.
    pub limit: u64,
}

impl Command for JobsRunNow {
    const NAME: &'static str = "jobsRunNow";
    type Output = JobsChanged;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<JobsChanged>> {
        let now = call.now(env);
        let ids = tx.choose_jobs(&self.filter, now, self.limit.min(MOST_JOBS)).await?;
        Ok(changed("jobs.brought_forward", &self.filter, ids, |ids| JobChange::RunNow(ids, now)))
    }
}

/// Calls jobs off, running ones too: they are kept in the archive as cancelled.
#[derive(Debug, Clone, Serialize)]
pub struct JobsCancel {
    /// Which.
    pub filter: JobFilter,
    /// Why.
    pub reason: String,
    /// How many at most.
    pub limit: u64,
}

impl Command for JobsCancel {
    const NAME: &'static str = "jobsCancel";
    type Output = JobsChanged;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<JobsChanged>> {
        let reason = self.reason.trim();
        if reason.is_empty() || reason.chars().count() > 500 {
            let message = "say why in 1 to 500 characters: whoever misses the job will ask";
            return Err(AppError::refused("JOBS_REASON", message, Some("reason")));
        }
        let now = call.now(env);
        let ids = tx.choose_jobs(&self.filter, now, self.limit.min(MOST_JOBS)).await?;
        let decision =
            changed("jobs.cancelled", &self.filter, ids, |ids| JobChange::Cancel(ids, now, reason.to_owned()));
        Ok(Decision { facts: decision.facts.into_iter().map(|fact| fact.because(reason)).collect(), ..decision })
    }
}

/// Brings archived jobs back, with all their attempts before them.
#[derive(Debug, Clone, Serialize)]
pub struct JobsRedrive {
    /// Which.
    pub filter: ArchiveFilter,
    /// How many at most.
    pub limit: u64,
}

impl Command for JobsRedrive {
    const NAME: &'static str = "jobsRedrive";
    type Output = JobsChanged;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<JobsChanged>> {
        let now = call.now(env);
        let ids = tx.choose_archived(&self.filter, self.limit.min(MOST_JOBS)).await?;
        Ok(changed("jobs.redriven", &self.filter, ids, |ids| JobChange::Redrive(ids, now)))
    }
}

/// Sets whether a queue starts jobs, and its limits.
#[derive(Debug, Clone, Serialize)]
pub struct JobQueueSave {
    /// The queue as it shall be.
    pub queue: Queue,
}

impl Command for JobQueueSave {
    const NAME: &'static str = "jobQueueSave";
    type Output = Queue;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<Queue>> {
        let queue = &self.queue;
        let Some(before) = tx.job_queue(&queue.name).await? else {
            let message = format!("there is no queue {:?}", queue.name);
            return Err(AppError::refused("JOB_QUEUE_UNKNOWN", message, Some("queue")));
        };
        let Limits { max_running, max_running_per_key, per_minute, per_minute_per_key } = queue.limits;
        for (limit, field) in [
            (max_running, "maxRunning"),
            (max_running_per_key, "maxRunningPerKey"),
            (per_minute, "perMinute"),
            (per_minute_per_key, "perMinutePerKey"),
        ] {
            if limit.is_some_and(|limit| !(1..=LARGEST_LIMIT).contains(&limit)) {
                let message = format!("a limit is 1 to {LARGEST_LIMIT}; to let nothing start, pause the queue");
                return Err(AppError::refused("JOB_QUEUE_LIMIT", message, Some(field)));
            }
        }
        if before == *queue {
            return Ok(Decision::unchanged(before));
        }
        let kind = match (before.paused, queue.paused) {
            (false, true) => "job_queue.paused",
            (true, false) => "job_queue.resumed",
            _ => "job_queue.limited",
        };
        let fact = fact(kind).with("queue", &queue.name).with("limits", &queue.limits);
        Ok(Decision::new(queue.clone(), fact))
    }
}

/// Halts a schedule, or lets it go on.
#[derive(Debug, Clone, Serialize)]
pub struct JobScheduleSwitch {
    /// Its name.
    pub name: String,
    /// Whether it shall stand still.
    pub paused: bool,
    /// Where it goes on: its next tick, so that what it missed while it stood still is not made up for. None to leave the
    /// tick as it is.
    pub next_at: Option<DateTime<Utc>>,
}

/// A schedule as it was switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobScheduleSwitched {
    /// Its name.
    pub name: String,
    #[serde(skip)]
    switch: Option<ScheduleSwitch>,
}

impl Save for JobScheduleSwitched {
    async fn save(&self, tx: &Tx) -> Result<(), StoreError> {
        self.switch.save(tx).await
    }
}

impl Command for JobScheduleSwitch {
    const NAME: &'static str = "jobScheduleSwitch";
    type Output = JobScheduleSwitched;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<JobScheduleSwitched>> {
        let Some(schedule) = tx.job_schedule(&self.name).await? else {
            let message = format!("there is no schedule {:?}", self.name);
            return Err(AppError::refused("JOB_SCHEDULE_UNKNOWN", message, Some("name")));
        };
        let name = self.name.clone();
        if schedule.paused == self.paused {
            return Ok(Decision::unchanged(JobScheduleSwitched { name, switch: None }));
        }
        let kind = if self.paused { "job_schedule.paused" } else { "job_schedule.resumed" };
        let switch = ScheduleSwitch { name: name.clone(), paused: self.paused, next_at: self.next_at };
        let fact = fact(kind).with("schedule", &name);
        Ok(Decision::new(JobScheduleSwitched { name, switch: Some(switch) }, fact))
    }
}
