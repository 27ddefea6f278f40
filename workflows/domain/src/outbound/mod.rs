//! Outbound webhooks: addresses of others that are told what happens here, when it is tried again, and when it is given up.
//! And what steps of sequences send out by themselves: the addresses that they name ([`channel`]), the calls ([`call`]), and the
//! formats of the chats ([`chat`]).

pub mod call;
pub mod channel;
pub mod chat;
pub mod delivery;
pub mod retry;
pub mod types;

pub use call::{CallState, OutboundCall};
pub use channel::{ChannelState, OutboundChannel, Provider};
pub use delivery::{Attempt, OutboundDelivery, Outcome, State};
pub use types::{EVENT_TYPES, TEST};

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::expression::Expression;
use crate::id::OutboundWebhookId;
use crate::inbound::{Scheme, Secret, is_key};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The most types that an endpoint names.
pub const MAX_TYPES: usize = 100;
/// How long the earlier secret signs beside the new one.
pub const OVERLAP: TimeDelta = TimeDelta::hours(24);
/// What filters read.
pub const VARIABLES: [&str; 3] = ["type", "timestamp", "data"];

codes! {
    /// Why an endpoint is told nothing any more.
    pub enum Disabled("reason why a webhook is off") {
        /// Somebody switched it off.
        Manual = "MANUAL",
        /// It answered 410: it is gone.
        Gone = "GONE",
        /// It has failed for days, without one success in between.
        Failing = "FAILING",
    }
}

/// A secret and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    secret: Secret,
    until: Option<DateTime<Utc>>,
}

/// An address that is told what happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundWebhook {
    /// Its id.
    pub id: OutboundWebhookId,
    /// What it is known by among webhooks; unique and fixed.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// Where to post to.
    pub url: String,
    /// What it is told: types, families such as `handoff.*`, or `*`.
    pub types: Vec<String>,
    /// Only events for which this holds.
    pub filter: Option<Expression>,
    /// Whether events about one thing are delivered one after the other, in their order; fixed. One that fails holds up those
    /// behind it until it is delivered or given up.
    pub ordered: bool,
    /// The current one first.
    secrets: Vec<Held>,
    /// Why it is told nothing; none where it is told.
    pub disabled: Option<Disabled>,
    /// Since when every try has failed.
    pub failing_since: Option<DateTime<Utc>>,
    /// The last entry of the ledger before it was made, or switched on again by somebody: it is told what comes after.
    pub since: i64,
    /// Counts its changes.
    pub revision: u32,
    /// When it was first saved.
    pub created_at: DateTime<Utc>,
}

/// A webhook as somebody writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// What it is known by.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// Where to post to. The caller checks that it may be.
    pub url: String,
    /// What it is told.
    pub types: Vec<String>,
    /// Only events for which this holds, in CEL.
    pub filter: Option<String>,
    /// Whether events about one thing are delivered in their order.
    pub ordered: bool,
    /// Whether it is told anything.
    pub active: bool,
}

/// Why a webhook is refused, or a delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key has another form.
    #[error("`{key}` is not the key of a webhook; use 1 to 64 lower-case letters, digits and inner hyphens")]
    BadKey {
        /// What was given.
        key: String,
    },
    /// The name is blank or too long.
    #[error("a webhook needs a name of 1 to 120 characters")]
    BadName,
    /// Nothing is sent, or what no event is.
    #[error("`{given}` is no type of event; give 1 to {MAX_TYPES} of `*`, a family such as `handoff.*`, or a type")]
    BadTypes {
        /// What was given.
        given: String,
    },
    /// The filter cannot be read, or reads what is not there.
    #[error("{message}")]
    BadFilter {
        /// What is wrong.
        message: String,
    },
    /// Whether a webhook keeps the order of a thing's events stays.
    #[error(
        "`ordered` of `{key}` stays, since deliveries are on their way by it; save another webhook under another key"
    )]
    OrderFixed {
        /// The webhook's key.
        key: String,
    },
    /// The delivery is not in the state for it.
    #[error("this delivery is {state}")]
    NotSo {
        /// Its state.
        state: State,
    },
    /// An earlier secret is still within the time that it was promised.
    #[error(
        "an earlier secret signs until {until}, as its rotation promised, and there are two at most; rotate after that, or with \
         `endPrevious: true` to end that one now"
    )]
    Overlap {
        /// Until when it signs.
        until: DateTime<Utc>,
    },
    /// The webhook is off.
    #[error("the webhook `{key}` is off; save it with `active: true` first")]
    Off {
        /// Its key.
        key: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadKey { .. } => "OUTBOUND_BAD_KEY",
            Self::BadName => "OUTBOUND_BAD_NAME",
            Self::BadTypes { .. } => "OUTBOUND_BAD_TYPES",
            Self::BadFilter { .. } => "OUTBOUND_BAD_FILTER",
            Self::OrderFixed { .. } => "OUTBOUND_ORDER_FIXED",
            Self::NotSo { .. } => "OUTBOUND_SETTLED",
            Self::Overlap { .. } => "OUTBOUND_SECRET_OVERLAP",
            Self::Off { .. } => "OUTBOUND_OFF",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::BadKey { .. } => Some("key"),
            Self::BadName => Some("name"),
            Self::BadTypes { .. } => Some("types"),
            Self::BadFilter { .. } => Some("filter"),
            Self::OrderFixed { .. } => Some("ordered"),
            Self::Overlap { .. } => Some("endPrevious"),
            Self::NotSo { .. } | Self::Off { .. } => None,
        }
    }
}

fn filter(text: Option<&str>) -> Result<Option<Expression>, Refusal> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad = |message: String| Refusal::BadFilter { message };
    let expression = Expression::parse(text).map_err(|refusal| bad(refusal.to_string()))?;
    match expression.variables().into_iter().find(|name| !VARIABLES.contains(&name.as_str())) {
        Some(name) => Err(bad(format!("there is no `{name}`; an expression reads {}", VARIABLES.join(", ")))),
        None => Ok(Some(expression)),
    }
}

/// Saves a webhook under its key. `secret` is that of a new one; an existing one keeps its own. `head` is the last entry of the
/// ledger.
pub fn save(
    before: Option<&OutboundWebhook>,
    id: OutboundWebhookId,
    draft: Draft,
    (secret, head): (Secret, i64),
    now: DateTime<Utc>,
) -> Result<Decision<OutboundWebhook>, Refusal> {
    if !is_key(&draft.key) {
        return Err(Refusal::BadKey { key: draft.key.chars().take(80).collect() });
    }
    let name = draft.name.trim().to_owned();
    if !(1..=120).contains(&name.chars().count()) {
        return Err(Refusal::BadName);
    }
    let wrong = draft.types.iter().find(|pattern| !types::is_pattern(pattern)).cloned();
    if wrong.is_some() || !(1..=MAX_TYPES).contains(&draft.types.len()) {
        return Err(Refusal::BadTypes { given: wrong.unwrap_or_default().chars().take(80).collect() });
    }
    if before.is_some_and(|before| before.ordered != draft.ordered) {
        return Err(Refusal::OrderFixed { key: draft.key });
    }
    // Where it was off by a hand's wish, what happened meanwhile was not meant for it; where it had failed, it was.
    let goes_on = before.filter(|before| before.disabled != Some(Disabled::Manual));
    let webhook = OutboundWebhook {
        id: before.map_or(id, |before| before.id),
        name,
        url: draft.url.trim().to_owned(),
        types: draft.types,
        filter: filter(draft.filter.as_deref())?,
        ordered: draft.ordered,
        secrets: before.map_or_else(|| vec![Held { secret, until: None }], |before| before.secrets.clone()),
        disabled: (!draft.active).then_some(Disabled::Manual),
        failing_since: None,
        since: goes_on.map_or(head, |before| before.since),
        revision: before.map_or(1, |before| before.revision + 1),
        created_at: before.map_or(now, |before| before.created_at),
        key: draft.key,
    };
    let fact = Fact::audit("outbound_webhook.saved", webhook.id)
        .with("key", &webhook.key)
        .with("revision", webhook.revision)
        .with("types", &webhook.types)
        .with("filter", &webhook.filter)
        .with("active", webhook.is_active());
    Ok(Decision::new(webhook, fact))
}

/// Gives a webhook a new secret. The one before signs too for a day, so that the receiver can follow. While one from a rotation
/// before signs still, a further rotation is refused, unless `end_previous` says that this one ends now.
pub fn rotate(
    mut webhook: OutboundWebhook,
    secret: Secret,
    end_previous: bool,
    now: DateTime<Utc>,
) -> Result<Decision<OutboundWebhook>, Refusal> {
    let earlier = webhook.previous_until(now);
    if let Some(until) = earlier.filter(|_| !end_previous) {
        return Err(Refusal::Overlap { until });
    }
    let until = now + OVERLAP;
    webhook.secrets.truncate(1);
    for held in &mut webhook.secrets {
        held.until = Some(until);
    }
    webhook.secrets.insert(0, Held { secret, until: None });
    webhook.revision += 1;
    let fact = Fact::audit("outbound_webhook.secret_rotated", webhook.id)
        .with("key", &webhook.key)
        .with("until", until)
        .with("ended_before", earlier);
    Ok(Decision::new(webhook, fact))
}

/// A secret from 32 bytes that nobody can guess.
pub fn secret(bytes: &[u8; 32]) -> Secret {
    Secret::of_bytes(Scheme::StandardWebhooks, bytes)
}

impl OutboundWebhook {
    /// Whether it is told anything.
    pub const fn is_active(&self) -> bool {
        self.disabled.is_none()
    }

    /// Whether events are kept for it: also while it fails, so that they can be sent once it is mended.
    pub fn hears(&self, kind: &str, seq: i64) -> bool {
        let listens = self.disabled != Some(Disabled::Manual) && seq > self.since;
        listens && self.types.iter().any(|pattern| types::matches(pattern, kind))
    }

    /// The current secret.
    pub fn secret(&self) -> Option<&Secret> {
        self.secrets.first().map(|held| &held.secret)
    }

    /// Until when the earlier secret signs too; none where it does not any more.
    pub fn previous_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.secrets.iter().filter_map(|held| held.until).filter(|until| now < *until).max()
    }

    /// The headers of Standard Webhooks for a message, signed by every secret that is valid.
    pub fn headers(&self, message: &str, body: &str, now: DateTime<Utc>) -> Vec<(String, String)> {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(signed(&self.secrets, message, body, now));
        headers
    }
}

/// The headers of Standard Webhooks, signed by every secret that is valid.
fn signed(secrets: &[Held], message: &str, body: &str, now: DateTime<Utc>) -> [(String, String); 3] {
    let timestamp = now.timestamp().to_string();
    let valid = secrets.iter().filter(|held| held.until.is_none_or(|until| now < until));
    let signatures: Vec<String> = valid.filter_map(|held| held.secret.sign(message, &timestamp, body)).collect();
    [("webhook-id", message.to_owned()), ("webhook-timestamp", timestamp), ("webhook-signature", signatures.join(" "))]
        .map(|(name, value)| (name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::Headers;
    use uuid::Uuid;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn draft() -> Draft {
        Draft {
            key: "crm".to_owned(),
            name: "CRM".to_owned(),
            url: "https://crm.example.com/hook".to_owned(),
            types: vec!["handoff.*".to_owned()],
            filter: Some("data.to == 'WON'".to_owned()),
            ordered: true,
            active: true,
        }
    }

    fn saved(before: Option<&OutboundWebhook>, draft: Draft, head: i64) -> Result<OutboundWebhook, Refusal> {
        save(before, Uuid::max().into(), draft, (secret(&[1; 32]), head), now()).map(|decision| decision.next)
    }

    #[test]
    fn a_bad_definition_is_refused_by_its_field() {
        let field = |draft| saved(None, draft, 0).unwrap_err().field();
        assert_eq!(field(Draft { key: "x y".to_owned(), ..draft() }), Some("key"));
        assert_eq!(field(Draft { name: String::new(), ..draft() }), Some("name"));
        assert_eq!(field(Draft { types: Vec::new(), ..draft() }), Some("types"));
        assert_eq!(field(Draft { types: vec!["handof.*".to_owned()], ..draft() }), Some("types"));
        assert_eq!(field(Draft { filter: Some("data.".to_owned()), ..draft() }), Some("filter"));
        assert_eq!(field(Draft { filter: Some("payload.x".to_owned()), ..draft() }), Some("filter"));
    }

    #[test]
    fn what_it_hears_begins_when_it_was_made_or_switched_on_by_hand() {
        let webhook = saved(None, draft(), 7).unwrap();
        assert!(webhook.hears("handoff.accepted", 8) && !webhook.hears("handoff.accepted", 7));
        assert!(!webhook.hears("lead.lost", 8));
        let off = saved(Some(&webhook), Draft { active: false, ..draft() }, 9).unwrap();
        assert!(!off.hears("handoff.accepted", 10));
        let on = saved(Some(&off), draft(), 20).unwrap();
        assert!(!on.hears("handoff.accepted", 20) && on.hears("handoff.accepted", 21));
        let failing = OutboundWebhook { disabled: Some(Disabled::Failing), ..webhook };
        assert!(failing.hears("handoff.accepted", 8), "kept until it is mended");
        assert!(saved(Some(&failing), draft(), 20).unwrap().hears("handoff.accepted", 8));
    }

    #[test]
    fn the_earlier_secret_signs_for_a_day_and_the_inbound_check_believes_both() {
        let webhook = rotate(saved(None, draft(), 0).unwrap(), secret(&[2; 32]), false, now()).unwrap().next;
        let believed = |at: DateTime<Utc>, bytes: u8| {
            let headers: Headers = webhook.headers("msg_1", "{}", at).into_iter().collect();
            Scheme::StandardWebhooks.verify(&[&secret(&[bytes; 32])], &headers, b"{}", at).is_ok()
        };
        assert!(believed(now(), 1) && believed(now(), 2) && !believed(now(), 3));
        assert!(!believed(now() + OVERLAP, 1) && believed(now() + OVERLAP, 2));
        assert_eq!(webhook.previous_until(now()), Some(now() + OVERLAP));
        let again = |end_previous, at| rotate(webhook.clone(), secret(&[3; 32]), end_previous, at);
        assert_eq!(again(false, now()).unwrap_err(), Refusal::Overlap { until: now() + OVERLAP });
        assert!(again(true, now()).is_ok() && again(false, now() + OVERLAP).is_ok());
    }
}
