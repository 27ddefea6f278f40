//! Many requests, one write: what arrives while the last write was under way goes into the next one.
//!
//! A request is answered when its events are on disk. However many requests come at once, what waits is bounded by its size.

use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tandem_app::{App, Call, EventsReceive, Parcel};
use tandem_domain::id::{EventBatchId, EventSourceId};
use tandem_domain::ingest::IngestedEvent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// How many events one write has, where they come in more than one request.
const TOGETHER: usize = 2_500;
/// How many bytes may wait, in KiB.
const ROOM: usize = 64 * 1024;
/// How many requests may wait.
const REQUESTS: usize = 10_000;

/// Why events were not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unstored {
    /// Too much waits already.
    Full,
    /// The write failed; the log has the cause.
    Failed,
}

/// A request that waits to be stored.
struct Waiting {
    source: EventSourceId,
    events: Vec<IngestedEvent>,
    answer: oneshot::Sender<bool>,
    _room: OwnedSemaphorePermit,
}

/// Where requests leave their events. Cheap to clone.
#[derive(Clone)]
pub(in crate::http) struct Collector {
    sender: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

impl Collector {
    /// Starts writing, until the last clone is gone.
    pub(in crate::http) fn start(app: App) -> Self {
        let (sender, receiver) = mpsc::channel(REQUESTS);
        tokio::spawn(write_all(app, receiver));
        Self { sender, room: Arc::new(Semaphore::new(ROOM)) }
    }

    /// Stores events, and waits until they are on disk.
    pub(super) async fn store(
        &self,
        source: EventSourceId,
        events: Vec<IngestedEvent>,
        bytes: usize,
    ) -> Result<(), Unstored> {
        let size = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(size).map_err(|_none| Unstored::Full)?;
        let (answer, answered) = oneshot::channel();
        self.sender.try_send(Waiting { source, events, answer, _room: room }).map_err(|_full| Unstored::Full)?;
        match answered.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Unstored::Failed),
        }
    }
}

async fn write_all(app: App, mut receiver: mpsc::Receiver<Waiting>) {
    let mut next: Option<Waiting> = None;
    loop {
        let first = match next.take() {
            Some(waiting) => waiting,
            None => match receiver.recv().await {
                Some(waiting) => waiting,
                None => return,
            },
        };
        let mut count = first.events.len();
        let mut together = vec![first];
        while let Ok(waiting) = receiver.try_recv() {
            count += waiting.events.len();
            if count > TOGETHER {
                next = Some(waiting);
                break;
            }
            together.push(waiting);
        }
        write(&app, together).await;
    }
}

/// Writes what some requests brought, and answers them. What cannot be written with the others is tried alone.
async fn write(app: &App, together: Vec<Waiting>) {
    if together.len() > 1 && receive(app, &together).await.is_ok() {
        for waiting in together {
            let _ = waiting.answer.send(true);
        }
        return;
    }
    for waiting in together {
        let stored = receive(app, std::slice::from_ref(&waiting)).await;
        if let Err(why) = &stored {
            tracing::error!(%why, source = %waiting.source, events = waiting.events.len(), "events could not be stored");
        }
        // Nobody may be there any more to hear it.
        let _ = waiting.answer.send(stored.is_ok());
    }
}

/// Stores what some requests brought; gives why that failed.
async fn receive(app: &App, together: &[Waiting]) -> Result<(), String> {
    // A panic here would leave nobody to write for all who come later.
    match AssertUnwindSafe(store(app, together)).catch_unwind().await {
        Ok(stored) => stored,
        Err(_panicked) => Err("the write broke off".to_owned()),
    }
}

async fn store(app: &App, together: &[Waiting]) -> Result<(), String> {
    let now = app.env.now();
    let mut parcels: Vec<Parcel> = Vec::new();
    for waiting in together {
        let at = parcels.iter().position(|parcel| parcel.source == waiting.source).unwrap_or_else(|| {
            let batch: EventBatchId = app.env.id(now);
            parcels.push(Parcel { source: waiting.source, batch, events: Vec::new() });
            parcels.len() - 1
        });
        if let Some(parcel) = parcels.get_mut(at) {
            let batch = parcel.batch;
            parcel.events.extend(waiting.events.iter().cloned().map(|event| IngestedEvent { batch, ..event }));
        }
    }
    let call = Call::system(format!(
        "events-{}",
        parcels.first().map(|parcel| parcel.batch).unwrap_or(EventBatchId(uuid::Uuid::nil()))
    ));
    app.run(&call, EventsReceive { parcels }).await.map(drop).map_err(|error| error.to_string())
}
