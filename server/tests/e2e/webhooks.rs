//! A process that is killed after it has taken a delivery: what it promised is done by the next one, once.

use crate::process::{Process, tandem};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_testkit::Cluster;
use tokio::time::timeout;

/// Nothing here takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

async fn token(database: &str, user: &str, role: &str) -> String {
    let arguments = ["token", "create", "--user", user, "--role", role, "--create-user", user];
    let made = tandem(database, &arguments).await;
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

async fn ask(server: &Process, token: &str, query: &str) -> Value {
    let answer = server.post("/graphql", token, &json!({ "query": query }).to_string()).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert!(body.get("errors").is_none(), "{body}");
    body["data"].clone()
}

async fn kept(database: &str) {
    assert_eq!(tandem(database, &["migrate"]).await.status.code(), Some(0));
    let (ops, machine) = (
        token(database, "ops@example.com", "SALES_OPS").await,
        token(database, "machine@example.com", "INTEGRATION").await,
    );
    // It takes deliveries and handles none.
    let mut server = Process::serve(database, &["--no-workers"]).await;
    let id = ask(&server, &machine, "{ viewer { id } }").await["viewer"]["id"].as_str().unwrap().to_owned();
    let save = format!(
        r#"mutation {{ inboundWebhookSave(input: {{ secret: "0123456789abcdef", webhook: {{ key: "form", name: "Form",
            scheme: BEARER, actsAs: "{id}", actions: [{{ kind: CONTACT_UPSERT, values: {{ email: "payload.email" }} }},
            {{ kind: LEAD_RECEIVE, values: {{ source: "'Form'" }} }}] }} }}) {{ userErrors {{ message }} }} }}"#
    );
    assert_eq!(ask(&server, &ops, &save).await["inboundWebhookSave"]["userErrors"], json!([]));
    for number in 0..20 {
        let body = json!({ "email": format!("person{number}@acme.example") }).to_string();
        let header = format!("idempotency-key: k{number}\r\n");
        let answer = server.post_with("/webhooks/form", "0123456789abcdef", &header, &body).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    server.kill().await;

    let mut server = Process::serve(database, &[]).await;
    let query = "{ inboundDeliveries(first: 100) { nodes { state round results { outcome } } }
                   leads(first: 100) { nodes { externalId } } }";
    let all_done = async {
        loop {
            let found = ask(&server, &ops, query).await;
            let deliveries = found["inboundDeliveries"]["nodes"].as_array().unwrap();
            if deliveries.iter().all(|delivery| delivery["state"] == "DONE") {
                return found;
            }
            // Looking takes of the same machine and of the token's rate.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let found = timeout(PATIENCE, all_done).await.unwrap();
    assert_eq!(found["inboundDeliveries"]["nodes"].as_array().unwrap().len(), 20);
    assert_eq!(found["leads"]["nodes"].as_array().unwrap().len(), 20);
    // The sender, who may not have seen the answer, sends the last one again.
    let body = json!({ "email": "person19@acme.example" }).to_string();
    let answer = server.post_with("/webhooks/form", "0123456789abcdef", "idempotency-key: k19\r\n", &body).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn what_was_taken_is_done_after_a_kill_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    kept(&format!("sqlite://{}", folder.path().join("tandem.db").display())).await;
}

#[tokio::test]
async fn what_was_taken_is_done_after_a_kill_on_postgres() {
    let Some(cluster) = tokio::task::spawn_blocking(Cluster::start).await.unwrap() else { return };
    cluster.create_database("kept");
    kept(&cluster.url("kept")).await;
}
