//! Leads and the SDR queue through the real commands, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::{
    App, AppError, Call, ChecklistAnswer, LeadDisqualify, LeadGrade, LeadQualify, LeadReceive, SequencePublish,
    TaskComplete, TaskCreate, WorkItemAnswer, WorkItemClaim, WorkItemClaimNext, WorkItemDisqualify, WorkItemHeartbeat,
    WorkItemRecycle, WorkItemRelease, WorkItemResume, WorkItemStart, WorkItemTakeBack, WorkItemVerify, WorkItemWait,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::contact::{ConsentState, Contact};
use tandem_domain::id::{ContactId, SequenceId};
use tandem_domain::lead::{Lead, Owner, Stage};
use tandem_domain::verification::{Finding, Reason, Verdict};
use tandem_domain::work_item::{ItemKind, ItemState, WaitFor, WorkItem};
use tandem_store::Page;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};

async fn receive(world: &World, n: u128, priority: u8) -> Lead {
    let command = LeadReceive {
        contact: world.contact(&format!("person{n}@example.com")).await.id,
        account: None,
        source: "Webinar".to_owned(),
        external_id: Some(format!("w-{n}")),
        grade: Some("B2".parse().unwrap()),
        priority: Some(priority),
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    };
    world.app.run(&world.system(), command).await.unwrap()
}

async fn qualified(world: &World, n: u128, priority: u8) -> (WorkItem, Lead) {
    let lead = receive(world, n, priority).await;
    let command = LeadQualify { lead: lead.id, grade: None, priority: None };
    world.app.run(&world.system(), command).await.unwrap()
}

async fn sdr(world: &World, name: &str) -> Call {
    world.user(name, Role::Sdr, Some(Side::Marketing)).await.1
}

async fn next(app: &App, call: &Call) -> Result<WorkItem, AppError> {
    app.run(call, WorkItemClaimNext { kind: None }).await.map(|(item, _)| item)
}

async fn confirm_all(world: &World, call: &Call, item: &WorkItem) -> WorkItem {
    let finding = Finding { verdict: Verdict::Confirmed, value: None, evidence: Some("call".to_owned()) };
    let checklist = &world.app.env.queue.checklist;
    let answers = checklist
        .items
        .iter()
        .map(|entry| ChecklistAnswer { item: entry.key.clone(), finding: finding.clone() })
        .collect();
    let command = WorkItemAnswer { item: item.id, token: item.fence, answers };
    world.app.run(call, command).await.unwrap()
}

async fn lead(world: &World, item: &WorkItem) -> Lead {
    world.app.store.find(item.lead.unwrap()).await.unwrap().unwrap()
}

async fn item(world: &World, item: &WorkItem) -> WorkItem {
    world.app.store.find(item.id).await.unwrap().unwrap()
}

on_both_databases! {
    async fn a_lead_is_received_qualified_checked_and_verified_on_the_record(world: World) {
        let (queued, received) = qualified(&world, 1, 50).await;
        assert_eq!((received.stage, received.owner), (Stage::Queued, Owner::SdrQueue));
        let ann = sdr(&world, "ann").await;
        let claimed = next(&world.app, &ann).await.unwrap();
        assert_eq!((claimed.id, claimed.state, claimed.fence), (queued.id, ItemState::Claimed, 1));
        world.app.run(&ann, WorkItemStart { item: claimed.id, token: 1 }).await.unwrap();
        let verify = WorkItemVerify { item: claimed.id, token: 1, note: Some("Wants a quote".to_owned()) };
        let early = world.app.run(&ann, verify.clone()).await.unwrap_err();
        assert_eq!(early.code(), "VERIFICATION_INCOMPLETE");
        confirm_all(&world, &ann, &claimed).await;
        let (done, verified) = world.app.run(&ann, verify).await.unwrap();
        assert_eq!((done.state, verified.stage), (ItemState::Verified, Stage::Verified));
        assert_eq!((verified.verified_by, verified.owner), (ann.actor.user, Owner::Sdr(ann.actor.user.unwrap())));
        let kinds: Vec<String> = world.ledger_kinds().await.into_iter().skip_while(|kind| kind != "lead.received").filter(|kind| kind != "user.added").collect();
        let answers = vec!["verification.answered"; world.app.env.queue.checklist.items.len()];
        let mut expected = vec!["lead.received", "work_item.queued", "lead.qualified", "work_item.claimed"];
        expected.extend(["lead.verification_begun", "work_item.started"]);
        expected.extend(answers);
        expected.extend(["verification.verified", "lead.verified"]);
        assert_eq!(kinds, expected);
        // Timers of received, queued, claimed and verified: the first three are obsolete by now.
        let mut jobs = world.job_kinds().await;
        jobs.sort();
        assert_eq!(jobs, ["expire_claim", "wake_lead", "wake_lead", "wake_lead"]);
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(world.job_kinds().await.len(), 3);
        assert_eq!(item(&world, &done).await.state, ItemState::Verified);
    }

    async fn two_sdrs_who_claim_one_item_at_the_same_moment_get_one_claim(world: World) {
        let (queued, _) = qualified(&world, 1, 50).await;
        let (ann, ben) = (sdr(&world, "ann").await, sdr(&world, "ben").await);
        let claim = |call: Call| {
            let (app, item) = (world.app.clone(), queued.id);
            tokio::spawn(async move { app.run(&call, WorkItemClaim { item }).await })
        };
        let (first, second) = tokio::join!(claim(ann), claim(ben));
        let results = [first.unwrap(), second.unwrap()];
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1);
        let refused = results.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refused.code(), "WORK_ITEM_HELD");
        assert_eq!(world.ledger_kinds().await.iter().filter(|kind| *kind == "work_item.claimed").count(), 1);
        assert_eq!(world.job_kinds().await.iter().filter(|kind| *kind == "expire_claim").count(), 1);
    }

    async fn many_sdrs_who_ask_for_the_next_at_once_each_get_another_one(world: World) {
        for n in 0..6 {
            qualified(&world, n, 50).await;
        }
        let mut asking = Vec::new();
        for n in 0..8 {
            let (app, call) = (world.app.clone(), sdr(&world, &format!("sdr{n}")).await);
            asking.push(tokio::spawn(async move { next(&app, &call).await }));
        }
        let (mut got, mut empty) = (BTreeSet::new(), 0);
        for answer in asking {
            match answer.await.unwrap() {
                Ok(item) => assert!(got.insert(item.id), "{} was handed out twice", item.id),
                Err(refusal) => {
                    assert_eq!(refusal.code(), "QUEUE_EMPTY");
                    empty += 1;
                }
            }
        }
        assert_eq!((got.len(), empty), (6, 2));
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn the_queue_is_handed_out_by_priority_and_then_grade(world: World) {
        let (low, _) = qualified(&world, 1, 10).await;
        let (high, _) = qualified(&world, 2, 90).await;
        let (middle, _) = qualified(&world, 3, 50).await;
        let (better, lead) = qualified(&world, 4, 50).await;
        let grade = LeadGrade { lead: lead.id, grade: "A1".parse().unwrap(), rule: "manual".to_owned() };
        world.app.run(&world.system(), grade).await.unwrap();
        let expected = [high.id, better.id, middle.id, low.id];
        let mut seen = Vec::new();
        let (filter, mut page) = (WorkItemFilter::default(), Page::first(3));
        loop {
            let part = world.app.store.work_item_page(&filter, &page).await.unwrap();
            seen.extend(part.items);
            if !part.has_next {
                break;
            }
            page.after = seen.last().map(tandem_store::work_item::place);
        }
        assert_eq!(seen.iter().map(|item| item.id).collect::<Vec<_>>(), expected);
        let ann = sdr(&world, "ann").await;
        for id in expected {
            assert_eq!(next(&world.app, &ann).await.unwrap().id, id);
        }
    }

    async fn a_lease_that_ran_out_gives_the_lead_back_and_its_token_changes_nothing(world: World) {
        qualified(&world, 1, 50).await;
        let (ann, ben) = (sdr(&world, "ann").await, sdr(&world, "ben").await);
        let claimed = next(&world.app, &ann).await.unwrap();
        let start = WorkItemStart { item: claimed.id, token: claimed.fence };
        world.app.run(&ann, start.clone()).await.unwrap();
        // A heartbeat keeps it beyond the first end of the lease.
        world.pass(TimeDelta::minutes(20)).await;
        let heartbeat = WorkItemHeartbeat { item: claimed.id, token: claimed.fence };
        world.app.run(&ann, heartbeat.clone()).await.unwrap();
        world.pass(TimeDelta::minutes(20)).await;
        let held = item(&world, &claimed).await;
        assert_eq!(held.state, ItemState::InProgress);
        assert_eq!(lead(&world, &held).await.due_at, held.claim.map(|claim| claim.lease_until));
        // Then it runs out.
        world.pass(TimeDelta::minutes(20)).await;
        let freed = item(&world, &claimed).await;
        assert_eq!((freed.state, freed.claim), (ItemState::Queued, None));
        assert_eq!(lead(&world, &claimed).await.stage, Stage::Queued);
        assert!(world.ledger_kinds().await.contains(&"work_item.lease_expired".to_owned()));
        let again = next(&world.app, &ben).await.unwrap();
        assert_eq!((again.id, again.fence), (claimed.id, 2));
        let before = (item(&world, &claimed).await, world.ledger_kinds().await.len());
        let stale = [
            world.app.run(&ann, heartbeat).await.unwrap_err(),
            world.app.run(&ann, WorkItemRelease { item: claimed.id, token: 1 }).await.unwrap_err(),
            // Nor does somebody else's good token.
            world.app.run(&ann, WorkItemStart { item: claimed.id, token: 2 }).await.unwrap_err(),
        ];
        for refusal in stale {
            assert_eq!(refusal.code(), "WORK_ITEM_STALE_TOKEN");
        }
        assert_eq!((item(&world, &claimed).await, world.ledger_kinds().await.len()), before);
    }

    async fn a_wait_keeps_the_item_and_ends_by_itself(world: World) {
        qualified(&world, 1, 50).await;
        let ann = sdr(&world, "ann").await;
        let claimed = next(&world.app, &ann).await.unwrap();
        let (id, token) = (claimed.id, claimed.fence);
        world.app.run(&ann, WorkItemStart { item: id, token }).await.unwrap();
        let until = world.now() + TimeDelta::hours(4);
        let wait = WorkItemWait { item: id, token, wait_for: WaitFor::Callback, until, note: None };
        world.app.run(&ann, wait.clone()).await.unwrap();
        world.pass(TimeDelta::hours(3)).await;
        let waiting = item(&world, &claimed).await;
        assert_eq!(waiting.state, ItemState::Waiting);
        assert_eq!(lead(&world, &claimed).await.due_at, Some(until));
        world.pass(TimeDelta::hours(1)).await;
        let woken = item(&world, &claimed).await;
        assert_eq!((woken.state, woken.claim.unwrap().fence), (ItemState::InProgress, token));
        let until = world.now() + TimeDelta::hours(4);
        world.app.run(&ann, WorkItemWait { until, ..wait }).await.unwrap();
        let (resumed, _) = world.app.run(&ann, WorkItemResume { item: id, token }).await.unwrap();
        assert_eq!(resumed.state, ItemState::InProgress);
        // Nobody does anything any more: the fresh lease runs out.
        world.pass(TimeDelta::minutes(30)).await;
        assert_eq!(item(&world, &claimed).await.state, ItemState::Queued);
    }

    async fn a_recycled_lead_comes_back_on_its_date(world: World) {
        qualified(&world, 1, 50).await;
        let ann = sdr(&world, "ann").await;
        let claimed = next(&world.app, &ann).await.unwrap();
        let (id, token) = (claimed.id, claimed.fence);
        world.app.run(&ann, WorkItemStart { item: id, token }).await.unwrap();
        let until = Some(world.now() + TimeDelta::days(20));
        let recycle = WorkItemRecycle { item: id, token, reason: Reason::ContactLater, until, note: None };
        let (_, recycled) = world.app.run(&ann, recycle).await.unwrap();
        assert_eq!((recycled.stage, recycled.due_at), (Stage::Recycled, until));
        world.pass(TimeDelta::days(19)).await;
        assert_eq!(next(&world.app, &ann).await.unwrap_err().code(), "QUEUE_EMPTY");
        world.pass(TimeDelta::days(1)).await;
        let again = next(&world.app, &ann).await.unwrap();
        assert_eq!((again.id, again.fence, again.earlier.len()), (id, 2, 1));
    }

    async fn a_lead_is_recycled_into_a_sequence_in_one_transaction_or_not_at_all(world: World) {
        qualified(&world, 1, 50).await;
        let ann = sdr(&world, "ann").await;
        let claimed = next(&world.app, &ann).await.unwrap();
        let (id, token) = (claimed.id, claimed.fence);
        world.app.run(&ann, WorkItemStart { item: id, token }).await.unwrap();
        let recycle = WorkItemRecycle { item: id, token, reason: Reason::NoIntent, until: None, note: None };
        let nowhere = SequenceId(uuid::Uuid::from_u128(9));
        let before = (item(&world, &claimed).await, world.ledger_kinds().await.len());
        let refused = world.app.recycle_into_sequence(&ann, recycle.clone(), nowhere).await.unwrap_err();
        assert_eq!(refused.code(), "NOT_FOUND");
        assert_eq!((item(&world, &claimed).await, world.ledger_kinds().await.len()), before);

        let source = "{key: later, name: Later, subject: lead, steps: [{id: pause, kind: wait, duration: 3d}, {id: done, kind: end}]}";
        let (sequence, _) = world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap();
        let keyed = ann.clone().with_key(Some("r-1".to_owned()));
        let first = world.app.recycle_into_sequence(&keyed, recycle.clone(), sequence.id).await.unwrap();
        let again = world.app.recycle_into_sequence(&keyed, recycle, sequence.id).await.unwrap();
        assert_eq!(first, again);
        let ((recycled, nurtured), enrollment) = first;
        assert_eq!((recycled.state, nurtured.stage), (ItemState::Recycled, Stage::Nurturing));
        assert_eq!(nurtured.owner, Owner::Sequence(enrollment.id));
        // The run ends: marketing decides, and qualifies the lead again; it is the same item in its second round.
        world.run_due_jobs().await;
        world.pass(TimeDelta::days(3)).await;
        let back = lead(&world, &claimed).await;
        assert_eq!((back.stage, back.owner), (Stage::Received, Owner::Marketing));
        let qualify = LeadQualify { lead: back.id, grade: None, priority: None };
        let (again, _) = world.app.run(&world.system(), qualify).await.unwrap();
        assert_eq!((again.id, again.state, again.earlier.len()), (id, ItemState::Queued, 1));
    }

    async fn a_lead_that_nobody_moves_is_moved_by_timers_until_it_is_closed(world: World) {
        let received = receive(&world, 1, 50).await;
        world.pass(TimeDelta::hours(24)).await;
        let triaged: Lead = world.app.store.find(received.id).await.unwrap().unwrap();
        assert_eq!((triaged.stage, triaged.reason.as_deref()), (Stage::Queued, Some("NOT_TRIAGED")));
        world.pass(TimeDelta::hours(24)).await;
        let urgent: Lead = world.app.store.find(received.id).await.unwrap().unwrap();
        assert_eq!((urgent.stage, urgent.priority), (Stage::Queued, 60));
        for _ in 0..20 {
            world.pass(TimeDelta::hours(24)).await;
        }
        let closed: Lead = world.app.store.find(received.id).await.unwrap().unwrap();
        assert_eq!((closed.stage, closed.due_at, closed.owner), (Stage::Closed, None, Owner::Nobody));
        assert_eq!(world.job_kinds().await, Vec::<String>::new());
    }

    async fn marketing_does_not_end_a_lead_that_an_sdr_holds_and_a_manager_can_take_it_back(world: World) {
        let (_, queued) = qualified(&world, 1, 50).await;
        let ann = sdr(&world, "ann").await;
        let (_, marketing) = world.user("mia", Role::Marketing, Some(Side::Marketing)).await;
        let (_, manager) = world.user("max", Role::SalesManager, Some(Side::Sales)).await;
        let claimed = next(&world.app, &ann).await.unwrap();
        let end = LeadDisqualify { lead: queued.id, reason: Reason::Student };
        assert_eq!(world.app.run(&marketing, end.clone()).await.unwrap_err().code(), "WORK_ITEM_HELD");
        let take_back = WorkItemTakeBack { item: claimed.id };
        assert_eq!(world.app.run(&ann, take_back.clone()).await.unwrap_err().code(), "FORBIDDEN");
        world.app.run(&manager, take_back).await.unwrap();
        let ((cancelled, ended), _) = world.app.run(&marketing, end).await.unwrap();
        assert_eq!((cancelled.unwrap().state, ended.stage), (ItemState::Cancelled, Stage::Disqualified));
        assert_eq!(next(&world.app, &ann).await.unwrap_err().code(), "QUEUE_EMPTY");
    }

    async fn an_external_id_is_taken_once_per_source(world: World) {
        let first = receive(&world, 1, 50).await;
        let again = LeadReceive {
            contact: first.contact,
            account: None,
            source: " WEBINAR ".to_owned(),
            external_id: first.external_id.clone(),
            grade: None,
            priority: None,
            tags: BTreeSet::new(),
            custom: BTreeMap::new(),
        };
        let refused = world.app.run(&world.system(), again.clone()).await.unwrap_err();
        assert_eq!(refused.code(), "LEAD_EXISTS");
        let elsewhere = LeadReceive { source: "fair".to_owned(), ..again };
        world.app.run(&world.system(), elsewhere).await.unwrap();
    }

    async fn who_opted_out_is_suppressed_in_the_same_transaction(world: World) {
        let (_, lead) = qualified(&world, 1, 50).await;
        let ann = sdr(&world, "ann").await;
        let claimed = next(&world.app, &ann).await.unwrap();
        let (id, token) = (claimed.id, claimed.fence);
        world.app.run(&ann, WorkItemStart { item: id, token }).await.unwrap();
        let command = WorkItemDisqualify { item: id, token, reason: Reason::OptedOut, note: None };
        let ((_, ended), out) = world.app.run(&ann, command).await.unwrap();
        assert_eq!((ended.stage, out.is_some()), (Stage::Disqualified, true));
        let live = world.app.store.live_suppressions_of("person1@example.com").await.unwrap();
        assert_eq!(live.len(), 1);
        let contact: Contact = world.app.store.find(lead.contact).await.unwrap().unwrap();
        assert_eq!(contact.consent.state, ConsentState::Withdrawn);
        let kinds = world.ledger_kinds().await;
        let expected = ["verification.disqualified", "lead.disqualified", "contact.consent_set", "suppression.added"];
        assert_eq!(kinds[kinds.len() - 4..], expected);
        // A second lead of the same person: all is done already, and nothing is said twice.
        let again = LeadReceive {
            contact: contact.id,
            account: None,
            source: "fair".to_owned(),
            external_id: None,
            grade: None,
            priority: None,
            tags: BTreeSet::new(),
            custom: BTreeMap::new(),
        };
        let second = world.app.run(&world.system(), again).await.unwrap();
        let (_, marketing) = world.user("mia", Role::Marketing, Some(Side::Marketing)).await;
        let end = LeadDisqualify { lead: second.id, reason: Reason::OptedOut };
        world.app.run(&marketing, end).await.unwrap();
        let kinds = world.ledger_kinds().await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "suppression.added").count(), 1);
        assert_eq!(kinds.last().map(String::as_str), Some("contact.consent_set"));
    }

    async fn a_lead_of_nobody_or_with_a_value_for_no_field_is_refused(world: World) {
        let contact = world.contact("person@example.com").await;
        let command = LeadReceive {
            contact: contact.id,
            account: None,
            source: "fair".to_owned(),
            external_id: None,
            grade: None,
            priority: None,
            tags: BTreeSet::new(),
            custom: BTreeMap::from([("budget".to_owned(), serde_json::json!(1))]),
        };
        let before = world.ledger_kinds().await.len();
        let refused = world.app.run(&world.system(), command.clone()).await.unwrap_err();
        assert_eq!(refused.code(), "CUSTOM_FIELD_UNKNOWN");
        let nobody = ContactId(uuid::Uuid::from_u128(9));
        let stray = LeadReceive { contact: nobody, custom: BTreeMap::new(), ..command };
        assert_eq!(world.app.run(&world.system(), stray).await.unwrap_err().code(), "NOT_FOUND");
        assert_eq!(world.ledger_kinds().await.len(), before);
    }

    async fn a_task_is_claimed_and_completed_and_is_no_lead(world: World) {
        let ann = sdr(&world, "ann").await;
        let create = TaskCreate {
            lead: None,
            contact: world.contact("person@example.com").await.id,
            account: None,
            title: "Send the brochure".to_owned(),
            team: None,
            priority: None,
            due_at: world.now() + TimeDelta::days(1),
            notes: None,
            channel: None,
        };
        let task = world.app.run(&ann, create).await.unwrap();
        let (claimed, none) =
            world.app.run(&ann, WorkItemClaimNext { kind: Some(ItemKind::Task) }).await.unwrap();
        assert_eq!((claimed.id, none), (task.id, None));
        let judge = WorkItemDisqualify { item: task.id, token: 1, reason: Reason::Student, note: None };
        assert_eq!(world.app.run(&ann, judge).await.unwrap_err().code(), "WORK_ITEM_WRONG_KIND");
        let complete = TaskComplete { item: task.id, token: 1, outcome: None, note: None };
        let (done, _) = world.app.run(&ann, complete).await.unwrap();
        assert_eq!(done.state, ItemState::Done);
    }
}
