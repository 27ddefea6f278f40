//! What holds an e-mail up before it is begun, and for how long it is tried.
//!
//! An e-mail is given up five days after it was planned. What is not the mail server's doing takes nothing from them: after a
//! pause of its enrolment they begin again, and where its hours open only when they are over, they begin again there, once.

use super::{Email, Obstacle, deliver, refuse};
use crate::decision::Decision;
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
}

/// From when on the five days count of an e-mail that was held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// The moment. It may be ahead: when the hours open.
    pub since: DateTime<Utc>,
    /// Whether the hours were the reason. They are one only once, or nothing would ever be given up.
    pub for_hours: bool,
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
    /// back-off later and then have to wait for its hours.
    pub fn settled_by(&self) -> DateTime<Utc> {
        let last = self.tried_since() + GIVE_UP_AFTER + LONGEST_BACK_OFF;
        let open = self.hours.as_ref().and_then(|hours| hours.opens(last)).unwrap_or(last);
        open + LATENESS
    }

    /// What it is once a pause of its enrolment is over: its five days begin again.
    pub(super) fn after_pause(self, now: DateTime<Utc>) -> Self {
        if self.held_for != Some(HeldFor::Pause) {
            return self;
        }
        Self { held_for: None, patience: Some(Patience { since: now, for_hours: false }), ..self }
    }

    /// Holds it up until it is looked at again. Only the first look that finds a reason records it.
    fn held(self, reason: HeldFor, again: DateTime<Utc>) -> Decision<Self> {
        let known = self.held_for == Some(reason);
        let fact = self.fact("email.held").with("held_for", reason).with("again_at", again);
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
    email.held(HeldFor::Consent, now + CONSENT_LOOKS)
}

/// Lets an e-mail wait as long as its enrolment pauses. The five days begin after it: one that was given up meanwhile would be a
/// step left out.
pub(super) fn for_pause(email: Email, until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Decision<Email> {
    let again = match until.filter(|until| *until > now) {
        Some(until) => until.min(now + PAUSE_LOOKS.0),
        None => now + PAUSE_LOOKS.1,
    };
    email.held(HeldFor::Pause, again)
}

/// Lets an e-mail wait until its hours open.
pub(super) fn for_hours(email: Email, opens: DateTime<Utc>) -> Decision<Email> {
    let begins_again = !email.patience.is_some_and(|patience| patience.for_hours) && email.is_late(opens);
    let patience = if begins_again { Some(Patience { since: opens, for_hours: true }) } else { email.patience };
    // Hours that close again are news each time.
    Email { patience, held_for: None, ..email }.held(HeldFor::Hours, opens)
}
