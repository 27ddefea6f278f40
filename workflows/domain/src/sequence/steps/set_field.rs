//! `set_field`: a custom field of the contact or the lead gets a value.

use super::{Effect, Failure, Kind, Next, Run};
use crate::expression::Expression;
use crate::id::{ContactId, EnrollmentId, LeadId};
use crate::sequence::definition::{SubjectKind, is_name};
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The settings: the field, and exactly one of the two values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `contact.<key>` or `lead.<key>`, where the key is that of a custom field.
    pub field: String,
    /// The value: a template where it is a text, else as it stands. Null takes the value away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
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
    /// Whose field it is: the contact's, or the lead's.
    pub owner: SubjectKind,
    /// The contact.
    pub contact: ContactId,
    /// The lead.
    pub lead: Option<LeadId>,
    /// The key of the custom field.
    pub key: String,
    /// The new value; null takes the old one away.
    pub value: Value,
}

impl Config {
    fn target(&self) -> Option<(SubjectKind, &str)> {
        let (owner, key) = self.field.split_once('.')?;
        let owner = match owner {
            "contact" => SubjectKind::Contact,
            "lead" => SubjectKind::Lead,
            _ => return None,
        };
        is_name(key).then_some((owner, key))
    }
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        if self.target().is_none() {
            let message = "a field is written `contact.<key>` or `lead.<key>`, with the key of a custom field";
            check.problem("field", Rule::Shape, message);
        }
        if self.value.is_some() == self.expression.is_some() {
            check.problem("", Rule::Shape, "a field is set by either `value` or `expression`");
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
}
