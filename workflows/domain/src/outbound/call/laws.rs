//! The laws of a call, over any order of beats.

use super::super::channel::{self, Draft, Provider};
use super::super::secret;
use super::*;
use crate::sequence::calling::{Keep, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn channel() -> OutboundChannel {
    let draft = Draft {
        key: "crm".to_owned(),
        name: "CRM".to_owned(),
        provider: Provider::Webhook,
        url: Some("https://crm.example.com/in?tenant=7".to_owned()),
        end_previous: false,
        secret: None,
        headers: Some([("authorization".to_owned(), "Bearer s3cret".to_owned())].into()),
    };
    channel::save(None, Uuid::nil().into(), &draft, secret(&[1; 32]), at(0)).unwrap().next
}

fn request(keep: Option<Keep>) -> Request {
    Request::Http {
        method: Method::Post,
        query: vec![("name".to_owned(), "A&B/ü".to_owned())],
        headers: vec![("authorization".to_owned(), "mine".to_owned()), ("x-round".to_owned(), "2".to_owned())],
        body: Some("{}".to_owned()),
        timeout_seconds: 5,
        keep,
    }
}

fn call() -> OutboundCall {
    let planned = PlannedCall {
        enrollment: Uuid::nil().into(),
        step: "ask".to_owned(),
        visit: 3,
        contact: Uuid::nil().into(),
        lead: None,
        account: None,
        channel: "crm".to_owned(),
        request: request(None),
        give_up_at: at(86_400),
    };
    plan(Uuid::max().into(), &channel(), &planned, at(0)).next
}

fn outcome(verdict: Verdict) -> Outcome {
    let attempt = Attempt { at: at(0), took_ms: 1, status: None, code: None, message: String::new() };
    Outcome { attempt, verdict }
}

fn taken() -> Outcome {
    outcome(Verdict::Taken(Value::Null))
}

fn later(after: Option<i64>) -> Outcome {
    let after = after.map(TimeDelta::seconds);
    outcome(Verdict::Later { code: "CALL_LIMITED", message: "later".to_owned(), after })
}

fn begun(call: OutboundCall, now: DateTime<Utc>) -> OutboundCall {
    let round = call.round;
    begin(call, round, Gate::Open, ChannelState::Active, now).unwrap().next
}

#[test]
fn what_is_sent_is_signed_and_a_value_cannot_leave_its_place() {
    let (call, channel) = (call(), channel());
    let outgoing = call.outgoing(&channel, at(0)).unwrap();
    assert_eq!(outgoing.url, "https://crm.example.com/in?tenant=7&name=A%26B%2F%C3%BC");
    let header = |name: &str| {
        let found: Vec<&str> =
            outgoing.headers.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect();
        found.join("|")
    };
    assert_eq!(header("authorization"), "Bearer s3cret", "the channel's own is not replaced");
    assert_eq!((header("x-round").as_str(), header("content-type").as_str()), ("2", "application/json"));
    assert_eq!(header("idempotency-key"), header("webhook-id"));
    assert!(header("webhook-signature").starts_with("v1,"));
    assert_eq!((outgoing.method, outgoing.timeout_seconds), ("POST", Some(5)));
    let again = begun(begun(call, at(1)), at(2));
    let second = again.outgoing(&channel, at(2)).unwrap();
    assert!(second.headers.contains(&("webhook-id".to_owned(), header("webhook-id"))), "the same id however often");
}

#[test]
fn what_was_begun_and_never_settled_is_begun_again_by_its_own_job_alone() {
    let first = begun(call(), at(1));
    assert_eq!((first.state, first.attempts), (CallState::Sending, 1));
    let second = begun(first.clone(), at(61));
    assert_eq!((second.state, second.attempts), (CallState::Sending, 2));
    assert_eq!(begin(second.clone(), 2, Gate::Open, ChannelState::Active, at(61)), Err(Refusal::Stale));
    // The first try failed, which says nothing about the second; had it succeeded, that would be known.
    assert_eq!(settle(second.clone(), 1, later(None), 0.5, at(62)), Err(Refusal::Stale));
    assert_eq!(settle(second.clone(), 1, taken(), 0.5, at(62)).unwrap().next.state, CallState::Succeeded);
    let done = settle(second, 2, taken(), 0.5, at(62)).unwrap().next;
    assert_eq!(settle(done.clone(), 2, taken(), 0.5, at(63)), Err(Refusal::Settled { state: CallState::Succeeded }));
    let again = begin(done, 1, Gate::Open, ChannelState::Active, at(63));
    assert_eq!(again, Err(Refusal::Settled { state: CallState::Succeeded }));
}

#[test]
fn a_run_that_does_not_wait_takes_the_call_back() {
    let decision = begin(call(), 1, Gate::Shut, ChannelState::Active, at(1)).unwrap();
    assert_eq!((decision.next.state, decision.jobs.len()), (CallState::Cancelled, 0));
    assert_eq!(decision.facts[0].kind, "outbound_call.cancelled");
}

#[test]
fn a_paused_channel_is_told_once_and_waited_for_until_it_is_given_up() {
    let (mut call, mut now, mut told) = (call(), at(0), 0);
    while call.state == CallState::Planned {
        let round = call.round;
        let decision = begin(call, round, Gate::Open, ChannelState::Paused, now).unwrap();
        told += decision.facts.iter().filter(|fact| fact.kind == "outbound_call.held").count();
        call = decision.next;
        now = call.next_at.unwrap_or(now);
    }
    let code = call.failure.map(|failure| failure.code);
    assert_eq!((told, call.state, code.as_deref()), (1, CallState::Failed, Some("CHANNEL_PAUSED")));
    assert!(now <= at(86_400) && call.attempts == 0);
}

#[test]
fn the_answer_is_kept_only_where_it_is_wanted_and_is_one() {
    let keep = Some(Keep { name: "crm".to_owned(), mapping: None });
    let wanted = OutboundCall { request: request(keep), ..call() };
    let answer = |status: u16, body: Body| Answer { status, retry_after: None, excerpt: String::new(), body };
    let whole = |text: &str| Body::Whole(text.as_bytes().to_vec());
    let of = |call: &OutboundCall, answer: &Answer| judge(call, Provider::Webhook, answer);
    assert_eq!(of(&wanted, &answer(200, whole(r#"{"a":1}"#))), Verdict::Taken(json!({"a": 1})));
    assert_eq!(of(&wanted, &answer(204, whole(" \n"))), Verdict::Taken(Value::Null));
    assert_eq!(of(&call(), &answer(200, whole("<html>"))), Verdict::Taken(Value::Null));
    for (answer, code) in [
        (answer(200, whole("<html>")), "CALL_ANSWER_NOT_JSON"),
        (answer(200, Body::TooLarge), "CALL_ANSWER_TOO_LARGE"),
        (answer(302, whole("")), "CALL_REDIRECTED"),
        (answer(401, whole("")), "CALL_CREDENTIALS_WRONG"),
        (answer(410, whole("")), "CALL_REFUSED"),
    ] {
        assert!(matches!(of(&wanted, &answer), Verdict::Never { code: said, .. } if said == code), "{code}");
    }
    for (answer, code) in [
        (answer(200, Body::BrokenOff), "WEBHOOK_BROKEN_OFF"),
        (answer(429, whole("")), "CALL_LIMITED"),
        (answer(503, whole("")), "CALL_NOT_TAKEN"),
        (answer(408, whole("")), "CALL_NOT_TAKEN"),
    ] {
        assert!(matches!(of(&wanted, &answer), Verdict::Later { code: said, .. } if said == code), "{code}");
    }
    assert!(matches!(Verdict::unsent("WEBHOOK_ADDRESS_REFUSED", String::new()), Verdict::Never { .. }));
    assert!(matches!(Verdict::unsent("WEBHOOK_TIMEOUT", String::new()), Verdict::Later { .. }));
}

#[derive(Debug, Clone)]
enum Beat {
    Begin(u32),
    Succeed(u32),
    Fail(u32, Option<i64>),
    Never(u32),
    Pause(u32),
}

fn beats() -> impl Strategy<Value = Vec<Beat>> {
    let beat = prop_oneof![
        4 => (0u32..6).prop_map(Beat::Begin),
        1 => (0u32..6).prop_map(Beat::Succeed),
        4 => (0u32..6, proptest::option::of(0i64..100_000)).prop_map(|(number, after)| Beat::Fail(number, after)),
        1 => (0u32..6).prop_map(Beat::Never),
        1 => (0u32..6).prop_map(Beat::Pause),
    ];
    proptest::collection::vec(beat, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_of_beats_a_call_ends_once_is_told_and_has_a_job_exactly_while_it_is_planned(
        beats in beats(), draw in 0.0f64..1.0
    ) {
        let (mut call, mut now, mut ends) = (call(), at(0), 0);
        for beat in beats {
            now += TimeDelta::seconds(30);
            let before = call.clone();
            let decided = match beat {
                Beat::Begin(behind) => begin(call.clone(), call.round.saturating_sub(behind / 3), Gate::Open, ChannelState::Active, now),
                Beat::Pause(behind) => begin(call.clone(), call.round.saturating_sub(behind / 3), Gate::Open, ChannelState::Paused, now),
                Beat::Succeed(behind) => settle(call.clone(), call.attempts.saturating_sub(behind / 2), taken(), draw, now),
                Beat::Fail(behind, after) => settle(call.clone(), call.attempts.saturating_sub(behind / 2), later(after), draw, now),
                Beat::Never(behind) => {
                    let never = outcome(Verdict::Never { code: "CALL_REFUSED", message: "no".to_owned() });
                    settle(call.clone(), call.attempts.saturating_sub(behind / 2), never, draw, now)
                }
            };
            let Ok(decision) = decided else { continue };
            prop_assert!(matches!(before.state, CallState::Planned | CallState::Sending), "an end is an end");
            call = decision.next;
            let planned = call.state == CallState::Planned;
            prop_assert_eq!((planned, planned), (decision.jobs.len() == 1, call.next_at.is_some()));
            prop_assert!(call.next_at.is_none_or(|at| at > now && at <= call.give_up_at));
            let ended = !matches!(call.state, CallState::Planned | CallState::Sending);
            prop_assert_eq!(ended, call.settled_at.is_some());
            prop_assert!(ended != (call.failure.is_none() && call.state != CallState::Succeeded));
            ends += u32::from(ended);
            prop_assert!(!decision.facts.is_empty() || (before.held && call.held));
            prop_assert!(call.tries.len() <= KEPT && call.attempts >= before.attempts);
        }
        prop_assert!(ends <= 1);
    }
}
