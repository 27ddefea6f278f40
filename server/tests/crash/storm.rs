//! Real workers under load, killed, frozen and cut off from their database, while an in-process mail server counts what
//! reaches it.
//!
//! Everybody in a list gets two e-mails of a sequence. Whatever happens to the workers meanwhile: in the end every
//! enrolment is through, no message arrived twice, every message that is not known to have been sent is recorded as
//! UNKNOWN, no job is left or dead, and the ledger is whole. Nothing here waits for a time: each blow falls when the mail
//! server has seen a number of messages drawn by lot.

use crate::proxy::Proxy;
use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;
use tandem_app::{EnrollmentCreate, SequencePublish};
use tandem_connectors::sink::{Sink, SinkOptions};
use tandem_domain::ledger::sha256_hex;
use tandem_domain::sequence::enrollment::StateKind;
use tandem_store::Page;
use tandem_store::jobs::{ArchiveFilter, JobFilter, Now};
use tandem_testkit::World;
use tokio::process::{Child, Command};

const SEQUENCE: &str = "
key: storm
name: Storm
subject: contact
steps:
  - {id: one, kind: send_email, template: {subject: 'One', text: 'Hello {{ contact.email }}.'}}
  - {id: two, kind: send_email, template: {subject: 'Two', text: 'Hello again.'}}
  - {id: done, kind: end}
";

/// Nothing takes this long between two signs of progress, unless it is stuck: a job that failed six times waits a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// What befalls a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// kill -9, and a new process.
    Kill,
    /// SIGSTOP for longer than a lease lasts, then SIGCONT.
    Freeze,
    /// Its connections to the database are reset, and refused for a while.
    Cut,
    /// Its connections to the database stand still for longer than a lease lasts.
    Stall,
}

/// How a storm goes.
pub(crate) struct Storm {
    pub(crate) workers: usize,
    pub(crate) people: usize,
    pub(crate) blows: Vec<Blow>,
    pub(crate) seed: String,
}

/// A number from `TANDEM_CRASH_<NAME>`, or the usual one.
pub(crate) fn setting(name: &str, usual: usize) -> usize {
    std::env::var(format!("TANDEM_CRASH_{name}")).map_or(usual, |value| value.parse().unwrap())
}

struct Worker {
    child: Child,
    proxy: Option<Proxy>,
    url: String,
}

impl Worker {
    async fn start(world: &World, sink: &Sink) -> Self {
        let proxy = Proxy::before(&world.url).await;
        let url = proxy.as_ref().map_or(world.url.as_str(), Proxy::url).to_owned();
        Self { child: spawn(&url, sink), proxy, url }
    }

    fn check(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "the worker ended by itself");
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }
}

fn spawn(url: &str, sink: &Sink) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TANDEM_") {
            command.env_remove(name);
        }
    }
    command
        .arg("worker")
        .env("TANDEM__DATABASE__URL", url)
        .env("TANDEM__LOG__FILTER", std::env::var("TANDEM_CRASH_LOG").unwrap_or_else(|_| "off".to_owned()));
    command.env("TANDEM__SMTP__HOST", "127.0.0.1").env("TANDEM__SMTP__PORT", sink.address().port().to_string());
    command.env("TANDEM__SMTP__TLS", "none").env("TANDEM__SMTP__FROM", "tandem@example.com");
    let concurrency = setting("CONCURRENCY", 32).to_string();
    command.env("TANDEM__JOBS__LEASE_SECONDS", "2").env("TANDEM__JOBS__CONCURRENCY", concurrency);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

async fn seed(world: &World, people: usize) {
    let publish = SequencePublish { source: SEQUENCE.to_owned() };
    let sequence = world.app.run(&world.system(), publish).await.unwrap().0;
    for part in 0..people.div_ceil(100) {
        let mut contacts = Vec::new();
        for n in part * 100..people.min((part + 1) * 100) {
            contacts.push(world.contact(&format!("person{n}@example.com")).await.id);
        }
        let mut batch = world.app.batch().await.unwrap();
        for contact in contacts {
            let enroll = EnrollmentCreate {
                sequence: sequence.id,
                contact: Some(contact),
                lead: None,
                vars: serde_json::Map::new(),
            };
            batch.run(&world.system(), &enroll).await.unwrap();
        }
        batch.commit().await.unwrap();
    }
}

/// The enrolments that are not through yet, and the deliveries that are not closed: one whose e-mail was settled by a worker
/// that had lost its lease is found done by the next, a moment later.
async fn left(world: &World) -> i64 {
    use StateKind::{Active, Paused, Pending, Waiting};
    let counts = world.app.store.enrollment_counts(None).await.unwrap();
    let live = counts.iter().filter(|(state, _)| matches!(state, Pending | Active | Waiting | Paused));
    let depths = world.app.store.job_depths(Now::Database).await.unwrap();
    let mail = depths.iter().filter(|depth| depth.queue == "mail");
    live.map(|(_, count)| count).sum::<i64>() + mail.map(|depth| depth.due + depth.running + depth.waiting).sum::<i64>()
}

/// Lets the storm pass over a world, and says what is left of it.
pub(crate) async fn pass(world: World, storm: Storm) {
    let Storm { workers, people, blows, seed: lots } = storm;
    println!("TANDEM_CRASH_SEED={lots}: {workers} workers, {people} people, {} blows", blows.len());
    let lot = |n: usize, what: &str, below: usize| {
        let hash = sha256_hex(&[format!("{lots} {n} {what}").as_bytes()]);
        usize::try_from(u64::from_str_radix(&hash[..12], 16).unwrap()).unwrap() % below.max(1)
    };
    seed(&world, people).await;
    let sink = Sink::start(SinkOptions::default()).await.unwrap();
    let mut team = Vec::new();
    for _ in 0..workers {
        team.push(Worker::start(&world, &sink).await);
    }
    let (mut expected, total) = (0, 2 * people);
    for (n, blow) in blows.iter().enumerate() {
        // On average the blows are spread evenly over the messages.
        expected = (expected + lot(n, "messages", 2 * total / (blows.len() + 1)))
            .min(total - 1)
            .max(sink.count().min(total - 1));
        arrived(&sink, expected, &world).await;
        let worker = lot(n, "worker", workers);
        strike(&mut team[worker], *blow, &sink).await;
    }
    loop {
        let before = (left(&world).await, sink.count());
        if before.0 == 0 {
            break;
        }
        let progress = async {
            while (left(&world).await, sink.count()) == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, progress).await.is_err() {
            stuck(&world).await;
        }
    }
    check(&world, &sink, people).await;
}

/// Fails, saying what is where.
async fn stuck(world: &World) {
    let store = &world.app.store;
    let jobs = store.job_page(&JobFilter::default(), Now::Database, &Page::first(20)).await.unwrap().items;
    let emails = store.count_by("email", "state").await.unwrap();
    let runs = store.enrollment_counts(None).await.unwrap();
    assert!(jobs.is_empty(), "nothing moves any more: {runs:?}, {emails:?}, {jobs:#?}");
    assert_eq!(left(world).await, 0, "nothing moves any more, and there is no job: {runs:?}, {emails:?}");
}

/// Waits until the mail server has seen so many messages, or nobody is left to write to.
async fn arrived(sink: &Sink, count: usize, world: &World) {
    let all_through = async {
        while left(world).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let wait = async {
        tokio::select! {
            () = sink.arrived(count) => {}
            () = all_through => {}
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        stuck(world).await;
    }
}

async fn strike(worker: &mut Worker, blow: Blow, sink: &Sink) {
    let longer_than_a_lease = Duration::from_millis(2_500);
    match blow {
        Blow::Kill => {
            worker.check();
            worker.child.kill().await.unwrap();
            worker.child = spawn(&worker.url, sink);
        }
        Blow::Freeze => {
            worker.signal("-STOP").await;
            tokio::time::sleep(longer_than_a_lease).await;
            worker.signal("-CONT").await;
        }
        Blow::Cut => {
            let Some(proxy) = &worker.proxy else { return };
            proxy.cut();
            tokio::time::sleep(longer_than_a_lease).await;
            proxy.open();
        }
        Blow::Stall => {
            let Some(proxy) = &worker.proxy else { return };
            proxy.stall();
            tokio::time::sleep(longer_than_a_lease).await;
            proxy.open();
        }
    }
}

async fn check(world: &World, sink: &Sink, people: usize) {
    let store = &world.app.store;
    let through = store.enrollment_counts(None).await.unwrap();
    assert_eq!(through.get(&StateKind::Finished).copied(), Some(i64::try_from(people).unwrap()), "{through:?}");
    let emails = store.count_by("email", "state").await.unwrap();
    let count = |state: &str| usize::try_from(emails.get(state).copied().unwrap_or(0)).unwrap();
    let (sent, unknown, total) = (count("SENT"), count("UNKNOWN"), 2 * people);
    assert_eq!(sent + unknown, total, "{emails:?}");
    let messages = sink.messages();
    let different: BTreeSet<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
    assert_eq!(messages.len(), different.len(), "no message arrived twice");
    let arrived = messages.len();
    assert!((sent..=total).contains(&arrived), "{arrived} arrived, {sent} sent, {unknown} unknown");
    let archived = store.archived_jobs(&ArchiveFilter::default(), &Page::first(10)).await.unwrap().items;
    assert_eq!(archived, [], "no job was given up");
    let jobs = store.pending_jobs().await.unwrap();
    let live: Vec<_> = jobs.iter().filter(|(kind, _, _)| kind == "deliver_email").collect();
    assert!(live.is_empty(), "{live:?}");
    let verified = store.verify_ledger().await.unwrap();
    assert_eq!(verified.broken, None);
    println!(
        "e-mails: {total}, {sent} sent, {unknown} unknown, {arrived} arrived; ledger: {} entries",
        verified.entries
    );
}
