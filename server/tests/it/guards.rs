//! What stands around every operation: one that panics or does not end is answered, and everything else lives on.

#![expect(clippy::panic, reason = "what must be survived is a panic")]

use crate::server::Server;
use crate::socket::Socket;
use crate::trouble::Trouble;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::json;
use std::io::Write;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_api::global_id;
use tandem_app::Ids;
use tandem_domain::access::Role;
use tandem_server::config::Settings;
use tandem_testkit::World;
use tokio::time::Instant;
use uuid::Uuid;

/// The least time that an operation can be given.
const LIMIT: Duration = Duration::from_secs(1);
/// Far more than an answer takes that does not wait for the end of anything else.
const LONG: Duration = Duration::from_secs(20);

/// A server whose schema panics and hangs where it is told to, and the token of an administrator.
async fn troubled(trouble: &Trouble) -> (Server, String) {
    let mut settings = Settings::defaults().unwrap();
    settings.server.graphql_timeout_seconds = NonZeroU64::new(LIMIT.as_secs()).unwrap();
    let world = World::sqlite().await;
    let schema = tandem_api::schema_over(world.app.clone()).extension(trouble.clone()).finish();
    let server = Server::made(settings, world, |http| http.with_schema(schema));
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    (server, issued.secret.unwrap())
}

#[tokio::test]
async fn an_operation_that_panics_is_answered_in_the_shape_of_graphql() {
    let (server, token) = troubled(&Trouble::default()).await;
    let answer = server.query(Some(&token), "{ viewer { panics: name } }").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"));
    assert!(answer.header(header::CONTENT_TYPE).starts_with("application/graphql-response+json"));
    let body = answer.json();
    assert!(body.get("data").is_none() && !answer.text.contains("a resolver panics"), "{body}");
    assert_eq!(body["errors"][0]["extensions"]["requestId"], answer.header("x-request-id"), "{body}");
    assert_eq!(server.query(Some(&token), "{ viewer { name } }").await.json()["data"]["viewer"]["name"], "ada");
}

#[tokio::test]
async fn an_operation_of_a_socket_that_panics_is_answered_and_the_socket_lives_on() {
    let (server, token) = troubled(&Trouble::default()).await;
    let mut socket = Socket::begin(server.listen().await, &token).await;
    let refused = socket.ask("{ viewer { panics: name } }").await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("1")), "{refused}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "INTERNAL");
    assert!(refused["payload"][0]["extensions"]["requestId"].is_string(), "{refused}");
    let answer = socket.ask("{ viewer { name } }").await;
    assert_eq!(answer["payload"]["data"]["viewer"]["name"], "ada", "the id is free again: {answer}");
}

#[tokio::test]
async fn an_event_that_panics_ends_its_subscription_alone() {
    let (server, token) = troubled(&Trouble::default()).await;
    let world = &server.world;
    let mut socket = Socket::begin(server.listen().await, &token).await;
    socket.subscribe("bad", "subscription { workQueueChanged { panics: title } }", json!({})).await;
    socket.subscribe("good", "subscription { workQueueChanged { title } }", json!({})).await;
    server.until_subscribed(2).await;
    let contact = world.contact("ann@example.com").await.id;
    for title in ["One", "Two"] {
        world.app.run(&world.system(), server.task(contact, title)).await.unwrap();
    }
    let (mut titles, mut refused) = (Vec::new(), Vec::new());
    while titles.len() + refused.len() < 3 {
        let heard = socket.hear().await.unwrap();
        match heard["type"].as_str().unwrap() {
            "next" if heard["id"] == "good" => {
                titles.push(heard["payload"]["data"]["workQueueChanged"]["title"].clone())
            }
            _ => refused.push(heard),
        }
    }
    assert_eq!(titles, ["One", "Two"]);
    assert_eq!((&refused[0]["type"], &refused[0]["id"]), (&json!("error"), &json!("bad")));
    assert_eq!(refused[0]["payload"][0]["extensions"]["code"], "INTERNAL");
    server.until_listeners(1).await;
}

/// Makes ids, and panics where it has made as many as it may.
struct Spoilt {
    ids: Arc<dyn Ids>,
    left: AtomicI64,
}

impl Ids for Spoilt {
    fn next(&self, now: DateTime<Utc>) -> Uuid {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            std::panic::panic_any("no id is left");
        }
        self.ids.next(now)
    }
}

#[tokio::test]
async fn a_write_of_events_that_panics_fails_alone_and_the_next_is_stored() {
    let mut world = World::sqlite().await;
    let ids = Arc::new(Spoilt { ids: world.app.env.ids.clone(), left: AtomicI64::new(i64::MAX) });
    world.app.env.ids = ids.clone();
    let server = Server::over(world);
    let (_, otto) = server.token("otto", Role::SalesOps, None).await;
    let machine = global_id(server.token("machine", Role::Integration, None).await.0.id).0;
    let input = json!({ "key": "site", "name": "Site", "trust": "SERVER", "actsAs": machine });
    let save = "mutation($input: EventSourceSaveInput!) { eventSourceSave(input: $input) { writeKey } }";
    let saved = server.ask(&otto.secret.unwrap(), save, json!({ "input": input })).await;
    let credentials = STANDARD.encode(format!("{}:", saved["eventSourceSave"]["writeKey"].as_str().unwrap()));
    let event = |name: &str| {
        let request = Request::post("/v1/track")
            .header(header::AUTHORIZATION, format!("Basic {credentials}"))
            .header("x-request-id", "given");
        (request, Body::from(json!({ "userId": "u1", "event": name, "messageId": name }).to_string()))
    };
    // The event has its id; the write that it comes into is without one.
    ids.left.store(1, Ordering::SeqCst);
    let (request, body) = event("lost");
    let failed = server.send(request, body).await;
    assert_eq!((failed.status.as_u16(), &failed.json()["code"]), (500, &json!("INTERNAL")), "{}", failed.text);
    ids.left.store(i64::MAX, Ordering::SeqCst);
    let (request, body) = event("kept");
    assert_eq!(server.send(request, body).await.text, r#"{"success":true}"#);
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_ended_and_says_so() {
    let trouble = Trouble::default();
    let (server, token) = troubled(&trouble).await;
    let began = Instant::now();
    let (answer, ()) = tokio::join!(server.query(Some(&token), "{ viewer { hangs: name } }"), trouble.hangs());
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT"),
        "{}",
        answer.text
    );
    assert!((LIMIT..LONG).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(server.query(Some(&token), "{ viewer { name } }").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_operation_of_a_socket_that_takes_too_long_is_ended_and_the_socket_lives_on() {
    let trouble = Trouble::default();
    let (server, token) = troubled(&trouble).await;
    let mut socket = Socket::begin(server.listen().await, &token).await;
    let began = Instant::now();
    socket.subscribe("slow", "{ viewer { hangs: name } }", json!({})).await;
    trouble.hangs().await;
    let refused = socket.hear().await.unwrap();
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("slow")), "{refused}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "TIMEOUT", "{refused}");
    assert!((LIMIT..LONG).contains(&began.elapsed()), "{:?}", began.elapsed());
    let answer = socket.ask("{ viewer { name } }").await;
    assert_eq!(answer["payload"]["data"]["viewer"]["name"], "ada", "{answer}");
}

/// What this thread logs, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_failed_is_in_the_log_under_the_id_that_the_caller_got_and_its_cause_is_there_alone() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let contact = global_id(server.world.contact("ann@example.com").await.id).0;
    server.world.tamper("ALTER TABLE contact RENAME TO elsewhere").await.unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let query = format!("{{ node(id: \"{contact}\") {{ id }} }}");
    let answer = server.query(Some(&issued.secret.unwrap()), &query).await;
    drop(guard);
    let error = answer.json()["errors"][0].clone();
    assert_eq!(error["extensions"]["code"], "INTERNAL", "{error}");
    let id = error["extensions"]["requestId"].as_str().unwrap().to_owned();
    assert_eq!(id, answer.header("x-request-id"));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("a request failed")).collect();
    assert_eq!(failed.len(), 1, "{log}");
    assert!(failed[0].contains(&id) && failed[0].contains("no such table"), "{}", failed[0]);
    assert!(!answer.text.contains("no such table"), "{}", answer.text);
}
