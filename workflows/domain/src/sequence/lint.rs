//! Advice on a definition that breaks no rule: what would go wrong for some of those who run through it or get its e-mails.
//!
//! Each template is filled for a person of whom next to nothing is known, and for one of whom everything is.

mod unguarded;

use super::definition::SubjectKind;
use super::simulation::sample;
use super::snippets;
use super::steps::StepKind;
use super::steps::send_email::{EmailParts, UNSUBSCRIBE_URL};
use super::template::{self, Form};
use super::validate::{self, Problem, Problems, Rule, join};
use crate::email_template::{self, Library};
use regex::Regex;
use serde_json::{Value, json};
use std::sync::LazyLock;
use unguarded::unguarded;
use url::Url;

/// What Gmail shows of an e-mail before it cuts it off, in bytes of HTML.
pub const CLIPPED_AT: usize = 102 * 1024;
/// The most advice on one template.
const MOST: usize = 20;

/// Advice on a definition, in the order of the document; on what it takes from the stored templates of `library` behind that.
/// One that breaks rules gets none: [`validate::read_with`] says which.
pub fn advice(source: &str, library: &Library) -> Vec<Problem> {
    let found = validate::look(source, library, |definition, problems| {
        unguarded(definition, problems);
        let whole = snippets::put_in(definition.clone());
        for (at, (step, written)) in whole.steps.iter().zip(&definition.steps).enumerate() {
            let (StepKind::SendEmail(email), StepKind::SendEmail(written)) = (&step.kind, &written.kind) else {
                continue;
            };
            let reader = Reader { subject: definition.header.subject, awaits: email.transactional };
            match &email.uses {
                Some(uses) => {
                    let advice =
                        library.document(uses).map(|source| email_template::definition::advice(source, reader));
                    problems.add_of_template(&library.name(uses), advice.unwrap_or_default());
                }
                None => {
                    let written = written.templates().map(|(_, template)| template);
                    let templates = email.templates().zip(written);
                    let templates = templates.map(|((place, template), written)| (place, template, written));
                    look_at(&format!("steps[{at}]"), templates, reader, problems);
                }
            }
        }
    });
    only_advice(found.err())
}

/// Whom an e-mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// What runs through the sequence.
    pub subject: SubjectKind,
    /// Whether the person waits for the e-mail.
    pub awaits: bool,
}

/// The advice among what was found.
pub(crate) fn only_advice(found: Option<Vec<Problem>>) -> Vec<Problem> {
    found.unwrap_or_default().into_iter().filter(|problem| problem.rule.is_advice()).collect()
}

/// Looks at the templates of an e-mail: each with the path of its field within `path`, as it is with its snippets, and as it is
/// written.
pub(crate) fn look_at<'a>(
    path: &str,
    templates: impl Iterator<Item = (String, &'a EmailParts, &'a EmailParts)>,
    reader: Reader,
    problems: &mut Problems<'_>,
) {
    for (place, template, written) in templates {
        let place = join(path, &place);
        let mut names_the_way_out = reader.awaits;
        for ((part, source, form), (_, written, _)) in template.parts().zip(written.parts()) {
            let place = join(&place, part);
            names_the_way_out |= source.contains(UNSUBSCRIBE_URL);
            for variable in without_fallback(source, form, reader.subject) {
                let at = written.find(&variable).unwrap_or(0);
                let is_printed = written.get(..at).is_some_and(|before| before.trim_end().ends_with("{{"));
                let instead = match is_printed {
                    true => format!("`{{{{ {variable} | default(\"...\") }}}}`"),
                    false => format!("`({variable} | default(\"\"))` in its place"),
                };
                let message = format!(
                    "not everybody has `{variable}`, and for the others the run fails here; write {instead}, or put \
                     `{{% if {variable} is defined %}}` around it"
                );
                problems.add_inside(place.clone(), written, at, Rule::TemplateNoFallback, message);
            }
            let Ok(filled) = template::render(source, form, &everything()) else { continue };
            for (link, why) in broken_links(&filled, form) {
                let at = written.find(&link).unwrap_or(0);
                let message = format!("the link `{link}` {why}");
                problems.add_inside(place.clone(), written, at, Rule::TemplateLinkBroken, message);
            }
            if form == Form::Html && filled.len() > CLIPPED_AT {
                let message = format!(
                    "it has {} kB, and mail programs cut off what is beyond 102 kB, the link to unsubscribe with it; shorten it",
                    filled.len() / 1024
                );
                problems.add_inside(place, written, 0, Rule::TemplateClipped, message);
            }
        }
        if !names_the_way_out {
            let message = "nobody can unsubscribe in it; write `{{ unsubscribe_url }}` into the text and the HTML, or \
                           `transactional: true` where the person waits for it";
            problems.add_inside(place, "", 0, Rule::TemplateNoUnsubscribe, message.to_owned());
        }
    }
}

/// A person of whom only the address is known, and whose lead only came in, where leads run through the sequence.
fn next_to_nothing(subject: SubjectKind) -> Value {
    let lead = (subject == SubjectKind::Lead).then(|| {
        json!({
            "id": "-", "stage": "NURTURING", "source": "-", "priority": 50, "received_at": "-", "tags": [], "custom": {},
        })
    });
    let known = sample();
    json!({
        "contact": {
            "id": "-", "email": "sam@example.com", "consent": "GRANTED", "source": "-", "tags": [], "custom": {},
        },
        "account": null,
        "lead": lead,
        "sender": known["sender"],
        "unsubscribe_url": known["unsubscribe_url"],
        "interactions": known["interactions"],
        "lists": [],
        "enrollment": { "id": "-", "rule": "-", "step": "-", "visit": 0, "started_at": "-", "vars": {}, "variants": {}, "event": null },
        "now": "2026-03-02T09:00:00+00:00",
    })
}

/// A person of whom everything is known.
fn everything() -> Value {
    let mut data = sample();
    data["enrollment"] = next_to_nothing(SubjectKind::Contact)["enrollment"].clone();
    data["now"] = json!("2026-03-02T09:00:00+00:00");
    let fill = |record: &mut Value| {
        for value in record.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
            if value.is_null() {
                *value = json!("something");
            }
        }
    };
    for part in ["contact", "account", "lead"] {
        fill(&mut data[part]);
    }
    data["interactions"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut).for_each(fill);
    data
}

/// The variables that a template needs and that not everybody has, as they are written.
fn without_fallback(source: &str, form: Form, subject: SubjectKind) -> Vec<String> {
    let mut data = next_to_nothing(subject);
    let mut found: Vec<String> = Vec::new();
    while found.len() < MOST {
        let Err(template::Refusal::Undefined { variable, .. }) = template::render(source, form, &data) else { break };
        // With a value for it, the next one is found.
        if found.contains(&variable) || !give(&mut data, &variable) {
            found.push(variable);
            break;
        }
        found.push(variable);
    }
    found.dedup();
    found
}

/// Gives a variable a value; false where it is not written as names with dots between them.
fn give(data: &mut Value, variable: &str) -> bool {
    let mut place = data;
    for name in variable.split('.') {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return false;
        }
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    *place = json!("something");
    true
}

/// The links of a filled template that lead nowhere, each with why.
fn broken_links(filled: &str, form: Form) -> Vec<(String, &'static str)> {
    static HREF: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?i)\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"#).ok());
    static BARE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\bhttps?:/*[^\s<>"')]*"#).ok());
    let links = match form {
        Form::Html => &HREF,
        Form::Text | Form::Line => &BARE,
    };
    let Some(links) = &**links else { return Vec::new() };
    let mut found: Vec<(String, &str)> = Vec::new();
    for link in links.captures_iter(filled) {
        let written = (1..4).find_map(|group| link.get(group)).or_else(|| link.get(0)).map_or("", |text| text.as_str());
        let meant = html_escape::decode_html_entities(written);
        if let Some(why) = why_broken(&meant) {
            found.push((meant.chars().take(200).collect(), why));
        }
    }
    found.dedup();
    found.truncate(MOST);
    found
}

fn why_broken(link: &str) -> Option<&'static str> {
    let link = link.trim();
    if link.is_empty() || link.starts_with('#') {
        return Some("leads nowhere; give it an address, or take it out");
    }
    let Ok(url) = Url::parse(link) else {
        return Some("is no whole address; begin it with https://");
    };
    match url.scheme() {
        "https" | "http" => {
            let host = url.host_str().unwrap_or_default();
            let real = matches!(url.host(), Some(url::Host::Domain(_))) && host.contains('.') && !host.ends_with('.');
            if !real {
                return Some("names no host that others reach; write its domain");
            }
            (url.scheme() == "http").then_some("is not encrypted, and mail programs warn of it; write https://")
        }
        "mailto" => (!url.path().contains('@')).then_some("names no mailbox; write mailto:name@example.com"),
        "tel" | "sms" => None,
        _ => Some("is of a kind that mail programs do not open; write https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(source: &str) -> Vec<(String, &'static str, usize)> {
        advice(source, &Library::closed())
            .into_iter()
            .map(|one| (one.path, one.rule.as_str(), one.line.unwrap_or(0)))
            .collect()
    }

    const HEAD: &str =
        "key: a\nname: A\nsubject: contact\nsteps:\n  - id: hello\n    kind: send_email\n    template:\n";

    fn email(rest: &str) -> String {
        format!("{HEAD}{rest}\n  - {{ id: done, kind: end }}\n")
    }

    #[test]
    fn what_is_well_made_gets_no_advice() {
        let source = email(
            "      subject: \"Hello {{ contact.first_name | default('there') }}\"\n      text: |\n        {% if account is defined %}{{ account.name }}{% endif %} https://example.com/a?b=1\n        {{ unsubscribe_url }}\n      html: '<a href=\"https://example.com/?a=1&amp;b=2\">x</a> <a href=\"mailto:a@example.com\">y</a> <a href=\"{{ unsubscribe_url }}\">z</a>'",
        );
        assert_eq!(said(&source), []);
    }

    #[test]
    fn what_not_everybody_has_needs_a_word_for_the_others() {
        let source = email(
            "      subject: \"Hello {{ contact.first_name }}\"\n      text: |\n        {{ account.name }} and\n        {{ contact.title }} {{ contact.email }} {{ contact.custom.size }}\n        {{ unsubscribe_url }}",
        );
        let path = |part: &str| format!("steps[0].template.{part}");
        assert_eq!(
            said(&source),
            [
                (path("subject"), "TEMPLATE_NO_FALLBACK", 8),
                (path("text"), "TEMPLATE_NO_FALLBACK", 10),
                (path("text"), "TEMPLATE_NO_FALLBACK", 11),
                (path("text"), "TEMPLATE_NO_FALLBACK", 11),
            ]
        );
    }

    #[test]
    fn links_that_lead_nowhere_are_named() {
        for (link, broken) in [
            ("https://example.com", false),
            ("https://example.com/{{ contact.id }}", false),
            ("tel:+4930123456", false),
            ("", true),
            ("#", true),
            ("example.com", true),
            ("http://example.com", true),
            ("https://localhost/a", true),
            ("https://10.0.0.1/", true),
            ("javascript:alert(1)", true),
            ("mailto:nobody", true),
        ] {
            let html = format!(
                "      subject: a\n      text: '{{{{ unsubscribe_url }}}}'\n      html: '<a href=\"{link}\">x</a>'"
            );
            let found = said(&email(&html));
            assert_eq!(found.iter().any(|(_, rule, _)| *rule == "TEMPLATE_LINK_BROKEN"), broken, "{link}: {found:?}");
        }
        let text = email("      subject: a\n      text: 'See http://example.com/a, {{ unsubscribe_url }}'");
        assert_eq!(said(&text), [("steps[0].template.text".to_owned(), "TEMPLATE_LINK_BROKEN", 9)]);
    }

    #[test]
    fn an_email_that_is_cut_off_and_one_without_a_way_out_are_named() {
        let large = format!("      subject: a\n      text: b\n      html: '<p>{}</p>'", "x".repeat(110_000));
        let path = |part: &str| format!("steps[0].template{part}");
        assert_eq!(
            said(&email(&large)),
            [(path(""), "TEMPLATE_NO_UNSUBSCRIBE", 8), (path(".html"), "TEMPLATE_CLIPPED", 10)]
        );
        let awaited = email("      subject: a\n      text: b\n    transactional: true");
        assert_eq!(said(&awaited), []);
    }

    #[test]
    fn snippets_and_languages_are_looked_at_where_they_are_used() {
        let source = "key: a\nname: A\nsubject: contact\nsnippets:\n  signature: '{{ contact.title }} {{ unsubscribe_url }}'\n\
            steps:\n  - id: hello\n    kind: send_email\n    template: { subject: a, text: '{% include \"signature\" %}' }\n    \
            languages:\n      zh: { subject: '{{ contact.first_name }}', text: '{% include \"signature\" %}' }\n  - { id: done, kind: end }\n";
        let places: Vec<String> = said(source).into_iter().map(|(path, _, _)| path).collect();
        assert_eq!(places, ["steps[0].template.text", "steps[0].languages.zh.subject", "steps[0].languages.zh.text"]);
        let definition = validate::read(source).unwrap();
        let StepKind::SendEmail(email) = &definition.steps[0].kind else { panic!("an e-mail") };
        assert_eq!(email.template.text, "{{ contact.title }} {{ unsubscribe_url }}");
        assert!(definition.header.snippets.is_empty());
    }

    #[test]
    fn a_definition_that_breaks_rules_gets_no_advice() {
        assert_eq!(said("key: A"), []);
    }
}
