//! The addresses that steps of sequences send to, and what they send.

use crate::columns::{aggregate, big, create, index, integer, text, unique, uuid, uuid_null};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let call = [
            uuid("channel_id"),
            uuid_null("enrollment_id"),
            text("step"),
            integer("visit"),
            text("state"),
            big("planned_at"),
        ];
        create(
            manager,
            [
                aggregate("outbound_channel", [text("key"), text("provider"), text("state")]),
                aggregate("outbound_call", call),
            ],
            [
                unique("outbound_channel", &["key"]),
                // However often a step is taken, it makes one call.
                unique("outbound_call", &["enrollment_id", "step", "visit"]),
                index("outbound_call", &["enrollment_id", "id"]),
                index("outbound_call", &["channel_id", "id"]),
                index("outbound_call", &["state", "id"]),
                index("outbound_call", &["planned_at"]),
            ],
        )
        .await
    }
}
