//! Reports.

mod query;
mod types;

pub use query::ReportsQuery;
