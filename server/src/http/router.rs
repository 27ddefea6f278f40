//! Which address leads where, and the layers around all of them.

use super::error::HttpError;
use super::request::{self, Frame};
use super::{graphql, health, unsubscribe, websocket};
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
    pub(super) limits: Arc<Limits>,
    pub(super) shutdown: Shutdown,
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
    /// Over an application, with the limits of the settings.
    pub fn new(settings: &Settings, app: App, shutdown: Shutdown) -> Self {
        let server = &settings.server;
        let limits = Limits {
            graphiql: server.graphiql,
            graphql_timeout: Duration::from_secs(server.graphql_timeout_seconds.get()),
            max_body: server.max_body_bytes.get(),
        };
        let frame = Frame {
            make_id: wiring::request_ids(&app.env),
            timeout: Duration::from_secs(server.request_timeout_seconds.get()),
        };
        let schema = tandem_api::schema(Some(app.clone()));
        Self { app, schema, limits: Arc::new(limits), shutdown, frame }
    }
}

/// All addresses of the process.
pub fn router(http: Http) -> Router {
    // Compressed answers beside secrets can be measured (BREACH); what is compressed here holds none.
    let plain = Router::new()
        .route("/", get(front))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .layer(CompressionLayer::new());
    let frame = http.frame.clone();
    Router::new()
        .route("/graphql", any(graphql::handle))
        .route("/graphql/ws", get(websocket::handle))
        .merge(plain)
        .merge(unsubscribe::routes(http.app.clone()))
        .fallback(async || HttpError::not_found())
        .method_not_allowed_fallback(async || HttpError::method_not_allowed())
        .layer(DefaultBodyLimit::max(http.limits.max_body))
        .layer(middleware::from_fn_with_state(frame, request::frame))
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
