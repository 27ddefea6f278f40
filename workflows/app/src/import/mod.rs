//! Bulk import: files of accounts, contacts, leads and history become the same commands that people run.
//!
//! A thread reads and maps rows in bounded memory; batches of them are committed one transaction at a time. A row that
//! is refused goes to the reject file and takes no other row with it. Nothing here decides what is allowed: the
//! commands do.

mod bulk;
pub mod fault;
pub mod history;
mod input;
mod kinds;
mod lines;
pub mod mapping;
pub mod progress;
pub mod reader;
pub mod rejects;

pub use bulk::Job;
pub use fault::{Fault, ImportError, Limits, Reject};
pub use mapping::Mapping;
pub use progress::{Progress, Silent, Step, Summary};

use crate::{App, Call};

impl App {
    /// Imports accounts. Running it again changes nothing.
    pub async fn import_accounts(
        &self,
        call: &Call,
        job: &Job,
        progress: &dyn Progress,
    ) -> Result<Summary, ImportError> {
        bulk::run(self, call, &kinds::Accounts, job, progress).await
    }

    /// Imports contacts. Running it again changes nothing.
    pub async fn import_contacts(
        &self,
        call: &Call,
        job: &Job,
        progress: &dyn Progress,
    ) -> Result<Summary, ImportError> {
        bulk::run(self, call, &kinds::Contacts, job, progress).await
    }

    /// Imports leads with their contacts. Running it again changes nothing.
    pub async fn import_leads(&self, call: &Call, job: &Job, progress: &dyn Progress) -> Result<Summary, ImportError> {
        bulk::run(self, call, &kinds::Leads, job, progress).await
    }

    /// Imports the past of a funnel: lines of JSON, or a CSV file through a mapping. Running it again changes nothing.
    pub async fn import_history(
        &self,
        call: &Call,
        job: &Job,
        progress: &dyn Progress,
    ) -> Result<Summary, ImportError> {
        history::run(self, call, job, progress).await
    }
}
