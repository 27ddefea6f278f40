//! The timers of handoffs: looking for somebody, offers that run out, promises that are broken.

use crate::Disposition;
use chrono::TimeDelta;
use tandem_app::dispatch::TIMER_STALE;
use tandem_app::{App, AppError, Call, Command};

/// How long a timer waits for what refused it to be mended.
const UNTIL_MENDED: TimeDelta = TimeDelta::minutes(15);

/// Runs the timer's command. A stale timer is obsolete; any other refusal puts it off, however often, because a handoff
/// without a timer would never move: a pool that lost its calendar can be mended.
pub(super) async fn run<C: Command>(app: &App, call: &Call, command: C) -> Result<Disposition, AppError> {
    match app.run(call, command).await {
        Ok(_) => Ok(Disposition::Finished),
        Err(AppError::Refused { code: TIMER_STALE, .. }) => Ok(Disposition::Obsolete),
        Err(AppError::Refused { code, message, .. }) => {
            tracing::warn!(command = C::NAME, code, message, "a handoff's timer waits for something to be mended");
            Ok(Disposition::Snooze { after: UNTIL_MENDED })
        }
        Err(error) => Err(error),
    }
}
