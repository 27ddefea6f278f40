//! One operation of a socket, from its text to its last result.

use super::message::Said;
use crate::http::graphql::{body, is_executed};
use crate::http::guard;
use crate::http::params::Params;
use crate::http::router::Http;
use async_graphql::parser::types::OperationType;
use async_graphql::{Response, ServerError};
use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tandem_api::Caller;
use tandem_app::{Actor, App, AppError};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long it may take to look up who asks.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an operation says, and under which number: a client may use an id again, and what was said before is then stale.
pub(super) type Numbered = (u64, String, Said);

/// An operation that was asked for over a socket.
pub(super) struct Operation {
    pub(super) http: Http,
    pub(super) request_id: String,
    pub(super) secret: Arc<str>,
    pub(super) params: Params,
}

impl Operation {
    /// Runs it to its end, and tells the socket what comes of it; a socket that does not keep up is waited for.
    pub(super) async fn run(self, number: u64, id: String, to: mpsc::Sender<Numbered>) {
        let (http, request_id) = (self.http.clone(), self.request_id.clone());
        let mut responses = match AssertUnwindSafe(self.responses()).catch_unwind().await {
            Ok(responses) => responses,
            Err(_) => once(panicked(&request_id)),
        };
        loop {
            let next = AssertUnwindSafe(responses.next()).catch_unwind().await;
            let said = match next {
                Ok(None) => Said::Complete,
                Ok(Some(response)) => said(&response),
                Err(_) => said(&panicked(&request_id)),
            };
            let last = said.is_last();
            // The socket is gone, or the process stops: nobody waits for more.
            if to.send((number, id.clone(), said)).await.is_err() || last || http.shutdown.has_begun() {
                return;
            }
        }
    }

    /// Every response, refusals among them. Who asks is looked up anew for each operation: a token may have ended meanwhile.
    async fn responses(mut self) -> BoxStream<'static, Response> {
        let refused = |message: String, code| once(refusal(message, code, &self.request_id));
        let actor = match who(&self.http.app, &self.secret).await {
            Ok(actor) => actor,
            Err((message, code)) => return refused(message, code),
        };
        let caller = Caller { actor, request_id: self.request_id.clone() };
        if let Err(missing) = self.params.find_document(&self.http.documents) {
            return once(refusal(missing.to_string(), missing.code(), &self.request_id));
        }
        match guard::check(self.params.query(), self.params.operation()) {
            Err(error) => refused(error.to_string(), error.code()),
            Ok(checked) if checked.kind == OperationType::Subscription => {
                let request = self.params.into_request();
                let events = tandem_api::execute_stream(&self.http.schema, &self.http.app, caller.clone(), request);
                while_allowed(events, self.http, self.secret, caller).boxed()
            }
            Ok(_) => {
                let patience = self.http.limits.graphql_timeout;
                let request = self.params.into_request();
                let execution = tandem_api::execute(&self.http.schema, &self.http.app, caller, request);
                match timeout(patience, execution).await {
                    Ok(response) => once(response),
                    Err(_elapsed) => {
                        let message = "the operation took too long; ask for less at a time";
                        once(refusal(message.to_owned(), "TIMEOUT", &self.request_id))
                    }
                }
            }
        }
    }
}

/// Whose token it is now, or why nobody's, with the code for that.
async fn who(app: &App, secret: &str) -> Result<Actor, (String, &'static str)> {
    match timeout(PATIENCE, app.authenticate(secret)).await {
        Ok(Ok(Some(actor))) => Ok(actor),
        Ok(Ok(None)) => Err(("this token is not known any more".to_owned(), "UNAUTHENTICATED")),
        Ok(Err(error @ AppError::Refused { .. })) => Err((error.to_string(), "UNAUTHENTICATED")),
        Ok(Err(error)) => {
            tracing::error!(%error, "a token could not be checked");
            Err(("the token could not be checked".to_owned(), "INTERNAL"))
        }
        Err(_elapsed) => Err(("the token could not be checked in time".to_owned(), "TIMEOUT")),
    }
}

/// Passes events on for as long as the token is good, and its user who he was: a subscription outlives many a right. Each is
/// held back until that is known.
fn while_allowed(
    events: BoxStream<'static, Response>,
    http: Http,
    secret: Arc<str>,
    caller: Caller,
) -> impl futures_util::Stream<Item = Response> + Send + 'static {
    stream::unfold(Some((events, http, secret, caller)), async |state| {
        let (mut events, http, secret, caller) = state?;
        let event = events.next().await?;
        let stop = |message: String, code| Some((refusal(message, code, &caller.request_id), None));
        match who(&http.app, &secret).await {
            Ok(actor) if actor == caller.actor => Some((event, Some((events, http, secret, caller)))),
            Ok(_) => stop("the rights of this token have changed; subscribe again".to_owned(), "UNAUTHENTICATED"),
            Err((message, code)) => stop(message, code),
        }
    })
}

/// A refusal in the form of a response.
pub(super) fn refusal(message: String, code: &'static str, request_id: &str) -> Response {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", code);
    let mut response = Response::from_errors(vec![error]);
    tandem_api::finish(&mut response, request_id);
    response
}

/// What is said of a response: one that was not executed is refused by one message.
pub(super) fn said(response: &Response) -> Said {
    let whole = if is_executed(response) || response.errors.is_empty() {
        body(response).map(Said::Next)
    } else {
        serde_json::to_string(&response.errors).ok().map(Said::Error)
    };
    whole.unwrap_or(Said::Complete)
}

fn panicked(request_id: &str) -> Response {
    tracing::error!("an operation of a socket panicked");
    refusal("something failed on our side".to_owned(), "INTERNAL", request_id)
}

fn once(response: Response) -> BoxStream<'static, Response> {
    stream::iter([response]).boxed()
}
