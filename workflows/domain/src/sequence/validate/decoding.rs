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

/// What the reader's own words mean, where only a programmer would understand them.
fn plain_words(message: &str) -> Option<&'static str> {
    if message.contains("from_str_multiple") {
        Some("there is more than one document in it; take the line `---` out, and write each into a file of its own")
    } else if message.contains("Depth {") {
        Some("lists and maps are too deep inside one another; look for brackets that are left open")
    } else if message.contains("Nodes {") {
        Some("it has too many values; split it into several documents")
    } else {
        None
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
    if let Some(plain) = plain_words(message) {
        return (plain.to_owned(), place);
    }
    (format!("{message}{}", yaml_hint(message)), place)
}

/// The fields that are lengths of time.
const SPANS: [&str; 6] = ["duration", "timeout", "due_in", "after", "retry_for", "business_time"];

/// What the decoder says of a value that does not fit, and what to do about it.
pub(super) fn shape_message(path: &str, message: &str) -> String {
    let field = path.rsplit('.').next().unwrap_or(path);
    if field == "stop_on_reply" && message.starts_with("invalid type") {
        return "which answers end a run is a word; write any, sequence or never".to_owned();
    }
    let is_number = message.starts_with("invalid type: integer") || message.starts_with("invalid type: floating");
    if is_number && message.contains("expected a string") && SPANS.contains(&field) {
        return "a length of time has a unit; write whole numbers with w, d, h or m, e.g. `3d`".to_owned();
    }
    if message.starts_with("invalid type: null") || message.starts_with("invalid type: unit") {
        return "it is empty; write a value, or take the line out".to_owned();
    }
    let hint = shape_hint(message);
    let plain =
        message.replace("expected u8", "expected a whole number").replace("expected u32", "expected a whole number");
    let message = plain.as_str();
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
        return "; write one from 0 to 100, without quotes".to_owned();
    }
    if message.contains("expected u32") {
        return "; write it without quotes and without a sign behind it, e.g. 50".to_owned();
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
            let path = join(path, &inner);
            let message = shape_message(&path, &message);
            problems.add_shape(path, Rule::Shape, message);
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
        Some(Value::Null) => {
            problems.add(join(path, field), Rule::Shape, "it is empty; write a name behind it");
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
            let path = join(path, &inner);
            let message = shape_message(&path, &message);
            problems.add_shape(path, Rule::Shape, message);
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
