//! Living versions on both databases: who stands where, moving and ending runs by a job, and what becomes of a backlog.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::email::port::Delivery;
use tandem_app::{
    Actor, EnrollmentAdvance, EnrollmentCreate, SequenceArchive, SequenceCatchUp, SequenceMigrate,
    SequenceMigrationCancel, SequenceMigrationPart, SequenceMigrationPause, SequenceMigrationResume, SequencePause,
    SequencePauseUntil, SequencePublish, SequenceReplace, SequenceResume,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::contact::{ConsentGiven, ConsentState, Contact, ContactPatch};
use tandem_domain::edit::Edit;
use tandem_domain::id::SequenceId;
use tandem_domain::lead::{Lead, Owner};
use tandem_domain::sequence::backlog::{Backlog, Wish};
use tandem_domain::sequence::enrollment::{
    Enrollment, EnrollmentState, ExitReason, FinishReason, PauseReason, WaitReason,
};
use tandem_domain::sequence::migration::preview::Fate;
use tandem_domain::sequence::migration::{MapEntry, MigrationState, Policy, Running};
use tandem_domain::sequence::{Sequence, SequenceMigration, SequenceState};
use tandem_domain::work_item::ItemState;
use tandem_store::Page;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};

fn mail(id: &str) -> String {
    format!("{{id: {id}, kind: send_email, template: {{subject: {id}, text: {id}}}}}")
}

fn wait(id: &str, days: u32) -> String {
    format!("{{id: {id}, kind: wait, duration: {days}d}}")
}

fn call(id: &str) -> String {
    format!("{{id: {id}, kind: create_task, title: {id}, due_in: 1d}}")
}

fn source(steps: &[String]) -> String {
    format!("{{key: living, name: Living, subject: contact, steps: [{}, {{id: done, kind: end}}]}}", steps.join(", "))
}

/// `one`, two days, `two`, two days, `three`.
fn first() -> String {
    source(&[mail("one"), wait("rest", 2), mail("two"), wait("more", 2), mail("three")])
}

fn to(from: &str, to: &str) -> MapEntry {
    MapEntry { version: None, from: from.to_owned(), to: Some(to.to_owned()), repeat: false, skip: false }
}

fn ends(from: &str) -> MapEntry {
    MapEntry { to: None, ..to(from, "") }
}

fn moving(map: Vec<MapEntry>) -> Running {
    Running { policy: Policy::Migrate, map }
}

async fn publish(world: &World, source: &str) -> Sequence {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0
}

async fn replace(world: &World, source: &str, running: Running) -> Option<SequenceMigration> {
    let command = SequenceReplace { source: source.to_owned(), running };
    world.app.run(&world.system(), command).await.unwrap().2
}

async fn refused(world: &World, source: &str, running: Running) -> &'static str {
    let command = SequenceReplace { source: source.to_owned(), running };
    world.app.run(&world.system(), command).await.unwrap_err().code()
}

async fn enroll(world: &World, sequence: SequenceId, name: &str) -> Enrollment {
    let contact = world.contact(&format!("{name}@example.com")).await;
    let create = EnrollmentCreate { sequence, contact: Some(contact.id), lead: None, vars: Map::new() };
    world.app.run(&world.system(), create).await.unwrap().0
}

async fn now(world: &World, run: &Enrollment) -> Enrollment {
    world.app.store.find(run.id).await.unwrap().unwrap()
}

async fn migration(world: &World, begun: &SequenceMigration) -> SequenceMigration {
    world.app.store.find(begun.id).await.unwrap().unwrap()
}

fn sent(world: &World, name: &str) -> Vec<String> {
    let to = format!("{name}@example.com");
    world.mailer.sent().into_iter().filter(|out| out.to.address == to).map(|out| out.subject).collect()
}

async fn count(world: &World, kind: &str) -> usize {
    world.ledger_kinds().await.iter().filter(|found| *found == kind).count()
}

on_both_databases! {
    async fn a_moved_run_keeps_its_due_time_and_gets_every_email_once(world: World) {
        let sequence = publish(&world, &first()).await;
        let run = enroll(&world, sequence.id, "sam").await;
        world.run_due_jobs().await;
        let waiting = now(&world, &run).await;
        assert_eq!((waiting.step.as_str(), waiting.trail.taken.clone()), ("two", Some(BTreeSet::from(["one".to_owned()]))));
        let second = source(&[mail("one"), mail("extra"), wait("rest", 2), mail("two"), mail("three")]);
        let begun = replace(&world, &second, moving(Vec::new())).await.unwrap();
        assert_eq!((begun.state, begun.total, begun.number), (MigrationState::Pending, 1, 2));
        assert_eq!(now(&world, &run).await.rule, "living@1");
        assert!(world.job_kinds().await.contains(&"migrate_enrollments".to_owned()));
        world.run_due_jobs().await;
        let moved = now(&world, &run).await;
        assert_eq!((moved.rule.as_str(), moved.step.as_str()), ("living@2", "two"));
        assert_eq!((moved.state, moved.due_at, moved.visit), (waiting.state, waiting.due_at, waiting.visit));
        let done = migration(&world, &begun).await;
        assert_eq!((done.state, done.moved, done.ended, done.refused.len()), (MigrationState::Completed, 1, 0, 0));
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(sent(&world, "sam"), ["one", "two", "three"]);
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Completed));
        let ledger = world.ledger().await;
        let [fact] = ledger.iter().filter(|link| link.entry.kind == "enrollment.migrated").collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(fact.entry.rule.as_deref(), Some("sequence:living@2"));
        assert_eq!(fact.entry.detail["from_rule"], json!("living@1"));
        assert_eq!(fact.entry.detail["from_step"], json!("two"));
        assert_eq!(fact.entry.detail["migration"], json!(begun.id));
        let kinds = world.ledger_kinds().await;
        assert!(kinds.contains(&"sequence_migration.begun".to_owned()) && kinds.contains(&"sequence_migration.completed".to_owned()));
        world.pass(TimeDelta::days(7)).await;
        assert!(world.job_kinds().await.is_empty());
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn an_email_on_its_way_is_waited_for_and_then_the_new_version_goes_on(world: World) {
        let sequence = publish(&world, &source(&[mail("one"), mail("two")])).await;
        world.mailer.answer([Delivery::Deferred { code: 451, response: "later".to_owned() }]);
        let run = enroll(&world, sequence.id, "sam").await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Waiting(WaitReason::Email));
        let second = source(&[mail("one"), mail("other"), wait("rest", 1)]);
        assert_eq!(refused(&world, &second, moving(Vec::new())).await, "SEQUENCE_MIGRATION_STEP_GONE");
        replace(&world, &second, moving(vec![to("two", "other")])).await.unwrap();
        world.run_due_jobs().await;
        let moved = now(&world, &run).await;
        assert_eq!((moved.state, moved.step.as_str()), (EnrollmentState::Waiting(WaitReason::Email), "other"));
        assert_eq!(sent(&world, "sam"), ["one"], "tried once, and put off");
        world.pass(TimeDelta::minutes(10)).await;
        assert_eq!(sent(&world, "sam"), ["one", "one", "other"]);
        world.pass(TimeDelta::days(8)).await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Completed));
        assert_eq!(count(&world, "email.sent").await, 2);
    }

    async fn a_preview_counts_who_stands_where_and_what_it_refuses_is_not_published(world: World) {
        let sequence = publish(&world, &first()).await;
        let early = enroll(&world, sequence.id, "early").await;
        world.run_due_jobs().await;
        world.pass(TimeDelta::days(2)).await;
        enroll(&world, sequence.id, "late").await;
        enroll(&world, sequence.id, "kim").await;
        world.run_due_jobs().await;
        // `early` stands before `three`, the two others before `two`.
        let second = source(&[mail("one"), wait("rest", 2), mail("two")]);
        let shown = world.app.sequence_preview(&Actor::system(), &second, &moving(Vec::new())).await.unwrap().unwrap();
        assert_eq!((shown.number, shown.count, shown.versions.len()), (2, 3, 1));
        let [two, three] = shown.versions[0].steps.clone().try_into().unwrap();
        let to_two = Fate::Moves { to: "two".to_owned(), may_repeat: Vec::new(), may_skip: Vec::new(), passed: Vec::new() };
        assert_eq!((two.step.as_str(), two.count, two.fate), ("two", 2, to_two));
        assert_eq!(two.states.values().sum::<u64>(), 2);
        let Fate::Refused(refusal) = &three.fate else { panic!("{three:?}") };
        assert_eq!((three.count, refusal.code()), (1, "SEQUENCE_MIGRATION_STEP_GONE"));

        assert_eq!(refused(&world, &second, moving(Vec::new())).await, "SEQUENCE_MIGRATION_STEP_GONE");
        assert_eq!(refused(&world, &second, moving(vec![to("three", "one")])).await, "SEQUENCE_MIGRATION_REPEATS");
        assert_eq!(refused(&world, &second, moving(vec![to("three", "dome")])).await, "SEQUENCE_MIGRATION_STEP_UNKNOWN");
        let stay = Running { policy: Policy::Stay, map: vec![to("three", "done")] };
        assert_eq!(refused(&world, &second, stay).await, "SEQUENCE_MIGRATION_MAP_UNUSED");
        let found: Sequence = world.app.store.find(sequence.id).await.unwrap().unwrap();
        assert_eq!(found.latest_number, 1, "nothing was published");

        let begun = replace(&world, &second, moving(vec![ends("three")])).await.unwrap();
        world.run_due_jobs().await;
        let done = migration(&world, &begun).await;
        assert_eq!((done.moved, done.ended), (2, 1));
        assert_eq!(now(&world, &early).await.state, EnrollmentState::Exited(ExitReason::Superseded));
        let again = world.app.sequence_preview(&Actor::system(), &second, &moving(Vec::new())).await.unwrap().unwrap();
        assert_eq!((again.number, again.count), (2, 0), "the newest version says the same, and everybody is there");
        let nobody = SequenceMigrate { sequence: sequence.id, running: moving(Vec::new()) };
        let nothing = world.app.run(&world.system(), nobody).await.unwrap_err();
        assert_eq!(nothing.code(), "SEQUENCE_MIGRATION_NOTHING");
        let difference = world.app.sequence_diff(&first(), None).await.unwrap();
        assert_eq!(difference.against.map(|version| version.number), Some(2));
        assert!(difference.diff.steps.iter().any(|step| step.id == "three"));
    }

    async fn to_stay_moves_nobody_and_they_can_be_moved_later(world: World) {
        let sequence = publish(&world, &first()).await;
        let run = enroll(&world, sequence.id, "sam").await;
        world.run_due_jobs().await;
        let second = first().replace("subject: two", "subject: changed");
        let stay = Running { policy: Policy::Stay, map: Vec::new() };
        assert_eq!(replace(&world, &second, stay.clone()).await, None);
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.rule, "living@1");
        let ask = |running| SequenceMigrate { sequence: sequence.id, running };
        let refused = world.app.run(&world.system(), ask(stay)).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_MIGRATION_STAYS");
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        assert_eq!(world.app.run(&sdr, ask(moving(Vec::new()))).await.unwrap_err().code(), "FORBIDDEN");
        let (ops, call) = world.user("ops", Role::SalesOps, None).await;
        let begun = world.app.run(&call, ask(moving(Vec::new()))).await.unwrap();
        assert_eq!(begun.by, Some(ops.id));
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.rule, "living@2");
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(sent(&world, "sam"), ["one", "changed"]);
    }

    async fn to_finish_ends_the_runs_closes_their_tasks_and_gives_their_leads_back(world: World) {
        let steps = |days| source(&[call("ring"), wait("rest", days), mail("two")]).replace("subject: contact", "subject: lead");
        let sequence = publish(&world, &steps(2)).await;
        let contact = world.contact("sam@example.com").await;
        let received = tandem_app::LeadReceive {
            contact: contact.id,
            account: None,
            source: "webinar".to_owned(),
            external_id: None,
            grade: None,
            priority: None,
            tags: BTreeSet::new(),
            custom: BTreeMap::new(),
        };
        let lead = world.app.run(&world.system(), received).await.unwrap();
        let create = EnrollmentCreate { sequence: sequence.id, contact: None, lead: Some(lead.id), vars: Map::new() };
        let run = world.app.run(&world.system(), create).await.unwrap().0;
        world.run_due_jobs().await;
        let begun = replace(&world, &steps(3), Running { policy: Policy::Finish, map: Vec::new() }).await.unwrap();
        world.run_due_jobs().await;
        let done = migration(&world, &begun).await;
        assert_eq!((done.state, done.moved, done.ended), (MigrationState::Completed, 0, 1));
        let ended = now(&world, &run).await;
        assert_eq!((ended.state, ended.due_at), (EnrollmentState::Exited(ExitReason::Superseded), None));
        let filter = WorkItemFilter { contact: Some(contact.id), ..Default::default() };
        let [task] = world.app.store.work_item_page(&filter, &Page::first(9)).await.unwrap().items.try_into().unwrap();
        assert_eq!(task.state, ItemState::Cancelled);
        let lead: Lead = world.app.store.find(lead.id).await.unwrap().unwrap();
        assert_eq!(lead.owner, Owner::Marketing);
        world.pass(TimeDelta::days(9)).await;
        assert!(sent(&world, "sam").is_empty());
    }

    async fn many_are_moved_in_parts_that_can_be_paused_resumed_and_cancelled(world: World) {
        let sequence = publish(&world, &first()).await;
        for n in 0..230 {
            enroll(&world, sequence.id, &format!("p{n}")).await;
        }
        world.run_due_jobs().await;
        let second = first().replace("subject: two", "subject: changed");
        let begun = replace(&world, &second, moving(Vec::new())).await.unwrap();
        let part = |revision| SequenceMigrationPart { migration: begun.id, revision };
        let (after, moved, ..) = world.app.run(&world.system(), part(0)).await.unwrap();
        assert_eq!((after.state, after.moved, moved.len()), (MigrationState::Running, 200, 200));
        let pause = SequenceMigrationPause { migration: begun.id };
        world.app.run(&world.system(), pause).await.unwrap();
        let stale = world.app.run(&world.system(), part(0)).await.unwrap_err();
        assert_eq!(stale.code(), "SEQUENCE_MIGRATION_STALE");
        world.run_due_jobs().await;
        assert_eq!(migration(&world, &begun).await.moved, 200, "what was planned before the pause does nothing");
        let third = first().replace("subject: two", "subject: third");
        assert_eq!(refused(&world, &third, moving(Vec::new())).await, "SEQUENCE_MIGRATION_OPEN");
        let resume = SequenceMigrationResume { migration: begun.id };
        world.app.run(&world.system(), resume).await.unwrap();
        world.run_due_jobs().await;
        let done = migration(&world, &begun).await;
        assert_eq!((done.state, done.moved, done.total), (MigrationState::Completed, 230, 230));
        assert_eq!(count(&world, "enrollment.migrated").await, 230);
        let page = world.app.store.sequence_migration_page(sequence.id, &Page::first(9)).await.unwrap();
        assert_eq!(page.items.len(), 1);

        let begun = replace(&world, &third, moving(Vec::new())).await.unwrap();
        let cancel = SequenceMigrationCancel { migration: begun.id };
        world.app.run(&world.system(), cancel.clone()).await.unwrap();
        world.run_due_jobs().await;
        let over = migration(&world, &begun).await;
        assert_eq!((over.state, over.moved), (MigrationState::Cancelled, 0));
        assert_eq!(world.app.run(&world.system(), cancel).await.unwrap_err().code(), "SEQUENCE_MIGRATION_NOT_ALLOWED");
        let counts = world.app.store.crowds(sequence.id, None).await.unwrap();
        assert_eq!(counts.iter().map(|crowd| crowd.count).collect::<Vec<_>>(), [230], "all stay on the second version");
    }

    async fn a_run_that_would_get_an_email_again_stays_and_is_counted_with_the_reason(world: World) {
        let fork = "{id: fork, kind: branch, when: contact.title != null, then: one, else: rest}".to_owned();
        let sequence = publish(&world, &source(&[fork, mail("one"), wait("rest", 2), mail("two")])).await;
        let plain = enroll(&world, sequence.id, "plain").await;
        let patch: ContactPatch = serde_json::from_value(json!({"title": "Head", "email": "titled@example.com"})).unwrap();
        let consent = Some(ConsentGiven { state: ConsentState::Granted, source: Some("test".to_owned()), at: None });
        let patch = ContactPatch { consent, email: Edit::Set("titled@example.com".to_owned()), ..patch };
        let command = tandem_app::ContactCreate { contact: patch, default_region: None };
        let contact: Contact = world.app.run(&world.system(), command).await.unwrap().record;
        let create = EnrollmentCreate { sequence: sequence.id, contact: Some(contact.id), lead: None, vars: Map::new() };
        let titled = world.app.run(&world.system(), create).await.unwrap().0;
        world.run_due_jobs().await;
        let second = source(&[wait("rest", 2), mail("two"), wait("more", 1), mail("one")]);
        let begun = replace(&world, &second, moving(Vec::new())).await.unwrap();
        world.run_due_jobs().await;
        let done = migration(&world, &begun).await;
        let because = BTreeMap::from([("SEQUENCE_MIGRATION_REPEATS".to_owned(), 1)]);
        assert_eq!((done.state, done.moved, done.refused), (MigrationState::Completed, 1, because));
        let ledger = world.ledger().await;
        let last = ledger.iter().find(|link| link.entry.kind == "sequence_migration.completed").unwrap();
        assert_eq!(last.entry.detail["refused"], json!([{"enrollment": titled.id, "code": "SEQUENCE_MIGRATION_REPEATS"}]));
        assert_eq!((now(&world, &plain).await.rule, now(&world, &titled).await.rule), ("living@2".into(), "living@1".into()));
        world.pass(TimeDelta::days(2)).await;
        world.pass(TimeDelta::days(1)).await;
        assert_eq!(sent(&world, "plain"), ["two", "one"]);
        assert_eq!(sent(&world, "titled"), ["one", "two"]);
    }

    async fn what_pauses_or_is_archived_meanwhile_is_moved_where_it_is_or_left(world: World) {
        let sequence = publish(&world, &first()).await;
        let run = enroll(&world, sequence.id, "sam").await;
        world.run_due_jobs().await;
        world.app.run(&world.system(), SequencePause { sequence: sequence.id }).await.unwrap();
        world.pass(TimeDelta::days(3)).await;
        let second = first().replace("subject: two", "subject: changed");
        replace(&world, &second, moving(Vec::new())).await.unwrap();
        world.run_due_jobs().await;
        let paused = now(&world, &run).await;
        assert_eq!((paused.state, paused.rule.as_str()), (EnrollmentState::Paused(PauseReason::Sequence), "living@2"));
        world.app.run(&world.system(), SequenceResume { sequence: sequence.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(sent(&world, "sam"), ["one", "changed"]);
        let begun = replace(&world, &first(), moving(Vec::new())).await.unwrap();
        world.app.run(&world.system(), SequenceArchive { sequence: sequence.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(migration(&world, &begun).await.state, MigrationState::Cancelled);
        world.pass(TimeDelta::days(3)).await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Exited(ExitReason::Superseded));
    }

    async fn a_backlog_is_spread_in_the_order_in_which_it_fell_due(world: World) {
        let (sequence, runs) = backlog(&world, 12).await;
        resume(&world, sequence.id, Backlog::Spread, Some(2)).await;
        assert_eq!(world.job_kinds().await.iter().filter(|kind| *kind == "resume_enrollments").count(), 1);
        world.run_due_jobs().await;
        let begin = world.now();
        let mut dues: Vec<DateTime<Utc>> = Vec::new();
        for (place, run) in runs.iter().enumerate() {
            let run = now(&world, run).await;
            if place == 0 {
                // The first has its turn at once.
                assert_ne!(run.state, EnrollmentState::Paused(PauseReason::Sequence));
                continue;
            }
            assert_eq!(run.state, EnrollmentState::Waiting(WaitReason::Backlog), "{place}");
            dues.push(run.due_at.unwrap());
        }
        let expected: Vec<_> = (1..12).map(|place| begin + TimeDelta::hours(4 * place)).collect();
        assert_eq!(dues, expected);
        let before = world.mailer.sent().len();
        world.pass(TimeDelta::hours(24)).await;
        assert_eq!(world.mailer.sent().len() - before, 6, "half of them in half of the time");
        world.pass(TimeDelta::hours(20)).await;
        assert_eq!(world.mailer.sent().len() - before, 11);
        for n in 0..12 {
            assert_eq!(sent(&world, &format!("p{n}")), ["one", "two"]);
        }
        let ledger = world.ledger().await;
        let fact = ledger.iter().find(|link| link.entry.kind == "sequence.resumed").unwrap();
        assert_eq!((&fact.entry.detail["backlog"], &fact.entry.detail["runs"]), (&json!("SPREAD"), &json!(12)));
    }

    async fn a_skipped_backlog_reaches_nobody_and_says_what_was_left_out(world: World) {
        let (sequence, runs) = backlog(&world, 3).await;
        resume(&world, sequence.id, Backlog::Skip, None).await;
        world.run_due_jobs().await;
        for (n, run) in runs.iter().enumerate() {
            let run = now(&world, run).await;
            assert_eq!((run.state, run.step.as_str()), (EnrollmentState::Waiting(WaitReason::Time), "three"));
            assert_eq!(run.due_at, Some(world.now() + TimeDelta::days(2)));
            assert_eq!(sent(&world, &format!("p{n}")), ["one"]);
        }
        let ledger = world.ledger().await;
        let skipped = ledger.iter().filter(|link| {
            link.entry.kind == "enrollment.advanced" && link.entry.detail["taken"][0]["skipped"] == json!("BACKLOG")
        });
        assert_eq!(skipped.count(), 3);
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(sent(&world, "p0"), ["one", "three"]);
    }

    async fn of_several_missed_emails_the_newest_is_sent(world: World) {
        let (sequence, runs) = backlog(&world, 3).await;
        world.pass(TimeDelta::days(7)).await;
        resume(&world, sequence.id, Backlog::Latest, None).await;
        world.run_due_jobs().await;
        for (n, run) in runs.iter().enumerate() {
            assert_eq!(sent(&world, &format!("p{n}")), ["one", "three"]);
            assert_eq!(now(&world, run).await.state, EnrollmentState::Finished(FinishReason::Completed));
        }
    }

    async fn more_than_a_hundred_are_spread_over_a_day_where_nobody_says_otherwise(world: World) {
        let (sequence, _) = backlog(&world, 101).await;
        let woken = SequenceResume { sequence: sequence.id };
        let resumed = world.app.run(&world.system(), woken).await.unwrap();
        let resumption = resumed.resumption.unwrap();
        assert_eq!((resumption.backlog, resumption.days, resumption.runs), (Backlog::Spread, Some(1), 101));
        let before = world.mailer.sent().len();
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len() - before, 1, "nothing floods");
        world.pass(TimeDelta::days(1)).await;
        assert_eq!(world.mailer.sent().len() - before, 101);
    }

    async fn a_sequence_that_pauses_until_a_moment_goes_on_by_itself(world: World) {
        let sequence = publish(&world, &first()).await;
        let run = enroll(&world, sequence.id, "sam").await;
        world.run_due_jobs().await;
        let until = world.now() + TimeDelta::days(4);
        let paused = world.app.run(&world.system(), SequencePauseUntil { sequence: sequence.id, until }).await.unwrap();
        assert_eq!((paused.state, paused.paused_until), (SequenceState::Paused, Some(until)));
        world.pass(TimeDelta::days(3)).await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Paused(PauseReason::Sequence));
        world.pass(TimeDelta::days(1)).await;
        assert_eq!(sent(&world, "sam"), ["one", "two"]);
        // A pause that somebody ended earlier is not ended again.
        let until = world.now() + TimeDelta::hours(4);
        world.app.run(&world.system(), SequencePauseUntil { sequence: sequence.id, until }).await.unwrap();
        world.app.run(&world.system(), SequenceResume { sequence: sequence.id }).await.unwrap();
        world.app.run(&world.system(), SequencePause { sequence: sequence.id }).await.unwrap();
        world.pass(TimeDelta::days(1)).await;
        let found: Sequence = world.app.store.find(sequence.id).await.unwrap().unwrap();
        assert_eq!(found.state, SequenceState::Paused);
    }
}

/// Runs that took `one` a minute after each other, and whose `two` fell due while the sequence was paused, in that order.
async fn backlog(world: &World, many: usize) -> (Sequence, Vec<Enrollment>) {
    let sequence = publish(world, &first()).await;
    let mut runs = Vec::new();
    for n in 0..many {
        runs.push(enroll(world, sequence.id, &format!("p{n}")).await);
        world.run_due_jobs().await;
        world.clock.advance(TimeDelta::minutes(1));
    }
    let sequence = world.app.run(&world.system(), SequencePause { sequence: sequence.id }).await.unwrap();
    world.pass(TimeDelta::days(2)).await;
    world.pass(TimeDelta::hours(4)).await;
    for run in &runs {
        assert_eq!(now(world, run).await.state, EnrollmentState::Paused(PauseReason::Sequence));
    }
    let waiting = world.app.store.count_paused_with(sequence.id).await.unwrap();
    assert_eq!(usize::try_from(waiting).unwrap(), many);
    (sequence, runs)
}

async fn resume(world: &World, sequence: SequenceId, backlog: Backlog, days: Option<u32>) {
    let command = SequenceCatchUp { sequence, wish: Wish { backlog, days } };
    world.app.run(&world.system(), command).await.unwrap();
}

/// A run that enrols while a new version is published is on the new version, or is moved: nobody is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_enrols_while_a_version_is_published_is_seen_by_the_migration() {
    let Some(world) = World::postgres().await else { return };
    let sequence = publish(&world, &first()).await;
    enroll(&world, sequence.id, "early").await;
    let late = world.contact("late@example.com").await;
    // The late one has read the sequence, and waits for the row of the person.
    let held = world.hold(&format!("SELECT * FROM contact WHERE id = '{}' FOR UPDATE", late.id)).await;
    let (app, call) = (world.app.clone(), world.system());
    let create = EnrollmentCreate { sequence: sequence.id, contact: Some(late.id), lead: None, vars: Map::new() };
    let enrolling = tokio::spawn(async move { app.run(&call, create).await.map(|enrolled| enrolled.0) });
    world.until_waiting(1).await;
    let (app, call) = (world.app.clone(), world.system());
    let second = first().replace("subject: two", "subject: changed");
    let command = SequenceReplace { source: second, running: moving(Vec::new()) };
    let publishing = tokio::spawn(async move { app.run(&call, command).await.unwrap().2.unwrap() });
    world.until_waiting(2).await;
    held.rollback().await.unwrap();
    let late = enrolling.await.unwrap().unwrap();
    let begun = publishing.await.unwrap();
    assert_eq!((late.rule.as_str(), begun.total), ("living@1", 2));
    world.run_due_jobs().await;
    let filter = EnrollmentFilter { sequence: Some(sequence.id), ..Default::default() };
    let runs = world.app.store.enrollment_page(&filter, &Page::first(9)).await.unwrap().items;
    assert!(runs.iter().all(|run| run.rule == "living@2"), "{runs:?}");
    // Advancing by a timer of before and moving at once: whoever is second finds what the first did.
    let stale = EnrollmentAdvance { enrollment: late.id, visit: 0 };
    assert_eq!(world.app.run(&world.system(), stale).await.unwrap_err().code(), "ENROLLMENT_STALE");
}
