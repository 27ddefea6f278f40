//! Read models that join several aggregates.

mod counts;
