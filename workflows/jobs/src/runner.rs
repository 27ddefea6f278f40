//! Runs one leased job to its end, whatever happens in it.

use crate::disposition::{Disposition, backoff};
use crate::handlers;
use chrono::TimeDelta;
use futures_util::FutureExt;
use serde::Deserialize;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tandem_app::{App, AppError, Call};
use tandem_domain::decision::Job;
use tandem_store::StoreError;
use tandem_store::jobs::{Claimed, Lease};

/// How the workers of this process behave.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// How many jobs run at once.
    pub concurrency: usize,
    /// How long a lease lasts without renewal, in seconds: a dead worker's jobs run again after it.
    pub lease_seconds: u32,
    /// How often to look for jobs that nobody announced, in milliseconds.
    pub poll_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { concurrency: 8, lease_seconds: 30, poll_ms: 500 }
    }
}

/// Runs jobs for one node. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    pub(crate) app: App,
    pub(crate) node: String,
    pub(crate) settings: Settings,
}

impl Runner {
    /// A runner for the node of this name, which must be its own.
    pub fn new(app: App, node: impl Into<String>, settings: Settings) -> Self {
        Self { app, node: node.into(), settings }
    }

    pub(crate) fn lease(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.settings.lease_seconds))
    }

    /// Runs everything that is due now and everything that follows from it at once, one job after the other in the
    /// order of due time; gives how many attempts were made. This is how virtual time passes.
    pub async fn run_due(&self) -> Result<usize, StoreError> {
        let mut attempts = 0;
        loop {
            let claimed = self.app.store.claim_jobs(&self.node, self.app.env.now(), self.lease(), 1).await?;
            let Some(job) = claimed.into_iter().next() else { return Ok(attempts) };
            self.attempt(job).await;
            attempts += 1;
        }
    }

    /// Runs one attempt, keeping its lease alive meanwhile. The outcome is in the table; a failure is in the log.
    pub(crate) async fn execute(&self, claimed: Claimed) {
        let lease = claimed.lease.clone();
        // Both are polled side by side: a renewal waits for the row that the attempt's commit has locked, and an attempt
        // that stood still meanwhile would never let go of it.
        tokio::select! {
            () = self.attempt(claimed) => {}
            never = self.keep_alive(&lease) => match never {},
        }
    }

    async fn keep_alive(&self, lease: &Lease) -> Infallible {
        let third = Duration::from_secs(u64::from(self.settings.lease_seconds)).div_f64(3.0);
        loop {
            tokio::time::sleep(third).await;
            let until = self.app.env.now() + self.lease();
            if let Err(error) = self.app.store.renew_job(lease, until).await {
                // The attempt goes on: its commit is fenced, and finds out by itself.
                tracing::warn!(job = lease.job, %error, "a job's lease could not be renewed");
            }
        }
    }

    async fn attempt(&self, claimed: Claimed) {
        let Claimed { lease, kind, payload, due_at, max_attempts, request_id } = claimed;
        let disposition = match serde_json::from_str::<Job>(&payload) {
            // Written by a newer version: left to a node that knows it.
            Err(error) => Disposition::Retry { after: None, error: format!("this node cannot read the job: {error}") },
            Ok(job) => {
                let call = Call::system(request_id.clone()).for_job(lease.clone(), due_at);
                let handled = AssertUnwindSafe(handlers::run(&self.app, &call, job)).catch_unwind().await;
                match handled {
                    Ok(Ok(disposition)) => disposition,
                    Ok(Err(AppError::Store(StoreError::LeaseLost { .. }))) => {
                        tracing::warn!(job = lease.job, kind, "a job's lease was lost; its work was rolled back");
                        return;
                    }
                    Ok(Err(error)) => Disposition::Retry { after: None, error: error.to_string() },
                    Err(panic) => Disposition::Retry { after: None, error: panic_message(&panic) },
                }
            }
        };
        let store = &self.app.store;
        let settled = match disposition {
            Disposition::Finished => Ok(()),
            Disposition::Obsolete => store.finish_job(&lease).await,
            Disposition::Retry { after, error } if lease.attempt < max_attempts => {
                tracing::warn!(
                    job = lease.job,
                    kind,
                    attempt = lease.attempt,
                    request_id,
                    error,
                    "a job will be retried"
                );
                let after = after.unwrap_or_else(|| backoff(lease.attempt, self.app.env.chance.fraction()));
                store.retry_job(&lease, self.app.env.now() + after, &error).await
            }
            Disposition::Retry { error, .. } | Disposition::Dead { error } => {
                tracing::error!(
                    job = lease.job,
                    kind,
                    attempt = lease.attempt,
                    request_id,
                    error,
                    "a job was given up"
                );
                store.bury_job(&lease, &error).await
            }
        };
        if let Err(error) = settled {
            // The lease runs out and the job runs again: nothing is lost.
            tracing::error!(job = lease.job, kind, request_id, %error, "a job's outcome could not be written");
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("no message"))
}
