//! What an automatic answer says about when the person is back.
//!
//! Nobody standardised how people write that they are away; these are the words and dates that mail programs and people
//! use in eight languages. What is not understood is not guessed: then only the fact that somebody is away is known.

use chrono::{Datelike, Days, NaiveDate, Weekday};
use regex::{Captures, Regex};
use std::sync::LazyLock;

/// The furthest return that is believed, in days: a date behind it is about something else.
pub const FURTHEST_DAYS: u64 = 180;
/// How many characters before a date may say what it is about.
const NEAR_BEFORE: usize = 40;
/// How many characters after it.
const NEAR_AFTER: usize = 12;

/// Words by which an automatic answer says that the person is away, in small letters.
const AWAY: [&str; 45] = [
    "automatische antwort",
    "automatisch antwoord",
    "réponse automatique",
    "respuesta automática",
    "risposta automatica",
    "resposta automática",
    "自动回复",
    "out of office",
    "out-of-office",
    "out of the office",
    "automatic reply",
    "away from",
    "i am away",
    "i'm away",
    "on vacation",
    "on holiday",
    "on leave",
    "annual leave",
    "parental leave",
    "travelling",
    "traveling",
    "limited access to",
    "abwesen",
    "nicht im büro",
    "nicht im haus",
    "im urlaub",
    "absence",
    "absent",
    "en congé",
    "en vacances",
    "fuera de la oficina",
    "ausente",
    "de vacaciones",
    "fuori sede",
    "fuori ufficio",
    "in ferie",
    "de férias",
    "fora do escritório",
    "afwezig",
    "休假",
    "外出",
    "出差",
    "年假",
    "不在办公室",
    "请假",
];

/// What stands before the first day back.
const BACK: [&str; 17] = [
    "back",
    "return",
    "resume",
    "zurück",
    "wieder",
    "retour",
    "regres",
    "vuelv",
    "vuelta",
    "torn",
    "rientr",
    "volt",
    "terug",
    "available again",
    "available from",
    "ab dem",
    "erreichbar ab",
];
/// What stands after the first day back, as Chinese has it.
const BACK_AFTER: [&str; 7] = ["回来", "返回", "恢复", "上班", "回到", "复工", "回办公"];
/// What stands before the first day away, where one of [`HOLIDAY`] stands after it.
const FROM: [&str; 6] = ["from", "starting", "ab ", "à partir", "a partir", "dal "];
/// What somebody is who is away.
const HOLIDAY: [&str; 12] = [
    "urlaub",
    "abwesen",
    "vacation",
    "holiday",
    "on leave",
    "out of",
    "away",
    "vacances",
    "congé",
    "ferie",
    "vacaciones",
    "休假",
];
/// What stands before the last day away.
const UNTIL: [&str; 20] = [
    "until", "till", "through", "thru", " to ", "–", "—", " - ", "bis", "jusqu", " au ", "hasta", " al ", "fino",
    "até", "tot", "t/m", "至", "到", "截止",
];

/// The names of the months and how they are shortened, in small letters.
const MONTHS: [&[&str]; 12] = [
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
struct Form {
    pattern: LazyLock<Option<Regex>>,
    read: fn(&Captures<'_>, NaiveDate) -> Option<NaiveDate>,
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

static FORMS: [Form; 6] = [
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

/// Whether an automatic answer with these words says that the person is away.
pub fn says_so(subject: &str, text: &str) -> bool {
    let small = format!("{subject}\n{text}").to_lowercase();
    AWAY.iter().any(|words| small.contains(words))
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

/// What the person wrote: without what is quoted below it.
fn own_words(text: &str) -> &str {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let heads = ["-----original", "from:", "von:", "de :", "de:", "da:", "发件人", "________________"];
        let introduces =
            ["wrote:", "schrieb:", "écrit :", "écrit:", "escribió:", "ha scritto:", "escreveu:", "写道:", "写道:"];
        if trimmed.starts_with('>')
            || heads.iter().any(|head| trimmed.starts_with(head))
            || introduces.iter().any(|end| trimmed.ends_with(end))
        {
            break;
        }
        end += line.len();
    }
    &text[..end]
}

/// The first day on which the person is back, where a text says it: of those that lie ahead, by at most [`FURTHEST_DAYS`], else
/// a past one of the last weeks. What is only a date, and might be about anything, must have a year or the name of a month.
pub fn back_on(subject: &str, text: &str, today: NaiveDate) -> Option<Back> {
    // Who gets back to somebody has not been away.
    let small = format!("{subject}\n{text}").to_lowercase().replace("get back to", "answer");
    let small = own_words(&small);
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
    let before: String = {
        let mut near: Vec<char> = text[..place.start].chars().rev().take(NEAR_BEFORE).collect();
        near.reverse();
        // Another sentence is about something else.
        let near = near.into_iter().collect::<String>().replace(". ", "\n");
        near.rsplit(['\n', ';', '!', '?', '。']).next().unwrap_or_default().to_owned()
    };
    let near_after = text[place.end..].chars().take(NEAR_AFTER);
    // What stands behind another date, or a comma, is about that.
    let after: String = near_after.take_while(|c| !c.is_ascii_digit() && !",,。;、".contains(*c)).collect();
    let last = |words: &[&str]| words.iter().filter_map(|word| before.rfind(word)).max();
    if BACK_AFTER.iter().any(|word| after.contains(word)) {
        return About::FirstBack;
    }
    let behind: String = text[place.end..].chars().take(NEAR_BEFORE).collect();
    let behind = behind.split(['.', '\n', ';']).next().unwrap_or_default();
    if last(&FROM).is_some() && HOLIDAY.iter().any(|word| behind.contains(word)) {
        return About::FirstAway;
    }
    match (last(&BACK), last(&UNTIL)) {
        (Some(back), Some(until)) if until > back => About::LastAway,
        (Some(_), _) => About::FirstBack,
        (None, Some(_)) => About::LastAway,
        (None, None) => About::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_day_back_is_read_as_people_write_it() {
        let today = day("2026-11-22");
        for (text, back) in [
            ("I am out of the office until 3 December 2026 with limited access to e-mail.", "2026-12-04"),
            ("I will be back on December 3rd.", "2026-12-03"),
            ("I'm on vacation from Nov 20 to Nov 30, 2026.", "2026-12-01"),
            ("Returning 2026-12-07. For urgent matters call +49 30 1234567.", "2026-12-07"),
            ("Ich bin bis zum 3.12.2026 nicht im Büro.", "2026-12-04"),
            ("Ich bin vom 23.11. bis 27.11. abwesend und ab dem 30. November wieder erreichbar.", "2026-11-30"),
            ("Je suis absent jusqu'au 4 décembre inclus.", "2026-12-07"),
            ("Ich bin vom 25.11. bis 27.11.2026 im Urlaub.", "2026-11-30"),
            ("De retour le 7 décembre.", "2026-12-07"),
            ("Estaré fuera de la oficina hasta el 9 de diciembre de 2026.", "2026-12-10"),
            ("本人休假至2026年12月3日,12月4日上班。", "2026-12-04"),
            ("我正在出差,12月1日返回公司。", "2026-12-01"),
            ("Out until 12/03/2026.", "2026-12-04"),
            ("Out until 3/12.", "2026-12-04"),
            ("Ausente hasta el martes 3/12.", "2026-12-04"),
            ("Absente jusqu'au mardi 3/12.", "2026-12-04"),
            ("Vuelvo el 7 de enero.", "2027-01-07"),
            ("In ferie fino al 6 gennaio.", "2027-01-07"),
            ("Estou ausente até 2 de janeiro de 2027.", "2027-01-04"),
            ("Ik ben afwezig tot 4 december.", "2026-12-07"),
            ("Until 3 December.\nOn 1 Nov 2026, Tandem wrote:\n> we are back with news on 20 February", "2026-12-04"),
            ("I am out until 3 December. My colleague Bob is back on 1 May.", "2026-12-04"),
            ("Out from 12-20-2026 to 12-31-2026.", "2027-01-01"),
            ("I am away until January 5.", "2027-01-06"),
            ("Back on 11/30", "2026-11-30"),
        ] {
            let found = back_on("Automatic reply: Hello", text, today);
            assert_eq!(found.map(|found| found.date), Some(day(back)), "{text}");
        }
    }

    #[test]
    fn what_is_no_return_is_not_guessed() {
        let today = day("2026-11-22");
        for text in [
            "I am out of the office and will answer when I am back.",
            "We have received your message, ticket 2026-4711.",
            "I left on 3 January 2019.",
            "Back on 31 February.",
            "Our office moves in 2028-05-01.",
            "Call me on 0171/1234567 or 12.",
            "I am out of the office until Monday. Support is available 24/7.",
            "I'm away. Office hours 9-5.",
            "Out for the rest of the week, market 12.",
            "Ich bin ab dem 30.11.2026 im Urlaub.",
            "From 30 November I am on vacation.",
            "",
        ] {
            assert_eq!(back_on("", text, today), None, "{text}");
        }
    }

    #[test]
    fn a_return_that_is_past_is_told_from_none() {
        let today = day("2026-11-22");
        let found = back_on("", "I am out of the office and back on 20 November.", today);
        assert_eq!(found, Some(Back { date: day("2026-11-20"), is_return: true }));
    }

    #[test]
    fn every_name_of_a_month_is_read() {
        for (place, names) in MONTHS.iter().enumerate() {
            for name in *names {
                let text = format!("Back on 3 {name} 2027");
                let today = NaiveDate::from_ymd_opt(2027, u32::try_from(place).unwrap() + 1, 1).unwrap();
                let found = back_on("", &text, today).map(|found| found.date);
                assert_eq!(found, NaiveDate::from_ymd_opt(2027, u32::try_from(place).unwrap() + 1, 3), "{text}");
            }
        }
    }

    #[test]
    fn an_acknowledgement_is_not_an_absence() {
        assert!(says_so("Automatic reply: Your demo", ""));
        assert!(says_so("", "我正在休假"));
        assert!(!says_so("We have received your request", "A colleague will answer soon."));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_stumble(text in "\\PC{0,200}", day in 0_i32..100_000) {
            let today = NaiveDate::from_num_days_from_ce_opt(700_000 + day).unwrap();
            if let Some(back) = back_on("", &text, today) {
                proptest::prop_assert!(back.date <= today + Days::new(FURTHEST_DAYS));
            }
        }
    }
}
