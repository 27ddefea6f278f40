//! Tries to make the call that a step asks for.

use crate::Disposition;
use tandem_app::{App, AppError, Call};
use tandem_domain::id::OutboundCallId;

/// The three beats. How the try ended is recorded in the commit that finishes this job, plans the next try, or lets the run go on.
pub(super) async fn run(app: &App, call: &Call, made: OutboundCallId, round: u32) -> Result<Disposition, AppError> {
    match app.make_call(call, made, round).await {
        Ok(true) => Ok(Disposition::Finished),
        Ok(false) => Ok(Disposition::Obsolete),
        Err(error) => Err(error),
    }
}
