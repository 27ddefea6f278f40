//! The guide to importing, done to the letter in an empty folder.

use crate::process::{Process, command};
use std::path::Path;

const GUIDE: &str = include_str!("../../../docs/guides/import.md");

/// The code blocks of the guide in a language, in their order.
fn blocks(language: &str) -> Vec<String> {
    let blocks = GUIDE.split("\n```").filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    blocks.map(|block| format!("{block}\n")).collect()
}

#[tokio::test]
async fn whoever_follows_the_guide_to_importing_has_imported() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let server = Process::serve(&database, &[]).await;
    let (files, mappings) = (blocks("csv"), blocks("yaml"));
    for (name, text) in [("accounts.csv", &files[0]), ("contacts.csv", &files[1]), ("contacts.yaml", &mappings[0])] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_tandem")).parent().unwrap().display().to_string();
    let script = format!("set -e\nPATH=\"{binary}:$PATH\"\n{}", blocks("sh").concat());
    let script = script.replace("http://127.0.0.1:8080", &format!("http://{}", server.address()));
    // The settings that a command of Tandem's has in these tests, handed on by the shell.
    let tandem = command(&database, &[]);
    let mut shell = tokio::process::Command::new("sh");
    for (name, value) in tandem.as_std().get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let done = shell.args(["-c", &script]).current_dir(folder.path()).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{out}{err}");
    for said in [
        r#""customField":{"key":"region"},"userErrors":[]"#,
        "accounts: 1 rows, 1 new, 0 changed, 0 unchanged, 0 rejected",
        "contacts: 3 rows, 2 new, 0 changed, 0 unchanged, 1 rejected",
        "contacts: 1 rows, 1 new, 0 changed, 0 unchanged, 0 rejected",
    ] {
        assert!(out.contains(said), "{said}: {out}{err}");
    }
}
