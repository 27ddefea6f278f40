//! Whom a lead of the past is about.

use super::event::Event;
use super::past::Past;
use crate::accounts::AccountUpsert;
use crate::contacts::{ContactRow, ContactUpsert};
use crate::{Batch, Call, Result};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::ContactPatch;
use tandem_domain::edit::Edit;
use tandem_domain::id::{AccountId, ContactId};

/// The system in which ids of people and companies of imported histories are kept.
const SYSTEM: &str = "history";

/// The person and the company of an event: those on record, or new ones. A person of whom the file says nothing is
/// known by the lead's id.
pub(super) async fn find_or_make(
    batch: &mut Batch<'_>,
    call: &Call,
    event: &Event,
    resume: DateTime<Utc>,
) -> Result<(ContactId, Option<AccountId>)> {
    let fields = &event.fields;
    let id = |id: Option<String>| id.map(|id| (SYSTEM.to_owned(), Some(id))).into_iter().collect::<BTreeMap<_, _>>();
    let named = fields.owned("accountName").or_else(|| fields.owned("account"));
    let account = match named {
        None => None,
        Some(name) => {
            let account = AccountPatch {
                name: Some(name),
                domains: fields.owned("accountDomain").map(|domain| vec![domain]),
                external_ids: id(fields.owned("account").filter(|_| fields.text("accountName").is_some())),
                source: Edit::Set(SYSTEM.to_owned()),
                ..AccountPatch::default()
            };
            Some(batch.run(call, &Past { command: AccountUpsert { account }, resume }).await?.record.id)
        }
    };
    // `contact` may be an address, or an id.
    let (email, other) = match fields.owned("contact") {
        Some(text) if text.contains('@') => (Some(text), None),
        other => (None, other),
    };
    let email = fields.owned("contactEmail").or(email);
    let unknown = email.is_none() && other.is_none() && fields.text("contactPhone").is_none();
    let contact = ContactPatch {
        account: Edit::given(account),
        name: Edit::given(fields.owned("contactName")),
        email: Edit::given(email),
        phone: Edit::given(fields.owned("contactPhone")),
        title: Edit::given(fields.owned("contactTitle")),
        external_ids: id(other.or_else(|| unknown.then(|| event.lead.clone()))),
        source: Edit::Set(SYSTEM.to_owned()),
        ..ContactPatch::default()
    };
    let command = ContactUpsert { row: ContactRow { contact, account: None }, default_region: None };
    let contact = batch.run(call, &Past { command, resume }).await?;
    Ok((contact.record.id, account.or(contact.record.account)))
}
