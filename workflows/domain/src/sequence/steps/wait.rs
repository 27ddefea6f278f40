//! `wait`: nothing happens for a while, or until a weekday and a time of day where the contact lives, or for so much business
//! time of a working calendar.

use super::{Failure, Kind, Next, Run};
use crate::sequence::enrollment::WaitReason;
use crate::sequence::span::{Span, TimeOfDay};
use crate::sequence::validate::{Check, Rule};
use chrono::{DateTime, Datelike, Days, NaiveDateTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// The most business days of a wait: about a year.
const MOST_BUSINESS_DAYS: u32 = 250;

/// Nothing happens for a while: exactly one way to say how long, and the calendar where it is business time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Until the same time of day so many working days after today, in the calendar's zone: 1 to 250.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MOST_BUSINESS_DAYS))]
    pub business_days: Option<u32>,
    /// Until so much working time has gone by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_time: Option<Span>,
    /// The key of the working calendar; without it, the one of the sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
}

/// A time of day on some weekdays, in the contact's zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// The weekdays that count; without them, every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Day>,
    /// The time of day.
    pub time: TimeOfDay,
}

/// A weekday, written `mon` to `sun`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    pub(crate) const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Mon,
            Self::Tue => Weekday::Tue,
            Self::Wed => Weekday::Wed,
            Self::Thu => Weekday::Thu,
            Self::Fri => Weekday::Fri,
            Self::Sat => Weekday::Sat,
            Self::Sun => Weekday::Sun,
        }
    }
}

impl Until {
    /// The first such moment after `now`. Where the clocks skip it, the first minute that exists after it; where they
    /// repeat it, the earlier.
    pub fn after(&self, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let today = now.with_timezone(&zone).date_naive();
        (0..=8)
            .filter_map(|days| today.checked_add_days(Days::new(days)))
            .filter(|day| self.weekdays.is_empty() || self.weekdays.iter().any(|d| d.weekday() == day.weekday()))
            .filter_map(|day| existing(day.and_time(self.time.0), zone))
            .find(|moment| *moment > now)
            // Eight days always hold the weekday; only the end of the calendar could be in the way.
            .unwrap_or_else(|| now + TimeDelta::days(7))
    }
}

/// The moment of a local time; where the clocks skip it, the first that exists after it, where they repeat it, the earlier.
pub(crate) fn existing(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    // The longest gap that a zone ever had is a day.
    (0..=24 * 60)
        .find_map(|minutes| zone.from_local_datetime(&(local + TimeDelta::minutes(minutes))).earliest())
        .map(|moment| moment.with_timezone(&Utc))
}

impl Config {
    /// When so much business time has gone by on the calendar, as it is at this moment.
    fn business(&self, run: &Run<'_>) -> Result<DateTime<Utc>, Failure> {
        let key = self.calendar.as_deref().or(run.header.calendar.as_deref()).unwrap_or_default();
        let calendar = run.context.calendars.get(key).ok_or_else(|| {
            let message = format!("there is no working calendar `{key}`; save one under this key");
            Failure::new("SEQUENCE_CALENDAR_UNKNOWN", message)
        })?;
        let until = match (self.business_days, self.business_time) {
            (Some(days), _) => calendar.add_business_days(run.now, days),
            (None, Some(time)) => calendar.add_business(run.now, time.delta()),
            (None, None) => Some(run.now),
        };
        until.ok_or_else(|| {
            let message =
                format!("the working calendar `{key}` has no such time in a hundred years; give it more hours");
            Failure::new("SEQUENCE_CALENDAR_EMPTY", message)
        })
    }
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        let ways =
            [self.duration.is_some(), self.until.is_some(), self.business_days.is_some(), self.business_time.is_some()];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            let message =
                "a wait needs one of `duration`, `until`, `business_days` and `business_time`; keep one of them";
            check.problem("", Rule::Shape, message);
        }
        if self.business_days.is_some_and(|days| !(1..=MOST_BUSINESS_DAYS).contains(&days)) {
            let message = format!("a wait is 1 to {MOST_BUSINESS_DAYS} business days; give a number in this range");
            check.problem("business_days", Rule::Shape, message);
        }
        if let Some(calendar) = &self.calendar {
            check.calendar("calendar", calendar);
            if !self.needs_calendar() {
                let message =
                    "only `business_days` and `business_time` count on a calendar; take it away, or use one of them";
                check.problem("calendar", Rule::Shape, message);
            }
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        if self.needs_calendar() {
            return Ok(Next::Wait(WaitReason::Time, self.business(run)?));
        }
        let until = match (&self.duration, &self.until) {
            (Some(duration), _) => run.now + duration.delta(),
            (None, Some(until)) => until.after(run.now, run.context.zone),
            (None, None) => run.now,
        };
        Ok(Next::Wait(WaitReason::Time, until))
    }

    fn calendar(&self) -> Option<&str> {
        self.calendar.as_deref()
    }

    fn needs_calendar(&self) -> bool {
        self.business_days.is_some() || self.business_time.is_some()
    }

    fn waits(&self) -> bool {
        true
    }

    fn acts(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(days: &[Day], time: &str) -> Until {
        Until { weekdays: days.to_vec(), time: time.parse().unwrap() }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_next_weekday_and_time_is_taken_in_the_contacts_zone() {
        let workdays = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
        // A Friday evening in Berlin: Monday at nine is 08:00 in UTC.
        let friday = at("2026-01-09T19:00:00Z");
        assert_eq!(until(&workdays, "09:00").after(friday, Tz::Europe__Berlin), at("2026-01-12T08:00:00Z"));
        // The same moment is already Saturday in Tokyo.
        assert_eq!(until(&[Day::Fri], "09:00").after(friday, Tz::Asia__Tokyo), at("2026-01-16T00:00:00Z"));
        assert_eq!(until(&[], "21:00").after(friday, Tz::Europe__Berlin), at("2026-01-09T20:00:00Z"));
    }

    #[test]
    fn the_moment_itself_is_not_after_itself() {
        let monday = at("2026-01-12T09:00:00Z");
        assert_eq!(until(&[Day::Mon], "09:00").after(monday, Tz::UTC), at("2026-01-19T09:00:00Z"));
    }

    #[test]
    fn a_time_that_the_clocks_skip_becomes_the_first_that_exists() {
        let before = at("2026-03-28T12:00:00Z");
        assert_eq!(until(&[], "02:30").after(before, Tz::Europe__Berlin), at("2026-03-29T01:00:00Z"));
        let autumn = at("2026-10-24T12:00:00Z");
        assert_eq!(until(&[], "02:30").after(autumn, Tz::Europe__Berlin), at("2026-10-25T00:30:00Z"));
    }
}
