//! Commands on e-mails.
//!
//! Locks are taken in one order: the e-mail, the enrolment, its sequence (shared, while that is paused), the contact, the lead, the
//! names of suppressions, the turn of the account's caps, the pace of the mailbox.

use crate::contact_policy::capped_for_begin;
use crate::sending_mailbox::turn_of;
use crate::sequence::{LetGo, lead_of, let_go};
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::sync::Arc;
use tandem_domain::calendar::Calendars;
use tandem_domain::contact::Contact;
use tandem_domain::decision::Decision;
use tandem_domain::email::{self, Delivery, Draft, Email, EmailState, Gate, Known, Mailbox, Outlook, Resolution, Room};
use tandem_domain::id::{ContactId, EmailId, LeadId};
use tandem_domain::lead::Lead;
use tandem_domain::sending_mailbox::pace::{self, MailboxPace, Turn};
use tandem_domain::sequence::enrollment;
use tandem_domain::sequence::{Enrollment, Sequence, SequenceState};
use tandem_domain::standing::{Standing, standing};
use tandem_domain::suppression::{self, Suppression, SuppressionKind, SuppressionReason, Wish};
use tandem_store::Tx;

async fn load(tx: &Tx, id: EmailId) -> Result<Email> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "Email", id: id.into() })
}

/// Whether `contact`, which is locked, may be written to at `address` on behalf of an enrolment. The names under which
/// the address could be suppressed are locked here: so all of it holds until the commit.
async fn known(tx: &Tx, contact: Option<&Contact>, address: &str, enrollment: Gate) -> Result<Known> {
    let suppressions = tx.suppressions_of(address).await?;
    let normal = |text: &str| suppression::normalise(SuppressionKind::Email, text).ok();
    Ok(Known {
        standing: contact.map_or(Standing::Unknown, |found| standing(found, Some(address), &suppressions)),
        // An address that the person does not have any more may be somebody else's by now.
        contact_current: contact.and_then(|found| normal(found.email.as_deref()?)) == normal(address),
        enrollment,
        held_until: None,
    })
}

/// The enrolment that planned an e-mail, locked.
pub(crate) async fn run_of(tx: &Tx, email: &Email) -> Result<Option<Enrollment>> {
    match email.enrollment {
        Some(id) => Ok(tx.get(id).await?),
        None => Ok(None),
    }
}

/// The lead of that enrolment, locked.
pub(crate) async fn lead_of_run(tx: &Tx, run: Option<&Enrollment>) -> Result<Option<Lead>> {
    match run {
        Some(enrollment) => lead_of(tx, enrollment).await,
        None => Ok(None),
    }
}

/// What an e-mail's fate does to the enrolment that planned it: it ends, or goes on if it waited for this e-mail; none
/// where there is nothing to do.
pub(crate) async fn followed(
    tx: &Tx,
    email: &Email,
    run: Option<Enrollment>,
    lead: Option<Lead>,
    env: &Env,
    now: DateTime<Utc>,
) -> Result<Option<Decision<LetGo>>> {
    let Some(run) = run.filter(|run| run.state.is_live()) else { return Ok(None) };
    let ended = match email.outlook() {
        Outlook::Wait => return Ok(None),
        Outlook::GoOn => {
            let Some(mut settled) = enrollment::email_settled(run, email.visit, now) else { return Ok(None) };
            // Which e-mail, and what became of it, says why the run goes on.
            settled.facts = settled.facts.into_iter().map(|fact| fact.with("email", email.told())).collect();
            return Ok(Some(settled.map(|run| (run, (None, Vec::new())))));
        }
        Outlook::Bounced => enrollment::bounce(run, now)?,
        Outlook::OptedOut => enrollment::opt_out(run, now)?,
    };
    let ended = match email.standing() {
        Some(standing) => enrollment::on_standing(ended, standing, None),
        None => ended,
    };
    Ok(Some(let_go(tx, ended, lead, env, now).await?))
}

/// Plans an e-mail as a part of a greater decision, e.g. the step of an enrolment.
pub async fn plan_email(tx: &Tx, draft: Draft, now: DateTime<Utc>) -> Result<Decision<Email>> {
    // The enrolment that is just being advanced is locked by its own command, which knows that it is live.
    let contact: Option<Contact> = tx.get(draft.contact).await?;
    let known = known(tx, contact.as_ref(), &draft.to.address, Gate::Open).await?;
    Ok(email::plan(draft, known, now)?)
}

/// Plans an e-mail that belongs to no enrolment.
#[derive(Debug, Clone, Serialize)]
pub struct EmailPlan {
    /// What it is for, in a word or two.
    pub purpose: String,
    /// Whom it goes to.
    pub contact: ContactId,
    /// The lead it concerns.
    pub lead: Option<LeadId>,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: Option<String>,
}

impl Command for EmailPlan {
    const NAME: &'static str = "emailPlan";
    type Output = Email;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Email>> {
        let now = call.now(env);
        let missing = || AppError::NotFound { what: "Contact", id: self.contact.into() };
        let contact: Contact = tx.peek(self.contact).await?.ok_or_else(missing)?;
        let address = contact.email.ok_or_else(|| {
            let message = "the contact has no e-mail address; add one first";
            AppError::refused("EMAIL_NO_ADDRESS", message, Some("contact"))
        })?;
        let draft = Draft {
            id: env.id(now),
            origin: (None, self.purpose.clone(), 0),
            contact: self.contact,
            lead: self.lead,
            account: contact.account,
            to: Mailbox { name: contact.name, address },
            from: env.mail.from.clone(),
            reply_to: env.mail.reply_to.clone(),
            subject: self.subject.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
            // Somebody asked for this one now.
            hours: None,
            transactional: false,
            mailbox: None,
        };
        plan_email(tx, draft, now).await
    }
}

/// An e-mail that was begun or held back, its enrolment where that ended it or lets it go on, and the pace of its mailbox.
pub type Tried = (Email, Option<LetGo>, Option<MailboxPace>);

/// An e-mail, and its enrolment (with the lead and the tasks that it let go) where the e-mail's fate ended it or lets it go on.
pub type Begun = (Email, Option<LetGo>);

pub(crate) fn join<T, U>(first: Decision<T>, second: Option<Decision<U>>) -> Decision<(T, Option<U>)> {
    match second {
        Some(second) => first.and(second).map(|(first, second)| (first, Some(second))),
        None => first.map(|first| (first, None)),
    }
}

/// The first beat: records the attempt, or refuses the e-mail for good. Look at the state of what it gives back:
/// SENDING means that the caller must send and settle, and that its job goes on; after everything else there is nothing
/// to send, and the job is finished.
///
/// An e-mail that is found begun becomes UNKNOWN: its attempt belonged to a process that died or lost its lease.
#[derive(Debug, Clone, Serialize)]
pub struct EmailBegin {
    /// The e-mail.
    pub email: EmailId,
}

impl Command for EmailBegin {
    const NAME: &'static str = "emailBegin";
    type Output = Tried;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Tried>> {
        let now = call.now(env);
        let email = load(tx, self.email).await?;
        if email.state == EmailState::Sending {
            let lost = email::recover(email, now)?;
            let run = run_of(tx, &lost.next).await?;
            let followed = followed(tx, &lost.next, run, None, env, now).await?;
            return Ok(join(lost, followed).map(|(email, run)| (email, run, None)));
        }
        // The contact is locked too: what is withdrawn or changed at the same moment is either seen here, or comes after
        // the e-mail was begun.
        let run = run_of(tx, &email).await?;
        let gate = match (&run, email.enrollment) {
            (Some(enrollment), _) => Gate::of(enrollment),
            (None, Some(_)) => Gate::Shut,
            (None, None) => Gate::Open,
        };
        let gate = match &run {
            Some(run) => match sequence_of(tx, run).await? {
                Some(sequence) => gate.within(sequence.id, sequence.state),
                None => gate,
            },
            None => gate,
        };
        let contact: Option<Contact> = tx.get(email.contact).await?;
        let lead = lead_of_run(tx, run.as_ref()).await?;
        let held_until = run.as_ref().and_then(|run| run.held?.until);
        let known = Known { held_until, ..known(tx, contact.as_ref(), &email.to.address, gate).await? };
        let (calendars, turn, room) = room_for(tx, &email, known, now).await?;
        let calendar = email.hours.as_ref().and_then(|hours| hours.window.calendar.as_ref());
        let calendar = calendar.zip(calendars.as_ref()).and_then(|(key, calendars)| calendars.get(key));
        let begun = email::begin(email, known, &Room { calendar, ..room }, now)?;
        if begun.next.state == EmailState::Sending {
            tx.keep_job();
        }
        // The mailbox is only concerned where it was its word that decided.
        let in_line = begun.next.queued_at.is_some();
        let turn = turn.filter(|_| in_line || begun.next.state == EmailState::Sending);
        let begun = match &turn {
            Some((_, pace, true)) => pace::plan_round(begun, pace),
            _ => begun,
        };
        let followed = followed(tx, &begun.next, run, lead, env, now).await?;
        let pace = turn.map(|(_, pace, _)| pace);
        Ok(join(begun, followed).map(|(email, run)| (email, run, pace)))
    }
}

/// A run's sequence. While that is paused it is shared until the commit: what is held with it must be found by whoever resumes or
/// archives it. Either that has happened already, or it waits for this commit.
async fn sequence_of(tx: &Tx, run: &Enrollment) -> Result<Option<Sequence>> {
    let sequence: Option<Sequence> = tx.peek(run.sequence).await?;
    match sequence {
        Some(Sequence { state: SequenceState::Paused, .. }) => Ok(tx.share_sequence(run.sequence).await?),
        other => Ok(other),
    }
}

/// What its mailbox said, and the pace after it.
type Asked = Option<(Turn, MailboxPace, bool)>;

/// What decides, beside consent, whether an e-mail may go out, as it is until the commit; its calendars beside it. Nothing is
/// asked for one that does not go out anyway, or that nothing holds back; its mailbox only where all else allows it.
async fn room_for(
    tx: &Tx,
    email: &Email,
    known: Known,
    now: DateTime<Utc>,
) -> Result<(Option<Arc<Calendars>>, Asked, Room<'static>)> {
    let goes = known.obstacle().is_none() && known.standing == Standing::Allowed && known.enrollment == Gate::Open;
    if email.transactional || !goes {
        return Ok((None, None, Room::default()));
    }
    let calendar = email.hours.as_ref().and_then(|hours| hours.window.calendar.as_ref());
    let calendars = match calendar {
        Some(_) => Some(tx.calendars_by_key().await?),
        None => None,
    };
    let room = Room { capped: capped_for_begin(tx, email, now).await?, ..Room::default() };
    let found = calendar.zip(calendars.as_ref()).and_then(|(key, calendars)| calendars.get(key));
    if (Room { calendar: found, ..room }).opens(email, now).is_some() {
        return Ok((calendars, None, room));
    }
    let turn = turn_of(tx, email, now).await?;
    let room = Room { turn: turn.as_ref().map(|(turn, ..)| *turn), ..room };
    Ok((calendars, turn, room))
}

/// An e-mail whose attempt has its outcome; its enrolment where that ended it or lets it go on; and the suppression of a mailbox that
/// turned out not to exist.
pub type Settled = (Begun, Option<Suppression>);

/// The third beat: records the outcome of an attempt and plans what follows.
#[derive(Debug, Clone, Serialize)]
pub struct EmailSettle {
    /// The e-mail.
    pub email: EmailId,
    /// The attempt that the outcome belongs to.
    pub attempt: u32,
    /// The outcome.
    pub delivery: Delivery,
}

impl Command for EmailSettle {
    const NAME: &'static str = "emailSettle";
    type Output = Settled;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Settled>> {
        let now = call.now(env);
        let email = load(tx, self.email).await?;
        let settled = email::settle(email, self.attempt, &self.delivery, now)?;
        let run = run_of(tx, &settled.next).await?;
        let lead = lead_of_run(tx, run.as_ref()).await?;
        let followed = followed(tx, &settled.next, run, lead, env, now).await?;
        let gone = if self.delivery.mailbox_is_gone() { gone(tx, &settled.next, env, now).await? } else { None };
        Ok(join(join(settled, followed), gone))
    }
}

/// The suppression of an e-mail's recipient whose mailbox is gone, unless it is suppressed.
pub(crate) async fn gone(
    tx: &Tx,
    email: &Email,
    env: &Env,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Suppression>>> {
    let (kind, reason) = (SuppressionKind::Email, SuppressionReason::Bounced);
    let value = suppression::normalise(kind, &email.to.address)?;
    let existing = tx.suppression_to_change(kind, &value).await?;
    if existing.as_ref().is_some_and(Suppression::is_live) {
        return Ok(None);
    }
    let wish = Wish { id: env.id(now), kind, value, reason, source: format!("e-mail {}", email.id) };
    Ok(Some(suppression::suppress(existing, wish, now)?))
}

/// Records what a person found out about an e-mail of unknown fate.
#[derive(Debug, Clone, Serialize)]
pub struct EmailResolve {
    /// The e-mail.
    pub email: EmailId,
    /// That it went out, or that it shall be sent again.
    pub resolution: Resolution,
}

impl Command for EmailResolve {
    const NAME: &'static str = "emailResolve";
    type Output = Email;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Email>> {
        Ok(email::resolve(load(tx, self.email).await?, self.resolution, call.now(env))?)
    }
}
