//! What a person did, as conditions and templates see it: `interactions.form.count_30d`, `interactions.any.last_at`.
//!
//! The counts are those of the moment. Bots and link scanners do not count. Nothing is counted beyond [`MOST_COUNTED`], so that
//! a look at somebody who did a hundred thousand things costs no more than at anybody else.

use crate::expression::typing::Shape;
use crate::interaction::InteractionKind;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// As far as anything is counted: a count of this many means as many or more.
pub const MOST_COUNTED: u32 = 1_000;
/// The windows that are counted over, with their days.
pub const WINDOWS: [(&str, i64); 3] = [("count_7d", 7), ("count_30d", 30), ("count_90d", 90)];

/// The variable.
const INTERACTIONS: &str = "interactions";
/// All kinds together.
const ANY: &str = "any";

/// What one person did of one kind, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// What was done.
    pub kind: InteractionKind,
    /// How often, at most [`MOST_COUNTED`].
    pub count: u32,
    /// How often within each of the [`WINDOWS`], in their order, at most [`MOST_COUNTED`].
    pub within: [u32; 3],
    /// When last.
    pub last_at: Option<DateTime<Utc>>,
    /// The name of that, in the sender's words.
    pub last_name: Option<String>,
}

/// The field of a kind.
pub const fn field(kind: InteractionKind) -> &'static str {
    match kind {
        InteractionKind::EmailOpen => "email_open",
        InteractionKind::EmailClick => "email_click",
        InteractionKind::EmailReply => "email_reply",
        InteractionKind::Page => "page",
        InteractionKind::Screen => "screen",
        InteractionKind::Form => "form",
        InteractionKind::Download => "download",
        InteractionKind::Reading => "reading",
        InteractionKind::EventRegistration => "event_registration",
        InteractionKind::CheckIn => "check_in",
        InteractionKind::Meeting => "meeting",
        InteractionKind::Other => "other",
    }
}

fn kind_of(name: &str) -> Option<InteractionKind> {
    InteractionKind::ALL.iter().copied().find(|kind| field(*kind) == name)
}

/// What conditions may read of it.
pub(super) fn shape() -> Shape {
    let mut fields = vec![("count", Shape::Number)];
    fields.extend(WINDOWS.iter().map(|(name, _)| (*name, Shape::Number)));
    fields.extend([("last_at", Shape::Text), ("last_name", Shape::Text)]);
    let of_kind = Shape::Record(fields);
    let kinds = InteractionKind::ALL.iter().map(|kind| field(*kind)).chain([ANY]);
    Shape::Record(kinds.map(|kind| (kind, of_kind.clone())).collect())
}

/// The value of the variable where these kinds were looked up. A kind without a tally was never done; `any` is there where all
/// kinds were looked up.
pub fn data(kinds: &BTreeSet<InteractionKind>, tallies: &[Tally]) -> Value {
    let of = |tally: &Tally| {
        let mut fields = Map::from_iter([("count".to_owned(), json!(tally.count))]);
        fields.extend(WINDOWS.iter().zip(tally.within).map(|((name, _), count)| ((*name).to_owned(), json!(count))));
        fields.insert("last_at".to_owned(), json!(tally.last_at.map(|at| at.to_rfc3339())));
        fields.insert("last_name".to_owned(), json!(tally.last_name));
        Value::Object(fields)
    };
    let never = |kind| Tally { kind, count: 0, within: [0; 3], last_at: None, last_name: None };
    let done = |kind: InteractionKind| tallies.iter().find(|tally| tally.kind == kind).cloned();
    let each: Vec<Tally> = kinds.iter().map(|kind| done(*kind).unwrap_or_else(|| never(*kind))).collect();
    let mut all: Map<String, Value> = each.iter().map(|tally| (field(tally.kind).to_owned(), of(tally))).collect();
    if kinds.len() == InteractionKind::ALL.len() {
        let sum = |count: &dyn Fn(&Tally) -> u32| {
            each.iter().fold(0_u32, |sum, tally| sum.saturating_add(count(tally))).min(MOST_COUNTED)
        };
        let last = each.iter().max_by_key(|tally| tally.last_at);
        let any = Tally {
            kind: InteractionKind::Other,
            count: sum(&|tally| tally.count),
            within: [0, 1, 2].map(|window: usize| sum(&|tally| tally.within[window])),
            last_at: last.and_then(|tally| tally.last_at),
            last_name: last.and_then(|tally| tally.last_name.clone()),
        };
        all.insert(ANY.to_owned(), of(&any));
    }
    Value::Object(all)
}

/// The value for somebody who never did anything.
pub fn nothing() -> Value {
    data(&InteractionKind::ALL.iter().copied().collect(), &[])
}

/// Where a variable stands in an expression or in a part of a template: what follows each place. A field of that name does not
/// count; a text that has the word does, which costs a look and says nothing wrong.
pub(super) fn places<'t>(source: &'t str, variable: &'t str) -> impl Iterator<Item = &'t str> {
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(variable).filter_map(move |(at, _)| {
        let (before, after) = (&source[..at], &source[at + variable.len()..]);
        let is_field = before.trim_end().ends_with('.');
        (!before.ends_with(inner) && !is_field && !after.starts_with(inner)).then_some(after)
    })
}

/// The kinds that an expression, or a part of a template, reads: all of them where it does not name which.
pub(super) fn kinds_read(source: &str) -> BTreeSet<InteractionKind> {
    let all = || InteractionKind::ALL.iter().copied();
    let mut kinds = BTreeSet::new();
    for after in places(source, INTERACTIONS) {
        let after = after.trim_start();
        let word = |text: &str| {
            let text = text.trim_start();
            text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default().to_owned()
        };
        let name = match after.strip_prefix('.') {
            Some(rest) => Some(word(rest)),
            None => after.strip_prefix('[').and_then(|rest| rest.trim_start().strip_prefix(['\'', '"'])).map(word),
        };
        match name.as_deref().map(kind_of) {
            Some(Some(kind)) => kinds.extend([kind]),
            _ => kinds.extend(all()),
        }
    }
    kinds
}

/// Whether time alone changes what an expression gives, because it counts over a window.
pub(super) fn fades(source: &str) -> bool {
    source.contains(INTERACTIONS) && WINDOWS.iter().any(|(name, _)| source.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_that_an_expression_reads_are_those_that_it_names() {
        use InteractionKind::{EmailOpen, Form, Page};
        let all: BTreeSet<_> = InteractionKind::ALL.iter().copied().collect();
        for (source, kinds) in [
            ("interactions.form.count > 2", [Form].into()),
            (
                "interactions . page.count_7d > 0 && interactions['email_open'].last_at != null",
                [EmailOpen, Page].into(),
            ),
            ("interactions[\"form\"].count == interactions.form.count_30d", [Form].into()),
            ("interactions.any.count == 0", all.clone()),
            ("interactions[contact.title].count == 0", all.clone()),
            ("size(interactions) > 3", all.clone()),
            ("contact.custom.interactions.form > 3", BTreeSet::new()),
            ("my_interactions.form", BTreeSet::new()),
            ("contact.title == 'Head'", BTreeSet::new()),
        ] {
            assert_eq!(kinds_read(source), kinds, "{source}");
        }
    }

    #[test]
    fn a_field_is_the_code_in_small_letters_and_any_is_all_of_them() {
        for kind in InteractionKind::ALL {
            assert_eq!(field(*kind), kind.as_str().to_lowercase());
        }
        let at = |day: u32| format!("2026-03-{day:02}T09:00:00Z").parse().ok();
        let tally = |kind, count, day| Tally {
            kind,
            count,
            within: [1, 2, 3],
            last_at: at(day),
            last_name: Some(format!("of {day}")),
        };
        let tallies = [tally(InteractionKind::Form, 999, 2), tally(InteractionKind::Page, 7, 4)];
        let all = data(&InteractionKind::ALL.iter().copied().collect(), &tallies);
        assert_eq!((&all["any"]["count"], &all["any"]["count_90d"]), (&json!(1_000), &json!(6)));
        assert_eq!(all["any"]["last_name"], "of 4");
        assert_eq!((&all["form"]["count_7d"], &all["meeting"]["last_at"]), (&json!(1), &Value::Null));
        let some = data(&[InteractionKind::Form].into(), &tallies);
        assert_eq!(some.as_object().unwrap().keys().collect::<Vec<_>>(), ["form"]);
    }
}
