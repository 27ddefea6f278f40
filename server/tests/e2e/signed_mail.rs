//! The e-mails of the real program, as its mail server takes them: a library of others believes their signature, and
//! believes none that was changed on the way.

use crate::clients::{printed, python, text_of};
use crate::process::{Process, command, tandem};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tandem_connectors::sink::{Sink, SinkOptions};
use tandem_testkit::on_both_databases;
use tokio::time::timeout;

/// What the clients in Python need of it.
const NEED: &str = "import ensurepip, venv";

/// Nothing here takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// An e-mail with what canonical forms differ in: other letters than ASCII, dots and spaces at the ends of lines, empty lines.
const SEQUENCE: &str = r#"
key: signed
name: Signed
subject: contact
steps:
  - id: hello
    kind: send_email
    template:
      subject: "您好 {{ contact.name }} — a line, and a second thought that makes this subject rather longer than one"
      text: "Hello {{ contact.name }},\n\n.a line that begins with a dot   \n\tand one\twith tabs\n\n{{ unsubscribe_url }}\n\n\n"
      html: "<p>Hello {{ contact.name }}, 你好.</p>\n<p><a href=\"{{ unsubscribe_url }}\">Unsubscribe</a></p>\n\n"
  - {id: done, kind: end}
"#;

async fn ask(server: &Process, token: &str, query: &str, variables: Value) -> Value {
    let answer = server.post("/graphql", token, &json!({ "query": query, "variables": variables }).to_string()).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert!(body.get("errors").is_none(), "{body}");
    body["data"].clone()
}

/// Starts the program with a key, and gives the message that somebody who is enrolled is sent.
async fn sent(database: &str, token: &str, key: &Path, to: &str) -> String {
    let sink = Sink::start(SinkOptions::default()).await.unwrap();
    let mut serve = command(database, &["serve"]);
    serve
        .env("TANDEM__SERVER__LISTEN", "127.0.0.1:0")
        .env("TANDEM__SERVER__PUBLIC_URL", "https://tandem.example.com")
        .env("TANDEM__SMTP__HOST", "127.0.0.1")
        .env("TANDEM__SMTP__PORT", sink.address().port().to_string())
        .env("TANDEM__SMTP__TLS", "none")
        .env("TANDEM__SMTP__FROM", "tandem@mail.example.com")
        .env("TANDEM__SMTP__FROM_NAME", "坦德姆 Tandem")
        .env("TANDEM__SMTP__REPLY_TO", "answers@example.com")
        .env("TANDEM__SMTP__UNSUBSCRIBE_MAILBOX", "unsubscribe@example.com")
        .env("TANDEM__SMTP__DKIM_SELECTOR", "tandem")
        .env("TANDEM__SMTP__DKIM_DOMAIN", "example.com")
        .env("TANDEM__SMTP__DKIM_KEY", format!("file:{}", key.display()));
    let mut server = Process::start(serve).await;
    let create = "mutation($email: String!) { contactCreate(input: { email: $email, name: \"Łucja\",
        consent: { state: GRANTED, source: \"form\" } }) { contact { id } userErrors { message } } }";
    let created = ask(&server, token, create, json!({ "email": to })).await["contactCreate"].clone();
    assert_eq!(created["userErrors"], json!([]));
    let enrol = "mutation($sequence: ID!, $contact: ID!) { enrollmentCreate(input: { sequenceId: $sequence,
        contactId: $contact }) { userErrors { message } } }";
    let sequence =
        ask(&server, token, "{ sequence(key: \"signed\") { id } }", json!({})).await["sequence"]["id"].clone();
    let them = json!({ "sequence": sequence, "contact": created["contact"]["id"] });
    assert_eq!(ask(&server, token, enrol, them).await["enrollmentCreate"]["userErrors"], json!([]));
    timeout(PATIENCE, sink.arrived(1)).await.unwrap();
    assert_eq!(server.terminate().await.code(), Some(0));
    let [kept] = sink.messages().try_into().unwrap();
    assert_eq!(kept.to, [to]);
    kept.raw
}

/// How often a header is among the signed ones.
fn signed(seen: &Value, name: &str) -> usize {
    seen["signed"].as_array().unwrap().iter().filter(|one| *one == name).count()
}

on_both_databases! {
    async fn what_is_sent_is_believed_by_a_library_of_others_and_nothing_that_was_changed(world: World) {
        let Some(python) = python("python", NEED).await else { return };
        let folder = tempfile::tempdir().unwrap();
        let (key, message) = (folder.path().join("key.pem"), folder.path().join("message.eml"));
        let made = tandem(&world.url, &["token", "create", "--user", "ops@example.com", "--role", "ADMIN"]).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let sequence = folder.path().join("signed.yaml");
        std::fs::write(&sequence, SEQUENCE).unwrap();
        assert!(tandem(&world.url, &["sequence", "apply", text_of(&sequence)]).await.status.success());
        for (kind, algorithm) in [("rsa", "rsa-sha256"), ("ed25519", "ed25519-sha256")] {
            let pair = printed(&python, &["python/signed_mail.py", "key", kind]).await;
            std::fs::write(&key, pair["pem"].as_str().unwrap()).unwrap();
            let raw = sent(&world.url, &token, &key, &format!("{kind}@customer.example")).await;
            let unsubscribes = "\r\nList-Unsubscribe: <https://tandem.example.com/u/";
            assert!(raw.contains(unsubscribes) && raw.contains("<mailto:unsubscribe@example.com?"), "{raw}");
            std::fs::write(&message, &raw).unwrap();

            let record = pair["record"].as_str().unwrap();
            let name = "tandem._domainkey.example.com";
            let check = async |record: &str| {
                printed(&python, &["python/signed_mail.py", "check", text_of(&message), name, record]).await
            };
            let seen = check(record).await;
            assert_eq!((&seen["believed"], &seen["algorithm"]), (&json!(true), &json!(algorithm)), "{raw}");
            // Each is signed once more than it is there, so that none may be added.
            for header in ["from", "to", "subject", "date", "list-unsubscribe", "list-unsubscribe-post"] {
                assert_eq!(signed(&seen, header), 2, "{header}: {seen}");
            }
            for (what, believed) in seen["unharmed"].as_object().unwrap() {
                assert_eq!(believed, &json!(true), "{kind}: {what}");
            }
            let harmed = seen["harmed"].as_object().unwrap();
            assert!(harmed.len() > 25, "{seen}");
            for (what, believed) in harmed {
                assert_eq!(believed, &json!(false), "{kind}: {what}");
            }
            let another = printed(&python, &["python/signed_mail.py", "key", kind]).await;
            assert_eq!(check(another["record"].as_str().unwrap()).await["believed"], json!(false));
        }
    }
}
