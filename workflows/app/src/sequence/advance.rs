//! A step falls due: the decision, and its effect, in one transaction.

use super::effects::{Acting, Made, act};
use super::enrolling::{LetGo, let_go};
use super::subject::{Subject, Surroundings};
use super::triggering::made_by_run;
use crate::contact_policy::capped_for_plan;
use crate::insight::experiments::{winners, winners_ahead};
use crate::{AppError, Batch, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use tandem_domain::account::Account;
use tandem_domain::contact::Contact;
use tandem_domain::decision::Decision;
use tandem_domain::email::Outlook;
use tandem_domain::id::{AccountId, ContactId, EnrollmentId, LeadId, SequenceVersionId};
use tandem_domain::lead::Lead;
use tandem_domain::sequence::enrollment::{self, Refusal};
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::stepper::{advance, wait_on};
use tandem_domain::sequence::steps::Failure;
use tandem_domain::sequence::window::{Hours, SendWindow};
use tandem_domain::sequence::{Definition, Effect, Enrollment, Sequence, SequenceState, SequenceVersion};
use tandem_store::Tx;
use uuid::Uuid;

/// The enrolment after its steps, and what came of their effect or of its end.
pub type Advanced = (Enrollment, Made);

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

pub(super) async fn read_ahead(tx: &Tx, enrollments: Vec<Uuid>, now: DateTime<Utc>) -> Result<()> {
    let enrollments: Vec<Enrollment> = tx.get_ahead(enrollments).await?;
    let sequences: Vec<Sequence> =
        tx.peek_ahead(enrollments.iter().map(|enrollment| enrollment.sequence.into())).await?;
    let paused = sequences.iter().filter(|sequence| sequence.state == SequenceState::Paused);
    tx.get_ahead::<Sequence>(paused.map(|sequence| sequence.id.into())).await?;
    let versions: Vec<SequenceVersion> =
        tx.peek_ahead(enrollments.iter().map(|enrollment| enrollment.version.into())).await?;
    winners_ahead(tx, &versions).await?;
    let contacts: Vec<Contact> = tx.get_ahead(enrollments.iter().map(|enrollment| enrollment.contact.into())).await?;
    let leads = enrollments.iter().filter_map(|enrollment| enrollment.lead).map(Uuid::from);
    let leads: Vec<Lead> = tx.get_ahead(leads).await?;
    // Many people of one company run through a sequence at once: what is changed is locked in one order by everybody.
    let changed = accounts_to_change(&enrollments, &versions, &contacts, &leads);
    tx.get_ahead::<Account>(changed).await?;
    let accounts = leads.iter().filter_map(|lead| lead.account);
    let accounts = accounts.chain(contacts.iter().filter_map(|contact| contact.account));
    tx.peek_ahead::<Account>(accounts.map(Uuid::from)).await?;
    Box::pin(conditions_ahead(tx, &enrollments, &versions, (&contacts, &leads), now)).await?;
    tx.suppressions_ahead(contacts.iter().filter_map(|contact| contact.email.as_deref())).await?;
    if let Some(policy) = tx.contact_policy().await? {
        let people = enrollments.iter().map(|enrollment| enrollment.contact);
        let accounts = enrollments.iter().filter_map(|enrollment| enrollment.account);
        tx.counted_ahead(&policy, people, accounts, now).await?;
    }
    Ok(())
}

/// What conditions read beside records, where a version reads any: for those who run through it.
async fn conditions_ahead(
    tx: &Tx,
    enrollments: &[Enrollment],
    versions: &[SequenceVersion],
    (contacts, leads): (&[Contact], &[Lead]),
    now: DateTime<Utc>,
) -> Result<()> {
    let reads: HashMap<SequenceVersionId, Reads> =
        versions.iter().map(|version| (version.id, Reads::of_version(version))).collect();
    let all = reads.values().cloned().reduce(Reads::and).unwrap_or_default();
    if all.is_nothing() {
        return Ok(());
    }
    let runs_that = |read: fn(&Reads) -> bool| {
        let reads = &reads;
        enrollments.iter().filter(move |run| reads.get(&run.version).is_some_and(read))
    };
    let people: BTreeSet<ContactId> =
        runs_that(|reads| !reads.interactions.is_empty()).map(|run| run.contact).collect();
    let companies: BTreeSet<AccountId> =
        runs_that(|reads| reads.lists).filter_map(account_of(contacts, leads)).collect();
    let (people, companies) = (Vec::from_iter(people), Vec::from_iter(companies));
    Ok(tx.conditions_ahead((&people, all.interactions), &companies, now).await?)
}

/// The account of a run: the lead's, else the contact's.
fn account_of(contacts: &[Contact], leads: &[Lead]) -> impl Fn(&Enrollment) -> Option<AccountId> {
    let of_lead: HashMap<LeadId, AccountId> = leads.iter().filter_map(|lead| Some((lead.id, lead.account?))).collect();
    let of_contact: HashMap<ContactId, AccountId> =
        contacts.iter().filter_map(|contact| Some((contact.id, contact.account?))).collect();
    move |run| run.lead.and_then(|lead| of_lead.get(&lead)).or_else(|| of_contact.get(&run.contact)).copied()
}

/// The accounts of the enrolments whose versions have steps that change accounts.
fn accounts_to_change(
    enrollments: &[Enrollment],
    versions: &[SequenceVersion],
    contacts: &[Contact],
    leads: &[Lead],
) -> Vec<Uuid> {
    let changes = versions.iter().filter(|version| changes_accounts(&version.definition)).map(|version| version.id);
    let changing: HashSet<SequenceVersionId> = changes.collect();
    if changing.is_empty() {
        return Vec::new();
    }
    let account = account_of(contacts, leads);
    let account = |run: &Enrollment| account(run).map(Uuid::from);
    enrollments.iter().filter(|run| changing.contains(&run.version)).filter_map(account).collect()
}

fn changes_accounts(definition: &Definition) -> bool {
    definition.steps.iter().any(|step| step.kind.changes_accounts())
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
        let mut decision = self.take_steps(tx, call, env).await?;
        if let Some(awaited) = &mut decision.next.0.hearing.awaited
            && awaited.since.is_none()
            && !awaited.met
        {
            // What the record has by now came before the step, and is not waited for.
            awaited.since = Some(tx.ledger_place().await?);
        }
        Ok(made_by_run(decision, |(enrollment, ..)| enrollment))
    }
}

impl EnrollmentAdvance {
    async fn take_steps(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Advanced>> {
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
        let mut subject = Subject::load(tx, before.contact, before.lead).await?;
        subject.see(tx, &Reads::of_version(&version), now).await?;
        let data = subject.data(env, Some(&before), now);
        let surroundings = Surroundings::load(tx, &version.definition).await?;
        let mut context = subject.context(&data, sequence.state, &surroundings);
        if sequence.state == SequenceState::Active
            && let Some(waits) = waits_on(tx, &before, now).await?
        {
            return Ok(waits.map(|enrollment| (enrollment, Made::default())));
        }
        let promoted = winners(tx, &before, &version).await?;
        let definition = promoted.as_ref().unwrap_or(&version.definition);
        let mut decision = advance(&before, definition, &context, now)?;
        if decision.next.effect.as_ref().is_some_and(Effect::keeps_hours) {
            // An e-mail is next: only now is it counted how often the person was written to.
            context.capped = capped_for_plan(tx, before.contact, before.account, now).await?;
            if context.capped.is_some() {
                decision = advance(&before, definition, &context, now)?;
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
        let acted = match &decision.next.effect {
            None => None,
            Some(effect) => {
                let run = &decision.next.enrollment;
                let acting = Acting { tx, call, env, version: &version, subject: &subject, run, hours: window, now };
                match act(&acting, effect).await {
                    Ok(acted) => Some(acted),
                    Err(error) => {
                        let decision = enrollment::fail(before, failed(error)?, now)?;
                        return Ok(let_go(tx, decision, subject.lead, env, now).await?.map(over));
                    }
                }
            }
        };
        let decision = decision.map(|advance| advance.enrollment);
        match acted {
            None => Ok(let_go(tx, decision, subject.lead, env, now).await?.map(over)),
            Some(acted) => Ok(acted.with(decision)),
        }
    }
}

/// An enrolment whose time to go on without word of its e-mail has come, while there is reason to wait on: caps or a mailbox
/// make the e-mail wait for room, or hours or a pause held it up. One whose job was lost is not waited for without end.
async fn waits_on(tx: &Tx, before: &Enrollment, now: DateTime<Utc>) -> Result<Option<Decision<Enrollment>>> {
    let due = before.due_at.is_some_and(|at| at <= now);
    let Some(visit) = before.awaits.filter(|_| due) else { return Ok(None) };
    let Some(email) = tx.email_planned_by(before.id, visit).await? else { return Ok(None) };
    if let Some(until) = email.is_held(now) {
        return Ok(wait_on(before.clone(), until, now));
    }
    let calendars = match email.hours.as_ref().and_then(|hours| hours.window.calendar.as_deref()) {
        Some(key) => Some((tx.calendars_by_key().await?, key)),
        None => None,
    };
    let by = email.settled_by(calendars.as_ref().and_then(|(calendars, key)| calendars.get(*key)));
    let waits = email.outlook() == Outlook::Wait && by > now;
    Ok(waits.then(|| enrollment::waits_on(before.clone(), by)))
}

fn over((enrollment, (lead, items)): LetGo) -> Advanced {
    (enrollment, Made { leads: lead.into_iter().collect(), items, ..Made::default() })
}
