//! Reads of opportunities, handoffs, pools, calendars and the routing table.

use super::definition_types::{PoolNode, RoutingTableNode, WorkingCalendarNode};
use super::types::{HandoffNode, HandoffState, OpportunityNode, OpportunityState};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local_opt;
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_domain::handoff;
use tandem_store::dispatch;

/// Which opportunities to read; every condition given must hold.
#[derive(InputObject, Default)]
pub struct OpportunityFilterInput {
    /// In one of these states; none means any.
    #[graphql(default)]
    states: Vec<OpportunityState>,
    /// From this lead.
    lead_id: Option<ID>,
    /// Of this company.
    account_id: Option<ID>,
    /// Taken last by this person in sales.
    sales_id: Option<ID>,
}

/// Which handoffs to read; every condition given must hold.
#[derive(InputObject, Default)]
pub struct HandoffFilterInput {
    /// In one of these states; none means any.
    #[graphql(default)]
    states: Vec<HandoffState>,
    /// Of this opportunity.
    opportunity_id: Option<ID>,
    /// From this lead.
    lead_id: Option<ID>,
    /// Of this company.
    account_id: Option<ID>,
    /// In this pool.
    pool_id: Option<ID>,
    /// Offered to, accepted or worked on by this person.
    holder_id: Option<ID>,
}

/// Reads of dispatch and return.
#[derive(Default)]
pub struct DispatchQuery;

#[Object]
impl DispatchQuery {
    /// Opportunities, in the order they were dispatched.
    async fn opportunities(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which opportunities to read.")] filter: OpportunityFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, OpportunityNode>, ApiError> {
        let filter = dispatch::OpportunityFilter {
            states: filter.states.into_iter().map(Into::into).collect(),
            lead: local_opt(filter.lead_id.as_ref(), "filter.leadId")?,
            account: local_opt(filter.account_id.as_ref(), "filter.accountId")?,
            sales: local_opt(filter.sales_id.as_ref(), "filter.salesId")?,
        };
        let found = ctx.app().store.opportunity_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(found, |opportunity| opportunity.id, OpportunityNode))
    }

    /// Handoffs, in the order they began.
    async fn handoffs(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which handoffs to read.")] filter: HandoffFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, HandoffNode>, ApiError> {
        let filter = dispatch::HandoffFilter {
            states: filter.states.into_iter().map(Into::into).collect(),
            opportunity: local_opt(filter.opportunity_id.as_ref(), "filter.opportunityId")?,
            lead: local_opt(filter.lead_id.as_ref(), "filter.leadId")?,
            account: local_opt(filter.account_id.as_ref(), "filter.accountId")?,
            pool: local_opt(filter.pool_id.as_ref(), "filter.poolId")?,
            holder: local_opt(filter.holder_id.as_ref(), "filter.holderId")?,
        };
        let found = ctx.app().store.handoff_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(found, |handoff| handoff.id, HandoffNode))
    }

    /// The offers that wait for an answer of whoever asks, escalated ones included.
    async fn my_offers(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, HandoffNode>, ApiError> {
        let filter = dispatch::HandoffFilter {
            states: vec![handoff::HandoffState::Offered, handoff::HandoffState::Escalated],
            holder: Some(ctx.actor().person()?),
            ..Default::default()
        };
        let found = ctx.app().store.handoff_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(found, |handoff| handoff.id, HandoffNode))
    }

    /// Pools, in the order they were made.
    async fn pools(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, PoolNode>, ApiError> {
        let found = ctx.app().store.pool_page(&page(first, after, last, before)?).await?;
        Ok(connection(found, |pool| pool.id, PoolNode))
    }

    /// The pool with this key.
    async fn pool(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its key.")] key: String,
    ) -> Option<Result<PoolNode, ApiError>> {
        let pool = ctx.app().store.pool_by_key(&key).await.map_err(ApiError::from).transpose()?;
        Some(pool.map(PoolNode))
    }

    /// Working calendars, in the order they were made.
    async fn working_calendars(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, WorkingCalendarNode>, ApiError> {
        let found = ctx.app().store.calendar_page(&page(first, after, last, before)?).await?;
        Ok(connection(found, |calendar| calendar.id, WorkingCalendarNode))
    }

    /// The working calendar with this key.
    async fn working_calendar(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its key.")] key: String,
    ) -> Option<Result<WorkingCalendarNode, ApiError>> {
        let calendar = ctx.app().store.calendar_by_key(&key).await.map_err(ApiError::from).transpose()?;
        Some(calendar.map(WorkingCalendarNode))
    }

    /// The routing table, once sales ops has saved one.
    async fn routing_table(&self, ctx: &Context<'_>) -> Option<Result<RoutingTableNode, ApiError>> {
        let table = ctx.app().store.routing_table().await.map_err(ApiError::from).transpose()?;
        Some(table.map(RoutingTableNode))
    }
}
