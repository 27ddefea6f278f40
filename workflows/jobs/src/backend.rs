//! The apalis backend over the job table, and the workers on it.
//!
//! Claiming, renewing and finishing live outside apalis' poll loop: a backend that fails would end its worker, and one
//! that acknowledges through the loop loses leases while it is busy. So this backend only hands over what the claimer
//! has leased, and never fails.

use crate::runner::Runner;
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
use std::time::Duration;
use tandem_store::jobs::Claimed;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tower::layer::util::Identity;

/// A leased job on its way to a handler, with the permit that bounds how many run at once.
#[derive(Clone)]
struct Work(Arc<Mutex<Option<(Claimed, OwnedSemaphorePermit)>>>);

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

async fn handle(work: Work, runner: Data<Runner>) -> Result<(), BoxDynError> {
    let taken = work.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((claimed, permit)) = taken {
        runner.execute(claimed).await;
        drop(permit);
    }
    Ok(())
}

/// Leases jobs whenever there is room for them, until `stop` turns true.
async fn claim(runner: Runner, room: Arc<Semaphore>, work: mpsc::Sender<Task<Work>>, mut stop: watch::Receiver<bool>) {
    let poll = Duration::from_millis(runner.settings.poll_ms.max(1));
    let store = runner.app.store.clone();
    while !*stop.borrow() {
        let mut permits = Vec::new();
        let first = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            _ = stop.changed() => return,
        };
        permits.extend(first);
        while let Ok(more) = room.clone().try_acquire_owned() {
            permits.push(more);
        }
        // Registered before the claim, so that a job added in between is not slept over.
        let announced = store.jobs_added().notified();
        let limit = permits.len() as u64;
        let claimed = match store.claim_jobs(&runner.node, runner.app.env.now(), runner.lease(), limit).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, "jobs could not be claimed");
                Vec::new()
            }
        };
        let found = !claimed.is_empty();
        for (job, permit) in claimed.into_iter().zip(permits) {
            let id = TaskId::from_int(job.lease.job.unsigned_abs());
            let task = TaskBuilder::new(Work(Arc::new(Mutex::new(Some((job, permit)))))).task_id(id).build();
            if work.send(task).await.is_err() {
                return;
            }
        }
        if !found {
            tokio::select! {
                () = announced => {}
                () = tokio::time::sleep(poll) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

/// Runs workers until `stop` turns true, then finishes what is in hand, for at most `grace`; what is not finished by
/// then is given back for others to run.
pub async fn run_workers(runner: Runner, stop: watch::Receiver<bool>, grace: Duration) {
    let concurrency = runner.settings.concurrency.max(1);
    let room = Arc::new(Semaphore::new(concurrency));
    let (sender, receiver) = mpsc::channel(concurrency);
    let claimer = tokio::spawn(claim(runner.clone(), room.clone(), sender, stop.clone()));
    let worker =
        WorkerBuilder::new(runner.node.as_str()).backend(Leased { work: receiver }).data(runner.clone()).build(handle);
    let deadline = async {
        let mut stop = stop;
        // An error means that whoever could ask to stop is gone, which asks the same.
        let _ = stop.wait_for(|stop| *stop).await;
        let all = u32::try_from(concurrency).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(grace, room.acquire_many(all)).await;
    };
    tokio::select! {
        ended = worker.run() => if let Err(error) = ended {
            tracing::error!(%error, "the workers ended");
        },
        () = deadline => {}
    }
    claimer.abort();
    match runner.app.store.release_jobs(&runner.node).await {
        Ok(0) => {}
        Ok(released) => tracing::warn!(released, "jobs were given back unfinished"),
        Err(error) => tracing::error!(%error, "unfinished jobs could not be given back; their leases run out"),
    }
}
