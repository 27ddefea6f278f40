use crate::server::{Answer, Server, post};
use axum::http::{StatusCode, header};
use chrono::TimeDelta;
use tandem_app::{AccessTokenIssue, AccessTokenRevoke};
use tandem_domain::access::Role;

const QUERY: &str = "{ viewer { email } }";

fn is_unauthenticated(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text);
    assert_eq!(answer.code(), "UNAUTHENTICATED");
    assert!(answer.json().get("data").is_none(), "{}", answer.text);
    assert!(answer.header(header::WWW_AUTHENTICATE).starts_with("Bearer"));
}

#[tokio::test]
async fn a_good_token_is_its_user() {
    let server = Server::sqlite().await;
    let (user, issued) = server.token("ada", Role::Admin, None).await;
    let answer = server.query(issued.secret.as_deref(), QUERY).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["data"]["viewer"]["email"], user.email, "{}", answer.text);
}

#[tokio::test]
async fn without_a_token_only_the_schema_can_be_read() {
    let server = Server::sqlite().await;
    is_unauthenticated(&server.query(None, QUERY).await);
    is_unauthenticated(&server.query(None, "{ __typename viewer { email } }").await);
    is_unauthenticated(&server.query(None, "{ ...F } fragment F on Query { viewer { email } }").await);
    let schema = server.query(None, "{ __schema { queryType { name } } }").await;
    assert_eq!(schema.json()["data"]["__schema"]["queryType"]["name"], "Query", "{}", schema.text);
}

#[tokio::test]
async fn without_a_token_nothing_changes() {
    let server = Server::sqlite().await;
    let mutation = r#"mutation { teamCreate(input: { name: "x", side: SALES }) { team { id } } }"#;
    is_unauthenticated(&server.query(None, mutation).await);
    assert!(server.world.ledger().await.is_empty());
}

#[tokio::test]
async fn a_token_that_nobody_issued_is_refused() {
    let server = Server::sqlite().await;
    is_unauthenticated(&server.query(Some("tdm_wrong"), QUERY).await);
}

#[tokio::test]
async fn another_scheme_is_refused_and_not_taken_for_nobody() {
    let server = Server::sqlite().await;
    for value in ["Basic YTpi", "Bearer", "Bearer ", "tdm_x"] {
        let request = post().header(header::AUTHORIZATION, value);
        is_unauthenticated(&server.send(request, r#"{"query":"{ __typename }"}"#).await);
    }
}

#[tokio::test]
async fn an_expired_token_is_refused_with_the_moment() {
    let server = Server::sqlite().await;
    let (user, _) = server.world.user("eve", Role::Admin, None).await;
    let mut issue = AccessTokenIssue::new(user.id, "short", Role::Admin);
    issue.expires_at = Some(server.world.now() + TimeDelta::hours(1));
    let issued = server.world.app.issue_token(&server.world.system(), issue).await.unwrap();
    assert_eq!(server.query(issued.secret.as_deref(), QUERY).await.status, StatusCode::OK);
    server.world.pass(TimeDelta::hours(1)).await;
    let answer = server.query(issued.secret.as_deref(), QUERY).await;
    is_unauthenticated(&answer);
    assert!(answer.text.contains("the token expired at 2026-03-02 10:00:00 UTC"), "{}", answer.text);
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("bob", Role::Admin, None).await;
    let revoke = AccessTokenRevoke { token: issued.token.id };
    server.world.app.run(&server.world.system(), revoke).await.unwrap();
    let answer = server.query(issued.secret.as_deref(), QUERY).await;
    is_unauthenticated(&answer);
    assert!(answer.text.contains("the token was revoked"), "{}", answer.text);
}
