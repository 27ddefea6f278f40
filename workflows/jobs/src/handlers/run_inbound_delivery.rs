//! Does what an inbound webhook does with a delivery.

use crate::Disposition;
use tandem_app::{App, AppError, Call};
use tandem_domain::id::InboundDeliveryId;

/// All that is done lands in one commit, which finishes the job: a crash before it leaves nothing done, one after it nothing
/// to do.
pub(super) async fn run(
    app: &App,
    call: &Call,
    delivery: InboundDeliveryId,
    round: u32,
) -> Result<Disposition, AppError> {
    match app.handle_inbound(call, delivery, round).await {
        Ok(true) => Ok(Disposition::Finished),
        Ok(false) | Err(AppError::Refused { .. }) => Ok(Disposition::Obsolete),
        Err(error) => Err(error),
    }
}
