//! A node: the loops around the workers of one process.
//!
//! The claimer leases jobs while there is room. The keeper renews every lease in hand, so that a long job is not taken
//! for a dead one. The closer deletes finished jobs, many at a time. The herald hears of what other processes wrote. The
//! turner turns schedules and reports the node. The relays tell webhooks and sequences of what happened. Each goes on after
//! a failure of the database: what it missed is found by the next round.

use crate::backend::{self, Batch, Work};
use crate::runner::Runner;
use crate::{maintenance, relay, schedule};
use apalis_core::task::Task;
use chrono::TimeDelta;
use std::sync::Arc;
use std::time::Duration;
use tandem_store::jobs::{Claimed, Lease, Now, Ready};
use tandem_store::{Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// How many finished jobs one statement deletes at most.
const CLOSED_AT_ONCE: usize = 512;
/// How many jobs run in one transaction at most, and how many jobs' room they take: a transaction keeps a connection and,
/// for its last moments, everybody else from the ledger's head, so that few of them at once are the fastest.
const TOGETHER: usize = 256;
const ROOM_OF_MANY: usize = 8;
/// How often a node reports itself and looks at the schedules, at least.
const ROUND: Duration = Duration::from_secs(10);
/// A node that has not reported for this long is forgotten.
const SILENCE: TimeDelta = TimeDelta::hours(1);
/// How many rounds pass between two looks for such nodes.
const ROUNDS_OF_SILENCE: u32 = 30;
/// How long to wait before looking again where jobs are due and none may start: their limits or their keys hold them back.
/// Doubled each time in a row.
const HELD_BACK: Duration = Duration::from_millis(50);

/// Runs workers until `stop` turns true, then finishes what is in hand, for at most `grace`; what is not finished by
/// then is given back for others to run.
pub async fn run_workers(runner: Runner, stop: watch::Receiver<bool>, grace: Duration) {
    let concurrency = runner.settings.concurrency.max(1);
    let room = Arc::new(Semaphore::new(concurrency));
    let (work, to_do) = mpsc::channel(concurrency);
    let (done, finished) = mpsc::channel(concurrency.max(CLOSED_AT_ONCE));
    maintenance::keep_schedules(&runner.app).await;
    let store = runner.app.store.clone();
    let (sign_off, signing_off) = watch::channel(false);
    let turner = tokio::spawn(turn(runner.clone(), signing_off));
    let background = [
        tokio::spawn(keep(runner.clone())),
        tokio::spawn(async move { store.hear_of_others().await }),
        tokio::spawn(relay::to_webhooks(runner.app.clone())),
        tokio::spawn(relay::to_sequences(runner.app.clone())),
    ];
    let closer = tokio::spawn(close(runner.clone(), finished));
    let worker = tokio::spawn(backend::run(runner.clone(), to_do, done));
    claim(&runner, &room, &work, stop).await;
    let all = u32::try_from(concurrency).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(grace, room.acquire_many(all)).await;
    // apalis waits for more after its source has ended, so it is ended: every job that finished has told the closer, which
    // ends with the last one who could tell it anything. What is finished is written before the rest is given back.
    worker.abort();
    let _ = worker.await;
    let _ = tokio::time::timeout(grace, closer).await;
    for task in background {
        task.abort();
    }
    // It reports while the last jobs run, and is not aborted: a report on its way would arrive after the node has signed off.
    sign_off.send_replace(true);
    let _ = tokio::time::timeout(grace, turner).await;
    match runner.app.store.release_jobs(&runner.in_hand()).await {
        Ok(0) => {}
        Ok(released) => tracing::warn!(released, "jobs were given back unfinished"),
        Err(error) => tracing::error!(%error, "unfinished jobs could not be given back; their leases run out"),
    }
    if let Err(error) = runner.app.store.forget_node(&runner.node).await {
        tracing::warn!(%error, "this node could not sign off");
    }
}

/// Leases jobs whenever there is room for them, until `stop` turns true.
async fn claim(
    runner: &Runner,
    room: &Arc<Semaphore>,
    work: &mpsc::Sender<Task<Work>>,
    mut stop: watch::Receiver<bool>,
) {
    let poll = Duration::from_millis(runner.settings.poll_ms.max(1));
    let store = &runner.app.store;
    let (mut round, mut fruitless) = (0_usize, 0_u32);
    while !*stop.borrow() {
        let first = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            // An error means that whoever could ask to stop is gone, which asks the same.
            _ = stop.changed() => return,
        };
        let mut permits: Vec<OwnedSemaphorePermit> = first.into_iter().collect();
        while let Ok(more) = room.clone().try_acquire_owned() {
            permits.push(more);
        }
        // Registered before the look, so that a job added in between is not slept over.
        let announced = store.jobs_added().notified();
        round = round.wrapping_add(1);
        let pause = match look(runner, &mut permits, round, work).await {
            Ok(Found::Jobs) => None,
            Ok(Found::Nothing(wait)) => Some(wait),
            Ok(Found::HeldBack) => {
                fruitless = (fruitless + 1).min(8);
                Some(HELD_BACK * (1 << (fruitless - 1)))
            }
            Err(error) => {
                tracing::error!(%error, "jobs could not be claimed");
                Some(poll)
            }
        };
        drop(permits);
        let Some(pause) = pause else {
            fruitless = 0;
            continue;
        };
        tokio::select! {
            () = announced => fruitless = 0,
            () = tokio::time::sleep(pause.min(poll)) => {}
            _ = stop.changed() => {}
        }
    }
}

/// What a look at the queues found.
enum Found {
    /// Jobs were handed out; there may be more.
    Jobs,
    /// Nothing is due for this long.
    Nothing(Duration),
    /// Jobs are due, and none of them may start.
    HeldBack,
}

/// Claims from every queue that has jobs due, and hands them to the workers.
async fn look(
    runner: &Runner,
    permits: &mut Vec<OwnedSemaphorePermit>,
    round: usize,
    work: &mpsc::Sender<Task<Work>>,
) -> Result<Found, StoreError> {
    let store = &runner.app.store;
    let ready = store.ready_queues(Now::Database).await?;
    let (mut due, later): (Vec<Ready>, Vec<Ready>) =
        ready.into_iter().partition(|ready| ready.wait <= TimeDelta::zero());
    if due.is_empty() {
        let wait = later.iter().filter_map(|ready| ready.wait.to_std().ok()).min();
        return Ok(Found::Nothing(wait.unwrap_or(Duration::MAX)));
    }
    // Each queue is the first in its turn: one that fills all the room leaves some for the others.
    let queues = due.len();
    due.rotate_left(round % queues);
    let (mut found, mut shared) = (false, false);
    for ready in due {
        if permits.is_empty() {
            break;
        }
        let share = runner.share_of(&ready.queue);
        if share == 0 {
            shared = true;
            continue;
        }
        let (together, room) = if runner.handler.batches(&ready.queue) { (TOGETHER, ROOM_OF_MANY) } else { (1, 1) };
        let most = (together * (permits.len() / room).max(1)).min(share);
        let claimed = store.claim_jobs(&ready.queue, &runner.node, Now::Database, runner.lease(), most as u64).await?;
        found |= !claimed.is_empty();
        runner.take(&claimed);
        for jobs in claimed.chunks(together).map(<[Claimed]>::to_vec) {
            let permits = permits.split_off(permits.len().saturating_sub(room));
            if work.send(backend::task(Batch { jobs, permits })).await.is_err() {
                return Ok(Found::Nothing(Duration::MAX));
            }
        }
    }
    Ok(match (found, shared) {
        (true, _) => Found::Jobs,
        // Whoever is waited for may answer at any moment, and nobody rings then.
        (false, true) => Found::Nothing(HELD_BACK),
        (false, false) => Found::HeldBack,
    })
}

/// Renews what is in hand, for as long as the process lives.
async fn keep(runner: Runner) {
    let third = Duration::from_secs(u64::from(runner.settings.lease_seconds.max(1))).div_f64(3.0);
    loop {
        tokio::time::sleep(third).await;
        // An attempt whose lease was lost goes on: its commit is fenced, and finds out by itself.
        if let Err(error) = runner.app.store.renew_jobs(&runner.in_hand(), Now::Database, runner.lease()).await {
            tracing::warn!(%error, "leases could not be renewed");
        }
    }
}

/// Deletes finished jobs until the last worker is gone.
async fn close(runner: Runner, mut finished: mpsc::Receiver<Lease>) {
    let mut leases = Vec::with_capacity(CLOSED_AT_ONCE);
    while finished.recv_many(&mut leases, CLOSED_AT_ONCE).await > 0 {
        match runner.app.store.finish_jobs(&leases).await {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => {
                tracing::warn!(jobs = lost.len(), "leases were lost before their jobs were closed");
                runner.lost(&lost);
            }
            Err(error) => tracing::error!(jobs = leases.len(), %error, "jobs could not be closed; they run again"),
        }
        for lease in leases.drain(..) {
            runner.let_go(&lease);
        }
    }
}

/// Reports the node and turns schedules until it signs off.
async fn turn(runner: Runner, mut signing_off: watch::Receiver<bool>) {
    let store = &runner.app.store;
    for round in 0_u32.. {
        if let Err(error) = report(&runner, store, round).await {
            tracing::warn!(%error, "this node could not report itself");
        }
        let next = turn_due(store).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "schedules could not be turned");
            None
        });
        let wait = next.and_then(|wait| wait.to_std().ok()).unwrap_or(ROUND);
        let pause = wait.clamp(Duration::from_millis(200), ROUND);
        // An error means that whoever could say so is gone, which says the same.
        if tokio::time::timeout(pause, signing_off.wait_for(|signing_off| *signing_off)).await.is_ok() {
            return;
        }
    }
}

/// Turns the schedules whose tick has come; gives how long it is until the next one.
async fn turn_due(store: &Store) -> Result<Option<TimeDelta>, StoreError> {
    let wait = store.until_tick(Now::Database).await?;
    if wait.is_none_or(|wait| wait > TimeDelta::zero()) {
        return Ok(wait);
    }
    store.turn_schedules(Now::Database, schedule::turn).await?;
    store.until_tick(Now::Database).await
}

async fn report(runner: &Runner, store: &Store, round: u32) -> Result<(), StoreError> {
    let running = i32::try_from(runner.in_hand().len()).unwrap_or(i32::MAX);
    let concurrency = i32::try_from(runner.settings.concurrency).unwrap_or(i32::MAX);
    store.report_node(&runner.node, env!("CARGO_PKG_VERSION"), concurrency, running, Now::Database).await?;
    if round.is_multiple_of(ROUNDS_OF_SILENCE) {
        store.forget_silent_nodes(SILENCE, Now::Database).await?;
    }
    Ok(())
}
