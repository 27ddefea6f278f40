//! The steps that stay inside Tandem, through the commands and the jobs, on both databases: each happens once, is on the
//! record, and what stands in its way is too.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod beats;
#[path = "../../../domain/tests/support/choices.rs"]
mod choices;
mod executed;
mod handing;
mod live;
#[path = "../../../domain/tests/support/programmes.rs"]
mod programmes;
mod records;
mod scene;
mod ways;
