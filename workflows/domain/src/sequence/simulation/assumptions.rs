//! What people are assumed to do, where no recorded past says it.
//!
//! Each choice is a lot drawn by a stable hash of the seed, the person, the step and how often it was taken: it is the same in
//! every simulation, and what one person does says nothing about another.

use crate::code::UnknownCode;
use crate::codes;
use crate::interaction::InteractionKind;
use crate::sequence::enrollment::TaskEnd;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use uuid::Uuid;

codes! {
    /// What may come of an e-mail.
    pub enum Reaction("reaction to an e-mail") {
        /// It is opened.
        Open = "OPEN",
        /// A link of it is followed.
        Click = "CLICK",
        /// It is answered.
        Reply = "REPLY",
        /// Its mailbox does not exist.
        Bounce = "BOUNCE",
        /// The person unsubscribes.
        Unsubscribe = "UNSUBSCRIBE",
    }
}

impl Reaction {
    /// How long after the e-mail it may come, at the latest.
    pub(super) const fn within(self) -> TimeDelta {
        match self {
            Self::Bounce => TimeDelta::zero(),
            Self::Reply => TimeDelta::hours(72),
            Self::Open | Self::Click | Self::Unsubscribe => TimeDelta::hours(48),
        }
    }
}

/// How many of a million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(u32);

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a rate; write a number from 0 to 1, such as 0.03")]
pub struct RateUnreadable {
    /// What was given.
    pub given: String,
}

impl Rate {
    /// Everybody.
    pub const ALL: Self = Self(1_000_000);

    /// So many of a million; more than all are all.
    pub const fn per_million(share: u32) -> Self {
        if share > Self::ALL.0 { Self::ALL } else { Self(share) }
    }
}

impl std::str::FromStr for Rate {
    type Err = RateUnreadable;

    fn from_str(text: &str) -> Result<Self, RateUnreadable> {
        let unreadable = || RateUnreadable { given: text.chars().take(40).collect() };
        let rate: f64 = text.trim().parse().map_err(|_| unreadable())?;
        if !(0.0..=1.0).contains(&rate) {
            return Err(unreadable());
        }
        // Within the bounds of the type by the check above.
        Ok(Self::per_million((rate * 1_000_000.0).round() as u32))
    }
}

/// Something that a rate is assumed for. As a text: `reply` and the other reactions to e-mails, `task.done` and the other ends
/// of tasks, `event.download` and the other kinds of interactions, in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assumed {
    /// What comes of an e-mail.
    Email(Reaction),
    /// How a task ends.
    Task(TaskEnd),
    /// What is waited for.
    Event(InteractionKind),
}

impl std::str::FromStr for Assumed {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let text = text.to_uppercase();
        if let Some(end) = text.strip_prefix("TASK.") {
            return end.parse().map(Self::Task);
        }
        match text.strip_prefix("EVENT.") {
            Some(kind) => kind.parse().map(Self::Event),
            None => text.parse().map(Self::Email),
        }
    }
}

impl std::fmt::Display for Assumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (before, code) = match self {
            Self::Email(reaction) => ("", reaction.as_str()),
            Self::Task(end) => ("task.", end.as_str()),
            Self::Event(kind) => ("event.", kind.as_str()),
        };
        write!(f, "{before}{}", code.to_lowercase())
    }
}

/// Why assumptions do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssumptionsUnfit {
    /// The same is assumed twice.
    #[error("`{what}` is assumed twice; keep one rate")]
    Twice {
        /// What.
        what: Assumed,
    },
    /// Tasks end more often than there are tasks.
    #[error("the rates of all ends of tasks are {} together, and a task ends once; let them be 1 or less", *.millionths as f64 / 1e6)]
    TooMuch {
        /// The sum of the rates, in millionths.
        millionths: u64,
    },
}

/// What people are assumed to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assumptions {
    /// How often each thing comes of an e-mail that was sent. What is not named never happens.
    pub emails: BTreeMap<Reaction, Rate>,
    /// How the tasks end that runs wait for. What is left of all of them is not done, and the run goes on without. An end comes
    /// when the task is due.
    pub tasks: BTreeMap<TaskEnd, Rate>,
    /// How often somebody does what a `wait_for` waits for, by kind: at any moment within its time-out.
    pub events: BTreeMap<InteractionKind, Rate>,
}

impl Default for Assumptions {
    /// People do nothing; tasks are done when they are due.
    fn default() -> Self {
        Self { tasks: [(TaskEnd::Done, Rate::ALL)].into(), ..Self::nobody() }
    }
}

/// One drawn lot: whether, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lot {
    share: u64,
    moment: u64,
}

impl Lot {
    /// Draws. `round` says how often the step was taken before.
    pub(super) fn draw(seed: u64, subject: Uuid, step: &str, round: u32, what: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(seed.to_be_bytes())
            .chain_update(subject.as_bytes())
            .chain_update(round.to_be_bytes())
            .chain_update(step)
            .chain_update([0])
            .chain_update(what)
            .finalize();
        let number = |from: usize| digest.iter().skip(from).take(8).fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        Self { share: number(0) % u64::from(Rate::ALL.0), moment: number(8) }
    }

    /// Whether it is among the share.
    pub(super) const fn is_in(self, rate: Rate) -> bool {
        self.share < rate.0 as u64
    }

    /// A moment of a span of time: from one second on to its end, in whole seconds.
    pub(super) fn within(self, span: TimeDelta) -> TimeDelta {
        let seconds = u64::try_from(span.num_seconds()).unwrap_or(0).max(1);
        TimeDelta::try_seconds(i64::try_from(self.moment % seconds).unwrap_or(0) + 1).unwrap_or_default()
    }

    /// The one of several ends whose part of the whole it falls into.
    fn among<T: Copy>(self, shares: &BTreeMap<T, Rate>) -> Option<T> {
        let mut left = self.share;
        shares.iter().find_map(|(end, rate)| {
            let here = left < u64::from(rate.0);
            left = left.saturating_sub(u64::from(rate.0));
            here.then_some(*end)
        })
    }
}

impl Assumptions {
    /// Nobody does anything, tasks included.
    pub const fn nobody() -> Self {
        Self { emails: BTreeMap::new(), tasks: BTreeMap::new(), events: BTreeMap::new() }
    }

    /// Those that are given, each once. As soon as an end of tasks is given, the others happen to none; a task ends in one way, so
    /// that the rates of all ends together are not above 1.
    pub fn of(given: impl IntoIterator<Item = (Assumed, Rate)>) -> Result<Self, AssumptionsUnfit> {
        let (mut assumptions, mut tasks) = (Self::default(), BTreeMap::new());
        for (what, rate) in given {
            let before = match what {
                Assumed::Email(reaction) => assumptions.emails.insert(reaction, rate),
                Assumed::Task(end) => tasks.insert(end, rate),
                Assumed::Event(kind) => assumptions.events.insert(kind, rate),
            };
            if before.is_some() {
                return Err(AssumptionsUnfit::Twice { what });
            }
        }
        if !tasks.is_empty() {
            let sum: u64 = tasks.values().map(|rate| u64::from(rate.0)).sum();
            if sum > u64::from(Rate::ALL.0) {
                return Err(AssumptionsUnfit::TooMuch { millionths: sum });
            }
            assumptions.tasks = tasks;
        }
        Ok(assumptions)
    }

    /// How a task ends; none where nobody does it.
    pub(super) fn task(&self, seed: u64, subject: Uuid, step: &str, round: u32) -> Option<TaskEnd> {
        if self.tasks.get(&TaskEnd::Done) == Some(&Rate::ALL) {
            return Some(TaskEnd::Done);
        }
        if self.tasks.is_empty() { None } else { Lot::draw(seed, subject, step, round, "task").among(&self.tasks) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_from_nothing_to_all() {
        assert_eq!("0.03".parse(), Ok(Rate::per_million(30_000)));
        assert_eq!("1".parse(), Ok(Rate::ALL));
        for wrong in ["-0.1", "1.01", "NaN", "3%", ""] {
            assert_eq!(wrong.parse::<Rate>().unwrap_err().given, wrong);
        }
    }

    #[test]
    fn what_is_assumed_is_read_and_an_end_of_tasks_takes_the_place_of_all() {
        assert_eq!("reply".parse(), Ok(Assumed::Email(Reaction::Reply)));
        assert_eq!("task.no_answer".parse(), Ok(Assumed::Task(TaskEnd::NoAnswer)));
        assert_eq!("event.DOWNLOAD".parse(), Ok(Assumed::Event(InteractionKind::Download)));
        for wrong in ["task.gone", "sleep", "event.", ""] {
            assert!(wrong.parse::<Assumed>().is_err(), "{wrong}");
        }
        let half = Rate::per_million(500_000);
        assert_eq!(Assumptions::of([]), Ok(Assumptions::default()));
        let some = Assumptions::of([(Assumed::Task(TaskEnd::NoAnswer), half), (Assumed::Email(Reaction::Open), half)]);
        let some = some.unwrap();
        let more = [(Assumed::Task(TaskEnd::Done), Rate::ALL), (Assumed::Task(TaskEnd::NoAnswer), half)];
        let refused = Assumptions::of(more).unwrap_err().to_string();
        assert!(refused.contains("1.5 together"), "{refused}");
        let twice = [(Assumed::Event(InteractionKind::Form), half), (Assumed::Event(InteractionKind::Form), half)];
        assert_eq!(Assumptions::of(twice).unwrap_err().to_string(), "`event.form` is assumed twice; keep one rate");
        assert_eq!((some.tasks, some.emails), ([(TaskEnd::NoAnswer, half)].into(), [(Reaction::Open, half)].into()));
    }

    #[test]
    fn as_many_draw_a_lot_as_the_rate_says() {
        let rate = Rate::per_million(250_000);
        let drawn = |what| (0..20_000).map(move |n| Lot::draw(7, Uuid::from_u128(n), "hello", 0, what));
        let chosen = drawn("OPEN").filter(|lot| lot.is_in(rate)).count();
        assert!(chosen.abs_diff(5_000) < 300, "{chosen}");
        let both = drawn("OPEN").zip(drawn("CLICK")).filter(|(a, b)| a.is_in(rate) && b.is_in(rate)).count();
        assert!(both.abs_diff(1_250) < 200, "{both}");
        let day = TimeDelta::days(1);
        assert!(drawn("OPEN").all(|lot| lot.within(day) >= TimeDelta::seconds(1) && lot.within(day) <= day));
    }
}
