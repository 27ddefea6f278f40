//! The bytes of a file that is imported, read once in bounded memory; a place in it can be gone back to.

use super::fault::ImportError;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How much is read at once. A place that lies no farther back is gone back to without asking the file.
const BUFFER: usize = 64 * 1024;

/// A file whose first bytes have been looked at.
pub(super) struct Input<R> {
    path: PathBuf,
    inner: R,
    buffer: Vec<u8>,
    /// Where in the buffer the next byte is.
    start: usize,
    /// How much of the buffer is filled.
    end: usize,
    /// How many bytes of the file have been read; the buffer ends there.
    read: u64,
    /// Whether the file began with the mark of UTF-8.
    mark: bool,
}

impl<R: Read> Input<R> {
    /// Begins to read `inner`; `path` is for messages. Skips the mark of UTF-8 and refuses that of UTF-16.
    pub(super) fn open(path: &Path, inner: R) -> Result<Self, ImportError> {
        let buffer = vec![0; BUFFER];
        let mut input = Self { path: path.to_owned(), inner, buffer, start: 0, end: 0, read: 0, mark: false };
        while input.end < 3 && input.more()? {}
        match input.buffer[..input.end] {
            [0xEF, 0xBB, 0xBF, ..] => (input.start, input.mark) = (3, true),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
                return Err(ImportError::Encoding { line: 1, column: 1, found: "it starts with the mark of UTF-16" });
            }
            _ => {}
        }
        Ok(input)
    }

    fn failed(&self, source: io::Error) -> ImportError {
        ImportError::Io { path: self.path.clone(), source }
    }

    /// Reads behind what is in the buffer; false at the end of the file.
    fn more(&mut self) -> Result<bool, ImportError> {
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    self.read += read as u64;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// What can be had without waiting, at least a byte; nothing at the end of the file.
    pub(super) fn fill(&mut self) -> Result<&[u8], ImportError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.more()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Passes `count` bytes of what [`Input::fill`] gave.
    pub(super) fn pass(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// The next byte, which stays the next; none at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, ImportError> {
        if self.start < self.end {
            return Ok(Some(self.buffer[self.start]));
        }
        Ok(self.fill()?.first().copied())
    }

    /// The next byte; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<u8>, ImportError> {
        let byte = self.peek()?;
        self.pass(1);
        Ok(byte)
    }

    /// How many bytes of the file lie before the next one.
    pub(super) const fn offset(&self) -> u64 {
        self.read - (self.end - self.start) as u64
    }

    /// Whether the file began with the mark of UTF-8.
    pub(super) const fn mark(&self) -> bool {
        self.mark
    }
}

impl<R: Read + Seek> Input<R> {
    /// Goes back to an offset that [`Input::offset`] gave.
    pub(super) fn back(&mut self, offset: u64) -> Result<(), ImportError> {
        let begin = self.read - self.end as u64;
        match usize::try_from(offset.saturating_sub(begin)) {
            Ok(within) if offset >= begin && within <= self.end => self.start = within,
            _ => {
                self.inner.seek(SeekFrom::Start(offset)).map_err(|error| self.failed(error))?;
                (self.start, self.end, self.read) = (0, 0, offset);
            }
        }
        Ok(())
    }
}
