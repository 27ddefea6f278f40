//! Outbound webhooks: their definitions, what happens on its way to them, and the port that posts.

mod definition;
mod delivering;
mod port;
mod relaying;
mod replaying;

pub use crate::email::port::PortFuture;
pub use definition::{OutboundWebhookRotateSecret, OutboundWebhookSave, OutboundWebhookTest};
pub use delivering::OutboundDeliverySettle;
pub use port::{Hooks, NoSender, Post, Reply, Unsent, WebhookSender};
pub use replaying::{OutboundDeliveryReplay, OutboundWebhookReplay, OutboundWebhookReplayPart};
