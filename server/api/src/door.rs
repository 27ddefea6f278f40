//! What no resolver shall see: the character U+0000, which PostgreSQL takes in no text and SQLite in all of them.

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Request, ServerError, Value};
use std::convert::Infallible;

/// The character that is refused.
const NUL: char = '\0';

/// Why a request is not executed, where its variables or its document hold the character.
pub(crate) fn refuse_nul(request: &mut Request) -> Option<ServerError> {
    let in_variables = request.variables.iter().any(|(_, value)| holds_nul(value));
    // A document that cannot be parsed is refused for that, by the schema.
    if !in_variables && !request.parsed_query().is_ok_and(document_holds_nul) {
        return None;
    }
    let message = "a text holds the character U+0000, which cannot be stored; leave it out";
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", "NUL_CHARACTER");
    Some(error)
}

/// Whether a text or a key inside the value holds the character. Its nesting was bounded when it was read.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(NUL),
        Value::List(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(NUL) || holds_nul(value)),
        Value::Null | Value::Number(_) | Value::Boolean(_) | Value::Binary(_) | Value::Enum(_) => false,
    }
}

/// Whether a default of a variable or an argument of a field holds the character.
fn document_holds_nul(document: &ExecutableDocument) -> bool {
    let in_operations = document.operations.iter().any(|(_, operation)| {
        let defaults = operation.node.variable_definitions.iter().filter_map(|one| one.node.default_value.as_ref());
        defaults.into_iter().any(|default| holds_nul(&default.node))
            || selection_holds_nul(&operation.node.selection_set.node)
    });
    in_operations || document.fragments.values().any(|fragment| selection_holds_nul(&fragment.node.selection_set.node))
}

/// Whether an argument within the selection holds the character. Spread fragments are looked at where they are defined.
fn selection_holds_nul(set: &SelectionSet) -> bool {
    set.items.iter().any(|item| match &item.node {
        Selection::Field(field) => {
            field.node.arguments.iter().any(|(_, argument)| {
                let known = argument.node.clone().into_const_with(|_variable| Ok::<_, Infallible>(Value::Null));
                matches!(known, Ok(value) if holds_nul(&value))
            }) || selection_holds_nul(&field.node.selection_set.node)
        }
        Selection::InlineFragment(fragment) => selection_holds_nul(&fragment.node.selection_set.node),
        Selection::FragmentSpread(_) => false,
    })
}
