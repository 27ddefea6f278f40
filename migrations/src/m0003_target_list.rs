//! Target-account lists, their memberships, change requests and immutable versions.

use crate::columns::{aggregate, append_only, big, boolean, create, index, integer, partial_index, text, unique, uuid};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let of_account = || [uuid("list_id"), uuid("account_id"), text("state")];
        create(
            manager,
            [
                aggregate("target_list", [text("key")]),
                aggregate("list_membership", of_account().into_iter().chain([text("tier"), boolean("live")])),
                aggregate("change_request", of_account().into_iter().chain([boolean("undecided")])),
                aggregate("list_version", [uuid("list_id"), integer("number"), big("made_at")]),
            ],
            [
                unique("target_list", &["key"]),
                index("list_membership", &["list_id", "state", "id"]),
                index("list_membership", &["account_id", "id"]),
                index("change_request", &["list_id", "state", "id"]),
                index("change_request", &["account_id", "id"]),
                unique("list_version", &["list_id", "number"]),
            ],
        )
        .await?;
        // The list's row lock makes commands on a list take turns; these say the same where a command forgot it.
        partial_index(manager, true, "list_membership", &["list_id", "account_id"], "live").await?;
        partial_index(manager, true, "change_request", &["list_id", "account_id"], "undecided").await?;
        append_only(manager, "list_version").await
    }
}
