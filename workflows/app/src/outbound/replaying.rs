//! Delivering once more: one, or all that failed since a moment.

use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::decision::{Decision, Fact, Job};
use tandem_domain::id::{OutboundDeliveryId, OutboundWebhookId};
use tandem_domain::outbound::{OutboundDelivery, OutboundWebhook, Refusal, State, delivery};
use tandem_store::Tx;

/// How many deliveries are brought back in one transaction.
const AT_ONCE: u64 = 200;

async fn active(tx: &Tx, id: OutboundWebhookId) -> Result<OutboundWebhook> {
    let webhook: OutboundWebhook =
        tx.peek(id).await?.ok_or(AppError::NotFound { what: "OutboundWebhook", id: id.into() })?;
    if webhook.is_active() { Ok(webhook) } else { Err(Refusal::Off { key: webhook.key }.into()) }
}

/// Delivers one event once more, under the same message id.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundDeliveryReplay {
    /// The delivery.
    pub delivery: OutboundDeliveryId,
}

impl Command for OutboundDeliveryReplay {
    const NAME: &'static str = "outboundDeliveryReplay";
    type Output = OutboundDelivery;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<OutboundDelivery>> {
        let now = call.now(env);
        let missing = || AppError::NotFound { what: "OutboundDelivery", id: self.delivery.into() };
        let before: OutboundDelivery = tx.get(self.delivery).await?.ok_or_else(missing)?;
        let webhook = active(tx, before.webhook).await?;
        let from = before.state;
        if webhook.ordered {
            tx.take_outbound_turns(&[(before.webhook, before.subject)]).await?;
        }
        // In an ordered webhook it goes when those about the same thing that are on their way have gone.
        let waits = webhook.ordered && tx.outbound_next(&before).await?.is_some();
        Ok(delivery::replayed(delivery::replay(before, now), from, (!waits).then_some(now)))
    }
}

/// Delivers everything that failed since a moment once more, part by part.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundWebhookReplay {
    /// The webhook.
    pub webhook: OutboundWebhookId,
    /// What came about before is left alone.
    pub since: DateTime<Utc>,
}

impl Command for OutboundWebhookReplay {
    const NAME: &'static str = "outboundWebhookReplay";
    type Output = ();

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<()>> {
        let webhook = active(tx, self.webhook).await?;
        let fact = Fact::audit("outbound_webhook.replay_begun", webhook.id)
            .with("key", &webhook.key)
            .with("since", self.since);
        let (webhook, since, until) = (webhook.id, self.since, call.now(env));
        Ok(Decision::new((), fact).plan(Job::ReplayWebhook { webhook, since, until, after: None }, until))
    }
}

/// Brings a part of what failed back, and plans the rest. Tandem's own.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundWebhookReplayPart {
    /// The webhook.
    pub webhook: OutboundWebhookId,
    /// From when on.
    pub since: DateTime<Utc>,
    /// What came about after the replay was asked for is not its business.
    pub until: DateTime<Utc>,
    /// The last delivery of the part before.
    pub after: Option<OutboundDeliveryId>,
}

impl Command for OutboundWebhookReplayPart {
    const NAME: &'static str = "outboundWebhookReplayPart";
    type Output = Vec<OutboundDelivery>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Vec<OutboundDelivery>>> {
        let now = call.now(env);
        let webhook = active(tx, self.webhook).await?;
        let failed = tx.outbound_failed(self.webhook, (self.since, self.until), self.after, AT_ONCE).await?;
        let last = failed.last().map(|delivery| delivery.id);
        let more = failed.len() as u64 == AT_ONCE;
        let fact = Fact::audit("outbound_webhook.replayed", self.webhook).with("deliveries", failed.len());
        let mut decision = Decision::new(Vec::with_capacity(failed.len()), fact);
        let mut waiting = std::collections::BTreeSet::new();
        if webhook.ordered {
            let about: Vec<_> = failed.iter().map(|delivery| (delivery.webhook, delivery.subject)).collect();
            tx.take_outbound_turns(&about).await?;
        }
        for before in failed {
            debug_assert_eq!(before.state, State::Failed);
            let replayed = delivery::replay(before, now);
            // In an ordered webhook the first goes, and brings the next one along; or whoever is on the way brings it.
            let goes =
                !webhook.ordered || (waiting.insert(replayed.subject) && tx.outbound_next(&replayed).await?.is_none());
            if goes {
                decision = decision.plan_under(replayed.limit_key(), replayed.job(), now);
            }
            decision.next.push(replayed);
        }
        if more {
            let job = Job::ReplayWebhook { webhook: self.webhook, since: self.since, until: self.until, after: last };
            decision = decision.plan(job, now);
        }
        Ok(decision)
    }
}
