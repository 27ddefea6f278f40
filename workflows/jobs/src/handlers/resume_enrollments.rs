//! Resumes the enrolments that paused with their sequence, part by part.

use super::settle;
use crate::Disposition;
use tandem_app::{App, AppError, Call, EnrollmentsResume};
use tandem_domain::id::SequenceId;

/// Runs [`EnrollmentsResume`], which plans the next part itself; nothing left to resume ends the row.
pub(super) async fn run(
    app: &App,
    call: &Call,
    sequence: SequenceId,
    (revision, done): (u32, u64),
) -> Result<Disposition, AppError> {
    settle(app, call, EnrollmentsResume { sequence, revision, done }).await
}
