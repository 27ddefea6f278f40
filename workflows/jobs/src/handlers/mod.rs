//! One handler a job kind. A handler runs commands under the job's lease; the last one's commit finishes the job.

mod advance_enrollment;
mod apply_events;
mod apply_received_email;
mod deliver_email;
mod deliver_webhook;
mod end_suspension;
mod expire_change_request;
mod expire_claim;
mod handoff;
mod hear_facts;
mod make_call;
mod poll_inbox;
mod prune;
mod resume_enrollments;
mod run_inbound_delivery;
mod start_by_trigger;
mod sweep_leads;
mod wake_lead;
mod wake_work_item;

pub use deliver_email::TURN_PATIENCE;

use crate::Disposition;
use tandem_app::sequence::TriggerStart;
use tandem_app::{
    App, AppError, Batch, Call, Command, EnrollmentAdvance, EnrollmentWake, HandoffCheckSla, HandoffExpireOffer,
    HandoffMatch, MailboxSpread, OutboundWebhookReplayPart, SequenceMigrationPart, SequenceWake,
};
use tandem_domain::decision::Job;

/// Hands a job to its handler.
pub(crate) async fn run(app: &App, call: &Call, job: Job) -> Result<Disposition, AppError> {
    match job {
        Job::AdvanceEnrollment { enrollment, visit } => advance_enrollment::run(app, call, enrollment, visit).await,
        Job::ResumeEnrollments { sequence, revision, done } => {
            resume_enrollments::run(app, call, sequence, (revision, done)).await
        }
        Job::DeliverEmail { email } => deliver_email::run(app, call, email).await,
        Job::EndSuspension { list, account, revision } => end_suspension::run(app, call, list, account, revision).await,
        Job::ExpireChangeRequest { request } => expire_change_request::run(app, call, request).await,
        Job::ExpireClaim { item, fence } => expire_claim::run(app, call, item, fence).await,
        Job::WakeWorkItem { item, revision } => wake_work_item::run(app, call, item, revision).await,
        Job::WakeLead { lead, revision } => wake_lead::run(app, call, lead, revision).await,
        Job::MatchHandoff { handoff, attempt } => handoff::run(app, call, HandoffMatch { handoff, attempt }).await,
        Job::ExpireOffer { handoff, attempt } => handoff::run(app, call, HandoffExpireOffer { handoff, attempt }).await,
        Job::CheckHandoffSla { handoff, revision } => {
            handoff::run(app, call, HandoffCheckSla { handoff, revision }).await
        }
        Job::RunInboundDelivery { delivery, round } => run_inbound_delivery::run(app, call, delivery, round).await,
        Job::ApplyEvents { source, batch } => apply_events::run(app, call, source, batch).await,
        Job::DeliverWebhook { delivery, round } => deliver_webhook::run(app, call, delivery, round).await,
        Job::ReplayWebhook { webhook, since, until, after } => {
            settle(app, call, OutboundWebhookReplayPart { webhook, since, until, after }).await
        }
        Job::WakeEnrollment { enrollment, visit } => settle(app, call, EnrollmentWake { enrollment, visit }).await,
        Job::ApplyReceivedEmail { received } => apply_received_email::run(app, call, received).await,
        Job::WakeSequence { sequence, revision } => settle(app, call, SequenceWake { sequence, revision }).await,
        Job::MigrateEnrollments { migration, revision } => {
            settle(app, call, SequenceMigrationPart { migration, revision }).await
        }
        Job::MakeCall { call: made, round } => make_call::run(app, call, made, round).await,
        Job::PollInbox {} => poll_inbox::run(app, call).await,
        Job::SweepLeads {} => sweep_leads::run(app, call).await,
        Job::Prune {} => prune::run(app, call).await,
        Job::StartByTrigger { sequence, version, trigger, cause, after } => {
            start_by_trigger::run(app, call, TriggerStart { sequence, version, trigger, cause, after }).await
        }
        Job::HearFacts { from, to, after } => hear_facts::run(app, call, (from, to), after).await,
        Job::SpreadMailbox { mailbox, round } => settle(app, call, MailboxSpread { mailbox, round }).await,
    }
}

/// Runs a job's command within a batch, whose commit finishes the job.
pub(crate) async fn run_in_batch(batch: &mut Batch<'_>, call: &Call, job: Job) -> Result<Disposition, AppError> {
    let Job::AdvanceEnrollment { enrollment, visit } = job else {
        return Ok(Disposition::Retry { after: None, error: "this kind of job is not run together".to_owned() });
    };
    let done = batch.run(call, &EnrollmentAdvance { enrollment, visit }).await;
    match done {
        Ok(_) => {
            if let Some(lease) = call.job {
                batch.finish_job(lease);
            }
            Ok(Disposition::Finished)
        }
        Err(AppError::Refused { .. }) => Ok(Disposition::Obsolete),
        Err(error) => Err(error),
    }
}

/// Runs a command whose commit finishes the job. A refusal means that the state has moved on since the job was
/// planned: the job is obsolete.
pub(crate) async fn settle<C: Command>(app: &App, call: &Call, command: C) -> Result<Disposition, AppError> {
    match app.run(call, command).await {
        Ok(_) => Ok(Disposition::Finished),
        Err(AppError::Refused { code, message, .. }) => {
            tracing::debug!(command = C::NAME, code, message, "the job was obsolete");
            Ok(Disposition::Obsolete)
        }
        Err(error) => Err(error),
    }
}
