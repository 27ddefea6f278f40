//! `/healthz`: the process lives. `/readyz`: it can do its work, so a load balancer may send requests here.

use super::router::Http;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::fmt::Display;
use tandem_store::jobs::Now;

/// Liveness. It asks nothing of anybody: a database that is down is no reason to restart this process.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// Readiness: the database answers, its tables are the right ones, the queue can be read, no shutdown has begun.
/// Details of a failure are in the log; the answer names only the part.
pub(super) async fn readyz(State(http): State<Http>) -> Response {
    let store = &http.app.store;
    let database = check("database", store.ping().await.map(|()| json!({ "status": "ok" })));
    let migrations = check("migrations", store.check_migrated().await.map(|()| json!({ "status": "ok" })));
    let queue = check(
        "queue",
        store.job_lag(Now::Database).await.map(|lag| json!({ "status": "ok", "lagSeconds": lag.num_seconds() })),
    );
    let draining = http.shutdown.has_begun();
    let ready = !draining && [&database, &migrations, &queue].iter().all(|part| part["status"] == "ok");
    let status = match (ready, draining) {
        (true, _) => "ready",
        (false, true) => "stopping",
        (false, false) => "unready",
    };
    let body = json!({ "status": status, "database": database, "migrations": migrations, "queue": queue });
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(body)).into_response()
}

fn check(part: &str, result: Result<Value, impl Display>) -> Value {
    result.unwrap_or_else(|error| {
        tracing::warn!(part, %error, "not ready");
        json!({ "status": "failed" })
    })
}
