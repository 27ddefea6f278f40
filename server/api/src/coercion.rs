//! Whether every value of a request fits its type, before anything of it runs.
//!
//! The library looks at some of that when a field is resolved, when earlier fields of a mutation have been done already. The
//! specification wants it before (GraphQL, October 2021, 5.6 and 6.1.2): a request with a value that does not fit is an error
//! as a whole, and nothing of it happens.

use crate::scalars::{Date, Decimal, EmailAddress};
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, OperationType, Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Request, ScalarType, ServerError, Value};
use async_graphql_value::Value as InputValue;
use chrono::{DateTime, Datelike};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::LazyLock;

/// A field of an input object or an argument.
struct Wanted {
    of: Type,
    optional: bool,
    default: Option<Value>,
}

/// What an input type takes.
enum Input {
    Enum(HashSet<String>),
    Object(HashMap<String, Wanted>),
}

/// What a field of an object takes, and the type that it gives.
type Taking = (HashMap<String, Wanted>, String);

/// What the schema says of values: input types by name, and what each field of an object takes and gives.
struct Known {
    inputs: HashMap<String, Input>,
    fields: HashMap<String, HashMap<String, Taking>>,
}

fn wanted(definition: async_graphql::parser::types::InputValueDefinition) -> Wanted {
    let of = definition.ty.node;
    let default = definition.default_value.map(|default| default.node);
    Wanted { optional: of.nullable || default.is_some(), of, default }
}

fn named(of: &Type) -> &str {
    match &of.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => named(inner),
    }
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known = Known { inputs: HashMap::new(), fields: HashMap::new() };
    // What this crate printed can be parsed; if it could not, the library would be left to look by itself.
    let definitions = parse_schema(crate::sdl()).map(|document| document.definitions).unwrap_or_default();
    for definition in definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let name = definition.node.name.node.to_string();
        let fields = match definition.node.kind {
            TypeKind::Enum(one) => {
                let values = one.values.into_iter().map(|value| value.node.value.node.to_string()).collect();
                known.inputs.insert(name, Input::Enum(values));
                continue;
            }
            TypeKind::InputObject(object) => {
                let fields =
                    object.fields.into_iter().map(|field| (field.node.name.node.to_string(), wanted(field.node)));
                known.inputs.insert(name, Input::Object(fields.collect()));
                continue;
            }
            TypeKind::Object(object) => object.fields,
            TypeKind::Interface(interface) => interface.fields,
            _ => continue,
        };
        let fields = fields.into_iter().map(|field| {
            let arguments = field.node.arguments.into_iter();
            let arguments = arguments.map(|one| (one.node.name.node.to_string(), wanted(one.node))).collect();
            (field.node.name.node.to_string(), (arguments, named(&field.node.ty.node).to_owned()))
        });
        known.fields.insert(name, fields.collect());
    }
    known
});

/// Reads the schema, which is otherwise done at the first look.
pub(crate) fn prepare() {
    LazyLock::force(&KNOWN);
}

/// Why a value does not fit.
type Misfit = String;

fn scalar(name: &str, value: &Value) -> Result<(), Misfit> {
    let what = match (name, value) {
        ("Int", Value::Number(number)) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => {
            return Ok(());
        }
        ("Int", _) => "a whole number of 32 bits",
        ("Float", Value::Number(_)) | ("String" | "ID", Value::String(_)) | ("Boolean", Value::Boolean(_)) => {
            return Ok(());
        }
        ("ID", Value::Number(number)) if number.is_i64() || number.is_u64() => return Ok(()),
        ("Float", _) => "a number",
        ("String", _) => "a text",
        ("Boolean", _) => "true or false",
        ("ID", _) => "an id",
        ("DateTime", Value::String(text)) => match DateTime::parse_from_rfc3339(text) {
            // RFC 3339 writes a year with four digits; what lies beyond could not be told back.
            Ok(moment) if (1..=9998).contains(&moment.to_utc().year()) => return Ok(()),
            _ => "a moment as of RFC 3339",
        },
        ("DateTime", _) => "a moment as of RFC 3339",
        ("Date", _) if Date::parse(value.clone()).is_err() => "a day, YYYY-MM-DD",
        ("EmailAddress", _) if EmailAddress::parse(value.clone()).is_err() => "an e-mail address",
        ("Decimal", _) if Decimal::parse(value.clone()).is_err() => "an exact number, written as a text",
        _ => return Ok(()),
    };
    Err(format!("{name}: {what} is expected, not {}", short(value)))
}

/// A value as a message shows it.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { text.chars().take(79).chain(['…']).collect() }
}

/// Numbers below zero that a field of an input may have, to be refused with what it is about.
const SIGNED: [&str; 6] = ["token", "priority", "maxRunning", "maxRunningPerKey", "perMinute", "perMinutePerKey"];
/// Objects whose values are texts.
const TEXTS: [&str; 2] = ["values", "headers"];

/// What the schema's language cannot say of a field of an input: that a count begins at zero, and JSON is an object.
fn narrower(field: &str, of: &Type, value: &Value) -> Result<(), Misfit> {
    match (named(of), value) {
        ("Int", Value::Number(number))
            if !SIGNED.contains(&field) && number.as_i64().is_some_and(|number| number < 0) =>
        {
            Err(format!("a whole number from 0 is expected, not {number}"))
        }
        ("JSON", Value::Null) => Ok(()),
        ("JSON", Value::Object(given)) if TEXTS.contains(&field) => {
            match given.values().find(|one| !matches!(one, Value::String(_))) {
                Some(other) => Err(format!("a JSON object of texts is expected; one of them is {}", short(other))),
                None => Ok(()),
            }
        }
        ("JSON", Value::Object(_)) => Ok(()),
        ("JSON", other) => Err(format!("a JSON object is expected, not {}", short(other))),
        _ => Ok(()),
    }
}

/// Whether a value fits a type. Its nesting was bounded when it was read.
fn fits(value: &Value, of: &Type) -> Result<(), Misfit> {
    match (&of.base, value) {
        (_, Value::Null) if of.nullable => Ok(()),
        (_, Value::Null) => Err(format!("{of}: a value is expected, not null")),
        (BaseType::List(inner), Value::List(items)) => items.iter().try_for_each(|item| fits(item, inner)),
        // One stands for a list of one.
        (BaseType::List(inner), one) => fits(one, inner),
        (BaseType::Named(name), value) => match (KNOWN.inputs.get(name.as_str()), value) {
            (None, value) => scalar(name, value),
            (Some(Input::Enum(values)), Value::Enum(given)) if values.contains(given.as_str()) => Ok(()),
            // That is how variables write them.
            (Some(Input::Enum(values)), Value::String(given)) if values.contains(given) => Ok(()),
            (Some(Input::Enum(_)), _) => Err(format!("{name}: one of its values is expected, not {}", short(value))),
            (Some(Input::Object(fields)), Value::Object(given)) => {
                if let Some(unknown) = given.keys().find(|key| !fields.contains_key(key.as_str())) {
                    return Err(format!("{name} has no field `{unknown}`"));
                }
                fields.iter().try_for_each(|(field, wanted)| match given.get(field.as_str()) {
                    None if wanted.optional => Ok(()),
                    Some(Value::Null) if wanted.optional => Ok(()),
                    None => Err(format!("{name} needs the field `{field}`")),
                    Some(value) => {
                        let fitting = fits(value, &wanted.of).and_then(|()| narrower(field, &wanted.of, value));
                        fitting.map_err(|misfit| format!("{field}: {misfit}"))
                    }
                })
            }
            (Some(Input::Object(_)), _) => Err(format!("{name}: an object is expected, not {}", short(value))),
        },
    }
}

/// A look at the arguments of an operation.
struct Look<'r> {
    document: &'r ExecutableDocument,
    variables: HashMap<&'r str, Value>,
    /// The fragments that were looked at.
    seen: HashSet<&'r str>,
    /// For each use of a variable that was left out: the default of the argument that it is the value of, where it is one.
    left_out: HashMap<&'r str, Vec<Option<Value>>>,
}

/// The variables in a value.
fn variables_in<'r>(value: &'r InputValue, found: &mut Vec<&'r str>) {
    match value {
        InputValue::Variable(name) => found.push(name.as_str()),
        InputValue::List(items) => items.iter().for_each(|item| variables_in(item, found)),
        InputValue::Object(fields) => fields.values().for_each(|value| variables_in(value, found)),
        _ => {}
    }
}

impl<'r> Look<'r> {
    fn selection(&mut self, set: &'r SelectionSet, on: &str) -> Result<(), (Misfit, async_graphql::Pos)> {
        set.items.iter().try_for_each(|item| match &item.node {
            Selection::Field(field) => self.field(&field.node, on),
            Selection::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref();
                let on = condition.map_or(on, |condition| condition.node.on.node.as_str());
                self.selection(&fragment.node.selection_set.node, on)
            }
            Selection::FragmentSpread(spread) => {
                let name = spread.node.fragment_name.node.as_str();
                match self.document.fragments.get(name) {
                    Some(fragment) if self.seen.insert(name) => {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        self.selection(&fragment.node.selection_set.node, on)
                    }
                    _ => Ok(()),
                }
            }
        })
    }

    fn field(&mut self, field: &'r Field, on: &str) -> Result<(), (Misfit, async_graphql::Pos)> {
        // What the schema does not know, it refuses itself.
        let known = KNOWN.fields.get(on).and_then(|fields| fields.get(field.name.node.as_str()));
        let Some((arguments, gives)) = known else { return Ok(()) };
        for (name, value) in &field.arguments {
            let Some(wanted) = arguments.get(name.node.as_str()) else { continue };
            let mut used = Vec::new();
            variables_in(&value.node, &mut used);
            for name in used.into_iter().filter(|name| !self.variables.contains_key(name)) {
                let whole = matches!(&value.node, InputValue::Variable(_));
                self.left_out.entry(name).or_default().push(wanted.default.clone().filter(|_| whole));
            }
            let given = value.node.clone().into_const_with(|variable| {
                Ok::<_, Infallible>(self.variables.get(variable.as_str()).cloned().unwrap_or(Value::Null))
            });
            let Ok(given) = given;
            if given == Value::Null && wanted.optional {
                continue;
            }
            fits(&given, &wanted.of).map_err(|misfit| (format!("{}: {misfit}", name.node), value.pos))?;
        }
        self.selection(&field.selection_set.node, gives)
    }
}

/// The one default that all uses of a variable have.
fn agreed(uses: Vec<Option<Value>>) -> Option<Value> {
    let mut uses = uses.into_iter();
    let first = uses.next()??;
    uses.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

/// Why a request is not executed, where one of its values does not fit its type.
pub(crate) fn refuse_misfits(request: &mut Request) -> Option<ServerError> {
    let operation = request.operation_name.clone();
    let given = request.variables.clone();
    // A document that cannot be parsed, and a name that is not in it, are refused for that by the schema.
    let document = request.parsed_query().ok()?;
    let chosen = document.operations.iter().find_map(|(name, one)| {
        let wanted = operation.is_none() || name.map(Name::as_str) == operation.as_deref();
        wanted.then_some(&one.node)
    })?;
    let mut variables = HashMap::new();
    let mut found = None;
    for one in &chosen.variable_definitions {
        let name = &one.node.name.node;
        let value = given.get(name).or(one.node.default_value.as_ref().map(|default| &default.node));
        let Some(value) = value else { continue };
        if let Err(misfit) = fits(value, &one.node.var_type.node) {
            found = Some((format!("${name}: {misfit}"), one.pos));
            break;
        }
        variables.insert(name.as_str(), value.clone());
    }
    let mut defaults = Vec::new();
    if found.is_none() {
        let on = match chosen.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let mut look = Look { document, variables, seen: HashSet::new(), left_out: HashMap::new() };
        found = look.selection(&chosen.selection_set.node, on).err();
        defaults.extend(look.left_out.into_iter().filter_map(|(name, uses)| Some((Name::new(name), agreed(uses)?))));
    }
    let Some((message, pos)) = found else {
        // An argument whose variable was left out has its default (6.4.1); the library takes it for null.
        request.variables.extend(defaults);
        return None;
    };
    let mut error = ServerError::new(message, Some(pos));
    error.extensions.get_or_insert_default().set("code", "BAD_USER_INPUT");
    Some(error)
}
