//! E-mails that are held while their sequence is paused.

use crate::columns::partial_index;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let uuid = if manager.get_database_backend() == DbBackend::Postgres { "uuid" } else { "blob" };
        let connection = manager.get_connection();
        if !manager.has_column("email", "held_with").await? {
            connection.execute_unprepared(&format!("ALTER TABLE email ADD COLUMN held_with {uuid}")).await?;
        }
        // They go on in the order in which they were planned.
        partial_index(manager, false, "email", &["held_with", "planned_at", "id"], "held_with IS NOT NULL").await
    }
}
