//! The durable runner: lanes, ordering and unique keys of jobs, queues with limits, the archive of what was given up,
//! schedules and nodes.

use crate::columns::{big, big_null, boolean, create, integer, text, text_null};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for change in [
            // What was given up leaves the table that workers read.
            "DROP INDEX job_visible_at_id_open",
            "ALTER TABLE job ADD COLUMN lane integer NOT NULL DEFAULT 1",
            // Counts the claims. `attempt` counts those that cost one of `max_attempts`.
            "ALTER TABLE job ADD COLUMN fence integer NOT NULL DEFAULT 0",
            "ALTER TABLE job ADD COLUMN ordering_key text",
            "ALTER TABLE job ADD COLUMN limit_key text",
            "ALTER TABLE job ADD COLUMN trace text",
            "UPDATE job SET fence = attempt",
            "CREATE INDEX job_ready ON job (queue, lane, visible_at, id)",
            "CREATE INDEX job_ordering ON job (ordering_key, due_at, id) WHERE ordering_key IS NOT NULL",
            // At most one job of a key has been started: the law that a claim cannot break, whatever it read.
            "CREATE UNIQUE INDEX job_started ON job (ordering_key) WHERE ordering_key IS NOT NULL AND fence > 0",
        ] {
            connection.execute_unprepared(change).await?;
        }
        let queue = Table::create()
            .table("job_queue")
            .col(text("name").primary_key())
            .col(boolean("paused"))
            .col(ColumnDef::new("max_running").integer().null())
            .col(ColumnDef::new("max_running_per_key").integer().null())
            .col(ColumnDef::new("per_minute").integer().null())
            .col(ColumnDef::new("per_minute_per_key").integer().null())
            // When the next start would be on time at an even pace; a start may be early by a second's worth.
            .col(big("paced_to"))
            .to_owned();
        let key = Table::create()
            .table("job_pace")
            .col(text("queue"))
            .col(text("limit_key"))
            .col(big("paced_to"))
            .primary_key(Index::create().col("queue").col("limit_key"))
            .to_owned();
        let archive = Table::create()
            .table("job_archive")
            .col(big("id").primary_key())
            .col(text("queue"))
            .col(integer("lane"))
            .col(text("kind"))
            .col(text("payload"))
            .col(text_null("ordering_key"))
            .col(text_null("limit_key"))
            .col(text_null("trace"))
            .col(big("due_at"))
            .col(integer("fence"))
            .col(integer("attempt"))
            .col(integer("max_attempts"))
            .col(text("outcome"))
            .col(text("reason"))
            .col(text("request_id"))
            .col(big("ended_at"))
            .to_owned();
        let schedule = Table::create()
            .table("job_schedule")
            .col(text("name").primary_key())
            .col(text("cron"))
            .col(text("zone"))
            .col(text("payload"))
            .col(text("missed"))
            .col(boolean("paused"))
            .col(big("next_at"))
            .col(big_null("last_at"))
            .to_owned();
        let node = Table::create()
            .table("job_node")
            .col(text("name").primary_key())
            .col(text("version"))
            .col(integer("concurrency"))
            .col(integer("running"))
            .col(big("started_at"))
            .col(big("seen_at"))
            .to_owned();
        create(
            manager,
            [queue, key, archive, schedule, node],
            [
                Index::create().name("job_archive_ended_at").table("job_archive").col("ended_at").to_owned(),
                Index::create().name("job_archive_kind").table("job_archive").col("kind").col("id").to_owned(),
            ],
        )
        .await?;
        // What an older version gave up moves to where this one looks for it.
        connection
            .execute_unprepared(
                "INSERT INTO job_archive (id, queue, lane, kind, payload, due_at, fence, attempt, max_attempts, outcome, \
                 reason, request_id, ended_at) SELECT id, queue, lane, kind, payload, due_at, fence, attempt, \
                 max_attempts, 'DEAD', COALESCE(last_error, ''), request_id, visible_at FROM job WHERE dead",
            )
            .await?;
        connection.execute_unprepared("DELETE FROM job WHERE dead").await?;
        for queue in ["default", "mail", "bulk"] {
            connection
                .execute_unprepared(&format!(
                    "INSERT INTO job_queue (name, paused, paced_to) VALUES ('{queue}', {}, 0)",
                    if manager.get_database_backend() == sea_orm_migration::sea_orm::DbBackend::Postgres {
                        "false"
                    } else {
                        "0"
                    }
                ))
                .await?;
        }
        Ok(())
    }
}
