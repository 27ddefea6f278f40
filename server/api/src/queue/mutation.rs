//! Claims, waits and tasks.

use super::types::{TaskChannel, TaskOutcome, WaitFor, WorkItemKind, WorkItemNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{local, local_opt};
use crate::leads::mutation::priority;
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use tandem_app::{
    AppError, TaskCancel, TaskComplete, TaskCreate, WorkItemClaim, WorkItemClaimNext, WorkItemHeartbeat,
    WorkItemRelease, WorkItemResume, WorkItemStart, WorkItemTakeBack, WorkItemWait,
};

/// An item to take.
#[derive(InputObject)]
pub struct WorkItemClaimInput {
    /// The item.
    work_item_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// What to take next.
#[derive(InputObject)]
pub struct WorkItemClaimNextInput {
    /// Only this kind.
    kind: Option<WorkItemKind>,
    /// Repeats of the same key and input within 24 hours give the same payload, hence the same item.
    idempotency_key: Option<String>,
}

macro_rules! held_inputs {
    ($($(#[$meta:meta])* $name:ident)+) => { $(
        $(#[$meta])*
        #[derive(InputObject)]
        pub struct $name {
            /// The item.
            work_item_id: ID,
            /// The token of the caller's claim.
            token: i32,
        }
    )+ };
}
held_inputs! {
    /// A claim to renew.
    WorkItemHeartbeatInput
    /// An item to give back.
    WorkItemReleaseInput
    /// An item to begin with.
    WorkItemStartInput
    /// An item to go on with.
    WorkItemResumeInput
}

/// An item to take from its holder.
#[derive(InputObject)]
pub struct WorkItemTakeBackInput {
    /// The item.
    work_item_id: ID,
}

/// An item to wait with.
#[derive(InputObject)]
pub struct WorkItemWaitInput {
    /// The item.
    work_item_id: ID,
    /// The token of the caller's claim.
    token: i32,
    /// What for.
    wait_for: WaitFor,
    /// When the wait ends by itself.
    until: DateTime<Utc>,
    /// What to remember.
    note: Option<String>,
}

/// A task to make.
#[derive(InputObject)]
pub struct TaskCreateInput {
    /// The lead, where it is about one.
    lead_id: Option<ID>,
    /// The person.
    contact_id: ID,
    /// The person's company.
    account_id: Option<ID>,
    /// What to do, in one line of 1 to 200 characters.
    title: String,
    /// The team whose queue it goes to; by default everybody's.
    team_id: Option<ID>,
    /// 0 to 100; by default 50.
    priority: Option<i32>,
    /// When it should be done.
    due_at: DateTime<Utc>,
    /// More words about it, at most 2,000 characters.
    notes: Option<String>,
    /// By which way it is done.
    channel: Option<TaskChannel>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A task that is done.
#[derive(InputObject)]
pub struct TaskCompleteInput {
    /// The task.
    work_item_id: ID,
    /// The token of the caller's claim.
    token: i32,
    /// What came of it. A sequence that waits for the task goes on by this.
    #[graphql(default_with = "TaskOutcome::Done")]
    outcome: TaskOutcome,
    /// What came of it, in words.
    note: Option<String>,
}

/// A task that need not be done.
#[derive(InputObject)]
pub struct TaskCancelInput {
    /// The task, which nobody may hold.
    work_item_id: ID,
    /// Why, in words, at most 2,000 characters.
    note: Option<String>,
}

payload! {
    /// What `workItemClaim` did.
    WorkItemClaimPayload {
        /// The item, with the claim's token.
        work_item: WorkItemNode,
    }
    /// What `workItemClaimNext` did.
    WorkItemClaimNextPayload {
        /// The item, with the claim's token; null where the queue is empty (`QUEUE_EMPTY`).
        work_item: WorkItemNode,
    }
    /// What `workItemHeartbeat` did.
    WorkItemHeartbeatPayload {
        /// The item with its longer lease.
        work_item: WorkItemNode,
    }
    /// What `workItemRelease` did.
    WorkItemReleasePayload {
        /// The item in its queue.
        work_item: WorkItemNode,
    }
    /// What `workItemTakeBack` did.
    WorkItemTakeBackPayload {
        /// The item in its queue.
        work_item: WorkItemNode,
    }
    /// What `workItemStart` did.
    WorkItemStartPayload {
        /// The item in progress.
        work_item: WorkItemNode,
    }
    /// What `workItemWait` did.
    WorkItemWaitPayload {
        /// The item that waits.
        work_item: WorkItemNode,
    }
    /// What `workItemResume` did.
    WorkItemResumePayload {
        /// The item in progress.
        work_item: WorkItemNode,
    }
    /// What `taskCreate` did.
    TaskCreatePayload {
        /// The task in its queue.
        work_item: WorkItemNode,
    }
    /// What `taskComplete` did.
    TaskCompletePayload {
        /// The task at its end.
        work_item: WorkItemNode,
    }
    /// What `taskCancel` did.
    TaskCancelPayload {
        /// The task at its end.
        work_item: WorkItemNode,
    }
}

/// A token as the domain takes it: no claim ever has the token 0.
pub(super) fn fence(token: i32) -> u64 {
    u64::try_from(token).unwrap_or(0)
}

/// Claims, waits and tasks.
#[derive(Default)]
pub struct QueueMutation;

#[Object]
impl QueueMutation {
    /// Takes one queued item: the caller holds it, and its lead, until the lease ends.
    async fn work_item_claim(
        &self,
        ctx: &Context<'_>,
        input: WorkItemClaimInput,
    ) -> Result<WorkItemClaimPayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            ctx.run(input.idempotency_key, WorkItemClaim { item }).await
        };
        WorkItemClaimPayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// Takes the first item of the caller's queue. However many ask at once, each gets another one.
    async fn work_item_claim_next(
        &self,
        ctx: &Context<'_>,
        input: WorkItemClaimNextInput,
    ) -> Result<WorkItemClaimNextPayload, ApiError> {
        let command = WorkItemClaimNext { kind: input.kind.map(Into::into) };
        let done = ctx.run(input.idempotency_key, command).await;
        WorkItemClaimNextPayload::of(done.map(|(item, _)| WorkItemNode(item)))
    }

    /// Renews the lease of a claim from now.
    async fn work_item_heartbeat(
        &self,
        ctx: &Context<'_>,
        input: WorkItemHeartbeatInput,
    ) -> Result<WorkItemHeartbeatPayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            ctx.run(None, WorkItemHeartbeat { item, token: fence(input.token) }).await
        };
        WorkItemHeartbeatPayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// Gives an item back to its queue.
    async fn work_item_release(
        &self,
        ctx: &Context<'_>,
        input: WorkItemReleaseInput,
    ) -> Result<WorkItemReleasePayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            ctx.run(None, WorkItemRelease { item, token: fence(input.token) }).await
        };
        WorkItemReleasePayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// Takes an item from its holder and puts it back into its queue. Managers only.
    async fn work_item_take_back(
        &self,
        ctx: &Context<'_>,
        input: WorkItemTakeBackInput,
    ) -> Result<WorkItemTakeBackPayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            ctx.run(None, WorkItemTakeBack { item }).await
        };
        WorkItemTakeBackPayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// The holder begins.
    async fn work_item_start(
        &self,
        ctx: &Context<'_>,
        input: WorkItemStartInput,
    ) -> Result<WorkItemStartPayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            ctx.run(None, WorkItemStart { item, token: fence(input.token) }).await
        };
        WorkItemStartPayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// The holder waits for data or for an agreed time, and keeps the item.
    async fn work_item_wait(
        &self,
        ctx: &Context<'_>,
        input: WorkItemWaitInput,
    ) -> Result<WorkItemWaitPayload, ApiError> {
        let done = async {
            let command = WorkItemWait {
                item: local(&input.work_item_id, "workItemId")?,
                token: fence(input.token),
                wait_for: input.wait_for.into(),
                until: input.until,
                note: input.note,
            };
            ctx.run(None, command).await
        };
        WorkItemWaitPayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// The holder goes on before the wait is over.
    async fn work_item_resume(
        &self,
        ctx: &Context<'_>,
        input: WorkItemResumeInput,
    ) -> Result<WorkItemResumePayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            ctx.run(None, WorkItemResume { item, token: fence(input.token) }).await
        };
        WorkItemResumePayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// Makes a task.
    async fn task_create(&self, ctx: &Context<'_>, input: TaskCreateInput) -> Result<TaskCreatePayload, ApiError> {
        let done = async {
            let command = TaskCreate {
                lead: local_opt(input.lead_id.as_ref(), "leadId")?,
                contact: local(&input.contact_id, "contactId")?,
                account: local_opt(input.account_id.as_ref(), "accountId")?,
                title: input.title,
                team: local_opt(input.team_id.as_ref(), "teamId")?,
                priority: input.priority.map(priority).transpose()?,
                due_at: input.due_at,
                notes: input.notes,
                channel: input.channel.map(Into::into),
            };
            ctx.run(input.idempotency_key, command).await
        };
        let done: Result<_, AppError> = done.await;
        TaskCreatePayload::of(done.map(WorkItemNode))
    }

    /// The holder has done a task.
    async fn task_complete(
        &self,
        ctx: &Context<'_>,
        input: TaskCompleteInput,
    ) -> Result<TaskCompletePayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            let outcome = Some(input.outcome.into());
            let command = TaskComplete { item, token: fence(input.token), outcome, note: input.note };
            ctx.run(None, command).await
        };
        TaskCompletePayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// Calls a queued task off. A sequence that waits for it goes on.
    async fn task_cancel(&self, ctx: &Context<'_>, input: TaskCancelInput) -> Result<TaskCancelPayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            ctx.run(None, TaskCancel { item, note: input.note }).await
        };
        TaskCancelPayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }
}
