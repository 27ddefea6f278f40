//! Types of senders of events and of what they sent.

use super::query::event_page;
use crate::access::UserNode;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::interactions::InteractionKind;
use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_domain::ingest as domain;

/// How far a sender of events is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Trust")]
pub enum EventSourceTrust {
    /// Its write key is in a page that anybody can read: it may tell what visitors do and who they say they are, which makes
    /// contacts and fills blanks, and never overwrites what is known or touches companies.
    Browser,
    /// Its write key is a secret: it may also correct contacts and tell their companies.
    Server,
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::EventKind")]
pub enum IngestedEventKind {
    /// Who a visitor is.
    Identify,
    /// What a visitor did.
    Track,
    /// Which page a visitor saw.
    Page,
    /// Which screen of an app a visitor saw.
    Screen,
    /// Which company a visitor belongs to.
    Group,
    /// That two visitors are one.
    Alias,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::State")]
pub enum IngestedEventState {
    /// Stored, and to be applied.
    Received,
    /// What it says is in Tandem; a fault says what of it was left out.
    Applied,
    /// It could be read, but what it says was refused.
    Refused,
    /// It could not be read.
    Quarantined,
}

/// What an event by a name is.
#[derive(SimpleObject)]
pub struct EventRule {
    /// The name in the sender's words; case and punctuation do not count.
    event: String,
    /// What it is.
    kind: InteractionKind,
}

/// Why an event was not applied, or only in part.
#[derive(SimpleObject)]
pub struct IngestedEventFault {
    /// The stable code.
    code: String,
    /// A sentence.
    message: String,
}

/// A sender of events. Its write key is never shown again.
pub struct EventSourceNode(pub domain::EventSource);

/// A sender of events. Its write key is never shown again.
#[Object(name = "EventSource")]
impl EventSourceNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What it is known by among sources.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// How far it is believed.
    async fn trust(&self) -> EventSourceTrust {
        self.0.trust.into()
    }
    /// In whose name people and companies are written.
    async fn acts_as(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.acts_as).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// The system that its user ids are ids of: a contact with that external id is the user.
    async fn user_system(&self) -> &str {
        &self.0.user_system
    }
    /// The country that phone numbers without a country code are dialled from: ISO 3166-1, two letters.
    async fn phone_region(&self) -> Option<&str> {
        self.0.phone_region.as_deref()
    }
    /// What its events are, before the names that everybody uses.
    async fn rules(&self) -> Vec<EventRule> {
        let rules = self.0.rules.iter();
        rules.map(|rule| EventRule { event: rule.event.clone(), kind: rule.kind.into() }).collect()
    }
    /// Whether it may send.
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
    /// Until when the earlier write key is valid beside the current one; null where it is not any more.
    async fn previous_key_until(&self, ctx: &Context<'_>) -> Option<DateTime<Utc>> {
        self.0.previous_until(ctx.app().env.now())
    }
    /// What it sent, in the order of arrival.
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<IngestedEventState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, IngestedEventNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let found = event_page(ctx, Some(self.0.id), states, &page).await?;
        Ok(connection(found, |event| event.id, IngestedEventNode))
    }
}

/// An event as it came. Kept for ninety days.
pub struct IngestedEventNode(pub domain::IngestedEvent);

/// An event as it came. Kept for ninety days.
#[Object(name = "IngestedEvent")]
impl IngestedEventNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Where it came from.
    async fn source(&self, ctx: &Context<'_>) -> Option<Result<EventSourceNode, ApiError>> {
        let source = ctx.load(self.0.source).await.map_err(ApiError::from).transpose()?;
        Some(source.map(EventSourceNode))
    }
    /// What a repetition of it is known by.
    async fn message_id(&self) -> &str {
        &self.0.message_id
    }
    /// What it says; null where that could not be read.
    async fn kind(&self) -> Option<IngestedEventKind> {
        self.0.kind.map(Into::into)
    }
    /// Where it stands.
    async fn state(&self) -> IngestedEventState {
        self.0.state.into()
    }
    /// Why it was not applied, or what of it was left out.
    async fn fault(&self) -> Option<IngestedEventFault> {
        let domain::Fault { code, message } = self.0.fault.clone()?;
        Some(IngestedEventFault { code, message })
    }
    /// When it happened, by the sender's clock set right.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }
    /// When it came.
    async fn received_at(&self) -> DateTime<Utc> {
        self.0.received_at
    }
    /// As it came: JSON. Of one that is too large, the first 48 KiB.
    async fn payload(&self) -> &str {
        &self.0.payload
    }
}
