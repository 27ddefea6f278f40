//! Changes of accounts.

use super::input::AccountFieldsInput;
use super::types::{AccountNode, AccountRowResult, WriteOutcome};
use crate::context::ContextExt;
use crate::error::{ApiError, UserError, named};
use crate::ids::{global, local};
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::{AccountChange, AccountCreate, AccountTag, AccountUpsert, AccountUpsertMany, RowResult};
use tandem_domain::id::AccountId;

/// An account to make.
#[derive(InputObject)]
pub struct AccountCreateInput {
    /// The account's fields.
    #[graphql(flatten)]
    fields: AccountFieldsInput,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A change of an account. What is left out stays; null clears; lists are replaced.
#[derive(InputObject)]
pub struct AccountChangeInput {
    /// The account.
    account_id: ID,
    /// The fields that change.
    #[graphql(flatten)]
    fields: AccountFieldsInput,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Data to merge into the account it means, or to make one of. Domains and tags are added.
#[derive(InputObject)]
pub struct AccountUpsertInput {
    /// The account's fields.
    #[graphql(flatten)]
    fields: AccountFieldsInput,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Up to 500 accounts to upsert. A bad row loses no good one.
#[derive(InputObject)]
pub struct AccountUpsertManyInput {
    /// The accounts, in their order.
    rows: Vec<AccountFieldsInput>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Tags to add to an account and to take away.
#[derive(InputObject)]
pub struct AccountTagInput {
    /// The account.
    account_id: ID,
    /// The tags to add.
    #[graphql(default)]
    add: Vec<String>,
    /// The tags to take away.
    #[graphql(default)]
    remove: Vec<String>,
}

payload! {
    /// What `accountCreate` did.
    AccountCreatePayload {
        /// The account that was made.
        account: AccountNode,
    }
    /// What `accountChange` did.
    AccountChangePayload {
        /// The account as it is now.
        account: AccountNode,
    }
    /// What `accountUpsert` did.
    AccountUpsertPayload {
        /// The account as it is now.
        account: AccountNode,
        /// Whether it was made, changed or left as it was.
        outcome: WriteOutcome,
    }
    /// What `accountUpsertMany` did.
    AccountUpsertManyPayload {
        /// One result for each row, in their order.
        rows: Vec<AccountRowResult>,
    }
    /// What `accountTag` did.
    AccountTagPayload {
        /// The account as it is now.
        account: AccountNode,
    }
}

fn result(row: RowResult) -> AccountRowResult {
    match row {
        RowResult::Written { outcome, id } => AccountRowResult {
            outcome: Some(outcome.into()),
            account_id: Some(global(AccountId::from(id))),
            error: None,
        },
        RowResult::Refused(refusal) => {
            AccountRowResult { outcome: None, account_id: None, error: Some(UserError::of_row(refusal)) }
        }
    }
}

/// Changes of accounts.
#[derive(Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Makes an account; refused with `ACCOUNT_DUPLICATE`, naming the account, where one has the same keys.
    async fn account_create(
        &self,
        ctx: &Context<'_>,
        input: AccountCreateInput,
    ) -> Result<AccountCreatePayload, ApiError> {
        let command = AccountCreate { account: input.fields.into() };
        let done = ctx.run(input.idempotency_key, command).await;
        AccountCreatePayload::of(done.map(|written| AccountNode(written.record)))
    }

    /// Changes an account.
    async fn account_change(
        &self,
        ctx: &Context<'_>,
        input: AccountChangeInput,
    ) -> Result<AccountChangePayload, ApiError> {
        let done = async {
            let command = AccountChange { id: local(&input.account_id, "accountId")?, account: input.fields.into() };
            ctx.run(input.idempotency_key, command).await
        };
        AccountChangePayload::of(done.await.map(|written| AccountNode(written.record)))
    }

    /// Merges data into the account it means, or makes one. Running it again changes nothing.
    async fn account_upsert(
        &self,
        ctx: &Context<'_>,
        input: AccountUpsertInput,
    ) -> Result<AccountUpsertPayload, ApiError> {
        let command = AccountUpsert { account: input.fields.into() };
        let done = ctx.run(input.idempotency_key, command).await;
        AccountUpsertPayload::of(done.map(|written| (AccountNode(written.record), written.outcome.into())))
    }

    /// Upserts up to 500 accounts in one transaction, with a result for each row.
    async fn account_upsert_many(
        &self,
        ctx: &Context<'_>,
        input: AccountUpsertManyInput,
    ) -> Result<AccountUpsertManyPayload, ApiError> {
        let command = AccountUpsertMany { rows: input.rows.into_iter().map(Into::into).collect() };
        let done = ctx.run(input.idempotency_key, command).await;
        AccountUpsertManyPayload::of(done.map(|done| done.rows.into_iter().map(result).collect()))
    }

    /// Adds tags to an account and takes some away.
    async fn account_tag(&self, ctx: &Context<'_>, input: AccountTagInput) -> Result<AccountTagPayload, ApiError> {
        let done = async {
            let id = local(&input.account_id, "accountId")?;
            ctx.run(None, AccountTag { id, add: input.add, remove: input.remove }).await
        };
        let done = done.await.map_err(|error| named(error, &[("tags", "add")]));
        AccountTagPayload::of(done.map(|written| AccountNode(written.record)))
    }
}
