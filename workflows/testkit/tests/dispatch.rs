//! Dispatch and return through the real commands and timers, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::{
    AppError, Call, ChecklistAnswer, Command, HandoffAccept, HandoffAssign, HandoffConvert, HandoffLose, HandoffMatch,
    HandoffMoved, HandoffProgress, HandoffReclaim, HandoffReject, HandoffReturn, HandoffReviewReturn, HandoffStart,
    LeadQualify, LeadReceive, OpportunityDispatch, OutOfOfficeSet, PoolSave, RoutingTableSave, WorkItemAnswer,
    WorkItemClaim, WorkItemStart, WorkItemVerify, WorkingCalendarSave,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::calendar::{Day, Draft};
use tandem_domain::handoff::{Handoff, HandoffState, Reason, ReviewVerdict};
use tandem_domain::id::{CalendarId, HandoffId, UserId};
use tandem_domain::lead::{Lead, Owner, Stage};
use tandem_domain::opportunity::{Money, Opportunity, OpportunityState};
use tandem_domain::routing::{
    Absence, HeldFor, MemberDraft, Pool, PoolDraft, RoutingRule, Skip, TableDraft, Verdict as Chosen,
};
use tandem_domain::verification::{Finding, Verdict};
use tandem_domain::work_item::{ItemState, WorkItem};
use tandem_store::Page;
use tandem_store::dispatch::HandoffFilter;
use tandem_testkit::{World, on_both_databases};

/// A pool of sellers who work from 9 to 17 UTC, an SDR, a manager and somebody for escalations.
struct Floor {
    ops: Call,
    sdr: Call,
    manager: Call,
    boss: (UserId, Call),
    sellers: Vec<(UserId, Call)>,
    calendar: CalendarId,
    pool: Pool,
}

fn week(hours: &str) -> Draft {
    let week = Day::ALL[..5].iter().map(|day| (*day, vec![hours.parse().unwrap()])).collect();
    let (key, name) = ("office".to_owned(), "Office".to_owned());
    Draft { key, name, zone: chrono_tz::UTC, week, holidays: vec![], make_up: vec![] }
}

fn pool_draft(key: &str, calendar: CalendarId, members: &[UserId], boss: Option<UserId>) -> PoolDraft {
    let member = |user: &UserId| MemberDraft { user: *user, weight: 1, capacity: 2, calendar: None };
    PoolDraft {
        key: key.to_owned(),
        name: "Enterprise".to_owned(),
        members: members.iter().map(member).collect(),
        calendar,
        accept_within: 60,
        work_within: 240,
        progress_within: 960,
        max_attempts: 2,
        escalate_to: boss,
        cooldown_days: 30,
    }
}

async fn floor(world: &World, sellers: usize) -> Floor {
    let (_, ops) = world.user("ops", Role::SalesOps, None).await;
    let (_, sdr) = world.user("sdr", Role::Sdr, Some(Side::Marketing)).await;
    let (_, manager) = world.user("manager", Role::SalesManager, Some(Side::Sales)).await;
    let (boss, boss_call) = world.user("boss", Role::SalesManager, Some(Side::Sales)).await;
    let mut people = Vec::new();
    for n in 0..sellers {
        let (user, call) = world.user(&format!("seller{n}"), Role::Sales, Some(Side::Sales)).await;
        people.push((user.id, call));
    }
    let calendar = world.app.run(&ops, WorkingCalendarSave { draft: week("09:00-17:00") }).await.unwrap().id;
    let members: Vec<UserId> = people.iter().map(|(user, _)| *user).collect();
    let draft = pool_draft("enterprise", calendar, &members, Some(boss.id));
    let pool = world.app.run(&ops, PoolSave { draft }).await.unwrap();
    let draft = TableDraft { rules: vec![], fallback: pool.id };
    world.app.run(&ops, RoutingTableSave { draft }).await.unwrap();
    Floor { ops, sdr, manager, boss: (boss.id, boss_call), sellers: people, calendar, pool }
}

/// A lead that the SDR has verified.
async fn verified(world: &World, sdr: &Call, n: u128) -> Lead {
    let received = LeadReceive {
        contact: world.contact(&format!("person{n}@example.com")).await.id,
        account: None,
        source: "Webinar".to_owned(),
        external_id: Some(format!("w-{n}")),
        grade: Some("A1".parse().unwrap()),
        priority: None,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    };
    let lead = world.app.run(&world.system(), received).await.unwrap();
    let qualify = LeadQualify { lead: lead.id, grade: None, priority: None };
    let (item, _) = world.app.run(&world.system(), qualify).await.unwrap();
    verify(world, sdr, &item).await
}

async fn verify(world: &World, sdr: &Call, item: &WorkItem) -> Lead {
    let (item, _) = world.app.run(sdr, WorkItemClaim { item: item.id }).await.unwrap();
    let token = item.fence;
    world.app.run(sdr, WorkItemStart { item: item.id, token }).await.unwrap();
    let finding = Finding { verdict: Verdict::Confirmed, value: None, evidence: None };
    let checklist = &world.app.env.queue.checklist.items;
    let answers = checklist.iter().map(|entry| ChecklistAnswer { item: entry.key.clone(), finding: finding.clone() });
    let answers = answers.collect();
    world.app.run(sdr, WorkItemAnswer { item: item.id, token, answers }).await.unwrap();
    world.app.run(sdr, WorkItemVerify { item: item.id, token, note: None }).await.unwrap().1
}

fn dispatch(lead: &Lead) -> OpportunityDispatch {
    OpportunityDispatch { lead: lead.id, name: Some("Twenty seats".to_owned()), amount: None, pool: None }
}

async fn refused<C: Command>(world: &World, call: &Call, command: C) -> &'static str
where
    C::Output: std::fmt::Debug,
{
    world.app.run(call, command).await.unwrap_err().code()
}

impl Floor {
    /// Dispatches a verified lead and lets routing make its first choice.
    async fn offered(&self, world: &World, n: u128) -> Handoff {
        let lead = verified(world, &self.sdr, n).await;
        let handoff = world.app.run(&self.sdr, dispatch(&lead)).await.unwrap().handoff;
        world.run_due_jobs().await;
        find(world, handoff.id).await
    }

    fn seller(&self, user: Option<UserId>) -> &Call {
        let found = self.sellers.iter().find(|(seller, _)| Some(*seller) == user);
        &found.unwrap().1
    }

    /// A handoff that its seller works on.
    async fn worked(&self, world: &World, n: u128) -> Handoff {
        let handoff = self.offered(world, n).await;
        let seller = self.seller(handoff.offered_to);
        world.app.run(seller, HandoffAccept { handoff: handoff.id }).await.unwrap();
        world.app.run(seller, HandoffStart { handoff: handoff.id }).await.unwrap().handoff
    }

    async fn returned(&self, world: &World, n: u128, reason: Reason) -> Handoff {
        let handoff = self.worked(world, n).await;
        let command = HandoffReturn { handoff: handoff.id, reason, note: Some("See the mail".to_owned()) };
        world.app.run(self.seller(handoff.assignee), command).await.unwrap().handoff
    }

    async fn review(&self, world: &World, handoff: HandoffId, verdict: ReviewVerdict) -> HandoffMoved {
        let command = HandoffReviewReturn { handoff, verdict, note: None, pool: None, until: None };
        world.app.run(&self.manager, command).await.unwrap()
    }
}

async fn find(world: &World, id: HandoffId) -> Handoff {
    world.app.store.find(id).await.unwrap().unwrap()
}

async fn lead_of(world: &World, handoff: &Handoff) -> Lead {
    let lead: Lead = world.app.store.find(handoff.lead).await.unwrap().unwrap();
    assert!(lead.keeps_the_law());
    assert!(handoff.keeps_the_law());
    lead
}

async fn opportunity_of(world: &World, handoff: &Handoff) -> Opportunity {
    world.app.store.find(handoff.opportunity).await.unwrap().unwrap()
}

/// The arrows of one handoff, as the ledger has them.
async fn arrows(world: &World, handoff: HandoffId) -> Vec<String> {
    let links = world.ledger().await;
    let mine = links.into_iter().filter(|link| link.entry.subject_id == uuid::Uuid::from(handoff));
    mine.filter_map(|link| link.entry.state_after).collect()
}

async fn handoff_jobs(world: &World) -> Vec<String> {
    let kinds = world.job_kinds().await;
    kinds
        .into_iter()
        .filter(|kind| matches!(kind.as_str(), "match_handoff" | "expire_offer" | "check_handoff_sla"))
        .collect()
}

fn reject(handoff: HandoffId) -> HandoffReject {
    HandoffReject { handoff, reason: Reason::WrongOwner, note: None }
}

on_both_databases! {
    async fn a_verified_lead_is_dispatched_offered_accepted_worked_and_won_on_the_record(world: World) {
        let floor = floor(&world, 2).await;
        let lead = verified(&world, &floor.sdr, 1).await;
        let amount = Some(Money { minor: 1_250_000, currency: "EUR".to_owned() });
        let command = OpportunityDispatch { amount: amount.clone(), ..dispatch(&lead) };
        let before = world.ledger_kinds().await.len();
        let begun = world.app.run(&floor.sdr, command).await.unwrap().handoff;
        assert_eq!(begun.state, HandoffState::Pending);
        assert_eq!(world.ledger_kinds().await[before..], ["opportunity.opened", "handoff.dispatched", "lead.dispatched"]);
        assert_eq!(handoff_jobs(&world).await, ["match_handoff"]);
        let twice = refused(&world, &floor.sdr, dispatch(&lead)).await;
        assert_eq!(twice, "LEAD_MOVE_NOT_ALLOWED");

        world.run_due_jobs().await;
        let offered = find(&world, begun.id).await;
        assert_eq!((offered.state, offered.due_at), (HandoffState::Offered, Some(world.now() + TimeDelta::hours(1))));
        let lead = lead_of(&world, &offered).await;
        assert_eq!((lead.stage, lead.owner, lead.due_at), (Stage::Dispatched, Owner::Routing, offered.due_at));
        let receipts = world.app.store.receipts_of(&[begun.id]).await.unwrap();
        assert_eq!((receipts.len(), receipts[0].considered.len()), (1, 2));
        assert_eq!(receipts[0].rule, "pool:enterprise@1");
        assert_eq!(handoff_jobs(&world).await, ["expire_offer"]);

        let (seller, user) = (floor.seller(offered.offered_to), offered.offered_to.unwrap());
        let other = floor.sellers.iter().find(|(id, _)| *id != user).unwrap();
        let foreign = refused(&world, &other.1, HandoffAccept { handoff: begun.id }).await;
        assert_eq!(foreign, "HANDOFF_NOT_OFFERED_TO_YOU");
        let accepted = world.app.run(seller, HandoffAccept { handoff: begun.id }).await.unwrap().handoff;
        let lead = lead_of(&world, &accepted).await;
        assert_eq!((lead.stage, lead.owner, lead.due_at), (Stage::Accepted, Owner::Sales(user), accepted.due_at));
        assert_eq!(accepted.due_at, Some(world.now() + TimeDelta::hours(4)));
        let started = world.app.run(seller, HandoffStart { handoff: begun.id }).await.unwrap().handoff;
        assert_eq!(lead_of(&world, &started).await.stage, Stage::Working);

        world.clock.advance(TimeDelta::days(1));
        let progress = HandoffProgress {
            handoff: begun.id,
            note: Some("Demo held".to_owned()),
            stage: Some("Proposal".to_owned()),
            amount: None,
        };
        let progressed = world.app.run(seller, progress).await.unwrap().handoff;
        assert!(progressed.due_at > started.due_at);
        assert_eq!(opportunity_of(&world, &progressed).await.stage, "Proposal");
        let sold = Some(Money { minor: 1_100_000, currency: "EUR".to_owned() });
        let command = HandoffConvert { handoff: begun.id, amount: sold.clone() };
        let won = world.app.run(seller, command.clone()).await.unwrap().handoff;
        assert_eq!((won.state, won.due_at), (HandoffState::Converted, None));
        let opportunity = opportunity_of(&world, &won).await;
        assert_eq!((opportunity.state, opportunity.amount, opportunity.sales), (OpportunityState::Won, sold, Some(user)));
        let lead = lead_of(&world, &won).await;
        assert_eq!((lead.stage, lead.sold_by), (Stage::Won, Some(user)));
        assert_eq!(refused(&world, seller, command).await, "HANDOFF_NOT_ALLOWED");

        let path = ["MATCHED", "OFFERED", "ACCEPTED", "WORKING", "WORKING", "CONVERTED"];
        assert_eq!(arrows(&world, begun.id).await, path);
        // The timers that were overtaken do nothing.
        let entries = world.ledger_kinds().await.len();
        world.pass(TimeDelta::days(30)).await;
        assert_eq!(handoff_jobs(&world).await, [""; 0]);
        assert_eq!(world.ledger_kinds().await.len(), entries);
        assert!(world.app.store.verify_ledger().await.unwrap().broken.is_none());
    }

    async fn a_rejected_and_an_unanswered_offer_go_on_to_others_and_then_to_the_escalation_person(world: World) {
        let floor = floor(&world, 3).await;
        let first = floor.offered(&world, 1).await;
        let rejecter = first.offered_to.unwrap();
        world.app.run(floor.seller(first.offered_to), reject(first.id)).await.unwrap();
        world.run_due_jobs().await;
        let second = find(&world, first.id).await;
        assert_eq!((second.state, second.attempt), (HandoffState::Offered, 2));
        let silent = second.offered_to.unwrap();
        assert_ne!(silent, rejecter);
        let receipts = world.app.store.receipts_of(&[first.id]).await.unwrap();
        let skipped = receipts[1].considered.iter().find(|entry| entry.user == rejecter).unwrap().skipped;
        assert_eq!(skipped, Some(Skip::AlreadyTried));

        world.pass(TimeDelta::minutes(59)).await;
        assert_eq!(find(&world, first.id).await.state, HandoffState::Offered);
        world.pass(TimeDelta::minutes(1)).await;
        let escalated = find(&world, first.id).await;
        assert_eq!((escalated.state, escalated.offered_to), (HandoffState::Escalated, Some(floor.boss.0)));
        assert_eq!(lead_of(&world, &escalated).await.stage, Stage::Dispatched);
        let late = refused(&world, floor.seller(Some(silent)), HandoffAccept { handoff: first.id }).await;
        assert_eq!(late, "HANDOFF_NOT_OFFERED_TO_YOU");
        // It does not run out, it only becomes overdue.
        world.pass(TimeDelta::days(3)).await;
        assert_eq!(find(&world, first.id).await.state, HandoffState::Escalated);
        assert!(world.ledger_kinds().await.contains(&"handoff.overdue".to_owned()));
        world.app.run(&floor.boss.1, HandoffAccept { handoff: first.id }).await.unwrap();
        assert_eq!(find(&world, first.id).await.assignee, Some(floor.boss.0));
    }

    async fn what_nobody_can_take_now_is_held_and_tried_again(world: World) {
        let floor = floor(&world, 1).await;
        for n in 1..=2 {
            assert_eq!(floor.offered(&world, n).await.state, HandoffState::Offered);
        }
        let full = floor.offered(&world, 3).await;
        assert_eq!((full.state, full.held_for), (HandoffState::Held, Some(HeldFor::NoCapacity)));
        let open = HandoffFilter { holder: Some(floor.sellers[0].0), ..Default::default() };
        let open = world.app.store.handoff_page(&open, &Page::first(10)).await.unwrap().items;
        assert_eq!(open.len(), 2);
        for handoff in &open {
            world.app.run(&floor.sellers[0].1, HandoffAccept { handoff: handoff.id }).await.unwrap();
        }
        world.pass(TimeDelta::hours(1)).await;
        let waits = find(&world, full.id).await;
        assert_eq!((waits.state, waits.due_at), (HandoffState::Held, Some(world.now() + TimeDelta::hours(1))));
        assert_eq!(world.app.store.receipts_of(&[full.id]).await.unwrap().len(), 1, "nothing new was decided");
        let reclaim = HandoffReclaim { handoff: open[0].id, reason: Reason::Capacity, note: None };
        world.app.run(&floor.manager, reclaim).await.unwrap();
        world.pass(TimeDelta::minutes(59)).await;
        assert_eq!(find(&world, full.id).await.state, HandoffState::Held);
        world.clock.advance(TimeDelta::minutes(1));
        world.run_due_jobs().await;
        let taken = find(&world, full.id).await;
        assert_eq!((taken.state, taken.held_for, taken.attempt), (HandoffState::Offered, None, 1));
        assert_eq!(world.app.store.receipts_of(&[full.id]).await.unwrap().len(), 2);

        // Monday evening: nobody is at work until Tuesday, 09:00.
        world.clock.advance(TimeDelta::hours(9));
        let evening = floor.offered(&world, 4).await;
        let morning: DateTime<Utc> = "2026-03-03T09:00:00Z".parse().unwrap();
        assert_eq!((evening.held_for, evening.due_at), (Some(HeldFor::OutOfHours), Some(morning)));
        assert_eq!(lead_of(&world, &evening).await.due_at, Some(morning));
        let receipt = world.app.store.receipts_of(&[evening.id]).await.unwrap().pop().unwrap();
        assert_eq!(receipt.verdict, Chosen::Held { reason: HeldFor::OutOfHours, until: morning });
    }

    async fn accepted_work_that_does_not_begin_in_business_time_is_taken_back(world: World) {
        let floor = floor(&world, 2).await;
        // Monday, 15:30, with four working hours to begin: Tuesday, 11:30.
        world.clock.set("2026-03-02T15:30:00Z".parse().unwrap());
        let offered = floor.offered(&world, 1).await;
        let slow = offered.offered_to;
        let accepted = world.app.run(floor.seller(slow), HandoffAccept { handoff: offered.id }).await.unwrap().handoff;
        assert_eq!(accepted.due_at, Some("2026-03-03T11:30:00Z".parse().unwrap()));
        world.pass(TimeDelta::hours(20) - TimeDelta::seconds(1)).await;
        assert_eq!(find(&world, offered.id).await.state, HandoffState::Accepted);
        world.pass(TimeDelta::seconds(1)).await;
        let next = find(&world, offered.id).await;
        assert_eq!((next.state, next.attempt), (HandoffState::Offered, 2));
        assert_ne!(next.offered_to, slow);
        let breach = world.ledger().await.into_iter().find(|link| link.entry.kind == "handoff.reclaimed").unwrap();
        assert_eq!(breach.entry.reason.as_deref(), Some("SLA_BREACH"));
        assert_eq!(lead_of(&world, &next).await.stage, Stage::Dispatched);
    }

    async fn a_manager_reclaims_and_assigns_by_hand(world: World) {
        let floor = floor(&world, 3).await;
        let worked = floor.worked(&world, 1).await;
        let first = worked.assignee.unwrap();
        let reclaim = HandoffReclaim { handoff: worked.id, reason: Reason::Capacity, note: None };
        assert_eq!(refused(&world, floor.seller(Some(first)), reclaim.clone()).await, "FORBIDDEN");
        world.app.run(&floor.manager, reclaim).await.unwrap();
        let again = HandoffAssign { handoff: worked.id, user: first };
        assert_eq!(refused(&world, &floor.manager, again).await, "HANDOFF_ALREADY_TRIED");
        world.run_due_jobs().await;
        let offered = find(&world, worked.id).await.offered_to.unwrap();
        let third = floor.sellers.iter().map(|(user, _)| *user).find(|user| *user != first && *user != offered).unwrap();
        let assign = HandoffAssign { handoff: worked.id, user: third };
        assert_eq!(refused(&world, &floor.sdr, assign.clone()).await, "FORBIDDEN");
        let assigned = world.app.run(&floor.manager, assign).await.unwrap().handoff;
        assert_eq!((assigned.state, assigned.assignee), (HandoffState::Accepted, Some(third)));
        assert_eq!(lead_of(&world, &assigned).await.owner, Owner::Sales(third));
        // Whoever had the offer keeps the turn.
        let next = floor.offered(&world, 2).await;
        assert_eq!(next.offered_to, Some(offered));
    }

    async fn a_return_goes_where_the_review_sends_it(world: World) {
        let floor = floor(&world, 3).await;
        // Back to work.
        let refused_return = floor.returned(&world, 1, Reason::NotQualified).await;
        let lead = lead_of(&world, &refused_return).await;
        assert_eq!((lead.stage, lead.owner), (Stage::Returned, Owner::Routing));
        let by_seller = HandoffReviewReturn {
            handoff: refused_return.id,
            verdict: ReviewVerdict::Close,
            note: None,
            pool: None,
            until: None,
        };
        let seller = floor.seller(refused_return.assignee);
        assert_eq!(refused(&world, seller, by_seller).await, "FORBIDDEN");
        let back = floor.review(&world, refused_return.id, ReviewVerdict::Refuse).await.handoff;
        assert_eq!((back.state, back.assignee), (HandoffState::Working, refused_return.assignee));
        assert_eq!(lead_of(&world, &back).await.owner, Owner::Sales(back.assignee.unwrap()));
        let lost = HandoffLose { handoff: back.id, reason: Reason::NoBudget, note: None };
        world.app.run(seller, lost).await.unwrap();
        assert_eq!(opportunity_of(&world, &back).await.state, OpportunityState::Lost);

        // To the SDR, who verifies it again; the returner is in cool-down for the next dispatch too.
        let to_sdr = floor.returned(&world, 2, Reason::BadContact).await;
        let moved = floor.review(&world, to_sdr.id, ReviewVerdict::ToSdr).await.handoff;
        assert_eq!((moved.state, moved.due_at), (HandoffState::ToSdr, None));
        assert_eq!(opportunity_of(&world, &moved).await.state, OpportunityState::Closed);
        assert_eq!(lead_of(&world, &moved).await.stage, Stage::Queued);
        let items = world.app.store.work_items_of_leads(&[moved.lead], 5).await.unwrap();
        assert_eq!((items.len(), items[0].state), (1, ItemState::Queued));
        let lead = verify(&world, &floor.sdr, &items[0]).await;
        let again = world.app.run(&floor.sdr, dispatch(&lead)).await.unwrap().handoff;
        assert_eq!(again.cool_downs.len(), 1);
        world.run_due_jobs().await;
        assert_ne!(find(&world, again.id).await.offered_to, to_sdr.assignee);

        // To nurture, and to nobody.
        let to_nurture = floor.returned(&world, 3, Reason::BadTiming).await;
        let moved = floor.review(&world, to_nurture.id, ReviewVerdict::ToNurture).await.handoff;
        let lead = lead_of(&world, &moved).await;
        assert_eq!((lead.stage, lead.reason.as_deref()), (Stage::Recycled, Some("BAD_TIMING")));
        let closed = floor.returned(&world, 4, Reason::ConflictOfInterest).await;
        let moved = floor.review(&world, closed.id, ReviewVerdict::Close).await.handoff;
        assert_eq!(lead_of(&world, &moved).await.stage, Stage::Closed);
        let path = arrows(&world, closed.id).await;
        assert_eq!(path[path.len() - 3..], ["RETURNED", "RETURN_REVIEW", "CLOSED"]);
    }

    async fn a_re_route_begins_another_handoff_that_the_returner_is_not_offered(world: World) {
        let floor = floor(&world, 2).await;
        let returned = floor.returned(&world, 1, Reason::WrongTerritory).await;
        let returner = returned.assignee.unwrap();
        let credit = |pool: &Pool| pool.member(returner).unwrap().credit;
        let before: Pool = world.app.store.find(floor.pool.id).await.unwrap().unwrap();
        let moved = floor.review(&world, returned.id, ReviewVerdict::ReRoute).await;
        let after: Pool = world.app.store.find(floor.pool.id).await.unwrap().unwrap();
        assert!(credit(&after) > credit(&before), "the turn is given back");
        assert_eq!((moved.handoff.state, moved.handoff.due_at), (HandoffState::ReRouted, None));
        let next = moved.next.unwrap();
        assert_eq!((next.opportunity, next.previous), (returned.opportunity, Some(returned.id)));
        world.run_due_jobs().await;
        let offered = find(&world, next.id).await;
        assert_eq!(offered.state, HandoffState::Offered);
        assert_ne!(offered.offered_to, Some(returner));
        assert_eq!(opportunity_of(&world, &offered).await.handoff, offered.id);
        assert_eq!(lead_of(&world, &offered).await.due_at, offered.due_at);
        let assign = HandoffAssign { handoff: next.id, user: returner };
        assert_eq!(refused(&world, &floor.manager, assign).await, "HANDOFF_COOL_DOWN");
        let all = world.app.store.handoffs_of(&[returned.opportunity]).await.unwrap();
        assert_eq!(all.iter().filter(|handoff| handoff.due_at.is_some()).count(), 1);
    }

    async fn a_review_that_nobody_makes_becomes_overdue_and_stays_due(world: World) {
        let floor = floor(&world, 1).await;
        let returned = floor.returned(&world, 1, Reason::NoNeed).await;
        let due = returned.due_at.unwrap();
        world.clock.set(due);
        world.run_due_jobs().await;
        let overdue = find(&world, returned.id).await;
        assert_eq!(overdue.state, HandoffState::ReturnReview);
        assert!(overdue.due_at > Some(due));
        assert_eq!(lead_of(&world, &overdue).await.due_at, overdue.due_at);
        assert_eq!(handoff_jobs(&world).await.iter().filter(|kind| *kind == "check_handoff_sla").count(), 1);
    }

    async fn two_choices_at_once_play_two_turns_and_keep_to_the_capacity(world: World) {
        let floor = floor(&world, 2).await;
        let mut begun = Vec::new();
        for n in 1..=6 {
            let lead = verified(&world, &floor.sdr, n).await;
            begun.push(world.app.run(&floor.sdr, dispatch(&lead)).await.unwrap().handoff);
        }
        let matches = begun.iter().map(|handoff| {
            let (app, call) = (world.app.clone(), world.system());
            let command = HandoffMatch { handoff: handoff.id, attempt: 1 };
            tokio::spawn(async move { app.run(&call, command).await })
        });
        let mut held = BTreeMap::<Option<UserId>, u32>::new();
        for done in matches.collect::<Vec<_>>() {
            let moved = done.await.unwrap().unwrap();
            *held.entry(moved.handoff.offered_to).or_default() += 1;
        }
        let expected = floor.sellers.iter().map(|(user, _)| (Some(*user), 2)).chain([(None, 2)]).collect();
        assert_eq!(held, expected, "two each, and two are held");
        // The jobs that planned the same choices find nothing left to do.
        let receipts = world.ledger_kinds().await.iter().filter(|kind| *kind == "handoff.matched").count();
        world.run_due_jobs().await;
        assert_eq!(world.ledger_kinds().await.iter().filter(|kind| *kind == "handoff.matched").count(), receipts);
    }

    async fn an_offer_accepted_twice_at_once_is_accepted_once(world: World) {
        let floor = floor(&world, 1).await;
        let offered = floor.offered(&world, 1).await;
        let accept = || {
            let (app, call) = (world.app.clone(), floor.sellers[0].1.clone());
            let command = HandoffAccept { handoff: offered.id };
            tokio::spawn(async move { app.run(&call, command).await })
        };
        let (first, second) = tokio::join!(accept(), accept());
        let results: Vec<Result<HandoffMoved, AppError>> = vec![first.unwrap(), second.unwrap()];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let refusal = results.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refusal.code(), "HANDOFF_NOT_ALLOWED");
        assert_eq!(arrows(&world, offered.id).await, ["MATCHED", "OFFERED", "ACCEPTED"]);
    }

    async fn only_the_sdr_who_verified_dispatches_and_only_what_is_verified(world: World) {
        let (_, sdr) = world.user("early", Role::Sdr, Some(Side::Marketing)).await;
        let lead = verified(&world, &sdr, 1).await;
        assert_eq!(refused(&world, &sdr, dispatch(&lead)).await, "ROUTING_TABLE_MISSING");
        let floor = floor(&world, 1).await;
        assert_eq!(refused(&world, &floor.sdr, dispatch(&lead)).await, "OPPORTUNITY_LEAD_NOT_YOURS");
        assert_eq!(refused(&world, &floor.sellers[0].1, dispatch(&lead)).await, "FORBIDDEN");
        let chosen = OpportunityDispatch { pool: Some(floor.pool.id), ..dispatch(&lead) };
        assert_eq!(refused(&world, &sdr, chosen).await, "FORBIDDEN");
        let unnamed = OpportunityDispatch { name: Some(" ".to_owned()), ..dispatch(&lead) };
        assert_eq!(refused(&world, &sdr, unnamed).await, "OPPORTUNITY_NAME_INVALID");
        let key = sdr.clone().with_key(Some("once".to_owned()));
        let first = world.app.run(&key, dispatch(&lead)).await.unwrap().handoff;
        let again = world.app.run(&key, dispatch(&lead)).await.unwrap().handoff;
        assert_eq!(first, again, "a repeated request gives the same handoff");
        assert_eq!(world.app.store.handoff_page(&HandoffFilter::default(), &Page::first(10)).await.unwrap().items.len(), 1);
    }

    async fn the_table_routes_and_definitions_are_versioned(world: World) {
        let floor = floor(&world, 2).await;
        assert_eq!(refused(&world, &floor.sdr, WorkingCalendarSave { draft: week("09:00-17:00") }).await, "FORBIDDEN");
        let longer = world.app.run(&floor.ops, WorkingCalendarSave { draft: week("08:00-18:00") }).await.unwrap();
        assert_eq!((longer.id, longer.version), (floor.calendar, 2));
        let unknown = pool_draft("small", CalendarId(uuid::Uuid::from_u128(5)), &[floor.sellers[0].0], None);
        assert_eq!(refused(&world, &floor.ops, PoolSave { draft: unknown }).await, "NOT_FOUND");
        let small = pool_draft("small", floor.calendar, &[floor.sellers[1].0], None);
        let small = world.app.run(&floor.ops, PoolSave { draft: small }).await.unwrap();
        let rule = |when: &str| RoutingRule { name: "hot".to_owned(), when: when.to_owned(), pool: small.id };
        let broken = TableDraft { rules: vec![rule("lead.grade ==")], fallback: floor.pool.id };
        assert_eq!(refused(&world, &floor.ops, RoutingTableSave { draft: broken }).await, "ROUTING_CONDITION_INVALID");
        let draft = TableDraft { rules: vec![rule("lead.grade == 'A1'")], fallback: floor.pool.id };
        let table = world.app.run(&floor.ops, RoutingTableSave { draft }).await.unwrap();
        assert_eq!(table.version, 2);
        let offered = floor.offered(&world, 1).await;
        assert_eq!((offered.pool, offered.route.as_str()), (small.id, "routing@2#hot"));
        assert_eq!(offered.offered_to, Some(floor.sellers[1].0));
    }

    async fn people_who_are_out_of_office_are_passed_over_in_every_pool(world: World) {
        let floor = floor(&world, 2).await;
        let (away, call) = &floor.sellers[0];
        let absences = vec![Absence { from: world.now(), to: world.now() + TimeDelta::days(2) }];
        let pools = world.app.run(call, OutOfOfficeSet { user: None, absences: absences.clone() }).await.unwrap();
        assert_eq!(pools.len(), 1);
        let of_other = OutOfOfficeSet { user: Some(floor.sellers[1].0), absences: absences.clone() };
        assert_eq!(refused(&world, call, of_other.clone()).await, "FORBIDDEN");
        for n in 1..=2 {
            assert_eq!(floor.offered(&world, n).await.offered_to, Some(floor.sellers[1].0));
        }
        world.app.run(&floor.manager, of_other).await.unwrap();
        let held = floor.offered(&world, 3).await;
        assert_eq!((held.state, held.held_for), (HandoffState::Held, Some(HeldFor::OutOfHours)));
        assert_eq!(held.due_at, Some(world.now() + TimeDelta::days(2)));
        let stranger = OutOfOfficeSet { user: Some(floor.boss.0), absences };
        assert_eq!(refused(&world, &floor.manager, stranger).await, "OUT_OF_OFFICE_WITHOUT_POOL");
        let receipts = world.app.store.receipts_of(&[held.id]).await.unwrap();
        assert!(receipts[0].considered.iter().all(|entry| entry.skipped == Some(Skip::OutOfOffice)));
        assert!(receipts[0].considered.iter().any(|entry| entry.user == *away));
    }
}
