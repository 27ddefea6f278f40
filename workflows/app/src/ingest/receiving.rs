//! Taking events in: stored as they came, in one write, before anything is made of them.

use crate::{Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::decision::{Decision, Fact, Job};
use tandem_domain::id::{EventBatchId, EventSourceId};
use tandem_domain::ingest::{IngestedEvent, State};
use tandem_store::Tx;
use tandem_store::ingest::Arrived;

/// The events of one source that are stored, and later applied, together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parcel {
    /// Where they came from.
    pub source: EventSourceId,
    /// What they are stored as.
    pub batch: EventBatchId,
    /// The events, in the order in which they came.
    pub events: Vec<IngestedEvent>,
}

/// Stores events, each once for its source and message id. Tandem's own: the write key was checked before.
#[derive(Debug, Clone, Serialize)]
pub struct EventsReceive {
    /// What came, from one source or several.
    pub parcels: Vec<Parcel>,
}

impl Command for EventsReceive {
    const NAME: &'static str = "eventsReceive";
    type Output = Arrived;

    async fn decide(&self, _: &Tx, call: &Call, env: &Env) -> Result<Decision<Arrived>> {
        let now = call.now(env);
        let mut decision = Decision::unchanged(Arrived::default());
        for Parcel { source, batch, events } in &self.parcels {
            let quarantined = events.iter().filter(|event| event.state == State::Quarantined).count();
            let fact = Fact::ledger("events.received", *batch)
                .with("source", source)
                .with("events", events.len())
                .with("quarantined", quarantined);
            decision = decision.record(fact);
            if quarantined < events.len() {
                decision = decision.plan(Job::ApplyEvents { source: *source, batch: *batch }, now);
            }
            decision.next.0.extend(events.iter().cloned());
        }
        Ok(decision)
    }
}
