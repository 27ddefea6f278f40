//! What conditions and templates of a sequence may read: the one list of it, for checks, for documents and for whoever
//! gathers the data.

use crate::contact::ConsentState;
use crate::expression::typing::Shape;
use crate::lead::Stage;
use crate::sequence::definition::SubjectKind;
use crate::sequence::enrollment::TaskEnd;
use crate::sequence::interactions;
use crate::sequence::trigger;
use std::sync::LazyLock;

/// The variables and their fields.
pub fn environment() -> &'static Shape {
    static ENVIRONMENT: LazyLock<Shape> = LazyLock::new(|| Shape::Record(variables()));
    &ENVIRONMENT
}

/// The same with variables that only one place has.
pub(crate) fn with_texts(extra: &[&'static str]) -> Shape {
    let mut variables = variables();
    variables.extend(extra.iter().map(|name| (*name, Shape::Text)));
    Shape::Record(variables)
}

/// The same with what a call was answered: its status, and the JSON of its body.
pub(crate) fn with_answer() -> &'static Shape {
    static WITH_ANSWER: LazyLock<Shape> = LazyLock::new(|| {
        let mut variables = variables();
        variables.extend([("answer", Shape::Any), ("status", Shape::Number)]);
        Shape::Record(variables)
    });
    &WITH_ANSWER
}

/// The same with the event that a step waits for.
pub(crate) fn with_event() -> Shape {
    let mut variables = variables();
    variables.push(("event", trigger::event::shape()));
    Shape::Record(variables)
}

/// What triggers may read: the same with variables of their kind, and without the run, which is not there yet.
pub(crate) fn for_triggers(extra: Vec<(&'static str, Shape)>) -> Shape {
    let mut variables = variables();
    variables.retain(|(name, _)| *name != "enrollment");
    variables.extend(extra);
    Shape::Record(variables)
}

/// What may be null of all this, though it is known by name: of each variable the fields, and where it may be null itself, nothing.
const MAY_BE_NULL: [(&str, &[&str]); 6] = [
    ("account", &["", "country", "industry", "territory", "tier"]),
    ("contact", &["email", "first_name", "locale", "name", "phone", "source", "time_zone", "title"]),
    ("enrollment", &["event", "event.seconds", "event.url", "last_task_outcome"]),
    ("event", &["seconds", "url"]),
    ("lead", &["", "grade", "reason"]),
    ("change", &["new", "old"]),
];
/// The maps of it whose keys nobody knows beforehand.
const OPEN: [(&str, &[&str]); 5] = [
    ("account", &["custom"]),
    ("contact", &["custom"]),
    ("enrollment", &["event.properties", "variants", "vars"]),
    ("event", &["properties"]),
    ("lead", &["custom"]),
];

fn is_among(name: &str, known: &[(&str, &[&str])]) -> bool {
    let (variable, field) = name.split_once('.').unwrap_or((name, ""));
    known.iter().any(|(known, fields)| *known == variable && fields.contains(&field))
}

/// Whether what has this name may be null. Where `subject` is a lead, there is one.
pub(super) fn may_be_null(name: &str, subject: SubjectKind) -> bool {
    let of_interactions =
        || name.starts_with("interactions.") && (name.ends_with(".last_at") || name.ends_with(".last_name"));
    (is_among(name, &MAY_BE_NULL) || of_interactions()) && !(name == "lead" && subject == SubjectKind::Lead)
}

/// Whether what has this name is a map that may miss a key.
pub(super) fn is_open(name: &str) -> bool {
    is_among(name, &OPEN)
}

fn variables() -> Vec<(&'static str, Shape)> {
    let texts = || Shape::List(Box::new(Shape::Text));
    let record = |fields: &[(&'static str, Shape)]| Shape::Record(fields.to_vec());
    let contact = record(&[
        ("id", Shape::Text),
        ("name", Shape::Text),
        ("first_name", Shape::Text),
        ("email", Shape::Text),
        ("phone", Shape::Text),
        ("title", Shape::Text),
        ("locale", Shape::Text),
        ("time_zone", Shape::Text),
        ("consent", Shape::Code(ConsentState::ALL.iter().map(|state| state.as_str()).collect())),
        ("source", Shape::Text),
        ("tags", texts()),
        ("custom", Shape::Map),
    ]);
    let account = record(&[
        ("id", Shape::Text),
        ("name", Shape::Text),
        ("domains", texts()),
        ("tier", Shape::Text),
        ("industry", Shape::Text),
        ("territory", Shape::Text),
        ("country", Shape::Text),
        ("tags", texts()),
        ("custom", Shape::Map),
    ]);
    let lead = record(&[
        ("id", Shape::Text),
        ("stage", Shape::Code(Stage::ALL.iter().map(|stage| stage.as_str()).collect())),
        ("source", Shape::Text),
        ("grade", Shape::Text),
        ("priority", Shape::Number),
        ("received_at", Shape::Text),
        ("reason", Shape::Text),
        ("tags", texts()),
        ("custom", Shape::Map),
    ]);
    let enrollment = record(&[
        ("id", Shape::Text),
        ("rule", Shape::Text),
        ("step", Shape::Text),
        ("visit", Shape::Number),
        ("started_at", Shape::Text),
        ("vars", Shape::Map),
        ("variants", Shape::Map),
        ("last_task_outcome", Shape::Code(TaskEnd::ALL.iter().map(|end| end.as_str()).collect())),
        ("event", trigger::event::shape()),
    ]);
    vec![
        ("contact", contact),
        ("account", account),
        ("lead", lead),
        ("sender", record(&[("name", Shape::Text), ("email", Shape::Text)])),
        ("enrollment", enrollment),
        ("now", Shape::Text),
        ("interactions", interactions::shape()),
        ("lists", texts()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::simulation::sample;

    #[test]
    fn what_may_be_missing_is_named_as_it_is_read() {
        let mut all = variables();
        all.push(("event", trigger::event::shape()));
        let all = Shape::Record(all);
        let shape = |variable: &str, fields: &str| {
            let names = [variable].into_iter().chain(fields.split('.').filter(|part| !part.is_empty()));
            names.into_iter().try_fold(&all, |shape, part| shape.field(part)).cloned()
        };
        for (variable, fields) in MAY_BE_NULL.iter().filter(|(variable, _)| *variable != "change") {
            fields.iter().for_each(|field| assert!(shape(variable, field).is_some(), "{variable} {field}"));
        }
        for (variable, fields) in OPEN {
            fields.iter().for_each(|field| assert_eq!(shape(variable, field), Some(Shape::Map), "{variable} {field}"));
        }
    }

    #[test]
    fn the_sample_of_a_simulation_has_all_of_it_and_nothing_else() {
        let sample = sample();
        let holds = |part: &str, given: &serde_json::Value, shape: Option<&Shape>| {
            let mut known = shape.map(Shape::fields).unwrap_or_default();
            let mut given: Vec<&str> = given.as_object().unwrap().keys().map(String::as_str).collect();
            known.sort_unstable();
            given.sort_unstable();
            assert_eq!(given, known, "{part}");
        };
        for part in ["contact", "account", "lead", "sender", "interactions"] {
            holds(part, &sample[part], environment().field(part));
        }
        let kinds = environment().field("interactions").unwrap();
        for kind in kinds.fields() {
            holds(kind, &sample["interactions"][kind], kinds.field(kind));
        }
        assert!(sample["lists"].is_array());
    }
}
