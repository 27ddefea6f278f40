//! What holds an e-mail back although the person may be written to: its hours, the caps on how often people are written
//! to, and the pace of its mailbox.

use super::{Email, EmailState, deliver};
use crate::calendar::WorkingCalendar;
use crate::contact_policy::Capped;
use crate::decision::Decision;
use crate::sending_mailbox::pace::Turn;
use chrono::{DateTime, Utc};

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

    /// Whether it waits for room that it is going to have: until when that is known to take, where it is known.
    pub fn is_held(&self, now: DateTime<Utc>) -> Option<Option<DateTime<Utc>>> {
        let waits = matches!(self.state, EmailState::Planned | EmailState::Deferred);
        let held = self.queued_at.is_some() || self.expected_at.is_some_and(|at| at > now);
        (waits && held).then_some(self.expected_at)
    }
}

/// Lets an e-mail wait for room. Its five days begin after it: one that was given up meanwhile would be a step left out.
pub(super) fn hold_for_room(email: Email, reason: HoldReason, now: DateTime<Utc>) -> Decision<Email> {
    let (code, again, rule) = match &reason {
        HoldReason::Window(opens) => ("WINDOW", Some(*opens), None),
        HoldReason::Cap(capped, at) => ("CAP", Some(*at), Some(capped.rule())),
        HoldReason::Mailbox(until) => ("MAILBOX", *until, None),
    };
    let mut fact = email.fact("email.held").because(code).with("again_at", again);
    if let Some(rule) = rule {
        fact = fact.with("capped_by", rule);
    }
    let in_line = matches!(reason, HoldReason::Mailbox(_));
    let email = Email {
        planned_at: again.unwrap_or(now),
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
    email.queued_at?;
    let email = Email { queued_at: None, slot_at: Some(at), expected_at: Some(at), planned_at: at, ..email };
    Some(deliver(Decision::unchanged(email), at))
}
