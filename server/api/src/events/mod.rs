//! Senders of events, and the events that came.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::EventMutation;
pub use query::EventQuery;
pub use types::{EventSourceNode, IngestedEventNode};
