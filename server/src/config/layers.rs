//! The layers under the settings: the embedded defaults, one file, the environment. Each layer may only name keys that
//! the defaults have, in the type they have there.

use super::ConfigError;
use std::path::Path;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// What every environment variable of a setting begins with.
const PREFIX: &str = "TANDEM__";

/// The merged layers, before they are typed.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    defaults: Table,
    merged: Table,
}

impl Layers {
    /// Begins with the defaults.
    pub(super) fn new(defaults: &str) -> Result<Self, ConfigError> {
        let defaults: Table =
            defaults.parse().map_err(|error: toml::de::Error| ConfigError::syntax("the built-in defaults", &error))?;
        Ok(Self { merged: defaults.clone(), defaults })
    }

    /// Lays the text of a file over it; `path` is only for messages.
    pub(super) fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::syntax(&shown, &error))?;
        for (key, value) in leaves(&table) {
            let place = line_of(text, &key).map_or_else(|| shown.clone(), |line| format!("{shown}, line {line}"));
            self.set(&key, value, place)?;
        }
        Ok(())
    }

    /// Lays the environment over it: `TANDEM__SECTION__KEY`. Other variables are none of our business.
    pub(super) fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let key = rest.to_ascii_lowercase().replace("__", ".");
            let place = format!("the environment variable {name}");
            let Some(default) = find(&self.defaults, &key) else {
                return Err(self.unknown(&key, place, Spelling::Environment));
            };
            let value = typed(default, &text).ok_or_else(|| ConfigError::WrongType {
                key: key.clone(),
                place: place.clone(),
                expected: type_name(default),
            })?;
            self.set(&key, value, place)?;
        }
        Ok(())
    }

    /// Replaces a text value, where the key exists and holds text.
    pub(super) fn replace(
        &mut self,
        key: &str,
        turn: impl FnOnce(&str) -> Result<Option<String>, ConfigError>,
    ) -> Result<(), ConfigError> {
        if let Some(Value::String(text)) = find(&self.merged, key)
            && let Some(new) = turn(text)?
        {
            put(&mut self.merged, key, Value::String(new));
        }
        Ok(())
    }

    /// The result.
    pub(super) fn into_table(self) -> Table {
        self.merged
    }

    fn set(&mut self, key: &str, value: Value, place: String) -> Result<(), ConfigError> {
        let Some(default) = find(&self.defaults, key) else {
            return Err(self.unknown(key, place, Spelling::File));
        };
        let value = match (default, value) {
            (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
            (_, value) => value,
        };
        if !default.same_type(&value) {
            return Err(ConfigError::WrongType { key: key.to_owned(), place, expected: type_name(default) });
        }
        put(&mut self.merged, key, value);
        Ok(())
    }

    fn unknown(&self, key: &str, place: String, spelling: Spelling) -> ConfigError {
        let nearest = nearest(key, &self.defaults);
        match spelling {
            Spelling::File => ConfigError::UnknownKey { key: key.to_owned(), place, nearest },
            Spelling::Environment => {
                let spell = |key: &str| format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase());
                ConfigError::UnknownKey { key: key.to_owned(), place, nearest: spell(&nearest) }
            }
        }
    }
}

enum Spelling {
    File,
    Environment,
}

/// Every key that holds a value (or an empty section), in dotted form.
pub(super) fn leaves(table: &Table) -> Vec<(String, Value)> {
    fn walk(prefix: &str, table: &Table, into: &mut Vec<(String, Value)>) {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(inner) if !inner.is_empty() => walk(&key, inner, into),
                // An empty section says nothing, unless it is misspelt: then it must be refused like a key.
                value => into.push((key, value.clone())),
            }
        }
    }
    let mut into = Vec::new();
    walk("", table, &mut into);
    into
}

fn find<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    let mut parts = key.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = value.as_table()?.get(part)?;
    }
    Some(value)
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            // Only an empty section gets here as a table, and laying nothing over a section leaves it as it is.
            if !value.is_table() {
                table.insert(key.to_owned(), value);
            }
        }
        Some((section, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(section) {
                put(inner, rest, value);
            }
        }
    }
}

/// The known key that looks most like `key`; a right name in a wrong section counts as near.
fn nearest(key: &str, defaults: &Table) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    leaves(defaults)
        .into_iter()
        .map(|(known, _)| known)
        .min_by_key(|known| {
            let known_last = known.rsplit('.').next().unwrap_or(known);
            let whole = strsim::damerau_levenshtein(key, known);
            let tail = strsim::damerau_levenshtein(last, known_last) + 2;
            (whole.min(tail), whole)
        })
        .unwrap_or_default()
}

fn typed(default: &Value, text: &str) -> Option<Value> {
    match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Float(_) => text.trim().parse().ok().map(Value::Float),
        Value::Boolean(_) => match text.trim() {
            "true" | "1" | "yes" | "on" => Some(Value::Boolean(true)),
            "false" | "0" | "no" | "off" => Some(Value::Boolean(false)),
            _ => None,
        },
        Value::Array(_) if text.trim_start().starts_with('[') => {
            format!("v = {text}").parse::<Table>().ok()?.remove("v").filter(Value::is_array)
        }
        Value::Array(items) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| items.first().map_or_else(|| Some(Value::String(item.to_owned())), |first| typed(first, item)))
            .collect::<Option<Vec<_>>>()
            .map(Value::Array),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}

/// The line a key stands on, counted from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table: &DeTable<'_> = document.get_ref();
    let mut start = None;
    for part in key.split('.') {
        let (name, value) = table.iter().find(|(name, _)| name.get_ref() == part)?;
        start = Some(name.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    start.map(|start| text.get(..start).map_or(0, |before| before.matches('\n').count()) + 1)
}
