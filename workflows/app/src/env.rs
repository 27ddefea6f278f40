//! What commands take from the world, each behind a port: time, ids, chance.

use crate::QueueRules;
use crate::email::Mail;
use crate::outbound::Hooks;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now. Tandem keeps milliseconds: finer parts are cut off by [`Env::now`].
    fn now(&self) -> DateTime<Utc>;
}

/// Makes ids.
pub trait Ids: Send + Sync {
    /// A new id that nobody has had, which sorts behind the ids made before `now`.
    fn next(&self, now: DateTime<Utc>) -> Uuid;
}

/// Makes secrets and draws lots.
pub trait Chance: Send + Sync {
    /// Fills the buffer with bytes that nobody can guess (in production).
    fn fill(&self, bytes: &mut [u8]);

    /// A number from 0 up to, not including, 1.
    fn fraction(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Ties what this process does to traces that go through other processes, by the `traceparent` of W3C Trace Context.
pub trait Traces: Send + Sync {
    /// The trace context of the span that is current, for work that continues it later; none where nothing is traced.
    fn current(&self) -> Option<String>;

    /// Makes a span that was not entered yet a part of a trace. What is no trace context is ignored.
    fn resume(&self, span: &tracing::Span, traceparent: &str);
}

/// Where nothing is traced.
#[derive(Debug, Clone, Copy)]
pub struct NoTraces;

impl Traces for NoTraces {
    fn current(&self) -> Option<String> {
        None
    }

    fn resume(&self, _span: &tracing::Span, _traceparent: &str) {}
}

/// The ports and rules that commands use. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The maker of ids.
    pub ids: Arc<dyn Ids>,
    /// Chance.
    pub chance: Arc<dyn Chance>,
    /// The traces.
    pub traces: Arc<dyn Traces>,
    /// E-mail: who sends, under which name, with which links.
    pub mail: Arc<Mail>,
    /// Outbound webhooks: who posts, and when again.
    pub hooks: Arc<Hooks>,
    /// The rules of the SDR queue.
    pub queue: Arc<QueueRules>,
}

impl Env {
    /// Now, to the millisecond.
    pub fn now(&self) -> DateTime<Utc> {
        let now = self.clock.now();
        now.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(now)
    }

    /// A new id of the kind asked for.
    pub fn id<T: From<Uuid>>(&self, now: DateTime<Utc>) -> T {
        T::from(self.ids.next(now))
    }
}
