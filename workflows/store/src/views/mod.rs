//! Read models that join several aggregates.
