//! Where events come from: a sender with its write keys, and how far it is believed.

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::{EventSourceId, UserId};
use crate::inbound::is_key;
use crate::interaction::InteractionKind;
use crate::ledger::sha256_hex;
use crate::normalise::{self, comparison_key};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The most rules of a source.
pub const MAX_RULES: usize = 200;
/// The longest that an earlier write key stays valid after a rotation, in hours.
pub const MAX_OVERLAP_HOURS: u32 = 90 * 24;

codes! {
    /// How far a sender is believed.
    pub enum Trust("trust") {
        /// Its write key is in a page that anybody can read: it may tell what visitors do and who they say they are, which
        /// makes contacts and fills blanks, and never overwrites what is known or touches companies.
        Browser = "BROWSER",
        /// Its write key is a secret of ours: it may also correct contacts and tell their companies.
        Server = "SERVER",
    }
}

/// What an event by a name is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRule {
    /// The name in the sender's words; case and punctuation do not count.
    pub event: String,
    /// What it is.
    pub kind: InteractionKind,
}

/// A write key and until when it is valid. Only its SHA-256 is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteKey {
    /// Lower-case hexadecimal SHA-256 of the key.
    pub hash: String,
    /// None means until it is replaced.
    pub until: Option<DateTime<Utc>>,
}

/// A sender of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSource {
    /// Its id.
    pub id: EventSourceId,
    /// What it is known by among sources; unique and fixed.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// How far it is believed.
    pub trust: Trust,
    /// The current one first.
    pub write_keys: Vec<WriteKey>,
    /// In whose name people and companies are written: a user with the role INTEGRATION.
    pub acts_as: UserId,
    /// The system that its user ids are ids of. A contact with that external id is the user.
    pub user_system: String,
    /// The country that phone numbers without a country code are dialled from: ISO 3166-1, two letters.
    pub phone_region: Option<String>,
    /// What its events are, before the names that everybody uses.
    pub rules: Vec<EventRule>,
    /// Whether it may send.
    pub active: bool,
    /// Counts its changes.
    pub revision: u32,
    /// When it was first saved.
    pub created_at: DateTime<Utc>,
}

/// A source as somebody writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceDraft {
    /// What it is known by.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// How far it is believed.
    pub trust: Trust,
    /// In whose name people and companies are written.
    pub acts_as: UserId,
    /// The system that its user ids are ids of.
    pub user_system: String,
    /// The country of phone numbers without a country code.
    pub phone_region: Option<String>,
    /// What its events are.
    pub rules: Vec<EventRule>,
    /// Whether it may send.
    pub active: bool,
}

/// Why a source is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key has another form.
    #[error("`{key}` is not the key of a source; use 1 to 64 lower-case letters, digits and inner hyphens")]
    BadKey {
        /// What was given.
        key: String,
    },
    /// The name is blank or too long.
    #[error("a source needs a name of 1 to 120 characters")]
    BadName,
    /// The system of its user ids has no normal form.
    #[error("`userSystem` is the name of a system, 1 to 50 letters, digits, `_` or `-`, such as `app`")]
    BadSystem,
    /// The country of phone numbers is none.
    #[error("`{given}` is not a country; give the two letters of ISO 3166-1, such as US or CN")]
    BadRegion {
        /// What was given.
        given: String,
    },
    /// Too many rules, or one without a name.
    #[error("a source has at most {MAX_RULES} rules, each for another event of 1 to 200 characters")]
    BadRules,
    /// An earlier write key is still within the time that it was promised.
    #[error(
        "an earlier write key stays valid until {until}, as its rotation promised, and there are two at most; rotate after that, or \
         with `endPrevious: true` to end that one now"
    )]
    Overlap {
        /// Until when it is valid.
        until: DateTime<Utc>,
    },
    /// The overlap of two write keys is out of range.
    #[error("the earlier write key stays valid for 0 to {MAX_OVERLAP_HOURS} hours, not {given}")]
    BadOverlap {
        /// What was given.
        given: u32,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadKey { .. } => "SOURCE_BAD_KEY",
            Self::BadName => "SOURCE_BAD_NAME",
            Self::BadSystem => "SOURCE_BAD_SYSTEM",
            Self::BadRegion { .. } => "SOURCE_BAD_REGION",
            Self::BadRules => "SOURCE_BAD_RULES",
            Self::Overlap { .. } => "SOURCE_KEY_OVERLAP",
            Self::BadOverlap { .. } => "SOURCE_BAD_OVERLAP",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadKey { .. } => "key",
            Self::BadName => "name",
            Self::BadSystem => "userSystem",
            Self::BadRegion { .. } => "phoneRegion",
            Self::BadRules => "rules",
            Self::Overlap { .. } => "endPrevious",
            Self::BadOverlap { .. } => "overlapHours",
        })
    }
}

/// What is kept of a write key.
pub fn hash(write_key: &str) -> String {
    sha256_hex(&[write_key.as_bytes()])
}

fn region(given: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) else { return Ok(None) };
    let bad = |_| Refusal::BadRegion { given: given.chars().take(40).collect() };
    normalise::country(given).map(Some).map_err(bad)
}

/// Saves a source under its key. `write_key` is that of a new one; an existing one keeps its own.
pub fn save(
    before: Option<&EventSource>,
    id: EventSourceId,
    draft: SourceDraft,
    write_key: &str,
    now: DateTime<Utc>,
) -> Result<Decision<EventSource>, Refusal> {
    if !is_key(&draft.key) {
        return Err(Refusal::BadKey { key: draft.key.chars().take(80).collect() });
    }
    let name = draft.name.trim().to_owned();
    if !(1..=120).contains(&name.chars().count()) {
        return Err(Refusal::BadName);
    }
    let user_system = normalise::external_system(&draft.user_system).map_err(|_| Refusal::BadSystem)?;
    let mut seen = std::collections::BTreeSet::new();
    let distinct = |rule: &EventRule| {
        let key = comparison_key(&rule.event);
        !key.is_empty() && rule.event.chars().count() <= 200 && seen.insert(key)
    };
    if draft.rules.len() > MAX_RULES || !draft.rules.iter().all(distinct) {
        return Err(Refusal::BadRules);
    }
    let new_keys = || vec![WriteKey { hash: hash(write_key), until: None }];
    let source = EventSource {
        id: before.map_or(id, |before| before.id),
        key: draft.key,
        name,
        trust: draft.trust,
        write_keys: before.map_or_else(new_keys, |before| before.write_keys.clone()),
        acts_as: draft.acts_as,
        user_system,
        phone_region: region(draft.phone_region.as_deref())?,
        rules: draft.rules,
        active: draft.active,
        revision: before.map_or(1, |before| before.revision + 1),
        created_at: before.map_or(now, |before| before.created_at),
    };
    let fact = Fact::audit("event_source.saved", source.id)
        .with("key", &source.key)
        .with("revision", source.revision)
        .with("trust", source.trust)
        .with("active", source.active)
        .with("rules", &source.rules);
    Ok(Decision::new(source, fact))
}

/// Gives a source a new write key. The one before stays valid for a while, since pages and apps follow slowly. While one from a
/// rotation before is still within its time, a further rotation is refused, unless `end_previous` says that this one ends now.
pub fn rotate(
    mut source: EventSource,
    write_key: &str,
    (overlap_hours, end_previous): (u32, bool),
    now: DateTime<Utc>,
) -> Result<Decision<EventSource>, Refusal> {
    if overlap_hours > MAX_OVERLAP_HOURS {
        return Err(Refusal::BadOverlap { given: overlap_hours });
    }
    let earlier = source.previous_until(now);
    if let Some(until) = earlier.filter(|_| !end_previous) {
        return Err(Refusal::Overlap { until });
    }
    let until = now + TimeDelta::hours(overlap_hours.into());
    source.write_keys.truncate(1);
    for held in &mut source.write_keys {
        held.until = Some(until);
    }
    source.write_keys.insert(0, WriteKey { hash: hash(write_key), until: None });
    source.revision += 1;
    let fact = Fact::audit("event_source.key_rotated", source.id)
        .with("key", &source.key)
        .with("previous_until", until)
        .with("ended_before", earlier);
    Ok(Decision::new(source, fact))
}

impl EventSource {
    /// Whether it may send under the write key with this hash.
    pub fn takes(&self, hash: &str, now: DateTime<Utc>) -> bool {
        self.active
            && self.write_keys.iter().any(|held| held.hash == hash && held.until.is_none_or(|until| now < until))
    }

    /// Until when the earlier write key is valid; none where it is not any more.
    pub fn previous_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.write_keys.iter().filter_map(|held| held.until).filter(|until| now < *until).max()
    }

    /// What an event by this name is: by the source's own rules, else by the names that everybody uses.
    pub fn kind_of(&self, event: &str) -> InteractionKind {
        let key = comparison_key(event);
        let ruled = self.rules.iter().find(|rule| comparison_key(&rule.event) == key);
        ruled.map_or_else(|| InteractionKind::of_name(event), |rule| rule.kind)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use uuid::Uuid;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    pub(in crate::ingest) fn draft() -> SourceDraft {
        SourceDraft {
            key: "site".to_owned(),
            name: "Web site".to_owned(),
            trust: Trust::Browser,
            acts_as: UserId(Uuid::nil()),
            user_system: "app".to_owned(),
            phone_region: None,
            rules: vec![EventRule { event: "Whitepaper".to_owned(), kind: InteractionKind::Download }],
            active: true,
        }
    }

    pub(in crate::ingest) fn source() -> EventSource {
        save(None, Uuid::max().into(), draft(), "one", now()).unwrap().next
    }

    #[test]
    fn two_write_keys_are_valid_for_a_while_after_a_rotation() {
        let rotated = rotate(source(), "two", (1, false), now()).unwrap().next;
        let takes = |key: &str, minutes| rotated.takes(&hash(key), now() + TimeDelta::minutes(minutes));
        assert!(takes("one", 59) && takes("two", 0) && takes("two", 9_999));
        assert!(!takes("one", 60) && !takes("three", 0));
        assert_eq!(rotated.previous_until(now()), Some(now() + TimeDelta::hours(1)));
        let again = |end_previous, at| rotate(rotated.clone(), "three", (1, end_previous), at);
        let until = now() + TimeDelta::hours(1);
        assert_eq!(again(false, now()).unwrap_err(), Refusal::Overlap { until });
        let ended = again(true, now()).unwrap().next;
        assert!(!ended.takes(&hash("one"), now()) && ended.takes(&hash("two"), now()));
        assert!(again(false, until).is_ok());
        let saved = save(Some(&rotated), Uuid::nil().into(), SourceDraft { active: false, ..draft() }, "x", now());
        assert!(!saved.unwrap().next.takes(&hash("two"), now()));
        assert_eq!(
            rotate(source(), "x", (MAX_OVERLAP_HOURS + 1, false), now()).unwrap_err().code(),
            "SOURCE_BAD_OVERLAP"
        );
    }

    #[test]
    fn a_sources_own_words_go_before_the_usual_ones() {
        let rules = vec![
            EventRule { event: "white paper!".to_owned(), kind: InteractionKind::Download },
            EventRule { event: "form submitted".to_owned(), kind: InteractionKind::Meeting },
        ];
        let source = EventSource { rules, ..source() };
        assert_eq!(source.kind_of("White Paper"), InteractionKind::Download);
        assert_eq!(source.kind_of("Form Submitted"), InteractionKind::Meeting);
        assert_eq!(source.kind_of("Checked In"), InteractionKind::CheckIn);
    }

    #[test]
    fn a_bad_definition_is_refused_by_its_field() {
        let field = |draft| save(None, Uuid::max().into(), draft, "x", now()).unwrap_err().field();
        assert_eq!(field(SourceDraft { key: "A".to_owned(), ..draft() }), Some("key"));
        assert_eq!(field(SourceDraft { name: " ".to_owned(), ..draft() }), Some("name"));
        assert_eq!(field(SourceDraft { user_system: String::new(), ..draft() }), Some("userSystem"));
        assert_eq!(field(SourceDraft { phone_region: Some("ZZ".to_owned()), ..draft() }), Some("phoneRegion"));
        let twice = [draft().rules, draft().rules].concat();
        assert_eq!(field(SourceDraft { rules: twice, ..draft() }), Some("rules"));
    }
}
