//! Inbound webhooks and their deliveries.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::InboundMutation;
pub use query::InboundQuery;
pub use types::{InboundDeliveryNode, InboundWebhookNode};
