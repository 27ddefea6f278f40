//! The only crate that speaks to the database.
//!
//! Reads are free; there is one way to write: open a [`Tx`], load what the decision needs, and spend the
//! transaction with [`Tx::commit`], which writes rows, ledger, jobs and the answer to a repeated request together.

mod access;
pub mod account;
mod ahead;
mod bell;
mod bulk;
mod checkpoint;
pub mod conditions;
mod connect;
pub mod contact_policy;
pub mod dispatch;
pub mod email;
pub mod email_template;
mod enrollment_step;
mod error;
pub mod experiment;
pub mod feed;
mod history;
pub mod idempotency;
pub mod identity;
pub mod inbound;
pub mod ingest;
pub mod interaction;
pub mod jobs;
pub mod lead;
pub mod ledger;
pub mod outbound;
pub mod page;
pub mod reach;
pub mod received;
pub mod sending_mailbox;
pub mod sequence;
pub mod sequence_migration;
pub mod simulation;
mod stored;
pub mod suppression;
pub mod target_list;
pub mod trigger;
mod tx;
pub mod views;
pub mod vocabulary;
pub mod work_item;

pub use connect::{Settings, Store};
pub use error::{Result, StoreError};
pub use page::{Page, PageOf};
pub use stored::{Save, Stored};
pub use tx::{Batch, Tx};

use chrono::{DateTime, Utc};

/// A moment as the database keeps it: milliseconds since 1970.
pub(crate) fn ms(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}
