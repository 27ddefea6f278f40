//! `/healthz`: the process lives. `/readyz`: it can do its work, so a load balancer may send requests here.

use super::router::Http;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_store::StoreError;
use tandem_store::jobs::Now;

/// How long the database may take to answer a probe: whoever probes wants to hear "no" before they give up themselves.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Liveness. It asks nothing of anybody: a database that is down is no reason to restart this process.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// Readiness: the database answers, its tables are the right ones, the queue can be read, no shutdown has begun.
/// Details of a failure are in the log; the answer names only the part.
pub(super) async fn readyz(State(http): State<Http>) -> Response {
    let store = &http.app.store;
    let ok = || json!({ "status": "ok" });
    let (database, migrations, queue) = tokio::join!(
        check("database", async { store.ping().await.map(|()| ok()) }),
        check("migrations", async { store.check_migrated().await.map(|()| ok()) }),
        check("queue", async {
            let lag = store.job_lag(Now::Database).await?;
            Ok::<_, StoreError>(json!({ "status": "ok", "lagSeconds": lag.num_seconds() }))
        }),
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

async fn check(part: &str, asked: impl Future<Output = Result<Value, StoreError>>) -> Value {
    let error = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => return answer,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    tracing::warn!(part, error, "not ready");
    json!({ "status": "failed" })
}
