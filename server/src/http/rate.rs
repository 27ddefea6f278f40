//! How often one token may ask, and how much one sender may send: each has a bucket that refills at an even pace (GCRA), in the memory of this process.

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;
use tandem_domain::ledger::sha256_hex;

/// Beyond so many tokens those whose buckets are full again are forgotten.
const MOST_REMEMBERED: usize = 10_000;

/// The buckets of all tokens.
pub(super) struct Rate<C: Clock = DefaultClock> {
    buckets: RateLimiter<String, DashMapStateStore<String>, C, NoOpMiddleware<C::Instant>>,
    burst: NonZeroU32,
    clock: C,
}

impl Rate {
    /// So many requests a second for each token, and so many at once after a pause.
    pub(super) fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::by(DefaultClock::default(), per_second, burst)
    }
}

impl<C: Clock + Clone> Rate<C> {
    fn by(clock: C, per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let buckets = RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Self { buckets, burst, clock }
    }

    /// Counts a request under a token, or says how long to wait.
    pub(super) fn take(&self, secret: &str) -> Result<(), Duration> {
        self.take_many(secret, NonZeroU32::MIN)
    }

    /// Counts so many at once, or says how long to wait. More than a full bucket holds are counted as a full bucket.
    pub(super) fn take_many(&self, secret: &str, count: NonZeroU32) -> Result<(), Duration> {
        if self.buckets.len() > MOST_REMEMBERED {
            self.buckets.retain_recent();
        }
        let key = sha256_hex(&[secret.as_bytes()]);
        match self.buckets.check_key_n(&key, count.min(self.burst)) {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(until)) => Err(until.wait_time_from(self.clock.now())),
        }
    }
}

/// What somebody is told who asks too often.
pub(super) fn message(wait: Duration) -> String {
    format!("this token asks too often; wait {} s", seconds(wait))
}

/// A wait in whole seconds, at least one, as `Retry-After` has it.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    #[test]
    fn a_token_has_its_burst_and_then_its_pace_and_others_have_their_own() {
        let number = |n| NonZeroU32::new(n).unwrap();
        let clock = FakeRelativeClock::default();
        let rate = Rate::by(clock.clone(), number(2), number(5));
        let taken = |secret, tries: usize| (0..tries).filter(|_| rate.take(secret).is_ok()).count();
        assert_eq!(taken("a", 9), 5);
        assert_eq!(rate.take("a").map_err(seconds), Err(1));
        assert_eq!(taken("b", 9), 5);
        clock.advance(Duration::from_secs(1));
        assert_eq!(taken("a", 9), 2);
    }

    #[test]
    fn many_at_once_are_counted_one_by_one_and_never_wait_for_ever() {
        let number = |n| NonZeroU32::new(n).unwrap();
        let clock = FakeRelativeClock::default();
        let rate = Rate::by(clock.clone(), number(10), number(100));
        assert_eq!(rate.take_many("a", number(60)), Ok(()));
        assert_eq!(rate.take_many("a", number(60)).map_err(seconds), Err(2));
        assert_eq!(rate.take_many("b", number(5_000)), Ok(()));
        assert_eq!(rate.take_many("b", number(5_000)).map_err(seconds), Err(10));
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        assert_eq!([0, 1, 1_000, 1_001].map(|ms| seconds(Duration::from_millis(ms))), [1, 1, 1, 2]);
    }
}
