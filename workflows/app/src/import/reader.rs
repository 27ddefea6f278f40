//! Reads rows of CSV from a file in bounded memory.
//!
//! Cells are cut here because a reader of whole records would hold a ten-megabyte cell before anyone could refuse it, and
//! would not tell where a quote opened that nothing closes. A row that cannot be used becomes a [`Reject`]; only what
//! spoils the whole file is an error.

use super::fault::{Fault, ImportError, Limits, Reject};
use super::input::Input;
pub use super::lines::JsonRows;
use std::io::{Read, Seek};
use std::path::Path;

/// A row whose cells are UTF-8, within the limits and as many as the header has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line on which the row starts, from 1.
    pub line: u64,
    /// The cells, in the order of the header.
    pub cells: Vec<String>,
}

/// How a CSV file is written, so that its reject file can be written and read in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The byte between cells.
    pub delimiter: u8,
    /// Whether it begins with the mark of UTF-8, which some spreadsheets need.
    pub mark: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self { delimiter: b',', mark: false }
    }
}

/// How many bytes of a cell beyond the limit are kept for the reject file.
const EXCERPT: usize = 200;
/// The columns that a reject file has before those of the original; a corrected reject file is read without them.
pub(super) const REJECT_COLUMNS: [&str; 4] = ["line", "column", "code", "sentence"];

/// One row as it was cut, before it is judged.
#[derive(Default)]
struct Raw {
    line: u64,
    /// The line on which it ends.
    last: u64,
    cells: Vec<Vec<u8>>,
    /// How many cells the row has; more than are kept where it passes the limit.
    count: usize,
    /// The first cell beyond the limit of a cell, and its length.
    long: Option<(usize, usize)>,
    /// All bytes of the row's cells.
    bytes: usize,
    /// The cell whose quote has no partner, and the line on which it opens.
    torn: Option<(usize, u64)>,
}

/// A cell that is being read.
#[derive(Default)]
struct Cell {
    /// What is kept of it.
    bytes: Vec<u8>,
    /// Its length, all of it.
    length: usize,
    /// The line on which its quote opens.
    opened: u64,
    /// The first line break within its quotes.
    broken: Option<Broken>,
}

/// Where the line ends on which a quote opens, and what the cell had before that.
#[derive(Clone, Copy)]
struct Broken {
    /// Where in the file the next line begins.
    offset: u64,
    /// Which line that is.
    line: u64,
    /// How many bytes of the cell were kept.
    kept: usize,
}

/// Where in a cell the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before its first byte.
    Start,
    /// In a cell without quotes, or behind those of one that has them.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that ends the cell or is half of a doubled one.
    Quote,
}

/// The rows of a CSV file whose first line names the columns.
pub struct CsvRows<R> {
    input: Input<R>,
    delimiter: u8,
    limits: Limits,
    header: Vec<String>,
    /// Cells in front of each row that belong to a reject file, not to the data.
    skip: usize,
    rows: u64,
    /// The line that the next byte is on, from 1.
    line: u64,
}

impl<R: Read + Seek> CsvRows<R> {
    /// Reads the header of `input`, from its beginning; `path` is for messages. A byte-order mark is skipped.
    pub fn open(path: &Path, input: R, delimiter: u8, limits: Limits) -> Result<Self, ImportError> {
        let input = Input::open(path, input)?;
        let mut rows = Self { input, delimiter, limits, header: Vec::new(), skip: 0, rows: 0, line: 1 };
        let raw = rows.read()?.ok_or(ImportError::Empty)?;
        if let Some((_, line)) = raw.torn {
            return Err(ImportError::HeaderQuote { line });
        }
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

    /// How the file is written.
    pub const fn form(&self) -> Form {
        Form { delimiter: self.delimiter, mark: self.input.mark() }
    }

    /// How many bytes of the file have been read.
    pub const fn bytes(&self) -> u64 {
        self.input.offset()
    }

    /// The next row, or why it cannot be used; none at the end.
    ///
    /// A quote that is never closed, or is closed on a later line in the middle of a cell, costs the line on which it
    /// opens alone: reading goes on with the line after that.
    pub fn next_row(&mut self) -> Result<Option<Result<Record, Reject>>, ImportError> {
        let Some(raw) = self.read()? else { return Ok(None) };
        self.rows += 1;
        if self.rows > self.limits.rows {
            return Err(ImportError::TooManyRows { line: raw.line, limit: self.limits.rows });
        }
        Ok(Some(self.judge(raw)))
    }

    fn judge(&self, mut raw: Raw) -> Result<Record, Reject> {
        let (line, skip) = (raw.line, self.skip);
        let fault = self.fault(&raw);
        raw.cells.drain(..skip.min(raw.cells.len()));
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

    /// What is wrong with a row as such.
    fn fault(&self, raw: &Raw) -> Option<Fault> {
        let skip = self.skip;
        let name = |cell: usize| cell.checked_sub(skip).and_then(|cell| self.header.get(cell)).cloned();
        let named = |cell, code, sentence| Some(Fault::new(name(cell).unwrap_or_default(), code, sentence));
        if let Some((cell, opened)) = raw.torn {
            let sentence = format!(
                "the quote that opens this cell on line {opened} is not closed at the end of a cell; remove it, or close it"
            );
            return named(cell, "IMPORT_QUOTE", sentence);
        }
        if let Some((cell, length)) = raw.long {
            let over = if raw.last > raw.line {
                format!(" (the row goes on to line {}: look for an unpaired quote)", raw.last)
            } else {
                String::new()
            };
            let sentence = format!("the cell has {length} bytes, {} are allowed; shorten it{over}", self.limits.cell);
            return named(cell, "IMPORT_CELL_TOO_LARGE", sentence);
        }
        if raw.bytes > self.limits.row {
            let sentence = format!("the row has {} bytes, {} are allowed; shorten it", raw.bytes, self.limits.row);
            return Some(Fault::new("", "IMPORT_ROW_TOO_LARGE", sentence));
        }
        if raw.count != self.header.len() + skip {
            let sentence = format!(
                "the row has {} cells, the header has {}; look for a missing delimiter or an unpaired quote",
                raw.count.saturating_sub(skip),
                self.header.len()
            );
            return Some(Fault::new("", "IMPORT_CELL_COUNT", sentence));
        }
        let data = || raw.cells.iter().enumerate().skip(skip);
        if let Some((cell, (code, sentence))) = data().find_map(|(cell, bytes)| Some((cell, unusable(bytes)?))) {
            return named(cell, code, sentence);
        }
        let code = raw.cells.get(2).filter(|_| skip > 0)?;
        let (cell, (code, sentence)) = data().find_map(|(cell, bytes)| Some((cell, uncorrected(code, bytes)?)))?;
        named(cell, code, sentence)
    }

    /// Ends a line whose first byte was `byte`: `\n`, or `\r` with or without a `\n` behind it. Gives the other byte.
    fn end_line(&mut self, byte: u8) -> Result<Option<u8>, ImportError> {
        self.line += 1;
        if byte == b'\r' && self.input.peek()? == Some(b'\n') { self.input.next() } else { Ok(None) }
    }

    /// One row, holding no more of it than the limits allow.
    fn read(&mut self) -> Result<Option<Raw>, ImportError> {
        while let Some(byte @ (b'\n' | b'\r')) = self.input.peek()? {
            self.input.pass(1);
            self.end_line(byte)?;
        }
        if self.input.peek()?.is_none() {
            return Ok(None);
        }
        let mut raw = Raw { line: self.line, ..Raw::default() };
        let (mut cell, mut place) = (Cell::default(), Place::Start);
        loop {
            raw.last = self.line;
            let Some(byte) = self.input.next()? else {
                if place == Place::Quoted {
                    return self.tear(raw, cell).map(Some);
                }
                self.end_cell(&mut raw, &mut cell);
                return Ok(Some(raw));
            };
            match (place, byte) {
                (Place::Quoted, b'"') => place = Place::Quote,
                (Place::Quoted, b'\n' | b'\r') => {
                    let kept = cell.bytes.len();
                    self.keep(&raw, &mut cell, byte);
                    if let Some(second) = self.end_line(byte)? {
                        self.keep(&raw, &mut cell, second);
                    }
                    let (offset, line) = (self.input.offset(), self.line);
                    cell.broken.get_or_insert(Broken { offset, line, kept });
                }
                (Place::Quote, b'"') => {
                    self.keep(&raw, &mut cell, byte);
                    place = Place::Quoted;
                }
                (Place::Start, b'"') => {
                    cell.opened = self.line;
                    place = Place::Quoted;
                }
                (Place::Quoted, _) => self.keep(&raw, &mut cell, byte),
                (_, b'\n' | b'\r') => {
                    self.end_line(byte)?;
                    self.end_cell(&mut raw, &mut cell);
                    return Ok(Some(raw));
                }
                (_, _) if byte == self.delimiter => {
                    self.end_cell(&mut raw, &mut cell);
                    place = Place::Start;
                }
                // Quotes that span lines end with their cell, or they are no pair.
                (_, _) if cell.broken.is_some() && !matches!(byte, b' ' | b'\t') => {
                    return self.tear(raw, cell).map(Some);
                }
                (_, _) => {
                    self.keep(&raw, &mut cell, byte);
                    place = Place::Plain;
                }
            }
        }
    }

    fn keep(&self, raw: &Raw, cell: &mut Cell, byte: u8) {
        cell.length += 1;
        if cell.bytes.len() < self.limits.cell.min(self.limits.row.saturating_sub(raw.bytes)) {
            cell.bytes.push(byte);
        }
    }

    fn end_cell(&self, raw: &mut Raw, cell: &mut Cell) {
        let Cell { bytes, length, .. } = std::mem::take(cell);
        if length > self.limits.cell && raw.long.is_none() {
            raw.long = Some((raw.count, length));
        }
        raw.count += 1;
        raw.bytes += length;
        if raw.cells.len() < self.limits.cells {
            raw.cells.push(bytes);
        }
    }

    /// Ends a row at the end of the line on which a quote without a partner opens, and goes back to the next line. The
    /// quote counts as a character like any other, so that the cells behind it are seen.
    fn tear(&mut self, mut raw: Raw, mut cell: Cell) -> Result<Raw, ImportError> {
        raw.torn = Some((raw.count, cell.opened));
        raw.last = cell.opened;
        if let Some(Broken { offset, line, kept }) = cell.broken {
            self.input.back(offset)?;
            self.line = line;
            cell.bytes.truncate(kept);
        }
        let mut text = vec![b'"'];
        for byte in cell.bytes {
            // Doubled in the file.
            text.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
        }
        for piece in text.split(|byte| *byte == self.delimiter) {
            raw.count += 1;
            raw.bytes += piece.len();
            if raw.cells.len() < self.limits.cells {
                raw.cells.push(piece.to_vec());
            }
        }
        Ok(raw)
    }
}

/// A cell that no database could hold as text.
pub(super) fn unusable(cell: &[u8]) -> Option<(&'static str, String)> {
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
pub(super) fn excerpt(mut text: String, limit: usize) -> String {
    if text.len() >= limit {
        let end = (0..=EXCERPT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// What a row of a reject file still has of the fault it was rejected for, so that a row which nobody corrected is not
/// taken as something that its file never said.
fn uncorrected(code: &[u8], cell: &[u8]) -> Option<(&'static str, String)> {
    let quotes = || cell.iter().filter(|byte| **byte == b'"').count();
    match code {
        b"IMPORT_QUOTE" if cell.first() == Some(&b'"') && quotes() % 2 == 1 => {
            Some(("IMPORT_QUOTE", "the cell still begins with the unpaired quote; remove it, or close it".to_owned()))
        }
        b"IMPORT_ENCODING" if String::from_utf8_lossy(cell).contains(char::REPLACEMENT_CHARACTER) => {
            let sentence = "the cell still has a sign in place of what was not UTF-8; write what belongs there";
            Some(("IMPORT_ENCODING", sentence.to_owned()))
        }
        b"IMPORT_CELL_TOO_LARGE" if (EXCERPT - 3..=EXCERPT + 3).contains(&cell.len()) && cell.ends_with(b"...") => {
            Some(("IMPORT_CELL_TOO_LARGE", "the cell is still the beginning of a longer one; write it out".to_owned()))
        }
        _ => None,
    }
}
