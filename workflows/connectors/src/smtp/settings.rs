//! The `[smtp]` section of the configuration.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Not at all: for a relay on the same machine.
    None,
    /// By STARTTLS, or not at all where the server does not offer it. Credentials are then not sent.
    Opportunistic,
    /// By STARTTLS, which the server must offer.
    #[default]
    Starttls,
    /// From the first byte (usually port 465).
    Implicit,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// PLAIN where the server offers it, else LOGIN.
    #[default]
    Auto,
    /// PLAIN only.
    Plain,
    /// LOGIN only.
    Login,
}

/// How to sign with DKIM.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DkimSettings {
    /// The signing domain (`d=`), e.g. `example.com`. It should be the sender's domain or above it.
    pub domain: String,
    /// The selector (`s=`): the key is published at `<selector>._domainkey.<domain>`.
    pub selector: String,
    /// The private key as PEM: RSA of at least 2048 bits (PKCS #8 or PKCS #1), or Ed25519 (PKCS #8).
    pub private_key: String,
}

impl std::fmt::Debug for DkimSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { domain, selector, .. } = self;
        f.debug_struct("DkimSettings").field("domain", domain).field("selector", selector).finish_non_exhaustive()
    }
}

/// The `[smtp]` section. Without a host nothing is sent, and every e-mail waits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmtpSettings {
    /// The mail server's name or address; empty means that there is none.
    pub host: String,
    /// Its port; by default 465 for implicit TLS, 25 without TLS, else 587.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub tls: TlsMode,
    /// A file of PEM certificates to trust beside the public authorities.
    pub ca_file: Option<PathBuf>,
    /// The user to log in as; none means that nobody logs in.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// How to log in.
    pub auth: AuthMode,
    /// The name said in EHLO; by default `localhost`.
    pub hello_name: String,
    /// Seconds to wait for a connection, TLS included.
    pub connect_timeout_seconds: u64,
    /// Seconds to wait for the answer to a command.
    pub command_timeout_seconds: u64,
    /// Seconds to wait for the answer to the message itself. RFC 5321 recommends 600: a shorter time makes more
    /// e-mails of unknown fate.
    pub message_timeout_seconds: u64,
    /// Connections open at the same time, at most.
    pub max_connections: usize,
    /// E-mails sent over one connection before it is closed.
    pub messages_per_connection: u32,
    /// Seconds after which an idle connection is closed.
    pub idle_seconds: u64,
    /// How to sign; none means unsigned.
    pub dkim: Option<DkimSettings>,
}

impl Default for SmtpSettings {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: None,
            tls: TlsMode::default(),
            ca_file: None,
            username: None,
            password: None,
            auth: AuthMode::default(),
            hello_name: "localhost".to_owned(),
            connect_timeout_seconds: 15,
            command_timeout_seconds: 60,
            message_timeout_seconds: 600,
            max_connections: 4,
            messages_per_connection: 100,
            idle_seconds: 20,
            dkim: None,
        }
    }
}

impl std::fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpSettings")
            .field("host", &self.host)
            .field("port", &self.port())
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("dkim", &self.dkim)
            .finish_non_exhaustive()
    }
}

impl SmtpSettings {
    /// How many connections may be open at the same time: 1 to 1,000.
    pub(super) fn connections(&self) -> usize {
        self.max_connections.clamp(1, 1_000)
    }

    /// The port that is used.
    pub const fn port(&self) -> u16 {
        match (self.port, self.tls) {
            (Some(port), _) => port,
            (None, TlsMode::Implicit) => 465,
            (None, TlsMode::None) => 25,
            (None, TlsMode::Opportunistic | TlsMode::Starttls) => 587,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file of certificates cannot be read.
    #[error("smtp.ca_file {path}: {cause}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The TLS library refuses the settings.
    #[error("smtp.tls: {0}")]
    Tls(String),
    /// The signing key cannot be used.
    #[error("smtp.dkim.private_key: {0}")]
    DkimKey(String),
    /// Half a login.
    #[error("smtp.username and smtp.password belong together; give both or neither")]
    HalfALogin,
}
