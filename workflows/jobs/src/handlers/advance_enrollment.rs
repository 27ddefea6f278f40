//! Takes the next steps of an enrolment.

use super::settle;
use crate::Disposition;
use tandem_app::{App, AppError, Call, EnrollmentAdvance};
use tandem_domain::id::EnrollmentId;

/// Runs [`EnrollmentAdvance`]: an enrolment that ended, was paused, or is at another visit by now, is left alone.
pub(super) async fn run(app: &App, call: &Call, enrollment: EnrollmentId, visit: u32) -> Result<Disposition, AppError> {
    settle(app, call, EnrollmentAdvance { enrollment, visit }).await
}
