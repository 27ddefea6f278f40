//! One delivery to an inbound webhook: stored as it came, handled once, and again when somebody asks for it.

use super::{ActionKind, Fault, InboundWebhook, Refusal, Verdict};
use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{InboundDeliveryId, InboundWebhookId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

codes! {
    /// Where a delivery stands.
    pub enum State("delivery state") {
        /// Stored, and to be handled.
        Received = "RECEIVED",
        /// Its actions were done.
        Done = "DONE",
        /// The webhook's filter did not let it pass.
        Filtered = "FILTERED",
        /// Nothing was done, for the reason given. It can be replayed.
        Failed = "FAILED",
    }
}

codes! {
    /// What became of an action.
    pub enum Outcome("action outcome") {
        /// It made something.
        Created = "CREATED",
        /// It changed something.
        Changed = "CHANGED",
        /// Everything was as it should be.
        Unchanged = "UNCHANGED",
        /// Its condition did not hold.
        Skipped = "SKIPPED",
        /// It was refused, and was optional.
        Refused = "REFUSED",
    }
}

/// What a request carried, as it came. Values of headers that hold secrets are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Raw {
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body, which is a JSON object.
    pub body: String,
}

/// What one action did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The action.
    pub kind: ActionKind,
    /// What became of it.
    pub outcome: Outcome,
    /// The type name of what it made, changed or found.
    pub subject_kind: Option<String>,
    /// The id of that.
    pub subject: Option<Uuid>,
    /// Why it was refused, where it was.
    pub fault: Option<Fault>,
}

/// A delivery to an inbound webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundDelivery {
    /// Its id.
    pub id: InboundDeliveryId,
    /// To which webhook.
    pub webhook: InboundWebhookId,
    /// What a repetition of it is known by; unique for its webhook.
    pub key: String,
    /// Where it stands.
    pub state: State,
    /// What the check of its signature gave.
    pub verdict: Verdict,
    /// The size of its body, in bytes.
    pub size: u64,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// How often it was begun to be handled by somebody's wish, the first time included.
    pub round: u32,
    /// The webhook's revision that it was handled under last.
    pub under: Option<u32>,
    /// What was done, action by action.
    pub done: Vec<Done>,
    /// Why nothing was done.
    pub fault: Option<Fault>,
    /// Why the webhook's own expression told no id of it: then it is known by the sender's header, or as a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_fault: Option<Fault>,
    /// When it was handled last.
    pub settled_at: Option<DateTime<Utc>>,
    /// As it came; only at hand in the transaction that stores it.
    #[serde(skip)]
    pub raw: Option<Raw>,
}

/// A delivery that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The new id.
    pub id: InboundDeliveryId,
    /// What a repetition is known by.
    pub key: String,
    /// Why the webhook's own expression told no id.
    pub id_fault: Option<Fault>,
    /// What the check gave.
    pub verdict: Verdict,
    /// As it came.
    pub raw: Raw,
}

/// How the handling of a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The actions were done.
    Done(Vec<Done>),
    /// The filter did not let it pass.
    Filtered,
    /// Nothing was done.
    Failed(Fault),
}

/// Takes a delivery in.
pub fn receive(webhook: &InboundWebhook, arrival: Arrival, now: DateTime<Utc>) -> Decision<InboundDelivery> {
    let Arrival { id, key, id_fault, verdict, raw } = arrival;
    let delivery = InboundDelivery {
        id,
        webhook: webhook.id,
        key,
        state: State::Received,
        verdict,
        size: raw.body.len() as u64,
        received_at: now,
        round: 1,
        under: None,
        done: Vec::new(),
        fault: None,
        id_fault,
        settled_at: None,
        raw: Some(raw),
    };
    let fact = Fact::ledger("inbound_delivery.received", id)
        .with("webhook", &webhook.key)
        .with("key", &delivery.key)
        .with("verdict", &delivery.verdict)
        .with("id_fault", delivery.id_fault.as_ref().map(|fault| &fault.code));
    let job = delivery.job();
    Decision::new(delivery, fact).plan(job, now)
}

impl InboundDelivery {
    /// The job that handles it in this round.
    pub const fn job(&self) -> Job {
        Job::RunInboundDelivery { delivery: self.id, round: self.round }
    }

    /// Whether a job of this round has still to handle it.
    pub fn awaits(&self, round: u32) -> bool {
        self.state == State::Received && self.round == round
    }
}

/// Records how the handling of a delivery ended, under this revision of the webhook with this key.
pub fn settle(
    mut delivery: InboundDelivery,
    (key, revision): (&str, u32),
    end: End,
    now: DateTime<Utc>,
) -> Result<Decision<InboundDelivery>, Refusal> {
    if delivery.state != State::Received {
        return Err(Refusal::Settled { state: delivery.state });
    }
    let (state, done, fault) = match end {
        End::Done(done) => (State::Done, done, None),
        End::Filtered => (State::Filtered, Vec::new(), None),
        End::Failed(fault) => (State::Failed, Vec::new(), Some(fault)),
    };
    let mut fact = Fact::ledger("inbound_delivery.settled", delivery.id)
        .moved(delivery.state, state)
        .under(format!("inbound:{key}@{revision}"))
        .with("done", &done);
    if let Some(fault) = &fault {
        fact = fact.because(&fault.code).with("fault", fault);
    }
    delivery.state = state;
    delivery.under = Some(revision);
    delivery.done = done;
    delivery.fault = fault;
    delivery.settled_at = Some(now);
    Ok(Decision::new(delivery, fact))
}

/// Handles a delivery once more, under the webhook as it is now. One that is still to be handled gets a job anew, which makes
/// the job before obsolete: that one may have been called off or given up.
pub fn replay(mut delivery: InboundDelivery, now: DateTime<Utc>) -> Decision<InboundDelivery> {
    let fact = Fact::ledger("inbound_delivery.replayed", delivery.id).moved(delivery.state, State::Received);
    delivery.state = State::Received;
    delivery.round += 1;
    let job = delivery.job();
    Decision::new(delivery, fact).plan(job, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;
    use crate::inbound::signature::SecretUsed;
    use crate::inbound::{ActionDraft, Draft, Scheme, Secret, save};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn webhook() -> InboundWebhook {
        let action =
            ActionDraft { kind: ActionKind::ContactUpsert, when: None, values: BTreeMap::new(), optional: false };
        let draft = Draft {
            key: "form".to_owned(),
            name: "Form".to_owned(),
            scheme: Scheme::Github,
            acts_as: UserId(Uuid::nil()),
            phone_region: None,
            delivery_id: None,
            filter: None,
            actions: vec![action],
            active: true,
        };
        save(None, Uuid::max().into(), draft, Secret::of_bytes(Scheme::Github, &[1; 32]), now()).unwrap().next
    }

    fn received() -> Decision<InboundDelivery> {
        let verdict = Verdict { scheme: Scheme::Github, secret: SecretUsed::Current, signed_at: None };
        let raw = Raw { headers: BTreeMap::new(), body: "{}".to_owned() };
        receive(
            &webhook(),
            Arrival { id: Uuid::max().into(), key: "d1".to_owned(), id_fault: None, verdict, raw },
            now(),
        )
    }

    #[test]
    fn a_delivery_is_handled_once_a_round() {
        let decision = received();
        assert_eq!(decision.jobs[0].job, Job::RunInboundDelivery { delivery: Uuid::max().into(), round: 1 });
        let delivery = decision.next;
        assert!(delivery.awaits(1) && !delivery.awaits(2));
        let fault = Fault::new("filter", "X", "y");
        let failed = settle(delivery, ("form", 1), End::Failed(fault.clone()), now()).unwrap().next;
        assert_eq!((failed.state, &failed.fault, failed.under), (State::Failed, &Some(fault), Some(1)));
        assert!(!failed.awaits(1));
        let twice = settle(failed.clone(), ("form", 1), End::Filtered, now()).unwrap_err();
        assert_eq!(twice, Refusal::Settled { state: State::Failed });
        let again = replay(failed, now());
        assert_eq!(again.jobs[0].job, Job::RunInboundDelivery { delivery: Uuid::max().into(), round: 2 });
        let filtered = settle(again.next, ("form", 1), End::Filtered, now()).unwrap().next;
        assert_eq!((filtered.state, filtered.fault), (State::Filtered, None));
    }

    #[test]
    fn what_came_is_not_part_of_what_is_shown() {
        let stored = serde_json::to_value(received().next).unwrap();
        assert!(stored.get("raw").is_none() && stored["size"] == 2, "{stored}");
    }
}
