//! Changes of channels.

use super::types::{OutboundCallNode, OutboundChannelNode, OutboundChannelProvider};
use crate::context::ContextExt;
use crate::error::{ApiError, UserError, split};
use crate::ids::local;
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use tandem_app::{
    AppError, OutboundChannelPause, OutboundChannelResume, OutboundChannelRotateSecret, OutboundChannelSave,
    OutboundChannelTest,
};
use tandem_domain::outbound::channel::Draft;
use tandem_domain::outbound::{OutboundChannel, Provider};

/// A header that is added to every call of a WEBHOOK.
#[derive(InputObject)]
pub struct OutboundChannelHeaderInput {
    /// Its name: lower-case letters, digits and hyphens, e.g. `authorization`.
    name: String,
    /// Its value, which is never shown again: at most 2,000 printable ASCII characters.
    value: String,
}

/// A channel to save under its key. What is left out stays as it was.
#[derive(InputObject)]
pub struct OutboundChannelSaveInput {
    /// What steps name it by: 1 to 64 lower-case letters, digits and inner hyphens.
    key: String,
    /// The name to show, 1 to 120 characters.
    name: String,
    /// What stands behind it; fixed.
    provider: OutboundChannelProvider,
    /// Where to send to: an https address that is no private one; needed where the channel is new. It is never shown again.
    url: Option<String>,
    /// DINGTALK and FEISHU: what the robot's settings show for signing, and an empty text to sign no more. WEBHOOK: `whsec_` and 24
    /// to 64 bytes in Base64; a new channel gets one where it is left out. The others have none.
    secret: Option<String>,
    /// WEBHOOK: whether a secret from before the last one, which is still within its time, ends now where another one is given.
    /// Without it that is refused then, since two secrets sign at a time.
    #[graphql(default)]
    end_previous: bool,
    /// WEBHOOK: headers that are added to every call, at most 20, in the place of the earlier ones.
    headers: Option<Vec<OutboundChannelHeaderInput>>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A channel that shall have a new secret.
#[derive(InputObject)]
pub struct OutboundChannelRotateSecretInput {
    /// The channel.
    channel_id: ID,
    /// Whether a secret from a rotation before, which is still within its time, ends now. Without it the rotation is refused then,
    /// since two secrets sign at a time.
    #[graphql(default)]
    end_previous: bool,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A channel to pause.
#[derive(InputObject)]
pub struct OutboundChannelPauseInput {
    /// The channel.
    channel_id: ID,
}

/// A channel to resume.
#[derive(InputObject)]
pub struct OutboundChannelResumeInput {
    /// The channel.
    channel_id: ID,
}

/// A channel to try.
#[derive(InputObject)]
pub struct OutboundChannelTestInput {
    /// The channel.
    channel_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `outboundChannelPause` did.
    OutboundChannelPausePayload {
        /// The channel, which lets its calls wait.
        channel: OutboundChannelNode,
    }
    /// What `outboundChannelResume` did.
    OutboundChannelResumePayload {
        /// The channel. What waited for it goes within a quarter of an hour.
        channel: OutboundChannelNode,
    }
    /// What `outboundChannelTest` did.
    OutboundChannelTestPayload {
        /// The test, on its way; tried for an hour.
        call: OutboundCallNode,
    }
}

/// A channel, and its secret where that is new and was made here.
#[derive(SimpleObject)]
pub struct OutboundChannelSavePayload {
    /// The channel that was saved.
    channel: Option<OutboundChannelNode>,
    /// The secret of a new WEBHOOK, shown this once; null for every other channel.
    secret: Option<String>,
    /// What the caller can mend; empty when the change was made.
    user_errors: Vec<UserError>,
}

/// A channel and its new secret.
#[derive(SimpleObject)]
pub struct OutboundChannelRotateSecretPayload {
    /// The channel after the change.
    channel: Option<OutboundChannelNode>,
    /// The new secret, shown this once.
    secret: Option<String>,
    /// What the caller can mend; empty when the change was made.
    user_errors: Vec<UserError>,
}

/// The channel, its secret as far as it is to be shown, and what the caller can mend.
type Done = (Option<OutboundChannelNode>, Option<String>, Vec<UserError>);

fn done(result: Result<OutboundChannel, AppError>, shows: impl Fn(&OutboundChannel) -> bool) -> Result<Done, ApiError> {
    Ok(match split(result)? {
        Ok(channel) => {
            let secret = channel.secret().filter(|_| shows(&channel)).map(|secret| secret.reveal().to_owned());
            (Some(OutboundChannelNode(channel)), secret, Vec::new())
        }
        Err(user_errors) => (None, None, user_errors),
    })
}

/// Changes of channels.
#[derive(Default)]
pub struct ChannelMutation;

#[Object]
impl ChannelMutation {
    /// Saves a channel under its key. A new WEBHOOK gets a secret, which is shown this once.
    async fn outbound_channel_save(
        &self,
        ctx: &Context<'_>,
        input: OutboundChannelSaveInput,
    ) -> Result<OutboundChannelSavePayload, ApiError> {
        let OutboundChannelSaveInput { key, name, provider, url, secret, end_previous, headers, idempotency_key } =
            input;
        let headers = headers.map(|headers| headers.into_iter().map(|header| (header.name, header.value)).collect());
        let draft = Draft { key, name, provider: provider.into(), url, secret, end_previous, headers };
        let saved = ctx.run(idempotency_key, OutboundChannelSave { draft }).await;
        let (channel, secret, user_errors) =
            done(saved, |channel| channel.revision == 1 && channel.provider == Provider::Webhook)?;
        Ok(OutboundChannelSavePayload { channel, secret, user_errors })
    }

    /// Gives a WEBHOOK a new secret, which is shown this once. The earlier one signs too for a day; while one from a
    /// rotation before still signs, a further rotation needs `endPrevious`.
    async fn outbound_channel_rotate_secret(
        &self,
        ctx: &Context<'_>,
        input: OutboundChannelRotateSecretInput,
    ) -> Result<OutboundChannelRotateSecretPayload, ApiError> {
        let rotate = async {
            let channel = local(&input.channel_id, "channelId")?;
            let command = OutboundChannelRotateSecret { channel, end_previous: input.end_previous };
            ctx.run(input.idempotency_key, command).await
        };
        let (channel, secret, user_errors) = done(rotate.await, |_| true)?;
        Ok(OutboundChannelRotateSecretPayload { channel, secret, user_errors })
    }

    /// Lets what steps send to a channel wait, for as long as the steps say.
    async fn outbound_channel_pause(
        &self,
        ctx: &Context<'_>,
        input: OutboundChannelPauseInput,
    ) -> Result<OutboundChannelPausePayload, ApiError> {
        let pause = async {
            let command = OutboundChannelPause { channel: local(&input.channel_id, "channelId")? };
            ctx.run(None, command).await
        };
        OutboundChannelPausePayload::of(pause.await.map(OutboundChannelNode))
    }

    /// Lets what steps send to a channel go again.
    async fn outbound_channel_resume(
        &self,
        ctx: &Context<'_>,
        input: OutboundChannelResumeInput,
    ) -> Result<OutboundChannelResumePayload, ApiError> {
        let resume = async {
            let command = OutboundChannelResume { channel: local(&input.channel_id, "channelId")? };
            ctx.run(None, command).await
        };
        OutboundChannelResumePayload::of(resume.await.map(OutboundChannelNode))
    }

    /// Sends a channel something to see whether it takes it.
    async fn outbound_channel_test(
        &self,
        ctx: &Context<'_>,
        input: OutboundChannelTestInput,
    ) -> Result<OutboundChannelTestPayload, ApiError> {
        let test = async {
            let command = OutboundChannelTest { channel: local(&input.channel_id, "channelId")? };
            ctx.run(input.idempotency_key, command).await
        };
        OutboundChannelTestPayload::of(test.await.map(OutboundCallNode))
    }
}
