//! What a person (or a visitor nobody knows yet) did: opened, clicked, read, filled in, registered, came, met.
//!
//! An interaction is never changed. Who did it may become known later, which says so beside it.

pub mod automation;

pub use automation::Automation;

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::{AccountId, ContactId, EmailId, EventSourceId, InteractionId, VisitorId, local};
use crate::link::{MAX_URL, has_web_scheme};
use crate::normalise::{self, comparison_key};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Digest;

/// The longest name, in characters.
pub const MAX_NAME: usize = 200;
/// The largest properties, in bytes of JSON.
pub const MAX_PROPERTIES: usize = 48 * 1024;
/// The longest reading time, in seconds: a tab that stays open over night is not read that long.
pub const MAX_SECONDS: u32 = 24 * 60 * 60;

codes! {
    /// What was done.
    #[derive(schemars::JsonSchema)]
    pub enum InteractionKind("kind of interaction") {
        /// An e-mail was opened.
        EmailOpen = "EMAIL_OPEN",
        /// A link of an e-mail was followed.
        EmailClick = "EMAIL_CLICK",
        /// An e-mail was answered.
        EmailReply = "EMAIL_REPLY",
        /// A page was seen.
        Page = "PAGE",
        /// A screen of an app was seen.
        Screen = "SCREEN",
        /// A form was filled in.
        Form = "FORM",
        /// Something was downloaded.
        Download = "DOWNLOAD",
        /// Something was read for a while.
        Reading = "READING",
        /// Somebody registered for an event.
        EventRegistration = "EVENT_REGISTRATION",
        /// Somebody came to an event.
        CheckIn = "CHECK_IN",
        /// A meeting was booked or held.
        Meeting = "MEETING",
        /// Anything else that was worth telling.
        Other = "OTHER",
    }
}

impl InteractionKind {
    /// What an event by this name is, as far as its name is one that many tools use: the e-mail and B2B events of the
    /// Segment specification, and the plain words for the others. Case and punctuation do not count.
    pub fn of_name(name: &str) -> Self {
        match comparison_key(name).as_str() {
            "email opened" | "email open" => Self::EmailOpen,
            "email link clicked" | "email clicked" | "email click" => Self::EmailClick,
            "email replied" | "email reply" => Self::EmailReply,
            "form submitted" | "form filled" | "form completed" | "lead form submitted" => Self::Form,
            "document downloaded" | "content downloaded" | "file downloaded" | "asset downloaded" | "download" => {
                Self::Download
            }
            "content read" | "article read" | "page read" | "reading time" => Self::Reading,
            "event registered" | "webinar registered" | "registered for event" => Self::EventRegistration,
            "checked in" | "check in" | "event checked in" | "event attended" | "webinar attended" => Self::CheckIn,
            "meeting booked" | "meeting scheduled" | "meeting held" | "demo booked" => Self::Meeting,
            "page viewed" | "viewed page" => Self::Page,
            "screen viewed" | "viewed screen" => Self::Screen,
            _ => Self::Other,
        }
    }
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// Its id, which sorts by when it happened.
    pub id: InteractionId,
    /// Who did it, once that is known.
    pub contact: Option<ContactId>,
    /// The company that the person worked for when it became known who did it.
    pub account: Option<AccountId>,
    /// The visitor that the sender's events were about; none where a person was named.
    pub visitor: Option<VisitorId>,
    /// Where it was heard from; none where a user or a webhook recorded it.
    pub source: Option<EventSourceId>,
    /// What was done.
    pub kind: InteractionKind,
    /// Its name in the sender's words, e.g. the page's or the event's.
    pub name: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When Tandem heard of it.
    pub recorded_at: DateTime<Utc>,
    /// Why it was not a person, where that is so. Such an interaction counts for nothing.
    pub automated: Option<Automation>,
    /// How long it took, in seconds, where that was told.
    pub seconds: Option<u32>,
    /// The address of the page or the link.
    pub url: Option<String>,
    /// What else the sender told.
    pub properties: Map<String, Value>,
}

impl Interaction {
    /// The e-mail of ours that it was done with, where it was an open, a click or an answer and its properties name one (`email`,
    /// as a global id).
    pub fn email(&self) -> Option<EmailId> {
        let of_email = [InteractionKind::EmailOpen, InteractionKind::EmailClick, InteractionKind::EmailReply];
        let named = self.properties.get("email").filter(|_| of_email.contains(&self.kind))?.as_str()?;
        local("Email", named).map(EmailId)
    }
}

/// An interaction as somebody records it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draft {
    /// What was done.
    pub kind: InteractionKind,
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// When; the moment of the command where left out.
    pub occurred_at: Option<DateTime<Utc>>,
    /// How long it took, in seconds.
    pub seconds: Option<u32>,
    /// The address of the page or the link.
    pub url: Option<String>,
    /// Anything else.
    pub properties: Map<String, Value>,
}

/// Why an interaction is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The name is blank or too long.
    #[error("an interaction needs a name of 1 to {MAX_NAME} characters")]
    BadName,
    /// It lies ahead.
    #[error("{at} is not between 1970 and now; record what has happened")]
    Ahead {
        /// The moment given.
        at: DateTime<Utc>,
    },
    /// It took too long to be true.
    #[error("an interaction takes 0 to {MAX_SECONDS} seconds, not {given}")]
    TooLong {
        /// What was given.
        given: u32,
    },
    /// Not an address.
    #[error("the address of an interaction begins with https:// or http:// and has at most 2,000 bytes, none blank")]
    BadUrl,
    /// The properties are too large.
    #[error("the properties of an interaction are at most {MAX_PROPERTIES} bytes of JSON")]
    TooLarge,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadName => "INTERACTION_BAD_NAME",
            Self::Ahead { .. } => "INTERACTION_AHEAD",
            Self::TooLong { .. } => "INTERACTION_TOO_LONG",
            Self::BadUrl => "INTERACTION_BAD_URL",
            Self::TooLarge => "INTERACTION_TOO_LARGE",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadName => "name",
            Self::Ahead { .. } => "occurredAt",
            Self::TooLong { .. } => "seconds",
            Self::BadUrl => "url",
            Self::TooLarge => "properties",
        })
    }
}

/// Any text as the name of what a person did: its normal form, cut. Cut before, it might be too long in that form.
pub fn name_of(text: &str) -> String {
    let text: String = text.chars().take(2 * MAX_NAME).collect();
    normalise::cut_line(&text, MAX_NAME)
}

/// An address as it is kept: of the web, so that whoever shows it as a link leads nowhere else.
pub fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = text.len() <= MAX_URL && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    (fits && has_web_scheme(text)).then(|| text.to_owned())
}

/// Without the NUL that no database keeps as text.
pub fn storable(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => items.into_iter().map(storable).collect(),
        Value::Object(fields) => Value::Object(storable_fields(fields)),
        other => other,
    }
}

/// The same for the fields of an object.
pub fn storable_fields(fields: Map<String, Value>) -> Map<String, Value> {
    fields.into_iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), storable(value))).collect()
}

/// The id of something that was told under a key: told again under it, it is the same. Of the form of a UUID version 7, so
/// that it sorts by when it happened.
pub fn id_of(known_by: &str, occurred_at: DateTime<Utc>) -> InteractionId {
    let digest = sha2::Sha256::digest(known_by.as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    let millis = u64::try_from(occurred_at.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into()
}

/// Records what a person did, as somebody tells it.
pub fn record(
    id: InteractionId,
    (contact, account): (ContactId, Option<AccountId>),
    draft: Draft,
    now: DateTime<Utc>,
) -> Result<Decision<Interaction>, Refusal> {
    let name = normalise::line("name", &draft.name, MAX_NAME).map_err(|_| Refusal::BadName)?;
    if name.is_empty() {
        return Err(Refusal::BadName);
    }
    let occurred_at = draft.occurred_at.unwrap_or(now);
    if occurred_at > now || occurred_at < DateTime::UNIX_EPOCH {
        return Err(Refusal::Ahead { at: occurred_at });
    }
    if let Some(given) = draft.seconds.filter(|seconds| *seconds > MAX_SECONDS) {
        return Err(Refusal::TooLong { given });
    }
    let url = draft.url.filter(|url| !url.trim().is_empty());
    let url = url.map(|url| address(&url).ok_or(Refusal::BadUrl)).transpose()?;
    let properties = storable_fields(draft.properties);
    if serde_json::to_vec(&properties).map_or(true, |json| json.len() > MAX_PROPERTIES) {
        return Err(Refusal::TooLarge);
    }
    let interaction = Interaction {
        id,
        contact: Some(contact),
        account,
        visitor: None,
        source: None,
        kind: draft.kind,
        name,
        occurred_at,
        recorded_at: now,
        automated: None,
        seconds: draft.seconds,
        url,
        properties,
    };
    let fact = Fact::ledger("interaction.recorded", id)
        .account(account)
        .with("kind", interaction.kind)
        .with("contact", contact)
        .with("occurred_at", occurred_at);
    Ok(Decision::new(interaction, fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn draft() -> Draft {
        let properties = Map::new();
        let (name, url) = (" Spring  webinar ".to_owned(), Some(" https://acme.example/w ".to_owned()));
        Draft { kind: InteractionKind::CheckIn, name, occurred_at: None, seconds: None, url, properties }
    }

    fn recorded(draft: Draft) -> Result<Interaction, Refusal> {
        record(Uuid::max().into(), (Uuid::nil().into(), None), draft, now()).map(|decision| decision.next)
    }

    #[test]
    fn any_text_can_be_made_a_name() {
        // One character that has three in its normal form.
        let name = name_of(&"…".repeat(300));
        assert_eq!(name, ".".repeat(200));
        assert_eq!(name_of(" Re:  Hello\n"), "Re: Hello");
        assert_eq!(name_of(" \u{a0}\t"), "");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_name_that_is_refused(text in "\\PC{0,400}") {
            let name = name_of(&text);
            proptest::prop_assert_eq!(&name_of(&name), &name);
            if !name.is_empty() {
                proptest::prop_assert_eq!(recorded(Draft { name: name.clone(), ..draft() }).map(|kept| kept.name), Ok(name));
            }
        }
    }

    #[test]
    fn what_is_recorded_is_tidy_and_has_happened() {
        let kept = recorded(draft()).unwrap();
        assert_eq!((kept.name.as_str(), kept.url.as_deref()), ("Spring webinar", Some("https://acme.example/w")));
        assert_eq!((kept.occurred_at, kept.recorded_at), (now(), now()));
        for (wrong, field) in [
            (Draft { name: " ".to_owned(), ..draft() }, "name"),
            (Draft { name: "x".repeat(201), ..draft() }, "name"),
            (Draft { occurred_at: Some(now() + chrono::TimeDelta::seconds(1)), ..draft() }, "occurredAt"),
            (Draft { seconds: Some(MAX_SECONDS + 1), ..draft() }, "seconds"),
            (Draft { url: Some("https://a b".to_owned()), ..draft() }, "url"),
            (Draft { url: Some("javascript:alert(1)".to_owned()), ..draft() }, "url"),
            (Draft { occurred_at: Some(DateTime::UNIX_EPOCH - chrono::TimeDelta::days(1)), ..draft() }, "occurredAt"),
            (
                Draft {
                    properties: [("x".to_owned(), json!("y".repeat(MAX_PROPERTIES)))].into_iter().collect(),
                    ..draft()
                },
                "properties",
            ),
        ] {
            assert_eq!(recorded(wrong).unwrap_err().field(), Some(field));
        }
    }

    #[test]
    fn what_is_told_again_has_the_same_id_and_ids_sort_by_time() {
        let later = now() + chrono::TimeDelta::milliseconds(1);
        assert_eq!(id_of("a", now()), id_of("a", now()));
        assert!(id_of("a", now()) != id_of("b", now()) && id_of("b", now()) < id_of("a", later));
    }

    #[test]
    fn the_usual_names_are_known_and_others_are_other() {
        for (name, kind) in [
            ("Email Link Clicked", InteractionKind::EmailClick),
            ("form-submitted", InteractionKind::Form),
            ("CHECKED IN", InteractionKind::CheckIn),
            ("Meeting Booked", InteractionKind::Meeting),
            ("Order Completed", InteractionKind::Other),
            ("", InteractionKind::Other),
        ] {
            assert_eq!(InteractionKind::of_name(name), kind, "{name}");
        }
    }

    #[test]
    fn nothing_that_no_database_keeps_is_kept() {
        let kept = storable(json!({ "a\0": ["b\0", { "c": "\0" }, 1, null] }));
        assert!(!kept.to_string().contains("\\u0000"), "{kept}");
    }
}
