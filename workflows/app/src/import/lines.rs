//! Reads lines of JSON from a file in bounded memory.

use super::fault::{Fault, ImportError, Limits, Reject};
use super::input::Input;
use super::reader::{Record, excerpt, unusable};
use std::io::Read;
use std::path::Path;

/// The lines of a file of JSON objects, one a line.
pub struct JsonRows<R> {
    input: Input<R>,
    limits: Limits,
    line: u64,
}

impl<R: Read> JsonRows<R> {
    /// Reads lines from `input`; `path` is for messages. A byte-order mark is skipped.
    pub fn open(path: &Path, input: R, limits: Limits) -> Result<Self, ImportError> {
        Ok(Self { input: Input::open(path, input)?, limits, line: 0 })
    }

    /// How many bytes of the file have been read.
    pub const fn bytes(&self) -> u64 {
        self.input.offset()
    }

    /// The next line that is not blank, or why it cannot be used; none at the end.
    pub fn next_row(&mut self) -> Result<Option<Result<Record, Reject>>, ImportError> {
        loop {
            let (mut line, mut length, mut any) = (Vec::new(), 0usize, false);
            loop {
                let buffer = self.input.fill()?;
                if buffer.is_empty() {
                    break;
                }
                any = true;
                let end = buffer.iter().position(|byte| *byte == b'\n');
                let part = &buffer[..end.unwrap_or(buffer.len())];
                length += part.len();
                line.extend_from_slice(&part[..part.len().min(self.limits.row - line.len())]);
                let read = end.map_or(buffer.len(), |end| end + 1);
                self.input.pass(read);
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
