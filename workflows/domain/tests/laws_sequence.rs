//! The laws of sequences: deterministic runs, nothing after a suppression, effects with a name of their own, and a
//! reader that no input can break.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_domain::calendar::Calendars;
use tandem_domain::decision::{Decision, Job};
use tandem_domain::id::{ContactId, EnrollmentId, LeadId, SequenceId, SequenceVersionId};
use tandem_domain::sequence::enrollment::{
    self, Candidate, Enrollment, EnrollmentState, ExitReason, FinishReason, PauseReason, StateKind, WaitReason,
};
use tandem_domain::sequence::library::PROGRAMMES;
use tandem_domain::sequence::publishing::{self, By, Sequence, SequenceState, SequenceVersion};
use tandem_domain::sequence::simulation::{sample, simulate};
use tandem_domain::sequence::stepper::{Advance, Context, advance};
use tandem_domain::sequence::validate::{self, Rule};
use tandem_domain::sequence::{Definition, Effect};
use tandem_domain::standing::Standing;
use uuid::Uuid;

static NO_CALENDARS: Calendars = Calendars::new();
const START: &str = "2026-01-05T09:00:00Z";
const TWO_MAILS: &str = "
key: two_mails
name: Two mails
subject: contact
goal: contact.custom.bought == true
exit: contact.custom.left == true
steps:
  - {id: first, kind: send_email, template: {subject: 'Hi {{ contact.first_name }}', text: 'one'}}
  - {id: pause, kind: wait, duration: 3d}
  - {id: mark, kind: set_field, field: contact.rounds, expression: 'contact.custom.rounds + 1'}
  - {id: again, kind: branch, when: 'enrollment.visit > 6', then: call, else: first}
  - {id: call, kind: create_task, title: 'Call {{ contact.first_name }}', due_in: 1d}
  - {id: done, kind: end}
";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn by(n: u128) -> By {
    By { sequence: SequenceId(id(100)), version: SequenceVersionId(id(200 + n)), user: None }
}

fn published(source: &str) -> (Sequence, SequenceVersion) {
    publishing::publish(None, source, by(1), at(START)).unwrap().next
}

fn person() -> Value {
    json!({
        "contact": {"first_name": "Sam", "custom": {"bought": false, "left": false, "rounds": 0}},
        "account": null, "lead": null, "sender": {"name": "Us"}, "unsubscribe_url": "https://example.com/u/1",
    })
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

fn candidate(lead: Option<LeadId>) -> Candidate {
    Candidate { id: EnrollmentId(id(1)), contact: ContactId(id(2)), lead, account: None, vars: Map::new() }
}

fn started(source: &str, data: &Value) -> (Sequence, SequenceVersion, Enrollment) {
    let (sequence, version) = published(source);
    let enrollment = enrollment::enroll(candidate(None), &sequence, &version, None, &context(data), at(START)).unwrap();
    (sequence, version, enrollment.next)
}

/// The data of a moment, as the application makes them.
fn seen(data: &Value, enrollment: &Enrollment, now: DateTime<Utc>) -> Value {
    let mut data = data.clone();
    data["enrollment"] = enrollment.data();
    data["now"] = json!(now.to_rfc3339());
    data
}

fn step(enrollment: &Enrollment, definition: &Definition, data: &Value, standing: Standing) -> Decision<Advance> {
    let now = enrollment.due_at.unwrap();
    let data = seen(data, enrollment, now);
    advance(enrollment, definition, &Context { standing, ..context(&data) }, now).unwrap()
}

#[test]
fn a_run_takes_its_steps_in_order_and_ends() {
    let data = person();
    let (_, version, mut enrollment) = started(TWO_MAILS, &data);
    let mut effects = Vec::new();
    let mut moments = Vec::new();
    while enrollment.due_at.is_some() {
        let decision = step(&enrollment, &version.definition, &data, Standing::Allowed);
        assert!(decision.next.enrollment.keeps_the_law());
        if let Some(due) = decision.next.enrollment.due_at {
            let visit = decision.next.enrollment.visit;
            assert_eq!(decision.jobs[0].job, Job::AdvanceEnrollment { enrollment: enrollment.id, visit });
            assert_eq!(decision.jobs[0].due, due);
        }
        let now = enrollment.due_at.unwrap();
        enrollment = decision.next.enrollment;
        if let Some(effect) = decision.next.effect {
            effects.push(effect.name());
            moments.push(now - at(START));
            let (_, visit) = name(&effect);
            enrollment = enrollment::email_settled(enrollment.clone(), visit, now).map_or(enrollment, |it| it.next);
        }
    }
    assert_eq!(enrollment.state, EnrollmentState::Finished(FinishReason::Completed));
    assert_eq!(effects, ["send_email", "set_field", "send_email", "set_field", "create_task"]);
    assert_eq!(moments.iter().map(TimeDelta::num_days).collect::<Vec<_>>(), [0, 3, 3, 6, 6]);
}

#[test]
fn after_an_email_a_run_waits_until_that_email_is_settled() {
    let data = person();
    let (_, version, enrollment) = started(TWO_MAILS, &data);
    let settled = |enrollment: &Enrollment, visit, now| {
        let decision = enrollment::email_settled(enrollment.clone(), visit, now)?;
        assert!(decision.next.keeps_the_law());
        Some(decision)
    };
    let now = at(START) + TimeDelta::hours(2);
    let waiting = step(&enrollment, &version.definition, &data, Standing::Allowed).next.enrollment;
    assert_eq!((waiting.state, waiting.awaits), (EnrollmentState::Waiting(WaitReason::Email), Some(0)));
    let early = advance(&waiting, &version.definition, &context(&data), now);
    assert_eq!(early.unwrap_err().code(), "ENROLLMENT_NOT_DUE");
    assert!(settled(&waiting, 1, now).is_none(), "another e-mail");
    let decision = settled(&waiting, 0, now).unwrap();
    assert_eq!((decision.next.state, decision.next.due_at), (EnrollmentState::Active, Some(now)));
    assert_eq!((decision.jobs[0].due, decision.facts[0].kind), (now, "enrollment.email_settled"));
    assert!(settled(&decision.next, 0, now).is_none(), "settled once");

    // Paused meanwhile: it is due when it is resumed, and not before.
    let paused = enrollment::pause(waiting.clone(), PauseReason::Manual, None, at(START)).unwrap().next;
    assert!(paused.keeps_the_law());
    let told = settled(&paused, 0, now).unwrap();
    assert!(told.jobs.is_empty());
    assert_eq!(told.next.state, EnrollmentState::Paused(PauseReason::Manual));
    let resumed = enrollment::resume(told.next, now).unwrap().next;
    assert_eq!((resumed.state, resumed.due_at), (EnrollmentState::Active, Some(now)));
    // Resumed before: it still waits for the same e-mail.
    let resumed = enrollment::resume(paused, now).unwrap().next;
    assert_eq!(resumed.state, EnrollmentState::Waiting(WaitReason::Email));
    assert!(settled(&resumed, 0, now).is_some());

    // Nobody ever says: it goes on all the same.
    let overdue = step(&waiting, &version.definition, &data, Standing::Allowed).next.enrollment;
    assert_eq!((overdue.state, overdue.awaits), (EnrollmentState::Waiting(WaitReason::Time), None));
    assert!(settled(&overdue, 0, now).is_none());
    let ended = enrollment::exit(waiting, ExitReason::Manual, now).unwrap().next;
    assert!(settled(&ended, 0, now).is_none() && ended.keeps_the_law());
}

#[test]
fn goal_and_exit_end_a_run_before_its_next_step() {
    for (field, end) in
        [("bought", EnrollmentState::Finished(FinishReason::Goal)), ("left", EnrollmentState::Exited(ExitReason::Rule))]
    {
        let mut data = person();
        let (_, version, enrollment) = started(TWO_MAILS, &data);
        data["contact"]["custom"][field] = json!(true);
        let decision = step(&enrollment, &version.definition, &data, Standing::Allowed);
        assert_eq!((decision.next.enrollment.state, decision.next.effect), (end, None));
        assert_eq!(decision.facts[0].kind, "enrollment.ended");
    }
}

#[test]
fn an_answer_ends_a_run() {
    let data = person();
    let (_, version, enrollment) = started(TWO_MAILS, &data);
    let replied = Context { replied: true, ..context(&data) };
    let next = advance(&enrollment, &version.definition, &replied, at(START)).unwrap().next;
    assert_eq!(next.enrollment.state, EnrollmentState::Finished(FinishReason::Replied));
}

#[test]
fn an_unknown_consent_makes_the_step_wait_and_sends_nothing() {
    let data = person();
    let (_, version, enrollment) = started(TWO_MAILS, &data);
    let decision = step(&enrollment, &version.definition, &data, Standing::Unknown);
    let waiting = decision.next.enrollment;
    assert_eq!((waiting.state, decision.next.effect), (EnrollmentState::Waiting(WaitReason::Event), None));
    assert_eq!(waiting.step, "first");
    let decision = step(&waiting, &version.definition, &data, Standing::Allowed);
    assert_eq!(decision.next.effect.unwrap().name(), "send_email");
}

#[test]
fn a_template_without_its_value_fails_the_run_and_says_why() {
    let mut data = person();
    let (_, version, enrollment) = started(TWO_MAILS, &data);
    data["contact"].as_object_mut().unwrap().remove("first_name");
    let failed = step(&enrollment, &version.definition, &data, Standing::Allowed).next.enrollment;
    assert_eq!(failed.state, EnrollmentState::Failed);
    let failure = failed.failure.unwrap();
    assert_eq!(failure.code, "TEMPLATE_UNDEFINED");
    assert!(failure.message.contains("contact.first_name"), "{}", failure.message);
}

#[test]
fn a_paused_run_goes_on_where_it_was() {
    let data = person();
    let (_, version, enrollment) = started(TWO_MAILS, &data);
    let enrollment = step(&enrollment, &version.definition, &data, Standing::Allowed).next.enrollment;
    let waiting = step(&enrollment, &version.definition, &data, Standing::Allowed).next.enrollment;
    assert_eq!(waiting.state, EnrollmentState::Waiting(WaitReason::Time));
    let paused = enrollment::pause(waiting.clone(), PauseReason::OutOfOffice, None, at(START)).unwrap().next;
    assert!(paused.keeps_the_law());
    let stale = advance(&paused, &version.definition, &context(&data), at("2026-02-01T00:00:00Z"));
    assert_eq!(stale.unwrap_err().code(), "ENROLLMENT_PAUSED");
    assert_eq!(
        enrollment::pause(paused.clone(), PauseReason::Ops, None, at(START)).unwrap_err().code(),
        "ENROLLMENT_PAUSED"
    );
    let soon = enrollment::resume(paused.clone(), at("2026-01-06T00:00:00Z")).unwrap();
    assert_eq!((soon.next.state, soon.next.due_at), (waiting.state, waiting.due_at));
    let late = enrollment::resume(paused, at("2026-02-01T00:00:00Z")).unwrap();
    assert_eq!((late.next.state, late.next.due_at), (EnrollmentState::Active, Some(at("2026-02-01T00:00:00Z"))));
    assert_ne!(late.next.visit, waiting.visit, "a timer planned before the pause does nothing");
    assert_eq!(enrollment::resume(waiting, at(START)).unwrap_err().code(), "ENROLLMENT_NOT_PAUSED");
}

#[test]
fn every_state_allows_what_is_drawn_and_refuses_the_rest() {
    let data = person();
    let (_, version, base) = started(TWO_MAILS, &data);
    let held = enrollment::Held { due_at: at(START), waiting: None, until: None };
    let states = [
        EnrollmentState::Pending,
        EnrollmentState::Active,
        EnrollmentState::Waiting(WaitReason::Time),
        EnrollmentState::Paused(PauseReason::Manual),
        EnrollmentState::Finished(FinishReason::Goal),
        EnrollmentState::Exited(ExitReason::Manual),
        EnrollmentState::OptedOut,
        EnrollmentState::Bounced,
        EnrollmentState::Failed,
    ];
    assert_eq!(states.iter().map(|state| state.kind()).collect::<BTreeSet<_>>().len(), StateKind::ALL.len());
    for state in states {
        let paused = matches!(state, EnrollmentState::Paused(_));
        let timed = state.is_live() && !paused;
        let made = || Enrollment {
            state,
            due_at: timed.then(|| at(START)),
            held: paused.then_some(held),
            ended_at: (!state.is_live()).then(|| at(START)),
            ..base.clone()
        };
        assert!(made().keeps_the_law());
        let now = at(START);
        let code = |result: Result<Decision<Enrollment>, enrollment::Refusal>| match result {
            Ok(decision) => {
                assert!(decision.next.keeps_the_law(), "{state}");
                "ok"
            }
            Err(refusal) => refusal.code(),
        };
        let (over, live) = ("ENROLLMENT_ENDED", state.is_live());
        let ends = [
            code(enrollment::exit(made(), ExitReason::Manual, now)),
            code(enrollment::finish(made(), FinishReason::Replied, now)),
            code(enrollment::opt_out(made(), now)),
            code(enrollment::bounce(made(), now)),
        ];
        assert_eq!(ends, [if live { "ok" } else { over }; 4], "{state}");
        let expected = if !live {
            over
        } else if paused {
            "ENROLLMENT_PAUSED"
        } else {
            "ok"
        };
        assert_eq!(code(enrollment::pause(made(), PauseReason::Manual, None, at(START))), expected, "{state}");
        let advanced = advance(&made(), &version.definition, &context(&data), now).map(|d| d.map(|a| a.enrollment));
        assert_eq!(code(advanced), expected, "{state}");
        let expected = if !live {
            over
        } else if paused {
            "ok"
        } else {
            "ENROLLMENT_NOT_PAUSED"
        };
        assert_eq!(code(enrollment::resume(made(), now)), expected, "{state}");
    }
}

#[test]
fn enrolling_is_refused_with_the_name_of_the_rule() {
    let data = person();
    let (sequence, version, live) = started(TWO_MAILS, &data);
    let now = at(START);
    let refused = |sequence: &Sequence,
                   version: &SequenceVersion,
                   previous: Option<&Enrollment>,
                   context: &Context<'_>| {
        enrollment::enroll(candidate(None), sequence, version, previous, context, now).map(|_| ()).unwrap_err().code()
    };
    assert_eq!(refused(&sequence, &version, Some(&live), &context(&data)), "ENROLLMENT_EXISTS");
    for standing in [Standing::Suppressed, Standing::Bounced, Standing::Withdrawn, Standing::OptedOut] {
        let context = Context { standing, ..context(&data) };
        assert_eq!(refused(&sequence, &version, None, &context), "ENROLLMENT_MAY_NOT_WRITE");
    }
    let paused = publishing::pause(sequence.clone(), None, at(START)).unwrap().next;
    assert_eq!(refused(&paused, &version, None, &context(&data)), "SEQUENCE_NOT_ACTIVE");
    for (state, helps) in [
        (SequenceState::Draft, "publish it"),
        (SequenceState::Paused, "resume it"),
        (SequenceState::Archived, "another key"),
    ] {
        let sequence = Sequence { state, ..sequence.clone() };
        let refused = enrollment::enroll(candidate(None), &sequence, &version, None, &context(&data), now).unwrap_err();
        assert!(refused.to_string().contains(&state.to_string()) && refused.to_string().contains(helps), "{refused}");
    }
    let picky = "subject: contact\nentry: contact.first_name == 'Nobody'\nreentry: {after: 30d}";
    let (sequence, version) = published(&TWO_MAILS.replace("subject: contact", picky));
    assert_eq!(refused(&sequence, &version, None, &context(&data)), "ENROLLMENT_ENTRY_NOT_MET");
    let ended = enrollment::exit(live, ExitReason::Manual, now).unwrap().next;
    assert_eq!(refused(&sequence, &version, Some(&ended), &context(&data)), "ENROLLMENT_TOO_SOON");
    let (sequence, version) = published(&TWO_MAILS.replace("subject: contact", "subject: lead"));
    assert_eq!(refused(&sequence, &version, None, &context(&data)), "ENROLLMENT_LEAD_MISSING");
}

#[test]
fn a_run_that_failed_before_it_did_anything_does_not_keep_the_person_out() {
    let data = person();
    let source = TWO_MAILS.replace("subject: contact", "subject: contact\nreentry: {after: 30d}");
    let (sequence, version) = published(&source);
    let (_, _, live) = started(&source, &data);
    let failed = Enrollment { state: EnrollmentState::Failed, due_at: None, ended_at: Some(at(START)), ..live };
    let enroll = |previous: &Enrollment| {
        let now = at(START);
        enrollment::enroll(candidate(None), &sequence, &version, Some(previous), &context(&data), now).map(|_| ())
    };
    enroll(&failed).unwrap();
    let mut behind = failed;
    behind.trail.taken = Some(["hello".to_owned()].into());
    assert_eq!(enroll(&behind).unwrap_err().code(), "ENROLLMENT_TOO_SOON");
}

#[test]
fn a_version_is_published_once_and_never_for_a_change_of_layout() {
    let (sequence, first) = published(TWO_MAILS);
    let again =
        |source: &str| publishing::publish(Some((sequence.clone(), Some(first.clone()))), source, by(2), at(START));
    assert_eq!(again(&format!("# a comment\n{TWO_MAILS}")).unwrap_err().code(), "SEQUENCE_UNCHANGED");
    assert_eq!(again(&TWO_MAILS.replace("two_mails", "other")).unwrap_err().code(), "SEQUENCE_KEY_CHANGED");
    assert_eq!(
        again(&TWO_MAILS.replace("subject: contact", "subject: lead")).unwrap_err().code(),
        "SEQUENCE_SUBJECT_CHANGED"
    );
    assert_eq!(again("key: x").unwrap_err().code(), "SEQUENCE_INVALID");
    let (after, second) = again(&TWO_MAILS.replace("3d", "4d")).unwrap().next;
    assert_eq!((after.latest_number, second.number, after.latest_version), (2, 2, Some(second.id)));
    let archived = publishing::archive(after, at(START)).unwrap().next;
    let refusal = publishing::publish(Some((archived.clone(), Some(second))), TWO_MAILS, by(3), at(START)).unwrap_err();
    assert_eq!(refusal.code(), "SEQUENCE_NOT_ALLOWED");
    assert_eq!(publishing::resume(archived, None, 0, at(START)).unwrap_err().code(), "SEQUENCE_NOT_ALLOWED");
}

#[test]
fn a_definition_survives_its_stored_form() {
    let (_, version) = published(TWO_MAILS);
    let stored = serde_json::to_value(&version).unwrap();
    assert_eq!(serde_json::from_value::<SequenceVersion>(stored).unwrap(), version);
    let (_, _, enrollment) = started(TWO_MAILS, &person());
    let paused = enrollment::pause(enrollment, PauseReason::Ops, None, at(START)).unwrap().next;
    let stored = serde_json::to_value(&paused).unwrap();
    assert_eq!(serde_json::from_value::<Enrollment>(stored).unwrap(), paused);
}

#[test]
fn all_problems_are_found_at_once_with_path_rule_and_line() {
    let source = "\
key: Bad Key
name: x
subject: contact
goal: contact.score >
steps:
  - id: mail
    kind: send_email
    template:
      subject: 'Hi {{ contact.name'
      text: |
        Hello
        {{ nobody.name }}
  - id: mail
    kind: branch
    when: contact.x == 1
    then: nowhere
    else: loop_a
  - id: loop_a
    kind: set_field
    field: contact.a
    value: 1
    next: loop_b
  - id: loop_b
    kind: set_field
    field: phone
    value: 1
    next: loop_a
  - id: lonely
    kind: wait
    duration: 1d
";
    let problems = validate::read(source).unwrap_err();
    let found: Vec<(&str, Rule, Option<usize>)> = problems.iter().map(|p| (p.path.as_str(), p.rule, p.line)).collect();
    for expected in [
        ("key", Rule::NameInvalid, Some(1)),
        ("goal", Rule::ExpressionSyntax, Some(4)),
        ("steps[0].template.subject", Rule::TemplateSyntax, Some(9)),
        ("steps[0].template.text", Rule::TemplateUndefined, Some(12)),
        ("steps[1].id", Rule::StepDuplicate, Some(13)),
        ("steps[3].field", Rule::Shape, Some(25)),
    ] {
        assert!(found.contains(&expected), "{expected:?} is not in {found:#?}");
    }
    let problems = validate::read(&source.replace("field: phone", "field: contact.phone")).unwrap_err();
    let found: Vec<(&str, Rule)> = problems.iter().map(|p| (p.path.as_str(), p.rule)).collect();
    for expected in [
        ("steps[1].then", Rule::StepUnknown),
        ("steps[2]", Rule::LoopWithoutWait),
        ("steps[4]", Rule::StepUnreachable),
        ("steps[4]", Rule::NoEnd),
    ] {
        assert!(found.contains(&expected), "{expected:?} is not in {found:#?}");
    }
}

#[test]
fn a_broken_step_does_not_hide_the_others() {
    let source = "
key: k
name: n
subject: nobody
colour: red
steps:
  - {id: a, kind: wait, duration: 3 days}
  - {id: b, kind: wait, duration: 1d, until: {time: '09:00'}}
  - {id: c, kind: dance}
  - {id: d, kind: wait, duration: 1d, days: 3}
  - {id: e, kind: send_email, template: {subject: s}}
  - {id: f, kind: wait, until: {weekdays: [someday], time: '9'}}
  - {kind: end}
";
    let problems = validate::read(source).unwrap_err();
    let paths: BTreeSet<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    for path in ["steps[0].duration", "steps[2].kind", "steps[3].days", "steps[4].template", "steps[6]"] {
        assert!(paths.contains(path), "{path} is not in {problems:#?}");
    }
    assert!(paths.iter().any(|path| path.starts_with("steps[5].until.")), "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.line.is_some()));
}

#[test]
fn what_is_not_yaml_is_named_with_its_line() {
    for source in ["a: [1", "- 1\n- 2", "", "\u{0}", "key: &a [*a]", "key: k\nkey: k"] {
        let problems = validate::read(source).unwrap_err();
        assert!(matches!(problems[0].rule, Rule::Yaml | Rule::Shape), "{source}: {problems:?}");
    }
    assert!(validate::read(&"[".repeat(100_000)).is_err());
    assert!(validate::read(&"- ".repeat(60_000)).is_err());
    assert_eq!(validate::read(&"x".repeat(300_000)).unwrap_err()[0].rule, Rule::TooLarge);
}

#[test]
fn a_simulation_of_each_shipped_programme_comes_to_an_end() {
    for programme in PROGRAMMES {
        let definition = validate::read(programme.source).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let lines = simulate(&definition, &sample(), Tz::Europe__Berlin, at(START), &NO_CALENDARS);
        let end = &lines.last().unwrap().what;
        assert!(
            ["end: FINISHED", "end: EXITED"].iter().any(|over| end.starts_with(over)),
            "{}: {lines:#?}",
            programme.key
        );
    }
}

#[test]
fn a_simulation_takes_the_steps_of_a_run() {
    let (_, version) = published(TWO_MAILS);
    let mut data = sample();
    data["contact"]["custom"] = json!({"bought": false, "left": false, "rounds": 0});
    let lines = simulate(&version.definition, &data, Tz::UTC, at(START), &NO_CALENDARS);
    let steps: Vec<(i64, &str)> = lines.iter().map(|line| (line.day, line.step.as_str())).collect();
    let expected =
        [(1, "first"), (1, "pause"), (4, "mark"), (4, "first"), (4, "pause"), (7, "mark"), (7, "call"), (7, "done")];
    assert_eq!(steps, expected);
    let sets: Vec<&str> = lines.iter().filter(|l| l.step == "mark").map(|l| l.what.as_str()).collect();
    assert_eq!(sets, ["set rounds to 1", "set rounds to 2"]);
}

/// An e-mail, a wait of any length, another e-mail, within hours; and one that the person waits for.
fn in_hours(wait: i64, from: &str, to: &str) -> String {
    format!(
        "{{key: hours, name: Hours, subject: contact, send_window: {{weekdays: [mon, tue, thu, sat], from: '{from}', to: '{to}'}}, \
         steps: [{{id: first, kind: send_email, template: {{subject: a, text: a}}}}, \
         {{id: pause, kind: wait, duration: {wait}m}}, \
         {{id: second, kind: send_email, template: {{subject: b, text: b}}}}, \
         {{id: confirm, kind: send_email, transactional: true, template: {{subject: c, text: c}}}}, \
         {{id: done, kind: end}}]}}"
    )
}

/// When each e-mail was planned, by a run that is looked at exactly when it is due.
fn planned_at(source: &str, zone: Tz, start: DateTime<Utc>) -> Vec<(String, DateTime<Utc>)> {
    let definition = validate::read(source).unwrap();
    let lines = simulate(&definition, &sample(), zone, start, &NO_CALENDARS);
    let mails = lines.into_iter().filter(|line| matches!(line.effect, Some(Effect::SendEmail(_))));
    mails.map(|line| (line.step, line.at)).collect()
}

#[test]
fn an_email_waits_for_its_hours_and_a_confirmation_does_not() {
    // A Monday evening in Berlin; the next hours are those of Tuesday.
    let sent = planned_at(&in_hours(60, "09:00", "17:00"), Tz::Europe__Berlin, at("2026-01-05T20:00:00Z"));
    let expected =
        [("first", "2026-01-06T08:00:00Z"), ("second", "2026-01-06T09:00:00Z"), ("confirm", "2026-01-06T09:00:00Z")];
    assert_eq!(sent, expected.map(|(step, moment)| (step.to_owned(), at(moment))));
    let never = in_hours(60, "09:00", "17:00").replace("mon, tue, thu, sat", "");
    assert_eq!(validate::read(&never).unwrap_err()[0].path, "send_window.weekdays");
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Later(i64),
    Repeat,
    Settle(u32),
    Pause,
    Resume,
    Suppress,
    Withdraw,
    Unknown,
    Known,
    Bought,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..80_i64).prop_map(Event::Later),
        2 => Just(Event::Repeat),
        4 => (0..6_u32).prop_map(Event::Settle),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
        1 => Just(Event::Suppress),
        1 => Just(Event::Withdraw),
        1 => Just(Event::Unknown),
        2 => Just(Event::Known),
        1 => Just(Event::Bought),
    ]
}

/// Runs a history; gives every effect with the standing it was planned under, and the last state.
fn run(history: &[Event]) -> (Vec<(Effect, Standing)>, Enrollment) {
    let mut data = person();
    let (_, version, mut enrollment) = started(TWO_MAILS, &data);
    let (mut now, mut standing, mut effects) = (at(START), Standing::Allowed, Vec::new());
    for event in history {
        let for_good = matches!(standing, Standing::Suppressed | Standing::Withdrawn);
        match event {
            Event::Later(hours) => now += TimeDelta::hours(*hours),
            Event::Pause => {
                if let Ok(decision) = enrollment::pause(enrollment.clone(), PauseReason::Manual, None, at(START)) {
                    enrollment = decision.next;
                }
            }
            Event::Resume => {
                if let Ok(decision) = enrollment::resume(enrollment.clone(), now) {
                    enrollment = decision.next;
                }
            }
            Event::Settle(visit) => {
                if let Some(decision) = enrollment::email_settled(enrollment.clone(), *visit, now) {
                    enrollment = decision.next;
                }
            }
            Event::Suppress => standing = Standing::Suppressed,
            Event::Withdraw if !for_good => standing = Standing::Withdrawn,
            Event::Unknown if !for_good => standing = Standing::Unknown,
            Event::Known if !for_good => standing = Standing::Allowed,
            Event::Bought => data["contact"]["custom"]["bought"] = json!(true),
            _ => {}
        }
        let data = seen(&data, &enrollment, now);
        let context = Context { standing, ..context(&data) };
        if let Ok(decision) = advance(&enrollment, &version.definition, &context, now) {
            // A repetition after a crash, from the same row, decides the same.
            assert_eq!(advance(&enrollment, &version.definition, &context, now).unwrap(), decision);
            effects.extend(decision.next.effect.map(|effect| (effect, standing)));
            enrollment = decision.next.enrollment;
            assert!(enrollment.keeps_the_law());
        }
    }
    (effects, enrollment)
}

fn name(effect: &Effect) -> (String, u32) {
    let (step, visit) = effect.origin();
    (step.to_owned(), visit)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_version_and_history_give_the_same_run(history in prop::collection::vec(event(), 1..30)) {
        prop_assert_eq!(run(&history), run(&history));
    }

    #[test]
    fn nothing_is_sent_without_standing_and_nothing_at_all_after_a_suppression(
        history in prop::collection::vec(event(), 1..30),
    ) {
        for (effect, standing) in run(&history).0 {
            prop_assert!(!effect.reaches_the_person() || standing == Standing::Allowed);
            prop_assert!(!matches!(standing, Standing::Suppressed | Standing::Withdrawn));
        }
    }

    #[test]
    fn every_effect_has_a_name_of_its_own(history in prop::collection::vec(event(), 1..30)) {
        let (effects, enrollment) = run(&history);
        let names: BTreeSet<_> = effects.iter().map(|(effect, _)| name(effect)).collect();
        prop_assert_eq!(names.len(), effects.len());
        prop_assert!(names.iter().all(|(_, visit)| *visit < enrollment.visit));
    }

    #[test]
    fn no_email_is_planned_outside_its_hours_in_any_zone(
        zone in 0..chrono_tz::TZ_VARIANTS.len(),
        // Over both changes of the clocks.
        begin in 0..(400 * 24 * 60_i64),
        wait in 1..(14 * 24 * 60_i64),
        from in 0..24_u32,
        to in 0..24_u32,
    ) {
        let zone = chrono_tz::TZ_VARIANTS[zone];
        let (from, to) = (format!("{from:02}:30"), format!("{to:02}:00"));
        let source = in_hours(wait, &from, &to);
        let window = validate::read(&source).unwrap().header.send_window.unwrap();
        let sent = planned_at(&source, zone, at(START) + TimeDelta::minutes(begin));
        prop_assert_eq!(sent.iter().map(|(step, _)| step.as_str()).collect::<Vec<_>>(), ["first", "second", "confirm"]);
        for (step, moment) in &sent[..2] {
            prop_assert!(window.is_open(*moment, zone, None), "{step} {zone} {moment} {window:?}");
        }
    }

    #[test]
    fn arbitrary_text_never_breaks_the_reader(source in "\\PC{0,200}") {
        let _ = validate::read(&source);
    }

    #[test]
    fn a_damaged_definition_never_breaks_the_reader(cut in 0..600_usize, to in 0..600_usize, with in "[a-z:\\[\\]{}'|&* \n-]{0,6}") {
        let (cut, to) = (cut.min(TWO_MAILS.len()), to.min(TWO_MAILS.len()));
        let (cut, to) = (cut.min(to), cut.max(to));
        let _ = validate::read(&format!("{}{with}{}", &TWO_MAILS[..cut], &TWO_MAILS[to..]));
    }
}

#[test]
fn the_sequences_in_the_guides_are_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/concepts");
    let mut names = BTreeSet::new();
    for guide in ["sequences.md", "sequence-steps.md"] {
        let guide = std::fs::read_to_string(format!("{folder}/{guide}")).unwrap();
        let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for source in blocks.filter(|block| block.starts_with("key: ")) {
            let definition = validate::read(source).unwrap_or_else(|problems| panic!("{problems:#?}"));
            names.extend(definition.steps.iter().map(|step| step.kind.name()));
        }
    }
    let known: BTreeSet<&str> = tandem_domain::sequence::steps::NAMES.iter().copied().collect();
    assert_eq!(names, known, "the guides show every kind of step");
}
