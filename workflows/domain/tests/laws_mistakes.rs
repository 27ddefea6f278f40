//! Mistakes that are easily made and would only show in an e-mail that somebody got, or in runs that fail: each is told before
//! anything is published, at its place, and what is told to write is taken.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tandem_domain::email::UNSUBSCRIBE_HERE;
use tandem_domain::email_template::Library;
use tandem_domain::sequence::lint;
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

fn advised(source: &str) -> Vec<Problem> {
    lint::advice(source, &Library::closed())
}

/// The advice on expressions: its path and code.
fn unguarded(source: &Value) -> Vec<(String, Rule)> {
    let all = advised(&source.to_string()).into_iter();
    all.filter(|one| matches!(one.rule, Rule::ExpressionNoGuard | Rule::VarNotGiven))
        .map(|one| (one.path, one.rule))
        .collect()
}

fn with_header(header: Value) -> Value {
    let mut source = json!({
        "key": "waits", "name": "Waits", "subject": "contact", "steps": [{"id": "done", "kind": "end"}],
    });
    source.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
    source
}

#[test]
fn a_condition_on_what_not_everybody_has_needs_a_guard() {
    for (field, condition, fixed) in [
        ("goal", "lead.stage == 'ACCEPTED'", "lead != null && lead.stage == 'ACCEPTED'"),
        ("goal", "contact.custom.plan == 'x'", "has(contact.custom.plan) && contact.custom.plan == 'x'"),
        ("goal", "enrollment.vars.x == 'x'", "has(enrollment.vars.x) && enrollment.vars.x == 'x'"),
        ("entry", "account.tier == 'T1'", "account != null && account.tier == 'T1'"),
        ("exit", "contact.title.startsWith('C')", "contact.title != null && contact.title.startsWith('C')"),
        (
            "goal",
            "timestamp(interactions.any.last_at) > timestamp(now)",
            "interactions.any.last_at != null && timestamp(interactions.any.last_at) > timestamp(now)",
        ),
    ] {
        let told = unguarded(&with_header(json!({ field: condition })));
        assert_eq!(told, [(field.to_owned(), Rule::ExpressionNoGuard)], "{condition}");
        let message = advised(&with_header(json!({ field: condition })).to_string()).remove(0).message;
        let guard = fixed.split_once(" && ").unwrap().0;
        assert!(message.contains(&format!("`{guard} && `")), "{message}");
        assert_eq!(unguarded(&with_header(json!({ field: fixed }))), [], "{fixed}");
    }
    let entered = with_header(json!({"entry": "contact.title != null", "goal": "contact.title.startsWith('C')"}));
    assert_eq!(unguarded(&entered), []);
    let for_leads = with_header(json!({"subject": "lead", "goal": "lead.stage == 'ACCEPTED'"}));
    assert_eq!(unguarded(&for_leads), []);
    let source = "key: a\nname: A\nsubject: contact\ngoal: 1 == 1 && lead.stage == 'ACCEPTED'\nsteps:\n  - { id: done, kind: end }\n";
    let one = advised(source).remove(0);
    assert_eq!((one.line, one.column), (Some(4), Some(17)), "{one}");
}

#[test]
fn a_value_that_a_trigger_does_not_give_is_told_with_the_trigger() {
    let triggers = |vars: Value| json!([{"kind": "event", "event": ["FORM"], "vars": {"event": "event.name"}}, {"kind": "list", "list": "key", "vars": vars}]);
    let source =
        |vars: Value| with_header(json!({"reentry": {"key": "enrollment.vars.event"}, "triggers": triggers(vars)}));
    assert_eq!(unguarded(&source(json!({"event": "list.key"}))), []);
    let told = advised(&source(json!({})).to_string()).remove(0);
    assert_eq!((told.path.as_str(), told.rule), ("reentry.key", Rule::VarNotGiven));
    assert!(told.message.contains("trigger 2 (`kind: list`)") && told.message.contains("`event`"), "{told}");
    let guarded = with_header(json!({
        "reentry": {"key": "has(enrollment.vars.event) ? enrollment.vars.event : ''"}, "triggers": triggers(json!({})),
    }));
    assert_eq!(unguarded(&guarded), []);
}

#[test]
fn what_a_step_heard_or_was_answered_is_there_behind_it() {
    let steps = |on_timeout: &str| {
        json!([
            {"id": "hears", "kind": "wait_for", "event": ["FORM"], "timeout": "3d", "on_timeout": on_timeout},
            {"id": "looks", "kind": "branch", "when": "enrollment.event.name == 'x'", "then": "ask", "else": "done"},
            {"id": "ask", "kind": "call_webhook", "channel": "crm", "body": "{}", "as": "crm"},
            {"id": "asks", "kind": "branch", "when": "enrollment.vars.crm == 'x'", "then": "done", "else": "done"},
            {"id": "done", "kind": "end"},
        ])
    };
    assert_eq!(unguarded(&with_header(json!({"steps": steps("done")}))), []);
    let told = unguarded(&with_header(json!({"steps": steps("looks")})));
    assert_eq!(told, [("steps[1].when".to_owned(), Rule::ExpressionNoGuard)]);
}

/// The sequences that the documents show.
fn examples(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(examples(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&entry).unwrap();
            let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()));
            let whole =
                blocks.filter(|block| block.contains("key:") && block.contains("subject:") && block.contains("steps:"));
            found.extend(whole.map(|block| (entry.clone(), block)));
        }
    }
    found
}

#[test]
fn the_examples_of_the_documents_fail_for_nobody() {
    let all = examples(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs"));
    assert!(all.len() > 1);
    for (file, source) in all {
        assert_eq!(read(&source).err(), None, "{}", file.display());
        let told = advised(&source).into_iter();
        let told: Vec<Problem> =
            told.filter(|one| matches!(one.rule, Rule::ExpressionNoGuard | Rule::VarNotGiven)).collect();
        assert_eq!(told, [], "{}", file.display());
    }
}

#[test]
fn a_constant_that_never_has_a_value_is_refused_at_its_place() {
    for (condition, at) in [
        ("1/0 == 1", 1),
        ("contact.name.matches('[')", 22),
        ("timestamp('2026-02-30T00:00:00Z') > timestamp(now)", 1),
        ("contact.tags == [] || duration('x') > duration('1h')", 23),
    ] {
        let source = format!(
            "key: a\nname: A\nsubject: contact\ngoal: \"{condition}\"\nsteps:\n  - {{ id: done, kind: end }}\n"
        );
        let found = read(&source).unwrap_err();
        let places: Vec<_> = found.iter().map(|one| (one.rule, one.line, one.column)).collect();
        assert_eq!(places, [(Rule::ExpressionFailed, Some(4), Some(7 + at))], "{condition}: {found:?}");
    }
    for condition in [
        "1/2 == 1",
        "contact.name != null && contact.name.matches('(?i)chief|总裁')",
        "timestamp('2026-02-28T00:00:00Z') > timestamp(now)",
        "[1, 2].exists(x, x > 1) && type(contact.name) == string",
        "timestamp(now) - duration('24h') > timestamp('2026-01-01T00:00:00Z')",
        "contact.tags.exists(t, t.matches('^a')) && {'a': 1}.a == 1",
    ] {
        assert_eq!(rules(&with_header(json!({ "goal": condition }))), [], "{condition}");
    }
}

#[test]
fn what_is_told_to_write_in_a_template_is_taken() {
    for (tag, variable) in [
        ("{{ contact.title }}", "contact.title"),
        ("{{ contact.title | upper }}", "contact.title"),
        ("{{ 'Dear ' ~ contact.title }}", "contact.title"),
        ("{% if contact.title in ['CEO', 'CFO'] %}x{% endif %}", "contact.title"),
        ("{% if 'a' == 'b' or contact.title in ['CEO'] %}x{% endif %}", "contact.title"),
        ("{% if contact.title > 'a' %}x{% endif %}", "contact.title"),
        ("{% if 'x' in contact.custom.plan %}x{% endif %}", "contact.custom.plan"),
        ("{{ account.custom.plan }}", "account.custom.plan"),
    ] {
        let of = |tag: &str| {
            let source = mail(&json!({"subject": "a", "text": format!("{tag} {{{{ unsubscribe_url }}}}")}));
            let told = advised(&source.to_string()).into_iter();
            told.filter(|one| one.rule == Rule::TemplateNoFallback).map(|one| one.message).collect::<Vec<_>>()
        };
        let told = of(tag);
        if told.is_empty() {
            continue;
        }
        assert!(told[0].starts_with(&format!("not everybody has `{variable}`,")), "{tag}: {told:?}");
        let fixed = tag.replace(variable, &format!("({variable} | default(\"\"))"));
        assert_eq!(of(&fixed), Vec::<String>::new(), "{fixed}");
        let guarded = format!("{{% if {variable} is defined %}}{tag}{{% endif %}}");
        assert_eq!(of(&guarded), Vec::<String>::new(), "{guarded}");
    }
}

#[test]
fn what_is_let_through_means_one_thing_and_can_be_taken() {
    assert_eq!(rules(&with_header(json!({"send_window": {"from": "09:00", "to": "09:00"}}))), [Rule::Shape]);
    assert_eq!(rules(&with_header(json!({"send_window": {"from": "22:00", "to": "06:00"}}))), []);
    assert_eq!(rules(&with_header(json!({"send_window": {"from": "00:00", "to": "00:00"}}))), []);
    for name in ["a\u{7}b", "a\nb", "a\u{202e}b", "a\u{2066}b"] {
        assert_eq!(rules(&with_header(json!({ "name": name }))), [Rule::Shape], "{name:?}");
    }
    let mut twice = mail(&json!({"subject": "a", "text": "b"}));
    twice["steps"][0]["languages"] = json!({"zh": {"subject": "a", "text": "b"}, "ZH": {"subject": "a", "text": "b"}});
    assert_eq!(rules(&twice), [Rule::Shape]);
    let step = |step: Value| with_header(json!({"steps": [step, {"id": "done", "kind": "end"}]}));
    for (link, expected) in [
        ("ftp://example.com", vec![Rule::Shape]),
        ("example.com", vec![Rule::Shape]),
        ("https://example.com/a", vec![]),
        ("https://example.com/{{ contact.id }}", vec![]),
        ("{{ contact.id }}", vec![]),
    ] {
        let source = step(json!({"id": "tell", "kind": "notify", "channel": "room", "text": "a", "link": link}));
        assert_eq!(rules(&source), expected, "{link}");
    }
    for method in ["GET", "POST"] {
        let mut call = json!({"id": "ask", "kind": "call_webhook", "channel": "crm", "method": method, "headers": {"authorization": "x"}});
        if method == "POST" {
            call["body"] = json!("{}");
        }
        assert_eq!(rules(&step(call)), [Rule::NameInvalid], "{method}");
    }
}

#[test]
fn what_is_wrong_is_told_in_words_that_help() {
    let head = "key: a\nname: A\nsubject: contact\n";
    let end = "steps:\n  - { id: done, kind: end }\n";
    for (source, word) in [
        (format!("{head}{end}---\n{head}{end}"), "`---`"),
        (format!("{head}stop_on_reply: true\n{end}"), "any, sequence or never"),
        (format!("{head}exclusive: x\npriority: high\n{end}"), "whole number"),
        (format!("{head}steps:\n  - {{ id: p, kind: wait, duration: 3 }}\n  - {{ id: done, kind: end }}\n"), "`3d`"),
        (format!("{head}steps:\n  - {{ id: null, kind: end }}\n"), "empty"),
        (format!("{head}goal: contact.title == “CEO”\n{end}"), "straight quotes"),
        (format!("{head}goal: contact.title != null and contact.title == 'x'\n{end}"), "`&&`"),
        (format!("{head}goal: \"{{{{ contact.title == 'x' }}}}\"\n{end}"), "take them out"),
        (format!("{head}goal: contact.title\u{a0}== 'x'\n{end}"), "space bar"),
    ] {
        let found = read(&source).unwrap_err();
        assert!(found.iter().any(|one| one.message.contains(word)), "{word}: {found:?}");
        for jargon in ["u8", "u32", "from_str", "string or map"] {
            assert!(found.iter().all(|one| !one.message.contains(jargon)), "{jargon}: {found:?}");
        }
    }
}
