//! Schedules: which of their ticks are still to be run.

use chrono::{DateTime, TimeDelta, Utc};
use tandem_app::jobs::cron::{Cron, CronError};
use tandem_store::jobs::{Due, NewJob, Schedule};

/// No more missed ticks than this are run at once under [`Missed::All`].
const MOST_MISSED: usize = 1_000;

/// A tick that is turned this much late is still on time.
const ON_TIME: TimeDelta = TimeDelta::minutes(1);

/// What becomes of ticks that came while nobody could turn them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// They are left out.
    Skip,
    /// They are made up for by one run.
    Once,
    /// Each is run, up to the last thousand.
    All,
}

impl Missed {
    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "SKIP",
            Self::Once => "ONCE",
            Self::All => "ALL",
        }
    }

    fn from_code(code: &str) -> Self {
        [Self::Skip, Self::All].into_iter().find(|missed| missed.as_str() == code).unwrap_or(Self::Once)
    }
}

/// A schedule as a program defines it, beginning after `now`.
pub fn define(
    name: &str,
    fields: &str,
    zone: &str,
    missed: Missed,
    job: &tandem_domain::decision::Job,
    now: DateTime<Utc>,
) -> Result<Schedule, CronError> {
    let next_at = Cron::parse(fields, zone)?.next(now).ok_or_else(|| CronError::Never(fields.to_owned()))?;
    Ok(Schedule {
        name: name.to_owned(),
        cron: fields.to_owned(),
        zone: zone.to_owned(),
        payload: serde_json::json!(job).to_string(),
        missed: missed.as_str().to_owned(),
        paused: false,
        next_at,
        last_at: None,
    })
}

/// What a schedule whose tick has come leads to at `now`.
pub fn turn(schedule: &Schedule, now: DateTime<Utc>) -> Due {
    let Ok(cron) = Cron::parse(&schedule.cron, &schedule.zone) else {
        // Written by hand, or by a newer version: left alone for an hour.
        tracing::error!(schedule = schedule.name, cron = schedule.cron, "a schedule cannot be read");
        return Due { jobs: Vec::new(), next_at: now + TimeDelta::hours(1) };
    };
    let mut ticks = vec![schedule.next_at];
    while let Some(next) = ticks.last().and_then(|last| cron.next(*last)).filter(|next| *next <= now) {
        ticks.push(next);
        if ticks.len() > MOST_MISSED {
            ticks.remove(0);
        }
    }
    let next_at = ticks.last().and_then(|last| cron.next(*last)).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let on_time = |tick: &DateTime<Utc>| now - *tick <= ON_TIME;
    match Missed::from_code(&schedule.missed) {
        Missed::Skip => ticks.retain(on_time),
        Missed::Once => ticks = ticks.split_off(ticks.len() - 1),
        Missed::All => {}
    }
    let kind = serde_json::from_str::<serde_json::Value>(&schedule.payload).ok();
    let kind = kind.as_ref().and_then(|payload| payload["kind"].as_str()).unwrap_or("unknown").to_owned();
    let known = serde_json::from_str::<tandem_domain::decision::Job>(&schedule.payload).ok();
    let queue = known.as_ref().map_or("default", |job| job.queue());
    let ordering_key = known.as_ref().and_then(tandem_domain::decision::Job::ordering_key);
    let job = |tick: DateTime<Utc>| {
        let request_id = format!("schedule:{}", schedule.name);
        let job = NewJob::new(queue, kind.as_str(), schedule.payload.as_str(), tick);
        NewJob { request_id, ordering_key: ordering_key.clone(), ..job }
    };
    Due { jobs: ticks.into_iter().map(|tick| (tick, job(tick))).collect(), next_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn schedule(missed: Missed) -> Schedule {
        Schedule {
            name: "daily".to_owned(),
            cron: "30 2 * * *".to_owned(),
            zone: "Europe/Berlin".to_owned(),
            payload: r#"{"kind":"prune"}"#.to_owned(),
            missed: missed.as_str().to_owned(),
            paused: false,
            next_at: at("2026-01-05T01:30:00Z"),
            last_at: None,
        }
    }

    #[test]
    fn missed_ticks_are_skipped_made_up_for_once_or_all_run() {
        let now = at("2026-01-08T12:00:00Z");
        let ticks = |missed| {
            let due = turn(&schedule(missed), now);
            assert_eq!(due.next_at, at("2026-01-09T01:30:00Z"));
            due.jobs.into_iter().map(|(tick, _)| tick).collect::<Vec<_>>()
        };
        assert!(ticks(Missed::Skip).is_empty());
        assert_eq!(ticks(Missed::Once), [at("2026-01-08T01:30:00Z")]);
        let all = ["2026-01-05T01:30:00Z", "2026-01-06T01:30:00Z", "2026-01-07T01:30:00Z", "2026-01-08T01:30:00Z"];
        assert_eq!(ticks(Missed::All), all.map(at));
        let on_time = turn(&schedule(Missed::Skip), at("2026-01-05T01:30:20Z"));
        assert_eq!(on_time.jobs.len(), 1);
    }
}
