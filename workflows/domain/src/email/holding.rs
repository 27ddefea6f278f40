//! What holds an e-mail up before it is begun (consent, a pause, its hours, the caps on how often people are written to, the
//! pace of its mailbox), and for how long it is tried.
//!
//! An e-mail is given up five days after it was planned. What is not the mail server's doing takes nothing from them: after a
//! pause of its enrolment they begin again, and where its hours open only when they are over, they begin again there, once.

use super::{Email, EmailState, Obstacle, deliver, refuse};
use crate::calendar::WorkingCalendar;
use crate::contact_policy::Capped;
use crate::decision::Decision;
use crate::id::SequenceId;
use crate::sending_mailbox::pace::Turn;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long a mail server's "later" or silence is put up with (RFC 5321, 4.5.4.1: at least four to five days).
pub const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(5);
/// The longest wait between two tries.
pub(super) const LONGEST_BACK_OFF: TimeDelta = TimeDelta::days(1);
/// When it is looked again whether a consent has become known.
const CONSENT_LOOKS: TimeDelta = TimeDelta::hours(1);
/// How often it is looked whether somebody has ended a pause that ends by itself, and one that does not.
const PAUSE_LOOKS: (TimeDelta, TimeDelta) = (TimeDelta::hours(6), TimeDelta::hours(1));
/// How long a job may be late without an e-mail being taken for lost.
const LATENESS: TimeDelta = TimeDelta::days(1);

/// What an e-mail waits for before it is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldFor {
    /// That the person's consent becomes known.
    Consent,
    /// That its enrolment goes on.
    Pause,
    /// That its hours open.
    Hours,
    /// That the person, or the company, may be written to once more.
    Cap,
    /// Its turn at its mailbox.
    Mailbox,
}

impl HeldFor {
    /// The reason code of the record.
    const fn code(self) -> &'static str {
        match self {
            Self::Consent => "CONSENT",
            Self::Pause => "PAUSE",
            Self::Hours => "WINDOW",
            Self::Cap => "CAP",
            Self::Mailbox => "MAILBOX",
        }
    }
}

/// From when on the five days count of an e-mail that was held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// The moment. It may be ahead: when the hours open.
    pub since: DateTime<Utc>,
    /// Whether the hours were the reason. They are one only once, or nothing would ever be given up.
    pub for_hours: bool,
}

/// What decides, beside consent, whether an e-mail may go out: as it is at this moment and in this transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room<'a> {
    /// The working calendar that its hours name.
    pub calendar: Option<&'a WorkingCalendar>,
    /// What the contact policy says; none where it allows the e-mail.
    pub capped: Option<Capped>,
    /// What its mailbox says; none for an e-mail without one.
    pub turn: Option<Turn>,
}

/// Why an e-mail waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// Outside its hours: until they begin.
    Window(DateTime<Utc>),
    /// The person or the account was written to often enough: until that is over, within its hours.
    Cap(Capped, DateTime<Utc>),
    /// In the line of its mailbox, which can go on then; none while it is paused.
    Mailbox(Option<DateTime<Utc>>),
}

impl Room<'_> {
    /// Until when caps and hours hold the e-mail back; its mailbox is not asked.
    pub fn opens(&self, email: &Email, now: DateTime<Utc>) -> Option<HoldReason> {
        if email.transactional {
            return None;
        }
        let allowed = self.capped.map_or(now, |capped| capped.until.max(now));
        // It was planned within its hours; whatever held it up since, it does not go out at night.
        let opens = email.hours.as_ref().and_then(|hours| hours.opens(allowed, self.calendar));
        match (self.capped, opens) {
            (Some(capped), opens) => Some(HoldReason::Cap(capped, opens.unwrap_or(allowed))),
            (None, Some(opens)) => Some(HoldReason::Window(opens)),
            (None, None) => None,
        }
    }

    /// Why there is no room for the e-mail; none where there is.
    pub(super) fn lacks(&self, email: &Email, now: DateTime<Utc>) -> Option<HoldReason> {
        self.opens(email, now).or(match self.turn.filter(|_| !email.transactional) {
            Some(Turn::Wait { until }) => Some(HoldReason::Mailbox(until)),
            _ => None,
        })
    }
}

impl Email {
    /// From when on its five days count.
    fn tried_since(&self) -> DateTime<Utc> {
        self.patience.map_or(self.planned_at, |patience| patience.since)
    }

    /// Whether its five days are over.
    pub(super) fn is_late(&self, now: DateTime<Utc>) -> bool {
        now - self.tried_since() >= GIVE_UP_AFTER
    }

    /// By when it is settled, as it stands; what holds it up again moves that. It is tried for five days; the last try may be a
    /// back-off later and then have to wait for its hours. `calendar` is the one that those name, as it is at the moment.
    pub fn settled_by(&self, calendar: Option<&WorkingCalendar>) -> DateTime<Utc> {
        let last = self.tried_since() + GIVE_UP_AFTER + LONGEST_BACK_OFF;
        let open = self.hours.as_ref().and_then(|hours| hours.opens(last, calendar)).unwrap_or(last);
        open + LATENESS
    }

    /// What it is once a pause of its enrolment is over: its five days begin again.
    pub(super) fn after_pause(self, now: DateTime<Utc>) -> Self {
        if self.held_for != Some(HeldFor::Pause) {
            return self;
        }
        Self { held_for: None, patience: Some(Patience { since: now, for_hours: false }), ..self }
    }

    /// From which moment on it counts for the caps: since it was begun, also where it came to nothing in the end; while it
    /// is planned, from when it is expected to go out, for whoever plans another one. None where it does not count.
    pub fn counts_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            _ if self.transactional => None,
            EmailState::Sending | EmailState::Sent | EmailState::Bounced | EmailState::Unknown => self.begun_at,
            EmailState::Planned | EmailState::Deferred => self.expected_at,
            EmailState::Refused => None,
        }
    }

    /// Whether it waits for room that it is going to have, or for its sequence to go on: until when that is known to take, where
    /// it is known.
    pub fn is_held(&self, now: DateTime<Utc>) -> Option<Option<DateTime<Utc>>> {
        let waits = matches!(self.state, EmailState::Planned | EmailState::Deferred);
        if waits && self.held_with.is_some() {
            return Some(None);
        }
        let for_room = matches!(self.held_for, Some(HeldFor::Cap | HeldFor::Mailbox));
        let held = for_room && (self.queued_at.is_some() || self.expected_at.is_some_and(|at| at > now));
        (waits && held).then_some(self.expected_at)
    }

    /// From when on its five days count once it has waited for room from one moment to another. They begin then where it was
    /// not tried yet, and are only longer by the wait where it was: a busy mailbox would put off for ever what a mail server
    /// never takes.
    fn waited(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Patience {
        let since = if self.attempts == 0 { to } else { self.tried_since() + (to - from).max(TimeDelta::zero()) };
        Patience { since, for_hours: self.attempts > 0 && self.patience.is_some_and(|patience| patience.for_hours) }
    }

    /// Holds it up until it is looked at again. Only the first look that finds a reason records it.
    fn held(self, reason: HeldFor, again: DateTime<Utc>) -> Decision<Self> {
        let known = self.held_for == Some(reason);
        let fact = self.fact("email.held").because(reason.code()).with("held_for", reason).with("again_at", again);
        let held = Self { held_for: Some(reason), ..self };
        let facts = if known { Vec::new() } else { vec![fact] };
        deliver(Decision { next: held, facts, jobs: Vec::new() }, again)
    }
}

/// Lets an e-mail wait until the consent is known, for five days.
pub(super) fn for_consent(email: Email, now: DateTime<Utc>) -> Decision<Email> {
    if email.is_late(now) {
        return refuse(email, Obstacle::ConsentUnknown, now);
    }
    Email { expected_at: None, slot_at: None, ..email }.held(HeldFor::Consent, now + CONSENT_LOOKS)
}

/// Lets an e-mail wait as long as its enrolment pauses. The five days begin after it: one that was given up meanwhile would be a
/// step left out.
pub(super) fn for_pause(email: Email, until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Decision<Email> {
    let again = match until.filter(|until| *until > now) {
        Some(until) => until.min(now + PAUSE_LOOKS.0),
        None => now + PAUSE_LOOKS.1,
    };
    Email { expected_at: None, slot_at: None, ..email }.held(HeldFor::Pause, again)
}

/// Lets an e-mail wait until its sequence goes on, whatever else there is to wait for. Nobody looks in between: what lets the
/// sequence go on finds it.
pub(super) fn with_sequence(email: Email, sequence: SequenceId) -> Decision<Email> {
    let known = email.held_for == Some(HeldFor::Pause);
    let fact = email.fact("email.held").because(HeldFor::Pause.code()).with("held_for", HeldFor::Pause);
    let fact = fact.with("sequence", sequence);
    let held = Email {
        held_for: Some(HeldFor::Pause),
        held_with: Some(sequence),
        expected_at: None,
        slot_at: None,
        queued_at: None,
        ..email
    };
    Decision { next: held, facts: if known { Vec::new() } else { vec![fact] }, jobs: Vec::new() }
}

/// Lets an e-mail that was held with its sequence go on at `turn`, from when on its five days count. None where it was not held
/// so (any more).
pub fn release(email: Email, turn: DateTime<Utc>) -> Option<Decision<Email>> {
    let sequence = waits_with(&email)?;
    let patience = Some(Patience { since: turn, for_hours: false });
    let email = Email { held_for: None, held_with: None, patience, expected_at: Some(turn), ..email };
    let fact = email.fact("email.released").with("sequence", sequence).with("due_at", turn);
    Some(deliver(Decision::new(email, fact), turn))
}

/// Leaves an e-mail out that was held with its sequence, since whoever let that go on wanted it so. None where it was not held
/// so (any more).
pub fn skip(email: Email, now: DateTime<Utc>) -> Option<Decision<Email>> {
    settle_held(email, Obstacle::BacklogSkipped, now)
}

/// Takes an e-mail back that was held with its sequence, which will not go on any more. None where it was not held so (any more).
pub fn withdraw(email: Email, now: DateTime<Utc>) -> Option<Decision<Email>> {
    settle_held(email, Obstacle::EnrollmentEnded, now)
}

fn waits_with(email: &Email) -> Option<SequenceId> {
    let waits = matches!(email.state, EmailState::Planned | EmailState::Deferred);
    email.held_with.filter(|_| waits)
}

fn settle_held(email: Email, obstacle: Obstacle, now: DateTime<Utc>) -> Option<Decision<Email>> {
    waits_with(&email)?;
    Some(refuse(email, obstacle, now))
}

/// Lets an e-mail wait until its hours open.
fn for_hours(email: Email, opens: DateTime<Utc>) -> Decision<Email> {
    let begins_again = !email.patience.is_some_and(|patience| patience.for_hours) && email.is_late(opens);
    let patience = if begins_again { Some(Patience { since: opens, for_hours: true }) } else { email.patience };
    // Hours that close again are news each time.
    let expected_at = Some(opens);
    Email { patience, held_for: None, expected_at, slot_at: None, queued_at: None, ..email }.held(HeldFor::Hours, opens)
}

/// Lets an e-mail wait for room. What holds it back takes nothing from its five days: one that was given up meanwhile would be a
/// step left out.
pub(super) fn for_room(email: Email, reason: HoldReason, now: DateTime<Utc>) -> Decision<Email> {
    let (held_for, again, rule) = match reason {
        HoldReason::Window(opens) => return for_hours(email, opens),
        HoldReason::Cap(capped, at) => (HeldFor::Cap, Some(at), Some(capped.rule())),
        HoldReason::Mailbox(until) => (HeldFor::Mailbox, until, None),
    };
    let mut fact = email.fact("email.held").because(held_for.code()).with("held_for", held_for).with("again_at", again);
    if let Some(rule) = rule {
        fact = fact.with("capped_by", rule);
    }
    let in_line = held_for == HeldFor::Mailbox;
    // What it waits in the line is known once it has its moment.
    let patience = if in_line { email.patience } else { Some(email.waited(now, again.unwrap_or(now))) };
    let email = Email {
        held_for: Some(held_for),
        patience,
        expected_at: again,
        slot_at: None,
        // Whoever missed the moment given keeps the place in the line.
        queued_at: in_line.then(|| email.slot_at.unwrap_or(now).min(now)),
        ..email
    };
    match again {
        Some(again) if !in_line => deliver(Decision::new(email, fact), again),
        // A round of the mailbox plans the delivery.
        _ => Decision::new(email, fact),
    }
}

/// Gives an e-mail in the line of its mailbox its moment, as a part of the decision of a round, whose fact names all of them.
/// None where it does not wait there any more.
pub fn give_slot(email: Email, at: DateTime<Utc>) -> Option<Decision<Email>> {
    let patience = Some(email.waited(email.queued_at?, at));
    let email = Email { queued_at: None, slot_at: Some(at), expected_at: Some(at), patience, ..email };
    Some(deliver(Decision::unchanged(email), at))
}
