//! Recording what people did.

use super::types::{InteractionKind, InteractionNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Json, Object};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tandem_app::InteractionRecord;
use tandem_domain::interaction::Draft;

/// What a person did.
#[derive(InputObject)]
pub struct InteractionRecordInput {
    /// The person.
    contact_id: ID,
    /// What was done.
    kind: InteractionKind,
    /// Its name, 1 to 200 characters, e.g. the page's or the event's.
    name: String,
    /// When it happened; by default now. Not ahead.
    occurred_at: Option<DateTime<Utc>>,
    /// How long it took, in seconds: 0 to 86,400.
    seconds: Option<u32>,
    /// The address of the page or the link, at most 2,000 characters.
    url: Option<String>,
    /// Anything else, at most 48 KiB.
    properties: Option<Json<Map<String, Value>>>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `interactionRecord` did.
    InteractionRecordPayload {
        /// What was recorded.
        interaction: InteractionNode,
    }
}

/// Recording what people did.
#[derive(Default)]
pub struct InteractionMutation;

#[Object]
impl InteractionMutation {
    /// Records what a person did.
    async fn interaction_record(
        &self,
        ctx: &Context<'_>,
        input: InteractionRecordInput,
    ) -> Result<InteractionRecordPayload, ApiError> {
        let done = async {
            let draft = Draft {
                kind: input.kind.into(),
                name: input.name,
                occurred_at: input.occurred_at,
                seconds: input.seconds,
                url: input.url,
                properties: input.properties.map(|properties| properties.0).unwrap_or_default(),
            };
            let command = InteractionRecord { contact: local(&input.contact_id, "contactId")?, draft, known_by: None };
            ctx.run(input.idempotency_key, command).await
        };
        InteractionRecordPayload::of(done.await.map(|written| InteractionNode(written.record)))
    }
}
