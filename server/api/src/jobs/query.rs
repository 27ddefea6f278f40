//! Reads of jobs, queues, schedules and nodes: for operators.

use super::types::{ArchivedJobNode, JobNode, JobNodeReport, JobOutcome, JobQueue, JobSchedule, JobState, numbers};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::AppError;
use tandem_store::jobs::{ArchiveFilter, JobFilter, Now};

/// Which jobs. Every condition given must hold; none means every job.
#[derive(InputObject, Default)]
pub struct JobFilterInput {
    /// With these ids.
    ids: Option<Vec<ID>>,
    /// Of this queue.
    queue: Option<String>,
    /// Of this kind, e.g. `deliver_email`.
    kind: Option<String>,
    /// In this state.
    state: Option<JobState>,
    /// Only those of which an attempt failed.
    #[graphql(default)]
    failed: bool,
}

impl JobFilterInput {
    /// The store's form.
    pub(super) fn read(self) -> Result<JobFilter, AppError> {
        let Self { ids, queue, kind, state, failed } = self;
        Ok(JobFilter { ids: numbers(ids)?, queue, kind, state: state.map(Into::into), failed })
    }
}

/// Which jobs of the archive. Every condition given must hold; none means every job.
#[derive(InputObject, Default)]
pub struct ArchivedJobFilterInput {
    /// With these ids.
    ids: Option<Vec<ID>>,
    /// Of this queue.
    queue: Option<String>,
    /// Of this kind, e.g. `deliver_email`.
    kind: Option<String>,
    /// Ended so.
    outcome: Option<JobOutcome>,
    /// Whose reason contains this text.
    reason: Option<String>,
}

impl ArchivedJobFilterInput {
    /// The store's form.
    pub(super) fn read(self) -> Result<ArchiveFilter, AppError> {
        let Self { ids, queue, kind, outcome, reason } = self;
        Ok(ArchiveFilter { ids: numbers(ids)?, queue, kind, outcome: outcome.map(Into::into), reason })
    }
}

/// Every queue with what it holds, or the one of this name.
pub(super) async fn queues(ctx: &Context<'_>, name: Option<&str>) -> Result<Vec<JobQueue>, AppError> {
    let store = &ctx.app().store;
    let queues = store.queues().await?;
    let depths = store.job_depths(Now::Database).await?;
    let wanted = queues.into_iter().filter(|queue| name.is_none_or(|name| name == queue.name));
    Ok(wanted
        .map(|queue| {
            let depth = depths.iter().find(|depth| depth.queue == queue.name);
            JobQueue::new(queue, depth)
        })
        .collect())
}

/// Reads of jobs, queues, schedules and nodes.
#[derive(Default)]
pub struct JobQuery;

#[Object]
impl JobQuery {
    /// Every queue, by name, with what it holds. Counts every job; SALES_OPS and ADMIN only.
    async fn job_queues(&self, ctx: &Context<'_>) -> Result<Vec<JobQueue>, ApiError> {
        ctx.actor().may_operate()?;
        Ok(queues(ctx, None).await?)
    }

    /// The jobs that wait or run, in the order they were added. SALES_OPS and ADMIN only.
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which jobs to read.")] filter: JobFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, JobNode>, ApiError> {
        ctx.actor().may_operate()?;
        let page = page(first, after, last, before)?;
        let jobs = ctx.app().store.job_page(&filter.read()?, Now::Database, &page).await?;
        Ok(connection(jobs, |job| job.id, JobNode))
    }

    /// The jobs that were given up or called off, in the order they had been added. SALES_OPS and ADMIN only.
    async fn archived_jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which jobs to read.")] filter: ArchivedJobFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ArchivedJobNode>, ApiError> {
        ctx.actor().may_operate()?;
        let page = page(first, after, last, before)?;
        let jobs = ctx.app().store.archived_jobs(&filter.read()?, &page).await?;
        Ok(connection(jobs, |job| job.id, ArchivedJobNode))
    }

    /// Every schedule, by name. SALES_OPS and ADMIN only.
    async fn job_schedules(&self, ctx: &Context<'_>) -> Result<Vec<JobSchedule>, ApiError> {
        ctx.actor().may_operate()?;
        Ok(ctx.app().store.schedules().await?.into_iter().map(Into::into).collect())
    }

    /// The processes that run jobs, by name, as they last reported. SALES_OPS and ADMIN only.
    async fn job_nodes(&self, ctx: &Context<'_>) -> Result<Vec<JobNodeReport>, ApiError> {
        ctx.actor().may_operate()?;
        Ok(ctx.app().store.nodes(Now::Database).await?.into_iter().map(Into::into).collect())
    }
}
