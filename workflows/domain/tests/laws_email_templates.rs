//! Laws of the templates that sequences share: what a step takes, that it is frozen, and how what is wrong is told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeZone, Utc};
use proptest::prelude::*;
use serde_json::json;
use tandem_domain::email_template::library::{self, MOST_TAKEN, Reference};
use tandem_domain::email_template::{
    self, By, EmailTemplate, EmailTemplateState, EmailTemplateVersion, Library, Refusal, Usage, definition,
};
use tandem_domain::sequence::publishing::hash;
use tandem_domain::sequence::steps::StepKind;
use tandem_domain::sequence::steps::send_email::Config;
use tandem_domain::sequence::validate::{self, Problem, Rule};
use tandem_domain::sequence::{Definition, lint};
use uuid::Uuid;

const MAIL: &str = r#"key: welcome_mail
name: Welcome
subject: "Hello {{ contact.first_name | default('there') }}"
text: |
  Thank you.
  {% include "signature" %}
languages:
  zh: { subject: "您好", text: "谢谢。{% include 'signature' %}" }
snippets:
  signature: "{{ sender.name }} {{ unsubscribe_url }}"
"#;

fn now() -> DateTime<Utc> {
    Utc.timestamp_opt(1_772_442_000, 0).unwrap()
}

fn by(n: u128) -> By {
    By { template: Uuid::from_u128(1).into(), version: Uuid::from_u128(n).into(), user: None }
}

type Published = (EmailTemplate, EmailTemplateVersion);

fn publish(before: Option<&Published>, source: &str, n: u128) -> Result<Published, Refusal> {
    let existing = before.map(|(template, version)| (template.clone(), Some(version.clone())));
    email_template::publish(existing, source, by(n), now()).map(|decision| decision.next)
}

/// A library that has these documents as versions 1, 2, ... of one template.
fn stored(sources: &[&str]) -> Library {
    let (mut last, mut versions): (Option<Published>, Vec<EmailTemplateVersion>) = (None, Vec::new());
    for (n, source) in (10..).zip(sources) {
        let published = publish(last.as_ref(), source, n).unwrap();
        versions.push(published.1.clone());
        last = Some(published);
    }
    Library::stored(last.map(|(template, _)| template).into_iter().collect(), versions, vec!["winter_sale".to_owned()])
}

fn sequence(template: &str) -> String {
    format!(
        "key: hello\nname: Hello\nsubject: contact\nsteps:\n  - id: hello\n    kind: send_email\n    {template}\n  - {{ id: done, \
         kind: end }}\n"
    )
}

fn mail(definition: &Definition) -> &Config {
    let StepKind::SendEmail(mail) = &definition.steps[0].kind else { panic!("an e-mail") };
    mail
}

fn problems(source: &str, library: &Library) -> Vec<Problem> {
    validate::read_with(source, library).unwrap_err()
}

#[test]
fn a_step_takes_the_newest_version_or_the_one_it_asks_for_and_says_which() {
    let second = MAIL.replace("Thank you", "Many thanks");
    let library = stored(&[MAIL, &second]);
    for (template, uses, pinned, word) in [
        ("template: welcome_mail", "welcome_mail@2", false, "Many thanks."),
        ("template: welcome_mail@1", "welcome_mail@1", true, "Thank you."),
        ("template: \"welcome_mail@2\"", "welcome_mail@2", true, "Many thanks."),
    ] {
        let definition = validate::read_with(&sequence(template), &library).unwrap();
        let mail = mail(&definition);
        assert_eq!(mail.uses.as_ref().map(|uses| (uses.to_string(), uses.pinned)), Some((uses.to_owned(), pinned)));
        assert!(mail.template.text.starts_with(word), "{}", mail.template.text);
        assert!(mail.template.text.contains("{{ unsubscribe_url }}"), "with its snippets in place");
        assert_eq!(mail.languages.keys().collect::<Vec<_>>(), ["zh"]);
        // It is whole: stored and read again it needs no library, and nothing of it changes.
        let kept: Definition = serde_json::from_str(&serde_json::to_string(&definition).unwrap()).unwrap();
        assert_eq!(kept, definition);
        assert_eq!(hash(&kept), hash(&definition));
    }
    let of = |template: &str| hash(&validate::read_with(&sequence(template), &library).unwrap());
    assert_ne!(of("template: welcome_mail"), of("template: welcome_mail@1"));
    assert_ne!(of("template: welcome_mail"), of("template: welcome_mail@2"), "a pin is a change of its own");
}

#[test]
fn what_cannot_be_taken_is_told_with_line_and_column() {
    let library = stored(&[MAIL]);
    for (template, rule, place, words) in [
        ("template: welcom_mail", Rule::ReferenceUnknown, (7, 15), "did you mean `welcome_mail`?"),
        ("template: winter_sole", Rule::ReferenceUnknown, (7, 15), "did you mean `winter_sale`?"),
        ("template: nothing_like_it", Rule::ReferenceUnknown, (7, 15), "publish it first"),
        ("template: welcome_mail@7", Rule::ReferenceUnknown, (7, 15), "no version 7; the newest is 1"),
        ("template: Welcome-Mail", Rule::NameInvalid, (7, 15), "the key of a stored one"),
        ("template: welcome_mail@0", Rule::NameInvalid, (7, 15), "the key of a stored one"),
        ("template: welcome_mail@x", Rule::NameInvalid, (7, 15), "the key of a stored one"),
        ("template: welcome_mail\n    languages: {}", Rule::Shape, (8, 16), "brings its languages"),
        (
            "template: {subject: a, text: b}\n    uses: {template: welcome_mail, version: 1}",
            Rule::Shape,
            (8, 5),
            "unknown field `uses`",
        ),
    ] {
        let found = problems(&sequence(template), &library);
        assert_eq!(found.len(), 1, "{template}: {found:#?}");
        let Problem { rule: broken, line, column, message, template: of, .. } = &found[0];
        assert_eq!((*broken, (line.unwrap(), column.unwrap()), of), (rule, place, &None), "{template}: {message}");
        assert!(message.contains(words), "{template}: {message}");
    }
    // What else is wrong is told at once.
    let found = problems(&sequence("template: welcom_mail\n    next: nowhere"), &library);
    let has = |rule: Rule| found.iter().any(|one| one.rule == rule);
    assert!(has(Rule::ReferenceUnknown) && has(Rule::StepUnknown), "{found:#?}");
}

#[test]
fn an_archived_template_is_taken_by_nothing_new() {
    let (template, version) = publish(None, MAIL, 10).unwrap();
    let template = email_template::archive(template, Vec::new(), None).unwrap().next;
    assert_eq!(template.state, EmailTemplateState::Archived);
    let library = Library::stored(vec![template.clone()], vec![version.clone()], Vec::new());
    for name in ["welcome_mail", "welcome_mail@1"] {
        let found = problems(&sequence(&format!("template: {name}")), &library);
        assert_eq!((found[0].rule, found[0].line, found[0].column), (Rule::TemplateArchived, Some(7), Some(15)));
    }
    let again = publish(Some(&(template.clone(), version)), &MAIL.replace("Thank", "I thank"), 11).unwrap_err();
    assert_eq!(again.code(), "EMAIL_TEMPLATE_ARCHIVED");
    assert_eq!(
        email_template::archive(template, Vec::new(), None).unwrap_err().code(),
        "EMAIL_TEMPLATE_ARCHIVED_ALREADY"
    );
}

#[test]
fn a_template_that_sequences_take_is_archived_with_a_reason_alone() {
    let archive = |reason: Option<&str>| {
        let template = publish(None, MAIL, 10).unwrap().0;
        email_template::archive(template, vec!["hello".to_owned(), "other".to_owned()], reason)
    };
    let refused = archive(None).unwrap_err();
    assert_eq!(refused.code(), "EMAIL_TEMPLATE_IN_USE");
    assert!(refused.to_string().starts_with("hello, other take(s) it"), "{refused}");
    for reason in ["", "  ", &"x".repeat(501)] {
        assert_eq!(archive(Some(reason)).unwrap_err().code(), "EMAIL_TEMPLATE_REASON_INVALID");
    }
    let archived = archive(Some("the offer is over")).unwrap();
    let fact = &archived.facts[0];
    assert_eq!((fact.kind, &fact.detail["why"]), ("email_template.archived", &json!("the offer is over")));
    assert_eq!(fact.detail["taken_by"], json!(["hello", "other"]));
}

#[test]
fn versions_are_numbered_and_one_that_says_the_same_is_none() {
    let first = publish(None, MAIL, 10).unwrap();
    let commented = format!("# For newcomers\n{MAIL}");
    assert_eq!(publish(Some(&first), &commented, 11).unwrap_err(), Refusal::Unchanged { number: 1 });
    let second = publish(Some(&first), &MAIL.replace("name: Welcome", "name: Hello"), 12).unwrap();
    assert_eq!((second.1.number, second.0.latest_number, second.0.name.as_str()), (2, 2, "Hello"));
    assert_eq!((second.0.id, second.0.latest_version), (first.0.id, second.1.id));
    // A snippet is a part of what the template says.
    let third = publish(Some(&second), &MAIL.replace("{{ sender.name }} ", "Yours, "), 13).unwrap();
    assert_eq!(third.1.number, 3);
    let broken = publish(Some(&third), &MAIL.replace("contact.first_name", "contact.frist_name"), 14).unwrap_err();
    let Refusal::Invalid { problems } = broken else { panic!("{broken}") };
    assert_eq!(problems[0].rule, Rule::TemplateUndefined);
    assert_eq!((problems[0].line, problems[0].path.as_str()), (Some(3), "subject"));
    assert!(problems[0].message.contains("did you mean `first_name`?"), "{}", problems[0].message);
}

#[test]
fn a_template_keeps_the_rules_of_every_e_mail() {
    for (from, to, path, rule) in [
        ("key: welcome_mail", "key: Welcome Mail", "key", Rule::NameInvalid),
        ("name: Welcome", "name: ''", "name", Rule::NameInvalid),
        ("name: Welcome", "nme: Welcome", "nme", Rule::Shape),
        ("  zh:", "  chinese:", "languages.chinese", Rule::Shape),
        ("'signature'", "'sgnature'", "languages.zh.text", Rule::TemplateUndefined),
        ("text: \"谢谢。{% include 'signature' %}\"", "text: ''", "languages.zh.text", Rule::Shape),
        ("Thank you.", "{{ contact.nme }}", "text", Rule::TemplateUndefined),
        ("Thank you.", "{% set a = 1 %}", "text", Rule::TemplateSyntax),
        ("  signature:", "  Signature:", "snippets.Signature", Rule::NameInvalid),
    ] {
        assert!(MAIL.contains(from), "{from}");
        let found = definition::read(&MAIL.replacen(from, to, 1)).unwrap_err();
        assert!(found.iter().any(|one| one.path == path && one.rule == rule), "{to}: {found:#?}");
        assert!(found.iter().all(|one| one.line.is_some() && one.template.is_none()), "{to}: {found:#?}");
    }
    assert!(definition::read("- a\n").unwrap_err()[0].message.contains("a map with key"));
    assert_eq!(definition::read(&"x".repeat(300_000)).unwrap_err()[0].rule, Rule::TooLarge);
}

#[test]
fn advice_names_the_place_in_the_document_of_the_template() {
    let source =
        "key: welcome_mail\nname: Welcome\nsubject: Hello\ntext: |\n  Dear {{ contact.title }},\n  {{ lead.source }}\n";
    let library = stored(&[source]);
    let said = |sequence: &str| {
        let advice = lint::advice(sequence, &library).into_iter();
        advice.map(|one| (one.template.unwrap_or_default(), one.rule, one.line, one.column)).collect::<Vec<_>>()
    };
    let of = |rule, line, column| ("welcome_mail@1".to_owned(), rule, Some(line), Some(column));
    let takes = sequence("template: welcome_mail");
    assert_eq!(
        said(&takes),
        [
            of(Rule::TemplateNoUnsubscribe, 1, 1),
            of(Rule::TemplateNoFallback, 5, 11),
            of(Rule::TemplateNoFallback, 6, 6),
        ]
    );
    // A lead is there in a sequence for leads, and nobody unsubscribes from what they wait for.
    let leads =
        sequence("template: welcome_mail\n    transactional: true").replace("subject: contact", "subject: lead");
    assert_eq!(said(&leads), [of(Rule::TemplateNoFallback, 5, 11)]);
    // Two steps that take it give the same advice once.
    let twice = takes
        .replace("  - { id: done", "  - { id: again, kind: send_email, template: welcome_mail@1 }\n  - { id: done");
    assert_eq!(said(&twice), said(&takes));
    let shown = lint::advice(&takes, &library)[1].to_string();
    assert!(shown.starts_with("welcome_mail@1, line 5, column 11: text: "), "{shown}");
    let alone: Vec<_> = definition::advice_alone(source).iter().map(|one| (one.rule, one.line)).collect();
    assert_eq!(alone, [(Rule::TemplateNoUnsubscribe, Some(1)), (Rule::TemplateNoFallback, Some(5))]);
}

#[test]
fn rules_that_grew_stricter_are_told_in_the_document_of_the_template() {
    let (template, version) = publish(None, MAIL, 10).unwrap();
    // As if it had been published when this variable was there.
    let source = MAIL.replace("Thank you.", "Thank you,\n  {{ contact.nickname }}.");
    let library = Library::stored(vec![template], vec![EmailTemplateVersion { source, ..version }], Vec::new());
    let found = problems(&sequence("template: welcome_mail"), &library);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].rule, Rule::TemplateUndefined);
    let shown = found[0].to_string();
    assert!(shown.starts_with("welcome_mail@1, line 6, column 14: text: "), "{shown}");
}

#[test]
fn without_a_place_to_look_a_name_is_refused_or_expressly_let_through() {
    let takes = sequence("template: welcome_mail@2");
    let found = validate::read(&takes).unwrap_err();
    assert_eq!((found[0].rule, found[0].line), (Rule::ReferenceUnknown, Some(7)));
    assert!(found[0].message.contains("cannot be looked up here"), "{}", found[0].message);
    let unseen = validate::read_with(&takes, &Library::unseen()).unwrap();
    let uses: Vec<String> = unseen.templates().iter().map(ToString::to_string).collect();
    assert_eq!(uses, ["welcome_mail@0"]);
    assert_eq!(lint::advice(&takes, &Library::unseen()), []);
    let broken = problems(&takes.replace("kind: end", "kind: ende"), &Library::unseen());
    assert_eq!(broken.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["steps[1].kind"]);
}

#[test]
fn a_folder_stands_in_for_the_database() {
    let documents = [("welcome.yaml", MAIL), ("copy.yaml", MAIL), ("hello.yaml", "key: hello\nsteps: []\n")];
    let (library, misfits) = Library::folder(documents.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let misfits: Vec<&str> = misfits.iter().map(|misfit| misfit.name.as_str()).collect();
    assert_eq!(misfits, ["copy.yaml", "hello.yaml"]);
    let definition = validate::read_with(&sequence("template: welcome_mail@9"), &library).unwrap();
    assert!(mail(&definition).template.text.starts_with("Thank you."));
    let found = problems(&sequence("template: walcome_mail"), &library);
    assert!(found[0].message.contains("did you mean `welcome_mail`?"));
    assert!(problems(&sequence("template: other"), &library)[0].message.contains("put its document into the folder"));
}

#[test]
fn what_a_sequence_takes_is_bounded() {
    let large = format!("key: welcome_mail\nname: Welcome\nsubject: a\ntext: b\nhtml: '{}'\n", "x".repeat(149_000));
    let library = stored(&[&large]);
    let steps = |count: usize| {
        let mails: String =
            (0..count).map(|n| format!("  - {{ id: m{n}, kind: send_email, template: welcome_mail }}\n")).collect();
        format!("key: hello\nname: Hello\nsubject: contact\nsteps:\n{mails}  - {{ id: done, kind: end }}\n")
    };
    let most = MOST_TAKEN / 149_002;
    assert!(validate::read_with(&steps(most), &library).is_ok());
    let found = problems(&steps(most + 1), &library);
    assert_eq!((found[0].rule, found[0].path.as_str()), (Rule::TooLarge, "steps"));
}

#[test]
fn who_is_behind_and_who_would_move_on() {
    let usage = Usage {
        sequence: Uuid::nil().into(),
        version: Uuid::nil().into(),
        number: 1,
        template_number: 2,
        pinned: false,
        current: true,
        live_runs: 3,
    };
    assert!(usage.would_take(3) && !usage.would_take(2) && !usage.is_behind(2));
    let pinned = Usage { pinned: true, ..usage };
    assert!(pinned.is_behind(3) && !pinned.would_take(3), "what asks for a version keeps it");
    let earlier = Usage { current: false, ..usage };
    assert!(earlier.is_behind(3) && !earlier.would_take(3), "what was published before never changes");
}

#[test]
fn a_definition_without_stored_templates_is_stored_as_it_always_was() {
    let inline = sequence("template: { subject: a, text: \"b {{ unsubscribe_url }}\" }");
    let kept = serde_json::to_value(validate::read(&inline).unwrap()).unwrap();
    let expected = json!({
        "id": "hello", "kind": "send_email", "template": {"subject": "a", "text": "b {{ unsubscribe_url }}"},
    });
    assert_eq!(kept["steps"][0], expected);
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "Hello ",
            "您好 ",
            "{{ contact.name }} ",
            "{% if account is defined %}{{ account.name }}{% endif %} ",
            "it's 5 < 6: # \"so\" ",
            "{{ unsubscribe_url }} ",
            "{% include \"end\" %} ",
        ]),
        1..4,
    )
    .prop_map(|words| words.concat())
}

/// A subject, in which there is no link to unsubscribe by.
fn line() -> impl Strategy<Value = String> {
    words().prop_map(|text| text.replace("{{ unsubscribe_url }}", "now"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_e_mail_is_the_same_whether_it_is_written_in_the_step_or_taken(
        (subject, text, html, other) in (line(), words(), prop::option::of(words()), line()),
        locale in prop::sample::select(vec!["en", "zh-CN", "zh_Hant_TW", ""]),
    ) {
        let everybody = json!({"subject": subject, "text": text, "html": html});
        let mut document = json!({"key": "welcome_mail", "name": "Welcome", "snippets": {"end": "The end of {{ contact.email }}"}});
        document.as_object_mut().unwrap().extend(everybody.as_object().unwrap().clone());
        let languages = json!({"zh": {"subject": other, "text": other}});
        document["languages"] = languages.clone();
        let inline = json!({
            "key": "hello", "name": "Hello", "subject": "contact", "snippets": document["snippets"],
            "steps": [
                {"id": "hello", "kind": "send_email", "template": everybody, "languages": languages},
                {"id": "done", "kind": "end"},
            ],
        });
        let mut takes = inline.clone();
        takes["steps"][0] = json!({"id": "hello", "kind": "send_email", "template": "welcome_mail"});
        takes.as_object_mut().unwrap().remove("snippets");
        let library = stored(&[&document.to_string()]);
        let written = validate::read(&inline.to_string()).unwrap();
        let taken = validate::read_with(&takes.to_string(), &library).unwrap();
        let data = json!({"contact": {"name": "Sam & Co", "email": "sam@example.com", "locale": locale}, "account": null,
            "unsubscribe_url": "https://example.com/u"});
        prop_assert_eq!(mail(&written).compose(&data), mail(&taken).compose(&data));
        let same = Config { uses: None, ..mail(&taken).clone() };
        prop_assert_eq!(&same, mail(&written));
        // And the advice is the same too, told in the other document.
        let rules = |advice: Vec<Problem>| {
            let mut rules: Vec<Rule> = advice.into_iter().map(|one| one.rule).collect();
            rules.sort();
            rules.dedup();
            rules
        };
        let advice = rules(lint::advice(&inline.to_string(), &Library::closed()));
        prop_assert_eq!(advice, rules(lint::advice(&takes.to_string(), &library)));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}", cut in 0_usize..300, to in 0_usize..300) {
        let _ = Reference::parse(&text);
        let _ = definition::read(&text);
        let _ = library::named(&text);
        let place = |at: usize| (0..=at.min(MAIL.len())).rev().find(|at| MAIL.is_char_boundary(*at)).unwrap_or(0);
        let (from, to) = (place(cut.min(to)), place(cut.max(to)));
        let broken = format!("{}{text}{}", &MAIL[..from], &MAIL[to..]);
        let _ = definition::read(&broken);
        let _ = definition::advice_alone(&broken);
        let _ = validate::read_with(&sequence(&format!("template: {text}")), &stored(&[MAIL]));
    }

    #[test]
    fn a_reference_is_written_as_it_is_read(key in "[a-z][a-z0-9_]{0,59}", number in prop::option::of(1_u32..)) {
        let reference = Reference { key, number };
        prop_assert_eq!(Reference::parse(&reference.to_string()), Some(reference));
    }
}
