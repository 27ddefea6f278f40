//! What conditions count of what people did: from an index, and without bots and link scanners.

use crate::columns::partial_index;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        if !manager.has_column("interaction", "automated").await? {
            connection.execute_unprepared("ALTER TABLE interaction ADD COLUMN automated text").await?;
        }
        // Only those of machines are written: most rows stay as they are.
        let fill = match manager.get_database_backend() {
            DbBackend::Postgres => {
                "UPDATE interaction SET automated = body ->> 'automated' WHERE body ->> 'automated' IS NOT NULL"
            }
            _ => {
                "UPDATE interaction SET automated = json_extract(body, '$.automated') \
                 WHERE json_extract(body, '$.automated') IS NOT NULL"
            }
        };
        connection.execute_unprepared(fill).await?;
        let counted = ["contact_id", "kind", "occurred_at", "id"];
        partial_index(manager, false, "interaction", &counted, "automated IS NULL").await
    }
}
