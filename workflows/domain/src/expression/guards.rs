//! What an expression reads that may be missing or null, without a guard: for some people it has a value, and for the others it
//! fails.
//!
//! What fails is a field of null, a key that is not there, and null where an operator or a function takes none; null that is
//! compared by `==`, `!=` or `in` does not. A guard is `x != null`, `has(x.y)`, `'y' in x`, and whatever else holds only where
//! there is something. It counts on either side of `&&` and `||`, since what fails on one side does not matter where the other
//! one decides, and in the branches of `? :`.

use super::place::start;
use super::{MAX_LOOP_NESTING, STANDARD, with_stack};
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use std::collections::BTreeSet;

/// What may be missing of the variables of an expression. A name is written as in `contact.custom.plan`.
#[derive(Clone, Copy)]
pub struct Doubts<'a> {
    /// Whether what has this name may be null.
    pub may_be_null: &'a (dyn Fn(&str) -> bool + Sync),
    /// Whether what has this name is a map whose keys nobody knows beforehand.
    pub is_open: &'a (dyn Fn(&str) -> bool + Sync),
}

/// One thing that is read without a guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bare {
    /// Where, in bytes from the beginning of the expression.
    pub at: usize,
    /// What may be missing.
    pub name: String,
    /// What must hold before it is read: conditions to be joined by `&&`, in this order.
    pub guards: Vec<String>,
}

/// Everything that an expression reads without a guard, each once, where the condition `given` held before. With `needs_value`,
/// null is of no use as its whole value. An expression that cannot be read has none.
pub fn bare(source: &str, given: Option<&str>, doubts: Doubts<'_>, needs_value: bool) -> Vec<Bare> {
    let looked = with_stack(|| {
        let (tree, info) = STANDARD.parser().parse_with_source_info(source).ok()?;
        if super::loops(&tree) > MAX_LOOP_NESTING {
            return None;
        }
        let mut look = Look { source, info, doubts, bound: Vec::new(), told: BTreeSet::new(), found: Vec::new() };
        let given = given.and_then(|given| STANDARD.parser().parse(given).ok());
        let facts = given.map_or_else(Facts::new, |given| look.facts(&given, true, true));
        if needs_value {
            look.strict(&tree, &facts)
        } else {
            look.walk(&tree, &facts)
        }
        Some(look.found)
    });
    looked.ok().flatten().unwrap_or_default()
}

/// The names behind which there is something.
type Facts = BTreeSet<String>;

struct Look<'a> {
    source: &'a str,
    info: SourceInfo,
    doubts: Doubts<'a>,
    /// The variables of the loops around.
    bound: Vec<String>,
    /// What is told of already.
    told: BTreeSet<String>,
    found: Vec<Bare>,
}

impl Look<'_> {
    /// The name of a variable, or of a part of one.
    fn name(&self, tree: &IdedExpr) -> Option<String> {
        match &tree.expr {
            Expr::Ident(name) if !name.starts_with('@') && !self.bound.contains(name) => Some(name.clone()),
            _ => {
                let (of, part) = part(tree)?;
                Some(format!("{}.{part}", self.name(of)?))
            }
        }
    }

    /// What must hold before a name can be read: of its beginning first.
    fn guards(&self, tree: &IdedExpr, facts: &Facts) -> Vec<(String, String)> {
        let tested = matches!(&tree.expr, Expr::Select(select) if select.test);
        let operand = match &tree.expr {
            Expr::Select(select) => Some((&*select.operand, select.field.clone())),
            _ => part(tree),
        };
        let Some((of, part)) = operand else { return Vec::new() };
        let Some(name) = self.name(of) else { return Vec::new() };
        let mut guards = self.guards(of, facts);
        if (self.doubts.may_be_null)(&name) && !facts.contains(&name) {
            guards.push((name.clone(), format!("{name} != null")));
        }
        let whole = format!("{name}.{part}");
        if !tested && (self.doubts.is_open)(&name) && !facts.contains(&whole) {
            let is_word = part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !part.starts_with(|c: char| c.is_ascii_digit());
            let guard = if is_word { format!("has({whole})") } else { format!("'{part}' in {name}") };
            guards.push((whole, guard));
        }
        guards
    }

    fn tell(&mut self, tree: &IdedExpr, guards: Vec<(String, String)>) {
        let new: Vec<(String, String)> =
            guards.into_iter().filter(|(name, _)| self.told.insert(name.clone())).collect();
        let Some((name, _)) = new.last().cloned() else { return };
        let at = start(&self.info, self.source, tree);
        self.found.push(Bare { at, name, guards: new.into_iter().map(|(_, guard)| guard).collect() });
    }

    /// Looks at a part whose value must not be null.
    fn strict(&mut self, tree: &IdedExpr, facts: &Facts) {
        let Some(name) = self.name(tree) else { return self.walk(tree, facts) };
        let mut guards = self.guards(tree, facts);
        if (self.doubts.may_be_null)(&name) && !facts.contains(&name) {
            guards.push((name.clone(), format!("{name} != null")));
        }
        self.tell(tree, guards);
    }

    fn walk(&mut self, tree: &IdedExpr, facts: &Facts) {
        match &tree.expr {
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
            Expr::Select(select) => {
                if self.name(&select.operand).is_some() {
                    let guards = self.guards(tree, facts);
                    self.tell(tree, guards);
                } else {
                    self.walk(&select.operand, facts);
                }
            }
            Expr::Call(call) => self.call(tree, call, facts),
            Expr::List(list) => list.elements.iter().for_each(|element| self.walk(element, facts)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, facts)),
            Expr::Struct(made) => made.entries.iter().for_each(|entry| self.entry(&entry.expr, facts)),
            Expr::Comprehension(each) => self.comprehension(each, facts),
        }
    }

    fn entry(&mut self, entry: &EntryExpr, facts: &Facts) {
        match entry {
            EntryExpr::StructField(field) => self.walk(&field.value, facts),
            EntryExpr::MapEntry(entry) => {
                self.strict(&entry.key, facts);
                self.walk(&entry.value, facts);
            }
        }
    }

    fn comprehension(&mut self, each: &ComprehensionExpr, facts: &Facts) {
        self.strict(&each.iter_range, facts);
        self.walk(&each.accu_init, facts);
        let before = self.bound.len();
        self.bound.extend([each.iter_var.clone(), each.accu_var.clone()]);
        self.bound.extend(each.iter_var2.clone());
        [&each.loop_cond, &each.loop_step, &each.result].into_iter().for_each(|part| self.walk(part, facts));
        self.bound.truncate(before);
    }

    fn call(&mut self, tree: &IdedExpr, call: &CallExpr, facts: &Facts) {
        let with = |more: Facts| -> Facts { facts.union(&more).cloned().collect() };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (both @ ("_&&_" | "_||_"), [left, right]) => {
                // The side that decides: false for `&&`, true for `||`. The other one matters only where it does not.
                let undecided = both == "_&&_";
                let of_right = self.facts(right, undecided, false);
                self.walk(left, &with(of_right));
                let of_left = self.facts(left, undecided, true);
                self.walk(right, &with(of_left));
            }
            ("_?_:_", [condition, yes, no]) => {
                self.walk(condition, facts);
                let (holds, fails) = (self.facts(condition, true, true), self.facts(condition, false, true));
                self.walk(yes, &with(holds));
                self.walk(no, &with(fails));
            }
            ("_==_" | "_!=_", [left, right]) => {
                self.walk(left, facts);
                self.walk(right, facts);
            }
            ("@in", [one, all]) => {
                self.walk(one, facts);
                self.strict(all, facts);
            }
            ("_[_]", [of, key]) if part(tree).is_some() => {
                if self.name(of).is_some() {
                    let guards = self.guards(tree, facts);
                    self.tell(tree, guards);
                } else {
                    self.walk(of, facts);
                    self.walk(key, facts);
                }
            }
            ("type" | "dyn" | "@not_strictly_false", parts) => parts.iter().for_each(|part| self.walk(part, facts)),
            (_, parts) => {
                call.target.as_deref().into_iter().chain(parts).for_each(|part| self.strict(part, facts));
            }
        }
    }

    /// What there is where a condition holds, or does not. `after` it was looked at, so that whatever it needs itself is there too;
    /// else what it says itself counts, of parts that do not fail for a lack of what they ask for.
    fn facts(&self, tree: &IdedExpr, holds: bool, after: bool) -> Facts {
        let of = |part: &IdedExpr, holds: bool| self.facts(part, holds, after);
        let both = |one: Facts, other: Facts| -> Facts { one.union(&other).cloned().collect() };
        let either = |one: Facts, other: Facts| -> Facts { one.intersection(&other).cloned().collect() };
        match &tree.expr {
            Expr::Select(select) if select.test && holds => {
                let Some(name) = self.name(&select.operand) else { return Facts::new() };
                there(format!("{name}.{}", select.field), after)
            }
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                ("_&&_", [left, right]) if holds => both(of(left, true), of(right, true)),
                ("_&&_", [left, right]) => either(of(left, false), of(right, false)),
                ("_||_", [left, right]) if holds => either(of(left, true), of(right, true)),
                ("_||_", [left, right]) => both(of(left, false), of(right, false)),
                ("!_", [one]) => of(one, !holds),
                ("_?_:_", [condition, yes, no]) => {
                    let (yes_too, no_too) =
                        (both(of(condition, true), of(yes, holds)), both(of(condition, false), of(no, holds)));
                    match (truth(yes), truth(no)) {
                        (Some(yes), _) if yes != holds => no_too,
                        (_, Some(no)) if no != holds => yes_too,
                        _ => either(yes_too, no_too),
                    }
                }
                ("_==_", [left, right]) => self.equal(left, right, holds, after),
                ("_!=_", [left, right]) => self.equal(left, right, !holds, after),
                ("@in", [one, all]) if holds => match (literal_text(one), self.name(all), self.name(one), &all.expr) {
                    (Some(key), Some(name), _, _) => there(format!("{name}.{key}"), after),
                    (_, _, Some(_), Expr::List(list)) if list.elements.iter().all(is_literal) => {
                        self.compared(one, after)
                    }
                    _ => Facts::new(),
                },
                _ => Facts::new(),
            },
            _ => Facts::new(),
        }
    }

    /// What there is where two values are equal, or are not.
    fn equal(&self, left: &IdedExpr, right: &IdedExpr, equal: bool, after: bool) -> Facts {
        let sides = [(left, right), (right, left)];
        let named = sides.into_iter().find(|(name, _)| self.name(name).is_some() && !is_type(name));
        if let Some((name, other)) = named
            && (is_null(other) && !equal || is_literal(other) && equal)
        {
            return self.compared(name, after);
        }
        // `type(x) == string`
        let of_type = sides.into_iter().find_map(|(call, other)| match (&call.expr, &other.expr) {
            (Expr::Call(call), Expr::Ident(kind)) if call.func_name == "type" => Some((call.args.first()?, kind)),
            _ => None,
        });
        match of_type {
            Some((one, kind)) if (kind == "null_type") != equal => self.compared(one, after),
            _ => Facts::new(),
        }
    }

    /// A name that is not null where a comparison came out so.
    fn compared(&self, tree: &IdedExpr, after: bool) -> Facts {
        let Some(name) = self.name(tree) else { return Facts::new() };
        // Where the key is missing, the comparison itself fails.
        let fails = name.rsplit_once('.').is_some_and(|(of, _)| (self.doubts.is_open)(of));
        if fails && !after { Facts::new() } else { there(name, after) }
    }
}

/// A name behind which there is something; with its beginnings, each of which is then there too.
fn there(name: String, with_beginnings: bool) -> Facts {
    let dots = name.match_indices('.').map(|(at, _)| name[..at].to_owned());
    let mut facts: Facts = if with_beginnings { dots.collect() } else { Facts::new() };
    facts.insert(name);
    facts
}

/// A part of something by its name: `x.y` or `x['y']`.
fn part(tree: &IdedExpr) -> Option<(&IdedExpr, String)> {
    match &tree.expr {
        Expr::Select(select) if !select.test => Some((&select.operand, select.field.clone())),
        Expr::Call(call) if call.func_name == "_[_]" => match call.args.as_slice() {
            [of, key] => Some((of, literal_text(key)?)),
            _ => None,
        },
        _ => None,
    }
}

fn literal_text(tree: &IdedExpr) -> Option<String> {
    match &tree.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}

fn truth(tree: &IdedExpr) -> Option<bool> {
    match &tree.expr {
        Expr::Literal(LiteralValue::Boolean(truth)) => Some(*truth.inner()),
        _ => None,
    }
}

const fn is_null(tree: &IdedExpr) -> bool {
    matches!(&tree.expr, Expr::Literal(LiteralValue::Null))
}

const fn is_literal(tree: &IdedExpr) -> bool {
    matches!(&tree.expr, Expr::Literal(literal) if !matches!(literal, LiteralValue::Null))
}

/// Whether it is the name of a type, which is a value too.
fn is_type(tree: &IdedExpr) -> bool {
    matches!(&tree.expr, Expr::Ident(name) if super::typing::TYPES.contains(&name.as_str()))
}
