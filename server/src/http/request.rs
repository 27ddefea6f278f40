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
use tandem_app::Traces;
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
    /// The traces that requests continue.
    pub traces: Arc<dyn Traces>,
    /// How long a handler may take.
    pub timeout: Duration,
}

/// The caller's request id, where it is one that can be logged: 1 to 64 letters, digits, `-`, `_`, `.` or `:`.
fn given(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    ((1..=64).contains(&text.len()) && text.bytes().all(sane)).then(|| text.to_owned())
}

/// A path as the log shows it: what follows `/u/` and `/t/` is a key that works for whoever holds it.
fn loggable(path: &str) -> &str {
    ["/u/", "/t/o/", "/t/c/"].into_iter().find(|prefix| path.starts_with(prefix)).unwrap_or(path)
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
        path = %loggable(request.uri().path()),
        otel.kind = "server",
    );
    if let Some(parent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
        frame.traces.resume(&span, parent);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::routing::get;
    use tandem_app::NoTraces;
    use tower::ServiceExt;

    fn router() -> Router {
        let frame_state = Frame {
            make_id: Arc::new(|| "made".to_owned()),
            traces: Arc::new(NoTraces),
            timeout: Duration::from_secs(5),
        };
        Router::new()
            .route("/good", get(async || "good"))
            .route("/panic", get(async || -> &'static str { panic!("the secret cause") }))
            .route("/slow", get(async || std::future::pending::<&'static str>().await))
            .layer(axum::middleware::from_fn_with_state(frame_state, frame))
    }

    async fn ask(path: &str, id: Option<&str>) -> (StatusCode, String, String) {
        let mut request = axum::http::Request::get(path);
        if let Some(id) = id {
            request = request.header(REQUEST_ID, id);
        }
        let response = router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        let status = response.status();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, id, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_sane_request_id_is_kept_and_another_is_replaced() {
        assert_eq!(ask("/good", Some("abc-1.2_3:4")).await.1, "abc-1.2_3:4");
        assert_eq!(ask("/good", None).await.1, "made");
        for wrong in ["", "with space", "line\u{e9}", &"x".repeat(65), "<script>"] {
            assert_eq!(ask("/good", Some(wrong)).await.1, "made", "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_panic_gives_an_opaque_answer_with_the_request_id() {
        let (status, _, body) = ask("/panic", Some("r1")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("\"code\":\"INTERNAL\"") && body.contains("\"requestId\":\"r1\""), "{body}");
        assert!(!body.contains("secret cause"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_takes_too_long_is_given_up() {
        let (status, _, body) = ask("/slow", Some("r2")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("\"code\":\"TIMEOUT\"") && body.contains("\"requestId\":\"r2\""), "{body}");
    }
}
