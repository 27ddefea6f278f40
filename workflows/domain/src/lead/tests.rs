//! The laws of a lead's life.

use super::*;
use chrono::TimeDelta;

fn at(hours: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
}

fn user(n: u128) -> UserId {
    UserId(uuid::Uuid::from_u128(n))
}

fn new_lead() -> NewLead {
    NewLead {
        id: LeadId(uuid::Uuid::from_u128(1)),
        contact: ContactId(uuid::Uuid::from_u128(2)),
        account: None,
        source: "  Paid  Search ".to_owned(),
        external_id: Some("x-1".to_owned()),
        grade: None,
        priority: 50,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    }
}

fn received() -> Lead {
    receive(new_lead(), &Patience::default(), at(0)).unwrap().next
}

#[test]
fn a_received_lead_has_an_owner_a_due_time_and_a_timer() {
    let decision = receive(new_lead(), &Patience::default(), at(0)).unwrap();
    assert!(decision.next.keeps_the_law());
    assert_eq!(decision.next.source, "paid_search");
    assert_eq!(decision.facts[0].kind, "lead.received");
    assert_eq!(decision.jobs[0].job, Job::WakeLead { lead: decision.next.id, revision: 1 });
    assert_eq!(Some(decision.jobs[0].due), decision.next.due_at);
}

#[test]
fn a_lead_without_source_is_refused() {
    let refusal = receive(NewLead { source: " \t".to_owned(), ..new_lead() }, &Patience::default(), at(0)).unwrap_err();
    assert_eq!((refusal.code(), refusal.field()), ("LEAD_SOURCE_INVALID", Some("source")));
}

#[test]
fn grades_are_parsed_shown_and_ordered() {
    let mut all: Vec<Grade> = FitGrade::ALL
        .iter()
        .flat_map(|fit| IntentGrade::ALL.iter().map(|intent| Grade { fit: *fit, intent: *intent }))
        .collect();
    for grade in &all {
        assert_eq!(grade.to_string().parse::<Grade>().unwrap(), *grade);
        assert_eq!(serde_json::from_value::<Grade>(serde_json::to_value(grade).unwrap()).unwrap(), *grade);
    }
    all.sort_by_key(|grade| grade.rank());
    let shown: Vec<String> = all.iter().map(Grade::to_string).collect();
    assert_eq!(shown[..6], ["A1", "A2", "B1", "A3", "B2", "C1"]);
    assert_eq!(shown[15], "D4");
    for bad in ["", "A", "A5", "E1", "A11", "甲1"] {
        assert_eq!(bad.parse::<Grade>().unwrap_err().code(), "LEAD_GRADE_INVALID", "{bad}");
    }
    assert!("B2".parse::<Grade>().unwrap().is_better_than(Some("C2".parse().unwrap())));
    assert!("D4".parse::<Grade>().unwrap().is_better_than(None));
}

#[test]
fn a_lead_follows_its_handoff_through_acceptance_to_the_win() {
    let (sdr, rep, now) = (user(10), user(11), at(1));
    let lead = queue(received(), "lead.qualified", None, &Patience::default(), now).unwrap().next;
    let lead = verify_begun(lead, sdr, at(2), now).unwrap();
    let lead = verified(lead, sdr, &Patience::default(), now).unwrap().next;
    assert_eq!((lead.verified_by, lead.owner), (Some(sdr), Owner::Sdr(sdr)));
    let mut lead = lead;
    for step in [
        HandoffStep::Dispatched { due: at(3) },
        HandoffStep::Dispatched { due: at(4) },
        HandoffStep::Accepted { by: rep, due: at(5) },
        HandoffStep::Working { by: rep, due: at(6) },
        HandoffStep::Returned { reason: "NO_BUDGET".to_owned(), due: at(7) },
        HandoffStep::Working { by: rep, due: at(8) },
        HandoffStep::Won { by: rep },
    ] {
        let before = (lead.stage, lead.owner);
        let decision = follow_handoff(lead, &step, now).unwrap();
        lead = decision.next;
        assert!(lead.keeps_the_law(), "{step:?}");
        let moved = before != (lead.stage, lead.owner);
        assert_eq!(decision.facts.len(), usize::from(moved), "{step:?}: the handoff's own facts tell the rest");
    }
    assert_eq!((lead.stage, lead.sold_by), (Stage::Won, Some(rep)));
    let refusal = follow_handoff(lead, &HandoffStep::Dispatched { due: at(9) }, now).unwrap_err();
    assert_eq!(refusal.code(), "LEAD_ENDED");
}

#[test]
fn a_lead_is_not_sold_before_it_was_accepted() {
    let refusal = follow_handoff(received(), &HandoffStep::Won { by: user(1) }, at(1)).unwrap_err();
    assert_eq!(refusal, Refusal::NotAllowed { from: Stage::Received, to: Stage::Won });
}

#[test]
fn an_end_leaves_neither_owner_nor_due_time_and_keeps_its_reason() {
    let ends = [
        disqualify(received(), "STUDENT", at(1)).unwrap(),
        mark_duplicate(received(), LeadId(uuid::Uuid::from_u128(9)), at(1)).unwrap(),
        close(received(), "LEGAL_BLOCK", at(1)).unwrap(),
    ];
    for decision in ends {
        assert!(decision.next.keeps_the_law());
        assert!(!decision.next.stage.is_open());
        assert_eq!(decision.facts[0].reason, decision.next.reason);
        assert!(decision.jobs.is_empty());
        assert_eq!(disqualify(decision.next, "STUDENT", at(2)).unwrap_err().code(), "LEAD_ENDED");
    }
}

#[test]
fn a_lead_cannot_repeat_itself() {
    let lead = received();
    let id = lead.id;
    assert_eq!(mark_duplicate(lead, id, at(1)).unwrap_err().code(), "LEAD_DUPLICATE_OF_ITSELF");
}

#[test]
fn a_recycled_lead_comes_back_by_a_timer_of_its_own() {
    let decision = recycle(received(), "CONTACT_LATER", at(100), at(1)).unwrap();
    assert!(decision.next.keeps_the_law());
    assert_eq!(decision.jobs[0].due, at(100));
    assert_eq!(decision.jobs[0].job, Job::WakeLead { lead: decision.next.id, revision: decision.next.revision });
    assert_eq!(recycle(received(), "CONTACT_LATER", at(1), at(1)).unwrap_err().code(), "LEAD_DUE_PASSED");
}
