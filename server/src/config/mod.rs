//! The configuration: `config/default.toml` (embedded), then a file, then the environment.
//!
//! Owns reading, merging, typing and checking it. An unknown key is an error, never a warning: a misspelt key that is
//! silently ignored is found in production.

mod layers;
mod secret;
mod sections;

pub use secret::Secret;
pub use sections::{
    Database, Imap, ImapTls, Jobs, Leads, Links, Log, LogFormat, Queue, Server, Settings, Smtp, SmtpTls, Traces,
};

use layers::Layers;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The defaults: every key there is.
pub const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// The keys that may name a file which holds the value.
pub const SECRET_KEYS: &[&str] =
    &["database.url", "smtp.password", "smtp.dkim_key", "imap.password", "links.secret", "links.old_secrets"];

/// Why the configuration is refused. Every message says where the fault is.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that Tandem does not have.
    #[error(
        "{place}: `{key}` is not a setting of Tandem; did you mean `{nearest}`? (config/default.toml lists them all)"
    )]
    UnknownKey {
        /// The key as given, dotted.
        key: String,
        /// The file and line, or the variable.
        place: String,
        /// The known key that looks most like it, in the spelling of the place.
        nearest: String,
    },
    /// A value of another type than the default's.
    #[error("{place}: `{key}` must be {expected}")]
    WrongType {
        /// The key, dotted.
        key: String,
        /// The file and line, or the variable.
        place: String,
        /// What is expected, in words.
        expected: &'static str,
    },
    /// The file is not TOML.
    #[error("{place} is not valid TOML: {message}")]
    Syntax {
        /// The file.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path}, named by {by}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What named it: `--config` or a key.
        by: String,
        /// Why.
        source: std::io::Error,
    },
    /// A duration that is too short or too long.
    #[error("the setting `{key}` must be {least} to {most} {unit}, not {given}")]
    OutOfRange {
        /// The key, dotted.
        key: &'static str,
        /// The shortest it may be.
        least: u64,
        /// The longest it may be.
        most: u64,
        /// What it is counted in.
        unit: &'static str,
        /// The value given.
        given: u64,
    },
    /// A value out of range, or one that makes no sense.
    #[error("the setting `{key}` {why}")]
    Invalid {
        /// The key, dotted.
        key: String,
        /// What is wrong, as the rest of the sentence.
        why: String,
    },
}

impl ConfigError {
    fn syntax(place: &str, error: &toml::de::Error) -> Self {
        Self::Syntax { place: place.to_owned(), message: error.to_string().trim_end().to_owned() }
    }

    fn invalid(key: &str, why: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), why: why.into() }
    }
}

impl Settings {
    /// Reads the settings: the defaults, the file (where one is named), the variables (`TANDEM__...` of the
    /// environment; others are ignored).
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::new(DEFAULTS)?;
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                path: path.to_owned(),
                by: "--config or TANDEM_CONFIG".to_owned(),
                source,
            })?;
            layers.file(path, &text)?;
        }
        layers.environment(variables)?;
        for key in SECRET_KEYS {
            layers.replace(key, |text| match text.strip_prefix("file:") {
                None => Ok(None),
                Some(path) => std::fs::read_to_string(path)
                    .map(|content| Some(content.trim_end_matches(['\r', '\n']).to_owned()))
                    .map_err(|source| ConfigError::Unreadable {
                        path: PathBuf::from(path),
                        by: format!("the setting `{key}`"),
                        source,
                    }),
            })?;
        }
        let mut settings = Self::deserialize_table(layers.into_table())?;
        settings.check()?;
        settings.server.public_url = settings.server.public_url.trim_end_matches('/').to_owned();
        Ok(settings)
    }

    /// The defaults alone.
    pub fn defaults() -> Result<Self, ConfigError> {
        Self::load(None, [])
    }

    fn deserialize_table(table: toml::Table) -> Result<Self, ConfigError> {
        serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
            // The merged layers have the right keys and types; what is left is a value outside its range.
            ConfigError::invalid(&error.path().to_string(), format!("is refused: {}", error.inner().message()))
        })
    }

    /// Every duration: its key, its value, the shortest and the longest it may be. A moment is computed from each, and
    /// there is no moment that far ahead without an end to them.
    fn durations(&self) -> [(&'static str, u64, RangeInclusive<u64>); 18] {
        let Self { server, jobs, smtp, imap, leads, queue, .. } = self;
        let (hour, ten_years_of_hours, ten_years_of_days) = (3_600, 87_600, 3_650);
        [
            ("server.graphql_timeout_seconds", server.graphql_timeout_seconds.get(), 1..=hour),
            ("server.request_timeout_seconds", server.request_timeout_seconds.get(), 1..=hour),
            ("server.shutdown_grace_seconds", server.shutdown_grace_seconds, 0..=hour),
            // Longer leases are not found when running jobs are counted for a limit.
            ("jobs.lease_seconds", jobs.lease_seconds.get().into(), 1..=600),
            ("jobs.attempt_seconds", jobs.attempt_seconds.get().into(), 1..=24 * hour),
            ("jobs.poll_ms", jobs.poll_ms.get(), 1..=1_000 * hour),
            ("webhooks.timeout_seconds", self.webhooks.timeout_seconds.get().into(), 1..=300),
            ("smtp.connect_timeout_seconds", smtp.connect_timeout_seconds.get(), 1..=hour),
            ("smtp.command_timeout_seconds", smtp.command_timeout_seconds.get(), 1..=hour),
            ("smtp.message_timeout_seconds", smtp.message_timeout_seconds.get(), 1..=hour),
            ("imap.connect_timeout_seconds", imap.connect_timeout_seconds.get(), 1..=300),
            ("imap.command_timeout_seconds", imap.command_timeout_seconds.get(), 1..=300),
            ("leads.triage_hours", leads.triage_hours.get().into(), 1..=ten_years_of_hours),
            ("leads.queue_hours", leads.queue_hours.get().into(), 1..=ten_years_of_hours),
            ("leads.dispatch_hours", leads.dispatch_hours.get().into(), 1..=ten_years_of_hours),
            ("leads.recycle_days", leads.recycle_days.get().into(), 1..=ten_years_of_days),
            ("queue.claim_lease_minutes", queue.claim_lease_minutes.get().into(), 1..=525_600),
            ("queue.longest_wait_days", queue.longest_wait_days.get().into(), 1..=ten_years_of_days),
        ]
    }

    fn check(&self) -> Result<(), ConfigError> {
        for (key, given, range) in self.durations() {
            if !range.contains(&given) {
                // Every duration's key ends with its unit.
                let unit = key.rsplit('_').next().unwrap_or_default();
                return Err(ConfigError::OutOfRange { key, least: *range.start(), most: *range.end(), unit, given });
            }
        }
        let url = self.database.url.reveal();
        if !["sqlite://", "postgres://", "postgresql://"].iter().any(|known| url.starts_with(known)) {
            // The value is not repeated: it may hold a password.
            return Err(ConfigError::invalid("database.url", "must begin with sqlite:// or postgres://"));
        }
        let public = &self.server.public_url;
        if !public.is_empty() && !public.starts_with("http://") && !public.starts_with("https://") {
            return Err(ConfigError::invalid("server.public_url", "must begin with http:// or https://, or be empty"));
        }
        if !self.server.listen.contains(':') {
            return Err(ConfigError::invalid("server.listen", "must be address:port, for example 127.0.0.1:8080"));
        }
        if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&self.log.filter) {
            return Err(ConfigError::invalid("log.filter", format!("is not a log filter: {error}")));
        }
        let collector = &self.traces.endpoint;
        if !collector.is_empty() && !collector.starts_with("http://") && !collector.starts_with("https://") {
            return Err(ConfigError::invalid("traces.endpoint", "must begin with http:// or https://, or be empty"));
        }
        if !(0.0..=1.0).contains(&self.traces.share) {
            return Err(ConfigError::invalid("traces.share", "must be from 0 to 1"));
        }
        if !self.links.secret.is_empty() && self.links.secret.reveal().len() < 32 {
            return Err(ConfigError::invalid("links.secret", "must be at least 32 characters, or empty"));
        }
        if !self.smtp.host.is_empty() && self.smtp.from.is_empty() {
            return Err(ConfigError::invalid("smtp.from", "is needed when smtp.host is set"));
        }
        if !self.imap.host.is_empty() && self.imap.user.is_empty() {
            return Err(ConfigError::invalid("imap.user", "is needed when imap.host is set"));
        }
        if !self.smtp.unsubscribe_mailbox.is_empty() && !is_plain_address(&self.smtp.unsubscribe_mailbox) {
            let rule = "is an address like answers@example.com, in plain ASCII";
            return Err(ConfigError::invalid("smtp.unsubscribe_mailbox", rule));
        }
        let longest = self.smtp.longest_delivery_seconds();
        if !self.smtp.host.is_empty() && u64::from(self.jobs.attempt_seconds.get()) <= longest {
            let why = format!(
                "must be longer than the {longest} s that an e-mail may take by smtp.connect_timeout_seconds, \
                 smtp.command_timeout_seconds and smtp.message_timeout_seconds: one that is cut off is of unknown fate"
            );
            return Err(ConfigError::invalid("jobs.attempt_seconds", why));
        }
        let longest = self.imap.longest_look_seconds();
        if !self.imap.host.is_empty() && u64::from(self.jobs.attempt_seconds.get()) <= longest {
            let why = format!(
                "must be longer than the {longest} s that a look into the mailbox may take by \
                 imap.connect_timeout_seconds and imap.command_timeout_seconds: one that is cut off is begun again"
            );
            return Err(ConfigError::invalid("jobs.attempt_seconds", why));
        }
        if self.smtp.dkim_selector.is_empty() != self.smtp.dkim_key.is_empty() {
            return Err(ConfigError::invalid("smtp.dkim_selector", "and smtp.dkim_key are set together or not at all"));
        }
        Ok(())
    }
}

/// Whether an address can stand in a `mailto:` link as it is.
fn is_plain_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
    let parts = text.split_once('@');
    let whole = parts.is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') && !domain.contains('@'));
    whole && text.chars().all(plain)
}

#[cfg(test)]
mod tests;
