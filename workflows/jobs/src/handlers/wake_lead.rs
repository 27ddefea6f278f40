//! Moves a lead that nobody moved in time.

use super::settle;
use crate::Disposition;
use tandem_app::{App, AppError, Call, LeadFallDue};
use tandem_domain::id::LeadId;

/// Runs [`LeadFallDue`]: a lead that moved since the timer was set is left alone.
pub(super) async fn run(app: &App, call: &Call, lead: LeadId, revision: u32) -> Result<Disposition, AppError> {
    settle(app, call, LeadFallDue { lead, revision }).await
}
