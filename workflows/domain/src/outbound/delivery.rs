//! One event on its way to one webhook.

use super::retry;
use super::{Disabled, OutboundWebhook, Refusal};
use crate::codes;
use crate::decision::{Decision, Fact, Job, Subject};
use crate::id::{OutboundDeliveryId, OutboundWebhookId};
use crate::ledger::Entry;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// The largest body, in bytes. Source: the Standard Webhooks specification advises less than 20 kB.
pub const MAX_BODY: usize = 20_000;
/// How many attempts are kept of a delivery.
const KEPT: usize = 20;
/// How often a delivery has failed before it tells that its webhook is gone: over some hours, by the usual waits.
const INSISTED: u32 = 5;
/// How long a webhook may fail without one success before it is switched off.
pub const PATIENCE: TimeDelta = TimeDelta::days(5);

codes! {
    /// Where a delivery stands.
    pub enum State("delivery state") {
        /// To be delivered, perhaps not for the first time.
        Pending = "PENDING",
        /// The receiver took it.
        Delivered = "DELIVERED",
        /// It is not tried any more. It can be replayed.
        Failed = "FAILED",
    }
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// The HTTP status of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it failed: a stable code, where there was no answer.
    pub code: Option<String>,
    /// The beginning of the answer, or a sentence about why there was none.
    pub message: String,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What is kept of it.
    pub attempt: Attempt,
    /// How long the receiver asked to be left alone.
    pub retry_after: Option<TimeDelta>,
}

/// An event for a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundDelivery {
    /// Its id; with `msg_` before it, that of the message, which stays the same however often it is sent.
    pub id: OutboundDeliveryId,
    /// To which webhook.
    pub webhook: OutboundWebhookId,
    /// The entry of the ledger that it tells of; negative for a test.
    pub seq: i64,
    /// The type of the event.
    pub kind: String,
    /// The thing that it is about: what the order of an ordered webhook goes by.
    pub subject: Uuid,
    /// Where it stands.
    pub state: State,
    /// How often it was begun to be delivered by somebody's wish, the first time included.
    pub round: u32,
    /// How often it failed in this round.
    pub failures: u32,
    /// The last tries, the latest last.
    pub attempts: Vec<Attempt>,
    /// When it is tried again; none where it is not, or waits for those before it.
    pub next_at: Option<DateTime<Utc>>,
    /// When it came about.
    pub created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub settled_at: Option<DateTime<Utc>>,
    /// What is sent; only at hand in the transaction that stores it.
    #[serde(skip)]
    pub body: Option<String>,
}

/// What is told of an entry of the ledger: `type`, `timestamp` and `data`. Ids are those of the API; `global` makes them.
pub fn event(entry: &Entry, global: impl Fn(&str, Uuid) -> String) -> Value {
    let id = |kind: &str, id: Option<Uuid>| id.map(|id| global(kind, id));
    let at = DateTime::from_timestamp_millis(entry.at).unwrap_or_default();
    json!({
        "type": entry.kind,
        "timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "data": {
            "seq": entry.seq,
            "subject": { "type": entry.subject_kind, "id": global(&entry.subject_kind, entry.subject_id) },
            "lead": id("Lead", entry.lead_id),
            "account": id("Account", entry.account_id),
            "actor": { "id": id("User", entry.actor_id), "role": entry.actor_role, "side": entry.side },
            "from": entry.state_before,
            "to": entry.state_after,
            "reason": entry.reason,
            "rule": entry.rule,
            "detail": entry.detail,
        },
    })
}

/// The event as it is sent. Where the details make it too large they are left out, which `truncated` says: the receiver finds
/// them by `seq`.
pub fn body(mut event: Value) -> String {
    let text = event.to_string();
    if text.len() <= MAX_BODY {
        return text;
    }
    event["data"]["detail"] = Value::Null;
    event["data"]["truncated"] = Value::Bool(true);
    event.to_string()
}

impl OutboundDelivery {
    /// An event of the ledger for a webhook. Where that has failed, the event is kept until somebody replays it.
    pub fn of(
        id: OutboundDeliveryId,
        webhook: &OutboundWebhook,
        entry: &Entry,
        body: String,
        now: DateTime<Utc>,
    ) -> Self {
        let new = Self::new(id, webhook, (entry.seq, &entry.kind, entry.subject_id), body, now);
        if webhook.is_active() {
            return new;
        }
        let attempt = Attempt {
            at: now,
            took_ms: 0,
            status: None,
            code: Some("WEBHOOK_OFF".to_owned()),
            message: "the webhook was off when this happened".to_owned(),
        };
        Self { state: State::Failed, attempts: vec![attempt], next_at: None, settled_at: Some(now), ..new }
    }

    /// Something to be delivered now.
    pub fn new(
        id: OutboundDeliveryId,
        webhook: &OutboundWebhook,
        (seq, kind, subject): (i64, &str, Uuid),
        body: String,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            webhook: webhook.id,
            seq,
            kind: kind.to_owned(),
            subject,
            state: State::Pending,
            round: 1,
            failures: 0,
            attempts: Vec::new(),
            next_at: Some(now),
            created_at: now,
            settled_at: None,
            body: Some(body),
        }
    }

    /// The id of the message, the same however often it is sent.
    pub fn message(&self) -> String {
        format!("msg_{}", Uuid::from(self.id).simple())
    }

    /// The job that delivers it in this round.
    pub const fn job(&self) -> Job {
        Job::DeliverWebhook { delivery: self.id, round: self.round }
    }

    /// Whether a job of this round has still to deliver it.
    pub fn awaits(&self, round: u32) -> bool {
        self.state == State::Pending && self.round == round
    }

    /// What the limits on one webhook count its jobs under.
    pub fn limit_key(&self) -> String {
        self.webhook.to_string()
    }
}

/// Records how a try ended, and what follows: nothing, another try, or the end of the webhook. `draw` is from 0 up to 1.
pub fn settle(
    mut delivery: OutboundDelivery,
    mut webhook: OutboundWebhook,
    outcome: Outcome,
    (schedule, draw): (&[TimeDelta], f64),
    now: DateTime<Utc>,
) -> Result<Decision<(OutboundDelivery, Option<OutboundWebhook>)>, Refusal> {
    if delivery.state != State::Pending {
        return Err(Refusal::NotSo { state: delivery.state });
    }
    let Outcome { attempt, retry_after } = outcome;
    let status = attempt.status;
    let before = webhook.clone();
    let mut fact = Fact::audit("outbound_delivery.attempted", delivery.id)
        .with("webhook", &webhook.key)
        .with("status", status)
        .with("code", &attempt.code);
    delivery.attempts.push(attempt);
    let kept = delivery.attempts.len().saturating_sub(KEPT);
    delivery.attempts.drain(..kept);
    delivery.next_at = None;
    let mut operational = Vec::new();
    if status.is_some_and(|status| (200..300).contains(&status)) {
        delivery.state = State::Delivered;
        webhook.failing_since = None;
    } else {
        delivery.failures += 1;
        let since = webhook.failing_since.unwrap_or(now);
        if webhook.is_active() {
            webhook.failing_since = Some(since);
        }
        let off = match status {
            Some(410) => Some(Disabled::Gone),
            // A quiet webhook whose last event failed long ago is not off at the first failure of the next one.
            _ if now - since >= PATIENCE && delivery.failures >= INSISTED => Some(Disabled::Failing),
            _ => None,
        };
        if webhook.is_active() && before.failing_since.is_none() {
            operational.push(Fact::ledger("outbound_webhook.failing", webhook.id).with("key", &webhook.key));
        }
        if let Some(off) = off.filter(|_| webhook.is_active()) {
            webhook.disabled = Some(off);
            webhook.revision += 1;
            operational.push(
                Fact::ledger("outbound_webhook.disabled", webhook.id)
                    .because(off)
                    .with("key", &webhook.key)
                    .with("failing_since", since),
            );
        }
        if webhook.is_active() {
            delivery.next_at = retry::next(schedule, delivery.failures, draw, retry_after, now);
        }
        if delivery.next_at.is_none() {
            delivery.state = State::Failed;
        }
    }
    if delivery.state != State::Pending {
        fact = fact.moved(State::Pending, delivery.state);
        delivery.settled_at = Some(now);
    }
    let (next_at, job, key) = (delivery.next_at, delivery.job(), delivery.limit_key());
    let changed = (webhook != before).then_some(webhook);
    let mut decision = Decision::new((delivery, changed), fact);
    for fact in operational {
        decision = decision.record(fact);
    }
    Ok(match next_at {
        Some(at) => decision.plan_under(key, job, at),
        None => decision,
    })
}

/// Delivers once more what was delivered or given up, under the same id.
pub fn replay(mut delivery: OutboundDelivery, now: DateTime<Utc>) -> OutboundDelivery {
    delivery.state = State::Pending;
    delivery.round += 1;
    delivery.failures = 0;
    delivery.next_at = Some(now);
    delivery.settled_at = None;
    delivery
}

/// Records a replay; the job falls due where it is to go now.
pub fn replayed(delivery: OutboundDelivery, from: State, due: Option<DateTime<Utc>>) -> Decision<OutboundDelivery> {
    let fact = Fact::audit("outbound_delivery.replayed", Subject::from(delivery.id)).moved(from, delivery.state);
    let (job, key) = (delivery.job(), delivery.limit_key());
    let decision = Decision::new(delivery, fact);
    match due {
        Some(due) => decision.plan_under(key, job, due),
        None => decision,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, save, secret};
    use super::*;
    use proptest::prelude::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::hours(hours)
    }

    fn webhook() -> OutboundWebhook {
        let draft = Draft {
            key: "crm".to_owned(),
            name: "CRM".to_owned(),
            url: "https://crm.example.com".to_owned(),
            types: vec!["*".to_owned()],
            filter: None,
            ordered: false,
            active: true,
        };
        save(None, Uuid::max().into(), draft, (secret(&[1; 32]), 0), at(0)).unwrap().next
    }

    fn delivery() -> OutboundDelivery {
        OutboundDelivery::new(Uuid::nil().into(), &webhook(), (1, "lead.lost", Uuid::nil()), "{}".to_owned(), at(0))
    }

    fn outcome(status: u16) -> Outcome {
        let attempt = Attempt { at: at(0), took_ms: 1, status: Some(status), code: None, message: String::new() };
        Outcome { attempt, retry_after: None }
    }

    fn schedule() -> Vec<TimeDelta> {
        retry::USUAL.iter().map(|seconds| TimeDelta::seconds((*seconds).into())).collect()
    }

    #[test]
    fn only_2xx_is_delivered_and_410_is_the_end() {
        let settled = |status| settle(delivery(), webhook(), outcome(status), (&schedule(), 0.5), at(0)).unwrap();
        for status in [200, 204, 299] {
            let (delivery, changed) = settled(status).next;
            assert_eq!((delivery.state, changed), (State::Delivered, None), "{status}");
        }
        for status in [199, 301, 302, 400, 429, 500] {
            let decision = settled(status);
            assert_eq!((decision.next.0.state, decision.jobs.len()), (State::Pending, 1), "{status}");
            assert_eq!(decision.jobs[0].due, at(0) + TimeDelta::seconds(5));
            assert_eq!(decision.next.1.unwrap().failing_since, Some(at(0)));
        }
        let gone = settled(410);
        let kinds: Vec<&str> = gone.facts.iter().map(|fact| fact.kind).collect();
        assert_eq!(kinds, ["outbound_delivery.attempted", "outbound_webhook.failing", "outbound_webhook.disabled"]);
        let (delivery, webhook) = gone.next;
        assert_eq!((delivery.state, webhook.unwrap().disabled), (State::Failed, Some(Disabled::Gone)));
        assert!(gone.jobs.is_empty());
    }

    #[test]
    fn five_days_of_failures_are_the_end_and_one_success_begins_anew() {
        let failing = OutboundWebhook { failing_since: Some(at(0)), ..webhook() };
        let at_the_first = settle(delivery(), failing.clone(), outcome(500), (&schedule(), 0.5), at(900));
        assert_eq!(at_the_first.unwrap().next.1, None, "a quiet webhook is not off at the first failure");
        let long = OutboundDelivery { failures: INSISTED - 1, ..delivery() };
        let end =
            |hours| settle(long.clone(), failing.clone(), outcome(500), (&schedule(), 0.5), at(hours)).unwrap().next.1;
        assert_eq!(end(119), None, "nothing about the webhook changed");
        assert_eq!(end(120).unwrap().disabled, Some(Disabled::Failing));
        let mended = settle(delivery(), failing, outcome(200), (&schedule(), 0.5), at(119)).unwrap().next.1;
        assert_eq!(mended.unwrap().failing_since, None);
    }

    #[test]
    fn what_is_too_large_says_that_it_was_cut() {
        let small = json!({ "type": "x", "data": { "detail": { "a": 1 } } });
        assert_eq!(body(small.clone()), small.to_string());
        let cut: Value =
            serde_json::from_str(&body(json!({ "type": "x", "data": { "seq": 1, "detail": "y".repeat(MAX_BODY) } })))
                .unwrap();
        assert_eq!(
            (&cut["data"]["truncated"], &cut["data"]["seq"], &cut["data"]["detail"]),
            (&json!(true), &json!(1), &Value::Null)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// However a receiver answers: a delivery is tried at most once more than the schedule has waits, it ends, and the
        /// next try is never in the past.
        #[test]
        fn every_delivery_ends(answers in proptest::collection::vec(prop_oneof![Just(500u16), Just(200), Just(410), Just(429)], 12)) {
            let (mut delivery, mut webhook, mut now, mut tries) = (delivery(), webhook(), at(0), 0);
            for status in answers {
                if delivery.state != State::Pending { break; }
                tries += 1;
                let decision = settle(delivery, webhook.clone(), outcome(status), (&schedule(), 0.9), now).unwrap();
                let (next, changed) = decision.next;
                webhook = changed.unwrap_or(webhook);
                prop_assert_eq!(decision.jobs.len(), usize::from(next.state == State::Pending));
                if let Some(at) = next.next_at {
                    prop_assert!(at > now);
                    now = at;
                }
                delivery = next;
            }
            prop_assert!(delivery.state != State::Pending && tries <= 10, "{:?} after {}", delivery.state, tries);
            prop_assert!(delivery.settled_at.is_some());
        }
    }
}
