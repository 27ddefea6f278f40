//! Delivers an e-mail: begin, send, settle.

use crate::Disposition;
use chrono::TimeDelta;
use std::time::Duration;
use tandem_app::{App, AppError, Call, EmailBegin, EmailSettle};
use tandem_domain::email::EmailState;
use tandem_domain::id::EmailId;
use tandem_store::StoreError;
use tokio::time::timeout;
use tracing::Instrument;

/// How long a delivery waits for its turn at the mail server before it lets other jobs have its place in this process.
pub const TURN_PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: TimeDelta = TimeDelta::seconds(2);

/// The three beats, in a turn at the mail server: an e-mail that has to wait for one is not begun yet. A crash between the
/// first and the third leaves the e-mail SENDING; the next run of this job finds it so and calls it UNKNOWN.
pub(super) async fn run(app: &App, call: &Call, email: EmailId) -> Result<Disposition, AppError> {
    let mail = &app.env.mail;
    let Ok(_turn) = timeout(TURN_PATIENCE, mail.mailer.turn()).await else {
        return Ok(Disposition::Snooze { after: AGAIN });
    };
    let (begun, ..) = match app.run(call, EmailBegin { email }).await {
        Ok(begun) => begun,
        Err(AppError::Refused { .. } | AppError::NotFound { .. }) => return Ok(Disposition::Obsolete),
        Err(error) => return Err(error),
    };
    if begun.state != EmailState::Sending {
        return Ok(Disposition::Finished);
    }
    let span = tracing::info_span!(
        "send e-mail",
        otel.kind = "client",
        outcome = tracing::field::Empty,
        email = %email,
        attempt = begun.attempts
    );
    let delivery = mail.mailer.send(mail.outgoing(&begun)).instrument(span.clone()).await;
    span.record("outcome", delivery.name());
    drop(span);
    let settle = EmailSettle { email, attempt: begun.attempts, delivery };
    match app.run(call, settle.clone()).await {
        Ok(_) => Ok(Disposition::Finished),
        // The lease ran out while the server took its time, and whoever took over may have called the e-mail
        // UNKNOWN. What happened is known here, so it is recorded; the job is no longer ours to finish.
        Err(lost @ AppError::Store(StoreError::LeaseLost { .. })) => match app.run(&call.without_job(), settle).await {
            Ok(_) | Err(AppError::Refused { .. }) => Err(lost),
            Err(error) => Err(error),
        },
        Err(AppError::Refused { .. }) => Ok(Disposition::Obsolete),
        Err(error) => Err(error),
    }
}
