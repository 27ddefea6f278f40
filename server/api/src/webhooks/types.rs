//! Types of inbound webhooks.

use super::query::delivery_page;
use crate::access::UserNode;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{global, global_of};
use crate::loaders::RawKey;
use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use tandem_domain::inbound as domain;
use tandem_domain::inbound::signature;

/// How deliveries to an inbound webhook are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Scheme")]
pub enum InboundWebhookScheme {
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    StandardWebhooks,
    /// As GitHub signs: `X-Hub-Signature-256`, HMAC-SHA256 of the body.
    Github,
    /// A bearer token in `Authorization`, for senders that cannot sign.
    Bearer,
}

/// What an action of an inbound webhook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::ActionKind")]
pub enum InboundActionKind {
    /// Makes an account or merges into the one with the same keys.
    AccountUpsert,
    /// Sets fields of an account that is there.
    AccountChange,
    /// Makes a contact or merges into the one with the same keys.
    ContactUpsert,
    /// Sets fields of a contact that is there.
    ContactChange,
    /// Takes in a lead, once an external id.
    LeadReceive,
    /// Grades a lead that is there, adds tags and sets custom fields.
    LeadChange,
    /// Records what the contact did.
    InteractionRecord,
    /// Takes an e-mail in that a mail provider passes on: a reply, a report, a complaint.
    EmailReceive,
    /// Enrols the contact, or the lead, in a sequence.
    EnrollmentCreate,
    /// Dispatches a verified lead to sales.
    OpportunityDispatch,
    /// Proposes a change of a target-account list.
    ChangeRequestPropose,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::State")]
pub enum InboundDeliveryState {
    /// Stored, and to be handled.
    Received,
    /// Its actions were done.
    Done,
    /// The webhook's filter did not let it pass.
    Filtered,
    /// Nothing was done, for the reason given. It can be replayed.
    Failed,
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Outcome")]
pub enum InboundActionOutcome {
    /// It made something.
    Created,
    /// It changed something.
    Changed,
    /// Everything was as it should be.
    Unchanged,
    /// Its condition did not hold.
    Skipped,
    /// It was refused, and was optional.
    Refused,
}

/// Which of a webhook's secrets a delivery was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "signature::SecretUsed")]
pub enum InboundSecretUsed {
    /// The one given last.
    Current,
    /// The one before, which is valid for a while after a rotation.
    Previous,
}

/// One action of an inbound webhook.
#[derive(SimpleObject)]
pub struct InboundAction {
    /// What it does.
    kind: InboundActionKind,
    /// The condition for it, in CEL; null means always.
    when: Option<String>,
    /// Field -> expression in CEL.
    values: Json<BTreeMap<String, String>>,
    /// Whether the other actions are done although this one is refused.
    optional: bool,
}

/// Why nothing was done, or why one action was not.
#[derive(SimpleObject)]
pub struct InboundFault {
    /// The part of the definition, e.g. `filter` or `actions.0.values.email`.
    place: String,
    /// The stable code.
    code: String,
    /// A sentence.
    message: String,
}

impl From<domain::Fault> for InboundFault {
    fn from(domain::Fault { place, code, message }: domain::Fault) -> Self {
        Self { place, code, message }
    }
}

/// What one action did.
#[derive(SimpleObject)]
pub struct InboundActionResult {
    /// The action.
    kind: InboundActionKind,
    /// What became of it.
    outcome: InboundActionOutcome,
    /// The id of what it made, changed or found.
    subject_id: Option<ID>,
    /// Why it was refused, where it was.
    fault: Option<InboundFault>,
}

impl From<domain::Done> for InboundActionResult {
    fn from(done: domain::Done) -> Self {
        Self {
            kind: done.kind.into(),
            outcome: done.outcome.into(),
            subject_id: done.subject_kind.zip(done.subject).map(|(kind, id)| global_of(&kind, id)),
            fault: done.fault.map(Into::into),
        }
    }
}

/// An address that other systems post to, and what is done with what they post. Its secret is never shown again.
pub struct InboundWebhookNode(pub domain::InboundWebhook);

/// An address that other systems post to, and what is done with what they post. Its secret is never shown again.
#[Object(name = "InboundWebhook")]
impl InboundWebhookNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The last part of its address.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// Where to post to, on this server.
    async fn path(&self) -> String {
        format!("/webhooks/{}", self.0.key)
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// How deliveries are verified.
    async fn scheme(&self) -> InboundWebhookScheme {
        self.0.scheme.into()
    }
    /// In whose name its actions are done.
    async fn acts_as(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.acts_as).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// The country that phone numbers without a country code are dialled from: ISO 3166-1, two letters.
    async fn phone_region(&self) -> Option<&str> {
        self.0.phone_region.as_deref()
    }
    /// What a repetition of a delivery is known by, in CEL, where the sender's header is not used.
    async fn delivery_id(&self) -> Option<&str> {
        self.0.delivery_id.as_ref().map(|expression| expression.source())
    }
    /// Only deliveries for which this holds are acted on, in CEL; null means all.
    async fn filter(&self) -> Option<&str> {
        self.0.filter.as_ref().map(|expression| expression.source())
    }
    /// What is done, in order; all of it or nothing.
    async fn actions(&self) -> Vec<InboundAction> {
        let actions = self.0.actions.iter();
        let read = |action: &domain::Action| InboundAction {
            kind: action.kind.into(),
            when: action.when.as_ref().map(|when| when.source().to_owned()),
            values: Json(action.values.iter().map(|(key, value)| (key.clone(), value.source().to_owned())).collect()),
            optional: action.optional,
        };
        actions.map(read).collect()
    }
    /// Whether it takes deliveries.
    async fn active(&self) -> bool {
        self.0.active
    }
    /// Counts its changes.
    async fn revision(&self) -> u32 {
        self.0.revision
    }
    /// When it was first saved.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// Until when the earlier secret is valid beside the current one; null where it is not any more.
    async fn previous_secret_until(&self, ctx: &Context<'_>) -> Option<DateTime<Utc>> {
        self.0.previous_until(ctx.app().env.now())
    }
    /// What arrived, in the order of arrival.
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<InboundDeliveryState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, InboundDeliveryNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let found = delivery_page(ctx, Some(self.0.id), states, &page).await?;
        Ok(connection(found, |delivery| delivery.id, InboundDeliveryNode))
    }
}

/// A delivery to an inbound webhook. Kept for ninety days.
pub struct InboundDeliveryNode(pub domain::InboundDelivery);

/// A delivery to an inbound webhook. Kept for ninety days.
#[Object(name = "InboundDelivery")]
impl InboundDeliveryNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// To which webhook.
    async fn webhook(&self, ctx: &Context<'_>) -> Option<Result<InboundWebhookNode, ApiError>> {
        let webhook = ctx.load(self.0.webhook).await.map_err(ApiError::from).transpose()?;
        Some(webhook.map(InboundWebhookNode))
    }
    /// What a repetition of it is known by.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// Where it stands.
    async fn state(&self) -> InboundDeliveryState {
        self.0.state.into()
    }
    /// Which secret it was made with.
    async fn secret_used(&self) -> InboundSecretUsed {
        self.0.verdict.secret.into()
    }
    /// The moment that the sender signed, where its scheme has one.
    async fn signed_at(&self) -> Option<DateTime<Utc>> {
        self.0.verdict.signed_at
    }
    /// The size of its body, in bytes.
    async fn size(&self) -> u64 {
        self.0.size
    }
    /// When it came.
    async fn received_at(&self) -> DateTime<Utc> {
        self.0.received_at
    }
    /// When it was handled last.
    async fn settled_at(&self) -> Option<DateTime<Utc>> {
        self.0.settled_at
    }
    /// How often it was to be handled: 1, and one more for each replay.
    async fn round(&self) -> u32 {
        self.0.round
    }
    /// The webhook's revision that it was handled under last.
    async fn webhook_revision(&self) -> Option<u32> {
        self.0.under
    }
    /// What was done, action by action.
    async fn results(&self) -> Vec<InboundActionResult> {
        self.0.done.iter().cloned().map(Into::into).collect()
    }
    /// Why nothing was done, where that is so.
    async fn fault(&self) -> Option<InboundFault> {
        self.0.fault.clone().map(Into::into)
    }
    /// Why the webhook's `deliveryId` told no id of it, where that is so: then repetitions are known by the sender's header, or not
    /// at all.
    async fn id_fault(&self) -> Option<InboundFault> {
        self.0.id_fault.clone().map(Into::into)
    }
    /// The headers that came with it, by their names in small letters; secrets are left out.
    async fn headers(&self, ctx: &Context<'_>) -> Option<Result<Json<BTreeMap<String, String>>, ApiError>> {
        Some(self.raw(ctx).await.transpose()?.map(|raw| Json(raw.headers)))
    }
    /// The body, as it came.
    async fn body(&self, ctx: &Context<'_>) -> Option<Result<String, ApiError>> {
        Some(self.raw(ctx).await.transpose()?.map(|raw| raw.body))
    }
}

impl InboundDeliveryNode {
    async fn raw(&self, ctx: &Context<'_>) -> Result<Option<domain::Raw>, ApiError> {
        let raw = ctx.loader().load_one(RawKey(self.0.id)).await;
        raw.map_err(|failed| failed.into_app().into())
    }
}

/// What an action would be given.
#[derive(SimpleObject)]
pub struct InboundTriedAction {
    /// The action.
    kind: InboundActionKind,
    /// The values by field; null where its condition does not hold.
    values: Option<Json<BTreeMap<String, serde_json::Value>>>,
}

/// What a webhook would do with a payload. None of it was done.
#[derive(SimpleObject)]
pub struct InboundTrial {
    /// How the delivery would end.
    state: InboundDeliveryState,
    /// What each action would be given.
    actions: Vec<InboundTriedAction>,
    /// What each action would do. Ids are those of this trial alone where something would be made.
    results: Vec<InboundActionResult>,
    /// Why nothing would be done, where that is so.
    fault: Option<InboundFault>,
    /// Why the webhook's `deliveryId` would tell no id of it, where that is so: repetitions would not be known by it.
    id_fault: Option<InboundFault>,
}

impl From<tandem_app::inbound::Tried> for InboundTrial {
    fn from(tried: tandem_app::inbound::Tried) -> Self {
        let actions = tried.steps.into_iter();
        let actions =
            actions.map(|step| InboundTriedAction { kind: step.kind.into(), values: step.values.map(Json) }).collect();
        let id_fault = tried.id_fault.map(Into::into);
        let (state, done, fault) = match tried.end {
            domain::End::Done(done) => (InboundDeliveryState::Done, done, None),
            domain::End::Filtered => (InboundDeliveryState::Filtered, Vec::new(), None),
            domain::End::Failed(fault) => (InboundDeliveryState::Failed, Vec::new(), Some(fault.into())),
        };
        Self { state, actions, results: done.into_iter().map(Into::into).collect(), fault, id_fault }
    }
}
