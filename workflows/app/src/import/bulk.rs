//! One file of one kind: a thread reads and maps, batches of rows are committed, refused rows are set aside.

use super::fault::{Fault, ImportError, Limits, Reject};
use super::mapping::{Bound, Fields, Known, Mapping};
use super::progress::{Progress, Step, Summary};
use super::reader::CsvRows;
use super::rejects::Rejects;
use crate::written::Outcome;
use crate::{App, AppError, Batch, Call};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use tandem_domain::custom_field::{self, CustomField, Entity};
use tandem_store::StoreError;
use tokio::sync::mpsc;

/// Rows in one transaction.
const BATCH: usize = 500;
/// Bytes of cells in one transaction, where rows are long.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Batches that may be read ahead: with the size of a batch, the bound on what is held of a file.
const AHEAD: usize = 2;

/// What to import and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// The file.
    pub file: PathBuf,
    /// How its columns are read; without one they bear the names of fields.
    pub mapping: Option<Mapping>,
    /// Whether everything is checked and nothing stored.
    pub dry_run: bool,
    /// How much of the file is read at most.
    pub limits: Limits,
}

impl Job {
    /// Imports a file whose columns bear the names of fields.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), mapping: None, dry_run: false, limits: Limits::default() }
    }

    /// The same through a mapping.
    pub fn mapped(mut self, mapping: Mapping) -> Self {
        self.mapping = Some(mapping);
        self
    }

    /// The same without storing anything.
    pub const fn dry(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// A row's end: what became of it, or why it was refused.
pub(super) type Done = Result<Outcome, Fault>;

/// Something that rows can be.
pub(super) trait Kind: Send + Sync {
    /// What one row becomes before any transaction.
    type Input: Send + Sync;
    /// Its name in the plural, as on the command line.
    const NAME: &'static str;
    /// What its custom fields belong to.
    const ENTITY: Entity;
    /// Its fields.
    const KNOWN: &'static [Known];

    /// Reads a row's values; what needs no database is refused here.
    fn read(&self, fields: &Fields, bound: &Bound) -> Result<Self::Input, Fault>;

    /// Stores rows within a batch; gives what became of each, in their order.
    fn store(
        &self,
        batch: &mut Batch<'_>,
        call: &Call,
        bound: &Bound,
        rows: Vec<Self::Input>,
    ) -> impl Future<Output = crate::Result<Vec<Done>>> + Send;
}

/// A row as the reading thread hands it over.
struct Read {
    line: u64,
    cells: Vec<String>,
    fields: Result<Fields, Fault>,
}

/// Rows that were read together, and how far into the file that is.
struct Chunk {
    bytes: u64,
    rows: Vec<Read>,
}

/// The custom field of `entity` that a row was refused for: the first whose value does not fit, or the first that is
/// needed and has none; none where it is no custom field of the row's own. A command says only that it is one.
fn custom_at_fault(definitions: &[CustomField], entity: Entity, code: &str, fields: &Fields) -> Option<String> {
    let given: BTreeMap<String, serde_json::Value> =
        fields.family("custom.").map(|(key, value)| (key.to_owned(), value.into())).collect();
    let unfit = given.iter().find(|(key, value)| custom_field::check(definitions, entity, key, value).is_err());
    if let Some((key, _)) = unfit {
        return Some(key.clone());
    }
    match custom_field::complete(definitions, entity, &given) {
        Err(custom_field::Refusal::Required { key }) if code == "CUSTOM_FIELD_REQUIRED" => Some(key),
        _ => None,
    }
}

/// Opens a file to import.
pub(super) fn open(path: &Path) -> Result<File, ImportError> {
    File::open(path).map_err(|source| ImportError::Io { path: path.to_owned(), source })
}

fn read_all(mut rows: CsvRows<File>, bound: &Bound, out: &mpsc::Sender<Chunk>) -> Result<(), ImportError> {
    loop {
        let mut chunk = Chunk { bytes: 0, rows: Vec::with_capacity(BATCH) };
        let mut held = 0;
        while chunk.rows.len() < BATCH && held < BATCH_BYTES {
            let row = match rows.next_row()? {
                None => break,
                Some(Ok(record)) => Read { line: record.line, fields: bound.apply(&record), cells: record.cells },
                Some(Err(Reject { line, fault, cells })) => Read { line, fields: Err(fault), cells },
            };
            held += row.cells.iter().map(String::len).sum::<usize>();
            chunk.rows.push(row);
        }
        chunk.bytes = rows.bytes();
        // A receiver that is gone has failed and says why itself.
        if chunk.rows.is_empty() || out.blocking_send(chunk).is_err() {
            return Ok(());
        }
    }
}

/// A refusal in the words of the file: the column instead of the field.
pub(super) fn fault_of(error: AppError, column: impl Fn(&str) -> String) -> Result<Fault, AppError> {
    if !error.is_refusal() {
        return Err(error);
    }
    let code = error.code();
    let sentence = error.to_string();
    Ok(match error {
        AppError::Refused { field: Some(field), .. } => Fault::new(column(&field), code, sentence),
        AppError::Store(StoreError::Duplicate { .. }) => {
            Fault::new("", code, format!("{sentence}; another record has one of its keys"))
        }
        _ => Fault::new("", code, sentence),
    })
}

struct Run<'a, K> {
    app: &'a App,
    call: &'a Call,
    kind: &'a K,
    bound: &'a Bound,
    dry_run: bool,
}

impl<K: Kind> Run<'_, K> {
    /// All rows in one transaction. None where a write failed, so that nothing of it stands.
    async fn together(&self, rows: &[Read]) -> Result<Option<Vec<Done>>, AppError> {
        let read: Vec<Result<K::Input, Fault>> = rows
            .iter()
            .map(|row| match &row.fields {
                Ok(fields) => self.kind.read(fields, self.bound),
                Err(fault) => Err(fault.clone()),
            })
            .collect();
        let mut faults = Vec::with_capacity(read.len());
        let mut inputs = Vec::with_capacity(read.len());
        for row in read {
            match row {
                Ok(input) => {
                    inputs.push(input);
                    faults.push(None);
                }
                Err(fault) => faults.push(Some(fault)),
            }
        }
        let mut ends = Vec::new();
        if !inputs.is_empty() {
            let mut batch = self.app.batch().await?;
            match self.kind.store(&mut batch, self.call, self.bound, inputs).await {
                Err(error) if !error.is_refusal() => return Err(error),
                _ if batch.is_broken() => return Ok(None),
                stored => ends = stored?,
            }
            if !self.end(batch).await? {
                return Ok(None);
            }
        }
        let mut ends = ends.into_iter();
        let lost = || Err(Fault::new("", "INTERNAL", "nothing is known of what became of this row"));
        Ok(Some(faults.into_iter().map(|fault| fault.map_or_else(|| ends.next().unwrap_or_else(lost), Err)).collect()))
    }

    /// The column of the custom field that a row was refused for, or its name where no column feeds it.
    fn custom_column(&self, definitions: &[CustomField], code: &str, row: &Read) -> String {
        let fields = row.fields.as_ref().ok();
        let key = fields.and_then(|fields| custom_at_fault(definitions, K::ENTITY, code, fields));
        key.map(|key| self.bound.column(&format!("custom.{key}"))).unwrap_or_default()
    }

    /// Commits, or in a dry run undoes. False where somebody else was first.
    async fn end(&self, batch: Batch<'_>) -> Result<bool, AppError> {
        if self.dry_run {
            return Ok(true);
        }
        match batch.commit().await {
            Ok(()) => Ok(true),
            Err(AppError::Store(StoreError::Conflict | StoreError::Duplicate { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Each row in a transaction of its own, so that the bad one takes no good one with it.
    async fn one_by_one(&self, rows: &[Read]) -> Result<Vec<Done>, AppError> {
        let mut done = Vec::with_capacity(rows.len());
        for row in rows {
            let mut tries = 0;
            done.extend(loop {
                tries += 1;
                match self.together(std::slice::from_ref(row)).await? {
                    Some(done) => break done,
                    None if tries < 5 => {}
                    None => {
                        let sentence = "the row collides with what is stored, or with what somebody else is doing; import it again";
                        break vec![Err(Fault::new("", "CONFLICT", sentence))];
                    }
                }
            });
        }
        Ok(done)
    }
}

/// Imports a file of one kind. Batches that were stored before a failure stand; running it again goes on from there.
pub(super) async fn run<K: Kind>(
    app: &App,
    call: &Call,
    kind: &K,
    job: &Job,
    progress: &dyn Progress,
) -> Result<Summary, ImportError> {
    let file = open(&job.file)?;
    let delimiter = job.mapping.as_ref().map_or(Ok(b','), Mapping::delimiter)?;
    let rows = CsvRows::open(&job.file, file, delimiter, job.limits)?;
    let bound = match &job.mapping {
        Some(mapping) => mapping.bind(rows.header(), K::NAME, K::KNOWN)?,
        None => Mapping::of_header(rows.header(), K::NAME, K::KNOWN)?.bind(rows.header(), K::NAME, K::KNOWN)?,
    };
    let mut rejects = Rejects::of(&job.file, rows.header(), rows.form());
    let mut summary = Summary {
        kind: K::NAME.to_owned(),
        dry_run: job.dry_run,
        unused_columns: bound.unused().into_iter().map(str::to_owned).collect(),
        ..Summary::default()
    };
    let (send, mut chunks) = mpsc::channel(AHEAD);
    let reading_bound = bound.clone();
    let reading = tokio::task::spawn_blocking(move || read_all(rows, &reading_bound, &send));
    let run = Run { app, call, kind, bound: &bound, dry_run: job.dry_run };
    while let Some(Chunk { bytes, rows }) = chunks.recv().await {
        let done = match run.together(&rows).await? {
            Some(done) => done,
            None => run.one_by_one(&rows).await?,
        };
        let mut definitions = None;
        for (row, done) in rows.into_iter().zip(done) {
            summary.rows += 1;
            match done {
                Ok(outcome) => summary.count(outcome),
                Err(mut fault) => {
                    summary.rejected += 1;
                    if fault.column == "customFields" {
                        let definitions = match &definitions {
                            Some(known) => known,
                            None => definitions.insert(app.store.custom_fields().await.map_err(AppError::from)?),
                        };
                        fault.column = run.custom_column(definitions, &fault.code, &row);
                    }
                    rejects.push(&Reject { line: row.line, fault, cells: row.cells })?;
                }
            }
        }
        progress.advanced(Step { bytes, rows: summary.rows, rejected: summary.rejected });
    }
    // The reader failed (too many rows, a disk that is gone): what was stored stands, and the caller hears why.
    match reading.await {
        Ok(read) => read?,
        Err(error) => {
            let source = std::io::Error::other(error.to_string());
            return Err(ImportError::Io { path: job.file.clone(), source });
        }
    }
    summary.rejects = rejects.finish()?;
    Ok(summary)
}
