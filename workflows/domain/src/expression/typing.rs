//! What is wrong with an expression before there are any data: names that do not exist, and kinds of values that do not go
//! together.
//!
//! What is not known (a custom field, a value given at the start) is let through: it is looked at when there is one. So a
//! fault is always one, and its absence is no proof.

use super::place::start;
use super::{MAX_LOOP_NESTING, STANDARD, with_stack};
use crate::nearest::nearest;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use std::collections::HashMap;

/// What a value is, as far as that is known before there is one.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Nothing is known.
    Any,
    /// Null.
    Null,
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A text of a closed set.
    Code(Vec<&'static str>),
    /// A moment, as `timestamp(...)` gives it.
    Moment,
    /// A length of time, as `duration(...)` gives it.
    Duration,
    /// A list of such values.
    List(Box<Self>),
    /// A map with keys that nobody knows beforehand.
    Map,
    /// A map with these keys and no others.
    Record(Vec<(&'static str, Self)>),
}

impl Shape {
    /// How a sentence calls it.
    const fn words(&self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text | Self::Code(_) => "a text",
            Self::Moment => "a moment",
            Self::Duration => "a length of time",
            Self::List(_) => "a list",
            Self::Map | Self::Record(_) => "a map",
        }
    }

    /// The value under a key, where there can be one.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Any | Self::Map | Self::Null => Some(&Self::Any),
            Self::Record(fields) => fields.iter().find(|(key, _)| *key == name).map(|(_, shape)| shape),
            _ => None,
        }
    }

    /// The keys that are known.
    pub fn fields(&self) -> Vec<&'static str> {
        match self {
            Self::Record(fields) => fields.iter().map(|(key, _)| *key).collect(),
            _ => Vec::new(),
        }
    }

    const fn is_open(&self) -> bool {
        matches!(self, Self::Any | Self::Null)
    }

    fn alike(&self, other: &Self) -> bool {
        self.is_open() || other.is_open() || self.words() == other.words()
    }
}

/// One thing that is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, in bytes from the beginning of the expression.
    pub at: usize,
    /// Whether a name does not exist; else values do not go together.
    pub unknown: bool,
    /// What is wrong, and what is likely meant.
    pub message: String,
}

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It must give true or false.
    Condition,
    /// It may give anything.
    Value,
    /// It must give a text.
    Text,
    /// It must give something that is written as one word: a text, a number, true, false or null.
    Scalar,
}

impl Purpose {
    /// What is wrong with a value of this shape for it; none where there may be one that serves.
    fn objection(self, given: &Shape) -> Option<String> {
        let words = given.words();
        match (self, given) {
            (Self::Condition, given) if !given.alike(&Shape::Bool) => {
                Some(format!("a condition is true or false, and this is {words}; compare it with something"))
            }
            (Self::Text, Shape::Number) => {
                Some(format!("a text is expected here, and this is {words}; write `string(...)` around it"))
            }
            (Self::Text, Shape::Bool) => {
                Some(format!("a text is expected here, and this is {words}; write `... ? 'yes' : 'no'`"))
            }
            (Self::Text, Shape::Null | Shape::List(_) | Shape::Map | Shape::Record(_)) => {
                Some(format!("a text is expected here, and this is {words}; name one that is"))
            }
            (Self::Scalar, Shape::List(_) | Shape::Map | Shape::Record(_)) => Some(format!(
                "a text, a number, true or false is expected here, and this is {words}; name one value of it"
            )),
            _ => None,
        }
    }
}

/// The functions of the language, apart from the macros `has`, `all`, `exists`, `exists_one`, `map` and `filter`.
const FUNCTIONS: [&str; 25] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "timestamp",
    "duration",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "type",
    "dyn",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfYear",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];
/// The names of types, which are values: `type(contact.custom.seats) == int`.
pub(super) const TYPES: [&str; 10] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];

/// Everything that is wrong with an expression over the variables of `environment`, a record. An expression that cannot be
/// read has no faults here: reading it says what is wrong.
pub fn faults(source: &str, environment: &Shape, purpose: Purpose) -> Vec<Fault> {
    let looked = with_stack(|| {
        let (tree, info) = STANDARD.parser().parse_with_source_info(source).ok()?;
        if super::loops(&tree) > MAX_LOOP_NESTING {
            return None;
        }
        let mut look = Look { source, info, environment, bound: HashMap::new(), faults: Vec::new() };
        let given = look.shape(&tree);
        if let Some(message) = purpose.objection(&given) {
            look.fault(&tree, false, message);
        }
        look.faults.sort_by_key(|fault| fault.at);
        look.faults.dedup();
        Some(look.faults)
    });
    looked.ok().flatten().unwrap_or_default()
}

struct Look<'a> {
    source: &'a str,
    info: SourceInfo,
    environment: &'a Shape,
    /// The variables of the loops around.
    bound: HashMap<String, Vec<Shape>>,
    faults: Vec<Fault>,
}

impl Look<'_> {
    fn start(&self, tree: &IdedExpr) -> usize {
        start(&self.info, self.source, tree)
    }

    fn fault(&mut self, tree: &IdedExpr, unknown: bool, message: String) {
        let at = self.start(tree);
        self.faults.push(Fault { at, unknown, message });
    }

    /// The place of a field's name behind its operand.
    fn place_of_field(&self, operand: &IdedExpr, field: &str) -> usize {
        let from = self.start(operand);
        let rest = self.source.get(from..).unwrap_or_default();
        let word = |at: usize| {
            let inner = |c: char| c.is_alphanumeric() || c == '_';
            !rest[..at].ends_with(inner) && !rest[at + field.len()..].starts_with(inner)
        };
        let behind = |at: usize| rest[..at].trim_end().ends_with(['.', '\'', '"']);
        rest.match_indices(field).map(|(at, _)| at).find(|at| word(*at) && behind(*at)).map_or(from, |at| from + at)
    }

    fn shape(&mut self, tree: &IdedExpr) -> Shape {
        match &tree.expr {
            Expr::Unspecified => Shape::Any,
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Shape::Bool,
                LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Shape::Number,
                LiteralValue::String(_) => Shape::Text,
                LiteralValue::Null => Shape::Null,
                LiteralValue::Bytes(_) => Shape::Any,
            },
            Expr::Ident(name) => self.variable(tree, name),
            Expr::Select(select) => {
                let operand = self.shape(&select.operand);
                let found = self.select(&select.operand, &operand, &select.field);
                if select.test { Shape::Bool } else { found }
            }
            Expr::Call(call) => self.call(tree, call),
            Expr::List(list) => {
                let mut shapes =
                    list.elements.iter().map(|element| self.shape(element)).collect::<Vec<_>>().into_iter();
                let first = shapes.next().unwrap_or(Shape::Any);
                let same = shapes.all(|other| other == first);
                Shape::List(Box::new(if same { first } else { Shape::Any }))
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.shape(&entry.key);
                        self.shape(&entry.value);
                    }
                }
                Shape::Map
            }
            Expr::Struct(_) => Shape::Any,
            Expr::Comprehension(each) => self.comprehension(each),
        }
    }

    fn variable(&mut self, tree: &IdedExpr, name: &str) -> Shape {
        if let Some(shape) = self.bound.get(name).and_then(|shapes| shapes.last()) {
            return shape.clone();
        }
        // Loops are expanded with variables of the interpreter's own.
        if name.starts_with('@') {
            return Shape::Any;
        }
        match self.environment.field(name) {
            Some(shape) => shape.clone(),
            None if TYPES.contains(&name) => Shape::Any,
            None => {
                let known = self.environment.fields();
                let hint = suggestion(name, &known);
                self.fault(tree, true, format!("there is no variable `{name}`{hint}"));
                Shape::Any
            }
        }
    }

    fn select(&mut self, operand: &IdedExpr, shape: &Shape, field: &str) -> Shape {
        if let Some(found) = shape.field(field) {
            return found.clone();
        }
        let at = self.place_of_field(operand, field);
        let written = self.written(operand);
        let message = match shape {
            Shape::Record(_) => format!("`{written}` has no `{field}`{}", suggestion(field, &shape.fields())),
            other => format!("`{written}` is {}, which has no `{field}`", other.words()),
        };
        self.faults.push(Fault { at, unknown: true, message });
        Shape::Any
    }

    /// A name as it is written, e.g. `contact.custom`.
    fn written(&self, tree: &IdedExpr) -> String {
        match &tree.expr {
            Expr::Ident(name) => name.clone(),
            Expr::Select(select) => format!("{}.{}", self.written(&select.operand), select.field),
            _ => "this".to_owned(),
        }
    }

    fn comprehension(&mut self, each: &ComprehensionExpr) -> Shape {
        let range = self.shape(&each.iter_range);
        let item = match &range {
            Shape::List(item) => (**item).clone(),
            Shape::Any | Shape::Null => Shape::Any,
            Shape::Map | Shape::Record(_) => Shape::Text,
            other => {
                let message = format!("a list or a map is gone through, and this is {}", other.words());
                self.fault(&each.iter_range, false, message);
                Shape::Any
            }
        };
        let made = self.shape(&each.accu_init);
        let names = [(Some(&each.iter_var), item), (each.iter_var2.as_ref(), Shape::Any), (Some(&each.accu_var), made)];
        for (name, shape) in &names {
            if let Some(name) = name {
                self.bound.entry((*name).clone()).or_default().push(shape.clone());
            }
        }
        self.shape(&each.loop_cond);
        self.shape(&each.loop_step);
        let result = self.shape(&each.result);
        for name in names.iter().filter_map(|(name, _)| *name) {
            if let Some(shapes) = self.bound.get_mut(name) {
                shapes.pop();
                if shapes.is_empty() {
                    self.bound.remove(name);
                }
            }
        }
        // What a list is made of is told by its steps, which is more than is looked at.
        if matches!(result, Shape::List(_)) { Shape::List(Box::new(Shape::Any)) } else { result }
    }

    fn call(&mut self, tree: &IdedExpr, call: &CallExpr) -> Shape {
        let target = call.target.as_deref().map(|target| (target, self.shape(target)));
        let args: Vec<(&IdedExpr, Shape)> = call.args.iter().map(|arg| (arg, self.shape(arg))).collect();
        match (call.func_name.as_str(), args.as_slice()) {
            ("_&&_" | "_||_" | "!_" | "@not_strictly_false", parts) => {
                for (part, shape) in parts.iter().filter(|(_, shape)| !shape.alike(&Shape::Bool)) {
                    let message = format!(
                        "true or false is expected here, and this is {}; compare it with something",
                        shape.words()
                    );
                    self.fault(part, false, message);
                }
                Shape::Bool
            }
            ("_==_" | "_!=_", [left, right]) => {
                self.equal(left, right);
                Shape::Bool
            }
            ("_<_" | "_<=_" | "_>_" | "_>=_", [left, right]) => {
                let ordered =
                    |shape: &Shape| !matches!(shape, Shape::List(_) | Shape::Map | Shape::Record(_) | Shape::Bool);
                if !left.1.alike(&right.1) || !ordered(&left.1) || !ordered(&right.1) {
                    let message = format!(
                        "{} and {} have no order{}",
                        left.1.words(),
                        right.1.words(),
                        hint_of_quotes(left, right).unwrap_or_default()
                    );
                    self.fault(tree, false, message);
                }
                Shape::Bool
            }
            ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [left, right]) => {
                self.arithmetic(tree, &call.func_name, left, right)
            }
            ("@in", [left, right]) => {
                self.member(left, right);
                Shape::Bool
            }
            ("_?_:_", [condition, yes, no]) => {
                if !condition.1.alike(&Shape::Bool) {
                    let message = format!("before `?` stands true or false, and this is {}", condition.1.words());
                    self.fault(condition.0, false, message);
                }
                if yes.1 == no.1 { yes.1.clone() } else { Shape::Any }
            }
            ("_[_]", [of, key]) => match (&of.1, literal_text(key.0)) {
                (Shape::Record(_), Some(name)) => self.select(of.0, &of.1, &name),
                (Shape::List(item), _) => (**item).clone(),
                _ => Shape::Any,
            },
            ("-_", [part]) => part.1.clone(),
            (operator, _) if operator.starts_with(['_', '@', '!']) => Shape::Any,
            (function, _) => self.function(tree, function, target.as_ref(), &args),
        }
    }

    fn equal(&mut self, left: &(&IdedExpr, Shape), right: &(&IdedExpr, Shape)) {
        for (code, other) in [(left, right), (right, left)] {
            if let (Shape::Code(known), Some(text)) = (&code.1, literal_text(other.0)) {
                self.code(code.0, known, other.0, &text);
                return;
            }
        }
        if left.1.alike(&right.1) {
            return;
        }
        let in_list = [(left, right), (right, left)].into_iter().find(|(list, _)| matches!(list.1, Shape::List(_)));
        let hint = match in_list {
            Some((list, one)) => {
                let one = literal_text(one.0).map_or_else(|| self.written(one.0), |text| format!("'{text}'"));
                format!("; write `{one} in {}`", self.written(list.0))
            }
            None => hint_of_quotes(left, right).unwrap_or_default(),
        };
        let message = format!("{} and {} are never equal{hint}", left.1.words(), right.1.words());
        self.fault(left.0, false, message);
    }

    fn code(&mut self, code: &IdedExpr, known: &[&'static str], literal: &IdedExpr, text: &str) {
        if !known.contains(&text) {
            let message = format!("`{}` is never '{text}'{}", self.written(code), suggestion(text, known));
            self.fault(literal, false, message);
        }
    }

    fn member(&mut self, left: &(&IdedExpr, Shape), right: &(&IdedExpr, Shape)) {
        match (&left.1, &right.1) {
            (_, Shape::Any | Shape::Null | Shape::Map | Shape::Record(_)) => {}
            (Shape::Code(known), Shape::List(_)) => {
                if let Expr::List(list) = &right.0.expr {
                    for element in &list.elements {
                        if let Some(text) = literal_text(element) {
                            self.code(left.0, known, element, &text);
                        }
                    }
                }
            }
            (one, Shape::List(item)) if !one.alike(item) => {
                let message = format!("{} is never in a list of which each is {}", one.words(), item.words());
                self.fault(left.0, false, message);
            }
            (_, Shape::List(_)) => {}
            (_, Shape::Text | Shape::Code(_)) => {
                let message = format!(
                    "`in` looks into a list or a map, and this is a text; write `{}.contains(...)`",
                    self.written(right.0)
                );
                self.fault(right.0, false, message);
            }
            (_, other) => {
                let message = format!("`in` looks into a list or a map, and this is {}", other.words());
                self.fault(right.0, false, message);
            }
        }
    }

    fn arithmetic(
        &mut self,
        tree: &IdedExpr,
        operator: &str,
        left: &(&IdedExpr, Shape),
        right: &(&IdedExpr, Shape),
    ) -> Shape {
        match (operator, &left.1, &right.1) {
            (_, left, right) if left.is_open() || right.is_open() => Shape::Any,
            (_, Shape::Number, Shape::Number) => Shape::Number,
            ("_+_", Shape::Text | Shape::Code(_), Shape::Text | Shape::Code(_)) => Shape::Text,
            ("_+_", Shape::List(_), Shape::List(_)) => Shape::List(Box::new(Shape::Any)),
            ("_-_", Shape::Moment, Shape::Moment) | ("_+_" | "_-_", Shape::Duration, Shape::Duration) => {
                Shape::Duration
            }
            ("_+_" | "_-_", Shape::Moment, Shape::Duration) | ("_+_", Shape::Duration, Shape::Moment) => Shape::Moment,
            (_, first, second) => {
                let sign = operator.trim_matches('_');
                let hint = match (first, second) {
                    (Shape::Text, Shape::Duration | Shape::Moment) | (Shape::Duration | Shape::Moment, Shape::Text) => {
                        "; make the text a moment with `timestamp(...)`"
                    }
                    (Shape::Text, Shape::Number) | (Shape::Number, Shape::Text) => {
                        "; write `string(...)` around the number"
                    }
                    _ => "",
                };
                let message = format!("`{sign}` does not go between {} and {}{hint}", first.words(), second.words());
                self.fault(tree, false, message);
                Shape::Any
            }
        }
    }

    fn function(
        &mut self,
        tree: &IdedExpr,
        name: &str,
        target: Option<&(&IdedExpr, Shape)>,
        args: &[(&IdedExpr, Shape)],
    ) -> Shape {
        let known: Vec<&'static str> = FUNCTIONS.into_iter().chain(MACROS).collect();
        if !FUNCTIONS.contains(&name) {
            let at = target.map_or_else(|| self.start(tree), |(target, _)| self.place_of_field(target, name));
            let hint =
                if MACROS.contains(&name) { "; it is written otherwise".to_owned() } else { suggestion(name, &known) };
            self.faults.push(Fault { at, unknown: true, message: format!("there is no function `{name}`{hint}") });
            return Shape::Any;
        }
        let subject = target.or_else(|| args.first());
        let wanted = match name {
            "contains" | "startsWith" | "endsWith" | "matches" => Some(Shape::Text),
            "timestamp" => Some(Shape::Text).filter(|_| !matches!(subject, Some((_, Shape::Moment | Shape::Number)))),
            "duration" => Some(Shape::Text).filter(|_| !matches!(subject, Some((_, Shape::Duration)))),
            _ => None,
        };
        if let (Some(wanted), Some((part, shape))) = (wanted, subject)
            && !shape.alike(&wanted)
        {
            let hint = match (name, shape) {
                ("contains", Shape::List(_)) => {
                    let one = args.first().and_then(|(arg, _)| literal_text(arg)).unwrap_or_else(|| "x".to_owned());
                    format!("; write `'{one}' in {}`", self.written(part))
                }
                _ => String::new(),
            };
            let message = format!("`{name}` is for {}, and this is {}{hint}", wanted.words(), shape.words());
            self.fault(part, false, message);
        }
        if name == "size"
            && let Some((part, shape)) = subject
            && matches!(shape, Shape::Bool | Shape::Number | Shape::Moment | Shape::Duration)
        {
            let message = format!("`size` is for a text, a list or a map, and this is {}", shape.words());
            self.fault(part, false, message);
        }
        match name {
            "contains" | "startsWith" | "endsWith" | "matches" | "bool" => Shape::Bool,
            "size" | "int" | "uint" | "double" => Shape::Number,
            "string" => Shape::Text,
            "timestamp" => Shape::Moment,
            "duration" => Shape::Duration,
            name if name.starts_with("get") => Shape::Number,
            _ => Shape::Any,
        }
    }
}

fn literal_text(tree: &IdedExpr) -> Option<String> {
    match &tree.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}

/// Where a number stands in quotes.
fn hint_of_quotes(left: &(&IdedExpr, Shape), right: &(&IdedExpr, Shape)) -> Option<String> {
    [(left, right), (right, left)].into_iter().find_map(|(number, text)| {
        let written = literal_text(text.0).filter(|_| number.1 == Shape::Number)?;
        written.parse::<f64>().ok().map(|_| format!("; write {written} without quotes"))
    })
}

/// `; did you mean ...?`, or what there is.
pub(crate) fn suggestion(name: &str, known: &[&'static str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests;
