//! Accounts, contacts, their keys and tags, custom fields and taxonomies.

use crate::columns::{aggregate, boolean, create, index, text, text_null, unique, uuid, uuid_null};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let named = |name: &'static str| Alias::new(name);
        // One key, one owner: what makes two records one is held here, whatever the application believes.
        let keys = Table::create()
            .table(named("identity_key"))
            .col(text("kind"))
            .col(text("value"))
            .col(uuid("owner_id"))
            .primary_key(Index::create().col(named("kind")).col(named("value")))
            .to_owned();
        let tags = Table::create()
            .table(named("record_tag"))
            .col(uuid("owner_id"))
            .col(text("tag"))
            .primary_key(Index::create().col(named("owner_id")).col(named("tag")))
            .to_owned();
        create(
            manager,
            [
                aggregate(
                    "account",
                    [
                        text("name_key"),
                        text_null("tier"),
                        text_null("industry"),
                        text_null("territory"),
                        text_null("country"),
                    ],
                ),
                aggregate("contact", [uuid_null("account_id"), text("name_key"), text_null("phone"), text("consent")]),
                aggregate("custom_field", [text("entity"), text("key"), boolean("active")]),
                aggregate("taxonomy_term", [text("taxonomy"), text("code"), boolean("active")]),
                keys,
                tags,
            ],
            [
                index("account", &["name_key"]),
                index("account", &["tier", "id"]),
                index("account", &["industry", "id"]),
                index("account", &["territory", "id"]),
                index("contact", &["account_id", "id"]),
                index("contact", &["phone"]),
                index("contact", &["name_key"]),
                unique("custom_field", &["entity", "key"]),
                unique("taxonomy_term", &["taxonomy", "code"]),
                index("identity_key", &["owner_id"]),
                index("record_tag", &["tag", "owner_id"]),
            ],
        )
        .await
    }
}
