//! Who works here: users, teams, sides, roles and access tokens.

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::{TeamId, TokenId, UserId};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

codes! {
    /// The two sides that own a target-account list together.
    pub enum Side("side") {
        /// Marketing, with its SDRs where they report there.
        Marketing = "MARKETING",
        /// Sales.
        Sales = "SALES",
    }
}

codes! {
    /// What a person may do; the rules are in one place, the application's `actor` module.
    pub enum Role("role") {
        /// Proposes accounts and reads what became of the leads.
        Marketing = "MARKETING",
        /// Verifies leads and dispatches them.
        Sdr = "SDR",
        /// Takes offers and works opportunities.
        Sales = "SALES",
        /// Reviews returns and reclaims.
        SalesManager = "SALES_MANAGER",
        /// Defines sequences, fields, taxonomies, pools and calendars.
        SalesOps = "SALES_OPS",
        /// Manages users and tokens, and may do everything else.
        Admin = "ADMIN",
        /// A machine that sends data in.
        Integration = "INTEGRATION",
    }
}

codes! {
    /// What a token may be used for: a token without scopes may do all that its role may.
    pub enum Scope("scope") {
        /// Queries only.
        Read = "READ",
        /// Queries and mutations.
        Write = "WRITE",
    }
}

/// A person (or machine) who works with Tandem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The normalised e-mail address; unique.
    pub email: String,
    /// The name to show.
    pub name: String,
    /// What the person may do.
    pub roles: BTreeSet<Role>,
    /// The side whose key the person holds; none for administrators and machines.
    pub side: Option<Side>,
    /// The team, where there is one.
    pub team: Option<TeamId>,
    /// The person's time zone.
    pub time_zone: Tz,
    /// Whether the person may still act.
    pub active: bool,
    /// When the record was made.
    pub created_at: DateTime<Utc>,
}

/// A group of users on one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its name; unique.
    pub name: String,
    /// The side it works on.
    pub side: Side,
}

/// A bearer token. Only the SHA-256 of the secret is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessToken {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserId,
    /// What it is for, in the words of whoever made it.
    pub name: String,
    /// Lower-case hexadecimal SHA-256 of the secret.
    pub hash: String,
    /// The role it acts in: one of the user's.
    pub role: Role,
    /// What it is limited to; empty means no limit.
    pub scopes: BTreeSet<Scope>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Why a token or a change to the people is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token ended by itself.
    #[error("the token expired at {at}; ask an administrator for a new one")]
    TokenExpired {
        /// When.
        at: DateTime<Utc>,
    },
    /// The token was revoked.
    #[error("the token was revoked; ask an administrator for a new one")]
    TokenRevoked,
    /// The user was deactivated.
    #[error("the user is not active")]
    UserInactive,
    /// A token may only carry a role its user has.
    #[error("the user does not have the role {role}; give it to the user first")]
    RoleNotHeld {
        /// The role asked for.
        role: Role,
    },
    /// A role that works on one side needs that side.
    #[error("the role {role} works on the side {expected}; the user's side must be that")]
    SideMismatch {
        /// The role.
        role: Role,
        /// The side it works on.
        expected: Side,
    },
    /// A user without a role could do nothing.
    #[error("a user needs at least one role")]
    NoRole,
    /// Nobody could tell it from others, or show it.
    #[error("a name has 1 to {MAX_NAME} characters, none of them a control character")]
    BadName,
    /// An end in the past makes a token that never worked.
    #[error("the token would end at {at}, which has passed")]
    ExpiryPassed {
        /// The end asked for.
        at: DateTime<Utc>,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TokenExpired { .. } => "TOKEN_EXPIRED",
            Self::TokenRevoked => "TOKEN_REVOKED",
            Self::UserInactive => "USER_INACTIVE",
            Self::RoleNotHeld { .. } => "ROLE_NOT_HELD",
            Self::SideMismatch { .. } => "SIDE_MISMATCH",
            Self::NoRole => "USER_WITHOUT_ROLE",
            Self::BadName => "NAME_INVALID",
            Self::ExpiryPassed { .. } => "TOKEN_EXPIRY_PASSED",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::RoleNotHeld { .. } => Some("role"),
            Self::SideMismatch { .. } => Some("side"),
            Self::NoRole => Some("roles"),
            Self::BadName => Some("name"),
            Self::ExpiryPassed { .. } => Some("expiresAt"),
            _ => None,
        }
    }
}

impl Role {
    /// The side a role works on; none where it may work on either or neither.
    pub const fn side(self) -> Option<Side> {
        match self {
            Self::Marketing => Some(Side::Marketing),
            Self::Sales | Self::SalesManager => Some(Side::Sales),
            Self::Sdr | Self::SalesOps | Self::Admin | Self::Integration => None,
        }
    }
}

/// The longest name of a user or a team, in characters.
pub const MAX_NAME: usize = 120;

fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Refusal::BadName) }
}

fn check_user(user: &User) -> Result<(), Refusal> {
    check_name(&user.name)?;
    if user.roles.is_empty() {
        return Err(Refusal::NoRole);
    }
    for role in &user.roles {
        if let Some(expected) = role.side().filter(|side| user.side != Some(*side)) {
            return Err(Refusal::SideMismatch { role: *role, expected });
        }
    }
    Ok(())
}

/// Adds a user. Each role must agree with the side.
pub fn add_user(user: User) -> Result<Decision<User>, Refusal> {
    check_user(&user)?;
    let fact = Fact::audit("user.added", user.id).with("roles", &user.roles).with("side", user.side);
    Ok(Decision::new(user, fact))
}

/// Changes a user's name, roles, side, team, zone or activity.
pub fn change_user(before: &User, after: User) -> Result<Decision<User>, Refusal> {
    check_user(&after)?;
    let fact = Fact::audit("user.changed", after.id)
        .with("roles", (&before.roles, &after.roles))
        .with("side", (before.side, after.side))
        .with("active", (before.active, after.active));
    Ok(Decision::new(after, fact))
}

/// Adds a team.
pub fn add_team(team: Team) -> Result<Decision<Team>, Refusal> {
    check_name(&team.name)?;
    let fact = Fact::audit("team.added", team.id).with("name", &team.name).with("side", team.side);
    Ok(Decision::new(team, fact))
}

/// Issues a token to `user`: it may carry only a role that the user has.
pub fn issue_token(user: &User, token: AccessToken) -> Result<Decision<AccessToken>, Refusal> {
    if !user.active {
        return Err(Refusal::UserInactive);
    }
    if !user.roles.contains(&token.role) {
        return Err(Refusal::RoleNotHeld { role: token.role });
    }
    if let Some(at) = token.expires_at.filter(|at| *at <= token.created_at) {
        return Err(Refusal::ExpiryPassed { at });
    }
    let fact = Fact::audit("token.issued", token.id)
        .with("user", token.user)
        .with("role", token.role)
        .with("scopes", &token.scopes)
        .with("expires_at", token.expires_at);
    Ok(Decision::new(token, fact))
}

/// Revokes a token. Revoking twice is refused, so that the record holds one revocation.
pub fn revoke_token(token: AccessToken, now: DateTime<Utc>) -> Result<Decision<AccessToken>, Refusal> {
    if token.revoked_at.is_some() {
        return Err(Refusal::TokenRevoked);
    }
    let fact = Fact::audit("token.revoked", token.id).with("user", token.user);
    Ok(Decision::new(AccessToken { revoked_at: Some(now), ..token }, fact))
}

impl AccessToken {
    /// Whether the token may be used at `now`.
    pub fn check(&self, user: &User, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.revoked_at.is_some() {
            return Err(Refusal::TokenRevoked);
        }
        if let Some(at) = self.expires_at.filter(|at| *at <= now) {
            return Err(Refusal::TokenExpired { at });
        }
        if !user.active {
            return Err(Refusal::UserInactive);
        }
        if !user.roles.contains(&self.role) {
            return Err(Refusal::RoleNotHeld { role: self.role });
        }
        Ok(())
    }
}
