//! Looks into the mailbox that answers come to.

use crate::Disposition;
use chrono::TimeDelta;
use tandem_app::received::Polled;
use tandem_app::{App, AppError, Call};

/// When a mailbox that could not be read is looked into again. The attempts count, so that an operator finds the job among those
/// that fail, and in the end among the dead; the schedule brings the next one.
const AGAIN: TimeDelta = TimeDelta::minutes(1);

/// Takes in what is new.
pub(super) async fn run(app: &App, call: &Call) -> Result<Disposition, AppError> {
    match app.poll_inbox(call).await? {
        Polled::NoInbox | Polled::Took(0) => {}
        Polled::Took(took) => tracing::info!(took, "e-mails were taken in"),
        Polled::Failed(error) => {
            let error = format!("the mailbox that answers come to could not be read: {error}");
            return Ok(Disposition::Retry { after: Some(AGAIN), error });
        }
    }
    Ok(Disposition::Obsolete)
}
