//! A queue of their own for the steps of sequences, which run many at a time, and tables that stay small under them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut changes = vec![
            "INSERT INTO job_queue (name, paused, paced_to) SELECT 'steps', paused, 0 FROM job_queue WHERE name = 'default'",
            "UPDATE job SET queue = 'steps' WHERE kind = 'advance_enrollment' AND queue = 'default'",
            // Nobody asks by it: a due enrolment has a job. Without it, a step that waits again changes no index.
            "DROP INDEX enrollment_due_at_id_open",
        ];
        if manager.get_database_backend() == DbBackend::Postgres {
            changes.extend([
                // A row that changes finds room beside itself, and its indexes stay as they are.
                "ALTER TABLE enrollment SET (fillfactor = 75)",
                // Every job is a row that comes, changes and goes: the usual thresholds would let millions of dead rows
                // pile up before the first vacuum, and plans go by counts of long ago.
                "ALTER TABLE job SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, \
                 autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 5000, autovacuum_vacuum_cost_delay = 0)",
            ]);
        }
        for change in changes {
            manager.get_connection().execute_unprepared(change).await?;
        }
        Ok(())
    }
}
