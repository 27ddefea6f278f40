//! The demo as a newcomer meets it.

use crate::process::{command, exchange, terminate};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn the_queries_that_the_demo_prints_work_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let mut child = command("sqlite://not-used.db", &["demo", "--start", "2026-03-02", "--dir", dir])
        .env("TANDEM__SERVER__LISTEN", "127.0.0.1:0")
        // The whole ledger is verified here by a debug build, perhaps beside other tests.
        .env("TANDEM__SERVER__GRAPHQL_TIMEOUT_SECONDS", "120")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    let address: SocketAddr = loop {
        let line = lines.next_line().await.unwrap().expect("the demo serves");
        match line.strip_prefix("listening on http://") {
            Some(address) => break address.parse().unwrap(),
            None => printed.push(line),
        }
    };
    assert!(printed.iter().any(|line| line.contains("ledger") && line.contains("verified")), "{printed:#?}");

    let mut asked = 0;
    for (line, next) in printed.iter().zip(&printed[1..]) {
        let Some(rest) = line.strip_prefix(&format!("curl -s http://{address}/graphql -H 'Authorization: Bearer "))
        else {
            continue;
        };
        let token = rest.split('\'').next().unwrap();
        let body = next.split("-d '").nth(1).unwrap().strip_suffix('\'').unwrap();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(address, &request).await;
        let answer: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(answer.get("errors"), None, "{answer}");
        let root = answer["data"].as_object().unwrap();
        assert!(root.values().all(|value| !value.is_null()), "{answer}");
        asked += 1;
    }
    assert_eq!(asked, 3, "{printed:#?}");
    assert_eq!(terminate(&mut child).await.code(), Some(0));
}
