//! The data of a template as the engine sees them.

use super::Compiled;
use crate::expression::typing::Shape;
use crate::sequence::environment;
use minijinja::Value as Jinja;
use minijinja::value::Object;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Compiled {
    /// Those of the data that it reads.
    pub(super) fn variables(&self, data: &Value, instead: Option<(&str, &Value)>) -> Jinja {
        let value = |name: &str| match instead {
            Some((replaced, value)) if replaced == name => Some(value),
            _ => data.get(name),
        };
        let filled = |name: &str, fields: Option<&BTreeSet<String>>, value: &Value| match value {
            Value::Null => Jinja::from_object(Absent),
            value => with_records(value, fields, environment::environment().field(name)),
        };
        match &self.reads {
            Some(reads) => reads
                .iter()
                .filter_map(|(name, fields)| Some((name.as_str(), filled(name, fields.as_ref(), value(name)?))))
                .collect(),
            None => data
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, known)| (name.as_str(), filled(name, None, value(name).unwrap_or(known))))
                .collect(),
        }
    }
}

/// A variable that is null, such as the company of somebody who has none: it is not defined, and nor is any field of it, so
/// that a guard and a default work for both.
#[derive(Debug)]
struct Absent;

impl Object for Absent {
    /// Its custom fields are as absent as itself, so that `account.custom.plan | default("...")` reads like `account.name`.
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        (key.as_str() == Some("custom")).then(|| Jinja::from_object(Self))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }
}

pub(super) fn is_absent(value: &Jinja) -> bool {
    value.is_undefined() || value.downcast_object_ref::<Absent>().is_some()
}

/// The filter `default`: also for what is absent as a whole.
pub(super) fn default(value: Jinja, other: Option<Jinja>, lax: Option<bool>) -> Jinja {
    if is_absent(&value) || (lax == Some(true) && !value.is_true()) {
        other.unwrap_or_else(|| Jinja::from(""))
    } else {
        value
    }
}

/// A value without what is null in it. A record of it that is not there, such as `enrollment.event`, is absent as a whole. Of an
/// object whose `fields` are all that is read, the others cannot change the result, and would have to be copied.
fn with_records(value: &Value, fields: Option<&BTreeSet<String>>, shape: Option<&Shape>) -> Jinja {
    let record = |key: &str| shape.and_then(|shape| shape.field(key)).is_some_and(|it| matches!(it, Shape::Record(_)));
    let is_read = |key: &String| fields.is_none_or(|fields| fields.contains(key));
    match value.as_object() {
        Some(entries) if fields.is_some() || entries.iter().any(|(key, value)| value.is_null() && record(key)) => {
            entries
                .iter()
                .filter(|(key, value)| is_read(key) && (!value.is_null() || record(key)))
                .map(|(key, value)| match value {
                    Value::Null => (key.as_str(), Jinja::from_object(Absent)),
                    value => (key.as_str(), Jinja::from_serialize(without_nulls(value))),
                })
                .collect()
        }
        _ => Jinja::from_serialize(without_nulls(value)),
    }
}

fn without_nulls(data: &Value) -> Value {
    match data {
        Value::Object(entries) => {
            let there = entries.iter().filter(|(_, value)| !value.is_null());
            Value::Object(there.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}
