//! Runs leased jobs to their ends, whatever happens in them.

use crate::disposition::{Disposition, backoff};
use crate::handler::{Handler, Handlers};
use crate::metrics::Metrics;
use crate::trace;
use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tandem_app::{App, AppError};
use tandem_store::StoreError;
use tandem_store::jobs::{Claimed, Lease, Now, Outcome};
use tokio::time::Instant;
use tracing::Instrument;

/// How the workers of this process behave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many jobs run at once.
    pub concurrency: usize,
    /// How long a lease lasts without renewal, in seconds, at most 600: a dead worker's jobs run again after it.
    pub lease_seconds: u32,
    /// How often to look for jobs that nobody announced, in milliseconds.
    pub poll_ms: u64,
    /// How long one attempt may take.
    pub attempt: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { concurrency: 16, lease_seconds: 30, poll_ms: 5_000, attempt: Duration::from_secs(900) }
    }
}

/// Runs jobs for one node. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    pub(crate) app: App,
    pub(crate) node: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) metrics: Metrics,
    /// What this node has leased and not yet settled.
    hand: Arc<Mutex<HashMap<Lease, Held>>>,
}

/// What is known of a job in hand.
struct Held {
    kind: String,
    queue: String,
}

/// What is left to write of an attempt.
pub(crate) enum Left {
    /// Nothing.
    Nothing,
    /// The job is done, and its row is still there.
    Finish(Lease),
}

impl Runner {
    /// A runner of Tandem's jobs for the node of this name, which must be its own.
    pub fn new(app: App, node: impl Into<Arc<str>>, settings: Settings) -> Self {
        let (handler, metrics) = (Arc::new(Handlers), Metrics::default());
        Self { app, node: node.into(), settings, handler, metrics, hand: Arc::default() }
    }

    /// The same, counting into metrics that somebody shows.
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same with another handler.
    pub fn with_handler(mut self, handler: impl Handler) -> Self {
        self.handler = Arc::new(handler);
        self
    }

    pub(crate) fn lease(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.settings.lease_seconds))
    }

    fn hand(&self) -> std::sync::MutexGuard<'_, HashMap<Lease, Held>> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, jobs: &[Claimed]) {
        self.metrics.started(jobs);
        let held = |job: &Claimed| Held { kind: job.kind.clone(), queue: job.queue.clone() };
        self.hand().extend(jobs.iter().map(|job| (job.lease, held(job))));
    }

    /// How many jobs of a queue this node may take now beside what it has in hand, if it has room: so many slow machines of
    /// others never take a whole node.
    pub(crate) fn share_of(&self, queue: &str) -> usize {
        if !self.handler.waits_for_others(queue) {
            return usize::MAX;
        }
        let in_hand = self.hand().values().filter(|held| held.queue == queue).count();
        (self.settings.concurrency / 2).max(1).saturating_sub(in_hand)
    }

    pub(crate) fn let_go(&self, lease: &Lease) {
        self.hand().remove(lease);
    }

    /// Finds out that leases were lost before their jobs were closed.
    pub(crate) fn lost(&self, leases: &[Lease]) {
        let hand = self.hand();
        leases.iter().filter_map(|lease| hand.get(lease)).for_each(|held| self.metrics.lease_lost(&held.kind));
    }

    /// What this node has in hand.
    pub(crate) fn in_hand(&self) -> Vec<Lease> {
        self.hand().keys().copied().collect()
    }

    /// Runs everything that is due now, by the clock that is played, and everything that follows from it at once, one
    /// job after the other in the order of due time; gives how many attempts were made. This is how virtual time passes.
    pub async fn run_due(&self) -> Result<usize, StoreError> {
        let mut attempts = 0;
        loop {
            let now = Now::At(self.app.env.now());
            let store = &self.app.store;
            let mut found = false;
            for ready in store.ready_queues(now).await?.into_iter().filter(|ready| ready.wait <= TimeDelta::zero()) {
                let claimed = store.claim_jobs(&ready.queue, &self.node, now, self.lease(), 1).await?;
                let Some(job) = claimed.into_iter().next() else { continue };
                self.metrics.started(std::slice::from_ref(&job));
                if let Left::Finish(lease) = self.attempt(&job, now).await {
                    store.finish_jobs(&[lease]).await?;
                }
                attempts += 1;
                found = true;
                break;
            }
            if !found && !self.relay().await? {
                return Ok(attempts);
            }
        }
    }

    /// Tells webhooks and sequences of what happened. Whether there was anything to tell.
    async fn relay(&self) -> Result<bool, StoreError> {
        let webhooks = self.app.relay_events().await;
        let sequences = self.app.relay_to_sequences().await;
        let mut looked = 0;
        for told in [webhooks, sequences] {
            match told {
                Ok(more) => looked += more,
                Err(AppError::Store(error)) => return Err(error),
                Err(_no_refusal) => {}
            }
        }
        Ok(looked > 0)
    }

    /// Runs one attempt. The outcome is in the table, but for what is left; a failure is in the log.
    pub(crate) async fn attempt(&self, job: &Claimed, now: Now) -> Left {
        let span = trace::span(&*self.app.env.traces, job);
        self.attempt_alone(job, now).instrument(span).await
    }

    async fn attempt_alone(&self, job: &Claimed, now: Now) -> Left {
        let limit = self.settings.attempt;
        let handled = AssertUnwindSafe(self.handler.run(&self.app, job)).catch_unwind();
        let began = Instant::now();
        let outcome = tokio::time::timeout(limit, handled).await;
        self.metrics.ran(&job.kind, began.elapsed(), 1);
        let disposition = match outcome {
            Ok(Ok(Ok(disposition))) => disposition,
            Ok(Ok(Err(AppError::Store(StoreError::LeaseLost { .. })))) => {
                trace::failed(&tracing::Span::current());
                tracing::warn!(job = job.lease.job, job.kind, "a job's lease was lost; its work was rolled back");
                self.metrics.lease_lost(&job.kind);
                self.let_go(&job.lease);
                return Left::Nothing;
            }
            Ok(Ok(Err(error))) => Disposition::Retry { after: None, error: error.to_string() },
            Ok(Err(panic)) => {
                let error = panic_message(&*panic);
                return self.settle(job, Disposition::Retry { after: None, error }, "panic", now).await;
            }
            // The transaction of the attempt was dropped with it.
            Err(_) => {
                let error = format!("the attempt took longer than {limit:?}");
                return self.settle(job, Disposition::Retry { after: None, error }, "timeout", now).await;
            }
        };
        self.settle(job, disposition, "retry", now).await
    }

    /// Runs jobs, those of a kind that gains from it together.
    pub(crate) async fn attempt_many(&self, jobs: Vec<Claimed>, now: Now) -> Vec<Left> {
        let mut by_kind: BTreeMap<String, Vec<Claimed>> = BTreeMap::new();
        for job in jobs {
            by_kind.entry(job.kind.clone()).or_default().push(job);
        }
        let mut left = Vec::new();
        for (kind, jobs) in &by_kind {
            if self.handler.together(kind) {
                left.extend(self.attempt_together(jobs, now).await);
                continue;
            }
            for job in jobs {
                left.push(self.attempt(job, now).await);
            }
        }
        left
    }

    /// Runs jobs of one kind in one transaction. Where that fails they are tried in halves, down to one by itself: so one
    /// that never goes well costs the others little.
    fn attempt_together<'a>(&'a self, jobs: &'a [Claimed], now: Now) -> BoxFuture<'a, Vec<Left>> {
        Box::pin(async move {
            if let [job] = jobs {
                return vec![self.attempt(job, now).await];
            }
            let limit = self.settings.attempt;
            let handled = AssertUnwindSafe(self.handler.run_together(&self.app, jobs)).catch_unwind();
            let mut left = Vec::with_capacity(jobs.len());
            let began = Instant::now();
            match tokio::time::timeout(limit, handled).await {
                Ok(Ok(Ok(dispositions))) if dispositions.len() == jobs.len() => {
                    self.metrics.ran(jobs.first().map_or("", |job| &job.kind), began.elapsed(), jobs.len());
                    for (job, disposition) in jobs.iter().zip(dispositions) {
                        left.push(self.settle(job, disposition, "retry", now).await);
                    }
                }
                outcome => {
                    if let Ok(Ok(Err(error))) = outcome {
                        tracing::debug!(jobs = jobs.len(), %error, "jobs that failed together are run in halves");
                    }
                    let (first, second) = jobs.split_at(jobs.len() / 2);
                    left.extend(self.attempt_together(first, now).await);
                    left.extend(self.attempt_together(second, now).await);
                }
            }
            left
        })
    }

    /// Writes what becomes of a job. `failed` is how the metrics call an attempt that is tried again.
    async fn settle(&self, job: &Claimed, disposition: Disposition, failed: &'static str, now: Now) -> Left {
        let Claimed { lease, kind, attempt, max_attempts, request_id, .. } = job;
        let store = &self.app.store;
        if matches!(disposition, Disposition::Retry { .. } | Disposition::Dead { .. }) {
            trace::failed(&tracing::Span::current());
        }
        let (outcome, settled) = match disposition {
            Disposition::Finished => ("finished", Ok(())),
            Disposition::Obsolete => {
                self.metrics.ended(kind, "obsolete");
                return Left::Finish(*lease);
            }
            Disposition::Snooze { after } => ("snooze", store.snooze_job(lease, now, after).await),
            Disposition::Retry { after, error } if attempt < max_attempts => {
                tracing::warn!(job = lease.job, kind, attempt, request_id, error, "a job will be retried");
                let after = after.unwrap_or_else(|| backoff(*attempt, self.app.env.chance.fraction()));
                (failed, store.retry_job(lease, now, after, &error).await)
            }
            Disposition::Retry { error, .. } | Disposition::Dead { error } => {
                tracing::error!(job = lease.job, kind, attempt, request_id, error, "a job was given up");
                ("dead", store.archive_job(lease, now, Outcome::Dead, &error).await)
            }
            Disposition::Cancel { reason } => {
                tracing::info!(job = lease.job, kind, request_id, reason, "a job was cancelled");
                ("cancel", store.archive_job(lease, now, Outcome::Cancelled, &reason).await)
            }
        };
        match settled {
            Ok(()) => self.metrics.ended(kind, outcome),
            Err(StoreError::LeaseLost { .. }) => {
                tracing::warn!(job = lease.job, kind, "a job's lease was lost before its outcome was written");
                self.metrics.lease_lost(kind);
            }
            // The lease runs out and the job runs again: nothing is lost.
            Err(error) => tracing::error!(job = lease.job, kind, request_id, %error, "a job's outcome was not written"),
        }
        self.let_go(lease);
        Left::Nothing
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("no message"))
}
