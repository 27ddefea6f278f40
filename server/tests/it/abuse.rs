//! Requests that are meant to hurt: each is refused by name, none ends the process or gives a failure of ours, and the next
//! ordinary request is answered.

use crate::server::{Answer, Server, post};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_domain::access::Role;
use tokio::time::timeout;

/// No refusal takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent.
enum Sent {
    /// A document.
    Query(String),
    /// A document with variables.
    With(&'static str, Value),
    /// A body as it is, as JSON.
    Raw(String),
    /// Bytes that need not be text, as JSON.
    Bytes(&'static [u8]),
    /// A body of another type.
    Typed(&'static str, String),
    /// The query string of a GET.
    Get(String),
    /// A document with a header.
    Headed(&'static str, String, &'static str),
    /// A delivery to the webhook of this key.
    Key(&'static str),
    /// A body to the address of a webhook.
    Hook(String),
}

use Sent::{Bytes, Get, Headed, Hook, Key, Query, Raw, Typed, With};

fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

fn doubling(fragments: usize) -> String {
    let spread = |n: usize| format!("fragment F{n} on Query {{ ...F{0} ...F{0} }}", n + 1);
    let middle: String = (0..fragments).map(spread).collect();
    format!("{{ ...F0 }} {middle} fragment F{fragments} on Query {{ __typename }}")
}

/// Each case: what it is, what is sent, and the status and code of the answer; `OK` where it is answered as any other.
fn cases(machine: &str) -> Vec<(&'static str, Sent, u16, &'static str)> {
    let aliases = |count: usize| (0..count).map(|n| format!("a{n}:__typename ")).collect::<String>();
    let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                  d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    let publish = "mutation($source: String!) { sequencePublish(input: { source: $source }) { userErrors { code } } }";
    let node = "query($id: ID!) { node(id: $id) { id } }";
    let try_filter = "mutation($filter: String, $machine: ID!) { inboundWebhookTry(input: { payload: {}, draft: { key: \"a\", \
                      name: \"a\", scheme: BEARER, actsAs: $machine, filter: $filter, actions: [{ kind: LEAD_RECEIVE, \
                      values: { source: \"'a'\" } }] } }) { userErrors { code } } }";
    vec![
        ("22 doubling fragments", Query(doubling(22)), 400, "QUERY_TOO_COMPLEX"),
        (
            "a list of 1,600 lists",
            Query(format!("{{ node(id: {}) {{ id }} }}", nested("[", "", "]", 1_600))),
            400,
            "QUERY_TOO_COMPLEX",
        ),
        (
            "an object of 1,600 objects",
            Query(format!("{{ node(id: {}) {{ id }} }}", nested("{a:", "1", "}", 1_600))),
            400,
            "QUERY_TOO_COMPLEX",
        ),
        (
            "a type of 1,600 lists",
            Query(format!("query($a: {}) {{ __typename }}", nested("[", "Int", "]", 1_600))),
            400,
            "QUERY_TOO_COMPLEX",
        ),
        ("a selection 100 deep", Query(nested("{ a ", "", "}", 100)), 400, "QUERY_TOO_COMPLEX"),
        ("10,000 aliases", Query(format!("{{ {} }}", aliases(10_000))), 400, "QUERY_TOO_COMPLEX"),
        ("600 aliases", Query(format!("{{ {} }}", aliases(600))), 400, "QUERY_TOO_COMPLEX"),
        ("21 roots", Query(format!("{{ {} }}", aliases(21))), 400, "QUERY_TOO_COMPLEX"),
        (
            "200 directives at a field",
            Query(format!("{{ __typename {} }}", "@skip(if: false)".repeat(200))),
            400,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "200 unknown directives",
            Query(format!("{{ __typename {} }}", "@x".repeat(200))),
            400,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("a fragment in itself", Query("{ ...A } fragment A on Query { ...A }".to_owned()), 400, "QUERY_TOO_COMPLEX"),
        (
            "two fragments in each other",
            Query("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned()),
            400,
            "QUERY_TOO_COMPLEX",
        ),
        (
            "11 operations",
            Query((0..11).map(|n| format!("query Q{n} {{ __typename }}")).collect()),
            400,
            "QUERY_TOO_COMPLEX",
        ),
        (
            "a document over 32 KiB",
            Query(format!("{{ __typename }} #{}", "x".repeat(33 * 1024))),
            400,
            "QUERY_TOO_COMPLEX",
        ),
        ("30 KiB of commas", Query(format!("{{ __typename {} }}", ",".repeat(30 * 1024))), 200, "OK"),
        ("5,000 tokens", Query(format!("{{ a(b: [{}]) }}", "1 ".repeat(5_000))), 400, "QUERY_TOO_COMPLEX"),
        (
            "a number of 20,000 digits",
            Query(format!("{{ contacts(first: {}) {{ nodes {{ id }} }} }}", "9".repeat(20_000))),
            400,
            "GRAPHQL_PARSE_FAILED",
        ),
        ("a text that does not end", Query("{ node(id: \"abc".to_owned()), 400, "GRAPHQL_PARSE_FAILED"),
        (
            "a block that does not end",
            Query(format!("{{ node(id: \"\"\"{}", "\\\"".repeat(5_000))),
            400,
            "GRAPHQL_PARSE_FAILED",
        ),
        ("half of a surrogate pair", Query("{ node(id: \"\\uD800\") { id } }".to_owned()), 400, "GRAPHQL_PARSE_FAILED"),
        ("a NUL in the document", Query("{ node(id: \"\u{0}\") { id } }".to_owned()), 400, "BAD_USER_INPUT"),
        ("1,000 marks of byte order", Query(format!("{}{{ __typename }}", "\u{feff}".repeat(1_000))), 200, "OK"),
        ("an empty document", Query(String::new()), 400, "GRAPHQL_PARSE_FAILED"),
        (
            "pages within pages",
            Query(nested("{ accounts(first: 100) { nodes { contacts(first: 100) { nodes ", "{ id }", "} } } }", 1)),
            400,
            "QUERY_TOO_COMPLEX",
        ),
        ("a page of -1", Query("{ contacts(first: -1) { nodes { id } } }".to_owned()), 200, "BAD_USER_INPUT"),
        (
            "a page of 2,147,483,647",
            Query("{ contacts(first: 2147483647) { nodes { id } } }".to_owned()),
            200,
            "BAD_USER_INPUT",
        ),
        (
            "a page beyond 32 bits",
            Query("{ contacts(first: 99999999999) { nodes { id } } }".to_owned()),
            400,
            "BAD_USER_INPUT",
        ),
        (
            "a cursor of 20,000 characters",
            With(
                "query($after: String) { contacts(after: $after) { nodes { id } } }",
                json!({ "after": "A".repeat(20_000) }),
            ),
            200,
            "BAD_USER_INPUT",
        ),
        (
            "101 ids",
            With("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({ "ids": vec!["x"; 101] })),
            200,
            "BAD_USER_INPUT",
        ),
        ("an id of 100,000 characters", With(node, json!({ "id": "A".repeat(100_000) })), 200, "OK"),
        ("a variable of 3 MB", With(node, json!({ "id": "A".repeat(3_000_000) })), 413, "PAYLOAD_TOO_LARGE"),
        ("a NUL in a variable", With(node, json!({ "id": "\u{0}" })), 400, "BAD_USER_INPUT"),
        (
            "variables 10,000 deep",
            Raw(format!("{{\"query\":\"{{__typename}}\",\"variables\":{{\"a\":{}}}}}", nested("[", "", "]", 10_000))),
            400,
            "BAD_USER_INPUT",
        ),
        (
            "variables that are a list",
            Raw("{\"query\":\"{__typename}\",\"variables\":[]}".to_owned()),
            400,
            "BAD_USER_INPUT",
        ),
        (
            "1,000 requests in one",
            Raw(json!(vec![json!({ "query": "{ __typename }" }); 1_000]).to_string()),
            400,
            "BAD_USER_INPUT",
        ),
        ("half a body", Raw("{\"query\":\"{ __typ".to_owned()), 400, "BAD_USER_INPUT"),
        ("bytes that are not UTF-8", Bytes(&[0x7b, 0xff]), 400, "BAD_USER_INPUT"),
        (
            "a form",
            Typed("application/x-www-form-urlencoded", "query={__typename}".to_owned()),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            "a form with a file",
            Typed("multipart/form-data; boundary=x", "--x\r\n".to_owned()),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        ("a query string of 20,000 characters", Get(format!("query={}", "a".repeat(20_000))), 414, "URI_TOO_LONG"),
        ("a mutation by GET", Get("query=mutation%7B__typename%7D".to_owned()), 405, "METHOD_NOT_ALLOWED"),
        ("a query string that is not UTF-8", Get("query=%ff%fe".to_owned()), 400, "GRAPHQL_PARSE_FAILED"),
        ("1,000 media types", Headed("accept", "a/b;q=0.1,".repeat(1_000), "{ __typename }"), 406, "NOT_ACCEPTABLE"),
        (
            "a token of 10,000 characters",
            Headed("authorization", format!("Bearer {}", "x".repeat(10_000)), "{ viewer { id } }"),
            401,
            "UNAUTHENTICATED",
        ),
        ("a YAML of a billion laughs", With(publish, json!({ "source": laughs })), 200, "SEQUENCE_YAML"),
        ("a YAML 5,000 deep", With(publish, json!({ "source": nested("[", "", "]", 5_000) })), 200, "SEQUENCE_YAML"),
        (
            "an expression 500 deep",
            With(try_filter, json!({ "machine": machine, "filter": nested("(", "1", ")", 500) })),
            200,
            "INBOUND_BAD_EXPRESSION",
        ),
        ("a webhook nobody defined", Hook("{}".to_owned()), 404, "NOT_FOUND"),
        ("a webhook whose key is a NUL", Key("%00"), 404, "NOT_FOUND"),
        ("3 MB to a webhook nobody defined", Hook("x".repeat(3_000_000)), 404, "NOT_FOUND"),
    ]
}

async fn send(server: &Server, secret: &str, sent: Sent) -> Answer {
    let bearer = format!("Bearer {secret}");
    let signed = || post().header(header::AUTHORIZATION, &bearer);
    match sent {
        Query(query) => server.send(signed(), json!({ "query": query }).to_string()).await,
        With(query, variables) => {
            server.send(signed(), json!({ "query": query, "variables": variables }).to_string()).await
        }
        Raw(body) => server.send(signed(), body).await,
        Bytes(body) => server.send(signed(), body).await,
        Typed(kind, body) => {
            let request = Request::post("/graphql").header(header::AUTHORIZATION, &bearer);
            server.send(request.header(header::CONTENT_TYPE, kind), body).await
        }
        Get(query) => {
            let request = Request::get(format!("/graphql?{query}")).header(header::AUTHORIZATION, &bearer);
            server.send(request.header(header::ACCEPT, "application/graphql-response+json"), Body::empty()).await
        }
        Headed(name, value, query) => {
            let request =
                Request::post("/graphql").header(header::CONTENT_TYPE, "application/json").header(name, value);
            server.send(request, json!({ "query": query }).to_string()).await
        }
        Key(key) => server.send(Request::post(format!("/webhooks/{key}")), "{}").await,
        Hook(body) => server.send(Request::post("/webhooks/nowhere"), body).await,
    }
}

/// The code of an answer, whichever of the three shapes it has.
fn code(answer: &Answer) -> String {
    let body = answer.json();
    let of_user = || body["data"].as_object()?.values().find_map(|one| one["userErrors"][0]["code"].as_str());
    let found = body["errors"][0]["extensions"]["code"].as_str().or_else(|| body["code"].as_str()).or_else(of_user);
    found.unwrap_or("OK").to_owned()
}

#[tokio::test]
async fn what_is_meant_to_hurt_is_refused_by_name_and_the_server_lives() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let secret = issued.secret.unwrap();
    let (machine, _) = server.token("machine", Role::Integration, None).await;
    let cases = cases(&tandem_api::global_id(machine.id).0);
    assert!(cases.len() >= 40, "{}", cases.len());
    let mut wrong = Vec::new();
    for (name, sent, status, expected) in cases {
        let answer = timeout(PATIENCE, send(&server, &secret, sent)).await.unwrap();
        let seen = (answer.status.as_u16(), code(&answer));
        if seen != (status, expected.to_owned()) {
            wrong.push(format!("{name}: {seen:?}, not {:?}", (status, expected)));
        }
        let alive = timeout(PATIENCE, server.query(Some(&secret), "{ viewer { email } }")).await.unwrap();
        assert_eq!(alive.status, StatusCode::OK, "after {name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
