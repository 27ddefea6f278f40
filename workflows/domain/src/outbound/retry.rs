//! When a delivery that failed is tried again.

use chrono::{DateTime, TimeDelta, Utc};

/// The waits after the first, the second ... failure, in seconds: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
/// Source: the Standard Webhooks specification's example schedule, with one more day.
pub const USUAL: [u32; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// How far a wait may be from its length, to either side: deliveries that failed together do not come back together.
const SPREAD: f64 = 0.2;

/// The longest that a receiver may ask to be left alone.
pub const LONGEST: TimeDelta = TimeDelta::hours(24);

/// When to try again after a failure; none where that was the last. `failed` counts the failures so far, this one included,
/// `draw` is from 0 up to 1, and `asked` is what the receiver said with `Retry-After`.
pub fn next(
    schedule: &[TimeDelta],
    failed: u32,
    draw: f64,
    asked: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let wait = schedule.get(usize::try_from(failed).ok()?.checked_sub(1)?)?;
    let factor = 1.0 - SPREAD + 2.0 * SPREAD * draw.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, reason = "a wait of days, in milliseconds")]
    let spread = TimeDelta::milliseconds((wait.num_milliseconds() as f64 * factor) as i64);
    Some(now + spread.max(asked.unwrap_or_default().min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usual() -> Vec<TimeDelta> {
        USUAL.iter().map(|seconds| TimeDelta::seconds((*seconds).into())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn waits_are_those_of_the_schedule_within_a_fifth_and_never_shorter_than_asked(
            failed in 0u32..12, draw in 0.0f64..1.0, asked in proptest::option::of(0i64..200_000)
        ) {
            let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            let asked = asked.map(TimeDelta::seconds);
            match next(&usual(), failed, draw, asked, now) {
                None => prop_assert!(failed == 0 || failed > 9),
                Some(at) => {
                    let (wait, usual) = ((at - now).as_seconds_f64(), f64::from(USUAL[failed as usize - 1]));
                    let asked = asked.unwrap_or_default().min(LONGEST).as_seconds_f64();
                    prop_assert!(wait >= asked);
                    prop_assert!((wait >= usual * 0.799 && wait <= usual * 1.201) || wait == asked, "{} {}", wait, usual);
                }
            }
        }
    }
}
