//! Reads of inbound webhooks: for those who define them.

use super::types::{InboundDeliveryNode, InboundDeliveryState, InboundWebhookNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::connection::Connection;
use async_graphql::{Context, Object};
use tandem_domain::id::InboundWebhookId;
use tandem_domain::inbound::InboundDelivery;
use tandem_store::inbound::InboundDeliveryFilter;
use tandem_store::{Page, PageOf};
use uuid::Uuid;

/// A page of deliveries, for those who may see them.
pub(super) async fn delivery_page(
    ctx: &Context<'_>,
    webhook: Option<InboundWebhookId>,
    states: Vec<InboundDeliveryState>,
    page: &Page<Uuid>,
) -> Result<PageOf<InboundDelivery>, ApiError> {
    ctx.actor().may_operate()?;
    let filter = InboundDeliveryFilter { states: states.into_iter().map(Into::into).collect(), webhook };
    Ok(ctx.app().store.inbound_delivery_page(&filter, page).await?)
}

/// Reads of inbound webhooks.
#[derive(Default)]
pub struct InboundQuery;

#[Object]
impl InboundQuery {
    /// The inbound webhooks, in the order they were made. SALES_OPS and ADMIN only.
    async fn inbound_webhooks(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, InboundWebhookNode>, ApiError> {
        ctx.actor().may_operate()?;
        let page = page(first, after, last, before)?;
        let found = ctx.app().store.inbound_webhook_page(&page).await?;
        Ok(connection(found, |webhook| webhook.id, InboundWebhookNode))
    }

    /// The inbound webhook with this key; null where there is none. SALES_OPS and ADMIN only.
    async fn inbound_webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The last part of its address.")] key: String,
    ) -> Option<Result<InboundWebhookNode, ApiError>> {
        let find = async {
            ctx.actor().may_operate()?;
            Ok::<_, ApiError>(ctx.app().store.inbound_webhook_by_key(&key).await?)
        };
        Some(find.await.transpose()?.map(InboundWebhookNode))
    }

    /// What arrived at inbound webhooks, in the order of arrival. SALES_OPS and ADMIN only.
    async fn inbound_deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<InboundDeliveryState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, InboundDeliveryNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let found = delivery_page(ctx, None, states, &page).await?;
        Ok(connection(found, |delivery| delivery.id, InboundDeliveryNode))
    }
}
