//! The apalis backend over the job table.
//!
//! Claiming, renewing and finishing live outside apalis' poll loop: a backend that fails would end its worker, and one
//! that acknowledges through the loop loses leases while it is busy. So this backend only hands over what the claimer
//! has leased, and never fails.

use crate::runner::{Left, Runner};
use apalis_core::backend::{Backend, BackendConfig, finalize::Ephemeral};
use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::data::Data;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tandem_store::jobs::{Claimed, Lease, Now};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tower::layer::util::Identity;

/// Leased jobs on their way to a handler, one or many, with the permits that bound how many run at once.
pub(crate) struct Batch {
    pub(crate) jobs: Vec<Claimed>,
    pub(crate) permits: Vec<OwnedSemaphorePermit>,
}

/// apalis clones what it hands over; the batch is taken out once.
#[derive(Clone)]
pub(crate) struct Work(Arc<Mutex<Option<Batch>>>);

/// A task of apalis for a batch.
pub(crate) fn task(batch: Batch) -> Task<Work> {
    let id = batch.jobs.first().map_or(0, |job| job.lease.job.unsigned_abs());
    TaskBuilder::new(Work(Arc::new(Mutex::new(Some(batch))))).task_id(TaskId::from_int(id)).build()
}

struct Leased {
    work: mpsc::Receiver<Task<Work>>,
}

impl Backend for Leased {
    type Task = Task<Work>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Task<Work>, Infallible>>> {
        self.work.poll_recv(cx).map(|task| task.map(Ok))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Leased {
    type Args = Work;
    type Id = u64;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

/// What a handler of the worker needs.
#[derive(Clone)]
struct Desk {
    runner: Runner,
    done: mpsc::Sender<Lease>,
}

async fn handle(work: Work, desk: Data<Desk>) -> Result<(), BoxDynError> {
    let taken = work.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Batch { jobs, permits }) = taken else { return Ok(()) };
    for left in desk.runner.attempt_many(jobs, Now::Database).await {
        if let Left::Finish(lease) = left {
            // The other end lives until the last permit is back.
            let _ = desk.done.send(lease).await;
        }
    }
    drop(permits);
    Ok(())
}

/// Runs an apalis worker over what comes through the channel, until the channel is closed.
pub(crate) async fn run(runner: Runner, work: mpsc::Receiver<Task<Work>>, done: mpsc::Sender<Lease>) {
    let name = runner.node.to_string();
    let desk = Desk { runner, done };
    let worker = WorkerBuilder::new(name).backend(Leased { work }).data(desk).build(handle);
    if let Err(error) = worker.run().await {
        tracing::error!(%error, "the workers ended");
    }
}
