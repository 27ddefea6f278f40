//! The hours in which a person may be written to, where the person lives.

use super::span::TimeOfDay;
use super::steps::wait::{Day, existing};
use crate::calendar::WorkingCalendar;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Hours of some weekdays, in the person's zone. One that ends before it begins goes over midnight and belongs to the day on
/// which it begins: `22:00` to `06:00` of a Friday ends on Saturday morning. From `00:00` to `00:00` is the whole day; no
/// other one ends when it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendWindow {
    /// The weekdays; without them, Monday to Friday.
    #[serde(default = "workdays")]
    #[schemars(length(min = 1))]
    pub weekdays: Vec<Day>,
    /// From this time of day on.
    pub from: TimeOfDay,
    /// Until this time of day, which is outside.
    pub to: TimeOfDay,
    /// The key of a working calendar: the window is closed on its holidays, and open on the days that make up for them where it
    /// is open from Monday to Friday. Without it, the calendar of the sequence, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
}

/// The most days that are looked through for the next opening: longer than the holidays of a calendar can follow each other.
const MOST_DAYS: u64 = crate::calendar::MOST_DAYS as u64 + 15;

fn workdays() -> Vec<Day> {
    vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri]
}

impl SendWindow {
    fn has(&self, day: NaiveDate, calendar: Option<&WorkingCalendar>) -> bool {
        let is_among = |day: Day| self.weekdays.contains(&day);
        match calendar {
            Some(calendar) if calendar.is_holiday(day) => false,
            Some(calendar) if calendar.is_made_up(day) && workdays().into_iter().all(is_among) => true,
            _ => self.weekdays.iter().any(|one| one.weekday() == day.weekday()),
        }
    }

    fn is_open_at(&self, local: NaiveDateTime, calendar: Option<&WorkingCalendar>) -> bool {
        let (from, to, time, day) = (self.from.0, self.to.0, local.time(), local.date());
        let yesterday = || day.checked_sub_days(Days::new(1)).is_some_and(|day| self.has(day, calendar));
        if from < to {
            self.has(day, calendar) && from <= time && time < to
        } else {
            (self.has(day, calendar) && from <= time) || (time < to && yesterday())
        }
    }

    /// Whether it is open at a moment. The dates of `calendar` are meant where the person lives.
    pub fn is_open(&self, at: DateTime<Utc>, zone: Tz, calendar: Option<&WorkingCalendar>) -> bool {
        self.is_open_at(at.with_timezone(&zone).naive_local(), calendar)
    }

    /// When it opens next, where it is closed now. One that the clocks leave out on a day is closed on that day.
    pub fn opens(&self, now: DateTime<Utc>, zone: Tz, calendar: Option<&WorkingCalendar>) -> Option<DateTime<Utc>> {
        if self.is_open(now, zone, calendar) {
            return None;
        }
        let today = now.with_timezone(&zone).date_naive();
        let openings = (0..=MOST_DAYS)
            .filter_map(|days| today.checked_add_days(Days::new(days)))
            .filter(|day| self.has(*day, calendar))
            .filter_map(|day| existing(day.and_time(self.from.0), zone));
        let next = openings.into_iter().find(|moment| *moment > now && self.is_open(*moment, zone, calendar));
        // Only a window without a day, which no definition has, or the end of all dates could be in the way.
        let next = next.unwrap_or_else(|| now + TimeDelta::days(1));
        // Where the clocks go back, hours come a second time, and so may the end of a window.
        let again = changes(now, next, zone).into_iter().find(|moment| self.is_open(*moment, zone, calendar));
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
    /// When it opens next, where it is closed now. `calendar` is the one that the window names, as it is at the moment.
    pub fn opens(&self, now: DateTime<Utc>, calendar: Option<&WorkingCalendar>) -> Option<DateTime<Utc>> {
        self.window.opens(now, self.zone, calendar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{self, Holiday, Hours, MakeUpDay};
    use proptest::prelude::*;

    fn window(weekdays: &[Day], from: &str, to: &str) -> SendWindow {
        SendWindow { weekdays: weekdays.to_vec(), from: from.parse().unwrap(), to: to.parse().unwrap(), calendar: None }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn it_opens_in_the_morning_of_the_next_workday_there() {
        let office = window(&workdays(), "09:00", "17:00");
        // A Friday evening in Berlin.
        assert_eq!(
            office.opens(at("2026-01-09T19:00:00Z"), Tz::Europe__Berlin, None),
            Some(at("2026-01-12T08:00:00Z"))
        );
        assert_eq!(office.opens(at("2026-01-09T15:59:59Z"), Tz::Europe__Berlin, None), None);
        assert_eq!(
            office.opens(at("2026-01-09T16:00:00Z"), Tz::Europe__Berlin, None),
            Some(at("2026-01-12T08:00:00Z"))
        );
        // The same moment is Saturday in Shanghai.
        assert_eq!(
            office.opens(at("2026-01-09T19:00:00Z"), Tz::Asia__Shanghai, None),
            Some(at("2026-01-12T01:00:00Z"))
        );
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
            assert_eq!(night.is_open(at(moment), Tz::UTC, None), open, "{moment}");
        }
        assert_eq!(night.opens(at("2026-01-10T06:00:00Z"), Tz::UTC, None), Some(at("2026-01-16T22:00:00Z")));
        let always = window(&[Day::Mon], "08:00", "08:00");
        assert!(
            always.is_open(at("2026-01-12T08:00:00Z"), Tz::UTC, None)
                && always.is_open(at("2026-01-13T07:59:00Z"), Tz::UTC, None)
        );
        assert!(!always.is_open(at("2026-01-13T08:00:00Z"), Tz::UTC, None));
    }

    #[test]
    fn it_is_closed_on_holidays_and_open_on_the_days_that_make_up_for_them() {
        let holiday = |date: &str| Holiday { date: date.parse().unwrap(), name: "H".into() };
        let hours: Vec<Hours> = vec!["09:00-18:00".parse().unwrap()];
        let calendar = WorkingCalendar {
            id: crate::id::CalendarId(uuid::Uuid::nil()),
            key: "china".into(),
            name: "China".into(),
            zone: Tz::Asia__Shanghai,
            week: [(calendar::Day::Monday, hours.clone())].into(),
            holidays: ["2026-02-16", "2026-02-17"].map(holiday).to_vec(),
            make_up: vec![MakeUpDay { date: "2026-02-14".parse().unwrap(), name: "M".into(), hours }],
            version: 1,
        };
        let office = window(&workdays(), "09:00", "17:00");
        // A Saturday that is worked, and then a Sunday and two holidays.
        assert!(office.is_open(at("2026-02-14T02:00:00Z"), Tz::Asia__Shanghai, Some(&calendar)));
        let evening = at("2026-02-14T12:00:00Z");
        assert_eq!(office.opens(evening, Tz::Asia__Shanghai, Some(&calendar)), Some(at("2026-02-18T01:00:00Z")));
        assert_eq!(office.opens(evening, Tz::Asia__Shanghai, None), Some(at("2026-02-16T01:00:00Z")));
        // Whoever wants Tuesdays gets no Saturdays.
        let tuesdays = window(&[Day::Tue], "09:00", "17:00");
        assert_eq!(tuesdays.opens(evening, Tz::Asia__Shanghai, Some(&calendar)), Some(at("2026-02-24T01:00:00Z")));
        let saturday = at("2026-02-14T02:00:00Z");
        assert!(!tuesdays.is_open(saturday, Tz::Asia__Shanghai, Some(&calendar)));
    }

    #[test]
    fn an_hour_that_comes_twice_is_open_twice() {
        // In Berlin, 25 October 2026 has the hour from two to three twice.
        let early = window(&[Day::Sun], "01:00", "02:30");
        let opens = |now: &str| early.opens(at(now), Tz::Europe__Berlin, None);
        assert_eq!(opens("2026-10-25T00:29:00Z"), None);
        assert_eq!(opens("2026-10-25T00:45:00Z"), Some(at("2026-10-25T01:00:00Z")));
        assert_eq!(opens("2026-10-25T01:29:00Z"), None);
        assert_eq!(opens("2026-10-25T01:30:00Z"), Some(at("2026-11-01T00:00:00Z")));
    }

    #[test]
    fn hours_that_the_clocks_leave_out_are_none() {
        let early = window(&[Day::Sun], "02:00", "02:30");
        // In Berlin, 29 March 2026 has no such hour.
        assert_eq!(early.opens(at("2026-03-28T12:00:00Z"), Tz::Europe__Berlin, None), Some(at("2026-04-05T00:00:00Z")));
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
            match window.opens(now, zone, None) {
                None => prop_assert!(window.is_open(now, zone, None)),
                Some(opens) => {
                    prop_assert!(opens > now && !window.is_open(now, zone, None));
                    prop_assert!(window.is_open(opens, zone, None), "{zone} {now} {opens} {window:?}");
                    // Nothing of it is passed over.
                    let between = (opens - now).num_minutes();
                    for step in [1, between / 3, between / 2, between - 1] {
                        let moment = now + TimeDelta::minutes(step.clamp(0, between - 1));
                        prop_assert!(!window.is_open(moment, zone, None), "{zone} {now} {moment} {opens} {window:?}");
                    }
                }
            }
        }
    }
}
