//! Smooth weighted round robin (the algorithm of nginx's upstream balancer) in which people who are skipped keep their turn.
//!
//! In each choice every member that is at work at all gains credit by weight; whoever has the most of those who can take
//! the offer is chosen, and pays what all gained. The sum over the pool stays zero, and over many choices the turns are in
//! proportion to the weights. A member who is skipped gains as well, but never stands higher than the weight of the whole
//! pool: the turn is kept, a pile of turns is not. A member who is out of office neither gains nor pays.

use super::pool::Pool;
use super::receipt::{Considered, Receipt, Skip};
use crate::calendar::WorkingCalendar;
use crate::codes;
use crate::id::{CalendarId, HandoffId, ReceiptId, UserId};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

codes! {
    /// What a handoff that could not be offered waits for.
    pub enum HeldFor("reason to hold a handoff") {
        /// Everybody who is at work has a full plate.
        NoCapacity = "NO_CAPACITY",
        /// Nobody who could take it is at work.
        OutOfHours = "OUT_OF_HOURS",
    }
}

/// What a choice came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Somebody was chosen.
    Chosen {
        /// Who.
        user: UserId,
        /// The credit that the turn cost: what is given back if the turn is.
        cost: i64,
    },
    /// Nobody can take it now, but somebody will.
    Held {
        /// What it waits for.
        reason: HeldFor,
        /// When to try again.
        until: DateTime<Utc>,
    },
    /// Nobody is left who could.
    Exhausted,
}

/// What is known about a member besides the pool's definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the user may still act.
    pub active: bool,
    /// How many open opportunities the person holds, offers included, in all pools.
    pub open: u32,
}

/// Somebody who may not be offered this opportunity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barred {
    /// Who.
    pub user: UserId,
    /// Until when; none means for good.
    pub until: Option<DateTime<Utc>>,
}

/// What a choice is made from, besides the pool.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// The receipt's id.
    pub receipt: ReceiptId,
    /// The handoff.
    pub handoff: HandoffId,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// Who may not be offered it.
    pub barred: &'a [Barred],
    /// What is known about each member; one who is missing counts as inactive.
    pub standings: &'a BTreeMap<UserId, Standing>,
    /// The calendars of the members; one who has none counts as out of hours for a day.
    pub calendars: &'a BTreeMap<CalendarId, WorkingCalendar>,
}

/// A choice: what came of it, the receipt, and the pool with its credits after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Who considered, who skipped and why, who chosen.
    pub receipt: Receipt,
    /// The pool after the choice. Unchanged unless somebody was chosen: no turn was played.
    pub pool: Pool,
}

/// How soon a handoff held for want of capacity is tried again.
const CAPACITY_RETRY: TimeDelta = TimeDelta::hours(1);
/// An absence longer than this is not waited for: the handoff is escalated instead.
const ABSENCE_WORTH_WAITING: TimeDelta = TimeDelta::days(4);

/// Chooses a member of `pool`.
pub fn choose(pool: &Pool, field: &Field<'_>, now: DateTime<Utc>) -> Choice {
    let mut considered: Vec<Considered> = pool.members.iter().map(|member| consider(member, field, now)).collect();
    let whole: i64 = pool.members.iter().map(|member| i64::from(member.weight)).sum();
    let mut gained = 0_i64;
    for entry in &mut considered {
        let gain = match entry.skipped {
            None => i64::from(entry.weight),
            Some(Skip::OutOfOffice | Skip::Inactive) => 0,
            Some(_) => i64::from(entry.weight).min(whole.saturating_sub(entry.credit)).max(0),
        };
        entry.stake = entry.credit.saturating_add(gain);
        gained = gained.saturating_add(gain);
    }
    // The first of equals: the order of the pool settles a tie, so that the same history gives the same choice.
    let chosen = considered.iter().filter(|entry| entry.skipped.is_none()).map(|entry| (entry.stake, entry.user));
    let chosen = chosen.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let mut next = pool.clone();
    let verdict = match chosen {
        Some((_, user)) => {
            for (member, entry) in next.members.iter_mut().zip(&considered) {
                member.credit = entry.stake.saturating_sub(if member.user == user { gained } else { 0 });
            }
            Verdict::Chosen { user, cost: gained }
        }
        None => wait(&considered, now),
    };
    let receipt = Receipt {
        id: field.receipt,
        handoff: field.handoff,
        pool: pool.id,
        attempt: field.attempt,
        at: now,
        rule: pool.rule(),
        considered,
        verdict,
    };
    Choice { receipt, pool: next }
}

fn consider(member: &super::pool::Member, field: &Field<'_>, now: DateTime<Utc>) -> Considered {
    let standing = field.standings.get(&member.user).copied().unwrap_or(Standing { active: false, open: 0 });
    let opens = |from| match field.calendars.get(&member.calendar) {
        Some(calendar) => calendar.next_open(from),
        None => Some(from + TimeDelta::days(1)),
    };
    let mut bars = field.barred.iter().filter(|bar| bar.user == member.user && bar.until.is_none_or(|end| end > now));
    let (skipped, until) = if !standing.active {
        (Some(Skip::Inactive), None)
    } else if field.barred.iter().any(|bar| bar.user == member.user && bar.until.is_none()) {
        (Some(Skip::AlreadyTried), None)
    } else if let Some(bar) = bars.next() {
        (Some(Skip::CoolDown), bar.until)
    } else if let Some(back) = member.away_until(now) {
        (Some(Skip::OutOfOffice), opens(back))
    } else if let Some(open) = opens(now).filter(|open| *open > now) {
        (Some(Skip::OutOfHours), Some(open))
    } else if standing.open >= member.capacity {
        (Some(Skip::AtCapacity), Some(now + CAPACITY_RETRY))
    } else {
        (None, None)
    };
    Considered {
        user: member.user,
        weight: member.weight,
        credit: member.credit,
        stake: member.credit,
        open: standing.open,
        skipped,
        until,
    }
}

/// Nobody can take it now: whether it is worth waiting, for what, and until when.
fn wait(considered: &[Considered], now: DateTime<Utc>) -> Verdict {
    let worth = |entry: &&Considered| match entry.skipped {
        Some(Skip::AtCapacity | Skip::OutOfHours) => true,
        Some(Skip::OutOfOffice) => entry.until.is_some_and(|until| until - now <= ABSENCE_WORTH_WAITING),
        _ => false,
    };
    let waiting: Vec<&Considered> = considered.iter().filter(worth).collect();
    let full = waiting.iter().any(|entry| entry.skipped == Some(Skip::AtCapacity));
    let reason = if full { HeldFor::NoCapacity } else { HeldFor::OutOfHours };
    match waiting.iter().filter_map(|entry| entry.until).min() {
        Some(until) => Verdict::Held { reason, until },
        None => Verdict::Exhausted,
    }
}
