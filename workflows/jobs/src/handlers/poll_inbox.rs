//! Looks into the mailbox that answers come to.

use crate::Disposition;
use tandem_app::received::Polled;
use tandem_app::{App, AppError, Call};

/// Takes in what is new. A mailbox that cannot be reached is looked into again at the next tick.
pub(super) async fn run(app: &App, call: &Call) -> Result<Disposition, AppError> {
    match app.poll_inbox(call).await? {
        Polled::NoInbox => {}
        Polled::Took(took) => tracing::debug!(took, "e-mails were taken in"),
        Polled::Failed(error) => tracing::error!(error, "the mailbox that answers come to could not be read"),
    }
    Ok(Disposition::Obsolete)
}
