//! Why a channel is refused, or a change to it.

use super::{ChannelState, MAX_HEADERS, MAX_URL_CHARS, Provider};
use chrono::{DateTime, Utc};

/// Why a channel is refused, or a change to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key has another form.
    #[error("`{key}` is not the key of a channel; use 1 to 64 lower-case letters, digits and inner hyphens")]
    BadKey {
        /// What was given.
        key: String,
    },
    /// The name is blank or too long.
    #[error("a channel needs a name of 1 to 120 characters")]
    BadName,
    /// A new channel has no address, or one that nothing can be added to.
    #[error("a channel needs an https address of at most {MAX_URL_CHARS} characters without blanks and without `#`")]
    BadUrl,
    /// What stands behind a channel stays.
    #[error("the channel `{key}` is {provider}, which stays; save another one under another key")]
    ProviderFixed {
        /// The key.
        key: String,
        /// What stands behind it.
        provider: Provider,
    },
    /// The secret has another form.
    #[error(
        "this secret does not fit {provider}: WEBHOOK takes `whsec_` and 24 to 64 bytes in Base64, DINGTALK and FEISHU what the \
         robot's settings show (16 to 200 printable characters), the others none; leave it out"
    )]
    BadSecret {
        /// What stands behind the channel.
        provider: Provider,
    },
    /// A header that is none, is somebody else's to write, or is given to a chat.
    #[error(
        "the header `{name}` cannot be added: at most {MAX_HEADERS} of a WEBHOOK, their names of lower-case letters, digits and \
         hyphens, and none that the call itself writes"
    )]
    BadHeader {
        /// Its name.
        name: String,
    },
    /// Only a webhook's secret is made here.
    #[error("the secret of {provider} is made by the robot's settings; save the channel with the new one")]
    SecretNotOurs {
        /// What stands behind the channel.
        provider: Provider,
    },
    /// An earlier secret is still within the time that it was promised.
    #[error(
        "an earlier secret signs until {until}, as was promised, and there are two at most; give a new one after that, or with \
         `endPrevious: true` to end that one now"
    )]
    Overlap {
        /// Until when it signs.
        until: DateTime<Utc>,
    },
    /// It is in that state.
    #[error("the channel `{key}` is {state}; nothing needs to be done")]
    AlreadySo {
        /// Its key.
        key: String,
        /// Its state.
        state: ChannelState,
    },
    /// There is no channel with the key.
    #[error("there is no channel `{key}`; save it first")]
    Unknown {
        /// What was given.
        key: String,
    },
    /// A step of another kind is for what stands behind the channel.
    #[error(
        "the channel `{key}` is {provider}; `notify` takes chats, and `call_webhook` takes WEBHOOK: name another channel"
    )]
    OtherKind {
        /// The key.
        key: String,
        /// What stands behind it.
        provider: Provider,
    },
    /// Nothing is sent to it.
    #[error("the channel `{key}` is PAUSED; resume it first")]
    Paused {
        /// Its key.
        key: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadKey { .. } => "CHANNEL_BAD_KEY",
            Self::BadName => "CHANNEL_BAD_NAME",
            Self::BadUrl => "CHANNEL_BAD_URL",
            Self::ProviderFixed { .. } => "CHANNEL_PROVIDER_FIXED",
            Self::BadSecret { .. } => "CHANNEL_BAD_SECRET",
            Self::BadHeader { .. } => "CHANNEL_BAD_HEADER",
            Self::SecretNotOurs { .. } => "CHANNEL_SECRET_NOT_OURS",
            Self::Overlap { .. } => "CHANNEL_SECRET_OVERLAP",
            Self::AlreadySo { .. } => "CHANNEL_ALREADY_SO",
            Self::Unknown { .. } => "CHANNEL_UNKNOWN",
            Self::OtherKind { .. } => "CHANNEL_OTHER_KIND",
            Self::Paused { .. } => "CHANNEL_PAUSED",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::BadKey { .. } => Some("key"),
            Self::BadName => Some("name"),
            Self::BadUrl => Some("url"),
            Self::ProviderFixed { .. } => Some("provider"),
            Self::BadSecret { .. } => Some("secret"),
            Self::BadHeader { .. } => Some("headers"),
            Self::Overlap { .. } => Some("endPrevious"),
            Self::SecretNotOurs { .. }
            | Self::AlreadySo { .. }
            | Self::Unknown { .. }
            | Self::OtherKind { .. }
            | Self::Paused { .. } => None,
        }
    }
}
