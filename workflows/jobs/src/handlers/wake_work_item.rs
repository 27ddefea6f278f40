//! Ends the wait of a work item.

use super::settle;
use crate::Disposition;
use tandem_app::{App, AppError, Call, WorkItemWake};
use tandem_domain::id::WorkItemId;

/// Runs [`WorkItemWake`]: an item that went on before is left alone.
pub(super) async fn run(app: &App, call: &Call, item: WorkItemId, revision: u32) -> Result<Disposition, AppError> {
    settle(app, call, WorkItemWake { item, revision }).await
}
