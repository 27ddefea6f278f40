//! The net under the leads' timers.

use crate::Disposition;
use tandem_app::{App, AppError, Call};

/// How many leads one run moves at most.
const AT_ONCE: u64 = 1_000;

/// Moves leads whose timer should have moved them long ago.
pub(super) async fn run(app: &App, call: &Call) -> Result<Disposition, AppError> {
    let moved = app.sweep_overdue_leads(&call.without_job(), AT_ONCE).await?;
    if moved > 0 {
        tracing::warn!(moved, "leads were overdue although a timer should have moved them");
    }
    Ok(Disposition::Obsolete)
}
