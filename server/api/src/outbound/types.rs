//! Types of outbound webhooks.

use super::query::delivery_page;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::loaders::{Failed, StoreLoader};
use async_graphql::connection::Connection;
use async_graphql::dataloader::Loader;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use tandem_domain::id::OutboundDeliveryId;
use tandem_domain::outbound as domain;

/// Why a webhook is told nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Disabled")]
pub enum OutboundWebhookDisabled {
    /// Somebody switched it off.
    Manual,
    /// It answered 410: it is gone.
    Gone,
    /// It has failed for five days, without one success in between.
    Failing,
}

/// Where a delivery to a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::State")]
pub enum OutboundDeliveryState {
    /// To be delivered, perhaps not for the first time.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It is not tried any more. It can be replayed.
    Failed,
}

/// One try at a delivery.
#[derive(SimpleObject)]
pub struct OutboundAttempt {
    /// When it was made.
    at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    took_ms: u32,
    /// The HTTP status of the answer; null where there was none.
    status: Option<u16>,
    /// Why there was no answer: a stable code.
    code: Option<String>,
    /// The beginning of the answer, or a sentence about why there was none.
    message: String,
}

impl From<domain::Attempt> for OutboundAttempt {
    fn from(domain::Attempt { at, took_ms, status, code, message }: domain::Attempt) -> Self {
        Self { at, took_ms, status, code, message }
    }
}

/// An address that is told what happens. Its secret is never shown again.
pub struct OutboundWebhookNode(pub domain::OutboundWebhook);

/// An address that is told what happens. Its secret is never shown again.
#[Object(name = "OutboundWebhook")]
impl OutboundWebhookNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What it is known by among webhooks.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// Where to post to.
    async fn url(&self) -> &str {
        &self.0.url
    }
    /// What it is told: types of events, families such as `handoff.*`, or `*`.
    async fn types(&self) -> &[String] {
        &self.0.types
    }
    /// Only events for which this holds, in CEL; null means all.
    async fn filter(&self) -> Option<&str> {
        self.0.filter.as_ref().map(|expression| expression.source())
    }
    /// Whether events about one thing are delivered one after the other, in their order.
    async fn ordered(&self) -> bool {
        self.0.ordered
    }
    /// Whether it is told anything.
    async fn active(&self) -> bool {
        self.0.is_active()
    }
    /// Why it is told nothing; null where it is told.
    async fn disabled(&self) -> Option<OutboundWebhookDisabled> {
        self.0.disabled.map(Into::into)
    }
    /// Since when every try has failed; null where the last one did not.
    async fn failing_since(&self) -> Option<DateTime<Utc>> {
        self.0.failing_since
    }
    /// How many deliveries are on their way.
    async fn pending(&self, ctx: &Context<'_>) -> Option<Result<u64, ApiError>> {
        Some(ctx.app().store.outbound_pending(self.0.id).await.map_err(Into::into))
    }
    /// Until when the earlier secret signs beside the current one; null where it does not any more.
    async fn previous_secret_until(&self, ctx: &Context<'_>) -> Option<DateTime<Utc>> {
        self.0.previous_until(ctx.app().env.now())
    }
    /// Counts its changes.
    async fn revision(&self) -> u32 {
        self.0.revision
    }
    /// When it was first saved.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// What was and is on its way to it, in the order of the events.
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<OutboundDeliveryState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, OutboundDeliveryNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let found = delivery_page(ctx, Some(self.0.id), states, &page).await?;
        Ok(connection(found, |delivery| delivery.id, OutboundDeliveryNode))
    }
}

/// An event on its way to a webhook. Kept for ninety days.
pub struct OutboundDeliveryNode(pub domain::OutboundDelivery);

/// An event on its way to a webhook. Kept for ninety days.
#[Object(name = "OutboundDelivery")]
impl OutboundDeliveryNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// To which webhook.
    async fn webhook(&self, ctx: &Context<'_>) -> Option<Result<OutboundWebhookNode, ApiError>> {
        let webhook = ctx.load(self.0.webhook).await.map_err(ApiError::from).transpose()?;
        Some(webhook.map(OutboundWebhookNode))
    }
    /// The `webhook-id` of the message, the same however often it is sent.
    async fn message_id(&self) -> String {
        self.0.message()
    }
    /// The type of the event.
    #[graphql(name = "type")]
    async fn kind(&self) -> &str {
        &self.0.kind
    }
    /// The entry of the ledger that it tells of; null for a test.
    async fn seq(&self) -> Option<i64> {
        Some(self.0.seq).filter(|seq| *seq > 0)
    }
    /// Where it stands.
    async fn state(&self) -> OutboundDeliveryState {
        self.0.state.into()
    }
    /// How often it was to be delivered: 1, and one more for each replay.
    async fn round(&self) -> u32 {
        self.0.round
    }
    /// How often it failed in this round.
    async fn failures(&self) -> u32 {
        self.0.failures
    }
    /// The last tries, at most 20, the latest last.
    async fn attempts(&self) -> Vec<OutboundAttempt> {
        self.0.attempts.iter().cloned().map(Into::into).collect()
    }
    /// When it is tried again; null where it is not, or waits for those before it.
    async fn next_at(&self) -> Option<DateTime<Utc>> {
        self.0.next_at
    }
    /// When it came about.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When it was delivered or given up.
    async fn settled_at(&self) -> Option<DateTime<Utc>> {
        self.0.settled_at
    }
    /// What is sent: JSON, at most 20 kB.
    async fn body(&self, ctx: &Context<'_>) -> Option<Result<String, ApiError>> {
        let body = ctx.loader().load_one(SentKey(self.0.id)).await;
        body.map_err(|failed| failed.into_app().into()).transpose()
    }
}

/// The key of what is sent with a delivery to an outbound webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SentKey(OutboundDeliveryId);

#[async_trait::async_trait]
impl Loader<SentKey> for StoreLoader {
    type Value = String;
    type Error = Failed;

    async fn load(&self, keys: &[SentKey]) -> Result<HashMap<SentKey, String>, Failed> {
        let found = self.store.outbound_bodies(keys.iter().map(|key| key.0)).await?;
        Ok(found.into_iter().map(|(id, body)| (SentKey(id), body)).collect())
    }
}
