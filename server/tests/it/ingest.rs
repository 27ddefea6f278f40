//! `/v1/…`: what SDKs send, what is stored of it, and what is refused.

use crate::server::{Answer, Server, post};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::io::Write;
use tandem_domain::access::Role;
use tandem_server::config::Settings;
use tandem_testkit::{World, on_both_databases};

const SAVE: &str = "mutation($input: EventSourceSaveInput!) { eventSourceSave(input: $input) {
    source { id key active revision } writeKey userErrors { field code message } } }";

/// A source that was saved over GraphQL.
struct Source {
    server: Server,
    token: String,
    id: String,
    write_key: String,
    input: Value,
}

impl Source {
    async fn over(server: Server) -> Self {
        let (_, token) = server.token("otto", Role::SalesOps, None).await;
        let (machine, _) = server.token("machine", Role::Integration, None).await;
        let machine = tandem_api::global_id(machine.id).0;
        let input = json!({ "key": "site", "name": "Site", "trust": "SERVER", "actsAs": machine });
        let token = token.secret.unwrap();
        let source = Self { server, token, id: String::new(), write_key: String::new(), input };
        let saved = source.ask(SAVE, json!({ "input": source.input })).await["eventSourceSave"].clone();
        assert_eq!(saved["userErrors"], json!([]));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self { id: text(&saved["source"]["id"]), write_key: text(&saved["writeKey"]), ..source }
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let request = post().header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        let answer = self.server.send(request, json!({ "query": query, "variables": variables }).to_string()).await;
        let answer = answer.json();
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        answer["data"].clone()
    }

    async fn send(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send_by(&self.write_key, path, body).await
    }

    async fn send_by(&self, write_key: &str, path: &str, body: impl Into<Body>) -> Answer {
        let credentials = STANDARD.encode(format!("{write_key}:"));
        let request = Request::post(path).header(header::AUTHORIZATION, format!("Basic {credentials}"));
        self.server.send(request, body).await
    }

    async fn events(&self) -> Vec<Value> {
        let query = "{ eventSource(key: \"site\") { events(first: 100) { nodes {
            id messageId kind state fault { code } source { key } } } } }";
        self.ask(query, json!({})).await["eventSource"]["events"]["nodes"].as_array().unwrap().clone()
    }

    async fn messages(&self) -> Vec<String> {
        self.events().await.iter().map(|event| event["messageId"].as_str().unwrap().to_owned()).collect()
    }
}

fn taken(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, r#"{"success":true}"#));
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (status, &json!(code)), "{}", answer.text);
    assert!(answer.json()["message"].as_str().is_some_and(|message| !message.is_empty()));
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn track(message: &str) -> Value {
    json!({ "type": "track", "event": "Looked", "anonymousId": "a", "messageId": message })
}

on_both_databases! {
    async fn every_call_is_taken_however_it_is_sent(world: World) {
        let source = Source::over(Server::over(world)).await;
        for (path, event) in [
            ("/v1/identify", json!({ "userId": "u", "traits": { "email": "ann@acme.example" } })),
            ("/v1/track", json!({ "userId": 7, "anonymousId": null, "event": "Looked" })),
            ("/v1/page", json!({ "anonymousId": "a", "name": "Home" })),
            ("/v1/screen/", json!({ "anonymousId": "a", "name": "Start" })),
            ("/v1/group", json!({ "userId": "u", "groupId": "g", "traits": { "name": "Acme" } })),
            ("/v1/alias", json!({ "previousId": "a", "userId": "u" })),
            ("/v1/t", json!({ "userId": "u", "event": "Left" })),
        ] {
            taken(&source.send(path, event.to_string()).await);
        }
        // The key in the body, which is not kept; compressed, said or not; any content type; a batch.
        let batch = json!({ "batch": [track("b1"), { "type": "page", "messageId": "b2", "userId": "u" }], "writeKey": source.write_key });
        taken(&source.server.send(Request::post("/v1/batch"), batch.to_string()).await);
        let compressed = Request::post("/v1/batch/").header(header::CONTENT_ENCODING, "gzip").header(header::CONTENT_TYPE, "text/plain");
        taken(&source.server.send(compressed, gzip(&batch.to_string().replace("\"b1\"", "\"c1\"").replace("\"b2\"", "\"c2\""))).await);
        taken(&source.send("/v1/batch", gzip(&json!({ "batch": [track("d1")] }).to_string())).await);
        taken(&source.send("/v1/batch", json!({ "batch": [] }).to_string()).await);
        let alone = json!({ "userId": "u", "event": "Left", "writeKey": source.write_key, "messageId": "key" });
        taken(&source.server.send(Request::post("/v1/track"), alone.to_string()).await);
        let kept = source.ask("{ ingestedEvents(last: 1) { nodes { messageId payload } } }", json!({})).await;
        let kept = &kept["ingestedEvents"]["nodes"][0];
        assert_eq!(kept["messageId"], "key");
        assert!(!kept["payload"].as_str().unwrap().contains(&source.write_key));
        let mut events = source.events().await;
        events.pop();
        let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["IDENTIFY", "TRACK", "PAGE", "SCREEN", "GROUP", "ALIAS", "TRACK", "TRACK", "PAGE", "TRACK", "PAGE", "TRACK"]);
        assert_eq!(source.messages().await[7..], ["b1", "b2", "c1", "c2", "d1", "key"]);
        source.server.world.run_due_jobs().await;
        let query = "{ contacts(first: 5) { nodes { email account { name } interactions(last: 2) { nodes { kind name contact { email } source { key } } pageInfo { hasPreviousPage } } } } }";
        let ann = &source.ask(query, json!({})).await["contacts"]["nodes"][0];
        assert_eq!((&ann["email"], &ann["account"]["name"]), (&json!("ann@acme.example"), &json!("Acme")));
        let latest = &ann["interactions"];
        assert_eq!((latest["nodes"].as_array().unwrap().len(), &latest["pageInfo"]["hasPreviousPage"]), (2, &json!(true)));
        assert_eq!(latest["nodes"][0]["contact"]["email"], "ann@acme.example");
    }

    async fn the_events_of_a_batch_keep_their_order(world: World) {
        let source = Source::over(Server::over(world)).await;
        let events: Vec<Value> = (0..40).map(|n| json!({ "type": "track", "event": format!("E{n:02}"), "userId": "u" })).collect();
        let title = |title: &str| json!({ "type": "identify", "userId": "u", "traits": { "email": "ann@acme.example", "title": title } });
        let batch = [vec![title("first")], events, vec![title("second"), title("third")]].concat();
        taken(&source.send("/v1/batch", json!({ "batch": batch }).to_string()).await);
        source.server.world.run_due_jobs().await;
        let query = "{ contacts(first: 1) { nodes { title interactions(first: 50) { nodes { name } } } } }";
        let ann = &source.ask(query, json!({})).await["contacts"]["nodes"][0];
        assert_eq!(ann["title"], "third");
        let names: Vec<&str> = ann["interactions"]["nodes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert!(names.len() == 40 && names.is_sorted(), "{names:?}");
    }

    async fn what_is_no_request_is_refused_by_its_code(world: World) {
        let source = Source::over(Server::over(world)).await;
        let event = track("m").to_string();
        refused(&source.send_by("tdw_wrong", "/v1/track", event.clone()).await, 401, "WRITE_KEY_UNKNOWN");
        refused(&source.server.send(Request::post("/v1/track"), event.clone()).await, 401, "WRITE_KEY_UNKNOWN");
        let bearer = Request::post("/v1/track").header(header::AUTHORIZATION, "Bearer x");
        refused(&source.server.send(bearer, event.clone()).await, 401, "WRITE_KEY_UNKNOWN");
        for body in ["", "{", "[]", "null", "\u{1}"] {
            refused(&source.send("/v1/track", body).await, 400, "EVENTS_NOT_JSON");
        }
        for body in ["{}", r#"{"batch":{}}"#] {
            refused(&source.send("/v1/batch", body).await, 400, "EVENTS_NOT_A_BATCH");
        }
        let many: Vec<Value> = (0..2_501).map(|n| track(&n.to_string())).collect();
        refused(&source.send("/v1/batch", json!({ "batch": many }).to_string()).await, 400, "EVENTS_NOT_A_BATCH");
        let whole = gzip(&event);
        refused(&source.send("/v1/track", whole[..whole.len() / 2].to_vec()).await, 400, "EVENTS_NOT_JSON");
        let large = format!("{{\"x\":\"{}\"}}", "y".repeat(4 * 1024 * 1024));
        refused(&source.send("/v1/batch", gzip(&large)).await, 413, "PAYLOAD_TOO_LARGE");
        refused(&source.send("/v1/batch", large).await, 413, "PAYLOAD_TOO_LARGE");
        for path in ["/v1/purchase", "/v1/TRACK", "/v1/"] {
            assert_eq!(source.send(path, event.clone()).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(source.server.get("/v1/track").await.status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(source.events().await.is_empty());
    }

    async fn one_bad_event_is_quarantined_and_the_others_stored(world: World) {
        let source = Source::over(Server::over(world)).await;
        let large = json!({ "type": "track", "event": "x", "userId": "u", "messageId": "large", "properties": { "x": "y".repeat(50_000) } });
        let nobody = json!({ "type": "track", "event": "x", "messageId": "nobody" });
        let nul = json!({ "type": "track", "event": "x\u{0}", "userId": "u", "messageId": "nul", "properties": { "a\u{0}": 1 } });
        let python = format!(r#"{{"batch":[{large},{nobody},7,{nul},{{"type":"page","userId":"u","messageId":"nan","properties":{{"x":NaN}}}},{}]}}"#, track("good"));
        taken(&source.send("/v1/batch", python).await);
        let events = source.events().await;
        let states: Vec<(&str, Option<&str>)> = events.iter().map(|event| (event["state"].as_str().unwrap(), event["fault"]["code"].as_str())).collect();
        assert_eq!(states, [
            ("QUARANTINED", Some("EVENT_TOO_LARGE")),
            ("QUARANTINED", Some("EVENT_WITHOUT_ID")),
            ("QUARANTINED", Some("EVENT_NOT_AN_OBJECT")),
            ("RECEIVED", None),
            ("RECEIVED", None),
            ("RECEIVED", None),
        ]);
        source.server.world.run_due_jobs().await;
        let applied = source.events().await;
        assert_eq!(applied.iter().filter(|event| event["state"] == "APPLIED").count(), 3);
    }

    async fn copies_sent_at_once_are_stored_once_and_all_answered(world: World) {
        let source = Source::over(Server::over(world)).await;
        let copies = (0..20).map(|_| source.send("/v1/track", track("same").to_string()));
        let others: Vec<String> = (0..50).map(|n| track(&format!("m{n:02}")).to_string()).collect();
        let others = others.into_iter().map(|body| source.send("/v1/track", body));
        let (copies, others) = futures_util::future::join(join_all(copies), join_all(others)).await;
        copies.iter().chain(&others).for_each(taken);
        let mut messages = source.messages().await;
        messages.sort();
        let mut expected: Vec<String> = (0..50).map(|n| format!("m{n:02}")).collect();
        expected.push("same".to_owned());
        assert_eq!(messages, expected);
        let ledger = source.server.world.ledger_kinds().await;
        let writes = ledger.iter().filter(|kind| *kind == "events.received").count();
        assert!(writes < 70, "many requests go into one write: {writes}");
    }

    async fn two_write_keys_are_taken_for_a_while_and_none_of_a_source_that_is_off(world: World) {
        let source = Source::over(Server::over(world)).await;
        let rotate = "mutation($id: ID!) { eventSourceRotateKey(input: { sourceId: $id, overlapHours: 1 }) {
            writeKey source { previousKeyUntil revision } userErrors { code field } } }";
        let rotated = source.ask(rotate, json!({ "id": source.id })).await["eventSourceRotateKey"].clone();
        let new = rotated["writeKey"].as_str().unwrap();
        assert_eq!((&rotated["source"]["revision"], rotated["source"]["previousKeyUntil"].is_string()), (&json!(2), true));
        let again = source.ask(rotate, json!({ "id": source.id })).await["eventSourceRotateKey"].clone();
        let error = json!({ "code": "SOURCE_KEY_OVERLAP", "field": ["endPrevious"] });
        assert_eq!((&again["userErrors"][0], &again["writeKey"]), (&error, &Value::Null));
        taken(&source.send("/v1/track", track("m1").to_string()).await);
        taken(&source.send_by(new, "/v1/track", track("m2").to_string()).await);
        source.server.world.clock.advance(chrono::TimeDelta::hours(1));
        refused(&source.send("/v1/track", track("m3").to_string()).await, 401, "WRITE_KEY_UNKNOWN");
        let forced = rotate.replace("overlapHours: 1", "endPrevious: true");
        let newer = source.ask(&forced, json!({ "id": source.id })).await["eventSourceRotateKey"].clone();
        let newest = source.ask(&forced, json!({ "id": source.id })).await["eventSourceRotateKey"].clone();
        refused(&source.send_by(new, "/v1/track", track("m3").to_string()).await, 401, "WRITE_KEY_UNKNOWN");
        taken(&source.send_by(newer["writeKey"].as_str().unwrap(), "/v1/track", track("m5").to_string()).await);
        let new = newest["writeKey"].as_str().unwrap();
        let mut off = source.input.clone();
        off["active"] = json!(false);
        let saved = source.ask(SAVE, json!({ "input": off })).await["eventSourceSave"].clone();
        assert_eq!((&saved["writeKey"], &saved["source"]["active"]), (&Value::Null, &json!(false)));
        refused(&source.send_by(new, "/v1/track", track("m4").to_string()).await, 401, "WRITE_KEY_UNKNOWN");
        // What is wrong with a definition is said by field.
        for (field, value, code) in [
            ("key", json!("A B"), "SOURCE_BAD_KEY"),
            ("userSystem", json!(""), "SOURCE_BAD_SYSTEM"),
            ("actsAs", json!(tandem_api::global_id(tandem_domain::id::UserId(uuid::Uuid::nil())).0), "SOURCE_ACTOR_UNFIT"),
        ] {
            let mut wrong = source.input.clone();
            wrong[field] = value;
            let errors = source.ask(SAVE, json!({ "input": wrong })).await["eventSourceSave"]["userErrors"].clone();
            assert_eq!((&errors[0]["code"], &errors[0]["field"][0]), (&json!(code), &json!(field)));
        }
    }

    async fn what_people_do_can_be_recorded_by_hand(world: World) {
        let source = Source::over(Server::over(world)).await;
        taken(&source.send("/v1/identify", json!({ "userId": "u", "traits": { "email": "ann@acme.example" } }).to_string()).await);
        source.server.world.run_due_jobs().await;
        let ann = source.ask("{ contacts(first: 1) { nodes { id } } }", json!({})).await["contacts"]["nodes"][0]["id"].clone();
        let record = "mutation($input: InteractionRecordInput!) { interactionRecord(input: $input) {
            interaction { id kind name occurredAt properties automated } userErrors { code field } } }";
        let input = json!({ "contactId": ann, "kind": "MEETING", "name": "First call", "properties": { "minutes": 30 } });
        let recorded = source.ask(record, json!({ "input": input })).await["interactionRecord"].clone();
        assert_eq!((&recorded["interaction"]["kind"], &recorded["interaction"]["properties"]["minutes"]), (&json!("MEETING"), &json!(30)));
        let node = source.ask("query($id: ID!) { node(id: $id) { ... on Interaction { name } } }", json!({ "id": recorded["interaction"]["id"] })).await;
        assert_eq!(node["node"]["name"], "First call");
        let ahead = json!({ "contactId": ann, "kind": "MEETING", "name": "x", "occurredAt": "2999-01-01T00:00:00Z" });
        let refused = source.ask(record, json!({ "input": ahead })).await["interactionRecord"].clone();
        assert_eq!((&refused["interaction"], &refused["userErrors"][0]["code"]), (&Value::Null, &json!("INTERACTION_AHEAD")));
    }
}

#[tokio::test]
async fn a_source_that_sends_too_much_is_told_to_wait() {
    let mut settings = Settings::defaults().unwrap();
    settings.server.events_per_second = 1.try_into().unwrap();
    settings.server.event_burst = 10.try_into().unwrap();
    let source = Source::over(Server::with(settings, World::sqlite().await)).await;
    let batch = |from: usize| {
        json!({ "batch": (from..from + 6).map(|n| track(&n.to_string())).collect::<Vec<_>>() }).to_string()
    };
    taken(&source.send("/v1/batch", batch(0)).await);
    let answer = source.send("/v1/batch", batch(6)).await;
    refused(&answer, 429, "RATE_LIMITED");
    assert!((1..=3).contains(&answer.header(header::RETRY_AFTER).parse::<u64>().unwrap()));
    assert_eq!(source.messages().await.len(), 6);
}

#[tokio::test]
async fn pages_of_other_sites_may_send() {
    let server = Server::sqlite().await;
    let ask = Request::options("/v1/batch")
        .header(header::ORIGIN, "https://acme.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type");
    let answer = server.send(ask, Body::empty()).await;
    assert_eq!((answer.status, answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN)), (StatusCode::OK, "*"));
    // And nothing else of the server.
    let graphql = Request::options("/graphql").header(header::ORIGIN, "https://acme.example");
    let answer = server.send(graphql, Body::empty()).await;
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "");
}
