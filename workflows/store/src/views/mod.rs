//! Read models that join several aggregates.

mod counts;
pub mod funnel;
