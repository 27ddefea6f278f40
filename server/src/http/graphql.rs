//! GraphQL over HTTP: takes a request apart, checks it before the library sees it, authenticates, executes, and gives
//! the answer the shape and status that the specification asks for.

use super::documents::NoDocument;
use super::error::HttpError;
use super::guard;
use super::media::Media;
use super::params::Params;
use super::rate;
use super::request::RequestId;
use super::router::Http;
use async_graphql::http::GraphiQLSource;
use async_graphql::parser::types::OperationType;
use async_graphql::{Response as GraphqlResponse, ServerError, Value};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tandem_api::Caller;
use tandem_app::{Actor, App, AppError};

/// The longest query string, in bytes.
const MAX_URL: usize = 16 * 1024;

/// Why a request is not executed.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
    header: Option<(HeaderName, HeaderValue)>,
    /// Whether the request is well-formed GraphQL over HTTP: then `application/json` answers it with 200.
    well_formed: bool,
}

impl Fault {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), header: None, well_formed: false }
    }

    /// What is wrong and what to do, for people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_USER_INPUT", message)
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    fn well_formed(mut self) -> Self {
        self.well_formed = true;
        self
    }
}

/// Answers `/graphql`.
pub(super) async fn handle(State(http): State<Http>, request: Request) -> Response {
    if http.limits.graphiql && wants_editor(&request) {
        return editor();
    }
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let Some(media) = Media::negotiate(request.headers()) else {
        let message = "this address answers application/json and application/graphql-response+json";
        return refuse(Media::Json, &Fault::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message), &id);
    };
    // A panic is answered in the shape that a client of GraphQL reads; the hook has logged it, inside the request's span.
    match AssertUnwindSafe(answer(&http, request, &id)).catch_unwind().await {
        Ok(Ok(response)) => reply(media, &response),
        Ok(Err(fault)) => refuse(media, &fault, &id),
        Err(_panic) => {
            let message = "something failed on our side; the log has the cause under this request id";
            refuse(media, &Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message), &id)
        }
    }
}

async fn answer(http: &Http, request: Request, id: &str) -> Result<GraphqlResponse, Fault> {
    let by_get = request.method() == Method::GET;
    if !by_get && request.method() != Method::POST {
        let message = "use POST, or GET for queries";
        return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
            .with(header::ALLOW, HeaderValue::from_static("GET, POST")));
    }
    let actor = match bearer(request.headers())? {
        Some(secret) => {
            let actor = authenticate(&http.app, &secret).await?;
            http.rate.take(&secret).map_err(too_often)?;
            Some(actor)
        }
        None => None,
    };
    let mut params = if by_get { from_query(request.uri().query())? } else { from_body(http, request).await? };
    params.find_document(&http.documents).map_err(no_document)?;
    let checked = guard::check(params.query(), params.operation())
        .map_err(|refused| Fault::new(StatusCode::BAD_REQUEST, refused.code(), refused.to_string()).well_formed())?;
    match checked.kind {
        OperationType::Mutation if by_get => {
            let message = "a mutation needs POST";
            return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
                .with(header::ALLOW, HeaderValue::from_static("POST")));
        }
        OperationType::Subscription => {
            let message = "subscriptions run over the WebSocket at /graphql/ws";
            return Err(Fault::bad_request(message).well_formed());
        }
        _ => {}
    }
    let execution = async {
        match actor {
            Some(actor) => {
                let caller = Caller { actor, request_id: id.to_owned() };
                Ok(tandem_api::execute(&http.schema, &http.app, caller, params.into_request()).await)
            }
            None => anonymous(http, params, checked.introspective, id).await,
        }
    };
    let patience = http.limits.graphql_timeout;
    tokio::time::timeout(patience, execution).await.map_err(|_elapsed| {
        let message = format!("the operation took longer than {} s; ask for less at a time", patience.as_secs());
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT", message)
    })?
}

/// Executes for nobody. The schema is no secret, so nobody may read it, and is told what is wrong with a document; no
/// resolver of ours runs.
async fn anonymous(http: &Http, params: Params, introspective: bool, id: &str) -> Result<GraphqlResponse, Fault> {
    let mut response = http.schema.execute(params.into_request().only_introspection()).await;
    if introspective || !is_executed(&response) {
        tandem_api::finish(&mut response, id);
        return Ok(response);
    }
    let message = "this needs a token: send `Authorization: Bearer <token>`";
    Err(Fault::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
        .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
}

/// Whether an operation ran, well or not; otherwise its document or variables were refused.
pub(super) fn is_executed(response: &GraphqlResponse) -> bool {
    response.data != Value::Null || response.errors.iter().any(|error| !error.path.is_empty())
}

/// A request that names a document which is not there is well-formed: clients read of it in the answer, and send the text.
fn no_document(missing: NoDocument) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, missing.code(), missing.to_string()).well_formed()
}

fn too_often(wait: Duration) -> Fault {
    Fault::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", rate::message(wait))
        .with(header::RETRY_AFTER, rate::seconds(wait))
}

/// The secret of `Authorization: Bearer`. Another scheme, or no secret, is a mistake, not an anonymous request.
fn bearer(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let secret = value.to_str().ok().and_then(secret_of);
    secret.map(|secret| Some(secret.to_owned())).ok_or_else(|| {
        let message = "the header must be `Authorization: Bearer <token>`";
        Fault::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    })
}

/// The secret in `Bearer <secret>`.
pub(super) fn secret_of(authorization: &str) -> Option<&str> {
    let (scheme, secret) = authorization.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

async fn authenticate(app: &App, secret: &str) -> Result<Actor, Fault> {
    let unauthenticated = |message: String| {
        Fault::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
    };
    match app.authenticate(secret).await {
        Ok(Some(actor)) => Ok(actor),
        Ok(None) => Err(unauthenticated("this token is not known; ask an administrator for one".to_owned())),
        Err(refused @ AppError::Refused { .. }) => Err(unauthenticated(refused.to_string())),
        Err(failure) => {
            tracing::error!(error = %failure, "a token could not be checked");
            Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the token could not be checked"))
        }
    }
}

fn from_query(query: Option<&str>) -> Result<Params, Fault> {
    let query = query.unwrap_or_default();
    if query.len() > MAX_URL {
        let message = format!("the query string is longer than {MAX_URL} bytes; use POST");
        return Err(Fault::new(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", message));
    }
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri_of(query)?)
        .map_err(|_rejected| Fault::bad_request("the query string is not form-encoded"))?;
    let mut body = serde_json::Map::new();
    for (name, text) in pairs.0 {
        let value = match name.as_str() {
            "query" | "operationName" | "documentId" => Json::String(text),
            "variables" | "extensions" if text.is_empty() => Json::Null,
            "variables" | "extensions" => serde_json::from_str(&text)
                .map_err(|_error| Fault::bad_request(format!("`{name}` must be a JSON object")))?,
            _ => continue,
        };
        body.insert(name, value);
    }
    Params::from_json(Json::Object(body))
}

fn uri_of(query: &str) -> Result<axum::http::Uri, Fault> {
    format!("/?{query}").parse().map_err(|_error| Fault::bad_request("the query string is not form-encoded"))
}

async fn from_body(http: &Http, request: Request) -> Result<Params, Fault> {
    if !is_json(request.headers()) {
        // Also the guard against forged cross-site requests: a form cannot send this type.
        let message = "Content-Type must be application/json";
        return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    let limit = http.limits.max_body;
    let bytes = to_bytes(request.into_body(), limit).await.map_err(|_error| {
        let message = format!("the body is larger than {limit} bytes; ask in parts");
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    })?;
    let body = serde_json::from_slice(&bytes).map_err(|_error| Fault::bad_request("the body is not valid JSON"))?;
    Params::from_json(body)
}

/// Whether the body is `application/json` in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
                charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

fn reply(media: Media, response: &GraphqlResponse) -> Response {
    if !is_executed(response) && !response.errors.is_empty() {
        let status = if media == Media::Json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        return finish(media, status, json!({ "errors": response.errors }).to_string());
    }
    match body(response) {
        Some(body) => finish(media, StatusCode::OK, body),
        None => HttpError::internal().into_response(),
    }
}

/// An executed response as JSON. Written as it stands: its order is that of the document, which a JSON map would lose.
pub(super) fn body(response: &GraphqlResponse) -> Option<String> {
    let mut body = serde_json::to_string(&Shown { data: &response.data, errors: &response.errors }).ok()?;
    if !response.extensions.is_empty()
        && let Ok(extensions) = serde_json::to_string(&response.extensions)
    {
        body.truncate(body.len() - 1);
        body.push_str(",\"extensions\":");
        body.push_str(&extensions);
        body.push('}');
    }
    Some(body)
}

/// The body of an answer to an operation that ran.
#[derive(Serialize)]
struct Shown<'r> {
    data: &'r Value,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'r [ServerError],
}

fn refuse(media: Media, fault: &Fault, id: &str) -> Response {
    let mut error = json!({ "message": fault.message, "extensions": { "code": fault.code } });
    if fault.status.is_server_error() {
        error["extensions"]["requestId"] = id.into();
    }
    let status = if fault.well_formed && media == Media::Json { StatusCode::OK } else { fault.status };
    let mut response = finish(media, status, json!({ "errors": [error] }).to_string());
    if let Some((name, value)) = fault.header.clone() {
        response.headers_mut().insert(name, value);
    }
    response
}

fn finish(media: Media, status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media.content_type()),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept, Authorization"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Body::from(body)).into_response()
}

/// A browser that opens the address, without a query, wants the editor.
fn wants_editor(request: &Request) -> bool {
    let accepts_html = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let asks = request.uri().query().is_some_and(|query| {
        query.split('&').any(|pair| pair.starts_with("query=") || pair.starts_with("documentId="))
    });
    request.method() == Method::GET && accepts_html && !asks
}

fn editor() -> Response {
    let page = GraphiQLSource::build()
        .endpoint("/graphql")
        .subscription_endpoint("/graphql/ws")
        .title("Tandem: GraphQL")
        .finish();
    ([(header::CACHE_CONTROL, "no-store"), (header::VARY, "Accept, Authorization")], Html(page)).into_response()
}
