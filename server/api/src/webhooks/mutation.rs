//! Changes of inbound webhooks.

use super::types::{InboundActionKind, InboundDeliveryNode, InboundTrial, InboundWebhookNode, InboundWebhookScheme};
use crate::context::ContextExt;
use crate::error::{ApiError, UserError, split, within};
use crate::ids::{local, local_opt};
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Json, Object, SimpleObject};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tandem_app::{AppError, InboundDeliveryReplay, InboundWebhookRotateSecret, InboundWebhookSave};
use tandem_domain::id::{InboundDeliveryId, InboundWebhookId};
use tandem_domain::inbound::{self, ActionDraft, Draft, InboundDelivery, InboundWebhook, Secret};
use uuid::Uuid;

/// One action of an inbound webhook.
#[derive(InputObject)]
pub struct InboundActionInput {
    /// What it does.
    kind: InboundActionKind,
    /// The condition for it, in CEL; by default always.
    when: Option<String>,
    /// Field -> expression in CEL over `payload`, `headers` and `delivery`. One that gives null or an empty text leaves the
    /// field out.
    values: Json<BTreeMap<String, String>>,
    /// Whether the other actions are done although this one is refused.
    #[graphql(default)]
    optional: bool,
}

/// The definition of an inbound webhook.
#[derive(InputObject)]
pub struct InboundWebhookDraftInput {
    /// The last part of its address: 1 to 64 lower-case letters, digits and inner hyphens.
    key: String,
    /// The name to show, 1 to 120 characters.
    name: String,
    /// How deliveries are verified; fixed once saved.
    scheme: InboundWebhookScheme,
    /// In whose name its actions are done: a user with the role INTEGRATION.
    acts_as: ID,
    /// The country that phone numbers without a country code are dialled from: ISO 3166-1, two letters.
    phone_region: Option<String>,
    /// What a repetition of a delivery is known by, in CEL; by default the sender's header.
    delivery_id: Option<String>,
    /// Only deliveries for which this holds are acted on, in CEL; by default all.
    filter: Option<String>,
    /// What is done, in order; all of it or nothing. 1 to 10.
    actions: Vec<InboundActionInput>,
    /// Whether it takes deliveries.
    #[graphql(default = true)]
    active: bool,
}

impl InboundWebhookDraftInput {
    fn read(self) -> Result<Draft, AppError> {
        let actions = self.actions.into_iter().map(|action| ActionDraft {
            kind: action.kind.into(),
            when: action.when,
            values: action.values.0,
            optional: action.optional,
        });
        Ok(Draft {
            key: self.key,
            name: self.name,
            scheme: self.scheme.into(),
            acts_as: local(&self.acts_as, "actsAs")?,
            phone_region: self.phone_region,
            delivery_id: self.delivery_id,
            filter: self.filter,
            actions: actions.collect(),
            active: self.active,
        })
    }
}

/// An inbound webhook to save under its key.
#[derive(InputObject)]
pub struct InboundWebhookSaveInput {
    /// The definition.
    webhook: InboundWebhookDraftInput,
    /// The secret of a new webhook, where its sender chose one; by default one is made.
    secret: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// An inbound webhook that shall have a new secret.
#[derive(InputObject)]
pub struct InboundWebhookRotateSecretInput {
    /// The webhook.
    webhook_id: ID,
    /// The new secret, where the sender chose one; by default one is made.
    secret: Option<String>,
    /// How long the earlier secret stays valid beside it, in hours: 0 to 168.
    #[graphql(default = 24)]
    overlap_hours: u32,
    /// Whether a secret from a rotation before, which is still within its time, ends now. Without it the rotation is refused then,
    /// since two secrets are valid at a time.
    #[graphql(default)]
    end_previous: bool,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A delivery to handle once more.
#[derive(InputObject)]
pub struct InboundDeliveryReplayInput {
    /// The delivery.
    delivery_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// What to try: one of a saved webhook and a draft, with one of a stored delivery and a payload.
#[derive(InputObject)]
pub struct InboundWebhookTryInput {
    /// A saved webhook.
    webhook_id: Option<ID>,
    /// A definition that is not saved yet.
    draft: Option<InboundWebhookDraftInput>,
    /// A stored delivery, whose headers and body are used.
    delivery_id: Option<ID>,
    /// A payload: a JSON object.
    payload: Option<Json<Map<String, Value>>>,
    /// The headers beside a payload, by their names in small letters.
    headers: Option<Json<BTreeMap<String, String>>>,
}

payload! {
    /// What `inboundDeliveryReplay` did.
    InboundDeliveryReplayPayload {
        /// The delivery, to be handled again.
        delivery: InboundDeliveryNode,
    }
    /// What `inboundWebhookTry` found.
    InboundWebhookTryPayload {
        /// What the webhook would do.
        trial: InboundTrial,
    }
}

/// A webhook, and its secret where it is new.
#[derive(SimpleObject)]
pub struct InboundWebhookSavePayload {
    /// The webhook that was saved.
    webhook: Option<InboundWebhookNode>,
    /// Its secret, shown this once; null where the webhook was there before.
    secret: Option<String>,
    /// What the caller can mend; empty when the change was made.
    user_errors: Vec<UserError>,
}

/// A webhook and its new secret.
#[derive(SimpleObject)]
pub struct InboundWebhookRotateSecretPayload {
    /// The webhook after the change.
    webhook: Option<InboundWebhookNode>,
    /// The new secret, shown this once.
    secret: Option<String>,
    /// What the caller can mend; empty when the change was made.
    user_errors: Vec<UserError>,
}

/// The current secret of a webhook.
fn secret_of(webhook: &InboundWebhook, created: chrono::DateTime<chrono::Utc>) -> Option<String> {
    webhook.secrets(created).first().map(|secret| secret.reveal().to_owned())
}

/// Changes of inbound webhooks.
#[derive(Default)]
pub struct InboundMutation;

#[Object]
impl InboundMutation {
    /// Saves an inbound webhook under its key: a new one gets a secret, which is shown this once.
    async fn inbound_webhook_save(
        &self,
        ctx: &Context<'_>,
        input: InboundWebhookSaveInput,
    ) -> Result<InboundWebhookSavePayload, ApiError> {
        let done = async {
            let command = InboundWebhookSave { draft: input.webhook.read()?, secret: input.secret };
            ctx.run(input.idempotency_key, command).await
        };
        // The secret stands beside the definition, everything else within it.
        let done = done.await.map_err(|error| {
            let of_secret = matches!(&error, AppError::Refused { field: Some(field), .. } if field == "secret");
            if of_secret { error } else { within(error, "webhook") }
        });
        Ok(match split(done)? {
            Ok(webhook) => {
                let secret = secret_of(&webhook, webhook.created_at).filter(|_| webhook.revision == 1);
                let webhook = Some(InboundWebhookNode(webhook));
                InboundWebhookSavePayload { webhook, secret, user_errors: Vec::new() }
            }
            Err(user_errors) => InboundWebhookSavePayload { webhook: None, secret: None, user_errors },
        })
    }

    /// Gives an inbound webhook a new secret, which is shown this once. The earlier one stays valid for `overlapHours`; while one
    /// from a rotation before is within its time, a further rotation needs `endPrevious`.
    async fn inbound_webhook_rotate_secret(
        &self,
        ctx: &Context<'_>,
        input: InboundWebhookRotateSecretInput,
    ) -> Result<InboundWebhookRotateSecretPayload, ApiError> {
        let done = async {
            let command = InboundWebhookRotateSecret {
                webhook: local(&input.webhook_id, "webhookId")?,
                secret: input.secret,
                overlap_hours: input.overlap_hours,
                end_previous: input.end_previous,
            };
            ctx.run(input.idempotency_key, command).await
        };
        Ok(match split(done.await)? {
            Ok(webhook) => {
                let secret = secret_of(&webhook, webhook.created_at);
                let webhook = Some(InboundWebhookNode(webhook));
                InboundWebhookRotateSecretPayload { webhook, secret, user_errors: Vec::new() }
            }
            Err(user_errors) => InboundWebhookRotateSecretPayload { webhook: None, secret: None, user_errors },
        })
    }

    /// Handles a delivery once more, under the webhook as it is now.
    async fn inbound_delivery_replay(
        &self,
        ctx: &Context<'_>,
        input: InboundDeliveryReplayInput,
    ) -> Result<InboundDeliveryReplayPayload, ApiError> {
        let done = async {
            let command = InboundDeliveryReplay { delivery: local(&input.delivery_id, "deliveryId")? };
            ctx.run(input.idempotency_key, command).await
        };
        InboundDeliveryReplayPayload::of(done.await.map(InboundDeliveryNode))
    }

    /// Shows what a webhook would do with a payload, down to the refusals of the commands, and does none of it. SALES_OPS
    /// and ADMIN only.
    async fn inbound_webhook_try(
        &self,
        ctx: &Context<'_>,
        input: InboundWebhookTryInput,
    ) -> Result<InboundWebhookTryPayload, ApiError> {
        InboundWebhookTryPayload::of(trial(ctx, input).await)
    }
}

async fn trial(ctx: &Context<'_>, input: InboundWebhookTryInput) -> Result<InboundTrial, AppError> {
    let call = ctx.call(None)?;
    call.actor.may("inboundWebhookTry")?;
    let app = ctx.app();
    let choose = |field: &str, sentence: &str| AppError::refused("INBOUND_TRY_CHOICE", sentence, Some(field));
    let saved: Option<InboundWebhookId> = local_opt(input.webhook_id.as_ref(), "webhookId")?;
    let webhook: InboundWebhook = match (saved, input.draft) {
        (Some(id), None) => {
            let missing = AppError::NotFound { what: "InboundWebhook", id: id.into() };
            app.store.find(id).await?.ok_or(missing)?
        }
        (None, Some(draft)) => {
            let draft = draft.read().map_err(|error| within(error, "draft"))?;
            // Nothing is verified by it.
            let secret = Secret::of_bytes(draft.scheme, &[0; 32]);
            let saved = inbound::save(None, InboundWebhookId(Uuid::nil()), draft, secret, app.env.now());
            saved.map_err(|refusal| within(refusal.into(), "draft"))?.next
        }
        _ => return Err(choose("webhookId", "give a saved webhook or a draft, one of them")),
    };
    let stored: Option<InboundDeliveryId> = local_opt(input.delivery_id.as_ref(), "deliveryId")?;
    let (headers, payload) = match (stored, input.payload) {
        (Some(id), None) => {
            let missing = || AppError::NotFound { what: "InboundDelivery", id: id.into() };
            let delivery: InboundDelivery = app.store.find(id).await?.ok_or_else(missing)?;
            let raw = app.store.inbound_raw(delivery.id).await?.ok_or_else(missing)?;
            (raw.headers, serde_json::from_str(&raw.body).unwrap_or_default())
        }
        (None, Some(payload)) => (input.headers.map(|headers| headers.0).unwrap_or_default(), payload.0),
        _ => return Err(choose("payload", "give a stored delivery or a payload, one of them")),
    };
    Ok(app.try_inbound(&call, &webhook, headers, payload).await?.into())
}
