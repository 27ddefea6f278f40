//! The story of a run, the numbers of a sequence, and experiments, on both databases.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::contacts::ContactCreate;
use tandem_app::insight::{Outcome, ReportAsk, ReportCounts, ReportGroup, StoryEntry};
use tandem_app::received::Polled;
use tandem_app::{
    EmailTrack, EnrollmentCreate, EnrollmentExit, EnrollmentFinish, EnrollmentPause, EnrollmentResume,
    ExperimentChange, ExperimentDecide, ExperimentRegister, ExperimentStart, InteractionRecord, LeadQualify,
    LeadReceive, SequencePublish, SuppressionAdd, TaskComplete, Tracked, WorkItemClaim,
};
use tandem_domain::access::Role;
use tandem_domain::contact::{ConsentState, Contact, ContactPatch};
use tandem_domain::decision::{Decision, Fact};
use tandem_domain::email::Email;
use tandem_domain::experiment::{self, Design, Experiment, ExperimentState, Metric, Proposal, Variant, promoted};
use tandem_domain::id::{ContactId, SequenceId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::lead::Lead;
use tandem_domain::ledger::Stamp;
use tandem_domain::sequence::enrollment::{Enrollment, ExitReason, FinishReason, PauseReason};
use tandem_domain::sequence::steps::NAMES;
use tandem_domain::sequence::story::{BeatKind, steps_taken};
use tandem_domain::suppression::{SuppressionKind, SuppressionReason};
use tandem_store::Page;
use tandem_store::email::EmailFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};

const WELCOME: &str = "
key: welcome
name: Welcome
subject: contact
goal: contact.title == 'Customer'
steps:
  - {id: hello, kind: send_email, template: {subject: Hello, text: Hi, html: '<p>Hi</p>'}}
  - {id: pause, kind: wait, duration: 3d}
  - {id: reachable, kind: branch, when: 'contact.phone != null', then: call, else: again}
  - {id: call, kind: create_task, title: 'Call them', due_in: 1d, next: again}
  - {id: again, kind: send_email, template: {subject: Again, text: 'Still there?'}}
  - {id: done, kind: end}
";

const SHORT: &str = "
key: short
name: Short
subject: contact
steps:
  - {id: note, kind: send_email, template: {subject: Note, text: Hi}}
  - {id: pause, kind: wait, duration: 1d}
  - {id: done, kind: end}
";

async fn publish(world: &World, source: &str) -> SequenceId {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0.id
}

async fn person(world: &World, name: &str, more: Value) -> Contact {
    let mut contact = json!({
        "name": format!("{name} Sample"),
        "email": format!("{}@acme.example", name.to_lowercase()),
        "consent": {"state": ConsentState::Granted, "source": "form"},
    });
    contact.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    let contact: ContactPatch = serde_json::from_value(contact).unwrap();
    world.app.run(&world.system(), ContactCreate { contact, default_region: None }).await.unwrap().record
}

async fn enroll(world: &World, sequence: SequenceId, contact: &Contact) -> Enrollment {
    let command = EnrollmentCreate { sequence, contact: Some(contact.id), lead: None, vars: Map::new() };
    let run = world.app.run(&world.system(), command).await.unwrap().0;
    world.run_due_jobs().await;
    run
}

async fn emails(world: &World, run: &Enrollment) -> Vec<Email> {
    let filter = EmailFilter { enrollment: Some(run.id), ..EmailFilter::default() };
    world.app.store.email_page(&filter, &Page::first(50)).await.unwrap().items
}

async fn story(world: &World, run: &Enrollment) -> Vec<StoryEntry> {
    world.app.enrollment_story(run.id, &Page::first(100)).await.unwrap().items
}

fn sentences(story: &[StoryEntry]) -> Vec<&str> {
    story.iter().map(|entry| entry.beat.sentence.as_str()).collect()
}

async fn track(world: &World, email: &Email, what: Tracked, agent: &str) {
    let user_agent = Some(agent.to_owned());
    let command = EmailTrack { email: email.id, contact: email.contact, what, user_agent, only_looked: false };
    world.app.run(&world.system(), command).await.unwrap();
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn opens(world: &World, email: &Email, agent: &str) {
    track(world, email, Tracked::Open, agent).await;
}

async fn clicks(world: &World, email: &Email, agent: &str) {
    track(world, email, Tracked::Click { url: "https://acme.example/offer".to_owned() }, agent).await;
}

async fn replies(world: &World, from: &str, to: &Email) {
    let text = format!(
        "From: {from}\nTo: answers@example.com\nSubject: Re: {}\nMessage-ID: <r-{}@acme.example>\nIn-Reply-To: <{}>\n\nYes.\n",
        to.subject, to.id, to.message_id
    );
    world.inbox.put(&text);
    assert_eq!(world.app.poll_inbox(&world.system()).await.unwrap(), Polled::Took(1));
    world.run_due_jobs().await;
}

async fn did(world: &World, contact: ContactId, kind: InteractionKind) {
    let (name, properties) = ("It".to_owned(), Map::new());
    let draft = Draft { kind, name, occurred_at: None, seconds: None, url: None, properties };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
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

fn stamp(at: DateTime<Utc>) -> Stamp {
    Stamp {
        actor: None,
        role: "SYSTEM".to_owned(),
        side: None,
        at,
        recorded_at: at,
        request_id: "test-request".to_owned(),
        idempotency_key: None,
        trace: None,
    }
}

/// Writes what another part of the program would have put on the record.
async fn record(world: &World, fact: Fact) {
    let tx = world.app.store.begin(None).await.unwrap();
    tx.commit(&stamp(world.now()), None, Decision::new((), fact)).await.unwrap();
}

async fn rows(world: &World, sequence: SequenceId, group: ReportGroup) -> BTreeMap<String, ReportCounts> {
    let ask = ReportAsk { sequence, version: None, from: None, to: None, group };
    let lines = world.app.sequence_report(&ask).await.unwrap();
    lines.into_iter().map(|line| (line.label, line.counts)).collect()
}

fn outcomes(of: &[(Outcome, i64)]) -> BTreeMap<Outcome, i64> {
    of.iter().copied().collect()
}

/// The rows of `enrollment_step`, as texts.
async fn steps_on_file(world: &World) -> Vec<String> {
    let connection = Database::connect(&world.url).await.unwrap();
    let backend = connection.get_database_backend();
    let run = if backend == DbBackend::Postgres { "replace(CAST(enrollment_id AS text), '-', '')" } else { "lower(hex(enrollment_id))" };
    let sql = format!("SELECT seq, place, {run} AS run, step, kind, visit, variant, at FROM enrollment_step ORDER BY seq, place");
    let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    let text = |row: &sea_orm::QueryResult| {
        let (seq, place): (i64, i32) = (row.try_get("", "seq").unwrap(), row.try_get("", "place").unwrap());
        let (run, step): (String, String) = (row.try_get("", "run").unwrap(), row.try_get("", "step").unwrap());
        let (kind, visit): (String, i32) = (row.try_get("", "kind").unwrap(), row.try_get("", "visit").unwrap());
        let (variant, at): (Option<String>, i64) = (row.try_get("", "variant").unwrap(), row.try_get("", "at").unwrap());
        format!("{seq}.{place} {run} {step} {kind} {visit} {variant:?} {at}")
    };
    let texts = rows.iter().map(text).collect();
    connection.close().await.unwrap();
    texts
}

/// The same, as the ledger tells it.
async fn steps_on_record(world: &World) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in world.ledger().await.into_iter().map(|link| link.entry) {
        let (seq, run, at) = (entry.seq, entry.subject_id.simple(), entry.at);
        match entry.kind.as_str() {
            "enrollment.started" => texts.push(format!("{seq}.0 {run}  start 0 None {at}")),
            "enrollment.advanced" | "enrollment.ended" => {
                for (place, one) in (1..).zip(steps_taken(&entry.detail)) {
                    texts.push(format!("{seq}.{place} {run} {} {} {} {:?} {at}", one.step, one.kind, one.visit, one.variant));
                }
            }
            _ => {}
        }
    }
    texts
}

on_both_databases! {
    async fn a_story_tells_every_decision_with_what_decided_it(world: World) {
        let sequence = publish(&world, WELCOME).await;
        let sam = person(&world, "Sam", json!({"phone": "+49 30 901820"})).await;
        let run = enroll(&world, sequence, &sam).await;
        let hello = emails(&world, &run).await.remove(0);
        world.pass(TimeDelta::minutes(5)).await;
        opens(&world, &hello, BROWSER).await;
        clicks(&world, &hello, BROWSER).await;
        clicks(&world, &hello, "curl/8.5.0").await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let until = Some(world.now() + TimeDelta::hours(2));
        world.app.run(&ops, EnrollmentPause { enrollment: run.id, reason: PauseReason::Manual, until }).await.unwrap();
        world.app.run(&ops, EnrollmentResume { enrollment: run.id }).await.unwrap();
        world.pass(TimeDelta::days(3)).await;
        let (_, sdr) = world.user("sdr", Role::Sdr, None).await;
        let filter = WorkItemFilter::default();
        let task = world.app.store.work_item_page(&filter, &Page::first(9)).await.unwrap().items.remove(0);
        world.app.run(&sdr, WorkItemClaim { item: task.id }).await.unwrap();
        world.app.run(&sdr, TaskComplete { item: task.id, token: 1, note: Some("Wants a call".to_owned()) }).await.unwrap();
        let again = emails(&world, &run).await.remove(1);
        replies(&world, "sam@acme.example", &again).await;

        let told = story(&world, &run).await;
        let words = sentences(&told);
        let has = |text: &str| words.iter().any(|found| found.contains(text));
        assert_eq!(words[0], "enrolled by Tandem");
        assert_eq!(words[1], "took `hello` (send_email); waits for EMAIL until 2026-03-09 09:00 UTC");
        for text in [
            "the e-mail: planned", "the e-mail: sent", "took `pause` (wait); waits for TIME until 2026-03-05 09:00 UTC",
            "the person: did EMAIL_OPEN", "the person: did EMAIL_CLICK", "pauses: MANUAL; until 2026-03-02 11:05 UTC", "goes on",
            "took `reachable` (branch), since `contact.phone != null` held; took `call` (create_task)",
            "the task: queued", "the task: completed", "took `again` (send_email)", "the person: did EMAIL_REPLY",
        ] {
            assert!(has(text), "{text}: {words:#?}");
        }
        assert!(told.iter().map(|entry| entry.link.entry.seq).is_sorted());
        let planned = told.iter().find(|entry| entry.link.entry.kind == "email.planned").unwrap();
        let (email, fate) = planned.email.as_ref().unwrap();
        assert_eq!((email.id, fate.opened_at, fate.replied_at), (hello.id, Some((hello.planned_at + TimeDelta::minutes(5)).timestamp_millis()), None));
        let answer = told.iter().find(|entry| entry.interaction.as_ref().is_some_and(|one| one.kind == InteractionKind::EmailReply));
        let answered = answer.unwrap().email.as_ref().unwrap();
        assert_eq!((answered.0.id, answered.1.replied_at.is_some()), (again.id, true));
        let clicks = told.iter().filter_map(|entry| entry.interaction.as_ref()).filter(|one| one.kind == InteractionKind::EmailClick);
        assert_eq!(clicks.map(|one| one.automated.is_some()).collect::<Vec<_>>(), [false, true]);
        let done = told.iter().find(|entry| entry.link.entry.kind == "work_item.completed").unwrap();
        assert_eq!(done.task.as_ref().unwrap().outcome.as_ref().unwrap().note.as_deref(), Some("Wants a call"));
        assert!(told.iter().all(|entry| entry.beat.kind != BeatKind::Other || entry.link.entry.kind == "enrollment.email_settled"));

        // In pages, forward and backward, it is the same story.
        let seqs = |part: &[StoryEntry]| part.iter().map(|entry| entry.link.entry.seq).collect::<Vec<_>>();
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = world.app.enrollment_story(run.id, &Page { after, ..Page::first(4) }).await.unwrap();
            paged.extend(seqs(&page.items));
            after = paged.last().copied();
            if !page.has_next { break; }
        }
        assert_eq!(paged, seqs(&told));
        let last = world.app.enrollment_story(run.id, &Page { backward: true, ..Page::first(3) }).await.unwrap();
        assert_eq!((seqs(&last.items), last.has_previous), (paged[paged.len() - 3..].to_vec(), true));
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn the_rule_that_ends_a_run_and_what_holds_a_step_back_are_on_the_record(world: World) {
        let sequence = publish(&world, WELCOME).await;
        let kim = person(&world, "Kim", json!({"title": "Customer"})).await;
        let run = enroll(&world, sequence, &kim).await;
        let told = story(&world, &run).await;
        let end = told.last().unwrap();
        assert_eq!(end.beat.sentence, "ended as FINISHED(GOAL), since the goal says `contact.title == 'Customer'`");
        assert_eq!(end.link.entry.detail["grounds"], json!({"goal": "contact.title == 'Customer'"}));
        // Nothing of the person is written down with it.
        assert!(!serde_json::to_string(&end.link.entry.detail).unwrap().contains("Kim"));

        let consent = json!({"consent": {"state": ConsentState::Unknown, "source": "list"}});
        let lee = person(&world, "Lee", consent).await;
        let run = enroll(&world, sequence, &lee).await;
        let held = story(&world, &run).await;
        assert_eq!(held.last().unwrap().beat.sentence, "waits for EVENT (CONSENT_UNKNOWN) until 2026-03-03 09:00 UTC");

        let ada = person(&world, "Ada", json!({})).await;
        let run = enroll(&world, sequence, &ada).await;
        let suppress = SuppressionAdd {
            kind: SuppressionKind::Domain, value: "acme.example".to_owned(), reason: SuppressionReason::Legal, source: "court".to_owned(),
        };
        world.app.run(&world.system(), suppress).await.unwrap();
        world.pass(TimeDelta::days(3)).await;
        let told = story(&world, &run).await;
        assert_eq!(told.last().unwrap().beat.grounds.as_ref().unwrap().rule, "standing");
    }

    async fn the_steps_on_file_are_those_of_the_ledger_also_where_they_are_made_from_it_anew(world: World) {
        let (welcome, short) = (publish(&world, WELCOME).await, publish(&world, SHORT).await);
        for name in ["Sam", "Kim", "Lee"] {
            let contact = person(&world, name, json!({})).await;
            enroll(&world, welcome, &contact).await;
            let run = enroll(&world, short, &contact).await;
            let hello = emails(&world, &run).await.remove(0);
            world.pass(TimeDelta::minutes(3)).await;
            opens(&world, &hello, BROWSER).await;
        }
        world.pass(TimeDelta::days(4)).await;
        let on_record = steps_on_record(&world).await;
        assert!(on_record.len() > 20);
        assert_eq!(steps_on_file(&world).await, on_record);
        let groups = [ReportGroup::Version, ReportGroup::Step, ReportGroup::CohortWeek];
        let mut before = Vec::new();
        for group in groups {
            before.push(rows(&world, short, group).await);
        }

        // As if the database were that of the version before.
        for change in [
            "DROP TABLE enrollment_step", "DROP TABLE experiment",
            "DROP INDEX enrollment_sequence_id_started_at", "DROP INDEX interaction_email_id_open",
            "ALTER TABLE enrollment DROP COLUMN step", "ALTER TABLE enrollment DROP COLUMN started_at",
            "ALTER TABLE enrollment DROP COLUMN ended_at", "ALTER TABLE interaction DROP COLUMN email_id",
            "DELETE FROM seaql_migrations WHERE version = 'm0024_insight'",
        ] {
            world.tamper(change).await.unwrap();
        }
        world.app.store.migrate().await.unwrap();
        assert_eq!(steps_on_file(&world).await, on_record);
        for (group, before) in groups.into_iter().zip(before) {
            assert_eq!(rows(&world, short, group).await, before);
        }
    }

    async fn the_numbers_of_a_version_and_its_steps_are_counted_from_what_is_on_record(world: World) {
        let sequence = publish(&world, WELCOME).await;
        let (sam, kim) = (person(&world, "Sam", json!({})).await, person(&world, "Kim", json!({})).await);
        let (first, second) = (enroll(&world, sequence, &sam).await, enroll(&world, sequence, &kim).await);
        let lee = person(&world, "Lee", json!({})).await;
        // Planned, and suppressed before it goes out.
        let command = EnrollmentCreate { sequence, contact: Some(lee.id), lead: None, vars: Map::new() };
        let third = world.app.run(&world.system(), command).await.unwrap().0;
        let advance = tandem_app::EnrollmentAdvance { enrollment: third.id, visit: 0 };
        world.app.run(&world.system(), advance).await.unwrap();
        let suppress = SuppressionAdd {
            kind: SuppressionKind::Email, value: "lee@acme.example".to_owned(), reason: SuppressionReason::Manual, source: "them".to_owned(),
        };
        world.app.run(&world.system(), suppress).await.unwrap();
        world.run_due_jobs().await;

        let (hello, other) = (emails(&world, &first).await.remove(0), emails(&world, &second).await.remove(0));
        world.pass(TimeDelta::minutes(2)).await;
        opens(&world, &hello, BROWSER).await;
        opens(&world, &other, BROWSER).await;
        clicks(&world, &hello, BROWSER).await;
        // A machine, and a repetition.
        clicks(&world, &other, "curl/8.5.0").await;
        clicks(&world, &hello, BROWSER).await;
        world.pass(TimeDelta::minutes(2)).await;
        opens(&world, &hello, BROWSER).await;
        replies(&world, "sam@acme.example", &hello).await;

        let version = rows(&world, sequence, ReportGroup::Version).await;
        let counts = &version["welcome@1"];
        assert_eq!((counts.entered, counts.waiting, counts.done), (3, 1, 1));
        assert_eq!((counts.sent, counts.delivered, counts.opened, counts.clicked), (2, 2, 2, 1));
        let over = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
        assert_eq!(counts.ended, BTreeMap::from([(over("FINISHED", "REPLIED"), 1), (over("OPTED_OUT", ""), 1)]));
        assert_eq!(counts.skipped, BTreeMap::from([("SUPPRESSED".to_owned(), 1)]));
        assert_eq!(counts.outcomes, outcomes(&[(Outcome::Replied, 1)]));

        let steps = rows(&world, sequence, ReportGroup::Step).await;
        let hello = &steps["hello"];
        assert_eq!((hello.entered, hello.waiting, hello.done), (3, 0, 2));
        assert_eq!((hello.sent, hello.opened, hello.clicked), (2, 2, 1));
        assert_eq!((&hello.skipped, &hello.outcomes), (&counts.skipped, &counts.outcomes));
        // Both who got it wait for the step after the pause, or did.
        assert_eq!((steps["pause"].entered, steps["pause"].done), (3, 2), "the third stood before it when it ended");
        assert_eq!((steps["reachable"].entered, steps["reachable"].waiting, steps["reachable"].done), (2, 1, 0));
        assert_eq!(steps["reachable"].ended, BTreeMap::from([(over("FINISHED", "REPLIED"), 1)]));
        let ask = ReportAsk { sequence, version: None, from: None, to: None, group: ReportGroup::Step };
        let order = world.app.sequence_report(&ask).await.unwrap();
        assert_eq!(order.iter().map(|line| line.label.as_str()).collect::<Vec<_>>(), ["hello", "pause", "reachable"]);

        // A second version, a week later.
        publish(&world, &WELCOME.replace("3d", "2d")).await;
        world.pass(TimeDelta::days(7)).await;
        let ada = person(&world, "Ada", json!({})).await;
        enroll(&world, sequence, &ada).await;
        let versions = rows(&world, sequence, ReportGroup::Version).await;
        assert_eq!((versions["welcome@1"].entered, versions["welcome@2"].entered), (3, 1));
        let weeks = rows(&world, sequence, ReportGroup::CohortWeek).await;
        assert_eq!(weeks.iter().map(|(week, counts)| (week.as_str(), counts.entered)).collect::<Vec<_>>(), [("2026-W10", 3), ("2026-W11", 1)]);
        let newest = world.app.store.sequence_version_numbered(sequence, 2).await.unwrap().unwrap();
        let later = ReportAsk { version: Some(newest.id), group: ReportGroup::CohortWeek, ..ask.clone() };
        assert_eq!(world.app.sequence_report(&later).await.unwrap().len(), 1);
        let from = Some(world.now() - TimeDelta::days(1));
        let recent = world.app.sequence_report(&ReportAsk { from, group: ReportGroup::Version, ..ask.clone() }).await.unwrap();
        assert_eq!(recent.iter().map(|line| line.label.as_str()).collect::<Vec<_>>(), ["welcome@2"]);
        let before = world.app.sequence_report(&ReportAsk { to: from, group: ReportGroup::Version, ..ask }).await.unwrap();
        assert_eq!(before.iter().map(|line| line.counts.entered).collect::<Vec<_>>(), [3]);
    }

    async fn what_happens_is_credited_to_the_run_that_touched_the_person_last_within_its_days(world: World) {
        let (welcome, short) = (publish(&world, WELCOME).await, publish(&world, SHORT).await);
        let sam = person(&world, "Sam", json!({})).await;
        let run = enroll(&world, welcome, &sam).await;
        world.pass(TimeDelta::hours(1)).await;
        did(&world, sam.id, InteractionKind::Meeting).await;
        world.pass(TimeDelta::hours(1)).await;
        enroll(&world, short, &sam).await;
        world.pass(TimeDelta::hours(1)).await;
        let lead = lead_of(&world, sam.id).await;
        world.app.run(&world.system(), LeadQualify { lead: lead.id, grade: None, priority: None }).await.unwrap();
        // The first had touched the person when the meeting was booked, the second when the lead was qualified.
        let credited = |rows: BTreeMap<String, ReportCounts>, row: &str| rows[row].outcomes.clone();
        assert_eq!(credited(rows(&world, welcome, ReportGroup::Version).await, "welcome@1"), outcomes(&[(Outcome::Met, 1)]));
        assert_eq!(credited(rows(&world, welcome, ReportGroup::Step).await, "hello"), outcomes(&[(Outcome::Met, 1)]));
        assert_eq!(credited(rows(&world, short, ReportGroup::Version).await, "short@1"), outcomes(&[(Outcome::Qualified, 1)]));
        assert_eq!(credited(rows(&world, short, ReportGroup::Step).await, "note"), outcomes(&[(Outcome::Qualified, 1)]));

        // Both end; within thirty days after it, the last touch counts still.
        world.app.run(&world.system(), EnrollmentExit { enrollment: run.id, reason: ExitReason::Manual }).await.unwrap();
        world.pass(TimeDelta::days(20)).await;
        record(&world, Fact::ledger("lead.dispatched", lead.id).lead(lead.id)).await;
        world.pass(TimeDelta::days(20)).await;
        record(&world, Fact::ledger("lead.won", lead.id).lead(lead.id)).await;
        did(&world, sam.id, InteractionKind::EmailReply).await;
        let expected = outcomes(&[(Outcome::Qualified, 1), (Outcome::Dispatched, 1)]);
        assert_eq!(credited(rows(&world, short, ReportGroup::Version).await, "short@1"), expected);

        // What concerns one lead is not the run's of another.
        let kim = person(&world, "Kim", json!({})).await;
        let of_leads = "{key: of_leads, name: Of leads, subject: lead, steps: [{id: note, kind: send_email, template: {subject: A, text: B}}, \
                        {id: pause, kind: wait, duration: 1d}, {id: done, kind: end}]}";
        let sequence = publish(&world, of_leads).await;
        let (one, other) = (lead_of(&world, kim.id).await, lead_of(&world, kim.id).await);
        let command = EnrollmentCreate { sequence, contact: None, lead: Some(one.id), vars: Map::new() };
        world.app.run(&world.system(), command).await.unwrap();
        world.run_due_jobs().await;
        record(&world, Fact::ledger("lead.won", other.id).lead(other.id)).await;
        assert!(credited(rows(&world, sequence, ReportGroup::Version).await, "of_leads@1").is_empty());
        record(&world, Fact::ledger("lead.won", one.id).lead(one.id)).await;
        record(&world, Fact::ledger("lead.won", one.id).lead(one.id)).await;
        assert_eq!(credited(rows(&world, sequence, ReportGroup::Version).await, "of_leads@1"), outcomes(&[(Outcome::Won, 1)]));

        // Somebody says so by hand.
        let lee = person(&world, "Lee", json!({})).await;
        let run = enroll(&world, short, &lee).await;
        world.app.run(&world.system(), EnrollmentFinish { enrollment: run.id, reason: FinishReason::MeetingBooked }).await.unwrap();
        assert_eq!(rows(&world, short, ReportGroup::Version).await["short@1"].outcomes.get(&Outcome::Met), Some(&1));
    }

    async fn an_experiment_counts_each_subject_once_in_its_days_and_is_decided_by_a_person(world: World) {
        let sequence = publish(&world, SHORT).await;
        let (user, ops) = world.user("ops", Role::SalesOps, None).await;
        // The step of these runs splits, as the ledger tells it.
        let variants: Vec<Variant> = ["plain", "question"].map(|key| Variant { key: key.to_owned(), weight: 1 }).to_vec();
        let design = Design {
            hypothesis: "A question is answered more often".to_owned(), metric: Metric::Replied, baseline: 0.2,
            smallest_effect: 0.3, alpha: 0.05, power: 0.8, window_days: 7,
        };
        let proposal = Proposal {
            id: world.app.env.id(world.now()), sequence, step: "which".to_owned(), variants: Some(variants.clone()), control: None,
            design: design.clone(), by: user.id,
        };
        let keep = async |decision: Decision<Experiment>| {
            let tx = world.app.store.begin(None).await.unwrap();
            if decision.next.state != ExperimentState::Registered { tx.get::<Experiment>(decision.next.id).await.unwrap(); }
            tx.commit(&stamp(world.now()), None, decision).await.unwrap()
        };
        let registered = keep(experiment::register(proposal, &[], world.now()).unwrap()).await;
        let refused = world.app.run(&ops, ExperimentStart { experiment: registered.id }).await.unwrap_err();
        assert_eq!(refused.code(), "EXPERIMENT_SPLIT_CHANGED", "the newest version has no such split");
        let changed = Design { window_days: 5, ..design.clone() };
        let registered = world.app.run(&ops, ExperimentChange { experiment: registered.id, design: changed }).await.unwrap();

        let choose = async |run: &Enrollment, variant: &str| {
            let taken = json!([{"step": "which", "kind": "split", "visit": 9, "variant": variant}]);
            record(&world, Fact::ledger("enrollment.advanced", run.id).with("taken", taken)).await;
        };
        // Whoever was split before the start does not count.
        let early = enroll(&world, sequence, &person(&world, "Early", json!({})).await).await;
        choose(&early, "plain").await;
        world.pass(TimeDelta::hours(1)).await;
        let running = keep(experiment::start(registered, Some(&variants), world.now()).unwrap()).await;
        let late = world.app.run(&ops, ExperimentChange { experiment: running.id, design: design.clone() }).await.unwrap_err();
        assert_eq!(late.code(), "EXPERIMENT_STARTED");

        let mut runs = Vec::new();
        for n in 0..40 {
            let contact = person(&world, &format!("P{n}"), json!({})).await;
            let run = enroll(&world, sequence, &contact).await;
            let variant = if n % 2 == 0 { "plain" } else { "question" };
            choose(&run, variant).await;
            // The same again, as where a loop comes by.
            choose(&run, variant).await;
            runs.push((contact, run));
        }
        let tallies = async |at: DateTime<Utc>| {
            let tallies = world.app.store.experiment_tallies(&running, at).await.unwrap();
            tallies.into_iter().map(|one| (one.variant, one.assigned, one.counted, one.converted)).collect::<Vec<_>>()
        };
        assert_eq!(tallies(world.now()).await, [("plain".to_owned(), 20, 0, 0), ("question".to_owned(), 20, 0, 0)]);
        world.pass(TimeDelta::days(2)).await;
        for (contact, _) in runs.iter().skip(1).step_by(2).take(18) {
            did(&world, contact.id, InteractionKind::EmailReply).await;
        }
        for (contact, _) in runs.iter().step_by(2).take(3) {
            did(&world, contact.id, InteractionKind::EmailReply).await;
            // And again: a subject converts once.
            did(&world, contact.id, InteractionKind::EmailReply).await;
        }
        world.pass(TimeDelta::days(4)).await;
        // After its days, an answer comes too late.
        did(&world, runs[38].0.id, InteractionKind::EmailReply).await;
        assert_eq!(tallies(world.now()).await, [("plain".to_owned(), 20, 20, 3), ("question".to_owned(), 20, 20, 18)]);
        let assessment = world.app.experiment_assessment(&running).await.unwrap();
        assert_eq!((assessment.leader.as_deref(), assessment.ratio_mismatch), (Some("question"), false));

        let decide = |winner: &str| ExperimentDecide {
            experiment: running.id, winner: Some(winner.to_owned()), why: "Six times the answers".to_owned(),
        };
        assert_eq!(world.app.run(&world.system(), decide("question")).await.unwrap_err().code(), "FORBIDDEN", "a person decides");
        let (_, marketer) = world.user("mia", Role::Marketing, None).await;
        assert_eq!(world.app.run(&marketer, decide("question")).await.unwrap_err().code(), "FORBIDDEN");
        assert_eq!(world.app.run(&ops, decide("none")).await.unwrap_err().code(), "EXPERIMENT_VARIANT_UNKNOWN");
        let decided = world.app.run(&ops, decide("question")).await.unwrap();
        assert_eq!((decided.winner.as_deref(), decided.decided_by), (Some("question"), Some(user.id)));
        assert_eq!(promoted([&decided], "which"), Some("question"));
        assert_eq!(world.app.run(&ops, decide("plain")).await.unwrap_err().code(), "EXPERIMENT_NOT_ALLOWED");
        let ledger = world.ledger().await;
        let entry = &ledger.iter().find(|link| link.entry.kind == "experiment.decided").unwrap().entry;
        assert_eq!((entry.actor_id, &entry.detail["why"]), (Some(user.id.into()), &json!("Six times the answers")));
        assert_eq!(entry.detail["result"]["variants"][1]["tally"]["converted"], 18);
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
        // Whoever is split from now on is given the winner, and belongs to no experiment.
        let after = enroll(&world, sequence, &person(&world, "After", json!({})).await).await;
        choose(&after, "question").await;
        let told = world.app.store.experiment_tallies(&decided, world.now()).await.unwrap();
        assert_eq!(told.iter().map(|one| one.assigned).sum::<u64>(), 40);
        let variants = rows(&world, sequence, ReportGroup::Variant).await;
        assert_eq!((variants["which: plain"].entered, variants["which: question"].entered), (21, 21));
    }

    async fn each_metric_is_counted_from_its_own_facts(world: World) {
        let sequence = publish(&world, SHORT).await;
        let sam = person(&world, "Sam", json!({})).await;
        let started = world.now();
        world.pass(TimeDelta::minutes(1)).await;
        let run = enroll(&world, sequence, &sam).await;
        let taken = json!([{"step": "which", "kind": "split", "visit": 9, "variant": "a"}]);
        record(&world, Fact::ledger("enrollment.advanced", run.id).with("taken", taken)).await;
        let experiment = |metric: Metric| Experiment {
            id: world.app.env.id(started), sequence, step: "which".to_owned(),
            variants: ["a", "b"].map(|key| Variant { key: key.to_owned(), weight: 1 }).to_vec(),
            design: Design { hypothesis: "x".to_owned(), metric, baseline: 0.1, smallest_effect: 0.1, alpha: 0.05, power: 0.8, window_days: 1 },
            state: ExperimentState::Running, winner: None, why: None, registered_by: uuid::Uuid::nil().into(), registered_at: started,
            started_at: Some(started), decided_by: None, decided_at: None,
        };
        let converted = async || {
            let mut found = Vec::new();
            for metric in Metric::ALL {
                let later = world.now() + TimeDelta::days(2);
                let [tally] = world.app.store.experiment_tallies(&experiment(*metric), later).await.unwrap().try_into().unwrap();
                if tally.converted == 1 { found.push(*metric); }
            }
            found
        };
        assert_eq!(converted().await, []);
        let note = emails(&world, &run).await.remove(0);
        world.pass(TimeDelta::minutes(2)).await;
        clicks(&world, &note, "curl/8.5.0").await;
        assert_eq!(converted().await, []);
        clicks(&world, &note, BROWSER).await;
        assert_eq!(converted().await, [Metric::Clicked]);
        did(&world, sam.id, InteractionKind::Meeting).await;
        assert_eq!(converted().await, [Metric::Meeting, Metric::Clicked]);
        let lead = lead_of(&world, sam.id).await;
        world.app.run(&world.system(), LeadQualify { lead: lead.id, grade: None, priority: None }).await.unwrap();
        record(&world, Fact::ledger("lead.won", lead.id).lead(lead.id)).await;
        assert_eq!(converted().await, [Metric::Meeting, Metric::Clicked, Metric::Qualified, Metric::Won]);
        // A colleague answers instead.
        replies(&world, "boss@acme.example", &note).await;
        assert_eq!(converted().await, Metric::ALL);
    }

    async fn an_experiment_is_made_on_a_step_that_splits_and_on_no_other(world: World) {
        let sequence = publish(&world, SHORT).await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let design = Design {
            hypothesis: "It helps".to_owned(), metric: Metric::Replied, baseline: 0.1, smallest_effect: 0.05, alpha: 0.05, power: 0.8,
            window_days: 14,
        };
        let register = |sequence: SequenceId, step: &str| ExperimentRegister {
            sequence, step: step.to_owned(), control: Some("b".to_owned()), design: design.clone(),
        };
        for step in ["note", "nowhere"] {
            let refused = world.app.run(&ops, register(sequence, step)).await.unwrap_err();
            assert_eq!(refused.code(), "EXPERIMENT_NO_SPLIT");
        }
        if !NAMES.contains(&"split") {
            return;
        }
        let source = "{key: tried, name: Tried, subject: contact, steps: [\
            {id: which, kind: split, variants: [{key: a, weight: 1, then: one}, {key: b, weight: 1, then: two}]}, \
            {id: one, kind: wait, duration: 1d, next: done}, {id: two, kind: wait, duration: 1d}, {id: done, kind: end}]}";
        let sequence = publish(&world, source).await;
        let made = world.app.run(&ops, register(sequence, "which")).await.unwrap();
        assert_eq!(made.variants.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        let started = world.app.run(&ops, ExperimentStart { experiment: made.id }).await.unwrap();
        for n in 0..12 {
            enroll(&world, sequence, &person(&world, &format!("P{n}"), json!({})).await).await;
        }
        let tallies = world.app.store.experiment_tallies(&started, world.now()).await.unwrap();
        assert_eq!(tallies.iter().map(|one| one.assigned).sum::<u64>(), 12, "{tallies:?}");
        if world.app.run(&ops, register(sequence, "which")).await.is_ok() {
            panic!("a second experiment on the same step was registered");
        }
    }
}
