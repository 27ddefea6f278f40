//! One event as a sender's SDK tells it.

use super::moment::{Moment, occurred};
use super::{MAX_EVENT, source::EventSource};
use crate::codes;
use crate::id::{EventBatchId, EventSourceId, IngestedEventId};
use crate::interaction::{self, InteractionKind};
use crate::normalise;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

codes! {
    /// What an event says. The calls of the Segment specification.
    pub enum EventKind("kind of event") {
        /// Who a visitor is.
        Identify = "IDENTIFY",
        /// What a visitor did.
        Track = "TRACK",
        /// Which page a visitor saw.
        Page = "PAGE",
        /// Which screen of an app a visitor saw.
        Screen = "SCREEN",
        /// Which company a visitor belongs to.
        Group = "GROUP",
        /// That two visitors are one.
        Alias = "ALIAS",
    }
}

impl EventKind {
    /// The kind by the name that the protocol gives it, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}

codes! {
    /// Where an event stands.
    pub enum State("event state") {
        /// Stored, and to be applied.
        Received = "RECEIVED",
        /// What it says is in Tandem.
        Applied = "APPLIED",
        /// It could be read, but what it says was refused.
        Refused = "REFUSED",
        /// It could not be read.
        Quarantined = "QUARANTINED",
    }
}

/// Why an event was not applied, or only in part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl Fault {
    /// A fault.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestedEvent {
    /// Its id: the order of arrival.
    pub id: IngestedEventId,
    /// Where it came from.
    pub source: EventSourceId,
    /// With which others it is applied.
    pub batch: EventBatchId,
    /// What a repetition of it is known by; unique for its source.
    pub message_id: String,
    /// What it says; none where that could not be read.
    pub kind: Option<EventKind>,
    /// Where it stands.
    pub state: State,
    /// Why it was not applied, or only in part. Of one that is still to be applied, what of its time could not be used.
    pub fault: Option<Fault>,
    /// When it happened, by the sender's clock set right.
    pub occurred_at: DateTime<Utc>,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// As it came: JSON. Of one that is too large, the first 48 KiB.
    pub payload: String,
}

/// What a request carried around its events.
#[derive(Debug, Clone, Copy)]
pub struct Envelope {
    /// What every event is, where the address says so; else each says it.
    pub kind: Option<EventKind>,
    /// When the sender's clock said that it sent.
    pub sent_at: Moment,
    /// When it came, by ours.
    pub received_at: DateTime<Utc>,
}

/// An id of the sender's: a text, or a number.
pub fn id(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then_some(text)
}

impl Envelope {
    /// Reads one event to be stored. `fresh` is what it is known by where the sender gave nothing to know it by.
    pub fn read(
        &self,
        source: EventSourceId,
        batch: EventBatchId,
        fresh: IngestedEventId,
        event: &Value,
    ) -> IngestedEvent {
        let mut payload = event.to_string();
        let size = payload.len();
        let fields = event.as_object();
        let message_id = fields.and_then(|fields| id(fields.get("messageId")));
        let kind = self.kind.or_else(|| EventKind::of_name(fields?.get("type")?.as_str()?));
        let fault = match (fields, kind) {
            (None, _) => {
                let message = "an event is a JSON object, of numbers that a double can hold, and less than 128 deep";
                Some(Fault::new("EVENT_NOT_AN_OBJECT", message))
            }
            _ if size > MAX_EVENT => {
                let message =
                    format!("an event has at most {MAX_EVENT} bytes; this one had {size}, of which the first are kept");
                Some(Fault::new("EVENT_TOO_LARGE", message))
            }
            (Some(_), None) => {
                Some(Fault::new("EVENT_TYPE_UNKNOWN", "`type` is identify, track, page, screen, group or alias"))
            }
            (Some(fields), Some(kind)) => check(fields, kind),
        };
        let cut = (0..=MAX_EVENT).rev().find(|at| payload.is_char_boundary(*at)).unwrap_or(0);
        payload.truncate(cut);
        let (occurred_at, passing) =
            fields.map_or((self.received_at, None), |fields| occurred(fields, self.sent_at, self.received_at));
        IngestedEvent {
            id: fresh,
            source,
            batch,
            message_id: message_id.unwrap_or_else(|| fresh.to_string()),
            kind,
            state: if fault.is_some() { State::Quarantined } else { State::Received },
            fault: fault.or(passing),
            occurred_at,
            received_at: self.received_at,
            payload,
        }
    }
}

/// What an event lacks.
fn check(fields: &Map<String, Value>, kind: EventKind) -> Option<Fault> {
    let said = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
    if let Some(name) = ["userId", "anonymousId", "previousId", "messageId"].into_iter().find(|name| {
        // What is empty was not said.
        said(name) && fields.get(*name) != Some(&Value::String(String::new())) && id(fields.get(*name)).is_none()
    }) {
        let message = format!("`{name}` is a text of 1 to 200 characters without control characters, or a number");
        return Some(Fault::new("EVENT_ID_INVALID", message));
    }
    if kind == EventKind::Alias && (id(fields.get("userId")).is_none() || id(fields.get("previousId")).is_none()) {
        return Some(Fault::new("EVENT_WITHOUT_ID", "alias needs a `previousId` and a `userId`"));
    }
    if id(fields.get("userId")).is_none() && id(fields.get("anonymousId")).is_none() {
        return Some(Fault::new("EVENT_WITHOUT_ID", "an event needs a `userId` or an `anonymousId`"));
    }
    if kind == EventKind::Group && id(fields.get("groupId")).is_none() {
        return Some(Fault::new("EVENT_WITHOUT_ID", "group needs a `groupId`"));
    }
    if kind == EventKind::Track && fields.get("event").and_then(Value::as_str).is_none_or(|name| name.trim().is_empty())
    {
        return Some(Fault::new("EVENT_WITHOUT_NAME", "track needs the name of the `event`"));
    }
    None
}

/// What an event says was done, where it says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// What was done.
    pub kind: InteractionKind,
    /// Its name.
    pub name: String,
    /// Why it was no person's.
    pub automated: Option<interaction::Automation>,
    /// How long it took, in seconds.
    pub seconds: Option<u32>,
    /// The address of the page or the link.
    pub url: Option<String>,
    /// What else was told.
    pub properties: Map<String, Value>,
}

/// Reads what was done out of a track, page or screen; none for the others.
pub fn deed(source: &EventSource, kind: EventKind, event: &Map<String, Value>) -> Option<Deed> {
    let text = |fields: Option<&Value>, name: &str| {
        fields
            .and_then(|fields| fields.get(name)?.as_str())
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let properties = event.get("properties");
    let context = event.get("context");
    let page = context.and_then(|context| context.get("page"));
    let named = text(Some(&Value::Object(event.clone())), "name");
    let (what, name) = match kind {
        EventKind::Track => {
            let name = event.get("event")?.as_str()?.to_owned();
            (source.kind_of(&name), name)
        }
        EventKind::Page => {
            let name = named.or_else(|| text(properties, "title")).or_else(|| text(page, "title"));
            let name = name.or_else(|| text(properties, "path")).or_else(|| text(page, "path"));
            (InteractionKind::Page, name.unwrap_or_else(|| "page".to_owned()))
        }
        EventKind::Screen => (InteractionKind::Screen, named.unwrap_or_else(|| "screen".to_owned())),
        EventKind::Identify | EventKind::Group | EventKind::Alias => return None,
    };
    let long = |name: &str| properties.and_then(|fields| fields.get(name)).and_then(Value::as_f64);
    let seconds = ["seconds", "duration", "readingSeconds", "timeSpent"].into_iter().find_map(long);
    let seconds = seconds.filter(|seconds| (0.0..=f64::from(interaction::MAX_SECONDS)).contains(seconds));
    let url = text(properties, "url").or_else(|| text(page, "url"));
    let agent = text(context, "userAgent");
    // A browser's data of its own page is no property of what was done, and may be long.
    let properties = properties.and_then(Value::as_object).cloned().unwrap_or_default();
    Some(Deed {
        kind: what,
        name: bounded(&name),
        automated: interaction::automation::by_agent(agent.as_deref()),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 86,400, checked above")]
        seconds: seconds.map(|seconds| seconds as u32),
        url: url.as_deref().and_then(interaction::address),
        properties: interaction::storable_fields(properties),
    })
}

/// A name of the sender's, tidied and cut where it is too long.
fn bounded(name: &str) -> String {
    let cut: String = name.chars().filter(|c| !c.is_control()).take(interaction::MAX_NAME).collect();
    normalise::line("name", &cut, interaction::MAX_NAME)
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unnamed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn read(event: &Value) -> IngestedEvent {
        let envelope = Envelope { kind: None, sent_at: Moment::Untold, received_at: at(0) };
        envelope.read(Uuid::nil().into(), Uuid::nil().into(), Uuid::max().into(), event)
    }

    fn code(event: &Value) -> Option<String> {
        read(event).fault.map(|fault| fault.code)
    }

    #[test]
    fn what_cannot_be_read_is_quarantined_with_a_code() {
        let track = |more: Value| {
            let mut event = json!({ "type": "track", "event": "x", "anonymousId": "a" });
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            code(&event)
        };
        assert_eq!(track(json!({})), None);
        assert_eq!(track(json!({ "anonymousId": null, "userId": 7 })), None);
        assert_eq!(track(json!({ "anonymousId": "", "userId": "u" })), None);
        assert_eq!(track(json!({ "anonymousId": null })).as_deref(), Some("EVENT_WITHOUT_ID"));
        assert_eq!(track(json!({ "userId": {} })).as_deref(), Some("EVENT_ID_INVALID"));
        assert_eq!(track(json!({ "messageId": "m\0" })).as_deref(), Some("EVENT_ID_INVALID"));
        assert_eq!(track(json!({ "event": " " })).as_deref(), Some("EVENT_WITHOUT_NAME"));
        assert_eq!(track(json!({ "type": "purchase" })).as_deref(), Some("EVENT_TYPE_UNKNOWN"));
        assert_eq!(track(json!({ "type": "alias", "userId": "u" })).as_deref(), Some("EVENT_WITHOUT_ID"));
        assert_eq!(track(json!({ "type": "group" })).as_deref(), Some("EVENT_WITHOUT_ID"));
        assert_eq!(code(&json!([1])).as_deref(), Some("EVENT_NOT_AN_OBJECT"));
        let large = track(json!({ "properties": { "x": "ü".repeat(MAX_EVENT) } }));
        assert_eq!(large.as_deref(), Some("EVENT_TOO_LARGE"));
    }

    #[test]
    fn a_senders_clock_is_set_right() {
        let event = |timestamp: i64| json!({ "type": "page", "userId": "u", "timestamp": at(timestamp).to_rfc3339() });
        let read = |sent: Option<i64>, timestamp| {
            let envelope =
                Envelope { kind: None, sent_at: sent.map(at).map_or(Moment::Untold, Moment::At), received_at: at(0) };
            let event = event(timestamp);
            envelope.read(Uuid::nil().into(), Uuid::nil().into(), Uuid::max().into(), &event).occurred_at
        };
        // An hour fast, and told ten seconds after it happened.
        assert_eq!(read(Some(3_600), 3_590), at(-10));
        assert_eq!(read(None, -5), at(-5));
        assert_eq!((read(None, 60), read(Some(0), 60)), (at(0), at(0)), "never ahead");
    }

    #[test]
    fn a_message_is_known_by_its_id_or_by_ours() {
        let event = json!({ "type": "page", "userId": "u", "messageId": "m-1" });
        assert_eq!(read(&event).message_id, "m-1");
        assert_eq!(read(&json!({ "type": "page", "userId": "u" })).message_id, Uuid::max().to_string());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_event_is_read_or_quarantined(
            fields in proptest::collection::vec((
                prop_oneof![Just("type"), Just("event"), Just("userId"), Just("anonymousId"), Just("timestamp"), Just("sentAt"),
                    Just("properties"), Just("context"), Just("messageId"), Just("name"), Just("groupId"), Just("previousId")],
                prop_oneof![Just(json!("track")), Just(json!("page")), Just(json!(null)), Just(json!(-1.5e300)), Just(json!([])),
                    any::<String>().prop_map(Value::from), Just(json!({ "duration": 1e99, "url": "x y", "title": 3 })),
                    Just(json!("-262143-12-31T23:59:59Z")), Just(json!("+262142-12-31T23:59:59Z")), Just(json!(1.0e11))],
            ), 0..10)
        ) {
            let event: Value = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into();
            let envelope = Envelope { kind: None, sent_at: Moment::read(event.get("sentAt")), received_at: at(0) };
            let stored = envelope.read(Uuid::nil().into(), Uuid::nil().into(), Uuid::max().into(), &event);
            prop_assert!(stored.occurred_at <= at(0));
            let is_of_time = |fault: &Fault| ["EVENT_TIME_INVALID", "EVENT_SENT_AT_INVALID"].contains(&fault.code.as_str());
            prop_assert_eq!(stored.fault.as_ref().is_some_and(|fault| !is_of_time(fault)), stored.state == State::Quarantined);
            prop_assert!(stored.message_id.chars().all(|c| !c.is_control()));
            if let (State::Received, Some(kind)) = (stored.state, stored.kind) {
                let deed = deed(&super::super::source::tests::source(), kind, event.as_object().unwrap());
                prop_assert!(deed.is_none_or(|deed| !deed.name.is_empty()));
            }
        }
    }
}
