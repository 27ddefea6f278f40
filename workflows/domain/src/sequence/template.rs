//! Templates of e-mails, titles and field values: Jinja's expressions, conditions and loops.
//!
//! A template comes from a person and is filled with data from other persons. So: an undefined variable is an error
//! (nobody gets "Dear ,"), HTML is escaped without a way to switch that off, nothing can be assigned, included or
//! called, and the time, the size of the result and the memory that it is made in are bounded.

mod engine;
mod printed;
mod scan;
mod values;

use crate::expression::typing::{Shape, suggestion};
use crate::expression::{Broken, with_stack};
use crate::memo::Memo;
use engine::engine;
use minijinja::{Environment, Error, ErrorKind, Template};
pub(super) use printed::{spoilt_link, whole_records};
use scan::scan;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// The longest template, in bytes.
pub const MAX_SOURCE: usize = 160 * 1024;
/// The longest result, in bytes.
pub const MAX_OUTPUT: usize = 256 * 1024;
/// What a result is for, which decides how values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Plain text of several lines: nothing is escaped.
    Text,
    /// One line, such as a subject: line breaks and control characters in values become spaces.
    Line,
    /// HTML: values are escaped.
    Html,
}

/// Why a template is refused, or could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not a template, or is larger than allowed.
    #[error("the template is not valid at line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It reads something that is not there.
    #[error(
        "`{variable}` in line {line} has no value; guard it with `{{% if {variable} is defined %}}` or `| default(\"...\")`"
    )]
    Undefined {
        /// The variable, as written.
        variable: String,
        /// Counted from 1.
        line: usize,
    },
    /// It cannot be filled with these data, or grows too large.
    #[error("the template cannot be filled at line {line}: {message}")]
    Failed {
        /// Counted from 1.
        line: usize,
        /// What went wrong.
        message: String,
    },
    /// The process had no thread to spare. It says nothing about the template.
    #[error("there was no thread left to fill the template; try again")]
    NoThread,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "TEMPLATE_SYNTAX",
            Self::Undefined { .. } => "TEMPLATE_UNDEFINED",
            Self::Failed { .. } | Self::NoThread => "TEMPLATE_FAILED",
        }
    }

    /// The input field concerned: a template is always part of something larger that knows its own name.
    pub const fn field(&self) -> Option<&'static str> {
        None
    }

    /// The line within the template, counted from 1.
    pub const fn line(&self) -> usize {
        match self {
            Self::Syntax { line, .. } | Self::Undefined { line, .. } | Self::Failed { line, .. } => *line,
            Self::NoThread => 1,
        }
    }
}

/// Checks a template: its syntax, its size, and that it cannot make more than is allowed of whatever data it is filled with.
/// What passes here is filled, by [`render`], within 32 MiB beside its data, unless these are large texts themselves.
pub fn check(source: &str, form: Form) -> Result<(), Refusal> {
    scan(source)?;
    let verdict =
        with_stack(|| engine(form).template_from_str(source).map(drop).map_err(|error| refusal(source, &error)));
    verdict.unwrap_or_else(broken_off)
}

/// The variables and fields that a template reads and that are not in `known`, each with the byte where it is first written
/// and a sentence. A template that [`check`] refuses has none.
pub fn unknown(source: &str, form: Form, known: &Shape) -> Vec<(usize, String)> {
    if scan(source).is_err() {
        return Vec::new();
    }
    let read = with_stack(|| {
        let environment = engine(form);
        let template = environment.template_from_str(source).ok()?;
        let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        names.sort_unstable();
        Some(names)
    });
    let mut found = Vec::new();
    for name in read.ok().flatten().unwrap_or_default() {
        let (mut shape, mut path) = (known, String::new());
        for part in name.split('.') {
            let Some(inner) = shape.field(part) else {
                let hint = suggestion(part, &shape.fields());
                let message = match path.as_str() {
                    "" => format!("there is no variable `{part}`{hint}"),
                    path => format!("`{path}` has no `{part}`{hint}"),
                };
                // In `{{ a.b }}` the name may be written with blanks, which only blurs the place.
                let whole = if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
                let at = source.find(&whole).map(|at| at + whole.len() - part.len());
                found.push((at.or_else(|| source.find(part)).unwrap_or(0), message));
                break;
            };
            shape = inner;
            path = if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Fills a template. `data` is a JSON object whose top-level keys are the variables. What is null there counts as not
/// defined: nobody gets "Dear none".
pub fn render(source: &str, form: Form, data: &Value) -> Result<String, Refusal> {
    render_with(source, form, data, None)
}

/// The same with another value for one of the variables.
pub(crate) fn render_with(
    source: &str,
    form: Form,
    data: &Value,
    instead: Option<(&str, &Value)>,
) -> Result<String, Refusal> {
    let filled = with_stack(|| {
        let compiled = compiled(source, form)?;
        let template = compiled.environment.get_template(NAME).map_err(|error| refusal(source, &error))?;
        let data = compiled.variables(data, instead);
        let mut output = Bounded { bytes: Vec::new(), full: false };
        match template.render_captured_to(&data, &mut output) {
            Ok(_) => Ok(String::from_utf8_lossy(&output.bytes).into_owned()),
            Err(_) if output.full => {
                Err(Refusal::Failed { line: 1, message: format!("the result is larger than {MAX_OUTPUT} bytes") })
            }
            Err(error) => Err(refusal(source, &error)),
        }
    });
    let text = filled.unwrap_or_else(broken_off)?;
    if form != Form::Line && text.contains('\0') {
        let message = "the result holds the character NUL (U+0000), which cannot be stored; take it out".to_owned();
        return Err(Refusal::Failed { line: 1, message });
    }
    Ok(match form {
        Form::Line => text
            .split(|c: char| c.is_control() || c.is_whitespace())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        Form::Text | Form::Html => text,
    })
}

/// The name of the only template of an environment.
const NAME: &str = "<string>";

/// A template that was read, in an environment of its own.
struct Compiled {
    environment: Environment<'static>,
    /// The variables that it reads, each with the fields that it reads of it; none where it reads the whole. Without them, it may
    /// read anything.
    reads: Option<BTreeMap<String, Option<BTreeSet<String>>>>,
}

/// What a template reads. Where it has brackets that is not known: the library does not see what is read by a slice.
fn reads(source: &str, template: &Template<'_, '_>) -> Option<BTreeMap<String, Option<BTreeSet<String>>>> {
    if source.contains('[') {
        return None;
    }
    let mut reads: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    for path in template.undeclared_variables(true) {
        let mut parts = path.split('.');
        let (name, field) = (parts.next().unwrap_or_default(), parts.next());
        let fields = reads.entry(name.to_owned()).or_insert_with(|| Some(BTreeSet::new()));
        match (field, &mut *fields) {
            (Some(field), Some(fields)) => drop(fields.insert(field.to_owned())),
            _ => *fields = None,
        }
    }
    Some(reads)
}

/// Reads a template. One that was read before is not read again.
fn compiled(source: &str, form: Form) -> Result<Arc<Compiled>, Refusal> {
    static READ: LazyLock<[Memo<Arc<Compiled>>; 3]> = LazyLock::new(|| [Memo::new(), Memo::new(), Memo::new()]);
    let [text, line, html] = &*READ;
    let memo = match form {
        Form::Text => text,
        Form::Line => line,
        Form::Html => html,
    };
    memo.of(source, || {
        scan(source)?;
        let mut environment = engine(form);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| refusal(source, &error))?;
        let template = environment.get_template(NAME).map_err(|error| refusal(source, &error))?;
        Ok(Arc::new(Compiled { reads: reads(source, &template), environment }))
    })
}

fn broken_off<T>(broken: Broken) -> Result<T, Refusal> {
    match broken {
        Broken::NoThread => Err(Refusal::NoThread),
        Broken::Panicked => Err(Refusal::Failed { line: 1, message: "it broke off".to_owned() }),
    }
}

struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + part.len() > MAX_OUTPUT {
            self.full = true;
            return Err(std::io::Error::other("full"));
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn refusal(source: &str, error: &Error) -> Refusal {
    // The cause that a nested evaluation wraps knows the place better.
    let line = error.line().unwrap_or(1);
    let message: String =
        error.detail().map_or_else(|| error.kind().to_string(), str::to_owned).chars().take(200).collect();
    match error.kind() {
        ErrorKind::UndefinedError => {
            let variable = error.range().and_then(|range| whole_name(source, range)).map(name_in);
            let variable = variable.and_then(|name| before_filter(source, name)).unwrap_or("a variable");
            Refusal::Undefined { variable: variable.trim().chars().take(80).collect(), line }
        }
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
            Refusal::Syntax { line, message }
        }
        _ => Refusal::Failed { line, message },
    }
}

/// The name itself, which is a part of the source; where it is a filter's, the one that is filtered, if there is one.
fn before_filter<'s>(source: &'s str, name: &'s str) -> Option<&'s str> {
    let at = (name.as_ptr() as usize).checked_sub(source.as_ptr() as usize)?;
    let Some(filtered) = source.get(..at).and_then(|before| before.trim_end().strip_suffix('|')) else {
        return Some(name);
    };
    let filtered = filtered.trim_end();
    let inner = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let found = &filtered[filtered.trim_end_matches(inner).len()..];
    Some(found).filter(|found| !found.is_empty())
}

/// The name that an operation reads first, of which the engine tells only as a whole: `if contact.title in ['CEO']`.
fn name_in(operation: &str) -> &str {
    let operation = operation.trim();
    if !operation.contains(|c: char| c.is_whitespace() || "~|()+-<>=!%/".contains(c)) {
        return operation;
    }
    let inner = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let mut rest = operation;
    while let Some(at) = rest.find(|c: char| c.is_alphabetic() || matches!(c, '_' | '"' | '\'')) {
        rest = &rest[at..];
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            rest = rest[1..].split_once(quote).map_or("", |(_, behind)| behind);
            continue;
        }
        let name = &rest[..rest.find(|c: char| !inner(c)).unwrap_or(rest.len())];
        let is_word =
            ["if", "elif", "else", "for", "in", "not", "and", "or", "is", "true", "false", "none"].contains(&name);
        if !is_word && !name.is_empty() {
            return name;
        }
        rest = &rest[name.len()..];
    }
    operation
}

/// The name at a place of a template. Of one with several dots the engine tells only the part from the first dot on.
fn whole_name(source: &str, range: Range<usize>) -> Option<&str> {
    let part = source.get(range.clone())?;
    if !part.starts_with('.') {
        return Some(part);
    }
    let before = source.get(..range.start)?;
    let name = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
    source.get(name.len()..range.end)
}

#[cfg(test)]
mod tests;
