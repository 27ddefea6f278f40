//! The engine that fills templates, with what is switched on in it.

use super::values::{default, is_absent};
use super::{Form, MAX_OUTPUT};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value as Jinja};

/// The most instructions for one result.
const FUEL: u64 = 50_000;

/// Only what cannot grow without bound: no assignments, macros, inclusions, nor filters that multiply.
pub(super) fn engine(form: Form) -> Environment<'static> {
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
