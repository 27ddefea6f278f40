//! Ends a change request that was not agreed in time.

use super::settle;
use crate::Disposition;
use tandem_app::{App, AppError, Call, ChangeRequestExpire};
use tandem_domain::id::ChangeRequestId;

/// Runs [`ChangeRequestExpire`]: a request that was decided, or whose edit gave it a new life, is left alone.
pub(super) async fn run(app: &App, call: &Call, request: ChangeRequestId) -> Result<Disposition, AppError> {
    settle(app, call, ChangeRequestExpire { request }).await
}
