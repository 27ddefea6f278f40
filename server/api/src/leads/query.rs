//! Reads of leads.

use super::types::{LeadNode, LeadOwnerKind, LeadStage};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local_opt;
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::AppError;
use tandem_domain::lead::normalise_source;
use tandem_store::lead::LeadFilter;

/// Which leads to read; every condition given must hold.
#[derive(InputObject, Default)]
pub struct LeadFilterInput {
    /// In one of these stages.
    stages: Option<Vec<LeadStage>>,
    /// From this source.
    source: Option<String>,
    /// Owned by this kind of owner.
    owner_kind: Option<LeadOwnerKind>,
    /// Owned by this user.
    owner_id: Option<ID>,
    /// Of this contact.
    contact_id: Option<ID>,
    /// Of this account.
    account_id: Option<ID>,
}

impl LeadFilterInput {
    fn read(self) -> Result<LeadFilter, AppError> {
        Ok(LeadFilter {
            stages: self.stages.unwrap_or_default().into_iter().map(Into::into).collect(),
            source: self.source.as_deref().map(normalise_source).transpose()?,
            owner_kind: self.owner_kind.map(Into::into),
            owner: local_opt(self.owner_id.as_ref(), "ownerId")?,
            contact: local_opt(self.contact_id.as_ref(), "contactId")?,
            account: local_opt(self.account_id.as_ref(), "accountId")?,
        })
    }
}

/// Reads of leads.
#[derive(Default)]
pub struct LeadQuery;

#[Object]
impl LeadQuery {
    /// Leads, in the order in which they came in.
    async fn leads(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only these.")] filter: Option<LeadFilterInput>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, LeadNode>, ApiError> {
        let filter = filter.unwrap_or_default().read()?;
        let leads = ctx.app().store.lead_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(leads, |lead| lead.id, LeadNode))
    }
}
