//! What operators do to jobs, queues and schedules. Each is a command with an entry in the audit book.

pub mod cron;
mod refusal;

pub use refusal::Refusal;

use crate::{Call, Command, Env, Result};
use cron::Cron;
use serde::{Deserialize, Serialize};
use tandem_domain::decision::{Decision, Fact, Subject};
use tandem_domain::edit::Edit;
use tandem_store::jobs::{ArchiveFilter, JobChange, JobFilter, JobState, Limits, Queue, ScheduleSwitch};
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

/// How many jobs a command may change, where it may change that many.
fn at_most(limit: u64) -> Result<u64> {
    if (1..=MOST_JOBS).contains(&limit) { Ok(limit) } else { Err(Refusal::TooMany.into()) }
}

/// Lets jobs that were put off after they fell due be claimed at once. Timers keep their moment: run early, they would
/// find nothing to do.
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
        let (now, limit) = (call.now(env), at_most(self.limit)?);
        let waiting = JobFilter { state: Some(JobState::Waiting), ..self.filter.clone() };
        let ids = match self.filter.state {
            None | Some(JobState::Waiting) => tx.choose_put_off(&waiting, now, limit).await?,
            Some(JobState::Due | JobState::Running) => Vec::new(),
        };
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
            return Err(Refusal::Reason.into());
        }
        let now = call.now(env);
        let ids = tx.choose_jobs(&self.filter, now, at_most(self.limit)?).await?;
        let decision =
            changed("jobs.cancelled", &self.filter, ids, |ids| JobChange::Cancel(ids, now, reason.to_owned()));
        Ok(Decision { facts: decision.facts.into_iter().map(|fact| fact.because(reason)).collect(), ..decision })
    }
}

/// Brings archived jobs back, with all their attempts before them: due now, or at their own moment where that lies ahead.
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
        let ids = tx.choose_archived(&self.filter, at_most(self.limit)?).await?;
        Ok(changed("jobs.redriven", &self.filter, ids, |ids| JobChange::Redrive(ids, now)))
    }
}

/// Sets whether a queue starts jobs, and its limits. What is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct JobQueueSave {
    /// Its name.
    pub name: String,
    /// Whether none of its jobs shall be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Jobs at once.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub max_running: Edit<i32>,
    /// Jobs at once under one limit key.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub max_running_per_key: Edit<i32>,
    /// Starts a minute.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub per_minute: Edit<i32>,
    /// Starts a minute under one limit key.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub per_minute_per_key: Edit<i32>,
}

impl JobQueueSave {
    /// The queue as it shall be.
    fn applied_to(&self, before: &Queue) -> Result<Queue> {
        let edit = |edit: Edit<i32>, before: Option<i32>, field| {
            let read = |limit: i32| match (1..=LARGEST_LIMIT).contains(&limit) {
                true => Ok(limit),
                false => Err(Refusal::Limit { field }),
            };
            let mut limit = before;
            edit.apply(&mut limit, read).map(|()| limit)
        };
        let limits = &before.limits;
        Ok(Queue {
            name: before.name.clone(),
            paused: self.paused.unwrap_or(before.paused),
            limits: Limits {
                max_running: edit(self.max_running, limits.max_running, "maxRunning")?,
                max_running_per_key: edit(self.max_running_per_key, limits.max_running_per_key, "maxRunningPerKey")?,
                per_minute: edit(self.per_minute, limits.per_minute, "perMinute")?,
                per_minute_per_key: edit(self.per_minute_per_key, limits.per_minute_per_key, "perMinutePerKey")?,
            },
        })
    }
}

impl Command for JobQueueSave {
    const NAME: &'static str = "jobQueueSave";
    type Output = Queue;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<Queue>> {
        let Some(before) = tx.job_queue(&self.name).await? else {
            return Err(Refusal::QueueUnknown { queue: self.name.clone() }.into());
        };
        let queue = self.applied_to(&before)?;
        if before == queue {
            return Ok(Decision::unchanged(before));
        }
        let kind = match (before.paused, queue.paused) {
            (false, true) => "job_queue.paused",
            (true, false) => "job_queue.resumed",
            _ => "job_queue.limited",
        };
        let fact = fact(kind).with("queue", &queue.name).with("limits", &queue.limits);
        Ok(Decision::new(queue, fact))
    }
}

/// Halts a schedule, or lets it go on at its next tick: what it missed while it stood still is not made up for.
#[derive(Debug, Clone, Serialize)]
pub struct JobScheduleSwitch {
    /// Its name.
    pub name: String,
    /// Whether it shall stand still.
    pub paused: bool,
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

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<JobScheduleSwitched>> {
        let Some(schedule) = tx.job_schedule(&self.name).await? else {
            return Err(Refusal::ScheduleUnknown { schedule: self.name.clone() }.into());
        };
        let name = self.name.clone();
        if schedule.paused == self.paused {
            return Ok(Decision::unchanged(JobScheduleSwitched { name, switch: None }));
        }
        let kind = if self.paused { "job_schedule.paused" } else { "job_schedule.resumed" };
        // A schedule that cannot be read keeps its tick; whoever turns it says so.
        let next = || Cron::parse(&schedule.cron, &schedule.zone).ok()?.next(call.now(env));
        let next_at = if self.paused { None } else { next() };
        let switch = ScheduleSwitch { name: name.clone(), paused: self.paused, next_at };
        let fact = fact(kind).with("schedule", &name);
        Ok(Decision::new(JobScheduleSwitched { name, switch: Some(switch) }, fact))
    }
}
