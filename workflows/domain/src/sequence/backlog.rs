//! What becomes of the runs that fell due while their sequence was paused, once it goes on. Nothing floods unless somebody
//! asks for it: more than [`AT_ONCE`] runs are spread over a day where nothing else is said.

use super::definition::Definition;
use super::stepper::MAX_STEPS;
use super::steps::{Next, Run};
use super::window::SendWindow;
use crate::codes;
use crate::id::SequenceVersionId;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The most runs that go on at once where nobody says what becomes of them: about what one mailbox sends in an hour
/// without being noticed.
pub const AT_ONCE: u64 = 100;
/// The most days that a backlog is spread over.
pub const MAX_DAYS: u32 = 30;

codes! {
    /// What becomes of what fell due during a pause.
    pub enum Backlog("backlog") {
        /// It happens now, all of it at once.
        Send = "SEND",
        /// It is left out; each run goes on at its next wait.
        Skip = "SKIP",
        /// Of the e-mails that each run missed, only the newest is sent.
        Latest = "LATEST",
        /// It happens over some days, in the order in which it fell due.
        Spread = "SPREAD",
    }
}

codes! {
    /// How a run catches up.
    pub enum Way("way to catch up") {
        /// It leaves out every effect until its next wait.
        Skip = "SKIP",
        /// It leaves out every e-mail but the newest that fell due.
        Latest = "LATEST",
    }
}

/// A run that catches up with what it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchUp {
    /// How.
    pub way: Way,
    /// How far it has come: when the step that runs next was due.
    pub at: DateTime<Utc>,
}

/// What somebody wants to become of a backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// What.
    pub backlog: Backlog,
    /// Over how many days, 1 to [`MAX_DAYS`]; for LATEST and SPREAD alone.
    pub days: Option<u32>,
}

/// How a sequence went on after a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumption {
    /// What becomes of the runs that fell due.
    pub backlog: Backlog,
    /// Over how many days they go on; none where they do at once.
    pub days: Option<u32>,
    /// How many they were.
    pub runs: u64,
    /// When it was resumed.
    pub at: DateTime<Utc>,
}

/// Why a backlog cannot be dealt with so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too few or too many days.
    #[error("a backlog is spread over 1 to {MAX_DAYS} days, not {given}; give another number")]
    DaysOutOfRange {
        /// The number given.
        given: u32,
    },
    /// Days where nothing is spread.
    #[error("{backlog} happens at once and takes no days; leave them out, or take SPREAD or LATEST")]
    DaysUnused {
        /// What was wanted.
        backlog: Backlog,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DaysOutOfRange { .. } => "SEQUENCE_BACKLOG_DAYS_OUT_OF_RANGE",
            Self::DaysUnused { .. } => "SEQUENCE_BACKLOG_DAYS_UNUSED",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        Some("days")
    }
}

impl Resumption {
    /// What `runs` that fell due become at `now`. Without a wish, up to [`AT_ONCE`] of them go on at once and more are spread
    /// over a day; with LATEST and no days, the same.
    pub fn new(wish: Option<Wish>, runs: u64, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let usual = (runs > AT_ONCE).then_some(1);
        let (backlog, days) = match wish {
            None => (usual.map_or(Backlog::Send, |_| Backlog::Spread), usual),
            Some(Wish { days: Some(given), .. }) if !(1..=MAX_DAYS).contains(&given) => {
                return Err(Refusal::DaysOutOfRange { given });
            }
            Some(Wish { backlog: backlog @ (Backlog::Send | Backlog::Skip), days: Some(_) }) => {
                return Err(Refusal::DaysUnused { backlog });
            }
            Some(Wish { backlog: Backlog::Latest, days }) => (Backlog::Latest, days.or(usual)),
            Some(Wish { backlog: Backlog::Spread, days }) => (Backlog::Spread, days.or(Some(1))),
            Some(Wish { backlog, .. }) => (backlog, None),
        };
        Ok(Self { backlog, days, runs, at: now })
    }

    /// How each run catches up, where it does not simply go on.
    pub const fn way(&self) -> Option<Way> {
        match self.backlog {
            Backlog::Skip => Some(Way::Skip),
            Backlog::Latest => Some(Way::Latest),
            Backlog::Send | Backlog::Spread => None,
        }
    }
}

/// Gives runs their turns. The turn of a run follows from its place in the order alone, so that whoever works it out comes to
/// the same.
#[derive(Debug)]
pub struct Turns<'a> {
    resumption: &'a Resumption,
    /// The parts of the days in which a version may write to somebody in a zone.
    open: HashMap<(SequenceVersionId, Tz), Vec<DateTime<Utc>>>,
}

/// How finely the days are cut.
const PART: TimeDelta = TimeDelta::minutes(15);

impl<'a> Turns<'a> {
    /// The turns of a backlog.
    pub fn new(resumption: &'a Resumption) -> Self {
        Self { resumption, open: HashMap::new() }
    }

    /// When the run at `place` (from 0, in the order in which they fell due) goes on, where its version writes to a person in
    /// `zone` in the given window: the days are shared evenly among the runs, and only the hours that are open count. Those
    /// that come after the last counted place go last.
    pub fn of(
        &mut self,
        place: u64,
        (version, window): (SequenceVersionId, Option<&SendWindow>),
        zone: Tz,
    ) -> DateTime<Utc> {
        let Resumption { days, runs, at, .. } = *self.resumption;
        let Some(days) = days else { return at };
        let parts = self.open.entry((version, zone)).or_insert_with(|| open(at, days, window, zone));
        let runs = runs.max(1);
        let place = u128::from(place.min(runs - 1));
        // The place as a part of the whole, in the smallest pieces that the clock knows.
        let piece = u128::try_from(PART.num_milliseconds()).unwrap_or(1);
        let whole = (parts.len() as u128).saturating_mul(piece);
        let share = place * whole / u128::from(runs);
        let (part, inside) = (share / piece, share % piece);
        let begin = usize::try_from(part).ok().and_then(|part| parts.get(part).copied()).unwrap_or(at);
        begin + TimeDelta::milliseconds(i64::try_from(inside).unwrap_or(0))
    }
}

/// The beginnings of the parts in which the window is open, of the days from its first opening after `at`; all of them where
/// it is never open for so long.
fn open(at: DateTime<Utc>, days: u32, window: Option<&SendWindow>, zone: Tz) -> Vec<DateTime<Utc>> {
    let at = window.and_then(|window| window.opens(at, zone, None)).unwrap_or(at);
    let parts = i32::try_from(days.min(MAX_DAYS)).unwrap_or(1) * 24 * 4;
    let all: Vec<DateTime<Utc>> = (0..parts).filter_map(|part| at.checked_add_signed(PART * part)).collect();
    let Some(window) = window else { return all };
    // Where the window ends within a part, that part counts as closed.
    let within = |begin: &DateTime<Utc>| {
        window.is_open(*begin, zone, None) && window.is_open(*begin + PART - TimeDelta::milliseconds(1), zone, None)
    };
    let open: Vec<DateTime<Utc>> = all.iter().copied().filter(within).collect();
    if open.is_empty() { all } else { open }
}

/// What a step comes to for a run that catches up.
pub(super) enum Turn {
    /// What it always does.
    Usual,
    /// Its effect is left out, and the run goes on.
    LeftOut,
    /// The wait was over at this moment, and the run goes on.
    Over(DateTime<Utc>),
}

/// What `next`, which the step at `position` came to at the moment that the run has caught up to (`run.now`), comes to now.
pub(super) fn turn(
    next: &Next,
    way: Way,
    (definition, position): (&Definition, usize),
    run: &Run<'_>,
    now: DateTime<Utc>,
) -> Turn {
    match (next, way) {
        (Next::Act(effect), Way::Skip) if !effect.is_bookkeeping() => Turn::LeftOut,
        (Next::Act(effect), Way::Latest)
            if effect.reaches_the_person() && newer_email(definition, position, run, now) =>
        {
            Turn::LeftOut
        }
        (Next::Wait(_, until), Way::Latest) if *until <= now => Turn::Over(*until),
        _ => Turn::Usual,
    }
}

/// Whether another e-mail would have fallen due by `now` on the way from the one at `position`. It is looked ahead with the
/// values of this moment: what a step on the way would change is not seen.
fn newer_email(definition: &Definition, position: usize, run: &Run<'_>, now: DateTime<Utc>) -> bool {
    let (mut at, mut next) = (run.now, definition.following(position));
    for _ in 0..MAX_STEPS {
        let Some((position, step)) = next.and_then(|id| definition.step(id)) else { return false };
        let Ok(planned) = step.kind.plan(&Run { step, now: at, ..*run }) else { return false };
        match planned {
            Next::Act(effect) if effect.reaches_the_person() => return true,
            Next::Wait(_, until) if until > now => return false,
            Next::Wait(_, until) => at = until.max(at),
            Next::GoTo(id) => {
                next = definition.step(&id).map(|(_, step)| step.id.as_str());
                continue;
            }
            Next::Finish(_) | Next::Exit => return false,
            _ => {}
        }
        next = definition.following(position);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    const VERSION: SequenceVersionId = SequenceVersionId(uuid::Uuid::nil());
    const NOW: &str = "2026-03-02T09:00:00Z";

    #[test]
    fn nothing_floods_where_nobody_says_what_becomes_of_it() {
        let usual = |runs| Resumption::new(None, runs, at(NOW)).unwrap();
        assert_eq!((usual(100).backlog, usual(100).days), (Backlog::Send, None));
        assert_eq!((usual(101).backlog, usual(101).days), (Backlog::Spread, Some(1)));
        let latest =
            |runs| Resumption::new(Some(Wish { backlog: Backlog::Latest, days: None }), runs, at(NOW)).unwrap();
        assert_eq!((latest(100).days, latest(101).days), (None, Some(1)));
    }

    #[test]
    fn days_are_given_where_something_is_spread_and_are_1_to_30() {
        let code = |backlog, days| {
            Resumption::new(Some(Wish { backlog, days: Some(days) }), 9, at(NOW)).map_or_else(|no| no.code(), |_| "ok")
        };
        assert_eq!(code(Backlog::Spread, 30), "ok");
        assert_eq!(code(Backlog::Spread, 0), "SEQUENCE_BACKLOG_DAYS_OUT_OF_RANGE");
        assert_eq!(code(Backlog::Latest, 31), "SEQUENCE_BACKLOG_DAYS_OUT_OF_RANGE");
        assert_eq!(code(Backlog::Send, 2), "SEQUENCE_BACKLOG_DAYS_UNUSED");
        assert_eq!(code(Backlog::Skip, 2), "SEQUENCE_BACKLOG_DAYS_UNUSED");
    }

    #[test]
    fn only_hours_in_which_the_person_may_be_written_to_count() {
        let window: SendWindow = serde_json::from_value(serde_json::json!({"from": "09:00", "to": "17:00"})).unwrap();
        let resumption = Resumption { backlog: Backlog::Spread, days: Some(2), runs: 16, at: at(NOW) };
        let mut turns = Turns::new(&resumption);
        let each: Vec<_> = (0..16).map(|place| turns.of(place, (VERSION, Some(&window)), Tz::UTC)).collect();
        // Two days of eight hours, an hour each.
        assert_eq!((each[0], each[7]), (at(NOW), at("2026-03-02T16:00:00Z")));
        assert_eq!((each[8], each[15]), (at("2026-03-03T09:00:00Z"), at("2026-03-03T16:00:00Z")));
    }

    proptest! {
        #[test]
        fn a_backlog_is_spread_evenly_in_order_and_within_its_days(
            days in 1..=MAX_DAYS,
            runs in 1..50_000_u64,
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
            hours in prop::option::of((0..24_u32, 0..24_u32)),
        ) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let window: Option<SendWindow> = hours.map(|(from, to)| {
                let all = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
                let hours = serde_json::json!({"from": format!("{from:02}:00"), "to": format!("{to:02}:30"), "weekdays": all});
                serde_json::from_value(hours).unwrap()
            });
            let resumption = Resumption { backlog: Backlog::Spread, days: Some(days), runs, at: at(NOW) };
            let (mut turns, mut again) = (Turns::new(&resumption), Turns::new(&resumption));
            let places: Vec<u64> = (0..32).map(|part| part * runs / 32).chain([runs - 1, runs, runs + 7]).collect();
            let each: Vec<_> = places.iter().map(|place| turns.of(*place, (VERSION, window.as_ref()), zone)).collect();
            // Whoever works it out, in whatever order, comes to the same.
            let other: Vec<_> = places.iter().rev().map(|place| again.of(*place, (VERSION, window.as_ref()), zone)).collect();
            prop_assert!(each.iter().eq(other.iter().rev()));
            prop_assert!(each.is_sorted());
            let begin = window.as_ref().and_then(|window| window.opens(at(NOW), zone, None)).unwrap_or(at(NOW));
            let end = begin + TimeDelta::days(i64::from(days));
            prop_assert!(each.iter().all(|turn| *turn >= begin && *turn < end));
            if let Some(window) = &window {
                prop_assert!(each.iter().all(|turn| window.is_open(*turn, zone, None)), "{:?} {zone}", window);
            }
        }
    }
}
