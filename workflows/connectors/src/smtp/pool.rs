//! Open connections to the mail server: a few, reused while they are fresh.

use super::settings::{AuthMode, SettingsError, SmtpSettings, TlsMode};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

struct Idle {
    line: AsyncSmtpConnection,
    used: u32,
    since: Instant,
}

/// Opens, lends and takes back connections.
pub(super) struct Pool {
    settings: SmtpSettings,
    tls: Option<TlsParameters>,
    login: Option<Credentials>,
    idle: Mutex<Vec<Idle>>,
    slots: Arc<Semaphore>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A connection in use. Its slot is free again when it is dropped.
pub(super) struct Leased {
    pub(super) line: AsyncSmtpConnection,
    pub(super) reused: bool,
    used: u32,
    _slot: OwnedSemaphorePermit,
}

impl Leased {
    /// Says good-bye in the background: the outcome of the e-mail does not wait for it.
    pub(super) fn hang_up(self) {
        let mut line = self.line;
        tokio::spawn(async move {
            let _ = timeout(Duration::from_secs(5), line.abort()).await;
        });
    }
}

impl Pool {
    pub(super) fn new(settings: SmtpSettings) -> Result<Self, SettingsError> {
        let tls = if settings.tls == TlsMode::None { None } else { Some(tls_parameters(&settings)?) };
        let login = match (&settings.username, &settings.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.clone())),
            (None, None) => None,
            _ => return Err(SettingsError::HalfALogin),
        };
        let slots = Arc::new(Semaphore::new(settings.connections()));
        Ok(Self { settings, tls, login, idle: Mutex::new(Vec::new()), slots })
    }

    /// Where the mail server is, for an operator.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.settings.host, self.settings.port())
    }

    fn pop_idle(&self) -> Option<Idle> {
        let keep = Duration::from_secs(self.settings.idle_seconds);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|found| found.since.elapsed() < keep);
        idle.pop()
    }

    /// A connection that is ready for MAIL; a new one where `fresh_only` or where none is idle.
    pub(super) async fn lease(&self, fresh_only: bool) -> Result<Leased, String> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| "the mailer is closed".to_owned())?;
        if !fresh_only && let Some(Idle { line, used, .. }) = self.pop_idle() {
            return Ok(Leased { line, used, reused: true, _slot: slot });
        }
        let limit = Duration::from_secs(self.settings.connect_timeout_seconds.max(1));
        let line = timeout(limit, self.open(limit))
            .await
            .map_err(|_| format!("{} did not answer in time", self.place()))?
            .map_err(|cause| format!("{}: {cause}", self.place()))?;
        Ok(Leased { line, used: 0, reused: false, _slot: slot })
    }

    /// Takes back a connection over which an e-mail has just been sent.
    pub(super) fn give_back(&self, leased: Leased) {
        let used = leased.used.saturating_add(1);
        if used >= self.settings.messages_per_connection || leased.line.has_broken() {
            return leased.hang_up();
        }
        let idle = Idle { line: leased.line, used, since: Instant::now() };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }

    async fn open(&self, limit: Duration) -> Result<AsyncSmtpConnection, String> {
        let name = ClientId::Domain(self.settings.hello_name.clone());
        let server = (self.settings.host.as_str(), self.settings.port());
        let at_once = self.tls.clone().filter(|_| self.settings.tls == TlsMode::Implicit);
        let mut line = AsyncSmtpConnection::connect_tokio1(server, Some(limit), &name, at_once, None)
            .await
            .map_err(|error| error.to_string())?;
        let wanted = match self.settings.tls {
            TlsMode::Starttls => true,
            TlsMode::Opportunistic => line.can_starttls(),
            TlsMode::None | TlsMode::Implicit => false,
        };
        if wanted && let Some(tls) = self.tls.clone() {
            line.starttls(tls, &name).await.map_err(|error| error.to_string())?;
        }
        if let Some(login) = &self.login {
            // Where TLS was asked for, a password never goes out in the clear; `none` says that it may.
            if !line.is_encrypted() && self.settings.tls != TlsMode::None {
                return Err("the server offers no STARTTLS, so the password was not sent".to_owned());
            }
            let mechanisms: &[Mechanism] = match self.settings.auth {
                AuthMode::Auto => &[Mechanism::Plain, Mechanism::Login],
                AuthMode::Plain => &[Mechanism::Plain],
                AuthMode::Login => &[Mechanism::Login],
            };
            line.auth(mechanisms, login).await.map_err(|error| format!("login refused: {error}"))?;
        }
        Ok(line)
    }
}

fn tls_parameters(settings: &SmtpSettings) -> Result<TlsParameters, SettingsError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let refused = |cause: String| SettingsError::CaFile { path: path.clone(), cause };
        let pem = std::fs::read(path).map_err(|cause| refused(cause.to_string()))?;
        builder =
            builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|cause| refused(cause.to_string()))?);
    }
    builder.build().map_err(|error| SettingsError::Tls(error.to_string()))
}
