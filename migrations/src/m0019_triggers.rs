//! What the triggers of sequences remember, whom they passed over, and what the runs of a version hear of.

use crate::columns::{aggregate, big, big_null, create, index, partial_index, text, unique, uuid};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let memory = Table::create()
            .table(Alias::new("trigger_memory"))
            .col(uuid("sequence_id"))
            .col(text("trigger_key"))
            .col(uuid("contact_id"))
            .col(text("value"))
            .col(big_null("due_at"))
            .primary_key(
                Index::create()
                    .col(Alias::new("sequence_id"))
                    .col(Alias::new("trigger_key"))
                    .col(Alias::new("contact_id"))
                    .col(Alias::new("value")),
            )
            .to_owned();
        let skip = [uuid("sequence_id"), text("trigger_key"), uuid("contact_id"), text("code"), big("at")];
        create(
            manager,
            [memory, aggregate("trigger_skip", skip)],
            [
                // The last time that a trigger passed somebody over takes the place of the one before.
                unique("trigger_skip", &["sequence_id", "trigger_key", "contact_id"]),
                index("trigger_skip", &["sequence_id", "id"]),
                index("trigger_skip", &["contact_id", "id"]),
                index("trigger_skip", &["at"]),
            ],
        )
        .await?;
        partial_index(
            manager,
            false,
            "trigger_memory",
            &["sequence_id", "trigger_key", "due_at"],
            "due_at IS NOT NULL",
        )
        .await?;
        partial_index(manager, false, "enrollment", &["account_id", "id"], "live").await?;
        for change in [
            "ALTER TABLE sequence_version ADD COLUMN triggers integer NOT NULL DEFAULT 0",
            // What was published before may hear of everything.
            "ALTER TABLE sequence_version ADD COLUMN hears integer NOT NULL DEFAULT 15",
            // What happened before starts nothing.
            "INSERT INTO checkpoint (name, body) SELECT 'sequences.heard', CAST(seq AS text) FROM ledger_head WHERE id = 1",
        ] {
            manager.get_connection().execute_unprepared(change).await?;
        }
        Ok(())
    }
}
