//! Users, teams and tokens.

pub mod user {
    //! The user's row.
    use crate::stored::stored;
    use tandem_domain::access::User;
    stored!(User, "User", "user_account", |user| { email: String = user.email.clone(), active: bool = user.active });
}

pub mod team {
    //! The team's row.
    use crate::stored::stored;
    use tandem_domain::access::Team;
    stored!(Team, "Team", "team", |team| { name: String = team.name.clone() });
}

pub mod token {
    //! The token's row.
    use crate::stored::stored;
    use tandem_domain::access::AccessToken;
    stored!(AccessToken, "AccessToken", "access_token", |token| {
        user_id: Uuid = token.user.into(),
        hash: String = token.hash.clone(),
    });
}

use crate::page::{Page, PageOf};
use crate::{Result, Store, Tx};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use std::collections::BTreeMap;
use tandem_domain::access::{AccessToken, Role, Team, User};
use tandem_domain::id::UserId;
use uuid::Uuid;

impl Tx {
    /// The user with this normalised e-mail address.
    pub async fn user_with_email(&self, email: &str) -> Result<Option<User>> {
        Ok(self.read(user::row::Entity::find().filter(user::row::Column::Email.eq(email))).await?.pop())
    }

    /// The team of this name.
    pub async fn team_with_name(&self, name: &str) -> Result<Option<Team>> {
        Ok(self.read(team::row::Entity::find().filter(team::row::Column::Name.eq(name))).await?.pop())
    }

    /// The names of up to `limit` teams.
    pub async fn team_names(&self, limit: u64) -> Result<Vec<String>> {
        let teams: Vec<Team> = self.read(team::row::Entity::find().limit(limit)).await?;
        Ok(teams.into_iter().map(|team| team.name).collect())
    }
}

impl Store {
    /// The team of this name.
    pub async fn team_by_name(&self, name: &str) -> Result<Option<Team>> {
        Ok(self.all(team::row::Entity::find().filter(team::row::Column::Name.eq(name))).await?.pop())
    }

    /// The user with this normalised e-mail address.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        let query = user::row::Entity::find().filter(user::row::Column::Email.eq(email));
        Ok(self.all(query).await?.pop())
    }

    /// The token whose secret has this SHA-256.
    pub async fn token_by_hash(&self, hash: &str) -> Result<Option<AccessToken>> {
        let query = token::row::Entity::find().filter(token::row::Column::Hash.eq(hash));
        Ok(self.all(query).await?.pop())
    }

    /// A page of users.
    pub async fn user_page(&self, page: &Page<Uuid>) -> Result<PageOf<User>> {
        self.page(user::row::Entity::find(), page).await
    }

    /// The active users with a role, by the name of their team; those without one under "".
    pub async fn active_by_team(&self, role: Role) -> Result<BTreeMap<String, Vec<User>>> {
        let users: Vec<User> = self.all(user::row::Entity::find().filter(user::row::Column::Active.eq(true))).await?;
        let teams: Vec<Team> = self.all(team::row::Entity::find()).await?;
        let name = |user: &User| teams.iter().find(|team| Some(team.id) == user.team).map(|team| team.name.clone());
        let mut found: BTreeMap<String, Vec<User>> = BTreeMap::new();
        for user in users.into_iter().filter(|user| user.roles.contains(&role)) {
            found.entry(name(&user).unwrap_or_default()).or_default().push(user);
        }
        Ok(found)
    }

    /// A page of teams.
    pub async fn team_page(&self, page: &Page<Uuid>) -> Result<PageOf<Team>> {
        self.page(team::row::Entity::find(), page).await
    }

    /// A page of tokens, of one user or of all.
    pub async fn token_page(&self, user: Option<UserId>, page: &Page<Uuid>) -> Result<PageOf<AccessToken>> {
        let mut query = token::row::Entity::find();
        if let Some(user) = user {
            query = query.filter(token::row::Column::UserId.eq(Uuid::from(user)));
        }
        self.page(query, page).await
    }
}
