//! What is given to make or change accounts and contacts.

use super::types::ConsentState;
use crate::ids::local;
use async_graphql::{ID, InputObject, Json, MaybeUndefined};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use tandem_app::{AppError, ContactRow};
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::{ConsentGiven, ContactPatch};
use tandem_domain::custom_field::Values;
use tandem_domain::edit::Edit;

/// An id in another system.
#[derive(InputObject)]
pub struct ExternalIdInput {
    /// The system's name.
    system: String,
    /// The id there; null removes it.
    id: Option<String>,
}

/// The fields of an account. What is left out stays; null clears.
#[derive(InputObject)]
pub struct AccountFieldsInput {
    /// The name; needed to make an account.
    name: Option<String>,
    /// The domains, as domains or URLs.
    domains: Option<Vec<String>>,
    /// The number in the register of its country.
    registry_number: MaybeUndefined<String>,
    /// Ids in other systems. Those not named stay.
    external_ids: Option<Vec<ExternalIdInput>>,
    /// The tier: a code, name or alias.
    tier: MaybeUndefined<String>,
    /// The industry: a code, name or alias.
    industry: MaybeUndefined<String>,
    /// The territory: a code, name or alias; a place such as `Saint Paul, Minnesota` is read too.
    territory: MaybeUndefined<String>,
    /// The country: ISO 3166-1, two letters.
    country: MaybeUndefined<String>,
    /// The tags.
    tags: Option<Vec<String>>,
    /// Values of custom fields by key; null clears one. Those not named stay.
    custom_fields: Option<Json<Values>>,
    /// Where the record came from.
    source: MaybeUndefined<String>,
}

/// The fields of a contact. What is left out stays; null clears.
#[derive(InputObject)]
pub struct ContactFieldsInput {
    /// The company the person works for. Without one, the account that has the domain of the e-mail address is taken.
    account_id: MaybeUndefined<ID>,
    /// The name.
    name: MaybeUndefined<String>,
    /// The e-mail address.
    email: MaybeUndefined<String>,
    /// The phone number.
    phone: MaybeUndefined<String>,
    /// What the person does there.
    title: MaybeUndefined<String>,
    /// The language to write in: a language tag.
    locale: MaybeUndefined<String>,
    /// The time zone, by its IANA name.
    time_zone: MaybeUndefined<String>,
    /// The tags.
    tags: Option<Vec<String>>,
    /// Values of custom fields by key; null clears one. Those not named stay.
    custom_fields: Option<Json<Values>>,
    /// Ids in other systems. Those not named stay.
    external_ids: Option<Vec<ExternalIdInput>>,
    /// Where the record came from.
    source: MaybeUndefined<String>,
}

/// A statement about consent.
#[derive(InputObject)]
pub struct ConsentInput {
    /// Whether the person agreed.
    state: ConsentState,
    /// Where that is known from; needed for `GRANTED`.
    source: Option<String>,
    /// Since when; now, where it is left out.
    at: Option<DateTime<Utc>>,
}

/// The keys of an account that is there.
#[derive(InputObject)]
pub struct AccountKeysInput {
    /// The name; leads to an account where only one has it.
    name: Option<String>,
    /// A domain.
    domain: Option<String>,
    /// The number in the register of its country.
    registry_number: Option<String>,
    /// The country: ISO 3166-1, two letters.
    country: Option<String>,
    /// Ids in other systems.
    #[graphql(default)]
    external_ids: Vec<ExternalIdInput>,
}

/// One contact of an import.
#[derive(InputObject)]
pub struct ContactRowInput {
    /// The contact's fields.
    #[graphql(flatten)]
    fields: ContactFieldsInput,
    /// What the person agreed to. Withdrawn consent stays withdrawn.
    consent: Option<ConsentInput>,
    /// The keys of the person's account, where its id is not known.
    account: Option<AccountKeysInput>,
}

fn edit(given: MaybeUndefined<String>) -> Edit<String> {
    match given {
        MaybeUndefined::Undefined => Edit::Keep,
        MaybeUndefined::Null => Edit::Clear,
        MaybeUndefined::Value(value) => Edit::Set(value),
    }
}

fn ids(given: Option<Vec<ExternalIdInput>>) -> BTreeMap<String, Option<String>> {
    given.unwrap_or_default().into_iter().map(|one| (one.system, one.id)).collect()
}

fn values(given: Option<Json<Values>>) -> Values {
    given.map(|Json(values)| values).unwrap_or_default()
}

impl From<AccountFieldsInput> for AccountPatch {
    fn from(input: AccountFieldsInput) -> Self {
        Self {
            name: input.name,
            domains: input.domains,
            registry_number: edit(input.registry_number),
            external_ids: ids(input.external_ids),
            tier: edit(input.tier),
            industry: edit(input.industry),
            territory: edit(input.territory),
            country: edit(input.country),
            tags: input.tags,
            custom: values(input.custom_fields),
            source: edit(input.source),
        }
    }
}

impl From<AccountKeysInput> for AccountPatch {
    fn from(input: AccountKeysInput) -> Self {
        Self {
            name: input.name,
            domains: input.domain.map(|domain| vec![domain]),
            registry_number: Edit::given(input.registry_number),
            country: Edit::given(input.country),
            external_ids: ids(Some(input.external_ids)),
            ..Self::default()
        }
    }
}

impl From<ConsentInput> for ConsentGiven {
    fn from(input: ConsentInput) -> Self {
        Self { state: input.state.into(), source: input.source, at: input.at }
    }
}

impl ContactFieldsInput {
    /// The patch; the account's id is checked for its form.
    pub(crate) fn patch(self, consent: Option<ConsentInput>) -> Result<ContactPatch, AppError> {
        let account = match self.account_id {
            MaybeUndefined::Undefined => Edit::Keep,
            MaybeUndefined::Null => Edit::Clear,
            MaybeUndefined::Value(id) => Edit::Set(local(&id, "accountId")?),
        };
        Ok(ContactPatch {
            account,
            name: edit(self.name),
            email: edit(self.email),
            phone: edit(self.phone),
            title: edit(self.title),
            locale: edit(self.locale),
            time_zone: edit(self.time_zone),
            tags: self.tags,
            custom: values(self.custom_fields),
            external_ids: ids(self.external_ids),
            source: edit(self.source),
            consent: consent.map(Into::into),
        })
    }
}

impl ContactRowInput {
    /// The row.
    pub(crate) fn row(self) -> Result<ContactRow, AppError> {
        Ok(ContactRow { contact: self.fields.patch(self.consent)?, account: self.account.map(Into::into) })
    }
}
