//! Triggers: sequences that start by themselves, through the ledger, the jobs and the schedules, on both databases.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::target_list::{Change, Seen};
use tandem_app::{
    AccountChange, AccountUpsertMany, Call, ChangeRequestApprove, ChangeRequestPropose, ContactChange,
    ContactUpsertMany, CustomFieldDefine, EnrollmentExit, EventsReceive, InteractionRecord, LeadGrade, LeadReceive,
    Parcel, SequenceArchive, SequencePause, SequencePublish, SequenceResume, SuppressionAdd, TargetListCreate,
    TaxonomyLibraryInstall,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::{Contact, ContactPatch};
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::decision::Job;
use tandem_domain::id::{AccountId, ContactId, EventBatchId, IngestedEventId};
use tandem_domain::ingest::{Envelope, Moment, SourceDraft, Trust};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::lead::{Lead, Stage};
use tandem_domain::sequence::enrollment::{Enrollment, ExitReason};
use tandem_domain::sequence::trigger::Skip;
use tandem_domain::sequence::{Sequence, SequenceState};
use tandem_domain::suppression::{SuppressionKind, SuppressionReason};
use tandem_domain::target_list::{ChangeKind, ChangeReason, Evidence};
use tandem_jobs::schedule::turn;
use tandem_store::jobs::Now;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::trigger::TriggerSkipFilter;
use tandem_store::{Page, StoreError};
use tandem_testkit::{World, on_both_databases};

/// A sequence that waits for a year, with these triggers.
fn source(key: &str, subject: &str, triggers: &str) -> String {
    format!(
        "key: {key}\nname: {key}\nsubject: {subject}\ntriggers:\n{triggers}\nsteps:\n  \
         - {{id: pause, kind: wait, duration: 365d}}\n  - {{id: done, kind: end}}\n"
    )
}

async fn publish(world: &World, source: &str) -> Sequence {
    let sequence = world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0;
    world.run_due_jobs().await;
    // What happens next is later.
    world.clock.advance(TimeDelta::seconds(1));
    sequence
}

async fn did(world: &World, contact: ContactId, kind: InteractionKind, name: &str) {
    let draft = Draft {
        kind,
        name: name.to_owned(),
        occurred_at: None,
        seconds: None,
        url: None,
        properties: json!({"plan": "pro"}).as_object().cloned().unwrap(),
    };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
}

async fn runs(world: &World, sequence: &Sequence) -> Vec<Enrollment> {
    let filter = EnrollmentFilter { sequence: Some(sequence.id), ..Default::default() };
    world.app.store.enrollment_page(&filter, &Page::first(1_000)).await.unwrap().items
}

async fn people(world: &World, sequence: &Sequence) -> BTreeSet<ContactId> {
    runs(world, sequence).await.into_iter().map(|run| run.contact).collect()
}

async fn skips(world: &World, contact: ContactId) -> Vec<Skip> {
    let filter = TriggerSkipFilter { contact: Some(contact), ..Default::default() };
    world.app.store.trigger_skip_page(&filter, &Page::first(100)).await.unwrap().items
}

async fn change(world: &World, contact: ContactId, patch: Value) {
    let contact_patch: ContactPatch = serde_json::from_value(patch).unwrap();
    let command = ContactChange { id: contact, contact: contact_patch, default_region: None };
    world.app.run(&world.system(), command).await.unwrap();
    world.clock.advance(TimeDelta::seconds(1));
}

async fn define(world: &World, entity: Entity, key: &str, kind: Kind) {
    let (key, label) = (key.to_owned(), key.to_owned());
    let command = CustomFieldDefine { entity, key, label, kind, choices: Vec::new(), required: false };
    world.app.run(&world.system(), command).await.unwrap();
}

async fn company(world: &World, name: &str) -> AccountId {
    let rows = vec![AccountPatch { name: Some(name.to_owned()), ..AccountPatch::default() }];
    let made = world.app.run(&world.system(), AccountUpsertMany { rows }).await.unwrap();
    made.rows[0].id().unwrap().into()
}

/// Contacts of a company, with titles in turn.
async fn staff(world: &World, account: AccountId, count: usize) -> Vec<ContactId> {
    let row = |n: usize| {
        let patch: ContactPatch = serde_json::from_value(json!({
            "email": format!("p{n}@{account}.example.com"),
            "title": if n.is_multiple_of(2) { "Head" } else { "Clerk" },
            "account": account,
            "consent": {"state": "GRANTED", "source": "form"},
        }))
        .unwrap();
        patch.into()
    };
    let command = ContactUpsertMany { rows: (0..count).map(row).collect(), default_region: None };
    let made = world.app.run(&world.system(), command).await.unwrap();
    made.rows.iter().map(|row| row.id().unwrap().into()).collect()
}

async fn lead_of(world: &World, contact: ContactId) -> Lead {
    let command = LeadReceive {
        contact,
        account: None,
        source: "webinar".to_owned(),
        external_id: None,
        grade: None,
        priority: None,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    };
    world.app.run(&world.system(), command).await.unwrap()
}

async fn tick(world: &World) -> u64 {
    let added = world.app.store.turn_schedules(Now::At(world.now()), turn).await.unwrap();
    world.run_due_jobs().await;
    added
}

async fn schedules(world: &World) -> Vec<(String, String, String)> {
    let all = world.app.store.schedules().await.unwrap();
    let of_sequences = all.into_iter().filter(|schedule| schedule.name.starts_with("sequence:"));
    of_sequences.map(|schedule| (schedule.name, schedule.cron, schedule.zone)).collect()
}

on_both_databases! {
    async fn an_event_starts_a_run_with_its_values_and_a_refusal_is_on_view(world: World) {
        let sam = world.contact("sam@example.com").await;
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        let line = "  - {kind: event, event: [FORM, DOWNLOAD], when: \"event.name == 'Pricing'\", \
                    vars: {form: event.name, plan: event.properties.plan}}";
        let sequence = publish(&world, &source("pricing", "contact", line)).await;
        assert!(runs(&world, &sequence).await.is_empty(), "what happened before it was published starts nothing");
        did(&world, sam.id, InteractionKind::Form, "Newsletter").await;
        did(&world, sam.id, InteractionKind::Page, "Pricing").await;
        world.run_due_jobs().await;
        assert!(runs(&world, &sequence).await.is_empty());
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        world.run_due_jobs().await;
        let [run] = runs(&world, &sequence).await.try_into().unwrap();
        assert_eq!(Value::Object(run.vars), json!({"form": "Pricing", "plan": "pro"}));
        assert!(skips(&world, sam.id).await.is_empty());
        let kinds = world.ledger_kinds().await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "enrollment.started").count(), 1);
        let jobs = world.job_kinds().await;
        assert_eq!(jobs, ["advance_enrollment"], "nothing is left but the wait of the run");

        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        world.run_due_jobs().await;
        assert_eq!(runs(&world, &sequence).await.len(), 1);
        let [skip] = skips(&world, sam.id).await.try_into().unwrap();
        assert_eq!((skip.code.as_str(), skip.sequence), ("ENROLLMENT_EXISTS", sequence.id));
        assert!(skip.trigger.starts_with("event_") && skip.seq.is_some());

        let kim = world.contact("kim@example.com").await;
        let suppress = SuppressionAdd {
            kind: SuppressionKind::Email,
            value: "kim@example.com".to_owned(),
            reason: SuppressionReason::Manual,
            source: "test".to_owned(),
        };
        world.app.run(&world.system(), suppress).await.unwrap();
        for _ in 0..2 {
            did(&world, kim.id, InteractionKind::Download, "Pricing").await;
            world.run_due_jobs().await;
            let [skip] = skips(&world, kim.id).await.try_into().unwrap();
            assert_eq!(skip.code, "ENROLLMENT_MAY_NOT_WRITE", "the last one takes the place of the one before");
        }
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn of_several_nodes_one_tells_sequences_and_a_part_that_ran_twice_starts_nobody_twice(world: World) {
        let sequence = publish(&world, &source("forms", "contact", "  - {kind: event, event: [FORM]}")).await;
        let sam = world.contact("sam@example.com").await;
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        let racers = (0..6).map(|_| {
            let app = world.app.clone();
            tokio::spawn(async move { app.relay_to_sequences().await.unwrap() })
        });
        let mut told = 0;
        for racer in racers.collect::<Vec<_>>() {
            told += usize::from(racer.await.unwrap() > 0);
        }
        assert_eq!(told, 1);
        assert_eq!(world.job_kinds().await, ["start_by_trigger"]);
        let now = Now::At(world.now());
        let lease = TimeDelta::seconds(30);
        let [job] = world.app.store.claim_jobs("default", "a", now, lease, 9).await.unwrap().try_into().unwrap();
        let Job::StartByTrigger { sequence: id, version, trigger, cause, after } = serde_json::from_str(&job.payload).unwrap()
        else {
            panic!("{job:?}")
        };
        let start = tandem_app::sequence::TriggerStart { sequence: id, version, trigger, cause, after };
        let call = Call::system(job.request_id.clone()).for_job(job.lease, job.due_at);
        assert!(world.app.start_by_trigger(&call, start.clone()).await.unwrap());
        // Somebody who was thought to be dead goes on with the lease that was spent.
        let late = world.app.start_by_trigger(&call, start).await.unwrap_err();
        assert!(matches!(late, tandem_app::AppError::Store(StoreError::LeaseLost { .. })), "{late:?}");
        assert_eq!(runs(&world, &sequence).await.len(), 1);
        assert!(skips(&world, sam.id).await.is_empty(), "what was undone left nothing behind");
    }

    async fn an_account_that_becomes_active_on_a_list_brings_its_people_part_by_part(world: World) {
        let (_, marketer) = world.user("marketer", Role::Marketing, Some(Side::Marketing)).await;
        let (_, seller) = world.user("seller", Role::Sales, Some(Side::Sales)).await;
        world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
        let new = |key: &str| TargetListCreate {
            key: key.to_owned(),
            name: "List".to_owned(),
            description: String::new(),
            request_days: None,
            suspension_hours: None,
        };
        let list = world.app.run(&marketer, new("key-accounts")).await.unwrap().id;
        let other = world.app.run(&marketer, new("others")).await.unwrap().id;
        let account = company(&world, "Example").await;
        let staff = staff(&world, account, 430).await;
        let line = "  - {kind: list, list: key-accounts, when: contact.title == 'Head', vars: {from: list.key}}";
        let sequence = publish(&world, &source("tier_one", "contact", line)).await;
        for list in [other, list] {
            let evidence = vec![Evidence { note: "grew".into(), url: None }];
            let (kind, tier) = (ChangeKind::Add, Some("T1".to_owned()));
            let add = Change { account, kind, tier, reasons: vec![ChangeReason::IcpFit], evidence };
            let proposed = world.app.run(&marketer, ChangeRequestPropose { list, changes: vec![add] }).await.unwrap();
            world.run_due_jobs().await;
            assert!(runs(&world, &sequence).await.is_empty(), "one side alone starts nothing, and another list neither");
            let seen = proposed.requests.iter().map(|request| Seen { request: request.id, revision: request.revision });
            world.app.run(&seller, ChangeRequestApprove { requests: seen.collect() }).await.unwrap();
            world.run_due_jobs().await;
        }
        let heads: BTreeSet<ContactId> = staff.iter().copied().step_by(2).collect();
        assert_eq!(people(&world, &sequence).await, heads);
        assert_eq!(runs(&world, &sequence).await[0].vars["from"], json!("key-accounts"));
    }

    async fn a_segment_is_an_edge_and_not_a_level(world: World) {
        let vip = world.contact("vip@example.com").await;
        change(&world, vip.id, json!({"title": "Chief"})).await;
        let sequence = publish(&world, &source("chiefs", "contact", "  - {kind: segment, when: contact.title == 'Chief'}")).await;
        change(&world, vip.id, json!({"name": "Vip Example"})).await;
        world.run_due_jobs().await;
        assert!(runs(&world, &sequence).await.is_empty(), "who was inside already has not entered");
        let sam = world.contact("sam@example.com").await;
        change(&world, sam.id, json!({"title": "Chief"})).await;
        world.run_due_jobs().await;
        let [run] = runs(&world, &sequence).await.try_into().unwrap();
        assert_eq!(run.contact, sam.id);
        let end = EnrollmentExit { enrollment: run.id, reason: ExitReason::Manual };
        world.app.run(&world.system(), end).await.unwrap();
        change(&world, sam.id, json!({"name": "Sam Example"})).await;
        world.run_due_jobs().await;
        assert_eq!(runs(&world, &sequence).await.len(), 1, "still inside");
        change(&world, sam.id, json!({"title": "Clerk"})).await;
        world.run_due_jobs().await;
        change(&world, sam.id, json!({"title": "Chief"})).await;
        world.run_due_jobs().await;
        assert_eq!(runs(&world, &sequence).await.len(), 2, "left, and entered again");
        // While it is paused nobody enters, and nothing floods when it goes on.
        world.app.run(&world.system(), SequencePause { sequence: sequence.id }).await.unwrap();
        let kim = world.contact("kim@example.com").await;
        change(&world, kim.id, json!({"title": "Chief"})).await;
        world.run_due_jobs().await;
        world.app.run(&world.system(), SequenceResume { sequence: sequence.id }).await.unwrap();
        world.run_due_jobs().await;
        change(&world, kim.id, json!({"name": "Kim Example"})).await;
        world.run_due_jobs().await;
        assert_eq!(runs(&world, &sequence).await.len(), 2);
        let line = "  - {kind: segment, when: contact.title == 'Chief', existing: true}";
        let all = publish(&world, &source("all_chiefs", "contact", line)).await;
        assert_eq!(people(&world, &all).await, [vip.id, sam.id, kim.id].into());
    }

    async fn a_condition_that_time_makes_true_is_found_by_a_look_every_hour(world: World) {
        define(&world, Entity::Contact, "trial_ends", Kind::Date).await;
        let line = "  - {kind: segment, when: \"has(contact.custom.trial_ends) && \
                    timestamp(now) > timestamp(contact.custom.trial_ends + 'T00:00:00Z')\"}";
        let sequence = publish(&world, &source("trials", "contact", line)).await;
        let sam = world.contact("sam@example.com").await;
        change(&world, sam.id, json!({"custom": {"trial_ends": "2026-03-04"}})).await;
        world.run_due_jobs().await;
        world.clock.advance(TimeDelta::hours(30));
        tick(&world).await;
        assert!(runs(&world, &sequence).await.is_empty());
        world.clock.advance(TimeDelta::hours(10));
        assert_eq!(tick(&world).await, 1, "what was missed is made up for by one run");
        assert_eq!(people(&world, &sequence).await, [sam.id].into());
        world.clock.advance(TimeDelta::hours(3));
        tick(&world).await;
        assert!(skips(&world, sam.id).await.is_empty(), "inside is no news");
    }

    async fn a_field_and_a_grade_tell_what_they_were_and_are(world: World) {
        let account = company(&world, "Example").await;
        let [head, clerk] = staff(&world, account, 2).await.try_into().unwrap();
        let line = "  - {kind: field, field: account.name, when: \"change.old == 'Example' && contact.title == 'Head'\", \
                    vars: {to: change.new}}";
        let renamed = publish(&world, &source("renamed", "contact", line)).await;
        let graded = publish(&world, &source("graded", "lead", "  - {kind: grade, to: [A1], vars: {was: change.old}}")).await;
        let patch = AccountPatch { name: Some("Example Group".to_owned()), ..AccountPatch::default() };
        world.app.run(&world.system(), AccountChange { id: account, account: patch }).await.unwrap();
        let lead = lead_of(&world, clerk).await;
        for grade in ["B2", "A1"] {
            let grade = LeadGrade { lead: lead.id, grade: grade.parse().unwrap(), rule: "manual".to_owned() };
            world.app.run(&world.system(), grade).await.unwrap();
        }
        world.run_due_jobs().await;
        let [run] = runs(&world, &renamed).await.try_into().unwrap();
        assert_eq!((run.contact, &run.vars["to"]), (head, &json!("Example Group")));
        let [run] = runs(&world, &graded).await.try_into().unwrap();
        assert_eq!((run.contact, run.lead, &run.vars["was"]), (clerk, Some(lead.id), &json!("B2")));
        let lead: Lead = world.app.store.find(lead.id).await.unwrap().unwrap();
        assert_eq!(lead.stage, Stage::Nurturing);
    }

    async fn a_person_without_an_open_lead_is_passed_over_where_leads_run(world: World) {
        let sequence = publish(&world, &source("forms", "lead", "  - {kind: event, event: [FORM]}")).await;
        let sam = world.contact("sam@example.com").await;
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        world.run_due_jobs().await;
        assert_eq!(skips(&world, sam.id).await[0].code, "ENROLLMENT_LEAD_MISSING");
        lead_of(&world, sam.id).await;
        let newest = lead_of(&world, sam.id).await;
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        world.run_due_jobs().await;
        let [run] = runs(&world, &sequence).await.try_into().unwrap();
        assert_eq!(run.lead, Some(newest.id));
    }

    async fn a_date_starts_once_for_each_value_where_the_person_lives(world: World) {
        define(&world, Entity::Account, "renewal_on", Kind::Date).await;
        let account = company(&world, "Example").await;
        let [sam, kim] = staff(&world, account, 2).await.try_into().unwrap();
        change(&world, sam, json!({"time_zone": "Asia/Tokyo"})).await;
        let renewal = async |day: &str| {
            let patch = serde_json::from_value(json!({"custom": {"renewal_on": day}})).unwrap();
            world.app.run(&world.system(), AccountChange { id: account, account: patch }).await.unwrap();
            world.run_due_jobs().await;
        };
        renewal("2026-04-02").await;
        let line = "  - {kind: date, field: account.custom.renewal_on, offset: -30d, at: '09:30'}";
        let sequence = publish(&world, &source("renewal", "contact", line)).await;
        // It is Monday, 2 March, nine in the morning in UTC. The 3rd at half past nine is still to come everywhere.
        let started = async || {
            let runs = runs(&world, &sequence).await;
            runs.into_iter().map(|run| (run.contact, run.started_at)).collect::<BTreeMap<_, _>>()
        };
        assert!(started().await.is_empty());
        world.pass(TimeDelta::hours(15)).await;
        assert!(started().await.is_empty());
        world.pass(TimeDelta::minutes(31)).await;
        assert_eq!(started().await.keys().copied().collect::<Vec<_>>(), [sam], "Tokyo is first");
        world.pass(TimeDelta::hours(9)).await;
        let both = started().await;
        assert_eq!(both.len(), 2);
        for run in runs(&world, &sequence).await {
            let end = EnrollmentExit { enrollment: run.id, reason: ExitReason::Manual };
            world.app.run(&world.system(), end).await.unwrap();
        }
        // The same value again is no other one; a new one is, and it is found by the daily look long before.
        renewal("2026-05-20").await;
        renewal("2026-04-02").await;
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(runs(&world, &sequence).await.len(), 2);
        renewal("2026-05-20").await;
        for _ in 0..50 {
            world.clock.advance(TimeDelta::days(1));
            tick(&world).await;
        }
        let runs = runs(&world, &sequence).await;
        assert_eq!(runs.iter().filter(|run| run.contact == kim).count(), 2, "once for each date");
        let latest = runs.iter().map(|run| run.started_at).max().unwrap();
        assert_eq!(latest.date_naive().to_string(), "2026-04-20");
    }

    async fn cron_starts_whoever_satisfies_the_condition_and_an_outage_is_made_up_for_once(world: World) {
        let sam = world.contact("sam@example.com").await;
        change(&world, sam.id, json!({"title": "Chief"})).await;
        world.contact("kim@example.com").await;
        let line = "  - {kind: cron, cron: '0 9 * * 1', zone: Europe/Berlin, when: contact.title == 'Chief'}";
        let written = source("weekly", "contact", line);
        let sequence = publish(&world, &written).await;
        let [(name, cron, zone)] = schedules(&world).await.try_into().unwrap();
        assert!(name.starts_with("sequence:weekly:cron_"), "{name}");
        assert_eq!((cron.as_str(), zone.as_str()), ("0 9 * * 1", "Europe/Berlin"));
        assert_eq!(tick(&world).await, 0);
        world.clock.advance(TimeDelta::days(22));
        let turned = (0..4).map(|_| {
            let (store, now) = (world.app.store.clone(), Now::At(world.now()));
            tokio::spawn(async move { store.turn_schedules(now, turn).await.unwrap() })
        });
        let mut added = 0;
        for node in turned.collect::<Vec<_>>() {
            added += node.await.unwrap();
        }
        assert_eq!(added, 1, "three Mondays and four nodes are one run");
        world.run_due_jobs().await;
        assert_eq!(people(&world, &sequence).await, [sam.id].into());
        // Paused, and archived, it has no schedule; resumed it has.
        world.app.run(&world.system(), SequencePause { sequence: sequence.id }).await.unwrap();
        world.run_due_jobs().await;
        assert!(schedules(&world).await.is_empty());
        world.app.run(&world.system(), SequenceResume { sequence: sequence.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(schedules(&world).await.len(), 1);
        let other = publish(&world, &written.replace("0 9 * * 1", "0 9 * * 2")).await;
        assert_eq!(schedules(&world).await[0].1, "0 9 * * 2");
        world.app.run(&world.system(), SequenceArchive { sequence: other.id }).await.unwrap();
        world.run_due_jobs().await;
        assert!(schedules(&world).await.is_empty());
    }

    async fn sequences_that_start_one_another_come_to_an_end(world: World) {
        define(&world, Entity::Contact, "ping", Kind::Text).await;
        define(&world, Entity::Contact, "pong", Kind::Text).await;
        let sets = |key: &str, on: &str, sets: &str| {
            format!(
                "key: {key}\nname: {key}\nsubject: contact\ntriggers:\n  - {{kind: field, field: contact.custom.{on}}}\n\
                 steps:\n  - {{id: set, kind: set_field, field: contact.{sets}, expression: enrollment.id}}\n  \
                 - {{id: done, kind: end}}\n"
            )
        };
        // One that changes what it listens to does not start itself.
        let own = publish(&world, &sets("own", "ping", "ping")).await;
        let sam = world.contact("sam@example.com").await;
        change(&world, sam.id, json!({"custom": {"ping": "x"}})).await;
        world.run_due_jobs().await;
        assert_eq!(runs(&world, &own).await.len(), 1);
        world.app.run(&world.system(), SequenceArchive { sequence: own.id }).await.unwrap();
        let ping = publish(&world, &sets("ping", "ping", "pong")).await;
        let pong = publish(&world, &sets("pong", "pong", "ping")).await;
        change(&world, sam.id, json!({"custom": {"ping": "y"}})).await;
        world.run_due_jobs().await;
        assert_eq!((runs(&world, &ping).await.len(), runs(&world, &pong).await.len()), (4, 4));
        let codes: Vec<String> = skips(&world, sam.id).await.into_iter().map(|skip| skip.code).collect();
        assert!(codes.contains(&"TRIGGER_CHAIN_TOO_LONG".to_owned()), "{codes:?}");
        // What a person changes begins a chain of its own.
        change(&world, sam.id, json!({"custom": {"ping": "z"}})).await;
        world.run_due_jobs().await;
        assert_eq!(runs(&world, &ping).await.len(), 8);
    }

    async fn the_version_that_was_the_newest_when_it_happened_is_the_one_that_hears(world: World) {
        let first = source("forms", "contact", "  - {kind: event, event: [FORM]}");
        publish(&world, &first).await;
        let [sam, kim] = [world.contact("sam@example.com").await, world.contact("kim@example.com").await];
        // All of it is told at once, afterwards.
        did(&world, sam.id, InteractionKind::Form, "Pricing").await;
        did(&world, kim.id, InteractionKind::Download, "Paper").await;
        let publish = SequencePublish { source: first.replace("FORM", "DOWNLOAD") };
        let (sequence, version) = world.app.run(&world.system(), publish).await.unwrap();
        assert_eq!((sequence.state, version.number), (SequenceState::Active, 2));
        let lee: Contact = world.contact("lee@example.com").await;
        did(&world, lee.id, InteractionKind::Form, "Pricing").await;
        let max = world.contact("max@example.com").await;
        did(&world, max.id, InteractionKind::Download, "Paper").await;
        world.run_due_jobs().await;
        assert_eq!(people(&world, &sequence).await, [sam.id, max.id].into());
        assert!(runs(&world, &sequence).await.iter().all(|run| run.version == version.id), "runs begin in the newest");
    }

    async fn events_of_a_site_start_runs_and_old_ones_do_not(world: World) {
        let (_, ops) = world.user("otto", Role::SalesOps, None).await;
        let (machine, _) = world.user("machine", Role::Integration, None).await;
        let draft = SourceDraft {
            key: "site".to_owned(),
            name: "Web site".to_owned(),
            trust: Trust::Server,
            acts_as: machine.id,
            user_system: "app".to_owned(),
            phone_region: None,
            rules: Vec::new(),
            active: true,
        };
        let (site, _) = world.app.save_event_source(&ops, draft).await.unwrap();
        let sequence = publish(&world, &source("pages", "contact", "  - {kind: event, event: [FORM], vars: {form: event.name}}")).await;
        let now = world.now();
        let batch: EventBatchId = world.app.env.id(now);
        let envelope = Envelope { kind: None, sent_at: Moment::Untold, received_at: now };
        let event = |id: &str, kind: &str, more: Value| {
            let mut event = json!({"type": kind, "messageId": id, "userId": "u1", "timestamp": now.to_rfc3339()});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let last_year = json!({"event": "Form Submitted", "timestamp": (now - TimeDelta::days(300)).to_rfc3339()});
        let events = [
            event("m1", "identify", json!({"traits": {"email": "sam@example.com"}})),
            event("m2", "track", last_year),
            event("m3", "track", json!({"event": "Something else"})),
        ];
        let read = |event: &Value| {
            let id: IngestedEventId = world.app.env.id(now);
            envelope.read(site.id, batch, id, event)
        };
        let parcel = Parcel { source: site.id, batch, events: events.iter().map(read).collect() };
        world.app.run(&world.system(), EventsReceive { parcels: vec![parcel] }).await.unwrap();
        world.run_due_jobs().await;
        assert!(runs(&world, &sequence).await.is_empty(), "what happened last year is history");
        let batch: EventBatchId = world.app.env.id(now);
        let id: IngestedEventId = world.app.env.id(now);
        let form = envelope.read(site.id, batch, id, &event("m4", "track", json!({"event": "Form Submitted"})));
        let parcel = Parcel { source: site.id, batch, events: vec![form] };
        world.app.run(&world.system(), EventsReceive { parcels: vec![parcel] }).await.unwrap();
        world.run_due_jobs().await;
        let [run] = runs(&world, &sequence).await.try_into().unwrap();
        assert_eq!(run.vars["form"], json!("Form Submitted"));
    }
}
