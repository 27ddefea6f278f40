//! What an operation may cost, counted before anything of it runs.
//!
//! The library counts the fields of a document. What a field of a page selects is answered for every row of the page,
//! so here a page multiplies what it holds; and it adds something of its own, since it is a question to the database.

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet, Type, TypeKind,
    TypeSystemDefinition, VariableDefinition,
};
use async_graphql::{Name, Positioned, Request, ServerError, Value, Variables};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::LazyLock;

/// The most that an operation may cost: about so many values can be in its answer.
pub(crate) const MOST: usize = 5_000;
/// The most that an event of a subscription may cost: it is paid for once and executed each time.
pub(crate) const MOST_OF_AN_EVENT: usize = 500;
/// What the body of a delivery or an event costs, which may be large.
const BODY: usize = 200;
/// What a page, or another list of things, costs beside its rows.
const QUESTION: usize = 20;
/// The deepest selection that is looked at; what is deeper is refused for that.
const DEEPEST: usize = 100;

/// What the schema says about a field.
struct Known {
    /// The type that it gives, or gives a list of.
    gives: String,
    /// Whether it gives many.
    many: Many,
}

/// How many a field gives.
#[derive(PartialEq)]
enum Many {
    /// One.
    No,
    /// A page of a connection.
    Page,
    /// As many as ids are asked for.
    Ids,
    /// A list that is not cut.
    List,
}

/// The fields of the schema, by type and name.
static SCHEMA: LazyLock<HashMap<String, HashMap<String, Known>>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    // What this crate printed can be parsed; if it could not, every field would cost one.
    let definitions = parse_schema(crate::sdl()).map(|document| document.definitions).unwrap_or_default();
    for definition in definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let fields = match definition.node.kind {
            TypeKind::Object(object) => object.fields,
            TypeKind::Interface(interface) => interface.fields,
            _ => continue,
        };
        // The rows of a page are paid for by the page.
        let is_page = definition.node.name.node.ends_with("Connection");
        let fields = fields.into_iter().map(|field| {
            let takes = |name: &str| field.node.arguments.iter().any(|argument| argument.node.name.node == name);
            let many = match &field.node.ty.node.base {
                BaseType::List(_) if takes("ids") => Many::Ids,
                BaseType::List(_) if !is_page => Many::List,
                BaseType::List(_) => Many::No,
                BaseType::Named(_) if takes("first") => Many::Page,
                BaseType::Named(_) => Many::No,
            };
            (field.node.name.node.to_string(), Known { gives: named(&field.node.ty.node), many })
        });
        known.insert(definition.node.name.node.to_string(), fields.collect());
    }
    known
});

/// Reads the schema, which is otherwise done at the first look.
pub(crate) fn prepare() {
    LazyLock::force(&SCHEMA);
}

/// The name of a type, or of what a list holds.
fn named(of: &Type) -> String {
    match &of.base {
        BaseType::Named(name) => name.to_string(),
        BaseType::List(inner) => named(inner),
    }
}

/// What a request costs, or why it is not executed, where that is too much. None where there is nothing to count, which the
/// schema refuses.
pub(crate) fn of(request: &mut Request) -> Result<Option<usize>, ServerError> {
    let variables = std::mem::take(&mut request.variables);
    let name = request.operation_name.clone();
    let cost = request.parsed_query().ok().and_then(|document| cost(document, name.as_deref(), &variables));
    request.variables = variables;
    match cost {
        Some(cost) if cost > MOST => Err(too_costly(cost, MOST)),
        cost => Ok(cost),
    }
}

/// The refusal of what could cost more than `most`, with what it could cost as far as that was counted.
pub(crate) fn too_costly(cost: usize, most: usize) -> ServerError {
    let cost = cost.min(1_000_000);
    let message = format!(
        "the operation is too complex: it could cost {cost} or more, and {most} is the most; ask for smaller pages or \
         fewer fields"
    );
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", "QUERY_TOO_COMPLEX");
    error
}

/// What the operation that would run costs. None where there is none to choose, which the schema refuses.
fn cost(document: &ExecutableDocument, name: Option<&str>, variables: &Variables) -> Option<usize> {
    let mut operations = document.operations.iter();
    let (_, operation) = match name {
        Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known.as_str() == name)),
        None => operations.next(),
    }?;
    let OperationDefinition { ty, variable_definitions, selection_set, .. } = &operation.node;
    let root = match ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    };
    let mut count = Count { document, definitions: variable_definitions, variables, left: MOST };
    Some(count.selection(&selection_set.node, root, 0))
}

/// A count in progress.
struct Count<'r> {
    document: &'r ExecutableDocument,
    definitions: &'r [Positioned<VariableDefinition>],
    variables: &'r Variables,
    /// How many selections may still be visited: every one costs something, so whoever runs out is too costly.
    left: usize,
}

impl Count<'_> {
    /// What a selection on a type costs; more than [`MOST`] where it was not counted to its end.
    fn selection(&mut self, set: &SelectionSet, on: &str, depth: usize) -> usize {
        if depth > DEEPEST {
            return MOST + 1;
        }
        let mut cost = 0_usize;
        for item in &set.items {
            let Some(left) = self.left.checked_sub(1) else { return MOST + 1 };
            self.left = left;
            cost = cost.saturating_add(match &item.node {
                Selection::Field(field) => self.field(&field.node, on, depth),
                Selection::InlineFragment(fragment) => {
                    let on =
                        fragment.node.type_condition.as_ref().map_or(on, |condition| condition.node.on.node.as_str());
                    self.selection(&fragment.node.selection_set.node, on, depth + 1)
                }
                Selection::FragmentSpread(spread) => {
                    let document = self.document;
                    match document.fragments.get(&spread.node.fragment_name.node) {
                        Some(fragment) => {
                            let on = fragment.node.type_condition.node.on.node.as_str();
                            self.selection(&fragment.node.selection_set.node, on, depth + 1)
                        }
                        None => 0,
                    }
                }
            });
        }
        cost
    }

    fn field(&mut self, field: &Field, on: &str, depth: usize) -> usize {
        let known = SCHEMA.get(on).and_then(|fields| fields.get(field.name.node.as_str()));
        // The language's own fields, and those that the schema will refuse.
        let gives = known.map_or("", |known| known.gives.as_str());
        let inside = self.selection(&field.selection_set.node, gives, depth + 1);
        if matches!(
            (on, field.name.node.as_str()),
            ("InboundDelivery" | "OutboundDelivery", "body") | ("IngestedEvent", "payload")
        ) {
            return BODY;
        }
        match known.map(|known| &known.many) {
            Some(Many::Page) => self.rows(field).saturating_mul(inside).saturating_add(QUESTION),
            Some(Many::Ids) => self.ids(field).saturating_mul(inside).saturating_add(QUESTION),
            Some(Many::List) if inside > 0 => inside.saturating_add(QUESTION),
            _ => inside.saturating_add(1),
        }
    }

    /// How many rows a page asks for. What is out of range is refused by the field itself.
    fn rows(&self, field: &Field) -> usize {
        let asked = ["first", "last"].into_iter().filter_map(|name| match self.argument(field, name)? {
            Value::Number(number) => number.as_u64(),
            _ => None,
        });
        let rows = asked.max().unwrap_or(crate::connection::DEFAULT);
        usize::try_from(rows).unwrap_or(usize::MAX).clamp(1, 100)
    }

    /// How many ids are asked for.
    fn ids(&self, field: &Field) -> usize {
        match self.argument(field, "ids") {
            Some(Value::List(ids)) => ids.len(),
            _ => 1,
        }
    }

    /// The value of an argument, its variable's or that one's default's; none where it is not given.
    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let given = field.get_argument(name)?.node.clone();
        let value = |variable: Name| {
            let default = || {
                let definition = self.definitions.iter().find(|definition| definition.node.name.node == variable)?;
                definition.node.default_value.as_ref().map(|value| value.node.clone())
            };
            Ok::<_, Infallible>(self.variables.get(&variable).cloned().or_else(default).unwrap_or_default())
        };
        given.into_const_with(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cost_of(document: &str, variables: serde_json::Value) -> usize {
        let mut request = Request::new(document).variables(Variables::from_json(variables));
        let variables = request.variables.clone();
        cost(request.parsed_query().unwrap(), None, &variables).unwrap()
    }

    fn refused(document: &str, variables: serde_json::Value) -> bool {
        of(&mut Request::new(document).variables(Variables::from_json(variables))).is_err()
    }

    #[test]
    fn a_page_costs_its_rows_times_what_a_row_holds() {
        assert_eq!(cost_of("{ node(id: \"a\") { id __typename } }", json!({})), 3);
        assert_eq!(cost_of("{ leads(first: 7) { nodes { id } } }", json!({})), 20 + 7 * 2);
        assert_eq!(cost_of("{ leads(last: 100) { edges { node { id } } } }", json!({})), 20 + 100 * 3);
        assert_eq!(cost_of("{ leads { nodes { id } } }", json!({})), 20 + 20 * 2);
        assert_eq!(cost_of("{ nodes(ids: [\"a\", \"b\"]) { id ... on Lead { source } } }", json!({})), 20 + 2 * 2);
        assert_eq!(cost_of("{ node(id: \"a\") { ... on Opportunity { handoffs { id } } } }", json!({})), 1 + 20 + 1);
    }

    #[test]
    fn the_rows_are_read_from_variables_and_their_defaults() {
        let document = "query($n: Int) { leads(first: $n) { nodes { id } } }";
        assert_eq!(cost_of(document, json!({"n": 3})), 20 + 3 * 2);
        assert_eq!(cost_of(document, json!({"n": null})), 20 + 20 * 2);
        assert_eq!(cost_of(document, json!({})), 20 + 20 * 2);
        assert_eq!(cost_of("query($n: Int = 5) { leads(first: $n) { nodes { id } } }", json!({})), 20 + 5 * 2);
        assert_eq!(cost_of("query($i: [ID!]!) { nodes(ids: $i) { id } }", json!({"i": ["a", "b", "c"]})), 20 + 3);
    }

    #[test]
    fn a_refusal_says_what_it_could_cost_and_what_is_the_most() {
        let document = "{ leads(first: 100) { nodes { contact { interactions(first: 100) { nodes { id } } } } } }";
        let refusal = of(&mut Request::new(document)).unwrap_err().message;
        let cost = 20 + 100 * (1 + 1 + 20 + 100 * 2);
        assert!(refusal.contains(&format!("could cost {cost} or more, and 5000 is the most")), "{refusal}");
    }

    #[test]
    fn pages_in_pages_multiply_also_through_fragments() {
        let nested = "{ targetAccountLists(first: 100) { ...L } } fragment L on TargetAccountListConnection { nodes {
            ... on TargetAccountList { versions(first: 100) { nodes { entries(first: 100) { nodes { tier } } } } } } }";
        assert!(cost_of(nested, json!({})) > 1_000_000);
        assert!(refused(nested, json!({})));
        assert!(refused(
            "{ targetAccountLists(first: 100) { nodes { memberships(first: 100) { nodes { id } } } } }",
            json!({})
        ));
        assert!(!refused(
            "{ targetAccountLists(first: 5) { nodes { memberships(first: 50) { nodes { id tier } } } } }",
            json!({})
        ));
        assert!(!refused(
            "{ leads(first: 100) { nodes { id source grade priority contact { name email } } } }",
            json!({})
        ));
    }

    #[test]
    fn fragments_that_never_end_are_refused_at_a_bounded_cost() {
        assert!(refused("{ ...F } fragment F on Query { ...F }", json!({})));
        assert!(refused("{ ...F } fragment F on Query { ...F ...F }", json!({})));
    }

    #[test]
    fn what_the_readme_asks_for_costs_little() {
        let readme = include_str!("../../../README.md");
        let bodies = readme.lines().filter_map(|line| line.split_once(" '{\"query\":")?.1.strip_suffix("}'"));
        let documents: Vec<String> = bodies.map(|body| serde_json::from_str(body).unwrap()).collect();
        assert!(documents.len() >= 6, "{documents:?}");
        for document in documents {
            assert!(cost_of(&document, json!({})) <= MOST / 10, "{document}");
        }
    }
}
