//! The people and companies that events tell of, by the same commands that everybody uses.

use crate::contacts::ContactRow;
use crate::{AccountUpsert, AppError, Batch, Call, ContactChange, ContactUpsert, Result};
use serde_json::{Map, Value};
use tandem_domain::account::Account;
use tandem_domain::contact::{BY_EMAIL, Contact, ContactPatch};
use tandem_domain::custom_field::CustomField;
use tandem_domain::edit::Edit;
use tandem_domain::id::ContactId;
use tandem_domain::identity::Identity;
use tandem_domain::ingest::{EventSource, Fault, Trust, people};
use tandem_domain::normalise;

/// How many fields one event may get wrong before it is refused as a whole.
const PATIENCE: usize = 8;

/// What became of something that an event tells.
pub(super) struct Written<T> {
    /// The record.
    pub(super) record: T,
    /// What of it was left out.
    pub(super) fault: Option<Fault>,
}

/// What a command said no to; the error itself where the world broke.
fn refusal(batch: &Batch<'_>, error: AppError) -> Result<(Fault, Option<String>)> {
    if batch.is_broken() || !error.is_refusal() {
        return Err(error);
    }
    let fault = Fault::new(error.code(), error.to_string());
    let field = match error {
        AppError::Refused { field, .. } => field,
        _ => None,
    };
    Ok((fault, field))
}

/// Writes the people and companies of one source's events.
pub(super) struct Scribe<'a> {
    /// The source.
    pub(super) source: &'a EventSource,
    /// The call in the name of the source's user.
    pub(super) call: Call,
    /// The custom fields that traits may be values of.
    pub(super) fields: Vec<CustomField>,
}

impl Scribe<'_> {
    /// Makes or completes the person that an identify tells of. None where it tells of nobody; a fault where it was refused.
    /// A field that is wrong is left out, and does not keep the person out.
    pub(super) async fn person(
        &self,
        batch: &mut Batch<'_>,
        event: &Map<String, Value>,
    ) -> Result<Option<std::result::Result<Written<Contact>, Fault>>> {
        let Some(mut patch) = people::person(self.source, &self.fields, event) else { return Ok(None) };
        if self.source.trust == Trust::Browser {
            // What nobody can vouch for does not lend somebody an id either.
            patch.external_ids.clear();
            if let Some(known) = self.known(batch, &patch).await? {
                patch = people::fill(patch, &known);
            }
        }
        let mut first: Option<Fault> = None;
        for _ in 0..PATIENCE {
            let row = ContactRow::from(patch.clone());
            let command = ContactUpsert { row, default_region: self.source.phone_region.clone() };
            let error = match batch.run(&self.call, &command).await {
                Ok(written) => return Ok(Some(Ok(Written { record: written.record, fault: first }))),
                Err(error) => error,
            };
            let (fault, field) = refusal(batch, error)?;
            let Some(less) = field.and_then(|field| people::without(patch, &field)) else {
                return Ok(Some(Err(fault)));
            };
            patch = less;
            first.get_or_insert(fault);
        }
        Ok(Some(Err(first.unwrap_or_else(|| Fault::new("EVENT_REFUSED", "too much of this event is wrong")))))
    }

    async fn known(&self, batch: &mut Batch<'_>, patch: &ContactPatch) -> Result<Option<Contact>> {
        let Some(email) = patch.email.value().and_then(|email| normalise::email(email).ok()) else { return Ok(None) };
        let owners = batch.tx().identity_owners(&[Identity::new(BY_EMAIL, email)]).await.map_err(AppError::from);
        let Some((_, owner)) = batch.note(owners)?.pop() else { return Ok(None) };
        let found = batch.tx().peek::<Contact>(ContactId(owner)).await.map_err(AppError::from);
        batch.note(found)
    }

    /// Makes or completes the company that a group tells of.
    pub(super) async fn company(
        &self,
        batch: &mut Batch<'_>,
        event: &Map<String, Value>,
    ) -> Result<Option<std::result::Result<Written<Account>, Fault>>> {
        let Some(mut patch) = people::company(self.source, &self.fields, event) else { return Ok(None) };
        let mut first: Option<Fault> = None;
        for _ in 0..PATIENCE {
            let command = AccountUpsert { account: patch.clone() };
            let error = match batch.run(&self.call, &command).await {
                Ok(written) => return Ok(Some(Ok(Written { record: written.record, fault: first }))),
                Err(error) => error,
            };
            let (fault, field) = refusal(batch, error)?;
            let Some(less) = field.and_then(|field| people::company_without(patch, &field)) else {
                return Ok(Some(Err(fault)));
            };
            patch = less;
            first.get_or_insert(fault);
        }
        Ok(Some(Err(first.unwrap_or_else(|| Fault::new("EVENT_REFUSED", "too much of this event is wrong")))))
    }

    /// Says that a person works for a company, where nothing is known of that yet.
    pub(super) async fn employ(&self, batch: &mut Batch<'_>, person: ContactId, company: &Account) -> Result<()> {
        let found = batch.tx().peek::<Contact>(person).await.map_err(AppError::from);
        if batch.note(found)?.is_none_or(|contact| contact.account.is_some()) {
            return Ok(());
        }
        let contact = ContactPatch { account: Edit::Set(company.id), ..ContactPatch::default() };
        let command = ContactChange { id: person, contact, default_region: None };
        match batch.run(&self.call, &command).await {
            Ok(_) => Ok(()),
            // Somebody else said otherwise meanwhile.
            Err(error) => refusal(batch, error).map(drop),
        }
    }
}
