use crate::server::{Server, post};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;
use std::num::NonZeroU32;
use tandem_domain::access::Role;
use tandem_server::config::Settings;
use tandem_testkit::World;

#[tokio::test]
async fn a_query_is_answered_by_post_and_by_get() {
    let server = Server::sqlite().await;
    let by_post = server.query(None, "{ __typename }").await;
    assert_eq!(by_post.status, StatusCode::OK);
    assert_eq!(by_post.header(header::CONTENT_TYPE), "application/graphql-response+json; charset=utf-8");
    assert_eq!(by_post.header(header::CACHE_CONTROL), "no-store");
    assert_eq!(by_post.header(header::VARY), "Accept, Authorization");
    assert_eq!(by_post.text, r#"{"data":{"__typename":"Query"}}"#);
    let by_get = server.get("/graphql?query=%7B__typename%7D").await;
    assert_eq!(by_get.header(header::CONTENT_TYPE), "application/json; charset=utf-8");
    assert_eq!(by_get.text, by_post.text);
}

#[tokio::test]
async fn a_mutation_answers_with_what_it_made_in_the_order_of_the_document() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let body = json!({
        "query": "mutation M($name: String!) { z: __typename teamCreate(input: { name: $name, side: SALES }) \
                  { userErrors { code } team { side name } } a: __typename }",
        "variables": { "name": "North" },
        "operationName": null,
    });
    let request = post().header(header::AUTHORIZATION, format!("Bearer {}", issued.secret.unwrap()));
    let answer = server.send(request.header("x-request-id", "r-1"), body.to_string()).await;
    let expected = r#"{"data":{"z":"Mutation","teamCreate":{"userErrors":[],"team":{"side":"SALES","name":"North"}},"a":"Mutation"},"extensions":{"cost":27}}"#;
    assert_eq!(answer.text, expected);
    let last = server.world.ledger().await.pop().unwrap().entry;
    assert_eq!((last.kind.as_str(), last.request_id.as_str()), ("team.added", "r-1"));
}

#[tokio::test]
async fn a_browser_gets_the_editor_and_a_client_does_not() {
    let server = Server::sqlite().await;
    let page = server.send(Request::get("/graphql").header(header::ACCEPT, "text/html,*/*;q=0.8"), Body::empty()).await;
    assert!(page.header(header::CONTENT_TYPE).starts_with("text/html"));
    assert_eq!(server.get("/graphql").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_mutation_by_get_and_another_method_are_refused() {
    let server = Server::sqlite().await;
    let answer = server.get("/graphql?query=mutation%7B__typename%7D").await;
    assert_eq!((answer.status, answer.header(header::ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    let answer = server.send(Request::put("/graphql"), Body::empty()).await;
    assert_eq!((answer.status, answer.header(header::ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, "GET, POST"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Server::sqlite().await;
    let answer = server.send(post(), "x".repeat(262_145)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.code(), "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn a_body_that_is_no_request_is_named_as_such() {
    let server = Server::sqlite().await;
    let batch = r#"[{"query":"{__typename}"}]"#;
    for body in ["", "{", "[]", batch, "{}", r#"{"query":1}"#, r#"{"query":"{a}","variables":[]}"#] {
        let answer = server.send(post(), body.to_owned()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{body}");
    }
    let form = Request::post("/graphql").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    assert_eq!(server.send(form, "query={__typename}").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_document_that_cannot_run_has_no_data_key() {
    let server = Server::sqlite().await;
    for (query, code) in [
        ("{ ", "GRAPHQL_PARSE_FAILED"),
        ("{ noSuchField }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { __typename } query B { __typename }", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let answer = server.query(None, query).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, code), "{}", answer.text);
        assert!(answer.json().get("data").is_none(), "{}", answer.text);
        let lenient = Request::post("/graphql").header(header::CONTENT_TYPE, "application/json");
        let lenient = server.send(lenient, json!({ "query": query }).to_string()).await;
        assert_eq!((lenient.status, lenient.code().as_str()), (StatusCode::OK, code), "{}", lenient.text);
    }
}

#[tokio::test]
async fn a_text_with_a_nul_and_nested_pages_are_bad_requests() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let token = issued.secret.unwrap();
    for (query, code) in [
        (r#"mutation { teamCreate(input: { name: "\u0000", side: SALES }) { team { id } } }"#, "BAD_USER_INPUT"),
        ("{ accounts(first: 100) { nodes { contacts(first: 100) { nodes { id } } } } }", "QUERY_TOO_COMPLEX"),
    ] {
        let answer = server.query(Some(&token), query).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, code), "{}", answer.text);
        assert!(answer.json().get("data").is_none(), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_how_long_to_wait_and_others_are_served() {
    let mut settings = Settings::defaults().unwrap();
    (settings.server.requests_per_second, settings.server.request_burst) = (NonZeroU32::MIN, NonZeroU32::MIN);
    let server = Server::with(settings, World::sqlite().await);
    let (ada, ben) = (server.token("ada", Role::Admin, None).await.1, server.token("ben", Role::Admin, None).await.1);
    let (ada, ben) = (ada.secret.unwrap(), ben.secret.unwrap());
    assert_eq!(server.query(Some(&ada), "{ viewer { name } }").await.status, StatusCode::OK);
    let mut tries = 0;
    let refused = loop {
        let answer = server.query(Some(&ada), "{ viewer { name } }").await;
        tries += 1;
        // On a machine that takes longer than a second for a request there is nothing to refuse.
        if answer.status != StatusCode::OK || tries == 100 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"));
    assert_eq!(refused.header(header::RETRY_AFTER), "1");
    assert_eq!(server.query(Some(&ben), "{ viewer { name } }").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_accepted_is_said() {
    let server = Server::sqlite().await;
    let request = Request::get("/graphql?query=%7B__typename%7D").header(header::ACCEPT, "image/png");
    assert_eq!(server.send(request, Body::empty()).await.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn a_nested_list_does_not_end_the_process() {
    let server = Server::sqlite().await;
    let bomb = format!("{{ a(b: {}{}) }}", "[".repeat(1_600), "]".repeat(1_600));
    assert_eq!(server.query(None, &bomb).await.code(), "QUERY_TOO_COMPLEX");
    assert_eq!(server.query(None, "{ __typename }").await.status, StatusCode::OK);
}
