//! Words for what comes of the library and not of this crate: the library's own are about Rust, or missing.

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value};
use std::borrow::Cow;

/// No type of the schema: the library lets only types at its registry, and this one describes what is there already.
pub(crate) struct Words;

#[async_trait::async_trait]
impl OutputType for Words {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("Words")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        crate::scalars::describe(registry);
        crate::connection::describe(registry);
        Self::qualified_type_name()
    }

    // No field gives it.
    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::Null)
    }
}
