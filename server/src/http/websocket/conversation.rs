//! The conversation on one socket: who speaks, which of their operations run, and how it ends.

use super::PROTOCOL;
use super::message::{End, Heard, Said};
use super::operation::{Numbered, Operation, refusal, said};
use crate::http::graphql::secret_of;
use crate::http::rate;
use crate::http::router::Http;
use axum::extract::ws::{Message, WebSocket};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tracing::Instrument;

/// How long a client may take to say who it is.
const INIT: Duration = Duration::from_secs(3);
/// How often a client is asked whether it is there.
const BEAT: Duration = Duration::from_secs(15);
/// How long a client may be silent when it is asked.
const SILENCE: Duration = Duration::from_secs(45);
/// How long a client may take to read a message, and to answer that the conversation is over.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a socket stays open after it was closed.
const LINGER: Duration = Duration::from_millis(500);
/// How many operations may run at once on a socket.
const MOST_OPERATIONS: usize = 50;
/// How many results wait for the socket; further operations wait with theirs.
const BACKLOG: usize = 16;

/// An operation that runs, until it is dropped.
struct Running {
    number: u64,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why something could not be said.
enum Unsaid {
    /// The client is gone.
    Gone,
    /// The client does not read.
    Unread,
}

/// Why the conversation stops: the client is told why, or is gone.
type Stop = Option<End>;

impl From<Unsaid> for Stop {
    fn from(unsaid: Unsaid) -> Self {
        match unsaid {
            Unsaid::Gone => None,
            Unsaid::Unread => Some(End::too_slow()),
        }
    }
}

/// What is known of the client.
pub(super) struct Conversation {
    http: Http,
    request_id: String,
    /// Whether it has said who it is, well or not.
    introduced: bool,
    secret: Option<Arc<str>>,
    operations: HashMap<String, Running>,
    numbers: u64,
    results: mpsc::Sender<Numbered>,
}

impl Conversation {
    /// Holds it to its end.
    pub(super) async fn hold(http: Http, request_id: String, mut socket: WebSocket) {
        // Until the end of it all, good-bye included, the process waits for this socket.
        let _open = http.sockets.open();
        let speaks = socket.protocol().is_some_and(|protocol| protocol == PROTOCOL);
        let (results, to_say) = mpsc::channel(BACKLOG);
        let (introduced, secret, operations, numbers) = (false, None, HashMap::new(), 0);
        let mut talk = Self { http, request_id, introduced, secret, operations, numbers, results };
        let stop = if speaks { talk.talk(&mut socket, to_say).await } else { Some(End::protocol()) };
        // What still runs ends here.
        drop(talk);
        // To one who does not read, the code goes behind what is on its way: whoever reads on in time comes upon it.
        if let Some(end) = stop {
            let _ = timeout(PATIENCE, say_good_bye(socket, end)).await;
        }
    }

    async fn talk(&mut self, socket: &mut WebSocket, mut results: mpsc::Receiver<Numbered>) -> Stop {
        let introduction = Instant::now() + INIT;
        let mut beat = interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            tokio::select! {
                message = socket.recv() => {
                    heard_at = Instant::now();
                    let text = match message {
                        None => return None,
                        Some(Err(error)) => return unreadable(&error, self.http.limits.max_body),
                        Some(Ok(Message::Binary(_))) => return Some(End::invalid("a message must be text")),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                        // The answer to it is sent while it is waited for what comes next, which is nothing.
                        Some(Ok(Message::Close(_))) => {
                            let _ = timeout(PATIENCE, socket.recv()).await;
                            return None;
                        }
                        Some(Ok(Message::Text(text))) => text,
                    };
                    if let Err(stop) = self.hear(&text, socket).await {
                        return stop;
                    }
                }
                Some((number, id, said)) = results.recv() => {
                    if let Err(unsaid) = self.pass_on(number, &id, &said, socket).await {
                        return unsaid.into();
                    }
                }
                () = sleep_until(introduction), if !self.introduced => return Some(End::too_late()),
                _ = beat.tick() => {
                    if heard_at.elapsed() > SILENCE {
                        return None;
                    }
                    if let Err(unsaid) = send(socket, Message::Ping(Default::default())).await {
                        return unsaid.into();
                    }
                }
                () = self.http.shutdown.begun() => return Some(End::going_away()),
            }
        }
    }

    async fn hear(&mut self, text: &str, socket: &mut WebSocket) -> Result<(), Stop> {
        match Heard::read(text)? {
            Heard::Init(_) if self.introduced => Err(Some(End::second_init())),
            Heard::Init(payload) => {
                self.introduced = true;
                self.secret = Some(self.authenticate(&payload).await?);
                Ok(send(socket, Message::Text(Said::Ack.text(""))).await?)
            }
            Heard::Ping(payload) => Ok(send(socket, Message::Text(Said::Pong(payload).text(""))).await?),
            Heard::Pong => Ok(()),
            Heard::Subscribe(id, params) => {
                let Some(secret) = self.secret.clone() else { return Err(Some(End::unauthorized())) };
                if self.operations.contains_key(&id) {
                    return Err(Some(End::duplicate(&id)));
                }
                if let Err(message) = self.admit(&secret) {
                    let refused = said(&refusal(message, "RATE_LIMITED", &self.request_id));
                    return Ok(send(socket, Message::Text(refused.text(&id))).await?);
                }
                self.numbers += 1;
                let number = self.numbers;
                let (http, request_id) = (self.http.clone(), self.request_id.clone());
                let operation = Operation { http, request_id, secret, params };
                let run = operation.run(number, id.clone(), self.results.clone());
                let task = tokio::spawn(run.instrument(tracing::Span::current()));
                self.operations.insert(id, Running { number, task });
                Ok(())
            }
            // It may have ended by itself a moment ago.
            Heard::Complete(id) => {
                self.operations.remove(&id);
                Ok(())
            }
        }
    }

    /// Counts an operation under the token, or says why it is too much. It is counted where it is heard, before anything of it
    /// runs: else one that is completed at once would cost nothing, however often it comes.
    fn admit(&self, secret: &str) -> Result<(), String> {
        self.http.rate.take(secret).map_err(rate::message)?;
        if self.operations.len() >= MOST_OPERATIONS {
            return Err(format!("{MOST_OPERATIONS} operations run on this socket; complete one first"));
        }
        Ok(())
    }

    /// The secret of the `authorization` field, if it is a good one.
    async fn authenticate(&self, payload: &Map<String, Value>) -> Result<Arc<str>, End> {
        let secret = payload
            .get("authorization")
            .and_then(Value::as_str)
            .and_then(secret_of)
            .ok_or_else(|| End::forbidden("connection_init must carry `authorization: Bearer <token>`"))?;
        match timeout(PATIENCE, self.http.app.authenticate(secret)).await {
            Ok(Ok(Some(_))) => Ok(secret.into()),
            Ok(Ok(None)) => Err(End::forbidden("this token is not known")),
            Ok(Err(refused)) if refused.is_refusal() => Err(End::forbidden(refused.to_string())),
            Ok(Err(failure)) => {
                tracing::error!(error = %failure, "a token could not be checked");
                Err(End::unchecked())
            }
            Err(_elapsed) => {
                tracing::error!("a token could not be checked: the database does not answer");
                Err(End::unchecked())
            }
        }
    }

    /// Tells the client what came of an operation, if it is still the one of that id.
    async fn pass_on(&mut self, number: u64, id: &str, said: &Said, socket: &mut WebSocket) -> Result<(), Unsaid> {
        if self.operations.get(id).is_none_or(|running| running.number != number) {
            return Ok(());
        }
        if said.is_last() {
            self.operations.remove(id);
        }
        send(socket, Message::Text(said.text(id))).await
    }
}

/// Sends a message. Who does not read for so long is let go: what would wait for them has no end. Then the message is still on
/// its way, and what is sent next goes behind it.
async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Unsaid> {
    match timeout(PATIENCE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Unsaid::Gone),
        Err(_) => {
            tracing::info!("a client of a socket does not read, and is let go");
            Err(Unsaid::Unread)
        }
    }
}

/// What a message that could not be read leads to. The library says what was wrong with it in words alone.
fn unreadable(error: &axum::Error, limit: usize) -> Stop {
    let words = error.to_string();
    if words.contains("too long") {
        return Some(End::too_large(limit));
    }
    words.contains("UTF-8").then(|| End::invalid("a message must be text in UTF-8"))
}

/// Closes, and reads on until the client has answered: one that is still sending would else see the line break.
async fn say_good_bye(mut socket: WebSocket, end: End) {
    if socket.send(Message::Close(Some(end.frame()))).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
        // After a message that it could not read the library reads no more: the client gets a moment to see the code.
        sleep(LINGER).await;
    }
}
