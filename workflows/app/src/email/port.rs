//! What the application needs of whoever sends e-mail.

use chrono::{DateTime, Utc};
use std::pin::Pin;
pub use tandem_domain::email::{Delivery, Mailbox};

/// How the recipient says "no more": what goes into `List-Unsubscribe` and into the foot of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubscribeBy {
    /// The https address that takes a one-click POST.
    pub url: String,
    /// The `mailto:` address beside it, where somebody reads what arrives there.
    pub mailto: Option<String>,
}

/// One e-mail on its way out: everything that its bytes are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct OutgoingEmail {
    /// The Message-ID without its angle brackets.
    pub message_id: String,
    /// The `Date` header.
    pub date: DateTime<Utc>,
    /// The sender.
    pub from: Mailbox,
    /// Where answers go, where that is not the sender.
    pub reply_to: Option<Mailbox>,
    /// The one recipient.
    pub to: Mailbox,
    /// The subject: one line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: Option<String>,
    /// How to say "no more".
    pub unsubscribe: Option<UnsubscribeBy>,
}

/// A future that a port gives back.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A turn at the mail server, until it is dropped.
#[derive(Default)]
pub struct Turn(#[expect(dead_code, reason = "held for its drop")] Option<Box<dyn Send>>);

impl Turn {
    /// A turn that lasts as long as `place` is held.
    pub fn holding(place: impl Send + 'static) -> Self {
        Self(Some(Box::new(place)))
    }
}

/// Sends e-mail. It never fails: whatever happens is one of the outcomes, and the difference between "certainly not
/// sent" and "perhaps sent" is the implementation's to keep.
pub trait Mailer: Send + Sync {
    /// Waits for a turn at the mail server. Who begins an e-mail holds a turn: what a killed process had begun is then no
    /// more than it could send at once. By default there is always room.
    fn turn(&self) -> PortFuture<'_, Turn> {
        Box::pin(std::future::ready(Turn::default()))
    }

    /// Tries once.
    fn send(&self, message: OutgoingEmail) -> PortFuture<'_, Delivery>;

    /// Whether the mail server can be reached and lets us in; sends nothing. The answer is one line for an operator.
    fn check(&self) -> PortFuture<'_, Result<String, String>>;
}
