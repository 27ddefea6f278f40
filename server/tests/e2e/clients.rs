//! Clients that others wrote, against the real program: they know of Tandem what the public standards say, and its schema.

use crate::process::{Process, tandem};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Where the clients are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients")
}

/// Nothing a script does takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs a program in the clients' folder to its end.
async fn run(program: &str, arguments: &[&str]) -> Output {
    let run = Command::new(program).args(arguments).current_dir(folder()).kill_on_drop(true).output();
    timeout(PATIENCE, run).await.unwrap().unwrap()
}

/// Installs the clients, once for a list of them. Says no where there is no npm; with `CI` set that is a failure.
async fn installed() -> bool {
    static DONE: OnceCell<bool> = OnceCell::const_new();
    *DONE
        .get_or_init(|| async {
            if Command::new("npm").arg("--version").output().await.is_err() {
                assert!(std::env::var_os("CI").is_none(), "npm and node are needed to run the clients of others");
                eprintln!("no npm: the clients of others are not run");
                return false;
            }
            let (wanted, there) = (folder().join("package-lock.json"), folder().join("node_modules/.installed"));
            let wanted = std::fs::read(wanted).unwrap();
            if std::fs::read(&there).is_ok_and(|installed| installed == wanted) {
                return true;
            }
            let install = ["ci", "--no-progress", "--ignore-scripts", "--prefer-offline"];
            let installed = run("npm", &install).await;
            assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
            std::fs::write(there, wanted).unwrap();
            true
        })
        .await
}

/// What a script printed, which must be one line of JSON.
async fn node(script: &str, arguments: &[&str]) -> Value {
    let ran = run("node", &[&[script], arguments].concat()).await;
    assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// A server on a database of its own, and a token of its administrator.
async fn server(folder: &Path) -> (Process, String) {
    let database = format!("sqlite://{}", folder.join("tandem.db").display());
    let made = tandem(&database, &["token", "create", "--user", "ops@example.com", "--role", "ADMIN"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    (Process::serve(&database, &[]).await, token)
}

#[tokio::test]
async fn every_audit_of_graphql_over_http_holds() {
    if !installed().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, token) = server(folder.path()).await;
    let url = format!("http://{}/graphql", server.address());
    let seen = node("audit.mjs", &[&url, &token]).await;
    let all = |number: u32| json!({ "held": number, "of": number });
    let levels = json!({ "MUST": all(13), "SHOULD": all(23), "MAY": all(25) });
    assert_eq!(seen, json!({ "levels": levels, "failures": [] }));
}

#[tokio::test]
async fn the_usual_websocket_client_is_served_and_refused_by_code() {
    if !installed().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, token) = server(folder.path()).await;
    let url = format!("ws://{}/graphql/ws", server.address());
    let seen = node("websocket.mjs", &[&url, &token]).await;
    let viewer = json!([{ "data": { "viewer": { "email": "ops@example.com" } } }]);
    assert_eq!(seen, json!({ "viewer": viewer, "refused": "GRAPHQL_VALIDATION_FAILED", "closed": 4403 }));
}

#[tokio::test]
async fn typescript_of_the_schema_and_of_the_examples_compiles_under_strict() {
    if !installed().await {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // Within the clients' folder, so that what the generated files import is found.
    let output = tempfile::tempdir_in(folder()).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (schema, examples) = (text(root.join("schema.graphql")), text(root.join("docs/examples")));
    let seen = node("codegen.mjs", &[&schema, &examples, &text(output.path().to_owned())]).await;
    assert_eq!(seen["files"], 7, "one file for each role");
    assert!(seen["operations"].as_u64() > Some(25), "{seen}");
}

/// What breaks clients of the released schema and is not named in the changelog.
async fn unnamed_breaks(released: &Path, now: &Path, changelog: &str) -> Vec<String> {
    let changes = node("breaking.mjs", &[released.to_str().unwrap(), now.to_str().unwrap()]).await;
    let unreleased = changelog.split("\n## [").nth(1).unwrap_or_default();
    let named = |change: &&Value| {
        let coordinate = change["coordinate"].as_str().unwrap();
        !coordinate.is_empty() && unreleased.contains(&format!("`{coordinate}`"))
    };
    let changes = changes.as_array().unwrap().iter();
    changes.filter(|change| !named(change)).map(|change| change["description"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_change_that_breaks_clients_of_the_released_schema_is_named_in_the_changelog() {
    if !installed().await {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let changelog = std::fs::read_to_string(root.join("CHANGELOG.md")).unwrap();
    let (released, now) = (root.join("docs/reference/released.graphql"), root.join("schema.graphql"));
    let unnamed = unnamed_breaks(&released, &now, &changelog).await;
    assert_eq!(unnamed, Vec::<String>::new(), "name each as `Type.field` under Unreleased in CHANGELOG.md");
    // The check itself: what is gone, or newly needed, is noticed, unless it is named by its place.
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.graphql");
    let text = std::fs::read_to_string(&now).unwrap();
    let head = changelog.split("### Added").next().unwrap();
    for (before, after, place) in [
        ("offerMade: Handoff!", "offerMadeLater: Handoff!", "Subscription.offerMade"),
        ("\tREFUSED\n", "\tREFUSED_LATER\n", "EmailState.REFUSED"),
        ("input HandoffAcceptInput {", "input HandoffAcceptInput {\n\tnew: Int!", "HandoffAcceptInput.new"),
    ] {
        assert!(text.contains(before), "{before}");
        std::fs::write(&broken, text.replacen(before, after, 1)).unwrap();
        assert_eq!(unnamed_breaks(&now, &broken, &changelog).await.len(), 1, "{place}");
        let named = format!("{head}\n- `{place}` changed.\n");
        assert_eq!(unnamed_breaks(&now, &broken, &named).await, Vec::<String>::new(), "{place}");
    }
}
