//! Starts whom a trigger means, part by part.

use crate::Disposition;
use tandem_app::sequence::TriggerStart;
use tandem_app::{App, AppError, Call};

/// What is started and noted lands in one commit, which finishes the job and plans the rest.
pub(super) async fn run(app: &App, call: &Call, start: TriggerStart) -> Result<Disposition, AppError> {
    Ok(if app.start_by_trigger(call, start).await? { Disposition::Finished } else { Disposition::Obsolete })
}
