//! What commands print, for people who stop reading and for programs that read on.

use crate::process::{command, tandem};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};

const MAIL: &str = "key: welcome_mail\nname: Welcome\nsubject: Hello\ntext: 'First {{ unsubscribe_url }}'\n";
const TAKES: &str = "key: takes\nname: Takes\nsubject: contact\nsteps:\n  - {id: one, kind: send_email, template: welcome_mail}\n  \
                     - {id: rest, kind: wait, duration: 2d}\n  - {id: two, kind: send_email, template: welcome_mail}\n  \
                     - {id: done, kind: end}\n";

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command whose reader is gone before it begins.
async fn unread(database: &str, arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command(database, arguments).stdout(writer).stderr(Stdio::piped()).output().await.unwrap()
}

#[tokio::test]
async fn who_stops_reading_early_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    let mail = write(folder.path(), "templates/welcome.yaml", MAIL);
    let takes = write(folder.path(), "takes.yaml", TAKES);
    let templates = folder.path().join("templates");
    let templates = templates.to_str().unwrap();
    let contacts = write(folder.path(), "contacts.csv", "name,email\nSam,sam@example.com\n");
    for made in
        [vec!["template", "apply", &mail], vec!["sequence", "apply", &takes], vec!["import", "contacts", &contacts]]
    {
        assert_eq!(tandem(&database, &made).await.status.code(), Some(0), "{made:?}");
    }
    for arguments in [
        vec!["template", "validate", &mail],
        vec!["template", "preview", &mail, "--contact", "sam@example.com"],
        vec!["template", "uses", "welcome_mail"],
        vec!["sequence", "validate", &takes, "--templates", templates],
        vec!["sequence", "simulate", &takes, "--templates", templates],
        vec!["sequence", "simulate", &takes, "--templates", templates, "--json"],
        vec!["sequence", "simulate", &takes, "--contacts", "all"],
        vec!["sequence", "diff", &takes],
        vec!["sequence", "preview", &takes],
        vec!["sequence", "schema"],
        vec!["sequence", "apply", &takes],
    ] {
        let ended = unread(&database, &arguments).await;
        assert_eq!((ended.status.code(), text(&ended.stderr).contains("panicked")), (Some(0), false), "{arguments:?}");
    }
}

#[tokio::test]
async fn what_is_for_a_program_is_json_alone() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    write(folder.path(), "templates/welcome.yaml", MAIL);
    write(folder.path(), "templates/other.yaml", "key: 1\n");
    let takes = write(folder.path(), "takes.yaml", TAKES);
    let templates = folder.path().join("templates");
    let simulate = ["sequence", "simulate", &takes, "--json", "--templates", templates.to_str().unwrap()];
    let ended = tandem(&database, &simulate).await;
    assert_eq!(ended.status.code(), Some(0));
    let lines: Vec<Value> = text(&ended.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 2, "{lines:?}");
    assert!(text(&ended.stderr).contains("other.yaml: not taken:"), "{}", text(&ended.stderr));
    write(folder.path(), "takes.yaml", &TAKES.replace("welcome_mail", "welcom_mail"));
    let ended = tandem(&database, &simulate).await;
    assert_eq!((ended.status.code(), text(&ended.stdout).as_str()), (Some(1), ""));
    assert!(text(&ended.stderr).contains("line 5, column 43: steps[0].template"), "{}", text(&ended.stderr));
}

#[tokio::test]
async fn to_apply_is_repeated_and_looked_ahead_at_without_surprise() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let plain = TAKES.replace("template: welcome_mail", "template: {subject: a, text: b}");
    let takes = write(folder.path(), "takes.yaml", &plain);
    let run = async |arguments: &[&str]| {
        let ended = tandem(&database, arguments).await;
        (ended.status.code(), text(&ended.stdout))
    };
    let apply = ["sequence", "apply", &takes, "--running", "migrate"];
    let (code, said) = run(&apply).await;
    assert!(code == Some(0) && said == "published version 1 of takes\nnobody is moved or ended\n", "{said}");
    let (code, said) = run(&apply).await;
    assert!(code == Some(0) && said == "version 1 of takes says the same\nnobody is moved or ended\n", "{said}");
    assert_eq!(run(&["sequence", "preview", &takes]).await.0, Some(0));
    let nowhere =
        plain.replace("{id: rest, kind: wait, duration: 2d}", "{id: rest, kind: notify, channel: nowhere, text: Hi}");
    let nowhere =
        write(folder.path(), "nowhere.yaml", &nowhere.replace("kind: send_email,", "kind: send_email, pool: none,"));
    for arguments in [["sequence", "preview", &nowhere], ["sequence", "apply", &nowhere]] {
        let (code, said) = run(&arguments).await;
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((code, lines.len()), (Some(1), 4), "{said}");
        assert!(lines[0].contains("line 5, column ") && lines[0].ends_with("[SEQUENCE_POOL_UNKNOWN]"), "{said}");
        assert!(lines[1].contains("line 6, column ") && lines[1].ends_with("[CHANNEL_UNKNOWN]"), "{said}");
    }
}

#[tokio::test]
async fn a_sequence_is_paused_resumed_and_archived_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let takes =
        write(folder.path(), "takes.yaml", &TAKES.replace("template: welcome_mail", "template: {subject: a, text: b}"));
    let run = async |arguments: &[&str]| {
        let ended = tandem(&database, &[&["sequence"], arguments].concat()).await;
        (ended.status.code(), text(&ended.stdout))
    };
    let listed = async || {
        let (code, said) = run(&["list", "--json"]).await;
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str::<Value>(&said).unwrap()
    };
    assert_eq!(run(&["apply", &takes]).await.0, Some(0));
    let one = listed().await[0].clone();
    assert_eq!(one["key"], "takes");
    assert_eq!((&one["state"], &one["version"], &one["liveRuns"]), (&"ACTIVE".into(), &1.into(), &0.into()));
    let past = run(&["pause", "takes", "--until", "2020-01-01T00:00:00Z"]).await;
    assert!(past.0 == Some(1) && past.1.contains("[SEQUENCE_PAUSE_OVER]"), "{past:?}");
    assert_eq!(
        run(&["pause", "takes", "--until", "2099-01-01T00:00:00Z"]).await.1,
        "takes is PAUSED until 2099-01-01T00:00:00Z\n"
    );
    assert_eq!(listed().await[0]["pausedUntil"], "2099-01-01T00:00:00Z");
    let many = run(&["resume", "takes", "--backlog", "spread", "--days", "31"]).await;
    assert!(many.0 == Some(1) && many.1.contains("1 to 30 days"), "{many:?}");
    assert_eq!(
        run(&["resume", "takes", "--days", "3"]).await,
        (Some(0), "takes is ACTIVE; 0 run(s) that fell due: SPREAD over 3 day(s)\n".to_owned())
    );
    assert_eq!(run(&["archive", "takes"]).await.1, "takes is ARCHIVED\n");
    let again = run(&["pause", "takes"]).await;
    assert!(again.0 == Some(1) && again.1.contains("ARCHIVED"), "{again:?}");
    let (code, said) = run(&["archive", "tokes"]).await;
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "there is no sequence `tokes`; `tandem sequence list` names those there are\n")
    );
    let (_, table) = run(&["list"]).await;
    assert!(table.starts_with("KEY    STATE     VERSION  LIVE  BACKLOG"), "{table}");
}
