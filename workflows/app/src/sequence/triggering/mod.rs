//! Sequences that start by themselves, and runs that hear of what happens.
//!
//! The ledger is the outbox, as it is for webhooks: [`relaying`] reads on from where everybody came and writes jobs together
//! with how far it came. [`starting`] starts whom a trigger means, [`hearing`] tells runs; both go part by part, and a part
//! ends its job, plans the next and changes what it changes in one transaction. So nothing is lost and nothing happens twice,
//! whatever is killed when.

mod candidates;
mod hearing;
mod relaying;
mod starting;

pub use starting::TriggerStart;

use crate::{Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::decision::{Decision, Job};
use tandem_domain::sequence::Enrollment;
use tandem_store::Tx;
use tandem_store::trigger::TriggerNotes;

/// Everything that a decision about a run records carries the run's rule. So a trigger knows what its own sequence did.
pub(super) fn made_by_run<T>(decision: Decision<T>, run: impl Fn(&T) -> &Enrollment) -> Decision<T> {
    let rule = format!("sequence:{}", run(&decision.next).rule);
    let mut decision = decision;
    for fact in &mut decision.facts {
        fact.rule.get_or_insert_with(|| rule.clone());
    }
    decision
}

/// Ends a part of a look: what a trigger notes, and the part that follows. Tandem's own.
#[derive(Serialize)]
struct PartEnd {
    #[serde(skip)]
    notes: Option<TriggerNotes>,
    #[serde(skip)]
    next: Option<(Job, DateTime<Utc>)>,
}

impl Command for PartEnd {
    const NAME: &'static str = "triggerPartEnd";
    type Output = Option<TriggerNotes>;

    /// What a trigger remembers and whom it passed over is its own book-keeping: facts are the runs that it starts.
    async fn decide(&self, _: &Tx, _: &Call, _: &Env) -> Result<Decision<Self::Output>> {
        let decision = Decision::unchanged(self.notes.clone());
        Ok(match self.next.clone() {
            Some((job, due)) => decision.plan(job, due),
            None => decision,
        })
    }
}
