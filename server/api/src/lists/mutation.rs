//! Changes of target-account lists.

use super::types::{ChangeRequestNode, ListChangeKind, ListChangeReason, ListMembershipNode, TargetAccountListNode};
use super::version_types::ListVersionNode;
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use tandem_app::target_list::{Change, Seen};
use tandem_app::{
    ChangeRequestApprove, ChangeRequestEdit, ChangeRequestPropose, ChangeRequestReject, ChangeRequestWithdraw,
    ListMembershipMakePermanent, ListMembershipRestore, ListMembershipSuspend, TargetListCreate,
};
use tandem_domain::target_list::{Evidence, Outcome};

/// A list to make.
#[derive(InputObject)]
pub struct TargetListCreateInput {
    /// Its short name, unique among lists: lower-case letters, digits and inner hyphens, at most 64.
    key: String,
    /// The name to show, at most 120 characters.
    name: String,
    /// What the list is for.
    #[graphql(default)]
    description: String,
    /// Days that a change request stays open, 1 to 90.
    #[graphql(default = 14)]
    request_days: u32,
    /// Hours that an emergency suspension lasts at most, 1 to 720.
    #[graphql(default = 72)]
    suspension_hours: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// What speaks for a change.
#[derive(InputObject)]
pub struct ListEvidenceInput {
    /// In words, 1 to 2,000 characters.
    note: String,
    /// Where to read more: an http or https address.
    url: Option<String>,
}

/// What is proposed for one account.
#[derive(InputObject)]
pub struct ListChangeInput {
    /// The account.
    account_id: ID,
    /// What is asked for.
    kind: ListChangeKind,
    /// The customer tier: a code, name or alias of the taxonomy. Needed unless it is a removal.
    tier: Option<String>,
    /// Why; at least one.
    reasons: Vec<ListChangeReason>,
    /// What speaks for it; at most 20.
    #[graphql(default)]
    evidence: Vec<ListEvidenceInput>,
}

/// Changes of a list to propose, for one or many accounts.
#[derive(InputObject)]
pub struct ChangeRequestProposeInput {
    /// The list.
    list_id: ID,
    /// At most 1,000, all or none of which are proposed.
    changes: Vec<ListChangeInput>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// What to put in the place of what was proposed.
#[derive(InputObject)]
pub struct ChangeRequestEditInput {
    /// The request.
    change_request_id: ID,
    /// The revision that was read.
    revision: u32,
    /// The customer tier: a code, name or alias of the taxonomy. Needed unless it is a removal.
    tier: Option<String>,
    /// Why; at least one.
    reasons: Vec<ListChangeReason>,
    /// What speaks for it; at most 20.
    #[graphql(default)]
    evidence: Vec<ListEvidenceInput>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A request, and the revision of it that was read.
#[derive(InputObject)]
pub struct ChangeRequestSeenInput {
    /// The request.
    change_request_id: ID,
    /// The revision that was read.
    revision: u32,
}

/// Requests to approve.
#[derive(InputObject)]
pub struct ChangeRequestApproveInput {
    /// At most 1,000 of one list, all or none of which are approved.
    change_requests: Vec<ChangeRequestSeenInput>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A request to reject.
#[derive(InputObject)]
pub struct ChangeRequestRejectInput {
    /// The request.
    change_request_id: ID,
    /// The revision that was read.
    revision: u32,
    /// Why, in at most 2,000 characters.
    #[graphql(default)]
    verdict: String,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A request to take back.
#[derive(InputObject)]
pub struct ChangeRequestWithdrawInput {
    /// The request.
    change_request_id: ID,
    /// The revision that was read.
    revision: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// An account to suspend in an emergency.
#[derive(InputObject)]
pub struct ListMembershipSuspendInput {
    /// The membership.
    membership_id: ID,
    /// Why.
    reason: ListChangeReason,
    /// In at most 2,000 characters.
    #[graphql(default)]
    note: String,
    /// When it shall end by itself; by default as late as the list permits.
    until: Option<DateTime<Utc>>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A suspension to make permanent.
#[derive(InputObject)]
pub struct ListMembershipMakePermanentInput {
    /// The membership.
    membership_id: ID,
    /// The membership's revision that was read.
    revision: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A suspension to end.
#[derive(InputObject)]
pub struct ListMembershipRestoreInput {
    /// The membership.
    membership_id: ID,
    /// The membership's revision that was read.
    revision: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `targetListCreate` did.
    TargetListCreatePayload {
        /// The list that was made.
        list: TargetAccountListNode,
    }
    /// What `changeRequestPropose` did.
    ChangeRequestProposePayload {
        /// The requests, in the order given.
        change_requests: Vec<ChangeRequestNode>,
    }
    /// What `changeRequestEdit` did.
    ChangeRequestEditPayload {
        /// The request after the edit.
        change_request: Option<ChangeRequestNode>,
    }
    /// What `changeRequestApprove` did.
    ChangeRequestApprovePayload {
        /// The requests after the approval, in the order given.
        change_requests: Vec<ChangeRequestNode>,
        /// The version that was made; null where no request has both keys yet.
        version: Option<ListVersionNode>,
        /// The list after the approval.
        list: TargetAccountListNode,
    }
    /// What `changeRequestReject` did.
    ChangeRequestRejectPayload {
        /// The request after the rejection.
        change_request: Option<ChangeRequestNode>,
    }
    /// What `changeRequestWithdraw` did.
    ChangeRequestWithdrawPayload {
        /// The request after the withdrawal.
        change_request: Option<ChangeRequestNode>,
    }
    /// What `listMembershipSuspend` did.
    ListMembershipSuspendPayload {
        /// The membership after the suspension.
        membership: Option<ListMembershipNode>,
    }
    /// What `listMembershipMakePermanent` did.
    ListMembershipMakePermanentPayload {
        /// The membership, suspended until both sides restore it.
        membership: Option<ListMembershipNode>,
    }
    /// What `listMembershipRestore` did.
    ListMembershipRestorePayload {
        /// The membership: active again, or still suspended where the other side's key is missing.
        membership: Option<ListMembershipNode>,
    }
}

fn evidence(items: Vec<ListEvidenceInput>) -> Vec<Evidence> {
    items.into_iter().map(|item| Evidence { note: item.note, url: item.url }).collect()
}

fn reasons(reasons: Vec<ListChangeReason>) -> Vec<tandem_domain::target_list::ChangeReason> {
    reasons.into_iter().map(Into::into).collect()
}

/// A command over one request answers with that one.
fn request(outcome: Outcome) -> Option<ChangeRequestNode> {
    outcome.requests.into_iter().next().map(ChangeRequestNode)
}

/// A command over one membership answers with that one.
fn membership(outcome: Outcome) -> Option<ListMembershipNode> {
    outcome.memberships.into_iter().next().map(ListMembershipNode)
}

/// Changes of target-account lists. Every agreed change needs the keys of two people, one of each side.
#[derive(Default)]
pub struct ListMutation;

#[Object]
impl ListMutation {
    /// Makes an empty list.
    async fn target_list_create(
        &self,
        ctx: &Context<'_>,
        input: TargetListCreateInput,
    ) -> Result<TargetListCreatePayload, ApiError> {
        let command = TargetListCreate {
            key: input.key,
            name: input.name,
            description: input.description,
            request_days: Some(input.request_days),
            suspension_hours: Some(input.suspension_hours),
        };
        let done = ctx.run(input.idempotency_key, command).await;
        TargetListCreatePayload::of(done.map(TargetAccountListNode))
    }

    /// Proposes changes of a list, which turns the key of the proposer's side.
    async fn change_request_propose(
        &self,
        ctx: &Context<'_>,
        input: ChangeRequestProposeInput,
    ) -> Result<ChangeRequestProposePayload, ApiError> {
        let done = async {
            let mut changes = Vec::with_capacity(input.changes.len());
            for (place, change) in input.changes.into_iter().enumerate() {
                changes.push(Change {
                    account: local(&change.account_id, &format!("changes.{place}.accountId"))?,
                    kind: change.kind.into(),
                    tier: change.tier,
                    reasons: reasons(change.reasons),
                    evidence: evidence(change.evidence),
                });
            }
            let command = ChangeRequestPropose { list: local(&input.list_id, "listId")?, changes };
            ctx.run(input.idempotency_key, command).await
        };
        let nodes = |outcome: Outcome| outcome.requests.into_iter().map(ChangeRequestNode).collect();
        ChangeRequestProposePayload::of(done.await.map(nodes))
    }

    /// Edits an open request, which voids the approvals given so far, the editor's own included.
    async fn change_request_edit(
        &self,
        ctx: &Context<'_>,
        input: ChangeRequestEditInput,
    ) -> Result<ChangeRequestEditPayload, ApiError> {
        let done = async {
            let command = ChangeRequestEdit {
                request: local(&input.change_request_id, "changeRequestId")?,
                revision: input.revision,
                tier: input.tier,
                reasons: reasons(input.reasons),
                evidence: evidence(input.evidence),
            };
            ctx.run(input.idempotency_key, command).await
        };
        ChangeRequestEditPayload::of(done.await.map(request))
    }

    /// Turns the key of the caller's side for one or many requests. Those with both keys change the list, together, in
    /// one version.
    async fn change_request_approve(
        &self,
        ctx: &Context<'_>,
        input: ChangeRequestApproveInput,
    ) -> Result<ChangeRequestApprovePayload, ApiError> {
        let done = async {
            let mut requests = Vec::with_capacity(input.change_requests.len());
            for (place, seen) in input.change_requests.iter().enumerate() {
                let field = format!("changeRequests.{place}.changeRequestId");
                requests.push(Seen { request: local(&seen.change_request_id, &field)?, revision: seen.revision });
            }
            ctx.run(input.idempotency_key, ChangeRequestApprove { requests }).await
        };
        let nodes = |outcome: Outcome| {
            let requests = outcome.requests.into_iter().map(ChangeRequestNode).collect();
            (requests, outcome.version.map(ListVersionNode), TargetAccountListNode(outcome.list))
        };
        ChangeRequestApprovePayload::of(done.await.map(nodes))
    }

    /// Says no to an open request.
    async fn change_request_reject(
        &self,
        ctx: &Context<'_>,
        input: ChangeRequestRejectInput,
    ) -> Result<ChangeRequestRejectPayload, ApiError> {
        let done = async {
            let command = ChangeRequestReject {
                request: local(&input.change_request_id, "changeRequestId")?,
                revision: input.revision,
                verdict: input.verdict,
            };
            ctx.run(input.idempotency_key, command).await
        };
        ChangeRequestRejectPayload::of(done.await.map(request))
    }

    /// Takes an open request back: its proposer, or a colleague of the side it was proposed for.
    async fn change_request_withdraw(
        &self,
        ctx: &Context<'_>,
        input: ChangeRequestWithdrawInput,
    ) -> Result<ChangeRequestWithdrawPayload, ApiError> {
        let done = async {
            let command = ChangeRequestWithdraw {
                request: local(&input.change_request_id, "changeRequestId")?,
                revision: input.revision,
            };
            ctx.run(input.idempotency_key, command).await
        };
        ChangeRequestWithdrawPayload::of(done.await.map(request))
    }

    /// Suspends an active account in an emergency: one key is enough, and the suspension ends by itself.
    async fn list_membership_suspend(
        &self,
        ctx: &Context<'_>,
        input: ListMembershipSuspendInput,
    ) -> Result<ListMembershipSuspendPayload, ApiError> {
        let done = async {
            let command = ListMembershipSuspend {
                membership: local(&input.membership_id, "membershipId")?,
                reason: input.reason.into(),
                note: input.note,
                until: input.until,
            };
            ctx.run(input.idempotency_key, command).await
        };
        ListMembershipSuspendPayload::of(done.await.map(membership))
    }

    /// Turns the second key of a suspension, which then no longer ends by itself.
    async fn list_membership_make_permanent(
        &self,
        ctx: &Context<'_>,
        input: ListMembershipMakePermanentInput,
    ) -> Result<ListMembershipMakePermanentPayload, ApiError> {
        let done = async {
            let command = ListMembershipMakePermanent {
                membership: local(&input.membership_id, "membershipId")?,
                revision: input.revision,
            };
            ctx.run(input.idempotency_key, command).await
        };
        ListMembershipMakePermanentPayload::of(done.await.map(membership))
    }

    /// Ends a suspension: a temporary one at once, a permanent one when both sides have turned their keys.
    async fn list_membership_restore(
        &self,
        ctx: &Context<'_>,
        input: ListMembershipRestoreInput,
    ) -> Result<ListMembershipRestorePayload, ApiError> {
        let done = async {
            let command = ListMembershipRestore {
                membership: local(&input.membership_id, "membershipId")?,
                revision: input.revision,
            };
            ctx.run(input.idempotency_key, command).await
        };
        ListMembershipRestorePayload::of(done.await.map(membership))
    }
}
