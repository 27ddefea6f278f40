//! Bulk import: files of accounts, contacts, leads and history become the same commands that people run.
//!
//! A thread reads and maps rows in bounded memory; batches of them are committed one transaction at a time. A row that
//! is refused goes to the reject file and takes no other row with it. Nothing here decides what is allowed: the
//! commands do.

pub mod fault;
pub mod history;
pub mod mapping;
pub mod reader;
pub mod rejects;

pub use fault::{Fault, ImportError, Limits, Reject};
pub use mapping::Mapping;
