//! What a command did to a record, or to each of many.

use crate::AppError;
use serde::{Deserialize, Serialize};
use tandem_domain::codes;
use tandem_domain::decision::Decision;
use tandem_store::identity::{Identified, Many};
use tandem_store::{Result as StoreResult, Save, Stored, Tx};
use uuid::Uuid;

codes! {
    /// What became of a record.
    pub enum Outcome("outcome") {
        /// It was made.
        Created = "CREATED",
        /// It was there, and changed.
        Changed = "CHANGED",
        /// It was there, and is as it was: nothing was written.
        Unchanged = "UNCHANGED",
    }
}

/// A record, and what a command did to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Written<T> {
    /// What was done.
    pub outcome: Outcome,
    /// The record as it is now.
    pub record: T,
}

impl<T: Stored> Save for Written<T> {
    async fn save(&self, tx: &Tx) -> StoreResult<()> {
        if self.outcome == Outcome::Unchanged { Ok(()) } else { self.record.save(tx).await }
    }
}

impl<T> Written<T> {
    /// A record that was made.
    pub fn created(decision: Decision<T>) -> Decision<Self> {
        decision.map(|record| Self { outcome: Outcome::Created, record })
    }

    /// A record that was changed, or not.
    pub fn changed(before: T, decision: Option<Decision<T>>) -> Decision<Self> {
        match decision {
            Some(decision) => decision.map(|record| Self { outcome: Outcome::Changed, record }),
            None => Decision::unchanged(Self { outcome: Outcome::Unchanged, record: before }),
        }
    }
}

/// Why a row did nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRefusal {
    /// The stable code.
    pub code: String,
    /// A sentence that says what to do next.
    pub message: String,
    /// The input field concerned, in the schema's spelling.
    pub field: Option<String>,
}

/// What became of one row of many: a record, or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowResult {
    /// The row's record and what was done to it.
    Written {
        /// What was done.
        outcome: Outcome,
        /// The record's id.
        id: Uuid,
    },
    /// The row did nothing.
    Refused(RowRefusal),
}

impl RowResult {
    /// The row's record, where there is one.
    pub const fn id(&self) -> Option<Uuid> {
        match self {
            Self::Written { id, .. } => Some(*id),
            Self::Refused(_) => None,
        }
    }

    /// Keeps what the caller can mend as the row's refusal; a failure of the world stays one.
    pub fn from_refusal(error: AppError) -> Result<Self, AppError> {
        match error {
            AppError::Refused { code, message, field } => {
                Ok(Self::Refused(RowRefusal { code: code.to_owned(), message, field }))
            }
            AppError::NotFound { .. } => {
                let (code, message) = (error.code().to_owned(), error.to_string());
                Ok(Self::Refused(RowRefusal { code, message, field: None }))
            }
            failure => Err(failure),
        }
    }
}

/// What became of each row, in their order, and the records to write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Rows<T> {
    /// One for each row given.
    pub rows: Vec<RowResult>,
    /// The records that changed. Not part of the answer to a repeated request.
    #[serde(skip, default = "nothing")]
    pub changed: Many<T>,
}

fn nothing<T>() -> Many<T> {
    Many(Vec::new())
}

impl<T: Identified> Save for Rows<T> {
    async fn save(&self, tx: &Tx) -> StoreResult<()> {
        self.changed.save(tx).await
    }
}

/// The most rows one command takes.
pub const MAX_ROWS: usize = 500;

/// Refuses more than [`MAX_ROWS`] rows.
pub fn check_rows(count: usize) -> Result<(), AppError> {
    if count <= MAX_ROWS {
        return Ok(());
    }
    let message = format!("{count} rows are too many; send at most {MAX_ROWS} at a time");
    Err(AppError::refused("ROWS_TOO_MANY", message, Some("rows")))
}
