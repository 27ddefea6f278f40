//! `/t/o/{token}` and `/t/c/{token}`: the picture and the links of e-mails.
//!
//! Whoever follows a link gets where it leads, whether or not that could be recorded. Where that is stands in the signed token:
//! nobody can make this server send people elsewhere.

use super::request::RequestId;
use super::router::Http;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use std::time::Duration;
use tandem_app::{App, AppError, Call, EmailTrack, Tracked};
use tandem_domain::link::{Link, is_web};

/// A transparent GIF of one pixel.
const PICTURE: [u8; 43] =
    *b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// The routes.
pub(super) fn routes() -> Router<Http> {
    Router::new().route("/t/o/{token}", get(open)).route("/t/c/{token}", get(click))
}

fn agent(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?;
    Some(String::from_utf8_lossy(agent.as_bytes()).chars().take(500).collect())
}

/// How long whoever follows a link waits for that to be recorded.
const PATIENCE: Duration = Duration::from_secs(1);

async fn record(app: &App, request_id: String, track: EmailTrack) {
    let call = Call::system(request_id);
    match tokio::time::timeout(PATIENCE, app.run(&call, track)).await {
        // An e-mail or a person that is not there any more.
        Ok(Ok(_) | Err(AppError::NotFound { .. } | AppError::Refused { .. })) => {}
        Ok(Err(error)) => tracing::error!(%error, "an open or a click could not be recorded"),
        Err(_elapsed) => tracing::warn!("an open or a click was not recorded in time; it is led on without"),
    }
}

async fn open(
    State(http): State<Http>,
    Path(token): Path<String>,
    Extension(id): Extension<RequestId>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if let Ok(Link::Open { email, contact }) = http.app.env.mail.links.open(&token) {
        let (user_agent, only_looked) = (agent(&headers), method == Method::HEAD);
        record(&http.app, id.0, EmailTrack { email, contact, what: Tracked::Open, user_agent, only_looked }).await;
    }
    // A reader that shows a broken picture would say more than the e-mail should.
    let headers = [(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store, private")];
    (headers, PICTURE).into_response()
}

async fn click(
    State(http): State<Http>,
    Path(token): Path<String>,
    Extension(id): Extension<RequestId>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let opened = http.app.env.mail.links.open(&token);
    let Ok(Link::Click { email, contact, url }) = opened else {
        let message = "this link does not work; copy the whole link from the e-mail, or answer it";
        return (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], message).into_response();
    };
    let (user_agent, only_looked) = (agent(&headers), method == Method::HEAD);
    let what = Tracked::Click { url: url.clone() };
    record(&http.app, id.0, EmailTrack { email, contact, what, user_agent, only_looked }).await;
    match HeaderValue::from_str(&url) {
        Ok(location) if is_web(&url) => {
            let headers = [
                (header::LOCATION, location),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store, private")),
                // Where it leads need not know which e-mail it was.
                (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            ];
            (StatusCode::FOUND, headers).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
