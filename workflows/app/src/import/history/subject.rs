//! Whom a lead of the past is about.

use super::event::Event;
use super::past::Past;
use crate::accounts::AccountUpsert;
use crate::contacts::{ContactRow, ContactUpsertMany};
use crate::import::bulk::fault_of;
use crate::import::fault::Fault;
use crate::written::RowResult;
use crate::{Batch, Call, Result};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::ContactPatch;
use tandem_domain::edit::Edit;
use tandem_domain::id::{AccountId, ContactId};

/// The system in which ids of people and companies of imported histories are kept.
const SYSTEM: &str = "history";

/// The company that an event names; it is known by its id in the file, its domain or its name.
fn company(event: &Event) -> Option<AccountPatch> {
    let fields = &event.fields;
    let name = fields.owned("accountName").or_else(|| fields.owned("account"))?;
    let id = fields.owned("account").filter(|_| fields.text("accountName").is_some());
    Some(AccountPatch {
        name: Some(name),
        domains: fields.owned("accountDomain").map(|domain| vec![domain]),
        external_ids: elsewhere(id),
        source: Edit::Set(SYSTEM.to_owned()),
        ..AccountPatch::default()
    })
}

fn elsewhere(id: Option<String>) -> BTreeMap<String, Option<String>> {
    id.map(|id| (SYSTEM.to_owned(), Some(id))).into_iter().collect()
}

/// The person that an event names. One of whom the file says nothing is known by the lead's id.
fn person(event: &Event, account: Option<AccountId>) -> ContactRow {
    let fields = &event.fields;
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
        external_ids: elsewhere(other.or_else(|| unknown.then(|| event.lead.clone()))),
        source: Edit::Set(SYSTEM.to_owned()),
        ..ContactPatch::default()
    };
    ContactRow { contact, account: None }
}

/// Whom a lead is about.
pub(super) type Subject = (ContactId, Option<AccountId>);

/// The people and companies of events of one moment (`call`'s): those on record, or new ones.
pub(super) async fn find_or_make(
    batch: &mut Batch<'_>,
    call: &Call,
    events: &[&Event],
    resume: DateTime<Utc>,
) -> Result<Vec<Result<Subject, Fault>>> {
    let mut rows = Vec::with_capacity(events.len());
    let mut accounts = Vec::with_capacity(events.len());
    for event in events {
        let account = match company(event) {
            None => Ok(None),
            Some(account) => {
                let made = batch.run(call, &Past { command: AccountUpsert { account }, resume }).await;
                match made {
                    Ok(made) => Ok(Some(made.record.id)),
                    Err(error) if batch.is_broken() => return Err(error),
                    Err(error) => Err(fault_of(error, |field| ours(field, "account"))?),
                }
            }
        };
        rows.extend(account.as_ref().ok().map(|account| person(event, *account)));
        accounts.push(account);
    }
    let command = ContactUpsertMany { rows, default_region: None };
    let mut done = batch.run(call, &Past { command, resume }).await?.rows.into_iter();
    let mut next = |account| match done.next() {
        Some(RowResult::Written { id, .. }) => Ok((ContactId(id), account)),
        Some(RowResult::Refused(refusal)) => {
            let column = refusal.field.map_or_else(String::new, |field| ours(&field, "contact"));
            Err(Fault::new(column, refusal.code, refusal.message))
        }
        None => Err(Fault::new("", "INTERNAL", "nothing is known of what became of this person")),
    };
    Ok(accounts.into_iter().map(|account| account.and_then(&mut next)).collect())
}

/// The field of an event that a command on a contact or an account (`of`) calls `field`.
fn ours(field: &str, of: &str) -> String {
    match (of, field) {
        (_, "name") => format!("{of}Name"),
        ("account", "domains") => "accountDomain".to_owned(),
        ("contact", "email" | "phone" | "title") => {
            let mut letters = field.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().fold(of.to_owned(), |name, letter| format!("{name}{letter}")) + letters.as_str()
        }
        _ => of.to_owned(),
    }
}
