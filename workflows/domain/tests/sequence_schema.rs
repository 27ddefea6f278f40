//! The schema for editors says what the reader does: what one takes the other takes, and what breaks the form both refuse.
//!
//! After a change of the types that read definitions, `TANDEM_BLESS=1 cargo test -p tandem-domain --test sequence_schema`
//! writes the published file anew.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tandem_domain::sequence::validate::{Problem, Rule, read};
use tandem_domain::sequence::{schema, steps, trigger};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn validator() -> Validator {
    jsonschema::draft7::new(&schema::schema()).unwrap()
}

fn yaml(source: &str) -> Value {
    serde_saphyr::from_str(source).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// What the schema has against a document.
fn refusals(validator: &Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The files below a folder that end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The blocks of YAML of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut open = false;
    for line in page.lines() {
        match (open, line.trim()) {
            (false, "```yaml") => blocks.push(String::new()),
            (true, "```") => {}
            (true, _) => {
                let block = blocks.last_mut().unwrap();
                block.push_str(line);
                block.push('\n');
                continue;
            }
            (false, _) => continue,
        }
        open = !open;
    }
    blocks
}

/// A part of a definition as an example shows it, with what is left out around it.
fn completed(part: Value) -> Value {
    let mut whole = Map::from_iter([
        ("key".to_owned(), json!("example")),
        ("name".to_owned(), json!("Example")),
        ("subject".to_owned(), json!("contact")),
        ("steps".to_owned(), json!([{"id": "done", "kind": "end"}])),
    ]);
    match part {
        Value::Object(fields) => whole.extend(fields),
        steps => {
            whole.insert("steps".to_owned(), steps);
        }
    }
    Value::Object(whole)
}

#[test]
fn the_published_file_is_what_the_types_say() {
    let file = root().join("docs/reference/sequence.schema.json");
    let said = schema::text();
    if std::env::var_os("TANDEM_BLESS").is_some() {
        fs::write(&file, &said).unwrap();
    }
    let published = fs::read_to_string(&file).unwrap();
    let differs = said.lines().zip(published.lines()).find(|(said, published)| said != published);
    assert_eq!(differs, None, "said, and published");
    assert_eq!(said.len(), published.len());
    jsonschema::draft7::meta::validate(&schema::schema()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_kind_has_a_branch_and_everything_a_description_on_one_line() {
    let schema = schema::schema();
    let kinds = |at: &str| -> Vec<String> {
        let branches = schema.pointer(at).and_then(Value::as_array).unwrap();
        let kind =
            |branch: &Value| branch.pointer("/properties/kind/const").and_then(Value::as_str).unwrap().to_owned();
        branches.iter().map(kind).collect()
    };
    assert_eq!(kinds("/definitions/Step/oneOf"), steps::NAMES);
    assert_eq!(kinds("/definitions/Trigger/oneOf"), trigger::NAMES);
    let mut open = vec![(String::new(), &schema)];
    while let Some((at, value)) = open.pop() {
        if let Value::Object(fields) = value {
            open.extend(fields.iter().map(|(name, field)| (format!("{at}/{name}"), field)));
            let is_named = at.ends_with("/properties");
            for (name, property) in fields.iter().filter(|(name, _)| is_named && *name != "kind") {
                let described = property["description"].as_str().is_some_and(|text| text.len() > 3);
                assert!(described, "{at}/{name} has no description");
            }
            if at.ends_with("/description") || is_named {
                continue;
            }
            if let Some(text) = fields.get("description").and_then(Value::as_str) {
                assert!(!text.contains("[`") && !text.contains('\n'), "{at}: {text}");
            }
        }
        if let Value::Array(items) = value {
            open.extend(items.iter().enumerate().map(|(place, item)| (format!("{at}/{place}"), item)));
        }
    }
}

#[test]
fn every_example_and_every_programme_of_the_library_is_taken() {
    let validator = validator();
    let mut looked = 0;
    for page in ["docs/concepts", "docs/guides"].into_iter().flat_map(|folder| files(&root().join(folder), ".md")) {
        for block in blocks(&fs::read_to_string(&page).unwrap()) {
            // A choice of several values for one key, and what is no part of a sequence.
            let Ok(part) = serde_saphyr::from_str::<Value>(&block) else { continue };
            let known = schema::schema()["properties"].clone();
            let is_part =
                part.is_array() || part.as_object().is_some_and(|part| part.keys().all(|key| !known[key].is_null()));
            if is_part {
                let document = completed(part);
                assert_eq!(refusals(&validator, &document), Vec::<String>::new(), "{}\n{block}", page.display());
                looked += 1;
            }
        }
    }
    assert!(looked >= 6, "{looked} examples");
    let library = files(&root().join("workflows/library/sequences"), ".yaml");
    assert!(library.len() >= 2);
    for file in library.into_iter().chain([fixtures().join("every_kind.yaml")]) {
        let source = fs::read_to_string(&file).unwrap();
        read(&source).unwrap_or_else(|problems| panic!("{}: {problems:?}", file.display()));
        assert_eq!(refusals(&validator, &yaml(&source)), Vec::<String>::new(), "{}", file.display());
    }
}

/// What takes a look at more than the place itself: how settings go together, or a text that has a form of its own.
const BEYOND_A_SCHEMA: [&str; 9] = [
    "business_without_calendar",
    "calendar_not_a_key",
    "priority_without_group",
    "reply_ends_first",
    "sender_and_pool",
    "sender_no_address",
    "text_empty",
    "wait_two_ways",
    "id_twice",
];

#[test]
fn every_broken_form_is_refused() {
    let validator = validator();
    let (mut refused, mut let_through) = (0, BTreeSet::new());
    for file in files(&fixtures().join("broken_sequences"), ".yaml") {
        let source = fs::read_to_string(&file).unwrap();
        let of_form = |problem: &Problem| matches!(problem.rule, Rule::Shape | Rule::NameInvalid);
        // What is no YAML is for the editor, without a schema.
        let Ok(document) = serde_saphyr::from_str::<Value>(&source) else { continue };
        let refusals = refusals(&validator, &document);
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if read(&source).unwrap_err().iter().any(of_form) {
            if refusals.is_empty() {
                let_through.insert(name);
            } else {
                refused += 1;
            }
        } else {
            assert_eq!(refusals, Vec::<String>::new(), "{name}: what an editor would underline without reason");
        }
    }
    let known: BTreeSet<String> = BEYOND_A_SCHEMA.into_iter().map(str::to_owned).collect();
    assert!(let_through.is_subset(&known), "{:?}", let_through.difference(&known));
    assert!(refused >= 15, "{refused}");
}

/// The document with the value at a place changed; none where there is no such place.
fn changed(document: &Value, at: &str, change: impl FnOnce(&mut Value)) -> Option<Value> {
    let mut document = document.clone();
    change(document.pointer_mut(at)?);
    Some(document)
}

fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                places(field, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| places(item, format!("{at}/{place}"), found));
        }
        _ => {}
    }
    found.push(at);
}

#[test]
fn whatever_is_changed_in_a_definition_with_every_kind_reader_and_schema_agree_on_its_form() {
    let validator = validator();
    let document = yaml(&fs::read_to_string(fixtures().join("every_kind.yaml")).unwrap());
    for kind in steps::NAMES {
        assert!(document["steps"].as_array().unwrap().iter().any(|step| step["kind"] == *kind), "{kind}");
    }
    for kind in trigger::NAMES {
        assert!(document["triggers"].as_array().unwrap().iter().any(|one| one["kind"] == *kind), "{kind}");
    }
    let mut all = Vec::new();
    places(&document, String::new(), &mut all);
    let mut changes: Vec<(String, Value)> = Vec::new();
    for at in &all {
        // A key that nobody knows, and one that is missing.
        let misspelt = changed(&document, at, |value| {
            value.as_object_mut().map(|fields| fields.insert("unknwon".to_owned(), json!("x")));
        });
        changes.extend(misspelt.map(|changed| (format!("{at} with another key"), changed)));
        let keys: Vec<String> =
            document.pointer(at).and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect();
        for key in keys {
            let without = changed(&document, at, |value| {
                value.as_object_mut().map(|fields| fields.remove(&key));
            });
            changes.extend(without.map(|changed| (format!("{at} without {key}"), changed)));
        }
        // Values of every other type.
        for other in [json!(true), json!(7), json!(-7), json!(0.5), json!("Not of any form!"), json!([]), json!({})] {
            let written = other.to_string();
            let changed = changed(&document, at, |value| *value = other);
            changes.extend(changed.map(|changed| (format!("{at} as {written}"), changed)));
        }
    }
    let (mut refused, mut taken, mut differs) = (0, 0, Vec::new());
    for (what, changed) in changes {
        let says = refusals(&validator, &changed);
        // What the decoder says, which looks at the form and at nothing else.
        let decoders =
            ["unknown field", "missing field", "invalid type", "invalid value", "unknown variant", "is not a kind"];
        match read(&changed.to_string()) {
            // A list in place of a map is read by the order of the fields, which nobody means.
            Ok(_) if what.ends_with(" as []") => {}
            Ok(_) => {
                taken += 1;
                if !says.is_empty() {
                    differs.push(format!("{what}: the reader takes it; the schema says {says:?}"));
                }
            }
            Err(problems) => {
                let of_form =
                    problems.iter().find(|problem| decoders.iter().any(|said| problem.message.contains(said)));
                if let Some(problem) = of_form {
                    refused += 1;
                    if says.is_empty() {
                        differs.push(format!("{what}: the schema lets it through; the reader says {problem}"));
                    }
                }
            }
        }
    }
    assert_eq!(differs, Vec::<String>::new());
    assert!(refused > 1_000 && taken > 50, "{refused} refused, {taken} taken");
}

#[test]
fn a_step_that_never_goes_on_has_no_next_and_every_other_may() {
    let schema = schema::schema();
    for branch in schema.pointer("/definitions/Step/oneOf").and_then(Value::as_array).unwrap() {
        let kind = branch.pointer("/properties/kind/const").and_then(Value::as_str).unwrap();
        let all = yaml(&fs::read_to_string(fixtures().join("every_kind.yaml")).unwrap());
        let at = all["steps"].as_array().unwrap().iter().position(|step| step["kind"] == kind).unwrap();
        let next = changed(&all, &format!("/steps/{at}"), |step| {
            if let Some(on) = step.get_mut("on").and_then(Value::as_object_mut) {
                on.clear();
            }
            step["next"] = json!("done");
        });
        let says = read(&next.unwrap().to_string()).err().unwrap_or_default();
        let refused = says.iter().any(|problem| problem.message.contains("has no next"));
        assert_eq!(branch.pointer("/properties/next").is_none(), refused, "{kind}");
    }
}
