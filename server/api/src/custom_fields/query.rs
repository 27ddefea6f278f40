//! Reads of custom fields.

use super::types::{CustomFieldEntity, CustomFieldNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::connection::Connection;
use async_graphql::{Context, Object};

/// Reads of custom fields.
#[derive(Default)]
pub struct CustomFieldQuery;

#[Object]
impl CustomFieldQuery {
    /// The custom fields of one entity or of all, in the order they were defined.
    async fn custom_fields(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this entity's.")] entity: Option<CustomFieldEntity>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, CustomFieldNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let fields = ctx.app().store.custom_field_page(entity.map(Into::into), &page).await?;
        Ok(connection(fields, |field| field.id, CustomFieldNode))
    }
}
