//! What no resolver shall see: the character U+0000, which PostgreSQL takes in no text and SQLite in all of them; and a
//! variable that must have a value and has none, which the library would read as a null; and a subscription to several
//! things at once, which the library would mix.

use async_graphql::parser::types::{ExecutableDocument, Field, OperationType, Selection, SelectionSet};
use async_graphql::{Request, ServerError, Value};
use std::convert::Infallible;

/// The character that is refused.
const NUL: char = '\0';

/// Marks what is wrong with the input: the protocol's code, and more exactly the reason.
fn bad_input(error: &mut ServerError, reason: &str) {
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", "BAD_USER_INPUT");
    extensions.set("reason", reason);
}

/// Why a request is not executed, where its variables or its document hold the character.
pub(crate) fn refuse_nul(request: &mut Request) -> Option<ServerError> {
    let in_variables = request.variables.iter().any(|(_, value)| holds_nul(value));
    // A document that cannot be parsed is refused for that, by the schema.
    if !in_variables && !request.parsed_query().is_ok_and(document_holds_nul) {
        return None;
    }
    let message = "a text holds the character U+0000, which cannot be stored; leave it out";
    let mut error = ServerError::new(message, None);
    bad_input(&mut error, "NUL_CHARACTER");
    Some(error)
}

/// Why a request is not executed, where a variable of a type with `!` has no value (GraphQL, October 2021, 6.1.2). Taken for
/// null, it would erase a field or drop a filter.
pub(crate) fn refuse_missing_variables(request: &mut Request) -> Option<ServerError> {
    let operation = request.operation_name.clone();
    let given = request.variables.clone();
    // A document that cannot be parsed, and a name that is not in it, are refused for that by the schema.
    let document = request.parsed_query().ok()?;
    let definitions = document.operations.iter().find_map(|(name, one)| {
        let wanted = operation.is_none() || name.map(async_graphql::Name::as_str) == operation.as_deref();
        wanted.then_some(&one.node.variable_definitions)
    })?;
    let missing = definitions.iter().find(|one| {
        let null = match given.get(&one.node.name.node) {
            None => one.node.default_value.is_none(),
            Some(value) => *value == Value::Null,
        };
        null && !one.node.var_type.node.nullable
    })?;
    let (name, kind) = (&missing.node.name.node, &missing.node.var_type.node);
    let message = format!("the variable ${name} of the type {kind} must have a value");
    let mut error = ServerError::new(message, Some(missing.pos));
    bad_input(&mut error, "VARIABLE_MISSING");
    Some(error)
}

/// Why a subscription is not executed that does not have exactly one root field (GraphQL, October 2021, 5.2.3.1). Fragments in
/// one another were bounded when the document was read.
pub(crate) fn refuse_several_roots(request: &mut Request) -> Option<ServerError> {
    let operation = request.operation_name.clone();
    let document = request.parsed_query().ok()?;
    let chosen = document.operations.iter().find_map(|(name, one)| {
        let wanted = operation.is_none() || name.map(async_graphql::Name::as_str) == operation.as_deref();
        wanted.then_some(&one.node)
    })?;
    if chosen.ty != OperationType::Subscription {
        return None;
    }
    let mut roots = Vec::new();
    roots_of(document, &chosen.selection_set.node, &mut roots);
    let first = roots.first().map(|field| field.response_key().node.clone());
    let one = roots.iter().all(|field| Some(&field.response_key().node) == first.as_ref());
    if one && !roots.iter().any(|field| field.name.node.starts_with("__")) {
        return None;
    }
    let message = "a subscription has one root field, which is not about the schema; subscribe to each thing by itself";
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", "GRAPHQL_VALIDATION_FAILED");
    Some(error)
}

/// The fields that a selection comes to, fragments opened.
fn roots_of<'d>(document: &'d ExecutableDocument, set: &'d SelectionSet, roots: &mut Vec<&'d Field>) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => roots.push(&field.node),
            Selection::InlineFragment(fragment) => roots_of(document, &fragment.node.selection_set.node, roots),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    roots_of(document, &fragment.node.selection_set.node, roots);
                }
            }
        }
    }
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
