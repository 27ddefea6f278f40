//! Mistakes that are easily made and would only show in an e-mail that somebody got, or in runs that fail: each is told before
//! anything is published, at its place, and what is told to write is taken.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};
use tandem_domain::email::UNSUBSCRIBE_HERE;
use tandem_domain::sequence::simulation::sample;
use tandem_domain::sequence::template::{Form, render};
use tandem_domain::sequence::validate::{Problem, Rule, read};

fn told(source: &Value) -> Vec<Problem> {
    read(&source.to_string()).err().unwrap_or_default()
}

fn rules(source: &Value) -> Vec<Rule> {
    told(source).into_iter().map(|problem| problem.rule).collect()
}

fn mail(template: &Value) -> Value {
    json!({
        "key": "hello", "name": "Hello", "subject": "contact",
        "snippets": {"foot": "Enough? {{ unsubscribe_url }}"},
        "steps": [{"id": "hello", "kind": "send_email", "template": template}, {"id": "done", "kind": "end"}],
    })
}

fn in_text(tag: &str) -> Value {
    mail(&json!({"subject": "a", "text": format!("Hello {tag}")}))
}

#[test]
fn a_tag_that_is_let_through_leaves_the_link_to_unsubscribe_as_it_is() {
    let mut data = sample();
    data["unsubscribe_url"] = json!(UNSUBSCRIBE_HERE);
    for kept in [
        "{{ unsubscribe_url }}",
        "{{unsubscribe_url|default('')}}",
        "{{- unsubscribe_url | trim -}}",
        "{{ 'Here: ' ~ unsubscribe_url }}",
        "{{ unsubscribe_url if contact.id is defined else '' }}",
        "{% if unsubscribe_url %}{{ unsubscribe_url }}{% endif %}",
        "{{ contact.first_name | upper }} {{ unsubscribe_url }} {{ 'unsubscribe_url' | upper }}",
    ] {
        assert_eq!(rules(&in_text(kept)), [], "{kept}");
        for form in [Form::Text, Form::Html] {
            let filled = render(kept, form, &data).unwrap();
            assert!(filled.contains(UNSUBSCRIBE_HERE), "{kept}: {filled}");
        }
    }
    for filter in ["upper", "lower", "title", "capitalize", "length", "first", "last", "round", "join('-')"] {
        for tag in [
            format!("{{{{ unsubscribe_url | {filter} }}}}"),
            format!("{{{{ unsubscribe_url | default('') | {filter} }}}}"),
            format!("{{{{ ('See ' ~ unsubscribe_url) | {filter} }}}}"),
        ] {
            assert_eq!(rules(&in_text(&tag)), [Rule::TemplateLinkSpoilt], "{tag}");
        }
    }
    for tag in
        ["{{ unsubscribe_url[0] }}", "{{ unsubscribe_url[:9] }}", "{% for c in unsubscribe_url %}{{ c }}{% endfor %}"]
    {
        assert_eq!(rules(&in_text(tag)), [Rule::TemplateLinkSpoilt], "{tag}");
    }
    let problem = told(&in_text("\n{{ unsubscribe_url | upper }}")).remove(0);
    assert!(
        problem.message.contains("`upper`") && problem.message.contains("`{{ unsubscribe_url }}` alone"),
        "{problem}"
    );
    assert_eq!(problem.path, "steps[0].template.text");
}

#[test]
fn the_link_to_unsubscribe_is_in_no_subject() {
    for subject in ["Stop: {{ unsubscribe_url }}", "{% include 'foot' %}", "{% if unsubscribe_url %}a{% endif %}"] {
        let source = mail(&json!({"subject": subject, "text": "b"}));
        assert_eq!(rules(&source), [Rule::TemplateLinkSpoilt], "{subject}");
    }
    let apart = "key: m\nname: M\nsubject: '{{ unsubscribe_url }}'\ntext: b\n";
    let found = tandem_domain::email_template::definition::read(apart).unwrap_err();
    assert_eq!(
        found.iter().map(|problem| (problem.rule, problem.line)).collect::<Vec<_>>(),
        [(Rule::TemplateLinkSpoilt, Some(3))]
    );
}

#[test]
fn no_whole_record_is_printed() {
    for (tag, fix) in [
        ("{{ contact }}", "contact.name"),
        ("{{ account | default('') }}", "account.name"),
        ("{{ lead }}", "lead."),
        ("{{ contact.custom }}", "contact.custom.plan"),
        ("{{ 'x: ' ~ contact.custom | trim }}", "contact.custom.plan"),
        ("{{ sender }}", "sender.name"),
        ("{{ enrollment.vars }}", "enrollment.vars.plan"),
        ("{{ enrollment.event }}", "enrollment.event.name"),
        ("{{ interactions.form }}", "interactions.form."),
        ("{{ contact.tags }}", "contact.tags | join(\", \")"),
        ("{{ lists if account is defined else '' }}", "lists | join"),
        ("{{ 'x' if lead is defined else (contact) }}", "contact.name"),
    ] {
        let found = told(&in_text(tag));
        assert_eq!(found.iter().map(|problem| problem.rule).collect::<Vec<_>>(), [Rule::TemplateWholeRecord], "{tag}");
        assert!(found[0].message.contains(fix), "{tag}: {}", found[0].message);
    }
    for tag in [
        "{{ contact.tags | join(', ') }}",
        "{{ contact.tags | length }}",
        "{{ contact.tags[0] }}",
        "{{ contact.custom.plan }}",
        "{{ contact.custom['plan'] }}",
        "{{ 'x' if contact.custom else 'y' }}",
        "{{ 'x' if 'vip' in contact.tags else 'y' }}",
        "{{ contact.name if account is defined and 'key-accounts' in lists else contact.email }}",
        "{% for contact in contact.tags %}{{ contact }}{% endfor %}",
        "{{ enrollment.vars.crm }}",
        "{{ 'contact' }}",
    ] {
        assert_eq!(rules(&in_text(tag)), [], "{tag}");
    }
}
