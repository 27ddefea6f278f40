//! Subscriptions: the library's loop for `graphql-transport-ws`, with our authentication and guard around it.

use super::error::HttpError;
use super::graphql::secret_of;
use super::guard;
use super::request::RequestId;
use super::router::Http;
use async_graphql::async_trait::async_trait;
use async_graphql::futures_util::stream::{self, BoxStream, StreamExt};
use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Executor, Request as GraphqlRequest, Response as GraphqlResponse, ServerError};
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value as Json;
use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;
use tandem_api::Caller;
use tandem_app::App;
use tracing::Instrument;

/// The one protocol that is spoken here.
const PROTOCOL: &str = "graphql-transport-ws";
/// How long a peer may leave a ping unanswered.
const PATIENCE: Duration = Duration::from_secs(45);

/// Answers `/graphql/ws`.
pub(super) async fn handle(
    State(http): State<Http>,
    Extension(id): Extension<RequestId>,
    protocol: Result<GraphQLProtocol, StatusCode>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let message = "this address speaks WebSocket alone";
        return HttpError::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", message).into_response();
    };
    let Ok(protocol) = protocol else {
        let message = format!("ask for the sub-protocol {PROTOCOL}");
        return HttpError::new(StatusCode::BAD_REQUEST, "UNKNOWN_PROTOCOL", message).into_response();
    };
    let limit = http.limits.max_body;
    let span = tracing::Span::current();
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| serve(http, id.0, socket, protocol).instrument(span))
}

async fn serve(http: Http, id: String, socket: WebSocket, protocol: GraphQLProtocol) {
    let guarded = Guarded { http: http.clone(), request_id: id.clone() };
    let app = http.app.clone();
    let talk = GraphQLWebSocket::new(socket, guarded, protocol)
        .keepalive_timeout(PATIENCE)
        .on_connection_init(move |payload| async move { session(&app, &payload, id).await })
        .serve();
    tokio::select! {
        () = talk => {}
        // A client connects again, to a process that stays.
        () = http.shutdown.begun() => {}
    }
}

/// Who speaks on this socket, by the `authorization` field of `connection_init`.
async fn session(app: &App, payload: &Json, request_id: String) -> async_graphql::Result<Data> {
    let secret = payload
        .get("authorization")
        .and_then(Json::as_str)
        .and_then(secret_of)
        .ok_or("connection_init must carry `authorization: Bearer <token>`")?;
    match app.authenticate(secret).await {
        Ok(Some(actor)) => {
            let mut data = Data::default();
            data.insert(Caller { actor, request_id });
            Ok(data)
        }
        Ok(None) => Err("this token is not known".into()),
        Err(refused) if refused.is_refusal() => Err(refused.to_string().into()),
        Err(failure) => {
            tracing::error!(error = %failure, "a token could not be checked");
            Err("the token could not be checked".into())
        }
    }
}

/// The schema behind the guard. The library's loop parses what a client sends, so the guard must stand in between.
#[derive(Clone)]
struct Guarded {
    http: Http,
    request_id: String,
}

impl Guarded {
    /// Refuses as the guard does, in the form of a response.
    fn refuse(&self, message: String, code: &'static str) -> GraphqlResponse {
        let mut error = ServerError::new(message, None);
        error.extensions.get_or_insert_default().set("code", code);
        let mut response = GraphqlResponse::from_errors(vec![error]);
        tandem_api::finish(&mut response, &self.request_id);
        response
    }

    /// Runs a query or a mutation, within the time that it has over HTTP.
    async fn run(self, caller: Caller, request: GraphqlRequest) -> GraphqlResponse {
        let execution = tandem_api::execute(&self.http.schema, &self.http.app, caller, request);
        match tokio::time::timeout(self.http.limits.graphql_timeout, execution).await {
            Ok(response) => response,
            Err(_elapsed) => self.refuse("the operation took too long; ask for less at a time".to_owned(), "TIMEOUT"),
        }
    }
}

#[async_trait]
impl Executor for Guarded {
    async fn execute(&self, _: GraphqlRequest) -> GraphqlResponse {
        // The loop only streams; without a session nobody is known.
        self.refuse("this needs a session".to_owned(), "UNAUTHENTICATED")
    }

    fn execute_stream(
        &self,
        request: GraphqlRequest,
        session: Option<Arc<Data>>,
    ) -> BoxStream<'static, GraphqlResponse> {
        let known = session.as_ref().and_then(|data| data.get(&TypeId::of::<Caller>()));
        let Some(caller) = known.and_then(|any| any.downcast_ref::<Caller>()).cloned() else {
            return once(self.refuse("this needs a session".to_owned(), "UNAUTHENTICATED"));
        };
        match guard::check(&request.query, request.operation_name.as_deref()) {
            Err(refused) => once(self.refuse(refused.to_string(), refused.code())),
            Ok(checked) if checked.kind == OperationType::Subscription => {
                let id = self.request_id.clone();
                let responses = Executor::execute_stream(&self.http.schema, request.data(caller), session);
                responses
                    .map(move |mut response| {
                        tandem_api::finish(&mut response, &id);
                        response
                    })
                    .boxed()
            }
            Ok(_) => stream::once(self.clone().run(caller, request)).boxed(),
        }
    }
}

fn once(response: GraphqlResponse) -> BoxStream<'static, GraphqlResponse> {
    stream::iter([response]).boxed()
}
