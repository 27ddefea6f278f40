//! What must hold, worked out by hand from what a definition says: not by the functions that decide.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use std::collections::BTreeSet;
use tandem_domain::calendar::{Calendars, WorkingCalendar};
use tandem_domain::contact_policy::{CapScope, ContactPolicy};
use tandem_domain::sequence::publishing::SequenceVersion;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn stored(version: &SequenceVersion) -> Value {
    serde_json::to_value(&version.definition).unwrap()
}

fn opens_on(window: &Value, day: NaiveDate, calendar: Option<&WorkingCalendar>) -> bool {
    let named: Vec<&str> = match window["weekdays"].as_array() {
        Some(days) => days.iter().map(|day| day.as_str().unwrap()).collect(),
        None => DAYS[..5].to_vec(),
    };
    if let Some(calendar) = calendar {
        if calendar.holidays.iter().any(|holiday| holiday.date == day) {
            return false;
        }
        let whole_week = DAYS[..5].iter().all(|day| named.contains(day));
        if whole_week && calendar.make_up.iter().any(|made_up| made_up.date == day) {
            return true;
        }
    }
    named.contains(&DAYS[day.weekday().num_days_from_monday() as usize])
}

/// Whether a version lets its e-mails go out at a moment, where the person lives.
pub fn is_within_hours(version: &SequenceVersion, calendars: &Calendars, at: DateTime<Utc>, zone: Tz) -> bool {
    let stored = stored(version);
    let window = &stored["send_window"];
    if window.is_null() {
        return true;
    }
    let key = window["calendar"].as_str().or(stored["calendar"].as_str());
    let calendar = key.map(|key| &calendars[key]);
    let time = |field: &str| NaiveTime::parse_from_str(window[field].as_str().unwrap(), "%H:%M").unwrap();
    let wall = at.with_timezone(&zone).naive_local();
    // The opening that began yesterday may go on today.
    [wall.date() - Days::new(1), wall.date()].into_iter().any(|day| {
        let closes = if time("to") <= time("from") { day + Days::new(1) } else { day };
        opens_on(window, day, calendar) && day.and_time(time("from")) <= wall && wall < closes.and_time(time("to"))
    })
}

/// Whether one more e-mail to the only person there is breaks a cap, after those that were begun.
pub fn would_be_too_many(policy: &ContactPolicy, begun: &[DateTime<Utc>], now: DateTime<Utc>) -> bool {
    policy.caps.iter().any(|cap| {
        assert!(matches!(cap.scope, CapScope::Person | CapScope::Account), "there is one person of one account");
        let within = begun.iter().filter(|at| now - **at < TimeDelta::hours(cap.hours.into())).count();
        within >= cap.most as usize
    })
}

/// The names that the settings of a step lead to, and whether it goes on to the following one.
fn targets(step: &Value) -> (Vec<String>, bool) {
    let mut named = Vec::new();
    let mut name = |value: &Value| named.extend(value.as_str().map(str::to_owned));
    for field in ["then", "else", "on_timeout", "next"] {
        name(&step[field]);
    }
    for way in step["on"].as_object().into_iter().flatten() {
        name(way.1);
    }
    for variant in step["variants"].as_array().into_iter().flatten() {
        name(&variant["then"]);
    }
    let kind = step["kind"].as_str().unwrap();
    let ends = ["branch", "split", "end"].contains(&kind) || step["on"]["success"].is_string();
    (named, !ends && step["next"].is_null())
}

/// The steps that a run before `from` can come to, that one included.
pub fn reach(version: &SequenceVersion, from: &str) -> BTreeSet<String> {
    let stored = stored(version);
    let steps = stored["steps"].as_array().unwrap();
    let (mut found, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(here) = open.pop() {
        let Some(at) = steps.iter().position(|step| step["id"] == *here) else { continue };
        if !found.insert(here) {
            continue;
        }
        let (named, follows) = targets(&steps[at]);
        open.extend(named);
        if follows {
            open.extend(steps.get(at + 1).map(|step| step["id"].as_str().unwrap().to_owned()));
        }
    }
    found
}

/// Whether a step of this name may have an effect: its name begins with its kind.
pub fn acts(step: &str) -> bool {
    let idle = ["wait", "branch", "split", "check_goal", "end", "done"];
    !idle.contains(&step.trim_end_matches(|c: char| c == '_' || c.is_ascii_digit())) && !step.starts_with("wait_for")
}
