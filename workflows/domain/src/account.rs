//! Companies: one record per company, known by its domains, registry number or ids elsewhere.

use crate::custom_field::{self, Entity, Values};
use crate::decision::{Decision, Fact, known_as};
use crate::edit::Edit;
use crate::id::AccountId;
use crate::identity::{Identity, Vocabulary};
use crate::normalise;
use crate::taxonomy::{self, Taxonomy};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The kind of the key that a domain is.
pub const BY_DOMAIN: &str = "account.domain";
/// The kind of the key that a registry number is (with its country, where that is known).
pub const BY_REGISTRY: &str = "account.registry";
/// The kind of the key that the name is, for an account that has no other.
pub const BY_NAME: &str = "account.name";

/// A company.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The name to show, at most 200 characters.
    pub name: String,
    /// The name as compared: [`normalise::company_name`].
    pub name_key: String,
    /// Its domains, normalised.
    pub domains: BTreeSet<String>,
    /// Its number in the register of its country, normalised.
    pub registry_number: Option<String>,
    /// Its ids in other systems, by the system's name.
    pub external_ids: BTreeMap<String, String>,
    /// Its tier: a code of the taxonomy `TIER`.
    pub tier: Option<String>,
    /// Its industry: a code of the taxonomy `INDUSTRY`.
    pub industry: Option<String>,
    /// Its territory: a code of the taxonomy `TERRITORY`.
    pub territory: Option<String>,
    /// Its country: ISO 3166-1, two letters.
    pub country: Option<String>,
    /// Its tags, normalised.
    pub tags: BTreeSet<String>,
    /// The values of its custom fields.
    pub custom: Values,
    /// Where the record came from, e.g. the name of a file or a form.
    pub source: Option<String>,
    /// When the record was made.
    pub created_at: DateTime<Utc>,
    /// When the record was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What somebody gives to create or change an account, as typed; what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountPatch {
    /// The name; needed to create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The domains, as domains or URLs. A change replaces all; a merge adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    /// The registry number.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub registry_number: Edit<String>,
    /// Ids in other systems; `None` removes one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external_ids: BTreeMap<String, Option<String>>,
    /// The tier, as a code, name or alias.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub tier: Edit<String>,
    /// The industry, as a code, name or alias.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub industry: Edit<String>,
    /// The territory, as a code, name or alias.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub territory: Edit<String>,
    /// The country.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub country: Edit<String>,
    /// The tags. A change replaces all; a merge adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Values of custom fields by key; `null` clears one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: Values,
    /// Where the record came from. A merge never overwrites it.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    pub source: Edit<String>,
}

/// Why an account is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A value has no normal form.
    #[error(transparent)]
    Normalise(#[from] normalise::Refusal),
    /// A value is no term of its taxonomy.
    #[error(transparent)]
    Taxonomy(#[from] taxonomy::Refusal),
    /// A custom field's value does not fit.
    #[error(transparent)]
    CustomField(#[from] custom_field::Refusal),
    /// An account needs a name.
    #[error("an account needs a name; give one")]
    NameMissing,
    /// Another account has one of its keys.
    #[error(
        "the account {existing} already has the {identity}; change that account instead",
        existing = known_as(.existing)
    )]
    Duplicate {
        /// The account that has it.
        existing: AccountId,
        /// The key both have.
        identity: Identity,
    },
    /// The keys given belong to different accounts.
    #[error(
        "the {first_key} belongs to the account {first} and the {second_key} to {second}; give the keys of one account",
        first = known_as(.first),
        second = known_as(.second)
    )]
    IdentitiesDiffer {
        /// One account.
        first: AccountId,
        /// Its key.
        first_key: Box<Identity>,
        /// The other account.
        second: AccountId,
        /// Its key.
        second_key: Box<Identity>,
    },
    /// Several accounts have the name.
    #[error("several accounts are called `{name}`: {candidates}; add a domain, registry number or external id")]
    NameAmbiguous {
        /// The name given.
        name: String,
        /// The ids of the accounts.
        candidates: String,
    },
    /// A merge would replace an id elsewhere by another.
    #[error(
        "the account {existing} is {known} in {system} and not {given}; correct the row, or change the account",
        existing = known_as(.existing)
    )]
    ExternalIdDiffers {
        /// The account.
        existing: AccountId,
        /// The other system.
        system: String,
        /// The id on record.
        known: String,
        /// The id given.
        given: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Normalise(refusal) => refusal.code(),
            Self::Taxonomy(refusal) => refusal.code(),
            Self::CustomField(refusal) => refusal.code(),
            Self::NameMissing => "ACCOUNT_NAME_MISSING",
            Self::Duplicate { .. } => "ACCOUNT_DUPLICATE",
            Self::IdentitiesDiffer { .. } => "ACCOUNT_IDENTITIES_DIFFER",
            Self::NameAmbiguous { .. } => "ACCOUNT_NAME_AMBIGUOUS",
            Self::ExternalIdDiffers { .. } => "ACCOUNT_EXTERNAL_ID_DIFFERS",
        }
    }

    /// The input field concerned, where there is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Normalise(refusal) => refusal.field(),
            Self::Taxonomy(refusal) => refusal.field(),
            Self::CustomField(refusal) => refusal.field(),
            Self::NameMissing | Self::NameAmbiguous { .. } => Some("name"),
            Self::Duplicate { identity, .. } => Some(field_of(identity)),
            Self::IdentitiesDiffer { second_key, .. } => Some(field_of(second_key)),
            Self::ExternalIdDiffers { .. } => Some("externalIds"),
        }
    }
}

fn field_of(identity: &Identity) -> &'static str {
    match identity.kind.as_str() {
        BY_DOMAIN => "domains",
        BY_REGISTRY => "registryNumber",
        BY_NAME => "name",
        _ => "externalIds",
    }
}

impl Account {
    /// The keys by which this account is known; no other account may have one of them. The name is a key only
    /// where there is no better one, since companies share names.
    pub fn identities(&self) -> Vec<Identity> {
        let scoped = |value: &str| match &self.country {
            Some(country) => format!("{country}:{value}"),
            None => value.to_owned(),
        };
        let mut keys: Vec<Identity> = self.domains.iter().map(|domain| Identity::new(BY_DOMAIN, domain)).collect();
        keys.extend(self.registry_number.iter().map(|number| Identity::new(BY_REGISTRY, scoped(number))));
        let elsewhere = self.external_ids.iter();
        keys.extend(elsewhere.map(|(system, id)| Identity::new(format!("account.external:{system}"), id)));
        if keys.is_empty() {
            keys.push(Identity::new(BY_NAME, scoped(&self.name_key)));
        }
        keys
    }

    /// Whether it is known by more than its name.
    pub fn is_known_by_key(&self) -> bool {
        !(self.domains.is_empty() && self.registry_number.is_none() && self.external_ids.is_empty())
    }
}

/// How a patch meets a record.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// What is given replaces what is there.
    Replace,
    /// What is given is added; nothing on record is contradicted in its keys or lost.
    Merge,
}

fn apply(account: &mut Account, patch: AccountPatch, words: &Vocabulary, manner: Manner) -> Result<(), Refusal> {
    if let Some(name) = patch.name {
        account.name = normalise::line("name", &name, 200)?;
        if account.name.is_empty() {
            return Err(Refusal::NameMissing);
        }
        account.name_key = normalise::company_name(&account.name)?;
    }
    if let Some(domains) = patch.domains {
        let given = domains.iter().map(|domain| normalise::domain(domain)).collect::<Result<BTreeSet<_>, _>>()?;
        account.domains = if manner == Manner::Merge { &account.domains | &given } else { given };
    }
    patch.registry_number.apply(&mut account.registry_number, |text| normalise::registry_number(&text))?;
    for (system, id) in patch.external_ids {
        let system = normalise::external_system(&system)?;
        let Some(id) = id else {
            account.external_ids.remove(&system);
            continue;
        };
        let given = normalise::external_id(&id)?;
        if let Some(known) =
            account.external_ids.get(&system).filter(|known| manner == Manner::Merge && **known != given)
        {
            let (existing, known) = (account.id, known.clone());
            return Err(Refusal::ExternalIdDiffers { existing, system, known, given });
        }
        account.external_ids.insert(system, given);
    }
    let resolve = |taxonomy| move |text: String| words.taxonomies.resolve(taxonomy, &text).map(str::to_owned);
    patch.tier.apply(&mut account.tier, resolve(Taxonomy::Tier))?;
    patch.industry.apply(&mut account.industry, resolve(Taxonomy::Industry))?;
    patch.territory.apply(&mut account.territory, resolve(Taxonomy::Territory))?;
    patch.country.apply(&mut account.country, |text| normalise::country(&text))?;
    if let Some(tags) = patch.tags {
        let given = normalise::tags(&tags)?;
        account.tags = if manner == Manner::Merge { &account.tags | &given } else { given };
        normalise::few_enough(&account.tags)?;
    }
    custom_field::apply(&words.fields, Entity::Account, &mut account.custom, &patch.custom)?;
    if manner == Manner::Replace || account.source.is_none() {
        patch.source.apply(&mut account.source, |text| normalise::line("source", &text, 100))?;
    }
    Ok(())
}

fn blank(id: AccountId, now: DateTime<Utc>) -> Account {
    Account {
        id,
        name: String::new(),
        name_key: String::new(),
        domains: BTreeSet::new(),
        registry_number: None,
        external_ids: BTreeMap::new(),
        tier: None,
        industry: None,
        territory: None,
        country: None,
        tags: BTreeSet::new(),
        custom: Values::new(),
        source: None,
        created_at: now,
        updated_at: now,
    }
}

/// Makes an account. The caller looks for one with the same keys first ([`seek`], [`matching`]).
pub fn create(
    id: AccountId,
    patch: AccountPatch,
    words: &Vocabulary,
    now: DateTime<Utc>,
) -> Result<Decision<Account>, Refusal> {
    let mut account = blank(id, now);
    apply(&mut account, patch, words, Manner::Replace)?;
    if account.name.is_empty() {
        return Err(Refusal::NameMissing);
    }
    custom_field::complete(&words.fields, Entity::Account, &account.custom)?;
    let fact = Fact::ledger("account.created", id)
        .account(id)
        .with("name", &account.name)
        .with("identities", account.identities())
        .with("source", &account.source);
    Ok(Decision::new(account, fact))
}

/// Changes an account: what is given replaces what is there. Nothing where nothing differs.
pub fn change(
    before: &Account,
    patch: AccountPatch,
    words: &Vocabulary,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Account>>, Refusal> {
    let mut after = before.clone();
    apply(&mut after, patch, words, Manner::Replace)?;
    Ok(changed(before, after, now))
}

/// Brings data from another source into an account: domains and tags are added, ids elsewhere never contradicted,
/// other fields take the newer value. Nothing where nothing differs, so that an import can run again.
pub fn merge(
    before: &Account,
    patch: AccountPatch,
    words: &Vocabulary,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Account>>, Refusal> {
    let mut after = before.clone();
    apply(&mut after, patch, words, Manner::Merge)?;
    Ok(changed(before, after, now))
}

fn changed(before: &Account, after: Account, now: DateTime<Utc>) -> Option<Decision<Account>> {
    if *before == after {
        return None;
    }
    let fact = Fact::ledger("account.changed", after.id).account(after.id).with("changes", differences(before, &after));
    Some(Decision::new(Account { updated_at: now, ..after }, fact))
}

/// The fields that differ, each with its value before and after.
fn differences(before: &Account, after: &Account) -> Map<String, Value> {
    let fields = |account: &Account| match serde_json::to_value(account) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let differ = after.into_iter().filter(|(key, value)| before.get(key) != Some(value));
    differ.map(|(key, value)| (key.clone(), json!([before.get(&key), value]))).collect()
}

/// Adds and removes tags. Nothing where nothing differs.
pub fn tag(
    before: &Account,
    add: &[String],
    remove: &[String],
    now: DateTime<Utc>,
) -> Result<Option<Decision<Account>>, Refusal> {
    let mut after = before.clone();
    after.tags = &(&after.tags | &normalise::tags(add)?) - &normalise::tags(remove)?;
    normalise::few_enough(&after.tags)?;
    Ok(changed(before, after, now))
}

/// What to look for before an account is made or merged into.
#[derive(Debug, Clone, PartialEq)]
pub struct Sought {
    /// The keys given; each belongs to one account at most.
    pub identities: Vec<Identity>,
    /// The name as compared: accounts of this name are looked for where no key leads to one.
    pub name_key: Option<String>,
    name: String,
    country: Option<String>,
    by_key: bool,
}

/// Reads the keys in a patch.
pub fn seek(patch: &AccountPatch, words: &Vocabulary) -> Result<Sought, Refusal> {
    let nobody = blank(uuid::Uuid::nil().into(), DateTime::UNIX_EPOCH);
    let mut probe = nobody;
    let keys = AccountPatch {
        name: patch.name.clone(),
        domains: patch.domains.clone(),
        registry_number: patch.registry_number.clone(),
        external_ids: patch.external_ids.clone(),
        country: patch.country.clone(),
        ..AccountPatch::default()
    };
    apply(&mut probe, keys, words, Manner::Replace)?;
    let (by_key, named) = (probe.is_known_by_key(), !probe.name_key.is_empty());
    let identities = if by_key || named { probe.identities() } else { Vec::new() };
    Ok(Sought {
        identities,
        name_key: named.then_some(probe.name_key),
        name: probe.name,
        country: probe.country,
        by_key,
    })
}

/// Which account is meant, if any: `owners` are the accounts that have the sought keys, `namesakes` those that have
/// the sought name. A name leads to an account only where one of the two sides is known by nothing else and their
/// countries do not differ.
pub fn matching(
    sought: &Sought,
    owners: &[(Identity, AccountId)],
    namesakes: &[Account],
) -> Result<Option<AccountId>, Refusal> {
    if let Some((first_key, first)) = owners.first() {
        if let Some((second_key, second)) = owners.iter().find(|(_, owner)| owner != first) {
            let (first_key, second_key) = (Box::new(first_key.clone()), Box::new(second_key.clone()));
            return Err(Refusal::IdentitiesDiffer { first: *first, first_key, second: *second, second_key });
        }
        return Ok(Some(*first));
    }
    let alike = namesakes.iter().filter(|other| {
        let same_country = sought.country.is_none() || other.country.is_none() || sought.country == other.country;
        Some(&other.name_key) == sought.name_key.as_ref() && same_country && !(sought.by_key && other.is_known_by_key())
    });
    let alike: Vec<AccountId> = alike.map(|other| other.id).collect();
    match alike[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let candidates = alike.iter().take(5).map(known_as).collect::<Vec<_>>().join(", ");
            Err(Refusal::NameAmbiguous { name: sought.name.clone(), candidates })
        }
    }
}

impl Sought {
    /// The refusal to make a second account where `existing` is meant.
    pub fn duplicate(&self, existing: AccountId, owners: &[(Identity, AccountId)]) -> Refusal {
        let by_name = || Identity::new(BY_NAME, self.name_key.clone().unwrap_or_default());
        let identity = owners.iter().find(|(_, owner)| *owner == existing).map_or_else(by_name, |(key, _)| key.clone());
        Refusal::Duplicate { existing, identity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn words() -> Vocabulary {
        let terms = taxonomy::read_terms(taxonomy::LIBRARY).unwrap();
        let terms = terms.into_iter().zip(1u128..).map(|(draft, n)| draft.term(Uuid::from_u128(n).into())).collect();
        Vocabulary { taxonomies: taxonomy::Taxonomies::new(terms), ..Vocabulary::default() }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn id(n: u128) -> AccountId {
        Uuid::from_u128(n).into()
    }

    fn patch(name: &str, domains: &[&str]) -> AccountPatch {
        let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
        AccountPatch { name: Some(name.to_owned()), domains: Some(domains), ..AccountPatch::default() }
    }

    fn account(n: u128, name: &str, domains: &[&str]) -> Account {
        create(id(n), patch(name, domains), &words(), at(0)).unwrap().next
    }

    #[test]
    fn a_new_account_is_stored_in_its_normal_form() {
        let given = AccountPatch {
            tier: Edit::Set("tier 1".to_owned()),
            industry: Edit::Set("software".to_owned()),
            territory: Edit::Set("Austin, Texas".to_owned()),
            country: Edit::Set("us".to_owned()),
            registry_number: Edit::Set("0000 66-740".to_owned()),
            tags: Some(vec!["Key Account".to_owned()]),
            ..patch(" Example,  Inc. ", &["https://www.Example.com/"])
        };
        let decision = create(id(1), given, &words(), at(0)).unwrap();
        let account = &decision.next;
        assert_eq!((account.name.as_str(), account.name_key.as_str()), ("Example, Inc.", "example"));
        assert_eq!(account.tier.as_deref(), Some("T1"));
        assert_eq!(account.territory.as_deref(), Some("US_SOUTH"));
        assert!(account.tags.contains("key-account"));
        let keys: Vec<String> = account.identities().iter().map(ToString::to_string).collect();
        assert_eq!(keys, ["account.domain example.com", "account.registry US:000066740"]);
        assert_eq!((decision.facts[0].kind, decision.facts[0].account), ("account.created", Some(id(1))));
    }

    #[test]
    fn each_bad_value_is_refused_by_the_name_of_its_field() {
        for (given, code, field) in [
            (AccountPatch::default(), "ACCOUNT_NAME_MISSING", "name"),
            (patch("...", &[]), "NAME_INVALID", "name"),
            (patch("Example", &["localhost"]), "DOMAIN_INVALID", "domains"),
            (AccountPatch { tier: "Gold".to_owned().into(), ..patch("Example", &[]) }, "TAXONOMY_UNKNOWN_TERM", "tier"),
            (
                AccountPatch { country: "Narnia".to_owned().into(), ..patch("Example", &[]) },
                "COUNTRY_INVALID",
                "country",
            ),
            (
                AccountPatch { custom: Values::from([("x".to_owned(), json!(1))]), ..patch("Example", &[]) },
                "CUSTOM_FIELD_UNKNOWN",
                "customFields",
            ),
        ] {
            let refusal = create(id(1), given, &words(), at(0)).unwrap_err();
            assert_eq!((refusal.code(), refusal.field()), (code, Some(field)));
        }
    }

    #[test]
    fn a_change_that_changes_nothing_is_no_decision() {
        let before = account(1, "Example", &["example.com"]);
        assert_eq!(change(&before, patch("Example", &["EXAMPLE.com"]), &words(), at(9)).unwrap(), None);
        let after = change(&before, patch("Example Group", &["example.org"]), &words(), at(9)).unwrap().unwrap();
        assert_eq!(after.next.updated_at, at(9));
        assert_eq!(after.facts[0].detail["changes"]["name"], json!(["Example", "Example Group"]));
        assert!(after.facts[0].detail["changes"].get("updated_at").is_none());
    }

    #[test]
    fn a_merge_adds_and_contradicts_no_key() {
        let system = |id: &str| BTreeMap::from([("CRM".to_owned(), Some(id.to_owned()))]);
        let mut before = account(1, "Example", &["example.com"]);
        before.external_ids.insert("crm".to_owned(), "42".to_owned());
        let given = AccountPatch { external_ids: system("42"), ..patch("Example", &["example.org"]) };
        let after = merge(&before, given.clone(), &words(), at(9)).unwrap().unwrap().next;
        assert_eq!(after.domains.len(), 2);
        assert_eq!(merge(&after, given.clone(), &words(), at(10)).unwrap(), None);
        let refusal =
            merge(&after, AccountPatch { external_ids: system("43"), ..given }, &words(), at(10)).unwrap_err();
        assert_eq!(refusal.code(), "ACCOUNT_EXTERNAL_ID_DIFFERS");
    }

    #[test]
    fn keys_lead_to_one_account_or_to_a_refusal() {
        let words = words();
        let sought = seek(&patch("Example", &["example.com", "example.org"]), &words).unwrap();
        let [first, second] = [&sought.identities[0], &sought.identities[1]];
        let one = [(first.clone(), id(1)), (second.clone(), id(1))];
        assert_eq!(matching(&sought, &one, &[]).unwrap(), Some(id(1)));
        assert_eq!(sought.duplicate(id(1), &one).code(), "ACCOUNT_DUPLICATE");
        let two = [(first.clone(), id(1)), (second.clone(), id(2))];
        assert_eq!(matching(&sought, &two, &[]).unwrap_err().code(), "ACCOUNT_IDENTITIES_DIFFER");
    }

    #[test]
    fn a_name_leads_to_an_account_only_where_one_side_has_nothing_better() {
        let words = words();
        let (named, keyed, other) = (
            account(1, "Example", &[]),
            account(2, "Example Inc", &["example.com"]),
            account(3, "Example", &["example.net"]),
        );
        let by_name = seek(&patch("EXAMPLE LLC", &[]), &words).unwrap();
        let by_key = seek(&patch("EXAMPLE LLC", &["example.org"]), &words).unwrap();
        assert_eq!(matching(&by_name, &[], std::slice::from_ref(&keyed)).unwrap(), Some(id(2)));
        assert_eq!(matching(&by_key, &[], std::slice::from_ref(&keyed)).unwrap(), None);
        assert_eq!(matching(&by_key, &[], &[named, keyed.clone()]).unwrap(), Some(id(1)));
        assert_eq!(matching(&by_name, &[], &[keyed, other]).unwrap_err().code(), "ACCOUNT_NAME_AMBIGUOUS");
    }

    #[test]
    fn tags_are_added_and_removed() {
        let before = account(1, "Example", &[]);
        let tags = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let after = tag(&before, &tags(&["A B", "c"]), &tags(&["C"]), at(1)).unwrap().unwrap().next;
        assert_eq!(after.tags, BTreeSet::from(["a-b".to_owned()]));
        assert_eq!(tag(&after, &tags(&["a b"]), &[], at(2)).unwrap(), None);
        let many: Vec<String> = (0..60).map(|n| format!("t{n}")).collect();
        assert_eq!(tag(&after, &many, &[], at(2)).unwrap_err().code(), "TAGS_TOO_MANY");
    }

    #[test]
    fn a_patch_keeps_its_meaning_through_json() {
        let given: AccountPatch =
            serde_json::from_value(json!({"name": "Example", "tier": null, "country": "US"})).unwrap();
        assert_eq!(
            (&given.tier, &given.industry, &given.country),
            (&Edit::Clear, &Edit::Keep, &Edit::Set("US".to_owned()))
        );
        assert_eq!(serde_json::to_value(&given).unwrap(), json!({"name": "Example", "tier": null, "country": "US"}));
    }
}
