//! Jobs that do nothing.

use crate::lateness::{Clock, Lateness};
use crate::{analyze, rate, run};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait, Database, Statement};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_app::{App, AppError};
use tandem_jobs::{Disposition, Handler, Runner, Settings, run_workers};
use tandem_store::jobs::{Claimed, NewJob};
use tandem_testkit::World;
use tokio::sync::{Notify, watch};

/// Does nothing, and counts; remembers how late each job was started.
#[derive(Clone)]
struct Nothing {
    left: Arc<AtomicUsize>,
    done: Arc<Notify>,
    lateness: Arc<Mutex<Vec<i64>>>,
    clock: Clock,
}

impl Nothing {
    async fn new(world: &World, jobs: usize) -> Self {
        let left = Arc::new(AtomicUsize::new(jobs));
        Self { left, done: Arc::default(), lateness: Arc::default(), clock: Clock::read(world).await }
    }

    async fn run(self, world: &World, nodes: usize) -> Lateness {
        let handler = || -> Box<dyn FnOnce(Runner) -> Runner> {
            let handler = self.clone();
            Box::new(move |runner: Runner| runner.with_handler(handler))
        };
        run(world, nodes, handler, &self.done).await;
        Lateness::of(std::mem::take(&mut *self.lateness.lock().unwrap()))
    }
}

impl Handler for Nothing {
    fn run<'a>(&'a self, _: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        async move {
            if job.kind != "nothing" {
                // A schedule's own.
                return Ok(Disposition::Obsolete);
            }
            let late = (self.clock.now() - job.due_at).num_microseconds().unwrap_or(i64::MAX);
            self.lateness.lock().unwrap().push(late);
            if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.done.notify_one();
            }
            Ok(Disposition::Obsolete)
        }
        .boxed()
    }
}

/// Adds jobs that do nothing.
pub async fn fill(world: &World, jobs: usize, due: DateTime<Utc>) {
    let new = NewJob::new("default", "nothing", "{}", due);
    for part in 0..jobs.div_ceil(10_000) {
        let part = vec![new.clone(); (jobs - part * 10_000).min(10_000)];
        world.app.store.add_jobs(&part).await.unwrap();
    }
}

/// Jobs that all fall due at one moment, while nodes wait for them: how many a second from then on, and how late each was
/// started.
pub async fn burst(world: &World, jobs: usize, nodes: usize) -> (f64, Lateness) {
    let time_to_fill = TimeDelta::milliseconds(3_000 + i64::try_from(jobs).unwrap() / 2);
    let due = world.app.store.database_time().await.unwrap() + time_to_fill;
    fill(world, jobs, due).await;
    let connection = Database::connect(&world.url).await.unwrap();
    analyze(&connection, "job").await;
    assert!(world.app.store.database_time().await.unwrap() < due, "the jobs were due before they were added");
    let handler = Nothing::new(world, jobs).await;
    let lateness = handler.run(world, nodes).await;
    let took = lateness.most().max(1);
    (rate(jobs, Duration::from_micros(u64::try_from(took).unwrap())), lateness)
}

/// Jobs that fall due one by one on an idle node.
pub async fn idle(world: &World) -> Lateness {
    let start = world.app.store.database_time().await.unwrap();
    let due = |n: i64| start + TimeDelta::milliseconds(500 + 73 * n);
    let new: Vec<NewJob> = (0..60).map(|n| NewJob::new("default", "nothing", "{}", due(n))).collect();
    world.app.store.add_jobs(&new).await.unwrap();
    Nothing::new(world, new.len()).await.run(world, 1).await
}

/// How many transactions a second an idle node costs PostgreSQL, over a minute, when its start is over.
pub async fn quiet(world: &World) -> f64 {
    let (minute, settled) = (60, Duration::from_secs(15));
    let connection = Database::connect(&world.url).await.unwrap();
    let count = async || {
        let sql = "SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()";
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let row = connection.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get::<i64>("", "n").unwrap()
    };
    let (stop, stopped) = watch::channel(false);
    let runner = Runner::new(world.app.clone(), "node", Settings::default());
    let node = tokio::spawn(run_workers(runner, stopped, Duration::from_secs(30)));
    // What a connection did is counted when it has been idle for a moment.
    tokio::time::sleep(settled).await;
    let before = count().await;
    tokio::time::sleep(Duration::from_secs(minute)).await;
    let done = count().await - before;
    stop.send(true).unwrap();
    node.await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let a_second = done as f64 / minute as f64;
    a_second
}
