//! Outbound webhooks of the real program, to receivers that are well, slow, gone, or not to be posted to.

use crate::process::{Process, command, tandem};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_testkit::on_both_databases;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// Nothing here takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a receiver behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Takes everything.
    Well,
    /// Says that it is gone.
    Gone,
    /// Sends its answer a byte at a time, and never comes to the end.
    Dripping,
    /// Sends whoever comes elsewhere.
    Elsewhere(SocketAddr),
    /// Breaks off.
    Resetting,
}

/// A receiver, and the requests that reached it.
struct Receiver {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let hears = hears.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    let mut part = [0; 4096];
                    // A body of JSON object ends with its brace; what is posted here comes in one or two parts.
                    while !request.ends_with(b"}") {
                        match stream.read(&mut part).await {
                            Ok(0) | Err(_) => return,
                            Ok(read) => request.extend_from_slice(&part[..read]),
                        }
                    }
                    hears.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                    let answer = match manner {
                        Manner::Resetting => return,
                        Manner::Well => {
                            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_owned()
                        }
                        Manner::Gone => {
                            "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
                        }
                        Manner::Elsewhere(to) => format!(
                            "HTTP/1.1 302 Found\r\nlocation: http://{to}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                        ),
                        Manner::Dripping => "HTTP/1.1 200 OK\r\n".repeat(100),
                    };
                    for byte in answer.into_bytes() {
                        if stream.write_all(&[byte]).await.is_err() {
                            return;
                        }
                        if manner == Manner::Dripping {
                            sleep(Duration::from_millis(200)).await;
                        }
                    }
                });
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn ask(server: &Process, token: &str, query: &str, variables: Value) -> Value {
    let answer = server.post("/graphql", token, &json!({ "query": query, "variables": variables }).to_string()).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert!(body.get("errors").is_none(), "{body}");
    body["data"].clone()
}

const SAVE: &str = "mutation($input: OutboundWebhookSaveInput!) { outboundWebhookSave(input: $input) {
    webhook { id key } secret userErrors { code field } } }";
const DELIVERIES: &str = "{ outboundDeliveries(first: 10) { nodes { webhook { key disabled } type state
    attempts { status code } body } } }";

async fn served(database: &str) -> (Process, String) {
    assert_eq!(tandem(database, &["migrate"]).await.status.code(), Some(0));
    let made = tandem(database, &["token", "create", "--user", "ops@example.com", "--role", "ADMIN"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let mut command = command(database, &["serve"]);
    command
        .env("TANDEM__SERVER__LISTEN", "127.0.0.1:0")
        .env("TANDEM__WEBHOOKS__ALLOW_HTTP", "true")
        .env("TANDEM__WEBHOOKS__ALLOW_NETWORKS", "127.0.0.0/8")
        .env("TANDEM__WEBHOOKS__TIMEOUT_SECONDS", "2");
    (Process::start(command).await, token)
}

on_both_databases! {
    async fn every_receiver_is_told_and_a_bad_one_holds_up_no_other(world: World) {
        let (mut server, token) = served(&world.url).await;
        let well = Receiver::start(Manner::Well).await;
        let others = [
            ("gone", Receiver::start(Manner::Gone).await),
            ("dripping", Receiver::start(Manner::Dripping).await),
            ("elsewhere", Receiver::start(Manner::Elsewhere(well.address)).await),
            ("resetting", Receiver::start(Manner::Resetting).await),
        ];
        for (key, address) in [("well", well.address)].into_iter().chain(others.iter().map(|(key, other)| (*key, other.address))) {
            let input = json!({ "key": key, "name": key, "url": format!("http://{address}/{key}"), "types": ["account.created"] });
            let saved = ask(&server, &token, SAVE, json!({ "input": input })).await["outboundWebhookSave"].clone();
            assert_eq!(saved["userErrors"], json!([]));
            assert!(saved["secret"].as_str().unwrap().starts_with("whsec_"));
        }
        // Nothing of the kind may become an address, however it is written.
        for url in ["http://169.254.169.254/latest/meta-data", "http://[::ffff:10.0.0.1]/", "http://0xa000001/", "ftp://example.com", "nonsense"] {
            let input = json!({ "key": "bad", "name": "Bad", "url": url, "types": ["*"] });
            let errors = ask(&server, &token, SAVE, json!({ "input": input })).await["outboundWebhookSave"]["userErrors"].clone();
            assert_eq!(errors[0]["field"], json!(["url"]), "{url}");
        }
        let create = r#"mutation { accountCreate(input: { name: "Acme" }) { userErrors { message } } }"#;
        assert_eq!(ask(&server, &token, create, json!({})).await["accountCreate"]["userErrors"], json!([]));
        let all_tried = async {
            loop {
                let found = ask(&server, &token, DELIVERIES, json!({})).await["outboundDeliveries"]["nodes"].clone();
                let found = found.as_array().unwrap().clone();
                if found.len() == 5 && found.iter().all(|one| !one["attempts"].as_array().unwrap().is_empty()) {
                    return found;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let found = timeout(PATIENCE, all_tried).await.unwrap();
        let of = |key: &str| found.iter().find(|one| one["webhook"]["key"] == key).unwrap();
        assert_eq!((&of("well")["state"], &of("well")["attempts"][0]["status"]), (&json!("DELIVERED"), &json!(200)));
        assert_eq!((&of("gone")["state"], &of("gone")["webhook"]["disabled"]), (&json!("FAILED"), &json!("GONE")));
        assert_eq!(of("dripping")["attempts"][0]["code"], "WEBHOOK_TIMEOUT");
        assert_eq!(of("elsewhere")["attempts"][0]["status"], 302);
        assert!(of("resetting")["attempts"][0]["code"].is_string());
        let heard = well.heard();
        assert_eq!(heard.len(), 1, "nobody was sent there by another: {heard:?}");
        let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
        assert!(head.to_lowercase().contains("webhook-signature: v1,"), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["type"], body["data"]["seq"].is_i64()), (&json!("account.created"), true));
        assert_eq!(server.terminate().await.code(), Some(0));
    }
}
