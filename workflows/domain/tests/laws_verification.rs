//! Laws of the SDR queue: under any interleaving of people and timers a lead has one holder at most, a stale token
//! changes nothing, and every open lead has an owner and a due time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use tandem_domain::decision::{Decision, Job, Planned};
use tandem_domain::id::{ContactId, LeadId, UserId, WorkItemId};
use tandem_domain::lead::{self, NewLead, Owner, Stage};
use tandem_domain::verification::{
    self, Aside, Case, Cause, Checklist, Ending, Finding, Judged, Policy, Reason, Verdict,
};
use tandem_domain::work_item::{self, ItemState, NewTask, TaskOutcome, Token, WaitFor, Waiting, WorkItem};
use uuid::Uuid;

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
}

fn user(n: u8) -> UserId {
    UserId(Uuid::from_u128(u128::from(n) + 100))
}

fn item_id() -> WorkItemId {
    WorkItemId(Uuid::from_u128(3))
}

fn checklist() -> Checklist {
    static SHIPPED: LazyLock<Checklist> = LazyLock::new(|| Checklist::from_yaml(Checklist::SHIPPED).unwrap());
    SHIPPED.clone()
}

fn new_lead() -> NewLead {
    NewLead {
        id: LeadId(Uuid::from_u128(1)),
        contact: ContactId(Uuid::from_u128(2)),
        account: None,
        source: "webinar".to_owned(),
        external_id: None,
        grade: Some("B2".parse().unwrap()),
        priority: 50,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    }
}

fn entered() -> Decision<Judged> {
    let policy = Policy::default();
    let lead = lead::receive(new_lead(), &policy.patience, at(0)).unwrap().next;
    verification::enqueue(lead, None, item_id(), Cause::Qualified, None, &policy, at(0)).unwrap()
}

fn finding(verdict: Verdict) -> Finding {
    Finding { verdict, value: None, evidence: Some("call".to_owned()) }
}

fn confirmed(mut item: WorkItem, token: Token, now: DateTime<Utc>) -> WorkItem {
    let list = checklist();
    for entry in &list.items {
        item = verification::answer(item, token, &list, &entry.key, finding(Verdict::Confirmed), now).unwrap().next;
    }
    item
}

/// Everything a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ask {
    Claim,
    Heartbeat,
    Start,
    Release,
    TakeBack,
    Wait,
    Resume,
    Answer,
    Verify,
    Disqualify,
    Recycle,
    MarkDuplicate,
}

const ASKS: [Ask; 12] = [
    Ask::Claim,
    Ask::Heartbeat,
    Ask::Start,
    Ask::Release,
    Ask::TakeBack,
    Ask::Wait,
    Ask::Resume,
    Ask::Answer,
    Ask::Verify,
    Ask::Disqualify,
    Ask::Recycle,
    Ask::MarkDuplicate,
];

fn ask(
    what: Ask,
    (item, lead): Judged,
    token: Token,
    now: DateTime<Utc>,
) -> Result<Decision<Judged>, verification::Refusal> {
    let (policy, list) = (Policy::default(), checklist());
    let case = (item.clone(), Some(lead.clone()));
    let both = |decision: Decision<Case>| decision.map(|(item, lead)| (item, lead.unwrap()));
    match what {
        Ask::Claim => verification::claim(case, token.holder, &policy, now).map(both),
        Ask::Heartbeat => verification::heartbeat(case, token, &policy, now).map(both),
        Ask::Start => verification::start(case, token, now).map(both),
        Ask::Release => verification::release(case, token, &policy, now).map(both),
        Ask::TakeBack => verification::take_back(case, user(99), &policy, now).map(both),
        Ask::Wait => {
            let waiting = Waiting { wait_for: WaitFor::Callback, until: now + TimeDelta::hours(5), note: None };
            verification::wait(case, token, waiting, &policy, now).map(both)
        }
        Ask::Resume => verification::resume(case, token, &policy, now).map(both),
        Ask::Answer => verification::answer(item, token, &list, "reached", finding(Verdict::Confirmed), now)
            .map(|decision| decision.map(|item| (item, lead))),
        Ask::Verify => verification::verify(item, lead, token, &list, None, &policy, now),
        Ask::Disqualify => verification::disqualify(item, lead, token, Reason::Student, None, now),
        Ask::Recycle => {
            let aside = Aside { reason: Reason::ContactLater, until: None, note: None };
            verification::recycle(item, lead, token, aside, &policy, now)
        }
        Ask::MarkDuplicate => verification::mark_duplicate(item, lead, token, LeadId(Uuid::from_u128(9)), None, now),
    }
}

/// A case in the given state of the machine, and the token of its last claim.
fn in_state(state: ItemState) -> (Judged, Token) {
    let (token, now) = (Token { holder: user(1), fence: 1 }, at(1));
    let go = |case: Judged, what: Ask| ask(what, case, token, now).unwrap().next;
    let claimed = || go(entered().next, Ask::Claim);
    let working = || {
        let (item, lead) = go(claimed(), Ask::Start);
        (confirmed(item, token, now), lead)
    };
    let case = match state {
        ItemState::Queued => entered().next,
        ItemState::Claimed => claimed(),
        ItemState::InProgress => working(),
        ItemState::Waiting => go(working(), Ask::Wait),
        ItemState::Verified => go(working(), Ask::Verify),
        ItemState::Recycled => go(working(), Ask::Recycle),
        ItemState::Disqualified => go(working(), Ask::Disqualify),
        ItemState::Duplicate => go(working(), Ask::MarkDuplicate),
        ItemState::Cancelled => {
            let (item, lead) = entered().next;
            let ending = Ending::Closed("LEGAL_BLOCK".to_owned());
            let (item, lead) = verification::end(lead, Some(item), ending, now).unwrap().next;
            (item.unwrap(), lead)
        }
        ItemState::Reopened | ItemState::Done => panic!("no verification rests in {state}"),
    };
    assert_eq!(case.0.state, state);
    (case, token)
}

#[test]
fn every_state_allows_what_is_drawn_and_refuses_the_rest_by_name() {
    use ItemState::*;
    for state in [Queued, Claimed, InProgress, Waiting, Verified, Recycled, Disqualified, Duplicate, Cancelled] {
        for what in ASKS {
            let (case, token) = in_state(state);
            let expected: Result<ItemState, &str> = match (state, what) {
                (Queued, Ask::Claim) => Ok(Claimed),
                (Claimed | InProgress | Waiting, Ask::Claim) => Err("WORK_ITEM_HELD"),
                (_, Ask::Claim) => Err("WORK_ITEM_MOVE_NOT_ALLOWED"),
                (Claimed | InProgress, Ask::Heartbeat) => Ok(state),
                (Claimed, Ask::Start) => Ok(InProgress),
                (Claimed | InProgress, Ask::Release | Ask::TakeBack) => Ok(Queued),
                (_, Ask::TakeBack) => Err("WORK_ITEM_MOVE_NOT_ALLOWED"),
                (InProgress, Ask::Wait) => Ok(Waiting),
                (Waiting, Ask::Resume) => Ok(InProgress),
                (InProgress, Ask::Answer) => Ok(InProgress),
                (InProgress, Ask::Verify) => Ok(Verified),
                (InProgress, Ask::Disqualify) => Ok(Disqualified),
                (InProgress, Ask::Recycle) => Ok(Recycled),
                (InProgress, Ask::MarkDuplicate) => Ok(Duplicate),
                (Claimed | InProgress | Waiting, _) => Err("WORK_ITEM_MOVE_NOT_ALLOWED"),
                // Nobody holds it, so no token is good.
                _ => Err("WORK_ITEM_STALE_TOKEN"),
            };
            match (ask(what, case, token, at(2)), expected) {
                (Ok(decision), Ok(next)) => {
                    let (item, lead) = decision.next;
                    assert_eq!(item.state, next, "{state} x {what:?}");
                    assert!(item.keeps_the_law() && lead.keeps_the_law(), "{state} x {what:?}");
                    assert!(!decision.facts.is_empty());
                }
                (Err(refusal), Err(code)) => assert_eq!(refusal.code(), code, "{state} x {what:?}"),
                (got, wanted) => panic!("{state} x {what:?}: {got:?} instead of {wanted:?}"),
            }
        }
    }
}

#[test]
fn an_incomplete_checklist_verifies_nothing_and_names_what_is_missing() {
    let (case, token) = in_state(ItemState::Claimed);
    let case = ask(Ask::Start, case, token, at(2)).unwrap().next;
    let (item, lead) = ask(Ask::Answer, case, token, at(2)).unwrap().next;
    let refusal = ask(Ask::Verify, (item.clone(), lead.clone()), token, at(3)).unwrap_err();
    let missing = ["identity_confirmed", "fits_profile", "need_stated", "consent_to_contact"].map(str::to_owned);
    assert_eq!(refusal, verification::Refusal::Incomplete { missing: missing.to_vec() });
    let (list, item) = (checklist(), confirmed(item, token, at(3)));
    let item = verification::answer(item, token, &list, "fits_profile", finding(Verdict::Refuted), at(3)).unwrap().next;
    let refusal = ask(Ask::Verify, (item.clone(), lead), token, at(3)).unwrap_err();
    assert_eq!(refusal, verification::Refusal::Incomplete { missing: vec!["fits_profile".to_owned()] });
    let refusal =
        verification::answer(item, token, &list, "shoe_size", finding(Verdict::Confirmed), at(3)).unwrap_err();
    assert_eq!((refusal.code(), refusal.field()), ("VERIFICATION_UNKNOWN_ITEM", Some("item")));
}

#[test]
fn a_checklist_without_a_category_or_with_a_key_twice_is_refused() {
    let mut list = checklist();
    list.items.retain(|item| item.key != "consent_to_contact");
    assert_eq!(list.check().unwrap_err().code(), "CHECKLIST_CATEGORY_MISSING");
    let mut list = checklist();
    list.items[1].key = list.items[0].key.clone();
    assert_eq!(list.check().unwrap_err().code(), "CHECKLIST_KEY_INVALID");
    let unknown = Checklist::SHIPPED.replace("category: NEED", "category: BUDGET");
    assert_eq!(Checklist::from_yaml(&unknown).unwrap_err().code(), "CHECKLIST_UNREADABLE");
}

#[test]
fn a_reason_that_does_not_go_with_the_disposition_is_refused() {
    let ((item, lead), token) = in_state(ItemState::InProgress);
    for reason in [Reason::ContactLater, Reason::Duplicate] {
        let refusal = verification::disqualify(item.clone(), lead.clone(), token, reason, None, at(2)).unwrap_err();
        assert_eq!((refusal.code(), refusal.field()), ("VERIFICATION_REASON_NOT_FOR_THIS", Some("reason")));
    }
    let aside = Aside { reason: Reason::Student, until: None, note: None };
    let refusal = verification::recycle(item, lead, token, aside, &Policy::default(), at(2)).unwrap_err();
    assert_eq!(refusal.code(), "VERIFICATION_REASON_NOT_FOR_THIS");
    assert!(Reason::ALL.iter().all(|it| it.disqualifies() || it.recycles() || *it == Reason::Duplicate));
}

#[test]
fn a_lead_returned_by_sales_is_checked_anew_and_keeps_its_first_round() {
    let ((item, mut lead), _) = in_state(ItemState::Verified);
    for step in [
        lead::HandoffStep::Dispatched { due: at(10) },
        lead::HandoffStep::Accepted { by: user(7), due: at(20) },
        lead::HandoffStep::Returned { reason: "NO_BUDGET".to_owned(), due: at(30) },
    ] {
        lead = lead::follow_handoff(lead, &step, at(5)).unwrap().next;
    }
    let (policy, cause) = (Policy::default(), Cause::ReturnedBySales);
    let decision =
        verification::enqueue(lead, Some(item), item_id(), cause, Some("NO_BUDGET"), &policy, at(6)).unwrap();
    let moves: Vec<_> = decision.facts.iter().filter_map(|fact| fact.moved.clone()).collect();
    let expected = [("VERIFIED", "REOPENED"), ("REOPENED", "QUEUED"), ("RETURNED", "QUEUED")];
    assert_eq!(moves, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
    let (item, lead) = decision.next;
    assert_eq!((item.state, lead.stage, lead.reason.as_deref()), (ItemState::Queued, Stage::Queued, Some("NO_BUDGET")));
    assert!(item.answers.is_empty());
    assert_eq!(item.earlier[0].answers.len(), checklist().items.len());
}

#[test]
fn a_better_grade_brings_a_recycled_lead_back_and_a_worse_one_does_not() {
    let grade = |text: &str| {
        let ((item, lead), _) = in_state(ItemState::Recycled);
        let (policy, grade) = (Policy::default(), text.parse().unwrap());
        verification::regrade(lead, Some(item), item_id(), grade, "scoring:test@1", &policy, at(5)).unwrap().next
    };
    let (item, lead) = grade("A1");
    assert_eq!((item.unwrap().state, lead.stage), (ItemState::Queued, Stage::Queued));
    let (item, lead) = grade("C3");
    assert_eq!((item, lead.stage), (None, Stage::Recycled));
}

#[test]
fn the_queue_orders_by_priority_then_grade_then_due_time() {
    let (item, _) = entered().next;
    let with = |priority: u8, grade: Option<&str>, due: i64| {
        let grade = grade.map(|text| text.parse().unwrap());
        WorkItem { priority, grade, due_at: at(due), ..item.clone() }.queue_rank()
    };
    let ranks = [
        with(100, Some("D4"), 9_000),
        with(90, Some("A1"), 2),
        with(90, Some("A1"), 3),
        with(90, Some("B1"), 1),
        with(90, None, 0),
        with(0, Some("A1"), 0),
    ];
    assert!(ranks.is_sorted() && ranks.iter().all(|rank| *rank >= 0), "{ranks:?}");
}

#[test]
fn a_task_is_completed_by_its_holder_and_never_judged_like_a_lead() {
    let new = NewTask {
        id: item_id(),
        lead: None,
        contact: ContactId(Uuid::from_u128(2)),
        account: None,
        title: "Call about the demonstration".to_owned(),
        team: None,
        priority: 60,
        grade: None,
        due_at: at(100),
        notes: None,
        made_by: None,
        channel: None,
    };
    let wordy = NewTask { notes: Some("x".repeat(work_item::MOST_NOTES + 1)), ..new.clone() };
    let refusal = work_item::make_task(wordy, at(0)).unwrap_err();
    assert_eq!((refusal.code(), refusal.field()), ("TEXT_TOO_LONG", Some("notes")));
    let item = work_item::make_task(new, at(0)).unwrap().next;
    let (item, _) = verification::claim((item, None), user(1), &Policy::default(), at(1)).unwrap().next;
    let (token, list) = (Token { holder: user(1), fence: 1 }, checklist());
    let refusal =
        verification::answer(item.clone(), token, &list, "reached", finding(Verdict::Confirmed), at(2)).unwrap_err();
    assert_eq!(refusal.code(), "WORK_ITEM_WRONG_KIND");
    let late = work_item::complete(item.clone(), token, TaskOutcome::Done, None, at(60)).unwrap_err();
    assert_eq!(late.code(), "WORK_ITEM_STALE_TOKEN");
    assert_eq!(
        work_item::complete(item, token, TaskOutcome::NoAnswer, None, at(2)).unwrap().next.state,
        ItemState::Done
    );
}

#[test]
fn a_lead_that_nobody_moves_ends_in_the_end() {
    let policy = Policy::default();
    let received = lead::receive(new_lead(), &policy.patience, at(0)).unwrap();
    let (mut lead, mut item, mut jobs) = (received.next, None, received.jobs);
    let mut fired = 0;
    while let Some(Planned { job: Job::WakeLead { revision, .. }, due, .. }) = jobs.pop() {
        let decision = verification::fall_due(lead, item, item_id(), revision, &policy, due).unwrap().unwrap();
        (item, lead) = decision.next;
        jobs = decision.jobs;
        assert!(lead.keeps_the_law());
        fired += 1;
    }
    assert_eq!((lead.stage, lead.reason.as_deref()), (Stage::Closed, Some("NOT_MOVED")));
    assert_eq!(item.unwrap().state, ItemState::Cancelled);
    assert_eq!(fired, policy.patience.moves_by_timer + 1);
}

/// One thing that happens in a run: a person asks for something, some minutes after the last one.
#[derive(Debug, Clone)]
struct Event {
    minutes: i64,
    person: u8,
    what: Ask,
    /// Which of the tokens given out so far the person shows, counted from the newest.
    token_age: usize,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0_i64..25, 0_u8..3, prop::sample::select(ASKS.to_vec()), 0_usize..3)
        .prop_map(|(minutes, person, what, token_age)| Event { minutes, person, what, token_age });
    prop::collection::vec(one, 1..80)
}

/// What a timer does to the case.
fn fire(planned: &Planned, (item, lead): Judged, now: DateTime<Utc>) -> Option<Decision<Judged>> {
    let (policy, case) = (Policy::default(), (item.clone(), Some(lead.clone())));
    let both = |decision: Decision<Case>| decision.map(|(item, lead)| (item, lead.unwrap()));
    match &planned.job {
        Job::ExpireClaim { fence, .. } => verification::expire(case, *fence, &policy, now).unwrap().map(both),
        Job::WakeWorkItem { revision, .. } => verification::wake(case, *revision, &policy, now).unwrap().map(both),
        Job::WakeLead { revision, .. } => {
            verification::fall_due(lead, Some(item.clone()), item_id(), *revision, &policy, now)
                .unwrap()
                .map(|decision| decision.map(|(moved, lead)| (moved.unwrap_or(item), lead)))
        }
        other => panic!("{other:?} is none of the queue's timers"),
    }
}

proptest! {
    #[test]
    fn one_holder_per_lead_and_no_effect_of_a_stale_token_under_any_interleaving(events in events()) {
        let entered = entered();
        let (mut case, mut jobs, mut now) = (entered.next, entered.jobs, at(0));
        let mut given: Vec<Token> = Vec::new();
        for event in events {
            now += TimeDelta::minutes(event.minutes);
            // The job runner is late by up to one event: people act between a lease's end and its timer.
            let late = now - TimeDelta::minutes(5);
            let (due, mut later): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|planned| planned.due <= late);
            for planned in &due {
                if let Some(decision) = fire(planned, case.clone(), now) {
                    later.extend(decision.jobs);
                    case = decision.next;
                }
            }
            jobs = later;
            let who = user(event.person);
            let fence = given.len().checked_sub(1 + event.token_age).map_or(0, |index| given[index].fence);
            let token = Token { holder: who, fence };
            let before = case.0.claim.clone();
            let good = before.as_ref().is_some_and(|claim| (claim.holder, claim.fence) == (who, fence));
            if let Ok(decision) = ask(event.what, case.clone(), token, now) {
                match event.what {
                    Ask::Claim => {
                        prop_assert!(before.is_none(), "claimed what {:?} holds", before);
                        let fence = decision.next.0.fence;
                        prop_assert!(given.iter().all(|token| token.fence < fence), "a token was given twice");
                        given.push(Token { holder: who, fence });
                    }
                    Ask::TakeBack => {}
                    _ => prop_assert!(good, "{:?} worked with {:?} while {:?} held", event, token, before),
                }
                prop_assert!(!decision.facts.is_empty());
                jobs.extend(decision.jobs);
                case = decision.next;
            }
            let (item, lead) = &case;
            prop_assert!(item.keeps_the_law() && lead.keeps_the_law(), "{:?}", case);
            prop_assert_eq!(item.state.is_held(), lead.stage == Stage::Verifying);
            if let Some(claim) = &item.claim {
                prop_assert_eq!(lead.owner, Owner::Sdr(claim.holder));
            }
            if lead.stage.is_open() {
                prop_assert!(jobs.iter().any(|planned| Some(planned.due) <= lead.due_at), "no timer for {:?}", lead);
            }
        }
    }
}
