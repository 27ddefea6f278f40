//! One test's world.

use crate::{Cluster, FakeInbox, FakeMailer, FakeReceiver};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Database, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tandem_app::Tracking;
use tandem_app::outbound::Hooks;
use tandem_app::{
    Actor, App, Call, ContactCreate, Env, Links, Mail, NoTraces, QueueRules, SeededChance, SeededIds, UserCreate,
    VirtualClock,
};
use tandem_domain::access::{Role, Side, User};
use tandem_domain::contact::{ConsentGiven, ConsentState, Contact, ContactPatch};
use tandem_domain::edit::Edit;
use tandem_domain::email::Mailbox;
use tandem_jobs::{Runner, Settings as RunnerSettings};
use tandem_store::ledger::{Filter, Link};
use tandem_store::{Page, Settings, Store};
use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell};

/// Monday, 2026-03-02, 09:00 in UTC.
const START_MS: i64 = 1_772_442_000_000;

/// A database of its own with the whole application over it, on a clock that stands until the test moves it.
pub struct World {
    /// The commands.
    pub app: App,
    /// The clock.
    pub clock: Arc<VirtualClock>,
    /// Keeps the e-mails that are sent, and answers as it is told.
    pub mailer: Arc<FakeMailer>,
    /// Holds the e-mails that arrive.
    pub inbox: Arc<FakeInbox>,
    /// Receives webhooks.
    pub hooks: Arc<FakeReceiver>,
    /// Runs jobs when the test says so.
    pub runner: Runner,
    /// The address of the database.
    pub url: String,
    _dir: TempDir,
}

static CLUSTER: OnceCell<Option<Cluster>> = OnceCell::const_new();
static CREATING: Mutex<()> = Mutex::const_new(());
static NEXT: AtomicU32 = AtomicU32::new(1);
static SQLITE_TEMPLATE: OnceCell<(TempDir, PathBuf)> = OnceCell::const_new();

impl World {
    /// A world on SQLite.
    pub async fn sqlite() -> Self {
        let (_, template) = SQLITE_TEMPLATE
            .get_or_init(|| async {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("template.db");
                let store = Store::connect(&settings(format!("sqlite://{}", path.display()))).await.unwrap();
                store.migrate().await.unwrap();
                store.close().await;
                (dir, path)
            })
            .await;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tandem.db");
        std::fs::copy(template, &path).unwrap();
        Self::over(format!("sqlite://{}", path.display()), dir).await
    }

    /// A world on PostgreSQL; none where it is not installed, which in CI is a failure.
    pub async fn postgres() -> Option<Self> {
        let cluster = CLUSTER
            .get_or_init(|| async {
                let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap()?;
                let admin = Database::connect(cluster.url("postgres")).await.unwrap();
                admin.execute_unprepared("CREATE DATABASE template").await.unwrap();
                admin.close().await.unwrap();
                let store = Store::connect(&settings(cluster.url("template"))).await.unwrap();
                store.migrate().await.unwrap();
                store.close().await;
                Some(cluster)
            })
            .await
            .as_ref()?;
        let name = format!("world_{}", NEXT.fetch_add(1, Ordering::SeqCst));
        // A template can be copied by one at a time.
        let one_at_a_time = CREATING.lock().await;
        let admin = Database::connect(cluster.url("postgres")).await.unwrap();
        admin.execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE template")).await.unwrap();
        admin.close().await.unwrap();
        drop(one_at_a_time);
        Some(Self::over(cluster.url(&name), tempfile::tempdir().unwrap()).await)
    }

    /// A world on SQLite with the durability of production, for measurements.
    pub async fn sqlite_durable() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("tandem.db").display());
        Self::migrated(Settings::new(url), dir).await
    }

    /// A world in a new database of a cluster, for measurements.
    pub async fn on(cluster: &Cluster) -> Self {
        let name = format!("measured_{}", NEXT.fetch_add(1, Ordering::SeqCst));
        cluster.create_database(&name);
        Self::migrated(Settings::new(cluster.url(&name)), tempfile::tempdir().unwrap()).await
    }

    async fn migrated(settings: Settings, dir: TempDir) -> Self {
        let world = Self::with(settings, dir).await;
        world.app.store.migrate().await.unwrap();
        world
    }

    async fn over(url: String, dir: TempDir) -> Self {
        Self::with(settings(url), dir).await
    }

    async fn with(settings: Settings, dir: TempDir) -> Self {
        let url = settings.url.clone();
        let store = Store::connect(&settings).await.unwrap();
        let clock = Arc::new(VirtualClock::new(START_MS));
        let mailer = Arc::new(FakeMailer::default());
        let inbox = Arc::new(FakeInbox::default());
        let mail = Mail {
            mailer: mailer.clone(),
            links: Links::new("https://tandem.example", &[7; 32]).unwrap(),
            from: Mailbox::named("Tandem", "tandem@example.com"),
            reply_to: None,
            tracking: Tracking::default(),
            inbox: Some(inbox.clone()),
            unsubscribe_mailbox: Some("answers@example.com".to_owned()),
        };
        let hooks = Arc::new(FakeReceiver::default());
        let env = Env {
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(7)),
            chance: Arc::new(SeededChance::new(7)),
            traces: Arc::new(NoTraces),
            mail: Arc::new(mail),
            hooks: Arc::new(Hooks::usual(hooks.clone())),
            queue: Arc::new(QueueRules::shipped().unwrap()),
        };
        let app = App::new(store, env);
        let runner = Runner::new(app.clone(), "test", RunnerSettings::default());
        Self { app, clock, mailer, inbox, hooks, runner, url, _dir: dir }
    }

    /// Now, by the world's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.app.env.now()
    }

    /// Moves the clock, then runs every job that is due, one by one; gives how many attempts were made.
    pub async fn pass(&self, time: TimeDelta) -> usize {
        self.clock.advance(time);
        self.run_due_jobs().await
    }

    /// Runs every job that is due, and what follows from it at once.
    pub async fn run_due_jobs(&self) -> usize {
        self.runner.run_due().await.unwrap()
    }

    /// A call of Tandem itself.
    pub fn system(&self) -> Call {
        Call::system("test-request")
    }

    /// Adds a user with one role, and gives the user and a call in that role.
    pub async fn user(&self, name: &str, role: Role, side: Option<Side>) -> (User, Call) {
        let command = UserCreate {
            email: format!("{name}@example.com"),
            name: name.to_owned(),
            roles: [role].into(),
            side,
            team: None,
            time_zone: chrono_tz::UTC,
        };
        let user = self.app.run(&self.system(), command).await.unwrap();
        let call = Call::new(Actor::user(user.id, role, user.side), "test-request");
        (user, call)
    }

    /// Adds a contact with this e-mail address, who agreed to be written to.
    pub async fn contact(&self, email: &str) -> Contact {
        let source = Some("test".to_owned());
        let consent = Some(ConsentGiven { state: ConsentState::Granted, source, at: None });
        let patch = ContactPatch { email: Edit::Set(email.to_owned()), consent, ..ContactPatch::default() };
        let command = ContactCreate { contact: patch, default_region: None };
        self.app.run(&self.system(), command).await.unwrap().record
    }

    /// The whole ledger, in order. For worlds of a few thousand entries.
    pub async fn ledger(&self) -> Vec<Link> {
        let mut links = Vec::new();
        loop {
            let after = links.last().map(|link: &Link| link.entry.seq);
            let page = Page { after, ..Page::first(1_000) };
            let part = self.app.store.ledger_page(&Filter::default(), &page).await.unwrap();
            links.extend(part.items);
            if !part.has_next {
                return links;
            }
        }
    }

    /// The kinds of the ledger's entries, in order.
    pub async fn ledger_kinds(&self) -> Vec<String> {
        self.ledger().await.into_iter().map(|link| link.entry.kind).collect()
    }

    /// The kinds of the jobs that are not done, in the order of due time.
    pub async fn job_kinds(&self) -> Vec<String> {
        self.app.store.pending_jobs().await.unwrap().into_iter().map(|(kind, ..)| kind).collect()
    }

    /// Waits until this many transactions on PostgreSQL wait for a lock: so a test knows that each has come as far as it
    /// can, without a guess at how long that takes.
    pub async fn until_waiting(&self, transactions: i64) {
        let connection = Database::connect(&self.url).await.unwrap();
        let sql = "SELECT COUNT(*) AS waiting FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        for tries in 0.. {
            assert!(tries < 2_000, "no {transactions} transactions came to wait for a lock");
            let row =
                connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
            if row.try_get::<i64>("", "waiting").unwrap() >= transactions {
                return connection.close().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs SQL past the application and keeps its transaction, with its locks, open until it is dropped.
    pub async fn hold(&self, sql: &str) -> DatabaseTransaction {
        let transaction = Database::connect(&self.url).await.unwrap().begin().await.unwrap();
        transaction.execute_unprepared(sql).await.unwrap();
        transaction
    }

    /// Runs SQL past the application: to damage what a test wants to see noticed.
    pub async fn tamper(&self, sql: &str) -> Result<(), sea_orm::DbErr> {
        let connection = Database::connect(&self.url).await?;
        let done = connection.execute_unprepared(sql).await.map(drop);
        connection.close().await?;
        done
    }
}

fn settings(url: String) -> Settings {
    Settings { url, max_connections: 8, sync_every_commit: false }
}
