//! Reads rows from a file in bounded memory: CSV by the machine under the `csv` crate, and lines of JSON.
//!
//! The machine is driven directly because a reader of whole records would hold a ten-megabyte cell before anyone
//! could refuse it. A row that cannot be used becomes a [`Reject`]; only what spoils the whole file is an error.

use super::fault::{Fault, ImportError, Limits, Reject};
use csv_core::ReadFieldResult;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

/// A row whose cells are UTF-8, within the limits and as many as the header has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line on which the row starts, from 1.
    pub line: u64,
    /// The cells, in the order of the header.
    pub cells: Vec<String>,
}

/// How many bytes of a cell beyond the limit are kept for the reject file.
const EXCERPT: usize = 200;
/// The columns that a reject file has before those of the original; a corrected reject file is read without them.
pub(super) const REJECT_COLUMNS: [&str; 4] = ["line", "column", "code", "sentence"];

/// Counts what has been read, so that progress is measured in bytes of the file.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    let path = path.to_owned();
    |source| ImportError::Io { path, source }
}

/// One row as the machine gives it, before it is judged.
#[derive(Default)]
struct Raw {
    line: u64,
    cells: Vec<Vec<u8>>,
    /// How many cells the row has; more than are kept where it passes the limit.
    count: usize,
    /// The first cell beyond the limit of a cell, and its length.
    long: Option<(usize, usize)>,
    /// All bytes of the row's cells.
    bytes: usize,
}

/// The rows of a CSV file whose first line names the columns.
pub struct CsvRows<R> {
    path: PathBuf,
    input: Looked<R>,
    machine: csv_core::Reader,
    chunk: Vec<u8>,
    limits: Limits,
    header: Vec<String>,
    /// Cells in front of each row that belong to a reject file, not to the data.
    skip: usize,
    rows: u64,
    done: bool,
}

impl<R: Read> CsvRows<R> {
    /// Reads the header of `input`; `path` is for messages. A byte-order mark is skipped.
    pub fn open(path: &Path, input: R, delimiter: u8, limits: Limits) -> Result<Self, ImportError> {
        let input = look(path, input)?;
        let machine = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let mut rows = Self {
            path: path.to_owned(),
            input,
            machine,
            chunk: vec![0; 16 * 1024],
            limits,
            header: Vec::new(),
            skip: 0,
            rows: 0,
            done: false,
        };
        let raw = rows.read()?.ok_or(ImportError::Empty)?;
        if raw.long.is_some() || raw.bytes > limits.row || raw.count > limits.cells {
            return Err(ImportError::HeaderTooLarge { limit: limits.cell, delimiter: char::from(delimiter) });
        }
        let mut offset = 1;
        for cell in raw.cells {
            let text = std::str::from_utf8(&cell).map_err(|error| ImportError::Encoding {
                line: raw.line,
                column: offset + error.valid_up_to() as u64,
                found: "the header holds a byte that cannot be",
            })?;
            offset += cell.len() as u64 + 1;
            rows.header.push(text.trim().to_owned());
        }
        if rows.header.iter().take(4).eq(REJECT_COLUMNS.iter()) {
            rows.header.drain(..4);
            rows.skip = 4;
        }
        let mut seen = std::collections::BTreeSet::new();
        for column in rows.header.iter().filter(|column| !column.is_empty()) {
            if !seen.insert(column.to_lowercase()) {
                return Err(ImportError::HeaderDuplicate { column: column.clone() });
            }
        }
        Ok(rows)
    }

    /// The names of the columns, trimmed.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// How many bytes of the file have been read.
    pub fn bytes(&self) -> u64 {
        self.input.get_ref().get_ref().1.bytes
    }

    /// The next row, or why it cannot be used; none at the end.
    pub fn next_row(&mut self) -> Result<Option<Result<Record, Reject>>, ImportError> {
        let Some(raw) = self.read()? else { return Ok(None) };
        self.rows += 1;
        if self.rows > self.limits.rows {
            return Err(ImportError::TooManyRows { line: raw.line, limit: self.limits.rows });
        }
        Ok(Some(self.judge(raw)))
    }

    fn judge(&self, mut raw: Raw) -> Result<Record, Reject> {
        let (line, skip, count) = (raw.line, self.skip, raw.count);
        raw.cells.drain(..skip.min(raw.cells.len()));
        let name = |index: usize| self.header.get(index).cloned().unwrap_or_default();
        let fault = if let Some((cell, length)) = raw.long {
            let sentence = format!("the cell has {length} bytes, {} are allowed; shorten it", self.limits.cell);
            Some(Fault::new(name(cell.saturating_sub(skip)), "IMPORT_CELL_TOO_LARGE", sentence))
        } else if raw.bytes > self.limits.row {
            let sentence = format!("the row has {} bytes, {} are allowed; shorten it", raw.bytes, self.limits.row);
            Some(Fault::new("", "IMPORT_ROW_TOO_LARGE", sentence))
        } else if count != self.header.len() + skip {
            let sentence = format!(
                "the row has {} cells, the header has {}; look for a missing delimiter or an unpaired quote",
                count.saturating_sub(skip),
                self.header.len()
            );
            Some(Fault::new("", "IMPORT_CELL_COUNT", sentence))
        } else {
            raw.cells
                .iter()
                .enumerate()
                .find_map(|(index, cell)| Some((index, unusable(cell)?)))
                .map(|(index, (code, sentence))| Fault::new(name(index), code, sentence))
        };
        let cells = raw.cells.into_iter().map(|cell| match String::from_utf8(cell) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        });
        match fault {
            None => Ok(Record { line, cells: cells.collect() }),
            Some(fault) => {
                let cells = cells.map(|text| excerpt(text, self.limits.cell)).collect();
                Err(Reject { line, fault, cells })
            }
        }
    }

    /// One row, holding no more of it than the limits allow.
    fn read(&mut self) -> Result<Option<Raw>, ImportError> {
        let mut raw = Raw::default();
        if self.done {
            return Ok(None);
        }
        let (mut cell, mut length, mut newlines, mut last) = (Vec::new(), 0usize, 0u64, 0u8);
        loop {
            let input = self.input.fill_buf().map_err(failed(&self.path))?;
            let (result, read, wrote) = self.machine.read_field(input, &mut self.chunk);
            if read > 0 {
                last = input[read - 1];
            }
            self.input.consume(read);
            let part = &self.chunk[..wrote];
            length += wrote;
            newlines += part.iter().filter(|byte| **byte == b'\n').count() as u64;
            let room = self.limits.cell.min(self.limits.row.saturating_sub(raw.bytes)).saturating_sub(cell.len());
            cell.extend_from_slice(&part[..wrote.min(room)]);
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    if length > self.limits.cell && raw.long.is_none() {
                        raw.long = Some((raw.count, length));
                    }
                    raw.count += 1;
                    raw.bytes += length;
                    if raw.cells.len() < self.limits.cells {
                        raw.cells.push(std::mem::take(&mut cell));
                    }
                    cell.clear();
                    length = 0;
                    if record_end {
                        // The machine counts newlines; those of this row's cells and its own end lie behind its start.
                        let ended = u64::from(last == b'\n');
                        raw.line = self.machine.line().saturating_sub(newlines + ended).max(1);
                        return Ok(Some(raw));
                    }
                }
                ReadFieldResult::End => {
                    self.done = true;
                    return Ok(None);
                }
            }
        }
    }
}

/// A cell that no database could hold as text.
fn unusable(cell: &[u8]) -> Option<(&'static str, String)> {
    match std::str::from_utf8(cell) {
        Err(error) => {
            let sentence = format!(
                "byte {} of the cell is not UTF-8; save the file as \"CSV UTF-8\" and import it again",
                error.valid_up_to() + 1
            );
            Some(("IMPORT_ENCODING", sentence))
        }
        Ok(text) if text.contains('\0') => {
            Some(("IMPORT_CONTROL_CHARACTER", "the cell holds a NUL character; remove it".to_owned()))
        }
        Ok(_) => None,
    }
}

/// Cuts a text that fills its limit to a short beginning.
fn excerpt(mut text: String, limit: usize) -> String {
    if text.len() >= limit {
        let end = (0..=EXCERPT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// A file whose first bytes have been looked at.
type Looked<R> = BufReader<io::Chain<Cursor<Vec<u8>>, Counted<R>>>;

/// Skips the mark of UTF-8 and refuses that of UTF-16.
fn look<R: Read>(path: &Path, input: R) -> Result<Looked<R>, ImportError> {
    let mut input = Counted { inner: input, bytes: 0 };
    let mut start = Vec::with_capacity(3);
    input.by_ref().take(3).read_to_end(&mut start).map_err(failed(path))?;
    match start[..] {
        [0xEF, 0xBB, 0xBF] => start.clear(),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            return Err(ImportError::Encoding { line: 1, column: 1, found: "it starts with the mark of UTF-16" });
        }
        _ => {}
    }
    Ok(BufReader::with_capacity(64 * 1024, Cursor::new(start).chain(input)))
}

/// The lines of a file of JSON objects, one a line.
pub struct JsonRows<R> {
    path: PathBuf,
    input: Looked<R>,
    limits: Limits,
    line: u64,
}

impl<R: Read> JsonRows<R> {
    /// Reads lines from `input`; `path` is for messages. A byte-order mark is skipped.
    pub fn open(path: &Path, input: R, limits: Limits) -> Result<Self, ImportError> {
        let input = look(path, input)?;
        Ok(Self { path: path.to_owned(), input, limits, line: 0 })
    }

    /// How many bytes of the file have been read.
    pub fn bytes(&self) -> u64 {
        self.input.get_ref().get_ref().1.bytes
    }

    /// The next line that is not blank, or why it cannot be used; none at the end.
    pub fn next_row(&mut self) -> Result<Option<Result<Record, Reject>>, ImportError> {
        loop {
            let (mut line, mut length, mut any) = (Vec::new(), 0usize, false);
            loop {
                let buffer = self.input.fill_buf().map_err(failed(&self.path))?;
                if buffer.is_empty() {
                    break;
                }
                any = true;
                let end = buffer.iter().position(|byte| *byte == b'\n');
                let part = &buffer[..end.unwrap_or(buffer.len())];
                length += part.len();
                line.extend_from_slice(&part[..part.len().min(self.limits.row - line.len())]);
                let read = end.map_or(buffer.len(), |end| end + 1);
                self.input.consume(read);
                if end.is_some() {
                    break;
                }
            }
            if !any {
                return Ok(None);
            }
            self.line += 1;
            let number = self.line;
            if number > self.limits.rows {
                return Err(ImportError::TooManyRows { line: number, limit: self.limits.rows });
            }
            let fault = if length > self.limits.row {
                let sentence = format!("the line has {length} bytes, {} are allowed; shorten it", self.limits.row);
                Some(Fault::new("", "IMPORT_ROW_TOO_LARGE", sentence))
            } else {
                unusable(&line).map(|(code, sentence)| Fault::new("", code, sentence))
            };
            let text = String::from_utf8_lossy(&line).into_owned();
            match fault {
                Some(fault) => {
                    let cells = vec![excerpt(text, self.limits.row)];
                    return Ok(Some(Err(Reject { line: number, fault, cells })));
                }
                None if text.trim().is_empty() => {}
                None => return Ok(Some(Ok(Record { line: number, cells: vec![text] }))),
            }
        }
    }
}
