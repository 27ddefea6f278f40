//! What is let through can be taken: the rules of a definition that would otherwise be learnt from runs that fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_domain::email_template::definition;
use tandem_domain::sequence::names::{self, Thing};
use tandem_domain::sequence::simulation::sample;
use tandem_domain::sequence::steps::{Record, StepKind};
use tandem_domain::sequence::template::{Form, MAX_SOURCE, check, render};
use tandem_domain::sequence::validate::{Problem, Rule, read};

fn told(source: &Value) -> Vec<(String, Rule)> {
    let found = read(&source.to_string()).err().unwrap_or_default();
    found.into_iter().map(|Problem { path, rule, .. }| (path, rule)).collect()
}

fn mail(snippets: &Value, template: &Value) -> Value {
    json!({
        "key": "hello", "name": "Hello", "subject": "contact", "snippets": snippets,
        "steps": [{"id": "hello", "kind": "send_email", "template": template}, {"id": "done", "kind": "end"}],
    })
}

fn stored(snippets: &Value, template: &Value) -> Vec<(String, Rule)> {
    let mut source = json!({"key": "welcome_mail", "name": "Welcome", "snippets": snippets});
    source.as_object_mut().unwrap().extend(template.as_object().unwrap().clone());
    let found = definition::read(&source.to_string()).err().unwrap_or_default();
    found.into_iter().map(|Problem { path, rule, .. }| (path, rule)).collect()
}

fn wait(header: Value, events: &[&str]) -> Value {
    let mut source = json!({
        "key": "waits", "name": "Waits", "subject": "contact",
        "steps": [{"id": "hears", "kind": "wait_for", "event": events, "timeout": "3d"}, {"id": "done", "kind": "end"}],
    });
    source.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
    source
}

#[test]
fn how_long_a_text_may_be_is_counted_with_its_snippets_also_where_it_is_nothing_else() {
    let include = "{% include 'part' %}";
    let snippets = |text: &str| json!({"part": text});
    for (part, template, place) in [
        // Nine times twenty thousand characters, and nothing else.
        ("x".repeat(20_000), json!({"subject": "a", "text": include.repeat(9)}), "text"),
        // Fewer characters than are allowed, and more bytes than can be filled.
        ("中".repeat(14_000), json!({"subject": "a", "text": include.repeat(4)}), "text"),
        ("中".repeat(14_000), json!({"subject": "a", "text": format!("中{}", include.repeat(4))}), "text"),
        ("x".repeat(201), json!({"subject": include, "text": "b"}), "subject"),
        ("x".repeat(150), json!({"subject": format!("{include} and {include}"), "text": "b"}), "subject"),
    ] {
        let (inline, stored) = (told(&mail(&snippets(&part), &template)), stored(&snippets(&part), &template));
        assert_eq!(inline, [(format!("steps[0].template.{place}"), Rule::TooLarge)], "{}", part.len());
        assert_eq!(stored, [(place.to_owned(), Rule::TooLarge)], "{}", part.len());
    }
    // Without snippets too.
    let chinese = json!({"subject": "a", "text": "中".repeat(59_000)});
    assert_eq!(told(&mail(&json!({}), &chinese)), [("steps[0].template.text".to_owned(), Rule::TooLarge)]);
    assert_eq!(told(&mail(&snippets(&"x".repeat(20_000)), &json!({"subject": "a", "text": include.repeat(3)}))), []);
}

#[test]
fn what_a_short_document_includes_is_bounded_too() {
    let snippets = json!({"part": "x".repeat(19_000)});
    let languages = |count: usize| -> Value {
        let one = json!({"subject": "a", "text": "{% include 'part' %}".repeat(3)});
        (0..count).map(|n| (format!("aa-{n:04}"), one.clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let template = json!({"subject": "a", "text": "b"});
    for (count, expected) in [(30, vec![]), (400, vec![("snippets".to_owned(), Rule::TooLarge)])] {
        let mut inline = mail(&snippets, &template);
        inline["steps"][0]["languages"] = languages(count);
        assert_eq!(told(&inline), expected, "{count}");
        let mut apart = template.clone();
        apart["languages"] = languages(count);
        assert_eq!(stored(&snippets, &apart), expected, "{count}");
    }
}

#[test]
fn a_text_is_checked_as_it_is_filled() {
    // Each part is a template, and the whole is none.
    let template = json!({"subject": "a", "text": "{{% include 'part' %}"});
    for part in ["% set x = 1 %}", "{ 'x' * 100000000 }}"] {
        let found = told(&mail(&json!({"part": part}), &template));
        assert_eq!(found, [("steps[0].template.text".to_owned(), Rule::TemplateSyntax)], "{part}");
    }
    // What is wrong with a snippet is told where it stands, and nowhere else.
    let broken = json!({"part": "{{ contact.name"});
    let found = told(&mail(&broken, &json!({"subject": "a", "text": "{% include 'part' %}"})));
    assert_eq!(found, [("snippets.part".to_owned(), Rule::TemplateSyntax)]);
}

#[test]
fn an_expression_whose_kind_can_never_serve_is_refused() {
    let reentry = |key: &str| json!({"key": "again", "name": "Again", "subject": "lead", "reentry": {"key": key}, "steps": [{"id": "done", "kind": "end"}]});
    let refused = |path: &str| vec![(path.to_owned(), Rule::ExpressionMismatch)];
    for key in ["lead.priority", "lead.tags", "contact", "null", "contact.custom", "1 > 2", "contact.tags.size()"] {
        assert_eq!(told(&reentry(key)), refused("reentry.key"), "{key}");
    }
    for key in [
        "lead.source",
        "string(lead.priority)",
        "enrollment.vars.event",
        "contact.custom.x",
        "lead.stage",
        "contact.tags[0]",
    ] {
        assert_eq!(told(&reentry(key)), [], "{key}");
    }
    let call = |query: &str| {
        let call =
            json!({"id": "ask", "kind": "call_webhook", "channel": "crm", "method": "GET", "query": {"q": query}});
        json!({"key": "asks", "name": "Asks", "subject": "contact", "steps": [call, {"id": "done", "kind": "end"}]})
    };
    for query in ["contact.tags", "contact", "contact.custom", "[1]", "{'a': 1}", "lists"] {
        assert_eq!(told(&call(query)), refused("steps[0].query.q"), "{query}");
    }
    for query in ["contact.name", "1", "true", "null", "contact.custom.x", "enrollment.vars.x", "contact.tags[0]"] {
        assert_eq!(told(&call(query)), [], "{query}");
    }
}

#[test]
fn a_step_never_waits_for_what_ends_its_run_first() {
    let refused = |at: usize| vec![(format!("steps[0].event[{at}]"), Rule::Shape)];
    for (header, events, expected) in [
        (json!({}), &["EMAIL_REPLY"][..], refused(0)),
        (json!({"stop_on_reply": "any"}), &["FORM", "EMAIL_REPLY"], refused(1)),
        (json!({"stop_on_reply": "sequence"}), &["EMAIL_REPLY"], vec![]),
        (json!({"stop_on_reply": "never"}), &["FORM", "EMAIL_REPLY"], vec![]),
        (json!({}), &["FORM"], vec![]),
    ] {
        assert_eq!(told(&wait(header.clone(), events)), expected, "{header} {events:?}");
    }
    let message = read(&wait(json!({}), &["FORM", "EMAIL_REPLY"]).to_string()).unwrap_err().remove(0).message;
    assert!(message.contains("stop_on_reply: never") && message.contains("EMAIL_REPLY"), "{message}");
}

#[test]
fn a_step_names_the_custom_field_that_it_sets_and_no_other() {
    let set = |field: &str, value: Value| json!({"id": "set", "kind": "set_field", "field": field, "value": value});
    let source = |step: Value| {
        json!({"key": "sets", "name": "Sets", "subject": "lead", "steps": [step, {"id": "done", "kind": "end"}]})
            .to_string()
    };
    for (field, expected) in [
        ("contact.round", Some((Thing::CustomField(Record::Contact), "round"))),
        ("account.priority", Some((Thing::CustomField(Record::Account), "priority"))),
        ("lead.priority", None),
    ] {
        let definition = read(&source(set(field, json!(1)))).unwrap();
        let named = names::named(&definition);
        assert_eq!(named.first().map(|(_, named)| (named.thing, named.key)), expected, "{field}");
        assert!(named.iter().all(|(path, _)| path == "steps[0].field"));
    }
    let text = source(set("contact.title", json!("x")));
    let definition = read(&text).unwrap();
    let (path, named) = names::named(&definition).remove(0);
    let said = names::unknown(&text, path, &named, []).message;
    assert!(said.starts_with("there is no custom field of contacts `title`; `contact.title` is not one"), "{said}");
    for (value, constant) in
        [(json!("x"), true), (json!(null), true), (json!("{{ now }}"), false), (json!("a{# b #}"), false)]
    {
        let definition = read(&source(set("contact.round", value.clone()))).unwrap();
        let StepKind::SetField(set) = &definition.steps[0].kind else { panic!("sets a field") };
        assert_eq!(set.constant(), Some(&value).filter(|_| constant));
    }
}

fn piece() -> impl Strategy<Value = String> {
    let chosen = prop::sample::select(vec![
        "Hello ",
        "您好",
        "{{ contact.name | default('you') }}",
        "{% include 'one' %}",
        "{% include 'two' %}",
        "{",
        "}",
        "% if 1 %}",
        "{% if contact.name is defined %}x{% endif %}",
        "{% endif %}",
        "{# ",
        " #}",
        "'",
        "{{ '",
        "' }}",
        "{% for t in contact.tags %}{{ t }}",
        "{% endfor %}",
        " * ",
        "1",
    ]);
    prop_oneof![6 => chosen.prop_map(str::to_owned), 1 => (1_usize..12_000).prop_map(|n| "中".repeat(n))]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_e_mail_that_is_let_through_can_be_filled(one in text(), two in text(), subject in text(), body in text(), html in text()) {
        let template = json!({"subject": subject, "text": body, "html": html});
        let source = mail(&json!({"one": one, "two": two}), &template);
        if let Ok(definition) = read(&source.to_string()) {
            let StepKind::SendEmail(mail) = &definition.steps[0].kind else { panic!("an e-mail") };
            let template = &mail.template;
            prop_assert!(template.subject.chars().count() <= 200);
            let html = template.html.as_deref().unwrap_or("a");
            for (source, form) in [(template.subject.as_str(), Form::Line), (&template.text, Form::Text), (html, Form::Html)] {
                prop_assert_eq!(check(source, form), Ok(()), "{}", source);
                prop_assert!(source.len() <= MAX_SOURCE);
                // Everything is known of the person of the sample but what has a default or a guard.
                if let Err(refusal) = render(source, form, &sample()) {
                    prop_assert_eq!(refusal.code(), "TEMPLATE_FAILED", "{}", source);
                }
            }
        }
    }
}
