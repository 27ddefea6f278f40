//! Outbound webhooks: their definitions, what happens on its way to them, and the port that posts. And the channels and calls of
//! the steps that reach out.

mod calling;
mod channels;
mod definition;
mod delivering;
mod port;
mod relaying;
mod replaying;

pub use crate::email::port::PortFuture;
pub(crate) use calling::plan_call;
pub use calling::{OutboundCallBegin, OutboundCallSettle};
pub use channels::{
    OutboundChannelPause, OutboundChannelResume, OutboundChannelRotateSecret, OutboundChannelSave, OutboundChannelTest,
};
pub use definition::{OutboundWebhookRotateSecret, OutboundWebhookSave, OutboundWebhookTest};
pub use delivering::OutboundDeliverySettle;
pub use port::{Asked, Hooks, NoSender, Post, Reply, Unsent, WebhookSender};
pub use replaying::{OutboundDeliveryReplay, OutboundWebhookReplay, OutboundWebhookReplayPart};
