//! Reads of outbound webhooks: for those who define them.

use super::types::{OutboundDeliveryNode, OutboundDeliveryState, OutboundWebhookNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::connection::Connection;
use async_graphql::{Context, Object};
use tandem_domain::id::OutboundWebhookId;
use tandem_domain::outbound::{EVENT_TYPES, OutboundDelivery};
use tandem_store::outbound::OutboundDeliveryFilter;
use tandem_store::{Page, PageOf};
use uuid::Uuid;

/// A page of deliveries, for those who may see them.
pub(super) async fn delivery_page(
    ctx: &Context<'_>,
    webhook: Option<OutboundWebhookId>,
    states: Vec<OutboundDeliveryState>,
    page: &Page<Uuid>,
) -> Result<PageOf<OutboundDelivery>, ApiError> {
    ctx.actor().may_operate()?;
    let filter = OutboundDeliveryFilter { states: states.into_iter().map(Into::into).collect(), webhook };
    Ok(ctx.app().store.outbound_delivery_page(&filter, page).await?)
}

/// Reads of outbound webhooks.
#[derive(Default)]
pub struct OutboundQuery;

#[Object]
impl OutboundQuery {
    /// The outbound webhooks, in the order they were made. SALES_OPS and ADMIN only.
    async fn outbound_webhooks(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, OutboundWebhookNode>, ApiError> {
        ctx.actor().may_operate()?;
        let page = page(first, after, last, before)?;
        let found = ctx.app().store.outbound_webhook_page(&page).await?;
        Ok(connection(found, |webhook| webhook.id, OutboundWebhookNode))
    }

    /// The outbound webhook with this key; null where there is none. SALES_OPS and ADMIN only.
    async fn outbound_webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is known by among webhooks.")] key: String,
    ) -> Option<Result<OutboundWebhookNode, ApiError>> {
        let find = async {
            ctx.actor().may_operate()?;
            Ok::<_, ApiError>(ctx.app().store.outbound_webhook_by_key(&key).await?)
        };
        Some(find.await.transpose()?.map(OutboundWebhookNode))
    }

    /// What was and is on its way to outbound webhooks, in the order of the events. SALES_OPS and ADMIN only.
    async fn outbound_deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<OutboundDeliveryState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, OutboundDeliveryNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let found = delivery_page(ctx, None, states, &page).await?;
        Ok(connection(found, |delivery| delivery.id, OutboundDeliveryNode))
    }

    /// Every type of event that outbound webhooks can be told of.
    async fn outbound_event_types(&self) -> &'static [&'static str] {
        EVENT_TYPES
    }
}
