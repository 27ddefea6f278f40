//! Outbound webhooks, what is on its way to them, and what is sent, which is kept apart because it does not change.

use crate::columns::{aggregate, big, create, index, text, unique, uuid};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let payload = Table::create()
            .table(Alias::new("outbound_payload"))
            .col(uuid("delivery_id").primary_key())
            .col(text("body"))
            // What was sent is forgotten with its delivery, whatever happens in between.
            .foreign_key(
                ForeignKey::create()
                    .from(Alias::new("outbound_payload"), Alias::new("delivery_id"))
                    .to(Alias::new("outbound_delivery"), Alias::new("id"))
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        create(
            manager,
            [
                aggregate("outbound_webhook", [text("key"), text("standing")]),
                aggregate(
                    "outbound_delivery",
                    [uuid("webhook_id"), big("seq"), uuid("subject_id"), text("state"), big("created_at")],
                ),
                payload,
            ],
            [
                unique("outbound_webhook", &["key"]),
                // However often an entry of the ledger is looked at, a webhook is told of it once.
                unique("outbound_delivery", &["webhook_id", "seq"]),
                index("outbound_delivery", &["webhook_id", "state", "id"]),
                index("outbound_delivery", &["webhook_id", "id"]),
                index("outbound_delivery", &["state", "id"]),
                index("outbound_delivery", &["webhook_id", "subject_id", "state"]),
                index("outbound_delivery", &["created_at"]),
            ],
        )
        .await?;
        // One receiver that is slow holds a few places, so that there are some for the others.
        let insert = "INSERT INTO job_queue (name, paused, max_running, max_running_per_key, per_minute, per_minute_per_key, \
                      paced_to) VALUES ('webhooks', FALSE, NULL, 3, NULL, NULL, 0) ON CONFLICT (name) DO NOTHING";
        manager.get_connection().execute_unprepared(insert).await.map(drop)
    }
}
