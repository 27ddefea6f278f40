use crate::server::Server;
use crate::socket::Socket;
use serde_json::{Value, json};
use std::num::{NonZeroU32, NonZeroU64};
use tandem_app::AccessTokenRevoke;
use tandem_domain::access::Role;
use tandem_server::config::Settings;
use tandem_testkit::World;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

#[tokio::test]
async fn a_session_with_a_token_is_its_user() {
    let server = Server::sqlite().await;
    let (user, issued) = server.token("ada", Role::Admin, None).await;
    let mut socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    let answer = socket.ask("{ viewer { email } }").await;
    assert_eq!(answer["payload"]["data"]["viewer"]["email"], user.email, "{answer}");
    assert_eq!(socket.hear().await.unwrap()["type"], "complete");
}

#[tokio::test]
async fn a_session_without_a_good_token_is_not_opened() {
    let server = Server::sqlite().await;
    let address = server.listen().await;
    for payload in [json!({}), json!({ "authorization": "Bearer tdm_wrong" }), json!({ "authorization": 1 })] {
        let mut socket = Socket::open(address).await;
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.closed().await, 4403, "{payload}");
    }
}

#[tokio::test]
async fn whoever_says_nothing_for_three_seconds_is_let_go() {
    let server = Server::sqlite().await;
    let mut socket = Socket::open(server.listen().await).await;
    assert_eq!(socket.closed().await, 4408);
}

#[tokio::test]
async fn an_operation_waits_for_the_session_and_a_session_is_opened_once() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let address = server.listen().await;
    let mut early = Socket::open(address).await;
    early.say(json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ viewer { id } }" } })).await;
    assert_eq!(early.closed().await, 4401);
    let mut twice = Socket::begin(address, &issued.secret.unwrap()).await;
    twice.say(json!({ "type": "connection_init" })).await;
    assert_eq!(twice.closed().await, 4429);
}

#[tokio::test]
async fn whoever_speaks_another_protocol_or_none_is_told_so() {
    let server = Server::sqlite().await;
    let address = server.listen().await;
    for protocol in [None, Some("graphql-ws"), Some("chat, graphql-ws")] {
        let mut request = format!("ws://{address}/graphql/ws").into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocol));
        }
        let stream = TcpStream::connect(address).await.unwrap();
        let mut socket = Socket(client_async(request, stream).await.unwrap().0);
        assert_eq!(socket.closed().await, 4406, "{protocol:?}");
    }
}

#[tokio::test]
async fn what_is_not_of_the_protocol_ends_the_conversation() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let (address, secret) = (server.listen().await, issued.secret.unwrap());
    let query = json!({ "query": "{ viewer { id } }" });
    for message in [
        json!([]),
        json!({}),
        json!({ "type": "stop", "id": "1" }),
        json!({ "type": "next", "id": "1", "payload": {} }),
        json!({ "type": "ping", "payload": "text" }),
        json!({ "type": "complete" }),
        json!({ "type": "subscribe", "payload": query }),
        json!({ "type": "subscribe", "id": "", "payload": query }),
        json!({ "type": "subscribe", "id": 1, "payload": query }),
        json!({ "type": "subscribe", "id": "1" }),
        json!({ "type": "subscribe", "id": "1", "payload": {} }),
        json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ viewer { id } }", "variables": [] } }),
    ] {
        let mut socket = Socket::begin(address, &secret).await;
        socket.say(message.clone()).await;
        assert_eq!(socket.closed().await, 4400, "{message}");
    }
    for message in [Message::text("{"), Message::binary(vec![1, 2, 3])] {
        let mut socket = Socket::begin(address, &secret).await;
        socket.say_raw(message).await;
        assert_eq!(socket.closed().await, 4400);
    }
    let mut socket = Socket::begin(address, &secret).await;
    socket.say_raw(Message::text("x".repeat(300_000))).await;
    assert_eq!(socket.closed().await, 1009, "larger than a body may be");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_ping_is_answered_and_a_refused_operation_is_one_error() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let mut socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    socket.say(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    assert_eq!(socket.hear().await.unwrap(), json!({ "type": "pong", "payload": { "n": 1 } }));
    let refused = socket.ask("{ nothing }").await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("1")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    let next = socket.ask("{ viewer { name } }").await;
    assert_eq!(next["type"], "next", "no complete followed the error, and the id is free again");
    assert_eq!(socket.hear().await.unwrap(), json!({ "type": "complete", "id": "1" }));
}

#[tokio::test]
async fn a_token_that_was_revoked_runs_nothing_more_over_an_open_socket() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let mut socket = Socket::begin(server.listen().await, &issued.secret.clone().unwrap()).await;
    let revoke = AccessTokenRevoke { token: issued.token.id };
    server.world.app.run(&server.world.system(), revoke).await.unwrap();
    let refused = socket.ask("{ viewer { name } }").await;
    assert_eq!(refused["payload"][0]["extensions"]["code"], "UNAUTHENTICATED", "{refused}");
}

/// A server whose operations all wait for the database, until what is given with it is dropped; and a session.
async fn waiting() -> Option<(Server, Box<dyn Send>, Socket)> {
    let mut settings = Settings::defaults().unwrap();
    settings.server.graphql_timeout_seconds = NonZeroU64::new(60).unwrap();
    let server = Server::with(settings, World::postgres().await?);
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    let held = server.world.hold("LOCK TABLE access_token IN ACCESS EXCLUSIVE MODE").await;
    Some((server, Box::new(held), socket))
}

fn subscribe(id: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": { "query": "{ viewer { name } }" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_given_to_one_operation_at_a_time_and_is_free_when_that_is_completed() {
    let Some((_server, held, mut socket)) = waiting().await else { return };
    socket.say(subscribe("a")).await;
    socket.say(json!({ "type": "complete", "id": "a" })).await;
    socket.say(subscribe("a")).await;
    socket.heard().await;
    drop(held);
    assert_eq!(socket.hear().await.unwrap()["type"], "next", "of the second alone");
    assert_eq!(socket.hear().await.unwrap(), json!({ "type": "complete", "id": "a" }));

    let Some((_server, _held, mut socket)) = waiting().await else { return };
    socket.say(subscribe("a")).await;
    socket.say(subscribe("a")).await;
    assert_eq!(socket.closed().await, 4409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_runs_fifty_operations_and_refuses_more() {
    let Some((_server, held, mut socket)) = waiting().await else { return };
    for n in 0..=50 {
        socket.say(subscribe(&n.to_string())).await;
    }
    let refused = socket.hear().await.unwrap();
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("50")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "RATE_LIMITED");
    drop(held);
    let mut said = Vec::new();
    while said.len() < 100 {
        let message = socket.hear().await.unwrap();
        assert_ne!(message["type"], "error", "{message}");
        said.push(message);
    }
    assert_eq!(said.iter().filter(|message| message["type"] == "complete").count(), 50);
}

#[tokio::test]
async fn an_operation_counts_where_it_is_heard_and_what_is_too_much_is_one_error() {
    let mut settings = Settings::defaults().unwrap();
    let few = NonZeroU32::new(5).unwrap();
    (settings.server.requests_per_second, settings.server.request_burst) = (NonZeroU32::MIN, few);
    let server = Server::with(settings, World::sqlite().await);
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let mut socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    // Most are completed before anything of them runs.
    for n in 0..200 {
        socket.say(subscribe(&n.to_string())).await;
        socket.say(json!({ "type": "complete", "id": n.to_string() })).await;
    }
    socket.say(json!({ "type": "ping" })).await;
    let mut refused = Vec::new();
    loop {
        let message = socket.hear().await.unwrap();
        match message["type"].as_str().unwrap() {
            "pong" => break,
            "error" => refused.push(message),
            _ => {}
        }
    }
    assert!(refused.len() > 100, "{}", refused.len());
    let codes = refused.iter().map(|message| &message["payload"][0]["extensions"]["code"]);
    assert!(codes.into_iter().all(|code| code == "RATE_LIMITED"), "{refused:?}");
}

#[tokio::test]
async fn a_nested_list_over_a_socket_does_not_end_the_process() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let address = server.listen().await;
    let mut socket = Socket::begin(address, &issued.secret.unwrap()).await;
    let bomb = format!("{{ a(b: {}{}) }}", "[".repeat(1_600), "]".repeat(1_600));
    let answer = socket.ask(&bomb).await;
    assert!(answer.to_string().contains("QUERY_TOO_COMPLEX"), "{answer}");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_shutdown_ends_open_sockets() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let mut socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    server.trigger.begin();
    assert_eq!(socket.closed().await, 1001);
}
