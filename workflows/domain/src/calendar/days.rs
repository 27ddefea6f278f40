//! Whole days on a calendar: which are worked, and which day is the second from now.

use super::WorkingCalendar;
use crate::sequence::steps::wait::existing;
use chrono::{DateTime, Days, NaiveDate, Utc};

/// The most days that are looked through for a working day: some hundred years.
const MOST_DAYS: u64 = 36_600;

impl WorkingCalendar {
    /// Whether the date, in the calendar's zone, is a holiday.
    pub fn is_holiday(&self, date: NaiveDate) -> bool {
        self.holidays.binary_search_by_key(&date, |day| day.date).is_ok()
    }

    /// Whether the date is worked although the week says otherwise.
    pub fn is_made_up(&self, date: NaiveDate) -> bool {
        self.make_up.binary_search_by_key(&date, |day| day.date).is_ok()
    }

    /// Whether people are at work at some time of the date.
    pub fn is_working_day(&self, date: NaiveDate) -> bool {
        !self.hours(date).is_empty()
    }

    /// The same time of day, in the calendar's zone, on the `days`-th working day after the day of `at`; 0 is `at` itself. Where
    /// the clocks leave that time out, the first that exists after it; where they repeat it, the earlier. None only when it
    /// lies more than a hundred years ahead.
    pub fn add_business_days(&self, at: DateTime<Utc>, days: u32) -> Option<DateTime<Utc>> {
        let Some(following) = usize::try_from(days).ok()?.checked_sub(1) else { return Some(at) };
        let local = at.with_timezone(&self.zone).naive_local();
        let date = (1..=MOST_DAYS)
            .map_while(|days| local.date().checked_add_days(Days::new(days)))
            .filter(|date| self.is_working_day(*date))
            .nth(following)?;
        existing(date.and_time(local.time()), self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, SHIPPED, save};
    use super::*;
    use crate::id::CalendarId;

    fn china() -> WorkingCalendar {
        save(None, CalendarId(uuid::Uuid::nil()), Draft::from_yaml(SHIPPED[0]).unwrap()).unwrap().next
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_weekend_is_no_working_day_and_the_day_itself_does_not_count() {
        let china = china();
        // Friday at 15:00 in Shanghai.
        let friday = at("2026-03-06T07:00:00Z");
        assert_eq!(china.add_business_days(friday, 0), Some(friday));
        assert_eq!(china.add_business_days(friday, 1), Some(at("2026-03-09T07:00:00Z")));
        assert_eq!(china.add_business_days(friday, 2), Some(at("2026-03-10T07:00:00Z")));
        let saturday = at("2026-03-07T07:00:00Z");
        assert_eq!(china.add_business_days(saturday, 1), Some(at("2026-03-09T07:00:00Z")));
    }

    #[test]
    fn holidays_do_not_count_and_days_that_are_made_up_do() {
        let mut china = china();
        china.holidays = vec![super::super::Holiday { date: "2026-03-09".parse().unwrap(), name: "H".into() }];
        let hours = vec!["09:00-12:00".parse().unwrap()];
        china.make_up = vec![super::super::MakeUpDay { date: "2026-03-07".parse().unwrap(), name: "M".into(), hours }];
        let friday = at("2026-03-06T07:00:00Z");
        assert_eq!(china.add_business_days(friday, 1), Some(at("2026-03-07T07:00:00Z")));
        assert_eq!(china.add_business_days(friday, 2), Some(at("2026-03-10T07:00:00Z")));
    }
}
