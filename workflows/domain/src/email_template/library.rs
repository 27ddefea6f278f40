//! Where the reader of sequences finds the stored templates that they name, and how a step takes one.
//!
//! `template: welcome_mail` in a step takes the newest version, `template: welcome_mail@3` that one. What it takes becomes a part
//! of the definition, beside the name and the number of the version, so that nothing can change under a published version.

use super::{EmailTemplate, EmailTemplateState, EmailTemplateVersion, definition};
use crate::nearest::nearest;
use crate::sequence::definition::{Definition, is_name};
use crate::sequence::steps::StepKind;
use crate::sequence::steps::send_email::{Config, EmailParts, TemplateUse};
use crate::sequence::validate::{Problem, Problems, Rule, join, parse};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The kind of step that can take a stored template.
pub(crate) const KIND: &str = "send_email";
/// The most that the e-mails of one sequence take from stored templates together, in bytes.
pub const MOST_TAKEN: usize = 1024 * 1024;

/// How a step names a stored template; a sequence and a version of it are named in the same way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The key.
    pub key: String,
    /// The number of the version, from 1; none for the newest.
    pub number: Option<u32>,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.number {
            Some(number) => write!(f, "{}@{number}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

impl Reference {
    /// Reads `KEY` or `KEY@N`; none in anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, number) = match text.split_once('@') {
            Some((key, number)) => (key, Some(number.parse().ok().filter(|number| *number > 0)?)),
            None => (text, None),
        };
        is_name(key).then(|| Self { key: key.to_owned(), number })
    }
}

/// The stored templates that a definition (YAML or JSON) names; none in what cannot be read.
pub fn named(source: &str) -> BTreeSet<Reference> {
    let Ok(tree) = parse(source) else { return BTreeSet::new() };
    let value = tree.value();
    let steps = value.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mails = steps.iter().filter(|step| step.get("kind").and_then(Value::as_str) == Some(KIND));
    mails.filter_map(|step| Reference::parse(step.get("template")?.as_str()?)).collect()
}

/// What a template says in one of its versions.
#[derive(Debug, Clone)]
struct Text {
    definition: definition::TemplateDefinition,
    /// The document it was read from.
    source: String,
}

#[derive(Debug, Clone)]
struct Shelved {
    state: EmailTemplateState,
    newest: u32,
    versions: BTreeMap<u32, Text>,
}

/// Where templates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Unseen,
    Folder,
    Database,
}

/// The stored templates that whoever reads a definition knows.
#[derive(Debug, Clone)]
pub struct Library {
    place: Place,
    shelf: BTreeMap<String, Shelved>,
    others: Vec<String>,
}

/// A document of a folder that is no template, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// The name of the document.
    pub name: String,
    /// Everything that is wrong with it.
    pub problems: Vec<Problem>,
}

impl Library {
    const fn at(place: Place) -> Self {
        Self { place, shelf: BTreeMap::new(), others: Vec::new() }
    }

    /// None can be looked up: a definition that names one is refused.
    pub const fn closed() -> Self {
        Self::at(Place::Nowhere)
    }

    /// None can be looked up, and the names are let through. The texts of such a definition are missing, and the number of each
    /// version that it uses is 0: it is good for being checked, and for nothing else.
    pub const fn unseen() -> Self {
        Self::at(Place::Unseen)
    }

    /// The templates of a folder, where there are no versions: whichever is asked for, its document is taken. Also gives the
    /// documents, each a name and its text, that are no templates, or whose key another one has.
    pub fn folder(documents: impl IntoIterator<Item = (String, String)>) -> (Self, Vec<Misfit>) {
        let (mut library, mut misfits) = (Self::at(Place::Folder), Vec::new());
        for (name, source) in documents {
            let problems = match definition::read(&source) {
                Ok(definition) if !library.shelf.contains_key(&definition.key) => {
                    let key = definition.key.clone();
                    let versions = [(0, Text { definition, source })].into();
                    library.shelf.insert(key, Shelved { state: EmailTemplateState::Active, newest: 0, versions });
                    continue;
                }
                Ok(definition) => {
                    let message = format!("another document has the key `{}`; keep one of the two", definition.key);
                    let (path, template) = ("key".to_owned(), None);
                    vec![Problem { path, rule: Rule::NameInvalid, message, line: None, column: None, template }]
                }
                Err(problems) => problems,
            };
            misfits.push(Misfit { name, problems });
        }
        (library, misfits)
    }

    /// The templates of the database: of those that a definition names, the versions that it can take. `others` are keys that
    /// may have been meant instead.
    pub fn stored(templates: Vec<EmailTemplate>, versions: Vec<EmailTemplateVersion>, others: Vec<String>) -> Self {
        let mut library = Self { others, ..Self::at(Place::Database) };
        let mut keys = BTreeMap::new();
        for EmailTemplate { id, key, state, latest_number: newest, .. } in templates {
            keys.insert(id, key.clone());
            library.shelf.insert(key, Shelved { state, newest, versions: BTreeMap::new() });
        }
        for version in versions {
            let shelved = keys.get(&version.template).and_then(|key| library.shelf.get_mut(key));
            if let Some(shelved) = shelved {
                let text = Text { definition: version.definition, source: version.source };
                shelved.versions.insert(version.number, text);
            }
        }
        library
    }

    fn text(&self, uses: &TemplateUse) -> Option<&Text> {
        self.shelf.get(&uses.template)?.versions.get(&uses.version)
    }

    /// The document of a version that a definition uses.
    pub(crate) fn document(&self, uses: &TemplateUse) -> Option<&str> {
        Some(&self.text(uses)?.source)
    }

    /// How a problem names a template: with its version, where there are versions.
    pub(crate) fn name(&self, uses: &TemplateUse) -> String {
        if self.place == Place::Database { uses.to_string() } else { uses.template.clone() }
    }

    /// The version that a reference means, with what it says; or which rule that breaks, and why.
    fn find(&self, reference: &Reference) -> Result<(u32, Option<&Text>), (Rule, String)> {
        let Reference { key, number } = reference;
        let unknown = |message| Err((Rule::ReferenceUnknown, message));
        match self.place {
            Place::Unseen => return Ok((0, None)),
            Place::Nowhere => {
                return unknown(format!(
                    "the stored template `{key}` cannot be looked up here; name the folder where the templates are with \
                     --templates DIR, or write subject and text into the step"
                ));
            }
            Place::Folder | Place::Database => {}
        }
        let Some(shelved) = self.shelf.get(key) else {
            let known = self.shelf.keys().chain(&self.others).map(String::as_str);
            let hint = match (nearest(key, known), self.place) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Place::Folder) => "put its document into the folder".to_owned(),
                (None, _) => "publish it first".to_owned(),
            };
            return unknown(format!("there is no template `{key}`; {hint}"));
        };
        if shelved.state == EmailTemplateState::Archived {
            let message = format!("the template `{key}` is archived, and nothing new takes it; name another");
            return Err((Rule::TemplateArchived, message));
        }
        let wanted = if self.place == Place::Folder { 0 } else { number.unwrap_or(shelved.newest) };
        match shelved.versions.get(&wanted) {
            Some(text) => Ok((wanted, Some(text))),
            None => unknown(format!(
                "the template `{key}` has no version {wanted}; the newest is {}, which `template: {key}` takes",
                shelved.newest
            )),
        }
    }

    /// Puts the texts of a stored template into the settings of a step at `path` that names one.
    pub(crate) fn put_in(&self, settings: &mut Map<String, Value>, path: &str, problems: &mut Problems<'_>) {
        if settings.remove("uses").is_some() {
            let message = "unknown field `uses`; a stored template is named by its key: `template: welcome_mail`";
            problems.add_shape(join(path, "uses"), Rule::Shape, message.to_owned());
        }
        let Some(Value::String(written)) = settings.get("template") else { return };
        let place = join(path, "template");
        let Some(reference) = Reference::parse(written) else {
            let message = "a template is its own subject and text, or the key of a stored one: `welcome_mail`, or \
                           `welcome_mail@3` for one of its versions";
            problems.add(place, Rule::NameInvalid, message);
            return self.take(settings, None, TemplateUse { template: String::new(), version: 0, pinned: false });
        };
        if settings.contains_key("languages") {
            let message = "a stored template brings its languages with it; write this one there, or both here";
            problems.add(join(path, "languages"), Rule::Shape, message);
        }
        let (version, text) = self.find(&reference).unwrap_or_else(|(rule, message)| {
            problems.add(place, rule, message);
            (0, None)
        });
        let uses = TemplateUse { template: reference.key, version, pinned: reference.number.is_some() };
        self.take(settings, text, uses);
    }

    fn take(&self, settings: &mut Map<String, Value>, text: Option<&Text>, uses: TemplateUse) {
        // What stands in for a text that is not known lets everything else be checked.
        let stand_in = || EmailParts { subject: "-".to_owned(), text: "-".to_owned(), html: None };
        let everybody = text.map_or_else(stand_in, |text| text.definition.everybody());
        settings.insert("template".to_owned(), json!(everybody));
        settings.remove("languages");
        if let Some(text) = text.filter(|text| !text.definition.languages.is_empty()) {
            settings.insert("languages".to_owned(), json!(text.definition.languages));
        }
        settings.insert("uses".to_owned(), json!(uses));
    }

    /// Looks at every stored template that a definition took by the rules of today, which may be stricter than those of the day
    /// on which it was published.
    pub(crate) fn look_again(&self, definition: &Definition, problems: &mut Problems<'_>) {
        for uses in definition.templates() {
            let Some(text) = self.text(uses) else { continue };
            if let Err(found) = definition::read(&text.source) {
                problems.add_of_template(&self.name(uses), found);
            }
        }
        let taken: usize = definition.steps.iter().map(|step| taken_by(&step.kind)).sum();
        if taken > MOST_TAKEN {
            let message = format!(
                "its e-mails take {} kB from stored templates, and {} kB is the most; split the sequence",
                taken / 1024,
                MOST_TAKEN / 1024
            );
            problems.add("steps".to_owned(), Rule::TooLarge, message);
        }
    }
}

/// How many bytes a step takes from a stored template.
fn taken_by(kind: &StepKind) -> usize {
    let size = |template: &EmailParts| template.parts().map(|(_, text, _)| text.len()).sum::<usize>();
    match kind {
        StepKind::SendEmail(email @ Config { uses: Some(_), .. }) => {
            email.templates().map(|(_, template)| size(template)).sum()
        }
        _ => 0,
    }
}
