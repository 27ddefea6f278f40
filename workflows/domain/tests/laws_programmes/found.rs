//! What random programmes have shown to be wrong once, each by itself.

use crate::choices::Choices;
use crate::life::{Person, versions};
use crate::{CALENDARS, events, id, moves, policy};
use chrono::TimeDelta;
use chrono_tz::Tz;
use serde_json::json;
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sequence::backlog::Way;
use tandem_domain::sequence::enrollment::{
    EnrollmentState, FinishReason, PauseReason, TaskEnd, WaitReason, resume_from_backlog,
};
use tandem_domain::sequence::hearing::Heard;
use tandem_domain::sequence::publishing::SequenceState;
use tandem_domain::sequence::simulation::sample;

pub fn source(steps: serde_json::Value) -> String {
    json!({"key": "k", "name": "Name", "subject": "contact", "steps": steps}).to_string()
}

/// Somebody in the first of these versions, whose calls nobody answers and whose tasks nobody does.
pub fn begun(sources: &[String]) -> Person {
    let mut person = Person::new(sample(), Tz::UTC, "2026-03-02T09:00:00Z".parse().unwrap(), policy(&[]), &CALENDARS);
    person.helpful = false;
    person.enroll(id(0), versions(sources));
    person.pass(TimeDelta::zero());
    person
}

pub fn taken(person: &Person) -> Vec<&str> {
    person.runs[0].effects.iter().map(|it| it.effect.origin().0).collect()
}

pub fn mail(id: &str) -> serde_json::Value {
    json!({"id": id, "kind": "send_email", "template": {"subject": id, "text": id}})
}

pub fn pause_for(person: &mut Person, days: i64, way: Option<Way>, spread: TimeDelta) {
    person.runs[0].sequence = SequenceState::Paused;
    person.pass(TimeDelta::days(days));
    assert_eq!(person.runs[0].enrollment.state, EnrollmentState::Paused(PauseReason::Sequence));
    person.runs[0].sequence = SequenceState::Active;
    person.let_emails_go(0, Some(person.now));
    let run = person.runs[0].enrollment.clone();
    let resumed = resume_from_backlog(run, person.now + spread, way, person.now).unwrap();
    person.took(0, resumed);
    person.pass(TimeDelta::zero());
}

#[test]
fn a_call_whose_answer_fell_due_during_a_pause_of_its_sequence_is_not_made_again() {
    let steps = json!([
        {"id": "ask", "kind": "call_webhook", "channel": "crm", "body": "contact.email", "on": {"failure": "tell"}},
        {"id": "tell", "kind": "tag", "add": ["told"]},
        {"id": "done", "kind": "end"},
    ]);
    for (way, spread) in [(None, 0), (None, 5), (Some(Way::Skip), 0), (Some(Way::Latest), 5)] {
        let mut person = begun(&[source(steps.clone())]);
        pause_for(&mut person, 9, way, TimeDelta::hours(spread));
        // Until its turn, an answer is still one.
        let waits = EnrollmentState::Waiting(WaitReason::Answer);
        assert!(spread == 0 || person.runs[0].enrollment.state == waits, "{way:?}");
        person.pass(TimeDelta::hours(5));
        assert_eq!(taken(&person), ["ask", "tell"], "{way:?}");
        person.finish();
    }
}

#[test]
fn after_a_pause_of_the_sequence_no_step_comes_before_the_e_mail_that_is_still_on_its_way() {
    let steps = json!([mail("first"), {"id": "mark", "kind": "tag", "add": ["vip"]}, {"id": "done", "kind": "end"}]);
    let window = json!({"weekdays": ["mon"], "from": "09:00", "to": "09:30"});
    let source =
        json!({"key": "k", "name": "Name", "subject": "contact", "send_window": window, "steps": steps}).to_string();
    // A Monday at ten past nine. The mail server takes nothing, and so the e-mail waits from Monday to Monday.
    let mut person = Person::new(sample(), Tz::UTC, "2026-03-02T09:10:00Z".parse().unwrap(), policy(&[]), &CALENDARS);
    person.fates = Choices::new(vec![1; 3]);
    person.enroll(id(0), versions(&[source]));
    person.pass(TimeDelta::days(1));
    pause_for(&mut person, 8, None, TimeDelta::zero());
    assert_eq!(taken(&person), ["first"]);
    person.finish();
    assert_eq!(taken(&person), ["first", "mark"]);
}

#[test]
fn a_run_that_is_moved_while_it_waits_for_an_answer_goes_on_at_the_mapped_step() {
    let older = json!([
        {"id": "ask", "kind": "call_webhook", "channel": "crm", "body": "contact.email"},
        mail("first"), {"id": "done", "kind": "end"},
    ]);
    let newer = json!([mail("first"), mail("second"), {"id": "done", "kind": "end"}]);
    let mut person = begun(&[source(older), source(newer)]);
    assert_eq!(person.runs[0].enrollment.state, EnrollmentState::Waiting(WaitReason::Answer));
    assert!(moves::mapped(&mut person, &[("ask", "first")]));
    person.answer(0, 0, true);
    person.finish();
    assert_eq!(taken(&person), ["ask", "first", "second"]);
    assert_eq!(person.runs[0].enrollment.state, EnrollmentState::Finished(FinishReason::Completed));
}

#[test]
fn a_run_that_is_moved_while_it_waits_for_an_answer_does_not_make_the_call_again() {
    let ask = json!({"id": "ask", "kind": "call_webhook", "channel": "crm", "body": "contact.email"});
    let older = json!([ask, mail("first"), {"id": "done", "kind": "end"}]);
    let newer =
        json!([{"id": "rest", "kind": "wait", "duration": "1d"}, ask, mail("first"), {"id": "done", "kind": "end"}]);
    let mut person = begun(&[source(older), source(newer)]);
    if moves::mapped(&mut person, &[("ask", "rest")]) {
        person.answer(0, 0, true);
        person.finish();
    }
    assert_eq!(taken(&person).iter().filter(|step| **step == "ask").count(), 1);
}

#[test]
fn the_end_of_a_task_leads_nobody_who_was_moved_back_to_what_lies_behind() {
    let call = |on: serde_json::Value| json!({"id": "call", "kind": "create_task", "title": "Call", "due_in": "1d", "wait": true, "on": on});
    let older = json!([mail("first"), call(json!({})), mail("second"), {"id": "done", "kind": "end"}]);
    let newer = json!([call(json!({"interested": "first"})), mail("second"), {"id": "done", "kind": "end"}, mail("first"),
        {"id": "over", "kind": "end"}]);
    let mut person = begun(&[source(older), source(newer)]);
    assert_eq!(person.runs[0].enrollment.state, EnrollmentState::Waiting(WaitReason::Task));
    if moves::mapped(&mut person, &[]) {
        let visit = person.runs[0].tasks[0];
        person.end_task(0, visit, TaskEnd::Interested);
        person.finish();
    }
    assert_eq!(taken(&person).iter().filter(|step| **step == "first").count(), 1, "{:?}", taken(&person));
}

#[test]
fn a_run_whose_wait_was_renamed_still_hears_of_what_it_waits_for_and_until_the_same_moment() {
    let reads =
        |id: &str| json!({"id": id, "kind": "wait_for", "event": ["DOWNLOAD"], "timeout": "7d", "on_timeout": "done"});
    let with = |id: &str| source(json!([reads(id), mail("thanks"), {"id": "done", "kind": "end"}]));
    for hears in [true, false] {
        let mut person = begun(&[with("reads"), with("asked")]);
        let until = person.runs[0].enrollment.due_at;
        person.pass(TimeDelta::days(3));
        assert!(moves::mapped(&mut person, &[("reads", "asked")]));
        if hears {
            let download = events::done(&person, InteractionKind::Download, "Guide");
            person.hear(0, &Heard::Event(download));
            person.finish();
            assert_eq!(taken(&person), ["thanks"]);
        } else {
            person.pass(until.unwrap() - person.now);
            let state = person.runs[0].enrollment.state;
            assert_eq!(state, EnrollmentState::Finished(FinishReason::Completed), "nothing begins anew");
            assert!(taken(&person).is_empty());
        }
    }
}
