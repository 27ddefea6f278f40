//! How fast jobs run, beside the floor (a bare claim-and-update loop) and, on PostgreSQL, beside a well-known job runner,
//! on the same database in the same run.
//!
//! `just bench`, or `cargo bench -p tandem-testkit --bench jobs -- [--jobs N] [--waiting N,N] [--people N]
//! [--due N] [--within SECONDS] [--only NAME,NAME] [--on DATABASE]`; the names are floor, no-op, peer, burst, idle, quiet, steps
//! and crowd. Of a crowd, `--within` takes those alone that fall due at once (0) or over a minute (60).
//! PostgreSQL is started by the run, with default durability (fsync on); SQLite syncs every commit. For the peer, run
//! `npm ci` in `benches/jobs/peer` before. Figures are of the machine they were taken on: read the ratios.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on fails")]

mod copies;
mod counted;
mod crowd;
mod floor;
mod lateness;
mod noop;
mod peer;
mod steps;

use chrono::TimeDelta;
use crowd::{Due, crowd};
use mimalloc::MiMalloc;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};
use std::time::{Duration, Instant};
use tandem_jobs::{Runner, Settings, run_workers};
use tandem_testkit::{Cluster, World};
use tokio::sync::{Notify, watch};

/// The program's own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH: usize = 256;

struct Options {
    jobs: usize,
    waiting: Vec<usize>,
    people: usize,
    due: usize,
    only: Option<String>,
    on: Option<String>,
    within: Option<u64>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            jobs: 50_000,
            waiting: vec![10_000],
            people: 5_000,
            due: 100_000,
            only: None,
            on: None,
            within: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--jobs" => options.jobs = arguments.next().unwrap().parse().unwrap(),
                "--waiting" => {
                    options.waiting = arguments.next().unwrap().split(',').map(|n| n.parse().unwrap()).collect();
                }
                "--people" => options.people = arguments.next().unwrap().parse().unwrap(),
                "--due" => options.due = arguments.next().unwrap().parse().unwrap(),
                "--only" => options.only = arguments.next(),
                "--on" => options.on = arguments.next(),
                "--within" => options.within = Some(arguments.next().unwrap().parse().unwrap()),
                // Cargo's own.
                "--bench" => {}
                other => panic!("no such option: {other}"),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only.split(',').any(|only| name == only))
    }

    fn wants_database(&self, name: &str) -> bool {
        self.on.as_deref().is_none_or(|on| on.eq_ignore_ascii_case(name))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(jobs: usize, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}

async fn analyze(connection: &DatabaseConnection, table: &str) {
    let verb = if connection.get_database_backend() == DbBackend::Postgres { "VACUUM ANALYZE" } else { "ANALYZE" };
    connection.execute_unprepared(&format!("{verb} {table}")).await.unwrap();
}

/// Runs nodes until the handler has seen everything; gives how long that took.
async fn run(
    world: &World,
    nodes: usize,
    handler: impl Fn() -> Box<dyn FnOnce(Runner) -> Runner>,
    done: &Notify,
) -> Duration {
    let (stop, stopped) = watch::channel(false);
    let settings = Settings { concurrency: 2 * BATCH, ..Settings::default() };
    let start = Instant::now();
    let team: Vec<_> = (0..nodes)
        .map(|node| {
            let runner = Runner::new(world.app.clone(), format!("node {node}"), settings.clone());
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

fn line(name: &str, figure: f64, floor: Option<f64>) {
    match floor {
        Some(floor) => println!("| {name} | {figure:.0} | {:.0} % |", 100.0 * figure / floor),
        None => println!("| {name} | {figure:.0} | |"),
    }
}

async fn database(name: &str, options: &Options, world: impl AsyncFn() -> World) {
    let jobs = options.jobs;
    for &waiting in &options.waiting {
        let mut floor = None;
        if options.wants("floor") {
            let bare = world().await;
            let connection = Database::connect(&bare.url).await.unwrap();
            let figure = floor::floor(&connection, jobs, waiting).await;
            line(&format!("{name}: floor, bare rows, batch {BATCH}, {waiting} waiting"), figure, None);
            floor = Some(figure);
        }
        for nodes in [1, 2] {
            if options.wants("no-op") {
                let one = world().await;
                let far = one.app.store.database_time().await.unwrap() + TimeDelta::days(365);
                noop::fill(&one, waiting, far).await;
                let (figure, _) = noop::burst(&one, jobs, nodes).await;
                line(&format!("{name}: no-op jobs, {nodes} node(s), {waiting} waiting"), figure, floor);
            }
        }
    }
    for processes in [1, 2] {
        if options.wants("peer")
            && name == "PostgreSQL"
            && let Some(figure) = peer::graphile_worker(&world().await.url, jobs, processes).await
        {
            line(&format!("{name}: graphile-worker, no-op jobs, {processes} process(es)"), figure, None);
        }
    }
    if options.wants("burst") {
        let (_, lateness) = noop::burst(&world().await, 100_000, 1).await;
        let (half, most) = lateness.p50_and_p99();
        println!("| {name}: 100,000 due at once, lateness p50 / p99 in ms | {half:.0} / {most:.0} | |");
    }
    if options.wants("idle") {
        let (half, most) = noop::idle(&world().await).await.p50_and_p99();
        println!("| {name}: idle, due to started p50 / p99 in ms | {half:.1} / {most:.1} | |");
    }
    if options.wants("quiet") && name == "PostgreSQL" {
        println!("| {name}: idle node, transactions a second | {:.2} | |", noop::quiet(&world().await).await);
    }
    if options.wants("steps") {
        let figure = steps::steps(&world().await, options.people).await;
        line(&format!("{name}: sequence steps, 1 node"), figure, None);
    }
}

async fn crowds(name: &str, options: &Options, world: impl AsyncFn() -> World) {
    let (people, unknown) = (options.due, String::from("-"));
    for &waiting in &options.waiting {
        for nodes in [1, 2] {
            let ways = [(Due::AtOnce, "at once", 0), (Due::OverAMinute, "over a minute", 60)];
            for (due, how, _) in ways.into_iter().filter(|way| options.within.is_none_or(|within| within == way.2)) {
                let seen = crowd(&world().await, (waiting, people), due, nodes).await;
                let memory = seen.memory.map_or_else(|| unknown.clone(), |mib| mib.to_string());
                println!(
                    "| {name}: {people} due {how}, {waiting} waiting, {nodes} node(s) | {:.0} | {:.0} / {:.0} | {memory} |",
                    seen.turns, seen.half, seen.most
                );
            }
        }
    }
}

#[tokio::main]
async fn main() {
    let options = Options::read();
    println!("| what | a second | of the floor |\n|---|---|---|");
    let cluster = if options.wants_database("PostgreSQL") { Cluster::start_durable() } else { None };
    if options.wants_database("SQLite") {
        database("SQLite", &options, World::sqlite_durable).await;
    }
    if let Some(cluster) = &cluster {
        database("PostgreSQL", &options, async || World::on(cluster).await).await;
    }
    if options.wants("crowd") {
        println!("\n| what | turns a second | late p50 / p99 in ms | most memory, MiB |\n|---|---|---|---|");
        if options.wants_database("SQLite") {
            crowds("SQLite", &options, World::sqlite_durable).await;
        }
        if let Some(cluster) = &cluster {
            crowds("PostgreSQL", &options, async || World::on(cluster).await).await;
        }
    }
}
