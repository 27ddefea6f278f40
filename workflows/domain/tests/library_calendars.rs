//! The shipped calendars are valid, and say what the public notices say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc, Weekday};
use tandem_domain::calendar::{Draft, SHIPPED, WorkingCalendar, save};
use tandem_domain::id::CalendarId;

fn shipped(yaml: &str) -> WorkingCalendar {
    save(None, CalendarId(uuid::Uuid::from_u128(1)), Draft::from_yaml(yaml).unwrap()).unwrap().next
}

fn china() -> WorkingCalendar {
    shipped(SHIPPED[0])
}

fn united_states() -> WorkingCalendar {
    shipped(SHIPPED[1])
}

fn worked_days(calendar: &WorkingCalendar) -> usize {
    let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    let noonish = |date: NaiveDate| {
        let local = date.and_hms_opt(10, 0, 0).unwrap().and_local_timezone(calendar.zone).unwrap();
        local.with_timezone(&Utc)
    };
    first.iter_days().take_while(|day| day.year() == 2026).filter(|day| calendar.is_open(noonish(*day))).count()
}

#[test]
fn china_works_248_days_in_2026() {
    let china = china();
    assert_eq!((china.holidays.len(), china.make_up.len()), (33, 6));
    assert!(china.make_up.iter().all(|day| matches!(day.date.weekday(), Weekday::Sat | Weekday::Sun)));
    assert_eq!(worked_days(&china), 248);
}

#[test]
fn the_united_states_work_250_days_in_2026() {
    let states = united_states();
    assert_eq!(states.holidays.len(), 11);
    assert!(states.holidays.iter().all(|day| !matches!(day.date.weekday(), Weekday::Sat | Weekday::Sun)));
    assert_eq!(worked_days(&states), 250);
}

#[test]
fn an_hour_before_spring_festival_ends_after_it() {
    // Saturday 14 February is a make-up day; the next working day is Tuesday 24 February.
    let eve: DateTime<Utc> = "2026-02-14T09:30:00Z".parse().unwrap();
    assert_eq!(china().add_business(eve, TimeDelta::hours(1)).unwrap().to_rfc3339(), "2026-02-24T01:30:00+00:00");
}

#[test]
fn a_file_that_is_no_calendar_is_refused_by_name() {
    for text in [
        "",
        "key: [",
        "key: x\nname: X\nzone: Mars/Base\nweek: {}",
        "key: x\nname: X\nzone: UTC\nweek: { MONDAY: [\"9-5\"] }",
    ] {
        assert_eq!(Draft::from_yaml(text).unwrap_err().code(), "CALENDAR_UNREADABLE", "{text}");
    }
}
