//! `set_field`: a custom field of the contact, the lead or the account gets a value; or the lead gets a priority.

use super::{Effect, Failure, Kind, Next, Record, Run};
use crate::expression::Expression;
use crate::id::{ContactId, EnrollmentId, LeadId};
use crate::sequence::definition::is_name;
use crate::sequence::names::{Named, Thing};
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A custom field, or the lead's priority, gets a value: exactly one of `value` and `expression`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `contact.<key>`, `lead.<key>` or `account.<key>`, where the key is that of a custom field; or `lead.priority`.
    pub field: String,
    /// The value: a template where it is a text, else as it stands. Null takes the value away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "Value")]
    pub value: Option<Value>,
    /// The value, computed in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// Tells `value: null` from no value.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A change of a field that a step asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedField {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The step.
    pub step: String,
    /// The visit.
    pub visit: u32,
    /// Whose field it is.
    pub owner: Record,
    /// The contact.
    pub contact: ContactId,
    /// The lead.
    pub lead: Option<LeadId>,
    /// The key of the custom field; `priority` where it is the lead's own.
    pub key: String,
    /// The new value; null takes the old one away.
    pub value: Value,
}

impl PlannedField {
    /// The lead's new priority, where that is what is set.
    pub fn priority(&self) -> Option<Result<u8, Failure>> {
        is_priority(self.owner, &self.key).then(|| {
            let refused = || {
                let message = format!("a lead's priority is a whole number from 0 to 100, and {} is none", self.value);
                Failure::new("LEAD_PRIORITY_OUT_OF_RANGE", message)
            };
            priority(&self.value).ok_or_else(refused)
        })
    }
}

/// The lead's own field, beside those that sales ops define.
fn is_priority(owner: Record, key: &str) -> bool {
    owner == Record::Lead && key == "priority"
}

fn priority(value: &Value) -> Option<u8> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        // What CEL computes may be a fraction; one without a rest is whole.
        other => other.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=100.0).contains(number))? as u8,
    };
    (number <= 100).then_some(number)
}

impl Config {
    /// The value where it is the same in every run; none where it is computed, or filled in.
    pub fn constant(&self) -> Option<&Value> {
        let is_filled = |value: &&Value| value.as_str().is_some_and(|text| ["{{", "{%", "{#"].iter().any(|tag| text.contains(tag)));
        self.value.as_ref().filter(|value| self.expression.is_none() && !is_filled(value))
    }

    /// The custom field that it sets, and whose it is; none for the lead's own priority.
    pub fn custom(&self) -> Option<(Record, &str)> {
        self.target().filter(|(owner, key)| !is_priority(*owner, key))
    }

    /// Whose field it is.
    pub fn record(&self) -> Option<Record> {
        self.target().map(|(record, _)| record)
    }

    fn target(&self) -> Option<(Record, &str)> {
        let (owner, key) = self.field.split_once('.')?;
        let owner = [Record::Contact, Record::Lead, Record::Account].into_iter().find(|known| known.name() == owner)?;
        is_name(key).then_some((owner, key))
    }
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        if self.target().is_none() {
            let message = "write `contact.<key>`, `lead.<key>` or `account.<key>`, with the key of a custom field";
            check.problem("field", Rule::Shape, message);
        }
        if let (Some((owner, key)), Some(value)) = (self.target(), &self.value)
            && is_priority(owner, key)
            && !value.is_string()
            && priority(value).is_none()
        {
            check.problem("value", Rule::Shape, "a lead's priority is 0 (least urgent) to 100; write one of these");
        }
        if self.value.is_some() == self.expression.is_some() {
            check.problem("", Rule::Shape, "a field is set by either `value` or `expression`; keep one of the two");
        }
        if let Some(Value::String(template)) = &self.value {
            check.template("value", template, Form::Text, &[], 2_000);
        }
        if let Some(expression) = &self.expression {
            check.expression("expression", expression);
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let missing = || Failure::new(Rule::Shape.as_str(), format!("`{}` is not a field", self.field));
        let (owner, key) = self.target().ok_or_else(missing)?;
        let value = match (&self.value, &self.expression) {
            (_, Some(expression)) => Expression::parse(expression)?.evaluate(run.context.data)?,
            (Some(Value::String(template)), None) => Value::String(run.render(template, Form::Text)?),
            (value, None) => value.clone().unwrap_or(Value::Null),
        };
        let enrollment = run.enrollment;
        let field = PlannedField {
            enrollment: enrollment.id,
            step: run.step.id.clone(),
            visit: enrollment.visit,
            owner,
            contact: enrollment.contact,
            lead: enrollment.lead,
            key: key.to_owned(),
            value,
        };
        Ok(Next::Act(Box::new(Effect::SetField(field))))
    }

    fn names(&self) -> Vec<Named<'_>> {
        let custom = self.custom();
        custom.map(|(owner, key)| Named { field: "field", thing: Thing::CustomField(owner), key }).into_iter().collect()
    }
}
