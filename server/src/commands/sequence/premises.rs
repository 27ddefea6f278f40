//! What a simulation goes by: when it begins, in which zone, and by which working calendars.

use anyhow::bail;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};
use tandem_domain::calendar::{Calendars, Day, WorkingCalendar};
use tandem_domain::nearest::nearest;
use tandem_domain::sequence::Definition;

/// Reads the IANA name of a zone.
pub(super) fn zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        let hint = match nearest(&shown, TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write one such as Europe/Berlin".to_owned(),
        };
        format!("`{shown}` is no zone of the IANA database; {hint}")
    })
}

/// Reads a moment, or a day, which begins at nine.
pub(super) fn moment(text: &str) -> Result<NaiveDateTime, String> {
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(9, 0, 0);
    ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(day)
        .ok_or_else(|| format!("`{text}` is not a moment such as 2026-03-02 or 2026-03-02T09:00"))
}

/// The moment at which clocks of a zone show this. In the hour that a clock change repeats, the earlier one; one that it leaves
/// out is refused.
pub(super) fn begins(local: NaiveDateTime, zone: Tz) -> anyhow::Result<DateTime<Utc>> {
    if let Some(moment) = zone.from_local_datetime(&local).earliest() {
        return Ok(moment.with_timezone(&Utc));
    }
    let shown = local.format("%Y-%m-%dT%H:%M");
    match GapInfo::new(&local, &zone) {
        Some(GapInfo { begin: Some((from, _)), end: Some(end) }) => bail!(
            "--start {shown} is not there in {}: clocks are put forward from {} to {}; the next moment there is {}",
            zone.name(),
            from.format("%H:%M"),
            end.format("%H:%M"),
            end.format("%Y-%m-%dT%H:%M")
        ),
        _ => bail!("--start {shown} is not there in {}; give another moment", zone.name()),
    }
}

/// What is to be known of the calendars that a definition names where none was looked up: a line for each.
pub(super) fn of_calendars(definition: &Definition, known: &Calendars) -> Vec<String> {
    let line = |key: &str| {
        let goes_by = match known.get(key) {
            Some(calendar) => format!("taken is the one of that key that ships with Tandem: {}", hours(calendar)),
            None => "none of that key ships with Tandem: a wait in its business time ends the run, and windows go by the clock".to_owned(),
        };
        format!("the calendar `{key}` was not looked up; {goes_by}. --contacts takes the one of the installation")
    };
    definition.calendars().into_iter().map(line).collect()
}

/// The hours and days of a calendar, days with the same hours together.
fn hours(calendar: &WorkingCalendar) -> String {
    let mut week: Vec<(Vec<Day>, String)> = Vec::new();
    for (day, hours) in &calendar.week {
        let hours = hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        match week.last_mut() {
            Some((days, same)) if *same == hours => days.push(*day),
            _ => week.push((vec![*day], hours)),
        }
    }
    let short = |day: &Day| day.to_string().chars().take(3).collect::<String>().to_lowercase();
    let span = |days: &[Day]| match days {
        [first, .., last] => format!("{}-{}", short(first), short(last)),
        days => days.iter().map(short).collect(),
    };
    let week: Vec<String> = week.iter().map(|(days, hours)| format!("{} {hours}", span(days))).collect();
    let last = calendar.holidays.iter().map(|day| day.date).max();
    let holidays = last.map_or_else(String::new, |last| {
        format!(
            ", {} free days until {last}, {} worked ones outside the week",
            calendar.holidays.len(),
            calendar.make_up.len()
        )
    });
    format!("{} ({}{holidays})", week.join(", "), calendar.zone.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::calendar::shipped;

    #[test]
    fn a_moment_that_a_clock_change_leaves_out_is_refused_and_of_one_that_it_repeats_the_earlier_is_taken() {
        let begins = |text: &str| begins(moment(text).unwrap(), Tz::Europe__Berlin);
        let refused = begins("2026-03-29T02:30").unwrap_err().to_string();
        assert_eq!(
            refused,
            "--start 2026-03-29T02:30 is not there in Europe/Berlin: clocks are put forward from 02:00 to 03:00; the next moment \
             there is 2026-03-29T03:00"
        );
        assert_eq!(begins("2026-03-29T03:00").unwrap().to_rfc3339(), "2026-03-29T01:00:00+00:00");
        assert_eq!(begins("2026-10-25T02:30").unwrap().to_rfc3339(), "2026-10-25T00:30:00+00:00");
        assert_eq!(begins("2026-03-02").unwrap().to_rfc3339(), "2026-03-02T08:00:00+00:00");
    }

    #[test]
    fn a_zone_that_is_none_is_told_with_the_one_that_was_likely_meant() {
        assert_eq!(zone("Asia/Shanghai"), Ok(Tz::Asia__Shanghai));
        assert_eq!(
            zone("Europe/Berln").unwrap_err(),
            "`Europe/Berln` is no zone of the IANA database; did you mean `Europe/Berlin`?"
        );
        assert!(zone("Mars").unwrap_err().ends_with("write one such as Europe/Berlin"));
    }

    #[test]
    fn which_hours_stand_in_for_a_calendar_is_told() {
        let source = "key: k\nname: K\nsubject: contact\ncalendar: china\nsteps:\n  - {id: done, kind: end}\n";
        let definition = |source: &str| tandem_domain::sequence::validate::read(source).unwrap();
        let told = of_calendars(&definition(source), &shipped());
        assert_eq!(told.len(), 1);
        let hours = "mon-fri 09:00-12:00 and 13:30-18:00 (Asia/Shanghai, ";
        assert!(told[0].contains("`china` was not looked up") && told[0].contains(hours), "{told:?}");
        let other = of_calendars(&definition(&source.replace("china", "ours")), &shipped());
        assert!(other[0].contains("none of that key"), "{other:?}");
        assert!(of_calendars(&definition(&source.replace("calendar: china\n", "")), &shipped()).is_empty());
    }
}
