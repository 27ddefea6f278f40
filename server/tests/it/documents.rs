//! Trusted documents: named by their hash, over HTTP and over a socket.

use crate::server::{Server, post};
use crate::socket::Socket;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tandem_domain::access::Role;
use tandem_domain::ledger::sha256_hex;
use tandem_server::config::Settings;
use tandem_testkit::World;

const TEXT: &str = "query Viewer { viewer { email } }";

async fn server(only: bool) -> (Server, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documents.json");
    std::fs::write(&path, json!({ sha256_hex(&[TEXT.as_bytes()]): TEXT }).to_string()).unwrap();
    let mut settings = Settings::defaults().unwrap();
    settings.server.trusted_documents = path.to_str().unwrap().to_owned();
    settings.server.only_trusted_documents = only;
    let server = Server::with(settings, World::sqlite().await);
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    (server, issued.secret.unwrap(), folder)
}

async fn ask(server: &Server, secret: &str, body: Value) -> (StatusCode, Value) {
    let request = post().header(header::AUTHORIZATION, format!("Bearer {secret}"));
    let answer = server.send(request, body.to_string()).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_document_is_named_by_its_hash() {
    let (server, secret, _folder) = server(false).await;
    let hash = sha256_hex(&[TEXT.as_bytes()]);
    let persisted = json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } });
    // The recipes for sockets of urql and of Relay send an empty text where there is none.
    let mut with_empty_text = persisted.clone();
    with_empty_text["query"] = json!("");
    for body in [persisted, with_empty_text, json!({ "documentId": format!("sha256:{hash}") })] {
        let (status, answer) = ask(&server, &secret, body).await;
        assert_eq!(
            (status, &answer["data"]["viewer"]["email"]),
            (StatusCode::OK, &json!("ada@example.com")),
            "{answer}"
        );
    }
    let by_get = Request::get(format!("/graphql?documentId={hash}"))
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {secret}"));
    assert_eq!(server.send(by_get, Body::empty()).await.json()["data"]["viewer"]["email"], "ada@example.com");
    let (status, answer) = ask(&server, &secret, json!({ "documentId": "00" })).await;
    let code = &answer["errors"][0]["extensions"]["code"];
    assert_eq!((status, code), (StatusCode::BAD_REQUEST, &json!("PERSISTED_QUERY_NOT_FOUND")));
    // Apollo Client goes by the code, urql by the message.
    assert_eq!(answer["errors"][0]["message"], "PersistedQueryNotFound");
    let mismatch = json!({ "query": "{ viewer { id } }", "documentId": hash });
    let (status, answer) = ask(&server, &secret, mismatch).await;
    assert_eq!(
        (status, &answer["errors"][0]["extensions"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("BAD_USER_INPUT"))
    );
    let (status, _) = ask(&server, &secret, json!({ "query": "{ viewer { id } }" })).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_else_is_executed_where_that_is_asked_for() {
    let (server, secret, _folder) = server(true).await;
    let (_, answer) = ask(&server, &secret, json!({ "query": TEXT })).await;
    assert_eq!(answer["data"]["viewer"]["email"], "ada@example.com");
    let (status, answer) = ask(&server, &secret, json!({ "query": "{ viewer { id } }" })).await;
    let code = &answer["errors"][0]["extensions"]["code"];
    assert_eq!((status, code), (StatusCode::BAD_REQUEST, &json!("PERSISTED_QUERY_NOT_FOUND")));
    let mut socket = Socket::begin(server.listen().await, &secret).await;
    let refused = socket.ask("{ viewer { id } }").await;
    assert_eq!(refused["payload"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
    let payload = json!({ "documentId": sha256_hex(&[TEXT.as_bytes()]) });
    socket.say(json!({ "type": "subscribe", "id": "2", "payload": payload })).await;
    assert_eq!(socket.hear().await.unwrap()["payload"]["data"]["viewer"]["email"], "ada@example.com");
}

#[tokio::test]
async fn an_operation_says_what_it_cost() {
    let (server, secret, _folder) = server(false).await;
    let (_, answer) = ask(&server, &secret, json!({ "query": TEXT })).await;
    let small = answer["extensions"]["cost"].as_u64().unwrap();
    let (_, answer) = ask(&server, &secret, json!({ "query": "{ contacts(first: 50) { nodes { id name } } }" })).await;
    let large = answer["extensions"]["cost"].as_u64().unwrap();
    assert!(small > 0 && large > 100 && large < 10_000, "{small}, {large}");
}
