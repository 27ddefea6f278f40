//! What the application needs of whoever looks into a mailbox.

use crate::email::port::PortFuture;
use chrono::{DateTime, Utc};

/// One message of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its bytes; of a large one the beginning.
    pub raw: Vec<u8>,
    /// When the mailbox got it, where it says so.
    pub arrived_at: Option<DateTime<Utc>>,
}

/// What one look into a mailbox found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The new messages, the oldest first.
    pub messages: Vec<Message>,
    /// How far the mailbox was read: to be given next time.
    pub cursor: String,
    /// Whether there are more.
    pub more: bool,
}

/// Looks into a mailbox, which stays as it is: people may read it too.
pub trait Inbox: Send + Sync {
    /// What its cursor is kept under: another mailbox has another name.
    fn name(&self) -> String;

    /// The next messages after a cursor; without one, or with one that the mailbox does not know any more, those that came
    /// `since`. An error is a sentence for an operator.
    fn look(&self, after: Option<String>, since: DateTime<Utc>) -> PortFuture<'_, Result<Look, String>>;

    /// Whether it can be reached and lets us in. The answer is one line for an operator.
    fn check(&self) -> PortFuture<'_, Result<String, String>>;
}
