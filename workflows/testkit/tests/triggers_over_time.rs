//! Triggers over versions, pauses and long ledgers: who is meant by what happened when, on both databases.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_app::sequence::TriggerStart;
use tandem_app::{
    AccountChange, AccountUpsertMany, Call, ContactChange, ContactUpsertMany, CustomFieldDefine, EnrollmentCreate,
    InteractionRecord, SequencePause, SequencePublish, SequenceResume,
};
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::ContactPatch;
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::decision::Job;
use tandem_domain::id::{AccountId, ContactId, SequenceId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, FinishReason};
use tandem_domain::sequence::trigger::{Cause, Skip};
use tandem_domain::sequence::{Sequence, SequenceVersion};
use tandem_jobs::schedule::turn;
use tandem_store::Page;
use tandem_store::jobs::Now;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::trigger::TriggerSkipFilter;
use tandem_testkit::{World, on_both_databases};

/// A sequence that waits for a year, with this trigger.
fn source(key: &str, trigger: &str) -> String {
    format!(
        "key: {key}\nname: {key}\nsubject: contact\ntriggers:\n  - {{{trigger}}}\nsteps:\n  \
         - {{id: pause, kind: wait, duration: 365d}}\n  - {{id: done, kind: end}}\n"
    )
}

/// Publishes, and leaves it to the caller when anybody hears of it.
async fn publish(world: &World, source: &str) -> (Sequence, SequenceVersion) {
    let published = world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap();
    world.clock.advance(TimeDelta::seconds(1));
    published
}

async fn pause(world: &World, sequence: SequenceId) {
    world.app.run(&world.system(), SequencePause { sequence }).await.unwrap();
    world.clock.advance(TimeDelta::seconds(1));
}

async fn resume(world: &World, sequence: SequenceId) {
    world.app.run(&world.system(), SequenceResume { sequence }).await.unwrap();
    world.clock.advance(TimeDelta::seconds(1));
}

async fn did(world: &World, contact: ContactId, kind: InteractionKind) {
    let (name, properties) = ("Pricing".to_owned(), Map::new());
    let draft = Draft { kind, name, occurred_at: None, seconds: None, url: None, properties };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
}

async fn change(world: &World, contact: ContactId, patch: Value) {
    let contact_patch: ContactPatch = serde_json::from_value(patch).unwrap();
    let command = ContactChange { id: contact, contact: contact_patch, default_region: None };
    world.app.run(&world.system(), command).await.unwrap();
    world.clock.advance(TimeDelta::seconds(1));
}

async fn company(world: &World) -> AccountId {
    let rows = vec![AccountPatch { name: Some("Example".to_owned()), ..AccountPatch::default() }];
    let made = world.app.run(&world.system(), AccountUpsertMany { rows }).await.unwrap();
    made.rows[0].id().unwrap().into()
}

async fn rename(world: &World, account: AccountId, name: &str) {
    let patch = AccountPatch { name: Some(name.to_owned()), ..AccountPatch::default() };
    world.app.run(&world.system(), AccountChange { id: account, account: patch }).await.unwrap();
    world.clock.advance(TimeDelta::seconds(1));
}

/// So many people who agreed to be written to, heads all of them, at a company or at none.
async fn people(world: &World, at: &str, account: Option<AccountId>, count: usize) -> BTreeSet<ContactId> {
    let mut made = BTreeSet::new();
    for from in (0..count).step_by(500) {
        let row = |n: usize| {
            let patch: ContactPatch = serde_json::from_value(json!({
                "email": format!("p{n}@{at}.example.com"),
                "title": "Head",
                "account": account,
                "consent": {"state": "GRANTED", "source": "form"},
            }))
            .unwrap();
            patch.into()
        };
        let rows = (from..count.min(from + 500)).map(row).collect();
        let written = world.app.run(&world.system(), ContactUpsertMany { rows, default_region: None }).await.unwrap();
        made.extend(written.rows.iter().map(|row| ContactId::from(row.id().unwrap())));
    }
    world.clock.advance(TimeDelta::seconds(1));
    made
}

/// More entries than one look at the ledger reads.
async fn much_else(world: &World) -> BTreeSet<ContactId> {
    people(world, "elsewhere", None, 1_100).await
}

async fn runs(world: &World, sequence: &Sequence) -> Vec<Enrollment> {
    let filter = EnrollmentFilter { sequence: Some(sequence.id), ..Default::default() };
    world.app.store.enrollment_page(&filter, &Page::first(2_000)).await.unwrap().items
}

async fn started(world: &World, sequence: &Sequence) -> BTreeSet<ContactId> {
    runs(world, sequence).await.into_iter().map(|run| run.contact).collect()
}

async fn skips(world: &World, sequence: &Sequence) -> Vec<Skip> {
    let filter = TriggerSkipFilter { sequence: Some(sequence.id), ..Default::default() };
    world.app.store.trigger_skip_page(&filter, &Page::first(2_000)).await.unwrap().items
}

fn start_of(version: &SequenceVersion, cause: Cause, after: Option<ContactId>) -> TriggerStart {
    let trigger = version.definition.header.triggers[0].key();
    let after = after.map(Into::into);
    TriggerStart { sequence: version.sequence, version: version.id, trigger, cause, after }
}

/// Runs the first part of what a trigger does, as its job would.
async fn first_part(world: &World) {
    while world.app.relay_to_sequences().await.unwrap() > 0 {}
    let (now, lease) = (Now::At(world.now()), TimeDelta::seconds(30));
    let [job] = world.app.store.claim_jobs("default", "a", now, lease, 1).await.unwrap().try_into().unwrap();
    let Job::StartByTrigger { sequence, version, trigger, cause, after } = serde_json::from_str(&job.payload).unwrap()
    else {
        panic!("{job:?}")
    };
    let call = Call::system(job.request_id.clone()).for_job(job.lease, job.due_at);
    let start = TriggerStart { sequence, version, trigger, cause, after };
    assert!(world.app.start_by_trigger(&call, start).await.unwrap());
}

async fn one_number(world: &World, sql: &str) -> i64 {
    let connection = Database::connect(&world.url).await.unwrap();
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
    let number = row.try_get("", "n").unwrap();
    connection.close().await.unwrap();
    number
}

/// Gets the person who renews on a day.
async fn renews(world: &World, email: &str, day: &str) -> ContactId {
    let contact = world.contact(email).await.id;
    change(world, contact, json!({"custom": {"renewal_on": day}})).await;
    contact
}

async fn dates(world: &World) {
    let (key, label) = ("renewal_on".to_owned(), "Renewal".to_owned());
    let define = CustomFieldDefine {
        entity: Entity::Contact,
        key,
        label,
        kind: Kind::Date,
        choices: Vec::new(),
        required: false,
    };
    world.app.run(&world.system(), define).await.unwrap();
}

async fn day_by_day(world: &World, days: usize) {
    for _ in 0..days {
        world.clock.advance(TimeDelta::days(1));
        world.app.store.turn_schedules(Now::At(world.now()), turn).await.unwrap();
        world.run_due_jobs().await;
    }
}

on_both_databases! {
    async fn what_happened_before_a_publication_starts_nobody_however_far_it_lies_in_front_of_it(world: World) {
        let sam = world.contact("sam@example.com").await.id;
        let kim = world.contact("kim@example.com").await.id;
        did(&world, sam, InteractionKind::Form).await;
        change(&world, sam, json!({"title": "Chief"})).await;
        much_else(&world).await;
        let (heads, _) = publish(&world, &source("heads", "kind: segment, when: \"contact.title in ['Head', 'Chief']\"")).await;
        let (titles, _) = publish(&world, &source("titles", "kind: field, field: contact.title")).await;
        let (forms, _) = publish(&world, &source("forms", "kind: event, event: [FORM]")).await;
        did(&world, kim, InteractionKind::Form).await;
        change(&world, kim, json!({"title": "Chief"})).await;
        world.run_due_jobs().await;
        for sequence in [&heads, &titles, &forms] {
            assert_eq!(started(&world, sequence).await, [kim].into(), "{}", sequence.key);
            assert!(skips(&world, sequence).await.is_empty(), "{}", sequence.key);
        }
        let kinds = world.ledger_kinds().await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "enrollment.started").count(), 3);
        assert_eq!(world.job_kinds().await, ["advance_enrollment"; 3], "nothing is left but the waits of the runs");
    }

    async fn each_version_hears_what_happened_while_it_was_the_newest_however_much_did(world: World) {
        let first = source("forms", "kind: event, event: [FORM]");
        publish(&world, &first).await;
        world.run_due_jobs().await;
        let mut people = Vec::new();
        for name in ["sam", "max", "kim", "lee"] {
            people.push(world.contact(&format!("{name}@example.com")).await.id);
        }
        let [sam, max, kim, lee] = people.try_into().unwrap();
        did(&world, sam, InteractionKind::Form).await;
        did(&world, max, InteractionKind::Download).await;
        much_else(&world).await;
        let (sequence, version) = publish(&world, &first.replace("FORM", "DOWNLOAD")).await;
        did(&world, kim, InteractionKind::Download).await;
        did(&world, lee, InteractionKind::Form).await;
        world.run_due_jobs().await;
        assert_eq!(started(&world, &sequence).await, [sam, kim].into());
        assert!(runs(&world, &sequence).await.iter().all(|run| run.version == version.id), "runs begin in the newest");
    }

    async fn what_happened_while_it_was_paused_starts_nobody_however_far_its_resumption_lies_behind(world: World) {
        let (sequence, _) = publish(&world, &source("forms", "kind: event, event: [FORM]")).await;
        let sam = world.contact("sam@example.com").await.id;
        let kim = world.contact("kim@example.com").await.id;
        let lee = world.contact("lee@example.com").await.id;
        did(&world, sam, InteractionKind::Form).await;
        world.run_due_jobs().await;
        pause(&world, sequence.id).await;
        world.run_due_jobs().await;
        did(&world, kim, InteractionKind::Form).await;
        much_else(&world).await;
        resume(&world, sequence.id).await;
        did(&world, lee, InteractionKind::Form).await;
        world.run_due_jobs().await;
        assert_eq!(started(&world, &sequence).await, [sam, lee].into());
        assert!(skips(&world, &sequence).await.is_empty(), "what it did not hear it passed nobody over for");
    }

    async fn a_date_that_the_newest_version_does_not_have_starts_nobody_and_is_not_made_up_for(world: World) {
        dates(&world).await;
        let first = source("renewal", "kind: date, field: contact.custom.renewal_on, offset: -30d");
        let (sequence, version) = publish(&world, &first).await;
        // It is 2 March: noted for tomorrow, and to come in the time of a later version.
        let sam = renews(&world, "sam@example.com", "2026-04-02").await;
        let kim = renews(&world, "kim@example.com", "2026-04-12").await;
        world.run_due_jobs().await;
        let trigger = version.definition.header.triggers[0].key();
        let noted = async || world.app.store.trigger_memory((sequence.id, &trigger), &[sam]).await.unwrap();
        assert_eq!(noted().await[&sam], ["2026-04-02"]);
        publish(&world, &first.replace("-30d", "-7d")).await;
        world.run_due_jobs().await;
        day_by_day(&world, 3).await;
        assert!(started(&world, &sequence).await.is_empty(), "the newest version means a week before");
        assert!(noted().await.is_empty());
        // A third version has the first one's trigger again, and hears of what is to come.
        publish(&world, &first.replace("365d", "366d")).await;
        world.run_due_jobs().await;
        day_by_day(&world, 20).await;
        assert_eq!(started(&world, &sequence).await, [kim].into());
        assert!(skips(&world, &sequence).await.is_empty());
    }

    async fn a_tick_whose_trigger_is_gone_does_not_go_on(world: World) {
        let first = source("weekly", "kind: cron, cron: '0 9 * * 1', when: contact.title == 'Head'");
        let (sequence, version) = publish(&world, &first).await;
        people(&world, "office", None, 3).await;
        let tick = start_of(&version, Cause::Tick {}, None);
        let other = first.replace("'Head'", "'Chief'");
        publish(&world, &other).await;
        assert!(!world.app.start_by_trigger(&world.system(), tick.clone()).await.unwrap());
        assert!(started(&world, &sequence).await.is_empty());
        // Values are no part of what a trigger is: the newest version's are those that count.
        publish(&world, &first.replace("when:", "vars: {office: \"'north'\"}, when:")).await;
        assert!(world.app.start_by_trigger(&world.system(), tick).await.unwrap());
        let runs = runs(&world, &sequence).await;
        assert_eq!(runs.len(), 3);
        assert!(runs.iter().all(|run| run.vars["office"] == json!("north")));
    }

    async fn a_pause_amid_what_a_trigger_does_leaves_nobody_out_without_saying_so(world: World) {
        let account = company(&world).await;
        let staff = people(&world, "office", Some(account), 430).await;
        let (sequence, _) = publish(&world, &source("renamed", "kind: field, field: account.name")).await;
        world.run_due_jobs().await;
        rename(&world, account, "Example Group").await;
        first_part(&world).await;
        let begun = started(&world, &sequence).await;
        assert_eq!(begun.len(), 200);
        pause(&world, sequence.id).await;
        world.run_due_jobs().await;
        resume(&world, sequence.id).await;
        world.run_due_jobs().await;
        let passed_over = skips(&world, &sequence).await;
        assert!(passed_over.iter().all(|skip| skip.code == "SEQUENCE_NOT_ACTIVE" && skip.seq.is_some()));
        let passed_over: BTreeSet<ContactId> = passed_over.into_iter().map(|skip| skip.contact).collect();
        assert_eq!(started(&world, &sequence).await, begun, "nobody starts late");
        assert!(begun.is_disjoint(&passed_over));
        assert_eq!(&begun | &passed_over, staff);
    }

    async fn who_was_heard_of_just_before_a_pause_is_passed_over_and_on_view(world: World) {
        let (forms, _) = publish(&world, &source("forms", "kind: event, event: [FORM], when: contact.title == 'Chief'")).await;
        let (chiefs, _) = publish(&world, &source("chiefs", "kind: segment, when: contact.title == 'Chief'")).await;
        let sam = world.contact("sam@example.com").await.id;
        let kim = world.contact("kim@example.com").await.id;
        world.run_due_jobs().await;
        change(&world, sam, json!({"title": "Chief"})).await;
        for contact in [sam, kim] {
            did(&world, contact, InteractionKind::Form).await;
        }
        for sequence in [&forms, &chiefs] {
            pause(&world, sequence.id).await;
        }
        // Told to sequences only now, and only what came before the pause.
        change(&world, kim, json!({"title": "Chief"})).await;
        world.run_due_jobs().await;
        for sequence in [&forms, &chiefs] {
            assert!(started(&world, sequence).await.is_empty());
            let codes: Vec<(ContactId, String)> =
                skips(&world, sequence).await.into_iter().map(|skip| (skip.contact, skip.code)).collect();
            // At the form's turn the other one is a chief, too.
            let meant = if sequence.id == forms.id { vec![sam, kim] } else { vec![sam] };
            let meant = meant.into_iter().map(|contact| (contact, "SEQUENCE_NOT_ACTIVE".to_owned()));
            assert_eq!(codes.into_iter().collect::<BTreeSet<_>>(), meant.collect(), "{}", sequence.key);
            resume(&world, sequence.id).await;
        }
        world.run_due_jobs().await;
        change(&world, sam, json!({"name": "Sam Example"})).await;
        world.run_due_jobs().await;
        for sequence in [&forms, &chiefs] {
            assert!(started(&world, sequence).await.is_empty(), "nothing floods when it goes on");
        }
    }

    async fn what_is_published_and_paused_before_anybody_hears_of_it_knows_who_was_inside(world: World) {
        let account = company(&world).await;
        people(&world, "office", Some(account), 3).await;
        let kim = world.contact("kim@example.com").await.id;
        let condition = "kind: segment, when: \"contact.title == 'Head' && account.name != 'None'\"";
        let (heads, _) = publish(&world, &source("heads", condition)).await;
        rename(&world, account, "Example Group").await;
        change(&world, kim, json!({"title": "Head", "account": account})).await;
        pause(&world, heads.id).await;
        world.run_due_jobs().await;
        let passed_over: Vec<ContactId> = skips(&world, &heads).await.into_iter().map(|skip| skip.contact).collect();
        assert_eq!(passed_over, [kim], "the others were inside all the time");
        resume(&world, heads.id).await;
        world.run_due_jobs().await;
        assert!(started(&world, &heads).await.is_empty());
    }

    async fn what_no_run_hears_of_is_not_read(world: World) {
        let waits = "key: waits\nname: Waits\nsubject: contact\nsteps:\n  \
                     - {id: asked, kind: wait_for, event: [FORM], timeout: 5d, on_timeout: late}\n  \
                     - {id: done, kind: end, outcome: goal}\n  - {id: late, kind: end}\n";
        let sam = world.contact("sam@example.com").await.id;
        let kim = world.contact("kim@example.com").await.id;
        let (idle, _) = publish(&world, "key: idle\nname: Idle\nsubject: contact\nsteps:\n  \
                                 - {id: pause, kind: wait, duration: 365d}\n  - {id: done, kind: end}\n").await;
        let enroll = async |sequence: &Sequence| {
            let command = EnrollmentCreate { sequence: sequence.id, contact: Some(kim), lead: None, vars: Map::new() };
            world.app.run(&world.system(), command).await.unwrap().0
        };
        let of_idle = enroll(&idle).await;
        world.run_due_jobs().await;
        // A meeting would end it; what is read of the rest is whose it is.
        did(&world, kim, InteractionKind::Page).await;
        did(&world, sam, InteractionKind::Meeting).await;
        // Whoever reads one whole fails.
        let damage = "UPDATE interaction SET body = '{}'";
        world.tamper(damage).await.unwrap();
        while world.app.relay_to_sequences().await.unwrap() > 0 {}
        assert_eq!(world.job_kinds().await, ["advance_enrollment"], "nobody is told of a page");
        let (waits, _) = publish(&world, waits).await;
        let waiting = enroll(&waits).await;
        world.run_due_jobs().await;
        did(&world, sam, InteractionKind::Form).await;
        world.tamper(damage).await.unwrap();
        did(&world, kim, InteractionKind::Form).await;
        world.run_due_jobs().await;
        let over: Enrollment = world.app.store.find(waiting.id).await.unwrap().unwrap();
        assert_eq!(over.state, EnrollmentState::Finished(FinishReason::Goal));
        did(&world, kim, InteractionKind::Meeting).await;
        world.run_due_jobs().await;
        let over: Enrollment = world.app.store.find(of_idle.id).await.unwrap().unwrap();
        assert_eq!(over.state, EnrollmentState::Finished(FinishReason::MeetingBooked));
    }

    async fn who_leaves_a_segment_together_is_forgotten_together_and_may_enter_again(world: World) {
        let account = company(&world).await;
        let staff = people(&world, "office", Some(account), 120).await;
        let (sequence, version) = publish(&world, &source("named", "kind: segment, when: account.name == 'Example'")).await;
        world.run_due_jobs().await;
        let trigger = version.definition.header.triggers[0].key();
        let all: Vec<ContactId> = staff.iter().copied().collect();
        let inside = async || world.app.store.trigger_memory((sequence.id, &trigger), &all).await.unwrap().len();
        assert_eq!(inside().await, 120);
        let postgres = world.url.starts_with("postgres");
        if postgres {
            let count = "CREATE TABLE statements (n integer); \
                         CREATE FUNCTION count_one() RETURNS trigger LANGUAGE plpgsql AS \
                         $$ BEGIN INSERT INTO statements VALUES (1); RETURN NULL; END $$; \
                         CREATE TRIGGER counted AFTER DELETE ON trigger_memory FOR EACH STATEMENT EXECUTE FUNCTION count_one()";
            world.tamper(count).await.unwrap();
        }
        rename(&world, account, "Example Group").await;
        world.run_due_jobs().await;
        assert_eq!(inside().await, 0);
        if postgres {
            assert_eq!(one_number(&world, "SELECT COUNT(*) AS n FROM statements").await, 1);
        }
        assert!(started(&world, &sequence).await.is_empty());
        rename(&world, account, "Example").await;
        world.run_due_jobs().await;
        assert_eq!(started(&world, &sequence).await, staff);
    }
}

/// What takes steps locks runs first and their people then: whoever does it the other way round waits for it for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runs_of_everybody_are_locked_before_anybody_where_a_person_has_one_in_a_group() {
    let Some(world) = World::postgres().await else { return };
    let grouped = |key: &str, priority: u8, triggers: &str| {
        format!(
            "key: {key}\nname: {key}\nsubject: contact\nexclusive: outreach\npriority: {priority}\n{triggers}steps:\n  \
             - {{id: pause, kind: wait, duration: 365d}}\n  - {{id: done, kind: end}}\n"
        )
    };
    let (low, _) = publish(&world, &grouped("low", 10, "")).await;
    let (high, _) = publish(&world, &grouped("high", 90, "triggers: [{kind: field, field: account.name}]\n")).await;
    let account = company(&world).await;
    let staff = people(&world, "office", Some(account), 5).await;
    let last = *staff.last().unwrap();
    let command = EnrollmentCreate { sequence: low.id, contact: Some(last), lead: None, vars: Map::new() };
    let rival = world.app.run(&world.system(), command).await.unwrap().0;
    world.run_due_jobs().await;
    rename(&world, account, "Example Group").await;
    // Somebody takes a step of the run, and will ask for the person next.
    let held = world.hold(&format!("SELECT * FROM enrollment WHERE id = '{}' FOR UPDATE", rival.id)).await;
    let app = world.app.clone();
    while app.relay_to_sequences().await.unwrap() > 0 {}
    let (now, lease) = (Now::At(world.now()), TimeDelta::seconds(30));
    let [job] = app.store.claim_jobs("default", "a", now, lease, 1).await.unwrap().try_into().unwrap();
    let Job::StartByTrigger { sequence, version, trigger, cause, after } = serde_json::from_str(&job.payload).unwrap()
    else {
        panic!("{job:?}")
    };
    let start = TriggerStart { sequence, version, trigger, cause, after };
    let call = Call::system(job.request_id.clone()).for_job(job.lease, job.due_at);
    let starting = tokio::spawn(async move { app.start_by_trigger(&call, start).await });
    world.until_waiting(1).await;
    let people = world.hold("SELECT * FROM contact FOR UPDATE NOWAIT").await;
    people.rollback().await.unwrap();
    held.rollback().await.unwrap();
    assert!(starting.await.unwrap().unwrap());
    assert_eq!(started(&world, &high).await, staff);
    let superseded: Enrollment = world.app.store.find(rival.id).await.unwrap().unwrap();
    assert!(!superseded.state.is_live(), "{}", superseded.state);
}
