//! Connections: one writer and many readers on SQLite, one pool on PostgreSQL; and the reads that need no transaction.

use crate::bell::{self, Bell};
use crate::feed::Feed;
use crate::page::{Page, PageOf};
use crate::{Result, StoreError, Stored, Tx, jobs::Lease};
use chrono::{DateTime, Utc};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ColumnTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Select, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use serde::Deserialize;
use std::time::Duration;
use tandem_migrations::{Migrator, MigratorTrait};
use tokio::sync::Notify;
use uuid::Uuid;

/// A connection that was idle for longer is asked whether it still works before it is used. One that was in use a moment
/// ago is not: that would be a round trip more for every transaction.
const FRESH: Duration = Duration::from_secs(1);

/// How far apart other processes are told that the ledger has grown: twenty times a second is at once for whoever looks at a
/// screen, and costs nothing beside thousands of commits.
const TOLD_EVERY: Duration = Duration::from_millis(50);

/// How to reach the database.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `sqlite://PATH` or `postgres://...`.
    pub url: String,
    /// Most connections at once (on SQLite: readers; there is always one writer).
    pub max_connections: u32,
    /// SQLite only: whether each commit waits for the disk (`true`), or only a checkpoint does. With `false` a loss
    /// of power may undo the last commits; a crash of the process never does.
    pub sync_every_commit: bool,
}

impl Settings {
    /// The default settings for an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), max_connections: 8, sync_every_commit: true }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    bells: Bells,
    feed: Feed,
}

/// What is rung after a commit. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bells {
    /// Jobs were added.
    pub(crate) jobs: Bell,
    /// The ledger has grown.
    pub(crate) ledger: Bell,
}

impl Bells {
    fn new(pool: &DatabaseConnection) -> Self {
        Self {
            jobs: Bell::new(pool.clone(), bell::JOBS, Duration::ZERO),
            ledger: Bell::new(pool.clone(), bell::LEDGER, TOLD_EVERY),
        }
    }
}

impl Store {
    /// Connects. An SQLite file is made where there is none; the tables come with [`Store::migrate`].
    pub async fn connect(settings: &Settings) -> Result<Self> {
        let mut options = ConnectOptions::new(&settings.url);
        options
            .sqlx_logging(false)
            .connect_timeout(Duration::from_secs(10))
            .acquire_timeout(Duration::from_secs(30))
            .test_before_acquire_if_idle_for(FRESH);
        if settings.url.starts_with("postgres://") || settings.url.starts_with("postgresql://") {
            // Two of them may listen: for the workers, and for subscriptions.
            options.max_connections(settings.max_connections.max(4));
            let pool = Database::connect(options).await?;
            let bells = Bells::new(&pool);
            return Ok(Self { writer: pool.clone(), reader: pool, bells, feed: Feed::default() });
        }
        let Some(path) = settings.url.strip_prefix("sqlite://") else {
            return Err(StoreError::Address("it must begin with sqlite:// or postgres://".to_owned()));
        };
        if path.is_empty() || path.starts_with(":memory:") {
            return Err(StoreError::Address("name a file, e.g. sqlite://tandem.db".to_owned()));
        }
        let sync = if settings.sync_every_commit { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
        options.map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(sync)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(30))
        });
        let mut writing = options.clone();
        writing.max_connections(1).min_connections(1).idle_timeout(Option::<Duration>::None);
        let writer = Database::connect(writing).await?;
        options.max_connections(settings.max_connections.max(2));
        options.map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(30))
                .pragma("query_only", "on")
        });
        let reader = Database::connect(options).await?;
        let bells = Bells::new(&writer);
        Ok(Self { writer, reader, bells, feed: Feed::default() })
    }

    /// Whether the database is SQLite.
    pub fn is_sqlite(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Sqlite
    }

    /// Brings the tables up to date. On PostgreSQL an advisory lock makes a second process wait for the first.
    pub async fn migrate(&self) -> Result<()> {
        if self.is_sqlite() {
            return Ok(Migrator::up(&self.writer, None).await?);
        }
        // The lock lives as long as this transaction; the migrations run beside it, on connections of their own.
        let guard = self.writer.begin().await?;
        guard.execute_unprepared("SELECT pg_advisory_xact_lock(7238261)").await?;
        let done = Migrator::up(&self.writer, None).await;
        guard.rollback().await?;
        Ok(done?)
    }

    /// The names of the migrations, each with whether it was applied.
    pub async fn migrations(&self) -> Result<Vec<(String, bool)>> {
        let pending: Vec<String> =
            Migrator::get_pending_migrations(&self.writer).await?.iter().map(|one| one.name().to_owned()).collect();
        let all = Migrator::migrations();
        Ok(all.iter().map(|one| (one.name().to_owned(), !pending.iter().any(|name| name == one.name()))).collect())
    }

    /// Fails with [`StoreError::NotMigrated`] unless every migration was applied.
    pub async fn check_migrated(&self) -> Result<()> {
        let pending = Migrator::get_pending_migrations(&self.writer).await?.len();
        if pending == 0 { Ok(()) } else { Err(StoreError::NotMigrated { pending }) }
    }

    /// What time it is by the database's clock, to the millisecond.
    pub async fn database_time(&self) -> Result<DateTime<Utc>> {
        let sql = if self.is_sqlite() {
            "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS ms"
        } else {
            "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS ms"
        };
        let row = self.reader.query_one_raw(Statement::from_string(self.reader.get_database_backend(), sql)).await?;
        let ms: Option<i64> = row.map(|row| row.try_get("", "ms")).transpose()?;
        Ok(ms.and_then(DateTime::from_timestamp_millis).unwrap_or_default())
    }

    /// Fails unless the database answers.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.reader.ping().await?)
    }

    /// Opens a write transaction; with a lease, committing it also finishes the leased job.
    ///
    /// SQLite takes its write lock now: a transaction that read first and wrote later would fail half-way.
    pub async fn begin(&self, job: Option<Lease>) -> Result<Tx> {
        let immediate = self.is_sqlite().then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: immediate, ..Default::default() };
        Ok(Tx::new(self.writer.begin_with_options(options).await?, job, self.bells.clone()))
    }

    /// Is woken when a transaction added jobs: of this process, or of another while [`Store::hear_of_others`] is polled.
    pub fn jobs_added(&self) -> &Notify {
        self.bells.jobs.heard()
    }

    /// Wakes the workers of this process, and of others.
    pub(crate) fn announce_jobs(&self) {
        self.bells.jobs.ring();
    }

    /// Wakes whoever waits in this process for jobs or for the ledger whenever another process wrote there, for as long as it
    /// is polled. On SQLite there is no other process that could.
    pub async fn hear_of_others(&self) {
        bell::listen([&self.bells.jobs, &self.bells.ledger]).await;
    }

    /// Closes every connection, once what is under way has ended.
    pub async fn close(self) {
        for pool in [self.writer, self.reader] {
            if let Err(error) = pool.close().await {
                tracing::warn!(%error, "a connection could not be closed");
            }
        }
    }

    pub(crate) const fn feed(&self) -> &Feed {
        &self.feed
    }

    pub(crate) const fn feed_bell(&self) -> &Bell {
        &self.bells.ledger
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// The aggregate with this id.
    pub async fn find<T: Stored>(&self, id: impl Into<Uuid>) -> Result<Option<T>> {
        let row = T::Row::find().filter(T::id_column().eq(id.into())).one(&self.reader).await?;
        row.map(|row| T::parts(row).map(|(value, _)| value)).transpose()
    }

    /// The aggregates with these ids, in no particular order; unknown ids are left out.
    pub async fn find_many<T: Stored>(&self, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<T>> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut found = Vec::with_capacity(ids.len());
        // SQLite binds at most 32,766 values.
        for ids in ids.chunks(1_000) {
            let rows = T::Row::find().filter(T::id_column().is_in(ids.iter().copied())).all(&self.reader).await?;
            for row in rows {
                found.push(T::parts(row)?.0);
            }
        }
        Ok(found)
    }

    /// Every aggregate that a query selects, in the query's order. For sets known to be small.
    pub(crate) async fn all<T: Stored>(&self, query: Select<T::Row>) -> Result<Vec<T>> {
        let rows = query.all(&self.reader).await?;
        rows.into_iter().map(|row| T::parts(row).map(|(value, _)| value)).collect()
    }

    /// One page of a query, in the order of ids, which is the order of creation.
    pub(crate) async fn page<T: Stored>(&self, query: Select<T::Row>, page: &Page<Uuid>) -> Result<PageOf<T>> {
        let mut query = query;
        if let Some(after) = page.after {
            query = query.filter(T::id_column().gt(after));
        }
        if let Some(before) = page.before {
            query = query.filter(T::id_column().lt(before));
        }
        let order = if page.backward { sea_orm::Order::Desc } else { sea_orm::Order::Asc };
        let rows = query.order_by(T::id_column(), order).limit(page.limit + 1).all(&self.reader).await?;
        let items = rows.into_iter().map(|row| T::parts(row).map(|(value, _)| value)).collect::<Result<Vec<_>>>()?;
        Ok(PageOf::cut(items, page))
    }
}
