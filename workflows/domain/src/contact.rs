//! People at companies: one record per person across all sources.
//!
//! The record of facts is never erased, so facts about a person name the fields that changed and not their values.

use crate::codes;
use crate::custom_field::{self, Entity, Values};
use crate::decision::{Decision, Fact, known_as};
use crate::edit::Edit;
use crate::id::{AccountId, ContactId};
use crate::identity::{Identity, Vocabulary};
use crate::normalise::{self, comparison_key, excerpt};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The kind of the key that an e-mail address is.
pub const BY_EMAIL: &str = "contact.email";
/// The kind of the key that phone and name are together, for a contact that has no other: people share phones.
pub const BY_PHONE: &str = "contact.phone";

codes! {
    /// Whether a person agreed to be written to.
    pub enum ConsentState("consent state") {
        /// Agreed.
        Granted = "GRANTED",
        /// Nobody knows.
        Unknown = "UNKNOWN",
        /// Taken back, or refused.
        Withdrawn = "WITHDRAWN",
    }
}

/// What a person agreed to, where that is known from, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Whether the person agreed.
    pub state: ConsentState,
    /// Where that is known from, e.g. the form; at most 200 characters. Needed for `GRANTED`.
    pub source: Option<String>,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// The company the person works for, where that is known.
    pub account: Option<AccountId>,
    /// The name, at most 200 characters, where it is known.
    pub name: Option<String>,
    /// The normalised e-mail address.
    pub email: Option<String>,
    /// The phone number in the form of E.164.
    pub phone: Option<String>,
    /// What the person does there, at most 200 characters.
    pub title: Option<String>,
    /// The language to write in: a language tag.
    pub locale: Option<String>,
    /// The person's time zone.
    pub time_zone: Option<Tz>,
    /// What the person agreed to.
    pub consent: Consent,
    /// The tags, normalised.
    pub tags: BTreeSet<String>,
    /// The values of the custom fields.
    pub custom: Values,
    /// The ids in other systems, by the system's name.
    pub external_ids: BTreeMap<String, String>,
    /// Where the record came from.
    pub source: Option<String>,
    /// When the record was made.
    pub created_at: DateTime<Utc>,
    /// When the record was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What somebody gives to create or change a contact, as typed; what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactPatch {
    /// The company. The caller checks that it exists.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub account: Edit<AccountId>,
    /// The name.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub name: Edit<String>,
    /// The e-mail address.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub email: Edit<String>,
    /// The phone number.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub phone: Edit<String>,
    /// The title.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub title: Edit<String>,
    /// The locale.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub locale: Edit<String>,
    /// The time zone, by its IANA name.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub time_zone: Edit<String>,
    /// The tags. A change replaces all; a merge adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Values of custom fields by key; `null` clears one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: Values,
    /// Ids in other systems; `None` removes one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external_ids: BTreeMap<String, Option<String>>,
    /// Where the record came from. A merge never overwrites it.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub source: Edit<String>,
    /// What the person agreed to. For a new record; a merge never turns `WITHDRAWN` into anything else
    /// ([`set_consent`] does).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentGiven>,
}

/// A statement about consent, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentGiven {
    /// Whether the person agreed.
    pub state: ConsentState,
    /// Where that is known from.
    #[serde(default)]
    pub source: Option<String>,
    /// Since when; the moment of the command where left out.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
}

/// Why a contact is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A value has no normal form.
    #[error(transparent)]
    Normalise(#[from] normalise::Refusal),
    /// A custom field's value does not fit.
    #[error(transparent)]
    CustomField(#[from] custom_field::Refusal),
    /// Nobody could be told from anybody else.
    #[error("a contact needs an e-mail address, an external id, or a phone number; give one")]
    Unidentified,
    /// Not a time zone.
    #[error("`{given}` is not a time zone; give an IANA name such as America/New_York or Asia/Shanghai")]
    TimeZone {
        /// What was given, at most 80 characters.
        given: String,
    },
    /// Consent without a source proves nothing.
    #[error("consent needs a source that says where it was given, such as the form's name")]
    ConsentSource,
    /// Consent that begins later is no consent yet.
    #[error("consent at {at} lies ahead; give the moment it was given")]
    ConsentAhead {
        /// The moment given.
        at: DateTime<Utc>,
    },
    /// The person took the consent back, and no rule gives it again.
    #[error("this person withdrew the consent; only somebody whom the person told may record it anew")]
    ConsentWithdrawn,
    /// Another contact has one of the keys.
    #[error(
        "the contact {existing} already has this {kind}; change that contact instead",
        existing = known_as(.existing)
    )]
    Duplicate {
        /// The contact that has it.
        existing: ContactId,
        /// The kind of the key both have.
        kind: String,
    },
    /// The keys given belong to different contacts.
    #[error(
        "the {first_kind} belongs to the contact {first} and the {second_kind} to {second}; give the keys of one person",
        first = known_as(.first),
        second = known_as(.second)
    )]
    IdentitiesDiffer {
        /// One contact.
        first: ContactId,
        /// The kind of its key.
        first_kind: String,
        /// The other contact.
        second: ContactId,
        /// The kind of its key.
        second_kind: String,
    },
    /// Several contacts have the phone number and name.
    #[error("several contacts have this phone number and name: {candidates}; add an e-mail address or external id")]
    PhoneAmbiguous {
        /// The ids of the contacts.
        candidates: String,
    },
    /// A merge would replace an id elsewhere by another.
    #[error(
        "the contact {existing} has another id in {system}; correct the row, or change the contact",
        existing = known_as(.existing)
    )]
    ExternalIdDiffers {
        /// The contact.
        existing: ContactId,
        /// The other system.
        system: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Normalise(refusal) => refusal.code(),
            Self::CustomField(refusal) => refusal.code(),
            Self::Unidentified => "CONTACT_UNIDENTIFIED",
            Self::TimeZone { .. } => "TIME_ZONE_UNKNOWN",
            Self::ConsentSource => "CONSENT_SOURCE_MISSING",
            Self::ConsentAhead { .. } => "CONSENT_AHEAD",
            Self::ConsentWithdrawn => "CONSENT_WITHDRAWN",
            Self::Duplicate { .. } => "CONTACT_DUPLICATE",
            Self::IdentitiesDiffer { .. } => "CONTACT_IDENTITIES_DIFFER",
            Self::PhoneAmbiguous { .. } => "CONTACT_PHONE_AMBIGUOUS",
            Self::ExternalIdDiffers { .. } => "CONTACT_EXTERNAL_ID_DIFFERS",
        }
    }

    /// The input field concerned, where there is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Normalise(refusal) => refusal.field(),
            Self::CustomField(refusal) => refusal.field(),
            Self::Unidentified => Some("email"),
            Self::TimeZone { .. } => Some("timeZone"),
            Self::ConsentSource | Self::ConsentAhead { .. } | Self::ConsentWithdrawn => Some("consent"),
            Self::Duplicate { kind, .. } | Self::IdentitiesDiffer { second_kind: kind, .. } => {
                Some(match kind.as_str() {
                    BY_EMAIL => "email",
                    BY_PHONE => "phone",
                    _ => "externalIds",
                })
            }
            Self::PhoneAmbiguous { .. } => Some("phone"),
            Self::ExternalIdDiffers { .. } => Some("externalIds"),
        }
    }
}

impl Contact {
    /// The keys by which this contact is known; no other contact may have one of them. Phone and name are a key only
    /// where there is no better one.
    pub fn identities(&self) -> Vec<Identity> {
        let mut keys: Vec<Identity> = self.email.iter().map(|email| Identity::new(BY_EMAIL, email)).collect();
        let elsewhere = self.external_ids.iter();
        keys.extend(elsewhere.map(|(system, id)| Identity::new(format!("contact.external:{system}"), id)));
        if let Some(phone) = self.phone.as_ref().filter(|_| keys.is_empty()) {
            keys.push(Identity::new(BY_PHONE, format!("{phone} {}", self.name_key())));
        }
        keys
    }

    /// The name as compared; empty where there is none.
    pub fn name_key(&self) -> String {
        self.name.as_deref().map(comparison_key).unwrap_or_default()
    }

    /// Whether it is known by more than phone and name.
    pub fn is_known_by_key(&self) -> bool {
        self.email.is_some() || !self.external_ids.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Replace,
    Merge,
}

fn short(field: &'static str) -> impl Fn(String) -> Result<String, normalise::Refusal> {
    move |text| normalise::line(field, &text, 200)
}

fn apply(
    contact: &mut Contact,
    patch: ContactPatch,
    words: &Vocabulary,
    manner: Manner,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    patch.account.apply(&mut contact.account, Ok::<_, Refusal>)?;
    patch.name.apply(&mut contact.name, short("name"))?;
    contact.name = contact.name.take().filter(|name| !name.is_empty());
    patch.email.apply(&mut contact.email, |text| normalise::email(&text))?;
    patch.phone.apply(&mut contact.phone, |text| normalise::phone(&text, words.default_region.as_deref()))?;
    patch.title.apply(&mut contact.title, short("title"))?;
    contact.title = contact.title.take().filter(|title| !title.is_empty());
    patch.locale.apply(&mut contact.locale, |text| normalise::locale(&text))?;
    patch.time_zone.apply(&mut contact.time_zone, |text| {
        text.trim().parse::<Tz>().map_err(|_| Refusal::TimeZone { given: excerpt(&text) })
    })?;
    if let Some(tags) = patch.tags {
        let given = normalise::tags(&tags)?;
        contact.tags = if manner == Manner::Merge { &contact.tags | &given } else { given };
        normalise::few_enough(&contact.tags)?;
    }
    custom_field::apply(&words.fields, Entity::Contact, &mut contact.custom, &patch.custom)?;
    for (system, id) in patch.external_ids {
        let system = normalise::external_system(&system)?;
        let Some(id) = id else {
            contact.external_ids.remove(&system);
            continue;
        };
        let given = normalise::external_id(&id)?;
        if manner == Manner::Merge && contact.external_ids.get(&system).is_some_and(|known| *known != given) {
            return Err(Refusal::ExternalIdDiffers { existing: contact.id, system });
        }
        contact.external_ids.insert(system, given);
    }
    if manner == Manner::Replace || contact.source.is_none() {
        patch.source.apply(&mut contact.source, |text| normalise::line("source", &text, 100))?;
    }
    if let Some(given) = patch.consent {
        let consent = consent(given, now)?;
        // A file that is older than the person's refusal must not undo it, and the same file brings nothing new.
        let stays = contact.consent.state == ConsentState::Withdrawn || contact.consent.state == consent.state;
        let knows = consent.state != ConsentState::Unknown;
        if manner == Manner::Replace || (knows && !stays) {
            contact.consent = consent;
        }
    }
    if !contact.is_known_by_key() && contact.phone.is_none() {
        return Err(Refusal::Unidentified);
    }
    Ok(())
}

fn consent(given: ConsentGiven, now: DateTime<Utc>) -> Result<Consent, Refusal> {
    let source = given.source.as_deref().map(|text| normalise::line("consentSource", text, 200)).transpose()?;
    let source = source.filter(|text| !text.is_empty());
    if given.state == ConsentState::Granted && source.is_none() {
        return Err(Refusal::ConsentSource);
    }
    match given.at {
        Some(at) if at > now => Err(Refusal::ConsentAhead { at }),
        at => Ok(Consent { state: given.state, source, at: at.unwrap_or(now) }),
    }
}

fn blank(id: ContactId, now: DateTime<Utc>) -> Contact {
    Contact {
        id,
        account: None,
        name: None,
        email: None,
        phone: None,
        title: None,
        locale: None,
        time_zone: None,
        consent: Consent { state: ConsentState::Unknown, source: None, at: now },
        tags: BTreeSet::new(),
        custom: Values::new(),
        external_ids: BTreeMap::new(),
        source: None,
        created_at: now,
        updated_at: now,
    }
}

/// Makes a contact. The caller looks for one with the same keys first ([`seek`], [`matching`]).
pub fn create(
    id: ContactId,
    patch: ContactPatch,
    words: &Vocabulary,
    now: DateTime<Utc>,
) -> Result<Decision<Contact>, Refusal> {
    let mut contact = blank(id, now);
    apply(&mut contact, patch, words, Manner::Replace, now)?;
    custom_field::complete(&words.fields, Entity::Contact, &contact.custom)?;
    let fact = Fact::ledger("contact.created", id)
        .account(contact.account)
        .with("consent", contact.consent.state)
        .with("source", &contact.source);
    Ok(Decision::new(contact, fact))
}

/// Changes a contact: what is given replaces what is there. Nothing where nothing differs. Consent is left alone:
/// that is [`set_consent`].
pub fn change(
    before: &Contact,
    patch: ContactPatch,
    words: &Vocabulary,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Contact>>, Refusal> {
    let mut after = before.clone();
    apply(&mut after, ContactPatch { consent: None, ..patch }, words, Manner::Replace, now)?;
    Ok(changed(before, after, now))
}

/// Brings data from another source into a contact: tags are added, ids elsewhere never contradicted, withdrawn consent
/// stays withdrawn, other fields take the newer value. Nothing where nothing differs.
pub fn merge(
    before: &Contact,
    patch: ContactPatch,
    words: &Vocabulary,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Contact>>, Refusal> {
    let mut after = before.clone();
    apply(&mut after, patch, words, Manner::Merge, now)?;
    Ok(changed(before, after, now))
}

fn changed(before: &Contact, after: Contact, now: DateTime<Utc>) -> Option<Decision<Contact>> {
    if *before == after {
        return None;
    }
    let mut fact =
        Fact::ledger("contact.changed", after.id).account(after.account).with("fields", differences(before, &after));
    if before.account != after.account {
        fact = fact.with("account", (before.account, after.account));
    }
    if before.consent != after.consent {
        fact = fact.with("consent", (before.consent.state, after.consent.state));
    }
    Some(Decision::new(Contact { updated_at: now, ..after }, fact))
}

/// Under which name a contact has its custom fields.
const CUSTOM: &str = "custom";

/// The names of the fields that differ; custom fields also by key, as `custom.<key>`.
fn differences(before: &Contact, after: &Contact) -> Vec<String> {
    let fields = |contact: &Contact| match serde_json::to_value(contact) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let custom =
        |fields: &Map<String, Value>| fields.get(CUSTOM).and_then(Value::as_object).cloned().unwrap_or_default();
    let (custom_before, custom_after) = (custom(&before), custom(&after));
    let keys: BTreeSet<&String> = custom_before.keys().chain(custom_after.keys()).collect();
    let keys = keys.into_iter().filter(|key| custom_before.get(*key) != custom_after.get(*key));
    let custom: Vec<String> = keys.map(|key| format!("{CUSTOM}.{key}")).collect();
    let whole = after.into_iter().filter(|(key, value)| before.get(key) != Some(value)).map(|(key, _)| key);
    whole.chain(custom).collect()
}

/// Adds and removes tags. Nothing where nothing differs.
pub fn tag(
    before: &Contact,
    add: &[String],
    remove: &[String],
    now: DateTime<Utc>,
) -> Result<Option<Decision<Contact>>, Refusal> {
    let mut after = before.clone();
    after.tags = &(&after.tags | &normalise::tags(add)?) - &normalise::tags(remove)?;
    normalise::few_enough(&after.tags)?;
    Ok(changed(before, after, now))
}

/// Records what a person agreed to, or took back. Nothing where state and source are on record already.
pub fn set_consent(
    before: &Contact,
    given: ConsentGiven,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Contact>>, Refusal> {
    let consent = consent(given, now)?;
    if (before.consent.state, &before.consent.source) == (consent.state, &consent.source) {
        return Ok(None);
    }
    let fact = Fact::ledger("contact.consent_set", before.id)
        .account(before.account)
        .moved(before.consent.state, consent.state)
        .with("source", &consent.source)
        .with("at", consent.at);
    Ok(Some(Decision::new(Contact { consent, updated_at: now, ..before.clone() }, fact)))
}

/// As [`set_consent`], for a rule instead of somebody who was told by the person: what the person withdrew stays withdrawn.
pub fn record_consent(
    before: &Contact,
    given: ConsentGiven,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Contact>>, Refusal> {
    if before.consent.state == ConsentState::Withdrawn && given.state != ConsentState::Withdrawn {
        return Err(Refusal::ConsentWithdrawn);
    }
    set_consent(before, given, now)
}

/// What to look for before a contact is made or merged into.
#[derive(Debug, Clone, PartialEq)]
pub struct Sought {
    /// The keys given; each belongs to one contact at most.
    pub identities: Vec<Identity>,
    /// The phone number given: contacts that have it are looked for where no key leads to one.
    pub phone: Option<String>,
    name_key: String,
    by_key: bool,
}

/// Reads the keys in a patch.
pub fn seek(patch: &ContactPatch, words: &Vocabulary) -> Result<Sought, Refusal> {
    let mut probe = blank(uuid::Uuid::nil().into(), DateTime::UNIX_EPOCH);
    let keys = ContactPatch {
        name: patch.name.clone(),
        email: patch.email.clone(),
        phone: patch.phone.clone(),
        external_ids: patch.external_ids.clone(),
        ..ContactPatch::default()
    };
    apply(&mut probe, keys, words, Manner::Replace, DateTime::UNIX_EPOCH)?;
    let (identities, name_key, by_key) = (probe.identities(), probe.name_key(), probe.is_known_by_key());
    Ok(Sought { identities, phone: probe.phone, name_key, by_key })
}

/// Which contact is meant, if any: `owners` are the contacts that have the sought keys, `by_phone` those that have the
/// sought phone number. A phone number leads to a contact only where the names agree too, and one of the two sides is
/// known by nothing else.
pub fn matching(
    sought: &Sought,
    owners: &[(Identity, ContactId)],
    by_phone: &[Contact],
) -> Result<Option<ContactId>, Refusal> {
    if let Some((key, first)) = owners.first() {
        if let Some((other, second)) = owners.iter().find(|(_, owner)| owner != first) {
            let (first_kind, second_kind) = (key.kind.clone(), other.kind.clone());
            return Err(Refusal::IdentitiesDiffer { first: *first, first_kind, second: *second, second_kind });
        }
        return Ok(Some(*first));
    }
    let alike = by_phone.iter().filter(|other| {
        let same = other.phone.is_some() && other.phone == sought.phone && other.name_key() == sought.name_key;
        same && !(sought.by_key && other.is_known_by_key())
    });
    let alike: Vec<ContactId> = alike.map(|other| other.id).collect();
    match alike[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let candidates = alike.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(Refusal::PhoneAmbiguous { candidates })
        }
    }
}

impl Sought {
    /// The refusal to make a second contact where `existing` is meant.
    pub fn duplicate(&self, existing: ContactId, owners: &[(Identity, ContactId)]) -> Refusal {
        let key = owners.iter().find(|(_, owner)| *owner == existing);
        Refusal::Duplicate { existing, kind: key.map_or_else(|| BY_PHONE.to_owned(), |(key, _)| key.kind.clone()) }
    }
}

#[cfg(test)]
mod tests;
