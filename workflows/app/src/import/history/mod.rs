//! The past of a funnel that ran elsewhere, run through the same commands at the moments when it happened.

pub mod event;
