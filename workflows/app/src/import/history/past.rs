//! A command of the past: the same rules at the moment when it happened, with its timers in the future.

use crate::{Call, Command, Env, QueueRules, Result};
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use std::sync::Arc;
use tandem_domain::decision::Decision;
use tandem_domain::lead::Patience;
use tandem_store::Tx;

/// Runs a command so that nothing it plans falls due before `resume`.
///
/// What happened next is in the file, not for timers to find out: years of them would all fire when the server starts.
/// Timers are not dropped either. What the file leaves unfinished would then be moved by nobody, ever.
pub struct Past<C> {
    /// The command.
    pub command: C,
    /// When Tandem takes up what the file leaves unfinished.
    pub resume: DateTime<Utc>,
}

impl<C: Serialize> Serialize for Past<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.command.serialize(serializer)
    }
}

impl<C: Command> Command for Past<C> {
    const NAME: &'static str = C::NAME;
    type Output = C::Output;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<C::Output>> {
        let env = patient(env, call.now(env), self.resume);
        let mut decision = self.command.decide(tx, call, &env).await?;
        for planned in &mut decision.jobs {
            planned.due = planned.due.max(self.resume);
        }
        Ok(decision)
    }
}

/// The same environment in which leads may stay where they are until `resume`.
fn patient(env: &Env, now: DateTime<Utc>, resume: DateTime<Utc>) -> Env {
    let hours = u32::try_from((resume - now).num_hours()).unwrap_or_default();
    let rules = &env.queue;
    let patience = Patience {
        triage_hours: hours.max(rules.policy.patience.triage_hours),
        queue_hours: hours.max(rules.policy.patience.queue_hours),
        dispatch_hours: hours.max(rules.policy.patience.dispatch_hours),
        ..rules.policy.patience.clone()
    };
    let policy = tandem_domain::verification::Policy { patience, ..rules.policy.clone() };
    Env { queue: Arc::new(QueueRules { checklist: rules.checklist.clone(), policy }), ..env.clone() }
}
