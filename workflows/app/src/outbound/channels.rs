//! Commands on the channels that steps of sequences send to.

use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::decision::{Decision, Fact};
use tandem_domain::id::OutboundChannelId;
use tandem_domain::inbound::Secret;
use tandem_domain::outbound::channel::{self, ChannelState, Draft, OutboundChannel, Refusal};
use tandem_domain::outbound::{OutboundCall, call, secret};
use tandem_domain::sequence::calling::{Method, Request};
use tandem_store::Tx;

fn new_secret(env: &Env) -> Secret {
    let mut bytes = [0; 32];
    env.chance.fill(&mut bytes);
    secret(&bytes)
}

async fn load(tx: &Tx, id: OutboundChannelId) -> Result<OutboundChannel> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "OutboundChannel", id: id.into() })
}

/// Saves a channel under its key. A new WEBHOOK gets a secret where none is given.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundChannelSave {
    /// The channel.
    pub draft: Draft,
}

impl Command for OutboundChannelSave {
    const NAME: &'static str = "outboundChannelSave";
    type Output = OutboundChannel;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<OutboundChannel>> {
        let now = call.now(env);
        if let Some(url) = &self.draft.url {
            let checked = env.hooks.sender.check(url.trim());
            checked.map_err(|unsent| AppError::refused(unsent.code, unsent.message, Some("url")))?;
        }
        let before = tx.outbound_channel_to_change(&self.draft.key).await?;
        Ok(channel::save(before.as_ref(), env.id(now), &self.draft, new_secret(env), now)?)
    }
}

/// Gives a WEBHOOK a new secret.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundChannelRotateSecret {
    /// The channel.
    pub channel: OutboundChannelId,
    /// Whether a secret from a rotation before, which is still within its time, ends now. Without it the rotation is refused then.
    pub end_previous: bool,
}

impl Command for OutboundChannelRotateSecret {
    const NAME: &'static str = "outboundChannelRotateSecret";
    type Output = OutboundChannel;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<OutboundChannel>> {
        Ok(channel::rotate(load(tx, self.channel).await?, new_secret(env), self.end_previous, call.now(env))?)
    }
}

/// Lets what steps send to a channel wait.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundChannelPause {
    /// The channel.
    pub channel: OutboundChannelId,
}

impl Command for OutboundChannelPause {
    const NAME: &'static str = "outboundChannelPause";
    type Output = OutboundChannel;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<OutboundChannel>> {
        Ok(channel::switch(load(tx, self.channel).await?, ChannelState::Paused)?)
    }
}

/// Lets it go again.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundChannelResume {
    /// The channel.
    pub channel: OutboundChannelId,
}

impl Command for OutboundChannelResume {
    const NAME: &'static str = "outboundChannelResume";
    type Output = OutboundChannel;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<OutboundChannel>> {
        Ok(channel::switch(load(tx, self.channel).await?, ChannelState::Active)?)
    }
}

/// Sends a channel something to see whether it takes it.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundChannelTest {
    /// The channel.
    pub channel: OutboundChannelId,
}

impl Command for OutboundChannelTest {
    const NAME: &'static str = "outboundChannelTest";
    type Output = OutboundCall;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<OutboundCall>> {
        let now = call.now(env);
        let channel = load(tx, self.channel).await?;
        if channel.state == ChannelState::Paused {
            return Err(Refusal::Paused { key: channel.key }.into());
        }
        let request = if channel.provider.is_chat() {
            let text = format!("This is a test of the channel `{}`.", channel.key);
            Request::Message { title: Some("Tandem".to_owned()), text, link: None }
        } else {
            let body = serde_json::json!({ "type": "channel.test", "channel": channel.key }).to_string();
            Request::Http {
                method: Method::Post,
                query: Vec::new(),
                headers: Vec::new(),
                body: Some(body),
                timeout_seconds: 15,
                keep: None,
            }
        };
        let planned = call::test(env.id(now), &channel, request, now);
        Ok(planned.record(Fact::audit("outbound_channel.tested", channel.id).with("key", &channel.key)))
    }
}
