//! Relay connections over the store's pages.

use crate::error::ApiError;
use async_graphql::OutputType;
use async_graphql::connection::{Connection, Edge};
use async_graphql::registry::{MetaType, Registry};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Display;
use std::str::FromStr;
use tandem_app::AppError;
use tandem_store::{Page, PageOf};

/// How many rows a page has when nobody says.
pub(crate) const DEFAULT: u64 = 20;
/// How many rows a page may have.
const MOST: i32 = 100;

/// Reads the four arguments of a connection.
pub(crate) fn page<C: FromStr>(
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> Result<Page<C>, ApiError> {
    let bad = |field: &str, rule: &str| {
        ApiError::from(AppError::refused("PAGE_INVALID", format!("{field}: {rule}"), Some(field)))
    };
    let count = |field, count: Option<i32>| match count {
        Some(count) if !(1..=MOST).contains(&count) => Err(bad(field, "1 to 100 rows can be asked for")),
        count => Ok(count.map(i32::unsigned_abs).map(u64::from)),
    };
    let cursor = |field, cursor: Option<String>| {
        let read = |text: String| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            String::from_utf8(bytes).ok()?.parse().ok()
        };
        cursor.map(|text| read(text).ok_or_else(|| bad(field, "this is not a cursor of this list"))).transpose()
    };
    if first.is_some() && last.is_some() {
        return Err(bad("last", "ask for `first` or for `last`, not for both"));
    }
    let last = count("last", last)?;
    Ok(Page {
        limit: count("first", first)?.or(last).unwrap_or(DEFAULT),
        after: cursor("after", after)?,
        before: cursor("before", before)?,
        backward: last.is_some(),
    })
}

/// Describes the connections, and the four arguments of every field that gives one.
pub(crate) fn describe(registry: &mut Registry) {
    let first = format!("How many from the beginning, 1 to {MOST}; {DEFAULT} where neither this nor `last` is given.");
    let arguments = [
        ("first", first),
        ("after", "Only what comes after this cursor.".to_owned()),
        ("last", format!("How many from the end, 1 to {MOST}.")),
        ("before", "Only what comes before this cursor.".to_owned()),
    ];
    for kind in registry.types.values_mut() {
        let MetaType::Object { name, description, fields, .. } = kind else { continue };
        if let Some(node) = name.strip_suffix("Connection") {
            *description = Some(format!("A page of `{node}` nodes."));
        }
        for field in fields.values_mut().filter(|field| field.ty.trim_end_matches('!').ends_with("Connection")) {
            for (name, words) in &arguments {
                if let Some(argument) = field.args.get_mut(*name) {
                    argument.description = Some(words.clone());
                }
            }
        }
    }
}

/// Makes a connection of a page; `cursor` gives the place of a row.
pub(crate) fn connection<T, N: OutputType, C: Display>(
    page: PageOf<T>,
    cursor: impl Fn(&T) -> C,
    node: impl Fn(T) -> N,
) -> Connection<String, N> {
    let mut connection = Connection::new(page.has_previous, page.has_next);
    connection.edges.extend(page.items.into_iter().map(|row| {
        let cursor = URL_SAFE_NO_PAD.encode(cursor(&row).to_string());
        Edge::new(cursor, node(row))
    }));
    connection
}
