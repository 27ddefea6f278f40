//! The clients of GraphQL that pages are made with, against the real program: Apollo Client, urql and Relay, each with the
//! documents in full, and then with their hashes alone, where the program executes nothing else.

use crate::clients::{client, folder, installed, printed, text_of as text};
use crate::process::{Process, command, tandem};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tandem_testkit::on_both_databases;
use tempfile::TempDir;

/// A database where two people have tokens.
struct Page {
    database: String,
    admin: String,
    /// Of somebody who may not read what an administrator may.
    sdr: String,
}

impl Page {
    async fn over(database: &str) -> Self {
        let (admin, sdr) = (token(database, "ADMIN").await, token(database, "SDR").await);
        Self { database: database.to_owned(), admin, sdr }
    }

    /// Runs a script against the program, which executes nothing but the documents of a file where there is one, and gives how
    /// many laws held: all of them.
    async fn held(&self, documents: Option<&Path>, script: &str, arguments: &[&str]) -> usize {
        let mut command = command(&self.database, &["serve"]);
        command
            .env("TANDEM__SERVER__LISTEN", "127.0.0.1:0")
            // The first operation of a debug build takes seconds, perhaps beside other tests.
            .env("TANDEM__SERVER__GRAPHQL_TIMEOUT_SECONDS", "60")
            // One line a request is too much to read beside a failure.
            .env("TANDEM__LOG__FILTER", "warn");
        if let Some(documents) = documents {
            command
                .env("TANDEM__SERVER__TRUSTED_DOCUMENTS", documents)
                .env("TANDEM__SERVER__ONLY_TRUSTED_DOCUMENTS", "true");
        }
        let mut server = Process::start(command).await;
        let origin = format!("http://{}", server.address());
        let seen = printed("node", &[&[script, &origin, &self.admin], arguments].concat()).await;
        assert_eq!(seen["failures"], json!([]), "{script} {arguments:?}: {:#}", seen["failures"]);
        assert_eq!(server.terminate().await.code(), Some(0));
        seen["held"].as_array().unwrap().len()
    }
}

async fn token(database: &str, role: &str) -> String {
    let user = format!("{}@example.com", role.to_lowercase());
    let arguments = ["token", "create", "--user", &user, "--role", role, "--create-user", role];
    let made = tandem(database, &arguments).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// A folder within that of the clients, so that what is made there finds what it imports.
fn within() -> TempDir {
    tempfile::tempdir_in(folder()).unwrap()
}

/// What Relay's compiler makes of the schema and of a page's documents, and how many artifacts it is.
async fn compiled(folder: &Path, persisted: bool) -> u64 {
    let schema: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema.graphql");
    let mut arguments = vec!["relay/compile.mjs", text(&schema), text(folder)];
    arguments.extend(persisted.then_some("persisted"));
    printed("node", &arguments).await["artifacts"].as_u64().unwrap()
}

on_both_databases! {
    async fn apollo_client_is_served(world: World) {
        if !installed().await {
            return;
        }
        let page = Page::over(&world.url).await;
        assert_eq!(page.held(None, "apollo.mjs", &[]).await, 7);
        // What Apollo's own generator makes of the same documents.
        let made = within();
        let (config, manifest) = (made.path().join("config.json"), made.path().join("manifest.json"));
        let wanted = json!({ "documents": ["apollo/documents.mjs"], "output": text(&manifest) });
        std::fs::write(&config, wanted.to_string()).unwrap();
        let generator = "node_modules/@apollo/generate-persisted-query-manifest/cli.js";
        let ran = client("node", &[generator, "--config", text(&config)]).output().await.unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(page.held(Some(&manifest), "apollo.mjs", &[text(&manifest)]).await, 8);
    }

    async fn urql_is_served(world: World) {
        if !installed().await {
            return;
        }
        let page = Page::over(&world.url).await;
        assert_eq!(page.held(None, "urql.mjs", &[]).await, 7);
        let made = within();
        let documents = made.path().join("documents.json");
        let known: Value = printed("node", &["urql.mjs", "documents"]).await;
        std::fs::write(&documents, known.to_string()).unwrap();
        assert_eq!(page.held(Some(&documents), "urql.mjs", &["trusted"]).await, 7);
    }

    async fn relay_is_served(world: World) {
        if !installed().await {
            return;
        }
        let page = Page::over(&world.url).await;
        let (texts, hashes) = (within(), within());
        assert_eq!(compiled(texts.path(), false).await, compiled(hashes.path(), true).await);
        assert_eq!(page.held(None, "relay.mjs", &[&page.sdr, text(texts.path())]).await, 7);
        let documents = hashes.path().join("documents.json");
        assert_eq!(page.held(Some(&documents), "relay.mjs", &[&page.sdr, text(hashes.path())]).await, 7);
    }
}
