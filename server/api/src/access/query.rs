//! Reads of users, teams and tokens.

use super::types::{AccessTokenNode, TeamNode, UserNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local_opt;
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object};

/// Reads of users, teams and tokens.
#[derive(Default)]
pub struct AccessQuery;

#[Object]
impl AccessQuery {
    /// Who the token of this request stands for; null for Tandem itself.
    async fn viewer(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(ctx.actor().user?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }

    /// Users, in the order they were added.
    async fn users(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, UserNode>, ApiError> {
        let users = ctx.app().store.user_page(&page(first, after, last, before)?).await?;
        Ok(connection(users, |user| user.id, UserNode))
    }

    /// Teams, in the order they were added.
    async fn teams(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, TeamNode>, ApiError> {
        let teams = ctx.app().store.team_page(&page(first, after, last, before)?).await?;
        Ok(connection(teams, |team| team.id, TeamNode))
    }

    /// Access tokens, of one user or of all. Administrators only.
    async fn access_tokens(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this user's.")] user_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, AccessTokenNode>, ApiError> {
        ctx.actor().may_administer()?;
        let user = local_opt(user_id.as_ref(), "userId")?;
        let tokens = ctx.app().store.token_page(user, &page(first, after, last, before)?).await?;
        Ok(connection(tokens, |token| token.id, AccessTokenNode))
    }
}
