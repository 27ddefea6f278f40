//! Reads of accounts and contacts.

use super::types::{AccountNode, ConsentState, ContactNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{local, local_opt};
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::AppError;
use tandem_domain::id::{AccountId, ContactId};
use tandem_domain::normalise;
use tandem_store::account::{AccountFilter, ContactFilter};

/// Which accounts to read. Every condition given must hold.
#[derive(InputObject, Default)]
pub struct AccountFilterInput {
    /// With this tier: its code.
    tier: Option<String>,
    /// With this industry: its code.
    industry: Option<String>,
    /// With this territory: its code.
    territory: Option<String>,
    /// With this country.
    country: Option<String>,
    /// With this tag.
    tag: Option<String>,
    /// With this domain, as a domain or URL.
    domain: Option<String>,
    /// Whose name begins with this; case, accents and punctuation do not count.
    name_prefix: Option<String>,
}

/// Which contacts to read. Every condition given must hold.
#[derive(InputObject, Default)]
pub struct ContactFilterInput {
    /// Of this account.
    account_id: Option<ID>,
    /// With this e-mail address.
    email: Option<String>,
    /// With this consent.
    consent: Option<ConsentState>,
    /// With this tag.
    tag: Option<String>,
    /// Whose name begins with this; case, accents and punctuation do not count.
    name_prefix: Option<String>,
}

fn read(
    given: Option<String>,
    normalise: impl Fn(&str) -> Result<String, normalise::Refusal>,
) -> Result<Option<String>, AppError> {
    Ok(given.map(|text| normalise(&text)).transpose()?)
}

/// Reads of accounts and contacts.
#[derive(Default)]
pub struct AccountQuery;

#[Object]
impl AccountQuery {
    /// The account with this id; null where there is none.
    async fn account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account's global id.")] id: ID,
    ) -> Option<Result<AccountNode, ApiError>> {
        let id: AccountId = local(&id, "id").ok()?;
        let account = ctx.load(id).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }

    /// Accounts, in the order they were added.
    async fn accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which accounts; all where it is left out.")] filter: Option<AccountFilterInput>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, AccountNode>, ApiError> {
        let given = filter.unwrap_or_default();
        let filter = AccountFilter {
            tier: given.tier,
            industry: given.industry,
            territory: given.territory,
            country: read(given.country, normalise::country)?,
            tag: read(given.tag, normalise::tag)?,
            domain: read(given.domain, normalise::domain)?,
            name_prefix: given.name_prefix,
        };
        let accounts = ctx.app().store.account_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(accounts, |account| account.id, AccountNode))
    }

    /// The contact with this id; null where there is none.
    async fn contact(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The contact's global id.")] id: ID,
    ) -> Option<Result<ContactNode, ApiError>> {
        let id: ContactId = local(&id, "id").ok()?;
        let contact = ctx.load(id).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }

    /// Contacts, in the order they were added.
    async fn contacts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which contacts; all where it is left out.")] filter: Option<ContactFilterInput>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ContactNode>, ApiError> {
        let given = filter.unwrap_or_default();
        let filter = ContactFilter {
            account: local_opt(given.account_id.as_ref(), "accountId")?,
            email: read(given.email, normalise::email)?,
            consent: given.consent.map(Into::into),
            tag: read(given.tag, normalise::tag)?,
            name_prefix: given.name_prefix,
        };
        let contacts = ctx.app().store.contact_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(contacts, |contact| contact.id, ContactNode))
    }
}
