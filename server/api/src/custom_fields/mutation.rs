//! Changes of custom fields.

use super::types::{CustomFieldEntity, CustomFieldKind, CustomFieldNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::{CustomFieldChange, CustomFieldDefine};

/// A field to define.
#[derive(InputObject)]
pub struct CustomFieldDefineInput {
    /// What it belongs to.
    entity: CustomFieldEntity,
    /// Its name in data and expressions: 1 to 50 of a-z, 0-9 and _, beginning with a letter; unique in its entity.
    key: String,
    /// The name to show.
    label: String,
    /// What it holds.
    kind: CustomFieldKind,
    /// The choices of a `CHOICE` or `MULTI_CHOICE`.
    #[graphql(default)]
    choices: Vec<String>,
    /// Whether a new record must have a value.
    #[graphql(default)]
    required: bool,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A change of a definition; what is absent stays.
#[derive(InputObject)]
pub struct CustomFieldChangeInput {
    /// The definition.
    custom_field_id: ID,
    /// The new name to show.
    label: Option<String>,
    /// The new choices; values stored before stay as they are.
    choices: Option<Vec<String>>,
    /// Whether a new record must have a value.
    required: Option<bool>,
    /// Whether the field takes values.
    active: Option<bool>,
}

payload! {
    /// What `customFieldDefine` did.
    CustomFieldDefinePayload {
        /// The field that was defined.
        custom_field: CustomFieldNode,
    }
    /// What `customFieldChange` did.
    CustomFieldChangePayload {
        /// The field after the change.
        custom_field: CustomFieldNode,
    }
}

/// Changes of custom fields.
#[derive(Default)]
pub struct CustomFieldMutation;

#[Object]
impl CustomFieldMutation {
    /// Defines a custom field.
    async fn custom_field_define(
        &self,
        ctx: &Context<'_>,
        input: CustomFieldDefineInput,
    ) -> Result<CustomFieldDefinePayload, ApiError> {
        let command = CustomFieldDefine {
            entity: input.entity.into(),
            key: input.key,
            label: input.label,
            kind: input.kind.into(),
            choices: input.choices,
            required: input.required,
        };
        let done = ctx.run(input.idempotency_key, command).await;
        CustomFieldDefinePayload::of(done.map(CustomFieldNode))
    }

    /// Changes label, choices, `required` or `active` of a custom field. Entity, key and kind stay.
    async fn custom_field_change(
        &self,
        ctx: &Context<'_>,
        input: CustomFieldChangeInput,
    ) -> Result<CustomFieldChangePayload, ApiError> {
        let done = async {
            let command = CustomFieldChange {
                id: local(&input.custom_field_id, "customFieldId")?,
                label: input.label,
                choices: input.choices,
                required: input.required,
                active: input.active,
            };
            ctx.run(None, command).await
        };
        CustomFieldChangePayload::of(done.await.map(CustomFieldNode))
    }
}
