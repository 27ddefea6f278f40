//! Commands on accounts.

use crate::book::{Book, check_tags, row};
use crate::written::{Rows, Written, check_rows};
use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::account::{self, Account, AccountPatch};
use tandem_domain::decision::Decision;
use tandem_domain::id::AccountId;
use tandem_store::Tx;

/// Makes an account; refused with `ACCOUNT_DUPLICATE` where one has the same keys or, with nothing better, the name.
#[derive(Debug, Clone, Serialize)]
pub struct AccountCreate {
    /// The account, as typed.
    pub account: AccountPatch,
}

impl Command for AccountCreate {
    const NAME: &'static str = "accountCreate";
    type Output = Written<Account>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Account>>> {
        let words = tx.vocabulary(None).await?;
        let mut book = Book::load(tx, words, &[&self.account], &[], true).await?;
        let written = book.create(tx, env, self.account.clone(), call.now(env)).await?;
        Ok(book.close_one(written))
    }
}

/// Changes an account: what is given replaces what is there.
#[derive(Debug, Clone, Serialize)]
pub struct AccountChange {
    /// The account.
    pub id: AccountId,
    /// What changes, as typed.
    pub account: AccountPatch,
}

impl Command for AccountChange {
    const NAME: &'static str = "accountChange";
    type Output = Written<Account>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Account>>> {
        let words = tx.vocabulary(None).await?;
        let mut book = Book::load(tx, words, &[&self.account], &[self.id], true).await?;
        let written = book.change(tx, self.id, self.account.clone(), call.now(env)).await?;
        Ok(book.close_one(written))
    }
}

/// Merges data into the account it means, or makes one. Running it again changes nothing.
#[derive(Debug, Clone, Serialize)]
pub struct AccountUpsert {
    /// The account, as typed.
    pub account: AccountPatch,
}

impl Command for AccountUpsert {
    const NAME: &'static str = "accountUpsert";
    type Output = Written<Account>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Account>>> {
        let words = tx.vocabulary(None).await?;
        let mut book = Book::load(tx, words, &[&self.account], &[], true).await?;
        let written = book.upsert(tx, env, self.account.clone(), call.now(env)).await?;
        Ok(book.close_one(written))
    }
}

/// [`AccountUpsert`] for up to [`crate::written::MAX_ROWS`] rows in one transaction. A bad row loses no good one.
#[derive(Debug, Clone, Serialize)]
pub struct AccountUpsertMany {
    /// The accounts, as typed, in their order.
    pub rows: Vec<AccountPatch>,
}

impl Command for AccountUpsertMany {
    const NAME: &'static str = "accountUpsertMany";
    type Output = Rows<Account>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Rows<Account>>> {
        check_rows(self.rows.len())?;
        let (now, words) = (call.now(env), tx.vocabulary(None).await?);
        let patches: Vec<&AccountPatch> = self.rows.iter().collect();
        let mut book = Book::<Account>::load(tx, words, &patches, &[], true).await?;
        let mut rows = Vec::with_capacity(self.rows.len());
        for patch in &self.rows {
            rows.push(row(book.upsert(tx, env, patch.clone(), now).await)?);
        }
        Ok(book.close_with(rows))
    }
}

/// Adds tags to an account and takes some away.
#[derive(Debug, Clone, Serialize)]
pub struct AccountTag {
    /// The account.
    pub id: AccountId,
    /// The tags to add, as typed.
    pub add: Vec<String>,
    /// The tags to take away, as typed.
    pub remove: Vec<String>,
}

impl Command for AccountTag {
    const NAME: &'static str = "accountTag";
    type Output = Written<Account>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Account>>> {
        let before: Account =
            tx.get(self.id).await?.ok_or(AppError::NotFound { what: "Account", id: self.id.into() })?;
        check_tags("add", &self.add)?;
        check_tags("remove", &self.remove)?;
        let decision = account::tag(&before, &self.add, &self.remove, call.now(env))?;
        Ok(Written::changed(before, decision))
    }
}
