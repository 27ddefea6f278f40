//! The reject file: each row that was not taken, with line, column, code and sentence, ready to be corrected.

use super::fault::{ImportError, Reject};
use super::reader::{Form, REJECT_COLUMNS};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes `FILE.rejects.csv`. It appears whole by [`Rejects::finish`], or not at all.
pub struct Rejects {
    path: PathBuf,
    part: PathBuf,
    columns: Vec<String>,
    form: Form,
    out: Option<csv::Writer<BufWriter<File>>>,
    count: u64,
}

impl Rejects {
    /// Rejects of `source`, whose columns follow those that say what is wrong. It is written in the `form` of
    /// the source, so that whatever reads that reads it too. Nothing is written until a row is refused.
    pub fn of(source: &Path, columns: &[String], form: Form) -> Self {
        Self {
            path: Self::path_of(source),
            part: with_suffix(source, ".rejects.csv.part"),
            columns: columns.to_vec(),
            form,
            out: None,
            count: 0,
        }
    }

    /// Where the reject file of `source` is.
    pub fn path_of(source: &Path) -> PathBuf {
        with_suffix(source, ".rejects.csv")
    }

    /// How many rows have been refused.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Adds a row.
    pub fn push(&mut self, reject: &Reject) -> Result<(), ImportError> {
        self.count += 1;
        self.write(reject).map_err(|source| ImportError::Io { path: self.part.clone(), source })
    }

    fn write(&mut self, reject: &Reject) -> io::Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            None => {
                let mut file = BufWriter::new(File::create(&self.part)?);
                if self.form.mark {
                    file.write_all("\u{FEFF}".as_bytes())?;
                }
                let mut out = csv::WriterBuilder::new().flexible(true).delimiter(self.form.delimiter).from_writer(file);
                out.write_record(REJECT_COLUMNS.into_iter().chain(self.columns.iter().map(String::as_str)))?;
                self.out.insert(out)
            }
        };
        let line = reject.line.to_string();
        let fault = &reject.fault;
        let start = [line.as_str(), fault.column.as_str(), fault.code.as_str(), fault.sentence.as_str()];
        out.write_record(start.into_iter().chain(reject.cells.iter().map(String::as_str)))?;
        Ok(())
    }

    /// Puts the file in its place, or removes that of an earlier run where nothing was refused. Gives its path.
    pub fn finish(mut self) -> Result<Option<PathBuf>, ImportError> {
        let path = self.path.clone();
        self.place().map_err(|source| {
            let _ = fs::remove_file(&self.part);
            ImportError::Io { path, source }
        })
    }

    fn place(&mut self) -> io::Result<Option<PathBuf>> {
        let Some(mut out) = self.out.take() else {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(None),
            };
        };
        out.flush()?;
        let mut file = out.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&self.part, &self.path)?;
        Ok(Some(self.path.clone()))
    }
}

impl Drop for Rejects {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            // The run failed: half a reject file would be taken for the whole.
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn with_suffix(source: &Path, suffix: &str) -> PathBuf {
    let mut name = source.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
