//! Senders of events, their events, who those are about, and what they did.

use crate::columns::{aggregate, big, create, index, integer, text, text_null, unique, uuid, uuid_null};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // An event is written once and looked at rarely, thousands at a time: its columns are all there is of it.
        let event = Table::create()
            .table(Alias::new("ingested_event"))
            .col(uuid("id").primary_key())
            .col(uuid("source_id"))
            .col(uuid("batch_id"))
            .col(text("message_id"))
            .col(text_null("kind"))
            .col(text("state"))
            .col(text_null("fault_code"))
            .col(text_null("fault"))
            .col(big("occurred_at"))
            .col(big("received_at"))
            .col(text("payload"))
            .col(integer("row_version"))
            .to_owned();
        let key = Table::create()
            .table(Alias::new("visitor_key"))
            .col(text("key").primary_key())
            .col(uuid("visitor_id"))
            .to_owned();
        create(
            manager,
            [
                aggregate("event_source", [text("key"), text("current_hash"), text_null("previous_hash")]),
                event,
                aggregate("visitor", [uuid_null("contact_id")]),
                key,
                aggregate(
                    "interaction",
                    [
                        uuid_null("contact_id"),
                        uuid_null("account_id"),
                        uuid_null("visitor_id"),
                        text("kind"),
                        big("occurred_at"),
                    ],
                ),
            ],
            [
                unique("event_source", &["key"]),
                unique("event_source", &["current_hash"]),
                index("event_source", &["previous_hash"]),
                // However often a message is sent, it is stored once.
                unique("ingested_event", &["source_id", "message_id"]),
                index("ingested_event", &["source_id", "state", "id"]),
                index("ingested_event", &["source_id", "id"]),
                index("ingested_event", &["state", "id"]),
                index("ingested_event", &["batch_id"]),
                index("ingested_event", &["received_at"]),
                index("visitor", &["contact_id"]),
                index("visitor_key", &["visitor_id"]),
                index("interaction", &["contact_id", "id"]),
                index("interaction", &["account_id", "id"]),
                index("interaction", &["visitor_id"]),
            ],
        )
        .await
    }
}
