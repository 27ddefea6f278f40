//! Read models that join several aggregates.

mod counts;
pub mod funnel;
pub mod sequence_report;
pub mod story;
