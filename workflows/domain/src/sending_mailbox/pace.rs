//! The pace of a mailbox: whether an e-mail may go out now, and who goes next among those that wait.
//!
//! ```text
//! an e-mail is about to begin --take--> it goes
//!                                \----> it waits in the mailbox's line, and the first that does plans a round
//! a round --hand_out--> the next e-mails get their moments, at most a minute's worth; the next round is planned
//!                       while more wait
//! ```
//!
//! So an e-mail that waits is looked at when it comes, and once more when it goes, however long the line is. Sequences take
//! turns in the line: whoever went longest ago is next, and within a sequence whoever has waited longest.

use super::{Refusal, SendingMailbox};
use crate::decision::{Decision, Fact, Job};
use crate::id::{EmailId, SendingMailboxId, SequenceId};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most e-mails that one round gives their moments.
pub const MOST_A_ROUND: u32 = 100;
/// A round is as long as this, unless one interval is longer.
const ROUND_SECONDS: u32 = 60;
/// An e-mail that misses its moment by more than this, and by more than an interval, waits for another one: after an
/// outage those of a whole round must not go out together.
const PATIENCE: TimeDelta = TimeDelta::seconds(5);

/// What a mailbox has done today, and when it may go on. It is locked by whoever begins an e-mail from the mailbox, so that
/// no two nodes take the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxPace {
    /// The mailbox's id: there is one for each.
    pub id: SendingMailboxId,
    /// The day that `sent` counts.
    pub day: Option<NaiveDate>,
    /// How many e-mails were begun on that day, each try for itself.
    pub sent: u32,
    /// When the interval after the last e-mail, or the last moment given, is over.
    pub free_at: DateTime<Utc>,
    /// Counts the rounds that were planned.
    pub round: u32,
    /// When the next round is; none where nobody waits, or the mailbox is paused.
    pub round_at: Option<DateTime<Utc>>,
    /// Counts the moments that were given.
    pub turn: u64,
    /// The last turn of each sequence that has e-mails in the line.
    pub served: BTreeMap<SequenceId, u64>,
}

/// What a mailbox says to an e-mail that is about to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It goes.
    Go,
    /// It waits in the line.
    Wait {
        /// When the mailbox can go on; none while it is paused.
        until: Option<DateTime<Utc>>,
    },
}

/// One e-mail in the line of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InLine {
    /// The e-mail.
    pub email: EmailId,
    /// Its sequence; none for an e-mail without one, all of which take one turn together.
    pub sequence: Option<SequenceId>,
    /// Since when it waits.
    pub since: DateTime<Utc>,
}

impl MailboxPace {
    /// The pace of a mailbox that has sent nothing.
    pub fn new(id: SendingMailboxId, now: DateTime<Utc>) -> Self {
        Self { id, day: None, sent: 0, free_at: now, round: 0, round_at: None, turn: 0, served: BTreeMap::new() }
    }

    /// How many e-mails the mailbox may still begin today.
    pub fn left(&self, mailbox: &SendingMailbox, now: DateTime<Utc>) -> u32 {
        let today = mailbox.day(now).date;
        let sent = if self.day == Some(today) { self.sent } else { 0 };
        mailbox.allowance(today).saturating_sub(sent)
    }

    /// The job of the round that comes next, where there is one.
    fn round_job(&self) -> Option<(Job, DateTime<Utc>)> {
        let at = self.round_at?;
        Some((Job::SpreadMailbox { mailbox: self.id, round: self.round }, at))
    }

    fn next_round(&mut self, at: DateTime<Utc>) {
        self.round = self.round.wrapping_add(1);
        self.round_at = Some(at);
    }
}

fn interval(mailbox: &SendingMailbox) -> TimeDelta {
    TimeDelta::seconds(mailbox.interval.into())
}

/// Plans the round that the pace waits for, as a part of the decision that made it wait.
pub fn plan_round<T>(decision: Decision<T>, pace: &MailboxPace) -> Decision<T> {
    match pace.round_job() {
        Some((job, at)) => decision.plan(job, at),
        None => decision,
    }
}

/// Asks the pace for an e-mail that is about to begin. `slot` is the moment that a round gave it, if one did. Gives what the
/// mailbox says, the pace after it, and whether a round was planned, which the caller passes on by [`plan_round`].
pub fn take(
    mailbox: &SendingMailbox,
    pace: &MailboxPace,
    slot: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> (Turn, MailboxPace, bool) {
    let mut next = pace.clone();
    if !mailbox.is_active() {
        return (Turn::Wait { until: None }, next, false);
    }
    let today = mailbox.day(now);
    let slot = slot.filter(|slot| now - *slot <= PATIENCE.max(interval(mailbox)));
    let free_at = match slot {
        // Its moment was chosen so that it keeps the interval; who is a little late does not make the others late.
        Some(slot) => slot,
        // The others have waited longer.
        None if pace.round_at.is_some() => pace.free_at.max(now + TimeDelta::milliseconds(1)),
        None => pace.free_at,
    };
    let ready_at = if pace.left(mailbox, now) == 0 { today.ends } else { free_at };
    if ready_at <= now {
        next.sent = if pace.day == Some(today.date) { pace.sent.saturating_add(1) } else { 1 };
        next.day = Some(today.date);
        next.free_at = pace.free_at.max(slot.unwrap_or(now) + interval(mailbox));
        return (Turn::Go, next, false);
    }
    let planned = pace.round_at.is_none();
    if planned {
        next.next_round(ready_at);
    }
    let until = next.round_at.map(|at| at.max(ready_at));
    (Turn::Wait { until }, next, planned)
}

/// Who goes next, in order: sequences take turns, whoever went longest ago first; within one, whoever has waited longest.
/// At most `most`. It marks their turns in the pace and forgets those of sequences that nobody of waits for any more.
fn in_turn(pace: &mut MailboxPace, line: &[InLine], most: usize) -> Vec<EmailId> {
    let key = |one: &InLine| one.sequence.unwrap_or(SequenceId(uuid::Uuid::nil()));
    let mut sorted: Vec<&InLine> = line.iter().collect();
    sorted.sort_by_key(|one| (one.since, one.email));
    let mut queues: BTreeMap<SequenceId, VecDeque<&InLine>> = BTreeMap::new();
    for one in sorted {
        queues.entry(key(one)).or_default().push_back(one);
    }
    pace.served.retain(|sequence, _| queues.contains_key(sequence));
    // Whoever went longest ago first; of those that never went, whoever has waited longest.
    let mut order: BTreeSet<(u64, DateTime<Utc>, SequenceId)> = queues
        .iter()
        .filter_map(|(sequence, queue)| {
            let turn = pace.served.get(sequence).copied().unwrap_or_default();
            Some((turn, queue.front()?.since, *sequence))
        })
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < most {
        let Some((_, _, sequence)) = order.pop_first() else { break };
        let Some(queue) = queues.get_mut(&sequence) else { continue };
        let Some(first) = queue.pop_front() else { continue };
        chosen.push(first.email);
        pace.turn = pace.turn.saturating_add(1);
        pace.served.insert(sequence, pace.turn);
        if let Some(following) = queue.front() {
            order.insert((pace.turn, following.since, sequence));
        }
    }
    chosen
}

/// How many e-mails of each sequence a round needs to know: one more than it can give moments, to see whether more wait.
pub fn round_size(mailbox: &SendingMailbox) -> u32 {
    match mailbox.interval {
        0 => MOST_A_ROUND,
        seconds => (ROUND_SECONDS / seconds).clamp(1, MOST_A_ROUND),
    }
}

/// How many moments from `at` on lie before the end of the day: one of tomorrow is tomorrow's to give.
fn fitting(mailbox: &SendingMailbox, at: DateTime<Utc>, ends: DateTime<Utc>) -> u32 {
    let (room, each) = ((ends - at).num_milliseconds(), interval(mailbox).num_milliseconds());
    match (room > 0, each) {
        (false, _) => 0,
        (true, 0) => u32::MAX,
        (true, each) => u32::try_from((room - 1) / each + 1).unwrap_or(u32::MAX),
    }
}

/// What a round gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The pace after it.
    pub pace: MailboxPace,
    /// The e-mails and their moments, in order.
    pub slots: Vec<(EmailId, DateTime<Utc>)>,
}

/// One round: gives the next e-mails of the line their moments. `line` has the first [`round_size`] and one of each
/// sequence, or all there are.
pub fn hand_out(
    mailbox: &SendingMailbox,
    pace: &MailboxPace,
    round: u32,
    line: &[InLine],
    now: DateTime<Utc>,
) -> Result<Decision<Given>, Refusal> {
    if pace.round != round || pace.round_at.is_none() {
        return Err(Refusal::Stale { given: round, round: pace.round });
    }
    let mut next = pace.clone();
    next.round_at = None;
    let mut slots = Vec::new();
    if mailbox.is_active() && !line.is_empty() {
        let left = pace.left(mailbox, now);
        let mut at = pace.free_at.max(now);
        let today = mailbox.day(now);
        let most = round_size(mailbox).min(left).min(fitting(mailbox, at, today.ends));
        let chosen = in_turn(&mut next, line, usize::try_from(most).unwrap_or(usize::MAX));
        for email in chosen {
            slots.push((email, at));
            at += interval(mailbox);
        }
        // Whoever comes meanwhile goes after those who have their moments.
        next.free_at = at.max(pace.free_at);
        if slots.len() < line.len() {
            let exhausted = u32::try_from(slots.len()).unwrap_or(u32::MAX) >= left;
            next.next_round(if exhausted { today.ends } else { at.min(today.ends).max(now) });
        }
    }
    let fact = Fact::audit("sending_mailbox.spread", mailbox.id)
        .with("round", round)
        .with("emails", slots.iter().map(|(email, _)| email).collect::<Vec<_>>())
        .with("next_round_at", next.round_at);
    let decision = Decision::new((), fact);
    let decision = plan_round(decision, &next);
    Ok(decision.map(|()| Given { pace: next, slots }))
}

/// Lets the line move on at once: after a mailbox was resumed, or may send more than before. The round that was planned
/// before is over.
pub fn wake<T>(decision: Decision<T>, mut pace: MailboxPace, now: DateTime<Utc>) -> Decision<(T, MailboxPace)> {
    pace.next_round(now);
    plan_round(decision, &pace).map(|next| (next, pace))
}
