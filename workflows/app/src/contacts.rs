//! Commands on contacts.

use crate::book::{Book, check_tags, row};
use crate::written::{Rows, Written, check_rows};
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tandem_domain::account::{Account, AccountPatch};
use tandem_domain::contact::{self, ConsentGiven, Contact, ContactPatch};
use tandem_domain::decision::Decision;
use tandem_domain::edit::Edit;
use tandem_domain::id::ContactId;
use tandem_domain::identity::Vocabulary;
use tandem_domain::normalise;
use tandem_store::Tx;

/// A contact as a row of data gives it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContactRow {
    /// The contact, as typed.
    pub contact: ContactPatch,
    /// The keys of its account, where that is not given by id: domain, registry number, external id or name.
    #[serde(default)]
    pub account: Option<AccountPatch>,
}

impl From<ContactPatch> for ContactRow {
    fn from(contact: ContactPatch) -> Self {
        Self { contact, account: None }
    }
}

/// The contacts that rows mean, and their accounts.
///
/// A contact without a stated account is linked to the one that has the domain of its e-mail address.
pub struct ContactBook {
    contacts: Book<Contact>,
    accounts: Book<Account>,
}

impl ContactBook {
    /// Loads what the rows may mean, and the contacts with these ids.
    pub async fn load(tx: &Tx, words: Vocabulary, rows: &[ContactRow], ids: &[ContactId]) -> Result<Self> {
        let probes: Vec<AccountPatch> = rows.iter().filter_map(Self::probe).collect();
        let stated: Vec<_> = rows.iter().filter_map(|row| row.contact.account.value().copied()).collect();
        // The accounts are only read: two imports of one account's contacts need not wait for each other.
        let accounts = Book::load(tx, words.clone(), &probes.iter().collect::<Vec<_>>(), &stated, false).await?;
        let patches: Vec<&ContactPatch> = rows.iter().map(|row| &row.contact).collect();
        let contacts = Book::load(tx, words, &patches, ids, true).await?;
        Ok(Self { contacts, accounts })
    }

    /// What to look for the row's account by.
    fn probe(row: &ContactRow) -> Option<AccountPatch> {
        if let Some(keys) = &row.account {
            return Some(keys.clone());
        }
        let email = row.contact.email.value().filter(|_| row.contact.account.is_keep())?;
        let (_, domain) = normalise::email(email).ok()?.rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
        let domain = normalise::domain(&domain).ok()?;
        Some(AccountPatch { domains: Some(vec![domain]), ..AccountPatch::default() })
    }

    /// The row's patch with its account's id in it.
    fn linked(&self, row: &ContactRow, before: Option<&Contact>) -> Result<ContactPatch> {
        let mut patch = row.contact.clone();
        if let Some(id) = patch.account.value() {
            self.accounts.get(*id).ok_or(AppError::NotFound { what: "Account", id: (*id).into() })?;
            return Ok(patch);
        }
        let found = Self::probe(row).map(|keys| self.accounts.find(&keys)).transpose();
        match (&row.account, found) {
            (Some(_), found) => {
                let account = found.map_err(of_keys)?.flatten().ok_or_else(|| {
                    let message = "no account has these keys; import the account first, or correct the row";
                    AppError::refused("CONTACT_ACCOUNT_UNKNOWN", message, Some("account"))
                })?;
                patch.account = Edit::Set(account.id);
            }
            // The address's domain is a hint, not a statement: it never moves a contact from one account to another.
            (None, Ok(Some(Some(account)))) if before.is_none_or(|contact| contact.account.is_none()) => {
                patch.account = Edit::Set(account.id);
            }
            (None, _) => {}
        }
        Ok(patch)
    }

    /// The contact that a row means, if there is one.
    pub fn find(&self, row: &ContactRow) -> Result<Option<&Contact>> {
        self.contacts.find(&row.contact)
    }

    /// Makes a contact; refused where there is one already.
    pub async fn create(
        &mut self,
        tx: &Tx,
        env: &Env,
        row: &ContactRow,
        now: DateTime<Utc>,
    ) -> Result<Written<Contact>> {
        let patch = self.linked(row, None)?;
        self.contacts.create(tx, env, patch, now).await
    }

    /// Merges a row into the contact it means, or makes one.
    pub async fn upsert(
        &mut self,
        tx: &Tx,
        env: &Env,
        row: &ContactRow,
        now: DateTime<Utc>,
    ) -> Result<Written<Contact>> {
        let patch = self.linked(row, self.find(row)?)?;
        self.contacts.upsert(tx, env, patch, now).await
    }

    /// The contacts that changed, to be committed.
    pub fn close(self) -> Book<Contact> {
        self.contacts
    }
}

/// The refusal of the keys of a row's account, with the field called as the row calls it: the account's own are beside them.
fn of_keys(error: AppError) -> AppError {
    match error {
        AppError::Refused { code, message, field } => {
            let field = match field.as_deref() {
                Some("domains") => "accountDomain",
                Some("registryNumber") => "accountRegistryNumber",
                _ => "account",
            };
            AppError::refused(code, message, Some(field))
        }
        other => other,
    }
}

/// Makes a contact; refused with `CONTACT_DUPLICATE` where one has the same keys.
#[derive(Debug, Clone, Serialize)]
pub struct ContactCreate {
    /// The contact, as typed.
    pub contact: ContactPatch,
    /// The country that phone numbers without a country code are dialled from: ISO 3166-1, two letters.
    pub default_region: Option<String>,
}

impl Command for ContactCreate {
    const NAME: &'static str = "contactCreate";
    type Output = Written<Contact>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Contact>>> {
        let words = tx.vocabulary(self.default_region.as_deref()).await?;
        let row = ContactRow::from(self.contact.clone());
        let mut book = ContactBook::load(tx, words, std::slice::from_ref(&row), &[]).await?;
        let written = book.create(tx, env, &row, call.now(env)).await?;
        Ok(book.close().close_one(written))
    }
}

/// Changes a contact: what is given replaces what is there. Consent is changed by [`ContactSetConsent`].
#[derive(Debug, Clone, Serialize)]
pub struct ContactChange {
    /// The contact.
    pub id: ContactId,
    /// What changes, as typed.
    pub contact: ContactPatch,
    /// The country that phone numbers without a country code are dialled from.
    pub default_region: Option<String>,
}

impl Command for ContactChange {
    const NAME: &'static str = "contactChange";
    type Output = Written<Contact>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Contact>>> {
        if let Some(account) = self.contact.account.value() {
            tx.peek::<Account>(*account).await?.ok_or(AppError::NotFound { what: "Account", id: (*account).into() })?;
        }
        let words = tx.vocabulary(self.default_region.as_deref()).await?;
        let mut book = Book::<Contact>::load(tx, words, &[&self.contact], &[self.id], true).await?;
        let written = book.change(tx, self.id, self.contact.clone(), call.now(env)).await?;
        Ok(book.close_one(written))
    }
}

/// Merges data into the contact it means, or makes one. Running it again changes nothing.
#[derive(Debug, Clone, Serialize)]
pub struct ContactUpsert {
    /// The contact and its account, as typed.
    pub row: ContactRow,
    /// The country that phone numbers without a country code are dialled from.
    pub default_region: Option<String>,
}

impl Command for ContactUpsert {
    const NAME: &'static str = "contactUpsert";
    type Output = Written<Contact>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Contact>>> {
        let words = tx.vocabulary(self.default_region.as_deref()).await?;
        let mut book = ContactBook::load(tx, words, std::slice::from_ref(&self.row), &[]).await?;
        let written = book.upsert(tx, env, &self.row, call.now(env)).await?;
        Ok(book.close().close_one(written))
    }
}

/// [`ContactUpsert`] for up to [`crate::written::MAX_ROWS`] rows in one transaction. A bad row loses no good one.
#[derive(Debug, Clone, Serialize)]
pub struct ContactUpsertMany {
    /// The contacts, as typed, in their order.
    pub rows: Vec<ContactRow>,
    /// The country that phone numbers without a country code are dialled from.
    pub default_region: Option<String>,
}

impl Command for ContactUpsertMany {
    const NAME: &'static str = "contactUpsertMany";
    type Output = Rows<Contact>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Rows<Contact>>> {
        check_rows(self.rows.len())?;
        let now = call.now(env);
        let words = tx.vocabulary(self.default_region.as_deref()).await?;
        let mut book = ContactBook::load(tx, words, &self.rows, &[]).await?;
        let mut rows = Vec::with_capacity(self.rows.len());
        for given in &self.rows {
            rows.push(row(book.upsert(tx, env, given, now).await)?);
        }
        Ok(book.close().close_with(rows))
    }
}

/// Adds tags to a contact and takes some away.
#[derive(Debug, Clone, Serialize)]
pub struct ContactTag {
    /// The contact.
    pub id: ContactId,
    /// The tags to add, as typed.
    pub add: Vec<String>,
    /// The tags to take away, as typed.
    pub remove: Vec<String>,
}

impl Command for ContactTag {
    const NAME: &'static str = "contactTag";
    type Output = Written<Contact>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Contact>>> {
        let before: Contact =
            tx.get(self.id).await?.ok_or(AppError::NotFound { what: "Contact", id: self.id.into() })?;
        check_tags("add", &self.add)?;
        check_tags("remove", &self.remove)?;
        let decision = contact::tag(&before, &self.add, &self.remove, call.now(env))?;
        Ok(Written::changed(before, decision))
    }
}

/// Records what a person agreed to, or took back.
#[derive(Debug, Clone, Serialize)]
pub struct ContactSetConsent {
    /// The contact.
    pub id: ContactId,
    /// The statement.
    pub consent: ConsentGiven,
}

impl Command for ContactSetConsent {
    const NAME: &'static str = "contactSetConsent";
    type Output = Written<Contact>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Contact>>> {
        let before: Contact =
            tx.get(self.id).await?.ok_or(AppError::NotFound { what: "Contact", id: self.id.into() })?;
        let decision = contact::set_consent(&before, self.consent.clone(), call.now(env))?;
        Ok(Written::changed(before, decision))
    }
}
