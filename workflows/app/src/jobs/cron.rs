//! Cron: which moments the fields of a schedule mean.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::str::FromStr;

/// Why the fields of a schedule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("cron has five fields (minute, hour, day of month, month, day of week); {0:?} has {1}")]
    Fields(String, usize),
    /// A field that cannot be read.
    #[error("cron {0:?} cannot be read: {1}")]
    Field(String, String),
    /// A time zone that the IANA database does not have.
    #[error("{0:?} is no time zone of the IANA database")]
    Zone(String),
    /// Fields that no date fulfils.
    #[error("cron {0:?} never comes")]
    Never(String),
}

/// The moments that five cron fields mean in a time zone. A local time that a change of the clocks leaves out does not
/// come that day; one that comes twice is taken the first time.
#[derive(Debug, Clone)]
pub struct Cron {
    schedule: cron::Schedule,
    zone: Tz,
}

impl Cron {
    /// Reads the usual five fields (0 and 7 are Sunday) and an IANA zone.
    pub fn parse(fields: &str, zone: &str) -> Result<Self, CronError> {
        let zone = Tz::from_str(zone).map_err(|_| CronError::Zone(zone.to_owned()))?;
        let parts: Vec<&str> = fields.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(CronError::Fields(fields.to_owned(), parts.len()));
        };
        // The library counts seconds too, and week days from 1 = Sunday; names mean the same everywhere.
        let six = format!("0 {minute} {hour} {day} {month} {}", named(weekday));
        let schedule =
            cron::Schedule::from_str(&six).map_err(|error| CronError::Field(fields.to_owned(), error.to_string()))?;
        Ok(Self { schedule, zone })
    }

    /// The first tick after a moment.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.schedule
            .after(&after.with_timezone(&self.zone))
            .map(|tick| tick.with_timezone(&Utc))
            .find(|tick| *tick > after)
    }
}

/// Week days by name: every number in a list or a range, but not the steps behind a slash.
fn named(weekdays: &str) -> String {
    const NAMES: [&str; 8] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let name = |day: &str| {
        day.parse::<usize>().ok().and_then(|day| NAMES.get(day)).map_or(day.to_owned(), |name| (*name).to_owned())
    };
    let part = |part: &str| {
        let (days, step) = part.split_once('/').map_or((part, None), |(days, step)| (days, Some(step)));
        let days = days.split('-').map(name).collect::<Vec<_>>().join("-");
        step.map_or(days.clone(), |step| format!("{days}/{step}"))
    };
    weekdays.split(',').map(part).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn week_days_are_counted_from_sunday_0() {
        for (fields, expected) in [
            ("0 9 * * 1-5", "2026-01-05T09:00:00Z"),
            ("0 9 * * 0", "2026-01-04T09:00:00Z"),
            ("0 9 * * 7", "2026-01-04T09:00:00Z"),
            ("0 9 * * MON", "2026-01-05T09:00:00Z"),
            ("*/15 * * * *", "2026-01-03T00:15:00Z"),
            ("0 0 1 2 *", "2026-02-01T00:00:00Z"),
        ] {
            let cron = Cron::parse(fields, "UTC").unwrap();
            assert_eq!(cron.next(at("2026-01-03T00:00:00Z")), Some(at(expected)), "{fields}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(Cron::parse("* * * *", "UTC").unwrap_err(), CronError::Fields("* * * *".to_owned(), 4));
        assert!(matches!(Cron::parse("61 * * * *", "UTC"), Err(CronError::Field(..))));
        assert_eq!(Cron::parse("* * * * *", "Moon").unwrap_err(), CronError::Zone("Moon".to_owned()));
    }

    #[test]
    fn a_time_that_the_clocks_leave_out_does_not_come_and_one_that_comes_twice_comes_once() {
        let cron = Cron::parse("30 2 * * *", "Europe/Berlin").unwrap();
        let spring = cron.next(at("2026-03-28T02:00:00Z")).unwrap();
        assert_eq!(spring, at("2026-03-30T00:30:00Z"), "02:30 on 29 March is left out");
        let autumn = cron.next(at("2026-10-24T12:00:00Z")).unwrap();
        assert_eq!(autumn, at("2026-10-25T00:30:00Z"), "02:30 on 25 October, summer time");
        assert_eq!(cron.next(autumn), Some(at("2026-10-26T01:30:00Z")));
    }
}
