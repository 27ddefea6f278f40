//! Clients that others wrote, against the real program: they know of Tandem what the public standards say, and its schema.

use crate::process::{Process, tandem};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

/// Where the clients are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients")
}

/// Nothing a script does takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(180);

/// A path as a client is told it.
pub fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a program in the clients' folder to its end.
async fn run(program: &str, arguments: &[&str]) -> Output {
    ended(Command::new(program).args(arguments), PATIENCE).await
}

/// The same for a command of its own settings.
async fn ended(command: &mut Command, patience: Duration) -> Output {
    let run = command.current_dir(folder()).kill_on_drop(true).output();
    timeout(patience, run).await.unwrap().unwrap()
}

/// Whether a program does what the clients need of it. With `CI` set it must.
pub async fn works(program: &str, arguments: &[&str]) -> bool {
    let works = Command::new(program).args(arguments).output().await.is_ok_and(|ran| ran.status.success());
    let missing = format!("`{program} {}` fails: the clients of others cannot be run", arguments.join(" "));
    assert!(works || std::env::var_os("CI").is_none(), "{missing}");
    if !works {
        eprintln!("{missing}");
    }
    works
}

/// Installs what a list names by some commands, once for what the list says.
pub async fn install(list: &str, into: &str, commands: &[(&str, &[&str])]) {
    let (wanted, there) = (folder().join(list), folder().join(into).join(".installed"));
    let wanted = std::fs::read(wanted).unwrap();
    if std::fs::read(&there).is_ok_and(|installed| installed == wanted) {
        return;
    }
    for (program, arguments) in commands {
        let ran = run(program, arguments).await;
        assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    std::fs::write(there, wanted).unwrap();
}

/// Installs the clients in JavaScript. Says no where there is no npm.
pub async fn installed() -> bool {
    static DONE: OnceCell<bool> = OnceCell::const_new();
    *DONE
        .get_or_init(|| async {
            if !works("npm", &["--version"]).await {
                return false;
            }
            let arguments = ["ci", "--no-progress", "--ignore-scripts", "--prefer-offline"];
            install("package-lock.json", "node_modules", &[("npm", &arguments)]).await;
            true
        })
        .await
}

/// Whoever makes an environment of Python; the others find it made.
static MAKING: Mutex<()> = Mutex::const_new(());

/// The Python that has the clients of a folder. None where no Python can do what they need, which is said in Python too.
pub async fn python(of: &str, need: &str) -> Option<String> {
    let _making = MAKING.lock().await;
    if !works("python3", &["-c", need]).await {
        return None;
    }
    let (list, into) = (format!("{of}/requirements.txt"), format!("{of}/.venv"));
    let python = folder().join(&into).join("bin/python").to_str().unwrap().to_owned();
    let make = ["-m", "venv", "--clear", into.as_str()];
    let fill = ["-m", "pip", "install", "--quiet", "--no-input", "--only-binary", ":all:", "-r", list.as_str()];
    install(&list, &into, &[("python3", &make), (python.as_str(), &fill)]).await;
    Some(python)
}

/// A client, to be run in the clients' folder, that speaks to this machine, whatever proxy others go through.
pub fn client(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.args(arguments).env("NO_PROXY", "127.0.0.1").current_dir(folder()).kill_on_drop(true);
    command
}

/// What a client printed, which must be one line of JSON.
pub async fn printed(program: &str, arguments: &[&str]) -> Value {
    printed_within(PATIENCE, program, arguments).await
}

/// The same for a client that has more to do than the others.
pub async fn printed_within(patience: Duration, program: &str, arguments: &[&str]) -> Value {
    let ran = ended(&mut client(program, arguments), patience).await;
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// What a script printed.
async fn node(script: &str, arguments: &[&str]) -> Value {
    printed("node", &[&[script], arguments].concat()).await
}

/// A server on a database of its own, and a token of its administrator.
async fn server(folder: &Path) -> (Process, String) {
    served(&format!("sqlite://{}", folder.join("tandem.db").display())).await
}

/// A server on a database where nobody is known yet, and a token of its administrator.
pub async fn served(database: &str) -> (Process, String) {
    let made = tandem(database, &["token", "create", "--user", "ops@example.com", "--role", "ADMIN"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    (Process::serve(database, &[]).await, token)
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

/// What the lint says of a schema: rule and place of each fault.
async fn faults(schema: &Path) -> Vec<(String, String)> {
    let faults = node("lint.mjs", &[schema.to_str().unwrap()]).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    faults.as_array().unwrap().iter().map(|fault| (text(&fault["rule"]), text(&fault["place"]))).collect()
}

#[tokio::test]
async fn the_schema_keeps_the_rules_and_the_lint_notices_what_breaks_them() {
    if !installed().await {
        return;
    }
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema.graphql");
    assert_eq!(faults(&schema).await, []);
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.graphql");
    let text = std::fs::read_to_string(&schema).unwrap();
    for (before, after, rule, place) in [
        ("\tWhen it was issued.\n", "\twhen it was issued.\n", "described", "AccessToken.createdAt"),
        ("\tfunnelReport(", "\tfunnel_report(", "naming", "Query.funnel_report"),
        ("type Team implements Node {", "type Team {", "relay", "Team"),
        ("\thasNextPage: Boolean!", "\thasNextPage: Boolean", "relay", "PageInfo.hasNextPage"),
        ("\tproposer: User\n", "\tproposer: [User!]\n", "lists", "ChangeRequest.proposer"),
        ("AccountCreatePayload!", "AccountChangePayload!", "mutations", "Mutation.accountCreate"),
        ("\tamount: Decimal!", "\tamount: Float!", "scalars", "Money.amount"),
        ("\tofferMade: Handoff!", "\tofferMade: Handoff! @deprecated", "deprecated", "Subscription.offerMade"),
        ("\tofferMade: Handoff!", "\tofferMade: Handoff", "subscriptions", "Subscription.offerMade"),
    ] {
        assert!(text.contains(before), "{before}");
        std::fs::write(&broken, text.replacen(before, after, 1)).unwrap();
        assert_eq!(faults(&broken).await, [(rule.to_owned(), place.to_owned())], "{after}");
    }
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
