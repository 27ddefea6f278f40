//! Parts of an expression that read no variable and have no value: `1 / 0`, a date that no calendar has, a pattern that is none.
//! They fail for everybody, so that they are told before there are any data.

use super::place::start;
use super::{Expression, MAX_LOOP_NESTING, Reads, STANDARD, free, short, with_stack};
use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use cel::{Context, Value as CelValue};
use regex::Regex;
use serde_json::Value;
use std::sync::Arc;

/// The parts that can never have a value, each with its byte and a sentence. An expression that cannot be read, or whose
/// constants take long to compute, has none.
pub fn broken(source: &str) -> Vec<(usize, String)> {
    let affordable = Expression::parse(source).is_ok_and(|expression| expression.afford(&Value::Null).is_ok());
    if !affordable {
        return Vec::new();
    }
    let looked = with_stack(|| {
        let (tree, info) = STANDARD.parser().parse_with_source_info(source).ok()?;
        if super::loops(&tree) > MAX_LOOP_NESTING {
            return None;
        }
        let mut look = Look { source, info, found: Vec::new() };
        look.walk(&tree);
        look.found.sort();
        look.found.dedup();
        Some(look.found)
    });
    looked.ok().flatten().unwrap_or_default()
}

struct Look<'a> {
    source: &'a str,
    info: SourceInfo,
    found: Vec<(usize, String)>,
}

impl Look<'_> {
    /// Looks at a part; gives whether something in it is told of.
    fn walk(&mut self, tree: &IdedExpr) -> bool {
        let before = self.found.len();
        self.pattern(tree);
        // The smallest part that fails is the one to mend.
        for part in parts(tree) {
            self.walk(part);
        }
        if self.found.len() > before {
            return true;
        }
        if !is_constant(tree) {
            return false;
        }
        let context = Context::with_env(Arc::clone(&STANDARD));
        if let Err(error) = CelValue::resolve(tree, &context) {
            let message =
                format!("this never has a value, whoever it is for: {}{}", short(&error.to_string()), hint(&tree.expr));
            let mut at = start(&self.info, self.source, tree);
            // A function without a target is placed at its bracket.
            if let (Expr::Call(call), Some(before)) = (&tree.expr, self.source.get(..at))
                && before.ends_with(&*call.func_name)
            {
                at -= call.func_name.len();
            }
            self.found.push((at, message));
        }
        self.found.len() > before
    }

    fn pattern(&mut self, tree: &IdedExpr) {
        let Expr::Call(call) = &tree.expr else { return };
        let Some(pattern) = call.args.last().filter(|_| call.func_name == "matches") else { return };
        let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else { return };
        if let Err(error) = Regex::new(text.inner()) {
            let said = error.to_string();
            let why = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!(
                "`{}` is no pattern: {}; put `\\\\` before a sign that is meant as itself",
                short(text.inner()),
                short(why)
            );
            self.found.push((start(&self.info, self.source, pattern), message));
        }
    }
}

/// What to do about a part that fails, where that shows from what it is.
fn hint(expr: &Expr) -> &'static str {
    match expr {
        Expr::Call(call) => match call.func_name.as_str() {
            "timestamp" => "; write a moment that there is, e.g. `timestamp('2026-02-28T00:00:00Z')`",
            "duration" => "; write a length of time, e.g. `duration('72h')`",
            "_/_" | "_%_" => "; divide by something else",
            _ => "; look at its values",
        },
        _ => "; look at its values",
    }
}

/// Whether it is an operation that reads nothing: neither a variable nor what a loop around it makes.
fn is_constant(tree: &IdedExpr) -> bool {
    let computes = matches!(&tree.expr, Expr::Call(_) | Expr::Select(_) | Expr::Comprehension(_));
    let mut reads = Reads::new();
    // A loop's own variables count where the loop is not a part of it.
    free(tree, &mut Vec::new(), &mut reads);
    computes && reads.is_empty() && !has_inner_names(tree, &mut Vec::new())
}

/// Whether it reads a variable that a loop around it makes, which the interpreter names with `@`.
fn has_inner_names<'t>(tree: &'t IdedExpr, bound: &mut Vec<&'t str>) -> bool {
    match &tree.expr {
        Expr::Ident(name) => name.starts_with('@') && !bound.contains(&name.as_str()),
        Expr::Comprehension(each) => {
            if has_inner_names(&each.iter_range, bound) || has_inner_names(&each.accu_init, bound) {
                return true;
            }
            let before = bound.len();
            bound.push(&each.accu_var);
            let found =
                [&each.loop_cond, &each.loop_step, &each.result].into_iter().any(|part| has_inner_names(part, bound));
            bound.truncate(before);
            found
        }
        _ => parts(tree).into_iter().any(|part| has_inner_names(part, bound)),
    }
}

fn parts(tree: &IdedExpr) -> Vec<&IdedExpr> {
    match &tree.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|it| of_entry(&it.expr)).collect(),
        Expr::Struct(made) => made.entries.iter().flat_map(|it| of_entry(&it.expr)).collect(),
        Expr::Comprehension(each) => {
            vec![&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
        }
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
