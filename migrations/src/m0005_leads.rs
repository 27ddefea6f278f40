//! Leads and work items.

use crate::columns::{
    aggregate, big, big_null, create, index, partial_index, text, text_null, unique, uuid, uuid_null,
};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let lead = aggregate(
            "lead",
            [
                uuid("contact_id"),
                uuid_null("account_id"),
                text("source"),
                text_null("external_id"),
                text("stage"),
                text("owner_kind"),
                uuid_null("owner_id"),
                text_null("grade"),
                big_null("due_at"),
                big("received_at"),
            ],
        );
        let item = aggregate(
            "work_item",
            [
                text("kind"),
                text("state"),
                uuid_null("lead_id"),
                uuid("contact_id"),
                uuid_null("account_id"),
                uuid_null("team_id"),
                uuid_null("holder_id"),
                uuid_null("enrollment_id"),
                // Ascending by (queue_rank, id) is the order in which work is handed out.
                big("queue_rank"),
                big("due_at"),
                // The lead whose verification this is: one item serves all rounds of a lead.
                uuid_null("verifies_id"),
            ],
        );
        create(
            manager,
            [lead, item],
            [
                unique("lead", &["source", "external_id"]),
                index("lead", &["contact_id"]),
                index("lead", &["account_id"]),
                index("lead", &["stage", "id"]),
                index("lead", &["owner_id"]),
                unique("work_item", &["verifies_id"]),
                index("work_item", &["lead_id"]),
                index("work_item", &["contact_id"]),
                index("work_item", &["holder_id"]),
                index("work_item", &["enrollment_id"]),
            ],
        )
        .await?;
        partial_index(manager, false, "lead", &["due_at", "id"], "due_at IS NOT NULL").await?;
        partial_index(manager, false, "work_item", &["queue_rank", "id"], "state = 'QUEUED'").await
    }
}
