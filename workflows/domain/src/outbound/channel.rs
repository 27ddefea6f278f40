//! A channel: an address outside that steps of sequences send to, by its key. A chat's robot, or an API that answers.
//!
//! A definition names a channel by its key alone: the address, which for chats is a secret itself, and what it is signed or
//! authorised with are kept here and never shown again.

mod refusal;

pub use refusal::Refusal;

use super::{Held, OVERLAP, signed};
use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::OutboundChannelId;
use crate::inbound::{Scheme, Secret, is_key};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most headers that a channel adds, and the longest value of one, in characters.
pub const MAX_HEADERS: usize = 20;
const MAX_HEADER_CHARS: usize = 2_000;
/// The longest address, in characters.
const MAX_URL_CHARS: usize = 2_000;

codes! {
    /// What stands behind a channel, which decides what it is sent and how its answer is read.
    pub enum Provider("channel provider") {
        /// An incoming webhook of Slack, or of what takes the same.
        Slack = "SLACK",
        /// A robot of a WeCom group.
        Wecom = "WECOM",
        /// A robot of a DingTalk group.
        Dingtalk = "DINGTALK",
        /// A robot of a Feishu or Lark group.
        Feishu = "FEISHU",
        /// An API that takes and gives JSON, for steps of the kind `call_webhook`.
        Webhook = "WEBHOOK",
    }
}

codes! {
    /// Whether a channel is sent anything.
    pub enum ChannelState("channel state") {
        /// It is.
        Active = "ACTIVE",
        /// What steps send to it waits.
        Paused = "PAUSED",
    }
}

impl Provider {
    /// Whether it is a chat: for steps of the kind `notify`.
    pub const fn is_chat(self) -> bool {
        !matches!(self, Self::Webhook)
    }

    /// The form of its secret; none where it has none.
    const fn scheme(self) -> Option<Scheme> {
        match self {
            Self::Slack | Self::Wecom => None,
            Self::Dingtalk | Self::Feishu => Some(Scheme::Bearer),
            Self::Webhook => Some(Scheme::StandardWebhooks),
        }
    }
}

/// A text that nobody reads in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// An address outside that steps of sequences send to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundChannel {
    /// Its id.
    pub id: OutboundChannelId,
    /// What steps name it by; unique and fixed.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// What stands behind it; fixed.
    pub provider: Provider,
    /// Whether it is sent anything.
    pub state: ChannelState,
    url: Hidden,
    /// The current one first; none where what is sent is not signed.
    secrets: Vec<Held>,
    /// What is added to every call of a WEBHOOK, e.g. `authorization`.
    headers: BTreeMap<String, Hidden>,
    /// Counts its changes.
    pub revision: u32,
    /// When it was first saved.
    pub created_at: DateTime<Utc>,
}

/// A channel as somebody writes it. What is none stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// What it is known by.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// What stands behind it.
    pub provider: Provider,
    /// Where to send to; needed where the channel is new. The caller checks that it may be sent to.
    pub url: Option<String>,
    /// DINGTALK and FEISHU: what the robot's settings show for signing; empty takes it away. WEBHOOK: a secret of Standard
    /// Webhooks, by default one that is made.
    pub secret: Option<String>,
    /// WEBHOOK: whether a secret from before the last one ends now, where a new one is given within its time.
    pub end_previous: bool,
    /// WEBHOOK: headers that are added to every call, by their names in small letters.
    pub headers: Option<BTreeMap<String, String>>,
}

/// Headers that the call itself writes, and those about the connection.
const RESERVED: [&str; 14] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "accept-encoding",
];

/// Whether somebody may choose a header of this name for a call.
pub fn is_header_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let own = RESERVED.contains(&name) || name.starts_with("webhook-") || name.starts_with("proxy-");
    (1..=60).contains(&name.len()) && name.chars().all(plain) && !own
}

/// Whether a text can be the value of a header.
pub fn is_header_value(value: &str) -> bool {
    value.len() <= MAX_HEADER_CHARS && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn url_of(given: Option<&str>, before: Option<&OutboundChannel>) -> Result<Hidden, Refusal> {
    match (given.map(str::trim), before) {
        (None, Some(before)) => Ok(before.url.clone()),
        (None, None) => Err(Refusal::BadUrl),
        (Some(url), _) => {
            let odd = |c: char| c.is_whitespace() || c.is_control() || c == '#';
            let fits = !url.is_empty() && url.chars().count() <= MAX_URL_CHARS && !url.contains(odd);
            if fits { Ok(Hidden(url.to_owned())) } else { Err(Refusal::BadUrl) }
        }
    }
}

fn secrets_of(
    draft: &Draft,
    before: Option<&OutboundChannel>,
    made: Secret,
    now: DateTime<Utc>,
) -> Result<Vec<Held>, Refusal> {
    let bad = Refusal::BadSecret { provider: draft.provider };
    let given = match (draft.secret.as_deref().map(str::trim), draft.provider.scheme()) {
        (None, _) | (Some(""), None) => None,
        (Some(_), None) => return Err(bad),
        (Some(text), Some(scheme)) => Some((text, scheme)),
    };
    let new = match given {
        None => match before {
            Some(before) => return Ok(before.secrets.clone()),
            None if draft.provider == Provider::Webhook => made,
            None => return Ok(Vec::new()),
        },
        Some(("", Scheme::Bearer)) => return Ok(Vec::new()),
        Some((text, scheme)) => Secret::given(scheme, text).ok_or(bad)?,
    };
    // A robot knows one secret; who checks a signature of Standard Webhooks may have two for a day.
    match before.filter(|_| draft.provider == Provider::Webhook) {
        // The same once more changes nothing, and takes no promise back.
        Some(before) if before.secret() == Some(&new) => Ok(before.secrets.clone()),
        Some(before) => with_new(new, before, draft.end_previous, now),
        None => Ok(vec![Held { secret: new, until: None }]),
    }
}

/// The secrets with a new one, where none but the current one would be left over or `end_previous` ends it.
fn with_new(
    secret: Secret,
    before: &OutboundChannel,
    end_previous: bool,
    now: DateTime<Utc>,
) -> Result<Vec<Held>, Refusal> {
    if let Some(until) = before.previous_until(now).filter(|_| !end_previous) {
        return Err(Refusal::Overlap { until });
    }
    let earlier = &before.secrets;
    let overlapping = earlier.first().filter(|held| held.secret != secret).cloned();
    let mut secrets = vec![Held { secret, until: None }];
    secrets.extend(overlapping.map(|held| Held { until: Some(now + OVERLAP), ..held }));
    Ok(secrets)
}

fn headers_of(draft: &Draft, before: Option<&OutboundChannel>) -> Result<BTreeMap<String, Hidden>, Refusal> {
    let Some(given) = &draft.headers else {
        return Ok(before.map(|before| before.headers.clone()).unwrap_or_default());
    };
    let fits = |(name, value): &(&String, &String)| {
        draft.provider == Provider::Webhook && is_header_name(name) && is_header_value(value)
    };
    let wrong = given.iter().enumerate().find(|(at, header)| *at >= MAX_HEADERS || !fits(header));
    match wrong {
        Some((_, (name, _))) => Err(Refusal::BadHeader { name: name.chars().take(60).collect() }),
        None => Ok(given.iter().map(|(name, value)| (name.clone(), Hidden(value.clone()))).collect()),
    }
}

/// Saves a channel under its key. `made` is the secret of a new WEBHOOK whose draft has none.
pub fn save(
    before: Option<&OutboundChannel>,
    id: OutboundChannelId,
    draft: &Draft,
    made: Secret,
    now: DateTime<Utc>,
) -> Result<Decision<OutboundChannel>, Refusal> {
    if !is_key(&draft.key) {
        return Err(Refusal::BadKey { key: draft.key.chars().take(80).collect() });
    }
    let name = draft.name.trim().to_owned();
    if !(1..=120).contains(&name.chars().count()) {
        return Err(Refusal::BadName);
    }
    if let Some(before) = before.filter(|before| before.provider != draft.provider) {
        return Err(Refusal::ProviderFixed { key: draft.key.clone(), provider: before.provider });
    }
    let channel = OutboundChannel {
        id: before.map_or(id, |before| before.id),
        key: draft.key.clone(),
        name,
        provider: draft.provider,
        state: before.map_or(ChannelState::Active, |before| before.state),
        url: url_of(draft.url.as_deref(), before)?,
        secrets: secrets_of(draft, before, made, now)?,
        headers: headers_of(draft, before)?,
        revision: before.map_or(1, |before| before.revision + 1),
        created_at: before.map_or(now, |before| before.created_at),
    };
    let fact = Fact::audit("outbound_channel.saved", channel.id)
        .with("key", &channel.key)
        .with("provider", channel.provider)
        .with("revision", channel.revision)
        .with("address_changed", before.is_none_or(|before| before.url != channel.url))
        .with("secret_changed", before.is_none_or(|before| before.secrets != channel.secrets))
        .with("headers", channel.header_names());
    Ok(Decision::new(channel, fact))
}

/// Gives a WEBHOOK a new secret. The one before signs too for a day, so that the receiver can follow. While one from a rotation
/// before signs still, a further rotation is refused, unless `end_previous` says that this one ends now.
pub fn rotate(
    mut channel: OutboundChannel,
    secret: Secret,
    end_previous: bool,
    now: DateTime<Utc>,
) -> Result<Decision<OutboundChannel>, Refusal> {
    if channel.provider != Provider::Webhook {
        return Err(Refusal::SecretNotOurs { provider: channel.provider });
    }
    let earlier = channel.previous_until(now);
    channel.secrets = with_new(secret, &channel, end_previous, now)?;
    channel.revision += 1;
    let fact = Fact::audit("outbound_channel.secret_rotated", channel.id)
        .with("key", &channel.key)
        .with("until", channel.previous_until(now))
        .with("ended_before", earlier);
    Ok(Decision::new(channel, fact))
}

/// Lets what steps send to a channel wait, or go again.
pub fn switch(mut channel: OutboundChannel, state: ChannelState) -> Result<Decision<OutboundChannel>, Refusal> {
    if channel.state == state {
        return Err(Refusal::AlreadySo { key: channel.key, state });
    }
    let fact =
        Fact::audit("outbound_channel.switched", channel.id).moved(channel.state, state).with("key", &channel.key);
    channel.state = state;
    channel.revision += 1;
    Ok(Decision::new(channel, fact))
}

impl OutboundChannel {
    /// Where to send to. For chats it is a secret.
    pub fn url(&self) -> &str {
        &self.url.0
    }

    /// As much of the address as may be shown: the scheme and the host.
    pub fn shown_address(&self) -> String {
        let (scheme, rest) = self.url.0.split_once("://").unwrap_or(("https", &self.url.0));
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}/…")
    }

    /// The current secret.
    pub fn secret(&self) -> Option<&Secret> {
        self.secrets.first().map(|held| &held.secret)
    }

    /// Until when the earlier secret signs too; none where it does not any more.
    pub fn previous_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.secrets.iter().filter_map(|held| held.until).filter(|until| now < *until).max()
    }

    /// The names of the headers that are added to every call.
    pub fn header_names(&self) -> Vec<&str> {
        self.headers.keys().map(String::as_str).collect()
    }

    /// The headers that are added to every call, with their values.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.0.as_str()))
    }

    /// The headers of Standard Webhooks for a message.
    pub(super) fn signed(&self, message: &str, body: &str, now: DateTime<Utc>) -> [(String, String); 3] {
        signed(&self.secrets, message, body, now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret;
    use super::*;
    use uuid::Uuid;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn draft(provider: Provider) -> Draft {
        Draft {
            key: "sales-room".to_owned(),
            name: "Sales".to_owned(),
            provider,
            url: Some("https://user:pw@chat.example.com:8443/hook?key=s3cret".to_owned()),
            secret: None,
            end_previous: false,
            headers: None,
        }
    }

    fn saved(before: Option<&OutboundChannel>, draft: &Draft) -> Result<OutboundChannel, Refusal> {
        save(before, Uuid::max().into(), draft, secret(&[1; 32]), now()).map(|decision| decision.next)
    }

    #[test]
    fn a_bad_channel_is_refused_by_its_field() {
        let field = |draft: Draft| saved(None, &draft).unwrap_err().field();
        let slack = || draft(Provider::Slack);
        assert_eq!(field(Draft { key: "x y".to_owned(), ..slack() }), Some("key"));
        assert_eq!(field(Draft { name: " ".to_owned(), ..slack() }), Some("name"));
        for url in [None, Some(""), Some("https://a b"), Some("https://a/#b")] {
            assert_eq!(field(Draft { url: url.map(str::to_owned), ..slack() }), Some("url"), "{url:?}");
        }
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(field(Draft { secret: text("0123456789abcdef"), ..slack() }), Some("secret"), "Slack has none");
        assert_eq!(field(Draft { secret: text("short"), ..draft(Provider::Dingtalk) }), Some("secret"));
        assert_eq!(field(Draft { secret: text("0123456789abcdef"), ..draft(Provider::Webhook) }), Some("secret"));
        for name in ["Authorization", "host", "webhook-id", "idempotency-key", "x y", ""] {
            let headers = Some([(name.to_owned(), "x".to_owned())].into());
            assert_eq!(field(Draft { headers, ..draft(Provider::Webhook) }), Some("headers"), "{name}");
        }
        let headers = Some([("x-key".to_owned(), "a\r\nb".to_owned())].into());
        assert_eq!(field(Draft { headers, ..draft(Provider::Webhook) }), Some("headers"));
        let headers = Some([("x-key".to_owned(), "a".to_owned())].into());
        assert_eq!(field(Draft { headers, ..slack() }), Some("headers"), "a chat takes none");
    }

    #[test]
    fn what_is_left_out_stays_and_nothing_secret_is_shown() {
        let headers = Some([("authorization".to_owned(), "Bearer s3cret".to_owned())].into());
        let first = saved(None, &Draft { headers, ..draft(Provider::Webhook) }).unwrap();
        let renamed = Draft { name: "CRM".to_owned(), url: None, ..draft(Provider::Webhook) };
        let second = saved(Some(&first), &renamed).unwrap();
        assert_eq!((second.url(), second.secret()), (first.url(), first.secret()));
        assert_eq!(second.headers().collect::<Vec<_>>(), [("authorization", "Bearer s3cret")]);
        assert_eq!(second.shown_address(), "https://chat.example.com:8443/…");
        let shown = format!("{second:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("whsec_") && !shown.contains("pw@"), "{shown}");
        let other = saved(Some(&first), &draft(Provider::Slack)).unwrap_err();
        assert_eq!(other.code(), "CHANNEL_PROVIDER_FIXED");
    }

    #[test]
    fn a_webhooks_earlier_secret_signs_for_a_day_and_a_robots_does_not() {
        let webhook = saved(None, &draft(Provider::Webhook)).unwrap();
        let rotated = rotate(webhook, secret(&[2; 32]), false, now()).unwrap().next;
        assert_eq!(rotated.previous_until(now()), Some(now() + OVERLAP));
        let again = |end_previous, at| rotate(rotated.clone(), secret(&[3; 32]), end_previous, at);
        assert_eq!(again(false, now()).unwrap_err(), Refusal::Overlap { until: now() + OVERLAP });
        assert!(again(true, now()).is_ok() && again(false, now() + OVERLAP).is_ok());
        let given = |end_previous| Draft {
            secret: Some(secret(&[3; 32]).reveal().to_owned()),
            end_previous,
            ..draft(Provider::Webhook)
        };
        assert_eq!(saved(Some(&rotated), &given(false)).unwrap_err().code(), "CHANNEL_SECRET_OVERLAP");
        assert_eq!(saved(Some(&rotated), &given(true)).unwrap().secrets.len(), 2);
        let signature = |at| rotated.signed("msg", "{}", at)[2].1.matches("v1,").count();
        assert_eq!((signature(now()), signature(now() + OVERLAP)), (2, 1));
        let robot = |text: &str| Draft { secret: Some(text.to_owned()), ..draft(Provider::Dingtalk) };
        let first = saved(None, &robot("SEC0123456789abcdef")).unwrap();
        let second = saved(Some(&first), &robot("SECfedcba9876543210")).unwrap();
        assert_eq!(second.secrets.len(), 1);
        assert_eq!(saved(Some(&second), &robot("")).unwrap().secret(), None);
        assert_eq!(rotate(second, secret(&[3; 32]), false, now()).unwrap_err().code(), "CHANNEL_SECRET_NOT_OURS");
    }
}
