//! The database's clock, and how late something was by it.

use chrono::{DateTime, TimeDelta, Utc};
use std::time::Instant;
use tandem_testkit::World;

/// The database's clock, as this process can read it without asking.
#[derive(Clone, Copy)]
pub struct Clock {
    read: Instant,
    said: DateTime<Utc>,
}

impl Clock {
    /// Asks the database once.
    pub async fn read(world: &World) -> Self {
        let before = Instant::now();
        let said = world.app.store.database_time().await.unwrap();
        Self { read: before + before.elapsed() / 2, said }
    }

    /// Now.
    pub fn now(self) -> DateTime<Utc> {
        self.said + TimeDelta::from_std(self.read.elapsed()).unwrap()
    }
}

/// How late each was, in microseconds, in order.
pub struct Lateness(Vec<i64>);

impl Lateness {
    /// Puts them in order.
    pub fn of(mut micros: Vec<i64>) -> Self {
        micros.sort_unstable();
        Self(micros)
    }

    /// What half of them, and all but one in a hundred, were within, in milliseconds.
    pub fn p50_and_p99(&self) -> (f64, f64) {
        let at = |percent: usize| {
            let micros = self.0.get((self.0.len().max(1) - 1) * percent / 100).copied().unwrap_or(0);
            #[expect(clippy::cast_precision_loss, reason = "a time to be shown")]
            let ms = micros as f64 / 1_000.0;
            ms
        };
        (at(50), at(99))
    }

    /// The latest, in microseconds.
    pub fn most(&self) -> i64 {
        self.0.last().copied().unwrap_or(0)
    }
}
