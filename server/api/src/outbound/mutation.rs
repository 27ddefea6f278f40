//! Changes of outbound webhooks.

use super::types::{OutboundDeliveryNode, OutboundWebhookNode};
use crate::context::ContextExt;
use crate::error::{ApiError, UserError, split};
use crate::ids::local;
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_app::{
    AppError, OutboundDeliveryReplay, OutboundWebhookReplay, OutboundWebhookRotateSecret, OutboundWebhookSave,
    OutboundWebhookTest,
};
use tandem_domain::id::OutboundWebhookId;
use tandem_domain::outbound::{Draft, OutboundWebhook};

/// An outbound webhook to save under its key.
#[derive(InputObject)]
pub struct OutboundWebhookSaveInput {
    /// What it is known by among webhooks: 1 to 64 lower-case letters, digits and inner hyphens.
    key: String,
    /// The name to show, 1 to 120 characters.
    name: String,
    /// Where to post to: an https address that is no private one.
    url: String,
    /// What it is told: 1 to 100 types of events (`outboundEventTypes`), families such as `handoff.*`, or `*`.
    types: Vec<String>,
    /// Only events for which this holds, in CEL over `type`, `timestamp` and `data`; by default all.
    filter: Option<String>,
    /// Whether events about one thing are delivered one after the other, in their order; fixed. One that fails holds up those behind
    /// it until it is delivered or given up.
    #[graphql(default)]
    ordered: bool,
    /// Whether it is told anything. Saving one that had failed as active switches it on again.
    #[graphql(default = true)]
    active: bool,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// An outbound webhook that shall have a new secret.
#[derive(InputObject)]
pub struct OutboundWebhookRotateSecretInput {
    /// The webhook.
    webhook_id: ID,
    /// Whether a secret from a rotation before, which is still within its time, ends now. Without it the rotation is refused then,
    /// since two secrets sign at a time.
    #[graphql(default)]
    end_previous: bool,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// An outbound webhook to try.
#[derive(InputObject)]
pub struct OutboundWebhookTestInput {
    /// The webhook.
    webhook_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// What shall be delivered once more.
#[derive(InputObject)]
pub struct OutboundWebhookReplayInput {
    /// The webhook.
    webhook_id: ID,
    /// Everything that came about from then on and failed.
    since: DateTime<Utc>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A delivery to make once more.
#[derive(InputObject)]
pub struct OutboundDeliveryReplayInput {
    /// The delivery.
    delivery_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `outboundWebhookTest` did.
    OutboundWebhookTestPayload {
        /// The test, on its way.
        delivery: OutboundDeliveryNode,
    }
    /// What `outboundWebhookReplay` did.
    OutboundWebhookReplayPayload {
        /// The webhook, whose failed deliveries are made once more, part by part.
        webhook: OutboundWebhookNode,
    }
    /// What `outboundDeliveryReplay` did.
    OutboundDeliveryReplayPayload {
        /// The delivery, on its way again.
        delivery: OutboundDeliveryNode,
    }
}

/// A webhook, and its secret where that is new.
#[derive(SimpleObject)]
pub struct OutboundWebhookSavePayload {
    /// The webhook that was saved.
    webhook: Option<OutboundWebhookNode>,
    /// Its secret, shown this once; null where the webhook was there before.
    secret: Option<String>,
    /// What the caller can mend; empty when the change was made.
    user_errors: Vec<UserError>,
}

/// A webhook and its new secret.
#[derive(SimpleObject)]
pub struct OutboundWebhookRotateSecretPayload {
    /// The webhook after the change.
    webhook: Option<OutboundWebhookNode>,
    /// The new secret, shown this once.
    secret: Option<String>,
    /// What the caller can mend; empty when the change was made.
    user_errors: Vec<UserError>,
}

/// The webhook, its secret as far as it is to be shown, and what the caller can mend.
type Done = (Option<OutboundWebhookNode>, Option<String>, Vec<UserError>);

fn done(result: Result<OutboundWebhook, AppError>, shows: impl Fn(&OutboundWebhook) -> bool) -> Result<Done, ApiError> {
    Ok(match split(result)? {
        Ok(webhook) => {
            let secret = webhook.secret().filter(|_| shows(&webhook)).map(|secret| secret.reveal().to_owned());
            (Some(OutboundWebhookNode(webhook)), secret, Vec::new())
        }
        Err(user_errors) => (None, None, user_errors),
    })
}

/// Changes of outbound webhooks.
#[derive(Default)]
pub struct OutboundMutation;

#[Object]
impl OutboundMutation {
    /// Saves an outbound webhook under its key: a new one gets a secret, which is shown this once.
    async fn outbound_webhook_save(
        &self,
        ctx: &Context<'_>,
        input: OutboundWebhookSaveInput,
    ) -> Result<OutboundWebhookSavePayload, ApiError> {
        let OutboundWebhookSaveInput { key, name, url, types, filter, ordered, active, idempotency_key } = input;
        let draft = Draft { key, name, url, types, filter, ordered, active };
        let saved = ctx.run(idempotency_key, OutboundWebhookSave { draft }).await;
        let (webhook, secret, user_errors) = done(saved, |webhook| webhook.revision == 1)?;
        Ok(OutboundWebhookSavePayload { webhook, secret, user_errors })
    }

    /// Gives an outbound webhook a new secret, which is shown this once. The earlier one signs too for a day; while one
    /// from a rotation before still signs, a further rotation needs `endPrevious`.
    async fn outbound_webhook_rotate_secret(
        &self,
        ctx: &Context<'_>,
        input: OutboundWebhookRotateSecretInput,
    ) -> Result<OutboundWebhookRotateSecretPayload, ApiError> {
        let rotate = async {
            let webhook = local(&input.webhook_id, "webhookId")?;
            let command = OutboundWebhookRotateSecret { webhook, end_previous: input.end_previous };
            ctx.run(input.idempotency_key, command).await
        };
        let (webhook, secret, user_errors) = done(rotate.await, |_| true)?;
        Ok(OutboundWebhookRotateSecretPayload { webhook, secret, user_errors })
    }

    /// Sends an outbound webhook something to see whether it answers.
    async fn outbound_webhook_test(
        &self,
        ctx: &Context<'_>,
        input: OutboundWebhookTestInput,
    ) -> Result<OutboundWebhookTestPayload, ApiError> {
        let test = async {
            let command = OutboundWebhookTest { webhook: local(&input.webhook_id, "webhookId")? };
            ctx.run(input.idempotency_key, command).await
        };
        OutboundWebhookTestPayload::of(test.await.map(OutboundDeliveryNode))
    }

    /// Delivers everything that failed since a moment once more, part by part, under the same message ids.
    async fn outbound_webhook_replay(
        &self,
        ctx: &Context<'_>,
        input: OutboundWebhookReplayInput,
    ) -> Result<OutboundWebhookReplayPayload, ApiError> {
        let replay = async {
            let webhook: OutboundWebhookId = local(&input.webhook_id, "webhookId")?;
            ctx.run(input.idempotency_key, OutboundWebhookReplay { webhook, since: input.since }).await?;
            let found: Option<OutboundWebhook> = ctx.load(webhook).await?;
            found.ok_or(AppError::NotFound { what: "OutboundWebhook", id: webhook.into() })
        };
        OutboundWebhookReplayPayload::of(replay.await.map(OutboundWebhookNode))
    }

    /// Delivers one event once more, under the same message id.
    async fn outbound_delivery_replay(
        &self,
        ctx: &Context<'_>,
        input: OutboundDeliveryReplayInput,
    ) -> Result<OutboundDeliveryReplayPayload, ApiError> {
        let replay = async {
            let command = OutboundDeliveryReplay { delivery: local(&input.delivery_id, "deliveryId")? };
            ctx.run(input.idempotency_key, command).await
        };
        OutboundDeliveryReplayPayload::of(replay.await.map(OutboundDeliveryNode))
    }
}
