//! Puts a claimed work item back when its lease has run out.

use super::settle;
use crate::Disposition;
use tandem_app::{App, AppError, Call, ClaimExpire};
use tandem_domain::id::WorkItemId;

/// Runs [`ClaimExpire`]: a claim that was renewed, waits or is over is left alone.
pub(super) async fn run(app: &App, call: &Call, item: WorkItemId, fence: u64) -> Result<Disposition, AppError> {
    settle(app, call, ClaimExpire { item, fence }).await
}
