//! What an automatic answer says about when the person is back.
//!
//! Nobody standardised how people write that they are away; these are the words and dates that mail programs and people
//! use in eight languages. What is not understood is not guessed: then only the fact that somebody is away is known.

mod dates;
mod own;
mod words;

use chrono::{Datelike, Days, NaiveDate, Weekday};
use dates::{FORMS, MONTHS};
use own::own_words;
use words::{
    AWAY, BACK, BACK_AFTER, BEFORE_A_DAY, FROM, HOLIDAY, NO_ABSENCE, SHORT_WEEKDAYS, UNTIL, UNTIL_OR_PLACE, WEEKDAYS,
};

/// The furthest return that is believed, in days: a date behind it is about something else.
pub const FURTHEST_DAYS: u64 = 180;
/// How many characters before a date may say what it is about.
const NEAR_BEFORE: usize = 60;
/// How many characters after it.
const NEAR_AFTER: usize = 12;

/// What a date in the text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    /// The first day away.
    FirstAway,
    /// Nothing says.
    Unsaid,
    /// The last day away.
    LastAway,
    /// The first day back.
    FirstBack,
}

/// Whether an automatic answer with these words says that the person is away. What is quoted in it is not read.
pub fn says_so(subject: &str, text: &str) -> bool {
    let mut said = small_letters(subject, text);
    for words in NO_ABSENCE {
        said = said.replace(words, "without");
    }
    AWAY.iter().any(|words| said.contains(words))
}

/// The subject and what the person wrote, in small letters and with straight apostrophes.
fn small_letters(subject: &str, text: &str) -> String {
    let small = |text: &str| text.to_lowercase().replace('’', "'");
    format!("{}\n{}", small(subject), own_words(&small(text)))
}

/// The first day on which somebody is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Back {
    /// The day. It may be past.
    pub date: NaiveDate,
    /// Whether the text says that this is the day of the return: then somebody is away, whatever else it says. A last day may be
    /// that of something else, and a date about anything.
    pub is_return: bool,
}

/// The first day after a last day away on which offices work.
fn next_workday(date: NaiveDate) -> Option<NaiveDate> {
    let workday = |day: &NaiveDate| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
    date.iter_days().skip(1).take(3).find(workday)
}

/// The first day on which the person is back, where a text says it: of those that lie ahead, by at most [`FURTHEST_DAYS`], else
/// a past one of the last weeks. What is only a date, and might be about anything, must have a year or the name of a month.
pub fn back_on(subject: &str, text: &str, today: NaiveDate) -> Option<Back> {
    // Who gets back to somebody has not been away.
    let small = &small_letters(subject, text).replace("get back to", "answer");
    let mut taken: Vec<std::ops::Range<usize>> = Vec::new();
    let mut dates: Vec<(About, NaiveDate)> = Vec::new();
    for form in &FORMS {
        for found in form.pattern.iter().flat_map(|pattern| pattern.captures_iter(small)) {
            let Some(whole) = found.get(0) else { continue };
            let place = whole.range();
            // A form further down would read a part of what one above has read.
            if taken.iter().any(|other| other.start < place.end && place.start < other.end) {
                continue;
            }
            taken.push(place.clone());
            let about = about(small, &place);
            // `24/7`, `9.5.`: a number of something.
            let bare = whole.as_str().chars().all(|c| c.is_ascii_digit() || "./ ".contains(c)) && whole.len() < 8;
            if let Some(date) = (form.read)(&found, today).filter(|_| about != About::Unsaid || !bare) {
                dates.push((about, date));
            }
        }
    }
    let (first, last) = (today.checked_sub_days(Days::new(60))?, today.checked_add_days(Days::new(FURTHEST_DAYS))?);
    let first_day = |(about, date): (About, NaiveDate)| match about {
        About::FirstBack => Some((about, date)),
        About::LastAway | About::Unsaid => Some((about, next_workday(date)?)),
        About::FirstAway => None,
    };
    let near: Vec<(About, NaiveDate)> =
        dates.into_iter().filter_map(first_day).filter(|(_, date)| *date >= first && *date <= last).collect();
    // The earliest: what comes after it is about the next absence, or about somebody else.
    let ahead =
        |what: About| near.iter().filter(|(about, date)| *about == what && *date > today).map(|(_, date)| *date).min();
    let back = ahead(About::FirstBack);
    let said = match (back, ahead(About::LastAway)) {
        // Between the last day away and the first day back may lie a week-end.
        (Some(back), Some(after)) if back <= after.checked_add_days(Days::new(10)).unwrap_or(after) => Some(back),
        (back, after) => after.or(back),
    };
    if let Some(date) = said {
        return Some(Back { date, is_return: back.is_some() });
    }
    if let Some(date) = ahead(About::Unsaid) {
        return Some(Back { date, is_return: false });
    }
    let (about, past) = near.into_iter().filter(|(about, _)| *about != About::Unsaid).max_by_key(|(_, date)| *date)?;
    Some(Back { date: past, is_return: about == About::FirstBack })
}

fn about(text: &str, place: &std::ops::Range<usize>) -> About {
    let mut near: Vec<char> = text[..place.start].chars().rev().take(NEAR_BEFORE).collect();
    near.reverse();
    let near: String = near.into_iter().collect();
    let before = last_sentence(&near);
    let near_after = text[place.end..].chars().take(NEAR_AFTER);
    // What stands behind another date, or a comma, is about that.
    let after: String = near_after.take_while(|c| !c.is_ascii_digit() && !",,。;、".contains(*c)).collect();
    if BACK_AFTER.iter().any(|word| after.contains(word)) {
        return About::FirstBack;
    }
    let back = BACK.iter().filter_map(|word| before.rfind(word)).max();
    let until = last_until(before);
    let from = last_from(before);
    let behind: String = text[place.end..].chars().take(NEAR_BEFORE).collect();
    let behind = behind.split(['.', '\n', ';']).next().unwrap_or_default();
    // "From the 3rd until the 7th I am away": the second date is not what "from" is about.
    let begins = from.is_some() && from >= back && from > until;
    if begins && HOLIDAY.iter().any(|word| behind.contains(word)) {
        return About::FirstAway;
    }
    match (back, until) {
        (Some(back), Some(until)) if until > back => About::LastAway,
        (Some(_), _) => About::FirstBack,
        (None, Some(_)) => About::LastAway,
        (None, None) => About::Unsaid,
    }
}

/// What stands after the end of a sentence: another sentence is about something else. The full stop of a shortened weekday or
/// month ends none.
fn last_sentence(text: &str) -> &str {
    let ends = text.match_indices(". ").filter(|(at, _)| !is_shortened(last_word(&text[..*at])));
    let from = ends.last().map_or(0, |(at, end)| at + end.len());
    text[from..].rsplit(['\n', ';', '!', '?', '。']).next().unwrap_or_default()
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default()
}

fn is_shortened(word: &str) -> bool {
    let month = || word.chars().count() <= 4 && MONTHS.iter().any(|names| names.contains(&word));
    is_one_of(word, SHORT_WEEKDAYS) || month()
}

/// Whether a word is one of those of a list.
fn is_one_of(word: &str, list: &str) -> bool {
    list.split(' ').any(|one| one == word)
}

/// The place of the last word in front of a date by which it is the last day away.
fn last_until(before: &str) -> Option<usize> {
    let until = UNTIL.iter().filter_map(|word| before.rfind(word));
    let of_a_day = |rest: &str| {
        rest.split(|c: char| !c.is_alphabetic())
            .filter(|word| !word.is_empty())
            .all(|word| [BEFORE_A_DAY, WEEKDAYS, SHORT_WEEKDAYS].iter().any(|list| is_one_of(word, list)))
    };
    let to =
        UNTIL_OR_PLACE.iter().filter_map(|word| before.rfind(word).filter(|at| of_a_day(&before[at + word.len()..])));
    until.chain(to).max()
}

/// The place of the last word in front of a date by which it is the first day away. "Back from" and "available from" are about
/// the first day back.
fn last_from(before: &str) -> Option<usize> {
    let of_a_return = |at: usize| {
        let word = last_word(before[..at].trim_end());
        let within = |back: &str| before.match_indices(back).any(|(start, _)| start < at && at < start + back.len());
        BACK.iter().any(|back| word.starts_with(back) || within(back))
    };
    let found = FROM.iter().flat_map(|word| before.match_indices(word)).map(|(at, _)| at);
    found.filter(|at| !of_a_return(*at)).max()
}

#[cfg(test)]
mod tests;
