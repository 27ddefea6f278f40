//! Inbound webhooks: their definitions, what arrives at them, and what is done with it.

mod actions;
mod definition;
mod handling;
mod values;

pub(crate) use definition::check_actor;
pub use definition::{InboundWebhookRotateSecret, InboundWebhookSave};
pub use handling::{InboundDeliveryReceive, InboundDeliveryReplay, InboundDeliverySettle, Tried};
