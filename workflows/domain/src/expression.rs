//! Conditions and computed values in the Common Expression Language (CEL).
//!
//! An expression comes from a person, so nothing in it may hurt the process: its length, its nesting, its number of
//! tokens and its loops are bounded before and after parsing, the parser and the interpreter get a stack that holds
//! the largest expression allowed, and a panic in them becomes a refusal. Evaluation is pure: the language has no
//! clock, no randomness and no input or output.

pub mod constants;
pub mod guards;
mod hints;
mod place;
pub mod typing;

use crate::memo::Memo;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::objects::{Key, Map};
use cel::{Context, Env, Value as CelValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};

/// The longest expression, in characters.
pub const MAX_CHARS: usize = 2_000;
/// The deepest nesting of brackets, and the most `? :` choices.
pub const MAX_NESTING: usize = 32;
/// The most tokens.
pub const MAX_TOKENS: usize = 400;
/// The most loops (`all`, `exists`, `exists_one`, `map`, `filter`) inside one another.
pub const MAX_LOOP_NESTING: usize = 2;

/// How often the innermost loop may go round at worst.
const MAX_ROUNDS: u64 = 100_000;
/// How much memory the texts and lists that sums make may take at worst, in bytes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// What one value of a list takes, in bytes, about.
const BYTES_OF_A_VALUE: u64 = 32;

/// The stack for parsing and evaluating, in bytes. The worst expression within the bounds took under 8 MiB in a debug
/// build, more than a thread of a server has; of what is reserved here only the part that is used becomes memory.
const STACK: usize = 64 * 1024 * 1024;

/// The environment is the standard one and never changes; building it takes longer than most evaluations.
static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Why an expression is refused, or could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not an expression, or is larger than allowed.
    #[error("the expression is not valid at line {line}, column {column}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// It is valid, but has no value for these data.
    #[error("the expression `{source_text}` has no value for these data: {message}")]
    Failed {
        /// The expression.
        source_text: String,
        /// What went wrong, and what helps, as far as that is known.
        message: String,
    },
    /// It would take too long, or too much memory, over these data.
    #[error(
        "the expression `{source_text}` is too costly over these data: its loops would go round {rounds} times at worst"
    )]
    TooCostly {
        /// The expression.
        source_text: String,
        /// How often its innermost loop would go round at worst.
        rounds: u64,
    },
    /// Its value holds what neither database can keep as text.
    #[error(
        "the value of the expression `{source_text}` holds the character NUL (U+0000), which cannot be stored; take it out"
    )]
    Nul {
        /// The expression.
        source_text: String,
    },
    /// The process had no thread to spare. It says nothing about the expression.
    #[error("there was no thread left to evaluate the expression; try again")]
    NoThread,
    /// A condition gave something other than true or false.
    #[error("the condition `{source_text}` gave {given}, not true or false; compare the value with something")]
    NotBoolean {
        /// The expression.
        source_text: String,
        /// The kind of value it gave.
        given: &'static str,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "EXPRESSION_SYNTAX",
            Self::Failed { .. } | Self::NoThread => "EXPRESSION_FAILED",
            Self::TooCostly { .. } => "EXPRESSION_TOO_COSTLY",
            Self::NotBoolean { .. } => "EXPRESSION_NOT_BOOLEAN",
            Self::Nul { .. } => "EXPRESSION_NUL",
        }
    }

    /// The input field concerned: an expression is always part of something larger that knows its own name.
    pub const fn field(&self) -> Option<&'static str> {
        None
    }

    /// The line and the column within the expression, counted from 1, where they are known.
    pub const fn place(&self) -> Option<(usize, usize)> {
        match self {
            Self::Syntax { line, column, .. } => Some((*line, *column)),
            _ => None,
        }
    }
}

/// Whether a text in a value, or one of its keys, holds the character NUL (U+0000): PostgreSQL keeps no such text, so nobody may
/// decide on one that is kept.
pub fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(entries) => entries.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A parsed expression, and the text it was parsed from. Equal texts are equal expressions; stored as the text.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    tree: Arc<IdedExpr>,
    /// The variables it reads, each with the fields that it reads of it; none where it reads the whole.
    reads: Arc<Reads>,
    /// How many loops are inside one another.
    loops: u32,
}

impl Expression {
    /// Parses an expression. One that was parsed before is not parsed again.
    pub fn parse(source: &str) -> Result<Self, Refusal> {
        static PARSED: LazyLock<Memo<Expression>> = LazyLock::new(Memo::new);
        PARSED.of(source, || Self::parse_anew(source))
    }

    fn parse_anew(source: &str) -> Result<Self, Refusal> {
        scan(source)?;
        let parsed = with_stack(|| {
            let tree = STANDARD.parser().parse(source).map_err(|errors| {
                let first = errors.errors.first();
                let (line, column) = first.map_or((1, 1), |e| (at_least_one(e.pos.0), at_least_one(e.pos.1)));
                // The end of the text counts as a line of its own there.
                let line = line.min(source.lines().count());
                let message = first.map_or_else(|| "it cannot be read".to_owned(), |e| short(&e.msg));
                Refusal::Syntax { line, column, message }
            })?;
            // The tree may be deep: it is walked here.
            let mut reads = Reads::new();
            free(&tree, &mut Vec::new(), &mut reads);
            Ok((loops(&tree), tree, reads))
        });
        let (loops, tree, reads) = parsed.unwrap_or_else(|broken| match broken {
            Broken::NoThread => Err(Refusal::NoThread),
            Broken::Panicked => Err(syntax("it cannot be read")),
        })?;
        if loops > MAX_LOOP_NESTING {
            return Err(syntax(&format!("at most {MAX_LOOP_NESTING} loops may be inside one another")));
        }
        let loops = u32::try_from(loops).unwrap_or(u32::MAX);
        let reads = Arc::new(reads);
        Ok(Self { source: source.into(), tree: Arc::new(tree), reads, loops })
    }

    /// The text it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value of the expression. `data` is a JSON object whose top-level keys are the variables. Whatever it comes to can be
    /// stored.
    pub fn evaluate(&self, data: &Value) -> Result<Value, Refusal> {
        self.afford(data)?;
        let failed = |message: &str| {
            let message = format!("{}{}", short(message), hints::hint(message));
            Refusal::Failed { source_text: self.source.to_string(), message }
        };
        let evaluated = with_stack(|| {
            let mut context = Context::with_env(Arc::clone(&STANDARD));
            // What it does not read cannot change its value, and would have to be copied.
            for (name, fields) in &*self.reads {
                let value = match (data.get(name), fields) {
                    (Some(Value::Object(entries)), Some(fields)) => {
                        let there = fields.iter().filter_map(|field| entries.get_key_value(field));
                        map_to_cel(there)
                    }
                    (Some(value), _) => to_cel(value),
                    (None, _) => continue,
                };
                context.add_variable_from_value(name.as_str(), value);
            }
            let value = CelValue::resolve(&self.tree, &context).map_err(|error| failed(&error.to_string()))?;
            let value = value.json().map_err(|_| failed("its value has no JSON form"))?;
            if holds_nul(&value) { Err(Refusal::Nul { source_text: self.source.to_string() }) } else { Ok(value) }
        });
        evaluated.unwrap_or_else(|broken| match broken {
            Broken::NoThread => Err(Refusal::NoThread),
            Broken::Panicked => Err(failed("the evaluation broke off")),
        })
    }

    /// Refuses what could go on for long, or grow large, over these data, before it begins: once begun it cannot be stopped.
    fn afford(&self, data: &Value) -> Result<(), Refusal> {
        // Without loops and sums nothing grows.
        if self.loops == 0 && !self.source.contains('+') {
            return Ok(());
        }
        let (mut longest, mut largest) = (0, 0);
        measure(data, &mut longest, &mut largest);
        // A list may also be written into the expression.
        let written = self.source.matches(',').count() as u64 + 1;
        let rounds = longest.max(written).saturating_pow(self.loops);
        // Within a loop each sum may double what the one before it made; a sum of lists copies them.
        let sums = self.source.matches('+').count();
        let growth =
            if self.loops == 0 { sums as u64 + 1 } else { 1_u64.checked_shl(sums.min(62) as u32).unwrap_or(u64::MAX) };
        let bytes = largest.max(longest.saturating_mul(BYTES_OF_A_VALUE)).saturating_mul(growth);
        let bytes = if sums == 0 { 0 } else { bytes.saturating_mul(rounds) };
        if rounds > MAX_ROUNDS || bytes > MAX_BYTES {
            return Err(Refusal::TooCostly { source_text: self.source.to_string(), rounds });
        }
        Ok(())
    }

    /// Whether the condition holds. Anything other than true or false is refused.
    pub fn holds(&self, data: &Value) -> Result<bool, Refusal> {
        let given = match self.evaluate(data)? {
            Value::Bool(holds) => return Ok(holds),
            Value::Null => "null",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        };
        Err(Refusal::NotBoolean { source_text: self.source.to_string(), given })
    }

    /// The names of the variables it reads, sorted.
    pub fn variables(&self) -> Vec<String> {
        self.reads.keys().cloned().collect()
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({:?})", self.source)
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}

impl std::str::FromStr for Expression {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::parse(text)
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// What an expression reads: variables, and of each the fields, or none for the whole.
type Reads = BTreeMap<String, Option<BTreeSet<String>>>;

/// Why work on a stack of its own gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It was never begun, since no thread was to be had: another time there may be one.
    NoThread,
    /// It panicked, and would again.
    Panicked,
}

/// What may be used up of a stack that many expressions share before one of them begins, in bytes.
const BEFORE_ONE: usize = 8 * 1024 * 1024;

thread_local! {
    /// Whether this thread is a stack that many expressions share.
    static SHARED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a stack of its own; where the thread is one that many share, on that.
pub(crate) fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Broken> {
    if SHARED.get() {
        return std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| Broken::Panicked);
    }
    with_stack_of(STACK, work)
}

/// Runs `work`, which evaluates and fills many expressions and templates one after the other, on one stack for all of them:
/// making a stack takes longer than most of them do. It must not go deep itself.
pub(crate) fn with_stack_for_many<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Broken> {
    with_stack_of(STACK + BEFORE_ONE, || {
        SHARED.set(true);
        work()
    })
}

fn with_stack_of<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Result<T, Broken> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(bytes);
        let running = builder.spawn_scoped(scope, work).map_err(|_| Broken::NoThread)?;
        running.join().map_err(|_| Broken::Panicked)
    })
}

fn at_least_one(position: isize) -> usize {
    usize::try_from(position).unwrap_or(1).max(1)
}

fn short(message: &str) -> String {
    message.chars().take(200).collect()
}

fn syntax(message: &str) -> Refusal {
    Refusal::Syntax { line: 1, column: 1, message: message.to_owned() }
}

/// Bounds the size of the text before the parser sees it: the parser recurses, and a stack cannot be caught.
fn scan(source: &str) -> Result<(), Refusal> {
    if source.trim().is_empty() {
        return Err(syntax("it is empty"));
    }
    if source.chars().nth(MAX_CHARS).is_some() {
        return Err(syntax(&format!("it is longer than {MAX_CHARS} characters")));
    }
    let chars: Vec<char> = source.chars().collect();
    let (mut at, mut depth, mut choices, mut tokens) = (0, 0_usize, 0_usize, 0_usize);
    let (mut line, mut line_start) = (1, 0);
    while let Some(&c) = chars.get(at) {
        let here = |message: String| Refusal::Syntax { line, column: at - line_start + 1, message };
        let mut next = at + 1;
        match c {
            '\n' => (line, line_start) = (line + 1, next),
            _ if c.is_whitespace() => {}
            '/' if chars.get(next) == Some(&'/') => {
                while chars.get(next).is_some_and(|c| *c != '\n') {
                    next += 1;
                }
            }
            '"' | '\'' => {
                next = after_string(&chars, at).ok_or_else(|| here("a text is not closed".to_owned()))?;
                tokens += 1;
                for (offset, c) in chars[at..next].iter().enumerate() {
                    if *c == '\n' {
                        (line, line_start) = (line + 1, at + offset + 1);
                    }
                }
            }
            _ if c.is_alphanumeric() || c == '_' => {
                while chars.get(next).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                    next += 1;
                }
                tokens += 1;
            }
            _ => {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    '?' => choices += 1,
                    _ => {}
                }
                tokens += 1;
                if depth > MAX_NESTING || choices > MAX_NESTING {
                    return Err(here(format!("it is nested deeper than {MAX_NESTING}")));
                }
            }
        }
        if tokens > MAX_TOKENS {
            return Err(Refusal::Syntax {
                line,
                column: 1,
                message: format!("it has more than {MAX_TOKENS} words and signs"),
            });
        }
        at = next;
    }
    Ok(())
}

/// The position after the string literal that starts at `start`; none where it is not closed.
fn after_string(chars: &[char], start: usize) -> Option<usize> {
    let quote = chars[start];
    let triple = chars.get(start + 1) == Some(&quote) && chars.get(start + 2) == Some(&quote);
    // `r'..'` and `br'..'` have no escapes; an escaped quote inside cannot be told from two texts, and need not be.
    let before: String = chars[start.saturating_sub(2)..start].iter().collect::<String>().to_ascii_lowercase();
    let raw = before.ends_with('r');
    let mut at = start + if triple { 3 } else { 1 };
    loop {
        match chars.get(at)? {
            '\\' if !raw => at += 2,
            c if *c == quote && !triple => return Some(at + 1),
            c if *c == quote && chars.get(at + 1) == Some(&quote) && chars.get(at + 2) == Some(&quote) => {
                return Some(at + 3);
            }
            _ => at += 1,
        }
    }
}

/// How many loops are inside one another, at most.
fn loops(tree: &IdedExpr) -> usize {
    let deepest = |parts: &mut dyn Iterator<Item = &IdedExpr>| parts.map(loops).max().unwrap_or(0);
    let entry = |entry: &EntryExpr| match entry {
        EntryExpr::StructField(field) => loops(&field.value),
        EntryExpr::MapEntry(entry) => loops(&entry.key).max(loops(&entry.value)),
    };
    match &tree.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
        Expr::Call(call) => deepest(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::Select(select) => loops(&select.operand),
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Map(map) => map.entries.iter().map(|e| entry(&e.expr)).max().unwrap_or(0),
        Expr::Struct(made) => made.entries.iter().map(|e| entry(&e.expr)).max().unwrap_or(0),
        Expr::Comprehension(each) => {
            let body = [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result];
            loops(&each.iter_range).max(1 + deepest(&mut body.into_iter()))
        }
    }
}

/// Collects the variables that are read and not made by a loop around them.
fn free<'t>(tree: &'t IdedExpr, bound: &mut Vec<&'t str>, names: &mut Reads) {
    match &tree.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            // Loops are expanded with variables of the interpreter's own.
            if !name.starts_with('@') && !bound.contains(&name.as_str()) {
                names.insert(name.clone(), None);
            }
        }
        Expr::Call(call) => {
            call.target.as_deref().into_iter().chain(&call.args).for_each(|part| free(part, bound, names));
        }
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(name) if !name.starts_with('@') && !bound.contains(&name.as_str()) => {
                let fields = names.entry(name.clone()).or_insert_with(|| Some(BTreeSet::new()));
                if let Some(fields) = fields {
                    fields.insert(select.field.clone());
                }
            }
            _ => free(&select.operand, bound, names),
        },
        Expr::List(list) => list.elements.iter().for_each(|part| free(part, bound, names)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| free_entry(&entry.expr, bound, names)),
        Expr::Struct(made) => made.entries.iter().for_each(|entry| free_entry(&entry.expr, bound, names)),
        Expr::Comprehension(each) => {
            free(&each.iter_range, bound, names);
            free(&each.accu_init, bound, names);
            let before = bound.len();
            bound.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
            bound.extend(each.iter_var2.as_deref());
            [&each.loop_cond, &each.loop_step, &each.result].into_iter().for_each(|part| free(part, bound, names));
            bound.truncate(before);
        }
    }
}

fn free_entry<'t>(entry: &'t EntryExpr, bound: &mut Vec<&'t str>, names: &mut Reads) {
    match entry {
        EntryExpr::StructField(field) => free(&field.value, bound, names),
        EntryExpr::MapEntry(entry) => {
            free(&entry.key, bound, names);
            free(&entry.value, bound, names);
        }
    }
}

/// The length of the longest list or map within a value, and of the longest text, in bytes.
fn measure(value: &Value, longest: &mut u64, largest: &mut u64) {
    match value {
        Value::String(text) => *largest = (*largest).max(text.len() as u64),
        Value::Array(items) => {
            *longest = (*longest).max(items.len() as u64);
            items.iter().for_each(|item| measure(item, longest, largest));
        }
        Value::Object(entries) => {
            *longest = (*longest).max(entries.len() as u64);
            entries.values().for_each(|item| measure(item, longest, largest));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whole numbers become `int`, so that `x + 1` works whatever sign the number has.
fn to_cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(flag) => CelValue::Bool(*flag),
        Value::Number(number) => number_to_cel(number),
        Value::String(text) => CelValue::from(text.as_str()),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(entries) => map_to_cel(entries),
    }
}

fn map_to_cel<'v>(entries: impl IntoIterator<Item = (&'v String, &'v Value)>) -> CelValue {
    let entries = entries.into_iter().map(|(key, value)| (Key::from(key.clone()), to_cel(value)));
    CelValue::Map(Map { map: Arc::new(entries.collect()) })
}

fn number_to_cel(number: &Number) -> CelValue {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(whole), _, _) => CelValue::Int(whole),
        (_, Some(whole), _) => CelValue::UInt(whole),
        (_, _, Some(real)) => CelValue::Float(real),
        _ => CelValue::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn holds(source: &str, data: &Value) -> Result<bool, Refusal> {
        Expression::parse(source)?.holds(data)
    }

    #[test]
    fn conditions_read_the_top_level_keys() {
        let data = json!({"contact": {"title": "CFO", "score": 7, "tags": ["a", "b"]}, "opened": true});
        assert_eq!(holds("opened && contact.score + 1 > 7", &data), Ok(true));
        assert_eq!(holds("contact.tags.exists(t, t == 'b') && contact.title.startsWith('C')", &data), Ok(true));
        assert_eq!(holds("has(contact.phone) ? contact.phone != '' : false", &data), Ok(false));
        assert_eq!(Expression::parse("contact.title + '!'").unwrap().evaluate(&data), Ok(json!("CFO!")));
    }

    #[test]
    fn each_failure_has_its_code() {
        let data = json!({"contact": {"score": 7}});
        assert_eq!(holds("contact.score >", &data).unwrap_err().code(), "EXPRESSION_SYNTAX");
        assert_eq!(holds("contact.title == 'CFO'", &data).unwrap_err().code(), "EXPRESSION_FAILED");
        assert_eq!(holds("nobody == 1", &data).unwrap_err().code(), "EXPRESSION_FAILED");
        assert_eq!(holds("contact.score", &data).unwrap_err().code(), "EXPRESSION_NOT_BOOLEAN");
        assert_eq!(holds("1 / 0 == 1", &data).unwrap_err().code(), "EXPRESSION_FAILED");
        assert_eq!(holds("", &data).unwrap_err().code(), "EXPRESSION_SYNTAX");
        let refusal = holds("true &&\n  (1 + )", &data).unwrap_err();
        assert_eq!(refusal.place().map(|(line, _)| line), Some(2), "{refusal}");
    }

    #[test]
    fn a_variable_of_a_loop_is_none_of_the_datas() {
        let names = |source: &str| Expression::parse(source).unwrap().variables();
        assert_eq!(names("payload.l.all(x, x > 0 && y)"), ["payload", "y"]);
        assert_eq!(names("a.map(x, b.filter(y, y == x)).size() > 0 && x == 1"), ["a", "b", "x"]);
        assert_eq!(names("{'k': v}.k == [w][0]"), ["v", "w"]);
    }

    #[test]
    fn what_would_take_too_long_or_grow_too_large_is_refused_before_it_begins() {
        let list = |length: usize| json!({ "l": vec![1; length], "a": "x".repeat(60_000) });
        let code = |source: &str, length| holds(source, &list(length)).map_err(|refusal| refusal.code());
        assert_eq!(code("l.all(x, l.all(y, y == x))", 300), Ok(true));
        assert_eq!(code("l.all(x, l.all(y, y == x))", 1_000), Err("EXPRESSION_TOO_COSTLY"));
        assert_eq!(code("l.map(x, a + a).size() > 0", 60_000), Err("EXPRESSION_TOO_COSTLY"));
        assert_eq!(code("l.map(x, l + l).size() > 0", 5_000), Err("EXPRESSION_TOO_COSTLY"));
        let doubled = format!("[a]{}.size() > 0", ".map(x, x + x)".repeat(30));
        assert_eq!(code(&doubled, 1), Err("EXPRESSION_TOO_COSTLY"));
        assert_eq!(code("a + a + a != '' && l.exists(x, x + 1 == 2)", 50), Ok(true));
    }

    #[test]
    fn an_expression_is_stored_as_its_text() {
        let parsed: Expression = serde_json::from_value(json!("a == 1")).unwrap();
        assert_eq!(serde_json::to_value(&parsed).unwrap(), json!("a == 1"));
        assert_eq!(parsed.variables(), ["a"]);
        assert!(serde_json::from_value::<Expression>(json!("a ==")).is_err());
    }

    #[test]
    fn a_lack_of_threads_is_told_from_a_fault_of_the_expression() {
        assert_eq!(with_stack(|| 1), Ok(1));
        assert_eq!(with_stack_of(1 << 60, || 1), Err(Broken::NoThread));
        let broken: Result<(), _> = with_stack(|| panic!("the parser"));
        assert_eq!(broken, Err(Broken::Panicked));
    }

    #[test]
    fn no_size_of_input_reaches_the_stack() {
        let within_bounds = [
            format!("{}1{} == 1", "(".repeat(32), ")".repeat(32)),
            format!("{}1{} == [1]", "[".repeat(32), "]".repeat(32)),
            format!("1{} > 0", "+1".repeat(190)),
            format!("true{}", "&&true".repeat(130)),
            format!("a{}", ".a".repeat(190)),
            format!("{}true", "!".repeat(390)),
            format!("{}1 == 1", "-".repeat(390)),
            format!("{}true", "true?true:".repeat(32)),
            format!("{}true", "f(".repeat(32)),
            format!("a{}", ".f()".repeat(99)),
            format!("a{}", "[0]".repeat(130)),
            format!("{}true{}", "(true?true:".repeat(32), ")".repeat(32)),
            format!("{}true{}", "f(true&&[".repeat(16), "])".repeat(16)),
            format!("{}1{}", "{1:".repeat(32), "}".repeat(32)),
        ];
        let beyond = [
            format!("{}1{}", "(".repeat(900), ")".repeat(900)),
            "[".repeat(1999),
            format!("{}true", "true?true:".repeat(150)),
            "1+".repeat(900),
            "a".repeat(2001),
            "'abc".to_owned(),
            "[1].map(a, [1].map(b, [1].map(c, [1].map(d, 1)))) == []".to_owned(),
        ];
        // A small stack: a debug build inside a deep future has not much left.
        let judged = std::thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || {
                for source in within_bounds {
                    let _ = holds(&source, &json!({"a": 1}));
                }
                beyond.map(|source| Expression::parse(&source).map_err(|refusal| refusal.code()))
            })
            .unwrap()
            .join()
            .unwrap();
        assert!(judged.iter().all(|verdict| *verdict == Err("EXPRESSION_SYNTAX")), "{judged:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_text_is_parsed_or_refused(source in "[a-z0-9'\"\\\\\\[\\](){}?:.,!&|+*/<>= \n-]{0,120}") {
            if let Ok(expression) = Expression::parse(&source) {
                let _ = expression.evaluate(&json!({"a": 1}));
            }
        }
    }
}
