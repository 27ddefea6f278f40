use super::*;
use crate::id::{ContactId, EnrollmentId, InteractionId, SequenceId, SequenceVersionId};
use crate::sequence::enrollment::{PauseReason, WaitReason, pause, resume};
use crate::sequence::publishing::SequenceState;
use crate::sequence::stepper::advance;
use crate::sequence::validate::read;
use crate::sequence::{Definition, SubjectKind};
use crate::standing::Standing;
use chrono::TimeDelta;
use chrono_tz::Tz;
use serde_json::{Map, json};
use uuid::Uuid;

static NO_CALENDARS: crate::calendar::Calendars = crate::calendar::Calendars::new();

const START: &str = "2026-03-02T09:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn definition(header: &str, wait: &str) -> Definition {
    let source = format!(
        "key: t\nname: T\nsubject: contact\n{header}steps:\n  - {{id: wait, kind: wait_for, {wait}}}\n  \
         - {{id: came, kind: branch, when: enrollment.event != null, then: good, else: late}}\n  \
         - {{id: good, kind: end, outcome: goal}}\n  - {{id: late, kind: end}}\n"
    );
    read(&source).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn run(step: &str) -> Enrollment {
    Enrollment {
        id: EnrollmentId(Uuid::nil()),
        sequence: SequenceId(Uuid::nil()),
        version: SequenceVersionId(Uuid::nil()),
        rule: "t@1".to_owned(),
        contact: ContactId(Uuid::nil()),
        lead: None,
        account: None,
        subject: SubjectKind::Contact,
        reentry_key: String::new(),
        state: EnrollmentState::Pending,
        step: step.to_owned(),
        visit: 0,
        due_at: Some(at(START)),
        held: None,
        awaits: None,
        hearing: Hearing { since: Some(10), ..Hearing::default() },
        vars: Map::new(),
        started_at: at(START),
        ended_at: None,
        failure: None,
        trail: Default::default(),
        memory: Default::default(),
        exclusive: None,
    }
}

fn data(run: &Enrollment, title: &str) -> Value {
    json!({"contact": {"title": title, "custom": {}}, "account": null, "lead": null, "enrollment": run.data()})
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

fn event(kind: InteractionKind, name: &str) -> Event {
    Event {
        id: InteractionId(Uuid::from_u128(5)),
        kind,
        name: name.to_owned(),
        url: None,
        seconds: None,
        occurred_at: at(START) + TimeDelta::hours(1),
        properties: Map::new(),
    }
}

fn advanced(run: &Enrollment, definition: &Definition, now: DateTime<Utc>) -> Enrollment {
    let data = data(run, "Head");
    let next = advance(run, definition, &context(&data), now).unwrap().next.enrollment;
    assert!(next.keeps_the_law(), "{next:?}");
    next
}

/// As the application does: the place at which the wait began is noted with it.
fn waiting(definition: &Definition) -> Enrollment {
    let mut run = advanced(&run("wait"), definition, at(START));
    run.hearing.awaited.as_mut().unwrap().since = Some(20);
    run
}

fn heard(run: &Enrollment, definition: &Definition, what: &Heard, seq: i64) -> Option<Enrollment> {
    let data = data(run, "Chief");
    let decision = hear(run.clone(), definition, &context(&data), (what, seq), at(START) + TimeDelta::hours(2))?;
    assert!(decision.next.keeps_the_law(), "{:?}", decision.next);
    assert!(!decision.facts.is_empty());
    Some(decision.next)
}

#[test]
fn a_run_waits_until_the_event_comes_and_sees_it() {
    let definition =
        definition("stop_on_meeting: false\n", "event: [FORM], when: \"event.name == 'Pricing'\", timeout: 3d");
    let run = waiting(&definition);
    assert_eq!(
        (run.state, run.due_at),
        (EnrollmentState::Waiting(WaitReason::Event), Some(at(START) + TimeDelta::days(3)))
    );
    let pricing = Heard::Event(event(InteractionKind::Form, "Pricing"));
    assert_eq!(heard(&run, &definition, &Heard::Event(event(InteractionKind::Form, "Other")), 30), None);
    assert_eq!(heard(&run, &definition, &Heard::Event(event(InteractionKind::Page, "Pricing")), 30), None);
    assert_eq!(heard(&run, &definition, &pricing, 20), None, "it came before the step began");
    let woken = heard(&run, &definition, &pricing, 21).unwrap();
    assert_eq!((woken.state, woken.step.as_str()), (EnrollmentState::Active, "wait"));
    assert_eq!(heard(&woken, &definition, &pricing, 22), None, "once is enough");
    let over = advanced(&woken, &definition, at(START) + TimeDelta::hours(2));
    assert_eq!(over.state, EnrollmentState::Finished(FinishReason::Goal));
    assert_eq!(over.hearing.event.map(|event| event.name), Some("Pricing".to_owned()));
}

#[test]
fn a_time_out_goes_its_own_way_and_leaves_no_event() {
    let definition = definition("", "event: [FORM], timeout: 3d, on_timeout: late");
    let over = advanced(&waiting(&definition), &definition, at(START) + TimeDelta::days(3));
    assert_eq!(over.state, EnrollmentState::Finished(FinishReason::Completed));
    assert_eq!(over.hearing.event, None);
}

#[test]
fn a_condition_that_holds_already_is_not_waited_for_and_one_that_begins_to_hold_is_heard() {
    let now = definition("", "condition: contact.title == 'Head', timeout: 3d");
    assert_eq!(advanced(&run("wait"), &now, at(START)).state, EnrollmentState::Finished(FinishReason::Completed));
    let later = definition("", "condition: contact.title == 'Chief', timeout: 3d");
    let woken = heard(&waiting(&later), &later, &Heard::Change, 5).unwrap();
    assert_eq!(woken.state, EnrollmentState::Active);
    let other = definition("", "condition: contact.title == 'None', timeout: 3d");
    assert_eq!(heard(&waiting(&other), &other, &Heard::Change, 30), None);
}

#[test]
fn an_event_since_the_beginning_of_the_run_is_noted_for_its_step() {
    let source = "key: t\nname: T\nsubject: contact\nsteps:\n  - {id: pause, kind: wait, duration: 1d}\n  \
                  - {id: wait, kind: wait_for, event: [FORM], since: enrollment, timeout: 3d}\n  \
                  - {id: came, kind: branch, when: enrollment.event != null, then: good, else: late}\n  \
                  - {id: good, kind: end, outcome: goal}\n  - {id: late, kind: end}\n";
    let definition = read(source).unwrap();
    let pausing = advanced(&run("pause"), &definition, at(START));
    let form = Heard::Event(event(InteractionKind::Form, "Pricing"));
    assert_eq!(heard(&pausing, &definition, &form, 10), None, "it came before the run began");
    let noted = heard(&pausing, &definition, &form, 11).unwrap();
    assert_eq!((noted.state, noted.due_at), (pausing.state, pausing.due_at));
    assert_eq!(heard(&noted, &definition, &form, 12), None, "it is noted already");
    let next_day = at(START) + TimeDelta::days(1);
    let due = advanced(&noted, &definition, next_day);
    assert_eq!((due.state, due.due_at, due.step.as_str()), (EnrollmentState::Active, Some(next_day), "wait"));
    assert_eq!(advanced(&due, &definition, next_day).state, EnrollmentState::Finished(FinishReason::Goal));
    let without = advanced(&pausing, &definition, next_day);
    assert_eq!(without.state, EnrollmentState::Waiting(WaitReason::Event));
}

#[test]
fn what_comes_during_a_pause_is_not_lost() {
    let definition = definition("", "event: [FORM], timeout: 3d");
    let paused = pause(waiting(&definition), PauseReason::Manual, None, at(START)).unwrap().next;
    let form = Heard::Event(event(InteractionKind::Form, "Pricing"));
    let told = heard(&paused, &definition, &form, 30).unwrap();
    assert_eq!(told.state, EnrollmentState::Paused(PauseReason::Manual));
    let resumed = resume(told, at(START) + TimeDelta::hours(5)).unwrap().next;
    assert_eq!(resumed.state, EnrollmentState::Active);
    let over = advanced(&resumed, &definition, at(START) + TimeDelta::hours(5));
    assert_eq!(over.state, EnrollmentState::Finished(FinishReason::Goal));
}

#[test]
fn goals_exits_meetings_and_opportunities_end_a_run_at_once() {
    let goal = definition("goal: contact.title == 'Chief'\n", "event: [FORM], timeout: 3d");
    let over = heard(&waiting(&goal), &goal, &Heard::Change, 5).unwrap();
    assert_eq!((over.state, over.due_at), (EnrollmentState::Finished(FinishReason::Goal), None));
    let plain = definition("", "event: [FORM], timeout: 3d");
    let meeting = Heard::Event(event(InteractionKind::Meeting, "Demo"));
    assert_eq!(heard(&waiting(&plain), &plain, &meeting, 10), None, "before the run");
    let over = heard(&waiting(&plain), &plain, &meeting, 11).unwrap();
    assert_eq!(over.state, EnrollmentState::Finished(FinishReason::MeetingBooked));
    assert_eq!(heard(&waiting(&plain), &plain, &Heard::Opportunity, 11), None);
    let stops = definition("stop_on_opportunity: true\nstop_on_meeting: false\n", "event: [FORM], timeout: 3d");
    assert_eq!(heard(&waiting(&stops), &stops, &meeting, 11), None);
    assert_eq!(heard(&waiting(&stops), &stops, &Heard::Opportunity, 10), None);
    let over = heard(&waiting(&stops), &stops, &Heard::Opportunity, 11).unwrap();
    assert_eq!(over.state, EnrollmentState::Finished(FinishReason::OpportunityOpened));
    assert_eq!([listens(&goal), listens(&plain), listens(&stops)], [11, 10, 12]);
}

#[test]
fn a_meeting_is_not_waited_for_where_it_ends_the_run() {
    let source = "{key: t, name: T, subject: contact, steps: [{id: wait, kind: wait_for, event: [MEETING], timeout: 3d}, \
                  {id: done, kind: end}]}";
    let found = read(source).unwrap_err();
    assert!(found[0].message.contains("stop_on_meeting: false"), "{found:?}");
    assert_eq!(found[0].path, "steps[0].event");
}

#[test]
fn who_has_a_condition_on_what_people_do_or_on_lists_hears_of_it() {
    let of = |header: &str, wait: &str| listens(&definition(header, wait));
    let usual = MEETINGS | EVENTS;
    assert_eq!(of("goal: interactions.form.count > 1\n", "event: [FORM], timeout: 3d"), usual | CONDITIONS | DEEDS);
    assert_eq!(of("exit: \"'vip' in lists\"\n", "event: [FORM], timeout: 3d"), usual | CONDITIONS | LISTS);
    let wait = "condition: interactions.any.count > 3, timeout: 3d";
    assert_eq!(of("", wait), MEETINGS | CONDITIONS | DEEDS);
    // What happens at a step alone is looked at there.
    assert_eq!(of("entry: interactions.form.count > 1\n", "event: [FORM], timeout: 3d"), usual);
    let waits = definition("", wait);
    let page = Heard::Event(event(InteractionKind::Page, "Home"));
    let with = |run: &Enrollment, count: u32| {
        let mut data = data(run, "Head");
        data["interactions"] = json!({"any": {"count": count}});
        data
    };
    let begun = run("wait");
    let waiting = advance(&begun, &waits, &context(&with(&begun, 0)), at(START)).unwrap().next.enrollment;
    let seen = |count: u32| {
        let data = with(&waiting, count);
        hear(waiting.clone(), &waits, &context(&data), (&page, 30), at(START)).map(|decision| decision.next)
    };
    assert_eq!(seen(3), None);
    let woken = seen(4).unwrap();
    assert_eq!((woken.state, woken.hearing.event), (EnrollmentState::Active, None));
}

#[test]
fn what_ends_a_run_as_it_comes_about_is_on_the_record_with_its_grounds() {
    for (header, grounds, state) in [
        ("goal: contact.title == 'Chief'\n", json!({"goal": "contact.title == 'Chief'"}), FinishReason::Goal.as_str()),
        ("exit: contact.title == 'Chief'\n", json!({"exit": "contact.title == 'Chief'"}), "RULE"),
    ] {
        let definition = definition(header, "event: [FORM], timeout: 3d");
        let run = waiting(&definition);
        let data = data(&run, "Chief");
        let decision = hear(run, &definition, &context(&data), (&Heard::Change, 30), at(START)).unwrap();
        assert!(!decision.next.state.is_live() && decision.next.state.reason() == Some(state));
        assert_eq!(decision.facts[0].detail["grounds"], grounds, "{header}");
    }
}

#[test]
fn only_a_run_that_its_own_step_ended_leaves_its_tasks_after_a_meeting() {
    let source = "key: t\nname: T\nsubject: contact\nsteps:\n  - {id: met, kind: end, outcome: OUTCOME}\n";
    let booked = EnrollmentState::Finished(FinishReason::MeetingBooked);
    for (outcome, state, needs_none) in [
        ("meeting_booked", booked, false),
        ("completed", EnrollmentState::Finished(FinishReason::Completed), false),
        ("goal", EnrollmentState::Finished(FinishReason::Goal), false),
        ("exit", EnrollmentState::Exited(super::super::enrollment::ExitReason::Rule), true),
    ] {
        let definition = read(&source.replace("OUTCOME", outcome)).unwrap();
        let ended = advanced(&run("met"), &definition, at(START));
        assert_eq!((ended.state, ended.needs_no_tasks()), (state, needs_none), "{outcome}");
        // What is stored of it says the same.
        let stored: Enrollment = serde_json::from_value(json!(ended)).unwrap();
        assert_eq!((stored.needs_no_tasks(), &stored), (needs_none, &ended));
    }
    let definition = definition("", "event: [FORM], timeout: 3d");
    let met =
        heard(&waiting(&definition), &definition, &Heard::Event(event(InteractionKind::Meeting, "Demo")), 30).unwrap();
    assert_eq!((met.state, met.needs_no_tasks()), (booked, true));
}
