//! How people and programs write dates.

use chrono::{Datelike, Days, NaiveDate};
use regex::{Captures, Regex};
use std::sync::LazyLock;

/// The names of the months and how they are shortened, in small letters.
pub(super) const MONTHS: [&[&str]; 12] = [
    &["january", "jan", "januar", "jänner", "janvier", "janv", "enero", "ene", "gennaio", "gen", "janeiro", "januari"],
    &[
        "february",
        "feb",
        "februar",
        "feber",
        "février",
        "févr",
        "fév",
        "fevrier",
        "febrero",
        "febbraio",
        "febb",
        "fevereiro",
        "fev",
        "februari",
    ],
    &["march", "mar", "märz", "maerz", "mär", "mrz", "mars", "marzo", "março", "marco", "maart", "mrt"],
    &["april", "apr", "avril", "avr", "abril", "abr", "aprile"],
    &["may", "mai", "mayo", "maggio", "mag", "maio", "mei"],
    &["june", "jun", "juni", "juin", "junio", "giugno", "giu", "junho"],
    &["july", "jul", "juli", "juillet", "juil", "julio", "luglio", "lug", "julho"],
    &["august", "aug", "août", "aout", "agosto", "ago", "augustus"],
    &["september", "sep", "sept", "septembre", "septiembre", "setiembre", "settembre", "sett", "setembro", "set"],
    &["october", "oct", "oktober", "okt", "octobre", "octubre", "ottobre", "ott", "outubro", "out"],
    &["november", "nov", "novembre", "noviembre", "novembro"],
    &["december", "dec", "dezember", "dez", "décembre", "decembre", "déc", "diciembre", "dicembre", "dic", "dezembro"],
];

/// All of them, for a pattern: the longer before the shorter.
static MONTH: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<&str> = MONTHS.iter().flat_map(|names| names.iter().copied()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.join("|")
});

/// The month with a name in small letters.
fn month(name: &str) -> Option<u32> {
    let place = MONTHS.iter().position(|names| names.contains(&name))?;
    u32::try_from(place + 1).ok()
}

/// How a date is written, and which of its groups are day, month and year.
pub(super) struct Form {
    /// How it is found.
    pub(super) pattern: LazyLock<Option<Regex>>,
    /// The date, read on a day.
    pub(super) read: fn(&Captures<'_>, NaiveDate) -> Option<NaiveDate>,
}

fn number<T: std::str::FromStr>(found: &Captures<'_>, group: usize) -> Option<T> {
    found.get(group)?.as_str().parse().ok()
}

/// The date with this day and month that is meant today: one without a year lies ahead, or a few days back.
fn dated(day: u32, month: u32, year: Option<i32>, today: NaiveDate) -> Option<NaiveDate> {
    if let Some(year) = year {
        let year = if year < 100 { 2000 + year } else { year };
        return NaiveDate::from_ymd_opt(year, month, day);
    }
    let this_year = NaiveDate::from_ymd_opt(today.year(), month, day);
    match this_year {
        Some(date) if date.checked_add_days(Days::new(60)).is_some_and(|later| later >= today) => Some(date),
        // In a leap year's February the day may not exist in the year before.
        _ => NaiveDate::from_ymd_opt(today.year().checked_add(1)?, month, day),
    }
}

/// `3/12` is the third of December here and the twelfth of March there: the one that lies ahead is meant; of two the nearer,
/// since most people are away for weeks and not for months.
fn slashed(found: &Captures<'_>, today: NaiveDate) -> Option<NaiveDate> {
    let of = |slashed, hyphened| number(found, slashed).or_else(|| number(found, hyphened));
    let (first, second) = (of(1, 4)?, of(2, 5)?);
    let year = number(found, 3).or_else(|| number(found, 6));
    let readings = [dated(first, second, year, today), dated(second, first, year, today)];
    let readings = || readings.into_iter().flatten();
    readings().filter(|date| *date >= today).min().or_else(|| readings().max())
}

/// All of them. One further down would read a part of what one above has read.
pub(super) static FORMS: [Form; 6] = [
    Form {
        pattern: LazyLock::new(|| Regex::new(r"(\d{4})\s*[-/.]\s*(\d{1,2})\s*[-/.]\s*(\d{1,2})").ok()),
        read: |found, today| dated(number(found, 3)?, number(found, 2)?, number(found, 1), today),
    },
    Form {
        pattern: LazyLock::new(|| Regex::new(r"(?:(\d{4})\s*年\s*)?(\d{1,2})\s*月\s*(\d{1,2})\s*[日号號]").ok()),
        read: |found, today| dated(number(found, 3)?, number(found, 2)?, number(found, 1), today),
    },
    Form {
        pattern: LazyLock::new(|| {
            let text = format!(
                r"\b(\d{{1,2}})(?:st|nd|rd|th|er|\.|º)?\s+(?:of\s+|de\s+)?({})\b\.?,?(?:\s+(?:de\s+)?(\d{{4}})\b)?",
                *MONTH
            );
            Regex::new(&text).ok()
        }),
        read: |found, today| dated(number(found, 1)?, month(found.get(2)?.as_str())?, number(found, 3), today),
    },
    Form {
        pattern: LazyLock::new(|| {
            Regex::new(&format!(r"\b({})\b\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(\d{{4}})\b)?", *MONTH)).ok()
        }),
        read: |found, today| dated(number(found, 2)?, month(found.get(1)?.as_str())?, number(found, 3), today),
    },
    Form {
        pattern: LazyLock::new(|| Regex::new(r"\b(\d{1,2})\.\s?(\d{1,2})\.(?:\s?(\d{4}|\d{2})\b)?").ok()),
        read: |found, today| dated(number(found, 1)?, number(found, 2)?, number(found, 3), today),
    },
    Form {
        pattern: LazyLock::new(|| {
            Regex::new(r"\b(\d{1,2})/(\d{1,2})(?:/(\d{4}|\d{2}))?\b|\b(\d{1,2})-(\d{1,2})-(\d{4})\b").ok()
        }),
        read: slashed,
    },
];
