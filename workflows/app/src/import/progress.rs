//! What an import tells while it runs, and what it says at the end.

use crate::written::Outcome;
use serde::Serialize;
use std::path::PathBuf;

/// How far an import has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes read of the file.
    pub bytes: u64,
    /// Rows done, rejected ones included.
    pub rows: u64,
    /// Rows rejected.
    pub rejected: u64,
}

/// Is told how far an import has come, after each batch.
pub trait Progress: Send + Sync {
    /// The import has come this far.
    fn advanced(&self, step: Step);
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn advanced(&self, _: Step) {}
}

/// What became of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What was imported, e.g. `accounts`.
    pub kind: String,
    /// Whether it was a dry run, in which everything was checked and nothing stored.
    pub dry_run: bool,
    /// Rows in the file.
    pub rows: u64,
    /// Rows that made something new.
    pub created: u64,
    /// Rows that changed something.
    pub changed: u64,
    /// Rows of which everything was there before.
    pub unchanged: u64,
    /// Rows that were not taken.
    pub rejected: u64,
    /// The file that says why, where there is one.
    pub rejects: Option<PathBuf>,
    /// Columns of the file that the mapping does not read.
    pub unused_columns: Vec<String>,
}

impl Summary {
    pub(super) const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Changed => self.changed += 1,
            Outcome::Unchanged => self.unchanged += 1,
        }
    }
}
