//! What the runner hands jobs to.

use crate::{Disposition, handlers, trace};
use futures_util::future::BoxFuture;
use tandem_app::{App, AppError, Call};
use tandem_domain::decision::Job;
use tandem_store::jobs::Claimed;
use tracing::{Instrument, Span};

/// Runs jobs. Whatever it does in the database ends with the job's lease: see `docs/concepts/jobs.md`.
pub trait Handler: Send + Sync + 'static {
    /// Runs one job. It may be called again for a job that it was called for before: a process may end at any point.
    fn run<'a>(&'a self, app: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>>;

    /// Whether the jobs of this queue are mostly of kinds that gain from being run together: then many are claimed at once.
    fn batches(&self, _queue: &str) -> bool {
        false
    }

    /// Whether the jobs of this queue wait for machines of others, which may be slow: then they take at most half of a node.
    fn waits_for_others(&self, _queue: &str) -> bool {
        false
    }

    /// Whether jobs of this kind gain from being run many at a time.
    fn together(&self, _kind: &str) -> bool {
        false
    }

    /// Runs jobs of one kind in one transaction, giving what became of each. After an error nothing of it happened; they
    /// are tried again in halves, and in the end each by itself.
    fn run_together<'a>(
        &'a self,
        app: &'a App,
        jobs: &'a [Claimed],
    ) -> BoxFuture<'a, Result<Vec<Disposition>, AppError>> {
        Box::pin(async move {
            let mut done = Vec::with_capacity(jobs.len());
            for job in jobs {
                let span = trace::span(&*app.env.traces, job);
                done.push(self.run(app, job).instrument(span).await?);
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
            match known(job) {
                Some(known) => handlers::run(app, &call(job), known).await,
                None => Ok(Disposition::Snooze { after: UNKNOWN_KIND }),
            }
        })
    }

    fn batches(&self, queue: &str) -> bool {
        queue == "steps"
    }

    fn waits_for_others(&self, queue: &str) -> bool {
        queue == "webhooks"
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
            // Kept until it is known whether what happened in them was committed.
            let spans: Vec<Span> = jobs.iter().map(|job| trace::span(&*app.env.traces, job)).collect();
            let done = steps_together(app, jobs, &spans).await;
            if done.is_err() {
                spans.iter().for_each(trace::failed);
            }
            done
        })
    }
}

/// Reads a job, unless it was written by a newer version: then it is left to a node that knows it.
fn known(job: &Claimed) -> Option<Job> {
    serde_json::from_str(&job.payload)
        .inspect_err(|error| {
            tracing::info!(job = job.lease.job, kind = job.kind, %error, "this node does not know the job");
        })
        .ok()
}

async fn steps_together(app: &App, jobs: &[Claimed], spans: &[Span]) -> Result<Vec<Disposition>, AppError> {
    let known: Vec<Option<Job>> = jobs.iter().map(known).collect();
    let mut batch = app.batch().await?;
    let enrollments = known.iter().filter_map(|job| match job {
        Some(Job::AdvanceEnrollment { enrollment, .. }) => Some(*enrollment),
        _ => None,
    });
    batch.enrollments_ahead(enrollments).await?;
    let mut done = Vec::with_capacity(jobs.len());
    for ((job, known), span) in jobs.iter().zip(known).zip(spans) {
        done.push(match known {
            Some(known) => handlers::run_in_batch(&mut batch, &call(job), known).instrument(span.clone()).await?,
            None => Disposition::Snooze { after: UNKNOWN_KIND },
        });
    }
    batch.commit().await?;
    Ok(done)
}
