//! Events that analytics SDKs send: where they come from, how they are read, and whose they are.
//!
//! An event is stored as it came before anything is made of it. What cannot be read is quarantined, and loses nothing else.

pub mod crowd;
pub mod event;
pub mod moment;
pub mod people;
pub mod source;

pub use crowd::{Crowd, Keys};
pub use event::{Envelope, EventKind, Fault, IngestedEvent, State};
pub use moment::Moment;
pub use source::{EventRule, EventSource, SourceDraft, Trust};

use crate::id::{AccountId, ContactId, VisitorId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The most events of a batch.
pub const MAX_EVENTS: usize = 2_500;
/// The largest event, in bytes of JSON.
pub const MAX_EVENT: usize = 48 * 1024;

/// Somebody who was heard of, under one or more keys, before or after it became known who that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// Its id.
    pub id: VisitorId,
    /// Who it is, once that is known.
    pub contact: Option<ContactId>,
    /// The company of the contact when it became known.
    pub account: Option<AccountId>,
    /// How far whoever named it is believed.
    pub named_by: Trust,
    /// Whether one of its keys is that of a signed-in user: a device's key alone may come to be somebody else's.
    pub is_user: bool,
    /// When it was first heard of.
    pub first_seen_at: DateTime<Utc>,
}

/// The key of a device or browser that nobody has signed in on yet.
pub fn anonymous_key(id: &str) -> String {
    format!("anonymous:{id}")
}

/// The key of a signed-in user of the sender's, in the sender's system.
pub fn user_key(system: &str, id: &str) -> String {
    format!("user:{system}:{id}")
}
