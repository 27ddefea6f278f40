//! Inbound webhooks: an address that other systems post to, how their deliveries are verified, and what is done with them.

pub mod action;
pub mod delivery;
pub mod signature;

pub use action::{Action, ActionKind, Event, Fault, Plan, Step};
pub use delivery::{Arrival, Done, End, InboundDelivery, Outcome, Raw, State};
pub use signature::{Headers, Rejection, Scheme, Secret, Verdict};

use crate::decision::{Decision, Fact};
use crate::expression::typing::{self, Purpose, Shape};
use crate::expression::{self, Expression};
use crate::id::{InboundWebhookId, UserId};
use crate::normalise;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most actions of a webhook.
pub const MAX_ACTIONS: usize = 10;
/// The most values of an action.
pub const MAX_VALUES: usize = 50;
/// The longest that an earlier secret stays valid after a rotation, in hours.
pub const MAX_OVERLAP_HOURS: u32 = 7 * 24;

/// Why a definition is refused, or a delivery cannot be handled so.
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
    /// The secret has another form, or could be guessed.
    #[error(
        "this secret does not fit {scheme}: STANDARD_WEBHOOKS takes `whsec_` and 24 to 64 bytes in Base64, the others 16 to \
         200 printable characters without blanks; leave it out to have one made"
    )]
    BadSecret {
        /// The scheme.
        scheme: Scheme,
    },
    /// The overlap of two secrets is out of range.
    #[error("the earlier secret stays valid for 0 to {MAX_OVERLAP_HOURS} hours, not {given}")]
    BadOverlap {
        /// What was given.
        given: u32,
    },
    /// An earlier secret is still within the time that it was promised.
    #[error(
        "an earlier secret stays valid until {until}, as its rotation promised, and there are two at most; rotate after that, or \
         with `endPrevious: true` to end that one now"
    )]
    Overlap {
        /// Until when it is valid.
        until: DateTime<Utc>,
    },
    /// The country of phone numbers is none.
    #[error("`{given}` is not a country; give the two letters of ISO 3166-1, such as US or CN")]
    BadRegion {
        /// What was given.
        given: String,
    },
    /// The scheme of a webhook that is there was changed.
    #[error("deliveries to `{key}` are verified by {scheme}, which stays; save another webhook under another key")]
    SchemeFixed {
        /// The key.
        key: String,
        /// Its scheme.
        scheme: Scheme,
    },
    /// Nothing is done with what arrives, or too much.
    #[error("a webhook has 1 to {MAX_ACTIONS} actions of at most {MAX_VALUES} values each")]
    BadActions,
    /// A field that the action does not take.
    #[error("{kind} has no field `{field}`; the fields are {known}")]
    UnknownField {
        /// The action's place.
        place: usize,
        /// The action.
        kind: ActionKind,
        /// The field given.
        field: String,
        /// The fields there are.
        known: String,
    },
    /// A field that the action needs.
    #[error("{kind} needs the field `{field}`")]
    MissingField {
        /// The action's place.
        place: usize,
        /// The action.
        kind: ActionKind,
        /// The field.
        field: &'static str,
    },
    /// An expression that cannot be read, or reads what is not there.
    #[error("{message}")]
    BadExpression {
        /// Where it is, as a path of the input.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A delivery was handled already.
    #[error("this delivery is {state}; nothing is left to do")]
    Settled {
        /// Its state.
        state: State,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadKey { .. } => "INBOUND_BAD_KEY",
            Self::BadName => "INBOUND_BAD_NAME",
            Self::BadSecret { .. } => "INBOUND_BAD_SECRET",
            Self::BadOverlap { .. } => "INBOUND_BAD_OVERLAP",
            Self::Overlap { .. } => "INBOUND_SECRET_OVERLAP",
            Self::BadRegion { .. } => "INBOUND_BAD_REGION",
            Self::SchemeFixed { .. } => "INBOUND_SCHEME_FIXED",
            Self::BadActions => "INBOUND_BAD_ACTIONS",
            Self::UnknownField { .. } => "INBOUND_FIELD_UNKNOWN",
            Self::MissingField { .. } => "INBOUND_FIELD_MISSING",
            Self::BadExpression { .. } => "INBOUND_BAD_EXPRESSION",
            Self::Settled { .. } => "INBOUND_SETTLED",
        }
    }

    /// The input field concerned.
    pub fn field(&self) -> Option<String> {
        Some(match self {
            Self::BadKey { .. } => "key".to_owned(),
            Self::BadName => "name".to_owned(),
            Self::BadSecret { .. } => "secret".to_owned(),
            Self::BadOverlap { .. } => "overlapHours".to_owned(),
            Self::Overlap { .. } => "endPrevious".to_owned(),
            Self::BadRegion { .. } => "phoneRegion".to_owned(),
            Self::SchemeFixed { .. } => "scheme".to_owned(),
            Self::BadActions => "actions".to_owned(),
            Self::UnknownField { place, field, .. } => format!("actions.{place}.values.{field}"),
            Self::MissingField { place, field, .. } => format!("actions.{place}.values.{field}"),
            Self::BadExpression { place, .. } => place.clone(),
            Self::Settled { .. } => return None,
        })
    }
}

/// A secret and until when it is valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    secret: Secret,
    /// None means until it is replaced.
    until: Option<DateTime<Utc>>,
}

/// An address that other systems post to, and what is done with what they post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundWebhook {
    /// Its id.
    pub id: InboundWebhookId,
    /// The last part of its address; unique and fixed.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// How deliveries are verified; fixed.
    pub scheme: Scheme,
    /// The current secret first.
    secrets: Vec<Held>,
    /// In whose name its actions are done: a user with the role INTEGRATION.
    pub acts_as: UserId,
    /// The country that phone numbers without a country code are dialled from: ISO 3166-1, two letters.
    pub phone_region: Option<String>,
    /// What a repetition is known by, where the sender's header is not to be used.
    pub delivery_id: Option<Expression>,
    /// Only deliveries for which this holds are acted on.
    pub filter: Option<Expression>,
    /// What is done, in order; all of it or nothing.
    pub actions: Vec<Action>,
    /// Whether it takes deliveries.
    pub active: bool,
    /// Counts its changes.
    pub revision: u32,
    /// When it was first saved.
    pub created_at: DateTime<Utc>,
}

/// One action as somebody writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActionDraft {
    /// What it does.
    pub kind: ActionKind,
    /// Only where this holds.
    pub when: Option<String>,
    /// Field -> expression.
    pub values: BTreeMap<String, String>,
    /// Whether the other actions are done although this one is refused.
    pub optional: bool,
}

/// A webhook as somebody writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// The last part of its address.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// How deliveries are verified.
    pub scheme: Scheme,
    /// In whose name its actions are done.
    pub acts_as: UserId,
    /// The country of phone numbers without a country code.
    pub phone_region: Option<String>,
    /// What a repetition is known by, where not by the sender's header.
    pub delivery_id: Option<String>,
    /// Only deliveries for which this holds are acted on.
    pub filter: Option<String>,
    /// What is done.
    pub actions: Vec<ActionDraft>,
    /// Whether it takes deliveries.
    pub active: bool,
}

/// What expressions read, as far as it is known before a delivery comes.
fn environment() -> Shape {
    let delivery = Shape::Record(vec![("id", Shape::Text), ("receivedAt", Shape::Text)]);
    Shape::Record(vec![("payload", Shape::Map), ("headers", Shape::Map), ("delivery", delivery)])
}

fn read(place: &str, text: &str, purpose: Purpose) -> Result<Expression, Refusal> {
    let bad = |message: String| Refusal::BadExpression { place: place.to_owned(), message };
    let expression = Expression::parse(text).map_err(|refusal: expression::Refusal| bad(refusal.to_string()))?;
    let unknown = expression.variables().into_iter().find(|name| !action::VARIABLES.contains(&name.as_str()));
    match unknown {
        Some(name) => Err(bad(format!("there is no `{name}`; an expression reads {}", action::VARIABLES.join(", ")))),
        // What could never be worked out, whatever is posted, is no definition.
        None => match typing::faults(text, &environment(), purpose).into_iter().next() {
            Some(fault) => Err(bad(fault.message)),
            None => Ok(expression),
        },
    }
}

fn read_opt(place: &str, text: Option<&str>, purpose: Purpose) -> Result<Option<Expression>, Refusal> {
    text.map(str::trim).filter(|text| !text.is_empty()).map(|text| read(place, text, purpose)).transpose()
}

fn read_action((place, draft): (usize, &ActionDraft)) -> Result<Action, Refusal> {
    let kind = draft.kind;
    if draft.values.len() > MAX_VALUES {
        return Err(Refusal::BadActions);
    }
    if let Some(field) = draft.values.keys().find(|field| !kind.takes(field)) {
        let families = kind.families().iter().map(|family| format!("{family}<name>"));
        let known =
            kind.fields().iter().map(|field| (*field).to_owned()).chain(families).collect::<Vec<_>>().join(", ");
        return Err(Refusal::UnknownField { place, kind, field: field.clone(), known });
    }
    if let Some(field) = kind.required().iter().find(|field| !draft.values.contains_key(**field)) {
        return Err(Refusal::MissingField { place, kind, field });
    }
    let values = draft.values.iter().map(|(field, text)| {
        Ok((field.clone(), read(&format!("actions.{place}.values.{field}"), text, Purpose::Value)?))
    });
    let when = read_opt(&format!("actions.{place}.when"), draft.when.as_deref(), Purpose::Condition)?;
    Ok(Action { kind, when, values: values.collect::<Result<_, Refusal>>()?, optional: draft.optional })
}

fn region(given: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) else { return Ok(None) };
    let bad = |_| Refusal::BadRegion { given: given.chars().take(40).collect() };
    normalise::country(given).map(Some).map_err(bad)
}

/// Whether a text can be the key of a webhook.
pub fn is_key(key: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&key.len()) && key.bytes().all(inner) && !key.starts_with('-') && !key.ends_with('-')
}

/// Saves a webhook under its key. `secret` is that of a new one; an existing one keeps its secrets.
pub fn save(
    before: Option<&InboundWebhook>,
    id: InboundWebhookId,
    draft: Draft,
    secret: Secret,
    now: DateTime<Utc>,
) -> Result<Decision<InboundWebhook>, Refusal> {
    if !is_key(&draft.key) {
        return Err(Refusal::BadKey { key: draft.key.chars().take(80).collect() });
    }
    let name = draft.name.trim().to_owned();
    if !(1..=120).contains(&name.chars().count()) {
        return Err(Refusal::BadName);
    }
    if let Some(before) = before.filter(|before| before.scheme != draft.scheme) {
        return Err(Refusal::SchemeFixed { key: draft.key, scheme: before.scheme });
    }
    if !(1..=MAX_ACTIONS).contains(&draft.actions.len()) {
        return Err(Refusal::BadActions);
    }
    let webhook = InboundWebhook {
        id: before.map_or(id, |before| before.id),
        scheme: draft.scheme,
        secrets: before.map_or_else(|| vec![Held { secret, until: None }], |before| before.secrets.clone()),
        acts_as: draft.acts_as,
        phone_region: region(draft.phone_region.as_deref())?,
        delivery_id: read_opt("deliveryId", draft.delivery_id.as_deref(), Purpose::Value)?,
        filter: read_opt("filter", draft.filter.as_deref(), Purpose::Condition)?,
        actions: draft.actions.iter().enumerate().map(read_action).collect::<Result<_, _>>()?,
        active: draft.active,
        revision: before.map_or(1, |before| before.revision + 1),
        created_at: before.map_or(now, |before| before.created_at),
        key: draft.key,
        name,
    };
    let fact = Fact::audit("inbound_webhook.saved", webhook.id)
        .with("key", &webhook.key)
        .with("revision", webhook.revision)
        .with("active", webhook.active)
        .with("filter", &webhook.filter)
        .with("actions", &webhook.actions);
    Ok(Decision::new(webhook, fact))
}

impl InboundWebhook {
    /// The secrets that are valid at a moment, the current one first.
    pub fn secrets(&self, now: DateTime<Utc>) -> Vec<&Secret> {
        self.secrets.iter().filter(|held| held.until.is_none_or(|until| now < until)).map(|held| &held.secret).collect()
    }

    /// Until when the earlier secret is valid; none where there is none any more.
    pub fn previous_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.secrets.iter().filter_map(|held| held.until).filter(|until| now < *until).max()
    }

    /// The id by which a repetition of a delivery is known: the expression's, else the sender's, else none.
    pub fn id_of(&self, event: &Event) -> Result<Option<String>, Fault> {
        let Some(expression) = &self.delivery_id else { return Ok(None) };
        let fault = |code: &str, message: String| Fault::new("deliveryId", code, message);
        let value = expression.evaluate(&event.data()).map_err(|refusal| Fault::of("deliveryId", &refusal))?;
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        if signature::is_id(&text) {
            return Ok(Some(text));
        }
        let sentence = "the id of a delivery is 1 to 200 printable ASCII characters without blanks, or a number";
        Err(fault("INBOUND_VALUE_INVALID", sentence.to_owned()))
    }
}

/// Gives a webhook a new secret. The one before stays valid for some hours, so that the sender can follow. Two are valid at a
/// time, and a promise is kept: while one from a rotation before is still within its time, a further rotation is refused,
/// unless `end_previous` says that this one ends now.
pub fn rotate(
    mut webhook: InboundWebhook,
    secret: Secret,
    (overlap_hours, end_previous): (u32, bool),
    now: DateTime<Utc>,
) -> Result<Decision<InboundWebhook>, Refusal> {
    if overlap_hours > MAX_OVERLAP_HOURS {
        return Err(Refusal::BadOverlap { given: overlap_hours });
    }
    let earlier = webhook.previous_until(now);
    if let Some(until) = earlier.filter(|_| !end_previous) {
        return Err(Refusal::Overlap { until });
    }
    let until = now + TimeDelta::hours(overlap_hours.into());
    // Two at most: a third would be a secret that nobody remembers.
    webhook.secrets.truncate(1);
    for held in &mut webhook.secrets {
        held.until = Some(until);
    }
    webhook.secrets.insert(0, Held { secret, until: None });
    webhook.revision += 1;
    let fact = Fact::audit("inbound_webhook.secret_rotated", webhook.id)
        .with("key", &webhook.key)
        .with("previous_until", until)
        .with("ended_before", earlier);
    Ok(Decision::new(webhook, fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn draft() -> Draft {
        let values = [("email".to_owned(), "payload.email".to_owned())].into();
        Draft {
            key: "form".to_owned(),
            name: "Form tool".to_owned(),
            scheme: Scheme::Bearer,
            acts_as: UserId(Uuid::nil()),
            phone_region: Some("us ".to_owned()),
            delivery_id: None,
            filter: Some(" ".to_owned()),
            actions: vec![ActionDraft { kind: ActionKind::ContactUpsert, when: None, values, optional: false }],
            active: true,
        }
    }

    fn saved(before: Option<&InboundWebhook>, draft: Draft, byte: u8) -> Result<InboundWebhook, Refusal> {
        let secret = Secret::of_bytes(draft.scheme, &[byte; 32]);
        save(before, InboundWebhookId(Uuid::max()), draft, secret, now()).map(|decision| decision.next)
    }

    #[test]
    fn a_definition_is_checked_part_by_part() {
        let refused = |change: &dyn Fn(&mut Draft)| {
            let mut draft = draft();
            change(&mut draft);
            let refusal = saved(None, draft, 1).unwrap_err();
            (refusal.code(), refusal.field().unwrap())
        };
        let of = |code: &'static str, field: &str| (code, field.to_owned());
        for key in ["", "Form", "-form", "form-", "a b", &"a".repeat(65)] {
            assert_eq!(refused(&|draft| draft.key = key.to_owned()), of("INBOUND_BAD_KEY", "key"));
        }
        assert_eq!(refused(&|draft| draft.name = " ".to_owned()), of("INBOUND_BAD_NAME", "name"));
        assert_eq!(refused(&|draft| draft.actions.clear()), of("INBOUND_BAD_ACTIONS", "actions"));
        let bad = "INBOUND_BAD_EXPRESSION";
        assert_eq!(refused(&|draft| draft.filter = Some("payload.".to_owned())), of(bad, "filter"));
        assert_eq!(refused(&|draft| draft.filter = Some("contact.x == 1".to_owned())), of(bad, "filter"));
        assert_eq!(refused(&|draft| draft.delivery_id = Some("1 +".to_owned())), of(bad, "deliveryId"));
        // What can be read and could never be worked out.
        assert_eq!(refused(&|draft| draft.filter = Some("1".to_owned())), of(bad, "filter"));
        assert_eq!(refused(&|draft| draft.filter = Some("delivery.idd == 'x'".to_owned())), of(bad, "filter"));
        assert_eq!(refused(&|draft| draft.delivery_id = Some("nofn(payload.x)".to_owned())), of(bad, "deliveryId"));
        assert_eq!(refused(&|draft| draft.actions[0].when = Some("'yes'".to_owned())), of(bad, "actions.0.when"));
        let unknown = |draft: &mut Draft| {
            draft.actions[0].values.insert("name".to_owned(), "nofn(payload.x)".to_owned());
        };
        assert_eq!(refused(&unknown), of(bad, "actions.0.values.name"));
        let region = |draft: &mut Draft| draft.phone_region = Some("ZZ".to_owned());
        assert_eq!(refused(&region), of("INBOUND_BAD_REGION", "phoneRegion"));
        let value = |field: &'static str| {
            move |draft: &mut Draft| {
                draft.actions[0].values.insert(field.to_owned(), "1 +".to_owned());
            }
        };
        assert_eq!(refused(&value("name")), of(bad, "actions.0.values.name"));
        assert_eq!(refused(&value("mail")), of("INBOUND_FIELD_UNKNOWN", "actions.0.values.mail"));
        let kind = |draft: &mut Draft| draft.actions[0].kind = ActionKind::LeadReceive;
        assert_eq!(refused(&kind), of("INBOUND_FIELD_MISSING", "actions.0.values.source"));
    }

    #[test]
    fn saving_again_keeps_id_secret_and_scheme() {
        let first = saved(None, draft(), 1).unwrap();
        assert_eq!((first.revision, first.phone_region.as_deref(), &first.filter), (1, Some("US"), &None));
        let second = saved(Some(&first), Draft { name: "Other".to_owned(), ..draft() }, 2).unwrap();
        assert_eq!((second.id, second.revision, second.secrets(now())), (first.id, 2, first.secrets(now())));
        let other = saved(Some(&first), Draft { scheme: Scheme::Github, ..draft() }, 2);
        assert_eq!(other.unwrap_err().code(), "INBOUND_SCHEME_FIXED");
    }

    #[test]
    fn two_secrets_are_valid_after_a_rotation_and_then_one() {
        let first = saved(None, draft(), 1).unwrap();
        let (a, b, c) = (1, 2, 3);
        let secret = |byte: u8| Secret::of_bytes(Scheme::Bearer, &[byte; 32]);
        let second = rotate(first, secret(b), (24, false), now()).unwrap().next;
        let day = TimeDelta::hours(24);
        assert_eq!(second.secrets(now()), [&secret(b), &secret(a)]);
        assert_eq!(second.secrets(now() + day), [&secret(b)]);
        assert_eq!((second.previous_until(now()), second.previous_until(now() + day)), (Some(now() + day), None));
        let again = |end_previous, at| rotate(second.clone(), secret(c), (1, end_previous), at);
        // The promise to the first is kept until its time, or ended by who says so.
        let refused = again(false, now() + day - TimeDelta::seconds(1)).unwrap_err();
        assert_eq!(refused, Refusal::Overlap { until: now() + day });
        assert!(refused.to_string().contains("2027-01-16 08:00:00 UTC") && refused.to_string().contains("endPrevious"));
        assert_eq!(again(true, now()).unwrap().next.secrets(now()), [&secret(c), &secret(b)]);
        assert_eq!(again(false, now() + day).unwrap().next.secrets(now() + day), [&secret(c), &secret(b)]);
        assert_eq!(rotate(second, secret(c), (169, false), now()).unwrap_err().code(), "INBOUND_BAD_OVERLAP");
    }

    #[test]
    fn a_delivery_can_be_known_by_what_it_says() {
        let webhook = saved(None, Draft { delivery_id: Some("payload.event.id".to_owned()), ..draft() }, 1).unwrap();
        let id = |payload: serde_json::Value| {
            let serde_json::Value::Object(payload) = payload else { panic!("an object") };
            let event = Event { id: String::new(), received_at: String::new(), headers: BTreeMap::new(), payload };
            webhook.id_of(&event).map_err(|fault| fault.code)
        };
        assert_eq!(id(serde_json::json!({"event": {"id": "e-1"}})), Ok(Some("e-1".to_owned())));
        assert_eq!(id(serde_json::json!({"event": {"id": 17}})), Ok(Some("17".to_owned())));
        assert_eq!(id(serde_json::json!({"event": {"id": "a b"}})), Err("INBOUND_VALUE_INVALID".to_owned()));
        assert_eq!(id(serde_json::json!({})), Err("EXPRESSION_FAILED".to_owned()));
    }

    #[test]
    fn facts_and_debug_forms_hold_no_secret() {
        let secret = Secret::of_bytes(Scheme::Bearer, &[9; 32]);
        let shown = secret.reveal().to_owned();
        let decision = save(None, InboundWebhookId(Uuid::max()), draft(), secret, now()).unwrap();
        assert!(!format!("{decision:?}").contains(&shown));
    }
}
