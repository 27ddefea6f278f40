//! Types of opportunities, handoffs and receipts.

use super::definition_types::PoolNode;
use crate::access::UserNode;
use crate::accounts::{AccountNode, ContactNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::leads::LeadNode;
use crate::loaders::{Failed, StoreLoader};
use crate::scalars::Decimal;
use async_graphql::dataloader::Loader;
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use tandem_app::AppError;
use tandem_domain::handoff::{self, Handoff, Tried};
use tandem_domain::id::{HandoffId, OpportunityId, UserId};
use tandem_domain::opportunity::{self, Opportunity};
use tandem_domain::routing::{self, Considered, Receipt, Verdict};

/// Where an opportunity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "opportunity::OpportunityState")]
pub enum OpportunityState {
    /// Somebody is to sell it.
    Open,
    /// Sold.
    Won,
    /// Worked and not sold.
    Lost,
    /// Given back and not taken up again as this opportunity.
    Closed,
}

/// Where a handoff is. MATCHED, REJECTED, TIMED_OUT, RECLAIMED, RETURNED and RETURN_REFUSED are passed through within one
/// change: the ledger has them, a handoff that is read never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "handoff::HandoffState")]
pub enum HandoffState {
    /// Somebody is looked for.
    Pending,
    /// Nobody can take it now; it is tried again at the due time.
    Held,
    /// Somebody was found.
    Matched,
    /// It is offered to somebody, who has until the due time to answer.
    Offered,
    /// The offer was rejected.
    Rejected,
    /// The offer was not answered in time.
    TimedOut,
    /// Nobody in the pool took it; the escalation person has it, or a manager must assign it.
    Escalated,
    /// Somebody took it; work must begin by the due time.
    Accepted,
    /// Somebody works on it; a sign of progress must come by the due time.
    Working,
    /// It was taken back from whoever had it.
    Reclaimed,
    /// It was given back.
    Returned,
    /// A manager must say by the due time what becomes of the return.
    ReturnReview,
    /// The return was refused: the same person works on.
    ReturnRefused,
    /// Sold.
    Converted,
    /// Worked and not sold.
    Lost,
    /// Another handoff of the same opportunity goes on.
    ReRouted,
    /// The lead went back to the SDR.
    ToSdr,
    /// The lead went back to nurture.
    ToNurture,
    /// Nobody goes on with it.
    Closed,
}

/// Why a handoff did not go on as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "handoff::Reason")]
pub enum HandoffReason {
    /// It belongs to another territory.
    WrongTerritory,
    /// The account belongs to somebody else.
    WrongOwner,
    /// Sales works on it already.
    ExistingOpportunity,
    /// It should not have been verified.
    NotQualified,
    /// The person cannot be reached with these data.
    BadContact,
    /// There is no money.
    NoBudget,
    /// The person cannot decide.
    NoAuthority,
    /// There is no need.
    NoNeed,
    /// Later, perhaps.
    BadTiming,
    /// The person does not answer.
    NoResponse,
    /// Sales has no time for it.
    Capacity,
    /// It may not be this person's.
    ConflictOfInterest,
    /// A promise was broken.
    SlaBreach,
}

/// What becomes of a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "handoff::ReviewVerdict")]
pub enum ReturnVerdict {
    /// Somebody else in sales gets it: another handoff begins.
    ReRoute,
    /// The lead is verified again.
    ToSdr,
    /// The lead goes back to nurture.
    ToNurture,
    /// Nobody goes on with it.
    Close,
    /// The return is not accepted: the same person works on.
    Refuse,
}

/// What a handoff that could not be offered waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "routing::HeldFor")]
pub enum HeldFor {
    /// Everybody who is at work has a full plate.
    NoCapacity,
    /// Nobody who could take it is at work.
    OutOfHours,
}

/// Why a member of the pool was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "routing::Skip")]
pub enum RoutingSkip {
    /// The member rejected this opportunity, let its offer run out, or had it taken back.
    AlreadyTried,
    /// The member returned this opportunity, and the cool-down has not passed.
    CoolDown,
    /// The user may not act any more.
    Inactive,
    /// The member is out of office.
    OutOfOffice,
    /// The member is outside working hours.
    OutOfHours,
    /// The member holds as many open opportunities as the pool allows.
    AtCapacity,
}

/// What a choice came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RoutingOutcome {
    /// Somebody was chosen.
    Chosen,
    /// Nobody can take it now, but somebody will.
    Held,
    /// Nobody is left who could.
    Exhausted,
}

/// An exact amount of money.
#[derive(SimpleObject)]
pub struct Money {
    /// The amount, in whole units with the fraction that the currency has.
    pub amount: Decimal,
    /// The ISO 4217 code of the currency.
    pub currency: String,
}

impl From<&opportunity::Money> for Money {
    fn from(money: &opportunity::Money) -> Self {
        Self { amount: Decimal(money.amount()), currency: money.currency.clone() }
    }
}

/// An exact amount of money.
#[derive(InputObject)]
pub struct MoneyInput {
    /// Zero or more, e.g. `1250.00`; with at most as many decimals as the currency has.
    amount: Decimal,
    /// The ISO 4217 code of the currency: three capital letters.
    currency: String,
}

impl TryFrom<MoneyInput> for opportunity::Money {
    type Error = AppError;
    fn try_from(input: MoneyInput) -> Result<Self, AppError> {
        Ok(Self::parse(&input.amount.0, &input.currency)?)
    }
}

/// The user with this id, from the request's loader.
pub(super) async fn user(ctx: &Context<'_>, id: Option<UserId>) -> Option<Result<UserNode, ApiError>> {
    let user = ctx.load(id?).await.map_err(ApiError::from).transpose()?;
    Some(user.map(UserNode))
}

/// A verified lead handed to sales.
pub struct OpportunityNode(pub Opportunity);

/// A verified lead handed to sales.
#[Object(name = "Opportunity")]
impl OpportunityNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// The lead it came from.
    async fn lead(&self, ctx: &Context<'_>) -> Option<Result<LeadNode, ApiError>> {
        let lead = ctx.load(self.0.lead).await.map_err(ApiError::from).transpose()?;
        Some(lead.map(LeadNode))
    }
    /// The company, where it is known.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account?).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// The person.
    async fn contact(&self, ctx: &Context<'_>) -> Option<Result<ContactNode, ApiError>> {
        let contact = ctx.load(self.0.contact).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }
    /// What it is worth, where somebody has said so.
    async fn amount(&self) -> Option<Money> {
        self.0.amount.as_ref().map(Money::from)
    }
    /// Where it is.
    async fn state(&self) -> OpportunityState {
        self.0.state.into()
    }
    /// The stage of the sale, in the words of sales; empty until somebody has said so.
    async fn stage(&self) -> &str {
        &self.0.stage
    }
    /// Who dispatched it.
    async fn dispatched_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, Some(self.0.dispatched_by)).await
    }
    /// Who in sales took it last.
    async fn sales(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, self.0.sales).await
    }
    /// The code of the reason for which it was lost or closed.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
    /// When it was dispatched first.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When it ended.
    async fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.0.ended_at
    }
    /// The handoff that goes on, or the last.
    async fn handoff(&self, ctx: &Context<'_>) -> Option<Result<HandoffNode, ApiError>> {
        let handoff = ctx.load(self.0.handoff).await.map_err(ApiError::from).transpose()?;
        Some(handoff.map(HandoffNode))
    }
    /// All its handoffs, oldest first.
    async fn handoffs(&self, ctx: &Context<'_>) -> Result<Vec<HandoffNode>, ApiError> {
        let handoffs = ctx.loader().load_one(HandoffsOf(self.0.id)).await.map_err(Failed::into_app)?;
        Ok(handoffs.unwrap_or_default().into_iter().map(HandoffNode).collect())
    }
}

/// One transfer of responsibility for an opportunity.
pub struct HandoffNode(pub Handoff);

/// One transfer of responsibility for an opportunity.
#[Object(name = "Handoff")]
impl HandoffNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The opportunity.
    async fn opportunity(&self, ctx: &Context<'_>) -> Option<Result<OpportunityNode, ApiError>> {
        let opportunity = ctx.load(self.0.opportunity).await.map_err(ApiError::from).transpose()?;
        Some(opportunity.map(OpportunityNode))
    }
    /// The lead it came from.
    async fn lead(&self, ctx: &Context<'_>) -> Option<Result<LeadNode, ApiError>> {
        let lead = ctx.load(self.0.lead).await.map_err(ApiError::from).transpose()?;
        Some(lead.map(LeadNode))
    }
    /// The company, where it is known.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account?).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// The pool in which somebody is looked for.
    async fn pool(&self, ctx: &Context<'_>) -> Option<Result<PoolNode, ApiError>> {
        let pool = ctx.load(self.0.pool).await.map_err(ApiError::from).transpose()?;
        Some(pool.map(PoolNode))
    }
    /// The version of the rule that chose the pool, e.g. `routing@3#enterprise`.
    async fn route(&self) -> &str {
        &self.0.route
    }
    /// Where it is.
    async fn state(&self) -> HandoffState {
        self.0.state.into()
    }
    /// When a timer moves it if nobody else does; null exactly in an end.
    async fn due_at(&self) -> Option<DateTime<Utc>> {
        self.0.due_at
    }
    /// Counts the offers from 1: the one that is out, or is looked for.
    async fn attempt(&self) -> u32 {
        self.0.attempt
    }
    /// Who dispatched it.
    async fn dispatched_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, Some(self.0.dispatched_by)).await
    }
    /// Who has the offer.
    async fn offered_to(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, self.0.offered_to).await
    }
    /// Who took it.
    async fn assignee(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, self.0.assignee).await
    }
    /// What it waits for, in HELD.
    async fn held_for(&self) -> Option<HeldFor> {
        self.0.held_for.map(HeldFor::from)
    }
    /// The reason of the last rejection, return, loss or reclaim.
    async fn reason(&self) -> Option<HandoffReason> {
        self.0.reason.map(HandoffReason::from)
    }
    /// What was said about it.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }
    /// Who had it and is not offered it again.
    async fn tried(&self) -> Vec<HandoffTriedNode> {
        self.0.tried.iter().copied().map(HandoffTriedNode).collect()
    }
    /// When it was dispatched.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the last offer was made.
    async fn offered_at(&self) -> Option<DateTime<Utc>> {
        self.0.offered_at
    }
    /// When it was accepted.
    async fn accepted_at(&self) -> Option<DateTime<Utc>> {
        self.0.accepted_at
    }
    /// When work began.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }
    /// When it was given back.
    async fn returned_at(&self) -> Option<DateTime<Utc>> {
        self.0.returned_at
    }
    /// When it ended.
    async fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.0.ended_at
    }
    /// The handoff that was re-routed into this one.
    async fn previous(&self, ctx: &Context<'_>) -> Option<Result<HandoffNode, ApiError>> {
        let handoff = ctx.load(self.0.previous?).await.map_err(ApiError::from).transpose()?;
        Some(handoff.map(HandoffNode))
    }
    /// The receipts of all choices made for it, oldest first: who was considered, who was skipped and why.
    async fn receipts(&self, ctx: &Context<'_>) -> Result<Vec<RoutingReceiptNode>, ApiError> {
        let receipts = ctx.loader().load_one(ReceiptsOf(self.0.id)).await.map_err(Failed::into_app)?;
        Ok(receipts.unwrap_or_default().into_iter().map(RoutingReceiptNode).collect())
    }
}

/// Somebody who had a handoff and is not offered it again.
pub struct HandoffTriedNode(Tried);

/// Somebody who had a handoff and is not offered it again.
#[Object(name = "HandoffTried")]
impl HandoffTriedNode {
    /// Who.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, Some(self.0.user)).await
    }
    /// How it ended: REJECTED, TIMED_OUT or RECLAIMED.
    async fn outcome(&self) -> HandoffState {
        self.0.outcome.into()
    }
    /// Why.
    async fn reason(&self) -> Option<HandoffReason> {
        self.0.reason.map(HandoffReason::from)
    }
    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
}

/// What a choice decided and why. Written once, never changed.
pub struct RoutingReceiptNode(Receipt);

/// What a choice decided and why. Written once, never changed.
#[Object(name = "RoutingReceipt")]
impl RoutingReceiptNode {
    /// The attempt it was made for.
    async fn attempt(&self) -> u32 {
        self.0.attempt
    }
    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
    /// The version of the rule that decided, e.g. `pool:enterprise@3`.
    async fn rule(&self) -> &str {
        &self.0.rule
    }
    /// What came out.
    async fn outcome(&self) -> RoutingOutcome {
        match self.0.verdict {
            Verdict::Chosen { .. } => RoutingOutcome::Chosen,
            Verdict::Held { .. } => RoutingOutcome::Held,
            Verdict::Exhausted => RoutingOutcome::Exhausted,
        }
    }
    /// Who was chosen.
    async fn chosen(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        match self.0.verdict {
            Verdict::Chosen { user: chosen, .. } => user(ctx, Some(chosen)).await,
            _ => None,
        }
    }
    /// What it waits for, where nobody can take it now.
    async fn held_for(&self) -> Option<HeldFor> {
        match self.0.verdict {
            Verdict::Held { reason, .. } => Some(reason.into()),
            _ => None,
        }
    }
    /// When it is tried again, where nobody can take it now.
    async fn retry_at(&self) -> Option<DateTime<Utc>> {
        match self.0.verdict {
            Verdict::Held { until, .. } => Some(until),
            _ => None,
        }
    }
    /// Every member of the pool, in the pool's order.
    async fn considered(&self) -> Vec<RoutingConsideredNode> {
        self.0.considered.iter().cloned().map(RoutingConsideredNode).collect()
    }
}

/// One member of the pool as a choice saw it.
pub struct RoutingConsideredNode(Considered);

/// One member of the pool as a choice saw it.
#[Object(name = "RoutingConsidered")]
impl RoutingConsideredNode {
    /// Who.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, Some(self.0.user)).await
    }
    /// The share of turns.
    async fn weight(&self) -> u32 {
        self.0.weight
    }
    /// The credit in the round robin before the choice.
    async fn credit(&self) -> i64 {
        self.0.credit
    }
    /// The credit with which the member stood in the choice: the highest of those not skipped is chosen.
    async fn stake(&self) -> i64 {
        self.0.stake
    }
    /// How many open opportunities the member held.
    async fn open(&self) -> u32 {
        self.0.open
    }
    /// Why the member was passed over; null for those who could have been chosen.
    async fn skipped(&self) -> Option<RoutingSkip> {
        self.0.skipped.map(RoutingSkip::from)
    }
    /// Until when that lasts, where that is known.
    async fn until(&self) -> Option<DateTime<Utc>> {
        self.0.until
    }
}

/// The key of a handoff's receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReceiptsOf(HandoffId);

#[async_trait::async_trait]
impl Loader<ReceiptsOf> for StoreLoader {
    type Value = Vec<Receipt>;
    type Error = Failed;

    async fn load(&self, keys: &[ReceiptsOf]) -> Result<HashMap<ReceiptsOf, Vec<Receipt>>, Failed> {
        let handoffs: Vec<HandoffId> = keys.iter().map(|key| key.0).collect();
        let mut found: HashMap<ReceiptsOf, Vec<Receipt>> = HashMap::new();
        for receipt in self.store.receipts_of(&handoffs).await? {
            found.entry(ReceiptsOf(receipt.handoff)).or_default().push(receipt);
        }
        Ok(found)
    }
}

/// The key of an opportunity's handoffs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HandoffsOf(OpportunityId);

#[async_trait::async_trait]
impl Loader<HandoffsOf> for StoreLoader {
    type Value = Vec<Handoff>;
    type Error = Failed;

    async fn load(&self, keys: &[HandoffsOf]) -> Result<HashMap<HandoffsOf, Vec<Handoff>>, Failed> {
        let opportunities: Vec<OpportunityId> = keys.iter().map(|key| key.0).collect();
        let mut found: HashMap<HandoffsOf, Vec<Handoff>> = HashMap::new();
        for handoff in self.store.handoffs_of(&opportunities).await? {
            found.entry(HandoffsOf(handoff.opportunity)).or_default().push(handoff);
        }
        Ok(found)
    }
}
