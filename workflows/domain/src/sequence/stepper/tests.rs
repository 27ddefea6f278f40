use super::*;
use crate::id::{ContactId, EnrollmentId, SequenceId, SequenceVersionId};
use crate::sequence::SubjectKind;
use crate::sequence::trail::Trail;
use uuid::Uuid;

fn active(now: DateTime<Utc>) -> Enrollment {
    Enrollment {
        id: EnrollmentId(Uuid::nil()),
        sequence: SequenceId(Uuid::nil()),
        version: SequenceVersionId(Uuid::nil()),
        rule: "test@1".to_owned(),
        contact: ContactId(Uuid::nil()),
        lead: None,
        account: None,
        subject: SubjectKind::Contact,
        reentry_key: String::new(),
        state: EnrollmentState::Active,
        step: "first".to_owned(),
        visit: 4,
        due_at: Some(now),
        held: None,
        awaits: None,
        hearing: hearing::Hearing::default(),
        vars: serde_json::Map::new(),
        started_at: now,
        ended_at: None,
        failure: None,
        trail: Trail::new(),
        memory: Default::default(),
        exclusive: None,
    }
}

#[test]
fn a_lack_of_threads_ends_no_run() {
    let now = DateTime::UNIX_EPOCH;
    let passing = [crate::expression::Refusal::NoThread.into(), crate::sequence::template::Refusal::NoThread.into()];
    for failure in passing {
        let decision = failed(active(now), EnrollmentState::Active, Vec::new(), failure, now);
        let waiting = decision.next.enrollment;
        assert!(waiting.keeps_the_law());
        assert_eq!((waiting.state, waiting.step.as_str()), (EnrollmentState::Waiting(WaitReason::Event), "first"));
        assert_eq!((waiting.visit, waiting.due_at), (5, Some(now + PASSING_RETRY)));
        assert_eq!(decision.jobs.len(), 1);
    }
    let lasting = Failure::new("EXPRESSION_FAILED", "it has no value");
    let ended = failed(active(now), EnrollmentState::Active, Vec::new(), lasting, now).next.enrollment;
    assert_eq!(ended.state, EnrollmentState::Failed);
}

#[test]
fn the_record_of_a_failure_says_from_where_it_came_and_which_steps_it_took() {
    let source = "{key: test, name: Test, subject: contact, steps: [\
        {id: look, kind: branch, when: 'contact.phone == null', then: broken, else: done}, \
        {id: broken, kind: branch, when: contact.custom.missing == 1, then: done, else: done}, {id: done, kind: end}]}";
    let definition = crate::sequence::validate::read(source).unwrap();
    let data = json!({"contact": {"phone": null, "custom": {}}});
    let context = Context {
        data: &data,
        zone: Tz::UTC,
        standing: Standing::Allowed,
        replied: false,
        meeting_booked: false,
        sequence: SequenceState::Active,
        calendars: &Calendars::new(),
        mailboxes: &[],
        capped: None,
    };
    let now = DateTime::UNIX_EPOCH;
    for state in [EnrollmentState::Pending, EnrollmentState::Waiting(WaitReason::Time)] {
        let before = Enrollment { state, step: "look".to_owned(), ..active(now) };
        let decision = advance(&before, &definition, &context, now).unwrap();
        let fact = &decision.facts[0];
        assert_eq!(fact.moved, Some((state.to_string(), "FAILED".to_owned())));
        assert_eq!((&fact.detail["taken"][0]["step"], &fact.detail["taken"][1]), (&json!("look"), &Value::Null));
        assert_eq!(decision.next.enrollment.state, EnrollmentState::Failed);
    }
}
