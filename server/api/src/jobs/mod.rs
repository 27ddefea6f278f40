//! Jobs, queues, schedules and nodes, as operators see and steer them.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::JobMutation;
pub use query::JobQuery;
pub use types::{ArchivedJobNode, JobNode};
