//! Comparing versions, looking ahead at a publication, and steering migrations.

use super::versions::{SequenceDiff, SequenceMigrationNode, SequencePreview, SequenceRunningInput};
use crate::context::ContextExt;
use crate::error::{ApiError, within};
use crate::ids::{local, local_opt};
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::{AppError, SequenceMigrate, SequenceMigrationCancel, SequenceMigrationPause, SequenceMigrationResume};
use tandem_domain::sequence::migration::{Policy, Running};

/// Runs to move to the newest version of a sequence, or to end.
#[derive(InputObject)]
pub struct SequenceMigrateInput {
    /// The sequence.
    sequence_id: ID,
    /// What becomes of those who run on older versions; not STAY.
    running: SequenceRunningInput,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A migration to pause.
#[derive(InputObject)]
pub struct SequenceMigrationPauseInput {
    /// The migration.
    migration_id: ID,
}

/// A migration to resume.
#[derive(InputObject)]
pub struct SequenceMigrationResumeInput {
    /// The migration.
    migration_id: ID,
}

/// A migration to cancel.
#[derive(InputObject)]
pub struct SequenceMigrationCancelInput {
    /// The migration.
    migration_id: ID,
}

payload! {
    /// What `sequenceMigrate` did.
    SequenceMigratePayload {
        /// The migration that began.
        migration: SequenceMigrationNode,
    }
    /// What `sequenceMigrationPause` did.
    SequenceMigrationPausePayload {
        /// The migration after the change.
        migration: SequenceMigrationNode,
    }
    /// What `sequenceMigrationResume` did.
    SequenceMigrationResumePayload {
        /// The migration after the change.
        migration: SequenceMigrationNode,
    }
    /// What `sequenceMigrationCancel` did.
    SequenceMigrationCancelPayload {
        /// The migration after the change.
        migration: SequenceMigrationNode,
    }
}

/// Comparing versions, and looking ahead at a publication.
#[derive(Default)]
pub struct SequenceVersionQuery;

#[Object]
impl SequenceVersionQuery {
    /// What a definition, or a version, changes: against a version, or else against the newest version of the definition's key,
    /// or the version before. Nothing is saved.
    async fn sequence_diff(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition, in YAML or JSON. Either this or `versionId`.")] source: Option<String>,
        #[graphql(desc = "The version. Either this or `source`.")] version_id: Option<ID>,
        #[graphql(desc = "The version that it is compared with.")] against: Option<ID>,
    ) -> Result<SequenceDiff, ApiError> {
        let against = local_opt(against.as_ref(), "against")?;
        match (source, version_id) {
            (Some(source), None) => {
                let done = ctx.app().sequence_diff(&source, against).await;
                let library = ctx.app().library(&source).await?;
                SequenceDiff::of(Some((&source, &library)), done)
            }
            (None, Some(version)) => {
                let version = local(&version, "versionId")?;
                SequenceDiff::of(None, ctx.app().sequence_version_diff(version, against).await)
            }
            _ => {
                let message = "give either a definition or a version to compare";
                Err(AppError::refused("SEQUENCE_DIFF_CHOICE", message, Some("source")).into())
            }
        }
    }

    /// Who runs on older versions, step by step, and what would become of them if a definition were published now. Nothing is
    /// saved. What a publication would be refused for, this is, or it tells it as a problem.
    async fn sequence_preview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition, in YAML or JSON.")] source: String,
        #[graphql(desc = "What would become of them; absent means MIGRATE without a map.")] running: Option<
            SequenceRunningInput,
        >,
    ) -> Result<SequencePreview, ApiError> {
        let running = match running {
            Some(running) => running.running().map_err(|error| within(error, "running"))?,
            None => Running { policy: Policy::Migrate, map: Vec::new() },
        };
        Ok(ctx.app().sequence_preview(ctx.actor(), &source, &running).await?.into())
    }
}

/// Moving runs between versions.
#[derive(Default)]
pub struct SequenceMigrationMutation;

#[Object]
impl SequenceMigrationMutation {
    /// Moves those who run on older versions to the newest, or ends them, by a job that works in parts. Where the map does not
    /// say what becomes of somebody, nothing begins.
    async fn sequence_migrate(
        &self,
        ctx: &Context<'_>,
        input: SequenceMigrateInput,
    ) -> Result<SequenceMigratePayload, ApiError> {
        let done = async {
            let sequence = local(&input.sequence_id, "sequenceId")?;
            let running = input.running.running().map_err(|error| within(error, "running"))?;
            let command = SequenceMigrate { sequence, running };
            ctx.run(input.idempotency_key, command).await.map_err(inside_running)
        };
        SequenceMigratePayload::of(done.await.map(SequenceMigrationNode))
    }

    /// Pauses a migration: after the part that is under way, no more follows.
    async fn sequence_migration_pause(
        &self,
        ctx: &Context<'_>,
        input: SequenceMigrationPauseInput,
    ) -> Result<SequenceMigrationPausePayload, ApiError> {
        let done = async {
            let migration = local(&input.migration_id, "migrationId")?;
            ctx.run(None, SequenceMigrationPause { migration }).await
        };
        SequenceMigrationPausePayload::of(done.await.map(SequenceMigrationNode))
    }

    /// Lets a paused migration go on where it stopped.
    async fn sequence_migration_resume(
        &self,
        ctx: &Context<'_>,
        input: SequenceMigrationResumeInput,
    ) -> Result<SequenceMigrationResumePayload, ApiError> {
        let done = async {
            let migration = local(&input.migration_id, "migrationId")?;
            ctx.run(None, SequenceMigrationResume { migration }).await
        };
        SequenceMigrationResumePayload::of(done.await.map(SequenceMigrationNode))
    }

    /// Ends a migration early: who was moved stays there, the others stay on their versions.
    async fn sequence_migration_cancel(
        &self,
        ctx: &Context<'_>,
        input: SequenceMigrationCancelInput,
    ) -> Result<SequenceMigrationCancelPayload, ApiError> {
        let done = async {
            let migration = local(&input.migration_id, "migrationId")?;
            ctx.run(None, SequenceMigrationCancel { migration }).await
        };
        SequenceMigrationCancelPayload::of(done.await.map(SequenceMigrationNode))
    }
}

/// What a refusal says of the map or the policy, it says of a field inside `running`.
pub(super) fn inside_running(error: AppError) -> AppError {
    let theirs = matches!(&error, AppError::Refused { field: Some(field), .. } if field == "map" || field == "policy");
    if theirs { within(error, "running") } else { error }
}
