//! Applies events that were stored.

use crate::Disposition;
use chrono::TimeDelta;
use tandem_app::{App, AppError, Call};
use tandem_domain::id::{EventBatchId, EventSourceId};

/// How long events wait before it is looked again whether their source's user may act.
const UNFIT: TimeDelta = TimeDelta::minutes(10);

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
        // Somebody has to look; meanwhile nothing is given up.
        Err(AppError::Refused { code: "SOURCE_ACTOR_UNFIT", message, .. }) => {
            tracing::warn!(message, "events wait");
            Ok(Disposition::Snooze { after: UNFIT })
        }
        Err(error) => Err(error),
    }
}
