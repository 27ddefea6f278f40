//! The laws of the steps that reach out: what is wrong with them is found before they are published, a run waits for the answer,
//! goes the way that it leads to, and calls once.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};
use tandem_domain::id::{ContactId, EnrollmentId, SequenceId, SequenceVersionId};
use tandem_domain::sequence::calling::Request;
use tandem_domain::sequence::enrollment::{
    self, Answered, Enrollment, EnrollmentState, FinishReason, MAX_VARS, PauseReason, WaitReason, answered,
};
use tandem_domain::sequence::simulation::{sample, simulate};
use tandem_domain::sequence::stepper::{Context, advance};
use tandem_domain::sequence::steps::Failure;
use tandem_domain::sequence::validate::{self, Rule};
use tandem_domain::sequence::{Definition, Effect, SequenceState, SubjectKind};
use tandem_domain::standing::Standing;
use uuid::Uuid;

static NO_CALENDARS: tandem_domain::calendar::Calendars = tandem_domain::calendar::Calendars::new();

const ASK: &str = r#"
key: ask
name: Ask
subject: contact
steps:
  - id: ask
    kind: call_webhook
    channel: crm
    query: {email: contact.email, none: contact.phone}
    headers: {x-step: "{{ enrollment.step }}"}
    body: "{'name': contact.name}"
    timeout_seconds: 5
    as: crm
    answer: "{'score': answer.score, 'status': status}"
    retry_for: 2h
    on: {success: good, failure: tell}
  - {id: good, kind: end, outcome: goal}
  - id: tell
    kind: notify
    channel: sales-room
    title: "{{ contact.name }}"
    text: "Nobody answers for {{ contact.email }}"
    link: "https://crm.example.com/{{ contact.id }}"
  - {id: done, kind: end}
"#;

fn at(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_442_000, 0).unwrap() + TimeDelta::hours(hours)
}

fn definition() -> Definition {
    validate::read(ASK).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn started() -> Enrollment {
    Enrollment {
        id: EnrollmentId(Uuid::nil()),
        sequence: SequenceId(Uuid::nil()),
        version: SequenceVersionId(Uuid::nil()),
        rule: "ask@1".to_owned(),
        contact: ContactId(Uuid::nil()),
        lead: None,
        account: None,
        subject: SubjectKind::Contact,
        reentry_key: String::new(),
        state: EnrollmentState::Pending,
        step: "ask".to_owned(),
        visit: 0,
        due_at: Some(at(0)),
        held: None,
        awaits: None,
        vars: Map::new(),
        started_at: at(0),
        ended_at: None,
        failure: None,
        trail: Default::default(),
        memory: Default::default(),
        hearing: Default::default(),
        exclusive: None,
    }
}

fn step(enrollment: &Enrollment, now: DateTime<Utc>) -> (Enrollment, Option<Effect>, usize) {
    let mut data = sample();
    data["enrollment"] = enrollment.data();
    data["now"] = json!(now.to_rfc3339());
    let context = Context {
        data: &data,
        zone: Tz::UTC,
        standing: Standing::Unknown,
        replied: false,
        meeting_booked: false,
        sequence: SequenceState::Active,
        calendars: &NO_CALENDARS,
        mailboxes: &[],
        capped: None,
    };
    let decision = advance(enrollment, &definition(), &context, now).unwrap();
    assert!(decision.next.enrollment.keeps_the_law(), "{:?}", decision.next.enrollment);
    (decision.next.enrollment, decision.next.effect, decision.jobs.len())
}

fn waiting() -> Enrollment {
    step(&started(), at(0)).0
}

fn no() -> Answered {
    Answered::Failure(Failure::new("CALL_REFUSED", "no"))
}

#[test]
fn the_call_is_planned_from_the_subjects_data_and_the_run_waits_at_its_step() {
    let (waiting, effect, jobs) = step(&started(), at(0));
    let Some(Effect::Call(call)) = effect else { panic!("a call is planned") };
    assert_eq!((call.step.as_str(), call.visit, call.give_up_at), ("ask", 0, at(2)));
    let Request::Http { query, headers, body, timeout_seconds, .. } = call.request else { panic!("an API is called") };
    assert_eq!(query, [("email".to_owned(), "sam@example.com".to_owned())], "what is null is left out");
    assert_eq!(headers, [("x-step".to_owned(), "ask".to_owned())]);
    assert_eq!((body.as_deref(), timeout_seconds), (Some(r#"{"name":"Sam Sample"}"#), 5));
    assert_eq!(waiting.state, EnrollmentState::Waiting(WaitReason::Answer));
    assert_eq!((waiting.step.as_str(), waiting.awaits, waiting.due_at, jobs), ("ask", Some(0), Some(at(26)), 1));
}

#[test]
fn a_success_is_kept_and_goes_its_way_and_a_second_answer_does_nothing() {
    let kept = Some(("crm".to_owned(), json!({"score": 7})));
    let decision = answered(waiting(), &definition(), 0, Answered::Success(kept), at(1)).unwrap();
    assert_eq!((decision.facts[0].kind, decision.jobs.len()), ("enrollment.answered", 1));
    let run = decision.next;
    assert!(run.keeps_the_law());
    assert_eq!(
        (run.step.as_str(), run.state, &run.vars["crm"]),
        ("good", EnrollmentState::Active, &json!({"score": 7}))
    );
    assert_eq!(answered(run.clone(), &definition(), 0, no(), at(1)), None);
    assert_eq!(answered(waiting(), &definition(), 4, no(), at(1)), None, "an answer to another call");
    assert_eq!(step(&run, at(1)).0.state, EnrollmentState::Finished(FinishReason::Goal));
}

#[test]
fn a_failure_goes_its_way_and_without_one_ends_the_run() {
    let run = answered(waiting(), &definition(), 0, no(), at(1)).unwrap().next;
    assert_eq!((run.step.as_str(), run.vars.get("crm")), ("tell", None));
    let (telling, effect, _) = step(&run, at(1));
    let Some(Effect::Call(call)) = effect else { panic!("a message is planned") };
    assert_eq!(
        call.request,
        Request::Message {
            title: Some("Sam Sample".to_owned()),
            text: "Nobody answers for sam@example.com".to_owned(),
            link: Some(format!("https://crm.example.com/{}", Uuid::nil())),
        }
    );
    let failed = answered(telling.clone(), &definition(), call.visit, no(), at(2)).unwrap().next;
    assert_eq!((failed.state, failed.failure.unwrap().code.as_str()), (EnrollmentState::Failed, "CALL_REFUSED"));
    let told = answered(telling, &definition(), call.visit, Answered::Success(None), at(2)).unwrap().next;
    assert_eq!(step(&told, at(2)).0.state, EnrollmentState::Finished(FinishReason::Completed));
}

#[test]
fn what_nobody_came_to_know_is_a_failure_and_the_step_is_not_taken_twice() {
    let (run, effect, _) = step(&waiting(), at(26));
    assert_eq!((run.step.as_str(), run.state, effect), ("tell", EnrollmentState::Active, None));
    // A pause that lasts longer than the wait does not make the call again either.
    let paused = enrollment::pause(waiting(), PauseReason::Manual, None, at(1)).unwrap().next;
    let resumed = enrollment::resume(paused, at(100)).unwrap().next;
    assert!(resumed.keeps_the_law());
    assert_eq!((resumed.state, resumed.due_at), (EnrollmentState::Waiting(WaitReason::Answer), Some(at(100))));
    let (run, effect, _) = step(&resumed, at(100));
    assert_eq!((run.step.as_str(), effect), ("tell", None));
}

#[test]
fn an_answer_during_a_pause_is_kept_and_the_next_step_waits_for_the_end_of_the_pause() {
    let paused = enrollment::pause(waiting(), PauseReason::OutOfOffice, Some(at(50)), at(1)).unwrap().next;
    let kept = Some(("crm".to_owned(), json!(1)));
    let decision = answered(paused.clone(), &definition(), 0, Answered::Success(kept), at(2)).unwrap();
    assert!(decision.jobs.is_empty() && decision.next.keeps_the_law());
    assert_eq!(decision.next.visit, paused.visit, "the planned end of the pause still fits");
    let woken = enrollment::wake(decision.next, paused.visit, at(50)).unwrap().next;
    assert_eq!((woken.step.as_str(), woken.state), ("good", EnrollmentState::Active));
}

#[test]
fn a_run_keeps_no_more_than_it_may() {
    let mut full = waiting();
    full.vars.insert("before".to_owned(), json!("x".repeat(MAX_VARS - 100)));
    let kept = Some(("crm".to_owned(), json!("y".repeat(200))));
    let run = answered(full.clone(), &definition(), 0, Answered::Success(kept), at(1)).unwrap().next;
    assert_eq!((run.step.as_str(), &run.vars), ("tell", &full.vars));
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    let found = |from: &str, to: &str| -> Vec<(String, Rule)> {
        assert!(ASK.contains(from), "{from}");
        let problems = validate::read(&ASK.replacen(from, to, 1)).err().unwrap_or_default();
        assert!(problems.iter().all(|problem| problem.line.is_some()));
        problems.into_iter().map(|problem| (problem.path, problem.rule)).collect()
    };
    let one = |path: &str, rule| vec![(path.to_owned(), rule)];
    assert_eq!(found("channel: crm", "channel: CRM"), one("steps[0].channel", Rule::NameInvalid));
    assert_eq!(
        found("contact.email, none", "contact.mail, none"),
        one("steps[0].query.email", Rule::ExpressionUndefined)
    );
    assert_eq!(found("{x-step:", "{Authorization:"), one("steps[0].headers.Authorization", Rule::NameInvalid));
    assert_eq!(
        found("enrollment.step }}", "enrolment.step }}"),
        one("steps[0].headers.x-step", Rule::TemplateUndefined)
    );
    assert_eq!(found("body: \"{'name': contact.name}\"", "method: GET"), []);
    assert_eq!(found("timeout_seconds: 5", "method: GET"), one("steps[0].body", Rule::Shape));
    assert_eq!(found("body: \"{'name': contact.name}\"", ""), one("steps[0]", Rule::Shape));
    assert_eq!(found("timeout_seconds: 5", "timeout_seconds: 16"), one("steps[0].timeout_seconds", Rule::Shape));
    assert_eq!(found("as: crm", ""), one("steps[0].answer", Rule::Shape));
    assert_eq!(found("as: crm", "as: CRM"), one("steps[0].as", Rule::NameInvalid));
    assert_eq!(found("'status': status", "'status': state"), one("steps[0].answer", Rule::ExpressionUndefined));
    assert_eq!(
        found("{'name': contact.name}", "{'name': answer.name}"),
        one("steps[0].body", Rule::ExpressionUndefined)
    );
    assert_eq!(found("retry_for: 2h", "retry_for: 8d"), one("steps[0].retry_for", Rule::Shape));
    assert_eq!(
        found("failure: tell", "failure: tel").first(),
        Some(&("steps[0].on.failure".to_owned(), Rule::StepUnknown))
    );
    assert_eq!(found("text: \"Nobody", "text: \"{{ nobody }}"), one("steps[2].text", Rule::TemplateUndefined));
    assert_eq!(found("failure: tell}", "failure: tell}\n    next: done"), one("steps[0].next", Rule::Shape));
}

#[test]
fn a_link_that_is_none_fails_the_step() {
    let source = ASK.replace("https://crm.example.com/{{ contact.id }}", "{{ contact.name }}");
    let definition = validate::read(&source).unwrap();
    let run = Enrollment { step: "tell".to_owned(), ..started() };
    let mut data = sample();
    data["enrollment"] = run.data();
    let context = Context {
        data: &data,
        zone: Tz::UTC,
        standing: Standing::Allowed,
        replied: false,
        meeting_booked: false,
        sequence: SequenceState::Active,
        calendars: &NO_CALENDARS,
        mailboxes: &[],
        capped: None,
    };
    let failed = advance(&run, &definition, &context, at(0)).unwrap().next.enrollment;
    assert_eq!(failed.failure.unwrap().code, "CALL_LINK_INVALID");
}

#[test]
fn a_simulation_calls_nobody_and_takes_the_answer_that_it_is_given() {
    let source = ASK.replace("success: good", "success: look").replace(
        "  - {id: good, kind: end",
        "  - {id: look, kind: branch, when: enrollment.vars.crm == 3, then: good, else: done}\n  - {id: good, kind: end",
    );
    let definition = validate::read(&source).unwrap();
    let ends = |answer: Value| {
        let mut data = sample();
        data["answers"] = json!({ "ask": answer });
        simulate(&definition, &data, Tz::UTC, at(0), &NO_CALENDARS).pop().unwrap().what
    };
    assert_eq!((ends(json!(3)).as_str(), ends(json!(4)).as_str()), ("end: FINISHED(GOAL)", "end: FINISHED(COMPLETED)"));
    let lines = simulate(&definition, &sample(), Tz::UTC, at(0), &NO_CALENDARS);
    assert_eq!(lines[0].what, "call crm by POST");
}

#[test]
fn the_settings_come_back_as_they_were_written_and_what_is_usual_is_left_out() {
    let definition = definition();
    let stored = serde_json::to_value(&definition).unwrap();
    assert_eq!(serde_json::from_value::<Definition>(stored.clone()).unwrap(), definition);
    assert_eq!((stored["steps"][0].get("method"), stored["steps"][2].get("on")), (None, None));
}
