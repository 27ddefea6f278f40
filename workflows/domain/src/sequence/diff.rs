//! What changed between two definitions: the header field by field, the steps one by one, and the ways between them.
//!
//! Two steps are the same where they have the same id. The order of the steps is the order of the list.

use super::definition::{Definition, Step};
use crate::codes;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

codes! {
    /// What became of a step.
    pub enum StepChangeKind("step change") {
        /// The older definition does not have it.
        Added = "ADDED",
        /// The newer definition does not have it.
        Removed = "REMOVED",
        /// Its settings, its place in the order or the ways out of it changed.
        Changed = "CHANGED",
    }
}

/// One field before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// Where, e.g. `template.subject`.
    pub path: String,
    /// The value before; none where there was none.
    pub before: Option<Value>,
    /// The value after; none where there is none.
    pub after: Option<Value>,
}

/// One step that is not as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepChange {
    /// Its id.
    pub id: String,
    /// What became of it.
    pub change: StepChangeKind,
    /// Its kind: the newer one where it has two.
    pub kind: &'static str,
    /// Its place in the older list, from 1; none where it is added.
    pub place_before: Option<usize>,
    /// Its place in the newer list, from 1; none where it is removed.
    pub place_after: Option<usize>,
    /// Whether it stands in another order among the steps that both definitions have. As few steps as possible count as moved.
    pub moved: bool,
    /// The settings that differ; for a step that is added or removed, all of them.
    pub fields: Vec<FieldChange>,
    /// Every step that could come right after it.
    pub ways_before: Vec<String>,
    /// Every step that can come right after it now.
    pub ways_after: Vec<String>,
}

/// Everything that differs between two definitions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diff {
    /// The fields of the header.
    pub header: Vec<FieldChange>,
    /// The steps: those of the newer definition in its order, then those that are gone.
    pub steps: Vec<StepChange>,
}

impl Diff {
    /// Whether nothing differs.
    pub const fn is_empty(&self) -> bool {
        self.header.is_empty() && self.steps.is_empty()
    }
}

/// What changed from `before` to `after`.
pub fn diff(before: &Definition, after: &Definition) -> Diff {
    let mut changes = Diff::default();
    compare("", Some(&json(&before.header)), Some(&json(&after.header)), &mut changes.header);
    let moved = moved(before, after);
    for (at, step) in after.steps.iter().enumerate() {
        let was = before.step(&step.id);
        let place_before = was.map(|(at, _)| at);
        let change = StepChange {
            moved: moved.contains(step.id.as_str()),
            ..step_change(step, (before, place_before), (after, Some(at)))
        };
        let same_ways = change.ways_before == change.ways_after;
        if was.is_none() || change.moved || !change.fields.is_empty() || !same_ways {
            changes.steps.push(change);
        }
    }
    for (at, step) in before.steps.iter().enumerate().filter(|(_, step)| after.step(&step.id).is_none()) {
        changes.steps.push(step_change(step, (before, Some(at)), (after, None)));
    }
    changes
}

/// Everything in a definition as new.
pub fn all(after: &Definition) -> Diff {
    let nothing = Definition { header: after.header.clone(), steps: Vec::new() };
    let mut changes = Diff { steps: diff(&nothing, after).steps, ..Diff::default() };
    compare("", None, Some(&json(&after.header)), &mut changes.header);
    changes
}

fn step_change(
    step: &Step,
    (before, place_before): (&Definition, Option<usize>),
    (after, place_after): (&Definition, Option<usize>),
) -> StepChange {
    let ways = |definition: &Definition, at: Option<usize>| -> Vec<String> {
        at.map(|at| definition.ways(at).into_iter().map(str::to_owned).collect()).unwrap_or_default()
    };
    let settings =
        |definition: &Definition, at: Option<usize>| at.and_then(|at| definition.steps.get(at)).map(settings);
    let mut fields = Vec::new();
    let (was, is) = (settings(before, place_before), settings(after, place_after));
    compare("", was.as_ref(), is.as_ref(), &mut fields);
    let change = match (place_before, place_after) {
        (None, _) => StepChangeKind::Added,
        (_, None) => StepChangeKind::Removed,
        _ => StepChangeKind::Changed,
    };
    StepChange {
        id: step.id.clone(),
        change,
        kind: step.kind.name(),
        place_before: place_before.map(|at| at + 1),
        place_after: place_after.map(|at| at + 1),
        moved: false,
        fields,
        ways_before: ways(before, place_before),
        ways_after: ways(after, place_after),
    }
}

/// Kind, settings and `next`; the id is what the step is found by.
fn settings(step: &Step) -> Value {
    let mut settings = json(step);
    if let Some(settings) = settings.as_object_mut() {
        settings.remove("id");
    }
    settings
}

fn json<T: Serialize>(value: &T) -> Value {
    // Whatever came out of a document has a JSON form.
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Compares map by map; what is no map is compared as a whole.
fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let map = |value: Option<&Value>| value.is_none_or(Value::is_object);
    if map(before) && map(after) {
        let fields = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
        let (before, after) = (fields(before), fields(after));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            compare(&inner, before.get(name), after.get(name), found);
        }
        return;
    }
    found.push(FieldChange { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
}

/// The steps of both definitions that are not part of their longest common order.
fn moved<'a>(before: &Definition, after: &'a Definition) -> BTreeSet<&'a str> {
    let places: Vec<(usize, &str)> = after
        .steps
        .iter()
        .filter_map(|step| before.step(&step.id).map(|(place, _)| (place, step.id.as_str())))
        .collect();
    // The longest increasing run of old places; a definition has at most 200 steps.
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(places.len());
    for (at, (place, _)) in places.iter().enumerate() {
        let longest = (0..at).filter(|earlier| places[*earlier].0 < *place).max_by_key(|earlier| best[*earlier].0);
        best.push((longest.map_or(1, |earlier| best[earlier].0 + 1), longest));
    }
    let mut kept = BTreeSet::new();
    let mut next = (0..best.len()).max_by_key(|at| best[*at].0);
    while let Some(at) = next {
        kept.insert(at);
        next = best[at].1;
    }
    places.iter().enumerate().filter(|(at, _)| !kept.contains(at)).map(|(_, (_, id))| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::validate;
    use serde_json::json;

    fn read(steps: &str) -> Definition {
        validate::read(&format!("{{key: k, name: Name, subject: contact, steps: [{steps}]}}")).unwrap()
    }

    const MAIL: &str = "{id: mail, kind: send_email, template: {subject: a, text: b}}";
    const REST: &str = "{id: rest, kind: wait, duration: 1d}";
    const CALL: &str = "{id: call, kind: create_task, title: Call, due_in: 1d}";
    const DONE: &str = "{id: done, kind: end}";

    #[test]
    fn the_same_has_no_difference() {
        let one = read(&[MAIL, REST, CALL, DONE].join(","));
        assert!(diff(&one, &one).is_empty());
    }

    #[test]
    fn fields_are_named_one_by_one_with_both_values() {
        let before = read(&[MAIL, REST, DONE].join(","));
        let after = validate::read(
            "{key: k, name: More, subject: contact, goal: 'true', steps: [{id: mail, kind: send_email, template: {subject: z, text: b}, \
             transactional: true}, {id: rest, kind: wait, until: {time: '09:00'}}, {id: done, kind: end}]}",
        )
        .unwrap();
        let found = diff(&before, &after);
        let paths = |fields: &[FieldChange]| fields.iter().map(|field| field.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&found.header), ["goal", "name"]);
        assert_eq!(found.header[1].before, Some(json!("Name")));
        let [mail, rest] = found.steps.try_into().unwrap();
        assert_eq!(paths(&mail.fields), ["template.subject", "transactional"]);
        assert_eq!((mail.fields[0].before.clone(), mail.fields[0].after.clone()), (Some(json!("a")), Some(json!("z"))));
        assert_eq!(paths(&rest.fields), ["duration", "until.time"]);
        assert!(!mail.moved && !rest.moved);
    }

    #[test]
    fn a_step_that_comes_goes_or_moves_is_told_apart_from_its_neighbours() {
        let before = read(&[MAIL, REST, CALL, DONE].join(","));
        let after = read(&[CALL, MAIL, REST, "{id: more, kind: wait, duration: 2d}", DONE].join(","));
        let found = diff(&before, &after);
        let said: Vec<(&str, StepChangeKind, bool)> =
            found.steps.iter().map(|step| (step.id.as_str(), step.change, step.moved)).collect();
        let expected = [
            ("call", StepChangeKind::Changed, true),
            ("rest", StepChangeKind::Changed, false),
            ("more", StepChangeKind::Added, false),
        ];
        assert_eq!(said, expected);
        assert_eq!(found.steps[0].ways_before, ["done"]);
        assert_eq!(found.steps[0].ways_after, ["mail"]);
        let gone = diff(&after, &before);
        let more = gone.steps.iter().find(|step| step.id == "more").unwrap();
        assert_eq!((more.change, more.place_before, more.place_after), (StepChangeKind::Removed, Some(4), None));
    }

    #[test]
    fn a_way_that_changed_is_a_change_although_the_step_says_the_same() {
        let before = read(&[MAIL, REST, DONE].join(","));
        let after = read(&[MAIL, CALL, REST, DONE].join(","));
        let mail = diff(&before, &after).steps.into_iter().find(|step| step.id == "mail").unwrap();
        assert!(mail.fields.is_empty() && !mail.moved);
        assert_eq!((mail.ways_before, mail.ways_after), (vec!["rest".to_owned()], vec!["call".to_owned()]));
    }
}
