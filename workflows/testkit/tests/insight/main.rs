//! The story of a run, the numbers of a sequence, and experiments, on both databases.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod experiments;
mod help;
mod numbers;
mod story;
