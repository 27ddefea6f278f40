//! Types of channels and calls.

use super::query::call_page;
use crate::accounts::ContactNode;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::outbound::types::OutboundAttempt;
use crate::sequences::EnrollmentNode;
use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_domain::outbound::{CallState, ChannelState, OutboundCall, OutboundChannel, Provider};
use tandem_domain::sequence::calling::Request;
use tandem_store::reach::OutboundCallFilter;

/// What stands behind a channel, which decides what it is sent and how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Provider")]
pub enum OutboundChannelProvider {
    /// An incoming webhook of Slack, or of what takes the same.
    Slack,
    /// A robot of a WeCom group.
    Wecom,
    /// A robot of a DingTalk group.
    Dingtalk,
    /// A robot of a Feishu or Lark group.
    Feishu,
    /// An API that takes and gives JSON, for steps of the kind `call_webhook`.
    Webhook,
}

/// Whether a channel is sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "ChannelState")]
pub enum OutboundChannelState {
    /// It is.
    Active,
    /// What steps send to it waits, for as long as the steps say.
    Paused,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "CallState")]
pub enum OutboundCallState {
    /// To be made, perhaps not for the first time.
    Planned,
    /// Handed to the network; the outcome is not recorded yet.
    Sending,
    /// The other side took it.
    Succeeded,
    /// It is not tried any more; `failure` says why.
    Failed,
    /// The run that planned it does not wait for it any more.
    Cancelled,
}

/// Why a call failed or was cancelled.
#[derive(Debug, Clone, SimpleObject)]
pub struct OutboundCallFailure {
    /// The stable code.
    code: String,
    /// A sentence.
    message: String,
}

/// An address outside that steps of sequences send to. Its address, its secret and the values of its headers are never shown
/// again.
pub struct OutboundChannelNode(pub OutboundChannel);

/// An address outside that steps of sequences send to. Its address, its secret and the values of its headers are never shown
/// again.
#[Object(name = "OutboundChannel")]
impl OutboundChannelNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What steps name it by.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// What stands behind it.
    async fn provider(&self) -> OutboundChannelProvider {
        self.0.provider.into()
    }
    /// Whether it is sent anything.
    async fn state(&self) -> OutboundChannelState {
        self.0.state.into()
    }
    /// As much of its address as may be shown: the scheme and the host.
    async fn address(&self) -> String {
        self.0.shown_address()
    }
    /// Whether what it is sent is signed.
    async fn signed(&self) -> bool {
        self.0.secret().is_some()
    }
    /// Until when the earlier secret signs beside the current one; null where it does not any more.
    async fn previous_secret_until(&self, ctx: &Context<'_>) -> Option<DateTime<Utc>> {
        self.0.previous_until(ctx.app().env.now())
    }
    /// The names of the headers that are added to every call.
    async fn header_names(&self) -> Vec<&str> {
        self.0.header_names()
    }
    /// How many calls over it are on their way.
    async fn pending(&self, ctx: &Context<'_>) -> Option<Result<u64, ApiError>> {
        Some(ctx.app().store.outbound_calls_pending(self.0.id).await.map_err(Into::into))
    }
    /// Counts its changes.
    async fn revision(&self) -> u32 {
        self.0.revision
    }
    /// When it was first saved.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// The calls over it, in the order they were planned.
    async fn calls(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<OutboundCallState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, OutboundCallNode>, ApiError> {
        ctx.actor().may_operate()?;
        let page = page(first, after, last, before)?;
        let filter = OutboundCallFilter { channel: Some(self.0.id), ..OutboundCallFilter::default() };
        let found = call_page(ctx, filter, states, &page).await?;
        Ok(connection(found, |call| call.id, OutboundCallNode))
    }
}

/// What a step sends to a channel, and what came of it. Kept for ninety days.
pub struct OutboundCallNode(pub OutboundCall);

/// What a step sends to a channel, and what came of it. Kept for ninety days.
#[Object(name = "OutboundCall")]
impl OutboundCallNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The key of the channel.
    async fn channel_key(&self) -> &str {
        &self.0.channel_key
    }
    /// The channel; null for those who may not see it. SALES_OPS and ADMIN only.
    async fn channel(&self, ctx: &Context<'_>) -> Option<Result<OutboundChannelNode, ApiError>> {
        ctx.actor().may_operate().ok()?;
        let channel = ctx.load(self.0.channel).await.map_err(ApiError::from).transpose()?;
        Some(channel.map(OutboundChannelNode))
    }
    /// The enrolment whose step planned it; null for a test.
    async fn enrollment(&self, ctx: &Context<'_>) -> Option<Result<EnrollmentNode, ApiError>> {
        let enrollment = ctx.load(self.0.enrollment?).await.map_err(ApiError::from).transpose()?;
        Some(enrollment.map(EnrollmentNode))
    }
    /// The step's name within its sequence.
    async fn step(&self) -> &str {
        &self.0.step
    }
    /// The enrolment's visit counter when it was planned.
    async fn visit(&self) -> u32 {
        self.0.visit
    }
    /// The person it is about; null for a test.
    async fn contact(&self, ctx: &Context<'_>) -> Option<Result<ContactNode, ApiError>> {
        let contact = ctx.load(self.0.contact?).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }
    /// The `webhook-id` and `idempotency-key` that the other side knows it by, the same however often it is sent. Chats are not
    /// told it.
    async fn message_id(&self) -> String {
        self.0.message()
    }
    /// The text of a message, or the JSON that an API is sent; null where there is none.
    async fn body(&self) -> Option<&str> {
        match &self.0.request {
            Request::Message { text, .. } => Some(text),
            Request::Http { body, .. } => body.as_deref(),
        }
    }
    /// Where it stands.
    async fn state(&self) -> OutboundCallState {
        self.0.state.into()
    }
    /// How often it was begun.
    async fn attempts(&self) -> u32 {
        self.0.attempts
    }
    /// How often it failed.
    async fn failures(&self) -> u32 {
        self.0.failures
    }
    /// The last tries, at most 20, the latest last.
    async fn tries(&self) -> Vec<OutboundAttempt> {
        self.0.tries.iter().cloned().map(Into::into).collect()
    }
    /// Why it failed or was cancelled.
    async fn failure(&self) -> Option<OutboundCallFailure> {
        let failure = self.0.failure.as_ref()?;
        Some(OutboundCallFailure { code: failure.code.clone(), message: failure.message.clone() })
    }
    /// After this moment it is not tried again.
    async fn give_up_at(&self) -> DateTime<Utc> {
        self.0.give_up_at
    }
    /// When it is tried next; null where it is not.
    async fn next_at(&self) -> Option<DateTime<Utc>> {
        self.0.next_at
    }
    /// When it was planned.
    async fn planned_at(&self) -> DateTime<Utc> {
        self.0.planned_at
    }
    /// When it came to its end.
    async fn settled_at(&self) -> Option<DateTime<Utc>> {
        self.0.settled_at
    }
}
