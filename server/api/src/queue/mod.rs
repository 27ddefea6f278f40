//! Work items: the SDR queue, its claims and the verification of leads.

pub mod mutation;
pub mod query;
pub mod subscription;
pub mod types;
pub mod verdict;

pub use mutation::QueueMutation;
pub use query::QueueQuery;
pub use subscription::QueueSubscription;
pub use types::WorkItemNode;
pub use verdict::VerdictMutation;
