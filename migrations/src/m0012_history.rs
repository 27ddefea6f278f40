//! A lead is found by the id that its origin gave it, also where the origin is not named.

use crate::columns::{create, index};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create(manager, [], [index("lead", &["external_id"])]).await
    }
}
