//! Changes of opportunities and handoffs.

use super::types::{HandoffNode, HandoffReason, MoneyInput, OpportunityNode, ReturnVerdict};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{local, local_opt};
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use tandem_app::{
    AppError, Command, HandoffAccept, HandoffAssign, HandoffConvert, HandoffLose, HandoffMoved, HandoffProgress,
    HandoffReclaim, HandoffReject, HandoffReturn, HandoffReviewReturn, HandoffStart, OpportunityDispatch,
};
use tandem_domain::opportunity::{Money, Opportunity};

/// A verified lead to dispatch.
#[derive(InputObject)]
pub struct OpportunityDispatchInput {
    /// The lead, which must be verified.
    lead_id: ID,
    /// What the opportunity is called; none names it after the company, or the lead's source.
    name: Option<String>,
    /// What it is worth, where that is known.
    amount: Option<MoneyInput>,
    /// A pool chosen by hand in place of the routing table; not by an SDR.
    pool_id: Option<ID>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// An offer to accept.
#[derive(InputObject)]
pub struct HandoffAcceptInput {
    /// The handoff.
    handoff_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// An offer to reject.
#[derive(InputObject)]
pub struct HandoffRejectInput {
    /// The handoff.
    handoff_id: ID,
    /// Why.
    reason: HandoffReason,
    /// More about it, in at most 2,000 characters.
    note: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Accepted work to begin.
#[derive(InputObject)]
pub struct HandoffStartInput {
    /// The handoff.
    handoff_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A sign of progress.
#[derive(InputObject)]
pub struct HandoffProgressInput {
    /// The handoff.
    handoff_id: ID,
    /// What happened, in at most 2,000 characters.
    note: Option<String>,
    /// The stage of the sale, where it changed; at most 60 characters.
    stage: Option<String>,
    /// What it is worth, where that changed.
    amount: Option<MoneyInput>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A sale.
#[derive(InputObject)]
pub struct HandoffConvertInput {
    /// The handoff.
    handoff_id: ID,
    /// What it was sold for; none keeps what was said before.
    amount: Option<MoneyInput>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A loss.
#[derive(InputObject)]
pub struct HandoffLoseInput {
    /// The handoff.
    handoff_id: ID,
    /// Why.
    reason: HandoffReason,
    /// More about it, in at most 2,000 characters.
    note: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Work to give back.
#[derive(InputObject)]
pub struct HandoffReturnInput {
    /// The handoff.
    handoff_id: ID,
    /// Why.
    reason: HandoffReason,
    /// More about it, in at most 2,000 characters.
    note: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A return to review.
#[derive(InputObject)]
pub struct HandoffReviewReturnInput {
    /// The handoff.
    handoff_id: ID,
    /// What becomes of it.
    verdict: ReturnVerdict,
    /// More about it, in at most 2,000 characters.
    note: Option<String>,
    /// For RE_ROUTE: the pool in which somebody else is looked for; none means the same.
    pool_id: Option<ID>,
    /// For TO_NURTURE: when the lead comes back; none means as long as other recycled leads.
    until: Option<DateTime<Utc>>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A handoff to take back from whoever has it.
#[derive(InputObject)]
pub struct HandoffReclaimInput {
    /// The handoff.
    handoff_id: ID,
    /// Why.
    reason: HandoffReason,
    /// More about it, in at most 2,000 characters.
    note: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A handoff to give to somebody by hand.
#[derive(InputObject)]
pub struct HandoffAssignInput {
    /// The handoff.
    handoff_id: ID,
    /// To whom, in the pool or not.
    user_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `opportunityDispatch` did.
    OpportunityDispatchPayload {
        /// The opportunity that was opened.
        opportunity: OpportunityNode,
        /// The handoff that began.
        handoff: HandoffNode,
    }
    /// What `handoffAccept` did.
    HandoffAcceptPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffReject` did.
    HandoffRejectPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffStart` did.
    HandoffStartPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffProgress` did.
    HandoffProgressPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffConvert` did.
    HandoffConvertPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffLose` did.
    HandoffLosePayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffReturn` did.
    HandoffReturnPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffReviewReturn` did. The handoff that goes on after a re-route is that of the opportunity.
    HandoffReviewReturnPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffReclaim` did.
    HandoffReclaimPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
    /// What `handoffAssign` did.
    HandoffAssignPayload {
        /// The handoff after it.
        handoff: HandoffNode,
    }
}

fn money(input: Option<MoneyInput>) -> Result<Option<Money>, AppError> {
    input.map(Money::try_from).transpose()
}

/// Runs a command on a handoff that is made of the input, where the input can be read.
async fn run<C: Command<Output = HandoffMoved>>(
    ctx: &Context<'_>,
    key: Option<String>,
    command: Result<C, AppError>,
) -> Result<HandoffNode, AppError> {
    ctx.run(key, command?).await.map(|moved| HandoffNode(moved.handoff))
}

/// Changes of opportunities and handoffs.
#[derive(Default)]
pub struct HandoffMutation;

#[Object]
impl HandoffMutation {
    /// Dispatches a verified lead: it becomes an opportunity, and somebody in sales is looked for.
    async fn opportunity_dispatch(
        &self,
        ctx: &Context<'_>,
        input: OpportunityDispatchInput,
    ) -> Result<OpportunityDispatchPayload, ApiError> {
        let done = async {
            let command = OpportunityDispatch {
                lead: local(&input.lead_id, "leadId")?,
                name: input.name,
                amount: money(input.amount)?,
                pool: local_opt(input.pool_id.as_ref(), "poolId")?,
            };
            let handoff = ctx.run(input.idempotency_key, command).await?.handoff;
            let id = handoff.opportunity.into();
            let opportunity: Option<Opportunity> = ctx.load(id).await?;
            let opportunity = opportunity.ok_or(AppError::NotFound { what: "Opportunity", id })?;
            Ok((OpportunityNode(opportunity), HandoffNode(handoff)))
        };
        OpportunityDispatchPayload::of(done.await)
    }

    /// Takes an offer. Only the person it was made to may.
    async fn handoff_accept(
        &self,
        ctx: &Context<'_>,
        input: HandoffAcceptInput,
    ) -> Result<HandoffAcceptPayload, ApiError> {
        let command = local(&input.handoff_id, "handoffId").map(|handoff| HandoffAccept { handoff });
        HandoffAcceptPayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Does not take an offer; it goes to the next in the pool.
    async fn handoff_reject(
        &self,
        ctx: &Context<'_>,
        input: HandoffRejectInput,
    ) -> Result<HandoffRejectPayload, ApiError> {
        let (reason, note) = (input.reason.into(), input.note);
        let command = local(&input.handoff_id, "handoffId").map(|handoff| HandoffReject { handoff, reason, note });
        HandoffRejectPayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Begins to work on what was accepted.
    async fn handoff_start(
        &self,
        ctx: &Context<'_>,
        input: HandoffStartInput,
    ) -> Result<HandoffStartPayload, ApiError> {
        let command = local(&input.handoff_id, "handoffId").map(|handoff| HandoffStart { handoff });
        HandoffStartPayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Gives a sign of progress, which starts the clock again.
    async fn handoff_progress(
        &self,
        ctx: &Context<'_>,
        input: HandoffProgressInput,
    ) -> Result<HandoffProgressPayload, ApiError> {
        let command = local(&input.handoff_id, "handoffId").and_then(|handoff| {
            let amount = money(input.amount)?;
            Ok(HandoffProgress { handoff, note: input.note, stage: input.stage, amount })
        });
        HandoffProgressPayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Records the sale.
    async fn handoff_convert(
        &self,
        ctx: &Context<'_>,
        input: HandoffConvertInput,
    ) -> Result<HandoffConvertPayload, ApiError> {
        let command = local(&input.handoff_id, "handoffId")
            .and_then(|handoff| Ok(HandoffConvert { handoff, amount: money(input.amount)? }));
        HandoffConvertPayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Records that it was worked and not sold.
    async fn handoff_lose(&self, ctx: &Context<'_>, input: HandoffLoseInput) -> Result<HandoffLosePayload, ApiError> {
        let (reason, note) = (input.reason.into(), input.note);
        let command = local(&input.handoff_id, "handoffId").map(|handoff| HandoffLose { handoff, reason, note });
        HandoffLosePayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Gives an opportunity back. A manager reviews it.
    async fn handoff_return(
        &self,
        ctx: &Context<'_>,
        input: HandoffReturnInput,
    ) -> Result<HandoffReturnPayload, ApiError> {
        let (reason, note) = (input.reason.into(), input.note);
        let command = local(&input.handoff_id, "handoffId").map(|handoff| HandoffReturn { handoff, reason, note });
        HandoffReturnPayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Says what becomes of a return.
    async fn handoff_review_return(
        &self,
        ctx: &Context<'_>,
        input: HandoffReviewReturnInput,
    ) -> Result<HandoffReviewReturnPayload, ApiError> {
        let (verdict, note, until) = (input.verdict.into(), input.note, input.until);
        let command = local(&input.handoff_id, "handoffId").and_then(|handoff| {
            let pool = local_opt(input.pool_id.as_ref(), "poolId")?;
            Ok(HandoffReviewReturn { handoff, verdict, note, pool, until })
        });
        HandoffReviewReturnPayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Takes a handoff back from whoever has it; it goes to the next in the pool.
    async fn handoff_reclaim(
        &self,
        ctx: &Context<'_>,
        input: HandoffReclaimInput,
    ) -> Result<HandoffReclaimPayload, ApiError> {
        let (reason, note) = (input.reason.into(), input.note);
        let command = local(&input.handoff_id, "handoffId").map(|handoff| HandoffReclaim { handoff, reason, note });
        HandoffReclaimPayload::of(run(ctx, input.idempotency_key, command).await)
    }

    /// Gives a handoff to somebody by hand.
    async fn handoff_assign(
        &self,
        ctx: &Context<'_>,
        input: HandoffAssignInput,
    ) -> Result<HandoffAssignPayload, ApiError> {
        let command = local(&input.handoff_id, "handoffId")
            .and_then(|handoff| Ok(HandoffAssign { handoff, user: local(&input.user_id, "userId")? }));
        HandoffAssignPayload::of(run(ctx, input.idempotency_key, command).await)
    }
}
