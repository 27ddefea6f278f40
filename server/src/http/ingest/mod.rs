//! `/v1/{identify,track,page,screen,group,alias,batch}`: where analytics SDKs send events.
//!
//! The protocol is Segment's HTTP tracking API, which RudderStack's SDKs speak too: `Authorization: Basic` with the write key
//! as the user, or `writeKey` in the body; any content type; gzip. An answer of 200 says that the events are on disk; those
//! that cannot be read are quarantined and do not keep the others out.

mod body;
mod collector;

pub(super) use collector::Collector;

use self::body::{Body, read};
use super::error::HttpError;
use super::rate;
use super::router::Http;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use tandem_domain::id::{EventBatchId, IngestedEventId};
use tandem_domain::ingest::{Envelope, EventKind, EventSource, IngestedEvent, MAX_EVENTS, Moment, source};
use tower_http::cors::{Any, CorsLayer};
use uuid::Uuid;

/// The routes.
pub(super) fn routes() -> Router<Http> {
    // Pages of any site send here, without cookies: the write key is all there is to a request.
    let pages = CorsLayer::new().allow_origin(Any).allow_methods([Method::POST]).allow_headers([
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("anonymousid"),
    ]);
    Router::new()
        .route("/v1/{call}", post(handle).options(asked_first))
        .route("/v1/{call}/", post(handle).options(asked_first))
        .layer(DefaultBodyLimit::disable())
        .layer(pages)
}

/// What a browser asks before it sends to another site is answered by the layer around this.
async fn asked_first() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// What an address takes.
#[derive(Clone, Copy)]
enum Takes {
    /// One event of this kind.
    One(EventKind),
    /// Many, each of which says what it is.
    Batch,
}

/// The calls of the protocol; the single letters are what the SDK for browsers uses.
fn takes(call: &str) -> Option<Takes> {
    Some(match call {
        "batch" | "b" => Takes::Batch,
        "i" => Takes::One(EventKind::Identify),
        "t" => Takes::One(EventKind::Track),
        "p" => Takes::One(EventKind::Page),
        "s" => Takes::One(EventKind::Screen),
        "g" => Takes::One(EventKind::Group),
        "a" => Takes::One(EventKind::Alias),
        // The names are written in small letters alone.
        name if name.bytes().all(|byte| byte.is_ascii_lowercase()) => Takes::One(EventKind::of_name(name)?),
        _ => return None,
    })
}

async fn handle(State(http): State<Http>, Path(call): Path<String>, request: Request) -> Response {
    match take(&http, &call, request).await {
        Ok(()) => ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "success": true }))).into_response(),
        Err(Refused::Error(error)) => error.into_response(),
        Err(Refused::Wait(seconds)) => {
            let message = format!("too many events at once; wait {seconds} s");
            let error = HttpError::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message);
            ([(header::RETRY_AFTER, seconds.to_string())], error).into_response()
        }
    }
}

/// Why nothing was taken.
enum Refused {
    Error(HttpError),
    /// For so many seconds.
    Wait(u64),
}

impl From<HttpError> for Refused {
    fn from(error: HttpError) -> Self {
        Self::Error(error)
    }
}

fn unknown_key() -> HttpError {
    let message = "the write key is missing or not that of an active source; send it as the user of Basic authentication or \
                   as `writeKey` in the body";
    HttpError::new(StatusCode::UNAUTHORIZED, "WRITE_KEY_UNKNOWN", message)
}

/// The write key of Basic authentication; none where the header is not there.
fn basic(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let user = || {
        let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
        let decoded = STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let user = String::from_utf8(decoded).ok()?;
        Some(user.split_once(':').map_or(user.as_str(), |(user, _)| user).to_owned())
    };
    user().map(Some).ok_or_else(unknown_key)
}

async fn sender(http: &Http, write_key: &str) -> Result<EventSource, HttpError> {
    let hash = source::hash(write_key);
    let found = http.app.store.event_source_by_hash(&hash).await.map_err(|error| {
        tracing::error!(%error, "the sender of events could not be looked up");
        HttpError::internal()
    })?;
    found.filter(|source| source.takes(&hash, http.app.env.now())).ok_or_else(unknown_key)
}

async fn take(http: &Http, call: &str, request: Request) -> Result<(), Refused> {
    let takes = takes(call).ok_or_else(HttpError::not_found)?;
    let (parts, body) = request.into_parts();
    // Whoever has no key has nothing read; where the key is in the body, that is bounded.
    let known = match basic(&parts.headers)? {
        Some(write_key) => Some(sender(http, &write_key).await?),
        None => None,
    };
    let Body { mut value, bytes } = read(&parts.headers, body).await?;
    // A secret is no part of what is stored.
    let said = value.as_object_mut().and_then(|fields| fields.remove("writeKey"));
    let source = match (known, said.as_ref().and_then(Value::as_str)) {
        (Some(source), _) => source,
        (None, Some(write_key)) => sender(http, write_key).await?,
        (None, None) => return Err(unknown_key().into()),
    };
    let now = http.app.env.now();
    let sent_at = Moment::read(value.get("sentAt"));
    let (kind, told) = match takes {
        Takes::One(kind) => (Some(kind), vec![value]),
        Takes::Batch => (None, batch(value)?),
    };
    let Some(count) = NonZeroU32::new(u32::try_from(told.len()).unwrap_or(u32::MAX)) else { return Ok(()) };
    http.events.take_many(&source.key, count).map_err(|wait| Refused::Wait(rate::seconds(wait)))?;
    let envelope = Envelope { kind, sent_at, received_at: now };
    // Ids of one moment come in no order of their own; the events of a batch keep theirs.
    let mut ids: Vec<IngestedEventId> = told.iter().map(|_| http.app.env.id(now)).collect();
    ids.sort_unstable();
    let read = |(event, id): (Value, IngestedEventId)| -> IngestedEvent {
        envelope.read(source.id, EventBatchId(Uuid::nil()), id, &event)
    };
    let events: Vec<IngestedEvent> = told.into_iter().zip(ids).map(read).collect();
    match http.collector.store(source.id, events, bytes).await {
        Ok(()) => Ok(()),
        Err(collector::Unstored::Full) => Err(Refused::Wait(1)),
        Err(collector::Unstored::Failed) => Err(HttpError::internal().into()),
    }
}

/// The events of a batch.
fn batch(body: Value) -> Result<Vec<Value>, HttpError> {
    let bad = |message: String| HttpError::new(StatusCode::BAD_REQUEST, "EVENTS_NOT_A_BATCH", message);
    let Value::Object(mut fields) = body else { return Err(bad("a batch is a JSON object".to_owned())) };
    match fields.remove("batch") {
        Some(Value::Array(events)) if events.len() <= MAX_EVENTS => Ok(events),
        Some(Value::Array(events)) => {
            Err(bad(format!("a batch has at most {MAX_EVENTS} events, not {}", events.len())))
        }
        _ => Err(bad("`batch` is a list of events".to_owned())),
    }
}
