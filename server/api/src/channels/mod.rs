//! The channels that steps of sequences send to, and the calls that they make.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::ChannelMutation;
pub use query::ChannelQuery;
pub use types::{OutboundCallNode, OutboundChannelNode};
