//! How often people are written to, and the mailboxes that e-mails are sent from.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::SendingMutation;
pub use query::SendingQuery;
pub use types::{ContactPolicyNode, SendingMailboxNode};
