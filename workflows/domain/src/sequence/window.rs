//! The hours in which a person may be written to, where the person lives.

use super::span::TimeOfDay;
use super::steps::wait::{Day, existing};
use chrono::{DateTime, Datelike, Days, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Hours of some weekdays, in the person's zone. One that ends before it begins goes over midnight and belongs to the day on
/// which it begins: `22:00` to `06:00` of a Friday ends on Saturday morning. One that ends when it begins is the whole day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendWindow {
    /// The weekdays; without them, Monday to Friday.
    #[serde(default = "workdays")]
    pub weekdays: Vec<Day>,
    /// From this time of day on.
    pub from: TimeOfDay,
    /// Until this time of day, which is outside.
    pub to: TimeOfDay,
}

fn workdays() -> Vec<Day> {
    vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri]
}

impl SendWindow {
    fn has(&self, day: chrono::NaiveDate) -> bool {
        self.weekdays.iter().any(|one| one.weekday() == day.weekday())
    }

    fn is_open_at(&self, local: NaiveDateTime) -> bool {
        let (from, to, time, day) = (self.from.0, self.to.0, local.time(), local.date());
        let yesterday = || day.checked_sub_days(Days::new(1)).is_some_and(|day| self.has(day));
        if from < to {
            self.has(day) && from <= time && time < to
        } else {
            (self.has(day) && from <= time) || (time < to && yesterday())
        }
    }

    /// Whether it is open at a moment.
    pub fn is_open(&self, at: DateTime<Utc>, zone: Tz) -> bool {
        self.is_open_at(at.with_timezone(&zone).naive_local())
    }

    /// When it opens next, where it is closed now. One that the clocks leave out on a day is closed on that day.
    pub fn opens(&self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        if self.is_open(now, zone) {
            return None;
        }
        let today = now.with_timezone(&zone).date_naive();
        let openings = (0..=15)
            .filter_map(|days| today.checked_add_days(Days::new(days)))
            .filter(|day| self.has(*day))
            .filter_map(|day| existing(day.and_time(self.from.0), zone));
        let next = openings.into_iter().find(|moment| *moment > now && self.is_open(*moment, zone));
        // Only a window without a day, which no definition has, or the end of the calendar could be in the way.
        let next = next.unwrap_or_else(|| now + TimeDelta::days(1));
        // Where the clocks go back, hours come a second time, and so may the end of a window.
        let again = changes(now, next, zone).into_iter().find(|moment| self.is_open(*moment, zone));
        Some(again.unwrap_or(next))
    }
}

/// When the clocks change between two moments; of two changes within one day the first or none.
fn changes(from: DateTime<Utc>, to: DateTime<Utc>, zone: Tz) -> Vec<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let mut found = Vec::new();
    let mut begin = from;
    while begin < to {
        let end = (begin + TimeDelta::days(1)).min(to);
        if offset(begin) != offset(end) {
            let (mut before, mut after) = (begin.timestamp(), end.timestamp());
            while after - before > 1 {
                let middle = before + (after - before) / 2;
                let same = DateTime::from_timestamp(middle, 0).is_some_and(|at| offset(at) == offset(begin));
                if same { before = middle } else { after = middle }
            }
            found.extend(DateTime::from_timestamp(after, 0));
        }
        begin = end;
    }
    found
}

/// A window and the zone in which it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// The window.
    pub window: SendWindow,
    /// The zone.
    pub zone: Tz,
}

impl Hours {
    /// When it opens next, where it is closed now.
    pub fn opens(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.window.opens(now, self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(weekdays: &[Day], from: &str, to: &str) -> SendWindow {
        SendWindow { weekdays: weekdays.to_vec(), from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn it_opens_in_the_morning_of_the_next_workday_there() {
        let office = window(&workdays(), "09:00", "17:00");
        // A Friday evening in Berlin.
        assert_eq!(office.opens(at("2026-01-09T19:00:00Z"), Tz::Europe__Berlin), Some(at("2026-01-12T08:00:00Z")));
        assert_eq!(office.opens(at("2026-01-09T15:59:59Z"), Tz::Europe__Berlin), None);
        assert_eq!(office.opens(at("2026-01-09T16:00:00Z"), Tz::Europe__Berlin), Some(at("2026-01-12T08:00:00Z")));
        // The same moment is Saturday in Shanghai.
        assert_eq!(office.opens(at("2026-01-09T19:00:00Z"), Tz::Asia__Shanghai), Some(at("2026-01-12T01:00:00Z")));
    }

    #[test]
    fn over_midnight_it_belongs_to_the_day_on_which_it_begins() {
        let night = window(&[Day::Fri], "22:00", "06:00");
        for (moment, open) in [
            ("2026-01-09T21:59:59Z", false),
            ("2026-01-09T22:00:00Z", true),
            ("2026-01-10T05:59:59Z", true),
            ("2026-01-10T06:00:00Z", false),
            ("2026-01-09T03:00:00Z", false),
        ] {
            assert_eq!(night.is_open(at(moment), Tz::UTC), open, "{moment}");
        }
        assert_eq!(night.opens(at("2026-01-10T06:00:00Z"), Tz::UTC), Some(at("2026-01-16T22:00:00Z")));
        let always = window(&[Day::Mon], "08:00", "08:00");
        assert!(
            always.is_open(at("2026-01-12T08:00:00Z"), Tz::UTC) && always.is_open(at("2026-01-13T07:59:00Z"), Tz::UTC)
        );
        assert!(!always.is_open(at("2026-01-13T08:00:00Z"), Tz::UTC));
    }

    #[test]
    fn an_hour_that_comes_twice_is_open_twice() {
        // In Berlin, 25 October 2026 has the hour from two to three twice.
        let early = window(&[Day::Sun], "01:00", "02:30");
        let opens = |now: &str| early.opens(at(now), Tz::Europe__Berlin);
        assert_eq!(opens("2026-10-25T00:29:00Z"), None);
        assert_eq!(opens("2026-10-25T00:45:00Z"), Some(at("2026-10-25T01:00:00Z")));
        assert_eq!(opens("2026-10-25T01:29:00Z"), None);
        assert_eq!(opens("2026-10-25T01:30:00Z"), Some(at("2026-11-01T00:00:00Z")));
    }

    #[test]
    fn hours_that_the_clocks_leave_out_are_none() {
        let early = window(&[Day::Sun], "02:00", "02:30");
        // In Berlin, 29 March 2026 has no such hour.
        assert_eq!(early.opens(at("2026-03-28T12:00:00Z"), Tz::Europe__Berlin), Some(at("2026-04-05T00:00:00Z")));
    }

    proptest! {
        #[test]
        fn whoever_waits_until_it_opens_is_inside_in_every_zone(
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
            minute in 0..(4 * 365 * 24 * 60_i64),
            from in 0..(24 * 60_u32),
            to in 0..(24 * 60_u32),
            first in 0..7_usize,
        ) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let days = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
            let time = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let window = window(&[days[first], days[(first + 3) % 7]], &time(from), &time(to));
            let now = at("2025-01-01T00:00:00Z") + TimeDelta::minutes(minute);
            match window.opens(now, zone) {
                None => prop_assert!(window.is_open(now, zone)),
                Some(opens) => {
                    prop_assert!(opens > now && !window.is_open(now, zone));
                    prop_assert!(window.is_open(opens, zone), "{zone} {now} {opens} {window:?}");
                    // Nothing of it is passed over.
                    let between = (opens - now).num_minutes();
                    for step in [1, between / 3, between / 2, between - 1] {
                        let moment = now + TimeDelta::minutes(step.clamp(0, between - 1));
                        prop_assert!(!window.is_open(moment, zone), "{zone} {now} {moment} {opens} {window:?}");
                    }
                }
            }
        }
    }
}
