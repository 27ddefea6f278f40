//! Tells workers that jobs were added: those of this process at once, those of others through PostgreSQL's NOTIFY. A bell
//! that nobody hears loses nothing, since workers also look by themselves.

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const CHANNEL: &str = "tandem_jobs";

/// How long to wait before listening again after the connection broke.
const AGAIN: Duration = Duration::from_secs(5);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bell {
    here: Arc<Notify>,
    wanted: Arc<AtomicBool>,
    ringing: Arc<AtomicBool>,
    pool: DatabaseConnection,
}

impl Bell {
    pub(crate) fn new(pool: DatabaseConnection) -> Self {
        Self { here: Arc::new(Notify::new()), wanted: Arc::default(), ringing: Arc::default(), pool }
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
                if let Err(error) = self.pool.execute_unprepared(&format!("NOTIFY {CHANNEL}")).await {
                    tracing::debug!(%error, "other workers could not be told of jobs; they look by themselves");
                }
            }
            self.ringing.store(false, Ordering::SeqCst);
            // Wanted between the last look and the line above, by somebody who found the bell still ringing.
            if !self.wanted.load(Ordering::SeqCst) || self.ringing.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Passes on what other processes ring, for as long as it is polled.
    pub(crate) async fn listen(&self) {
        if self.pool.get_database_backend() != DbBackend::Postgres {
            return;
        }
        loop {
            if let Err(error) = self.pass_on().await {
                tracing::debug!(%error, "the connection that listens for jobs broke");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn pass_on(&self) -> Result<(), sea_orm::sqlx::Error> {
        let mut listener = PgListener::connect_with(self.pool.get_postgres_connection_pool()).await?;
        listener.listen(CHANNEL).await?;
        loop {
            listener.recv().await?;
            self.here.notify_waiters();
        }
    }
}
