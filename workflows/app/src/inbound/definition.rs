//! Commands on the definitions of inbound webhooks.

use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::access::{Role, User};
use tandem_domain::decision::Decision;
use tandem_domain::id::{InboundWebhookId, UserId};
use tandem_domain::inbound::{self, Draft, InboundWebhook, Refusal, Scheme, Secret};
use tandem_store::Tx;

/// The sender's secret where one was given, else a new one.
fn secret(given: Option<&str>, scheme: Scheme, env: &Env) -> Result<Secret> {
    match given {
        Some(text) => Ok(Secret::given(scheme, text).ok_or(Refusal::BadSecret { scheme })?),
        None => {
            let mut bytes = [0; 32];
            env.chance.fill(&mut bytes);
            Ok(Secret::of_bytes(scheme, &bytes))
        }
    }
}

/// Refuses a user who cannot act for a webhook or another sender: people have roles for which a machine should not stand in.
pub(crate) fn check_actor(user: Option<&User>) -> std::result::Result<(), &'static str> {
    match user {
        None => Err("there is no such user"),
        Some(user) if !user.active => Err("the user may not act any more"),
        Some(user) if !user.roles.contains(&Role::Integration) => Err("the user has not the role INTEGRATION"),
        Some(_) => Ok(()),
    }
}

/// Saves an inbound webhook under its key.
#[derive(Clone, Serialize)]
pub struct InboundWebhookSave {
    /// The definition.
    pub draft: Draft,
    /// The secret of a new webhook, where its sender chose one; by default one is made. An existing one keeps its own.
    pub secret: Option<String>,
}

impl Command for InboundWebhookSave {
    const NAME: &'static str = "inboundWebhookSave";
    type Output = InboundWebhook;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<InboundWebhook>> {
        let now = call.now(env);
        let before = tx.inbound_webhook_with_key(&self.draft.key).await?;
        if before.is_some() && self.secret.is_some() {
            let message = "the webhook is there and has its secret; rotate it to give another one";
            return Err(AppError::refused("INBOUND_SECRET_SET", message, Some("secret")));
        }
        let acts_as: UserId = self.draft.acts_as;
        check_actor(tx.peek::<User>(acts_as).await?.as_ref()).map_err(|problem| {
            let message = format!("{problem}; name an active user with the role INTEGRATION");
            AppError::refused("INBOUND_ACTOR_UNFIT", message, Some("actsAs"))
        })?;
        let secret = secret(self.secret.as_deref(), self.draft.scheme, env)?;
        Ok(inbound::save(before.as_ref(), env.id(now), self.draft.clone(), secret, now)?)
    }
}

/// Gives an inbound webhook a new secret.
#[derive(Clone, Serialize)]
pub struct InboundWebhookRotateSecret {
    /// The webhook.
    pub webhook: InboundWebhookId,
    /// The new secret, where the sender chose one; by default one is made.
    pub secret: Option<String>,
    /// How long the earlier secret stays valid beside it, in hours: 0 to 168.
    pub overlap_hours: u32,
    /// Whether a secret from a rotation before, which is still within its time, ends now. Without it the rotation is refused then.
    pub end_previous: bool,
}

impl Command for InboundWebhookRotateSecret {
    const NAME: &'static str = "inboundWebhookRotateSecret";
    type Output = InboundWebhook;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<InboundWebhook>> {
        let missing = || AppError::NotFound { what: "InboundWebhook", id: self.webhook.into() };
        let webhook: InboundWebhook = tx.get(self.webhook).await?.ok_or_else(missing)?;
        let secret = secret(self.secret.as_deref(), webhook.scheme, env)?;
        Ok(inbound::rotate(webhook, secret, (self.overlap_hours, self.end_previous), call.now(env))?)
    }
}
