//! The typed form of `config/default.toml`: one struct per section. What a key means is written there, in one place.
//!
//! No field is optional: the defaults are in the file, so that the file shows every key there is.

use super::Secret;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};

/// Every setting of the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The HTTP server.
    pub server: Server,
    /// The database.
    pub database: Database,
    /// The log.
    pub log: Log,
    /// Traces.
    pub traces: Traces,
    /// The workers.
    pub jobs: Jobs,
    /// Outgoing mail.
    pub smtp: Smtp,
    /// The mailbox that answers come to.
    pub imap: Imap,
    /// Outbound webhooks.
    pub webhooks: Webhooks,
    /// Signed links.
    pub links: Links,
    /// How long leads may stay where they are.
    pub leads: Leads,
    /// The SDR queue.
    pub queue: Queue,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port.
    pub listen: String,
    /// The address others reach the server at; empty: derived from `listen`.
    pub public_url: String,
    /// Whether browsers get GraphiQL.
    pub graphiql: bool,
    /// Seconds.
    pub graphql_timeout_seconds: NonZeroU64,
    /// Seconds.
    pub request_timeout_seconds: NonZeroU64,
    /// A file; empty: none.
    pub trusted_documents: String,
    /// Whether nothing else is executed.
    pub only_trusted_documents: bool,
    /// Of one token.
    pub requests_per_second: NonZeroU32,
    /// Of one token.
    pub request_burst: NonZeroU32,
    /// Of one sender.
    pub events_per_second: NonZeroU32,
    /// Of one sender.
    pub event_burst: NonZeroU32,
    /// Bytes.
    pub max_body_bytes: NonZeroUsize,
    /// Seconds.
    pub shutdown_grace_seconds: u64,
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://PATH` or `postgres://...`; it may hold a password.
    pub url: Secret,
    /// The most connections of this process.
    pub max_connections: NonZeroU32,
    /// SQLite: whether every commit waits for the disk.
    pub sync_every_commit: bool,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// An `EnvFilter`.
    pub filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[traces]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// The collector; empty: none.
    pub endpoint: String,
    /// From 0 to 1.
    pub share: f64,
    /// The name of this process.
    pub service_name: String,
}

/// `[jobs]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// Whether `serve` runs workers too.
    pub workers: bool,
    /// Jobs at once.
    pub concurrency: NonZeroUsize,
    /// Seconds.
    pub lease_seconds: NonZeroU32,
    /// Seconds.
    pub attempt_seconds: NonZeroU32,
    /// Milliseconds.
    pub poll_ms: NonZeroU64,
}

/// `[imap]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imap {
    /// The server; empty: none.
    pub host: String,
    /// Its port.
    pub port: NonZeroU16,
    /// How the connection is protected.
    pub tls: ImapTls,
    /// The user to log in as.
    pub user: String,
    /// The password of `user`.
    pub password: Secret,
    /// The folder to read.
    pub folder: String,
    /// PEM of a private authority; empty: the public ones.
    pub ca_file: String,
    /// Seconds.
    pub connect_timeout_seconds: NonZeroU64,
    /// Seconds.
    pub command_timeout_seconds: NonZeroU64,
}

impl Imap {
    /// The longest that one look into the mailbox may take, in seconds.
    pub(super) fn longest_look_seconds(&self) -> u64 {
        let commands = u64::from(tandem_connectors::imap::COMMANDS_OF_A_LOOK);
        self.connect_timeout_seconds.get() + commands * self.command_timeout_seconds.get()
    }
}

/// How the connection to the mailbox is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImapTls {
    /// Not at all.
    None,
    /// By STARTTLS, which the server must offer.
    Starttls,
    /// From the first byte.
    Tls,
}

/// `[webhooks]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Seconds.
    pub timeout_seconds: NonZeroU32,
    /// Seconds, separated by commas.
    pub retry_waits: String,
    /// Whether http is posted to.
    pub allow_http: bool,
    /// CIDR, separated by commas.
    pub allow_networks: String,
}

/// `[smtp]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The mail server; empty: none.
    pub host: String,
    /// Its port.
    pub port: NonZeroU16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Empty: no authentication.
    pub user: String,
    /// The password of `user`.
    pub password: Secret,
    /// The sender's address.
    pub from: String,
    /// The sender's name.
    pub from_name: String,
    /// Where answers go; empty: to the sender.
    pub reply_to: String,
    /// Where mail programs write for "unsubscribe"; empty: nowhere.
    pub unsubscribe_mailbox: String,
    /// PEM of a private authority; empty: the public ones.
    pub ca_file: String,
    /// Connections at once.
    pub pool_size: NonZeroUsize,
    /// The name in EHLO.
    pub hello_name: String,
    /// Seconds.
    pub connect_timeout_seconds: NonZeroU64,
    /// Seconds.
    pub command_timeout_seconds: NonZeroU64,
    /// Seconds.
    pub message_timeout_seconds: NonZeroU64,
    /// Empty: no signature.
    pub dkim_selector: String,
    /// Empty: the domain of `from`.
    pub dkim_domain: String,
    /// PEM: RSA or Ed25519.
    pub dkim_key: Secret,
}

impl Smtp {
    /// The longest that one attempt at an e-mail may take, in seconds: a command over a connection that has gone stale,
    /// then a connection, MAIL, RCPT, DATA and the message, and the wait for a turn before all that.
    pub(super) fn longest_delivery_seconds(&self) -> u64 {
        let turn = tandem_jobs::TURN_PATIENCE.as_secs();
        let (connect, command) = (self.connect_timeout_seconds.get(), self.command_timeout_seconds.get());
        turn + connect + 4 * command + self.message_timeout_seconds.get()
    }
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// By STARTTLS where the server offers it; else not at all, and then without logging in.
    Opportunistic,
    /// By STARTTLS, which is required.
    Starttls,
    /// From the first byte.
    Tls,
}

/// `[links]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// Signs links; empty: made once and kept in the database.
    pub secret: Secret,
    /// Signed links before, the oldest first; `-` in the place of one that shall open nothing any more.
    pub old_secrets: Secret,
    /// Whether a picture tells that an e-mail was opened.
    pub track_opens: bool,
    /// Whether links of e-mails lead through here.
    pub track_clicks: bool,
}

/// `[leads]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leads {
    /// Hours.
    pub triage_hours: NonZeroU32,
    /// Hours.
    pub queue_hours: NonZeroU32,
    /// Hours.
    pub dispatch_hours: NonZeroU32,
    /// Days.
    pub recycle_days: NonZeroU32,
    /// How often in a row a timer may move a lead.
    pub moves_by_timer: NonZeroU32,
}

/// `[queue]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Minutes.
    pub claim_lease_minutes: NonZeroU32,
    /// Days.
    pub longest_wait_days: NonZeroU32,
    /// A YAML file; empty: the shipped checklist.
    pub checklist_file: String,
}

impl Server {
    /// What links begin with: no slash at the end.
    pub fn base_url(&self) -> String {
        if self.public_url.is_empty() {
            format!("http://{}", self.listen)
        } else {
            self.public_url.trim_end_matches('/').to_owned()
        }
    }
}
