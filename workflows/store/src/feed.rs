//! What changes, as it changes, for whoever waits for it.
//!
//! The ledger is the feed: whatever changes carries a fact, facts are in one order, and none becomes visible before the one
//! in front of it. While anybody listens, one task of the process reads on from where it was, and tells everybody. It is woken
//! by commits of this process at once and by those of others through PostgreSQL's NOTIFY; a look now and then is the net
//! under that, and what there is on SQLite, where nobody could tell it of another process. So no change is lost on the way,
//! whichever node made it; a listener who does not keep up is told so, and nothing is kept for him without bound.

use crate::{Result, Store, Stored};
use sea_orm::{ConnectionTrait, Statement};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// How many things wait for a listener, at most.
pub const BACKLOG: usize = 1_024;
/// How long to wait for a wake-up before looking without one.
const NET: Duration = Duration::from_secs(1);
/// How many entries one look reads.
const AT_ONCE: i64 = 1_000;

/// A listener did not keep up, and has missed changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes came faster than they were taken")]
pub struct TooSlow;

/// What one listener waits for, and what waits for the listener: only what concerns it, and each thing once.
struct Waiting {
    kind: &'static str,
    only: Option<Uuid>,
    pending: Mutex<Pending>,
    told: Notify,
}

#[derive(Default)]
struct Pending {
    order: VecDeque<Uuid>,
    known: HashSet<Uuid>,
    lost: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiting {
    fn tell(&self, kind: &str, id: Uuid) {
        if kind != self.kind || self.only.is_some_and(|only| only != id) {
            return;
        }
        let mut pending = locked(&self.pending);
        if pending.order.len() >= BACKLOG && !pending.known.contains(&id) {
            *pending = Pending { lost: true, ..Pending::default() };
        } else if !pending.lost && pending.known.insert(id) {
            pending.order.push_back(id);
        }
        drop(pending);
        self.told.notify_one();
    }
}

/// What changed from the moment it was asked for.
pub struct Changes(Arc<Waiting>);

impl Changes {
    /// The next thing that changed; how it is now is to be read. Waits until there is one. Changes of a thing that follow one
    /// another before it is taken are one.
    pub async fn next(&mut self) -> Result<Uuid, TooSlow> {
        loop {
            {
                let mut pending = locked(&self.0.pending);
                if pending.lost {
                    return Err(TooSlow);
                }
                if let Some(id) = pending.order.pop_front() {
                    pending.known.remove(&id);
                    return Ok(id);
                }
            }
            // A call that came since the look is kept for this.
            self.0.told.notified().await;
        }
    }
}

/// The state of the feed. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<Listeners>>);

#[derive(Default)]
struct Listeners {
    waiting: Vec<Weak<Waiting>>,
    /// Whether the task reads.
    reads: bool,
}

impl Feed {
    /// Whether the task is to go on. Nobody can begin to listen in between: both hold the lock.
    fn goes_on(&self) -> bool {
        let mut listeners = locked(&self.0);
        listeners.waiting.retain(|waiting| waiting.strong_count() > 0);
        listeners.reads = !listeners.waiting.is_empty();
        listeners.reads
    }

    fn tell(&self, kind: &str, id: Uuid) {
        for waiting in locked(&self.0).waiting.iter().filter_map(Weak::upgrade) {
            waiting.tell(kind, id);
        }
    }
}

impl Store {
    /// Listens to what changes from now on: of this kind, or this one thing of it.
    pub async fn changes<T: Stored>(&self, only: Option<Uuid>) -> Result<Changes> {
        // Read first: what is committed while the listener is being registered comes behind it.
        let (seq, _) = self.ledger_head().await?;
        let waiting = Waiting { kind: T::KIND, only, pending: Mutex::default(), told: Notify::new() };
        let waiting = Arc::new(waiting);
        let mut listeners = locked(&self.feed().0);
        listeners.waiting.push(Arc::downgrade(&waiting));
        if !std::mem::replace(&mut listeners.reads, true) {
            tokio::spawn(self.clone().read_on(seq));
        }
        Ok(Changes(waiting))
    }

    /// Rung when this process has written to the ledger, and another while [`Store::hear_of_others`] is polled.
    pub fn ledger_grown(&self) -> &Notify {
        self.feed_bell().heard()
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        locked(&self.feed().0).waiting.iter().filter(|waiting| waiting.strong_count() > 0).count()
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
            let (kind, id): (String, Uuid) = (row.try_get("", "subject_kind")?, row.try_get("", "subject_id")?);
            if told.insert((kind.clone(), id)) {
                self.feed().tell(&kind, id);
            }
        }
        Ok(seq)
    }
}
