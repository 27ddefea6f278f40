//! Advice on conditions and values that read what not everybody has.

use crate::expression::guards::{Bare, Doubts, bare};
use crate::expression::typing::Purpose;
use crate::sequence::definition::Definition;
use crate::sequence::environment::{is_open, may_be_null};
use crate::sequence::steps::StepKind;
use crate::sequence::trigger::Trigger;
use crate::sequence::validate::{Problems, Rule};
use std::collections::BTreeSet;

/// The map of the values that a run was given.
const VARS: &str = "enrollment.vars.";

/// Advice on every expression of a definition that breaks no rule.
pub(super) fn unguarded(definition: &Definition, problems: &mut Problems<'_>) {
    let subject = definition.header.subject;
    let without_event = without_event(definition);
    for written in problems.expressions().to_vec() {
        let step = step_of(&written.path);
        let has_event = step.is_some_and(|step| !without_event.contains(&step));
        let may_be_null = |name: &str| {
            may_be_null(name, subject) && !(has_event && name.strip_prefix("enrollment.") == Some("event"))
        };
        let doubts = Doubts { may_be_null: &may_be_null, is_open: &is_open };
        // For whoever runs through it, the entry condition held. What it says of them may change later, which is rare.
        let entered = written.path != "entry" && !written.path.starts_with("triggers");
        let given = definition.header.entry.as_deref().filter(|_| entered);
        for found in bare(&written.source, given, doubts, written.purpose == Purpose::Text) {
            if step.is_some() && found.guards.len() == 1 && is_set(definition, &found.name) {
                continue;
            }
            let fix = fix(&found, written.purpose);
            let (rule, message) = match found.name.strip_prefix(VARS) {
                Some(name) => match not_given(definition, name, step.is_some()) {
                    Source::Trigger(trigger) => (
                        Rule::VarNotGiven,
                        format!(
                            "{trigger} gives no `{name}`, and for whom it means this fails; write `vars: {{ {name}: ... }}` in it, or here {fix}"
                        ),
                    ),
                    Source::Nobody => (
                        Rule::ExpressionNoGuard,
                        format!("not every run has `{}`, and for the others this fails; write {fix}", found.name),
                    ),
                    Source::Known => continue,
                },
                None => (
                    Rule::ExpressionNoGuard,
                    format!("not everybody has `{}`, and for the others this fails; write {fix}", found.name),
                ),
            };
            problems.add_inside(written.path.clone(), &written.source, found.at, rule, message);
        }
    }
}

/// The position of the step that a path leads into.
fn step_of(path: &str) -> Option<usize> {
    path.strip_prefix("steps[")?.split_once(']')?.0.parse().ok()
}

/// The steps to which a way leads on which no `wait_for` heard anything, or the last one did not.
fn without_event(definition: &Definition) -> BTreeSet<usize> {
    let position = |id: &str| definition.step(id).map(|(position, _)| position);
    let mut found = BTreeSet::new();
    let mut open = vec![0];
    // Behind a step that hears something only the way of its time-out goes on without; but what is heard may be forgotten later.
    let hears = |at: usize| matches!(definition.steps.get(at).map(|step| &step.kind), Some(StepKind::WaitFor(wait)) if !wait.event.is_empty());
    open.extend(
        (0..definition.steps.len()).filter(|at| hears(*at)).filter_map(|at| position(definition.after_timeout(at)?)),
    );
    while let Some(at) = open.pop() {
        if found.insert(at) && !hears(at) {
            open.extend(definition.ways(at).into_iter().filter_map(position));
        }
    }
    found
}

/// Whether a step of the definition sets the custom field of this name, so that those after it may rely on it.
fn is_set(definition: &Definition, name: &str) -> bool {
    definition.steps.iter().any(|step| match &step.kind {
        StepKind::SetField(set) => {
            set.custom().is_some_and(|(record, key)| name == format!("{}.custom.{key}", record.name()))
        }
        _ => false,
    })
}

/// How it is written so that it does not fail.
fn fix(found: &Bare, purpose: Purpose) -> String {
    let guards = found.guards.join(" && ");
    match purpose {
        Purpose::Condition => format!("`{guards} && ` before it"),
        Purpose::Text => format!("`{guards} ? ... : ''`"),
        Purpose::Value | Purpose::Scalar => format!("`{guards} ? ... : null`"),
    }
}

/// Where a value of the run comes from.
enum Source {
    /// From all that starts it, or from a step before.
    Known,
    /// Not from this trigger.
    Trigger(String),
    /// From nothing in the definition.
    Nobody,
}

fn not_given(definition: &Definition, name: &str, in_step: bool) -> Source {
    let triggers = &definition.header.triggers;
    // What a call was answered is kept by its step, for those that come after it.
    let is_kept = definition.steps.iter().any(|step| match &step.kind {
        StepKind::CallWebhook(call) => call.name.as_deref() == Some(name),
        _ => false,
    });
    if is_kept && in_step {
        return Source::Known;
    }
    let without = |trigger: &&Trigger| !trigger.vars.contains_key(name);
    match triggers.iter().position(|trigger| without(&trigger)) {
        Some(at) => Source::Trigger(format!("the trigger {} (`kind: {}`)", at + 1, triggers[at].kind.name())),
        None if triggers.is_empty() => Source::Nobody,
        None => Source::Known,
    }
}
