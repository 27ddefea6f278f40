//! `call_webhook`: a call of an API by the key of its channel, whose answer later steps can use.

use super::{Effect, Failure, Kind, Next, Run};
use crate::expression::Expression;
use crate::outbound::channel::{is_header_name, is_header_value};
use crate::sequence::calling::{self, Keep, Method, On, PlannedCall, Request};
use crate::sequence::definition::{NAME, is_name};
use crate::sequence::names::{Named, Thing};
use crate::sequence::span::Span;
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest that one try may take, in seconds.
const MAX_SECONDS: u32 = 15;
/// The most parameters of the address, and the most headers.
const MAX_PARTS: usize = 20;
/// The largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// The longest parameter, in characters.
const MAX_QUERY: usize = 1_000;

/// Another system is called, by the key of its channel; later steps can use its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The key of the channel.
    pub channel: String,
    /// How it is called.
    #[serde(default = "usual", skip_serializing_if = "is_usual")]
    #[schemars(extend("default" = "POST"))]
    pub method: Method,
    /// What is added to the address, each value in CEL; null leaves the parameter out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Headers, each a template of one line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The JSON that is sent, in CEL. GET has none, the others need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long one try may take, in seconds: 1 to 15; without it, 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub timeout_seconds: Option<u32>,
    /// The name in `enrollment.vars` that the answer is kept under; without it, nothing is kept.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME))]
    pub name: Option<String>,
    /// What of the answer is kept, in CEL over the usual variables, `answer` and `status`; without it, the whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// How long it is tried; without it, a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_for: Option<Span>,
    /// The steps that follow.
    #[serde(default, skip_serializing_if = "On::is_empty")]
    pub on: On,
}

const fn usual() -> Method {
    Method::Post
}

/// Left out where it says nothing.
const fn is_usual(method: &Method) -> bool {
    matches!(method, Method::Post)
}

/// A value as a parameter of an address; none for null.
fn parameter(name: &str, value: Value) -> Result<Option<(String, String)>, Failure> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => {
            let message =
                format!("`query.{name}` gave a list or a map; a parameter is a text, a number, true or false");
            return Err(Failure::new("CALL_QUERY_INVALID", message));
        }
    };
    if text.chars().count() > MAX_QUERY {
        let message = format!("`query.{name}` is longer than {MAX_QUERY} characters");
        return Err(Failure::new("CALL_QUERY_INVALID", message));
    }
    Ok(Some((name.to_owned(), text)))
}

impl Config {
    fn check_parts(&self, check: &mut Check<'_, '_>) {
        for (field, count) in [("query", self.query.len()), ("headers", self.headers.len())] {
            if count > MAX_PARTS {
                check.problem(field, Rule::TooLarge, format!("at most {MAX_PARTS} can be given; take some away"));
            }
        }
        for (name, value) in &self.query {
            check.scalar(&format!("query.{name}"), value);
        }
        for (name, value) in &self.headers {
            let field = format!("headers.{name}");
            if !is_header_name(name) || ["authorization", "cookie"].contains(&name.as_str()) {
                let message = "this header is not a step's to write; its name has lower-case letters, digits and hyphens, and \
                               what authorises belongs into the channel";
                check.problem(&field, Rule::NameInvalid, message);
            }
            check.template(&field, value, Form::Line, &[], 500);
        }
    }

    fn check_answer(&self, check: &mut Check<'_, '_>) {
        if self.name.as_deref().is_some_and(|name| !is_name(name)) {
            let message = "a name has 1 to 60 lower-case letters, digits and `_`, a letter first";
            check.problem("as", Rule::NameInvalid, message);
        }
        if let Some(answer) = &self.answer {
            check.answer("answer", answer);
            if self.name.is_none() {
                check.problem("answer", Rule::Shape, "it is kept under the name that `as` gives; add `as`");
            }
        }
    }
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        calling::check(check, &self.channel, self.retry_for);
        self.check_parts(check);
        self.check_answer(check);
        match (&self.body, self.method) {
            (Some(_), Method::Get) => {
                check.problem("body", Rule::Shape, "a GET has no body; use `query`, or another method");
            }
            (Some(body), _) => check.expression("body", body),
            (None, Method::Get) => {}
            (None, method) => {
                let message = format!("a {method} needs a body; write `body: \"{{'email': contact.email}}\"`");
                check.problem("", Rule::Shape, message);
            }
        }
        if self.timeout_seconds.is_some_and(|seconds| !(1..=MAX_SECONDS).contains(&seconds)) {
            check.problem("timeout_seconds", Rule::Shape, format!("a try takes 1 to {MAX_SECONDS} seconds"));
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let value = |source: &str| Ok::<_, Failure>(Expression::parse(source)?.evaluate(run.context.data)?);
        let mut query = Vec::new();
        for (name, source) in &self.query {
            query.extend(parameter(name, value(source)?)?);
        }
        let mut headers = Vec::new();
        for (name, source) in &self.headers {
            let filled = run.render(source, Form::Line)?;
            if !is_header_value(&filled) {
                let message = format!("`headers.{name}` has characters that no header can have, or too many");
                return Err(Failure::new("CALL_HEADER_INVALID", message));
            }
            headers.push((name.clone(), filled));
        }
        let body = self.body.as_deref().map(|source| value(source).map(|body| body.to_string())).transpose()?;
        if body.as_ref().is_some_and(|body| body.len() > MAX_BODY) {
            let message = format!("the body is larger than {MAX_BODY} bytes; send less");
            return Err(Failure::new("CALL_BODY_TOO_LARGE", message));
        }
        let request = Request::Http {
            method: self.method,
            query,
            headers,
            body,
            timeout_seconds: self.timeout_seconds.unwrap_or(MAX_SECONDS),
            keep: self.name.clone().map(|name| Keep { name, mapping: self.answer.clone() }),
        };
        Ok(Next::Act(Box::new(Effect::Call(PlannedCall::of(run, &self.channel, request, self.retry_for)))))
    }

    fn targets(&self) -> Vec<(&'static str, &str)> {
        self.on.targets()
    }

    fn goes_on(&self) -> bool {
        self.on.success.is_none()
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named { field: "channel", thing: Thing::Receiver, key: &self.channel }]
    }

    fn on(&self) -> Option<&On> {
        Some(&self.on)
    }
}
