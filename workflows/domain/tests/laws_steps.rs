//! The laws of the steps that stay inside Tandem: what is wrong with one is named with its place, what is remembered keeps
//! the law of due times, old definitions keep their hash, and a simulation takes the same way as a run.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_domain::contact::{self, Consent, ConsentGiven, ConsentState, Contact};
use tandem_domain::decision::Job;
use tandem_domain::id::{ContactId, EnrollmentId, LeadId, SequenceId, SequenceVersionId};
use tandem_domain::sequence::enrollment::{
    self, CHAIN_HOURS, Candidate, Chain, Enrollment, EnrollmentState, MOST_IN_CHAIN, PauseReason, TaskEnd, WaitReason,
    task_settled,
};
use tandem_domain::sequence::names::{self, Thing};
use tandem_domain::sequence::publishing::{self, By, Sequence, SequenceState, SequenceVersion};
use tandem_domain::sequence::simulation::{sample, simulate};
use tandem_domain::sequence::stepper::{Context, advance};
use tandem_domain::sequence::validate::{self, Rule};
use tandem_domain::sequence::{Effect, SubjectKind};
use tandem_domain::standing::Standing;
use uuid::Uuid;

static NO_CALENDARS: tandem_domain::calendar::Calendars = tandem_domain::calendar::Calendars::new();

const START: &str = "2026-01-05T09:00:00Z";
const CALLS: &str = "
key: calls
name: Calls
subject: contact
steps:
  - {id: test, kind: split, variants: [{key: a, then: call}, {key: b, weight: 3, then: call}]}
  - {id: call, kind: create_task, title: 'Call {{ enrollment.variants.test }}', due_in: 1d, wait: true, timeout: 2d, on: {no_answer: pause, timed_out: pause, bad_data: done}}
  - {id: mark, kind: tag, add: [reached]}
  - {id: pause, kind: wait, duration: 1d}
  - {id: again, kind: branch, when: 'enrollment.visit > 40', then: done, else: call}
  - {id: done, kind: end}
";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn published(source: &str) -> (Sequence, SequenceVersion) {
    let by = By { sequence: SequenceId(id(100)), version: SequenceVersionId(id(200)), user: None };
    publishing::publish(None, source, by, at(START)).unwrap_or_else(|refusal| panic!("{refusal}")).next
}

fn context(data: &Value) -> Context<'_> {
    Context {
        data,
        zone: Tz::UTC,
        standing: Standing::Allowed,
        replied: false,
        meeting_booked: false,
        sequence: SequenceState::Active,
        calendars: &NO_CALENDARS,
        mailboxes: &[],
        capped: None,
    }
}

fn started(source: &str) -> (SequenceVersion, Enrollment) {
    let (sequence, version) = published(source);
    let contact = ContactId(id(2));
    let candidate = Candidate { id: EnrollmentId(id(1)), contact, lead: None, account: None, vars: Map::new() };
    let data = sample();
    let enrollment = enrollment::enroll(candidate, &sequence, &version, None, &context(&data), at(START)).unwrap();
    (version, enrollment.next)
}

/// One advance, and its effect.
fn step(
    version: &SequenceVersion,
    enrollment: &Enrollment,
    now: DateTime<Utc>,
) -> Option<(Enrollment, Option<Effect>)> {
    let mut data = sample();
    data["enrollment"] = enrollment.data();
    data["now"] = json!(now.to_rfc3339());
    let decision = advance(enrollment, &version.definition, &context(&data), now).ok()?;
    // From the same row a repetition decides the same.
    assert_eq!(advance(enrollment, &version.definition, &context(&data), now).unwrap(), decision);
    assert!(decision.next.enrollment.keeps_the_law(), "{:?}", decision.next.enrollment);
    Some((decision.next.enrollment, decision.next.effect))
}

/// The problems of one step, without the others that follow from it.
fn problems(kind: &str, settings: &str) -> Vec<(String, Rule, String)> {
    let source = format!(
        "key: k\nname: Name\nsubject: contact\nsteps:\n  - {{id: step, kind: {kind}{settings}}}\n  - {{id: done, kind: end}}\n"
    );
    let found = validate::read(&source).err().unwrap_or_default();
    found
        .into_iter()
        .map(|problem| {
            assert_eq!(problem.line, Some(5), "{problem}");
            let column = problem.column.unwrap();
            assert!((5..=source.lines().nth(4).unwrap().len()).contains(&column), "{problem}");
            let fix = [";", "write ", ", expected "].iter().any(|fix| problem.message.contains(fix));
            assert!(fix, "no fix: {problem}");
            (
                problem.path.trim_start_matches("steps[0]").trim_start_matches('.').to_owned(),
                problem.rule,
                problem.message,
            )
        })
        .collect()
}

#[test]
fn what_is_wrong_with_a_step_is_named_with_its_place_and_the_likely_fix() {
    for (kind, settings, path, rule) in [
        ("tag", "", "", Rule::Shape),
        ("tag", ", add: ['!!']", "add[0]", Rule::Shape),
        ("tag", ", add: [vip], remove: [VIP]", "add[0]", Rule::Shape),
        ("tag", ", of: company, add: [vip]", "of", Rule::Shape),
        ("set_field", ", field: lead.priority, value: 101", "value", Rule::Shape),
        ("set_field", ", field: lead.priority, value: 1.5", "value", Rule::Shape),
        ("set_field", ", field: company.size, value: 1", "field", Rule::Shape),
        ("consent", ", state: unknown, source: form", "state", Rule::Shape),
        ("consent", ", state: granted", "", Rule::Shape),
        ("consent", ", state: granted, source: '{{ contact.nme }}'", "source", Rule::TemplateUndefined),
        ("propose", ", list: a, tier: T1, reasons: []", "reasons", Rule::Shape),
        ("propose", ", list: a, tier: T1, reasons: [ICP]", "reasons[0]", Rule::Shape),
        ("propose", ", list: a, reasons: [ICP_FIT]", "", Rule::Shape),
        ("hand_to_sdr", ", priority: 101", "priority", Rule::Shape),
        ("hand_to_sdr", ", notes: '{{ led.source }}'", "notes", Rule::TemplateUndefined),
        ("hand_to_sdr", ", queue: inbound", "queue", Rule::Shape),
        ("start_sequence", ", sequence: 'My Sequence'", "sequence", Rule::Shape),
        ("start_sequence", ", sequence: other, vars: {a: contact.nme}", "vars.a", Rule::ExpressionUndefined),
        ("stop_sequence", "", "", Rule::Shape),
        ("check_goal", ", when: contact.name", "when", Rule::ExpressionMismatch),
        ("check_goal", ", when: \"enrollment.last_task_outcome == 'NOANSWER'\"", "when", Rule::ExpressionMismatch),
        ("split", ", variants: [{key: a, then: done}]", "variants", Rule::Shape),
        ("split", ", variants: [{key: a, then: done}, {key: a, then: done}]", "variants[1].key", Rule::Shape),
        ("split", ", variants: [{key: a, then: done}, {key: B, then: done}]", "variants[1].key", Rule::NameInvalid),
        (
            "split",
            ", variants: [{key: a, then: done}, {key: b, weight: 0, then: done}]",
            "variants[1].weight",
            Rule::Shape,
        ),
        ("split", ", variants: [{key: a, then: done}, {key: b, then: dnoe}]", "variants[1].then", Rule::StepUnknown),
        ("create_task", ", title: t, due_in: 1d, channel: phone", "channel", Rule::Shape),
        ("create_task", ", title: t, due_in: 1d, on: {done: done}", "on", Rule::Shape),
        ("create_task", ", title: t, due_in: 1d, timeout: 1d", "timeout", Rule::Shape),
        ("create_task", ", title: t, due_in: 1d, wait: true, on: {noanswer: done}", "on.noanswer", Rule::Shape),
        ("create_task", ", title: t, due_in: 1d, wait: true, on: {done: dnoe}", "on.done", Rule::StepUnknown),
        ("create_task", ", title: t, due_in: 1d, notes: '{{ contact.nme }}'", "notes", Rule::TemplateUndefined),
    ] {
        let found = problems(kind, settings);
        let places: Vec<(&str, Rule)> = found.iter().map(|(path, rule, _)| (path.as_str(), *rule)).collect();
        assert!(places.contains(&(path, rule)), "{kind}{settings}: ({path}, {rule}) is not in {found:#?}");
    }
    for (kind, settings) in [
        ("tag", ", add: [vip, '客户'], remove: [old]"),
        ("set_field", ", field: lead.priority, value: '{{ lead.priority }}'"),
        ("set_field", ", field: account.priority, value: high"),
        ("hand_to_sdr", ""),
        ("check_goal", ", when: \"enrollment.last_task_outcome == 'NO_ANSWER'\""),
        ("create_task", ", title: t, due_in: 1d, wait: true, on: {done: done, timed_out: done}"),
    ] {
        assert_eq!(problems(kind, settings), [], "{kind}{settings}");
    }
}

#[test]
fn a_loop_through_a_task_that_is_waited_for_is_none_without_a_pause() {
    let source = |wait: &str| {
        format!(
            "{{key: k, name: Name, subject: contact, steps: [{{id: call, kind: create_task, title: t, due_in: 1d{wait}}}, \
             {{id: more, kind: branch, when: 'true', then: call, else: done}}, {{id: done, kind: end}}]}}"
        )
    };
    assert!(validate::read(&source(", wait: true")).is_ok());
    let problems = validate::read(&source("")).unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.rule).collect::<Vec<_>>(), [Rule::LoopWithoutWait]);
}

#[test]
fn definitions_from_before_decode_and_keep_their_hash() {
    let source = "{key: k, name: Name, subject: contact, steps: [{id: a, kind: create_task, title: t, due_in: 1d}, \
                  {id: b, kind: set_field, field: contact.x, value: 1}, {id: c, kind: end}]}";
    let (_, version) = published(source);
    let stored = serde_json::to_value(&version.definition).unwrap();
    let keys = |at: usize| stored["steps"][at].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let expected = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(keys(0), expected(&["id", "kind", "title", "due_in", "priority"]));
    assert_eq!(keys(1), expected(&["id", "kind", "field", "value"]));
    // As it was computed before there were more settings.
    assert_eq!(version.hash, "82981c3eb750739ec68e1e7b591e574e9f5329406893518cc515ac7d5167d52a");
    let (_, enrollment) = started(source);
    let mut stored = serde_json::to_value(&enrollment).unwrap();
    assert!(stored.as_object_mut().unwrap().remove("memory").is_none(), "nothing to remember takes no room");
    assert_eq!(serde_json::from_value::<Enrollment>(stored).unwrap(), enrollment);
    let (version, enrollment) = started(CALLS);
    let (waiting, _) = step(&version, &enrollment, at(START)).unwrap();
    let stored = serde_json::to_value(&waiting).unwrap();
    assert_eq!(serde_json::from_value::<Enrollment>(stored).unwrap(), waiting);
}

#[test]
fn a_run_goes_on_at_the_step_that_its_definition_names_for_the_end_of_the_task() {
    let now = at(START);
    for end in TaskEnd::ALL.iter().copied() {
        let (version, enrollment) = started(CALLS);
        let (waiting, effect) = step(&version, &enrollment, now).unwrap();
        let Some(Effect::CreateTask(task)) = effect else { panic!("a task") };
        assert!(["Call a", "Call b"].contains(&task.title.as_str()), "the split is seen at once: {}", task.title);
        let (state, due) = (waiting.state, waiting.due_at);
        assert_eq!((state, due), (EnrollmentState::Waiting(WaitReason::Task), Some(now + TimeDelta::days(2))));
        assert!(task_settled(waiting.clone(), &version.definition, task.visit + 1, end, now).is_none(), "another task");
        let settled = task_settled(waiting.clone(), &version.definition, task.visit, end, now).unwrap();
        let expected = match end {
            TaskEnd::NoAnswer | TaskEnd::TimedOut => "pause",
            TaskEnd::BadData => "done",
            _ => "mark",
        };
        assert_eq!((settled.next.step.as_str(), settled.next.memory.last_task_outcome), (expected, Some(end)));
        assert!(settled.next.keeps_the_law());
        let visit = settled.next.visit;
        assert_eq!(settled.jobs[0].job, Job::AdvanceEnrollment { enrollment: waiting.id, visit });
        assert!(task_settled(settled.next, &version.definition, task.visit, end, now).is_none(), "settled once");
        // A definition without the step, as after a move to another version: it goes on where it stands.
        let (_, other) = published(&CALLS.replace("call", "ring"));
        let moved = task_settled(waiting, &other.definition, task.visit, end, now).unwrap();
        assert_eq!(moved.next.step, "pause");
    }
}

#[test]
fn runs_that_start_each_other_come_to_a_stop_within_a_day_and_not_over_months() {
    let (_, mut run) = started(CALLS);
    let mut now = at(START);
    let mut starts = 0;
    while let Some(chain) = Chain::after(&run, now) {
        (starts, now) = (starts + 1, now + TimeDelta::minutes(1));
        run.memory.chain = Some(chain);
        assert!(starts <= MOST_IN_CHAIN);
    }
    assert_eq!(starts, MOST_IN_CHAIN);
    for _ in 0..100 {
        now += TimeDelta::hours(CHAIN_HOURS);
        let chain = Chain::after(&run, now).unwrap();
        assert_eq!((chain.length, chain.since), (1, now));
        run.memory.chain = Some(chain);
    }
}

#[test]
fn a_simulation_takes_the_way_of_a_run_and_sees_what_its_steps_change() {
    let source = "
key: k
name: Name
subject: contact
steps:
  - {id: tags, kind: tag, add: [New], remove: [old]}
  - {id: company, kind: tag, of: account, add: [abm]}
  - {id: urgent, kind: set_field, field: lead.priority, value: 90}
  - {id: put, kind: propose, list: tier-one, tier: T1, reasons: [ICP_FIT]}
  - {id: call, kind: create_task, title: Call, due_in: 2d, wait: true}
  - {id: done_call, kind: branch, when: \"enrollment.last_task_outcome == 'DONE' && 'new' in contact.tags && 'abm' in account.tags && lead.priority == 90\", then: hand, else: done}
  - {id: hand, kind: hand_to_sdr, team: Inbound}
  - {id: goes, kind: branch, when: \"lead.stage == 'QUEUED'\", then: go, else: done}
  - {id: go, kind: start_sequence, sequence: other}
  - {id: stop, kind: stop_sequence, sequence: other}
  - {id: opted_out, kind: consent, state: withdrawn, source: form}
  - {id: never, kind: tag, add: [never]}
  - {id: done, kind: end}
";
    let definition = validate::read(source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let lines = simulate(&definition, &sample(), Tz::UTC, at(START), &NO_CALENDARS);
    let said: Vec<(i64, &str)> = lines.iter().map(|line| (line.day, line.what.as_str())).collect();
    let expected = [
        (1, "tag the contact: +New -old"),
        (1, "tag the account: +abm"),
        (1, "set priority to 90"),
        (1, "propose the account for the list tier-one"),
        (1, "create task \"Call\", due Wed 2026-01-07 09:00 +00:00"),
        (1, "wait (TASK) until Wed 2026-01-07 09:00 +00:00, when it is DONE"),
        (3, "hand the lead to the SDRs of Inbound"),
        (3, "start the sequence other"),
        (3, "end the runs through the sequence other"),
        (3, "record consent WITHDRAWN from \"form\""),
        (3, "end: OPTED_OUT"),
    ];
    assert_eq!(said, expected);
}

#[test]
fn what_steps_name_is_told_with_its_place() {
    let source = "{key: k, name: Name, subject: contact, steps: [\n{id: a, kind: start_sequence, sequence: other},\n\
                  {id: b, kind: stop_sequence, sequence: k},\n{id: c, kind: hand_to_sdr, team: Inbound},\n{id: d, kind: end}]}";
    let definition = validate::read(source).unwrap();
    let named = names::named(&definition);
    let found: Vec<(&str, Thing, &str)> =
        named.iter().map(|(path, named)| (path.as_str(), named.thing, named.key)).collect();
    assert_eq!(found, [("steps[0].sequence", Thing::Sequence, "other"), ("steps[2].team", Thing::Team, "Inbound")]);
    let (path, first) = named[0].clone();
    let problem = names::unknown(source, path, &first, ["othr"]);
    assert_eq!((problem.line, problem.column, problem.rule), (Some(2), Some(41), Rule::ReferenceUnknown));
    assert_eq!(problem.message, "there is no sequence `other`; did you mean `othr`?");
}

fn person(state: ConsentState) -> Contact {
    Contact {
        id: ContactId(id(2)),
        account: None,
        name: None,
        email: None,
        phone: None,
        title: None,
        locale: None,
        time_zone: None,
        consent: Consent { state, source: Some("form".to_owned()), at: at(START) },
        tags: Default::default(),
        custom: Default::default(),
        external_ids: Default::default(),
        source: None,
        created_at: at(START),
        updated_at: at(START),
    }
}

#[test]
fn no_rule_gives_a_consent_again_that_the_person_withdrew() {
    for (had, said) in ConsentState::ALL.iter().flat_map(|had| ConsentState::ALL.iter().map(move |said| (*had, *said)))
    {
        let given = ConsentGiven { state: said, source: Some("step".to_owned()), at: None };
        let done = contact::record_consent(&person(had), given, at(START));
        if had == ConsentState::Withdrawn && said != ConsentState::Withdrawn {
            assert_eq!(done.unwrap_err().code(), "CONSENT_WITHDRAWN");
        } else {
            assert_eq!(done.unwrap().unwrap().next.consent.state, said);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Later(i64),
    Due,
    End(TaskEnd),
    Stray(u32),
    Pause,
    Resume,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..60_i64).prop_map(Event::Later),
        5 => Just(Event::Due),
        4 => (0..TaskEnd::ALL.len()).prop_map(|at| Event::End(TaskEnd::ALL[at])),
        1 => (0..9_u32).prop_map(Event::Stray),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_happens_to_tasks_and_runs_no_effect_repeats_and_the_law_is_kept(
        history in prop::collection::vec(event(), 1..60),
    ) {
        let (version, mut run) = started(CALLS);
        let (mut now, mut names, mut last) = (at(START), BTreeSet::new(), None);
        for event in history {
            match event {
                Event::Later(hours) => now += TimeDelta::hours(hours),
                Event::Due => {
                    if let Some((next, effect)) = step(&version, &run, now) {
                        run = next;
                        if let Some(effect) = effect {
                            let (step, visit) = effect.origin();
                            prop_assert!(names.insert((step.to_owned(), visit)), "{step} {visit} a second time");
                            prop_assert!(visit < run.visit);
                            last = effect.task_to_wait_for().map(|_| visit).or(last);
                        }
                    }
                }
                Event::End(end) => {
                    let waited = run.memory.task.is_some();
                    let settled = last.and_then(|visit| task_settled(run.clone(), &version.definition, visit, end, now));
                    prop_assert_eq!(settled.is_some(), waited, "who waits hears of it, and nobody else");
                    run = settled.map_or(run, |settled| settled.next);
                }
                Event::Stray(visit) if Some(visit) != last => {
                    let stray = task_settled(run.clone(), &version.definition, visit, TaskEnd::Done, now);
                    prop_assert!(stray.is_none());
                }
                Event::Stray(_) => {}
                Event::Pause => {
                    if let Ok(paused) = enrollment::pause(run.clone(), PauseReason::Manual, None, now) {
                        run = paused.next;
                    }
                }
                Event::Resume => {
                    if let Ok(resumed) = enrollment::resume(run.clone(), now) {
                        run = resumed.next;
                    }
                }
            }
            prop_assert!(run.keeps_the_law(), "{event:?}: {run:?}");
        }
        // Left alone, it comes to its end by its own timers.
        if let Ok(resumed) = enrollment::resume(run.clone(), now) {
            run = resumed.next;
        }
        for _ in 0..200 {
            let Some(due) = run.due_at else { break };
            run = step(&version, &run, due.max(now)).unwrap().0;
        }
        prop_assert!(!run.state.is_live(), "{run:?}");
    }

    #[test]
    fn a_lead_and_a_contact_are_each_given_their_own_variant(subject in any::<u128>(), weights in prop::collection::vec(1..1_000_u32, 2..10)) {
        let choose = |step: &str| tandem_domain::sequence::steps::split::choose("k", step, id(subject), &weights);
        prop_assert_eq!(choose("a"), choose("a"));
        prop_assert!(choose("a").unwrap() < weights.len());
    }
}

#[test]
fn a_split_goes_by_the_subject_of_the_run() {
    let (version, contact_run) = started(CALLS);
    let as_lead = Enrollment { subject: SubjectKind::Lead, lead: Some(LeadId(id(7))), ..contact_run.clone() };
    let given = |run: &Enrollment| step(&version, run, at(START)).unwrap().0.memory.variants["test"].clone();
    let expected =
        |subject| ["a", "b"][tandem_domain::sequence::steps::split::choose("calls", "test", subject, &[1, 3]).unwrap()];
    assert_eq!(given(&contact_run), expected(id(2)));
    assert_eq!(given(&as_lead), expected(id(7)));
}
