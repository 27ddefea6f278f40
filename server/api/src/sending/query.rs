//! Reads of the contact policy and of mailboxes.

use super::types::{ContactPolicyNode, SendingMailboxNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::connection::Connection;
use async_graphql::{Context, Object};

/// Reads of the contact policy and of mailboxes.
#[derive(Default)]
pub struct SendingQuery;

#[Object]
impl SendingQuery {
    /// How often people may be written to, once sales ops has saved it.
    async fn contact_policy(&self, ctx: &Context<'_>) -> Option<Result<ContactPolicyNode, ApiError>> {
        let policy = ctx.app().store.contact_policy().await.map_err(ApiError::from).transpose()?;
        Some(policy.map(ContactPolicyNode))
    }

    /// Mailboxes that e-mails are sent from, in the order they were made.
    async fn sending_mailboxes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of the pool with this key.")] pool: Option<String>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, SendingMailboxNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let found = ctx.app().store.sending_mailbox_page(pool.as_deref(), &page).await?;
        Ok(connection(found, |mailbox| mailbox.id, SendingMailboxNode))
    }
}
