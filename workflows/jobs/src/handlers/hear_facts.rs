//! Lets runs hear of what happened, part by part.

use crate::Disposition;
use tandem_app::{App, AppError, Call};
use tandem_domain::id::EnrollmentId;

/// What runs do about it lands in one commit, which finishes the job and plans the rest.
pub(super) async fn run(
    app: &App,
    call: &Call,
    (from, to): (i64, i64),
    after: Option<EnrollmentId>,
) -> Result<Disposition, AppError> {
    Ok(if app.hear_facts(call, from, to, after).await? { Disposition::Finished } else { Disposition::Obsolete })
}
