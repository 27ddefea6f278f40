//! A step falls due: the decision, and its effect, in one transaction.

use super::enrolling::{LetGo, let_go};
use super::subject::{Subject, Surroundings};
use crate::contact_policy::capped_for_plan;
use crate::email::plan_email;
use crate::{AppError, Batch, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::account::Account;
use tandem_domain::contact::{self, Contact, ContactPatch};
use tandem_domain::custom_field::{self, Entity};
use tandem_domain::decision::{Decision, Fact, Job};
use tandem_domain::email::{Draft, Email, Mailbox};
use tandem_domain::id::{EmailId, EnrollmentId, SequenceId};
use tandem_domain::lead::Lead;
use tandem_domain::sequence::enrollment::{self, Refusal};
use tandem_domain::sequence::stepper::{Advance, advance, wait_on};
use tandem_domain::sequence::steps::Failure;
use tandem_domain::sequence::steps::create_task::PlannedTask;
use tandem_domain::sequence::steps::send_email::{Address, PlannedEmail};
use tandem_domain::sequence::steps::set_field::PlannedField;
use tandem_domain::sequence::window::{Hours, SendWindow};
use tandem_domain::sequence::{Effect, Enrollment, Sequence, SequenceState, SequenceVersion, SubjectKind};
use tandem_domain::work_item::{NewTask, WorkItem, make_task};
use tandem_store::Tx;
use uuid::Uuid;

/// How many enrolments one job resumes.
const RESUMED_AT_ONCE: u64 = 200;

/// The enrolment after its steps, and what came of their effect or of its end: an e-mail, tasks, a contact or a lead that
/// changed.
pub type Advanced = (Enrollment, Option<Email>, Vec<WorkItem>, Option<Contact>, Option<Lead>);

impl Batch<'_> {
    /// Reads what advancing these enrolments will ask for, in a few statements for all of them.
    ///
    /// Locks are taken in the order in which [`EnrollmentAdvance`] takes them alone.
    pub async fn enrollments_ahead(&mut self, enrollments: impl IntoIterator<Item = EnrollmentId>) -> Result<()> {
        let now = self.env().now();
        let read = read_ahead(self.tx(), enrollments.into_iter().map(Uuid::from).collect(), now).await;
        self.note(read)
    }
}

async fn read_ahead(tx: &Tx, enrollments: Vec<Uuid>, now: DateTime<Utc>) -> Result<()> {
    let enrollments: Vec<Enrollment> = tx.get_ahead(enrollments).await?;
    let sequences: Vec<Sequence> =
        tx.peek_ahead(enrollments.iter().map(|enrollment| enrollment.sequence.into())).await?;
    let paused = sequences.iter().filter(|sequence| sequence.state == SequenceState::Paused);
    tx.get_ahead::<Sequence>(paused.map(|sequence| sequence.id.into())).await?;
    tx.peek_ahead::<SequenceVersion>(enrollments.iter().map(|enrollment| enrollment.version.into())).await?;
    let contacts: Vec<Contact> = tx.get_ahead(enrollments.iter().map(|enrollment| enrollment.contact.into())).await?;
    let leads = enrollments.iter().filter_map(|enrollment| enrollment.lead).map(Uuid::from);
    let leads: Vec<Lead> = tx.get_ahead(leads).await?;
    let accounts = leads.iter().filter_map(|lead| lead.account);
    let accounts = accounts.chain(contacts.iter().filter_map(|contact| contact.account));
    tx.peek_ahead::<Account>(accounts.map(Uuid::from)).await?;
    tx.suppressions_ahead(contacts.iter().filter_map(|contact| contact.email.as_deref())).await?;
    if let Some(policy) = tx.contact_policy().await? {
        let people = enrollments.iter().map(|enrollment| enrollment.contact);
        let accounts = enrollments.iter().filter_map(|enrollment| enrollment.account);
        tx.counted_ahead(&policy, people, accounts, now).await?;
    }
    Ok(())
}

/// Takes the next steps of an enrolment. Tandem's own: the job of a due time runs it.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentAdvance {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The visit that the timer was planned for: after any other step it is obsolete.
    pub visit: u32,
}

impl Command for EnrollmentAdvance {
    const NAME: &'static str = "enrollmentAdvance";
    type Output = Advanced;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Advanced>> {
        let now = call.now(env);
        let before: Enrollment = tx
            .get(self.enrollment)
            .await?
            .ok_or(AppError::NotFound { what: "Enrollment", id: self.enrollment.into() })?;
        if before.visit != self.visit {
            return Err(Refusal::Stale { given: self.visit, visit: before.visit }.into());
        }
        let missing = || AppError::NotFound { what: "Sequence", id: before.sequence.into() };
        let mut sequence: Sequence = tx.peek(before.sequence).await?.ok_or_else(missing)?;
        if sequence.state == SequenceState::Paused {
            // Who pauses with it must be found by whoever resumes or archives it: either that has happened already, or
            // it waits for this commit.
            sequence = tx.get(before.sequence).await?.ok_or_else(missing)?;
        }
        let version: SequenceVersion = tx
            .peek(before.version)
            .await?
            .ok_or(AppError::NotFound { what: "SequenceVersion", id: before.version.into() })?;
        let subject = Subject::load(tx, before.contact, before.lead).await?;
        let data = subject.data(env, Some(&before), now);
        let surroundings = Surroundings::load(tx, &version.definition).await?;
        let mut context = subject.context(&data, sequence.state, &surroundings);
        if let Some(waits) = waits_on(tx, &before, now).await? {
            return Ok(waits.map(|enrollment| (enrollment, None, Vec::new(), None, None)));
        }
        let mut decision = advance(&before, &version.definition, &context, now)?;
        if decision.next.effect.as_ref().is_some_and(Effect::keeps_hours) {
            // An e-mail is next: only now is it counted how often the person was written to.
            context.capped = capped_for_plan(tx, before.contact, before.account, now).await?;
            if context.capped.is_some() {
                decision = advance(&before, &version.definition, &context, now)?;
            }
        }
        let failed = |error: AppError| match error {
            // The effect cannot be had, and never will be: better a run that says so than a job that comes back.
            AppError::Refused { code, message, .. } => Ok(Failure::new(code, message)),
            other => Err(other),
        };
        let header = &version.definition.header;
        let calendar = header.window_calendar().map(str::to_owned);
        let window = header.send_window.clone().map(|window| SendWindow { calendar, ..window });
        let window = window.map(|window| Hours { window, zone: context.zone });
        let Subject { contact, lead, .. } = subject;
        let acted = match act(tx, env, &decision.next, (&contact, lead.as_ref()), window.as_ref(), now).await {
            Ok(acted) => acted,
            Err(error) => {
                let decision = enrollment::fail(before, failed(error)?, now)?;
                return Ok(let_go(tx, decision, lead, env, now).await?.map(over));
            }
        };
        let decision = decision.map(|advance| advance.enrollment);
        match acted {
            Acted::Nothing => Ok(let_go(tx, decision, lead, env, now).await?.map(over)),
            Acted::Email(email) => Ok(decision.and(email).map(|(e, email)| (e, Some(email), Vec::new(), None, None))),
            Acted::Task(task) => Ok(decision.and(task).map(|(e, task)| (e, None, vec![task], None, None))),
            Acted::Contact(contact) => {
                Ok(decision.and(contact).map(|(e, contact)| (e, None, Vec::new(), Some(contact), None)))
            }
            Acted::Lead(lead) => Ok(decision.and(lead).map(|(e, lead)| (e, None, Vec::new(), None, Some(lead)))),
        }
    }
}

/// An enrolment whose time to go on without word of its e-mail has come, while the e-mail still waits for room: it waits on.
async fn waits_on(tx: &Tx, before: &Enrollment, now: DateTime<Utc>) -> Result<Option<Decision<Enrollment>>> {
    let Some(visit) = before.awaits.filter(|_| before.due_at.is_some_and(|due| due <= now)) else { return Ok(None) };
    let email = tx.email_of_visit(before.id, visit).await?;
    Ok(email.and_then(|email| email.is_held(now)).and_then(|until| wait_on(before.clone(), until, now)))
}

fn over((enrollment, (lead, tasks)): LetGo) -> Advanced {
    (enrollment, None, tasks, None, lead)
}

/// What came of an effect.
enum Acted {
    Nothing,
    Email(Decision<Email>),
    Task(Decision<WorkItem>),
    Contact(Decision<Contact>),
    Lead(Decision<Lead>),
}

async fn act(
    tx: &Tx,
    env: &Env,
    advance: &Advance,
    (contact, lead): (&Contact, Option<&Lead>),
    window: Option<&Hours>,
    now: DateTime<Utc>,
) -> Result<Acted> {
    match &advance.effect {
        None => Ok(Acted::Nothing),
        Some(Effect::SendEmail(planned)) => {
            let hours = window.filter(|_| !planned.transactional).cloned();
            let draft = draft(planned, hours, contact, env, env.id(now));
            Ok(Acted::Email(plan_email(tx, draft, now).await?))
        }
        Some(Effect::CreateTask(planned)) => Ok(Acted::Task(make_task(task(planned, lead, env, now), now)?)),
        Some(Effect::SetField(planned)) => set_field(tx, planned, contact, lead, now).await,
    }
}

fn mailbox(address: &Address) -> Mailbox {
    Mailbox { name: address.name.clone(), address: address.address.clone() }
}

fn draft(planned: &PlannedEmail, hours: Option<Hours>, contact: &Contact, env: &Env, id: EmailId) -> Draft {
    Draft {
        id,
        origin: (Some(planned.enrollment), planned.step.clone(), planned.visit),
        contact: planned.contact,
        lead: planned.lead,
        account: planned.account,
        to: Mailbox { name: contact.name.clone(), address: contact.email.clone().unwrap_or_default() },
        from: planned.from.as_ref().map_or_else(|| env.mail.from.clone(), mailbox),
        reply_to: planned.reply_to.as_ref().map(mailbox).or_else(|| env.mail.reply_to.clone()),
        subject: planned.subject.clone(),
        text: planned.text.clone(),
        html: planned.html.clone(),
        hours,
        transactional: planned.transactional,
        mailbox: planned.mailbox,
    }
}

fn task(planned: &PlannedTask, lead: Option<&Lead>, env: &Env, now: DateTime<Utc>) -> NewTask {
    NewTask {
        id: env.id(now),
        lead: planned.lead,
        contact: planned.contact,
        account: planned.account,
        title: planned.title.clone(),
        team: None,
        priority: planned.priority,
        grade: lead.and_then(|lead| lead.grade),
        due_at: planned.due_at,
        notes: None,
        enrollment: Some(planned.enrollment),
    }
}

async fn set_field(
    tx: &Tx,
    planned: &PlannedField,
    contact: &Contact,
    lead: Option<&Lead>,
    now: DateTime<Utc>,
) -> Result<Acted> {
    let changes: custom_field::Values = [(planned.key.clone(), planned.value.clone())].into();
    match (planned.owner, lead) {
        (SubjectKind::Contact, _) => {
            let words = tx.vocabulary(None).await?;
            let patch = ContactPatch { custom: changes, ..ContactPatch::default() };
            Ok(contact::change(contact, patch, &words, now)?.map_or(Acted::Nothing, Acted::Contact))
        }
        (SubjectKind::Lead, Some(lead)) => {
            let fields = tx.custom_fields().await?;
            let mut after = lead.clone();
            custom_field::apply(&fields, Entity::Lead, &mut after.custom, &changes)?;
            if after == *lead {
                return Ok(Acted::Nothing);
            }
            let fact = Fact::ledger("lead.changed", lead.id)
                .lead(lead.id)
                .account(lead.account)
                .with("fields", [format!("custom.{}", planned.key)]);
            Ok(Acted::Lead(Decision::new(after, fact)))
        }
        (SubjectKind::Lead, None) => {
            let message = "the enrolment has no lead whose field could be set";
            Err(AppError::refused("ENROLLMENT_LEAD_MISSING", message, None))
        }
    }
}

/// Resumes a part of the enrolments that paused with their sequence, and plans itself again while there are more.
/// Tandem's own. Where the sequence was archived they are woken too: they find it so, and end.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentsResume {
    /// The sequence.
    pub sequence: SequenceId,
    /// The sequence's revision that the job was planned for.
    pub revision: u32,
}

impl Command for EnrollmentsResume {
    const NAME: &'static str = "enrollmentsResume";
    type Output = Vec<Enrollment>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Vec<Enrollment>>> {
        let now = call.now(env);
        let obsolete = || AppError::refused("SEQUENCE_NOTHING_TO_RESUME", "nothing is left to resume", None);
        let sequence: Sequence =
            tx.peek(self.sequence).await?.ok_or(AppError::NotFound { what: "Sequence", id: self.sequence.into() })?;
        if sequence.revision != self.revision || sequence.state == SequenceState::Paused {
            return Err(obsolete());
        }
        let mut resumed: Option<Decision<Vec<Enrollment>>> = None;
        for enrollment in tx.enrollments_paused_with(self.sequence, RESUMED_AT_ONCE).await? {
            let one = enrollment::resume(enrollment, now)?;
            resumed = Some(match resumed {
                None => one.map(|enrollment| vec![enrollment]),
                Some(others) => others.and(one).map(|(mut others, one)| {
                    others.push(one);
                    others
                }),
            });
        }
        let again = Job::ResumeEnrollments { sequence: self.sequence, revision: self.revision };
        Ok(resumed.ok_or_else(obsolete)?.plan(again, now))
    }
}
