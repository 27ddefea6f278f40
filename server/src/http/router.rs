//! Which address leads where, and the layers around all of them.

use super::documents::Documents;
use super::error::HttpError;
use super::ingest::{self, Collector};
use super::rate::Rate;
use super::request::{self, Frame};
use super::websocket::Sockets;
use super::{graphql, health, metrics, tracking, unsubscribe, webhooks, websocket};
use crate::config::Settings;
use crate::shutdown::Shutdown;
use crate::wiring;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::middleware;
use axum::response::{Html, IntoResponse};
use axum::routing::{any, get};
use std::sync::Arc;
use std::time::Duration;
use tandem_api::TandemSchema;
use tandem_app::App;
use tower_http::compression::CompressionLayer;

/// What the handlers need. Cheap to clone.
#[derive(Clone)]
pub struct Http {
    pub(super) app: App,
    pub(super) schema: TandemSchema,
    pub(super) documents: Documents,
    pub(super) limits: Arc<Limits>,
    pub(super) rate: Arc<Rate>,
    pub(super) events: Arc<Rate>,
    pub(super) collector: Collector,
    pub(super) sockets: Sockets,
    pub(super) shutdown: Shutdown,
    pub(super) metrics: metrics::Metrics,
    frame: Frame,
}

/// What a request may take.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) graphiql: bool,
    pub(super) graphql_timeout: Duration,
    pub(super) max_body: usize,
}

impl Http {
    /// Over an application, with the limits of the settings; within a runtime. Fails where the trusted documents cannot be
    /// read.
    pub fn new(settings: &Settings, app: App, shutdown: Shutdown) -> anyhow::Result<Self> {
        let server = &settings.server;
        let limits = Limits {
            graphiql: server.graphiql && !server.only_trusted_documents,
            graphql_timeout: Duration::from_secs(server.graphql_timeout_seconds.get()),
            max_body: server.max_body_bytes.get(),
        };
        let frame = Frame {
            make_id: wiring::request_ids(&app.env),
            traces: app.env.traces.clone(),
            timeout: Duration::from_secs(server.request_timeout_seconds.get()),
        };
        let schema = tandem_api::schema(Some(app.clone()));
        let metrics = metrics::Metrics::default();
        let rate = Arc::new(Rate::new(server.requests_per_second, server.request_burst));
        let events = Arc::new(Rate::new(server.events_per_second, server.event_burst));
        let collector = Collector::start(app.clone());
        let sockets = Sockets::default();
        let documents = Documents::read(server)?;
        Ok(Self {
            app,
            schema,
            documents,
            limits: Arc::new(limits),
            rate,
            events,
            collector,
            sockets,
            shutdown,
            metrics,
            frame,
        })
    }

    /// The same, over a schema that has extensions around it: see [`tandem_api::schema_over`].
    pub fn with_schema(mut self, schema: TandemSchema) -> Self {
        self.schema = schema;
        self
    }

    /// Waits until every WebSocket has been closed, which begins with the shutdown.
    pub async fn sockets_closed(&self) {
        self.sockets.closed().await;
    }

    /// What `/metrics` shows of jobs: for the workers of this process to count into.
    pub fn job_metrics(&self) -> tandem_jobs::Metrics {
        self.metrics.jobs.clone()
    }
}

/// All addresses of the process.
pub fn router(http: Http) -> Router {
    let front = Router::new().route("/", get(front)).layer(CompressionLayer::new());
    let routes = Router::new()
        .route("/graphql", any(graphql::handle))
        .route("/graphql/ws", get(websocket::handle))
        .merge(front)
        .merge(webhooks::routes())
        .merge(ingest::routes())
        .merge(tracking::routes())
        .merge(unsubscribe::routes(http.app.clone()));
    framed(http, routes)
}

/// The addresses of a process that only runs jobs: whether it lives and can work, and what it counts.
pub fn probes(http: Http) -> Router {
    framed(http, Router::new())
}

/// Routes with the probes beside them and the layers around all.
fn framed(http: Http, routes: Router<Http>) -> Router {
    // Compressed answers beside secrets can be measured (BREACH); what is compressed here holds none.
    let probes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show))
        .layer(CompressionLayer::new());
    let (frame, counted) = (http.frame.clone(), http.metrics.clone());
    routes
        .merge(probes)
        .fallback(async || HttpError::not_found())
        .method_not_allowed_fallback(async || HttpError::method_not_allowed())
        .layer(DefaultBodyLimit::max(http.limits.max_body))
        .layer(middleware::from_fn_with_state(frame, request::frame))
        .layer(middleware::from_fn_with_state(counted, metrics::count))
        .with_state(http)
}

/// A plain page until there is a console.
async fn front() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, Html(include_str!("front.html")))
}
