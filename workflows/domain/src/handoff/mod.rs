//! Handoffs: one transfer of responsibility for an opportunity, from its dispatch to its end.
//!
//! ```text
//! pending -> matched -> offered -> accepted -> working -> converted | lost | returned
//! pending -> held (no capacity | out of hours) -> matched
//! offered -> rejected | timed out -> pending, and after the last attempt escalated
//! accepted | working -> reclaimed -> pending
//! returned -> return review -> re-routed | to SDR | to nurture | closed | return refused -> working
//! ```
//!
//! Owns the machine and its law: a handoff is in exactly one state, and has a due time and a timer exactly while it goes
//! on. `offer.rs` brings it to somebody, `work.rs` is what that person does with it, `return_review.rs` what becomes of it
//! when it comes back. Clocks run on the calendar of the person concerned.

mod offer;
mod return_review;
mod state;
mod work;

pub use offer::{NewHandoff, accept, assign, dispatch, expire, matched, reject};
pub use return_review::{ReviewVerdict, give_back, review};
pub use state::{CoolDown, Handoff, HandoffState, Reason, Tried, Turn, Use};
pub use work::{check_sla, convert, lose, progress, reclaim, start};

use crate::calendar::WorkingCalendar;
use crate::decision::known_as;
use crate::id::{CalendarId, PoolId, UserId};
use crate::routing::Pool;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// The promises of the pool, and the calendars that its clocks run on.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The handoff's pool.
    pub pool: &'a Pool,
    /// At least the calendars of [`Pool::calendars`].
    pub calendars: &'a BTreeMap<CalendarId, WorkingCalendar>,
}

/// Why a handoff does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The machine has no such arrow.
    #[error(
        "a handoff that is {state} does not allow `{command}`; read it again and choose a step that its state allows"
    )]
    NotAllowed {
        /// What was asked for.
        command: &'static str,
        /// The state it is in.
        state: HandoffState,
    },
    /// The offer is somebody else's.
    #[error("the offer is not yours to answer; only the person it was made to may accept or reject it")]
    NotOfferedToYou,
    /// The work is somebody else's.
    #[error("the opportunity is not yours; only the person who took it works on it")]
    NotYours,
    /// The time to answer is over.
    #[error("the offer ran out at {at}; it goes to the next in the pool")]
    OfferRanOut {
        /// When.
        at: DateTime<Utc>,
    },
    /// The reason cannot be one for this.
    #[error("{reason} is not a reason to {what}; choose another reason")]
    ReasonNotAllowed {
        /// What was given.
        reason: Reason,
        /// For what.
        what: Use,
    },
    /// The note is too long.
    #[error("a note has at most {most} characters")]
    NoteTooLong {
        /// The most.
        most: usize,
    },
    /// Somebody is not given again what was rejected, ran out or was taken back.
    #[error(
        "the user {user} had this opportunity before and is not given it again; choose somebody else",
        user = known_as(.user)
    )]
    AlreadyTried {
        /// Who.
        user: UserId,
    },
    /// Somebody is not given again what was returned, for a while.
    #[error(
        "the user {user} returned this opportunity and is not given it again before {until}; choose somebody else",
        user = known_as(.user)
    )]
    CoolDown {
        /// Who.
        user: UserId,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// The terms are those of another pool.
    #[error("the handoff is in the pool {pool}, not in the one given", pool = known_as(.pool))]
    WrongPool {
        /// The handoff's pool.
        pool: PoolId,
    },
    /// A clock has no calendar to run on.
    #[error(
        "the pool names the calendar {calendar}, which does not exist or never opens; save the pool with another",
        calendar = known_as(.calendar)
    )]
    NoClock {
        /// The calendar.
        calendar: CalendarId,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "HANDOFF_NOT_ALLOWED",
            Self::NotOfferedToYou => "HANDOFF_NOT_OFFERED_TO_YOU",
            Self::NotYours => "HANDOFF_NOT_YOURS",
            Self::OfferRanOut { .. } => "HANDOFF_OFFER_RAN_OUT",
            Self::ReasonNotAllowed { .. } => "HANDOFF_REASON_NOT_ALLOWED",
            Self::NoteTooLong { .. } => "HANDOFF_NOTE_TOO_LONG",
            Self::AlreadyTried { .. } => "HANDOFF_ALREADY_TRIED",
            Self::CoolDown { .. } => "HANDOFF_COOL_DOWN",
            Self::WrongPool { .. } => "HANDOFF_WRONG_POOL",
            Self::NoClock { .. } => "HANDOFF_NO_CLOCK",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::ReasonNotAllowed { .. } => Some("reason"),
            Self::NoteTooLong { .. } => Some("note"),
            Self::AlreadyTried { .. } | Self::CoolDown { .. } => Some("userId"),
            Self::WrongPool { .. } => Some("poolId"),
            _ => None,
        }
    }
}

/// The longest note, in characters.
pub const MOST_NOTE: usize = 2_000;

impl Terms<'_> {
    /// The moment `minutes` of working time from `now`, on the clock of `user` (a member's own calendar, otherwise the
    /// pool's).
    fn due(&self, user: Option<UserId>, minutes: u32, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refusal> {
        let member = user.and_then(|user| self.pool.member(user));
        let calendar = member.map_or(self.pool.calendar, |member| member.calendar);
        let clock = self.calendars.get(&calendar);
        let due = clock.and_then(|clock| clock.add_business(now, crate::routing::minutes(minutes)));
        due.ok_or(Refusal::NoClock { calendar })
    }

    fn check(&self, handoff: &Handoff) -> Result<(), Refusal> {
        if self.pool.id == handoff.pool { Ok(()) } else { Err(Refusal::WrongPool { pool: handoff.pool }) }
    }
}

fn allow(handoff: &Handoff, command: &'static str, states: &[HandoffState]) -> Result<(), Refusal> {
    match handoff.state {
        state if states.contains(&state) => Ok(()),
        state => Err(Refusal::NotAllowed { command, state }),
    }
}

fn check_reason(reason: Reason, what: Use) -> Result<(), Refusal> {
    if reason.serves(what) { Ok(()) } else { Err(Refusal::ReasonNotAllowed { reason, what }) }
}

fn check_note(note: Option<String>) -> Result<Option<String>, Refusal> {
    let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    match &note {
        Some(text) if text.chars().count() > MOST_NOTE => Err(Refusal::NoteTooLong { most: MOST_NOTE }),
        _ => Ok(note),
    }
}
