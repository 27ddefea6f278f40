//! E-mails and suppressions.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::EmailMutation;
pub use query::EmailQuery;
pub use types::{EmailNode, SuppressionNode};
