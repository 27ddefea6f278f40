//! Calendars, pools, the routing table, opportunities, handoffs and routing receipts.

use crate::columns::{
    aggregate, append_only, big, big_null, create, index, integer, partial_index, text, unique, uuid, uuid_null,
};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let opportunity = aggregate(
            "opportunity",
            [
                uuid("lead_id"),
                uuid_null("account_id"),
                uuid("contact_id"),
                text("state"),
                uuid_null("sales_id"),
                big("created_at"),
            ],
        );
        let handoff = aggregate(
            "handoff",
            [
                uuid("opportunity_id"),
                uuid("lead_id"),
                uuid_null("account_id"),
                uuid("pool_id"),
                text("state"),
                // Who must act, in the states in which it is a person: what capacity is counted by.
                uuid_null("holder_id"),
                big_null("due_at"),
            ],
        );
        let receipt = aggregate("routing_receipt", [uuid("handoff_id"), integer("attempt"), big("at")]);
        create(
            manager,
            [
                aggregate("working_calendar", [text("key")]),
                aggregate("pool", [text("key")]),
                // There is one table: its key is always the same.
                aggregate("routing_table", [text("key")]),
                opportunity,
                handoff,
                receipt,
            ],
            [
                unique("working_calendar", &["key"]),
                unique("pool", &["key"]),
                unique("routing_table", &["key"]),
                index("opportunity", &["lead_id"]),
                index("opportunity", &["account_id"]),
                index("opportunity", &["sales_id", "state"]),
                index("opportunity", &["state", "id"]),
                index("handoff", &["opportunity_id"]),
                index("handoff", &["lead_id", "id"]),
                index("handoff", &["account_id"]),
                index("handoff", &["state", "id"]),
                index("handoff", &["holder_id", "state"]),
                index("routing_receipt", &["handoff_id", "id"]),
            ],
        )
        .await?;
        // An opportunity is handed over once at a time: an ended handoff, and no other, has no due time.
        partial_index(manager, true, "handoff", &["opportunity_id"], "due_at IS NOT NULL").await?;
        partial_index(manager, false, "handoff", &["due_at", "id"], "due_at IS NOT NULL").await?;
        append_only(manager, "routing_receipt").await
    }
}
