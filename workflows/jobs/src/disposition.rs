//! What becomes of a job after one attempt.

use chrono::TimeDelta;

/// What a handler did with its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// The handler's commit finished the job.
    Finished,
    /// There was nothing left to do: the timer's moment had passed, or the state had moved on.
    Obsolete,
    /// Try again after this long, for this reason; the attempt counts.
    Retry {
        /// How long to wait; none for the usual back-off.
        after: Option<TimeDelta>,
        /// Why.
        error: String,
    },
    /// Not now: look again after this long. It costs no attempt.
    Snooze {
        /// How long to wait.
        after: TimeDelta,
    },
    /// It is no longer wanted, for this reason: kept in the archive as cancelled.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Never try again, for this reason: kept in the archive as dead.
    Dead {
        /// Why.
        error: String,
    },
}

/// How long to wait before the next attempt: 2 s doubled per attempt made, at most 1 h, times 0.8 to 1.2 by `chance`
/// (0 to 1), so that jobs that failed together do not come back together.
pub fn backoff(attempt: i32, chance: f64) -> TimeDelta {
    let exponent = attempt.clamp(1, 12);
    let seconds = f64::from(1_i32 << exponent).min(3_600.0) * (0.8 + 0.4 * chance.clamp(0.0, 1.0));
    #[expect(clippy::cast_possible_truncation, reason = "at most 4,320,000")]
    TimeDelta::milliseconds((seconds * 1_000.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_within_its_bounds() {
        assert_eq!(backoff(1, 0.5), TimeDelta::seconds(2));
        assert_eq!(backoff(2, 0.5), TimeDelta::seconds(4));
        assert_eq!(backoff(1, 0.0), TimeDelta::milliseconds(1_600));
        assert_eq!(backoff(i32::MAX, 1.0), TimeDelta::milliseconds(4_320_000));
        assert_eq!(backoff(-4, 0.5), TimeDelta::seconds(2));
    }
}
