//! What commands print: tables and details for people, JSON for programs.

use super::Outcome;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_store::PageOf;

/// How much of an error a table shows.
pub(super) const SHOWN: usize = 60;

/// Whether something could not be written that somebody wanted to read.
static LOST: AtomicBool = AtomicBool::new(false);

/// Writes a line to standard output. Whoever reads may stop early (`| head`); that is no failure. Any other is told, and the
/// command fails in the end.
pub(super) fn line(words: std::fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{words}")
        && error.kind() != std::io::ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        eprintln!("error: cannot write to standard output: {error}");
    }
}

/// Whether every line could be written, or nobody wanted to read it.
pub(super) fn is_whole() -> bool {
    !LOST.load(Ordering::Relaxed)
}

/// Writes to standard output. Whoever reads may stop early (`| head`); that is no failure.
pub(super) fn put(text: &str) -> anyhow::Result<Outcome> {
    match std::io::stdout().write_all(format!("{}\n", text.trim_end()).as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Outcome::Done),
    }
}

pub(super) fn put_json(value: &Value) -> anyhow::Result<Outcome> {
    put(&serde_json::to_string_pretty(value)?)
}

/// A text without what would move the cursor of a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn short(text: &str) -> String {
    let text = plain(text);
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN - 1).chain(['…']).collect() }
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

/// Columns as wide as their widest cell.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Everything of one thing, a line a field.
pub(super) fn details(fields: &Value) -> String {
    let mut text = String::new();
    for (name, value) in fields.as_object().into_iter().flatten() {
        let shown = match value {
            Value::Null => "-".to_owned(),
            Value::String(value) => plain(value),
            value => value.to_string(),
        };
        text.push_str(&format!("{name:<12} {shown}\n"));
    }
    text
}

/// A list: JSON, every field of those that were named, or a table; `none` where it is empty.
pub(super) fn list<T, const N: usize>(
    page: PageOf<T>,
    named: bool,
    as_json: bool,
    none: &str,
    fields: impl Fn(&T) -> Value,
    head: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> anyhow::Result<Outcome> {
    let values = || page.items.iter().map(&fields).collect::<Vec<_>>();
    let done = if as_json {
        put_json(&Value::Array(values()))
    } else if page.items.is_empty() {
        put(none)
    } else if named {
        put(&values().iter().map(details).collect::<Vec<_>>().join("\n"))
    } else {
        put(&table(head, page.items.iter().map(row)))
    };
    if page.has_next {
        eprintln!("there are more; --limit shows more of them");
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".to_owned(), "é".to_owned()], ["1000".to_owned(), String::new()]];
        assert_eq!(table(["ID", "B"], rows), "ID    B\n1     é\n1000\n");
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        assert_eq!(short("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(short(&"x".repeat(100)).chars().count(), SHOWN);
    }
}
