//! Commands on users, teams and access tokens.

use crate::{App, AppError, Call, Command, Env, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use std::collections::BTreeSet;
use tandem_domain::access::{self, AccessToken, Role, Scope, Side, Team, User};
use tandem_domain::decision::Decision;
use tandem_domain::id::{TeamId, TokenId, UserId};
use tandem_domain::ledger::sha256_hex;
use tandem_store::Tx;

/// What every token's secret begins with, so that a scanner finds one that leaked.
pub const TOKEN_PREFIX: &str = "tdm_";

/// Adds a user.
#[derive(Debug, Clone, Serialize)]
pub struct UserCreate {
    /// The e-mail address, unique among users.
    pub email: String,
    /// The name to show.
    pub name: String,
    /// At least one.
    pub roles: BTreeSet<Role>,
    /// The side whose key the user holds.
    pub side: Option<Side>,
    /// The team.
    pub team: Option<TeamId>,
    /// The user's time zone.
    pub time_zone: Tz,
}

impl Command for UserCreate {
    const NAME: &'static str = "userCreate";
    type Output = User;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<User>> {
        let now = call.now(env);
        if let Some(team) = self.team {
            tx.peek::<Team>(team).await?.ok_or(AppError::NotFound { what: "Team", id: team.into() })?;
        }
        let user = User {
            id: env.id(now),
            email: self.email.trim().to_lowercase(),
            name: self.name.trim().to_owned(),
            roles: self.roles.clone(),
            side: self.side,
            team: self.team,
            time_zone: self.time_zone,
            active: true,
            created_at: now,
        };
        Ok(access::add_user(user)?)
    }
}

/// Changes a user; what is absent stays.
#[derive(Debug, Clone, Serialize)]
pub struct UserChange {
    /// The user.
    pub user: UserId,
    /// The new name.
    pub name: Option<String>,
    /// The new roles.
    pub roles: Option<BTreeSet<Role>>,
    /// Whether the user may act.
    pub active: Option<bool>,
    /// The new time zone.
    pub time_zone: Option<Tz>,
}

impl Command for UserChange {
    const NAME: &'static str = "userChange";
    type Output = User;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<User>> {
        let before: User = tx.get(self.user).await?.ok_or(AppError::NotFound { what: "User", id: self.user.into() })?;
        let mut after = before.clone();
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut after.name);
        }
        if let Some(roles) = &self.roles {
            after.roles.clone_from(roles);
        }
        after.active = self.active.unwrap_or(before.active);
        after.time_zone = self.time_zone.unwrap_or(before.time_zone);
        Ok(access::change_user(&before, after)?)
    }
}

/// Adds a team.
#[derive(Debug, Clone, Serialize)]
pub struct TeamCreate {
    /// Its name, unique.
    pub name: String,
    /// Its side.
    pub side: Side,
}

impl Command for TeamCreate {
    const NAME: &'static str = "teamCreate";
    type Output = Team;

    async fn decide(&self, _: &Tx, call: &Call, env: &Env) -> Result<Decision<Team>> {
        let id: TeamId = env.id(call.now(env));
        Ok(access::add_team(Team { id, name: self.name.trim().to_owned(), side: self.side })?)
    }
}

/// Issues an access token. Run it through [`App::issue_token`], which makes the secret.
#[derive(Debug, Clone, Serialize)]
pub struct AccessTokenIssue {
    /// Whose it is.
    pub user: UserId,
    /// What it is for.
    pub name: String,
    /// The role it acts in.
    pub role: Role,
    /// What it is limited to; empty means no limit.
    pub scopes: BTreeSet<Scope>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// SHA-256 of the secret. Not part of the input that an idempotency key is compared by: it differs every time.
    #[serde(skip)]
    hash: String,
}

impl AccessTokenIssue {
    /// A token of a user.
    pub fn new(user: UserId, name: impl Into<String>, role: Role) -> Self {
        let (scopes, hash) = (BTreeSet::new(), String::new());
        Self { user, name: name.into(), role, scopes, expires_at: None, hash }
    }
}

impl Command for AccessTokenIssue {
    const NAME: &'static str = "accessTokenIssue";
    type Output = AccessToken;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<AccessToken>> {
        let now = call.now(env);
        let user: User = tx.get(self.user).await?.ok_or(AppError::NotFound { what: "User", id: self.user.into() })?;
        let token = AccessToken {
            id: env.id(now),
            user: self.user,
            name: self.name.trim().to_owned(),
            hash: self.hash.clone(),
            role: self.role,
            scopes: self.scopes.clone(),
            expires_at: self.expires_at,
            revoked_at: None,
            created_at: now,
        };
        Ok(access::issue_token(&user, token)?)
    }
}

/// Revokes an access token at once.
#[derive(Debug, Clone, Serialize)]
pub struct AccessTokenRevoke {
    /// The token.
    pub token: TokenId,
}

impl Command for AccessTokenRevoke {
    const NAME: &'static str = "accessTokenRevoke";
    type Output = AccessToken;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<AccessToken>> {
        let token: AccessToken =
            tx.get(self.token).await?.ok_or(AppError::NotFound { what: "AccessToken", id: self.token.into() })?;
        Ok(access::revoke_token(token, call.now(env))?)
    }
}

/// A token that was just issued, with the secret that is shown this once.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// The token.
    pub token: AccessToken,
    /// The secret; none when the answer to a repeated request is given again, since it is not kept.
    pub secret: Option<String>,
}

impl App {
    /// Issues a token with a new secret of 256 bits.
    pub async fn issue_token(&self, call: &Call, mut issue: AccessTokenIssue) -> Result<IssuedToken> {
        let mut bytes = [0; 32];
        self.env.chance.fill(&mut bytes);
        let secret = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        issue.hash = sha256_hex(&[secret.as_bytes()]);
        let hash = issue.hash.clone();
        let token = self.run(call, issue).await?;
        let secret = (token.hash == hash).then_some(secret);
        Ok(IssuedToken { token, secret })
    }

    /// Who a bearer token's secret stands for. None where no such token was ever issued; a refusal where it may not
    /// be used any more. Only hashes are compared, so timing tells nothing about a secret.
    pub async fn authenticate(&self, secret: &str) -> Result<Option<crate::Actor>> {
        let hash = sha256_hex(&[secret.as_bytes()]);
        let Some(token) = self.store.token_by_hash(&hash).await? else { return Ok(None) };
        let Some(user) = self.store.find::<User>(token.user).await? else { return Ok(None) };
        token.check(&user, self.env.now())?;
        Ok(Some(crate::Actor { user: Some(user.id), role: Some(token.role), side: user.side, scopes: token.scopes }))
    }
}
