//! Sequences, their immutable versions, and enrolments.

use crate::columns::{
    aggregate, append_only, big_null, boolean, create, index, integer, partial_index, text, text_null, unique, uuid,
    uuid_null,
};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create(
            manager,
            [
                aggregate("sequence", [text("key"), text("state")]),
                aggregate("sequence_version", [uuid("sequence_id"), integer("number"), text("hash")]),
                aggregate(
                    "enrollment",
                    [
                        uuid("sequence_id"),
                        uuid("version_id"),
                        uuid("contact_id"),
                        uuid_null("lead_id"),
                        uuid_null("account_id"),
                        uuid("subject_id"),
                        text("reentry_key"),
                        text("state"),
                        text_null("reason"),
                        boolean("live"),
                        big_null("due_at"),
                    ],
                ),
            ],
            [
                unique("sequence", &["key"]),
                index("sequence", &["state", "id"]),
                unique("sequence_version", &["sequence_id", "number"]),
                index("enrollment", &["sequence_id", "state", "id"]),
                index("enrollment", &["sequence_id", "subject_id", "id"]),
                index("enrollment", &["contact_id", "id"]),
                index("enrollment", &["lead_id", "id"]),
            ],
        )
        .await?;
        partial_index(manager, true, "enrollment", &["sequence_id", "subject_id", "reentry_key"], "live").await?;
        partial_index(manager, false, "enrollment", &["due_at", "id"], "due_at IS NOT NULL").await?;
        append_only(manager, "sequence_version").await
    }
}
