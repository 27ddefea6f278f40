//! Changes of users, teams and tokens.

use super::types::{AccessTokenNode, Role, Scope, Side, TeamNode, UserNode};
use crate::context::ContextExt;
use crate::error::{ApiError, named};
use crate::ids::{local, local_opt};
use crate::payload::payload;
use crate::scalars::EmailAddress;
use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use tandem_app::{AccessTokenIssue, AccessTokenRevoke, AppError, TeamCreate, UserChange, UserCreate};

/// A user to add.
#[derive(InputObject)]
pub struct UserCreateInput {
    /// The e-mail address, unique among users.
    email: EmailAddress,
    /// The name to show.
    name: String,
    /// At least one.
    roles: Vec<Role>,
    /// The side whose key the user holds; marketing and sales roles need theirs.
    side: Option<Side>,
    /// The team.
    team_id: Option<ID>,
    /// The IANA name of the user's time zone.
    #[graphql(default = "UTC")]
    time_zone: String,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A change of a user; what is absent stays.
#[derive(InputObject)]
pub struct UserChangeInput {
    /// The user.
    user_id: ID,
    /// The new name.
    name: Option<String>,
    /// The new roles.
    roles: Option<Vec<Role>>,
    /// Whether the user may act.
    active: Option<bool>,
    /// The IANA name of the new time zone.
    time_zone: Option<String>,
}

/// A team to add.
#[derive(InputObject)]
pub struct TeamCreateInput {
    /// Its name, unique among teams.
    name: String,
    /// Its side.
    side: Side,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A token to issue.
#[derive(InputObject)]
pub struct AccessTokenIssueInput {
    /// Whose it is.
    user_id: ID,
    /// What it is for.
    name: String,
    /// One of the user's roles.
    role: Role,
    /// What it is limited to; empty means no limit.
    #[graphql(default)]
    scopes: Vec<Scope>,
    /// When it ends by itself.
    expires_at: Option<DateTime<Utc>>,
    /// Repeats of the same key and input within 24 hours give the same payload, without the secret.
    idempotency_key: Option<String>,
}

/// A token to revoke.
#[derive(InputObject)]
pub struct AccessTokenRevokeInput {
    /// The token.
    token_id: ID,
}

payload! {
    /// What `userCreate` did.
    UserCreatePayload {
        /// The user that was added.
        user: UserNode,
    }
    /// What `userChange` did.
    UserChangePayload {
        /// The user after the change.
        user: UserNode,
    }
    /// What `teamCreate` did.
    TeamCreatePayload {
        /// The team that was added.
        team: TeamNode,
    }
    /// What `accessTokenRevoke` did.
    AccessTokenRevokePayload {
        /// The token after its revocation.
        token: AccessTokenNode,
    }
    /// What `accessTokenIssue` did.
    AccessTokenIssuePayload {
        /// The token that was issued.
        token: AccessTokenNode,
        /// The secret to send as `Authorization: Bearer`. It is shown this once; empty when a request is repeated.
        secret: String,
    }
}

fn zone(name: &str) -> Result<chrono_tz::Tz, AppError> {
    let unknown = || format!("`{name}` is not in the IANA time zone database; an example is Europe/Berlin");
    name.parse().map_err(|_| AppError::refused("TIME_ZONE_UNKNOWN", unknown(), Some("timeZone")))
}

/// Changes of users, teams and tokens.
#[derive(Default)]
pub struct AccessMutation;

#[Object]
impl AccessMutation {
    /// Adds a user.
    async fn user_create(&self, ctx: &Context<'_>, input: UserCreateInput) -> Result<UserCreatePayload, ApiError> {
        let done = async {
            let command = UserCreate {
                email: input.email.0,
                name: input.name,
                roles: input.roles.into_iter().map(Into::into).collect(),
                side: input.side.map(Into::into),
                team: local_opt(input.team_id.as_ref(), "teamId")?,
                time_zone: zone(&input.time_zone)?,
            };
            ctx.run(input.idempotency_key, command).await
        };
        UserCreatePayload::of(done.await.map(UserNode))
    }

    /// Changes a user.
    async fn user_change(&self, ctx: &Context<'_>, input: UserChangeInput) -> Result<UserChangePayload, ApiError> {
        let done = async {
            let command = UserChange {
                user: local(&input.user_id, "userId")?,
                name: input.name,
                roles: input.roles.map(|roles| roles.into_iter().map(Into::into).collect()),
                active: input.active,
                time_zone: input.time_zone.as_deref().map(zone).transpose()?,
            };
            ctx.run(None, command).await
        };
        // The side stays what it is; it is the roles that do not go with it.
        let done = done.await.map_err(|error| named(error, &[("side", "roles")]));
        UserChangePayload::of(done.map(UserNode))
    }

    /// Adds a team.
    async fn team_create(&self, ctx: &Context<'_>, input: TeamCreateInput) -> Result<TeamCreatePayload, ApiError> {
        let command = TeamCreate { name: input.name, side: input.side.into() };
        let done = ctx.run(input.idempotency_key, command).await;
        TeamCreatePayload::of(done.map(TeamNode))
    }

    /// Issues an access token; the secret is in the payload, this once.
    async fn access_token_issue(
        &self,
        ctx: &Context<'_>,
        input: AccessTokenIssueInput,
    ) -> Result<AccessTokenIssuePayload, ApiError> {
        let done = async {
            let mut command = AccessTokenIssue::new(local(&input.user_id, "userId")?, input.name, input.role.into());
            command.scopes = input.scopes.into_iter().map(Into::into).collect();
            command.expires_at = input.expires_at;
            ctx.app().issue_token(&ctx.call(input.idempotency_key)?, command).await
        };
        let done = done.await.map(|issued| (AccessTokenNode(issued.token), issued.secret.unwrap_or_default()));
        AccessTokenIssuePayload::of(done)
    }

    /// Revokes an access token at once.
    async fn access_token_revoke(
        &self,
        ctx: &Context<'_>,
        input: AccessTokenRevokeInput,
    ) -> Result<AccessTokenRevokePayload, ApiError> {
        let done = async {
            let token = local(&input.token_id, "tokenId")?;
            ctx.run(None, AccessTokenRevoke { token }).await
        };
        AccessTokenRevokePayload::of(done.await.map(AccessTokenNode))
    }
}
