//! The ledger, the jobs, the answers to repeated requests, and checkpoints.

use crate::columns::{
    append_only, big, big_null, boolean, create, index, integer, partial_index, text, text_null, uuid, uuid_null,
};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Table::create()
            .table("ledger_entry")
            .col(big("seq").primary_key())
            .col(big("at"))
            .col(big("recorded_at"))
            .col(text("book"))
            .col(text("kind"))
            .col(text("subject_kind"))
            .col(uuid("subject_id"))
            .col(uuid_null("lead_id"))
            .col(uuid_null("account_id"))
            .col(uuid_null("actor_id"))
            .col(text("actor_role"))
            .col(text_null("side"))
            .col(text_null("state_before"))
            .col(text_null("state_after"))
            .col(text_null("reason"))
            .col(text_null("rule"))
            .col(text("request_id"))
            .col(text_null("idempotency_key"))
            .col(text("detail"))
            .col(text("previous"))
            .col(text("hash"))
            .to_owned();
        let head = Table::create()
            .table("ledger_head")
            .col(integer("id").primary_key())
            .col(big("seq"))
            .col(text("hash"))
            .to_owned();
        let job = Table::create()
            .table("job")
            .col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key())
            .col(text("queue"))
            .col(text("kind"))
            .col(text("payload"))
            .col(big("due_at"))
            .col(big("visible_at"))
            .col(integer("attempt"))
            .col(integer("max_attempts"))
            .col(boolean("dead"))
            .col(text_null("unique_key"))
            .col(text_null("leased_by"))
            .col(text_null("last_error"))
            .col(text("request_id"))
            .to_owned();
        let idempotency = Table::create()
            .table("idempotency")
            .col(uuid("actor_id"))
            .col(text("key"))
            .col(text("command"))
            .col(text("input_hash"))
            .col(text("output"))
            .col(big("at"))
            .primary_key(Index::create().col("actor_id").col("key"))
            .to_owned();
        let checkpoint = Table::create()
            .table("checkpoint")
            .col(text("name").primary_key())
            .col(text("body"))
            .col(big_null("at"))
            .to_owned();
        create(
            manager,
            [ledger, head, job, idempotency, checkpoint],
            [
                index("ledger_entry", &["subject_id", "seq"]),
                index("ledger_entry", &["lead_id", "seq"]),
                index("ledger_entry", &["account_id", "seq"]),
                index("ledger_entry", &["kind", "seq"]),
                index("idempotency", &["at"]),
            ],
        )
        .await?;
        partial_index(manager, false, "job", &["visible_at", "id"], "NOT dead").await?;
        partial_index(manager, true, "job", &["unique_key"], "unique_key IS NOT NULL").await?;
        append_only(manager, "ledger_entry").await?;
        let first = "INSERT INTO ledger_head (id, seq, hash) VALUES (1, 0, '')";
        manager.get_connection().execute_unprepared(first).await?;
        Ok(())
    }
}
