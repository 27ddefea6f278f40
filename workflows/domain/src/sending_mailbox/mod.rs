//! Mailboxes that e-mails are sent from: what each may send on a day, in pools among which people are shared.
//!
//! Owns the definition, the growth of its daily cap, and the choice of a mailbox for a person. [`pace`] says when one
//! e-mail, or the next of many, may go out.

pub mod pace;

use crate::calendar::is_key;
use crate::codes;
use crate::decision::{Decision, Fact};
use crate::email::Mailbox;
use crate::id::{ContactId, SendingMailboxId, SequenceId};
use crate::sequence::steps::wait::existing;
use crate::suppression::{self, SuppressionKind};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The most e-mails a day that a mailbox may send.
pub const MOST_A_DAY: u32 = 100_000;
/// The longest interval between two e-mails of a mailbox, in seconds.
pub const LONGEST_INTERVAL: u32 = 3_600;

codes! {
    /// Whether a mailbox sends.
    pub enum MailboxState("mailbox state") {
        /// It sends, and takes new people.
        Active = "ACTIVE",
        /// It sends nothing; what is planned from it waits.
        Paused = "PAUSED",
    }
}

/// How a new mailbox grows: so many e-mails on its first day, so many more on each day after, up to its daily cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RampUp {
    /// The first day, in the mailbox's zone.
    pub from: NaiveDate,
    /// How many on that day, and on any before it.
    pub start: u32,
    /// How many more on each day after.
    pub per_day: u32,
}

/// A mailbox that e-mails are sent from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendingMailbox {
    /// Its id.
    pub id: SendingMailboxId,
    /// The address, normalised; unique.
    pub address: String,
    /// The name that people see.
    #[serde(default)]
    pub name: Option<String>,
    /// Where answers go; none for where they go otherwise.
    #[serde(default)]
    pub reply_to: Option<Mailbox>,
    /// The key of the pool that it belongs to.
    pub pool: String,
    /// The zone in which its days begin and end.
    pub zone: Tz,
    /// The most e-mails on a day.
    pub daily_cap: u32,
    /// How it grows up to that; none for at once.
    #[serde(default)]
    pub ramp_up: Option<RampUp>,
    /// The least seconds between two e-mails; 0 for none.
    #[serde(default)]
    pub interval: u32,
    /// Whether it sends.
    pub state: MailboxState,
    /// Counts the definitions from 1.
    pub version: u32,
}

/// A mailbox as sales ops writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxDraft {
    /// The address: what is there under it becomes the next version.
    pub address: String,
    /// The name that people see, at most 200 characters.
    pub name: Option<String>,
    /// Where answers go.
    pub reply_to: Option<Mailbox>,
    /// The key of the pool: 1 to 60 of `a-z 0-9 _ -`.
    pub pool: String,
    /// The zone in which its days begin and end.
    pub zone: Tz,
    /// The most e-mails on a day, 1 to [`MOST_A_DAY`].
    pub daily_cap: u32,
    /// How it grows up to that.
    pub ramp_up: Option<RampUp>,
    /// The least seconds between two e-mails, 0 to [`LONGEST_INTERVAL`].
    pub interval: u32,
}

/// Why a mailbox is refused, or a change to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An address that nobody could write from.
    #[error("{field} is not an e-mail address; give it in the form name@example.com")]
    NotAnAddress {
        /// The input field.
        field: &'static str,
    },
    /// A name that is no line.
    #[error("the name is one line of at most 200 characters; shorten it")]
    Name,
    /// The pool has no such key.
    #[error("`{given}` is not the key of a pool; use 1 to 60 of a-z, 0-9, _ and -")]
    Pool {
        /// What was given.
        given: String,
    },
    /// A daily cap out of range.
    #[error("the daily cap is 1 to {MOST_A_DAY} e-mails, not {given}; to send nothing, pause the mailbox")]
    DailyCap {
        /// What was given.
        given: u32,
    },
    /// A ramp-up that never leads anywhere, or begins above the cap.
    #[error("a ramp-up starts with 1 e-mail to the daily cap, and grows by at least 1 a day; mend it, or leave it out")]
    RampUp,
    /// An interval out of range.
    #[error("the interval is 0 to {LONGEST_INTERVAL} seconds, not {given}; for fewer e-mails, lower the daily cap")]
    Interval {
        /// What was given.
        given: u32,
    },
    /// It is so already.
    #[error("the mailbox is {state} already; nothing needs to be done")]
    Already {
        /// The state.
        state: MailboxState,
    },
    /// The round was planned before something else was.
    #[error("round {given} is over; the mailbox is at round {round}")]
    Stale {
        /// The round that was asked for.
        given: u32,
        /// The round it is at.
        round: u32,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAnAddress { .. } => "SENDING_MAILBOX_NOT_AN_ADDRESS",
            Self::Name => "SENDING_MAILBOX_NAME_INVALID",
            Self::Pool { .. } => "SENDING_MAILBOX_POOL_INVALID",
            Self::DailyCap { .. } => "SENDING_MAILBOX_DAILY_CAP_INVALID",
            Self::RampUp => "SENDING_MAILBOX_RAMP_UP_INVALID",
            Self::Interval { .. } => "SENDING_MAILBOX_INTERVAL_INVALID",
            Self::Already { .. } => "SENDING_MAILBOX_ALREADY",
            Self::Stale { .. } => "SENDING_MAILBOX_ROUND_STALE",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::NotAnAddress { field } => Some(field),
            Self::Name => Some("name"),
            Self::Pool { .. } => Some("pool"),
            Self::DailyCap { .. } => Some("dailyCap"),
            Self::RampUp => Some("rampUp"),
            Self::Interval { .. } => Some("intervalSeconds"),
            Self::Already { .. } | Self::Stale { .. } => None,
        }
    }
}

/// A day of a mailbox, as moments: with a change of the clocks it has 23 or 25 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxDay {
    /// The date there.
    pub date: NaiveDate,
    /// When the next day begins.
    pub ends: DateTime<Utc>,
}

impl SendingMailbox {
    /// The day that a moment belongs to. The days follow each other without gap or overlap.
    pub fn day(&self, at: DateTime<Utc>) -> MailboxDay {
        let begins = |date: NaiveDate| existing(date.and_time(NaiveTime::MIN), self.zone);
        let next = |date: NaiveDate| date.checked_add_days(Days::new(1));
        let local = at.with_timezone(&self.zone).date_naive();
        // Where clocks go back over midnight, the wall shows the day before once more: it is over all the same.
        let later = next(local).filter(|date| begins(*date).is_some_and(|begin| begin <= at));
        let date = later.unwrap_or(local);
        let ends = next(date).and_then(begins).filter(|end| *end > at);
        // Only the end of the calendar could be in the way.
        MailboxDay { date, ends: ends.unwrap_or_else(|| at + TimeDelta::days(1)) }
    }

    /// How many e-mails it may send on a day. It never becomes fewer from one day to the next.
    pub fn allowance(&self, date: NaiveDate) -> u32 {
        let Some(RampUp { from, start, per_day }) = self.ramp_up else { return self.daily_cap };
        let days = u32::try_from((date - from).num_days().max(0)).unwrap_or(u32::MAX);
        start.saturating_add(per_day.saturating_mul(days)).min(self.daily_cap)
    }

    /// Whether it sends.
    pub fn is_active(&self) -> bool {
        self.state == MailboxState::Active
    }

    /// It as a sender.
    pub fn sender(&self) -> Mailbox {
        Mailbox { name: self.name.clone(), address: self.address.clone() }
    }
}

/// How much a mailbox is meant for a person in a sequence.
fn score(mailbox: SendingMailboxId, sequence: SequenceId, contact: ContactId) -> [u8; 32] {
    let parts = [mailbox.0, sequence.0, contact.0];
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part.as_bytes())).finalize().into()
}

/// The mailbox of a pool that writes to a person in a sequence: of the active ones, the one with the highest score
/// (rendezvous hashing). As long as it is active it stays the same; another one that comes takes its share of the people,
/// and moves nobody else.
pub fn choose<'a>(
    mailboxes: &'a [SendingMailbox],
    pool: &str,
    sequence: SequenceId,
    contact: ContactId,
) -> Option<&'a SendingMailbox> {
    let active = mailboxes.iter().filter(|mailbox| mailbox.pool == pool && mailbox.is_active());
    active.max_by_key(|mailbox| score(mailbox.id, sequence, contact))
}

fn address(field: &'static str, given: &str) -> Result<String, Refusal> {
    suppression::normalise(SuppressionKind::Email, given).map_err(|_| Refusal::NotAnAddress { field })
}

fn name(given: Option<String>) -> Result<Option<String>, Refusal> {
    let name = given.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    match &name {
        Some(text) if text.chars().count() > 200 || text.chars().any(char::is_control) => Err(Refusal::Name),
        _ => Ok(name),
    }
}

/// Saves a mailbox: a new, active one under `id`, or the next version of `before`, which keeps its id and its state.
pub fn save(
    before: Option<&SendingMailbox>,
    id: SendingMailboxId,
    draft: MailboxDraft,
) -> Result<Decision<SendingMailbox>, Refusal> {
    let address_of = address("address", &draft.address)?;
    let reply_to = match draft.reply_to {
        Some(reply_to) => {
            address("replyTo", &reply_to.address)?;
            Some(Mailbox { name: name(reply_to.name)?, address: reply_to.address.trim().to_owned() })
        }
        None => None,
    };
    let name = name(draft.name)?;
    if !is_key(&draft.pool) {
        return Err(Refusal::Pool { given: draft.pool.chars().take(80).collect() });
    }
    if !(1..=MOST_A_DAY).contains(&draft.daily_cap) {
        return Err(Refusal::DailyCap { given: draft.daily_cap });
    }
    if draft.ramp_up.is_some_and(|ramp| !(1..=draft.daily_cap).contains(&ramp.start) || ramp.per_day == 0) {
        return Err(Refusal::RampUp);
    }
    if draft.interval > LONGEST_INTERVAL {
        return Err(Refusal::Interval { given: draft.interval });
    }
    let (id, version) = before.map_or((id, 0), |before| (before.id, before.version));
    let mut next = SendingMailbox {
        id,
        address: address_of,
        name,
        reply_to,
        pool: draft.pool,
        zone: draft.zone,
        daily_cap: draft.daily_cap,
        ramp_up: draft.ramp_up,
        interval: draft.interval,
        state: before.map_or(MailboxState::Active, |before| before.state),
        version,
    };
    let changed = before != Some(&next);
    if changed {
        next.version = version.saturating_add(1);
    }
    let fact = Fact::audit("sending_mailbox.saved", id)
        .with("address", &next.address)
        .with("pool", &next.pool)
        .with("daily_cap", next.daily_cap)
        .with("ramp_up", next.ramp_up)
        .with("interval", next.interval)
        .with("version", next.version)
        .with("changed", changed);
    Ok(Decision::new(next, fact))
}

fn turn(mailbox: SendingMailbox, state: MailboxState, kind: &'static str) -> Result<Decision<SendingMailbox>, Refusal> {
    if mailbox.state == state {
        return Err(Refusal::Already { state });
    }
    let fact = Fact::audit(kind, mailbox.id).moved(mailbox.state, state).with("address", &mailbox.address);
    Ok(Decision::new(SendingMailbox { state, ..mailbox }, fact))
}

/// Stops a mailbox: what is planned from it waits, and new people get another one of the pool.
pub fn pause(mailbox: SendingMailbox) -> Result<Decision<SendingMailbox>, Refusal> {
    turn(mailbox, MailboxState::Paused, "sending_mailbox.paused")
}

/// Lets a mailbox send again.
pub fn resume(mailbox: SendingMailbox) -> Result<Decision<SendingMailbox>, Refusal> {
    turn(mailbox, MailboxState::Active, "sending_mailbox.resumed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> MailboxDraft {
        MailboxDraft {
            address: " Team@Example.com ".to_owned(),
            name: Some("The team".to_owned()),
            reply_to: None,
            pool: "outreach".to_owned(),
            zone: Tz::UTC,
            daily_cap: 50,
            ramp_up: None,
            interval: 30,
        }
    }

    fn refused(draft: MailboxDraft) -> &'static str {
        save(None, SendingMailboxId(uuid::Uuid::nil()), draft).unwrap_err().code()
    }

    #[test]
    fn a_mailbox_is_checked_and_only_a_change_makes_a_version() {
        let from = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let ramp_up = |start, per_day| Some(RampUp { from, start, per_day });
        for (code, draft) in [
            ("SENDING_MAILBOX_NOT_AN_ADDRESS", MailboxDraft { address: "team".to_owned(), ..draft() }),
            ("SENDING_MAILBOX_NOT_AN_ADDRESS", MailboxDraft { reply_to: Some(Mailbox::bare("a b")), ..draft() }),
            ("SENDING_MAILBOX_NAME_INVALID", MailboxDraft { name: Some("a\nb".to_owned()), ..draft() }),
            ("SENDING_MAILBOX_POOL_INVALID", MailboxDraft { pool: "A pool".to_owned(), ..draft() }),
            ("SENDING_MAILBOX_DAILY_CAP_INVALID", MailboxDraft { daily_cap: 0, ..draft() }),
            ("SENDING_MAILBOX_RAMP_UP_INVALID", MailboxDraft { ramp_up: ramp_up(51, 1), ..draft() }),
            ("SENDING_MAILBOX_RAMP_UP_INVALID", MailboxDraft { ramp_up: ramp_up(5, 0), ..draft() }),
            ("SENDING_MAILBOX_INTERVAL_INVALID", MailboxDraft { interval: 3_601, ..draft() }),
        ] {
            assert_eq!(refused(draft), code);
        }
        let first = save(None, SendingMailboxId(uuid::Uuid::nil()), draft()).unwrap().next;
        assert_eq!((first.address.as_str(), first.version), ("team@example.com", 1));
        let paused = pause(first).unwrap().next;
        assert_eq!(pause(paused.clone()).unwrap_err().code(), "SENDING_MAILBOX_ALREADY");
        let same = save(Some(&paused), paused.id, draft()).unwrap().next;
        assert_eq!((same.version, same.state), (1, MailboxState::Paused));
        let next = save(Some(&paused), paused.id, MailboxDraft { ramp_up: ramp_up(5, 5), ..draft() }).unwrap().next;
        assert_eq!((next.version, next.allowance(from), next.allowance(from + Days::new(3))), (2, 5, 20));
        assert_eq!(next.allowance(from + Days::new(300)), 50);
        assert_eq!(next.allowance(from - Days::new(3)), 5);
    }

    #[test]
    fn a_day_has_the_hours_that_it_has_there() {
        let mailbox =
            save(None, SendingMailboxId(uuid::Uuid::nil()), MailboxDraft { zone: Tz::Europe__Berlin, ..draft() });
        let mailbox = mailbox.unwrap().next;
        let day = mailbox.day("2026-03-28T23:30:00Z".parse().unwrap());
        assert_eq!(day.date.to_string(), "2026-03-29");
        assert_eq!(day.ends, "2026-03-29T22:00:00Z".parse::<DateTime<Utc>>().unwrap());
    }
}
