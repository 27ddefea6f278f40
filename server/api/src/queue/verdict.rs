//! The verdict on a lead: answers to the checklist, and the four ways out of a verification.

use super::mutation::fence;
use super::types::{ChecklistVerdict, DispositionReason, WorkItemNode};
use crate::context::ContextExt;
use crate::error::{ApiError, named};
use crate::ids::{local, local_opt};
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use tandem_app::{
    ChecklistAnswer, WorkItemAnswer, WorkItemDisqualify, WorkItemMarkDuplicate, WorkItemRecycle, WorkItemVerify,
};
use tandem_domain::verification::Finding;

/// An answer to one item of the checklist.
#[derive(InputObject)]
pub struct ChecklistAnswerInput {
    /// The key of the checklist's item.
    item: String,
    /// What checking showed.
    verdict: ChecklistVerdict,
    /// What was found, e.g. a job title, a budget or the number that answered.
    value: Option<String>,
    /// What proves it: a link, a call, a document.
    evidence: Option<String>,
}

/// Answers to the checklist.
#[derive(InputObject)]
pub struct WorkItemAnswerInput {
    /// The item.
    work_item_id: ID,
    /// The token of the caller's claim.
    token: i32,
    /// At least one; all are recorded or none.
    answers: Vec<ChecklistAnswerInput>,
}

/// A lead that is complete.
#[derive(InputObject)]
pub struct WorkItemVerifyInput {
    /// The item.
    work_item_id: ID,
    /// The token of the caller's claim.
    token: i32,
    /// What sales should know.
    note: Option<String>,
}

/// A lead that is not one.
#[derive(InputObject)]
pub struct WorkItemDisqualifyInput {
    /// The item.
    work_item_id: ID,
    /// The token of the caller's claim.
    token: i32,
    /// Why.
    reason: DispositionReason,
    /// In words.
    note: Option<String>,
}

/// A lead to put aside.
#[derive(InputObject)]
pub struct WorkItemRecycleInput {
    /// The item.
    work_item_id: ID,
    /// The token of the caller's claim.
    token: i32,
    /// Why: `BAD_DATA`, `EMPTY_NUMBER`, `NOT_REACHED`, `NOT_INTERESTED`, `NO_INTENT` or `CONTACT_LATER`.
    reason: DispositionReason,
    /// When the lead comes back; by default after the time that is configured.
    until: Option<DateTime<Utc>>,
    /// The sequence that takes the lead up, in the same transaction; it owns the lead until it ends.
    sequence_id: Option<ID>,
    /// In words.
    note: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A lead that repeats another.
#[derive(InputObject)]
pub struct WorkItemMarkDuplicateInput {
    /// The item.
    work_item_id: ID,
    /// The token of the caller's claim.
    token: i32,
    /// The lead that goes on.
    duplicate_of_id: ID,
    /// In words.
    note: Option<String>,
}

payload! {
    /// What `workItemAnswer` did.
    WorkItemAnswerPayload {
        /// The item with its answers.
        work_item: WorkItemNode,
    }
    /// What `workItemVerify` did.
    WorkItemVerifyPayload {
        /// The item at its end; its lead is to be dispatched next.
        work_item: WorkItemNode,
    }
    /// What `workItemDisqualify` did.
    WorkItemDisqualifyPayload {
        /// The item at its end.
        work_item: WorkItemNode,
    }
    /// What `workItemRecycle` did.
    WorkItemRecyclePayload {
        /// The item until its lead comes back.
        work_item: WorkItemNode,
    }
    /// What `workItemMarkDuplicate` did.
    WorkItemMarkDuplicatePayload {
        /// The item at its end.
        work_item: WorkItemNode,
    }
}

/// The verdict on a lead.
#[derive(Default)]
pub struct VerdictMutation;

#[Object]
impl VerdictMutation {
    /// Records answers to the checklist.
    async fn work_item_answer(
        &self,
        ctx: &Context<'_>,
        input: WorkItemAnswerInput,
    ) -> Result<WorkItemAnswerPayload, ApiError> {
        let answer = |given: ChecklistAnswerInput| ChecklistAnswer {
            item: given.item,
            finding: Finding { verdict: given.verdict.into(), value: given.value, evidence: given.evidence },
        };
        let done = async {
            let command = WorkItemAnswer {
                item: local(&input.work_item_id, "workItemId")?,
                token: fence(input.token),
                answers: input.answers.into_iter().map(answer).collect(),
            };
            ctx.run(None, command).await
        };
        WorkItemAnswerPayload::of(done.await.map(WorkItemNode))
    }

    /// Finds the lead complete: every required item of the checklist is confirmed.
    async fn work_item_verify(
        &self,
        ctx: &Context<'_>,
        input: WorkItemVerifyInput,
    ) -> Result<WorkItemVerifyPayload, ApiError> {
        let done = async {
            let item = local(&input.work_item_id, "workItemId")?;
            let command = WorkItemVerify { item, token: fence(input.token), note: input.note };
            ctx.run(None, command).await
        };
        WorkItemVerifyPayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }

    /// Finds that the lead is not one.
    async fn work_item_disqualify(
        &self,
        ctx: &Context<'_>,
        input: WorkItemDisqualifyInput,
    ) -> Result<WorkItemDisqualifyPayload, ApiError> {
        let done = async {
            let command = WorkItemDisqualify {
                item: local(&input.work_item_id, "workItemId")?,
                token: fence(input.token),
                reason: input.reason.into(),
                note: input.note,
            };
            ctx.run(None, command).await
        };
        WorkItemDisqualifyPayload::of(done.await.map(|((item, _), _)| WorkItemNode(item)))
    }

    /// Puts the lead aside: until a date or a better grade, or into a sequence.
    async fn work_item_recycle(
        &self,
        ctx: &Context<'_>,
        input: WorkItemRecycleInput,
    ) -> Result<WorkItemRecyclePayload, ApiError> {
        let done = async {
            let command = WorkItemRecycle {
                item: local(&input.work_item_id, "workItemId")?,
                token: fence(input.token),
                reason: input.reason.into(),
                until: input.until,
                note: input.note,
            };
            let call = ctx.call(input.idempotency_key)?;
            match local_opt(input.sequence_id.as_ref(), "sequenceId")? {
                Some(sequence) => Ok(ctx.app().recycle_into_sequence(&call, command, sequence).await?.0),
                None => ctx.app().run(&call, command).await,
            }
        };
        // Whom the sequence takes up is the item's lead and its contact.
        let names = [("sequence", "sequenceId"), ("lead", "workItemId"), ("contact", "workItemId")];
        let done = done.await.map_err(|error| named(error, &names));
        WorkItemRecyclePayload::of(done.map(|(item, _)| WorkItemNode(item)))
    }

    /// Finds that the lead repeats another, which goes on.
    async fn work_item_mark_duplicate(
        &self,
        ctx: &Context<'_>,
        input: WorkItemMarkDuplicateInput,
    ) -> Result<WorkItemMarkDuplicatePayload, ApiError> {
        let done = async {
            let command = WorkItemMarkDuplicate {
                item: local(&input.work_item_id, "workItemId")?,
                token: fence(input.token),
                duplicate_of: local(&input.duplicate_of_id, "duplicateOfId")?,
                note: input.note,
            };
            ctx.run(None, command).await
        };
        WorkItemMarkDuplicatePayload::of(done.await.map(|(item, _)| WorkItemNode(item)))
    }
}
