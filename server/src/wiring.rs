//! The one place with the machine's clock, its randomness and its ids, where everything is put together.

use crate::config::{ImapTls, Settings, SmtpTls};
use crate::shutdown::Shutdown;
use crate::telemetry::OtelTraces;
use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use tandem_app::Tracking;
use tandem_app::email::port::{Mailbox, Mailer};
use tandem_app::outbound::{Hooks, NoSender, WebhookSender};
use tandem_app::received::port::Inbox;
use tandem_app::{App, AppError, Call, Chance, Clock, Env, Ids, Links, Mail, QueueRules, TaxonomyLibraryInstall};
use tandem_connectors::imap::{self, ImapInbox, ImapSettings};
use tandem_connectors::smtp::{DkimSettings, SmtpSettings, TlsMode};
use tandem_connectors::webhook::{HttpSender, Rules};
use tandem_domain::lead::Patience;
use tandem_domain::verification::{Checklist, Policy};
use tandem_domain::work_item::Lease;
use tandem_jobs::{Metrics, Runner};
use tandem_store::jobs::Now;
use tandem_store::{Store, StoreError};
use uuid::Uuid;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "the one place where the machine is asked")]
        Utc::now()
    }
}

/// Ids of version 7: their order is the order of creation, within one millisecond by chance.
#[derive(Debug, Clone, Copy)]
struct TimeOrderedIds;

impl Ids for TimeOrderedIds {
    fn next(&self, now: DateTime<Utc>) -> Uuid {
        let mut random = [0; 10];
        SystemChance.fill(&mut random);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// The operating system's randomness, through a generator fit for secrets.
#[derive(Debug, Clone, Copy)]
struct SystemChance;

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "the one place where the machine is asked")]
        rand::RngCore::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// Now, by the machine's clock.
pub fn now() -> DateTime<Utc> {
    SystemClock.now()
}

/// What sends e-mail: SMTP where a mail server is configured.
pub fn mailer(settings: &Settings) -> anyhow::Result<Arc<dyn Mailer>> {
    let smtp = &settings.smtp;
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let dkim = (!smtp.dkim_key.is_empty()).then(|| DkimSettings {
        domain: some(&smtp.dkim_domain).or_else(|| smtp.from.rsplit('@').next().map(str::to_owned)).unwrap_or_default(),
        selector: smtp.dkim_selector.clone(),
        private_key: smtp.dkim_key.reveal().to_owned(),
    });
    let settings = SmtpSettings {
        host: smtp.host.clone(),
        port: Some(smtp.port.get()),
        tls: match smtp.tls {
            SmtpTls::None => TlsMode::None,
            SmtpTls::Opportunistic => TlsMode::Opportunistic,
            SmtpTls::Starttls => TlsMode::Starttls,
            SmtpTls::Tls => TlsMode::Implicit,
        },
        ca_file: some(&smtp.ca_file).map(Into::into),
        username: some(&smtp.user),
        password: some(smtp.password.reveal()),
        hello_name: smtp.hello_name.clone(),
        connect_timeout_seconds: smtp.connect_timeout_seconds.get(),
        command_timeout_seconds: smtp.command_timeout_seconds.get(),
        message_timeout_seconds: smtp.message_timeout_seconds.get(),
        max_connections: smtp.pool_size.get(),
        dkim,
        ..SmtpSettings::default()
    };
    Ok(tandem_connectors::smtp::mailer(settings)?)
}

/// What looks into the mailbox that answers come to, where one is configured.
pub fn inbox(settings: &Settings) -> anyhow::Result<Option<Arc<dyn Inbox>>> {
    let imap = &settings.imap;
    if imap.host.is_empty() {
        return Ok(None);
    }
    let settings = ImapSettings {
        host: imap.host.clone(),
        port: Some(imap.port.get()),
        tls: match imap.tls {
            ImapTls::None => imap::TlsMode::None,
            ImapTls::Starttls => imap::TlsMode::Starttls,
            ImapTls::Tls => imap::TlsMode::Implicit,
        },
        ca_file: (!imap.ca_file.is_empty()).then(|| (&imap.ca_file).into()),
        username: imap.user.clone(),
        password: imap.password.reveal().to_owned(),
        folder: imap.folder.clone(),
        connect_timeout_seconds: imap.connect_timeout_seconds.get(),
        command_timeout_seconds: imap.command_timeout_seconds.get(),
    };
    Ok(Some(Arc::new(ImapInbox::new(settings)?)))
}

/// Everything that e-mail needs.
pub async fn mail(settings: &Settings, store: &Store) -> anyhow::Result<Mail> {
    let smtp = &settings.smtp;
    let named = |address: &str, name: &str| Mailbox {
        address: address.to_owned(),
        name: (!name.is_empty()).then(|| name.to_owned()),
    };
    // Without a mail server nothing is sent, and the sender of what is planned meanwhile is a placeholder.
    let from = if smtp.from.is_empty() { "tandem@localhost.invalid" } else { &smtp.from };
    let secret = link_secret(settings, store).await?;
    Ok(Mail {
        mailer: mailer(settings)?,
        links: Links::after(&settings.server.base_url(), secret.as_bytes(), settings.links.old_secrets.reveal())?,
        from: named(from, &smtp.from_name),
        reply_to: (!smtp.reply_to.is_empty()).then(|| named(&smtp.reply_to, "")),
        tracking: Tracking { opens: settings.links.track_opens, clicks: settings.links.track_clicks },
        inbox: inbox(settings)?,
        unsubscribe_mailbox: Some(smtp.unsubscribe_mailbox.clone()).filter(|mailbox| !mailbox.is_empty()),
    })
}

/// A list in a setting, separated by commas.
fn listed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> anyhow::Result<Vec<T>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|why| anyhow::anyhow!("{name}: `{part}`: {why}"))).collect()
}

/// How often a delivery to a webhook is tried again at most, and how long is waited at most, in seconds.
const MOST_RETRIES: usize = 20;
const LONGEST_WAIT: u32 = 7 * 24 * 60 * 60;

/// What posts outbound webhooks, and when again.
pub fn hooks(settings: &Settings) -> anyhow::Result<Hooks> {
    let webhooks = &settings.webhooks;
    let rules = Rules {
        allow: listed("webhooks.allow_networks", &webhooks.allow_networks)?,
        allow_http: webhooks.allow_http,
        timeout: std::time::Duration::from_secs(webhooks.timeout_seconds.get().into()),
    };
    let waits: Vec<u32> = listed("webhooks.retry_waits", &webhooks.retry_waits)?;
    if waits.len() > MOST_RETRIES || waits.iter().any(|wait| !(1..=LONGEST_WAIT).contains(wait)) {
        bail!("webhooks.retry_waits: at most {MOST_RETRIES} waits of 1 to {LONGEST_WAIT} seconds");
    }
    let schedule = waits.into_iter().map(|seconds| TimeDelta::seconds(seconds.into())).collect();
    let sender: Arc<dyn WebhookSender> = match HttpSender::new(rules) {
        Ok(sender) => Arc::new(sender),
        // A machine without certificates to trust can do everything else.
        Err(error) => {
            tracing::warn!(%error, "outbound webhooks cannot be posted; install the system's CA certificates");
            Arc::new(NoSender)
        }
    };
    Ok(Hooks { sender, schedule })
}

/// The rules of the SDR queue, with the configured checklist.
pub fn queue_rules(settings: &Settings) -> anyhow::Result<QueueRules> {
    let (leads, queue) = (&settings.leads, &settings.queue);
    let patience = Patience {
        triage_hours: leads.triage_hours.get(),
        queue_hours: leads.queue_hours.get(),
        dispatch_hours: leads.dispatch_hours.get(),
        recycle_days: leads.recycle_days.get(),
        moves_by_timer: leads.moves_by_timer.get(),
    };
    let lease = Lease { minutes: queue.claim_lease_minutes.get(), longest_wait_days: queue.longest_wait_days.get() };
    let checklist = if queue.checklist_file.is_empty() {
        Checklist::from_yaml(Checklist::SHIPPED)?
    } else {
        let named = || format!("the checklist {} (queue.checklist_file)", queue.checklist_file);
        let text = std::fs::read_to_string(&queue.checklist_file).with_context(named)?;
        Checklist::from_yaml(&text).with_context(named)?
    };
    Ok(QueueRules { checklist, policy: Policy { patience, lease } })
}

/// The real clock, ids and chance, the mail server, and the rules.
pub async fn env(settings: &Settings, store: &Store) -> anyhow::Result<Env> {
    let mail = Arc::new(mail(settings, store).await?);
    let queue = Arc::new(queue_rules(settings)?);
    let (clock, ids, chance) = (Arc::new(SystemClock), Arc::new(TimeOrderedIds), Arc::new(SystemChance));
    let hooks = Arc::new(hooks(settings)?);
    Ok(Env { clock, ids, chance, traces: Arc::new(OtelTraces), mail, hooks, queue })
}

/// When to bring the tables up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// On SQLite, which has one process; on PostgreSQL the operator chooses the moment.
    WhereSafe,
    /// In any case.
    Always,
}

/// Connects, and looks no further.
pub async fn connect(settings: &Settings) -> anyhow::Result<Store> {
    let database = tandem_store::Settings {
        url: settings.database.url.reveal().to_owned(),
        max_connections: settings.database.max_connections.get(),
        sync_every_commit: settings.database.sync_every_commit,
    };
    // The address itself is not repeated: it may hold a password.
    Store::connect(&database).await.context("cannot open the database named by database.url")
}

/// Connects, and makes sure that the tables are those that this program needs.
pub async fn open(settings: &Settings, migrate: Migrate) -> anyhow::Result<Store> {
    let store = connect(settings).await?;
    if migrate == Migrate::Always || store.is_sqlite() {
        store.migrate().await.context("cannot bring the tables up to date")?;
    } else {
        store.check_migrated().await?;
    }
    Ok(store)
}

/// The same for a command that works on what is there: an SQLite file that does not exist is most often a mistyped path or
/// the wrong folder, and a new empty database would look like success.
pub async fn open_existing(settings: &Settings) -> anyhow::Result<Store> {
    let url = settings.database.url.reveal();
    if let Some(path) = url.strip_prefix("sqlite://").map(|path| path.split('?').next().unwrap_or_default())
        && !std::path::Path::new(path).exists()
    {
        bail!(
            "there is no database at {path} (database.url): `tandem serve` and `tandem migrate up` make one; else check \
             the path and the folder you are in"
        );
    }
    open(settings, Migrate::WhereSafe).await
}

/// The application over a store, with the real clock, ids and chance. A new database gets the taxonomies that are shipped,
/// without which no row with a tier, an industry or a territory could be taken.
pub async fn app(settings: &Settings, store: Store) -> anyhow::Result<App> {
    let env = env(settings, &store).await?;
    let app = App::new(store, env);
    if app.store.count("taxonomy_term").await? == 0 {
        match app.run(&Call::system("first start"), TaxonomyLibraryInstall).await {
            // Another process that starts at the same moment was first.
            Ok(_) | Err(AppError::Store(StoreError::Duplicate { .. } | StoreError::Conflict)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(app)
}

/// The key that signs links: the configured one, or one made once and kept in the database, the same for all nodes.
pub async fn link_secret(settings: &Settings, store: &Store) -> anyhow::Result<String> {
    if !settings.links.secret.is_empty() {
        return Ok(settings.links.secret.reveal().to_owned());
    }
    let mut bytes = [0; 32];
    SystemChance.fill(&mut bytes);
    let kept = store.keep_first_checkpoint("links.secret", &URL_SAFE_NO_PAD.encode(bytes)).await?;
    if kept.len() < 32 {
        bail!("the link key kept in the database is damaged; set links.secret");
    }
    Ok(kept)
}

/// What makes request ids: the random part of them is short enough to be read aloud.
pub fn request_ids(env: &Env) -> Arc<dyn Fn() -> String + Send + Sync> {
    let chance = env.chance.clone();
    Arc::new(move || {
        let mut bytes = [0; 12];
        chance.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    })
}

/// The name of a process that runs jobs: its machine, what it was started as and its number; and a part of its own, since
/// another one's leases must not be taken for ours, and in a container every process is the first.
fn node_name(app: &App, role: &str) -> String {
    let machine = whoami::hostname().unwrap_or_else(|_| "unnamed".to_owned());
    let own = app.env.id::<Uuid>(app.env.now()).simple().to_string();
    format!("{machine}-{role}-{}-{}", std::process::id(), &own[own.len() - 8..])
}

/// Says so where another process already runs jobs on this SQLite file: nothing breaks, but they are not told of each
/// other's jobs. One that was killed a moment ago looks the same, so that this is no error.
async fn warn_of_others(app: &App) {
    let nodes = app.store.nodes(Now::Database).await.unwrap_or_default();
    for other in nodes.iter().filter(|node| !node.lost()) {
        tracing::warn!(
            other = other.name,
            "another process runs jobs on this SQLite file, or was killed within the last half minute; for several \
             processes take PostgreSQL"
        );
    }
}

/// Runs the workers of this process, started as `role`, until the shutdown, and then until what is in hand is finished or
/// given back.
pub async fn work(settings: &Settings, app: App, role: &str, metrics: Metrics, shutdown: Shutdown) {
    let workers = tandem_jobs::Settings {
        concurrency: settings.jobs.concurrency.get(),
        lease_seconds: settings.jobs.lease_seconds.get(),
        poll_ms: settings.jobs.poll_ms.get(),
        attempt: Duration::from_secs(settings.jobs.attempt_seconds.get().into()),
    };
    let node = node_name(&app, role);
    if app.store.is_sqlite() {
        warn_of_others(&app).await;
    }
    let grace = Duration::from_secs(settings.server.shutdown_grace_seconds);
    let database = if app.store.is_sqlite() { "SQLite" } else { "PostgreSQL" };
    tracing::info!(node, database, concurrency = workers.concurrency, "workers started");
    let runner = Runner::new(app, node, workers).with_metrics(metrics);
    tandem_jobs::run_workers(runner, shutdown.receiver(), grace).await;
    tracing::info!("workers stopped");
}
