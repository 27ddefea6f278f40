//! What can go wrong between Tandem and its database.

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use std::sync::Arc;
use uuid::Uuid;

/// The result of everything in the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed what this transaction was about to change. Trying again may succeed.
    #[error("somebody else changed this first")]
    Conflict,
    /// The job's lease was lost: another worker has it, and this transaction must not happen.
    #[error("the lease of job {job} was lost")]
    LeaseLost {
        /// The job.
        job: i64,
    },
    /// A unique value is already taken.
    #[error("this {kind} exists already: {what} is taken")]
    Duplicate {
        /// The type name of what was to be written.
        kind: &'static str,
        /// What is taken, in the words of the aggregate.
        what: String,
        /// The existing owner, where it is known.
        owner: Option<Uuid>,
    },
    /// The database refused or failed.
    #[error(transparent)]
    Database(DbErr),
    /// What is stored does not fit its type.
    #[error("stored {kind} does not fit its type: {source}")]
    Decode {
        /// The type name.
        kind: &'static str,
        /// The reason.
        source: serde_json::Error,
    },
    /// The database is not at the version that this program needs.
    #[error("{pending} migration(s) are pending: run `tandem migrate up`")]
    NotMigrated {
        /// How many are missing.
        pending: usize,
    },
    /// The address of the database cannot be used.
    #[error("database.url: {0}")]
    Address(String),
    /// A failure of one read that several waited for: each of them has it.
    #[error(transparent)]
    Shared(Arc<StoreError>),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if is_lost_race(&error) { Self::Conflict } else { Self::Database(error) }
    }
}

impl StoreError {
    /// Turns a violated unique index, met while writing a `kind`, into [`StoreError::Duplicate`].
    pub(crate) fn writing(error: DbErr, kind: &'static str) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => {
                Self::Duplicate { kind, what: "a unique value".to_owned(), owner: None }
            }
            _ => error.into(),
        }
    }
}

/// Whether PostgreSQL gave up a transaction because of another one: a deadlock (40P01) or a serialisation
/// failure (40001). SQLite's one writer never meets either.
fn is_lost_race(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source))) = error else {
        return false;
    };
    let code = source.as_database_error().and_then(|database| database.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}
