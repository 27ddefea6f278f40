//! Decoding a document part by part, so that all that is wrong is found at once.

use super::triggers::decode_triggers;
use super::{MAX_STEPS, Problems, Rule, check_header, check_steps, join};
use crate::email_template::library::{self, Library};
use crate::expression::typing;
use crate::nearest::nearest;
use crate::sequence::definition::{Definition, Header, Step};
use crate::sequence::steps::{self, StepKind};
use crate::sequence::tree::Tree;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What to do about a document that is no YAML, where the reader's own words do not say it.
fn yaml_hint(message: &str) -> &'static str {
    let small = message.to_lowercase();
    if small.contains("duplicate") {
        "; keep one of the two"
    } else if small.contains("tabs") {
        "; indent with spaces"
    } else if small.contains("mapping values") || small.contains("':'") || small.contains("block mapping") {
        "; put a text with a colon in quotes, and line the keys up"
    } else {
        "; look at the indentation and at what is left open: quotes, brackets, braces"
    }
}

/// What is wrong with a document that is no YAML, and where.
pub(super) fn yaml_problem(error: &serde_saphyr::Error) -> (String, Option<(usize, usize)>) {
    let place = error.location().and_then(|at| {
        let (line, column) = (usize::try_from(at.line()).ok()?, usize::try_from(at.column()).ok()?);
        (line > 0).then_some((line, column.max(1)))
    });
    // The reader's own message goes on with an excerpt; its first line says what is wrong.
    let message: String = error.to_string().lines().next().unwrap_or_default().chars().take(300).collect();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    // The place is told beside it, and how to set the reader is nothing for the writer.
    let message =
        message.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map_or(message, |(_, rest)| rest);
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
    (format!("{message}{}", yaml_hint(message)), place)
}

/// What the decoder says of a value that does not fit, and what to do about it.
pub(super) fn shape_message(message: &str) -> String {
    let hint = shape_hint(message);
    // Where it is known what was meant, all that could have been is too much.
    let said = if hint.contains("did you mean") { message.split(", ").next().unwrap_or(message) } else { message };
    format!("{said}{hint}")
}

fn shape_hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let name = quoted.next().unwrap_or_default();
        let near = nearest(name, quoted.collect::<Vec<_>>());
        return near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    }
    if message.starts_with("missing field") {
        return "; add it".to_owned();
    }
    if message.contains("expected u8") {
        return "; a whole number from 0 to 100 is meant".to_owned();
    }
    if message.contains("expected u32") {
        return "; a whole number is meant".to_owned();
    }
    if message.contains("expected a string") {
        return "; put the value in quotes".to_owned();
    }
    String::new()
}

/// Decodes one part, so that an error in it does not hide the errors in others.
pub(crate) fn part<T: DeserializeOwned>(value: Value, path: &str, problems: &mut Problems<'_>) -> Option<T> {
    match serde_path_to_error::deserialize::<_, T>(value) {
        Ok(part) => Some(part),
        Err(error) => {
            let inner = error.path().to_string();
            let message = error.inner().to_string();
            problems.add_shape(join(path, &inner), Rule::Shape, shape_message(&message));
            None
        }
    }
}

/// The definition; none where it is no whole one, which is reported.
pub(super) fn decode(tree: &Tree, library: &Library, problems: &mut Problems<'_>) -> Option<Definition> {
    let Value::Object(mut document) = tree.value() else {
        let message = "a map with key, name, subject and steps is expected; write `key: ...` without a dash before it";
        problems.add(String::new(), Rule::Shape, message);
        return None;
    };
    let listed = document.remove("steps");
    let triggers = decode_triggers(document.remove("triggers"), problems);
    let header: Option<Header> = part(Value::Object(document), "", problems);
    let header = header.map(|header| Header { triggers, ..header });
    let items = match listed {
        Some(Value::Array(items)) if !items.is_empty() => items,
        _ => {
            let message =
                "a list of at least one step is expected; write `steps:` and under it `- {id: done, kind: end}`";
            problems.add("steps".to_owned(), Rule::Shape, message);
            return None;
        }
    };
    if items.len() > MAX_STEPS {
        problems.add("steps".to_owned(), Rule::TooLarge, format!("a sequence has at most {MAX_STEPS} steps"));
        return None;
    }
    let count = items.len();
    let steps: Vec<Step> = items
        .into_iter()
        .enumerate()
        .filter_map(|(at, item)| decode_step(item, &format!("steps[{at}]"), library, problems))
        .collect();
    // A broken header still lets the steps be judged, and the other way round.
    match header {
        Some(header) if steps.len() == count => Some(Definition { header, steps }),
        Some(header) => {
            check_header(&header, problems);
            None
        }
        None => {
            check_steps(&steps, None, problems);
            None
        }
    }
}

fn decode_step(item: Value, path: &str, library: &Library, problems: &mut Problems<'_>) -> Option<Step> {
    let Value::Object(mut item) = item else {
        problems.add(path.to_owned(), Rule::Shape, "a step is a map with id and kind");
        return None;
    };
    let mut text = |item: &mut Map<String, Value>, field: &str, needed: bool| match item.remove(field) {
        Some(Value::String(text)) => Some(text),
        None if !needed => None,
        None => {
            problems.add(path.to_owned(), Rule::Shape, format!("missing field `{field}`; add it"));
            None
        }
        Some(_) => {
            problems.add(join(path, field), Rule::Shape, "a text is expected; put the value in quotes");
            None
        }
    };
    let id = text(&mut item, "id", true);
    let next = text(&mut item, "next", false);
    let kind = text(&mut item, "kind", true)?;
    if kind == library::KIND {
        library.put_in(&mut item, path, problems);
    }
    let decoded = StepKind::decode(&kind, Value::Object(item));
    let kind = match decoded {
        Some(Ok(kind)) => kind,
        Some(Err((inner, message))) => {
            problems.add_shape(join(path, &inner), Rule::Shape, shape_message(&message));
            return None;
        }
        None => {
            let hint = typing::suggestion(&kind, steps::NAMES);
            problems.add(join(path, "kind"), Rule::Shape, format!("`{kind}` is not a kind of step{hint}"));
            return None;
        }
    };
    Some(Step { id: id?, next, kind })
}
