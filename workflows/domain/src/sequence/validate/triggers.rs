//! Reading and checking the triggers of a header.

use super::decoding::shape_message;
use super::{Check, Problems, Rule, join, part};
use crate::expression::typing;
use crate::interaction::InteractionKind;
use crate::sequence::definition::{Definition, StopOnReply};
use crate::sequence::steps::StepKind;
use crate::sequence::trigger::{self, Trigger, TriggerKind};
use serde_json::Value;
use std::collections::BTreeSet;

/// The triggers that can be read.
pub(super) fn decode_triggers(listed: Option<Value>, problems: &mut Problems<'_>) -> Vec<Trigger> {
    let items = match listed {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(_) => {
            let message =
                "a list of triggers is expected; write `triggers:` and under it `- {kind: event, event: [FORM]}`";
            problems.add("triggers".to_owned(), Rule::Shape, message);
            return Vec::new();
        }
    };
    if items.len() > trigger::MAX_TRIGGERS {
        let message = format!("a sequence has at most {} triggers; join some of them", trigger::MAX_TRIGGERS);
        problems.add("triggers".to_owned(), Rule::TooLarge, message);
        return Vec::new();
    }
    let each = items.into_iter().enumerate();
    each.filter_map(|(at, item)| decode_trigger(item, &format!("triggers[{at}]"), problems)).collect()
}

fn decode_trigger(item: Value, path: &str, problems: &mut Problems<'_>) -> Option<Trigger> {
    let Value::Object(mut item) = item else {
        problems.add(path.to_owned(), Rule::Shape, "a trigger is a map; write `kind: ...` and its settings");
        return None;
    };
    let Some(Value::String(kind)) = item.remove("kind") else {
        let kinds = trigger::NAMES.join(", ");
        problems.add(path.to_owned(), Rule::Shape, format!("a trigger has a kind; write `kind:` and one of {kinds}"));
        return None;
    };
    let when = item.remove("when").and_then(|when| part::<String>(when, &join(path, "when"), problems));
    let vars = item.remove("vars").and_then(|vars| part(vars, &join(path, "vars"), problems)).unwrap_or_default();
    let kind = match TriggerKind::decode(&kind, Value::Object(item)) {
        Some(Ok(kind)) => kind,
        Some(Err((inner, message))) => {
            let path = join(path, &inner);
            let message = shape_message(&path, &message);
            problems.add_shape(path, Rule::Shape, message);
            return None;
        }
        None => {
            let hint = typing::suggestion(&kind, trigger::NAMES);
            problems.add(join(path, "kind"), Rule::Shape, format!("`{kind}` is not a kind of trigger{hint}"));
            return None;
        }
    };
    Some(Trigger { when, vars, kind })
}

/// Reports what is wrong with triggers.
pub(super) fn check_triggers(triggers: &[Trigger], problems: &mut Problems<'_>) {
    let mut seen = BTreeSet::new();
    for (at, trigger) in triggers.iter().enumerate() {
        let path = format!("triggers[{at}]");
        trigger.check(&mut Check::new(path.clone(), problems, None));
        if !seen.insert(trigger.key()) {
            problems.add(path, Rule::TriggerDuplicate, "another trigger says the same; take one of the two away");
        }
    }
}

/// What a step waits for must not end the run before the step hears of it.
pub(super) fn check_stops(definition: &Definition, problems: &mut Problems<'_>) {
    for (at, step) in definition.steps.iter().enumerate() {
        let StepKind::WaitFor(wait) = &step.kind else { continue };
        if definition.header.stop_on_meeting && wait.event.contains(&InteractionKind::Meeting) {
            let message =
                "a meeting ends the run before this step hears of it; write `stop_on_meeting: false` in the header";
            problems.add(format!("steps[{at}].event"), Rule::Shape, message);
        }
        // With `sequence` the person may write about something else, which is heard.
        let replies_end = definition.header.stop_on_reply == StopOnReply::Any;
        if let Some(reply) = wait.event.iter().position(|kind| *kind == InteractionKind::EmailReply)
            && replies_end
        {
            let message = "a reply ends the run before this step hears of it; write `stop_on_reply: never` in the header, or take \
                           EMAIL_REPLY away";
            problems.add(format!("steps[{at}].event[{reply}]"), Rule::Shape, message);
        }
    }
}
