//! Working calendars: when a person or a team is at work, in the time zone where they are, with holidays and make-up
//! working days; and business time measured on them. Owns the definition and its rules; `span.rs` does the counting.

mod days;
mod span;

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::CalendarId;
use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

codes! {
    /// A day of the week.
    pub enum Day("day of the week") {
        /// Monday.
        Monday = "MONDAY",
        /// Tuesday.
        Tuesday = "TUESDAY",
        /// Wednesday.
        Wednesday = "WEDNESDAY",
        /// Thursday.
        Thursday = "THURSDAY",
        /// Friday.
        Friday = "FRIDAY",
        /// Saturday.
        Saturday = "SATURDAY",
        /// Sunday.
        Sunday = "SUNDAY",
    }
}

impl Day {
    /// The day of the week of a date.
    pub fn of(date: NaiveDate) -> Self {
        match date.weekday() {
            chrono::Weekday::Mon => Self::Monday,
            chrono::Weekday::Tue => Self::Tuesday,
            chrono::Weekday::Wed => Self::Wednesday,
            chrono::Weekday::Thu => Self::Thursday,
            chrono::Weekday::Fri => Self::Friday,
            chrono::Weekday::Sat => Self::Saturday,
            chrono::Weekday::Sun => Self::Sunday,
        }
    }
}

/// Hours of one day, local time: `from` is within, `to` is not. Written `09:00-17:30`; a day ends at `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// Minutes after local midnight, 0 to 1439.
    pub from: u16,
    /// Minutes after local midnight, greater than `from`, at most 1440.
    pub to: u16,
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl TryFrom<String> for Hours {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl std::str::FromStr for Hours {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        fn minutes(text: &str) -> Option<u16> {
            let (hour, minute) = text.trim().split_once(':')?;
            let digits = |part: &str| (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then_some(());
            digits(hour).and(digits(minute))?;
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
            (minute < 60).then_some(hour * 60 + minute).filter(|all| *all <= 1440)
        }
        text.split_once('-')
            .and_then(|(from, to)| Some(Self { from: minutes(from)?, to: minutes(to)? }))
            .filter(|hours| hours.from < hours.to)
            .ok_or_else(|| Refusal::Hours { given: text.chars().take(40).collect() })
    }
}

/// A day on which nobody works.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holiday {
    /// The local date.
    pub date: NaiveDate,
    /// What it is called.
    pub name: String,
}

/// A day that is worked although the week says otherwise, as in China around a long holiday.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MakeUpDay {
    /// The local date.
    pub date: NaiveDate,
    /// What it makes up for.
    pub name: String,
    /// Its hours, which replace those of the day of the week; at least one.
    pub hours: Vec<Hours>,
}

/// What sales ops writes: a calendar without its id and version. Also the form of the shipped files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The stable key, e.g. `china`: 1 to 60 of `a-z 0-9 _ -`.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// The time zone (IANA name) of the hours and dates.
    pub zone: Tz,
    /// The hours of each day of the week; a day that is missing is free.
    pub week: BTreeMap<Day, Vec<Hours>>,
    /// Free days.
    #[serde(default)]
    pub holidays: Vec<Holiday>,
    /// Worked days outside the week.
    #[serde(default)]
    pub make_up: Vec<MakeUpDay>,
}

/// The shipped calendars, as YAML in the form of [`Draft`]: China and the United States.
pub const SHIPPED: [&str; 2] = [
    include_str!("../../../library/calendars/china.yaml"),
    include_str!("../../../library/calendars/united-states.yaml"),
];

/// The shipped calendars by their keys, for whoever has no others at hand.
pub fn shipped() -> Calendars {
    let saved = |text: &&str| Some(save(None, CalendarId(uuid::Uuid::nil()), Draft::from_yaml(text).ok()?).ok()?.next);
    SHIPPED.iter().filter_map(saved).map(|calendar| (calendar.key.clone(), calendar)).collect()
}

impl Draft {
    /// Reads a calendar from YAML. Whether it makes sense is for [`save`] to say.
    pub fn from_yaml(text: &str) -> Result<Self, Refusal> {
        serde_saphyr::from_str(text).map_err(|error| Refusal::Unreadable { cause: error.to_string() })
    }
}

/// When somebody is at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkingCalendar {
    /// Its id.
    pub id: CalendarId,
    /// The stable key; unique.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// The time zone of the hours and dates.
    pub zone: Tz,
    /// The hours of each day of the week, in order and without overlap; a day that is missing is free.
    pub week: BTreeMap<Day, Vec<Hours>>,
    /// Free days, by date.
    pub holidays: Vec<Holiday>,
    /// Worked days outside the week, by date.
    pub make_up: Vec<MakeUpDay>,
    /// Counts the definitions from 1; a change of the definition makes the next.
    pub version: u32,
}

/// Working calendars by their keys.
pub type Calendars = BTreeMap<String, WorkingCalendar>;

/// Why a calendar is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not YAML, or not of this form.
    #[error("the calendar cannot be read: {cause}")]
    Unreadable {
        /// What the parser says, with the line.
        cause: String,
    },
    /// Hours that cannot be read.
    #[error("`{given}` is not a span of hours; write it as 09:00-17:30, the end after the beginning, at most 24:00")]
    Hours {
        /// What was given.
        given: String,
    },
    /// Two spans of the same day share time.
    #[error("the hours of {day} overlap; join them into one span")]
    Overlap {
        /// The day of the week or the date.
        day: String,
    },
    /// Clocks on such a calendar would never run.
    #[error("the week has no working hours; give at least one day some")]
    NoHours,
    /// A make-up day is there to be worked.
    #[error("the make-up day {date} has no hours; give it some")]
    NoMakeUpHours {
        /// The date.
        date: NaiveDate,
    },
    /// The same date twice.
    #[error("the date {date} is there twice, among the holidays, the make-up days or in both; keep one")]
    DateTwice {
        /// The date.
        date: NaiveDate,
    },
    /// The key is not one.
    #[error("`{given}` is not a key; use 1 to 60 of a-z, 0-9, _ and -")]
    Key {
        /// What was given.
        given: String,
    },
    /// The name is empty or too long.
    #[error("the name needs 1 to 200 characters")]
    Name,
    /// More days than a calendar may hold.
    #[error("a calendar holds at most {most} holidays and make-up days; leave out the years that have passed")]
    TooManyDays {
        /// The most.
        most: usize,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "CALENDAR_UNREADABLE",
            Self::Hours { .. } => "CALENDAR_HOURS_INVALID",
            Self::Overlap { .. } => "CALENDAR_HOURS_OVERLAP",
            Self::NoHours => "CALENDAR_WITHOUT_HOURS",
            Self::NoMakeUpHours { .. } => "CALENDAR_MAKE_UP_WITHOUT_HOURS",
            Self::DateTwice { .. } => "CALENDAR_DATE_TWICE",
            Self::Key { .. } => "CALENDAR_KEY_INVALID",
            Self::Name => "CALENDAR_NAME_INVALID",
            Self::TooManyDays { .. } => "CALENDAR_TOO_MANY_DAYS",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Hours { .. } | Self::Overlap { .. } | Self::NoHours => Some("week"),
            Self::NoMakeUpHours { .. } => Some("makeUp"),
            Self::DateTwice { .. } | Self::TooManyDays { .. } => Some("holidays"),
            Self::Key { .. } => Some("key"),
            Self::Name => Some("name"),
            Self::Unreadable { .. } => None,
        }
    }
}

/// The most holidays and make-up days of one calendar: some twenty years of them.
pub const MOST_DAYS: usize = 1_000;

/// Whether a text may be the key of a definition (1 to 60 of `a-z 0-9 _ -`).
pub fn is_key(text: &str) -> bool {
    (1..=60).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
}

fn in_order(day: &dyn std::fmt::Display, mut hours: Vec<Hours>) -> Result<Vec<Hours>, Refusal> {
    hours.sort();
    if hours.windows(2).any(|pair| matches!(pair, [a, b] if b.from < a.to)) {
        return Err(Refusal::Overlap { day: day.to_string() });
    }
    Ok(hours)
}

/// Saves a calendar: a new one under `id`, or the next version of `before`, which keeps its id.
pub fn save(
    before: Option<&WorkingCalendar>,
    id: CalendarId,
    draft: Draft,
) -> Result<Decision<WorkingCalendar>, Refusal> {
    if !is_key(&draft.key) {
        return Err(Refusal::Key { given: draft.key.chars().take(80).collect() });
    }
    let name = draft.name.trim().to_owned();
    if !(1..=200).contains(&name.chars().count()) {
        return Err(Refusal::Name);
    }
    if draft.holidays.len() + draft.make_up.len() > MOST_DAYS {
        return Err(Refusal::TooManyDays { most: MOST_DAYS });
    }
    let mut week = BTreeMap::new();
    for (day, hours) in draft.week {
        let hours = in_order(&day, hours)?;
        if !hours.is_empty() {
            week.insert(day, hours);
        }
    }
    if week.is_empty() {
        return Err(Refusal::NoHours);
    }
    let mut seen = BTreeSet::new();
    for date in draft.holidays.iter().map(|day| day.date).chain(draft.make_up.iter().map(|day| day.date)) {
        if !seen.insert(date) {
            return Err(Refusal::DateTwice { date });
        }
    }
    let mut make_up = Vec::with_capacity(draft.make_up.len());
    for day in draft.make_up {
        if day.hours.is_empty() {
            return Err(Refusal::NoMakeUpHours { date: day.date });
        }
        make_up.push(MakeUpDay { hours: in_order(&day.date, day.hours)?, ..day });
    }
    make_up.sort();
    let mut holidays = draft.holidays;
    holidays.sort();
    let (id, version) = before.map_or((id, 0), |before| (before.id, before.version));
    let mut next = WorkingCalendar { id, key: draft.key, name, zone: draft.zone, week, holidays, make_up, version };
    let changed = before != Some(&next);
    if changed {
        next.version = version.saturating_add(1);
    }
    let fact = Fact::audit("calendar.saved", id)
        .with("key", &next.key)
        .with("zone", next.zone.name())
        .with("version", next.version)
        .with("changed", changed);
    Ok(Decision::new(next, fact))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(week: &[(Day, &[&str])]) -> Draft {
        Draft {
            key: "office".into(),
            name: "Office".into(),
            zone: chrono_tz::Europe::Berlin,
            week: week.iter().map(|(day, spans)| (*day, spans.iter().map(|s| s.parse().unwrap()).collect())).collect(),
            holidays: vec![],
            make_up: vec![],
        }
    }

    fn saved(draft: Draft) -> Result<WorkingCalendar, &'static str> {
        save(None, CalendarId(uuid::Uuid::from_u128(1)), draft).map(|d| d.next).map_err(|refusal| refusal.code())
    }

    #[test]
    fn hours_are_read_and_written_in_one_form() {
        for text in ["09:00-12:30", "00:00-24:00", "23:59-24:00"] {
            assert_eq!(text.parse::<Hours>().unwrap().to_string(), text);
        }
        for text in
            ["", "9:00-12:00", "09:00", "09:00-09:00", "17:00-09:00", "09:60-10:00", "09:00-24:01", "+9:00-10:00"]
        {
            assert_eq!(text.parse::<Hours>().unwrap_err().code(), "CALENDAR_HOURS_INVALID", "{text}");
        }
    }

    #[test]
    fn a_calendar_without_hours_or_with_overlapping_hours_is_refused() {
        assert_eq!(saved(draft(&[])), Err("CALENDAR_WITHOUT_HOURS"));
        assert_eq!(saved(draft(&[(Day::Monday, &[])])), Err("CALENDAR_WITHOUT_HOURS"));
        assert_eq!(saved(draft(&[(Day::Monday, &["13:00-17:00", "09:00-13:01"])])), Err("CALENDAR_HOURS_OVERLAP"));
        let calendar = saved(draft(&[(Day::Monday, &["13:00-17:00", "09:00-13:00"])])).unwrap();
        assert_eq!(calendar.week[&Day::Monday][0].from, 540, "spans are put in order");
    }

    #[test]
    fn a_date_is_a_holiday_or_a_make_up_day_but_not_both() {
        let date = NaiveDate::from_ymd_opt(2026, 2, 14).unwrap();
        let mut both = draft(&[(Day::Monday, &["09:00-17:00"])]);
        both.holidays.push(Holiday { date, name: "H".into() });
        both.make_up.push(MakeUpDay { date, name: "M".into(), hours: vec!["09:00-17:00".parse().unwrap()] });
        assert_eq!(saved(both.clone()), Err("CALENDAR_DATE_TWICE"));
        both.holidays.clear();
        both.make_up[0].hours.clear();
        assert_eq!(saved(both), Err("CALENDAR_MAKE_UP_WITHOUT_HOURS"));
    }

    #[test]
    fn only_a_changed_definition_makes_a_version() {
        let id = CalendarId(uuid::Uuid::from_u128(1));
        let first = saved(draft(&[(Day::Monday, &["09:00-17:00"])])).unwrap();
        let again = save(Some(&first), id, draft(&[(Day::Monday, &["09:00-17:00"])])).unwrap();
        assert_eq!((first.version, again.next.version), (1, 1));
        let other = save(Some(&first), id, draft(&[(Day::Tuesday, &["09:00-17:00"])])).unwrap();
        assert_eq!((other.next.version, other.next.id), (2, id));
    }
}
