//! Reports.

pub mod query;
pub mod types;

pub use query::ReportsQuery;
