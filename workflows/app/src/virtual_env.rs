//! A clock that is moved by hand, and ids and chance from a seed: for simulations, the demo and tests.

use crate::env::{Chance, Clock, Ids};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use uuid::Uuid;

/// A clock that only moves when it is told to.
#[derive(Debug)]
pub struct VirtualClock(AtomicI64);

impl VirtualClock {
    /// Stands at `start`.
    pub const fn new(start_ms: i64) -> Self {
        Self(AtomicI64::new(start_ms))
    }

    /// Moves forward by `step`.
    pub fn advance(&self, step: TimeDelta) {
        self.0.fetch_add(step.num_milliseconds(), Ordering::SeqCst);
    }

    /// Moves to `at`.
    pub fn set(&self, at: DateTime<Utc>) {
        self.0.store(at.timestamp_millis(), Ordering::SeqCst);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::SeqCst)).unwrap_or_default()
    }
}

fn digest(seed: u64, count: u64) -> [u8; 32] {
    Sha256::new().chain_update(seed.to_le_bytes()).chain_update(count.to_le_bytes()).finalize().into()
}

/// Ids that repeat with the seed, in order of creation.
#[derive(Debug)]
pub struct SeededIds {
    seed: u64,
    made: AtomicU64,
}

impl SeededIds {
    /// The ids of a seed. Two processes that write into one database need two seeds.
    pub const fn new(seed: u64) -> Self {
        Self { seed, made: AtomicU64::new(0) }
    }

    /// The ids of a part of a run that is played in parts, counted from 0: they sort behind those of the parts before
    /// it. A part has 524,288 ids in order, and a run 128 parts.
    pub fn part(seed: u64, part: u32) -> Self {
        Self { seed: seed.wrapping_add(u64::from(part) << 32), made: AtomicU64::new(u64::from(part) << 19) }
    }
}

impl Ids for SeededIds {
    fn next(&self, now: DateTime<Utc>) -> Uuid {
        let count = self.made.fetch_add(1, Ordering::SeqCst);
        // The count comes first, so that ids of one millisecond sort in the order they were made: 12 bits before the
        // two of the variant, 14 behind them (version and variant overwrite the bits between).
        let low = u32::try_from(count & 0x03ff_ffff).unwrap_or_default();
        let mut bytes = [0; 10];
        bytes[..4].copy_from_slice(&(((low >> 14) << 16) | (low & 0x3fff)).to_be_bytes());
        bytes[4..].copy_from_slice(&digest(self.seed, count)[..6]);
        let ms = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid()
    }
}

/// Chance that repeats with the seed. Its secrets are no secrets.
#[derive(Debug)]
pub struct SeededChance {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededChance {
    /// The draws of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Chance for SeededChance {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let block = digest(self.seed, self.drawn.fetch_add(1, Ordering::SeqCst));
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_ids_sort_in_the_order_they_were_made() {
        let (ids, now) = (SeededIds::new(1), DateTime::from_timestamp_millis(1_700_000_000_000).unwrap());
        let made: Vec<Uuid> = (0..100_000).map(|_| ids.next(now)).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert_eq!(made[0].get_version_num(), 7);
        assert_eq!(SeededIds::new(1).next(now), made[0]);
        assert_ne!(SeededIds::new(2).next(now), made[0]);
    }
}
