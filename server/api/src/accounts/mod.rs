//! Accounts and contacts.

pub mod contact_mutation;
pub mod input;
pub mod mutation;
pub mod query;
pub mod types;

pub use contact_mutation::ContactMutation;
pub use mutation::AccountMutation;
pub use query::AccountQuery;
pub use types::{AccountNode, ContactNode};
