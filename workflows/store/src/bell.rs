//! Tells whoever waits that there is something to look for: in this process at once, in others through PostgreSQL's NOTIFY.
//! A bell that nobody hears loses nothing, since those who wait also look by themselves.

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Jobs were added.
pub(crate) const JOBS: &str = "tandem_jobs";
/// The ledger has grown.
pub(crate) const LEDGER: &str = "tandem_ledger";

/// How long to wait before listening again after the connection broke.
const AGAIN: Duration = Duration::from_secs(5);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bell {
    here: Arc<Notify>,
    wanted: Arc<AtomicBool>,
    ringing: Arc<AtomicBool>,
    pool: DatabaseConnection,
    channel: &'static str,
    /// How long a ring to others keeps the next one back.
    pace: Duration,
}

impl Bell {
    /// A bell on one of PostgreSQL's channels.
    pub(crate) fn new(pool: DatabaseConnection, channel: &'static str, pace: Duration) -> Self {
        Self { here: Arc::new(Notify::new()), wanted: Arc::default(), ringing: Arc::default(), pool, channel, pace }
    }

    pub(crate) fn heard(&self) -> &Notify {
        &self.here
    }

    /// Wakes everybody, after a commit and outside of it: PostgreSQL lets transactions that notify commit one at a time.
    /// Rings that come while one is on its way are heard with it.
    pub(crate) fn ring(&self) {
        self.here.notify_waiters();
        if self.pool.get_database_backend() != DbBackend::Postgres {
            return;
        }
        self.wanted.store(true, Ordering::SeqCst);
        if !self.ringing.swap(true, Ordering::SeqCst) {
            tokio::spawn(self.clone().ring_out());
        }
    }

    async fn ring_out(self) {
        loop {
            while self.wanted.swap(false, Ordering::SeqCst) {
                let channel = self.channel;
                if let Err(error) = self.pool.execute_unprepared(&format!("NOTIFY {channel}")).await {
                    tracing::debug!(%error, channel, "other processes could not be told; they look by themselves");
                }
                if !self.pace.is_zero() {
                    tokio::time::sleep(self.pace).await;
                }
            }
            self.ringing.store(false, Ordering::SeqCst);
            // Wanted between the last look and the line above, by somebody who found the bell still ringing.
            if !self.wanted.load(Ordering::SeqCst) || self.ringing.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Passes on what other processes ring, for as long as it is polled. On SQLite nobody could.
    pub(crate) async fn listen(&self) {
        listen([self]).await;
    }
}

/// Passes on what other processes ring on these bells of one database, over one connection, for as long as it is polled.
pub(crate) async fn listen<const N: usize>(bells: [&Bell; N]) {
    let Some(pool) = bells.first().map(|bell| &bell.pool) else { return std::future::pending().await };
    if pool.get_database_backend() != DbBackend::Postgres {
        return std::future::pending().await;
    }
    loop {
        if let Err(error) = pass_on(pool, bells).await {
            tracing::debug!(%error, "the connection that listens to others broke");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn pass_on<const N: usize>(pool: &DatabaseConnection, bells: [&Bell; N]) -> Result<(), sea_orm::sqlx::Error> {
    let mut listener = PgListener::connect_with(pool.get_postgres_connection_pool()).await?;
    listener.listen_all(bells.map(|bell| bell.channel)).await?;
    loop {
        let heard = listener.recv().await?;
        for bell in bells.iter().filter(|bell| bell.channel == heard.channel()) {
            bell.here.notify_waiters();
        }
    }
}
