//! `/webhooks/{key}`: where other systems post to.
//!
//! The raw bytes are verified before anything of them is read, and stored before anything is done: 202 says that a delivery
//! is on disk, and a job handles it.

use super::error::HttpError;
use super::request::RequestId;
use super::router::Http;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use tandem_api::global_id;
use tandem_app::written::Outcome;
use tandem_app::{App, AppError, Call, InboundDeliveryReceive};
use tandem_domain::inbound::{Event, Headers, Raw, is_key};
use tandem_store::StoreError;

/// The largest body, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Headers whose values are secrets; that they were there is kept.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];
/// What is kept in the place of a secret.
const REMOVED: &str = "[removed]";

/// The routes.
pub(super) fn routes() -> Router<Http> {
    // The limit of this address is its own, and is checked where the body is read.
    Router::new().route("/webhooks/{key}", post(handle)).layer(axum::extract::DefaultBodyLimit::disable())
}

/// The headers by their names in small letters; what is repeated is joined as HTTP joins it. Bytes that are not text are
/// replaced.
fn headers_of(headers: &HeaderMap) -> Headers {
    let mut read = Headers::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        read.entry(name.as_str().to_owned())
            .and_modify(|before: &mut String| {
                before.push_str(", ");
                before.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    read
}

async fn handle(
    State(http): State<Http>,
    Path(key): Path<String>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    match take(&http.app, &key, id.0, request).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

async fn take(app: &App, key: &str, request_id: String, request: Request) -> Result<Response, HttpError> {
    // What is no key cannot be one of a webhook, and is no text for PostgreSQL either where it holds a NUL.
    if !is_key(key) {
        return Err(HttpError::not_found());
    }
    let found = app.store.inbound_webhook_by_key(key).await.map_err(|error| broken(&error.into()))?;
    let webhook = found.filter(|webhook| webhook.active).ok_or_else(HttpError::not_found)?;
    let (parts, body) = request.into_parts();
    let body = read(&parts.headers, body).await?;
    let mut headers = headers_of(&parts.headers);
    let now = app.env.now();
    let verdict = webhook.scheme.verify(&webhook.secrets(now), &headers, &body, now).map_err(|rejection| {
        tracing::warn!(webhook = webhook.key, reason = %rejection, "a delivery was not believed");
        let message = "the signature or token of this delivery is missing, malformed, too old or wrong";
        HttpError::new(StatusCode::UNAUTHORIZED, "WEBHOOK_NOT_VERIFIED", message)
    })?;
    let unfit = |message: &str| HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, "WEBHOOK_NOT_AN_OBJECT", message);
    let body = String::from_utf8(body).map_err(|_| unfit("the body is not UTF-8; send a JSON object"))?;
    let payload: Map<String, Value> =
        serde_json::from_str(&body).map_err(|error| unfit(&format!("the body is not a JSON object: {error}")))?;
    let known_by = webhook.scheme.delivery_id(&headers).map(str::to_owned);
    for name in SECRET {
        headers.entry(name.to_owned()).and_modify(|value| REMOVED.clone_into(value));
    }
    let event = Event {
        id: known_by.clone().unwrap_or_default(),
        received_at: now.to_rfc3339_opts(SecondsFormat::Millis, true),
        headers: headers.clone(),
        payload,
    };
    // Aside from the threads that answer requests: an expression over a large payload takes its time.
    let told = {
        let webhook = webhook.clone();
        tokio::task::spawn_blocking(move || webhook.id_of(&event)).await
    };
    let (known_by, id_fault) = match told {
        Ok(Ok(id)) => (id.or(known_by), None),
        Ok(Err(fault)) if fault.is_passing() => return Err(HttpError::timeout()),
        // An expression that cannot tell this delivery is the definition's fault, which must not lose the delivery.
        Ok(Err(fault)) => {
            tracing::warn!(webhook = webhook.key, %fault.message, "the id of a delivery could not be worked out");
            (known_by, Some(fault))
        }
        Err(_panicked) => (known_by, None),
    };
    let raw = Raw { headers, body };
    let receive = InboundDeliveryReceive { webhook: webhook.id, key: known_by, id_fault, verdict, raw };
    let call = Call::system(request_id);
    let stored = match app.run(&call, receive.clone()).await {
        // Another copy was stored between our look and our write: now it is found.
        Err(AppError::Store(StoreError::Duplicate { .. })) => app.run(&call, receive).await,
        stored => stored,
    };
    let stored = stored.map_err(|error| broken(&error))?;
    let (status, word) = match stored.outcome {
        Outcome::Created => (StatusCode::ACCEPTED, "received"),
        Outcome::Changed | Outcome::Unchanged => (StatusCode::OK, "duplicate"),
    };
    let body = json!({ "status": word, "delivery": global_id(stored.record.id) });
    Ok((status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

fn broken(error: &AppError) -> HttpError {
    tracing::error!(%error, "a delivery to a webhook could not be stored");
    HttpError::internal()
}

/// Reads the body, no more of it than is allowed.
async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, HttpError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(HttpError::too_large(MAX_BODY));
    }
    // A sender that broke off does not read the answer, so that only the limit needs a name.
    let bytes = to_bytes(body, MAX_BODY).await.map_err(|_error| HttpError::too_large(MAX_BODY))?;
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_headers_are_joined_and_names_are_small() {
        let mut headers = HeaderMap::new();
        headers.append("X-Kind", "a".parse().unwrap());
        headers.append("x-kind", "b".parse().unwrap());
        assert_eq!(headers_of(&headers)["x-kind"], "a, b");
    }
}
