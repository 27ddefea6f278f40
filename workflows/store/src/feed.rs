//! What changes, as it changes, for whoever waits for it.
//!
//! The ledger is the feed: whatever changes carries a fact, facts are in one order, and none becomes visible before the one
//! in front of it. While anybody listens, one task of the process reads on from where it was, and tells everybody. It is woken
//! by commits of this process at once and by those of others through PostgreSQL's NOTIFY; a look now and then is the net
//! under that, and what there is on SQLite, where nobody could tell it of another process. So no change is lost on the way,
//! whichever node made it; a listener who does not keep up is told so, and nothing is kept for him without bound.

use crate::{Result, Store};
use sea_orm::{ConnectionTrait, Statement};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

/// How many changes wait for a listener.
const BACKLOG: usize = 1_024;
/// How long to wait for a wake-up before looking without one.
const NET: Duration = Duration::from_secs(1);
/// How many entries one look reads.
const AT_ONCE: i64 = 1_000;

/// Something that changed: its type name and id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Changed {
    /// The type name, e.g. `Handoff`.
    pub kind: String,
    /// Its id.
    pub id: Uuid,
}

/// A listener did not keep up, and has missed changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes came faster than they were taken")]
pub struct TooSlow;

/// What changed from the moment it was asked for.
pub struct Changes(broadcast::Receiver<Changed>);

impl Changes {
    /// The next thing that changed; how it is now is to be read. Waits until there is one.
    pub async fn next(&mut self) -> Result<Changed, TooSlow> {
        self.0.recv().await.map_err(|error| match error {
            // The task that reads lives as long as somebody listens; were it gone, the listener would miss what comes.
            RecvError::Closed | RecvError::Lagged(_) => TooSlow,
        })
    }
}

/// The state of the feed. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Feed {
    to_all: broadcast::Sender<Changed>,
    reads: Arc<Mutex<bool>>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self { to_all: broadcast::channel(BACKLOG).0, reads: Arc::default() }
    }

    /// Whether the task is to go on. Nobody can begin to listen in between: both hold the lock.
    fn goes_on(&self) -> bool {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        *reads = self.to_all.receiver_count() > 0;
        *reads
    }
}

impl Store {
    /// Listens to what changes from now on.
    pub async fn changes(&self) -> Result<Changes> {
        // Read first: what is committed while the listener is being registered comes behind it.
        let (seq, _) = self.ledger_head().await?;
        let feed = self.feed();
        let mut reads = feed.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = feed.to_all.subscribe();
        if !std::mem::replace(&mut *reads, true) {
            tokio::spawn(self.clone().read_on(seq));
        }
        Ok(Changes(listener))
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.feed().to_all.receiver_count()
    }

    async fn read_on(self, mut seq: i64) {
        let hear_others = self.feed_bell().listen();
        tokio::pin!(hear_others);
        while self.feed().goes_on() {
            // Registered before the look, so that no ring between the two is missed.
            let heard = self.feed_bell().heard().notified();
            tokio::pin!(heard);
            heard.as_mut().enable();
            match self.tell_since(seq).await {
                // There may be more.
                Ok(told) if told > seq => {
                    seq = told;
                    continue;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "changes could not be read; they are read again"),
            }
            tokio::select! {
                () = heard => {}
                () = &mut hear_others => {}
                () = tokio::time::sleep(NET) => {}
            }
        }
    }

    /// Tells of what the ledger holds behind `seq`, each thing once; gives how far it came.
    async fn tell_since(&self, seq: i64) -> Result<i64> {
        let sql = "SELECT seq, subject_kind, subject_id FROM ledger_entry WHERE seq > $1 ORDER BY seq LIMIT $2";
        let backend = self.reader().get_database_backend();
        let rows = self
            .reader()
            .query_all_raw(Statement::from_sql_and_values(backend, sql, [seq.into(), AT_ONCE.into()]))
            .await?;
        let (mut seq, mut told) = (seq, HashSet::new());
        for row in rows {
            seq = row.try_get("", "seq")?;
            let changed = Changed { kind: row.try_get("", "subject_kind")?, id: row.try_get("", "subject_id")? };
            if told.insert(changed.clone()) {
                // Nobody listens any more.
                let _ = self.feed().to_all.send(changed);
            }
        }
        Ok(seq)
    }
}
