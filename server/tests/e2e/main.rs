//! The real program: started, asked, stopped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clients;
mod command_line;
mod demo;
mod fuzz;
mod graphql_clients;
mod import_guide;
mod outbound;
mod process;
mod sdks;
mod signed_mail;
mod standard_webhooks;
mod subscriptions;
mod templates;
mod traces;
mod webhooks;

use process::{Process, tandem};
use serde_json::json;

#[tokio::test]
async fn the_program_serves_and_stops_cleanly_at_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let made = tandem(&database, &["token", "create", "--user", "ops@example.com", "--role", "ADMIN"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(token.starts_with("tdm_"), "{token}");

    let mut server = Process::serve(&database, &[]).await;
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200"));
    let query = json!({ "query": "{ viewer { email } }" }).to_string();
    let answer = server.post("/graphql", &token, &query).await;
    assert!(answer.contains(r#"{"data":{"viewer":{"email":"ops@example.com"}},"extensions":{"cost":"#), "{answer}");
    assert_eq!(server.terminate().await.code(), Some(0));

    let verified = tandem(&database, &["ledger", "verify"]).await;
    assert_eq!(verified.status.code(), Some(0));
    let exported = tandem(&database, &["ledger", "export"]).await;
    let entries = exported.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert!(entries > 2, "the shipped taxonomies, the user and the token");
    let verified = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.starts_with(&format!("the ledger holds: {entries} entries")), "{verified}");

    let elsewhere = format!("sqlite://{}", folder.path().join("mistyped.db").display());
    let refused = tandem(&elsewhere, &["ledger", "verify"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no database at"));
    assert!(!folder.path().join("mistyped.db").exists());
}

#[tokio::test]
async fn a_second_user_needs_to_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let create = ["token", "create", "--role", "SDR", "--user"];
    let first = tandem(&database, &[&create[..], &["a@example.com"]].concat()).await;
    assert_eq!(first.status.code(), Some(0));
    let second = tandem(&database, &[&create[..], &["b@example.com"]].concat()).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("--create-user"));
    let asked = tandem(&database, &[&create[..], &["b@example.com", "--create-user", "B"]].concat()).await;
    assert_eq!(asked.status.code(), Some(0));
}

#[tokio::test]
async fn wrong_usage_and_wrong_configuration_exit_with_2() {
    let usage =
        tandem("sqlite://never-opened.db", &["token", "create", "--user", "a@example.com", "--role", "KING"]).await;
    assert_eq!(usage.status.code(), Some(2));
    let unknown = process::command("sqlite://never-opened.db", &["migrate", "status"])
        .env("TANDEM__SERVER__LISTN", "127.0.0.1:0")
        .output()
        .await
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("TANDEM__SERVER__LISTEN"));
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_and_how_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let before = tandem(&database, &["doctor"]).await;
    let text = String::from_utf8(before.stdout).unwrap();
    assert_eq!(before.status.code(), Some(1));
    assert!(text.contains("FAIL  database") && text.contains("hint: "), "{text}");
    assert!(!folder.path().join("tandem.db").exists());
    assert_eq!(tandem(&database, &["migrate"]).await.status.code(), Some(0));
    let after = tandem(&database, &["doctor"]).await;
    assert_eq!(after.status.code(), Some(0), "{}", String::from_utf8_lossy(&after.stdout));
}

#[tokio::test]
async fn a_worker_alone_stops_cleanly_at_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let (mut child, mut log) = process::logged(&database, &["worker"]);
    process::log_line(&mut log, |line| line["message"] == "workers started").await;
    assert_eq!(process::terminate(&mut child).await.code(), Some(0));
}

#[tokio::test]
async fn every_log_line_of_a_request_has_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let (mut child, mut log) = process::logged(&database, &["serve", "--no-workers"]);
    let address = process::listening(&mut child).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\nx-request-id: r-42\r\nconnection: close\r\n\r\n";
    assert!(process::exchange(address, request).await.contains("x-request-id: r-42"));
    let line = process::log_line(&mut log, |line| line["message"] == "answered").await;
    assert_eq!((&line["span"]["request_id"], &line["status"]), (&json!("r-42"), &json!(200)), "{line}");
    assert_eq!(process::terminate(&mut child).await.code(), Some(0));
}

#[tokio::test]
async fn a_sequence_is_checked_tried_out_and_published_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../workflows/library/sequences/welcome.yaml");
    let run = async |arguments: &[&str]| {
        let output = tandem(&database, &[&["sequence"], arguments].concat()).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run(&["validate", shipped]).await.0, Some(0));
    let published = include_str!("../../../docs/reference/sequence.schema.json");
    assert!(run(&["schema"]).await == (Some(0), published.to_owned()), "`sequence schema` is not the published file");
    let (code, plan) = run(&["simulate", shipped, "--start", "2026-03-02", "--zone", "Asia/Shanghai"]).await;
    assert!(code == Some(0) && plan.starts_with("day 1, Monday 2026-03-02\n  09:00  "), "{plan}");
    assert!(!folder.path().join("tandem.db").exists());
    let (code, said) = run(&["apply", shipped]).await;
    assert!(code == Some(0) && said.starts_with("published version 1 of "), "{said}");
    let (code, said) = run(&["apply", shipped]).await;
    assert!(code == Some(0) && said.ends_with("nothing changed\n"), "{said}");
    // What the library prints is a file that holds.
    let (code, list) = run(&["library"]).await;
    assert!(
        code == Some(0) && list.contains("\nno_show  ") && list.contains("needs a chat channel `sales-room`"),
        "{list}"
    );
    let (code, printed) = run(&["library", "no_show"]).await;
    let file = folder.path().join("no_show.yaml");
    std::fs::write(&file, &printed).unwrap();
    assert_eq!((code, run(&["validate", file.to_str().unwrap()]).await.0), (Some(0), Some(0)));
    assert_eq!(run(&["library", "noshow"]).await, (Some(1), String::new()));
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(&wrong, "key: x\nsteps: []\n").unwrap();
    let (code, said) = run(&["validate", wrong.to_str().unwrap()]).await;
    assert!(code == Some(1) && said.contains("wrong.yaml: "), "{said}");
}
