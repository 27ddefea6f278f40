use crate::server::Server;
use axum::body::Body;
use axum::http::{Request, StatusCode};

#[tokio::test]
async fn an_unknown_address_is_answered_in_the_one_shape_of_errors() {
    let server = Server::sqlite().await;
    let answer = server.send(Request::get("/nowhere").header("x-request-id", "r-7"), Body::empty()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!((body["code"].as_str(), body["requestId"].as_str()), (Some("NOT_FOUND"), Some("r-7")));
    assert_eq!(answer.header("x-request-id"), "r-7");
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let server = Server::sqlite().await;
    let answer = server.send(Request::delete("/healthz"), Body::empty()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.json()["code"], "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn a_request_without_an_id_is_given_one_of_its_own() {
    let server = Server::sqlite().await;
    let (first, second) = (server.get("/healthz").await, server.get("/healthz").await);
    assert_eq!(first.header("x-request-id").len(), 16);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn the_front_page_says_what_this_is_and_is_compressed() {
    let server = Server::sqlite().await;
    let answer = server.get("/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("This is a Tandem server"));
    let request = Request::get("/").header("accept-encoding", "gzip");
    assert_eq!(server.send(request, Body::empty()).await.header("content-encoding"), "gzip");
}
