//! The JSON Schema of a definition, for editors: what may be written where, with descriptions, as far as that can be said
//! without a look at the rest of the document.
//!
//! It is made from the types that read a definition. What it refuses, [`super::validate::read`] refuses too; what only a look at
//! the whole tells (a step that is not there, an expression that reads what does not exist) is for the reader alone.

use super::definition::{Header, NAME};
use super::span::{Span, TimeOfDay};
use super::steps;
use super::trigger::kinds::Offset;
use super::trigger::{self, Trigger};
use super::validate::MAX_STEPS;
use crate::lead::Grade;
use schemars::generate::SchemaSettings;
use schemars::transform::{RemoveRefSiblings, Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The kinds of steps after which the run never goes on to `next`.
const WITHOUT_NEXT: [&str; 3] = ["branch", "end", "split"];

/// The form of a length of time. That it is not empty is said by its least length.
const SPAN: &str = "([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?$";

/// The schema of a whole definition, in draft 07, which every editor reads.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut document = Header::json_schema(&mut generator);
    let ids = names("What names it within the sequence: lower-case letters, digits and `_`, a letter first, 1 to 60.");
    let next = names("The step that follows; without it, the next one in the list.");
    let kinds: Vec<Value> = steps::schemas(&mut generator)
        .into_iter()
        .map(|(kind, settings)| {
            let mut common = vec![("id", ids.clone(), true)];
            if !WITHOUT_NEXT.contains(&kind) {
                common.push(("next", next.clone(), false));
            }
            of_kind(kind, settings, common)
        })
        .collect();
    let steps = json!({
        "description": "The steps; a run begins with the first.",
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_STEPS,
        "items": { "$ref": "#/definitions/Step" },
    });
    document.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    document.insert("title".to_owned(), json!("A sequence of Tandem"));
    document
        .insert("description".to_owned(), json!("A nurture programme: what starts it, its steps, and what ends it."));
    put(&mut document, "steps", steps, true);
    if let Some(Value::Object(triggers)) = document.pointer_mut("/properties/triggers") {
        triggers.insert("type".to_owned(), json!(["array", "null"]));
    }
    let mut definitions = generator.take_definitions(true);
    definitions.insert("Step".to_owned(), json!({ "description": "One step.", "oneOf": kinds }));
    document.insert("definitions".to_owned(), Value::Object(definitions));
    // In draft 07 nothing beside a reference counts.
    RemoveRefSiblings::default().transform(&mut document);
    Tidy.transform(&mut document);
    document.to_value()
}

/// The schema as it is published.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

fn names(description: &str) -> Value {
    json!({ "description": description, "type": "string", "pattern": NAME })
}

/// The settings of a kind together with its name and what all kinds have: name, schema, and whether it must be there.
fn of_kind(kind: &str, settings: Schema, common: Vec<(&str, Value, bool)>) -> Value {
    let mut schema = settings;
    schema.remove("title");
    schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    put(&mut schema, "kind", json!({ "const": kind, "type": "string" }), true);
    for (name, value, required) in common {
        put(&mut schema, name, value, required);
    }
    schema.to_value()
}

fn put(schema: &mut Schema, name: &str, value: Value, required: bool) {
    let object = schema.ensure_object();
    if let Value::Object(properties) = object.entry("properties").or_insert_with(|| Value::Object(Map::new())) {
        properties.insert(name.to_owned(), value);
    }
    if let (true, Value::Array(all)) = (required, object.entry("required").or_insert_with(|| json!([]))) {
        all.push(json!(name));
    }
}

/// Descriptions on one line, and no formats of numbers that only this program knows.
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
            schema.remove("format");
        }
        transform_subschemas(self, schema);
    }
}

impl JsonSchema for Trigger {
    fn schema_name() -> Cow<'static, str> {
        "Trigger".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let when = json!({
            "description": "CEL: only those for whom it holds are meant. A segment is this condition.",
            "type": ["string", "null"],
        });
        let vars = json!({
            "description": "Values for the run (`enrollment.vars`), each computed in CEL.",
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": { "type": "string" },
        });
        let kinds = trigger::schemas(generator).into_iter().map(|(kind, settings)| {
            of_kind(kind, settings, vec![("when", when.clone(), kind == "segment"), ("vars", vars.clone(), false)])
        });
        json_schema!({ "description": "What starts the sequence by itself.", "oneOf": kinds.collect::<Vec<_>>() })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: whole numbers with w, d, h or m, the largest first, e.g. `3d` or `2h30m`.",
            "type": "string",
            "pattern": format!("^{SPAN}"),
            "minLength": 2,
            "examples": ["3d", "2h30m", "1w"],
        })
    }
}

impl JsonSchema for TimeOfDay {
    fn schema_name() -> Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time of day: hours and minutes, e.g. `09:00`.",
            "type": "string",
            "pattern": "^([01]?[0-9]|2[0-3]):[0-5]?[0-9]$",
            "examples": ["09:00"],
        })
    }
}

impl JsonSchema for Offset {
    fn schema_name() -> Cow<'static, str> {
        "Offset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Whole days or weeks before (`-30d`) or after (`14d`).",
            "type": "string",
            "pattern": format!("^[+-]?{SPAN}"),
            "minLength": 2,
            "examples": ["-30d", "2w"],
        })
    }
}

impl JsonSchema for Grade {
    fn schema_name() -> Cow<'static, str> {
        "Grade".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let all: Vec<String> =
            "ABCD".chars().flat_map(|fit| "1234".chars().map(move |intent| format!("{fit}{intent}"))).collect();
        json_schema!({
            "description": "Fit by intent, `A1` to `D4`.",
            "type": "string",
            "anyOf": [{ "enum": all }, { "pattern": "^\\s*[A-Da-d][1-4]\\s*$" }],
        })
    }
}
