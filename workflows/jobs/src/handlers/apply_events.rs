//! Applies events that were stored.

use crate::Disposition;
use tandem_app::{App, AppError, Call};
use tandem_domain::id::{EventBatchId, EventSourceId};

/// What is applied lands in one commit, which finishes the job and plans the rest.
pub(super) async fn run(
    app: &App,
    call: &Call,
    source: EventSourceId,
    batch: EventBatchId,
) -> Result<Disposition, AppError> {
    match app.apply_events(call, source, batch).await {
        Ok(true) => Ok(Disposition::Finished),
        Ok(false) => Ok(Disposition::Obsolete),
        Err(error) => Err(error),
    }
}
