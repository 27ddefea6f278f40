//! Tries to deliver an event to a webhook.

use crate::Disposition;
use tandem_app::{App, AppError, Call};
use tandem_domain::id::OutboundDeliveryId;

/// How a try ended is recorded in the commit that finishes this job and plans the next try. A process that dies before that
/// leads to the same message once more.
pub(super) async fn run(
    app: &App,
    call: &Call,
    delivery: OutboundDeliveryId,
    round: u32,
) -> Result<Disposition, AppError> {
    match app.deliver_webhook(call, delivery, round).await {
        Ok(true) => Ok(Disposition::Finished),
        Ok(false) | Err(AppError::Refused { .. }) => Ok(Disposition::Obsolete),
        Err(error) => Err(error),
    }
}
