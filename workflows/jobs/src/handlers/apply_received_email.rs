//! Does what an e-mail that arrived does.

use crate::Disposition;
use tandem_app::{App, AppError, Call, ReceivedEmailApply};
use tandem_domain::id::ReceivedEmailId;

/// The only refusal that leaves nothing to do.
const SETTLED: &str = "RECEIVED_EMAIL_SETTLED";

/// Applies it. Any other refusal is a fault here, and the e-mail stays undone: so the job fails, and in the end is among the
/// dead, where somebody sees it.
pub(super) async fn run(app: &App, call: &Call, received: ReceivedEmailId) -> Result<Disposition, AppError> {
    match app.run(call, ReceivedEmailApply { received }).await {
        Ok(_) => Ok(Disposition::Finished),
        Err(AppError::Refused { code: SETTLED, .. }) => Ok(Disposition::Obsolete),
        Err(AppError::Refused { code, message, .. }) => {
            let error = format!("an e-mail that arrived could not be applied: {code}: {message}");
            Ok(Disposition::Retry { after: None, error })
        }
        Err(error) => Err(error),
    }
}
