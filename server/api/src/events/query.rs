//! Reads of senders of events: for those who define them.

use super::types::{EventSourceNode, IngestedEventNode, IngestedEventState};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::connection::Connection;
use async_graphql::{Context, Object};
use tandem_domain::id::EventSourceId;
use tandem_domain::ingest::IngestedEvent;
use tandem_store::ingest::IngestedEventFilter;
use tandem_store::{Page, PageOf};
use uuid::Uuid;

/// A page of events, for those who may see them.
pub(super) async fn event_page(
    ctx: &Context<'_>,
    source: Option<EventSourceId>,
    states: Vec<IngestedEventState>,
    page: &Page<Uuid>,
) -> Result<PageOf<IngestedEvent>, ApiError> {
    ctx.actor().may_operate()?;
    let filter = IngestedEventFilter { source, states: states.into_iter().map(Into::into).collect() };
    Ok(ctx.app().store.ingested_event_page(&filter, page).await?)
}

/// Reads of senders of events.
#[derive(Default)]
pub struct EventQuery;

#[Object]
impl EventQuery {
    /// The senders of events, in the order they were made. SALES_OPS and ADMIN only.
    async fn event_sources(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, EventSourceNode>, ApiError> {
        ctx.actor().may_operate()?;
        let page = page(first, after, last, before)?;
        let found = ctx.app().store.event_source_page(&page).await?;
        Ok(connection(found, |source| source.id, EventSourceNode))
    }

    /// The sender of events with this key; null where there is none. SALES_OPS and ADMIN only.
    async fn event_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is known by among sources.")] key: String,
    ) -> Option<Result<EventSourceNode, ApiError>> {
        let find = async {
            ctx.actor().may_operate()?;
            Ok::<_, ApiError>(ctx.app().store.event_source_by_key(&key).await?)
        };
        Some(find.await.transpose()?.map(EventSourceNode))
    }

    /// What came from senders of events, in the order of arrival. SALES_OPS and ADMIN only.
    async fn ingested_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<IngestedEventState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, IngestedEventNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let found = event_page(ctx, None, states, &page).await?;
        Ok(connection(found, |event| event.id, IngestedEventNode))
    }
}
