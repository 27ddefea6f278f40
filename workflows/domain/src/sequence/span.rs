//! Lengths of time and times of day, as people write them in a definition: `3d`, `2h30m`, `09:00`.

use chrono::{NaiveTime, TimeDelta};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest span that a definition may name: two years.
pub const MAX_DAYS: i64 = 730;

/// A length of time: whole numbers with `w`, `d`, `h` or `m` (weeks, days, hours, minutes), the largest first, each
/// at most once. At least one minute, at most [`MAX_DAYS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    minutes: i64,
}

/// Why a text is not a span or a time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not of the form.
    #[error(
        "`{0}` is not a length of time; write whole numbers with w, d, h or m, the largest first, e.g. `3d` or `2h30m`"
    )]
    Form(String),
    /// Out of range.
    #[error("`{0}` is out of range; a length of time is 1m to {MAX_DAYS}d")]
    Range(String),
    /// Not a time of day.
    #[error("`{0}` is not a time of day; write hours and minutes, e.g. `09:00`")]
    Time(String),
}

impl Span {
    /// The span as a difference of times.
    pub const fn delta(self) -> TimeDelta {
        TimeDelta::minutes(self.minutes)
    }
}

impl std::str::FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let shown = || text.chars().take(40).collect::<String>();
        let units = [('w', 7 * 24 * 60), ('d', 24 * 60), ('h', 60), ('m', 1)];
        let (mut from_unit, mut digits, mut minutes) = (0, String::new(), 0_i64);
        for c in text.chars() {
            if c.is_ascii_digit() && digits.len() < 9 {
                digits.push(c);
                continue;
            }
            let unit = units.iter().enumerate().skip(from_unit).find(|(_, (name, _))| *name == c);
            let (Some((at, (_, each))), Ok(count)) = (unit, digits.parse::<i64>()) else {
                return Err(SpanError::Form(shown()));
            };
            minutes += count * each;
            from_unit = at + 1;
            digits.clear();
        }
        if from_unit == 0 || !digits.is_empty() {
            return Err(SpanError::Form(shown()));
        }
        if !(1..=MAX_DAYS * 24 * 60).contains(&minutes) {
            return Err(SpanError::Range(shown()));
        }
        Ok(Self { minutes })
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, hours, minutes) = (self.minutes / (24 * 60), self.minutes / 60 % 24, self.minutes % 60);
        for (count, unit) in [(days, 'd'), (hours, 'h'), (minutes, 'm')] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A time of day in the zone of whoever it concerns: `09:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(pub NaiveTime);

impl std::str::FromStr for TimeOfDay {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        NaiveTime::parse_from_str(text, "%H:%M").map(Self).map_err(|_| SpanError::Time(text.chars().take(40).collect()))
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.format("%H:%M"))
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_in_one_form() {
        for (text, minutes, form) in
            [("3d", 4320, "3d"), ("2h30m", 150, "2h30m"), ("1w", 10080, "7d"), ("90m", 90, "1h30m")]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.delta().num_minutes(), span.to_string().as_str()), (minutes, form));
        }
        for text in ["", "3", "d", "3x", "1m1h", "1d1d", "0m", "731d", "-1d", "1.5d", "99999999999d", "１d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_of_day_are_hours_and_minutes() {
        assert_eq!("09:05".parse::<TimeOfDay>().unwrap().to_string(), "09:05");
        for text in ["24:00", "9", "09:60", "noon"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }
}
