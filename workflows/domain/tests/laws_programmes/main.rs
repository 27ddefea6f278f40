//! The laws of sequences over random programmes and random orders of events: whatever a programme says and whatever happens to
//! a run, no effect comes twice, none after the end or a suppression, none that reaches the person outside of the hours or above
//! a cap; a run that is moved to another version repeats no effect and skips none; nothing waits for ever; and a simulation
//! takes the way of a run.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod catching_up;
#[path = "../support/choices.rs"]
mod choices;
mod events;
mod found;
mod life;
mod moves;
mod oracle;
#[path = "../support/programmes.rs"]
mod programmes;

use choices::Choices;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use events::{Events, happen};
use life::{Person, versions};
use programmes::{Wanted, programme};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use tandem_domain::calendar::{Calendars, shipped};
use tandem_domain::contact_policy::{self, CapScope, ContactPolicy, FrequencyCap, PolicyDraft};
use tandem_domain::id::{ContactPolicyId, EnrollmentId};
use tandem_domain::sequence::enrollment::{EnrollmentState, FinishReason};
use tandem_domain::sequence::simulation::{MAX_LINES, sample, simulate};
use tandem_domain::sequence::{Effect, steps, validate};
use uuid::Uuid;

static CALENDARS: LazyLock<Calendars> = LazyLock::new(shipped);

const ANY: Wanted = Wanted { key: "programme", most: 9, loops: true, forks: true, exclusive: true };

/// In each of them the clocks change at some of the beginnings below, but for the one that never does.
const ZONES: [Tz; 6] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Asia__Shanghai,
    Tz::Africa__Casablanca,
];

/// Shortly before the clocks change somewhere.
const BEGINNINGS: [&str; 6] = [
    "2026-03-02T09:00:00Z",
    "2026-03-27T15:00:00Z",
    "2026-10-23T20:30:00Z",
    "2026-04-02T22:00:00Z",
    "2026-02-13T23:40:00Z",
    "2026-10-01T12:00:00Z",
];

fn drawn(most: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..2_520_u32, 0..most)
}

/// Random choices that are the same in every run of the test.
fn seeded(seed: u64) -> Choices {
    // SplitMix64.
    let next = |at: u64| {
        let state = (seed * 1_000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) >> 40).unwrap()
    };
    Choices::new((0..200).map(next).collect())
}

fn beginning(choices: &mut Choices) -> (Tz, DateTime<Utc>) {
    let (zone, from) = (*choices.of(&ZONES), *choices.of(&BEGINNINGS));
    (zone, from.parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(i64::try_from(choices.below(4_000)).unwrap()))
}

fn policy(caps: &[(CapScope, u32, u32)]) -> ContactPolicy {
    let caps = caps.iter().map(|(scope, most, hours)| FrequencyCap { scope: *scope, most: *most, hours: *hours });
    let draft = PolicyDraft { caps: caps.collect() };
    contact_policy::save(None, ContactPolicyId(Uuid::nil()), draft).unwrap().next
}

/// The sample, with what programmes ask for.
fn somebody(choices: &mut Choices) -> Value {
    let mut data = sample();
    if choices.once_in(2) {
        data["contact"]["phone"] = json!("+49 30 901820");
    }
    if choices.once_in(3) {
        data["contact"]["locale"] = json!("zh-CN");
    }
    if choices.once_in(3) {
        data["contact"]["tags"] = json!(["vip"]);
    }
    if choices.once_in(4) {
        data["account"] = Value::Null;
    }
    data
}

fn id(n: u128) -> EnrollmentId {
    EnrollmentId(Uuid::from_u128(n))
}

#[test]
fn random_programmes_have_steps_of_every_kind_and_all_that_a_header_says_and_break_no_rule() {
    let (mut kinds, mut said) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..400 {
        let source = programme(&mut seeded(seed), ANY);
        let definition = validate::read(&source).unwrap_or_else(|problems| panic!("{problems:#?}\n{source}"));
        kinds.extend(definition.steps.iter().map(|step| step.kind.name()));
        let stored = serde_json::to_value(&definition).unwrap();
        said.extend(stored.as_object().unwrap().keys().cloned());
        for step in stored["steps"].as_array().unwrap() {
            let kind = step["kind"].as_str().unwrap();
            said.extend(step.as_object().unwrap().keys().map(|setting| format!("{kind}.{setting}")));
        }
    }
    assert_eq!(kinds, steps::NAMES.iter().copied().collect());
    for part in [
        "calendar",
        "exclusive",
        "exit",
        "goal",
        "priority",
        "reentry",
        "send_window",
        "stop_on_meeting",
        "stop_on_opportunity",
        "send_email.languages",
        "send_email.pool",
        "send_email.transactional",
        "create_task.on",
        "create_task.wait",
        "call_webhook.as",
        "call_webhook.on",
        "wait_for.condition",
        "wait_for.on_timeout",
        "wait_for.since",
        "wait.business_days",
        "wait.business_time",
        "wait.duration",
        "wait.until",
        "split.variants",
    ] {
        assert!(said.contains(part), "no programme says {part}");
    }
}

/// What a run asked for and when, by the step and the visit, and how it ended.
type Way = (Vec<(DateTime<Utc>, Effect)>, String);

fn simulated(source: &str, data: &Value, zone: Tz, now: DateTime<Utc>) -> Option<Way> {
    let definition = validate::read(source).unwrap();
    let lines = simulate(&definition, data, zone, now, &CALENDARS);
    let end = lines.last().unwrap().what.clone();
    let effects = lines.iter().filter_map(|line| Some((line.at, line.effect.clone()?))).collect();
    // A plan that is cut off says nothing about the end.
    (lines.len() < MAX_LINES).then_some((effects, end))
}

fn executed(source: &str, data: &Value, zone: Tz, now: DateTime<Utc>) -> Way {
    let mut person = Person::new(data.clone(), zone, now, policy(&[]), &CALENDARS);
    person.enroll(id(0), versions(&[source.to_owned()]));
    person.finish();
    let run = &person.runs[0];
    let why = run.enrollment.failure.as_ref().map(|it| format!(": {} {}", it.code, it.message)).unwrap_or_default();
    let effects = run.effects.iter().map(|it| (it.at, it.effect.clone())).collect();
    (effects, format!("end: {}{why}", run.enrollment.state))
}

/// As many cases as `PROPTEST_CASES` says, else so many.
fn cases(usual: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: wanted.unwrap_or(usual), failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn a_simulation_takes_away_what_a_step_takes_away_and_keeps_a_priority_as_the_number_that_it_is() {
    let source = "{key: k, name: Name, subject: contact, steps: [\
        {id: gone, kind: set_field, field: contact.mark, value: null}, \
        {id: urgent, kind: set_field, field: lead.priority, value: '70'}, \
        {id: look, kind: branch, when: 'lead.priority > 60 && !has(contact.custom.mark)', then: far, else: done}, \
        {id: far, kind: set_field, field: lead.priority, expression: 'lead.priority * 2'}, {id: done, kind: end}]}";
    let mut data = sample();
    data["contact"]["custom"] = json!({"mark": "yes"});
    let end = |data: &Value| {
        let definition = validate::read(source).unwrap();
        simulate(&definition, data, Tz::UTC, DateTime::UNIX_EPOCH, &CALENDARS).pop().unwrap().what
    };
    assert!(end(&data).starts_with("end: FAILED: LEAD_PRIORITY_OUT_OF_RANGE"), "{}", end(&data));
    data["lead"] = Value::Null;
    assert!(end(&data).starts_with("end: FAILED: ENROLLMENT_LEAD_MISSING"), "{}", end(&data));
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn whatever_is_chosen_a_random_programme_breaks_no_rule(drawn in drawn(120)) {
        let source = programme(&mut Choices::new(drawn), ANY);
        let read = validate::read(&source);
        prop_assert!(read.is_ok(), "{:#?}\n{}", read.unwrap_err(), source);
    }

    #[test]
    fn a_simulation_takes_the_way_of_a_run(programme_of in drawn(90), about in drawn(12)) {
        let source = programme(&mut Choices::new(programme_of), ANY);
        let mut about = Choices::new(about);
        let (zone, now) = beginning(&mut about);
        let mut data = somebody(&mut about);
        data["contact"]["custom"] = json!({});
        data["account"] = sample()["account"].clone();
        if about.once_in(4) {
            data["lead"] = Value::Null;
        }
        if about.once_in(2) {
            data["answers"] = json!({"call_webhook_1": {"score": 7}});
        }
        if let Some(simulated) = simulated(&source, &data, zone, now) {
            prop_assert_eq!(simulated, executed(&source, &data, zone, now), "{}", source);
        }
    }

    #[test]
    fn whatever_happens_effects_are_lawful_and_every_run_comes_to_its_end(
        programmes in prop::collection::vec(drawn(70), 2),
        about in drawn(16),
        happens in drawn(220),
        fates in drawn(30),
    ) {
        let mut about = Choices::new(about);
        let (zone, now) = beginning(&mut about);
        let mut data = somebody(&mut about);
        if about.once_in(4) {
            data["lead"] = Value::Null;
        }
        let caps = [
            (CapScope::Person, 1 + u32::try_from(about.below(2)).unwrap(), 12 + u32::try_from(about.below(60)).unwrap()),
            (CapScope::Account, 3, 24 * 7),
        ];
        let caps = if about.once_in(2) { &caps[..] } else { &[] };
        let mut person = Person::new(data, zone, now, policy(caps), &CALENDARS);
        person.fates = Choices::new(fates);
        person.helpful = about.once_in(2);
        for (n, drawn) in programmes.into_iter().enumerate() {
            person.enroll(id(n as u128), versions(&[programme(&mut Choices::new(drawn), ANY)]));
        }
        happen(&mut person, &mut Choices::new(happens), Events { moves: false });
        person.finish();
    }

    #[test]
    fn a_run_that_is_moved_between_random_versions_repeats_no_effect_and_skips_none(
        first in drawn(60),
        changes in prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), 0..2_520_u32), 0..5), 2),
        loops in any::<bool>(),
        about in drawn(12),
        happens in drawn(160),
        fates in drawn(12),
    ) {
        let mut about = Choices::new(about);
        let (zone, now) = beginning(&mut about);
        let wanted = Wanted { loops, most: 7, ..ANY };
        // Each version is the one before it with some changes.
        let mut drawn = vec![first];
        for changes in changes {
            let mut next = drawn.last().unwrap().clone();
            for (at, to) in changes {
                match next.len() {
                    0 => {}
                    len => next[at.index(len)] = to,
                }
            }
            drawn.push(next);
        }
        let sources: Vec<String> = drawn.into_iter().map(|drawn| programme(&mut Choices::new(drawn), wanted)).collect();
        let mut person = Person::new(somebody(&mut about), zone, now, policy(&[]), &CALENDARS);
        person.fates = Choices::new(fates);
        person.helpful = about.once_in(2);
        person.enroll(id(0), versions(&sources));
        happen(&mut person, &mut Choices::new(happens), Events { moves: true });
        person.finish();
    }

    #[test]
    fn where_everybody_takes_all_steps_each_effect_of_both_versions_happens_exactly_once(
        older in drawn(60),
        newer in drawn(60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
        map in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..4),
        helpful in any::<bool>(),
        hours in 0..500_i64,
    ) {
        let (mut older, newer) = (line(older), line(newer));
        // The newer version has steps of the older one, in another order, and some of its own.
        let mut steps = older.clone();
        for (at, to) in order.iter().enumerate() {
            let to = to.index(steps.len() + 1);
            match to < steps.len() && at < steps.len() {
                true => steps.swap(at, to),
                false => drop(steps.pop()),
            }
        }
        let known: BTreeSet<String> = older.iter().map(|step| step["id"].to_string()).collect();
        steps.extend(newer.into_iter().filter(|step| !known.contains(&step["id"].to_string())));
        older.push(json!({"id": "done", "kind": "end"}));
        steps.push(json!({"id": "done", "kind": "end"}));
        let source = |steps: &[Value]| {
            let snippets = json!({"signature": "{{ unsubscribe_url }}"});
            json!({"key": "k", "name": "N", "subject": "contact", "snippets": snippets, "steps": steps}).to_string()
        };
        let mut person = Person::new(sample(), Tz::UTC, "2026-03-02T09:00:00Z".parse().unwrap(), policy(&[]), &CALENDARS);
        person.helpful = helpful;
        person.enroll(id(0), versions(&[source(&older), source(&steps)]));
        person.pass(TimeDelta::hours(hours));
        let name = |step: &Value| step["id"].as_str().unwrap().to_owned();
        let map: Vec<(String, String)> =
            map.iter().map(|(from, to)| (name(from.get(&older)), name(to.get(&steps)))).collect();
        if moves::by(&mut person, &map) {
            person.finish();
            prop_assert_eq!(person.runs[0].enrollment.state, EnrollmentState::Finished(FinishReason::Completed));
            let happened = |step: &str| person.runs[0].effects.iter().filter(|it| it.effect.origin().0 == step).count();
            for step in older.iter().map(name).filter(|step| oracle::acts(step) && steps.iter().any(|it| name(it) == *step)) {
                prop_assert_eq!(happened(&step), 1, "{} of {:?}, by {:?}", step, person.runs[0].effects, map);
            }
        }
    }
}

/// The steps of a programme in which everybody takes all of them, without its end.
fn line(drawn: Vec<u32>) -> Vec<Value> {
    let wanted = Wanted { loops: false, forks: false, most: 7, ..ANY };
    let source: Value = serde_json::from_str(&programme(&mut Choices::new(drawn), wanted)).unwrap();
    let steps = source["steps"].as_array().unwrap().iter().cloned();
    let parts = |step: &Value| ["branch", "split", "end"].contains(&step["kind"].as_str().unwrap());
    steps
        .filter(|step| !parts(step))
        .map(|mut step| {
            ["on", "on_timeout", "next"].iter().for_each(|way| drop(step.as_object_mut().unwrap().remove(*way)));
            step
        })
        .collect()
}
