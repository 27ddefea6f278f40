//! How fast jobs run, beside the floor: a bare claim-and-update loop on the same database in the same run.
//!
//! `just bench`, or `cargo bench -p tandem-testkit --bench jobs -- [--jobs N] [--waiting N] [--only NAME]`. PostgreSQL is
//! started by the run, with default durability (fsync on); SQLite syncs every commit. Figures are of the machine they were
//! taken on: read the ratios.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tandem_app::{App, AppError, EnrollmentCreate, SequencePublish};
use tandem_jobs::{Disposition, Handler, Handlers, Runner, Settings, run_workers};
use tandem_store::jobs::{Claimed, NewJob};
use tandem_testkit::{Cluster, World};
use tokio::sync::{Notify, watch};

const BATCH: usize = 256;

struct Options {
    jobs: usize,
    waiting: usize,
    only: Option<String>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { jobs: 50_000, waiting: 10_000, only: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--jobs" => options.jobs = arguments.next().unwrap().parse().unwrap(),
                "--waiting" => options.waiting = arguments.next().unwrap().parse().unwrap(),
                "--only" => options.only = arguments.next(),
                _ => {}
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }
}

/// Does nothing, and counts; remembers how late each job was started by this machine's clock, which is the database's.
#[derive(Clone)]
struct Nothing {
    left: Arc<AtomicUsize>,
    done: Arc<Notify>,
    lateness: Arc<Mutex<Vec<i64>>>,
    start: Instant,
    origin: DateTime<Utc>,
}

impl Nothing {
    fn new(jobs: usize, origin: DateTime<Utc>) -> Self {
        let left = Arc::new(AtomicUsize::new(jobs));
        Self { left, done: Arc::default(), lateness: Arc::default(), start: Instant::now(), origin }
    }

    fn note(&self, job: &Claimed) {
        let now = self.origin + TimeDelta::from_std(self.start.elapsed()).unwrap();
        self.lateness.lock().unwrap().push((now - job.due_at).num_microseconds().unwrap_or(i64::MAX));
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.done.notify_one();
        }
    }

    fn percentile(&self, part: f64) -> f64 {
        let mut all = self.lateness.lock().unwrap().clone();
        all.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list"
        )]
        let place = ((all.len() as f64 - 1.0) * part) as usize;
        #[expect(clippy::cast_precision_loss, reason = "microseconds")]
        let value = all.get(place).copied().unwrap_or(0) as f64 / 1_000.0;
        value
    }
}

impl Handler for Nothing {
    fn run<'a>(&'a self, _: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        async move {
            self.note(job);
            Ok(Disposition::Obsolete)
        }
        .boxed()
    }
}

/// Tandem's own handlers, counted.
struct Counted {
    left: Arc<AtomicUsize>,
    done: Arc<Notify>,
}

impl Counted {
    fn count(&self, jobs: usize) {
        if self.left.fetch_sub(jobs, Ordering::SeqCst) <= jobs {
            self.done.notify_one();
        }
    }
}

impl Handler for Counted {
    fn run<'a>(&'a self, app: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        async move {
            let done = Handlers.run(app, job).await;
            self.count(1);
            done
        }
        .boxed()
    }

    fn together(&self, kind: &str) -> bool {
        Handlers.together(kind)
    }

    fn run_together<'a>(
        &'a self,
        app: &'a App,
        jobs: &'a [Claimed],
    ) -> BoxFuture<'a, Result<Vec<Disposition>, AppError>> {
        async move {
            let done = Handlers.run_together(app, jobs).await?;
            self.count(jobs.len());
            Ok(done)
        }
        .boxed()
    }
}

fn settings() -> Settings {
    Settings { concurrency: 2 * BATCH, ..Settings::default() }
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(jobs: usize, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}

/// Rows of a table that has nothing but what the loop needs.
async fn floor(connection: &DatabaseConnection, postgres: bool, jobs: usize, waiting: usize) -> f64 {
    for sql in [
        "DROP TABLE IF EXISTS bare",
        "CREATE TABLE bare (id BIGINT PRIMARY KEY, run_at BIGINT NOT NULL, payload TEXT NOT NULL)",
        "CREATE INDEX bare_run_at ON bare (run_at, id)",
    ] {
        connection.execute_unprepared(sql).await.unwrap();
    }
    let series = if postgres {
        |from: usize, to: usize, at: i64| {
            format!("INSERT INTO bare SELECT n, {at}, '{{}}' FROM generate_series({from}, {to}) AS n")
        }
    } else {
        |from: usize, to: usize, at: i64| {
            format!(
                "WITH RECURSIVE s(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s WHERE n < {to}) \
                 INSERT INTO bare SELECT n, {at}, '{{}}' FROM s"
            )
        }
    };
    connection.execute_unprepared(&series(1, jobs, 0)).await.unwrap();
    connection.execute_unprepared(&series(jobs + 1, jobs + waiting, 9_000_000_000_000)).await.unwrap();
    analyze(connection, postgres, "bare").await;
    let claim = if postgres {
        format!(
            "UPDATE bare SET run_at = 8000000000000 WHERE id = ANY(ARRAY(SELECT id FROM bare WHERE run_at <= 1 \
             ORDER BY run_at, id LIMIT {BATCH} FOR UPDATE SKIP LOCKED)) RETURNING id, payload"
        )
    } else {
        format!(
            "UPDATE bare SET run_at = 8000000000000 WHERE id IN (SELECT id FROM bare WHERE run_at <= 1 ORDER BY run_at, id \
             LIMIT {BATCH}) RETURNING id, payload"
        )
    };
    let start = Instant::now();
    let mut claimed = 0;
    while claimed < jobs {
        let statement = sea_orm::Statement::from_string(connection.get_database_backend(), claim.as_str());
        claimed += connection.query_all_raw(statement).await.unwrap().len();
    }
    rate(jobs, start.elapsed())
}

async fn analyze(connection: &DatabaseConnection, postgres: bool, table: &str) {
    let sql = if postgres { format!("VACUUM ANALYZE {table}") } else { format!("ANALYZE {table}") };
    connection.execute_unprepared(&sql).await.unwrap();
}

fn noops(jobs: usize, due: DateTime<Utc>) -> Vec<NewJob> {
    (0..jobs).map(|_| NewJob::new("default", "nothing", "{}", due)).collect()
}

async fn fill(world: &World, jobs: usize, due: DateTime<Utc>) {
    let jobs = noops(jobs, due);
    for jobs in jobs.chunks(10_000) {
        world.app.store.add_jobs(jobs).await.unwrap();
    }
}

/// Runs nodes until the handler has seen everything; gives how long that took.
async fn run(
    world: &World,
    nodes: usize,
    handler: impl Fn() -> Box<dyn FnOnce(Runner) -> Runner>,
    done: &Notify,
) -> Duration {
    let (stop, stopped) = watch::channel(false);
    let start = Instant::now();
    let team: Vec<_> = (0..nodes)
        .map(|node| {
            let runner = Runner::new(world.app.clone(), format!("node {node}"), settings());
            tokio::spawn(run_workers(handler()(runner), stopped.clone(), Duration::from_secs(30)))
        })
        .collect();
    done.notified().await;
    let took = start.elapsed();
    stop.send(true).unwrap();
    for node in team {
        node.await.unwrap();
    }
    took
}

async fn nothing(world: &World, jobs: usize, nodes: usize) -> (f64, Nothing) {
    let now = world.app.store.database_time().await.unwrap();
    fill(world, jobs, now).await;
    let origin = world.app.store.database_time().await.unwrap();
    let handler = Nothing::new(jobs, origin);
    let took = run(
        world,
        nodes,
        || {
            let handler = handler.clone();
            Box::new(move |runner: Runner| runner.with_handler(handler))
        },
        &handler.done,
    )
    .await;
    (rate(jobs, took), handler)
}

/// Jobs that fall due one by one on an idle node.
async fn idle(world: &World) -> Nothing {
    let origin = world.app.store.database_time().await.unwrap();
    let jobs = 60;
    let due = |n: i64| origin + TimeDelta::milliseconds(500 + 73 * n);
    let new: Vec<NewJob> = (0..jobs).map(|n| NewJob::new("default", "nothing", "{}", due(n))).collect();
    let handler = Nothing::new(new.len(), origin);
    world.app.store.add_jobs(&new).await.unwrap();
    run(
        world,
        1,
        || {
            let handler = handler.clone();
            Box::new(move |runner: Runner| runner.with_handler(handler))
        },
        &handler.done,
    )
    .await;
    handler
}

const STEPS: &str = "
key: steps
name: Steps
subject: contact
steps:
  - {id: one, kind: wait, duration: 1s}
  - {id: two, kind: wait, duration: 1s}
  - {id: three, kind: wait, duration: 1s}
  - {id: done, kind: end}
";

/// Real steps of a sequence: each is a run of `advance_enrollment`, with its ledger entries where due and its next job.
async fn steps(world: &World, people: usize) -> f64 {
    let publish = SequencePublish { source: STEPS.to_owned() };
    let sequence = world.app.run(&world.system(), publish).await.unwrap().0;
    let mut contacts = Vec::with_capacity(people);
    for n in 0..people {
        contacts.push(world.contact(&format!("person{n}@example.com")).await.id);
    }
    for contacts in contacts.chunks(200) {
        let mut batch = world.app.batch().await.unwrap();
        for contact in contacts {
            let enroll = EnrollmentCreate {
                sequence: sequence.id,
                contact: Some(*contact),
                lead: None,
                vars: serde_json::Map::new(),
            };
            batch.run(&world.system(), &enroll).await.unwrap();
        }
        batch.commit().await.unwrap();
    }
    // The world's clock stands still and is behind the database's: every wait is over as soon as it is planned.
    let jobs = people * 4;
    let (left, done) = (Arc::new(AtomicUsize::new(jobs)), Arc::new(Notify::new()));
    let took = run(
        world,
        1,
        || {
            let counted = Counted { left: left.clone(), done: done.clone() };
            Box::new(move |runner: Runner| runner.with_handler(counted))
        },
        &done,
    )
    .await;
    rate(jobs, took)
}

fn line(name: &str, figure: f64, floor: Option<f64>) {
    match floor {
        Some(floor) => println!("| {name} | {figure:.0} | {:.0} % |", 100.0 * figure / floor),
        None => println!("| {name} | {figure:.0} | |"),
    }
}

async fn database(name: &str, postgres: bool, options: &Options, world: impl AsyncFn() -> World) {
    let (jobs, waiting) = (options.jobs, options.waiting);
    let far = |now: DateTime<Utc>| now + TimeDelta::days(365);
    let mut floor_rate = None;
    if options.wants("floor") || options.wants("no-op") {
        let bare = world().await;
        let connection = Database::connect(&bare.url).await.unwrap();
        let figure = floor(&connection, postgres, jobs, waiting).await;
        line(&format!("{name}: floor, bare rows, batch {BATCH}, {waiting} waiting"), figure, None);
        floor_rate = Some(figure);
    }
    if options.wants("no-op") {
        for nodes in [1, 2] {
            let one = world().await;
            fill(&one, waiting, far(one.app.store.database_time().await.unwrap())).await;
            let connection = Database::connect(&one.url).await.unwrap();
            analyze(&connection, postgres, "job").await;
            let (figure, _) = nothing(&one, jobs, nodes).await;
            line(&format!("{name}: no-op jobs, {nodes} node(s), {waiting} waiting"), figure, floor_rate);
        }
    }
    if options.wants("burst") {
        let one = world().await;
        let burst = 100_000;
        let (_, handler) = nothing(&one, burst, 1).await;
        let (half, most) = (handler.percentile(0.5), handler.percentile(0.99));
        println!("| {name}: {burst} due at once, lateness p50 / p99 in ms | {half:.0} / {most:.0} | |");
    }
    if options.wants("idle") {
        let one = world().await;
        let handler = idle(&one).await;
        let (half, most) = (handler.percentile(0.5), handler.percentile(0.99));
        println!("| {name}: idle, due to started p50 / p99 in ms | {half:.1} / {most:.1} | |");
    }
    if options.wants("steps") {
        let one = world().await;
        let figure = steps(&one, 2_000).await;
        line(&format!("{name}: sequence steps, 1 node"), figure, None);
    }
}

#[tokio::main]
async fn main() {
    let options = Options::read();
    println!("| what | a second | of the floor |\n|---|---|---|");
    database("SQLite", false, &options, async || World::sqlite_durable().await).await;
    let Some(cluster) = Cluster::start_durable() else { return };
    database("PostgreSQL", true, &options, async || World::on(&cluster).await).await;
}
