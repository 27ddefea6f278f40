//! What was found so far, and where it stands in the document.

use super::{Problem, Rule};
use crate::expression::typing::Purpose;
use crate::sequence::tree::Tree;

/// What was found so far.
pub(crate) struct Problems<'a> {
    source: &'a str,
    tree: &'a Tree,
    found: Vec<Problem>,
    expressions: Vec<Written>,
}

/// An expression as it is written, that breaks no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The path of its field.
    pub(crate) path: String,
    /// The expression.
    pub(crate) source: String,
    /// What it is for.
    pub(crate) purpose: Purpose,
}

impl<'a> Problems<'a> {
    /// None so far, of a document that was parsed from `source`.
    pub(crate) const fn new(source: &'a str, tree: &'a Tree) -> Self {
        Self { source, tree, found: Vec::new(), expressions: Vec::new() }
    }

    /// Notes an expression that breaks no rule.
    pub(super) fn note(&mut self, expression: Written) {
        self.expressions.push(expression);
    }

    /// The expressions that break no rule, in the order in which they were looked at.
    pub(crate) fn expressions(&self) -> &[Written] {
        &self.expressions
    }

    /// Whether none was found.
    pub(crate) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.found.len()
    }

    /// Whether one of them breaks this rule.
    pub(super) fn has(&self, rule: Rule) -> bool {
        self.found.iter().any(|problem| problem.rule == rule)
    }

    /// Whether one of them is at a field of this name in the header, or in it.
    pub(super) fn are_in(&self, field: &str) -> bool {
        self.found.iter().any(|problem| problem.path.starts_with(field))
    }

    /// All of them in the order of the document, and then those of stored templates, each once.
    pub(crate) fn in_order(self) -> Vec<Problem> {
        let mut found = self.found;
        found.sort_by(|a, b| (&a.template, a.line, a.column).cmp(&(&b.template, b.line, b.column)));
        found.dedup();
        found
    }

    /// Problems in the document of a stored template, whose name and version are `template`.
    pub(crate) fn add_of_template(&mut self, template: &str, found: Vec<Problem>) {
        let named = |problem| Problem { template: Some(template.to_owned()), ..problem };
        self.found.extend(found.into_iter().map(named));
    }

    /// A problem of the value at `path`.
    pub(crate) fn add(&mut self, path: String, rule: Rule, message: impl Into<String>) {
        let (line, column) = self.tree.place_of(&path);
        self.push(path, rule, message.into(), (line, column));
    }

    fn push(&mut self, path: String, rule: Rule, message: String, (line, column): (usize, usize)) {
        let (line, column) = (Some(line), Some(column));
        self.found.push(Problem { path, rule, message, line, column, template: None });
    }

    /// A problem that the decoder found: where a field is not known, the key is where it is.
    pub(crate) fn add_shape(&mut self, path: String, rule: Rule, message: String) {
        if !message.starts_with("unknown field") {
            return self.add(path, rule, message);
        }
        let place = self.tree.key_place_of(&path);
        self.push(path, rule, message, place);
    }

    /// A problem at a byte of the text `inside` that is the value at `path`.
    pub(crate) fn add_inside(&mut self, path: String, inside: &str, at: usize, rule: Rule, message: String) {
        let place = self.place_inside(&path, inside, at);
        self.push(path, rule, message, place);
    }

    /// Where a byte of a text stands in the document, which may quote, indent or fold it: as near as can be told.
    fn place_inside(&self, path: &str, inside: &str, at: usize) -> (usize, usize) {
        let (first, column) = self.tree.place_of(path);
        let at = (0..=at.min(inside.len())).rev().find(|at| inside.is_char_boundary(*at)).unwrap_or(0);
        let before = &inside[..at];
        let opening = self.source.lines().nth(first - 1).unwrap_or_default().trim_end();
        // A block text (`text: |`) begins in the line after its sign.
        let sign = opening.trim_end_matches(|c: char| c == '-' || c == '+' || c.is_ascii_digit());
        let block = sign.strip_suffix(['|', '>']).is_some_and(|before| before.trim_end().ends_with(':'));
        let line = first + before.matches('\n').count() + usize::from(block);
        let written = self.source.lines().nth(line - 1).unwrap_or_default();
        let start_of_line = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = inside[start_of_line..].lines().next().unwrap_or_default();
        let indent = text.len() - text.trim_start().len();
        // On the first line another value may stand before this one.
        let skipped = if line == first { byte_of_column(written, column) } else { 0 };
        let found = written[skipped..].find(text.trim()).filter(|_| !text.trim().is_empty());
        match found {
            Some(place) => {
                let place = skipped + place + (at - start_of_line).saturating_sub(indent);
                let place = (0..=place.min(written.len())).rev().find(|at| written.is_char_boundary(*at)).unwrap_or(0);
                (line, written[..place].chars().count() + 1)
            }
            None if line == first => (line, column),
            None => (line, 1),
        }
    }
}

fn byte_of_column(line: &str, column: usize) -> usize {
    line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
}
