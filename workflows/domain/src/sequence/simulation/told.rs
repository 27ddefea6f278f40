//! What lines say of the way of a run, and of its waits.

use crate::decision::Fact;
use crate::sequence::enrollment::{Enrollment, EnrollmentState, WaitReason};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

/// A step that was taken, as it is on record.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) step: String,
    pub(super) visit: u32,
    /// Of a split, the variant.
    pub(super) variant: Option<String>,
}

/// What is on record of an advance.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The steps that were taken, in order.
    pub(super) taken: Vec<Taken>,
    /// The rule of the cap that puts an e-mail off.
    pub(super) capped_by: Option<String>,
    /// What else puts a step off.
    pub(super) held_by: Option<String>,
}

/// Reads what an advance put on record.
pub(super) fn told(facts: Vec<Fact>) -> Told {
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let mut told = Told::default();
    for mut fact in facts {
        told.capped_by = text(fact.detail.remove("capped_by")).or(told.capped_by);
        told.held_by = text(fact.detail.remove("held_by")).or(told.held_by);
        let Some(Value::Array(steps)) = fact.detail.remove("taken") else { continue };
        for mut entry in steps {
            let visit = entry.get("visit").and_then(Value::as_u64).and_then(|visit| u32::try_from(visit).ok());
            let variant = text(entry.get_mut("variant").map(Value::take));
            if let Some(step) = text(entry.get_mut("step").map(Value::take)) {
                told.taken.push(Taken { step, visit: visit.unwrap_or_default(), variant });
            }
        }
    }
    told
}

/// The step, with its visit, at which a run waits: the one that is put off, or else the one that was taken last.
pub(super) fn waits_at(before: &Enrollment, after: &Enrollment, taken: &[Taken], held: bool) -> (String, u32) {
    let put_off = matches!(after.state, EnrollmentState::Waiting(WaitReason::Cap | WaitReason::Window))
        || held
        || taken.is_empty() && after.step != before.step;
    match taken.last() {
        _ if put_off => (after.step.clone(), after.visit.saturating_sub(1)),
        Some(last) => (last.step.clone(), last.visit),
        None => (before.step.clone(), before.visit),
    }
}

/// A moment as a person reads it in a zone, with the distance from UTC: abbreviations of zones mean different things.
pub(super) fn moment(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M %:z").to_string()
}
