//! What operators do to jobs, queues and schedules. Each leaves an entry in the audit book.

use super::query::{ArchivedJobFilterInput, JobFilterInput, queues};
use super::types::{JobQueue, JobSchedule};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::payload::payload;
use async_graphql::{Context, InputObject, MaybeUndefined, Object};
use tandem_app::{AppError, JobQueueSave, JobScheduleSwitch, JobsCancel, JobsRedrive, JobsRunNow};
use tandem_domain::edit::Edit;

/// Which jobs to bring forward.
#[derive(InputObject)]
pub struct JobsRunNowInput {
    /// Which jobs; of these, those that were put off after they fell due.
    filter: JobFilterInput,
    /// How many at most, oldest first; 1 to 10,000.
    #[graphql(default = 100)]
    limit: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Which jobs to call off.
#[derive(InputObject)]
pub struct JobsCancelInput {
    /// Which jobs; those that run too, whose work is then rolled back.
    filter: JobFilterInput,
    /// Why, in 1 to 500 characters. It stays in the archive and in the ledger.
    reason: String,
    /// How many at most, oldest first; 1 to 10,000.
    #[graphql(default = 100)]
    limit: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Which jobs of the archive to bring back.
#[derive(InputObject)]
pub struct JobsRedriveInput {
    /// Which jobs of the archive.
    filter: ArchivedJobFilterInput,
    /// How many at most, oldest first; 1 to 10,000.
    #[graphql(default = 100)]
    limit: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A change to a queue. What is absent stays as it is; a limit that is null is lifted.
#[derive(InputObject)]
pub struct JobQueueSaveInput {
    /// Its name.
    name: String,
    /// Whether none of its jobs shall be started. Those that run come to their ends.
    paused: Option<bool>,
    /// Jobs at once, over all nodes; 1 to 1,000,000.
    max_running: MaybeUndefined<i32>,
    /// Jobs at once under one limit key, over all nodes; 1 to 1,000,000.
    max_running_per_key: MaybeUndefined<i32>,
    /// Starts a minute, over all nodes; 1 to 1,000,000.
    per_minute: MaybeUndefined<i32>,
    /// Starts a minute under one limit key, over all nodes; 1 to 1,000,000.
    per_minute_per_key: MaybeUndefined<i32>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A schedule to halt or to let go on.
#[derive(InputObject)]
pub struct JobScheduleSwitchInput {
    /// Its name.
    name: String,
    /// Whether it shall stand still. One that goes on does so at its next tick: what it missed is not made up for.
    paused: bool,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `jobsRunNow` did.
    JobsRunNowPayload {
        /// How many jobs were brought forward.
        jobs: u64,
    }
    /// What `jobsCancel` did.
    JobsCancelPayload {
        /// How many jobs were called off.
        jobs: u64,
    }
    /// What `jobsRedrive` did.
    JobsRedrivePayload {
        /// How many jobs came back. They have new ids, and all their attempts before them.
        jobs: u64,
    }
    /// What `jobQueueSave` did.
    JobQueueSavePayload {
        /// The queue as it is now.
        queue: JobQueue,
    }
    /// What `jobScheduleSwitch` did.
    JobScheduleSwitchPayload {
        /// The schedule as it is now.
        schedule: JobSchedule,
    }
}

fn edit(limit: MaybeUndefined<i32>) -> Edit<i32> {
    match limit {
        MaybeUndefined::Undefined => Edit::Keep,
        MaybeUndefined::Null => Edit::Clear,
        MaybeUndefined::Value(limit) => Edit::Set(limit),
    }
}

/// What a command changed was there a moment ago.
fn gone() -> AppError {
    AppError::Store(tandem_store::StoreError::Conflict)
}

/// Changes of jobs, queues and schedules.
#[derive(Default)]
pub struct JobMutation;

#[Object]
impl JobMutation {
    /// Lets jobs that were put off after they fell due be claimed at once. Timers keep their moment: run early, they would
    /// find nothing to do.
    async fn jobs_run_now(&self, ctx: &Context<'_>, input: JobsRunNowInput) -> Result<JobsRunNowPayload, ApiError> {
        let done = async {
            let command = JobsRunNow { filter: input.filter.read()?, limit: input.limit.into() };
            ctx.run(input.idempotency_key, command).await
        };
        JobsRunNowPayload::of(done.await.map(|changed| changed.jobs))
    }

    /// Calls jobs off. They go to the archive, from where `jobsRedrive` brings them back.
    async fn jobs_cancel(&self, ctx: &Context<'_>, input: JobsCancelInput) -> Result<JobsCancelPayload, ApiError> {
        let done = async {
            let filter = input.filter.read()?;
            let command = JobsCancel { filter, reason: input.reason, limit: input.limit.into() };
            ctx.run(input.idempotency_key, command).await
        };
        JobsCancelPayload::of(done.await.map(|changed| changed.jobs))
    }

    /// Brings jobs back from the archive with all their attempts before them: due at once, or at their own moment where
    /// that lies ahead.
    async fn jobs_redrive(&self, ctx: &Context<'_>, input: JobsRedriveInput) -> Result<JobsRedrivePayload, ApiError> {
        let done = async {
            let command = JobsRedrive { filter: input.filter.read()?, limit: input.limit.into() };
            ctx.run(input.idempotency_key, command).await
        };
        JobsRedrivePayload::of(done.await.map(|changed| changed.jobs))
    }

    /// Pauses a queue or lets it go on, and sets its limits.
    async fn job_queue_save(
        &self,
        ctx: &Context<'_>,
        input: JobQueueSaveInput,
    ) -> Result<JobQueueSavePayload, ApiError> {
        let done = async {
            let command = JobQueueSave {
                name: input.name,
                paused: input.paused,
                max_running: edit(input.max_running),
                max_running_per_key: edit(input.max_running_per_key),
                per_minute: edit(input.per_minute),
                per_minute_per_key: edit(input.per_minute_per_key),
            };
            let saved = ctx.run(input.idempotency_key, command).await?;
            queues(ctx, Some(&saved.name)).await?.pop().ok_or_else(gone)
        };
        JobQueueSavePayload::of(done.await)
    }

    /// Halts a schedule, or lets it go on.
    async fn job_schedule_switch(
        &self,
        ctx: &Context<'_>,
        input: JobScheduleSwitchInput,
    ) -> Result<JobScheduleSwitchPayload, ApiError> {
        let done = async {
            let command = JobScheduleSwitch { name: input.name, paused: input.paused };
            let switched = ctx.run(input.idempotency_key, command).await?;
            let schedules = ctx.app().store.schedules().await?;
            schedules.into_iter().find(|schedule| schedule.name == switched.name).ok_or_else(gone)
        };
        JobScheduleSwitchPayload::of(done.await.map(Into::into))
    }
}
