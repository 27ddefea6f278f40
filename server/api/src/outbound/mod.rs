//! Outbound webhooks and what is on its way to them.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::OutboundMutation;
pub use query::OutboundQuery;
pub use types::{OutboundDeliveryNode, OutboundWebhookNode};
