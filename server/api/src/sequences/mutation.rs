//! Changes of sequences and enrolments.

use super::migrations::inside_running;
use super::types::{
    EnrollmentExitReason, EnrollmentFinishReason, EnrollmentNode, EnrollmentPauseReason, SequenceNode,
    SequenceVersionNode,
};
use super::versions::{SequenceBacklog, SequenceMigrationNode, SequenceRunningInput};
use crate::context::ContextExt;
use crate::error::{ApiError, UserError, UserErrorCode, named, split, within};
use crate::ids::{local, local_opt};
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tandem_app::sequence::Replaced;
use tandem_app::{
    AppError, EnrollmentCreate, EnrollmentExit, EnrollmentFinish, EnrollmentPause, EnrollmentResume, SequenceArchive,
    SequenceCatchUp, SequenceDraft, SequencePause, SequencePauseUntil, SequencePublish, SequenceReplace,
    SequenceResume,
};
use tandem_domain::sequence::backlog::{Backlog, Wish};
use tandem_domain::sequence::{Problem, Rule};

/// How many subjects one call may enrol.
const MOST: usize = 500;

macro_rules! inputs {
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty),+ })+) => { $(
        $(#[$meta])*
        #[derive(InputObject)]
        pub struct $name { $($(#[$fmeta])* $field: $type),+ }
    )+ };
}

inputs! {
    /// A definition to save.
    SequenceDraftInput {
        /// The definition, in YAML or JSON.
        source: String,
        /// Repeats of the same key and input within 24 hours give the same payload.
        idempotency_key: Option<String>
    }
    /// A definition to publish.
    SequencePublishInput {
        /// The definition, in YAML or JSON.
        source: String,
        /// What becomes of those who run on older versions; absent means that they stay there.
        running: Option<SequenceRunningInput>,
        /// Repeats of the same key and input within 24 hours give the same payload.
        idempotency_key: Option<String>
    }
    /// A sequence to pause.
    SequencePauseInput {
        /// The sequence.
        sequence_id: ID,
        /// When it goes on by itself; null where somebody resumes it.
        until: Option<DateTime<Utc>>
    }
    /// A sequence to resume.
    SequenceResumeInput {
        /// The sequence.
        sequence_id: ID,
        /// What becomes of what fell due during the pause. Absent means SPREAD where `days` are given; else up to 100 runs go
        /// on at once, and more are spread over a day.
        backlog: Option<SequenceBacklog>,
        /// Over how many days, 1 to 30, with SPREAD or LATEST. Absent means one day for SPREAD; for LATEST at once, or one day
        /// where it concerns more than 100 runs.
        days: Option<i32>
    }
    /// A sequence to archive.
    SequenceArchiveInput {
        /// The sequence.
        sequence_id: ID
    }
}

/// A subject to enrol.
#[derive(InputObject)]
pub struct EnrollmentCreateInput {
    /// The sequence.
    sequence_id: ID,
    /// The person; may be left out where the lead is named.
    contact_id: Option<ID>,
    /// The lead; needed where leads run through the sequence.
    lead_id: Option<ID>,
    /// Values for conditions and templates (`enrollment.vars.<key>`): a map of at most 16 KiB.
    vars: Option<Json<Map<String, Value>>>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// Many subjects to enrol in one sequence.
#[derive(InputObject)]
pub struct EnrollmentCreateManyInput {
    /// The sequence.
    sequence_id: ID,
    /// The people; at most 500 people and leads together.
    #[graphql(default)]
    contact_ids: Vec<ID>,
    /// The leads.
    #[graphql(default)]
    lead_ids: Vec<ID>,
    /// Repeats of the same key and input within 24 hours enrol only who is missing, and give the same results.
    idempotency_key: Option<String>,
}

/// An enrolment to end early.
#[derive(InputObject)]
pub struct EnrollmentExitInput {
    /// The enrolment.
    enrollment_id: ID,
    /// Why.
    #[graphql(default_with = "EnrollmentExitReason::Manual")]
    reason: EnrollmentExitReason,
}

/// An enrolment whose purpose has come about.
#[derive(InputObject)]
pub struct EnrollmentFinishInput {
    /// The enrolment.
    enrollment_id: ID,
    /// What came about.
    reason: EnrollmentFinishReason,
}

/// An enrolment to pause.
#[derive(InputObject)]
pub struct EnrollmentPauseInput {
    /// The enrolment.
    enrollment_id: ID,
    /// Why.
    #[graphql(default_with = "EnrollmentPauseReason::Manual")]
    reason: EnrollmentPauseReason,
    /// When it goes on by itself; null where somebody resumes it.
    until: Option<DateTime<Utc>>,
}

/// An enrolment to resume.
#[derive(InputObject)]
pub struct EnrollmentResumeInput {
    /// The enrolment.
    enrollment_id: ID,
}

payload! {
    /// What `sequenceDraft` did.
    SequenceDraftPayload {
        /// The sequence with its draft.
        sequence: SequenceNode,
    }
    /// What `sequencePause` did.
    SequencePausePayload {
        /// The sequence after the change.
        sequence: SequenceNode,
    }
    /// What `sequenceResume` did.
    SequenceResumePayload {
        /// The sequence after the change.
        sequence: SequenceNode,
    }
    /// What `sequenceArchive` did.
    SequenceArchivePayload {
        /// The sequence after the change.
        sequence: SequenceNode,
    }
    /// What `enrollmentCreate` did.
    EnrollmentCreatePayload {
        /// The new enrolment.
        enrollment: EnrollmentNode,
    }
    /// What `enrollmentExit` did.
    EnrollmentExitPayload {
        /// The enrolment after the change.
        enrollment: EnrollmentNode,
    }
    /// What `enrollmentFinish` did.
    EnrollmentFinishPayload {
        /// The enrolment after the change.
        enrollment: EnrollmentNode,
    }
    /// What `enrollmentPause` did.
    EnrollmentPausePayload {
        /// The enrolment after the change.
        enrollment: EnrollmentNode,
    }
    /// What `enrollmentResume` did.
    EnrollmentResumePayload {
        /// The enrolment after the change.
        enrollment: EnrollmentNode,
    }
    /// What `enrollmentCreateMany` did.
    EnrollmentCreateManyPayload {
        /// One answer for each person and then each lead, in the order given.
        results: Vec<EnrollmentCreateResult>,
    }
}

/// What `sequencePublish` did.
#[derive(SimpleObject)]
pub struct SequencePublishPayload {
    /// The sequence after the change.
    pub sequence: Option<SequenceNode>,
    /// The new version.
    pub version: Option<SequenceVersionNode>,
    /// The migration that began; null where nobody is moved or ended.
    pub migration: Option<SequenceMigrationNode>,
    /// What the caller can mend; empty when the change was made.
    pub user_errors: Vec<UserError>,
}

/// What enrolling one of many came to.
#[derive(SimpleObject)]
pub struct EnrollmentCreateResult {
    /// The person or lead that was named.
    subject_id: ID,
    /// The new enrolment; null where it was refused.
    enrollment: Option<EnrollmentNode>,
    /// What the caller can mend; empty when it was enrolled.
    user_errors: Vec<UserError>,
}

/// A problem of a document as an error of its own: the field is `source` and the path. The path of a problem in the document of
/// a stored template is none in the input, so the message names it.
pub(crate) fn problem_error(problem: Problem) -> Option<UserError> {
    let Problem { path, rule, message, line, template, .. } = problem;
    let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    let (inner, message) = match template {
        None => (Some(path).filter(|path| !path.is_empty()), format!("{line}{message}")),
        Some(template) => (None, format!("{template}, {line}{path}: {message}")),
    };
    let field = std::iter::once("source".to_owned()).chain(inner).collect();
    Some(UserError { field: Some(field), message, code: UserErrorCode::of(rule.as_str())? })
}

/// The problems of a definition that was refused, each as an error of its own: of its rules, or of what it names.
async fn problems(
    ctx: &Context<'_>,
    source: &str,
    done: &Result<(), &AppError>,
) -> Result<Option<Vec<UserError>>, ApiError> {
    // What it names and is not there is refused under the code of the rule.
    let of_problems = |code: &str| code == "SEQUENCE_INVALID" || code.parse::<Rule>().is_ok();
    if !matches!(done, Err(error) if of_problems(error.code())) {
        return Ok(None);
    }
    let found = ctx.app().sequence_problems(ctx.actor(), source).await?;
    // It may have come to be there since: then the refusal speaks for itself.
    Ok((!found.is_empty()).then(|| found.into_iter().take(100).filter_map(problem_error).collect()))
}

/// Changes of sequences and enrolments.
#[derive(Default)]
pub struct SequenceMutation;

#[Object]
impl SequenceMutation {
    /// Saves a definition without publishing it. Every problem of the definition is a user error of its own.
    async fn sequence_draft(
        &self,
        ctx: &Context<'_>,
        input: SequenceDraftInput,
    ) -> Result<SequenceDraftPayload, ApiError> {
        let command = SequenceDraft { source: input.source.clone() };
        let done = ctx.run(input.idempotency_key, command).await;
        match problems(ctx, &input.source, &done.as_ref().map(drop)).await? {
            Some(user_errors) => Ok(SequenceDraftPayload { sequence: None, user_errors }),
            None => SequenceDraftPayload::of(done.map(SequenceNode)),
        }
    }

    /// Publishes a definition as the next version of the sequence of its key, and says what becomes of those who run on older
    /// versions. Every problem of the definition is a user error of its own.
    async fn sequence_publish(
        &self,
        ctx: &Context<'_>,
        input: SequencePublishInput,
    ) -> Result<SequencePublishPayload, ApiError> {
        let source = input.source.clone();
        let done: Result<Replaced, AppError> = async {
            match input.running {
                None => {
                    let command = SequencePublish { source: input.source };
                    let (sequence, version) = ctx.run(input.idempotency_key, command).await?;
                    Ok((sequence, version, None))
                }
                Some(running) => {
                    let running = running.running().map_err(|error| within(error, "running"))?;
                    let command = SequenceReplace { source: input.source, running };
                    ctx.run(input.idempotency_key, command).await.map_err(inside_running)
                }
            }
        }
        .await;
        let refused =
            |user_errors| SequencePublishPayload { sequence: None, version: None, migration: None, user_errors };
        if let Some(user_errors) = problems(ctx, &source, &done.as_ref().map(drop)).await? {
            return Ok(refused(user_errors));
        }
        Ok(match split(done)? {
            Ok((sequence, version, migration)) => SequencePublishPayload {
                sequence: Some(SequenceNode(sequence)),
                version: Some(SequenceVersionNode(version)),
                migration: migration.map(SequenceMigrationNode),
                user_errors: Vec::new(),
            },
            Err(user_errors) => refused(user_errors),
        })
    }

    /// Pauses a sequence, until a moment where one is given: it takes no enrolments, its own pause as they fall due, and nothing of it goes out.
    async fn sequence_pause(
        &self,
        ctx: &Context<'_>,
        input: SequencePauseInput,
    ) -> Result<SequencePausePayload, ApiError> {
        let done = async {
            let sequence = local(&input.sequence_id, "sequenceId")?;
            match input.until {
                Some(until) => ctx.run(None, SequencePauseUntil { sequence, until }).await,
                None => ctx.run(None, SequencePause { sequence }).await,
            }
        };
        SequencePausePayload::of(done.await.map(SequenceNode))
    }

    /// Resumes a sequence, and the enrolments that paused with it, in the order in which they fell due.
    async fn sequence_resume(
        &self,
        ctx: &Context<'_>,
        input: SequenceResumeInput,
    ) -> Result<SequenceResumePayload, ApiError> {
        let done = async {
            let sequence = local(&input.sequence_id, "sequenceId")?;
            // A number that cannot be one of days is refused as such.
            let days = input.days.map(|days| u32::try_from(days).unwrap_or(0));
            let backlog = input.backlog.map(Backlog::from).or_else(|| days.map(|_| Backlog::Spread));
            match backlog {
                Some(backlog) => ctx.run(None, SequenceCatchUp { sequence, wish: Wish { backlog, days } }).await,
                None => ctx.run(None, SequenceResume { sequence }).await,
            }
        };
        SequenceResumePayload::of(done.await.map(SequenceNode))
    }

    /// Archives a sequence for good: a job ends all that runs in it, also what pauses, and nothing of it goes out any more.
    async fn sequence_archive(
        &self,
        ctx: &Context<'_>,
        input: SequenceArchiveInput,
    ) -> Result<SequenceArchivePayload, ApiError> {
        let done = async {
            let sequence = local(&input.sequence_id, "sequenceId")?;
            ctx.run(None, SequenceArchive { sequence }).await
        };
        SequenceArchivePayload::of(done.await.map(SequenceNode))
    }

    /// Enrols a subject in the newest version of a sequence; its first step is due at once.
    async fn enrollment_create(
        &self,
        ctx: &Context<'_>,
        input: EnrollmentCreateInput,
    ) -> Result<EnrollmentCreatePayload, ApiError> {
        // A lead that is named alone stands for its contact.
        let person = if input.contact_id.is_some() { "contactId" } else { "leadId" };
        let names = [("sequence", "sequenceId"), ("lead", "leadId"), ("contact", person)];
        let done = async {
            let command = EnrollmentCreate {
                sequence: local(&input.sequence_id, "sequenceId")?,
                contact: local_opt(input.contact_id.as_ref(), "contactId")?,
                lead: local_opt(input.lead_id.as_ref(), "leadId")?,
                vars: input.vars.map(|vars| vars.0).unwrap_or_default(),
            };
            ctx.run(input.idempotency_key, command).await
        };
        let done = done.await.map_err(|error| named(error, &names));
        EnrollmentCreatePayload::of(done.map(|enrolled| EnrollmentNode(enrolled.0)))
    }

    /// Enrols many subjects in the newest version of a sequence, each for itself: a refusal of one leaves the others
    /// alone.
    async fn enrollment_create_many(
        &self,
        ctx: &Context<'_>,
        input: EnrollmentCreateManyInput,
    ) -> Result<EnrollmentCreateManyPayload, ApiError> {
        let prepared = async {
            let count = input.contact_ids.len() + input.lead_ids.len();
            if count > MOST {
                let message = format!("at most {MOST} can be enrolled at once, not {count}; split them");
                return Err(AppError::refused("ENROLLMENT_TOO_MANY", message, Some("contactIds")));
            }
            let sequence = local(&input.sequence_id, "sequenceId")?;
            let enroll = |contact, lead| EnrollmentCreate { sequence, contact, lead, vars: Map::new() };
            // An id that is none costs its own row alone.
            let people = input.contact_ids.iter().map(|id| Ok(enroll(Some(local(id, "contactIds")?), None)));
            let leads = input.lead_ids.iter().map(|id| Ok(enroll(None, Some(local(id, "leadIds")?))));
            let commands: Vec<Result<EnrollmentCreate, AppError>> = people.chain(leads).collect();
            Ok::<_, AppError>((ctx.call(input.idempotency_key.clone())?, commands))
        };
        let (call, commands) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return EnrollmentCreateManyPayload::of(Err(error)),
        };
        let people = input.contact_ids.into_iter().map(|id| (id, "contactIds"));
        let subjects = people.chain(input.lead_ids.into_iter().map(|id| (id, "leadIds")));
        let answers = ctx.app().enroll_many(&call, commands).await;
        let mut results = Vec::with_capacity(answers.len());
        for ((subject_id, ids), answer) in subjects.zip(answers) {
            let names = [("sequence", "sequenceId"), ("lead", "leadIds"), ("contact", ids)];
            let answer = answer.map_err(|error| match error {
                AppError::NotFound { what, .. } => {
                    let field = if what == "Sequence" { "sequenceId" } else { ids };
                    AppError::refused(error.code(), error.to_string(), Some(field))
                }
                other => other,
            });
            results.push(match split(answer.map_err(|error| named(error, &names)))? {
                Ok(enrolled) => EnrollmentCreateResult {
                    subject_id,
                    enrollment: Some(EnrollmentNode(enrolled.0)),
                    user_errors: Vec::new(),
                },
                Err(user_errors) => EnrollmentCreateResult { subject_id, enrollment: None, user_errors },
            });
        }
        EnrollmentCreateManyPayload::of(Ok(results))
    }

    /// Ends an enrolment early.
    async fn enrollment_exit(
        &self,
        ctx: &Context<'_>,
        input: EnrollmentExitInput,
    ) -> Result<EnrollmentExitPayload, ApiError> {
        let done = async {
            let enrollment = local(&input.enrollment_id, "enrollmentId")?;
            ctx.run(None, EnrollmentExit { enrollment, reason: input.reason.into() }).await
        };
        EnrollmentExitPayload::of(done.await.map(|(enrollment, _)| EnrollmentNode(enrollment)))
    }

    /// Ends an enrolment because its purpose has come about: the person answered, a meeting was booked.
    async fn enrollment_finish(
        &self,
        ctx: &Context<'_>,
        input: EnrollmentFinishInput,
    ) -> Result<EnrollmentFinishPayload, ApiError> {
        let done = async {
            let enrollment = local(&input.enrollment_id, "enrollmentId")?;
            ctx.run(None, EnrollmentFinish { enrollment, reason: input.reason.into() }).await
        };
        EnrollmentFinishPayload::of(done.await.map(|(enrollment, _)| EnrollmentNode(enrollment)))
    }

    /// Pauses an enrolment: its next step stays where it is.
    async fn enrollment_pause(
        &self,
        ctx: &Context<'_>,
        input: EnrollmentPauseInput,
    ) -> Result<EnrollmentPausePayload, ApiError> {
        let done = async {
            let enrollment = local(&input.enrollment_id, "enrollmentId")?;
            ctx.run(None, EnrollmentPause { enrollment, reason: input.reason.into(), until: input.until }).await
        };
        EnrollmentPausePayload::of(done.await.map(EnrollmentNode))
    }

    /// Resumes a paused enrolment. What fell due during the pause is due now.
    async fn enrollment_resume(
        &self,
        ctx: &Context<'_>,
        input: EnrollmentResumeInput,
    ) -> Result<EnrollmentResumePayload, ApiError> {
        let done = async {
            let enrollment = local(&input.enrollment_id, "enrollmentId")?;
            ctx.run(None, EnrollmentResume { enrollment }).await
        };
        EnrollmentResumePayload::of(done.await.map(EnrollmentNode))
    }
}
