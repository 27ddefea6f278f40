//! Reads of channels and calls.

use super::types::{OutboundCallNode, OutboundCallState, OutboundChannelNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::connection::Connection;
use async_graphql::{Context, Object};
use tandem_domain::outbound::OutboundCall;
use tandem_store::reach::OutboundCallFilter;
use tandem_store::{Page, PageOf};
use uuid::Uuid;

/// A page of the calls that a filter means, in some states.
pub(crate) async fn call_page(
    ctx: &Context<'_>,
    filter: OutboundCallFilter,
    states: Vec<OutboundCallState>,
    page: &Page<Uuid>,
) -> Result<PageOf<OutboundCall>, ApiError> {
    let filter = OutboundCallFilter { states: states.into_iter().map(Into::into).collect(), ..filter };
    Ok(ctx.app().store.outbound_call_page(&filter, page).await?)
}

/// Reads of channels and calls.
#[derive(Default)]
pub struct ChannelQuery;

#[Object]
impl ChannelQuery {
    /// The channels that steps of sequences send to, in the order they were made. SALES_OPS and ADMIN only.
    async fn outbound_channels(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, OutboundChannelNode>, ApiError> {
        ctx.actor().may_operate()?;
        let page = page(first, after, last, before)?;
        let found = ctx.app().store.outbound_channel_page(&page).await?;
        Ok(connection(found, |channel| channel.id, OutboundChannelNode))
    }

    /// The channel with this key; null where there is none. SALES_OPS and ADMIN only.
    async fn outbound_channel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What steps name it by.")] key: String,
    ) -> Option<Result<OutboundChannelNode, ApiError>> {
        let find = async {
            ctx.actor().may_operate()?;
            Ok::<_, ApiError>(ctx.app().store.outbound_channel_by_key(&key).await?)
        };
        Some(find.await.transpose()?.map(OutboundChannelNode))
    }

    /// The calls that steps made and make, in the order they were planned. SALES_OPS and ADMIN only.
    async fn outbound_calls(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<OutboundCallState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, OutboundCallNode>, ApiError> {
        ctx.actor().may_operate()?;
        let page = page(first, after, last, before)?;
        let found = call_page(ctx, OutboundCallFilter::default(), states, &page).await?;
        Ok(connection(found, |call| call.id, OutboundCallNode))
    }
}
