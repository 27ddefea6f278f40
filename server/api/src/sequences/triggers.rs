//! What starts sequences by themselves, and whom that passed over.

use super::types::SequenceNode;
use crate::accounts::ContactNode;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{global, local_opt};
use crate::leads::LeadNode;
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tandem_domain::sequence::trigger::{Skip, Trigger};
use tandem_store::trigger::TriggerSkipFilter;

/// What starts a sequence by itself.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceTrigger {
    /// Its name within the sequence, which stays the same over versions that leave it as it is, e.g. `event_3f9a1c0b7e`.
    key: String,
    /// Its kind, e.g. `event`.
    kind: String,
    /// The condition, in CEL; null where everybody is meant.
    when: Option<String>,
    /// The values that a run gets, each by its expression in CEL.
    vars: Json<Map<String, Value>>,
    /// The settings of its kind, as in the definition.
    settings: Json<Map<String, Value>>,
}

impl From<&Trigger> for SequenceTrigger {
    fn from(trigger: &Trigger) -> Self {
        let settings = match serde_json::to_value(&trigger.kind) {
            Ok(Value::Object(mut settings)) => {
                settings.remove("kind");
                settings
            }
            _ => Map::new(),
        };
        Self {
            key: trigger.key(),
            kind: trigger.kind.name().to_owned(),
            when: trigger.when.clone(),
            vars: Json(trigger.vars.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()),
            settings: Json(settings),
        }
    }
}

/// The last time that a trigger meant a person and no run began.
pub struct TriggerSkipNode(pub Skip);

/// The last time that a trigger meant a person and no run began: why somebody was not enrolled.
#[Object(name = "TriggerSkip")]
impl TriggerSkipNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The sequence.
    async fn sequence(&self, ctx: &Context<'_>) -> Option<Result<SequenceNode, ApiError>> {
        let sequence = ctx.load(self.0.sequence).await.map_err(ApiError::from).transpose()?;
        Some(sequence.map(SequenceNode))
    }
    /// The key of the trigger.
    async fn trigger(&self) -> &str {
        &self.0.trigger
    }
    /// The person.
    async fn contact(&self, ctx: &Context<'_>) -> Option<Result<ContactNode, ApiError>> {
        let contact = ctx.load(self.0.contact).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }
    /// The lead, where one was meant.
    async fn lead(&self, ctx: &Context<'_>) -> Option<Result<LeadNode, ApiError>> {
        let lead = ctx.load(self.0.lead?).await.map_err(ApiError::from).transpose()?;
        Some(lead.map(LeadNode))
    }
    /// The stable code of the refusal, e.g. `ENROLLMENT_EXISTS`.
    async fn code(&self) -> &str {
        &self.0.code
    }
    /// Why, and what to do about it.
    async fn message(&self) -> &str {
        &self.0.message
    }
    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
}

/// Which people that triggers passed over to read. Every condition given must hold.
#[derive(InputObject, Default)]
pub struct TriggerSkipFilterInput {
    /// By triggers of this sequence.
    sequence_id: Option<ID>,
    /// By the trigger with this key.
    trigger: Option<String>,
    /// This person.
    contact_id: Option<ID>,
    /// With this code.
    code: Option<String>,
}

/// Reads of triggers.
#[derive(Default)]
pub struct TriggerQuery;

#[Object]
impl TriggerQuery {
    /// Whom triggers meant and did not enrol, in the order in which that happened last. Kept for ninety days.
    async fn trigger_skips(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which ones; absent means all.", default)] filter: TriggerSkipFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, TriggerSkipNode>, ApiError> {
        let filter = TriggerSkipFilter {
            sequence: local_opt(filter.sequence_id.as_ref(), "filter.sequenceId")?,
            trigger: filter.trigger,
            contact: local_opt(filter.contact_id.as_ref(), "filter.contactId")?,
            code: filter.code,
        };
        let skips = ctx.app().store.trigger_skip_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(skips, |skip| skip.id, TriggerSkipNode))
    }
}
