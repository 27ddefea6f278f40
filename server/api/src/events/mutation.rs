//! Changes of senders of events.

use super::types::{EventSourceNode, EventSourceTrust};
use crate::context::ContextExt;
use crate::error::{ApiError, UserError, split};
use crate::ids::local;
use crate::interactions::InteractionKind;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use tandem_app::AppError;
use tandem_domain::ingest::{EventRule, EventSource, SourceDraft};

/// What an event by a name is.
#[derive(InputObject)]
pub struct EventRuleInput {
    /// The name in the sender's words, 1 to 200 characters; case and punctuation do not count.
    event: String,
    /// What it is.
    kind: InteractionKind,
}

/// A sender of events to save under its key.
#[derive(InputObject)]
pub struct EventSourceSaveInput {
    /// What it is known by among sources: 1 to 64 lower-case letters, digits and inner hyphens.
    key: String,
    /// The name to show, 1 to 120 characters.
    name: String,
    /// How far it is believed.
    trust: EventSourceTrust,
    /// In whose name people and companies are written: a user with the role INTEGRATION.
    acts_as: ID,
    /// The system that its user ids are ids of: a contact with that external id is the user.
    #[graphql(default_with = "String::from(\"app\")")]
    user_system: String,
    /// The country that phone numbers without a country code are dialled from: ISO 3166-1, two letters.
    phone_region: Option<String>,
    /// What its events are, before the names that everybody uses. At most 200.
    #[graphql(default)]
    rules: Vec<EventRuleInput>,
    /// Whether it may send.
    #[graphql(default = true)]
    active: bool,
    /// Repeats of the same key and input within 24 hours give the same payload, without the write key.
    idempotency_key: Option<String>,
}

/// A sender of events that shall have a new write key.
#[derive(InputObject)]
pub struct EventSourceRotateKeyInput {
    /// The sender.
    source_id: ID,
    /// How long the earlier write key stays valid beside it, in hours: 0 to 2,160.
    #[graphql(default = 168)]
    overlap_hours: u32,
    /// Whether a write key from a rotation before, which is still within its time, ends now. Without it the rotation is refused then,
    /// since two write keys are valid at a time.
    #[graphql(default)]
    end_previous: bool,
    /// Repeats of the same key and input within 24 hours give the same payload, without the write key.
    idempotency_key: Option<String>,
}

/// A sender of events, and its write key where that is new.
#[derive(SimpleObject)]
pub struct EventSourceSavePayload {
    /// The sender that was saved.
    source: Option<EventSourceNode>,
    /// Its write key, shown this once; null where the sender was there before.
    write_key: Option<String>,
    /// What the caller can mend; empty when the change was made.
    user_errors: Vec<UserError>,
}

/// A sender of events and its new write key.
#[derive(SimpleObject)]
pub struct EventSourceRotateKeyPayload {
    /// The sender after the change.
    source: Option<EventSourceNode>,
    /// The new write key, shown this once.
    write_key: Option<String>,
    /// What the caller can mend; empty when the change was made.
    user_errors: Vec<UserError>,
}

/// What was done, and the write key where there is one to show.
type Done = (Option<EventSourceNode>, Option<String>, Vec<UserError>);

fn done(result: Result<(EventSource, Option<String>), AppError>) -> Result<Done, ApiError> {
    Ok(match split(result)? {
        Ok((source, write_key)) => (Some(EventSourceNode(source)), write_key, Vec::new()),
        Err(user_errors) => (None, None, user_errors),
    })
}

/// Changes of senders of events.
#[derive(Default)]
pub struct EventMutation;

#[Object]
impl EventMutation {
    /// Saves a sender of events under its key: a new one gets a write key, which is shown this once.
    async fn event_source_save(
        &self,
        ctx: &Context<'_>,
        input: EventSourceSaveInput,
    ) -> Result<EventSourceSavePayload, ApiError> {
        let save = async {
            let rules = input.rules.into_iter();
            let draft = SourceDraft {
                key: input.key,
                name: input.name,
                trust: input.trust.into(),
                acts_as: local(&input.acts_as, "actsAs")?,
                user_system: input.user_system,
                phone_region: input.phone_region,
                rules: rules.map(|rule| EventRule { event: rule.event, kind: rule.kind.into() }).collect(),
                active: input.active,
            };
            ctx.app().save_event_source(&ctx.call(input.idempotency_key)?, draft).await
        };
        let (source, write_key, user_errors) = done(save.await)?;
        Ok(EventSourceSavePayload { source, write_key, user_errors })
    }

    /// Gives a sender of events a new write key, which is shown this once. The earlier one stays valid for `overlapHours`;
    /// while one from a rotation before is within its time, a further rotation needs `endPrevious`.
    async fn event_source_rotate_key(
        &self,
        ctx: &Context<'_>,
        input: EventSourceRotateKeyInput,
    ) -> Result<EventSourceRotateKeyPayload, ApiError> {
        let rotate = async {
            let source = local(&input.source_id, "sourceId")?;
            let call = ctx.call(input.idempotency_key)?;
            ctx.app().rotate_event_source_key(&call, source, (input.overlap_hours, input.end_previous)).await
        };
        let (source, write_key, user_errors) = done(rotate.await)?;
        Ok(EventSourceRotateKeyPayload { source, write_key, user_errors })
    }
}
