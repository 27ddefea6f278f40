//! Users, teams and access tokens.

use crate::columns::{aggregate, boolean, create, index, text, unique, uuid};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create(
            manager,
            [
                aggregate("user_account", [text("email"), boolean("active")]),
                aggregate("team", [text("name")]),
                aggregate("access_token", [uuid("user_id"), text("hash")]),
            ],
            [
                unique("user_account", &["email"]),
                unique("team", &["name"]),
                unique("access_token", &["hash"]),
                index("access_token", &["user_id"]),
            ],
        )
        .await
    }
}
