//! How often people are written to, one sequence of a group at a time, and mailboxes that e-mails are sent from.

use crate::columns::{aggregate, create, index, partial_index, text, unique};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create(
            manager,
            [
                // One row: its key is always the same.
                aggregate("contact_policy", [text("key")]),
                aggregate("sending_mailbox", [text("address"), text("pool"), text("state")]),
                aggregate("mailbox_pace", []),
            ],
            [
                unique("contact_policy", &["key"]),
                unique("sending_mailbox", &["address"]),
                index("sending_mailbox", &["pool", "id"]),
            ],
        )
        .await?;
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        let uuid = if postgres { "uuid" } else { "blob" };
        // What was begun before counts too.
        let counted = if postgres {
            "UPDATE email SET account_id = CAST(body ->> 'account' AS uuid), counted_at = CASE WHEN state IN \
             ('SENDING', 'SENT', 'BOUNCED', 'UNKNOWN') THEN CAST(EXTRACT(EPOCH FROM CAST(body ->> 'begun_at' AS \
             timestamptz)) * 1000 AS bigint) END"
        } else {
            "UPDATE email SET account_id = unhex(replace(json_extract(body, '$.account'), '-', '')), counted_at = CASE \
             WHEN state IN ('SENDING', 'SENT', 'BOUNCED', 'UNKNOWN') THEN \
             CAST(round(unixepoch(json_extract(body, '$.begun_at'), 'subsec') * 1000) AS integer) END"
        };
        for change in [
            &format!("ALTER TABLE email ADD COLUMN account_id {uuid}"),
            &format!("ALTER TABLE email ADD COLUMN mailbox_id {uuid}"),
            "ALTER TABLE email ADD COLUMN counted_at bigint",
            "ALTER TABLE email ADD COLUMN queued_at bigint",
            "ALTER TABLE enrollment ADD COLUMN exclusive_group text",
            counted,
        ] {
            manager.get_connection().execute_unprepared(change).await?;
        }
        // The last so many of a person or an account: read from the end of a short range.
        let counts = "counted_at IS NOT NULL";
        partial_index(manager, false, "email", &["contact_id", "counted_at"], counts).await?;
        partial_index(manager, false, "email", &["account_id", "counted_at"], counts).await?;
        partial_index(manager, false, "email", &["mailbox_id", "queued_at", "id"], "queued_at IS NOT NULL").await?;
        let in_group = "live AND exclusive_group IS NOT NULL";
        partial_index(manager, true, "enrollment", &["contact_id", "exclusive_group"], in_group).await
    }
}
