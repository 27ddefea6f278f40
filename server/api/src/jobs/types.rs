//! Types of jobs, queues, schedules and nodes.

use crate::context::ContextExt;
use crate::ids::{global_of, parts};
use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tandem_app::AppError;
use tandem_store::Page;
use tandem_store::jobs::{
    self, ArchiveFilter, Archived, Depth, JobFilter, Limits, Node, Now, Queue, Schedule, Waiting,
};
use uuid::Uuid;

/// Where a job in the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "jobs::JobState")]
pub enum JobState {
    /// Due, and no node has it. Behind the limits of its queue, or in a paused one, it stays so.
    Due,
    /// Leased to a node.
    Running,
    /// Not yet due, or put off after an attempt.
    Waiting,
}

/// How a job ended that was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "jobs::Outcome")]
pub enum JobOutcome {
    /// Given up: the last attempt failed, or it cannot succeed.
    Dead,
    /// Called off by an operator, or by its handler as no longer wanted.
    Cancelled,
}

/// What becomes of the ticks of a schedule that came while nobody could turn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum MissedTicks {
    /// They are left out.
    Skip,
    /// They are made up for by one run.
    Once,
    /// Each is run, up to the last thousand.
    All,
}

/// The type names of the two kinds of job in global ids.
const KINDS: [&str; 2] = ["Job", "ArchivedJob"];

/// The global id of a job: its number in the place of a UUID.
fn global_job(kind: &str, number: i64) -> ID {
    global_of(kind, Uuid::from_u128(number.unsigned_abs().into()))
}

/// The number in the global id of a job of one of these kinds.
fn number(kind: &str, id: Uuid) -> Option<i64> {
    KINDS.contains(&kind).then(|| i64::try_from(id.as_u128()).ok()).flatten()
}

/// The numbers of jobs that a filter names. A job that went to the archive keeps its number, so that either id will do.
pub(super) fn numbers(ids: Option<Vec<ID>>) -> Result<Option<Vec<i64>>, AppError> {
    let read = |id: ID| {
        let number = parts(&id).and_then(|(kind, id)| number(&kind, id));
        number.ok_or_else(|| AppError::refused("ID_INVALID", "this is not the id of a job", Some("filter.ids")))
    };
    ids.map(|ids| ids.into_iter().map(read).collect()).transpose()
}

/// A payload that is not JSON was written by hand; it is shown as it is.
fn input(payload: &str) -> Json<Value> {
    Json(serde_json::from_str(payload).unwrap_or_else(|_| Value::String(payload.to_owned())))
}

/// A job that waits or runs. One that is done is not kept; one that was given up or called off is an `ArchivedJob`.
pub struct JobNode(pub Waiting);

impl JobNode {
    /// The job in the table whose id this is, for those who may see it.
    pub(crate) async fn find(ctx: &Context<'_>, id: Uuid) -> Result<Option<Self>, AppError> {
        let Some(number) = number("Job", id).filter(|_| ctx.actor().may_operate().is_ok()) else { return Ok(None) };
        let filter = JobFilter { ids: Some(vec![number]), ..JobFilter::default() };
        let found = ctx.app().store.job_page(&filter, Now::Database, &Page::first(1)).await?;
        Ok(found.items.into_iter().next().map(Self))
    }
}

/// A job that waits or runs. One that is done is not kept; one that was given up or called off is an `ArchivedJob`.
#[Object(name = "Job")]
impl JobNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global_job("Job", self.0.id)
    }
    /// The number that the log and `tandem jobs` call it by.
    async fn number(&self) -> i64 {
        self.0.id
    }
    /// Its queue.
    async fn queue(&self) -> &str {
        &self.0.queue
    }
    /// Its kind, e.g. `deliver_email`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }
    /// What its handler gets.
    async fn input(&self) -> Json<Value> {
        input(&self.0.payload)
    }
    /// Where it is, by the clock of the database.
    async fn state(&self) -> JobState {
        self.0.state.into()
    }
    /// When it fell or falls due.
    async fn due_at(&self) -> DateTime<Utc> {
        self.0.due_at
    }
    /// When it may be claimed: later than `dueAt` after it was put off. While it runs, when its lease ends unless renewed.
    async fn claimable_at(&self) -> DateTime<Utc> {
        self.0.visible_at
    }
    /// How many attempts counted, one that is running included.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }
    /// How many may be made before it is given up.
    async fn max_attempts(&self) -> i32 {
        self.0.max_attempts
    }
    /// The key that no other job in the table has.
    async fn unique_key(&self) -> Option<&str> {
        self.0.unique_key.as_deref()
    }
    /// Jobs with the same key run one at a time, in the order of `dueAt`.
    async fn ordering_key(&self) -> Option<&str> {
        self.0.ordering_key.as_deref()
    }
    /// Jobs with the same key share the limits per key of their queue; for a delivery it is the recipient's domain.
    async fn limit_key(&self) -> Option<&str> {
        self.0.limit_key.as_deref()
    }
    /// The name of the node that runs it; null for one that does not run.
    async fn node(&self) -> Option<&str> {
        self.0.leased_by.as_deref()
    }
    /// Why the last attempt that failed did so.
    async fn last_error(&self) -> Option<&str> {
        self.0.last_error.as_deref()
    }
    /// The request that led to it, as in the log and in the ledger.
    async fn request_id(&self) -> &str {
        &self.0.request_id
    }
}

/// A job that was given up or called off. It is kept until it is pruned or brought back (`jobsRedrive`).
pub struct ArchivedJobNode(pub Archived);

impl ArchivedJobNode {
    /// The job in the archive whose id this is, for those who may see it.
    pub(crate) async fn find(ctx: &Context<'_>, id: Uuid) -> Result<Option<Self>, AppError> {
        let number = number("ArchivedJob", id).filter(|_| ctx.actor().may_operate().is_ok());
        let Some(number) = number else { return Ok(None) };
        let filter = ArchiveFilter { ids: Some(vec![number]), ..ArchiveFilter::default() };
        let found = ctx.app().store.archived_jobs(&filter, &Page::first(1)).await?;
        Ok(found.items.into_iter().next().map(Self))
    }
}

/// A job that was given up or called off. It is kept until it is pruned or brought back (`jobsRedrive`).
#[Object(name = "ArchivedJob")]
impl ArchivedJobNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global_job("ArchivedJob", self.0.id)
    }
    /// The number that the log and `tandem jobs` call it by: the one it had before it ended.
    async fn number(&self) -> i64 {
        self.0.id
    }
    /// Its queue.
    async fn queue(&self) -> &str {
        &self.0.queue
    }
    /// Its kind, e.g. `deliver_email`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }
    /// What its handler gets.
    async fn input(&self) -> Json<Value> {
        input(&self.0.payload)
    }
    /// How it ended.
    async fn outcome(&self) -> JobOutcome {
        self.0.outcome.into()
    }
    /// Why.
    async fn reason(&self) -> &str {
        &self.0.reason
    }
    /// When it fell due.
    async fn due_at(&self) -> DateTime<Utc> {
        self.0.due_at
    }
    /// When it ended.
    async fn ended_at(&self) -> DateTime<Utc> {
        self.0.ended_at
    }
    /// How many attempts counted.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }
    /// The request that led to it, as in the log and in the ledger.
    async fn request_id(&self) -> &str {
        &self.0.request_id
    }
}

/// How much of a queue may run, over all nodes together.
#[derive(SimpleObject)]
pub struct JobQueueLimits {
    /// Jobs at once; null for no limit.
    max_running: Option<i32>,
    /// Jobs at once under one limit key; null for no limit.
    max_running_per_key: Option<i32>,
    /// Starts a minute, at an even pace with a second's worth of burst; null for no limit.
    per_minute: Option<i32>,
    /// Starts a minute under one limit key; null for no limit.
    per_minute_per_key: Option<i32>,
}

/// How many jobs a queue holds.
#[derive(SimpleObject, Default)]
pub struct JobQueueDepth {
    /// Due, and no node has them.
    due: i64,
    /// Leased to a node.
    running: i64,
    /// Not yet due, or put off after an attempt.
    waiting: i64,
}

/// A queue of jobs.
#[derive(SimpleObject)]
pub struct JobQueue {
    /// Its name.
    pub(super) name: String,
    /// Whether none of its jobs is started. Those that run come to their ends.
    paused: bool,
    /// Its limits.
    limits: JobQueueLimits,
    /// How many jobs it holds, by the clock of the database.
    depth: JobQueueDepth,
    /// The earliest due moment of the jobs that are due; null where none is.
    oldest_due: Option<DateTime<Utc>>,
}

impl JobQueue {
    /// A queue with what was counted in it.
    pub(super) fn new(queue: Queue, depth: Option<&Depth>) -> Self {
        let Limits { max_running, max_running_per_key, per_minute, per_minute_per_key } = queue.limits;
        let counted = |depth: &Depth| JobQueueDepth { due: depth.due, running: depth.running, waiting: depth.waiting };
        Self {
            name: queue.name,
            paused: queue.paused,
            limits: JobQueueLimits { max_running, max_running_per_key, per_minute, per_minute_per_key },
            depth: depth.map(counted).unwrap_or_default(),
            oldest_due: depth.and_then(|depth| depth.oldest_due),
        }
    }
}

/// A schedule: what Tandem does by the clock.
#[derive(SimpleObject)]
pub struct JobSchedule {
    /// Its name.
    pub(super) name: String,
    /// The five fields of cron: minute, hour, day of month, month, day of week.
    cron: String,
    /// The time zone the fields are read in, an IANA name.
    time_zone: String,
    /// What becomes of ticks that nobody could turn.
    missed: MissedTicks,
    /// Whether it stands still.
    paused: bool,
    /// Its next tick; a paused schedule passes over it.
    next_at: DateTime<Utc>,
    /// The last tick that was run.
    last_at: Option<DateTime<Utc>>,
    /// The job that a tick adds.
    job: Json<Value>,
}

impl From<Schedule> for JobSchedule {
    fn from(schedule: Schedule) -> Self {
        Self {
            missed: match schedule.missed.as_str() {
                "SKIP" => MissedTicks::Skip,
                "ALL" => MissedTicks::All,
                _ => MissedTicks::Once,
            },
            job: input(&schedule.payload),
            name: schedule.name,
            cron: schedule.cron,
            time_zone: schedule.zone,
            paused: schedule.paused,
            next_at: schedule.next_at,
            last_at: schedule.last_at,
        }
    }
}

/// A process that runs jobs.
#[derive(SimpleObject)]
pub struct JobNodeReport {
    /// Its name, its own for each start.
    name: String,
    /// The version of Tandem that it runs.
    version: String,
    /// How many jobs it runs at once at most.
    concurrency: i32,
    /// How many it had in hand when it last reported.
    running: i32,
    /// When it started.
    started_at: DateTime<Utc>,
    /// When it last reported, which it does every ten seconds. One that was silent for an hour is forgotten.
    seen_at: DateTime<Utc>,
    /// Whether it was silent for half a minute, by the clock of the database: most likely it is dead or cut off.
    lost: bool,
}

impl From<Node> for JobNodeReport {
    fn from(node: Node) -> Self {
        let lost = node.lost();
        let Node { name, version, concurrency, running, started_at, seen_at, .. } = node;
        Self { name, version, concurrency, running, started_at, seen_at, lost }
    }
}
