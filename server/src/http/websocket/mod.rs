//! GraphQL over WebSocket: the protocol `graphql-transport-ws`, one task a socket and one an operation.
//!
//! The library's own loop closes with codes of its own and cannot be told otherwise, so the conversation is held here over
//! its execution.

mod conversation;
mod message;
mod operation;
mod sockets;

use super::error::HttpError;
use super::request::RequestId;
use super::router::Http;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use conversation::Conversation;
pub(super) use sockets::Sockets;
use tracing::Instrument;

/// The one protocol that is spoken here.
const PROTOCOL: &str = "graphql-transport-ws";

/// Answers `/graphql/ws`. Who asks for another protocol, or for none, is let in to be told so by the close code 4406: a
/// browser shows a script nothing of an answer that refuses the upgrade.
pub(super) async fn handle(
    State(http): State<Http>,
    Extension(id): Extension<RequestId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let message = "this address speaks WebSocket alone";
        return HttpError::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", message).into_response();
    };
    // What it asks for is echoed, since a browser hears nothing of a server that chooses none.
    let asked: Vec<String> =
        upgrade.requested_protocols().filter_map(|name| Some(name.to_str().ok()?.to_owned())).collect();
    let limit = http.limits.max_body;
    let span = tracing::Span::current();
    upgrade
        .protocols(std::iter::once(PROTOCOL.to_owned()).chain(asked))
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| Conversation::hold(http, id.0, socket).instrument(span))
}
