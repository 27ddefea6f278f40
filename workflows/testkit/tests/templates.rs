//! E-mails of sequences in the language of whoever gets them, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Map, json};
use tandem_app::contacts::ContactCreate;
use tandem_app::{EnrollmentCreate, SequencePublish};
use tandem_domain::contact::{Contact, ContactPatch};
use tandem_testkit::{World, on_both_databases};

const SOURCE: &str = r#"
key: hello
name: Hello
subject: contact
snippets:
  signature: "{{ sender.name }} {{ unsubscribe_url }}"
steps:
  - id: hello
    kind: send_email
    template:
      subject: "Hello {{ contact.first_name | default('there') }}"
      text: "Thank you. {% include 'signature' %}"
    languages:
      zh: { subject: "{{ contact.name }}，您好", text: "谢谢。{% include \"signature\" %}" }
  - { id: done, kind: end }
"#;

async fn person(world: &World, name: &str, locale: &str) -> Contact {
    let contact: ContactPatch = serde_json::from_value(json!({
        "name": name,
        "email": format!("{}@example.com", name.to_lowercase()),
        "locale": locale,
        "consent": {"state": "GRANTED", "source": "form"},
    }))
    .unwrap();
    world.app.run(&world.system(), ContactCreate { contact, default_region: None }).await.unwrap().record
}

on_both_databases! {
    async fn each_gets_the_language_that_is_nearest_and_a_preview_shows_what_is_sent(world: World) {
        let publish = SequencePublish { source: SOURCE.to_owned() };
        let (sequence, version) = world.app.run(&world.system(), publish).await.unwrap();
        let kept = serde_json::to_string(&version.definition).unwrap();
        assert!(!kept.contains("include") && !kept.contains("snippets"), "a version holds whole texts: {kept}");
        for (name, locale, subject) in [("Sam", "en-GB", "Hello Sam"), ("Lin", "zh-Hans-CN", "Lin，您好")] {
            let contact = person(&world, name, locale).await;
            let before = world.ledger_kinds().await.len();
            let letter = world.app.sequence_email_preview(SOURCE, "hello", contact.id, None).await.unwrap().unwrap();
            assert_eq!(world.ledger_kinds().await.len(), before, "a preview changes nothing");
            let enroll =
                EnrollmentCreate { sequence: sequence.id, contact: Some(contact.id), lead: None, vars: Map::new() };
            world.app.run(&world.system(), enroll).await.unwrap();
            world.run_due_jobs().await;
            let sent = world.mailer.sent().pop().unwrap();
            assert_eq!((sent.subject.as_str(), letter.subject.as_str()), (subject, subject));
            let link = sent.unsubscribe.unwrap().url;
            assert!(sent.text.ends_with(&link) && !letter.text.contains("/u/"), "{} {}", sent.text, letter.text);
        }
    }

    async fn a_preview_says_what_is_wrong_with_the_step_the_person_or_the_definition(world: World) {
        let sam = person(&world, "Sam", "en").await;
        let preview = async |source: &str, step: &str| world.app.sequence_email_preview(source, step, sam.id, None).await;
        for (step, code) in [("done", "SEQUENCE_STEP_UNKNOWN"), ("nowhere", "SEQUENCE_STEP_UNKNOWN")] {
            assert_eq!(preview(SOURCE, step).await.unwrap_err().code(), code);
        }
        let needs = SOURCE.replace("contact.first_name | default('there')", "contact.title");
        assert_eq!(preview(&needs, "hello").await.unwrap_err().code(), "TEMPLATE_UNDEFINED");
        let broken = SOURCE.replace("'signature'", "'sgnature'");
        let problems = preview(&broken, "hello").await.unwrap().unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said[0].contains("line 12") && said[0].contains("did you mean `signature`?"), "{said:?}");
    }
}
