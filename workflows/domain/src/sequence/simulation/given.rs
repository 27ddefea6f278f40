//! What whoever simulates says beforehand: data of the sample subject, and what calls are answered. Whatever nobody would read is
//! refused, with its path.

use super::sample::{sample, set_interactions};
use crate::expression::typing::Shape;
use crate::nearest::nearest;
use crate::sequence::definition::Definition;
use crate::sequence::environment::environment;
use crate::sequence::steps::StepKind;
use serde_json::{Map, Value};

/// One thing that is wrong with what is given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {message}")]
pub struct Fault {
    /// Where, e.g. `contact.email`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// The parts that may be given.
const PARTS: [&str; 9] =
    ["contact", "account", "lead", "sender", "enrollment", "interactions", "lists", "unsubscribe_url", "answers"];

/// The data of the sample subject with what is given of `contact`, `account`, `lead`, `sender` and `interactions` in its place, field
/// by field; `lists` and `unsubscribe_url` as a whole; an `account` or a `lead` that is null is none. `enrollment.vars` are the
/// variables of the run, `answers` what its calls keep, by step.
pub fn sample_with(given: &Value, definition: &Definition) -> Result<Value, Vec<Fault>> {
    let Value::Object(given) = given else {
        return Err(vec![fault(
            "data",
            format!("they are a map of {}, and this is {}", PARTS.join(", "), words(given)),
        )]);
    };
    let (mut data, mut faults) = (sample(), Vec::new());
    for (part, value) in given {
        match part.as_str() {
            "answers" => faults.extend(of_answers(value, &[definition]).err().into_iter().flatten()),
            "unsubscribe_url" => check(part, value, &Shape::Text, &mut faults),
            "enrollment" => of_enrollment(value, &mut faults),
            // There may be none.
            "account" | "lead" if value.is_null() => {}
            _ if PARTS.contains(&part.as_str()) => {
                check(part, value, environment().field(part).unwrap_or(&Shape::Any), &mut faults);
            }
            _ => faults.push(unknown(part, part, PARTS)),
        }
    }
    let Some(parts) = data.as_object_mut().filter(|_| faults.is_empty()) else { return Err(faults) };
    for (part, value) in given {
        match (parts.get_mut(part), value) {
            _ if part == "interactions" => set_interactions(parts, value),
            (Some(Value::Object(known)), Value::Object(fields)) => {
                known.extend(fields.clone());
                // Who is called otherwise has another first name, as with people who are stored.
                if part == "contact" && !fields.contains_key("first_name") && fields.contains_key("name") {
                    let name = fields.get("name").and_then(Value::as_str);
                    let first = name.and_then(|name| name.split_whitespace().next());
                    known.insert("first_name".to_owned(), first.into());
                }
            }
            _ => drop(parts.insert(part.clone(), value.clone())),
        }
    }
    Ok(data)
}

/// The answers, where nothing else is given beside them.
pub fn answers_alone(given: &Value) -> Result<Option<&Value>, Vec<Fault>> {
    let other = |part: &String| {
        let message =
            "over contacts, `answers` alone can be given; everything else is what is known of them".to_owned();
        fault(part, message)
    };
    let Value::Object(given) = given else {
        return Err(vec![fault("data", format!("they are a map with `answers`, and this is {}", words(given)))]);
    };
    let faults: Vec<Fault> = given.keys().filter(|part| *part != "answers").map(other).collect();
    if faults.is_empty() { Ok(given.get("answers")) } else { Err(faults) }
}

/// What each call keeps, by step: a map whose keys are steps of these definitions that keep an answer.
pub fn of_answers(given: &Value, definitions: &[&Definition]) -> Result<Map<String, Value>, Vec<Fault>> {
    let Value::Object(answers) = given else {
        return Err(vec![fault("answers", format!("it takes a map of steps, and this is {}", words(given)))]);
    };
    let steps = || definitions.iter().flat_map(|definition| &definition.steps);
    let calls = steps().filter(|step| matches!(&step.kind, StepKind::CallWebhook(call) if call.name.is_some()));
    let calls: Vec<&str> = calls.map(|step| step.id.as_str()).collect();
    let wrong = |id: &str| {
        let path = format!("answers.{id}");
        if !steps().any(|step| step.id == *id) {
            return unknown(&path, id, calls.iter().copied());
        }
        fault(&path, "this step keeps no answer; only those of a `call_webhook` with `as` are read".to_owned())
    };
    let faults: Vec<Fault> = answers.keys().filter(|id| !calls.contains(&id.as_str())).map(|id| wrong(id)).collect();
    if faults.is_empty() { Ok(answers.clone()) } else { Err(faults) }
}

fn of_enrollment(given: &Value, faults: &mut Vec<Fault>) {
    let Value::Object(fields) = given else {
        return faults.push(fault("enrollment", format!("it takes a map, and this is {}", words(given))));
    };
    for (field, value) in fields {
        let path = format!("enrollment.{field}");
        if field == "vars" {
            check(&path, value, &Shape::Map, faults);
        } else if environment().field("enrollment").and_then(|shape| shape.field(field)).is_some() {
            faults.push(fault(&path, "the run makes it; of `enrollment`, only `vars` can be given".to_owned()));
        } else {
            faults.push(unknown(&path, field, ["vars"]));
        }
    }
}

fn check(path: &str, value: &Value, shape: &Shape, faults: &mut Vec<Fault>) {
    let takes = |what: &str| fault(path, format!("it takes {what}, and this is {}", words(value)));
    match (shape, value) {
        (Shape::Record(_), Value::Object(fields)) => {
            for (field, value) in fields {
                let path = format!("{path}.{field}");
                match shape.field(field) {
                    Some(shape) => check(&path, value, shape, faults),
                    None => faults.push(unknown(&path, field, shape.fields())),
                }
            }
        }
        (Shape::Code(codes), Value::String(text)) if !codes.contains(&text.as_str()) => {
            let hint = match nearest(text, codes.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {}", codes.join(", ")),
            };
            faults.push(fault(path, format!("`{}` is none of its values; {hint}", crate::normalise::excerpt(text))));
        }
        (Shape::List(of), Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                // A text in a list is one, and not null.
                if item.is_null() {
                    faults.push(fault(&format!("{path}[{at}]"), "it takes no null".to_owned()));
                } else {
                    check(&format!("{path}[{at}]"), item, of, faults);
                }
            }
        }
        (Shape::Text | Shape::Code(_), Value::String(_))
        | (Shape::Text | Shape::Number, Value::Null)
        | (Shape::Number, Value::Number(_))
        | (Shape::Map, Value::Object(_)) => {}
        (Shape::Text | Shape::Code(_), _) => faults.push(takes("a text")),
        (Shape::Number, _) => faults.push(takes("a number")),
        (Shape::List(_), _) => faults.push(takes("a list of texts")),
        (Shape::Map | Shape::Record(_), _) => faults.push(takes("a map")),
        _ => {}
    }
}

fn fault(path: &str, message: String) -> Fault {
    Fault { path: crate::normalise::excerpt(path), message }
}

fn unknown<'k>(path: &str, name: &str, known: impl IntoIterator<Item = &'k str>) -> Fault {
    let known: Vec<&str> = known.into_iter().collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "no step keeps an answer".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    fault(path, format!("there is no such name; {hint}"))
}

/// How a sentence calls a value.
fn words(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
