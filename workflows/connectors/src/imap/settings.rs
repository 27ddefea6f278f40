//! The `[imap]` section of the configuration.

use super::error::ImapError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The longest that any time-out may be, in seconds.
const LONGEST_TIMEOUT: u64 = 3_600;
/// How many commands of the longest duration one look may take.
pub const COMMANDS_OF_A_LOOK: u32 = 10;

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Not at all: for a server on the same machine. The password goes out in the clear.
    None,
    /// By STARTTLS, which the server must offer.
    Starttls,
    /// From the first byte (usually port 993).
    #[default]
    Implicit,
}

/// The `[imap]` section. Without a host nothing is polled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImapSettings {
    /// The mail server's name or address; empty means that there is none.
    pub host: String,
    /// Its port; by default 993 for implicit TLS, else 143.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub tls: TlsMode,
    /// A file of PEM certificates to trust beside the public authorities.
    pub ca_file: Option<PathBuf>,
    /// The user to log in as.
    pub username: String,
    /// The password.
    pub password: String,
    /// The folder that is read. It is never written to.
    pub folder: String,
    /// Seconds to wait for a connection, TLS and the server's greeting included.
    pub connect_timeout_seconds: u64,
    /// Seconds to wait for the answer to a command. A look as a whole takes ten times as long at most.
    pub command_timeout_seconds: u64,
}

impl Default for ImapSettings {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: None,
            tls: TlsMode::default(),
            ca_file: None,
            username: String::new(),
            password: String::new(),
            folder: "INBOX".to_owned(),
            connect_timeout_seconds: 15,
            command_timeout_seconds: 60,
        }
    }
}

impl std::fmt::Debug for ImapSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImapSettings")
            .field("host", &self.host)
            .field("port", &self.port())
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &"***")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl ImapSettings {
    /// The port that is used.
    pub const fn port(&self) -> u16 {
        match (self.port, self.tls) {
            (Some(port), _) => port,
            (None, TlsMode::Implicit) => 993,
            (None, TlsMode::None | TlsMode::Starttls) => 143,
        }
    }

    /// Where the mail server is, for an operator.
    pub(super) fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port())
        } else {
            format!("{}:{}", self.host, self.port())
        }
    }

    /// How long a connection may take.
    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_seconds.clamp(1, LONGEST_TIMEOUT))
    }

    /// How long the answer to a command may take.
    pub(super) fn command_timeout(&self) -> Duration {
        Duration::from_secs(self.command_timeout_seconds.clamp(1, LONGEST_TIMEOUT))
    }

    /// How long all of a look may take.
    pub(super) fn look_timeout(&self) -> Duration {
        self.connect_timeout().saturating_add(self.command_timeout().saturating_mul(COMMANDS_OF_A_LOOK))
    }

    /// A command ends with its line. So nothing that goes into one has a line end in it, and nothing else that moves a
    /// cursor.
    pub(super) fn judge(&self) -> Result<(), ImapError> {
        let texts = [
            ("host", &self.host),
            ("username", &self.username),
            ("password", &self.password),
            ("folder", &self.folder),
        ];
        for (key, text) in texts {
            if text.trim().is_empty() {
                return Err(ImapError::Settings(format!("{key} must be set")));
            }
            if text.chars().any(char::is_control) {
                return Err(ImapError::Settings(format!("{key} has a control character in it")));
            }
        }
        Ok(())
    }
}
