//! What the runner hands jobs to.

use crate::{Disposition, handlers};
use futures_util::future::BoxFuture;
use tandem_app::{App, AppError, Call};
use tandem_domain::decision::Job;
use tandem_store::jobs::Claimed;

/// Runs jobs. Whatever it does in the database ends with the job's lease: see `docs/concepts/jobs.md`.
pub trait Handler: Send + Sync + 'static {
    /// Runs one job. It may be called again for a job that it was called for before: a process may end at any point.
    fn run<'a>(&'a self, app: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>>;

    /// Whether jobs of this kind gain from being run many at a time.
    fn together(&self, _kind: &str) -> bool {
        false
    }

    /// Runs jobs of one kind in one transaction, giving what became of each. After an error nothing of it happened, and
    /// each is run by itself.
    fn run_together<'a>(
        &'a self,
        app: &'a App,
        jobs: &'a [Claimed],
    ) -> BoxFuture<'a, Result<Vec<Disposition>, AppError>> {
        Box::pin(async move {
            let mut done = Vec::with_capacity(jobs.len());
            for job in jobs {
                done.push(self.run(app, job).await?);
            }
            Ok(done)
        })
    }
}

/// Tandem's own jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handlers;

/// How long a job waits for a node that knows its kind.
const UNKNOWN_KIND: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

fn call(job: &Claimed) -> Call {
    Call::system(job.request_id.clone()).for_job(job.lease, job.due_at)
}

impl Handler for Handlers {
    fn run<'a>(&'a self, app: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        Box::pin(async move {
            match serde_json::from_str::<Job>(&job.payload) {
                Ok(known) => handlers::run(app, &call(job), known).await,
                Err(error) => {
                    // Written by a newer version: left to a node that knows it.
                    tracing::info!(job = job.lease.job, kind = job.kind, %error, "this node does not know the job");
                    Ok(Disposition::Snooze { after: UNKNOWN_KIND })
                }
            }
        })
    }

    fn together(&self, kind: &str) -> bool {
        kind == "advance_enrollment"
    }

    fn run_together<'a>(
        &'a self,
        app: &'a App,
        jobs: &'a [Claimed],
    ) -> BoxFuture<'a, Result<Vec<Disposition>, AppError>> {
        Box::pin(async move {
            let mut batch = app.batch().await?;
            let mut done = Vec::with_capacity(jobs.len());
            for job in jobs {
                let Ok(known) = serde_json::from_str::<Job>(&job.payload) else {
                    done.push(Disposition::Snooze { after: UNKNOWN_KIND });
                    continue;
                };
                done.push(handlers::run_in_batch(&mut batch, &call(job), known).await?);
            }
            batch.commit().await?;
            Ok(done)
        })
    }
}
