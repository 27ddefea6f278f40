//! What every request gets: an id, a span, a time limit, a line in the log, and an answer even if its handler panics.

use super::error::HttpError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// The header a request id comes and goes in.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request at hand: an extension of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// What [`frame`] needs.
#[derive(Clone)]
pub struct Frame {
    /// Makes a request id.
    pub make_id: Arc<dyn Fn() -> String + Send + Sync>,
    /// How long a handler may take.
    pub timeout: Duration,
}

/// The caller's request id, where it is one that can be logged: 1 to 64 letters, digits, `-`, `_`, `.` or `:`.
fn given(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    ((1..=64).contains(&text.len()) && text.bytes().all(sane)).then(|| text.to_owned())
}

/// The outermost layer.
pub async fn frame(State(frame): State<Frame>, mut request: Request, next: Next) -> Response {
    let id = given(request.headers()).unwrap_or_else(|| (frame.make_id)());
    request.extensions_mut().insert(RequestId(id.clone()));
    // The path without its query: a query string may hold what a log must not.
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = %request.method(),
        path = %request.uri().path(),
    );
    async {
        let began = tokio::time::Instant::now();
        let handled = AssertUnwindSafe(tokio::time::timeout(frame.timeout, next.run(request))).catch_unwind().await;
        let mut response = match handled {
            Ok(Ok(response)) => match response.extensions().get::<HttpError>() {
                Some(error) => with_headers_of(&response, error.render(&id)),
                None => response,
            },
            Ok(Err(_elapsed)) => HttpError::timeout().render(&id),
            // The panic hook has logged it, inside this span.
            Err(_panic) => HttpError::internal().render(&id),
        };
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        tracing::info!(status = response.status().as_u16(), ms = began.elapsed().as_millis() as u64, "answered");
        response
    }
    .instrument(span)
    .await
}

/// An error's response keeps the headers that were set for it, such as `Allow`.
fn with_headers_of(original: &Response, mut rendered: Response) -> Response {
    for (name, value) in original.headers() {
        if !rendered.headers().contains_key(name) {
            rendered.headers_mut().insert(name.clone(), value.clone());
        }
    }
    rendered
}
