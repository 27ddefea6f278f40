//! Commands on the definitions of outbound webhooks.

use crate::{AppError, Call, Command, Env, Result};
use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::json;
use tandem_domain::decision::{Decision, Fact};
use tandem_domain::id::OutboundWebhookId;
use tandem_domain::inbound::Secret;
use tandem_domain::outbound::{self, Draft, OutboundDelivery, OutboundWebhook, Refusal};
use tandem_store::Tx;

fn new_secret(env: &Env) -> Secret {
    let mut bytes = [0; 32];
    env.chance.fill(&mut bytes);
    outbound::secret(&bytes)
}

/// Saves an outbound webhook under its key. A new one gets a secret.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundWebhookSave {
    /// The definition.
    pub draft: Draft,
}

impl Command for OutboundWebhookSave {
    const NAME: &'static str = "outboundWebhookSave";
    type Output = OutboundWebhook;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<OutboundWebhook>> {
        let now = call.now(env);
        let checked = env.hooks.sender.check(self.draft.url.trim());
        checked.map_err(|unsent| AppError::refused(unsent.code, unsent.message, Some("url")))?;
        let before = tx.outbound_webhook_with_key(&self.draft.key).await?;
        let head = tx.ledger_seq().await?;
        Ok(outbound::save(before.as_ref(), env.id(now), self.draft.clone(), (new_secret(env), head), now)?)
    }
}

async fn load(tx: &Tx, id: OutboundWebhookId) -> Result<OutboundWebhook> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "OutboundWebhook", id: id.into() })
}

/// Gives an outbound webhook a new secret.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundWebhookRotateSecret {
    /// The webhook.
    pub webhook: OutboundWebhookId,
    /// Whether a secret from a rotation before, which is still within its time, ends now. Without it the rotation is refused then.
    pub end_previous: bool,
}

impl Command for OutboundWebhookRotateSecret {
    const NAME: &'static str = "outboundWebhookRotateSecret";
    type Output = OutboundWebhook;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<OutboundWebhook>> {
        Ok(outbound::rotate(load(tx, self.webhook).await?, new_secret(env), self.end_previous, call.now(env))?)
    }
}

/// Sends an outbound webhook something to see whether it answers.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundWebhookTest {
    /// The webhook.
    pub webhook: OutboundWebhookId,
}

impl Command for OutboundWebhookTest {
    const NAME: &'static str = "outboundWebhookTest";
    type Output = OutboundDelivery;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<OutboundDelivery>> {
        let now = call.now(env);
        let webhook = load(tx, self.webhook).await?;
        if !webhook.is_active() {
            return Err(Refusal::Off { key: webhook.key }.into());
        }
        let body = json!({
            "type": outbound::TEST,
            "timestamp": now.to_rfc3339_opts(SecondsFormat::Millis, true),
            "data": { "webhook": webhook.key },
        });
        // No entry of the ledger stands behind it.
        let about = (-tx.outbound_tests(webhook.id).await? - 1, outbound::TEST, webhook.id.into());
        let delivery = OutboundDelivery::new(env.id(now), &webhook, about, body.to_string(), now);
        let fact = Fact::audit("outbound_delivery.tested", delivery.id).with("webhook", &webhook.key);
        let (job, key) = (delivery.job(), delivery.limit_key());
        Ok(Decision::new(delivery, fact).plan_under(key, job, now))
    }
}
