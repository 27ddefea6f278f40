//! Governed taxonomies.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::TaxonomyMutation;
pub use query::TaxonomyQuery;
pub use types::TaxonomyTermNode;
