//! Changes of a lead that move nothing: its labels and the values of its custom fields.

use super::Lead;
use crate::custom_field::{self, CustomField, Entity, Values};
use crate::decision::Decision;
use crate::normalise;

/// Adds and removes tags. Nothing where nothing differs.
pub fn tag(before: &Lead, add: &[String], remove: &[String]) -> Result<Option<Decision<Lead>>, normalise::Refusal> {
    let mut after = before.clone();
    after.tags = &(&after.tags | &normalise::tags(add)?) - &normalise::tags(remove)?;
    normalise::few_enough(&after.tags)?;
    Ok(changed(before, after, vec!["tags".to_owned()]))
}

/// Sets values of custom fields; null takes one away. Nothing where nothing differs. `definitions` are the fields there are.
pub fn set_custom(
    before: &Lead,
    changes: &Values,
    definitions: &[CustomField],
) -> Result<Option<Decision<Lead>>, custom_field::Refusal> {
    let mut after = before.clone();
    custom_field::apply(definitions, Entity::Lead, &mut after.custom, changes)?;
    Ok(changed(before, after, changes.keys().map(|key| format!("custom.{key}")).collect()))
}

/// Adds tags and sets values of custom fields, in one fact. Nothing where nothing differs.
pub fn edit(
    before: &Lead,
    tags: &[String],
    custom: &Values,
    definitions: &[CustomField],
) -> Result<Option<Decision<Lead>>, Refusal> {
    let mut after = before.clone();
    after.tags = &after.tags | &normalise::tags(tags)?;
    normalise::few_enough(&after.tags)?;
    custom_field::apply(definitions, Entity::Lead, &mut after.custom, custom)?;
    let tagged = (after.tags != before.tags).then(|| "tags".to_owned());
    let set = custom.keys().filter(|key| before.custom.get(*key) != after.custom.get(*key));
    let fields = tagged.into_iter().chain(set.map(|key| format!("custom.{key}"))).collect();
    Ok(changed(before, after, fields))
}

/// Why a lead is not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A tag is not of the form, or there are too many.
    #[error(transparent)]
    Tag(#[from] normalise::Refusal),
    /// A value does not fit its field.
    #[error(transparent)]
    Custom(#[from] custom_field::Refusal),
}

fn changed(before: &Lead, after: Lead, fields: Vec<String>) -> Option<Decision<Lead>> {
    if *before == after {
        return None;
    }
    let fact = after.fact("lead.changed").with("fields", fields);
    Some(Decision::new(after, fact))
}
