//! E-mails, those that arrived, and suppressions.

pub mod mutation;
pub mod query;
pub mod received;
pub mod types;

pub use mutation::EmailMutation;
pub use query::EmailQuery;
pub use received::{ReceivedEmailNode, ReceivedEmailQuery};
pub use types::{EmailNode, SuppressionNode};
