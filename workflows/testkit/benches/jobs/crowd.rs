//! A great many people who wait in a sequence, and some of them fall due together.
//!
//! One run is made by the commands that everybody uses; the others are copies of its rows (contact, enrolment, job) under ids
//! of their own, so that the tables and their indexes are as large as they would be. Nobody has more than that one run, and
//! the ledger has no past: what is measured is what waiting costs those who are due.

use crate::copies::Copies;
use crate::counted::Counted;
use crate::lateness::Clock;
use crate::{analyze, rate, run};
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::time::Duration;
use tandem_app::{EnrollmentCreate, SequencePublish};
use tandem_testkit::World;

/// Each of those who are due takes two turns: out of the wait, through the branch and to the tag; then on to the next wait.
const PROGRAMME: &str = "
key: crowd
name: Crowd
subject: contact
exit: \"'left' in contact.tags\"
steps:
  - {id: rest, kind: wait, duration: 365d}
  - {id: known, kind: branch, when: contact.title != null, then: note, else: mark}
  - {id: mark, kind: tag, add: [seen]}
  - {id: later, kind: wait, duration: 7d, next: done}
  - {id: note, kind: tag, add: [known], next: later}
  - {id: done, kind: end}
";
/// How many turns one of them takes.
const TURNS: usize = 2;

/// How those who are due fall due.
#[derive(Clone, Copy)]
pub enum Due {
    /// All of them at one moment.
    AtOnce,
    /// One after the other, over a minute.
    OverAMinute,
}

/// What was seen.
pub struct Figures {
    /// How many turns a second, from the first moment on to the last commit.
    pub turns: f64,
    /// How long after it was due half of the turns were committed, in milliseconds.
    pub half: f64,
    /// The same for all but one in a hundred.
    pub most: f64,
    /// The most memory that this process had meanwhile, in MiB, where the system tells it.
    pub memory: Option<u64>,
}

/// Measures it in a new world.
pub async fn crowd(world: &World, (waiting, people): (usize, usize), due: Due, nodes: usize) -> Figures {
    let clock = Clock::read(world).await;
    world.clock.set(clock.now());
    let publish = SequencePublish { source: PROGRAMME.to_owned() };
    let sequence = world.app.run(&world.system(), publish).await.unwrap().0;
    let contact = world.contact("template@example.com").await;
    let enroll =
        EnrollmentCreate { sequence: sequence.id, contact: Some(contact.id), lead: None, vars: serde_json::Map::new() };
    world.app.run(&world.system(), enroll).await.unwrap();
    world.run_due_jobs().await;

    let connection = Database::connect(&world.url).await.unwrap();
    let mut copies = Copies::of_the_only_run(&connection).await;
    let far = clock.now() + TimeDelta::days(365);
    copies.add(waiting, far, TimeDelta::zero()).await;
    for table in ["contact", "enrollment", "job"] {
        analyze(&connection, table).await;
    }
    // Those who fall due come last, and must all be there before the first of them is due.
    let start = clock.now() + TimeDelta::milliseconds(5_000 + i64::try_from(people).unwrap() / 5);
    let spread = match due {
        Due::AtOnce => TimeDelta::zero(),
        Due::OverAMinute => TimeDelta::minutes(1),
    };
    copies.add(people, start, spread).await;
    assert!(clock.now() < start, "they were due before they were all there");

    let counted = Counted::new(world, people * TURNS).await;
    let keeping_time = tokio::spawn({
        let world_clock = world.clock.clone();
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(1));
            loop {
                tick.tick().await;
                // A worker asks the database what is due: by the clock of the steps it must be due too.
                world_clock.set(clock.now() + TimeDelta::milliseconds(20));
            }
        }
    });
    forget_memory();
    run(world, nodes, || counted.handler(), &counted.done).await;
    keeping_time.abort();
    let ended = clock.now();
    let lateness = counted.lateness();
    everybody_went_on(&connection, people).await;
    let (half, most) = lateness.p50_and_p99();
    let took = (ended - start).to_std().unwrap();
    Figures { turns: rate(people * TURNS, took), half, most, memory: memory() }
}

async fn everybody_went_on(connection: &DatabaseConnection, people: usize) {
    let sql = "SELECT COUNT(*) AS n FROM enrollment WHERE state = 'WAITING' AND step = 'done'";
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    assert_eq!(
        row.try_get::<i64>("", "n").unwrap(),
        i64::try_from(people).unwrap(),
        "all who were due wait for the last step"
    );
}

/// Lets the high-water mark begin anew, where Linux is asked.
fn forget_memory() {
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// The high-water mark of this process's memory, in MiB, where Linux tells it.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1_024)
}
