//! The timers of handoffs: looking for somebody, offers that run out, promises that are broken.

use crate::Disposition;
use tandem_app::dispatch::TIMER_STALE;
use tandem_app::{App, AppError, Call, Command};

/// Runs the timer's command. A stale timer is obsolete; any other refusal is tried again, because a handoff without a
/// timer would never move: a pool that lost its calendar can be mended.
pub(super) async fn run<C: Command>(app: &App, call: &Call, command: C) -> Result<Disposition, AppError> {
    match app.run(call, command).await {
        Ok(_) => Ok(Disposition::Finished),
        Err(AppError::Refused { code: TIMER_STALE, .. }) => Ok(Disposition::Obsolete),
        Err(AppError::Refused { code, message, .. }) => {
            Ok(Disposition::Retry { after: None, error: format!("{code}: {message}") })
        }
        Err(error) => Err(error),
    }
}
