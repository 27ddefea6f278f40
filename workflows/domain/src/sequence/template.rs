//! Templates of e-mails, titles and field values: Jinja's expressions, conditions and loops.
//!
//! A template comes from a person and is filled with data from other persons. So: an undefined variable is an error
//! (nobody gets "Dear ,"), HTML is escaped without a way to switch that off, nothing can be assigned, included or
//! called, and the time and the size of the result are bounded.

use crate::expression::typing::{Shape, suggestion};
use crate::expression::{Broken, with_stack};
use crate::memo::Memo;
use crate::sequence::environment;
use minijinja::value::Object;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Template, UndefinedBehavior, Value as Jinja};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// The longest template, in bytes.
pub const MAX_SOURCE: usize = 160 * 1024;
/// The longest result, in bytes.
pub const MAX_OUTPUT: usize = 256 * 1024;
/// The most instructions for one result.
const FUEL: u64 = 50_000;
/// The most sums of one tag.
const MAX_SUMS: usize = 16;
/// The statements that are allowed.
const STATEMENTS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];

/// The filters that are allowed.
const FILTERS: [&str; 11] =
    ["upper", "lower", "title", "capitalize", "trim", "default", "length", "first", "last", "round", "join"];
/// The tests that are allowed, after `is` or `is not`.
const TESTS: [&str; 2] = ["defined", "undefined"];

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

/// Checks a template's syntax.
pub fn check(source: &str, form: Form) -> Result<(), Refusal> {
    scan(source)?;
    let verdict =
        with_stack(|| engine(form).template_from_str(source).map(drop).map_err(|error| refusal(source, &error)));
    verdict.unwrap_or_else(broken_off)
}

/// The variables and fields that a template reads and that are not in `known`, each with the byte where it is first written
/// and a sentence. A template that cannot be read has none.
pub fn unknown(source: &str, form: Form, known: &Shape) -> Vec<(usize, String)> {
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

impl Compiled {
    /// Those of the data that it reads.
    fn variables(&self, data: &Value, instead: Option<(&str, &Value)>) -> Jinja {
        let value = |name: &str| match instead {
            Some((replaced, value)) if replaced == name => Some(value),
            _ => data.get(name),
        };
        let filled = |name: &str, fields: Option<&BTreeSet<String>>, value: &Value| match value {
            Value::Null => Jinja::from_object(Absent),
            value => with_records(value, fields, environment::environment().field(name)),
        };
        match &self.reads {
            Some(reads) => reads
                .iter()
                .filter_map(|(name, fields)| Some((name.as_str(), filled(name, fields.as_ref(), value(name)?))))
                .collect(),
            None => data
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, known)| (name.as_str(), filled(name, None, value(name).unwrap_or(known))))
                .collect(),
        }
    }
}

/// A variable that is null, such as the company of somebody who has none: it is not defined, and nor is any field of it, so
/// that a guard and a default work for both.
#[derive(Debug)]
struct Absent;

impl Object for Absent {
    /// Its custom fields are as absent as itself, so that `account.custom.plan | default("...")` reads like `account.name`.
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        (key.as_str() == Some("custom")).then(|| Jinja::from_object(Self))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }
}

fn is_absent(value: &Jinja) -> bool {
    value.is_undefined() || value.downcast_object_ref::<Absent>().is_some()
}

fn default(value: Jinja, other: Option<Jinja>, lax: Option<bool>) -> Jinja {
    if is_absent(&value) || (lax == Some(true) && !value.is_true()) {
        other.unwrap_or_else(|| Jinja::from(""))
    } else {
        value
    }
}

/// A value without what is null in it. A record of it that is not there, such as `enrollment.event`, is absent as a whole. Of an
/// object whose `fields` are all that is read, the others cannot change the result, and would have to be copied.
fn with_records(value: &Value, fields: Option<&BTreeSet<String>>, shape: Option<&Shape>) -> Jinja {
    let record = |key: &str| shape.and_then(|shape| shape.field(key)).is_some_and(|it| matches!(it, Shape::Record(_)));
    let is_read = |key: &String| fields.is_none_or(|fields| fields.contains(key));
    match value.as_object() {
        Some(entries) if fields.is_some() || entries.iter().any(|(key, value)| value.is_null() && record(key)) => {
            entries
                .iter()
                .filter(|(key, value)| is_read(key) && (!value.is_null() || record(key)))
                .map(|(key, value)| match value {
                    Value::Null => (key.as_str(), Jinja::from_object(Absent)),
                    value => (key.as_str(), Jinja::from_serialize(without_nulls(value))),
                })
                .collect()
        }
        _ => Jinja::from_serialize(without_nulls(value)),
    }
}

fn without_nulls(data: &Value) -> Value {
    match data {
        Value::Object(entries) => {
            let there = entries.iter().filter(|(_, value)| !value.is_null());
            Value::Object(there.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

fn broken_off<T>(broken: Broken) -> Result<T, Refusal> {
    match broken {
        Broken::NoThread => Err(Refusal::NoThread),
        Broken::Panicked => Err(Refusal::Failed { line: 1, message: "it broke off".to_owned() }),
    }
}

/// Only what cannot grow without bound: no assignments, macros, inclusions, nor filters that multiply.
fn engine(form: Form) -> Environment<'static> {
    use minijinja::filters;
    let mut environment = Environment::empty();
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let escape = if form == Form::Html { AutoEscape::Html } else { AutoEscape::None };
    environment.set_auto_escape_callback(move |_| escape);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("title", filters::title);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("default", default);
    environment.add_filter("length", filters::length);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("round", filters::round);
    environment.add_filter("join", join);
    environment.add_test("defined", |value: &Jinja| !is_absent(value));
    environment.add_test("undefined", is_absent);
    environment.set_formatter(|output, state, value| {
        if is_absent(value) {
            return Err(ErrorKind::UndefinedError.into());
        }
        minijinja::escape_formatter(output, state, value)
    });
    environment
}

/// The parts with a separator between them; bounded, since both may come from data.
fn join(parts: Jinja, separator: Option<String>) -> Result<String, Error> {
    let separator = separator.unwrap_or_default();
    let mut joined = String::new();
    for (at, part) in parts.try_iter()?.enumerate() {
        if at > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&part.to_string());
        if joined.len() > MAX_OUTPUT {
            return Err(Error::new(ErrorKind::InvalidOperation, "the joined text is too large"));
        }
    }
    Ok(joined)
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
            let variable = error.range().and_then(|range| whole_name(source, range)).unwrap_or("a variable");
            Refusal::Undefined { variable: variable.trim().chars().take(80).collect(), line }
        }
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
            Refusal::Syntax { line, message }
        }
        _ => Refusal::Failed { line, message },
    }
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

/// Bounds the size, and lets only conditions and loops through.
fn scan(source: &str) -> Result<(), Refusal> {
    if source.len() > MAX_SOURCE {
        return Err(Refusal::Syntax { line: 1, message: format!("it is larger than {MAX_SOURCE} bytes") });
    }
    let mut rest = source;
    let line = |rest: &str| source[..source.len() - rest.len()].matches('\n').count() + 1;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        if let Some(inside) = rest.strip_prefix("{#") {
            rest = inside.find("#}").map_or("", |end| &inside[end + 2..]);
        } else if let Some(inside) = rest.strip_prefix("{%") {
            let word = inside.trim_start_matches(['-', '+']).trim_start();
            let word: String = word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').take(40).collect();
            if !STATEMENTS.contains(&word.as_str()) {
                let message = format!("`{{% {word} %}}` is not allowed; only if and for are");
                return Err(Refusal::Syntax { line: line(rest), message });
            }
            check_tag(inside).map_err(|message| Refusal::Syntax { line: line(rest), message })?;
            rest = inside;
        } else if let Some(inside) = rest.strip_prefix("{{") {
            check_tag(inside).map_err(|message| Refusal::Syntax { line: line(rest), message })?;
            rest = inside;
        } else {
            rest = &rest[1..];
        }
    }
    Ok(())
}

/// Checks the names of filters and tests from the beginning of a tag to its end: the engine looks them up only when
/// it comes to them, which may be months after the definition was published.
fn check_tag(inside: &str) -> Result<(), String> {
    let (mut rest, mut sums) = (inside, 0);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if rest.starts_with("}}") || rest.starts_with("%}") {
            break;
        }
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        // They make much of little: lists repeated, texts doubled, faster than the engine counts its steps.
        match c {
            '*' => return Err("`*` is not allowed".to_owned()),
            '~' | '+' => sums += 1,
            _ => {}
        }
        if sums > MAX_SUMS {
            return Err(format!("at most {MAX_SUMS} of `~` and `+` may be in one tag"));
        }
        rest = match c {
            '"' | '\'' => {
                let mut escaped = false;
                let end = after.find(|d: char| {
                    let closes = d == c && !escaped;
                    escaped = d == '\\' && !escaped;
                    closes
                });
                end.map_or("", |end| &after[end + 1..])
            }
            '|' => {
                let name = word(after.trim_start());
                if !FILTERS.contains(&name.as_str()) {
                    return Err(format!("there is no filter `{name}`; there are {}", FILTERS.join(", ")));
                }
                after
            }
            _ if c.is_alphabetic() || c == '_' => {
                let name = word(rest);
                let after = &rest[name.len()..];
                if name == "is" {
                    let tested = after.trim_start();
                    let tested = tested.strip_prefix("not ").map_or(tested, str::trim_start);
                    let test = word(tested);
                    if !TESTS.contains(&test.as_str()) {
                        return Err(format!("there is no test `{test}`; there are {}", TESTS.join(", ")));
                    }
                }
                after
            }
            _ => after,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(source: &str, data: &Value) -> Result<String, Refusal> {
        render(source, Form::Text, data)
    }

    #[test]
    fn values_are_filled_in_and_html_is_escaped() {
        let data = json!({"contact": {"first_name": "A<b>", "tags": ["x", "y"]}});
        assert_eq!(text("Hi {{ contact.first_name }}!", &data).unwrap(), "Hi A<b>!");
        assert_eq!(render("<p>{{ contact.first_name }}</p>", Form::Html, &data).unwrap(), "<p>A&lt;b&gt;</p>");
        assert_eq!(text("{% for t in contact.tags %}{{ t|upper }}{% endfor %}", &data).unwrap(), "XY");
        assert_eq!(text("{{ contact.tags|join(', ') }}", &data).unwrap(), "x, y");
        assert_eq!(text("{{ contact.phone|default('none') }}", &data).unwrap(), "none");
        assert_eq!(text("{% if contact.phone is defined %}y{% else %}n{% endif %}", &data).unwrap(), "n");
    }

    #[test]
    fn whatever_way_a_part_is_read_it_is_there() {
        let data = json!({
            "contact": {"first_name": "Ann", "custom": {"plan": "gold"}}, "now": "2026-03-02T09:00:00Z", "which": "first_name",
        });
        for (source, expected) in [
            ("{{ now[:10] }}", "2026-03-02"),
            ("{{ contact.first_name[:2] }}", "An"),
            ("{{ contact['first_name'] }}", "Ann"),
            ("{{ contact[which] }}", "Ann"),
            ("{{ contact.custom['plan'] }}", "gold"),
            ("{{ contact['custom'].plan }} {{ contact.first_name }}", "gold Ann"),
            ("{{ (contact).first_name }}", "Ann"),
            ("{% for key in contact %}{{ key }} {% endfor %}", "custom first_name "),
            ("{% if contact.custom.plan == 'gold' %}{{ contact.custom.plan | upper }}{% endif %}", "GOLD"),
        ] {
            assert_eq!(text(source, &data).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_line_break_in_a_value_cannot_forge_a_header() {
        let data = json!({"contact": {"first_name": "A\r\nBcc: all@example.com"}});
        let subject = render("Hi {{ contact.first_name }}", Form::Line, &data).unwrap();
        assert_eq!(subject, "Hi A Bcc: all@example.com");
    }

    #[test]
    fn an_undefined_variable_is_named_with_its_line() {
        let refusal = text("Hi\n{{ contact.fist_name }}", &json!({"contact": {"fist_name": null}})).unwrap_err();
        assert_eq!(refusal, Refusal::Undefined { variable: "contact.fist_name".to_owned(), line: 2 });
    }

    #[test]
    fn who_has_no_company_is_greeted_by_the_default() {
        let data = json!({"account": null});
        for source in [
            "{{ account.name | default('yours', true) }}",
            "{% if account.name is defined %}{{ account.name }}{% else %}yours{% endif %}",
            "{% if account %}{{ account.name }}{% else %}yours{% endif %}",
            "{% if account is defined %}{{ account.name }}{% else %}yours{% endif %}",
            "{% if account is undefined %}yours{% else %}{{ account.name }}{% endif %}",
            "{{ account | default('yours') }}",
            "{{ account.custom.plan | default('yours', true) }}",
            "{% if account.custom.plan is defined %}{{ account.custom.plan }}{% else %}yours{% endif %}",
        ] {
            assert_eq!(text(source, &data).unwrap(), "yours", "{source}");
        }
        for source in
            ["{{ account.name }}", "{{ account }}", "{{ account.name | upper }}", "{{ account.custom.plan | upper }}"]
        {
            assert_eq!(text(source, &data).unwrap_err().code(), "TEMPLATE_UNDEFINED", "{source}");
        }
        assert_eq!(text("{{ account.name | default }}.", &data).unwrap(), ".");
        let refused = text("{{ account.custom.plan }}", &data).unwrap_err();
        assert_eq!(refused, Refusal::Undefined { variable: "account.custom.plan".to_owned(), line: 1 });
        // What a run heard while it waited, where it heard nothing.
        let silent = json!({"enrollment": {"step": "a", "event": null, "vars": {"x": null}}});
        assert_eq!(text("{{ enrollment.event.name | default('nothing') }}", &silent).unwrap(), "nothing");
        assert_eq!(
            text("{% if enrollment.event is defined %}{{ enrollment.event.name }}{% endif %}", &silent).unwrap(),
            ""
        );
        assert_eq!(text("{{ enrollment.step }}{{ enrollment.vars.x | default('-') }}", &silent).unwrap(), "a-");
        assert!(text("{{ enrollment.event.name }}", &silent).is_err());
        let there = json!({"account": {"name": "Acme", "tier": null}});
        for source in
            ["{{ account.name | default('yours') }}", "{% if account is defined %}{{ account.name }}{% endif %}"]
        {
            assert_eq!(text(source, &there).unwrap(), "Acme", "{source}");
        }
    }

    #[test]
    fn names_that_do_not_exist_are_found_without_data() {
        let contact = Shape::Record(vec![("first_name", Shape::Text), ("custom", Shape::Map)]);
        let known = Shape::Record(vec![("contact", contact), ("list", Shape::List(Box::new(Shape::Text)))]);
        let found = |source: &str| unknown(source, Form::Text, &known);
        assert_eq!(
            found("Hi\n{{ contcat.first_name }}"),
            [(6, "there is no variable `contcat`; did you mean `contact`?".to_owned())]
        );
        let said = "`contact` has no `fist_name`; did you mean `first_name`?".to_owned();
        assert_eq!(found("Hi {{ contact.fist_name }}, {{ contact.fist_name | upper }}"), [(14, said)]);
        for right in [
            "{{ contact.custom.anything.at_all }}",
            "{% for one in list %}{{ one }}{% endfor %}",
            "{{ contact.first_name|default('x') }}",
        ] {
            assert_eq!(found(right), [], "{right}");
        }
        assert_eq!(found("{{ f() }}").len(), 1);
    }

    #[test]
    fn what_is_not_a_template_is_refused() {
        for source in [
            "{{ contact",
            "{% if a %}",
            "{{ a|nosuch }}",
            "{% set a = 1 %}",
            "{% include 'x' %}",
            "{{ a|safe }}",
            "{% macro m() %}{% endmacro %}",
        ] {
            let refusal = text(source, &json!({"a": 1, "contact": 1})).unwrap_err();
            assert_eq!(refusal.code(), "TEMPLATE_SYNTAX", "{source}: {refusal}");
            assert_eq!(check(source, Form::Text).unwrap_err().code(), "TEMPLATE_SYNTAX", "{source}");
        }
    }

    #[test]
    fn time_and_size_are_bounded() {
        let data = json!({"list": (0..1000).collect::<Vec<_>>(), "long": "x".repeat(5000)});
        let twice = "{% for a in list %}{% for b in list %}{{ a }}{% endfor %}{% endfor %}";
        assert_eq!(text(twice, &data).unwrap_err().code(), "TEMPLATE_FAILED");
        assert_eq!(text("{% for a in list %}{{ long }}{% endfor %}", &data).unwrap_err().code(), "TEMPLATE_FAILED");
        assert_eq!(text("{{ list|join(long) }}", &data).unwrap_err().code(), "TEMPLATE_FAILED");
        assert_eq!(text(&"x".repeat(MAX_SOURCE + 1), &data).unwrap_err().code(), "TEMPLATE_SYNTAX");
        assert!(text(&format!("{{{{ {} }}}}", "(".repeat(30_000)), &data).is_err());
        assert!(text(&"{% if 1 %}".repeat(6_000), &data).is_err());
    }
}
