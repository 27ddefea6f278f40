//! What the application needs of whoever posts webhooks.

use super::PortFuture;
use chrono::TimeDelta;
use std::sync::Arc;
use tandem_domain::outbound::call::{Answer, Outgoing};
use tandem_domain::outbound::retry;

/// What is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Where to.
    pub url: String,
    /// Name in small letters, and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<TimeDelta>,
    /// The beginning of the answer, at most 1,000 characters.
    pub excerpt: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The stable code.
    pub code: &'static str,
    /// A sentence for an operator.
    pub message: String,
}

/// What a call came to.
pub type Asked = Result<Answer, Unsent>;

/// Posts webhooks, where they may be posted to.
pub trait WebhookSender: Send + Sync {
    /// Posts once, and follows no redirect.
    fn post(&self, post: Post) -> PortFuture<'_, Result<Reply, Unsent>>;

    /// Makes a call once, follows no redirect, and reads the answer up to
    /// [`MAX_ANSWER`](tandem_domain::outbound::call::MAX_ANSWER). It takes as long as the call may, and never longer than
    /// [`post`](Self::post).
    fn ask(&self, call: Outgoing) -> PortFuture<'_, Asked>;

    /// Refuses an address that can never be posted to, as far as its text says so.
    fn check(&self, url: &str) -> Result<(), Unsent>;
}

/// Where nothing is posted.
#[derive(Debug, Clone, Copy)]
pub struct NoSender;

impl WebhookSender for NoSender {
    fn post(&self, _post: Post) -> PortFuture<'_, Result<Reply, Unsent>> {
        let message = "this process posts no webhooks".to_owned();
        Box::pin(std::future::ready(Err(Unsent { code: "WEBHOOK_NOT_CONNECTED", message })))
    }

    fn ask(&self, _call: Outgoing) -> PortFuture<'_, Asked> {
        let message = "this process makes no calls".to_owned();
        Box::pin(std::future::ready(Err(Unsent { code: "WEBHOOK_NOT_CONNECTED", message })))
    }

    fn check(&self, _url: &str) -> Result<(), Unsent> {
        Ok(())
    }
}

/// Outbound webhooks: who posts, and when what failed is tried again.
#[derive(Clone)]
pub struct Hooks {
    /// Posts.
    pub sender: Arc<dyn WebhookSender>,
    /// The waits after the first, the second ... failure.
    pub schedule: Vec<TimeDelta>,
}

impl Hooks {
    /// With the usual waits.
    pub fn usual(sender: Arc<dyn WebhookSender>) -> Self {
        Self { sender, schedule: retry::USUAL.iter().map(|seconds| TimeDelta::seconds((*seconds).into())).collect() }
    }
}
