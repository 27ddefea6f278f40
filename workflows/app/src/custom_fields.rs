//! Commands on the definitions of custom fields.

use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::custom_field::{self, CustomField, Entity, Kind};
use tandem_domain::decision::Decision;
use tandem_domain::id::CustomFieldId;
use tandem_store::Tx;

/// Defines a custom field.
#[derive(Debug, Clone, Serialize)]
pub struct CustomFieldDefine {
    /// What it belongs to.
    pub entity: Entity,
    /// Its name in data and expressions.
    pub key: String,
    /// The name to show.
    pub label: String,
    /// What it holds.
    pub kind: Kind,
    /// The choices of a `CHOICE` or `MULTI_CHOICE`.
    pub choices: Vec<String>,
    /// Whether a new record must have a value.
    pub required: bool,
}

impl Command for CustomFieldDefine {
    const NAME: &'static str = "customFieldDefine";
    type Output = CustomField;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<CustomField>> {
        let field = CustomField {
            id: env.id(call.now(env)),
            entity: self.entity,
            key: self.key.clone(),
            label: self.label.clone(),
            kind: self.kind,
            choices: self.choices.clone(),
            required: self.required,
            active: true,
        };
        Ok(custom_field::define(field, &tx.custom_fields().await?)?)
    }
}

/// Changes a definition; what is absent stays.
#[derive(Debug, Clone, Serialize)]
pub struct CustomFieldChange {
    /// The definition.
    pub id: CustomFieldId,
    /// The new name to show.
    pub label: Option<String>,
    /// The new choices; values stored before stay as they are.
    pub choices: Option<Vec<String>>,
    /// Whether a new record must have a value.
    pub required: Option<bool>,
    /// Whether the field takes values.
    pub active: Option<bool>,
}

impl Command for CustomFieldChange {
    const NAME: &'static str = "customFieldChange";
    type Output = CustomField;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<CustomField>> {
        let missing = || AppError::NotFound { what: "CustomField", id: self.id.into() };
        let before: CustomField = tx.get(self.id).await?.ok_or_else(missing)?;
        let mut after = before.clone();
        if let Some(label) = &self.label {
            after.label.clone_from(label);
        }
        if let Some(choices) = &self.choices {
            after.choices.clone_from(choices);
        }
        after.required = self.required.unwrap_or(before.required);
        after.active = self.active.unwrap_or(before.active);
        Ok(custom_field::change(&before, after)?)
    }
}
