//! How long a lead may stay where it is.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long a lead may stay where it is before a timer moves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patience {
    /// Hours that marketing has for a received lead; then it goes to the SDR queue.
    pub triage_hours: u32,
    /// Hours that a queued lead may wait; then it becomes more urgent.
    pub queue_hours: u32,
    /// Hours that an SDR has to dispatch a verified lead; then it goes back to the queue.
    pub dispatch_hours: u32,
    /// Days until a recycled lead without a date of its own comes back.
    pub recycle_days: u32,
    /// How often in a row a timer may move a lead before it is closed with `NOT_MOVED`.
    pub moves_by_timer: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { triage_hours: 24, queue_hours: 24, dispatch_hours: 24, recycle_days: 30, moves_by_timer: 12 }
    }
}

impl Patience {
    /// When triage must be over for a lead received at `now`.
    pub fn triage(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::hours(i64::from(self.triage_hours))
    }

    /// When a lead queued at `now` becomes more urgent.
    pub fn queue(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::hours(i64::from(self.queue_hours))
    }

    /// When a lead verified at `now` must be dispatched.
    pub fn dispatch(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::hours(i64::from(self.dispatch_hours))
    }

    /// When a lead recycled at `now` comes back.
    pub fn recycle(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::days(i64::from(self.recycle_days))
    }
}
