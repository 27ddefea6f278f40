//! Custom fields.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::CustomFieldMutation;
pub use query::CustomFieldQuery;
pub use types::CustomFieldNode;
