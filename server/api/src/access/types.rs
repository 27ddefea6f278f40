//! Types of users, teams and tokens.

use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::scalars::EmailAddress;
use async_graphql::{Context, Enum, ID, Object};
use chrono::{DateTime, Utc};
use tandem_domain::access;

/// The two sides that own a target-account list together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "access::Side")]
pub enum Side {
    /// Those who win leads and prepare them, with the SDRs where they report there.
    Marketing,
    /// Those who take what was dispatched and sell, with the SDRs where they report there.
    Sales,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "access::Role")]
pub enum Role {
    /// Proposes accounts and reads what became of the leads.
    Marketing,
    /// Verifies leads and dispatches them.
    Sdr,
    /// Takes offers and works opportunities.
    Sales,
    /// Reviews returns and reclaims.
    SalesManager,
    /// Defines sequences, fields, taxonomies, pools and calendars.
    SalesOps,
    /// Manages users and tokens.
    Admin,
    /// A machine that sends data in.
    Integration,
}

/// What a token is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "access::Scope")]
pub enum Scope {
    /// Queries only.
    Read,
    /// Queries and mutations.
    Write,
}

/// A person or machine that works with Tandem.
pub struct UserNode(pub access::User);

/// A person or machine that works with Tandem.
#[Object(name = "User")]
impl UserNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The e-mail address, unique among users.
    async fn email(&self) -> EmailAddress {
        EmailAddress(self.0.email.clone())
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// What the user may do.
    async fn roles(&self) -> Vec<Role> {
        self.0.roles.iter().copied().map(Role::from).collect()
    }
    /// The side whose key the user holds.
    async fn side(&self) -> Option<Side> {
        self.0.side.map(Side::from)
    }
    /// The team.
    async fn team(&self, ctx: &Context<'_>) -> Option<Result<TeamNode, ApiError>> {
        let team = ctx.load(self.0.team?).await.map_err(ApiError::from).transpose()?;
        Some(team.map(TeamNode))
    }
    /// The user's time zone, by its IANA name.
    async fn time_zone(&self) -> &'static str {
        self.0.time_zone.name()
    }
    /// Whether the user may act.
    async fn active(&self) -> bool {
        self.0.active
    }
    /// When the user was added.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// A group of users on one side.
pub struct TeamNode(pub access::Team);

/// A group of users on one side.
#[Object(name = "Team")]
impl TeamNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The name, unique among teams.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// The side it works on.
    async fn side(&self) -> Side {
        self.0.side.into()
    }
}

/// A bearer token. Its secret is shown once, when it is issued.
pub struct AccessTokenNode(pub access::AccessToken);

/// A bearer token. Its secret is shown once, when it is issued.
#[Object(name = "AccessToken")]
impl AccessTokenNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What it is for.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// Whose it is.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.user).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// The role it acts in.
    async fn role(&self) -> Role {
        self.0.role.into()
    }
    /// What it is limited to; empty means no limit.
    async fn scopes(&self) -> Vec<Scope> {
        self.0.scopes.iter().copied().map(Scope::from).collect()
    }
    /// When it ends by itself.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }
    /// When it was revoked.
    async fn revoked_at(&self) -> Option<DateTime<Utc>> {
        self.0.revoked_at
    }
    /// When it was issued.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
