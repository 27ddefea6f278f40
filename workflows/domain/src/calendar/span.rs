//! Business time on a calendar. Every question is answered from the open spans of a day as instants, so that a clock
//! that goes forward or back in the night neither loses nor repeats time.

use super::{Day, Hours, WorkingCalendar};
use chrono::{DateTime, Days, LocalResult, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// An open span: the first instant within, and the first after.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// The most days that are looked through for a place in business time: some hundred years.
const MOST_DAYS: u32 = 36_600;

/// The first instant at which the wall clock of `zone` shows `minutes` after midnight of `date`, or later.
///
/// Where the clock goes back, the first of the two; where it goes forward over that time, the moment it does. Both keep the
/// order of wall times, so that spans next to each other stay next to each other.
fn instant(zone: Tz, date: NaiveDate, minutes: u16) -> Option<DateTime<Utc>> {
    let midnight = date.and_hms_opt(0, 0, 0)?;
    // A gap is an hour in most places and a whole day where a country crossed the date line.
    (0..=1_500).find_map(|skipped| {
        let wall = midnight.checked_add_signed(TimeDelta::minutes(i64::from(minutes) + skipped))?;
        match zone.from_local_datetime(&wall) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.with_timezone(&Utc)),
            LocalResult::None => None,
        }
    })
}

impl WorkingCalendar {
    pub(super) fn hours(&self, date: NaiveDate) -> &[Hours] {
        if let Ok(at) = self.make_up.binary_search_by_key(&date, |day| day.date) {
            return self.make_up.get(at).map_or(&[], |day| &day.hours);
        }
        if self.holidays.binary_search_by_key(&date, |day| day.date).is_ok() {
            return &[];
        }
        self.week.get(&Day::of(date)).map_or(&[], Vec::as_slice)
    }

    fn spans(&self, date: NaiveDate) -> impl Iterator<Item = Span> + '_ {
        self.hours(date).iter().filter_map(move |hours| {
            let (from, to) = (instant(self.zone, date, hours.from)?, instant(self.zone, date, hours.to)?);
            (from < to).then_some((from, to))
        })
    }

    /// The open spans that end after `at`, in order, day by day.
    fn spans_from(&self, at: DateTime<Utc>) -> impl Iterator<Item = Span> + '_ {
        let first = at.with_timezone(&self.zone).date_naive();
        // The day before as well: its last span may end at an instant whose local date is already the next.
        let first = first.pred_opt().unwrap_or(first);
        (0..MOST_DAYS)
            .map_while(move |n| first.checked_add_days(Days::new(n.into())))
            .flat_map(|date| self.spans(date))
            .skip_while(move |(_, to)| *to <= at)
    }

    /// Whether people are at work at `at`. The end of a span is not within it.
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        self.spans_from(at).next().is_some_and(|(from, _)| from <= at)
    }

    /// `at` itself when people are at work then, otherwise when they next begin. None only where the definition has no
    /// hours ahead at all, which [`super::save`] refuses.
    pub fn next_open(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.spans_from(at).next().map(|(from, _)| from.max(at))
    }

    /// The moment by which `duration` of working time has gone by since `at`.
    ///
    /// A duration that ends with the day ends at closing time, not on the next morning. Zero or less gives the next
    /// open moment. None as for [`Self::next_open`], or when it lies more than a hundred years ahead.
    pub fn add_business(&self, at: DateTime<Utc>, duration: TimeDelta) -> Option<DateTime<Utc>> {
        if duration <= TimeDelta::zero() {
            return self.next_open(at);
        }
        let mut left = duration;
        for (from, to) in self.spans_from(at) {
            let from = from.max(at);
            let here = to - from;
            if left <= here {
                return Some(from + left);
            }
            left -= here;
        }
        None
    }

    /// The working time between two moments; zero when `until` is not after `since`.
    pub fn business_between(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> TimeDelta {
        self.spans_from(since)
            .take_while(|(from, _)| *from < until)
            .fold(TimeDelta::zero(), |sum, (from, to)| sum + (to.min(until) - from.max(since)).max(TimeDelta::zero()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, Holiday, MakeUpDay, save};
    use super::*;
    use crate::id::CalendarId;
    use proptest::prelude::*;

    const WORKDAYS: [Day; 5] = [Day::Monday, Day::Tuesday, Day::Wednesday, Day::Thursday, Day::Friday];

    fn calendar(zone: Tz, days: &[Day], spans: &[&str]) -> WorkingCalendar {
        let hours: Vec<Hours> = spans.iter().map(|span| span.parse().unwrap()).collect();
        let week = days.iter().map(|day| (*day, hours.clone())).collect();
        let name = "Test".to_owned();
        let draft = Draft { key: "test".into(), name, zone, week, holidays: vec![], make_up: vec![] };
        save(None, CalendarId(uuid::Uuid::from_u128(1)), draft).unwrap().next
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn an_evening_and_a_weekend_do_not_count() {
        let office = calendar(chrono_tz::Europe::Berlin, &WORKDAYS, &["09:00-12:00", "13:00-17:00"]);
        let friday = at("2026-05-08T14:30:00Z");
        assert!(office.is_open(friday), "16:30 in Berlin");
        assert_eq!(office.add_business(friday, TimeDelta::hours(1)), Some(at("2026-05-11T07:30:00Z")));
        assert_eq!(
            office.add_business(friday, TimeDelta::minutes(30)),
            Some(at("2026-05-08T15:00:00Z")),
            "closing time"
        );
        assert_eq!(office.next_open(at("2026-05-09T12:00:00Z")), Some(at("2026-05-11T07:00:00Z")));
        assert!(!office.is_open(at("2026-05-08T10:15:00Z")), "lunch");
        assert_eq!(office.business_between(friday, at("2026-05-11T08:00:00Z")), TimeDelta::minutes(90));
        assert_eq!(office.business_between(at("2026-05-11T08:00:00Z"), friday), TimeDelta::zero());
    }

    #[test]
    fn a_make_up_day_is_worked_and_a_holiday_is_not() {
        let mut china = calendar(chrono_tz::Asia::Shanghai, &WORKDAYS, &["09:00-18:00"]);
        china.holidays.push(Holiday { date: date("2026-02-16"), name: "Spring Festival".into() });
        let hours = vec!["09:00-12:00".parse().unwrap()];
        china.make_up.push(MakeUpDay { date: date("2026-02-14"), name: "Spring Festival".into(), hours });
        assert!(china.is_open(at("2026-02-14T01:00:00Z")), "a Saturday");
        assert!(!china.is_open(at("2026-02-14T05:00:00Z")), "by its own hours");
        assert!(!china.is_open(at("2026-02-16T02:00:00Z")), "a Monday");
        assert_eq!(china.next_open(at("2026-02-14T04:00:00Z")), Some(at("2026-02-17T01:00:00Z")));
    }

    #[test]
    fn the_nights_on_which_clocks_change_have_their_true_length() {
        let night = calendar(chrono_tz::Europe::Berlin, Day::ALL, &["00:00-06:00"]);
        let spring = (at("2026-03-28T22:30:00Z"), at("2026-03-29T10:00:00Z"));
        assert_eq!(night.business_between(spring.0, spring.1), TimeDelta::hours(5));
        let autumn = (at("2026-10-24T21:30:00Z"), at("2026-10-25T10:00:00Z"));
        assert_eq!(night.business_between(autumn.0, autumn.1), TimeDelta::hours(7));
        // Spans that begin or end within the hour that does not exist, or exists twice.
        let split = calendar(chrono_tz::Europe::Berlin, Day::ALL, &["00:00-02:30", "02:30-06:00"]);
        assert_eq!(split.business_between(spring.0, spring.1), TimeDelta::hours(5));
        assert_eq!(split.business_between(autumn.0, autumn.1), TimeDelta::hours(7));
    }

    #[test]
    fn a_day_that_a_country_left_out_is_left_out() {
        let samoa = calendar(chrono_tz::Pacific::Apia, Day::ALL, &["09:00-17:00"]);
        let (since, until) = (at("2011-12-29T00:00:00Z"), at("2012-01-02T00:00:00Z"));
        // 28 (from 14:00), 29 and 31 December, 1 January, and 2 January until 14:00 local time.
        assert_eq!(samoa.business_between(since, until), TimeDelta::hours(3 + 8 + 8 + 8 + 5));
    }

    fn zones() -> impl Strategy<Value = Tz> {
        proptest::sample::select(vec![
            chrono_tz::UTC,
            chrono_tz::Europe::Berlin,
            chrono_tz::America::New_York,
            chrono_tz::Asia::Shanghai,
            chrono_tz::Asia::Kolkata,
            chrono_tz::Australia::Lord_Howe,
            chrono_tz::America::Santiago,
            chrono_tz::Asia::Beirut,
        ])
    }

    prop_compose! {
        fn calendars()(
            zone in zones(),
            spans in proptest::collection::btree_set(0_u16..=48, 2..=6),
            days in proptest::sample::subsequence(Day::ALL.to_vec(), 1..=7),
            free in proptest::collection::btree_set(0_u64..40, 0..10),
            extra in proptest::option::of(40_u64..60),
        ) -> WorkingCalendar {
            let edges: Vec<u16> = spans.into_iter().collect();
            let hours: Vec<Hours> = edges.chunks_exact(2).map(|pair| Hours { from: pair[0] * 30, to: pair[1] * 30 }).collect();
            let day = |n| date("2026-03-01") + Days::new(n);
            let draft = Draft {
                key: "any".into(), name: "Any".into(), zone,
                week: days.into_iter().map(|day| (day, hours.clone())).collect(),
                holidays: free.into_iter().map(|n| Holiday { date: day(n), name: "Free".into() }).collect(),
                make_up: extra.into_iter().map(|n| MakeUpDay { date: day(n), name: "Worked".into(), hours: hours.clone() }).collect(),
            };
            save(None, CalendarId(uuid::Uuid::from_u128(1)), draft).unwrap().next
        }
    }

    proptest! {
        #[test]
        fn time_added_is_the_time_between(
            calendar in calendars(), start in 1_766_000_000_i64..1_800_000_000, minutes in 0_i64..6_000,
        ) {
            let start = DateTime::from_timestamp(start, 0).unwrap();
            let end = calendar.add_business(start, TimeDelta::minutes(minutes)).unwrap();
            prop_assert!(end >= start);
            prop_assert_eq!(calendar.business_between(start, end), TimeDelta::minutes(minutes));
        }

        #[test]
        fn a_due_time_never_lands_outside_hours(
            calendar in calendars(), start in 1_766_000_000_i64..1_800_000_000, minutes in 0_i64..6_000,
        ) {
            let start = DateTime::from_timestamp(start, 0).unwrap();
            let end = calendar.add_business(start, TimeDelta::minutes(minutes)).unwrap();
            // Closing time itself is the last moment that counts.
            prop_assert!(calendar.is_open(end) || calendar.is_open(end - TimeDelta::nanoseconds(1)));
        }

        #[test]
        fn the_next_open_moment_is_open_and_the_time_before_it_is_not(
            calendar in calendars(), start in 1_766_000_000_i64..1_800_000_000,
        ) {
            let start = DateTime::from_timestamp(start, 0).unwrap();
            let open = calendar.next_open(start).unwrap();
            prop_assert!(calendar.is_open(open));
            prop_assert_eq!(calendar.business_between(start, open), TimeDelta::zero());
            prop_assert_eq!(open == start, calendar.is_open(start));
        }

        #[test]
        fn time_adds_up(
            calendar in calendars(), start in 1_766_000_000_i64..1_800_000_000, first in 0_i64..1_000_000, second in 0_i64..1_000_000,
        ) {
            let a = DateTime::from_timestamp(start, 0).unwrap();
            let (b, c) = (a + TimeDelta::seconds(first), a + TimeDelta::seconds(first + second));
            prop_assert_eq!(calendar.business_between(a, b) + calendar.business_between(b, c), calendar.business_between(a, c));
        }
    }
}
