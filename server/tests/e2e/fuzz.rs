//! Cases made at random of the whole schema, against the real program: nothing breaks, and every answer is as documented.

use crate::clients::{printed_within, python};
use crate::process::{Process, command, tandem};
use serde_json::json;
use std::time::Duration;
use tandem_testkit::on_both_databases;

/// What the fuzz needs of Python: 3.11, and that it makes environments.
const NEED: &str = "import ensurepip, venv; from datetime import UTC";

/// No run takes this long, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A token of somebody with one role.
async fn token(database: &str, role: &str) -> String {
    let user = format!("{}@example.com", role.to_lowercase());
    let arguments = ["token", "create", "--user", &user, "--role", role, "--create-user", role];
    let made = tandem(database, &arguments).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// Sends `cases` cases with the token of an administrator, who may do everything, and `others` with those of people who may
/// do less.
async fn every_answer_is_right(database: &str, python: &str, cases: u64, others: u64) {
    let (admin, sdr, sales) =
        (token(database, "ADMIN").await, token(database, "SDR").await, token(database, "SALES").await);
    let tokens = [admin, sdr, sales].join(",");
    let mut command = command(database, &["serve"]);
    command
        .env("TANDEM__SERVER__LISTEN", "127.0.0.1:0")
        .env("TANDEM__SERVER__REQUESTS_PER_SECOND", "10000")
        .env("TANDEM__SERVER__REQUEST_BURST", "10000")
        // One line a request is too much to read beside a failure.
        .env("TANDEM__LOG__FILTER", "warn");
    let mut server = Process::start(command).await;
    let url = format!("http://{}/graphql", server.address());
    let (all, besides) = (cases.to_string(), others.to_string());
    let script = ["python/fuzz", &url, &tokens, "--cases", &all, "--others", &besides];
    let seen = printed_within(PATIENCE, python, &script).await;
    eprintln!("{} seconds: {}", seen["seconds"], seen["outcomes"]);
    assert_eq!(seen["failures"], json!([]), "{:#}", seen["failures"]);
    assert_eq!(seen["cases"], json!({ "administrator": cases, "others": others }));
    // Cases that are refused at the door find nothing behind it.
    let of = |whose: &str, outcome: &str| seen["outcomes"][whose][outcome].as_u64().unwrap_or(0);
    let inside = of("administrator", "done") + of("administrator", "userErrors");
    assert!(3 * inside >= 2 * cases, "{}", seen["outcomes"]);
    assert!(of("others", "FORBIDDEN") > 0, "{}", seen["outcomes"]);
    assert_eq!(server.terminate().await.code(), Some(0));
}

on_both_databases! {
    async fn no_case_breaks_anything(world: World) {
        if let Some(python) = python("python/fuzz", NEED).await {
            let (cases, others) = if world.url.starts_with("sqlite") { (2_000, 300) } else { (270, 30) };
            every_answer_is_right(&world.url, &python, cases, others).await;
        }
    }
}
