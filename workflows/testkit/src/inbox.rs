//! A mailbox for tests that are about something else than IMAP.

use chrono::{DateTime, Utc};
use std::sync::{Mutex, PoisonError};
use tandem_app::email::port::PortFuture;
use tandem_app::received::port::{Inbox, Look, Message};

/// How many messages one look gives.
const AT_ONCE: usize = 2;

/// Holds what is put in, and gives it out after a cursor, which is a number.
#[derive(Debug, Default)]
pub struct FakeInbox {
    messages: Mutex<Vec<Vec<u8>>>,
    broken: Mutex<Option<String>>,
}

impl FakeInbox {
    /// Puts a message in, with the line ends of e-mail.
    pub fn put(&self, text: &str) {
        let raw = text.replace('\n', "\r\n").into_bytes();
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(raw);
    }

    /// Cannot be read for this reason from now on; none: it can again.
    pub fn fail(&self, why: Option<&str>) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = why.map(str::to_owned);
    }
}

impl Inbox for FakeInbox {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    fn look(&self, after: Option<String>, _since: DateTime<Utc>) -> PortFuture<'_, Result<Look, String>> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            if let Some(why) = broken {
                return Err(why);
            }
            let from = after.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
            let found: Vec<Message> =
                all.iter().skip(from).take(AT_ONCE).map(|raw| Message { raw: raw.clone(), arrived_at: None }).collect();
            let read = from + found.len();
            Ok(Look { messages: found, cursor: read.to_string(), more: read < all.len() })
        })
    }

    fn check(&self) -> PortFuture<'_, Result<String, String>> {
        Box::pin(async { Ok("fake".to_owned()) })
    }
}
