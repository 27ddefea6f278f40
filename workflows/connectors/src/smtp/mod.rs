//! E-mail over SMTP, driven command by command.
//!
//! The point of doing each phase by itself is to know exactly what a failure means. Until the last byte of the
//! message has gone out, a broken line means "certainly not sent"; from then on, until the answer has come, it means
//! "perhaps sent". RFC 5321, 4.2.5: a server takes over responsibility with its 250 after the final dot.

pub mod dkim;
pub mod message;
mod pool;
mod settings;

pub use settings::{AuthMode, DkimSettings, SettingsError, SmtpSettings, TlsMode};

use dkim::Signer;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Code, Response};
use message::Prepared;
use pool::{Leased, Pool};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tandem_app::NoMailer;
use tandem_app::email::port::{Delivery, Mailer, OutgoingEmail, PortFuture, Turn};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The mailer that the settings ask for: SMTP, or, without a host, one that leaves every e-mail waiting.
pub fn mailer(settings: SmtpSettings) -> Result<Arc<dyn Mailer>, SettingsError> {
    if settings.host.trim().is_empty() { Ok(Arc::new(NoMailer)) } else { Ok(Arc::new(SmtpMailer::new(settings)?)) }
}

/// Sends over SMTP, with a small pool of open connections.
#[derive(Debug)]
pub struct SmtpMailer {
    pool: Pool,
    /// As many as connections. Beside the pool's own slots, since whoever holds a turn asks for a connection later.
    turns: Arc<Semaphore>,
    signer: Option<Signer>,
    command: Duration,
    message: Duration,
}

/// What an SMTP exchange before the message led to.
enum Broken {
    /// The server answered no.
    Answer(u16, String),
    /// The line broke, or what came was not SMTP.
    Line(String),
}

fn number(code: Code) -> u16 {
    code.to_string().parse().unwrap_or(0)
}

fn text_of(response: &Response) -> String {
    response.message().collect::<Vec<_>>().join(" ")
}

/// The answer inside an error, where the error is an answer.
fn answer_in(error: &Error) -> Option<(u16, String)> {
    let said = || std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    error.status().map(|code| (number(code), said()))
}

fn broken(error: &Error) -> Broken {
    answer_in(error).map_or_else(|| Broken::Line(error.to_string()), |(code, text)| Broken::Answer(code, text))
}

fn outcome_of_answer(code: u16, response: String, recipient: bool) -> Delivery {
    if code >= 500 { Delivery::Rejected { code, response, recipient } } else { Delivery::Deferred { code, response } }
}

impl SmtpMailer {
    /// Reads the certificates and the key; connects to nothing yet.
    pub fn new(settings: SmtpSettings) -> Result<Self, SettingsError> {
        let signer = settings.dkim.as_ref().map(Signer::new).transpose()?;
        let command = Duration::from_secs(settings.command_timeout_seconds.max(1));
        let message = Duration::from_secs(settings.message_timeout_seconds.max(1));
        let turns = Arc::new(Semaphore::new(settings.connections()));
        Ok(Self { pool: Pool::new(settings)?, turns, signer, command, message })
    }

    async fn say(
        &self,
        line: &mut AsyncSmtpConnection,
        command: impl std::fmt::Display + Send,
    ) -> Result<Response, Broken> {
        match timeout(self.command, line.command(command)).await {
            Ok(answer) => answer.map_err(|error| broken(&error)),
            Err(_) => Err(Broken::Line("the mail server did not answer in time".to_owned())),
        }
    }

    async fn deliver(&self, prepared: &Prepared) -> Delivery {
        let mut fresh_only = false;
        loop {
            let mut leased = match self.pool.lease(fresh_only).await {
                Ok(leased) => leased,
                Err(error) => return Delivery::Unreached { error },
            };
            let (reused, delivery) = (leased.reused, self.over(&mut leased, prepared).await);
            match delivery {
                Ok(delivery) => {
                    // After a refusal the session's state differs between servers: only a clean one is kept.
                    let clean = matches!(delivery, Delivery::Accepted { .. });
                    if clean {
                        self.pool.give_back(leased)
                    } else {
                        leased.hang_up()
                    }
                    return delivery;
                }
                // A server may close an idle connection at any time, also with a 421. Nothing was sent: once more,
                // over a new connection.
                Err(_) if reused => fresh_only = true,
                Err(Broken::Answer(code, text)) => return outcome_of_answer(code, text, false),
                Err(Broken::Line(error)) => return Delivery::Unreached { error },
            }
            leased.hang_up();
        }
    }

    /// One e-mail over one connection. An error is one that happened before the server could know the recipient.
    async fn over(&self, leased: &mut Leased, prepared: &Prepared) -> Result<Delivery, Broken> {
        let line = &mut leased.line;
        let mut options = Vec::new();
        let ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
        if !prepared.envelope.from().into_iter().chain(prepared.envelope.to()).all(ascii) {
            if !line.server_info().supports_feature(Extension::SmtpUtfEight) {
                let response = "5.6.7 the mail server cannot take an address that is not ASCII".to_owned();
                return Ok(Delivery::Rejected { code: 553, response, recipient: true });
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !prepared.bytes.is_ascii() && line.server_info().supports_feature(Extension::EightBitMime) {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        match self.say(line, Mail::new(prepared.envelope.from().cloned(), options)).await {
            Ok(_) => {}
            // The sender is ours: a "never" to it is a setting to mend, and no reason to call any recipient bounced.
            Err(Broken::Answer(code, text)) if code >= 500 => {
                return Ok(Delivery::Unreached { error: format!("the mail server refused the sender: {code} {text}") });
            }
            Err(Broken::Answer(code, text)) if code != 421 => return Ok(outcome_of_answer(code, text, false)),
            Err(broken) => return Err(broken),
        }
        for recipient in prepared.envelope.to() {
            match self.say(line, Rcpt::new(recipient.clone(), Vec::new())).await {
                Ok(_) => {}
                Err(Broken::Answer(code, text)) => return Ok(outcome_of_answer(code, text, true)),
                Err(Broken::Line(error)) => return Ok(Delivery::Unreached { error }),
            }
        }
        match self.say(line, Data).await {
            Ok(answer) if answer.has_code(354) => {}
            Ok(answer) => {
                let error = format!("the mail server answered DATA with {}", number(answer.code()));
                return Ok(Delivery::Unreached { error });
            }
            Err(Broken::Answer(code, text)) => return Ok(outcome_of_answer(code, text, false)),
            Err(Broken::Line(error)) => return Ok(Delivery::Unreached { error }),
        }
        Ok(self.transfer(line, &prepared.bytes).await)
    }

    /// The message and its final dot. `ended` is set when the last byte before the dot has been handed over: a line
    /// that breaks earlier leaves the server without an end of message, so it cannot have taken it.
    async fn transfer(&self, line: &mut AsyncSmtpConnection, bytes: &[u8]) -> Delivery {
        let ended = AtomicBool::new(false);
        let parts = bytes.chunks(64 * 1024).chain(std::iter::from_fn(|| {
            ended.store(true, Ordering::SeqCst);
            None
        }));
        let answer = timeout(self.message, line.message_iter(parts)).await;
        let error = match answer {
            Ok(Ok(response)) if (200..300).contains(&number(response.code())) => {
                return Delivery::Accepted { response: text_of(&response) };
            }
            Ok(Ok(response)) => format!("the mail server answered the message with {}", number(response.code())),
            Ok(Err(error)) => match answer_in(&error) {
                Some((code, text)) => return outcome_of_answer(code, text, false),
                None => error.to_string(),
            },
            Err(_) => "the mail server did not answer the message in time".to_owned(),
        };
        if ended.load(Ordering::SeqCst) { Delivery::Unknown { error } } else { Delivery::Unreached { error } }
    }
}

impl Mailer for SmtpMailer {
    fn turn(&self) -> PortFuture<'_, Turn> {
        Box::pin(async move { Turn::holding(Arc::clone(&self.turns).acquire_owned().await) })
    }

    fn send(&self, message: OutgoingEmail) -> PortFuture<'_, Delivery> {
        Box::pin(async move {
            match message::prepare(&message, self.signer.as_ref()) {
                Ok(prepared) => self.deliver(&prepared).await,
                // The domain refuses what has no form on the wire, so this is a setting that is wrong (the public
                // address, say): nobody has bounced, and it can still go out once that is mended.
                Err(error) => Delivery::Unreached { error },
            }
        })
    }

    fn check(&self) -> PortFuture<'_, Result<String, String>> {
        Box::pin(async move {
            let leased = self.pool.lease(true).await?;
            let protected = if leased.line.is_encrypted() { "encrypted" } else { "not encrypted" };
            let answer = format!("{} ({protected})", self.pool.place());
            leased.hang_up();
            Ok(answer)
        })
    }
}
