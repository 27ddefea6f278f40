//! `tandem template`, and how `tandem sequence` finds templates with and without a database.

use crate::process::tandem;

const MAIL: &str = "key: welcome_mail\nname: Welcome\nsubject: Hello\ntext: 'First {{ unsubscribe_url }}'\n";
const TAKES: &str = "key: takes\nname: Takes\nsubject: contact\nsteps:\n  - {id: one, kind: send_email, template: welcome_mail}\n  \
                     - {id: done, kind: end}\n";

#[tokio::test]
async fn a_template_is_checked_published_and_taken_by_a_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let templates = folder.path().join("templates");
    std::fs::create_dir(&templates).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let run = async |arguments: &[&str]| {
        let output = tandem(&database, arguments).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (mail, takes) = (write("templates/welcome.yaml", MAIL), write("takes.yaml", TAKES));
    let (code, said) = run(&["template", "validate", &mail]).await;
    assert!(code == Some(0) && said.contains("welcome_mail holds"), "{said}");
    let (code, said) = run(&["sequence", "validate", &takes]).await;
    assert!(
        code == Some(0) && said.contains("the template `welcome_mail` of the step `one` was not looked at"),
        "{said}"
    );
    let there = templates.to_str().unwrap();
    let (code, said) = run(&["sequence", "validate", &takes, "--templates", there]).await;
    assert!(code == Some(0) && !said.contains("was not looked at"), "{said}");
    let other = write("other.yaml", &TAKES.replace("welcome_mail", "welcom_mail"));
    let (code, said) = run(&["sequence", "validate", &other, "--templates", there]).await;
    assert!(code == Some(1) && said.contains("line 5, column 43: steps[0].template: there is no template"), "{said}");
    assert_eq!(run(&["sequence", "simulate", &takes]).await.0, Some(1));
    let (code, said) = run(&["sequence", "simulate", &takes, "--templates", there]).await;
    assert!(code == Some(0) && said.contains("Hello"), "{said}");
    assert!(!folder.path().join("tandem.db").exists());

    let (code, said) = run(&["sequence", "apply", &takes]).await;
    assert!(code == Some(1) && said.contains("publish it first"), "{said}");
    let (code, said) = run(&["template", "apply", &mail]).await;
    assert!(code == Some(0) && said == "published version 1 of welcome_mail\n", "{said}");
    assert_eq!(run(&["sequence", "apply", &takes]).await.0, Some(0));
    write("templates/welcome.yaml", &MAIL.replace("First", "Second"));
    let (code, said) = run(&["template", "apply", &mail]).await;
    assert!(code == Some(0) && said.contains("1 sequence(s) took an older version"), "{said}");
    let (code, said) = run(&["template", "uses", "welcome_mail", "--republish"]).await;
    assert!(code == Some(0) && said.contains("takes@1 (newest): version 1, behind; 0 live run(s)"), "{said}");
    assert!(said.ends_with("published version 2 of takes\n"), "{said}");
    let (code, said) = run(&["sequence", "diff", &takes, "--against", "takes@1"]).await;
    assert!(code == Some(0) && said.contains("uses.version: 1 -> 2"), "{said}");
    let contact = folder.path().join("contacts.csv");
    std::fs::write(&contact, "name,email\nSam,sam@example.com\n").unwrap();
    let (code, said) = run(&["import", "contacts", contact.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["template", "preview", "--key", "welcome_mail@1", "--contact", "Sam@Example.com"]).await;
    assert!(code == Some(0) && said.contains("Subject: Hello\n\nFirst "), "{said}");
    let (code, said) = run(&["template", "preview", &mail, "--contact", "sam@example.com"]).await;
    assert!(code == Some(0) && said.contains("Second "), "{said}");
    assert_eq!(run(&["template", "preview", &mail, "--contact", "nobody@example.com"]).await.0, Some(1));
}
