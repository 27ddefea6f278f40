//! The analytics SDKs that others wrote, against the real program: each call is stored once and applied.

use crate::clients::{installed, printed, python, served};
use crate::process::{Process, exchange};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tandem_testkit::on_both_databases;
use tokio::time::timeout;

/// How many calls each program makes through its SDK.
const CALLS: usize = 501;
/// How many people it identifies, each by an address.
const PEOPLE: usize = 62;

/// What the clients in Python need of it.
const NEED: &str = "import ensurepip, venv";

/// Nothing here takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with one source of events.
struct Listening {
    server: Process,
    token: String,
    write_key: String,
}

impl Listening {
    async fn over(database: &str) -> Self {
        let (server, token) = served(database).await;
        let mut listening = Self { server, token, write_key: String::new() };
        let create = r#"mutation { userCreate(input: { email: "events@example.com", name: "Events", roles: [INTEGRATION] }) {
            user { id } userErrors { message } } }"#;
        let created = listening.ask(create, json!({})).await["userCreate"].clone();
        assert_eq!(created["userErrors"], json!([]));
        let save = r#"mutation($actsAs: ID!) { eventSourceSave(input: { key: "sdk", name: "SDK", trust: SERVER, actsAs: $actsAs }) {
            writeKey userErrors { message } } }"#;
        let saved = listening.ask(save, json!({ "actsAs": created["user"]["id"] })).await["eventSourceSave"].clone();
        assert_eq!(saved["userErrors"], json!([]));
        listening.write_key = saved["writeKey"].as_str().unwrap().to_owned();
        listening
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let request = json!({ "query": query, "variables": variables }).to_string();
        let answer = self.server.post("/graphql", &self.token, &request).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(body.get("errors").is_none(), "{body}");
        body["data"].clone()
    }

    /// Posts a body without any token, and gives the whole answer.
    async fn send(&self, path: &str, body: &Value) -> String {
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        exchange(self.server.address(), &request).await
    }

    /// Waits until everything that is stored was applied.
    async fn applied(&self) {
        let waiting = "{ ingestedEvents(states: [RECEIVED], first: 1) { nodes { id } } }";
        let all_done = async {
            while self.ask(waiting, json!({})).await["ingestedEvents"]["nodes"] != json!([]) {
                // Looking takes of the same machine and of the token's rate.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(PATIENCE, all_done).await.unwrap();
    }

    /// Everything that is stored, in the order of arrival.
    async fn events(&self) -> Vec<Value> {
        let query = "query($after: String) { ingestedEvents(first: 100, after: $after) {
            nodes { messageId state fault { code message } } pageInfo { endCursor hasNextPage } } }";
        let (mut events, mut after) = (Vec::new(), Value::Null);
        loop {
            let page = self.ask(query, json!({ "after": after })).await["ingestedEvents"].clone();
            events.extend_from_slice(page["nodes"].as_array().unwrap());
            if page["pageInfo"]["hasNextPage"] == false {
                return events;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
    }

    /// The addresses of all contacts, of which there are fewer than a page holds.
    async fn people(&self) -> Vec<String> {
        let found = self.ask("{ contacts(first: 100) { nodes { email } } }", json!({})).await;
        found["contacts"]["nodes"].as_array().unwrap().iter().map(|contact| text(&contact["email"])).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn every_call_is_stored_once_and_applied(database: &str, program: &str, script: &str) {
    let mut listening = Listening::over(database).await;
    let url = format!("http://{}", listening.server.address());
    let said = printed(program, &[script, &url, &listening.write_key]).await;
    assert_eq!(said["sent"], CALLS);
    let mut sent: Vec<String> = said["messageIds"].as_array().unwrap().iter().map(text).collect();
    sent.sort();
    listening.applied().await;

    let events = listening.events().await;
    let mut stored: Vec<String> = events.iter().map(|event| text(&event["messageId"])).collect();
    stored.sort();
    assert_eq!((stored.len(), stored.iter().collect::<BTreeSet<_>>().len()), (CALLS, CALLS));
    assert_eq!(stored, sent);
    for event in &events {
        assert_eq!((&event["state"], &event["fault"]), (&json!("APPLIED"), &Value::Null), "{event}");
    }
    let people = listening.people().await;
    assert_eq!((people.len(), people.iter().collect::<BTreeSet<_>>().len()), (PEOPLE, PEOPLE));

    // Whoever did not see the answer sends it again.
    let again = json!({ "writeKey": listening.write_key, "messageId": sent[0], "userId": "u", "event": "Sent again" });
    let answer = listening.send("/v1/track", &again).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"success":true}"#), "{answer}");
    assert_eq!(listening.events().await, events);
    assert_eq!(listening.server.terminate().await.code(), Some(0));
}

on_both_databases! {
    async fn segments_sdk_for_node_is_understood(world: World) {
        if installed().await {
            every_call_is_stored_once_and_applied(&world.url, "node", "segment.mjs").await;
        }
    }

    async fn rudderstacks_sdk_for_node_is_understood(world: World) {
        if installed().await {
            every_call_is_stored_once_and_applied(&world.url, "node", "rudder.mjs").await;
        }
    }

    async fn segments_sdk_for_python_is_understood(world: World) {
        if let Some(python) = python("python", NEED).await {
            every_call_is_stored_once_and_applied(&world.url, &python, "python/segment.py").await;
        }
    }

    async fn rudderstacks_sdk_for_python_is_understood(world: World) {
        if let Some(python) = python("python", NEED).await {
            every_call_is_stored_once_and_applied(&world.url, &python, "python/rudder.py").await;
        }
    }
}
