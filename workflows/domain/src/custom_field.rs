//! Fields that sales ops add to accounts, contacts and leads, and the check of every value against its definition.

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::CustomFieldId;
use crate::normalise::{self, comparison_key, excerpt};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use std::collections::BTreeMap;

codes! {
    /// What a custom field belongs to.
    pub enum Entity("custom field entity") {
        /// A company.
        Account = "ACCOUNT",
        /// A person.
        Contact = "CONTACT",
        /// A candidacy.
        Lead = "LEAD",
    }
}

codes! {
    /// What a custom field holds.
    pub enum Kind("custom field kind") {
        /// Text of at most 2,000 characters.
        Text = "TEXT",
        /// A number.
        Number = "NUMBER",
        /// A day, as `YYYY-MM-DD`.
        Date = "DATE",
        /// One of the choices.
        Choice = "CHOICE",
        /// Any of the choices, each once.
        MultiChoice = "MULTI_CHOICE",
    }
}

/// The longest text value, in characters.
pub const MAX_TEXT: usize = 2_000;

/// The values of a record's custom fields, by key.
pub type Values = BTreeMap<String, Value>;

/// The definition of a custom field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomField {
    /// Its id.
    pub id: CustomFieldId,
    /// What it belongs to; fixed once defined.
    pub entity: Entity,
    /// Its name in data and expressions: lower-case ASCII letters, digits and `_`; unique in its entity; fixed.
    pub key: String,
    /// The name to show.
    pub label: String,
    /// What it holds; fixed once defined, since values are stored in its form.
    pub kind: Kind,
    /// The choices of a `CHOICE` or `MULTI_CHOICE`, in the order to show.
    pub choices: Vec<String>,
    /// Whether a new record must have a value.
    pub required: bool,
    /// Whether the field still takes values. Values of a retired field stay readable.
    pub active: bool,
}

/// Why a definition or a value is refused. Each names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such field.
    #[error("there is no custom field `{key}` of {entity}; define it with `customFieldDefine`, or use one of: {known}")]
    Unknown {
        /// What the value was for.
        entity: Entity,
        /// The key given.
        key: String,
        /// The keys there are.
        known: String,
    },
    /// The field no longer takes values.
    #[error("the custom field `{key}` was retired and takes no values; activate it with `customFieldChange`")]
    Retired {
        /// The field.
        key: String,
    },
    /// Not a value of the field's kind.
    #[error("`{given}` does not fit the custom field `{key}`: {kind} takes {takes}")]
    WrongKind {
        /// The field.
        key: String,
        /// The field's kind.
        kind: Kind,
        /// What is accepted, in words.
        takes: &'static str,
        /// What was given, at most 80 characters.
        given: String,
    },
    /// Not one of the choices.
    #[error("`{given}` is not a choice of the custom field `{key}`; the choices are: {choices}")]
    UnknownChoice {
        /// The field.
        key: String,
        /// What was given, at most 80 characters.
        given: String,
        /// The choices there are.
        choices: String,
    },
    /// A required field without a value.
    #[error("the custom field `{key}` is required; give it a value")]
    Required {
        /// The field.
        key: String,
    },
    /// Not a usable key.
    #[error("`{given}` is not a key; use 1 to 50 of a-z, 0-9 and _, beginning with a letter")]
    Key {
        /// What was given.
        given: String,
    },
    /// Another field of the entity has the key.
    #[error("{entity} already has a custom field `{key}`; change that one")]
    KeyTaken {
        /// The entity.
        entity: Entity,
        /// The key.
        key: String,
    },
    /// A field to show needs a name.
    #[error("the custom field `{key}` needs a label of 1 to 100 characters")]
    Label {
        /// The field.
        key: String,
    },
    /// A choice field without choices, other fields with some, an empty choice or one given twice.
    #[error("the choices of `{key}` do not fit: {why}")]
    Choices {
        /// The field.
        key: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Entity, key and kind stay what they are.
    #[error("entity, key and kind of the custom field `{key}` cannot change; retire it and define another")]
    Fixed {
        /// The field.
        key: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "CUSTOM_FIELD_UNKNOWN",
            Self::Retired { .. } => "CUSTOM_FIELD_RETIRED",
            Self::WrongKind { .. } => "CUSTOM_FIELD_WRONG_KIND",
            Self::UnknownChoice { .. } => "CUSTOM_FIELD_UNKNOWN_CHOICE",
            Self::Required { .. } => "CUSTOM_FIELD_REQUIRED",
            Self::Key { .. } => "CUSTOM_FIELD_KEY_INVALID",
            Self::KeyTaken { .. } => "CUSTOM_FIELD_KEY_TAKEN",
            Self::Label { .. } => "CUSTOM_FIELD_LABEL_INVALID",
            Self::Choices { .. } => "CUSTOM_FIELD_CHOICES_INVALID",
            Self::Fixed { .. } => "CUSTOM_FIELD_FIXED",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        Some(match self {
            Self::Key { .. } | Self::KeyTaken { .. } | Self::Fixed { .. } => "key",
            Self::Label { .. } => "label",
            Self::Choices { .. } => "choices",
            _ => "customFields",
        })
    }
}

/// Checks a definition, and gives it with label and choices tidied.
fn tidy(mut field: CustomField) -> Result<CustomField, Refusal> {
    let key = field.key.clone();
    let usual = key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !usual || !(1..=50).contains(&key.len()) || !key.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(Refusal::Key { given: excerpt(&key) });
    }
    field.label = normalise::line("label", &field.label, 100)
        .ok()
        .filter(|label| !label.is_empty())
        .ok_or_else(|| Refusal::Label { key: key.clone() })?;
    let wrong = |why| Refusal::Choices { key: key.clone(), why };
    let takes_choices = matches!(field.kind, Kind::Choice | Kind::MultiChoice);
    if takes_choices == field.choices.is_empty() {
        let why =
            if takes_choices { "there are none; give at least one" } else { "only CHOICE and MULTI_CHOICE have them" };
        return Err(wrong(why));
    }
    if field.choices.len() > 200 {
        return Err(wrong("there are more than 200"));
    }
    let mut seen = Vec::new();
    for choice in &mut field.choices {
        *choice = normalise::line("choices", choice, 100).map_err(|_| wrong("one is longer than 100 characters"))?;
        let compared = comparison_key(choice);
        if compared.is_empty() || choice.contains([';', '|']) {
            return Err(wrong("one has no letter or digit, or has a ; or |"));
        }
        if seen.contains(&compared) {
            return Err(wrong("two are the same but for case and punctuation"));
        }
        seen.push(compared);
    }
    Ok(field)
}

/// Defines a field. `existing` are the definitions there are.
pub fn define(field: CustomField, existing: &[CustomField]) -> Result<Decision<CustomField>, Refusal> {
    let field = tidy(field)?;
    if existing.iter().any(|other| other.entity == field.entity && other.key == field.key) {
        return Err(Refusal::KeyTaken { entity: field.entity, key: field.key });
    }
    let fact = Fact::audit("custom_field.defined", field.id).with("definition", &field);
    Ok(Decision::new(field, fact))
}

/// Changes label, choices, `required` or `active`. Values stored before stay as they are.
pub fn change(before: &CustomField, after: CustomField) -> Result<Decision<CustomField>, Refusal> {
    if (before.id, before.entity, &before.key, before.kind) != (after.id, after.entity, &after.key, after.kind) {
        return Err(Refusal::Fixed { key: before.key.clone() });
    }
    let after = tidy(after)?;
    let fact = Fact::audit("custom_field.changed", after.id).with("before", before).with("after", &after);
    Ok(Decision::new(after, fact))
}

/// Checks one value of one field of `entity`, and gives it in the form that is stored: text trimmed, numbers as
/// numbers, dates as `YYYY-MM-DD`, choices as defined (case and punctuation do not count) in the defined order.
///
/// Numbers and dates may be given as text; a multi-choice also as text separated by `;` or `|`.
pub fn check(definitions: &[CustomField], entity: Entity, key: &str, value: &Value) -> Result<Value, Refusal> {
    let field = definitions.iter().find(|field| field.entity == entity && field.key == key).ok_or_else(|| {
        let known: Vec<_> =
            definitions.iter().filter(|f| f.entity == entity && f.active).map(|f| f.key.as_str()).collect();
        let known = if known.is_empty() { "(none is defined)".to_owned() } else { known.join(", ") };
        Refusal::Unknown { entity, key: excerpt(key), known }
    })?;
    if !field.active {
        return Err(Refusal::Retired { key: field.key.clone() });
    }
    let wrong = |takes| {
        let given = value.as_str().map_or_else(|| excerpt(&value.to_string()), excerpt);
        Refusal::WrongKind { key: field.key.clone(), kind: field.kind, takes, given }
    };
    match field.kind {
        Kind::Text => {
            let takes = "text of 1 to 2,000 characters";
            let text = value.as_str().ok_or_else(|| wrong(takes))?.trim();
            let fits = (1..=MAX_TEXT).contains(&text.chars().count()) && !text.contains('\0');
            if fits { Ok(Value::from(text)) } else { Err(wrong(takes)) }
        }
        Kind::Number => number(value).map(Value::Number).ok_or_else(|| wrong("a number such as 42 or -3.5")),
        Kind::Date => {
            let takes = "a day such as 2026-11-22";
            let text = value.as_str().ok_or_else(|| wrong(takes))?.trim();
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
            day.map(|day| Value::from(day.to_string())).ok_or_else(|| wrong(takes))
        }
        Kind::Choice => {
            let text = value.as_str().ok_or_else(|| wrong("one of its choices, as text"))?;
            Ok(Value::from(choice(field, text)?))
        }
        Kind::MultiChoice => {
            let takes = "a list of its choices";
            let given: Vec<&str> = match value {
                Value::String(text) => text.split([';', '|']).filter(|part| !part.trim().is_empty()).collect(),
                Value::Array(items) => {
                    items.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(|| wrong(takes))?
                }
                _ => return Err(wrong(takes)),
            };
            let chosen: Vec<&str> = given.into_iter().map(|text| choice(field, text)).collect::<Result<_, _>>()?;
            if chosen.is_empty() {
                return Err(wrong("at least one of its choices; give null to clear it"));
            }
            Ok(field.choices.iter().filter(|known| chosen.contains(&known.as_str())).cloned().collect())
        }
    }
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => {
            let text = text.trim();
            let usual = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.'));
            let whole = text.parse::<i64>().ok().map(Number::from);
            whole.or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64)).filter(|_| usual)
        }
        _ => None,
    }
}

fn choice<'a>(field: &'a CustomField, text: &str) -> Result<&'a str, Refusal> {
    let compared = comparison_key(&excerpt(text));
    let unknown =
        || Refusal::UnknownChoice { key: field.key.clone(), given: excerpt(text), choices: field.choices.join(", ") };
    field.choices.iter().find(|known| comparison_key(known) == compared).map(String::as_str).ok_or_else(unknown)
}

/// Applies changes to a record's values, each checked; `null` clears one. Clearing a required field is refused.
pub fn apply(
    definitions: &[CustomField],
    entity: Entity,
    values: &mut Values,
    changes: &Values,
) -> Result<(), Refusal> {
    for (key, change) in changes {
        if !change.is_null() {
            let value = check(definitions, entity, key, change)?;
            values.insert(key.clone(), value);
            continue;
        }
        // A value of a field that was retired since can still be cleared.
        if definitions.iter().any(|f| f.entity == entity && f.key == *key && f.required && f.active) {
            return Err(Refusal::Required { key: key.clone() });
        }
        if values.remove(key).is_none() && !definitions.iter().any(|f| f.entity == entity && f.key == *key) {
            check(definitions, entity, key, change)?;
        }
    }
    Ok(())
}

/// Refuses a new record without a value for a required field.
pub fn complete(definitions: &[CustomField], entity: Entity, values: &Values) -> Result<(), Refusal> {
    let needed = definitions.iter().filter(|field| field.entity == entity && field.required && field.active);
    match needed.into_iter().find(|field| !values.contains_key(&field.key)) {
        Some(field) => Err(Refusal::Required { key: field.key.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    fn field(key: &str, kind: Kind, choices: &[&str]) -> CustomField {
        CustomField {
            id: Uuid::from_u128(1).into(),
            entity: Entity::Account,
            key: key.to_owned(),
            label: key.to_owned(),
            kind,
            choices: choices.iter().map(|c| (*c).to_owned()).collect(),
            required: false,
            active: true,
        }
    }

    fn fields() -> Vec<CustomField> {
        vec![
            field("note", Kind::Text, &[]),
            field("seats", Kind::Number, &[]),
            field("renewal", Kind::Date, &[]),
            field("plan", Kind::Choice, &["Free", "Pro"]),
            field("interests", Kind::MultiChoice, &["Data", "AI", "Cloud"]),
        ]
    }

    #[test]
    fn each_kind_takes_its_values_in_their_stored_form() {
        for (key, given, stored) in [
            ("note", json!("  hello "), json!("hello")),
            ("seats", json!("42"), json!(42)),
            ("seats", json!(-3.5), json!(-3.5)),
            ("renewal", json!(" 2026-11-22 "), json!("2026-11-22")),
            ("plan", json!("PRO"), json!("Pro")),
            ("interests", json!("cloud; data"), json!(["Data", "Cloud"])),
            ("interests", json!(["AI", "ai"]), json!(["AI"])),
        ] {
            assert_eq!(check(&fields(), Entity::Account, key, &given).unwrap(), stored);
            assert_eq!(check(&fields(), Entity::Account, key, &stored).unwrap(), stored);
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_by_the_name_of_its_field() {
        for (key, given, code) in [
            ("note", json!(1), "CUSTOM_FIELD_WRONG_KIND"),
            ("note", json!(" "), "CUSTOM_FIELD_WRONG_KIND"),
            ("seats", json!("many"), "CUSTOM_FIELD_WRONG_KIND"),
            ("seats", json!("inf"), "CUSTOM_FIELD_WRONG_KIND"),
            ("renewal", json!("22.11.2026"), "CUSTOM_FIELD_WRONG_KIND"),
            ("renewal", json!("2026-02-30"), "CUSTOM_FIELD_WRONG_KIND"),
            ("plan", json!("Gold"), "CUSTOM_FIELD_UNKNOWN_CHOICE"),
            ("interests", json!([1]), "CUSTOM_FIELD_WRONG_KIND"),
            ("interests", json!([]), "CUSTOM_FIELD_WRONG_KIND"),
            ("colour", json!("red"), "CUSTOM_FIELD_UNKNOWN"),
        ] {
            let refusal = check(&fields(), Entity::Account, key, &given).unwrap_err();
            assert_eq!(refusal.code(), code, "{key} {given}");
            assert!(refusal.to_string().contains(&format!("`{key}`")), "{refusal}");
        }
        assert_eq!(check(&fields(), Entity::Lead, "note", &json!("x")).unwrap_err().code(), "CUSTOM_FIELD_UNKNOWN");
    }

    #[test]
    fn a_required_field_is_asked_for_and_not_cleared() {
        let mut definitions = fields();
        definitions[0].required = true;
        let mut values = Values::new();
        assert_eq!(complete(&definitions, Entity::Account, &values).unwrap_err().code(), "CUSTOM_FIELD_REQUIRED");
        let given = Values::from([("note".to_owned(), json!("x")), ("seats".to_owned(), json!(1))]);
        apply(&definitions, Entity::Account, &mut values, &given).unwrap();
        complete(&definitions, Entity::Account, &values).unwrap();
        let cleared = |key: &str| Values::from([(key.to_owned(), Value::Null)]);
        apply(&definitions, Entity::Account, &mut values, &cleared("seats")).unwrap();
        assert!(!values.contains_key("seats"));
        let refusal = apply(&definitions, Entity::Account, &mut values, &cleared("note")).unwrap_err();
        assert_eq!(refusal.code(), "CUSTOM_FIELD_REQUIRED");
    }

    #[test]
    fn a_retired_field_takes_no_value_but_keeps_the_old_ones() {
        let mut definitions = fields();
        definitions[0].active = false;
        let refusal = check(&definitions, Entity::Account, "note", &json!("x")).unwrap_err();
        assert_eq!(refusal.code(), "CUSTOM_FIELD_RETIRED");
    }

    #[test]
    fn definitions_are_checked() {
        let defined = define(field("size", Kind::Number, &[]), &fields()).unwrap();
        assert_eq!(defined.facts[0].kind, "custom_field.defined");
        for (wrong, code) in [
            (field("Size", Kind::Number, &[]), "CUSTOM_FIELD_KEY_INVALID"),
            (field("note", Kind::Text, &[]), "CUSTOM_FIELD_KEY_TAKEN"),
            (field("a", Kind::Choice, &[]), "CUSTOM_FIELD_CHOICES_INVALID"),
            (field("a", Kind::Text, &["x"]), "CUSTOM_FIELD_CHOICES_INVALID"),
            (field("a", Kind::Choice, &["x", "X"]), "CUSTOM_FIELD_CHOICES_INVALID"),
            (CustomField { label: " ".to_owned(), ..field("a", Kind::Text, &[]) }, "CUSTOM_FIELD_LABEL_INVALID"),
        ] {
            assert_eq!(define(wrong, &fields()).unwrap_err().code(), code);
        }
        let before = field("note", Kind::Text, &[]);
        assert_eq!(change(&before, field("note", Kind::Number, &[])).unwrap_err().code(), "CUSTOM_FIELD_FIXED");
        assert!(change(&before, CustomField { active: false, ..before.clone() }).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_stored_value_passes_its_own_check(text in any::<String>(), index in 0usize..5) {
            let definitions = fields();
            let key = &definitions[index].key;
            if let Ok(stored) = check(&definitions, Entity::Account, key, &json!(text)) {
                prop_assert_eq!(check(&definitions, Entity::Account, key, &stored), Ok(stored));
            }
        }
    }
}
