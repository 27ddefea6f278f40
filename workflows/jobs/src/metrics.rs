//! What a node counts about the jobs it runs. Depths are not counted here: they are read from the table when asked for.

use chrono::TimeDelta;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;
use tandem_store::jobs::Claimed;

/// How late a job may start: from the lag of one look to hours.
const LATENESS: [f64; 13] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0];
/// How long an attempt may take: from a row's update to the time limit.
const RUN: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQueue {
    queue: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    kind: String,
    outcome: &'static str,
}

/// What this process counts about jobs. Cheap to clone; every clone counts into the same numbers.
#[derive(Debug, Clone)]
pub struct Metrics {
    lateness: Family<OfQueue, Histogram, fn() -> Histogram>,
    run: Family<OfKind, Histogram, fn() -> Histogram>,
    attempts: Family<Ended, Counter>,
    leases_lost: Family<OfKind, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            lateness: Family::new_with_constructor(|| Histogram::new(LATENESS)),
            run: Family::new_with_constructor(|| Histogram::new(RUN)),
            attempts: Family::default(),
            leases_lost: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds the metrics to a registry, which gives their names a prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "job_lateness",
            "From the moment a job falls due to its first start, by the database's clock",
            Unit::Seconds,
            self.lateness.clone(),
        );
        registry.register_with_unit(
            "job_run",
            "How long attempts take; jobs that run together share the time",
            Unit::Seconds,
            self.run.clone(),
        );
        registry.register("job_attempts", "Attempts, by what became of the job", self.attempts.clone());
        registry.register(
            "job_leases_lost",
            "Attempts whose lease had gone to somebody else; their work was rolled back",
            self.leases_lost.clone(),
        );
    }

    /// Jobs were leased. What was put back or put off before is not late by that, so only first starts count.
    pub(crate) fn started(&self, jobs: &[Claimed]) {
        for job in jobs.iter().filter(|job| job.lease.fence == 1) {
            let late = (job.started_at - job.due_at).max(TimeDelta::zero());
            let labels = OfQueue { queue: job.queue.clone() };
            self.lateness.get_or_create(&labels).observe(late.as_seconds_f64());
        }
    }

    /// An attempt, or each of several that ran together, took this long.
    pub(crate) fn ran(&self, kind: &str, took: Duration, together: usize) {
        let share = took.as_secs_f64() / f64::from(u32::try_from(together.max(1)).unwrap_or(u32::MAX));
        let run = self.run.get_or_create_owned(&OfKind { kind: kind.to_owned() });
        (0..together).for_each(|_| run.observe(share));
    }

    pub(crate) fn ended(&self, kind: &str, outcome: &'static str) {
        self.attempts.get_or_create(&Ended { kind: kind.to_owned(), outcome }).inc();
    }

    pub(crate) fn lease_lost(&self, kind: &str) {
        self.leases_lost.get_or_create(&OfKind { kind: kind.to_owned() }).inc();
    }
}
