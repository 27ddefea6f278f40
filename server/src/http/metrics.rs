//! `/metrics`: what this process counted, and what the job table holds at this moment, for Prometheus.
//!
//! Every process answers for itself what it counted; the gauges are read from the database and so are the same from
//! each.

use super::health::PATIENCE;
use super::router::Http;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tandem_domain::email::EmailState;
use tandem_store::jobs::Now;
use tandem_store::{Store, StoreError};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long what was read from the job table is shown again: reading it counts every job, and anybody may ask.
const FRESH: Duration = Duration::from_secs(5);
/// How long a request may take: from a cached page to the time limit.
const DURATIONS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    queue: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQueue {
    queue: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InEmailState {
    state: &'static str,
}

/// What this process counts. Cheap to clone; every clone counts into the same numbers.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) jobs: tandem_jobs::Metrics,
    requests: Family<Answered, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    table: Arc<Mutex<Option<(Instant, Table)>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            jobs: tandem_jobs::Metrics::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            table: Arc::default(),
        }
    }
}

/// What the job table held when it was looked at.
#[derive(Clone, Default)]
struct Table {
    jobs: Family<InState, Gauge>,
    oldest_due: Family<OfQueue, Gauge<f64, AtomicU64>>,
    dead: Gauge,
    nodes: Gauge,
    emails: Family<InEmailState, Gauge>,
}

/// The states of e-mails that still have to come to an end.
const OPEN: [EmailState; 4] = [EmailState::Planned, EmailState::Sending, EmailState::Deferred, EmailState::Unknown];

impl Table {
    async fn read(store: &Store) -> Result<Self, StoreError> {
        let table = Self::default();
        let now = store.database_time().await?;
        for depth in store.job_depths(Now::Database).await? {
            for (state, jobs) in [("due", depth.due), ("running", depth.running), ("waiting", depth.waiting)] {
                table.jobs.get_or_create_owned(&InState { queue: depth.queue.clone(), state }).set(jobs);
            }
            let late = depth.oldest_due.map_or(0.0, |due| (now - due).as_seconds_f64().max(0.0));
            table.oldest_due.get_or_create_owned(&OfQueue { queue: depth.queue }).set(late);
        }
        table.dead.set(store.dead_jobs().await?);
        let living = store.nodes(Now::Database).await?.iter().filter(|node| !node.lost()).count();
        table.nodes.set(i64::try_from(living).unwrap_or(i64::MAX));
        let emails = store.email_counts(&OPEN).await?;
        for state in OPEN {
            let count = emails.get(&state).copied().unwrap_or_default();
            table.emails.get_or_create_owned(&InEmailState { state: state.as_str() }).set(count);
        }
        Ok(table)
    }

    fn register(self, registry: &mut Registry) {
        registry.register("jobs", "Jobs in the table, by queue and state", self.jobs);
        let help = "For how long the job that is due and waits longest has been due";
        registry.register_with_unit("jobs_oldest_due", help, Unit::Seconds, self.oldest_due);
        registry.register("jobs_dead", "Jobs that were given up and are still in the archive", self.dead);
        let help = "E-mails that have not come to an end, by state; UNKNOWN ones wait for a person";
        registry.register("emails", help, self.emails);
        registry.register("job_nodes", "Processes that run jobs and reported within the last half minute", self.nodes);
    }
}

impl Metrics {
    /// The table as it was read at most [`FRESH`] ago. Whoever asks at the same moment waits for the one answer.
    async fn table(&self, store: &Store) -> Result<Table, StoreError> {
        let mut last = self.table.lock().await;
        match &*last {
            Some((read, table)) if read.elapsed() < FRESH => Ok(table.clone()),
            _ => {
                let table = Table::read(store).await?;
                *last = Some((Instant::now(), table.clone()));
                Ok(table)
            }
        }
    }

    /// Everything, in the text format of OpenMetrics.
    async fn text(&self, store: &Store) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("tandem");
        self.jobs.register(&mut registry);
        registry.register("http_requests", "Requests that were answered", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "From the arrival of a request to its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        let up = Gauge::<i64>::default();
        // A database that is down is what somebody may be looking for here: the rest is shown all the same.
        match tokio::time::timeout(PATIENCE, self.table(store)).await {
            Ok(Ok(table)) => {
                up.set(1);
                table.register(&mut registry);
            }
            Ok(Err(error)) => tracing::warn!(%error, "the job table could not be read for /metrics"),
            Err(_) => tracing::warn!(patience = ?PATIENCE, "the job table could not be read in time for /metrics"),
        }
        registry.register("database_up", "Whether the job table could be read", up);
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

/// The exposition. Open like `/readyz`: it holds numbers, and names of queues, kinds and routes.
pub(super) async fn show(State(http): State<Http>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match http.metrics.text(&http.app.store).await {
        Ok(text) if accept.contains("application/openmetrics-text") => {
            ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                .into_response()
        }
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], plain(&text)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            super::error::HttpError::internal().into_response()
        }
    }
}

/// Prometheus' own text format of OpenMetrics': a counter is declared by the name of its sample, and there are neither
/// units nor an end mark.
fn plain(open: &str) -> String {
    let counters: HashSet<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.push_str(&format!("# {what} {name}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Counts every request by its route; what has none is counted together, so that nobody can make up labels.
pub(super) async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    };
    let began = Instant::now();
    let response = next.run(request).await;
    metrics.durations.get_or_create_owned(&Route { route: route.clone() }).observe(began.elapsed().as_secs_f64());
    metrics.requests.get_or_create(&Answered { method, route, status: response.status().as_u16() }).inc();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_declares_a_counter_by_its_sample() {
        let open = "# HELP a Some words here.\n# TYPE a counter\na_total{k=\"# TYPE a counter\"} 1\n\
                    # HELP b_seconds B.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 2\n# EOF\n";
        let older = "# HELP a_total Some words here.\n# TYPE a_total counter\na_total{k=\"# TYPE a counter\"} 1\n\
                     # HELP b_seconds B.\n# TYPE b_seconds gauge\nb_seconds 2\n";
        assert_eq!(plain(open), older);
    }
}
