//! E-mails and suppressions.

use crate::columns::{aggregate, big, boolean, create, index, integer, text, unique, uuid, uuid_null};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create(
            manager,
            [
                aggregate(
                    "email",
                    [
                        uuid_null("enrollment_id"),
                        text("step"),
                        integer("visit"),
                        uuid("contact_id"),
                        uuid_null("lead_id"),
                        text("state"),
                        big("planned_at"),
                    ],
                ),
                aggregate("suppression", [text("kind"), text("value"), boolean("live")]),
            ],
            [
                // An absent enrolment differs from every other on both databases, so e-mails without one are free.
                unique("email", &["enrollment_id", "step", "visit"]),
                index("email", &["contact_id", "id"]),
                index("email", &["lead_id", "id"]),
                index("email", &["state", "id"]),
                unique("suppression", &["kind", "value"]),
            ],
        )
        .await
    }
}
