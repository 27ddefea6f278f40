//! Reads of target-account lists.

use super::types::{
    ChangeRequestNode, ChangeRequestState, ListMembershipNode, ListMembershipState, TargetAccountListNode,
};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local_opt;
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_store::Page;
use tandem_store::target_list::{MembershipFilter, RequestFilter};
use uuid::Uuid;

/// Which memberships to read; every condition given must hold.
#[derive(InputObject, Default)]
pub struct ListMembershipFilterInput {
    /// Of this list.
    list_id: Option<ID>,
    /// Of this account.
    account_id: Option<ID>,
    /// In one of these states; none means any.
    #[graphql(default)]
    states: Vec<ListMembershipState>,
    /// With this tier's code.
    tier: Option<String>,
}

/// Which change requests to read; every condition given must hold.
#[derive(InputObject, Default)]
pub struct ChangeRequestFilterInput {
    /// Of this list.
    list_id: Option<ID>,
    /// About this account.
    account_id: Option<ID>,
    /// In one of these states; none means any.
    #[graphql(default)]
    states: Vec<ChangeRequestState>,
}

pub(super) async fn membership_page(
    ctx: &Context<'_>,
    filter: &MembershipFilter,
    page: Page<Uuid>,
) -> Result<Connection<String, ListMembershipNode>, ApiError> {
    let members = ctx.app().store.membership_page(filter, &page).await?;
    Ok(connection(members, |member| member.id, ListMembershipNode))
}

pub(super) async fn request_page(
    ctx: &Context<'_>,
    filter: &RequestFilter,
    page: Page<Uuid>,
) -> Result<Connection<String, ChangeRequestNode>, ApiError> {
    let requests = ctx.app().store.change_request_page(filter, &page).await?;
    Ok(connection(requests, |request| request.id, ChangeRequestNode))
}

/// Reads of target-account lists.
#[derive(Default)]
pub struct ListQuery;

#[Object]
impl ListQuery {
    /// The lists, in the order they were made.
    async fn target_account_lists(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, TargetAccountListNode>, ApiError> {
        let lists = ctx.app().store.list_page(&page(first, after, last, before)?).await?;
        Ok(connection(lists, |list| list.id, TargetAccountListNode))
    }

    /// The list with this key.
    async fn target_account_list(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its short name.")] key: String,
    ) -> Option<Result<TargetAccountListNode, ApiError>> {
        let list = ctx.app().store.list_by_key(&key).await.map_err(ApiError::from).transpose()?;
        Some(list.map(TargetAccountListNode))
    }

    /// Memberships of all lists, in the order they were proposed.
    async fn list_memberships(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which memberships to read.")] filter: ListMembershipFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ListMembershipNode>, ApiError> {
        let filter = MembershipFilter {
            list: local_opt(filter.list_id.as_ref(), "listId")?,
            account: local_opt(filter.account_id.as_ref(), "accountId")?,
            states: filter.states.into_iter().map(Into::into).collect(),
            tier: filter.tier,
        };
        membership_page(ctx, &filter, page(first, after, last, before)?).await
    }

    /// Change requests of all lists, in the order they were proposed.
    async fn change_requests(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which change requests to read.")] filter: ChangeRequestFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ChangeRequestNode>, ApiError> {
        let filter = RequestFilter {
            list: local_opt(filter.list_id.as_ref(), "listId")?,
            account: local_opt(filter.account_id.as_ref(), "accountId")?,
            states: filter.states.into_iter().map(Into::into).collect(),
        };
        request_page(ctx, &filter, page(first, after, last, before)?).await
    }
}
