//! The ledger: who did what, when, in which order, provably.

pub mod query;
pub mod types;

pub use query::LedgerQuery;
