//! Enrolling subjects, and what people do with a single enrolment.

use super::publishing::version_of;
use super::subject::{Subject, Surroundings};
use crate::{App, AppError, Call, Command, Env, Result};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tandem_domain::decision::Decision;
use tandem_domain::id::{ContactId, EnrollmentId, LeadId, SequenceId};
use tandem_domain::lead::{self, Lead, Owner};
use tandem_domain::received::{self, Content};
use tandem_domain::sequence::enrollment::{
    self, Candidate, EnrollmentState, ExitReason, FinishReason, PauseReason, Refusal,
};
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::{Enrollment, Sequence, SequenceState, SubjectKind};
use tandem_domain::work_item::{self, ItemState, WorkItem};
use tandem_store::{Save, StoreError, Tx};
use uuid::Uuid;

/// When a lead that a sequence owns comes back for review whatever the sequence does: longer than any run should be.
const REVIEW_AFTER: TimeDelta = TimeDelta::days(400);

/// An enrolment that began, the lead whose owner changed with it, and the enrolment of the same person whose place it took,
/// with what that let go. An answer that was remembered without the third is read too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enrolled(pub Enrollment, pub Option<Lead>, #[serde(default)] pub Option<LetGo>);

impl Save for Enrolled {
    async fn save(&self, tx: &Tx) -> Result<(), StoreError> {
        // First the one that gives its place up: a person has one in a group.
        self.2.save(tx).await?;
        self.0.save(tx).await?;
        self.1.save(tx).await
    }
}

/// An enrolment, and what followed from its end: the lead that it let go, and the tasks that nobody needs any more.
pub type LetGo = (Enrollment, (Option<Lead>, Vec<WorkItem>));

/// Where the enrolment is over, gives a lead that it owns back to marketing, and closes the tasks that it made and that
/// nobody has taken up, unless they are still to be done. The tasks are locked last; whoever has one locks nothing else.
pub(crate) async fn let_go(
    tx: &Tx,
    decision: Decision<Enrollment>,
    lead: Option<Lead>,
    env: &Env,
    now: DateTime<Utc>,
) -> Result<Decision<LetGo>> {
    let (id, state, needs_no_tasks) = (decision.next.id, decision.next.state, decision.next.needs_no_tasks());
    let reason = state.reason().unwrap_or(state.kind().as_str());
    let mut decision = decision.map(|enrollment| (enrollment, (None, Vec::new())));
    if state.is_live() {
        return Ok(decision);
    }
    if let Some(lead) = lead.filter(|lead| lead.owner == Owner::Sequence(id)) {
        let ended = lead::nurture_ended(lead, reason, &env.queue.policy.patience, now)?;
        decision = decision.and(ended).map(|((enrollment, (_, tasks)), lead)| (enrollment, (Some(lead), tasks)));
    }
    if needs_no_tasks {
        for task in tx.open_items_of_enrollment(id).await? {
            if task.state == ItemState::Queued {
                let closed = work_item::cancel(task, reason, now)?;
                decision = decision.and(closed).map(|((enrollment, (lead, mut tasks)), task)| {
                    tasks.push(task);
                    (enrollment, (lead, tasks))
                });
            }
        }
    }
    Ok(decision)
}

async fn load(tx: &Tx, id: EnrollmentId) -> Result<Enrollment> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "Enrollment", id: id.into() })
}

/// The lead of an enrolment, locked.
pub(crate) async fn lead_of(tx: &Tx, enrollment: &Enrollment) -> Result<Option<Lead>> {
    match enrollment.lead {
        Some(lead) => Ok(tx.get(lead).await?),
        None => Ok(None),
    }
}

/// Enrols a subject in the newest version of a sequence.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentCreate {
    /// The sequence.
    pub sequence: SequenceId,
    /// The person; may be left out where the lead is named.
    pub contact: Option<ContactId>,
    /// The lead; needed where leads run through the sequence, which then owns it.
    pub lead: Option<LeadId>,
    /// Values for conditions and templates (`enrollment.vars.<key>`), at most 16 KiB as JSON.
    pub vars: Map<String, Value>,
}

impl Command for EnrollmentCreate {
    const NAME: &'static str = "enrollmentCreate";
    type Output = Enrolled;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Enrolled>> {
        let now = call.now(env);
        if serde_json::to_string(&self.vars).map_or(0, |text| text.len()) > 16 * 1024 {
            let message = "the values are larger than 16 KiB as JSON; give fewer or shorter ones";
            return Err(AppError::refused("ENROLLMENT_VARS_TOO_LARGE", message, Some("vars")));
        }
        let contact = match (self.contact, self.lead) {
            (Some(contact), _) => contact,
            (None, Some(id)) => {
                let lead: Lead = tx.peek(id).await?.ok_or(AppError::NotFound { what: "Lead", id: id.into() })?;
                lead.contact
            }
            (None, None) => {
                let message = "name the contact or the lead to enrol";
                return Err(AppError::refused("ENROLLMENT_SUBJECT_MISSING", message, Some("contactId")));
            }
        };
        let missing = || AppError::NotFound { what: "Sequence", id: self.sequence.into() };
        let sequence = tx.share_sequence(self.sequence).await?.ok_or_else(missing)?;
        let version = version_of(tx, &sequence).await?;
        let definition = &version.definition;
        // Enrolments are locked before their contact, here as everywhere.
        let mut rivals = match &definition.header.exclusive {
            Some(_) => tx.live_enrollments_of(contact).await?,
            None => Vec::new(),
        };
        let mut subject = Subject::load(tx, contact, self.lead).await?;
        subject.see(tx, &Reads::of_version(&version), now).await?;
        if let Some(group) = &definition.header.exclusive {
            let now_there = tx.live_enrollments_in_group(contact, group).await?;
            if now_there.iter().any(|one| rivals.iter().all(|rival| rival.id != one.id)) {
                // It came while the contact was waited for, and is not locked.
                return Err(StoreError::Conflict.into());
            }
            rivals.retain(|rival| now_there.iter().any(|one| one.id == rival.id));
        }
        if subject.lead.as_ref().is_some_and(|lead| lead.contact != contact) {
            let message = "the lead belongs to another contact; leave the contact out, or name the lead's";
            return Err(AppError::refused("ENROLLMENT_CONTACT_DIFFERS", message, Some("contactId")));
        }
        let candidate = Candidate {
            id: env.id(now),
            contact,
            lead: self.lead,
            account: subject.account.as_ref().map(|account| account.id),
            vars: self.vars.clone(),
        };
        let mut data = subject.data(env, None, now);
        data["enrollment"] = candidate.data(&sequence, &version, now);
        let key = enrollment::reentry_key(&version, &data)?;
        let owner: Uuid = match (version.definition.header.subject, self.lead) {
            (SubjectKind::Lead, Some(lead)) => lead.into(),
            _ => contact.into(),
        };
        let previous = tx.newest_enrollment(sequence.id, owner, &key).await?;
        let surroundings = Surroundings::default();
        let context = subject.context(&data, sequence.state, &surroundings);
        let mut started = enrollment::enroll(candidate, &sequence, &version, previous.as_ref(), &context, now)?;
        // What the record has by now came before the run, which it began with it where a trigger started it.
        started.next.hearing.since = Some(tx.ledger_place().await?);
        let superseded = match enrollment::compete(&started.next, &rivals)? {
            Some(rival) => {
                let lead = lead_of(tx, rival).await?;
                let ended = enrollment::supersede(rival.clone(), &started.next, now)?;
                Some(let_go(tx, ended, lead, env, now).await?)
            }
            None => None,
        };
        let started = match away_until(tx, contact, context.zone, now).await? {
            Some(until) => left_alone(started, until, now),
            None => started,
        };
        let let_go_lead = superseded.as_ref().and_then(|ended| ended.next.1.0.clone());
        let lead = subject.lead.map(|lead| let_go_lead.filter(|gone| gone.id == lead.id).unwrap_or(lead));
        let nurtured = match lead.filter(|_| started.next.subject == SubjectKind::Lead) {
            Some(lead) => Some(lead::nurture(lead, started.next.id, now + REVIEW_AFTER, now)?),
            None => None,
        };
        // In the order in which it happened.
        let started = match superseded {
            Some(ended) => ended.and(started).map(|(ended, enrollment)| Enrolled(enrollment, None, Some(ended))),
            None => started.map(|enrollment| Enrolled(enrollment, None, None)),
        };
        Ok(match nurtured {
            Some(nurtured) => {
                started.and(nurtured).map(|(Enrolled(run, _, ended), lead)| Enrolled(run, Some(lead), ended))
            }
            None => started,
        })
    }
}

/// Until when a person is away, as their machine says: the latest return counts, since another answer may leave the date out.
/// Who has written since is there.
async fn away_until(tx: &Tx, contact: ContactId, zone: Tz, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    // An absence that is applied at this moment is either seen here, or finds the run that begins here.
    crate::received::absences_in_turn(tx, contact).await?;
    let until = tx.absences_of(contact).await?.into_iter().filter_map(|absence| match absence.reading.content {
        Content::Automatic { away: true, back_on } => received::goes_on_at(back_on, zone, absence.arrived_at, now),
        _ => None,
    });
    Ok(until.max())
}

/// A run that begins while the person is away pauses at once.
fn left_alone(started: Decision<Enrollment>, until: DateTime<Utc>, now: DateTime<Utc>) -> Decision<Enrollment> {
    let Decision { next, mut facts, mut jobs } = started;
    match enrollment::away(next.clone(), until, now) {
        Some(paused) => {
            facts.extend(paused.facts);
            jobs.extend(paused.jobs);
            Decision { next: paused.next, facts, jobs }
        }
        None => Decision { next, facts, jobs },
    }
}

impl App {
    /// Enrols many subjects, each for itself: a refusal of one leaves the others alone. Gives one answer each, in
    /// order; what could not be read is answered as it is. With an idempotency key each has a key of its own, so that a
    /// repetition enrols only who is missing.
    pub async fn enroll_many(&self, call: &Call, enrollments: Vec<Result<EnrollmentCreate>>) -> Vec<Result<Enrolled>> {
        let mut answers = Vec::with_capacity(enrollments.len());
        for (at, enrollment) in enrollments.into_iter().enumerate() {
            let enrollment = match enrollment {
                Ok(enrollment) => enrollment,
                Err(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            let key = call.idempotency_key.as_ref().map(|key| format!("{key}\u{1f}{at}"));
            answers.push(self.run(&call.clone().with_key(key), enrollment).await);
        }
        answers
    }
}

/// Ends an enrolment early.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentExit {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// Why; `MANUAL` where a person decides it.
    pub reason: ExitReason,
}

impl Command for EnrollmentExit {
    const NAME: &'static str = "enrollmentExit";
    type Output = LetGo;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<LetGo>> {
        let now = call.now(env);
        let enrollment = load(tx, self.enrollment).await?;
        let lead = lead_of(tx, &enrollment).await?;
        let_go(tx, enrollment::exit(enrollment, self.reason, now)?, lead, env, now).await
    }
}

/// Ends an enrolment because what it is for has come about: the person answered, a meeting was booked.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentFinish {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// What came about.
    pub reason: FinishReason,
}

impl Command for EnrollmentFinish {
    const NAME: &'static str = "enrollmentFinish";
    type Output = LetGo;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<LetGo>> {
        let now = call.now(env);
        let enrollment = load(tx, self.enrollment).await?;
        let lead = lead_of(tx, &enrollment).await?;
        let_go(tx, enrollment::finish(enrollment, self.reason, now)?, lead, env, now).await
    }
}

/// Pauses an enrolment.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentPause {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// Why. `SEQUENCE` is for paused sequences alone.
    pub reason: PauseReason,
    /// When it goes on by itself; none where somebody resumes it.
    pub until: Option<DateTime<Utc>>,
}

impl Command for EnrollmentPause {
    const NAME: &'static str = "enrollmentPause";
    type Output = Enrollment;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Enrollment>> {
        if self.reason == PauseReason::Sequence {
            let message = "an enrolment pauses with its sequence by itself; pause the sequence, or give another reason";
            return Err(AppError::refused("ENROLLMENT_PAUSE_REASON_INVALID", message, Some("reason")));
        }
        Ok(enrollment::pause(load(tx, self.enrollment).await?, self.reason, self.until, call.now(env))?)
    }
}

/// Resumes a paused enrolment. One that paused with its sequence goes on only where the sequence does.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentResume {
    /// The enrolment.
    pub enrollment: EnrollmentId,
}

impl Command for EnrollmentResume {
    const NAME: &'static str = "enrollmentResume";
    type Output = Enrollment;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Enrollment>> {
        let enrollment = load(tx, self.enrollment).await?;
        if enrollment.state == EnrollmentState::Paused(PauseReason::Sequence) {
            let sequence: Option<Sequence> = tx.peek(enrollment.sequence).await?;
            if sequence.is_some_and(|sequence| sequence.state == SequenceState::Paused) {
                // It would pause again at once; and once the sequence goes on, so does the enrolment.
                return Err(Refusal::Paused { state: enrollment.state }.into());
            }
        }
        Ok(enrollment::resume(enrollment, call.now(env))?)
    }
}

/// Resumes an enrolment whose pause came to its planned end.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentWake {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The visit that planned it.
    pub visit: u32,
}

impl Command for EnrollmentWake {
    const NAME: &'static str = "enrollmentWake";
    type Output = Enrollment;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Enrollment>> {
        Ok(enrollment::wake(load(tx, self.enrollment).await?, self.visit, call.now(env))?)
    }
}
