//! Snippets: texts that several e-mails of a sequence share, such as a signature. `{% include "signature" %}` stands for one.
//!
//! They are put in when the definition is read, so that a published version holds whole templates and nothing that could change
//! under it.

use super::definition::Definition;
use super::steps::StepKind;
use super::steps::send_email::EmailParts;
use crate::nearest::nearest;
use regex::{Captures, Regex};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The most snippets of a definition.
pub(super) const MOST: usize = 50;
/// The longest snippet, in characters.
pub(super) const LONGEST: usize = 20_000;
/// How large all e-mails of a document may be together with their snippets, in bytes: a short document can include much.
pub(crate) const MOST_TOGETHER: usize = 2 * 1024 * 1024;

/// The snippets of a definition, by name.
pub(crate) type Snippets = BTreeMap<String, String>;

fn inclusions() -> Option<&'static Regex> {
    static INCLUSION: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"\{%\s*include\s+(?:"([^"\n]*)"|'([^'\n]*)')\s*%\}"#).ok());
    INCLUSION.as_ref()
}

fn named<'a>(found: &Captures<'a>) -> &'a str {
    found.get(1).or_else(|| found.get(2)).map_or("", |name| name.as_str())
}

/// A template with blanks in place of its inclusions, so that every place in it stays where it was, and those that name no
/// snippet, each with its byte and a sentence. Where the snippets are not known, every name is let through.
pub(super) fn blanked(source: &str, snippets: Option<&Snippets>) -> (String, Vec<(usize, String)>) {
    let Some(inclusions) = inclusions() else { return (source.to_owned(), Vec::new()) };
    let mut unknown = Vec::new();
    for found in inclusions.captures_iter(source) {
        let name = named(&found);
        if snippets.is_some_and(|snippets| !snippets.contains_key(name)) {
            let near = snippets.and_then(|snippets| nearest(name, snippets.keys().map(String::as_str)));
            let hint = near
                .map_or_else(|| "; write it under `snippets`".to_owned(), |near| format!("; did you mean `{near}`?"));
            let at = found.get(0).map_or(0, |whole| whole.start());
            unknown.push((at, format!("there is no snippet `{name}`{hint}")));
        }
    }
    let blank = |found: &Captures<'_>| " ".repeat(found.get(0).map_or(0, |whole| whole.len()));
    (inclusions.replace_all(source, blank).into_owned(), unknown)
}

/// The template with every snippet in its place. One that is not there leaves nothing behind.
pub(super) fn filled(source: &str, snippets: &Snippets) -> String {
    let Some(inclusions) = inclusions() else { return source.to_owned() };
    let text = |found: &Captures<'_>| snippets.get(named(found)).cloned().unwrap_or_default();
    inclusions.replace_all(source, text).into_owned()
}

/// How long a template is with its snippets, in characters.
pub(super) fn length(source: &str, snippets: Option<&Snippets>) -> usize {
    measure(source, snippets, |text| text.chars().count())
}

/// How large an e-mail is with its snippets, in bytes.
pub(crate) fn size(template: &EmailParts, snippets: &Snippets) -> usize {
    let sizes = template.parts().map(|(_, source, _)| measure(source, Some(snippets), str::len));
    sizes.fold(0, usize::saturating_add)
}

/// How long a template is with its snippets in the places of their inclusions.
fn measure(source: &str, snippets: Option<&Snippets>, long: impl Fn(&str) -> usize) -> usize {
    let inclusions = inclusions().into_iter().flat_map(|inclusions| inclusions.captures_iter(source));
    let (mut taken, mut put) = (0_usize, 0_usize);
    for found in inclusions {
        taken += found.get(0).map_or(0, |whole| long(whole.as_str()));
        let text = snippets.and_then(|snippets| snippets.get(named(&found)));
        put = put.saturating_add(text.map_or(0, |text| long(text)));
    }
    (long(source) - taken).saturating_add(put)
}

/// The definition with every snippet in its place.
pub(super) fn put_in(mut definition: Definition) -> Definition {
    let snippets = std::mem::take(&mut definition.header.snippets);
    for step in &mut definition.steps {
        if let StepKind::SendEmail(email) = &mut step.kind {
            fill(&mut email.template, &snippets);
            email.languages.values_mut().for_each(|template| fill(template, &snippets));
        }
    }
    definition
}

/// Puts every snippet into its place in a template.
pub(crate) fn fill(template: &mut EmailParts, snippets: &Snippets) {
    template.map(|source| filled(source, snippets));
}
