//! What a row of accounts, contacts or leads is, field by field, and the command that stores it.

use super::bulk::{Kind, fault_of};
use super::fault::Fault;
use super::mapping::{Bound, Fields, Known};
use crate::accounts::AccountUpsertMany;
use crate::contacts::{ContactRow, ContactUpsertMany};
use crate::leads::LeadReceive;
use crate::written::{Outcome, RowResult};
use crate::{AppError, Batch, Call, Result};
use std::collections::BTreeMap;
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::{ConsentGiven, ConsentState, ContactPatch};
use tandem_domain::custom_field::Entity;
use tandem_domain::edit::Edit;
use tandem_domain::id::ContactId;
use tandem_domain::id::{AccountId, local};
use tandem_domain::lead::Grade;
use tandem_domain::ledger::sha256_hex;

/// What became of each row that was given.
type Ends = Vec<Result<Outcome, Fault>>;

/// An empty cell says nothing: it leaves what is on record.
fn edit(fields: &Fields, name: &str) -> Edit<String> {
    Edit::given(fields.owned(name))
}

fn list(fields: &Fields, name: &str) -> Option<Vec<String>> {
    Some(fields.all(name)).filter(|values| !values.is_empty())
}

fn custom(fields: &Fields) -> BTreeMap<String, serde_json::Value> {
    fields.family("custom.").map(|(key, value)| (key.to_owned(), value.into())).collect()
}

fn external(fields: &Fields) -> BTreeMap<String, Option<String>> {
    fields.family("external.").map(|(system, id)| (system.to_owned(), Some(id.to_owned()))).collect()
}

fn end_of(result: RowResult, column: impl Fn(&str) -> String) -> Result<Outcome, Fault> {
    match result {
        RowResult::Written { outcome, .. } => Ok(outcome),
        RowResult::Refused(refusal) => {
            let column = refusal.field.map_or_else(String::new, |field| column(&field));
            Err(Fault::new(column, refusal.code, refusal.message))
        }
    }
}

/// Accounts.
pub(super) struct Accounts;

impl Kind for Accounts {
    type Input = AccountPatch;
    const NAME: &'static str = "accounts";
    const ENTITY: Entity = Entity::Account;
    const KNOWN: &'static [Known] = &[
        Known::required("name"),
        Known::many("domains"),
        Known::one("registryNumber"),
        Known::one("tier"),
        Known::one("industry"),
        Known::one("territory"),
        Known::one("country"),
        Known::many("tags"),
        Known::one("source"),
    ];

    fn read(&self, fields: &Fields, _: &Bound) -> Result<AccountPatch, Fault> {
        Ok(AccountPatch {
            name: fields.owned("name"),
            domains: list(fields, "domains"),
            registry_number: edit(fields, "registryNumber"),
            external_ids: external(fields),
            tier: edit(fields, "tier"),
            industry: edit(fields, "industry"),
            territory: edit(fields, "territory"),
            country: edit(fields, "country"),
            tags: list(fields, "tags"),
            custom: custom(fields),
            source: edit(fields, "source"),
        })
    }

    async fn store(&self, batch: &mut Batch<'_>, call: &Call, bound: &Bound, rows: Vec<AccountPatch>) -> Result<Ends> {
        let done = batch.run(call, &AccountUpsertMany { rows }).await?;
        Ok(done.rows.into_iter().map(|row| end_of(row, |field| bound.column(field))).collect())
    }
}

/// The id of an account: that by which the API and the sentences of refusals know it, or its UUID.
fn account_id(text: &str) -> Option<AccountId> {
    local("Account", text).or_else(|| text.parse().ok()).map(AccountId)
}

/// The company that a row names, by domain, registry number, id or name.
fn company(fields: &Fields) -> (Edit<AccountId>, Option<AccountPatch>) {
    if let Some(id) = fields.text("accountId").and_then(account_id) {
        return (Edit::Set(id), None);
    }
    let patch = AccountPatch {
        name: fields.owned("account"),
        domains: fields.owned("accountDomain").map(|domain| vec![domain]),
        registry_number: edit(fields, "accountRegistryNumber"),
        ..AccountPatch::default()
    };
    (Edit::Keep, Some(patch).filter(|patch| *patch != AccountPatch::default()))
}

fn consent(fields: &Fields, bound: &Bound) -> Result<Option<ConsentGiven>, Fault> {
    let Some(state) = fields.text("consent") else { return Ok(None) };
    let state: ConsentState = state.to_uppercase().parse().map_err(|error: tandem_domain::code::UnknownCode| {
        Fault::new(bound.column("consent"), tandem_domain::code::UnknownCode::CODE, error.to_string())
    })?;
    let at = fields.text("consentAt").map(|at| bound.moment("consentAt", at)).transpose()?;
    Ok(Some(ConsentGiven { state, source: fields.owned("consentSource"), at }))
}

fn contact(fields: &Fields, bound: &Bound) -> Result<ContactRow, Fault> {
    if let Some(id) = fields.text("accountId").filter(|id| account_id(id).is_none()) {
        let sentence = format!("`{}` is not the id of an account", super::mapping::short(id));
        return Err(Fault::new(bound.column("accountId"), "IMPORT_VALUE_INVALID", sentence));
    }
    let (id, account) = company(fields);
    let contact = ContactPatch {
        account: id,
        name: edit(fields, "name"),
        email: edit(fields, "email"),
        phone: edit(fields, "phone"),
        title: edit(fields, "title"),
        locale: edit(fields, "locale"),
        time_zone: edit(fields, "timeZone"),
        consent: consent(fields, bound)?,
        ..ContactPatch::default()
    };
    Ok(ContactRow { contact, account })
}

/// Contacts.
pub(super) struct Contacts;

impl Kind for Contacts {
    type Input = ContactRow;
    const NAME: &'static str = "contacts";
    const ENTITY: Entity = Entity::Contact;
    const KNOWN: &'static [Known] = &[
        Known::one("email"),
        Known::one("name"),
        Known::one("phone"),
        Known::one("title"),
        Known::one("locale"),
        Known::one("timeZone"),
        Known::one("consent"),
        Known::one("consentSource"),
        Known::one("consentAt"),
        Known::one("account"),
        Known::one("accountDomain"),
        Known::one("accountRegistryNumber"),
        Known::one("accountId"),
        Known::many("tags"),
        Known::one("source"),
    ];

    fn read(&self, fields: &Fields, bound: &Bound) -> Result<ContactRow, Fault> {
        let mut row = contact(fields, bound)?;
        row.contact.tags = list(fields, "tags");
        row.contact.custom = custom(fields);
        row.contact.external_ids = external(fields);
        row.contact.source = edit(fields, "source");
        Ok(row)
    }

    async fn store(&self, batch: &mut Batch<'_>, call: &Call, bound: &Bound, rows: Vec<ContactRow>) -> Result<Ends> {
        let default_region = bound.phone_region().map(str::to_owned);
        let done = batch.run(call, &ContactUpsertMany { rows, default_region }).await?;
        Ok(done.rows.into_iter().map(|row| end_of(row, |field| bound.column(field))).collect())
    }
}

/// A lead and its person.
pub(super) struct LeadRow {
    contact: ContactRow,
    lead: LeadReceive,
}

/// Leads.
pub(super) struct Leads;

impl Kind for Leads {
    type Input = LeadRow;
    const NAME: &'static str = "leads";
    const ENTITY: Entity = Entity::Lead;
    const KNOWN: &'static [Known] = &[
        Known::required("source"),
        Known::one("externalId"),
        Known::one("grade"),
        Known::one("priority"),
        Known::many("tags"),
        Known::one("contactExternalId"),
        Known::one("email"),
        Known::one("name"),
        Known::one("phone"),
        Known::one("title"),
        Known::one("locale"),
        Known::one("timeZone"),
        Known::one("consent"),
        Known::one("consentSource"),
        Known::one("consentAt"),
        Known::one("account"),
        Known::one("accountDomain"),
        Known::one("accountRegistryNumber"),
        Known::one("accountId"),
    ];

    fn read(&self, fields: &Fields, bound: &Bound) -> Result<LeadRow, Fault> {
        let mut row = contact(fields, bound)?;
        let source = fields.owned("source").unwrap_or_default();
        row.contact.external_ids = external(fields);
        let keyed = row.contact.email.value().is_some() || row.contact.phone.value().is_some();
        match fields.owned("contactExternalId") {
            Some(id) => drop(row.contact.external_ids.insert(system(&source), Some(id))),
            None if !keyed && row.contact.external_ids.is_empty() => {
                let sentence = "a lead needs a person: fill `email`, `phone` or `contactExternalId`";
                return Err(Fault::new(bound.column("email"), "IMPORT_VALUE_MISSING", sentence));
            }
            None => {}
        }
        row.contact.source = Edit::given(Some(source.clone()));
        let grade = fields
            .text("grade")
            .map(str::parse::<Grade>)
            .transpose()
            .map_err(|refusal| Fault::new(bound.column("grade"), refusal.code(), refusal.to_string()))?;
        let priority = fields.text("priority").map(str::parse::<u8>).transpose().map_err(|_| {
            let sentence = "a priority is 0 (least urgent) to 100";
            Fault::new(bound.column("priority"), "LEAD_PRIORITY_OUT_OF_RANGE", sentence)
        })?;
        // Without an id of its own a row is known by all it says, so that it is taken once however often it is imported.
        let fingerprint = || format!("row-{}", &sha256_hex(&[format!("{fields:?}").as_bytes()])[..32]);
        let lead = LeadReceive {
            contact: ContactId(uuid::Uuid::nil()),
            account: None,
            external_id: Some(fields.owned("externalId").unwrap_or_else(fingerprint)),
            source,
            grade,
            priority,
            tags: fields.all("tags").into_iter().collect(),
            custom: custom(fields),
        };
        Ok(LeadRow { contact: row, lead })
    }

    async fn store(&self, batch: &mut Batch<'_>, call: &Call, bound: &Bound, rows: Vec<LeadRow>) -> Result<Ends> {
        let default_region = bound.phone_region().map(str::to_owned);
        let (contacts, leads): (Vec<_>, Vec<_>) = rows.into_iter().map(|row| (row.contact, row.lead)).unzip();
        let done = batch.run(call, &ContactUpsertMany { rows: contacts, default_region }).await?;
        let mut ends = Vec::with_capacity(leads.len());
        for (row, lead) in done.rows.into_iter().zip(leads) {
            let contact = row.id();
            let end =
                end_of(row, |field| bound.column(if field == "externalIds" { "contactExternalId" } else { field }));
            ends.push(match (end, contact) {
                (Ok(outcome), Some(contact)) => {
                    let lead = LeadReceive { contact: ContactId(contact), ..lead };
                    match batch.run(call, &lead).await {
                        Ok(_) => Ok(Outcome::Created),
                        // It came in by an earlier run: only the person may have changed.
                        Err(AppError::Refused { code: "LEAD_EXISTS", .. }) => Ok(outcome),
                        Err(error) if batch.is_broken() => return Err(error),
                        Err(error) => Err(fault_of(error, |field| bound.column(field))?),
                    }
                }
                (end, _) => end,
            });
        }
        Ok(ends)
    }
}

/// The system in which a source's ids of people are kept.
fn system(source: &str) -> String {
    source.split_whitespace().collect::<Vec<_>>().join("_").to_lowercase()
}
