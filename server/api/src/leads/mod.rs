//! Leads.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::LeadMutation;
pub use query::LeadQuery;
pub use types::LeadNode;
