//! Inbound webhooks, their deliveries, and what came with each, which is kept apart because it can be large.

use crate::columns::{aggregate, big, create, index, text, unique, uuid};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let payload = Table::create()
            .table(Alias::new("inbound_payload"))
            .col(uuid("delivery_id").primary_key())
            .col(text("headers"))
            .col(text("body"))
            // What came is forgotten with its delivery, whatever happens in between.
            .foreign_key(
                ForeignKey::create()
                    .from(Alias::new("inbound_payload"), Alias::new("delivery_id"))
                    .to(Alias::new("inbound_delivery"), Alias::new("id"))
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        create(
            manager,
            [
                aggregate("inbound_webhook", [text("key")]),
                aggregate(
                    "inbound_delivery",
                    [uuid("webhook_id"), text("delivery_key"), text("state"), big("received_at")],
                ),
                payload,
            ],
            [
                unique("inbound_webhook", &["key"]),
                // However many copies of a delivery arrive at once, one of them is stored.
                unique("inbound_delivery", &["webhook_id", "delivery_key"]),
                index("inbound_delivery", &["webhook_id", "state", "id"]),
                index("inbound_delivery", &["received_at"]),
            ],
        )
        .await
    }
}
