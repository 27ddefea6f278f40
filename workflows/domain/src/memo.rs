//! What was made of a text, kept for the next time: texts of definitions are few and are read again and again.
//!
//! It changes no result, since what is made depends on the text alone; it only saves the making. What it keeps is bounded: once
//! the texts are too long together, all of them are forgotten.

use std::collections::HashMap;
use std::sync::RwLock;

/// The most bytes of texts that one memo keeps.
const MOST_BYTES: usize = 4 * 1024 * 1024;

struct Kept<T> {
    by_text: HashMap<Box<str>, T>,
    bytes: usize,
}

/// What was made of texts.
pub(crate) struct Memo<T>(RwLock<Kept<T>>);

impl<T: Clone> Memo<T> {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self(RwLock::new(Kept { by_text: HashMap::new(), bytes: 0 }))
    }

    /// What was made of a text before, else what `make` makes of it, which is kept. A refusal is not.
    pub(crate) fn of<E>(&self, text: &str, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Ok(kept) = self.0.read()
            && let Some(found) = kept.by_text.get(text)
        {
            return Ok(found.clone());
        }
        let made = make()?;
        if let Ok(mut kept) = self.0.write() {
            if kept.bytes.saturating_add(text.len()) > MOST_BYTES {
                kept.by_text.clear();
                kept.bytes = 0;
            }
            if kept.by_text.insert(text.into(), made.clone()).is_none() {
                kept.bytes += text.len();
            }
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_once_and_what_is_kept_is_bounded() {
        let memo = Memo::new();
        let long = "x".repeat(MOST_BYTES / 2);
        assert_eq!(memo.of("a", || Ok::<_, ()>(1)), Ok(1));
        assert_eq!(memo.of("a", || Ok::<_, ()>(2)), Ok(1));
        assert_eq!(memo.of("b", || Err(())), Err(()));
        assert_eq!(memo.of("b", || Ok::<_, ()>(3)), Ok(3));
        for text in [format!("{long}1"), format!("{long}2")] {
            assert_eq!(memo.of(&text, || Ok::<_, ()>(4)), Ok(4));
        }
        assert_eq!(memo.of("a", || Ok::<_, ()>(5)), Ok(5), "all of them were forgotten");
        assert!(memo.0.read().unwrap().bytes <= MOST_BYTES);
    }
}
