//! Changes of contacts.

use super::input::{ConsentInput, ContactFieldsInput, ContactRowInput};
use super::types::{ContactNode, ContactRowResult, WriteOutcome};
use crate::context::ContextExt;
use crate::error::{ApiError, UserError, named, named_row};
use crate::ids::{global, local};
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use std::collections::BTreeMap;
use tandem_app::written::check_rows;
use tandem_app::{
    AppError, ContactChange, ContactCreate, ContactSetConsent, ContactTag, ContactUpsert, ContactUpsertMany, RowResult,
};
use tandem_domain::id::ContactId;

/// A contact to make.
#[derive(InputObject)]
pub struct ContactCreateInput {
    /// The contact's fields.
    #[graphql(flatten)]
    fields: ContactFieldsInput,
    /// What the person agreed to.
    consent: Option<ConsentInput>,
    /// The country that a phone number without a country code is dialled from.
    default_region: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A change of a contact. What is left out stays; null clears; tags are replaced.
#[derive(InputObject)]
pub struct ContactChangeInput {
    /// The contact.
    contact_id: ID,
    /// The fields that change.
    #[graphql(flatten)]
    fields: ContactFieldsInput,
    /// The country that a phone number without a country code is dialled from.
    default_region: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Data to merge into the contact it means, or to make one of.
#[derive(InputObject)]
pub struct ContactUpsertInput {
    /// The contact.
    #[graphql(flatten)]
    row: ContactRowInput,
    /// The country that a phone number without a country code is dialled from.
    default_region: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Up to 500 contacts to upsert. A bad row loses no good one.
#[derive(InputObject)]
pub struct ContactUpsertManyInput {
    /// The contacts, in their order.
    rows: Vec<ContactRowInput>,
    /// The country that phone numbers without a country code are dialled from.
    default_region: Option<String>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Tags to add to a contact and to take away.
#[derive(InputObject)]
pub struct ContactTagInput {
    /// The contact.
    contact_id: ID,
    /// The tags to add.
    #[graphql(default)]
    add: Vec<String>,
    /// The tags to take away.
    #[graphql(default)]
    remove: Vec<String>,
}

/// What a person agreed to, or took back.
#[derive(InputObject)]
pub struct ContactSetConsentInput {
    /// The contact.
    contact_id: ID,
    /// The statement.
    consent: ConsentInput,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `contactCreate` did.
    ContactCreatePayload {
        /// The contact that was made.
        contact: ContactNode,
    }
    /// What `contactChange` did.
    ContactChangePayload {
        /// The contact as it is now.
        contact: ContactNode,
    }
    /// What `contactUpsert` did.
    ContactUpsertPayload {
        /// The contact as it is now.
        contact: ContactNode,
        /// Whether it was made, changed or left as it was.
        outcome: WriteOutcome,
    }
    /// What `contactUpsertMany` did.
    ContactUpsertManyPayload {
        /// One result for each row, in their order.
        rows: Vec<ContactRowResult>,
    }
    /// What `contactTag` did.
    ContactTagPayload {
        /// The contact as it is now.
        contact: ContactNode,
    }
    /// What `contactSetConsent` did.
    ContactSetConsentPayload {
        /// The contact as it is now.
        contact: ContactNode,
    }
}

/// What the rules call otherwise than the inputs, which have objects for consent and account.
const NAMES: &[(&str, &str)] = &[
    ("consentSource", "consent.source"),
    ("accountDomain", "account.domain"),
    ("accountRegistryNumber", "account.registryNumber"),
];

fn result(row: RowResult) -> ContactRowResult {
    match row {
        RowResult::Written { outcome, id } => ContactRowResult {
            outcome: Some(outcome.into()),
            contact_id: Some(global(ContactId::from(id))),
            error: None,
        },
        RowResult::Refused(refusal) => {
            let error = UserError::of_row(named_row(refusal, NAMES));
            ContactRowResult { outcome: None, contact_id: None, error: Some(error) }
        }
    }
}

/// Changes of contacts.
#[derive(Default)]
pub struct ContactMutation;

#[Object]
impl ContactMutation {
    /// Makes a contact; refused with `CONTACT_DUPLICATE`, naming the contact, where one has the same keys.
    async fn contact_create(
        &self,
        ctx: &Context<'_>,
        input: ContactCreateInput,
    ) -> Result<ContactCreatePayload, ApiError> {
        let done = async {
            let contact = input.fields.patch(input.consent)?;
            let command = ContactCreate { contact, default_region: input.default_region };
            ctx.run(input.idempotency_key, command).await
        };
        let done = done.await.map_err(|error| named(error, NAMES));
        ContactCreatePayload::of(done.map(|written| ContactNode(written.record)))
    }

    /// Changes a contact. Consent is changed by `contactSetConsent`.
    async fn contact_change(
        &self,
        ctx: &Context<'_>,
        input: ContactChangeInput,
    ) -> Result<ContactChangePayload, ApiError> {
        let done = async {
            let (id, contact) = (local(&input.contact_id, "contactId")?, input.fields.patch(None)?);
            let command = ContactChange { id, contact, default_region: input.default_region };
            ctx.run(input.idempotency_key, command).await
        };
        ContactChangePayload::of(done.await.map(|written| ContactNode(written.record)))
    }

    /// Merges data into the contact it means, or makes one. Running it again changes nothing.
    async fn contact_upsert(
        &self,
        ctx: &Context<'_>,
        input: ContactUpsertInput,
    ) -> Result<ContactUpsertPayload, ApiError> {
        let done = async {
            let command = ContactUpsert { row: input.row.row()?, default_region: input.default_region };
            ctx.run(input.idempotency_key, command).await
        };
        let done = done.await.map_err(|error| named(error, NAMES));
        ContactUpsertPayload::of(done.map(|written| (ContactNode(written.record), written.outcome.into())))
    }

    /// Upserts up to 500 contacts in one transaction, with a result for each row.
    async fn contact_upsert_many(
        &self,
        ctx: &Context<'_>,
        input: ContactUpsertManyInput,
    ) -> Result<ContactUpsertManyPayload, ApiError> {
        let done = async {
            check_rows(input.rows.len())?;
            // What cannot be read costs its own row alone.
            let (mut rows, mut unread) = (Vec::with_capacity(input.rows.len()), BTreeMap::new());
            for (place, row) in input.rows.into_iter().enumerate() {
                match row.row() {
                    Ok(row) => rows.push(row),
                    Err(error) => drop(unread.insert(place, RowResult::from_refusal(error)?)),
                }
            }
            let count = rows.len() + unread.len();
            let command = ContactUpsertMany { rows, default_region: input.default_region };
            let mut read = ctx.run(input.idempotency_key, command).await?.rows.into_iter();
            Ok::<_, AppError>(
                (0..count).filter_map(|place| unread.remove(&place).or_else(|| read.next())).collect::<Vec<_>>(),
            )
        };
        ContactUpsertManyPayload::of(done.await.map(|rows| rows.into_iter().map(result).collect()))
    }

    /// Adds tags to a contact and takes some away.
    async fn contact_tag(&self, ctx: &Context<'_>, input: ContactTagInput) -> Result<ContactTagPayload, ApiError> {
        let done = async {
            let id = local(&input.contact_id, "contactId")?;
            ctx.run(None, ContactTag { id, add: input.add, remove: input.remove }).await
        };
        let done = done.await.map_err(|error| named(error, &[("tags", "add")]));
        ContactTagPayload::of(done.map(|written| ContactNode(written.record)))
    }

    /// Records what a person agreed to, or took back.
    async fn contact_set_consent(
        &self,
        ctx: &Context<'_>,
        input: ContactSetConsentInput,
    ) -> Result<ContactSetConsentPayload, ApiError> {
        let done = async {
            let id = local(&input.contact_id, "contactId")?;
            let command = ContactSetConsent { id, consent: input.consent.into() };
            ctx.run(input.idempotency_key, command).await
        };
        let done = done.await.map_err(|error| named(error, NAMES));
        ContactSetConsentPayload::of(done.map(|written| ContactNode(written.record)))
    }
}
