//! The laws of the handoff: the machine as a table, one state and one due time after any history, and nobody is given
//! again what they gave up.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::calendar::{self, Day, WorkingCalendar};
use tandem_domain::decision::{Decision, Job};
use tandem_domain::handoff::{self, Handoff, HandoffState as S, NewHandoff, Reason, Refusal, ReviewVerdict, Terms};
use tandem_domain::id::{CalendarId, UserId};
use tandem_domain::routing::{Choice, Field, MemberDraft, Pool, PoolDraft, Standing, Verdict, choose, save_pool};
use uuid::Uuid;

fn id<T: From<Uuid>>(n: u128) -> T {
    T::from(Uuid::from_u128(n))
}

fn monday() -> DateTime<Utc> {
    "2026-05-04T08:00:00Z".parse().unwrap()
}

const MANAGER: u128 = 90;
const BOSS: u128 = 91;

fn calendars() -> BTreeMap<CalendarId, WorkingCalendar> {
    let week = Day::ALL[..5].iter().map(|day| (*day, vec!["09:00-17:00".parse().unwrap()])).collect();
    let zone = chrono_tz::Europe::Berlin;
    let draft = calendar::Draft { key: "k".into(), name: "K".into(), zone, week, holidays: vec![], make_up: vec![] };
    BTreeMap::from([(id(1), calendar::save(None, id(1), draft).unwrap().next)])
}

fn pool(members: u128, max_attempts: u32, escalate_to: Option<u128>) -> Pool {
    let member = |n| MemberDraft { user: id(n), weight: 1, capacity: 5, calendar: None };
    let draft = PoolDraft {
        key: "enterprise".into(),
        name: "Enterprise".into(),
        members: (1..=members).map(member).collect(),
        calendar: id(1),
        accept_within: 60,
        work_within: 480,
        progress_within: 2400,
        max_attempts,
        escalate_to: escalate_to.map(id),
        cooldown_days: 30,
    };
    save_pool(None, id(1), draft).unwrap().next
}

/// A handoff with its pool, calendars and clock.
struct Desk {
    pool: Pool,
    calendars: BTreeMap<CalendarId, WorkingCalendar>,
    now: DateTime<Utc>,
    handoff: Handoff,
}

type Moved = Result<Decision<Handoff>, Refusal>;

fn new() -> NewHandoff {
    let (by, route) = (id(80), "routing@1#fallback".to_owned());
    NewHandoff { id: id(1), opportunity: id(1), lead: id(1), account: Some(id(1)), by, route }
}

impl Desk {
    fn new(pool: Pool) -> Self {
        let handoff = handoff::dispatch(new(), &pool, None, monday()).next;
        Self { pool, calendars: calendars(), now: monday(), handoff }
    }

    fn terms(&self) -> Terms<'_> {
        Terms { pool: &self.pool, calendars: &self.calendars }
    }

    fn choice(&self) -> Choice {
        let standing = Standing { active: true, open: 0 };
        let standings = self.pool.members.iter().map(|member| (member.user, standing)).collect();
        let (barred, attempt) = (self.handoff.barred(self.now), self.handoff.attempt);
        let (receipt, handoff) = (id(7), self.handoff.id);
        let field =
            Field { receipt, handoff, attempt, barred: &barred, standings: &standings, calendars: &self.calendars };
        choose(&self.pool, &field, self.now)
    }

    fn run(&self, command: &str, who: UserId) -> Option<Moved> {
        let (handoff, terms, now) = (self.handoff.clone(), self.terms(), self.now);
        let late = now + TimeDelta::days(60);
        let done = match command {
            "match" => handoff::matched(handoff, &self.choice().receipt, terms, now).transpose()?,
            "expire" => {
                let attempt = handoff.attempt;
                handoff::expire(handoff, attempt, terms, late).transpose()?
            }
            "checkSla" => {
                let revision = handoff.revision;
                handoff::check_sla(handoff, revision, terms, late).transpose()?
            }
            "accept" => handoff::accept(handoff, who, terms, now),
            "reject" => handoff::reject(handoff, who, Reason::WrongOwner, None, terms, now),
            "assign" => handoff::assign(handoff, id(50), id(MANAGER), terms, now).map(|d| d.map(|(h, _)| h)),
            "start" => handoff::start(handoff, who, terms, now),
            "progress" => handoff::progress(handoff, who, None, terms, now),
            "convert" => handoff::convert(handoff, who, now),
            "lose" => handoff::lose(handoff, who, Reason::NoBudget, None, now),
            "return" => handoff::give_back(handoff, who, Reason::WrongTerritory, None, terms, now),
            "reclaim" => handoff::reclaim(handoff, id(MANAGER), Reason::Capacity, None, terms, now),
            _ => {
                let verdict = command.parse::<ReviewVerdict>().unwrap();
                handoff::review(handoff, verdict, id(MANAGER), None, terms, now).map(|d| d.map(|(h, _)| h))
            }
        };
        Some(done)
    }

    /// Runs a command by whoever has it, which must be allowed.
    fn then(mut self, command: &str) -> Self {
        let who = self.handoff.holder().unwrap_or(id(1));
        let (choice, decision) = (self.choice(), self.run(command, who).expect("not stale").expect(command));
        if command == "match" {
            self.pool = choice.pool;
        }
        self.handoff = decision.next;
        self
    }

    fn at(state: S) -> Self {
        let start = || Self::new(pool(3, 3, Some(BOSS)));
        let working = || start().then("match").then("accept").then("start");
        let desk = match state {
            S::Pending => start(),
            S::Held => {
                let mut desk = start();
                desk.now = "2026-05-02T10:00:00Z".parse().unwrap();
                desk.handoff.due_at = Some(desk.now);
                let mut desk = desk.then("match");
                desk.now = monday();
                desk
            }
            S::Offered => start().then("match"),
            S::Escalated => (0..3).fold(start(), |desk, _| desk.then("match").then("reject")),
            S::Accepted => start().then("match").then("accept"),
            S::Working => working(),
            S::ReturnReview => working().then("return"),
            S::Converted => working().then("convert"),
            S::Lost => working().then("lose"),
            S::ReRouted => working().then("return").then("RE_ROUTE"),
            S::ToSdr => working().then("return").then("TO_SDR"),
            S::ToNurture => working().then("return").then("TO_NURTURE"),
            S::Closed => working().then("return").then("CLOSE"),
            passing => panic!("nothing rests in {passing}"),
        };
        assert_eq!(desk.handoff.state, state);
        desk
    }
}

const COMMANDS: [&str; 17] = [
    "match",
    "expire",
    "checkSla",
    "accept",
    "reject",
    "assign",
    "start",
    "progress",
    "convert",
    "lose",
    "return",
    "reclaim",
    "RE_ROUTE",
    "TO_SDR",
    "TO_NURTURE",
    "CLOSE",
    "REFUSE",
];

/// Every arrow of the machine, as (from, command, the states passed through, to).
const ARROWS: &[(S, &str, &[S], S)] = &[
    (S::Pending, "match", &[S::Matched], S::Offered),
    (S::Pending, "assign", &[], S::Accepted),
    (S::Held, "match", &[S::Matched], S::Offered),
    (S::Held, "assign", &[], S::Accepted),
    (S::Offered, "accept", &[], S::Accepted),
    (S::Offered, "reject", &[S::Rejected], S::Pending),
    (S::Offered, "expire", &[S::TimedOut], S::Pending),
    (S::Offered, "assign", &[], S::Accepted),
    (S::Escalated, "accept", &[], S::Accepted),
    (S::Escalated, "reject", &[S::Rejected], S::Escalated),
    (S::Escalated, "assign", &[], S::Accepted),
    (S::Escalated, "checkSla", &[], S::Escalated),
    (S::Accepted, "start", &[], S::Working),
    (S::Accepted, "reclaim", &[S::Reclaimed], S::Pending),
    (S::Accepted, "checkSla", &[S::Reclaimed], S::Pending),
    (S::Working, "progress", &[], S::Working),
    (S::Working, "convert", &[], S::Converted),
    (S::Working, "lose", &[], S::Lost),
    (S::Working, "return", &[S::Returned], S::ReturnReview),
    (S::Working, "reclaim", &[S::Reclaimed], S::Pending),
    (S::Working, "checkSla", &[S::Reclaimed], S::Pending),
    (S::ReturnReview, "RE_ROUTE", &[], S::ReRouted),
    (S::ReturnReview, "TO_SDR", &[], S::ToSdr),
    (S::ReturnReview, "TO_NURTURE", &[], S::ToNurture),
    (S::ReturnReview, "CLOSE", &[], S::Closed),
    (S::ReturnReview, "REFUSE", &[S::ReturnRefused], S::Working),
    (S::ReturnReview, "checkSla", &[], S::ReturnReview),
];

#[test]
fn every_state_allows_the_arrows_drawn_and_no_other() {
    for state in S::ALL.iter().copied().filter(|state| state.is_resting()) {
        let desk = Desk::at(state);
        let who = desk.handoff.holder().unwrap_or(id(1));
        for command in COMMANDS {
            let arrow = ARROWS.iter().find(|(from, by, ..)| *from == state && *by == command);
            match (arrow, desk.run(command, who)) {
                (Some((.., through, to)), Some(Ok(decision))) => {
                    assert_eq!(decision.next.state, *to, "{state} {command}");
                    let path: Vec<String> =
                        decision.facts.iter().filter_map(|fact| fact.moved.clone()).map(|m| m.1).collect();
                    let drawn: Vec<String> = through.iter().chain([to]).map(ToString::to_string).collect();
                    assert_eq!(path, drawn, "{state} {command}: the ledger has every arrow");
                    assert_eq!(decision.facts[0].moved.as_ref().unwrap().0, state.to_string());
                }
                (None, None) => {} // a stale timer
                (None, Some(Err(refusal))) => assert_eq!(refusal.code(), "HANDOFF_NOT_ALLOWED", "{state} {command}"),
                (arrow, got) => panic!("{state} {command}: drawn {arrow:?}, got {got:?}"),
            }
        }
    }
}

#[test]
fn only_the_offered_person_answers_and_only_the_assignee_works() {
    for (state, commands, code) in [
        (S::Offered, &["accept", "reject"][..], "HANDOFF_NOT_OFFERED_TO_YOU"),
        (S::Escalated, &["accept", "reject"], "HANDOFF_NOT_OFFERED_TO_YOU"),
        (S::Accepted, &["start"], "HANDOFF_NOT_YOURS"),
        (S::Working, &["progress", "convert", "lose", "return"], "HANDOFF_NOT_YOURS"),
    ] {
        let desk = Desk::at(state);
        for command in commands {
            assert_eq!(desk.run(command, id(66)).unwrap().unwrap_err().code(), code, "{state} {command}");
        }
    }
}

#[test]
fn an_offer_is_not_taken_after_its_time() {
    let mut desk = Desk::at(S::Offered);
    let who = desk.handoff.holder().unwrap();
    desk.now = desk.handoff.due_at.unwrap();
    assert_eq!(desk.run("accept", who).unwrap().unwrap_err().code(), "HANDOFF_OFFER_RAN_OUT");
    let mut desk = Desk::at(S::Escalated);
    desk.now += TimeDelta::days(9);
    assert!(desk.run("accept", id(BOSS)).unwrap().is_ok(), "an escalated offer does not run out");
}

#[test]
fn clocks_run_in_business_time() {
    let mut desk = Desk::new(pool(3, 3, None));
    desk.now = "2026-05-08T14:30:00Z".parse().unwrap(); // Friday, 16:30 in Berlin
    let desk = desk.then("match");
    assert_eq!(desk.handoff.due_at.unwrap().to_rfc3339(), "2026-05-11T07:30:00+00:00");
}

#[test]
fn a_timer_of_an_earlier_attempt_or_revision_does_nothing() {
    let desk = Desk::at(S::Offered).then("reject").then("match");
    let late = desk.now + TimeDelta::days(9);
    assert_eq!(handoff::expire(desk.handoff.clone(), 1, desk.terms(), late), Ok(None));
    let soon = desk.now + TimeDelta::minutes(1);
    assert_eq!(handoff::expire(desk.handoff.clone(), 2, desk.terms(), soon), Ok(None), "not yet");
    let desk = Desk::at(S::Working);
    let revision = desk.handoff.revision - 1;
    assert_eq!(handoff::check_sla(desk.handoff.clone(), revision, desk.terms(), late), Ok(None));
}

#[test]
fn after_the_last_attempt_the_escalation_person_has_it_or_a_manager_must_assign_it() {
    let desk = Desk::at(S::Escalated);
    assert_eq!(desk.handoff.offered_to, Some(id(BOSS)));
    let desk = desk.then("reject");
    assert_eq!((desk.handoff.state, desk.handoff.offered_to), (S::Escalated, None));
    assert_eq!(desk.run("accept", id(BOSS)).unwrap().unwrap_err().code(), "HANDOFF_NOT_OFFERED_TO_YOU");
    let again = handoff::assign(desk.handoff.clone(), id(BOSS), id(MANAGER), desk.terms(), desk.now);
    assert_eq!(again.unwrap_err().code(), "HANDOFF_ALREADY_TRIED");
    assert_eq!(desk.then("assign").handoff.assignee, Some(id(50)));
    let small = Desk::new(pool(1, 3, None)).then("match").then("reject").then("match");
    assert_eq!((small.handoff.state, small.handoff.offered_to), (S::Escalated, None), "nobody is left");
}

#[test]
fn a_return_gives_the_turn_back_only_for_a_valid_reason_and_only_when_it_is_accepted() {
    for reason in Reason::ALL.iter().copied().filter(|reason| *reason != Reason::SlaBreach) {
        for verdict in ReviewVerdict::ALL.iter().copied() {
            let desk = Desk::at(S::Working);
            let (who, cost) = (desk.handoff.holder().unwrap(), desk.handoff.turn.unwrap().cost);
            let returned = handoff::give_back(desk.handoff.clone(), who, reason, None, desk.terms(), desk.now).unwrap();
            let done = handoff::review(returned.next, verdict, id(MANAGER), None, desk.terms(), desk.now).unwrap().next;
            let expected = verdict != ReviewVerdict::Refuse && reason.gives_turn_back();
            assert_eq!(done.1.is_some(), expected, "{reason} {verdict}");
            if let Some(after) = done.1 {
                let other = desk.pool.members.iter().find(|member| member.user != who).unwrap().user;
                let credit = |pool: &Pool| pool.member(who).unwrap().credit - pool.member(other).unwrap().credit;
                assert_eq!(credit(&after), credit(&desk.pool) + cost);
            }
            assert_eq!(done.0.cool_downs.is_empty(), verdict == ReviewVerdict::Refuse);
        }
    }
}

#[test]
fn the_returner_is_in_cool_down_for_the_next_handoff_and_those_before_stay_out() {
    let desk = Desk::at(S::Offered).then("reject").then("match").then("accept").then("start");
    let (rejecter, returner) = (desk.handoff.tried[0].user, desk.handoff.assignee.unwrap());
    let desk = desk.then("return").then("RE_ROUTE");
    let next = handoff::dispatch(NewHandoff { id: id(2), ..new() }, &desk.pool, Some(&desk.handoff), desk.now).next;
    assert_eq!(next.previous, Some(desk.handoff.id));
    let barred: BTreeSet<UserId> = next.barred(desk.now).iter().map(|bar| bar.user).collect();
    assert_eq!(barred, BTreeSet::from([rejecter, returner]));
    let later = desk.now + TimeDelta::days(30);
    assert_eq!(next.barred(later).iter().map(|bar| bar.user).collect::<Vec<_>>(), vec![rejecter]);
    let again = handoff::assign(next, returner, id(MANAGER), desk.terms(), desk.now);
    assert_eq!(again.unwrap_err().code(), "HANDOFF_COOL_DOWN");
    // The same lead, verified again, is another opportunity: only the cool-down stays.
    let other = NewHandoff { id: id(3), opportunity: id(3), ..new() };
    let other = handoff::dispatch(other, &desk.pool, Some(&desk.handoff), desk.now).next;
    assert_eq!((other.barred(desk.now).len(), other.previous), (1, None));
}

#[test]
fn an_assignment_over_an_offer_gives_the_turn_back() {
    let desk = Desk::at(S::Offered);
    let (who, before) = (desk.handoff.holder().unwrap(), desk.pool.clone());
    let done = handoff::assign(desk.handoff.clone(), id(50), id(MANAGER), desk.terms(), desk.now).unwrap().next;
    let cost = desk.handoff.turn.unwrap().cost;
    let ahead = |pool: &Pool| pool.member(who).unwrap().credit - pool.members[2].credit;
    assert_eq!(ahead(&done.1.unwrap()), ahead(&before) + cost);
    assert_eq!(done.0.turn, None);
}

#[test]
fn reasons_serve_what_they_can_explain() {
    let offered = Desk::at(S::Offered);
    let who = offered.handoff.holder().unwrap();
    let rejected = handoff::reject(offered.handoff.clone(), who, Reason::SlaBreach, None, offered.terms(), offered.now);
    assert_eq!(rejected.unwrap_err().code(), "HANDOFF_REASON_NOT_ALLOWED");
    let working = Desk::at(S::Working);
    let who = working.handoff.holder().unwrap();
    let lost = handoff::lose(working.handoff.clone(), who, Reason::Capacity, None, working.now);
    assert_eq!(lost.unwrap_err().code(), "HANDOFF_REASON_NOT_ALLOWED");
    let long = Some("x".repeat(2_001));
    let lost = handoff::lose(working.handoff.clone(), who, Reason::NoNeed, long, working.now);
    assert_eq!(lost.unwrap_err().code(), "HANDOFF_NOTE_TOO_LONG");
}

proptest! {
    #[test]
    fn any_history_leaves_one_state_with_one_due_time_and_nobody_gets_again_what_they_gave_up(
        members in 1_u128..=4,
        attempts in 1_u32..=4,
        escalate in proptest::option::of(proptest::sample::select(vec![1_u128, BOSS])),
        history in proptest::collection::vec((0_usize..COMMANDS.len(), 0_u128..=5, 0_i64..4_000), 0..60),
    ) {
        let mut desk = Desk::new(pool(members, attempts, escalate));
        let mut given_up = BTreeSet::new();
        for (command, who, minutes) in history {
            desk.now += TimeDelta::minutes(minutes);
            let who = if who == 0 { desk.handoff.holder().unwrap_or(id(1)) } else { id(who) };
            let (before, choice) = (desk.handoff.clone(), desk.choice());
            let Some(Ok(decision)) = desk.run(COMMANDS[command], who) else { continue };
            let next = decision.next;
            prop_assert!(next.keeps_the_law(), "{} {:?}", COMMANDS[command], next);
            // What goes on waiting for the same thing has nothing to tell.
            let waits_on = (before.state, before.held_for) == (next.state, next.held_for) && next.state == S::Held;
            prop_assert_eq!(decision.facts.is_empty(), waits_on);
            prop_assert_eq!(decision.jobs.len(), usize::from(!next.state.is_end()));
            for planned in &decision.jobs {
                prop_assert_eq!(Some(planned.due), next.due_at);
                let names = match planned.job {
                    Job::MatchHandoff { handoff, attempt } => handoff == next.id && attempt == next.attempt,
                    Job::ExpireOffer { handoff, attempt } => handoff == next.id && attempt == next.attempt,
                    Job::CheckHandoffSla { handoff, revision } => handoff == next.id && revision == next.revision,
                    _ => false,
                };
                prop_assert!(names, "the timer names the handoff as it is now");
            }
            prop_assert_eq!(next.revision, before.revision + 1);
            if let Some(user) = next.offered_to.filter(|_| before.offered_to != next.offered_to) {
                prop_assert!(!given_up.contains(&user), "offered again to somebody who gave it up");
            }
            if COMMANDS[command] == "match" && matches!(choice.receipt.verdict, Verdict::Chosen { .. }) {
                desk.pool = choice.pool;
            }
            given_up.extend(next.tried.iter().map(|tried| tried.user));
            desk.handoff = next;
        }
    }
}
