//! Migrations of runs between versions of a sequence, and the order in which runs fell due while their sequence was paused.

use crate::columns::{aggregate, create, index, partial_index, text, uuid};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create(
            manager,
            [aggregate("sequence_migration", [uuid("sequence_id"), text("state")])],
            [index("sequence_migration", &["sequence_id", "id"])],
        )
        .await?;
        let open = "state IN ('PENDING', 'RUNNING', 'PAUSED')";
        partial_index(manager, true, "sequence_migration", &["sequence_id"], open).await?;
        // Neither column changes while a run takes its steps, so that those stay as cheap as they are.
        partial_index(manager, false, "enrollment", &["version_id", "id"], "live").await?;
        let connection = manager.get_connection();
        connection.execute_unprepared("ALTER TABLE enrollment ADD COLUMN held_at BIGINT NULL").await?;
        let held_at = match manager.get_database_backend() {
            DbBackend::Postgres => {
                "CAST(EXTRACT(EPOCH FROM CAST(body -> 'held' ->> 'due_at' AS timestamptz)) * 1000 AS BIGINT)"
            }
            _ => "CAST(strftime('%s', json_extract(body, '$.held.due_at')) AS INTEGER) * 1000",
        };
        let fill = format!("UPDATE enrollment SET held_at = {held_at} WHERE state = 'PAUSED'");
        connection.execute_unprepared(&fill).await?;
        partial_index(manager, false, "enrollment", &["sequence_id", "held_at", "id"], "held_at IS NOT NULL").await
    }
}
