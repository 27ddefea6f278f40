//! What becomes of the runs that fell due while their sequence was paused, once it goes on. Nothing floods unless somebody
//! asks for it: more than [`AT_ONCE`] runs are spread over a day where nothing else is said.

pub(super) mod course;

use super::window::SendWindow;
use crate::calendar::WorkingCalendar;
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
/// The smallest piece of time that the clock knows.
const MOMENT: TimeDelta = TimeDelta::milliseconds(1);

impl<'a> Turns<'a> {
    /// The turns of a backlog.
    pub fn new(resumption: &'a Resumption) -> Self {
        Self { resumption, open: HashMap::new() }
    }

    /// When the run at `place` (from 0, in the order in which they fell due) goes on, where its version writes to a person in
    /// `zone` in the given window, which is closed on the holidays of `calendar`: the days are shared evenly among the runs, and
    /// only the hours that are open count. Those that come after the last counted place go last.
    pub fn of(
        &mut self,
        place: u64,
        (version, window): (SequenceVersionId, Option<&SendWindow>),
        calendar: Option<&WorkingCalendar>,
        zone: Tz,
    ) -> DateTime<Utc> {
        let Resumption { days, runs, at, .. } = *self.resumption;
        let Some(days) = days else { return at };
        let parts = self.open.entry((version, zone)).or_insert_with(|| open(at, days, (window, calendar), zone));
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

/// The beginnings of the parts in which the window is open, of the days from its first opening after `at` that has room for
/// one; all of them where none has.
fn open(
    at: DateTime<Utc>,
    days: u32,
    (window, calendar): (Option<&SendWindow>, Option<&WorkingCalendar>),
    zone: Tz,
) -> Vec<DateTime<Utc>> {
    let parts = i32::try_from(days.min(MAX_DAYS)).unwrap_or(1) * 24 * 4;
    let from = |begin: DateTime<Utc>| (0..parts).filter_map(move |part| begin.checked_add_signed(PART * part));
    let Some(window) = window else { return from(at).collect() };
    let opens = |at: DateTime<Utc>| window.opens(at, zone, calendar);
    let is_open = |at: DateTime<Utc>| window.is_open(at, zone, calendar);
    // Where the window ends within a part, that part counts as closed.
    let within = |begin: &DateTime<Utc>| is_open(*begin) && is_open(*begin + PART - MOMENT);
    let open =
        |begin: DateTime<Utc>| Some(from(begin).filter(within).collect()).filter(|open: &Vec<_>| !open.is_empty());
    let first = opens(at).unwrap_or(at);
    // Of the opening that there is now, less than a part may be left, and the next may be days away.
    let found = open(first).or_else(|| from(first).find_map(opens).and_then(open));
    found.unwrap_or_else(|| from(first).collect())
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
        let each: Vec<_> = (0..16).map(|place| turns.of(place, (VERSION, Some(&window)), None, Tz::UTC)).collect();
        // Two days of eight hours, an hour each.
        assert_eq!((each[0], each[7]), (at(NOW), at("2026-03-02T16:00:00Z")));
        assert_eq!((each[8], each[15]), (at("2026-03-03T09:00:00Z"), at("2026-03-03T16:00:00Z")));
    }

    #[test]
    fn holidays_of_its_calendar_are_no_hours_in_which_a_backlog_is_spread() {
        let window: SendWindow = serde_json::from_value(serde_json::json!({"from": "09:00", "to": "17:00"})).unwrap();
        let calendars = crate::calendar::shipped();
        // The morning of the first day of the golden week, which ends on the seventh.
        let first = at("2026-10-01T02:00:00Z");
        let resumption = Resumption { backlog: Backlog::Spread, days: Some(1), runs: 5_000, at: first };
        let turn =
            |place, calendar| Turns::new(&resumption).of(place, (VERSION, Some(&window)), calendar, Tz::Asia__Shanghai);
        assert_eq!(turn(0, None), first);
        let each = [0, 2_500, 4_999].map(|place| turn(place, Some(&calendars["china"])));
        assert_eq!(each[..2], [at("2026-10-08T01:00:00Z"), at("2026-10-08T05:00:00Z")]);
        assert!(each[2] > at("2026-10-08T08:59:00Z") && each[2] < at("2026-10-08T09:00:00Z"));
    }

    #[test]
    fn what_little_is_left_before_a_weekend_is_no_time_to_spread_a_backlog_over() {
        let window: SendWindow = serde_json::from_value(serde_json::json!({"from": "09:00", "to": "17:00"})).unwrap();
        let friday = at("2026-03-06T16:50:00Z");
        let resumption = Resumption { backlog: Backlog::Spread, days: Some(1), runs: 16, at: friday };
        let turn = |place| Turns::new(&resumption).of(place, (VERSION, Some(&window)), None, Tz::UTC);
        assert_eq!([0, 15].map(turn), [at("2026-03-09T09:00:00Z"), at("2026-03-09T16:30:00Z")]);
    }

    proptest! {
        #[test]
        fn a_backlog_is_spread_evenly_in_order_and_within_its_days(
            days in 1..=MAX_DAYS,
            runs in 1..50_000_u64,
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
            hours in prop::option::of((0..24_u32, 0..24_u32)),
            begin in prop::sample::select(vec![NOW, "2026-02-13T20:00:00Z", "2026-09-30T12:00:00Z"]),
            keeps in any::<bool>(),
        ) {
            let calendars = crate::calendar::shipped();
            let calendar = keeps.then(|| &calendars["china"]);
            let now = at(begin);
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let window: Option<SendWindow> = hours.map(|(from, to)| {
                let all = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
                let hours = serde_json::json!({"from": format!("{from:02}:00"), "to": format!("{to:02}:30"), "weekdays": all});
                serde_json::from_value(hours).unwrap()
            });
            let resumption = Resumption { backlog: Backlog::Spread, days: Some(days), runs, at: now };
            let (mut turns, mut again) = (Turns::new(&resumption), Turns::new(&resumption));
            let places: Vec<u64> = (0..32).map(|part| part * runs / 32).chain([runs - 1, runs, runs + 7]).collect();
            let version = (VERSION, window.as_ref());
            let each: Vec<_> = places.iter().map(|place| turns.of(*place, version, calendar, zone)).collect();
            // Whoever works it out, in whatever order, comes to the same.
            let other: Vec<_> = places.iter().rev().map(|place| again.of(*place, version, calendar, zone)).collect();
            prop_assert!(each.iter().eq(other.iter().rev()));
            prop_assert!(each.is_sorted());
            let begin = window.as_ref().and_then(|window| window.opens(now, zone, calendar)).unwrap_or(now);
            let end = each[0] + TimeDelta::days(i64::from(days));
            prop_assert!(each.iter().all(|turn| *turn >= begin && *turn < end));
            if let Some(window) = &window {
                prop_assert!(each.iter().all(|turn| window.is_open(*turn, zone, calendar)), "{:?} {zone}", window);
            }
        }
    }
}
