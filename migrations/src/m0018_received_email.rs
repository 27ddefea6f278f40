//! E-mails that arrive.

use crate::columns::{aggregate, big, create, index, text, unique, uuid_null};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            text("known_by"),
            uuid_null("email_id"),
            uuid_null("contact_id"),
            text("kind"),
            text("state"),
            big("arrived_at"),
        ];
        create(
            manager,
            [aggregate("received_email", columns)],
            [
                // However often and by whichever way it is brought, it is taken once.
                unique("received_email", &["known_by"]),
                index("received_email", &["contact_id", "id"]),
                index("received_email", &["email_id", "id"]),
                index("received_email", &["kind", "id"]),
                index("received_email", &["state", "id"]),
                index("received_email", &["arrived_at"]),
            ],
        )
        .await
    }
}
