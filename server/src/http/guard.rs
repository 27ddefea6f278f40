//! The guard in front of the GraphQL parser and validator.
//!
//! A parser that recurses can be made to overflow the stack, which ends the process, and fragments that spread each
//! other twice make validation exponential. So a document is scanned without recursion before it is parsed, and its
//! selections are counted, within a budget, before they are validated.

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use std::collections::{BTreeMap, BTreeSet};

/// The largest document, in bytes.
pub const MAX_DOCUMENT: usize = 32 * 1024;
/// The deepest nesting of brackets of any kind.
pub const MAX_NESTING: usize = 48;
/// The most tokens.
pub const MAX_TOKENS: usize = 4_000;
/// The most selections once fragments are expanded.
pub const MAX_SELECTIONS: usize = 500;
/// The most operations in a document.
pub const MAX_OPERATIONS: usize = 10;
/// The most fields at the root of an operation.
pub const MAX_ROOT_FIELDS: usize = 20;

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many bytes.
    #[error("the document is larger than {MAX_DOCUMENT} bytes; send variables instead of literals, or ask in parts")]
    Document,
    /// Brackets inside brackets.
    #[error("the document is nested deeper than {MAX_NESTING} brackets")]
    Nesting,
    /// Too many tokens.
    #[error("the document has more than {MAX_TOKENS} tokens; send variables instead of literals, or ask in parts")]
    Tokens,
    /// Too many fields after fragments are expanded.
    #[error("the document selects more than {MAX_SELECTIONS} fields; ask in parts")]
    Selections,
    /// A fragment that holds itself.
    #[error("the fragment `{0}` spreads itself, by way of others or at once; take that spread out")]
    Cycle(String),
    /// Too many operations.
    #[error("the document has more than {MAX_OPERATIONS} operations")]
    Operations,
    /// Too many root fields.
    #[error("the operation has more than {MAX_ROOT_FIELDS} fields at its root; ask in parts")]
    RootFields,
    /// Not GraphQL.
    #[error("syntax error: {0}")]
    Syntax(String),
    /// No operation of that name, or several and no name.
    #[error("{0}")]
    Operation(&'static str),
}

impl Refused {
    /// The `extensions.code` of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "GRAPHQL_PARSE_FAILED",
            Self::Operation(_) => "GRAPHQL_VALIDATION_FAILED",
            _ => "QUERY_TOO_COMPLEX",
        }
    }
}

/// What a document that passed would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// The kind of the operation that would run.
    pub kind: OperationType,
    /// Whether it asks about the schema alone, which is no secret.
    pub introspective: bool,
}

/// Checks a document, and says what would run.
pub fn check(document: &str, operation: Option<&str>) -> Result<Checked, Refused> {
    if document.len() > MAX_DOCUMENT {
        return Err(Refused::Document);
    }
    scan(document)?;
    let parsed = parse_query(document).map_err(|error| Refused::Syntax(last_line(&error.to_string())))?;
    count(&parsed)?;
    let mut operations = parsed.operations.iter();
    let chosen = match operation {
        Some(name) => operations
            .find(|(candidate, _)| candidate.is_some_and(|candidate| candidate.as_str() == name))
            .ok_or(Refused::Operation("the document has no operation of the name in operationName"))?,
        None => match (operations.next(), operations.next()) {
            (Some(only), None) => only,
            _ => return Err(Refused::Operation("the document has several operations; choose one by operationName")),
        },
    };
    let operation = &chosen.1.node;
    let introspective = is_introspective(&parsed, &operation.selection_set.node);
    Ok(Checked { kind: operation.ty, introspective })
}

/// Whether every field that a selection has at its top is one of the language's own (`__schema`, `__typename`).
/// Fragments that spread themselves have been refused by then.
fn is_introspective(document: &ExecutableDocument, set: &SelectionSet) -> bool {
    set.items.iter().all(|item| match &item.node {
        Selection::Field(field) => field.node.name.node.starts_with("__"),
        Selection::InlineFragment(fragment) => is_introspective(document, &fragment.node.selection_set.node),
        Selection::FragmentSpread(spread) => document
            .fragments
            .get(&spread.node.fragment_name.node)
            .is_none_or(|fragment| is_introspective(document, &fragment.node.selection_set.node)),
    })
}

/// A parser's report is a drawing; its last line is the sentence.
fn last_line(report: &str) -> String {
    let line = report.lines().last().unwrap_or_default();
    line.trim_start_matches([' ', '=', '|']).chars().take(200).collect()
}

/// Counts brackets and tokens, outside strings and comments.
fn scan(document: &str) -> Result<(), Refused> {
    let bytes = document.as_bytes();
    let (mut at, mut depth, mut tokens) = (0, 0_usize, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at = end_of(bytes, at, |byte| !matches!(byte, b'\r' | b'\n'));
                continue;
            }
            b'"' => at = end_of_string(bytes, at),
            b'{' | b'[' | b'(' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            byte if is_word(byte) => at = end_of(bytes, at, is_word),
            _ => at += 1,
        }
        tokens += 1;
        if depth > MAX_NESTING {
            return Err(Refused::Nesting);
        }
        if tokens > MAX_TOKENS {
            return Err(Refused::Tokens);
        }
    }
    Ok(())
}

/// A name, a number, or part of something that the parser will refuse anyway.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn end_of(bytes: &[u8], from: usize, inside: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|byte| !inside(*byte)).map_or(bytes.len(), |length| from + length)
}

/// Where the string that begins at `from` ends. An unfinished one ends with its line, or, in block form, the document.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let quotes: &[u8] = b"\"\"\"";
    if bytes[from..].starts_with(quotes) {
        let mut at = from + 3;
        while at < bytes.len() && !bytes[at..].starts_with(quotes) {
            at += if bytes[at..].starts_with(b"\\\"\"\"") { 4 } else { 1 };
        }
        return at + 3;
    }
    let mut at = from + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\r' | b'\n' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Counts operations, root fields and, with fragments expanded, selections. It stops when the budget is spent, so a
/// document that would expand to millions of fields costs no more than one at the limit.
fn count(document: &ExecutableDocument) -> Result<(), Refused> {
    // What holds itself has too many fields too, and is told what is wrong with it.
    counted(document).map_err(|refused| match refused {
        Refused::Selections => cycle(document).map_or(Refused::Selections, Refused::Cycle),
        refused => refused,
    })
}

/// The first fragment, by name, that holds itself. What is nested is nested at most as deep as the scan lets through, and each
/// fragment is looked into once for each: there are fewer of them than tokens.
fn cycle(document: &ExecutableDocument) -> Option<String> {
    let spreads: BTreeMap<&str, BTreeSet<&str>> = document
        .fragments
        .iter()
        .map(|(name, fragment)| {
            let mut spread = BTreeSet::new();
            spreads_of(&fragment.node.selection_set.node, &mut spread);
            (name.as_str(), spread)
        })
        .collect();
    let holds_itself = |name: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![name]);
        while let Some(next) = open.pop() {
            for spread in spreads.get(next).into_iter().flatten() {
                if *spread == name {
                    return true;
                }
                if seen.insert(*spread) {
                    open.push(*spread);
                }
            }
        }
        false
    };
    spreads.keys().find(|name| holds_itself(name)).map(|name| (*name).to_owned())
}

fn spreads_of<'a>(set: &'a SelectionSet, found: &mut BTreeSet<&'a str>) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => spreads_of(&field.node.selection_set.node, found),
            Selection::InlineFragment(fragment) => spreads_of(&fragment.node.selection_set.node, found),
            Selection::FragmentSpread(spread) => drop(found.insert(spread.node.fragment_name.node.as_str())),
        }
    }
}

fn counted(document: &ExecutableDocument) -> Result<(), Refused> {
    if document.operations.iter().count() > MAX_OPERATIONS {
        return Err(Refused::Operations);
    }
    let mut left = MAX_SELECTIONS;
    for (_, operation) in document.operations.iter() {
        let root = &operation.node.selection_set.node;
        // What passes can be expanded: it is small, and no fragment spreads itself.
        spend(document, root, &mut left)?;
        if root_fields(document, root) > MAX_ROOT_FIELDS {
            return Err(Refused::RootFields);
        }
    }
    // Validation also visits the fragments that no operation spreads.
    for fragment in document.fragments.values() {
        spend(document, &fragment.node.selection_set.node, &mut { MAX_SELECTIONS })?;
    }
    Ok(())
}

/// How many fields a selection has at its top, those of its fragments included.
fn root_fields(document: &ExecutableDocument, set: &SelectionSet) -> usize {
    let of = |item: &Selection| match item {
        Selection::Field(_) => 1,
        Selection::InlineFragment(fragment) => root_fields(document, &fragment.node.selection_set.node),
        Selection::FragmentSpread(spread) => document
            .fragments
            .get(&spread.node.fragment_name.node)
            .map_or(0, |fragment| root_fields(document, &fragment.node.selection_set.node)),
    };
    set.items.iter().map(|item| of(&item.node)).sum()
}

fn spend(document: &ExecutableDocument, set: &SelectionSet, left: &mut usize) -> Result<(), Refused> {
    for item in &set.items {
        *left = left.checked_sub(1).ok_or(Refused::Selections)?;
        match &item.node {
            Selection::Field(field) => spend(document, &field.node.selection_set.node, left)?,
            Selection::InlineFragment(fragment) => spend(document, &fragment.node.selection_set.node, left)?,
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    spend(document, &fragment.node.selection_set.node, left)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_list_is_refused_before_the_parser_sees_it() {
        let bomb = format!("{{ a(b: {}1{}) }}", "[".repeat(1_600), "]".repeat(1_600));
        assert_eq!(check(&bomb, None), Err(Refused::Nesting));
    }

    #[test]
    fn doubling_fragments_are_refused_without_expanding_them() {
        let mut bomb = String::from("{ ...F0 }");
        for level in 0..22 {
            bomb.push_str(&format!(" fragment F{level} on Query {{ ...F{0} ...F{0} }}", level + 1));
        }
        bomb.push_str(" fragment F22 on Query { a }");
        assert_eq!(check(&bomb, None), Err(Refused::Selections));
    }

    #[test]
    fn a_fragment_that_spreads_itself_is_refused() {
        let cycle = |name: &str| Err(Refused::Cycle(name.to_owned()));
        assert_eq!(check("{ ...F } fragment F on Query { ...F }", None), cycle("F"));
        let two = "{ ...A } fragment A on Query { viewer { id } ...B } fragment B on Query { a { ... { ...A } } }";
        assert_eq!(check(two, None), cycle("A"));
        let behind = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...B }";
        assert_eq!(check(behind, None), cycle("B"));
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let open = "[".repeat(100);
        let document = format!("# {open}\n{{ a(b: \"{open}\\\"{open}\", c: \"\"\"{open} \\\"\"\" {open}\"\"\") }}");
        assert!(check(&document, None).is_ok());
    }

    #[test]
    fn too_many_tokens_operations_and_root_fields_are_refused() {
        assert_eq!(check(&format!("{{ {} }}", "a ".repeat(4_001)), None), Err(Refused::Tokens));
        assert_eq!(check(&format!("{{ {} }}", "a ".repeat(21)), None), Err(Refused::RootFields));
        let many: String = (0..11).map(|n| format!("query Q{n} {{ a }} ")).collect();
        assert_eq!(check(&many, Some("Q1")), Err(Refused::Operations));
        assert_eq!(check(&"a".repeat(MAX_DOCUMENT + 1), None), Err(Refused::Document));
    }

    #[test]
    fn root_fields_are_counted_through_fragments() {
        let (ten, eleven) = ("a ".repeat(10), "b ".repeat(11));
        for kind in ["query", "mutation", "subscription"] {
            let inline = |second: &str| format!("{kind} {{ {ten} ... {{ {second} }} }}");
            assert_eq!(check(&inline(&eleven), None), Err(Refused::RootFields), "{kind}");
            assert!(check(&inline(&ten), None).is_ok(), "{kind}");
            let spread = format!(
                "{kind} {{ {ten} ...F }} fragment F on T {{ ... on T {{ ...G }} }} fragment G on T {{ {eleven} }}"
            );
            assert_eq!(check(&spread, None), Err(Refused::RootFields), "{kind}");
            let twice = format!("{kind} {{ ...F ...F ...F }} fragment F on T {{ {ten} }}");
            assert_eq!(check(&twice, None), Err(Refused::RootFields), "{kind}");
        }
    }

    #[test]
    fn the_operation_that_would_run_is_named() {
        let checked = check("query A { a } mutation B { b }", Some("B")).unwrap();
        assert_eq!(checked, Checked { kind: OperationType::Mutation, introspective: false });
        assert!(matches!(check("query A { a } mutation B { b }", None), Err(Refused::Operation(_))));
        assert!(matches!(check("query A { a }", Some("C")), Err(Refused::Operation(_))));
        assert!(matches!(check("{ a", None), Err(Refused::Syntax(_))));
        assert!(matches!(check("", None), Err(Refused::Syntax(_))));
    }

    #[test]
    fn only_a_document_that_asks_for_the_schema_alone_is_introspective() {
        let introspective = |document: &str| check(document, None).unwrap().introspective;
        assert!(introspective(
            "{ __typename __schema { types { name } } ... { ...F } } fragment F on Query { __typename }"
        ));
        assert!(!introspective("{ __typename ... { ...F } } fragment F on Query { viewer { email } }"));
    }

    #[test]
    fn an_unfinished_string_does_not_run_past_the_end() {
        for document in ["{ a(b: \"x", "{ a(b: \"\"\"x", "{ a(b: \"x\\", "{ a(b: \"\"\"\\\"\"\""] {
            assert!(matches!(check(document, None), Err(Refused::Syntax(_))), "{document}");
        }
    }
}
