//! From the ledger to the webhooks that want to be told.
//!
//! The ledger is the outbox: an entry is there if and only if what it tells of is, and the entries are in one order without
//! gaps. Whoever relays reads on from where everybody came, and writes the deliveries together with how far they came; of
//! several nodes that try it at once, one succeeds.

use crate::{App, AppError, Result};
use serde_json::Value;
use tandem_domain::decision::Planned;
use tandem_domain::id::global;
use tandem_domain::ledger::Entry;
use tandem_domain::outbound::{OutboundDelivery, OutboundWebhook, delivery};
use tandem_store::StoreError;
use tandem_store::outbound::Relayed;

/// How many entries are relayed in one transaction.
const AT_ONCE: u64 = 200;

/// Whether the webhook's filter lets an event pass. One that cannot be worked out does: better told too much than kept from.
fn passes(webhook: &OutboundWebhook, event: &Value) -> bool {
    let Some(filter) = &webhook.filter else { return true };
    match filter.holds(event) {
        Ok(holds) => holds,
        Err(error) => {
            tracing::warn!(webhook = webhook.key, %error, "the filter of a webhook could not be worked out");
            true
        }
    }
}

/// Each entry with the webhooks that are told of it, and what is sent.
fn wanted(webhooks: &[OutboundWebhook], entries: Vec<Entry>) -> Vec<(Entry, String, Vec<usize>)> {
    let mut wanted = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.book == "LEDGER") {
        let hears = |webhook: &OutboundWebhook| webhook.hears(&entry.kind, entry.seq);
        if !webhooks.iter().any(hears) {
            continue;
        }
        let event = delivery::event(&entry, global);
        let told = webhooks.iter().enumerate().filter(|(_, webhook)| hears(webhook) && passes(webhook, &event));
        let told: Vec<usize> = told.map(|(place, _)| place).collect();
        if !told.is_empty() {
            wanted.push((entry, delivery::body(event), told));
        }
    }
    wanted
}

impl App {
    /// Relays a part of what the ledger has grown by. Gives how many entries were looked at: none where there was nothing to
    /// do, or another node did it.
    pub async fn relay_events(&self) -> Result<usize> {
        let webhooks = self.store.outbound_listeners().await?;
        let Some(since) = webhooks.iter().map(|webhook| webhook.since).min() else { return Ok(0) };
        let told = self.store.outbound_cursor().await?;
        let from = told.unwrap_or(since).max(since);
        let entries: Vec<Entry> =
            self.store.ledger_after(from, AT_ONCE).await?.into_iter().map(|link| link.entry).collect();
        let Some(to) = entries.last().map(|entry| entry.seq) else { return Ok(0) };
        let looked = entries.len();
        // Read behind the entries: a webhook that was saved before one of them is among these.
        let webhooks = self.store.outbound_listeners().await?;
        let listeners = webhooks.clone();
        // Aside from the threads that keep leases: filters over many events take their time.
        let wanted = tokio::task::spawn_blocking(move || wanted(&listeners, entries)).await;
        let wanted = wanted.map_err(|error| {
            tracing::error!(%error, "what webhooks want could not be worked out; it is tried again");
            AppError::from(StoreError::Conflict)
        })?;
        let now = self.env.now();
        let mut relayed = Relayed { from: told, to, ordered: Vec::new(), free: Vec::new() };
        for (entry, body, places) in wanted {
            for webhook in places.into_iter().filter_map(|place| webhooks.get(place)) {
                let delivery = OutboundDelivery::of(self.env.id(now), webhook, &entry, body.clone(), now);
                let part = if webhook.ordered { &mut relayed.ordered } else { &mut relayed.free };
                part.push(delivery);
            }
        }
        let plan = |delivery: &OutboundDelivery| Planned {
            limit_key: Some(delivery.limit_key()),
            ..Planned::new(delivery.job(), now)
        };
        Ok(if self.store.relay(relayed, plan).await? { looked } else { 0 })
    }
}
