//! What can be wrong with a file that is imported: with the file as a whole, or with one row of it.

use std::path::PathBuf;

/// Why an import did not run, or stopped. Batches stored before that stand; running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read or the reject file could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not UTF-8.
    #[error(
        "line {line}, column {column}: the file is not UTF-8 ({found}); save it as \"CSV UTF-8\" and import it again"
    )]
    Encoding {
        /// The line, from 1.
        line: u64,
        /// The byte within the line, from 1.
        column: u64,
        /// What was found instead.
        found: &'static str,
    },
    /// There is no header row.
    #[error("the file is empty; its first line must name the columns")]
    Empty,
    /// A column that the mapping reads is not in the header.
    #[error(
        "the header has no column `{column}`; it has {known}: correct the file, or name another column in the mapping"
    )]
    HeaderMissing {
        /// The column asked for.
        column: String,
        /// The columns that exist.
        known: String,
    },
    /// Two columns have one name, so that a mapping could mean either.
    #[error("the header names the column `{column}` twice; rename one of them")]
    HeaderDuplicate {
        /// The name.
        column: String,
    },
    /// Without a mapping the columns must bear the names of fields.
    #[error(
        "the column `{column}` is not a field of {kind}; the fields are {known}: rename it, or give a mapping with --map"
    )]
    ColumnUnknown {
        /// The column.
        column: String,
        /// What is imported.
        kind: &'static str,
        /// The fields that exist.
        known: String,
    },
    /// A quote in the header has no partner, so that it is not known where the header ends.
    #[error("line {line}: a quote in the header is not closed at the end of a column's name; remove it, or close it")]
    HeaderQuote {
        /// The line on which it opens.
        line: u64,
    },
    /// A cell of the header is beyond the limit.
    #[error("line 1: a column name is longer than {limit} bytes; is this a CSV file with the delimiter `{delimiter}`?")]
    HeaderTooLarge {
        /// The limit in bytes.
        limit: usize,
        /// The delimiter that was expected.
        delimiter: char,
    },
    /// The file has more rows than one run takes.
    #[error("line {line}: the file has more than {limit} rows; split it into several files")]
    TooManyRows {
        /// Where the limit was passed.
        line: u64,
        /// The limit.
        limit: u64,
    },
    /// The mapping file says something that cannot be.
    #[error("the mapping is not usable: {0}")]
    Mapping(String),
    /// A command failed for a reason that is not the row's.
    #[error(transparent)]
    App(#[from] crate::AppError),
}

impl ImportError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "IMPORT_IO",
            Self::Encoding { .. } => "IMPORT_ENCODING",
            Self::Empty => "IMPORT_FILE_EMPTY",
            Self::HeaderMissing { .. } => "IMPORT_HEADER_MISSING",
            Self::HeaderDuplicate { .. } => "IMPORT_HEADER_DUPLICATE",
            Self::ColumnUnknown { .. } => "IMPORT_COLUMN_UNKNOWN",
            Self::HeaderQuote { .. } => "IMPORT_QUOTE",
            Self::HeaderTooLarge { .. } => "IMPORT_CELL_TOO_LARGE",
            Self::TooManyRows { .. } => "IMPORT_TOO_MANY_ROWS",
            Self::Mapping(_) => "IMPORT_MAPPING",
            Self::App(error) => error.code(),
        }
    }
}

/// What is wrong with one row, before it is known which row that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The column of the file, or the field where no column feeds it; empty where the whole row is meant.
    pub column: String,
    /// The stable code.
    pub code: String,
    /// One sentence that says what is wrong and what to do.
    pub sentence: String,
}

impl Fault {
    /// A fault of one column (or field).
    pub fn new(column: impl Into<String>, code: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { column: column.into(), code: code.into(), sentence: sentence.into() }
    }
}

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The line on which the row starts, from 1; the header is line 1.
    pub line: u64,
    /// What is wrong.
    pub fault: Fault,
    /// The row as it was read: bytes that are not UTF-8 are replaced, a cell beyond the limit is cut.
    pub cells: Vec<String>,
}

/// How much of a file is read at most. Memory is bounded by these, whatever the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one cell.
    pub cell: usize,
    /// Bytes in all cells of one row together.
    pub row: usize,
    /// Cells in one row.
    pub cells: usize,
    /// Rows in one file.
    pub rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cell: 64 * 1024, row: 256 * 1024, cells: 1_000, rows: 1_000_000 }
    }
}
