//! What every test of these does.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::contacts::ContactCreate;
use tandem_app::insight::{Outcome, ReportAsk, ReportCounts, ReportGroup, StoryEntry};
use tandem_app::received::Polled;
use tandem_app::{EmailTrack, EnrollmentCreate, InteractionRecord, LeadReceive, SequencePublish, Tracked};
use tandem_domain::contact::{ConsentState, Contact, ContactPatch};
use tandem_domain::decision::{Decision, Fact};
use tandem_domain::email::Email;
use tandem_domain::id::{ContactId, SequenceId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::lead::Lead;
use tandem_domain::ledger::Stamp;
use tandem_domain::sequence::enrollment::Enrollment;
use tandem_domain::sequence::story::steps_taken;
use tandem_store::Page;
use tandem_store::email::EmailFilter;
use tandem_testkit::World;

pub const WELCOME: &str = "
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

pub const SHORT: &str = "
key: short
name: Short
subject: contact
steps:
  - {id: note, kind: send_email, template: {subject: Note, text: Hi}}
  - {id: pause, kind: wait, duration: 1d}
  - {id: done, kind: end}
";

pub async fn publish(world: &World, source: &str) -> SequenceId {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0.id
}

pub async fn person(world: &World, name: &str, more: Value) -> Contact {
    let mut contact = json!({
        "name": format!("{name} Sample"),
        "email": format!("{}@acme.example", name.to_lowercase()),
        "consent": {"state": ConsentState::Granted, "source": "form"},
    });
    contact.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    let contact: ContactPatch = serde_json::from_value(contact).unwrap();
    world.app.run(&world.system(), ContactCreate { contact, default_region: None }).await.unwrap().record
}

pub async fn enroll(world: &World, sequence: SequenceId, contact: &Contact) -> Enrollment {
    let command = EnrollmentCreate { sequence, contact: Some(contact.id), lead: None, vars: Map::new() };
    let run = world.app.run(&world.system(), command).await.unwrap().0;
    world.run_due_jobs().await;
    run
}

pub async fn emails(world: &World, run: &Enrollment) -> Vec<Email> {
    let filter = EmailFilter { enrollment: Some(run.id), ..EmailFilter::default() };
    world.app.store.email_page(&filter, &Page::first(50)).await.unwrap().items
}

pub async fn story(world: &World, run: &Enrollment) -> Vec<StoryEntry> {
    world.app.enrollment_story(run.id, &Page::first(100)).await.unwrap().items
}

pub fn sentences(story: &[StoryEntry]) -> Vec<&str> {
    story.iter().map(|entry| entry.beat.sentence.as_str()).collect()
}

pub async fn track(world: &World, email: &Email, what: Tracked, agent: &str) {
    let user_agent = Some(agent.to_owned());
    let command = EmailTrack { email: email.id, contact: email.contact, what, user_agent, only_looked: false };
    world.app.run(&world.system(), command).await.unwrap();
}

pub const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

pub async fn opens(world: &World, email: &Email, agent: &str) {
    track(world, email, Tracked::Open, agent).await;
}

pub async fn clicks(world: &World, email: &Email, agent: &str) {
    track(world, email, Tracked::Click { url: "https://acme.example/offer".to_owned() }, agent).await;
}

pub async fn replies(world: &World, from: &str, to: &Email) {
    let text = format!(
        "From: {from}\nTo: answers@example.com\nSubject: Re: {}\nMessage-ID: <r-{}@acme.example>\nIn-Reply-To: <{}>\n\nYes.\n",
        to.subject, to.id, to.message_id
    );
    world.inbox.put(&text);
    assert_eq!(world.app.poll_inbox(&world.system()).await.unwrap(), Polled::Took(1));
    world.run_due_jobs().await;
}

pub async fn did(world: &World, contact: ContactId, kind: InteractionKind) {
    let (name, properties) = ("It".to_owned(), Map::new());
    let draft = Draft { kind, name, occurred_at: None, seconds: None, url: None, properties };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
}

pub async fn lead_of(world: &World, contact: ContactId) -> Lead {
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

pub fn stamp(at: DateTime<Utc>) -> Stamp {
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
pub async fn record(world: &World, fact: Fact) {
    let tx = world.app.store.begin(None).await.unwrap();
    tx.commit(&stamp(world.now()), None, Decision::new((), fact)).await.unwrap();
}

pub async fn rows(world: &World, sequence: SequenceId, group: ReportGroup) -> BTreeMap<String, ReportCounts> {
    let ask = ReportAsk { sequence, version: None, from: None, to: None, group };
    let lines = world.app.sequence_report(&ask).await.unwrap();
    lines.into_iter().map(|line| (line.label, line.counts)).collect()
}

pub fn outcomes(of: &[(Outcome, i64)]) -> BTreeMap<Outcome, i64> {
    of.iter().copied().collect()
}

/// The rows of `enrollment_step`, as texts.
pub async fn steps_on_file(world: &World) -> Vec<String> {
    let connection = Database::connect(&world.url).await.unwrap();
    let backend = connection.get_database_backend();
    let run = if backend == DbBackend::Postgres {
        "replace(CAST(enrollment_id AS text), '-', '')"
    } else {
        "lower(hex(enrollment_id))"
    };
    let sql = format!(
        "SELECT seq, place, {run} AS run, step, kind, visit, variant, at FROM enrollment_step ORDER BY seq, place"
    );
    let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    let text = |row: &sea_orm::QueryResult| {
        let (seq, place): (i64, i32) = (row.try_get("", "seq").unwrap(), row.try_get("", "place").unwrap());
        let (run, step): (String, String) = (row.try_get("", "run").unwrap(), row.try_get("", "step").unwrap());
        let (kind, visit): (String, i32) = (row.try_get("", "kind").unwrap(), row.try_get("", "visit").unwrap());
        let (variant, at): (Option<String>, i64) =
            (row.try_get("", "variant").unwrap(), row.try_get("", "at").unwrap());
        format!("{seq}.{place} {run} {step} {kind} {visit} {variant:?} {at}")
    };
    let texts = rows.iter().map(text).collect();
    connection.close().await.unwrap();
    texts
}

/// The same, as the ledger tells it.
pub async fn steps_on_record(world: &World) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in world.ledger().await.into_iter().map(|link| link.entry) {
        let (seq, run, at) = (entry.seq, entry.subject_id.simple(), entry.at);
        match entry.kind.as_str() {
            "enrollment.started" => texts.push(format!("{seq}.0 {run}  start 0 None {at}")),
            "enrollment.advanced" | "enrollment.ended" => {
                for (place, one) in (1..).zip(steps_taken(&entry.detail)) {
                    texts.push(format!(
                        "{seq}.{place} {run} {} {} {} {:?} {at}",
                        one.step, one.kind, one.visit, one.variant
                    ));
                }
            }
            _ => {}
        }
    }
    texts
}
