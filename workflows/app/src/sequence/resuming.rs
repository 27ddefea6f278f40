//! What becomes of a sequence's runs and e-mails once its pause is over or it was archived, part by part.
//!
//! Locks are taken in one order: of a part of runs, the runs, their leads, their tasks; of a part of e-mails, the e-mails and then
//! their runs.

use super::enrolling::{LetGo, lead_of, let_go};
use crate::email::commands::followed;
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use tandem_domain::contact::Contact;
use tandem_domain::decision::{Decision, Job};
use tandem_domain::email::{self, Email};
use tandem_domain::id::SequenceId;
use tandem_domain::lead::Lead;
use tandem_domain::sequence::backlog::{Backlog, Turns};
use tandem_domain::sequence::definition::Header;
use tandem_domain::sequence::enrollment::{self, ExitReason, WaitReason};
use tandem_domain::sequence::{Enrollment, Sequence, SequenceState, SequenceVersion};
use tandem_store::Tx;
use uuid::Uuid;

/// How many enrolments, or e-mails, one job takes.
const AT_ONCE: u64 = 200;

/// The enrolments of a part, with what those let go that ended, and its e-mails.
pub type Resumed = (Vec<LetGo>, Vec<Email>);

/// Lets a part of what waits for a sequence go on, and plans itself again while there is more: first the enrolments that paused
/// with it, in the order in which they fell due, then the e-mails that were held with it, in the order in which they were planned.
/// Where the sequence was archived, ends a part of its live enrolments, whatever they wait for, and then takes back the e-mails
/// that were held. Tandem's own. What a part has dealt with is not found again, so one that is repeated goes on where it stopped.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollmentsResume {
    /// The sequence.
    pub sequence: SequenceId,
    /// The sequence's revision that the job was planned for.
    pub revision: u32,
    /// How many places earlier parts took in the order in which what waited goes on.
    pub done: u64,
}

impl Command for EnrollmentsResume {
    const NAME: &'static str = "enrollmentsResume";
    type Output = Resumed;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Resumed>> {
        let now = call.now(env);
        let obsolete = || AppError::refused("SEQUENCE_NOTHING_TO_RESUME", "nothing is left to resume", None);
        let sequence: Sequence =
            tx.peek(self.sequence).await?.ok_or(AppError::NotFound { what: "Sequence", id: self.sequence.into() })?;
        if sequence.revision != self.revision || sequence.state == SequenceState::Paused {
            return Err(obsolete());
        }
        let mut part = Part { decision: None, places: self.done };
        if sequence.state == SequenceState::Archived {
            part.end_runs(tx, self.sequence, env, now).await?;
        } else {
            part.resume_runs(tx, &sequence, now).await?;
        }
        if part.decision.is_none() {
            part.let_emails_go(tx, &sequence, env, now).await?;
        }
        let again = Job::ResumeEnrollments { sequence: self.sequence, revision: self.revision, done: part.places };
        Ok(part.decision.ok_or_else(obsolete)?.plan(again, now))
    }
}

/// What a part has decided so far, and how many places are taken.
struct Part {
    decision: Option<Decision<Resumed>>,
    places: u64,
}

impl Part {
    fn add(&mut self, one: Decision<Resumed>) {
        self.decision = Some(match self.decision.take() {
            None => one,
            Some(others) => others.and(one).map(|((mut runs, mut emails), (more_runs, more_emails))| {
                runs.extend(more_runs);
                emails.extend(more_emails);
                (runs, emails)
            }),
        });
    }

    async fn end_runs(&mut self, tx: &Tx, sequence: SequenceId, env: &Env, now: DateTime<Utc>) -> Result<()> {
        let runs = tx.live_enrollments_in(sequence, AT_ONCE).await?;
        tx.get_ahead::<Lead>(runs.iter().filter_map(|run| run.lead).map(Uuid::from)).await?;
        // One that ended before its row could be locked is none of this part any more.
        for run in runs.into_iter().filter(|run| run.state.is_live()) {
            let ended = enrollment::exit(run, ExitReason::Superseded, now)?;
            let lead = lead_of(tx, &ended.next).await?;
            self.add(let_go(tx, ended, lead, env, now).await?.map(|gone| (vec![gone], Vec::new())));
        }
        Ok(())
    }

    async fn resume_runs(&mut self, tx: &Tx, sequence: &Sequence, now: DateTime<Utc>) -> Result<()> {
        let runs = tx.enrollments_paused_with(sequence.id, AT_ONCE).await?;
        tx.peek_ahead::<Contact>(runs.iter().map(|run| run.contact.into())).await?;
        tx.peek_ahead::<SequenceVersion>(runs.iter().map(|run| run.version.into())).await?;
        let mut turns = sequence.resumption.as_ref().map(Turns::new);
        for run in runs {
            // One that waits for its e-mail has not fallen behind itself: the e-mail has its own place.
            let waits_for_email = run.held.is_some_and(|held| held.waiting == Some(WaitReason::Email));
            let one = match (&mut turns, &sequence.resumption) {
                (Some(turns), Some(resumption)) => {
                    let turn = turn_of(tx, turns, self.places, &run).await?;
                    enrollment::resume_from_backlog(run, turn, resumption.way(), now)?
                }
                _ => enrollment::resume(run, now)?,
            };
            self.places = self.places.saturating_add(u64::from(!waits_for_email));
            self.add(one.map(|run| (vec![(run, (None, Vec::new()))], Vec::new())));
        }
        Ok(())
    }

    async fn let_emails_go(&mut self, tx: &Tx, sequence: &Sequence, env: &Env, now: DateTime<Utc>) -> Result<()> {
        let emails = tx.emails_held_with(sequence.id, AT_ONCE).await?;
        let left_out = sequence.resumption.as_ref().is_some_and(|it| it.backlog == Backlog::Skip);
        let archived = sequence.state == SequenceState::Archived;
        let of = emails.iter().filter_map(|email| email.enrollment).map(Uuid::from);
        let runs: Vec<Enrollment> =
            if left_out || archived { tx.get_ahead(of).await? } else { tx.peek_ahead(of).await? };
        if !archived {
            tx.peek_ahead::<Contact>(runs.iter().map(|run| run.contact.into())).await?;
            tx.peek_ahead::<SequenceVersion>(runs.iter().map(|run| run.version.into())).await?;
        }
        let mut turns = sequence.resumption.as_ref().map(Turns::new);
        for email in emails {
            let run = runs.iter().find(|run| Some(run.id) == email.enrollment);
            let decided = match (&mut turns, run) {
                _ if archived => email::withdraw(email, now),
                _ if left_out => email::skip(email, now),
                (Some(turns), Some(run)) => email::release(email, turn_of(tx, turns, self.places, run).await?),
                _ => email::release(email, now),
            };
            let Some(decided) = decided else { continue };
            self.places = self.places.saturating_add(1);
            // It was left out or taken back: the run that waits for it goes on, where it is not over.
            let run = run.filter(|_| left_out || archived).cloned();
            let run = followed(tx, &decided.next, run, None, env, now).await?;
            let decided = decided.map(|email| (Vec::new(), vec![email]));
            self.add(match run {
                Some(run) => decided.and(run).map(|((_, emails), run)| (vec![run], emails)),
                None => decided,
            });
        }
        Ok(())
    }
}

/// When the one at a place goes on: within the hours in which its version may write to that person.
async fn turn_of(tx: &Tx, turns: &mut Turns<'_>, place: u64, run: &Enrollment) -> Result<DateTime<Utc>> {
    let version: Option<SequenceVersion> = tx.peek(run.version).await?;
    let contact: Option<Contact> = tx.peek(run.contact).await?;
    let header = version.as_ref().map(|version| &version.definition.header);
    let window = header.and_then(|header| header.send_window.as_ref());
    let calendars = match header.and_then(Header::window_calendar) {
        Some(key) => Some((tx.calendars_by_key().await?, key)),
        None => None,
    };
    let calendar = calendars.as_ref().and_then(|(calendars, key)| calendars.get(*key));
    let zone = contact.and_then(|contact| contact.time_zone).unwrap_or(Tz::UTC);
    Ok(turns.of(place, (run.version, window), calendar, zone))
}
