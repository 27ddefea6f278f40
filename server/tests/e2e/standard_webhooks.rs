//! The libraries of Standard Webhooks against the real program: they believe what it sends, and it believes what they sign.

use crate::clients::{installed, printed, python};
use crate::process::{Process, command, tandem};
use serde_json::json;
use tandem_testkit::on_both_databases;

/// What the clients in Python need of it.
const NEED: &str = "import ensurepip, venv";

/// How many laws each script has.
const LAWS: usize = 7;

async fn every_law_holds(database: &str, program: &str, script: &str) {
    let made = tandem(database, &["token", "create", "--user", "ops@example.com", "--role", "ADMIN"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let mut command = command(database, &["serve"]);
    command
        .env("TANDEM__SERVER__LISTEN", "127.0.0.1:0")
        .env("TANDEM__SERVER__GRAPHQL_TIMEOUT_SECONDS", "60")
        .env("TANDEM__WEBHOOKS__ALLOW_HTTP", "true")
        .env("TANDEM__WEBHOOKS__ALLOW_NETWORKS", "127.0.0.0/8")
        // A second that is up to a fifth shorter may be no other second.
        .env("TANDEM__WEBHOOKS__RETRY_WAITS", "2,2,2")
        .env("TANDEM__LOG__FILTER", "warn");
    let mut server = Process::start(command).await;
    let origin = format!("http://{}", server.address());
    let seen = printed(program, &[script, &origin, &token]).await;
    assert_eq!(seen["failures"], json!([]), "{:#}", seen["failures"]);
    assert_eq!(seen["held"].as_array().unwrap().len(), LAWS);
    assert_eq!(server.terminate().await.code(), Some(0));
}

on_both_databases! {
    async fn the_library_for_javascript_believes_and_is_believed(world: World) {
        if installed().await {
            every_law_holds(&world.url, "node", "standard-webhooks.mjs").await;
        }
    }

    async fn the_library_for_python_believes_and_is_believed(world: World) {
        if let Some(python) = python("python", NEED).await {
            every_law_holds(&world.url, &python, "python/standard_webhooks.py").await;
        }
    }
}
