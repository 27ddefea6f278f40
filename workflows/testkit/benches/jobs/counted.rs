//! Tandem's own handlers, counted, with how late each step was done.

use crate::lateness::{Clock, Lateness};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tandem_app::{App, AppError};
use tandem_jobs::{Disposition, Handler, Handlers, Runner};
use tandem_store::jobs::Claimed;
use tandem_testkit::World;
use tokio::sync::Notify;

/// The handlers that production has. Steps of sequences are counted, and from a moment on how late each was committed.
#[derive(Clone)]
pub struct Counted {
    left: Arc<AtomicUsize>,
    /// Told when the last step was taken.
    pub done: Arc<Notify>,
    lateness: Arc<Mutex<Vec<i64>>>,
    clock: Clock,
}

impl Counted {
    /// Waits for so many steps.
    pub async fn new(world: &World, steps: usize) -> Self {
        let left = Arc::new(AtomicUsize::new(steps));
        Self { left, done: Arc::default(), lateness: Arc::default(), clock: Clock::read(world).await }
    }

    /// For a node.
    pub fn handler(&self) -> Box<dyn FnOnce(Runner) -> Runner> {
        let counted = self.clone();
        Box::new(move |runner: Runner| runner.with_handler(counted))
    }

    /// How late the steps were.
    pub fn lateness(&self) -> Lateness {
        Lateness::of(std::mem::take(&mut *self.lateness.lock().unwrap()))
    }

    fn count<'a>(&self, jobs: impl Iterator<Item = &'a Claimed>) {
        let now: DateTime<Utc> = self.clock.now();
        let late = jobs
            .filter(|job| job.kind == "advance_enrollment")
            .map(|job| (now - job.due_at).num_microseconds().unwrap_or(i64::MAX));
        let mut lateness = self.lateness.lock().unwrap();
        let before = lateness.len();
        lateness.extend(late);
        let steps = lateness.len() - before;
        drop(lateness);
        if steps > 0 && self.left.fetch_sub(steps, Ordering::SeqCst) <= steps {
            self.done.notify_one();
        }
    }
}

impl Handler for Counted {
    fn run<'a>(&'a self, app: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        async move {
            let done = Handlers.run(app, job).await;
            self.count(std::iter::once(job));
            done
        }
        .boxed()
    }

    fn batches(&self, queue: &str) -> bool {
        Handlers.batches(queue)
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
            self.count(jobs.iter());
            Ok(done)
        }
        .boxed()
    }
}
