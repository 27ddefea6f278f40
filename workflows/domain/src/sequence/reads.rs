//! What a definition reads of what is not at hand: nobody who does not use it pays for looking it up.

use super::definition::Definition;
use super::interactions::{kinds_read, places};
use super::publishing::SequenceVersion;
use super::trigger::Trigger;
use crate::email_template::TemplateDefinition;
use crate::expression::Expression;
use crate::interaction::InteractionKind;
use crate::memo::Memo;
use serde_json::Value;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::LazyLock;

/// The variable that has the keys of the lists.
pub(super) const LISTS: &str = "lists";

/// What must be looked up before expressions and templates can be filled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// The kinds of interactions that are read, as `interactions.<kind>`.
    pub interactions: BTreeSet<InteractionKind>,
    /// Whether the target lists of the company are, as `lists`.
    pub lists: bool,
}

impl Reads {
    /// What the header and the steps read; what the triggers do is asked of each trigger.
    pub fn of(definition: &Definition) -> Self {
        let mut reads = Self::default();
        let mut look = |part: serde_json::Result<String>, value: &dyn Fn() -> serde_json::Result<Value>| {
            // Most definitions name neither, which a search in their text tells.
            if part.is_ok_and(|text| text.contains("interactions") || text.contains(LISTS)) {
                reads.look_through(&value().unwrap_or_default());
            }
        };
        look(serde_json::to_string(&definition.steps), &|| serde_json::to_value(&definition.steps));
        let header = &definition.header;
        look(serde_json::to_string(header), &|| {
            let mut header = serde_json::to_value(header)?;
            header["triggers"].take();
            Ok(header)
        });
        reads
    }

    /// What the definition of a version reads, looked up once: a version never changes.
    pub fn of_version(version: &SequenceVersion) -> Self {
        static KNOWN: LazyLock<Memo<Reads>> = LazyLock::new(Memo::new);
        let of = || Ok::<_, Infallible>(Self::of(&version.definition));
        KNOWN.of(&version.hash, of).unwrap_or_default()
    }

    /// What the templates of a stored e-mail template read.
    pub fn of_template(definition: &TemplateDefinition) -> Self {
        let mut reads = Self::default();
        reads.look_through(&serde_json::to_value(definition).unwrap_or_default());
        reads
    }

    /// What the condition and the values of a trigger read.
    pub fn of_trigger(trigger: &Trigger) -> Self {
        let mut reads = Self::default();
        trigger.when.iter().chain(trigger.vars.values()).for_each(|source| reads.expression(source));
        reads
    }

    /// What an expression reads.
    pub fn of_expression(source: &str) -> Self {
        let mut reads = Self::default();
        reads.expression(source);
        reads
    }

    /// What either reads.
    pub fn and(mut self, mut other: Self) -> Self {
        self.interactions.append(&mut other.interactions);
        self.lists |= other.lists;
        self
    }

    /// Whether it is nothing.
    pub fn is_nothing(&self) -> bool {
        self.interactions.is_empty() && !self.lists
    }

    fn expression(&mut self, source: &str) {
        self.interactions.extend(kinds_read(source));
        self.lists |= places(source, LISTS).next().is_some();
    }

    /// Every text, whichever field it is in: so no kind of step can be forgotten.
    fn look_through(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.look_through(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.look_through(field)),
            _ => {}
        }
    }

    /// A text that may be an expression, a template, or neither.
    fn text(&mut self, text: &str) {
        if !Self::of_expression(text).is_nothing() {
            expressions(text, &["interactions", LISTS]).into_iter().for_each(|part| self.expression(part));
        }
    }
}

/// The expressions that may read one of these variables in a text that is an expression, a template, or neither.
pub(super) fn expressions<'t>(text: &'t str, variables: &[&str]) -> Vec<&'t str> {
    let mut found = Vec::new();
    let opens = |text: &str| text.find("{{").into_iter().chain(text.find("{%")).min();
    let mut rest = text;
    while let Some(at) = opens(rest) {
        let inside = &rest[at + 2..];
        let end = inside.find("}}").into_iter().chain(inside.find("%}")).min().unwrap_or(inside.len());
        found.push(&inside[..end]);
        rest = &inside[end..];
    }
    // An expression may have such brackets too. Prose that only has the word is none.
    let read = Expression::parse(text).map(|expression| expression.variables()).unwrap_or_default();
    if read.iter().any(|name| variables.contains(&name.as_str())) {
        found.push(text);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::validate::read;

    fn of(part: &str) -> Reads {
        let source = format!("key: t\nname: T\nsubject: contact\n{part}");
        Reads::of(&read(&source).unwrap_or_else(|problems| panic!("{problems:?}")))
    }

    #[test]
    fn what_is_read_is_found_wherever_it_stands_and_prose_reads_nothing() {
        use InteractionKind::{Form, Page};
        let form = || BTreeSet::from([Form]);
        let end = "steps:\n  - {id: done, kind: end}\n";
        assert_eq!(of(&format!("goal: interactions.form.count > 0\n{end}")).interactions, form());
        assert_eq!(of(&format!("reentry: {{key: string(interactions.form.count)}}\n{end}")).interactions, form());
        let step = |step: &str| of(&format!("steps:\n  - {step}\n  - {{id: done, kind: end}}\n"));
        for one in [
            "{id: a, kind: check_goal, when: interactions.form.count > 0}",
            "{id: a, kind: call_webhook, channel: crm, body: \"{'a': {'n': interactions.form.count}}\"}",
            "{id: a, kind: create_task, due_in: 1d, title: \"Call, {{ interactions.form.last_name | default('-') }}\"}",
            "{id: a, kind: send_email, template: {subject: S, text: \"a\\n{% if interactions.form.count %}b{% endif %} x\"}}",
        ] {
            assert_eq!(step(one), Reads { interactions: form(), lists: false }, "{one}");
        }
        let prose = "{id: a, kind: send_email, template: {subject: Our price lists, \
                     text: \"Our lists and interactions. Hello {{ contact.name }}\"}}";
        assert!(step(prose).is_nothing());
        assert!(step("{id: a, kind: check_goal, when: \"'vip' in lists\"}").lists);
        let triggers = "triggers:\n  - {kind: segment, when: \"interactions.page.count_7d > 3 && 'a' in lists\"}\n";
        let source = format!("key: t\nname: T\nsubject: contact\n{triggers}{end}");
        let definition = read(&source).unwrap();
        assert!(Reads::of(&definition).is_nothing());
        let own = Reads::of_trigger(&definition.header.triggers[0]);
        assert_eq!(own, Reads { interactions: [Page].into(), lists: true });
    }
}
