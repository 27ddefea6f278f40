//! What conditions and templates of a sequence may read: the one list of it, for checks, for documents and for whoever
//! gathers the data.

use crate::contact::ConsentState;
use crate::expression::typing::Shape;
use crate::lead::Stage;
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
