//! Runs that wait for what happens, and end at once when it does: through the ledger and the jobs, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::{
    Call, ChecklistAnswer, ContactChange, EnrollmentCreate, HandoffAccept, HandoffReturn, HandoffStart,
    InteractionRecord, LeadQualify, LeadReceive, OpportunityDispatch, PoolSave, RoutingTableSave, SequencePublish,
    WorkItemAnswer, WorkItemClaim, WorkItemStart, WorkItemVerify, WorkingCalendarSave,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::calendar::{Day, Draft as CalendarDraft};
use tandem_domain::contact::ContactPatch;
use tandem_domain::handoff::Reason;
use tandem_domain::id::{AccountId, ContactId, LeadId, UserId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::lead::Lead;
use tandem_domain::routing::{MemberDraft, PoolDraft, TableDraft};
use tandem_domain::sequence::Sequence;
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, FinishReason, WaitReason};
use tandem_domain::verification::{Finding, Verdict};
use tandem_store::Page;
use tandem_store::sequence::EnrollmentFilter;
use tandem_testkit::{World, on_both_databases};

async fn publish(world: &World, source: &str) -> Sequence {
    let sequence = world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0;
    world.run_due_jobs().await;
    world.clock.advance(TimeDelta::seconds(1));
    sequence
}

/// Waits, then ends with GOAL where something was heard and with COMPLETED after a time-out.
fn waiting(key: &str, header: &str, wait: &str) -> String {
    format!(
        "key: {key}\nname: {key}\nsubject: contact\n{header}steps:\n  - {{id: first, kind: wait, duration: 1d}}\n  \
         - {{id: wait, kind: wait_for, timeout: 5d, on_timeout: late, {wait}}}\n  \
         - {{id: which, kind: branch, when: \"enrollment.event == null || enrollment.event.name != 'x'\", then: good, else: late}}\n  \
         - {{id: good, kind: end, outcome: goal}}\n  - {{id: late, kind: end}}\n"
    )
}

async fn enroll(world: &World, sequence: &Sequence, contact: ContactId) -> Enrollment {
    let command = EnrollmentCreate { sequence: sequence.id, contact: Some(contact), lead: None, vars: Map::new() };
    world.app.run(&world.system(), command).await.unwrap().0
}

async fn now(world: &World, run: &Enrollment) -> Enrollment {
    world.app.store.find(run.id).await.unwrap().unwrap()
}

async fn did(world: &World, contact: ContactId, kind: InteractionKind, name: &str) {
    let (name, properties) = (name.to_owned(), Map::new());
    let draft = Draft { kind, name, occurred_at: None, seconds: None, url: None, properties };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
}

async fn entitle(world: &World, contact: ContactId, title: &str) {
    let patch: ContactPatch = serde_json::from_value(json!({"title": title})).unwrap();
    let command = ContactChange { id: contact, contact: patch, default_region: None };
    world.app.run(&world.system(), command).await.unwrap();
}

/// Sales that can take an opportunity and give it back: the SDR and a seller.
async fn sales(world: &World) -> (Call, Call) {
    let (_, ops) = world.user("ops", Role::SalesOps, None).await;
    let (_, sdr) = world.user("sdr", Role::Sdr, Some(Side::Marketing)).await;
    let (user, seller) = world.user("seller", Role::Sales, Some(Side::Sales)).await;
    let week = Day::ALL.iter().map(|day| (*day, vec!["00:00-23:59".parse().unwrap()])).collect();
    let (key, name) = ("office".to_owned(), "Office".to_owned());
    let draft = CalendarDraft { key, name, zone: chrono_tz::UTC, week, holidays: vec![], make_up: vec![] };
    let calendar = world.app.run(&ops, WorkingCalendarSave { draft }).await.unwrap().id;
    let member = |user: UserId| MemberDraft { user, weight: 1, capacity: 5, calendar: None };
    let draft = PoolDraft {
        key: "all".to_owned(),
        name: "All".to_owned(),
        members: vec![member(user.id)],
        calendar,
        accept_within: 60,
        work_within: 240,
        progress_within: 960,
        max_attempts: 2,
        escalate_to: None,
        cooldown_days: 30,
    };
    let pool = world.app.run(&ops, PoolSave { draft }).await.unwrap();
    let draft = TableDraft { rules: vec![], fallback: pool.id };
    world.app.run(&ops, RoutingTableSave { draft }).await.unwrap();
    (sdr, seller)
}

/// A lead of this person that the SDR has verified.
async fn verified(world: &World, sdr: &Call, contact: ContactId, account: Option<AccountId>) -> LeadId {
    let received = LeadReceive {
        contact,
        account,
        source: "webinar".to_owned(),
        external_id: None,
        grade: Some("A1".parse().unwrap()),
        priority: None,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    };
    let lead: Lead = world.app.run(&world.system(), received).await.unwrap();
    let qualify = LeadQualify { lead: lead.id, grade: None, priority: None };
    let (item, _) = world.app.run(&world.system(), qualify).await.unwrap();
    let (item, _) = world.app.run(sdr, WorkItemClaim { item: item.id }).await.unwrap();
    let token = item.fence;
    world.app.run(sdr, WorkItemStart { item: item.id, token }).await.unwrap();
    let finding = Finding { verdict: Verdict::Confirmed, value: None, evidence: None };
    let checklist = &world.app.env.queue.checklist.items;
    let answers = checklist.iter().map(|entry| ChecklistAnswer { item: entry.key.clone(), finding: finding.clone() });
    let answers = answers.collect();
    world.app.run(sdr, WorkItemAnswer { item: item.id, token, answers }).await.unwrap();
    world.app.run(sdr, WorkItemVerify { item: item.id, token, note: None }).await.unwrap();
    lead.id
}

fn dispatch(lead: LeadId) -> OpportunityDispatch {
    OpportunityDispatch { lead, name: Some("Twenty seats".to_owned()), amount: None, pool: None }
}

on_both_databases! {
    async fn what_came_before_the_step_does_not_count_and_what_comes_after_wakes_it_at_once(world: World) {
        let sequence = publish(&world, &waiting("forms", "", "event: [FORM]")).await;
        let sam = world.contact("sam@example.com").await;
        let run = enroll(&world, &sequence, sam.id).await;
        world.run_due_jobs().await;
        did(&world, sam.id, InteractionKind::Form, "Early").await;
        world.run_due_jobs().await;
        world.clock.advance(TimeDelta::days(1));
        // Recorded, and not yet told to sequences, when the step begins: the order of the ledger decides.
        did(&world, sam.id, InteractionKind::Form, "Also early").await;
        world.run_due_jobs().await;
        let waits = now(&world, &run).await;
        assert_eq!((waits.state, waits.step.as_str()), (EnrollmentState::Waiting(WaitReason::Event), "wait"));
        assert_eq!(waits.due_at, Some(world.now() + TimeDelta::days(5)));
        world.clock.advance(TimeDelta::hours(3));
        did(&world, sam.id, InteractionKind::Page, "Other").await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.state, waits.state);
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        world.run_due_jobs().await;
        let over = now(&world, &run).await;
        assert_eq!((over.state, over.ended_at), (EnrollmentState::Finished(FinishReason::Goal), Some(world.now())));
        assert_eq!(over.hearing.event.unwrap().name, "Pricing");
        let heard = world.ledger_kinds().await.into_iter().filter(|kind| kind == "enrollment.event_heard").count();
        assert_eq!(heard, 1);
        world.pass(TimeDelta::days(6)).await;
        assert!(world.job_kinds().await.is_empty(), "the time-out that was planned does nothing");
    }

    async fn an_event_between_the_step_and_the_relay_is_not_missed(world: World) {
        let sequence = publish(&world, &waiting("forms", "", "event: [FORM]")).await;
        let sam = world.contact("sam@example.com").await;
        let run = enroll(&world, &sequence, sam.id).await;
        world.run_due_jobs().await;
        world.clock.advance(TimeDelta::days(1));
        let advance = tandem_app::EnrollmentAdvance { enrollment: run.id, visit: now(&world, &run).await.visit };
        world.app.run(&world.system(), advance).await.unwrap();
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        // Six nodes hear of it at once, one tells, and the part that tells runs twice.
        let racers = (0..6).map(|_| {
            let app = world.app.clone();
            tokio::spawn(async move { app.relay_to_sequences().await.unwrap() })
        });
        for racer in racers.collect::<Vec<_>>() {
            racer.await.unwrap();
        }
        let (to, _) = world.app.store.ledger_head().await.unwrap();
        assert!(world.app.hear_facts(&world.system(), 0, to, None).await.unwrap());
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Goal));
        let heard = world.ledger_kinds().await.into_iter().filter(|kind| kind == "enrollment.event_heard").count();
        assert_eq!(heard, 1);
    }

    async fn after_the_time_out_a_run_goes_its_other_way(world: World) {
        let sequence = publish(&world, &waiting("forms", "", "event: [FORM], when: event.name == 'Pricing'")).await;
        let sam = world.contact("sam@example.com").await;
        let run = enroll(&world, &sequence, sam.id).await;
        world.run_due_jobs().await;
        world.pass(TimeDelta::days(1)).await;
        did(&world, sam.id, InteractionKind::Form, "Newsletter").await;
        world.pass(TimeDelta::days(5)).await;
        let over = now(&world, &run).await;
        assert_eq!((over.state, over.step.as_str()), (EnrollmentState::Finished(FinishReason::Completed), "late"));
    }

    async fn an_event_since_the_run_began_is_remembered_for_the_step(world: World) {
        let sequence = publish(&world, &waiting("forms", "", "event: [FORM], since: enrollment")).await;
        let [sam, kim] = [world.contact("sam@example.com").await, world.contact("kim@example.com").await];
        did(&world, kim.id, InteractionKind::Form, "Before the run").await;
        let (of_sam, of_kim) = (enroll(&world, &sequence, sam.id).await, enroll(&world, &sequence, kim.id).await);
        world.run_due_jobs().await;
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        world.run_due_jobs().await;
        world.pass(TimeDelta::days(1)).await;
        let over = now(&world, &of_sam).await;
        assert_eq!((over.state, over.ended_at), (EnrollmentState::Finished(FinishReason::Goal), Some(world.now())));
        assert_eq!(now(&world, &of_kim).await.state, EnrollmentState::Waiting(WaitReason::Event));
    }

    async fn a_condition_that_begins_to_hold_wakes_the_run(world: World) {
        let sequence = publish(&world, &waiting("chiefs", "", "condition: contact.title == 'Chief'")).await;
        let sam = world.contact("sam@example.com").await;
        let run = enroll(&world, &sequence, sam.id).await;
        world.run_due_jobs().await;
        world.pass(TimeDelta::days(1)).await;
        entitle(&world, sam.id, "Clerk").await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Waiting(WaitReason::Event));
        entitle(&world, sam.id, "Chief").await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Goal));
    }

    async fn a_goal_and_a_meeting_end_a_run_when_they_come_about(world: World) {
        let goal = publish(&world, &waiting("goal", "goal: contact.title == 'Chief'\n", "event: [FORM]")).await;
        let none = publish(&world, &waiting("none", "stop_on_meeting: false\n", "event: [FORM]")).await;
        let triggered = "triggers: [{kind: event, event: [MEETING]}]\n";
        let begun_by_it = publish(&world, &waiting("after_meeting", triggered, "event: [FORM]")).await;
        let sam = world.contact("sam@example.com").await;
        let (in_goal, in_none) = (enroll(&world, &goal, sam.id).await, enroll(&world, &none, sam.id).await);
        world.run_due_jobs().await;
        world.clock.advance(TimeDelta::hours(2));
        entitle(&world, sam.id, "Chief").await;
        world.run_due_jobs().await;
        let over = now(&world, &in_goal).await;
        assert_eq!((over.state, over.ended_at), (EnrollmentState::Finished(FinishReason::Goal), Some(world.now())));
        let again = enroll(&world, &goal, world.contact("kim@example.com").await.id).await;
        did(&world, again.contact, InteractionKind::Meeting, "Demo").await;
        did(&world, sam.id, InteractionKind::Meeting, "Demo").await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &again).await.state, EnrollmentState::Finished(FinishReason::MeetingBooked));
        assert!(now(&world, &in_none).await.state.is_live());
        let filter = EnrollmentFilter { sequence: Some(begun_by_it.id), ..Default::default() };
        let runs = world.app.store.enrollment_page(&filter, &Page::first(9)).await.unwrap().items;
        assert_eq!(runs.len(), 2);
        assert!(runs.iter().all(|run| run.state.is_live()), "the meeting that began a run does not end it");
    }

    async fn an_opportunity_at_the_company_ends_runs_and_a_return_starts_them(world: World) {
        let stops = publish(&world, &waiting("stops", "stop_on_opportunity: true\n", "event: [FORM]")).await;
        let goes_on = publish(&world, &waiting("goes_on", "", "event: [FORM]")).await;
        let recycle = "key: recycle\nname: Recycle\nsubject: contact\ntriggers:\n  \
                       - {kind: return, reasons: [BAD_TIMING, NO_BUDGET], vars: {why: handoff.reason}}\nsteps:\n  \
                       - {id: pause, kind: wait, duration: 90d}\n  - {id: done, kind: end}\n";
        let recycle = publish(&world, recycle).await;
        let rows = vec![serde_json::from_value(json!({"name": "Example"})).unwrap()];
        let made = world.app.run(&world.system(), tandem_app::AccountUpsertMany { rows }).await.unwrap();
        let account: AccountId = made.rows[0].id().unwrap().into();
        let [sam, kim] = [world.contact("sam@example.com").await, world.contact("kim@example.com").await];
        for contact in [sam.id, kim.id] {
            let patch: ContactPatch = serde_json::from_value(json!({"account": account})).unwrap();
            world.app.run(&world.system(), ContactChange { id: contact, contact: patch, default_region: None }).await.unwrap();
        }
        let (sdr, seller) = sales(&world).await;
        let lead = verified(&world, &sdr, sam.id, Some(account)).await;
        let colleague = enroll(&world, &stops, kim.id).await;
        let other = enroll(&world, &goes_on, kim.id).await;
        world.run_due_jobs().await;
        let (_, handoff) = {
            let moved = world.app.run(&sdr, dispatch(lead)).await.unwrap();
            let filter = tandem_store::dispatch::HandoffFilter::default();
            world.run_due_jobs().await;
            (moved, world.app.store.handoff_page(&filter, &Page::first(9)).await.unwrap().items.remove(0).id)
        };
        assert_eq!(now(&world, &colleague).await.state, EnrollmentState::Finished(FinishReason::OpportunityOpened));
        assert!(now(&world, &other).await.state.is_live());
        world.app.run(&seller, HandoffAccept { handoff }).await.unwrap();
        world.app.run(&seller, HandoffStart { handoff }).await.unwrap();
        let back = HandoffReturn { handoff, reason: Reason::BadTiming, note: None };
        world.app.run(&seller, back).await.unwrap();
        world.run_due_jobs().await;
        let filter = EnrollmentFilter { sequence: Some(recycle.id), ..Default::default() };
        let [run] = world.app.store.enrollment_page(&filter, &Page::first(9)).await.unwrap().items.try_into().unwrap();
        assert_eq!((run.contact, run.lead, &run.vars["why"]), (sam.id, Some(lead), &json!("BAD_TIMING")));
    }
}
