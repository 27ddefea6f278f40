//! The one shape of an error over plain HTTP: `{"code", "message", "requestId"}`. GraphQL has its own shape.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A request that cannot be answered. The request id is filled in by [`super::request::frame`], the outermost layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    /// The status of the response.
    pub status: StatusCode,
    /// Stable, `SCREAMING_SNAKE_CASE`.
    pub code: &'static str,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl HttpError {
    /// An error with a status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this address")
    }

    /// 405. The `Allow` header is the router's.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this address does not take that method")
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes; send less at a time");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    }

    /// 503 after the time allowed for a request.
    pub fn timeout() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT", "the request took too long; try again, or ask for less")
    }

    /// 500. Says nothing about the cause: the log has it under the same request id.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "something failed on our side; the log has the cause under this request id",
        )
    }

    /// The finished response.
    pub(super) fn render(&self, request_id: &str) -> Response {
        let body = json!({ "code": self.code, "message": self.message, "requestId": request_id });
        (self.status, Json(body)).into_response()
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
