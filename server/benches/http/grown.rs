//! A database that has grown: many contacts at their companies, and some thousand leads in the queue.

use super::Bench;
use std::time::Instant;
use tandem_app::{AccountUpsertMany, Batch, Call, ContactUpsertMany, LeadQualify, LeadReceive};
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::ContactPatch;
use tandem_domain::edit::Edit;
use tandem_domain::id::{AccountId, ContactId};

/// How many people work at one company.
const PEOPLE: usize = 10;
/// How many rows one command writes.
const ROWS: usize = 500;
/// How many leads there are, where there are so many contacts.
const LEADS: usize = 10_000;

/// What there is to ask for.
pub(super) struct Grown {
    /// Companies with leads.
    pub(super) accounts: Vec<AccountId>,
}

/// Fills the database by the commands that imports use.
pub(super) async fn grow(bench: &Bench, contacts: usize) -> Grown {
    let (app, call) = (&bench.world.app, bench.world.system());
    let began = Instant::now();
    let companies = contacts.div_ceil(PEOPLE);
    let mut accounts: Vec<AccountId> = Vec::with_capacity(companies);
    let mut people: Vec<ContactId> = Vec::with_capacity(LEADS);
    for first in (0..companies).step_by(ROWS) {
        let rows = (first..companies.min(first + ROWS)).map(|number| AccountPatch {
            name: Some(format!("Company {number}")),
            domains: Some(vec![format!("c{number}.example")]),
            ..AccountPatch::default()
        });
        let written = app.run(&call, AccountUpsertMany { rows: rows.collect() }).await.unwrap();
        accounts.extend(written.rows.iter().filter_map(|row| row.id()).map(AccountId));
    }
    for first in (0..contacts).step_by(ROWS) {
        let rows = (first..contacts.min(first + ROWS)).map(|number| {
            let contact = ContactPatch {
                account: Edit::Set(accounts[number / PEOPLE]),
                name: format!("Person {number}").into(),
                email: format!("p{number}@c{}.example", number / PEOPLE).into(),
                ..ContactPatch::default()
            };
            contact.into()
        });
        let written = app.run(&call, ContactUpsertMany { rows: rows.collect(), default_region: None }).await.unwrap();
        if people.len() < LEADS {
            people.extend(written.rows.iter().filter_map(|row| row.id()).map(ContactId));
        }
    }
    people.truncate(LEADS);
    for part in people.chunks(ROWS) {
        let mut batch = app.batch().await.unwrap();
        for contact in part {
            queued(&mut batch, &call, *contact).await;
        }
        batch.commit().await.unwrap();
    }
    let (rows, took) = (contacts + companies, began.elapsed().as_secs_f64());
    println!(
        "{:<44} {contacts} contacts, {companies} accounts, {} leads: {rows} rows in {took:.0} s",
        "grown",
        people.len()
    );
    accounts.truncate(people.len() / PEOPLE);
    Grown { accounts }
}

async fn queued(batch: &mut Batch<'_>, call: &Call, contact: ContactId) {
    let receive = LeadReceive {
        contact,
        account: None,
        source: "bench".to_owned(),
        external_id: None,
        grade: None,
        priority: None,
        tags: [].into(),
        custom: [].into(),
    };
    let lead = batch.run(call, &receive).await.unwrap();
    batch.run(call, &LeadQualify { lead: lead.id, grade: None, priority: None }).await.unwrap();
}
