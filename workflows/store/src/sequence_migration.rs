//! Migrations of runs between versions of a sequence, and who runs on which version.

pub mod migration_row {
    //! The migration's row.
    use crate::stored::stored;
    use tandem_domain::sequence::SequenceMigration;
    stored!(SequenceMigration, "SequenceMigration", "sequence_migration", |migration| {
        sequence_id: Uuid = migration.sequence.into(),
        state: String = migration.state.to_string(),
    });
}

use crate::page::{Page, PageOf};
use crate::sequence::{enrollment_row, version_row};
use crate::{Result, Store, Tx};
use enrollment_row::row as enrollment;
use migration_row::row as migration;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select, Statement,
};
use tandem_domain::id::{EnrollmentId, SequenceId, SequenceVersionId};
use tandem_domain::sequence::enrollment::WaitReason;
use tandem_domain::sequence::migration::MigrationState;
use tandem_domain::sequence::migration::moving::Whereabouts;
use tandem_domain::sequence::migration::preview::Crowd;
use tandem_domain::sequence::{Enrollment, SequenceMigration, SequenceVersion};
use uuid::Uuid;
use version_row::row as version;

#[derive(FromQueryResult)]
struct Counted {
    version_id: Uuid,
    step: String,
    state: String,
    reason: Option<String>,
    waiting: Option<String>,
    moved_on: Option<String>,
    task: Option<String>,
    count: i64,
}

#[derive(FromQueryResult)]
struct Found {
    id: Uuid,
}

/// Live runs by version, place and state. What a run waits for is in the body alone: columns of it would cost every step more
/// than this now and then.
async fn crowds<C: ConnectionTrait>(
    connection: &C,
    of: SequenceId,
    but: Option<SequenceVersionId>,
) -> Result<Vec<Crowd>> {
    // What a paused run waits for counts as it does for one that waits.
    let sql = "SELECT version_id, step, state, reason, waiting, moved_on, task, COUNT(*) AS count FROM (\
               SELECT version_id, COALESCE(step, '') AS step, state, reason, \
               COALESCE(body -> 'held' ->> 'waiting', CASE WHEN state = 'WAITING' THEN reason END) AS waiting, \
               CAST(body -> 'memory' ->> 'moved_on' AS TEXT) AS moved_on, body -> 'memory' -> 'task' ->> 'step' AS task \
               FROM enrollment WHERE live AND version_id IN \
               (SELECT id FROM sequence_version WHERE sequence_id = $1 AND id <> $2)) AS runs \
               GROUP BY version_id, step, state, reason, waiting, moved_on, task";
    let but = but.map_or_else(Uuid::nil, Uuid::from);
    let statement =
        Statement::from_sql_and_values(connection.get_database_backend(), sql, [Uuid::from(of).into(), but.into()]);
    let counted = Counted::find_by_statement(statement).all(connection).await?;
    let crowd = |row: Counted| {
        let called = row.waiting.as_deref() == Some(WaitReason::Answer.as_str()) && row.moved_on.is_none();
        Some(Crowd {
            version: row.version_id.into(),
            at: Whereabouts { step: row.step, called, task: row.task },
            state: row.state.parse().ok()?,
            reason: row.reason,
            count: u64::try_from(row.count).ok()?,
        })
    };
    Ok(counted.into_iter().filter_map(crowd).collect())
}

impl Tx {
    /// The live runs of a sequence by version, step and state; those of the version `but` are left out.
    pub async fn crowds(&self, of: SequenceId, but: Option<SequenceVersionId>) -> Result<Vec<Crowd>> {
        crowds(self.connection().await?, of, but).await
    }

    /// Versions by their ids, to be read.
    pub async fn sequence_versions(&self, ids: Vec<SequenceVersionId>) -> Result<Vec<SequenceVersion>> {
        let ids = ids.into_iter().map(Uuid::from);
        self.read(version::Entity::find().filter(version::Column::Id.is_in(ids)).order_by_asc(version::Column::Number))
            .await
    }

    /// The migration of a sequence that is not over, to be read.
    pub async fn open_migration_of(&self, of: SequenceId) -> Result<Option<SequenceMigration>> {
        Ok(self.read(open_of(of)).await?.pop())
    }

    /// Up to `limit` live runs of a version that come after `after`, locked, in the order of their ids. Writing them waits for
    /// the end of the transaction. A run that ended or moved before its lock was had is among them as it is by then.
    pub async fn live_runs_of(
        &self,
        of: SequenceVersionId,
        after: Option<EnrollmentId>,
        limit: u64,
    ) -> Result<Vec<Enrollment>> {
        let mut query = enrollment::Entity::find()
            .select_only()
            .column(enrollment::Column::Id)
            .filter(enrollment::Column::VersionId.eq(Uuid::from(of)))
            // In the words of the index, which SQLite does not find otherwise.
            .filter(Expr::cust("live"))
            .order_by_asc(enrollment::Column::Id)
            .limit(limit);
        if let Some(after) = after {
            query = query.filter(enrollment::Column::Id.gt(Uuid::from(after)));
        }
        let found = query.into_model::<Found>().all(self.connection().await?).await?;
        let mut runs: Vec<Enrollment> = self.get_ahead(found.into_iter().map(|found| found.id)).await?;
        runs.sort_by_key(|run| run.id);
        Ok(runs)
    }
}

fn open_of(sequence: SequenceId) -> Select<migration::Entity> {
    let open = MigrationState::ALL.iter().filter(|state| state.is_open()).map(|state| state.as_str());
    migration::Entity::find()
        .filter(migration::Column::SequenceId.eq(Uuid::from(sequence)))
        .filter(migration::Column::State.is_in(open))
        .limit(1)
}

impl Store {
    /// The migration of a sequence that is not over.
    pub async fn open_migration_of(&self, of: SequenceId) -> Result<Option<SequenceMigration>> {
        Ok(self.all(open_of(of)).await?.pop())
    }

    /// The live runs of a sequence by version, step and state; those of the version `but` are left out.
    pub async fn crowds(&self, of: SequenceId, but: Option<SequenceVersionId>) -> Result<Vec<Crowd>> {
        crowds(self.reader(), of, but).await
    }

    /// A sequence's version of this number.
    pub async fn sequence_version_numbered(&self, of: SequenceId, number: u32) -> Result<Option<SequenceVersion>> {
        let Ok(number) = i32::try_from(number) else { return Ok(None) };
        let query = version::Entity::find()
            .filter(version::Column::SequenceId.eq(Uuid::from(of)))
            .filter(version::Column::Number.eq(number));
        Ok(self.all(query).await?.pop())
    }

    /// A page of a sequence's migrations, in the order in which they were asked for.
    pub async fn sequence_migration_page(
        &self,
        of: SequenceId,
        page: &Page<Uuid>,
    ) -> Result<PageOf<SequenceMigration>> {
        self.page(migration::Entity::find().filter(migration::Column::SequenceId.eq(Uuid::from(of))), page).await
    }
}
