//! Subscriptions through the client that pages use, against the real program, which is stopped, killed and started under it.

use crate::clients::{client, installed, printed};
use crate::process::{Process, command, tandem};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tandem_testkit::on_both_databases;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// How many laws the script has.
const LAWS: usize = 13;

/// The script gives up before this, and says what it saw.
const PATIENCE: Duration = Duration::from_secs(240);

/// A token of the administrator of a database where nobody is known yet.
async fn token(database: &str) -> String {
    let made = tandem(database, &["token", "create", "--user", "ops@example.com", "--role", "ADMIN"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// The program at an address.
fn serve(database: &str, address: &str) -> Command {
    let mut command = command(database, &["serve"]);
    command
        .env("TANDEM__SERVER__LISTEN", address)
        // The first operation of a debug build takes seconds, perhaps beside other tests.
        .env("TANDEM__SERVER__GRAPHQL_TIMEOUT_SECONDS", "60")
        // One line a request is too much to read beside a failure.
        .env("TANDEM__LOG__FILTER", "warn");
    command
}

/// Runs the script, and does to the server what it asks for. Gives its report, which is its last line, and the server.
async fn played(database: &str) -> (Value, Process) {
    let token = token(database).await;
    let mut server = Process::start(serve(database, "127.0.0.1:0")).await;
    let address = server.address().to_string();
    let mut script = client("node", &["subscriptions.mjs", &format!("http://{address}"), &token]);
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut to, mut errors) = (script.stdin.take().unwrap(), script.stderr.take().unwrap());
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        match line.as_str() {
            "stop" => assert_eq!(server.terminate().await.code(), Some(0)),
            "kill" => server.kill().await,
            "start" => server = Process::start(serve(database, &address)).await,
            _ => {
                last = line;
                continue;
            }
        }
        to.write_all(b"done\n").await.unwrap();
    }
    let mut said = String::new();
    errors.read_to_string(&mut said).await.unwrap();
    assert!(script.wait().await.unwrap().success(), "{said}");
    (serde_json::from_str(&last).unwrap(), server)
}

on_both_databases! {
    async fn what_changes_is_heard_in_order_and_once_by_the_usual_client_whatever_becomes_of_the_server(world: World) {
        if !installed().await {
            return;
        }
        let (seen, mut server) = timeout(PATIENCE, played(&world.url)).await.unwrap();
        assert_eq!(seen["failures"], json!([]), "{:#}", seen["failures"]);
        assert_eq!(seen["held"], LAWS);
        assert_eq!(server.terminate().await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_token_that_asks_too_often_over_a_socket_is_refused_by_operation_and_its_events_go_on() {
    if !installed().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let token = token(&database).await;
    let mut meagre = serve(&database, "127.0.0.1:0");
    meagre.env("TANDEM__SERVER__REQUESTS_PER_SECOND", "1").env("TANDEM__SERVER__REQUEST_BURST", "40");
    let mut server = Process::start(meagre).await;
    let origin = format!("http://{}", server.address());
    let seen = printed("node", &["limits.mjs", &origin, &token]).await;
    let expected = json!({ "overSocket": "RATE_LIMITED", "overHttp": "RATE_LIMITED", "opened": 1, "closed": [] });
    assert_eq!(seen, expected);
    assert_eq!(server.terminate().await.code(), Some(0));
}
