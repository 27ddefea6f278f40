//! Templates of e-mails, their versions, and which versions of sequences took their e-mails from which of them.

use crate::columns::{aggregate, boolean, create, index, integer, text, unique, uuid};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Written once, with the version of the sequence.
        let taken = Table::create()
            .table(Alias::new("email_template_use"))
            .col(uuid("version_id"))
            .col(text("template_key"))
            .col(integer("number"))
            .col(boolean("pinned"))
            .primary_key(
                Index::create().col(Alias::new("version_id")).col(Alias::new("template_key")).col(Alias::new("number")),
            )
            .to_owned();
        create(
            manager,
            [
                aggregate("email_template", [text("key"), text("state")]),
                aggregate("email_template_version", [uuid("template_id"), integer("number"), text("hash")]),
                taken,
            ],
            [
                unique("email_template", &["key"]),
                unique("email_template_version", &["template_id", "number"]),
                index("email_template_use", &["template_key", "version_id"]),
            ],
        )
        .await
    }
}
