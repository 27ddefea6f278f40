//! One subject's run through one version of a sequence, and the states it can be in.
//!
//! ```text
//! PENDING -> ACTIVE <-> WAITING(time | event | email | window | cap | task | backlog | answer)
//!            ACTIVE | WAITING <-> PAUSED(manual | sequence | out_of_office | ops)
//! ends: FINISHED(goal | completed | replied | meeting_booked | opportunity_opened), EXITED(rule | list_removed | superseded | manual),
//!       OPTED_OUT, BOUNCED, FAILED
//! ```
//!
//! A running enrolment stays on its version until somebody moves it to a newer one ([`crate::sequence::migration`]). That is
//! one transaction, so nobody ever sees it between the two.
//! Law: a live enrolment that is not paused has a due time, every other has none.

mod answer;
mod catching_up;
mod exclusive;
mod grounds;
mod memory;
mod state;

pub use answer::{Answered, MAX_VARS, answered, overdue};
pub use catching_up::resume_from_backlog;
pub use exclusive::{Exclusive, compete, supersede};
pub use grounds::on_standing;
pub use memory::{AwaitedTask, CHAIN_HOURS, Chain, MOST_IN_CHAIN, Memory, task_settled};
pub use state::{EnrollmentState, ExitReason, FinishReason, PauseReason, StateKind, TaskEnd, WaitReason};

use super::definition::SubjectKind;
use super::hearing::Hearing;
use super::publishing::{Sequence, SequenceState, SequenceVersion};
use super::stepper::{Context, EMAIL_OVERDUE};
use super::steps::Failure;
use super::trail::Trail;
use super::trigger::Event;
use crate::decision::{Decision, Fact, Job, known_as};
use crate::expression::{self, Expression};
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId, SequenceId, SequenceVersionId};
use crate::standing::Standing;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// One subject's run through one version of a sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// The sequence.
    pub sequence: SequenceId,
    /// The version; another one once it was moved there.
    pub version: SequenceVersionId,
    /// The sequence's key and the version's number, e.g. `welcome@3`: the name of the rule in the ledger.
    pub rule: String,
    /// The person.
    pub contact: ContactId,
    /// The lead; always there where leads run through the sequence.
    pub lead: Option<LeadId>,
    /// The account, where it is known.
    pub account: Option<AccountId>,
    /// What runs through the sequence.
    pub subject: SubjectKind,
    /// At most one live enrolment has the same sequence, subject and re-entry key.
    pub reentry_key: String,
    /// Where it is.
    #[serde(flatten)]
    pub state: EnrollmentState,
    /// The step that runs next; after the end, the last one.
    pub step: String,
    /// Counts the steps and the waits: a timer planned under another visit does nothing.
    pub visit: u32,
    /// When the next step runs; none exactly when it is paused or over.
    pub due_at: Option<DateTime<Utc>>,
    /// While it is paused: when the next step was due, and what was waited for.
    #[serde(default)]
    pub held: Option<Held>,
    /// While it waits for what becomes of an e-mail or of a call, paused or not: the visit that planned it.
    #[serde(default)]
    pub awaits: Option<u32>,
    /// What it knows of what it waits for.
    #[serde(default, skip_serializing_if = "Hearing::is_empty")]
    pub hearing: Hearing,
    /// Values given at the start, for conditions and templates (`enrollment.vars.<key>`).
    pub vars: Map<String, Value>,
    /// When it was made.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it failed.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// What it has behind it.
    #[serde(default, skip_serializing_if = "Trail::is_empty")]
    pub trail: Trail,
    /// What it remembers of its own steps.
    #[serde(default, skip_serializing_if = "Memory::is_empty")]
    pub memory: Memory,
    /// The group of sequences of which the person runs through one at a time, where its version names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<Exclusive>,
}

/// What a paused enrolment goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// When the next step was due.
    pub due_at: DateTime<Utc>,
    /// What was waited for; none for a step that was due.
    pub waiting: Option<WaitReason>,
    /// When it goes on by itself; none where somebody must resume it.
    #[serde(default)]
    pub until: Option<DateTime<Utc>>,
}

impl Enrollment {
    /// The id of whatever runs through the sequence: the lead's or the contact's.
    pub fn subject_id(&self) -> Uuid {
        match (self.subject, self.lead) {
            (SubjectKind::Lead, Some(lead)) => lead.into(),
            _ => self.contact.into(),
        }
    }

    /// Whether it is over and leaves nothing for people to do. What a run that went through to its end asked people to do is still
    /// to be done, whatever the step that ended it says of how it ended, unless that is that it was left early.
    pub const fn needs_no_tasks(&self) -> bool {
        let went_through = self.memory.ended_by_step && matches!(self.state, EnrollmentState::Finished(_));
        self.state.needs_no_tasks() && !went_through
    }

    /// What conditions and templates see as `enrollment`.
    pub fn data(&self) -> Value {
        serde_json::json!({
            "id": self.id,
            "rule": self.rule,
            "step": self.step,
            "visit": self.visit,
            "started_at": self.started_at.to_rfc3339(),
            "vars": self.vars,
            "variants": self.memory.variants,
            "last_task_outcome": self.memory.last_task_outcome,
            "event": self.hearing.event.as_ref().map(Event::data),
        })
    }

    /// Whether it keeps the law of due times.
    pub fn keeps_the_law(&self) -> bool {
        let timed =
            matches!(self.state, EnrollmentState::Pending | EnrollmentState::Active | EnrollmentState::Waiting(_));
        timed == self.due_at.is_some()
            && self.state.is_live() == self.ended_at.is_none()
            && matches!(self.state, EnrollmentState::Paused(_)) == self.held.is_some()
            && matches!(self.waits_for(), Some(WaitReason::Email | WaitReason::Answer)) == self.awaits.is_some()
            && (self.waits_for() == Some(WaitReason::Task)) == self.memory.task.is_some()
            && (!self.memory.moved_on || self.waits_for() == Some(WaitReason::Answer))
            && (self.state.is_live() || self.hearing.awaited.is_none())
    }

    /// What it waits for; also while it is paused.
    fn waits_for(&self) -> Option<WaitReason> {
        match self.state {
            EnrollmentState::Waiting(reason) => Some(reason),
            _ => self.held.and_then(|held| held.waiting),
        }
    }

    /// Whether its present step is one that made a call, of which it waits for the answer.
    pub(crate) fn stands_at_its_call(&self) -> bool {
        self.waits_for() == Some(WaitReason::Answer) && !self.memory.moved_on
    }

    pub(crate) fn fact(&self, kind: &'static str) -> Fact {
        Fact::ledger(kind, self.id)
            .lead(self.lead)
            .account(self.account)
            .under(format!("sequence:{}", self.rule))
            .with("contact", self.contact)
            .with("step", &self.step)
            .with("visit", self.visit)
    }

    /// What it waited for is settled: its next step is due now, or as soon as it is resumed.
    pub(crate) fn due_at_once(mut self, fact: Fact, now: DateTime<Utc>) -> Decision<Self> {
        if let Some(held) = &mut self.held {
            *held = Held { due_at: now, waiting: None, until: held.until };
            return Decision::new(self, fact);
        }
        let fact = fact.moved(self.state, EnrollmentState::Active);
        self.state = EnrollmentState::Active;
        self.due_at = Some(now);
        self.timed(fact)
    }

    /// Plans the next look at the enrolment, where it has a due time.
    pub(crate) fn timed(self, fact: Fact) -> Decision<Self> {
        let (enrollment, visit, due) = (self.id, self.visit, self.due_at);
        let decision = Decision::new(self, fact);
        match due {
            Some(due) => decision.plan(Job::AdvanceEnrollment { enrollment, visit }, due),
            None => decision,
        }
    }
}

/// Why an enrolment is refused, or a change to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody can be enrolled in a sequence that is not active.
    #[error("the sequence is {state}, and only an ACTIVE one takes enrolments: {hint}")]
    SequenceNotActive {
        /// Its state.
        state: SequenceState,
        /// What helps in that state.
        hint: &'static str,
    },
    /// Leads run through this sequence, and none was named.
    #[error("leads run through this sequence; name the lead")]
    LeadMissing,
    /// There is a live one already.
    #[error(
        "enrolment {enrollment} of the same subject and re-entry key is still live; end it first",
        enrollment = known_as(.enrollment)
    )]
    Exists {
        /// The live one.
        enrollment: EnrollmentId,
    },
    /// The previous run ended too recently.
    #[error("the previous run ended too recently; the next may start at {from}")]
    TooSoon {
        /// When the next may start.
        from: DateTime<Utc>,
    },
    /// The entry condition does not hold.
    #[error("the entry condition `{condition}` does not hold for this subject")]
    EntryNotMet {
        /// The condition.
        condition: String,
    },
    /// The person is suppressed or withdrew the consent.
    #[error("this person may not be written to ({standing}); leave them out")]
    MayNotWrite {
        /// Why.
        standing: Standing,
    },
    /// A condition has no value for this subject.
    #[error(transparent)]
    Expression(#[from] expression::Refusal),
    /// The re-entry key is not a text, or too long.
    #[error("the re-entry key must be a text of at most 200 characters")]
    ReentryKeyInvalid,
    /// It is over.
    #[error("the enrolment is {state}, which is an end; enrol the subject again instead")]
    Ended {
        /// The end.
        state: EnrollmentState,
    },
    /// It is paused.
    #[error("the enrolment is {state}; resume it first")]
    Paused {
        /// The state.
        state: EnrollmentState,
    },
    /// It is not paused.
    #[error("the enrolment is {state}, not paused; nothing needs to be done")]
    NotPaused {
        /// The state.
        state: EnrollmentState,
    },
    /// A pause that is over before it begins.
    #[error("a pause ends in the future, and {until} is not; give a later moment, or leave it out")]
    PauseOver {
        /// The end given.
        until: DateTime<Utc>,
    },
    /// Its time has not come.
    #[error("the next step is due at {at}, not before")]
    NotDue {
        /// When.
        at: DateTime<Utc>,
    },
    /// The person runs through another sequence of the group.
    #[error(
        "the person is in {rule} (enrolment {enrollment}, priority {priority}), and in one sequence of the group {group} \
         at a time; end that enrolment first, or give this sequence a higher priority",
        enrollment = known_as(.enrollment)
    )]
    Excluded {
        /// The group.
        group: String,
        /// The enrolment in it.
        enrollment: EnrollmentId,
        /// Its sequence and version.
        rule: String,
        /// Its priority.
        priority: u8,
    },
    /// The timer was planned for another visit.
    #[error("visit {given} is over; the enrolment is at visit {visit}")]
    Stale {
        /// The visit the timer was planned for.
        given: u32,
        /// The visit the enrolment is at.
        visit: u32,
    },
}

impl Refusal {
    /// What is said of a sequence in this state, where it takes no enrolments.
    pub const fn not_active(state: SequenceState) -> Self {
        let hint = match state {
            SequenceState::Draft => "publish it first",
            SequenceState::Active => "try again",
            SequenceState::Paused => "resume it first",
            SequenceState::Archived => "it is over for good; publish another under another key",
        };
        Self::SequenceNotActive { state, hint }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SequenceNotActive { .. } => "SEQUENCE_NOT_ACTIVE",
            Self::LeadMissing => "ENROLLMENT_LEAD_MISSING",
            Self::Exists { .. } => "ENROLLMENT_EXISTS",
            Self::TooSoon { .. } => "ENROLLMENT_TOO_SOON",
            Self::EntryNotMet { .. } => "ENROLLMENT_ENTRY_NOT_MET",
            Self::MayNotWrite { .. } => "ENROLLMENT_MAY_NOT_WRITE",
            Self::Expression(refusal) => refusal.code(),
            Self::ReentryKeyInvalid => "ENROLLMENT_REENTRY_KEY_INVALID",
            Self::Ended { .. } => "ENROLLMENT_ENDED",
            Self::Paused { .. } => "ENROLLMENT_PAUSED",
            Self::NotPaused { .. } => "ENROLLMENT_NOT_PAUSED",
            Self::PauseOver { .. } => "ENROLLMENT_PAUSE_OVER",
            Self::NotDue { .. } => "ENROLLMENT_NOT_DUE",
            Self::Excluded { .. } => "ENROLLMENT_EXCLUDED",
            Self::Stale { .. } => "ENROLLMENT_STALE",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::SequenceNotActive { .. } => Some("sequence"),
            Self::LeadMissing => Some("lead"),
            Self::PauseOver { .. } => Some("until"),
            Self::MayNotWrite { .. }
            | Self::EntryNotMet { .. }
            | Self::Exists { .. }
            | Self::Excluded { .. }
            | Self::TooSoon { .. } => Some("contact"),
            _ => None,
        }
    }
}

/// Whom to enrol.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The id that the enrolment will have.
    pub id: EnrollmentId,
    /// The person.
    pub contact: ContactId,
    /// The lead; needed where leads run through the sequence.
    pub lead: Option<LeadId>,
    /// The account, where it is known.
    pub account: Option<AccountId>,
    /// Values for conditions and templates.
    pub vars: Map<String, Value>,
}

impl Candidate {
    /// What the entry condition and the re-entry key see as `enrollment`: what it will be once there is one.
    pub fn data(&self, sequence: &Sequence, version: &SequenceVersion, now: DateTime<Utc>) -> Value {
        serde_json::json!({
            "id": self.id,
            "rule": rule(sequence, version),
            "step": first_step(version),
            "visit": 0,
            "started_at": now.to_rfc3339(),
            "vars": self.vars,
            "variants": {},
            "last_task_outcome": null,
            "event": null,
        })
    }
}

fn rule(sequence: &Sequence, version: &SequenceVersion) -> String {
    format!("{}@{}", sequence.key, version.number)
}

fn first_step(version: &SequenceVersion) -> &str {
    version.definition.steps.first().map_or("", |step| step.id.as_str())
}

/// The re-entry key of a subject with these data: empty where the sequence has no rule for it.
pub fn reentry_key(version: &SequenceVersion, data: &Value) -> Result<String, Refusal> {
    let Some(rule) = &version.definition.header.reentry.key else { return Ok(String::new()) };
    match Expression::parse(rule)?.evaluate(data)? {
        Value::String(key) if key.chars().count() <= 200 => Ok(key),
        _ => Err(Refusal::ReentryKeyInvalid),
    }
}

/// Enrols a subject; its first step is due at once. `previous` is the newest enrolment of the same sequence, subject
/// and re-entry key, where there is one.
pub fn enroll(
    candidate: Candidate,
    sequence: &Sequence,
    version: &SequenceVersion,
    previous: Option<&Enrollment>,
    context: &Context<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Enrollment>, Refusal> {
    let header = &version.definition.header;
    if sequence.state != SequenceState::Active {
        return Err(Refusal::not_active(sequence.state));
    }
    if header.subject == SubjectKind::Lead && candidate.lead.is_none() {
        return Err(Refusal::LeadMissing);
    }
    if let Some(previous) = previous {
        if previous.state.is_live() {
            return Err(Refusal::Exists { enrollment: previous.id });
        }
        // A run that failed before it did anything was none: whoever mends what failed it can begin anew.
        let ran = previous.state != EnrollmentState::Failed || !previous.trail.is_untouched();
        let ended = previous.ended_at.filter(|_| ran);
        let from = header.reentry.after.zip(ended).map(|(after, ended)| ended + after.delta());
        if let Some(from) = from.filter(|from| *from > now) {
            return Err(Refusal::TooSoon { from });
        }
    }
    if !matches!(context.standing, Standing::Allowed | Standing::Unknown) {
        return Err(Refusal::MayNotWrite { standing: context.standing });
    }
    if let Some(entry) = &header.entry
        && !Expression::parse(entry)?.holds(context.data)?
    {
        return Err(Refusal::EntryNotMet { condition: entry.clone() });
    }
    let reentry_key = reentry_key(version, context.data)?;
    let Candidate { id, contact, lead, account, vars } = candidate;
    let enrollment = Enrollment {
        id,
        sequence: sequence.id,
        version: version.id,
        rule: rule(sequence, version),
        contact,
        lead,
        account,
        subject: header.subject,
        reentry_key,
        state: EnrollmentState::Pending,
        step: first_step(version).to_owned(),
        visit: 0,
        due_at: Some(now),
        held: None,
        awaits: None,
        hearing: Hearing::default(),
        vars,
        started_at: now,
        ended_at: None,
        failure: None,
        trail: Trail::new(),
        memory: Memory::default(),
        exclusive: Exclusive::of(header),
    };
    let fact = enrollment.fact("enrollment.started").with("sequence", sequence.id);
    Ok(enrollment.timed(fact))
}

/// Ends an enrolment in whatever way `state` says, without asking where it is.
pub(crate) fn close(mut enrollment: Enrollment, state: EnrollmentState, now: DateTime<Utc>) -> Decision<Enrollment> {
    let mut fact = enrollment.fact("enrollment.ended").moved(enrollment.state, state);
    if let Some(reason) = state.reason() {
        fact = fact.because(reason);
    }
    if let Some(failure) = &enrollment.failure {
        fact = fact.because(&failure.code).with("message", &failure.message);
    }
    enrollment.state = state;
    enrollment.due_at = None;
    enrollment.held = None;
    enrollment.awaits = None;
    enrollment.trail.catch_up = None;
    enrollment.memory.task = None;
    enrollment.memory.moved_on = false;
    enrollment.hearing.awaited = None;
    enrollment.hearing.noted.clear();
    enrollment.ended_at = Some(now);
    Decision::new(enrollment, fact)
}

fn live(enrollment: &Enrollment) -> Result<(), Refusal> {
    if enrollment.state.is_live() { Ok(()) } else { Err(Refusal::Ended { state: enrollment.state }) }
}

/// Ends an enrolment early.
pub fn exit(enrollment: Enrollment, reason: ExitReason, now: DateTime<Utc>) -> Result<Decision<Enrollment>, Refusal> {
    live(&enrollment)?;
    Ok(close(enrollment, EnrollmentState::Exited(reason), now))
}

/// Ends an enrolment because what it is for has come about.
pub fn finish(
    enrollment: Enrollment,
    reason: FinishReason,
    now: DateTime<Utc>,
) -> Result<Decision<Enrollment>, Refusal> {
    live(&enrollment)?;
    Ok(close(enrollment, EnrollmentState::Finished(reason), now))
}

/// Ends an enrolment because the person does not want to be written to.
pub fn opt_out(enrollment: Enrollment, now: DateTime<Utc>) -> Result<Decision<Enrollment>, Refusal> {
    live(&enrollment)?;
    Ok(close(enrollment, EnrollmentState::OptedOut, now))
}

/// Ends an enrolment because the person cannot be reached under the address.
pub fn bounce(enrollment: Enrollment, now: DateTime<Utc>) -> Result<Decision<Enrollment>, Refusal> {
    live(&enrollment)?;
    Ok(close(enrollment, EnrollmentState::Bounced, now))
}

/// Ends an enrolment because its next step could not be taken.
pub fn fail(mut enrollment: Enrollment, failure: Failure, now: DateTime<Utc>) -> Result<Decision<Enrollment>, Refusal> {
    live(&enrollment)?;
    enrollment.failure = Some(failure);
    Ok(close(enrollment, EnrollmentState::Failed, now))
}

/// Pauses an enrolment: its next step stays where it is, and its timers do nothing. It goes on by itself at `until`, where
/// that is given.
pub fn pause(
    mut enrollment: Enrollment,
    reason: PauseReason,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Decision<Enrollment>, Refusal> {
    live(&enrollment)?;
    let (Some(due_at), false) = (enrollment.due_at, matches!(enrollment.state, EnrollmentState::Paused(_))) else {
        return Err(Refusal::Paused { state: enrollment.state });
    };
    if let Some(until) = until.filter(|until| *until <= now) {
        return Err(Refusal::PauseOver { until });
    }
    let waiting = enrollment.waits_for();
    let state = EnrollmentState::Paused(reason);
    let fact = enrollment.fact("enrollment.paused").moved(enrollment.state, state).because(reason).with("until", until);
    enrollment.held = Some(Held { due_at, waiting, until });
    enrollment.state = state;
    enrollment.due_at = None;
    // Timers planned before the pause are obsolete, also after it.
    enrollment.visit = enrollment.visit.saturating_add(1);
    Ok(woken(enrollment, fact))
}

/// Plans the end of a pause that has one.
fn woken(enrollment: Enrollment, fact: Fact) -> Decision<Enrollment> {
    let (id, visit, until) = (enrollment.id, enrollment.visit, enrollment.held.and_then(|held| held.until));
    let decision = Decision::new(enrollment, fact);
    match until {
        Some(until) => decision.plan(Job::WakeEnrollment { enrollment: id, visit }, until),
        None => decision,
    }
}

/// Pauses the enrolment of somebody who is away, or lets it pause for longer where it pauses for that already. None where
/// there is nothing to do: it is over, pauses for another reason, or for as long.
pub fn away(mut enrollment: Enrollment, until: DateTime<Utc>, now: DateTime<Utc>) -> Option<Decision<Enrollment>> {
    match (enrollment.state, enrollment.held) {
        (EnrollmentState::Paused(PauseReason::OutOfOffice), Some(held)) if held.until.is_some_and(|at| at < until) => {
            let fact =
                enrollment.fact("enrollment.pause_extended").because(PauseReason::OutOfOffice).with("until", until);
            enrollment.held = Some(Held { until: Some(until), ..held });
            // The end that was planned before is obsolete.
            enrollment.visit = enrollment.visit.saturating_add(1);
            Some(woken(enrollment, fact))
        }
        (EnrollmentState::Paused(_), _) => None,
        _ => pause(enrollment, PauseReason::OutOfOffice, Some(until), now).ok(),
    }
}

/// Resumes an enrolment whose pause came to its planned end. A pause that was ended or changed since refuses.
pub fn wake(enrollment: Enrollment, visit: u32, now: DateTime<Utc>) -> Result<Decision<Enrollment>, Refusal> {
    live(&enrollment)?;
    let Some(held) = enrollment.held else { return Err(Refusal::NotPaused { state: enrollment.state }) };
    if enrollment.visit != visit {
        return Err(Refusal::Stale { given: visit, visit: enrollment.visit });
    }
    match held.until {
        Some(at) if at <= now => resume(enrollment, now),
        Some(at) => Err(Refusal::NotDue { at }),
        None => Err(Refusal::Paused { state: enrollment.state }),
    }
}

/// Resumes a paused enrolment. What fell due during the pause is due now; a wait that is not over goes on. The e-mail that it
/// waits for has waited as well: what comes after it does not come before it.
pub fn resume(mut enrollment: Enrollment, now: DateTime<Utc>) -> Result<Decision<Enrollment>, Refusal> {
    live(&enrollment)?;
    let Some(held) = enrollment.held.take() else { return Err(Refusal::NotPaused { state: enrollment.state }) };
    let (state, due_at) = match held.waiting {
        Some(WaitReason::Email) => (EnrollmentState::Waiting(WaitReason::Email), held.due_at.max(now + EMAIL_OVERDUE)),
        Some(reason) if held.due_at > now => (EnrollmentState::Waiting(reason), held.due_at),
        // A call that is overdue goes its own way: the step that made it is not taken twice.
        Some(WaitReason::Answer) => (EnrollmentState::Waiting(WaitReason::Answer), held.due_at.max(now)),
        _ => {
            enrollment.memory.give_up_task();
            (EnrollmentState::Active, held.due_at.max(now))
        }
    };
    let fact = enrollment.fact("enrollment.resumed").moved(enrollment.state, state);
    enrollment.state = state;
    enrollment.due_at = Some(due_at);
    Ok(enrollment.timed(fact))
}

/// Ends the wait for the e-mail that was planned under `visit`: the next step is due now, or as soon as the enrolment is
/// resumed. None where the enrolment does not wait for that e-mail (any more).
pub fn email_settled(mut enrollment: Enrollment, visit: u32, now: DateTime<Utc>) -> Option<Decision<Enrollment>> {
    if enrollment.awaits.take()? != visit {
        return None;
    }
    let fact = enrollment.fact("enrollment.email_settled").with("planned_under", visit);
    Some(enrollment.due_at_once(fact, now))
}

/// Lets an enrolment wait on until a moment for an e-mail that is still on its way. It has looked again and found nothing new:
/// so nothing is recorded.
pub fn waits_on(mut enrollment: Enrollment, until: DateTime<Utc>) -> Decision<Enrollment> {
    let (id, visit) = (enrollment.id, enrollment.visit);
    enrollment.due_at = Some(until);
    let job = Job::AdvanceEnrollment { enrollment: id, visit };
    Decision { next: enrollment, facts: Vec::new(), jobs: Vec::new() }.plan(job, until)
}
