//! The document of a stored template: what it says, and whether it keeps the rules.
//!
//! ```yaml
//! key: welcome_mail
//! name: Welcome
//! subject: "Welcome, {{ contact.first_name | default('friend') }}"
//! text: "Hello. {% include \"signature\" %}"
//! languages:
//!   zh: { subject: "您好", text: "你好。{% include \"signature\" %}" }
//! snippets:
//!   signature: "{{ sender.name }} {{ unsubscribe_url }}"
//! ```

use crate::sequence::definition::{SubjectKind, is_name};
use crate::sequence::lint::{self, Reader};
use crate::sequence::snippets::{self, Snippets};
use crate::sequence::steps::send_email::{EmailParts, Letter, check_templates, compose};
use crate::sequence::template;
use crate::sequence::validate::{Check, Problem, Problems, Rule, not_a_name, parse, part};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a template says. One that came through [`read`] keeps all its rules, and has its snippets in place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateDefinition {
    /// The stable name: lower-case letters, digits and `_`, 1 to 60.
    pub key: String,
    /// The name to show, 1 to 200 characters.
    pub name: String,
    /// One line, at most 200 characters.
    pub subject: String,
    /// The plain text, at most 60,000 characters.
    pub text: String,
    /// The HTML, at most 150,000 characters; without it, the e-mail is plain text alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The same in other languages, by BCP 47 tag: who has such a locale gets it, everybody else the texts above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub languages: BTreeMap<String, EmailParts>,
    /// Texts that the ones above share, by name. A definition that was read has them in place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snippets: Snippets,
}

impl TemplateDefinition {
    /// What everybody gets who has none of the languages.
    pub fn everybody(&self) -> EmailParts {
        EmailParts { subject: self.subject.clone(), text: self.text.clone(), html: self.html.clone() }
    }

    /// The e-mail for a person with these data: in the language that is nearest to the person's locale.
    pub fn compose(&self, data: &Value) -> Result<Letter, template::Refusal> {
        compose(&self.everybody(), &self.languages, data, None)
    }

    fn with_snippets(mut self) -> Self {
        let snippets = std::mem::take(&mut self.snippets);
        let mut everybody = self.everybody();
        snippets::fill(&mut everybody, &snippets);
        let EmailParts { subject, text, html } = everybody;
        self.languages.values_mut().for_each(|template| snippets::fill(template, &snippets));
        Self { subject, text, html, ..self }
    }
}

/// Reads a template from YAML (or JSON) and checks every rule. Gives all problems, in the order of the document.
pub fn read(source: &str) -> Result<TemplateDefinition, Vec<Problem>> {
    Ok(look(source, |_, _| {})?.with_snippets())
}

/// Advice on a template that breaks no rule: what would go wrong for some of those who get it. Whom that is, is known only in a
/// sequence; so alone it is taken to be for leads, of whom more is known, in an e-mail that nobody waits for.
pub fn advice_alone(source: &str) -> Vec<Problem> {
    advice(source, Reader { subject: SubjectKind::Lead, awaits: false })
}

/// Advice on a template as these readers get it. One that breaks rules gets none.
pub(crate) fn advice(source: &str, reader: Reader) -> Vec<Problem> {
    let found = look(source, |written, problems| {
        let whole = written.clone().with_snippets();
        let (all, written_all) = (whole.everybody(), written.everybody());
        let others = whole.languages.iter().zip(written.languages.values());
        let others = others.map(|((tag, template), written)| (format!("languages.{tag}"), template, written));
        let templates = std::iter::once((String::new(), &all, &written_all)).chain(others);
        lint::look_at("", templates, reader, problems);
    });
    lint::only_advice(found.err())
}

/// Reads a template as it is written, with its snippets outside. `more` may find further problems of one that has none.
fn look(
    source: &str,
    more: impl FnOnce(&TemplateDefinition, &mut Problems<'_>),
) -> Result<TemplateDefinition, Vec<Problem>> {
    let tree = parse(source)?;
    let mut problems = Problems::new(source, &tree);
    let value = tree.value();
    let definition: Option<TemplateDefinition> = if value.is_object() {
        part(value, "", &mut problems)
    } else {
        let message = "a map with key, name, subject and text is expected; write `key: ...` without a dash before it";
        problems.add(String::new(), Rule::Shape, message);
        None
    };
    if let Some(definition) = &definition {
        check(definition, &mut problems);
        if problems.is_empty() {
            more(definition, &mut problems);
        }
    }
    let found = problems.in_order();
    match definition {
        Some(definition) if found.is_empty() => Ok(definition),
        _ => Err(found),
    }
}

fn check(definition: &TemplateDefinition, problems: &mut Problems<'_>) {
    let mut check = Check::new(String::new(), problems, Some(&definition.snippets));
    if !is_name(&definition.key) {
        check.problem("key", Rule::NameInvalid, not_a_name("a key", &definition.key));
    }
    if definition.name.trim().is_empty() || definition.name.chars().count() > 200 {
        check.problem("name", Rule::NameInvalid, "a name has 1 to 200 characters");
    }
    check.snippets(&definition.snippets);
    let everybody = definition.everybody();
    check.together(std::iter::once(&everybody).chain(definition.languages.values()), &definition.snippets);
    let others = definition.languages.iter().map(|(tag, template)| (format!("languages.{tag}"), template));
    check_templates(&mut check, std::iter::once((String::new(), &everybody)).chain(others));
}
