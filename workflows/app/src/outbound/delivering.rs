//! One try at a delivery: it is posted, and then recorded. A process that dies in between leads to another try with the same
//! message id, by which the receiver knows it.

use super::{Post, Reply};
use crate::{App, AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::id::OutboundDeliveryId;
use tandem_domain::outbound::{Attempt, OutboundDelivery, OutboundWebhook, Outcome, Refusal, State, delivery};
use tandem_store::Tx;

/// Records how a try ended. Tandem's own.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundDeliverySettle {
    /// The delivery.
    pub delivery: OutboundDeliveryId,
    /// The round that it was tried in.
    pub round: u32,
    /// How it ended.
    #[serde(skip)]
    pub outcome: Outcome,
}

impl Command for OutboundDeliverySettle {
    const NAME: &'static str = "outboundDeliverySettle";
    type Output = (OutboundDelivery, Option<OutboundWebhook>);

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Self::Output>> {
        let now = call.now(env);
        let missing = || AppError::NotFound { what: "OutboundDelivery", id: self.delivery.into() };
        let delivery: OutboundDelivery = tx.peek(self.delivery).await?.ok_or_else(missing)?;
        // Whoever brings events for the same thing sees this one's end, or this one sees them: none is forgotten in between.
        tx.take_outbound_turns(&[(delivery.webhook, delivery.subject)]).await?;
        let delivery: OutboundDelivery = tx.get(self.delivery).await?.ok_or_else(missing)?;
        if !delivery.awaits(self.round) {
            return Err(Refusal::NotSo { state: delivery.state }.into());
        }
        let gone = || AppError::NotFound { what: "OutboundWebhook", id: delivery.webhook.into() };
        let webhook: OutboundWebhook = tx.get(delivery.webhook).await?.ok_or_else(gone)?;
        let next = if webhook.ordered { tx.outbound_next(&delivery).await? } else { None };
        let by = (env.hooks.schedule.as_slice(), env.chance.fraction());
        let decision = delivery::settle(delivery, webhook, self.outcome.clone(), by, now)?;
        Ok(match next.filter(|_| decision.next.0.state != State::Pending) {
            // The one behind it may go.
            Some(next) => decision.plan_under(next.limit_key(), next.job(), now),
            None => decision,
        })
    }
}

impl App {
    /// Tries a delivery once. Whether there was anything to do.
    pub async fn deliver_webhook(&self, call: &Call, id: OutboundDeliveryId, round: u32) -> Result<bool> {
        let Some(delivery) = self.store.find::<OutboundDelivery>(id).await? else { return Ok(false) };
        if !delivery.awaits(round) {
            return Ok(false);
        }
        let missing = || AppError::NotFound { what: "OutboundWebhook", id: delivery.webhook.into() };
        let webhook: OutboundWebhook = self.store.find(delivery.webhook).await?.ok_or_else(missing)?;
        let at = call.now(&self.env);
        let failed = |code: &str, message: String| Attempt {
            at,
            took_ms: 0,
            status: None,
            code: Some(code.to_owned()),
            message,
        };
        let outcome = match self.store.outbound_body(id).await? {
            _ if !webhook.is_active() => {
                let attempt = failed("WEBHOOK_OFF", "the webhook is off".to_owned());
                Outcome { attempt, retry_after: None }
            }
            None => {
                let attempt = failed("WEBHOOK_BODY_GONE", "what was to be sent is not kept any more".to_owned());
                Outcome { attempt, retry_after: None }
            }
            Some(body) => {
                let headers = webhook.headers(&delivery.message(), &body, self.env.now());
                let began = self.env.now();
                let answer = self.env.hooks.sender.post(Post { url: webhook.url.clone(), headers, body }).await;
                let took_ms = u32::try_from((self.env.now() - began).num_milliseconds()).unwrap_or_default();
                match answer {
                    // None is followed: it could lead to where nothing is posted to.
                    Ok(Reply { status: status @ (301 | 302 | 303 | 307 | 308), retry_after, .. }) => {
                        let message = format!(
                            "the answer {status} is a redirect, and none is followed; save the webhook with the address that it \
                             leads to"
                        );
                        let attempt =
                            Attempt { took_ms, status: Some(status), ..failed("WEBHOOK_REDIRECTED", message) };
                        Outcome { attempt, retry_after }
                    }
                    Ok(Reply { status, retry_after, excerpt }) => {
                        let attempt = Attempt { at, took_ms, status: Some(status), code: None, message: excerpt };
                        Outcome { attempt, retry_after }
                    }
                    Err(unsent) => {
                        let attempt = Attempt { took_ms, ..failed(unsent.code, unsent.message) };
                        Outcome { attempt, retry_after: None }
                    }
                }
            }
        };
        self.run(call, OutboundDeliverySettle { delivery: id, round, outcome }).await?;
        Ok(true)
    }
}
