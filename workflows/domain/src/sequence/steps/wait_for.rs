//! `wait_for`: nothing happens until the person does something, or until a condition begins to hold, but not for longer than a
//! time-out.
//!
//! Which events count is decided by the order of the ledger: those behind the place at which the step began, or with
//! `since: enrollment` behind the one at which the run did. [`crate::sequence::hearing`] wakes the run.

use super::{Failure, Kind, Next, Run};
use crate::expression::{Expression, Refusal};
use crate::interaction::InteractionKind;
use crate::sequence::definition::NAME;
use crate::sequence::environment::with_event;
use crate::sequence::span::Span;
use crate::sequence::trigger::Event;
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// From when on an event counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// From the beginning of the step.
    #[default]
    Step,
    /// From the beginning of the run.
    Enrollment,
}

/// Nothing happens until the person does something, or a condition begins to hold: exactly one of `event` and `condition`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the person does: one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event: Vec<InteractionKind>,
    /// CEL over `event`: only an event for which it holds counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// CEL: what must hold. Where it does already, nothing is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// How long at most.
    pub timeout: Span,
    /// The step that follows a time-out; without it, the same as otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME))]
    pub on_timeout: Option<String>,
    /// From when on an event counts.
    #[serde(default, skip_serializing_if = "is_step")]
    #[schemars(extend("default" = "step"))]
    pub since: Since,
}

fn is_step(since: &Since) -> bool {
    *since == Since::Step
}

impl Config {
    /// Whether an event is one that is waited for, seen by a subject with these data.
    pub fn hears(&self, event: &Event, data: &Value) -> Result<bool, Refusal> {
        if !self.event.contains(&event.kind) {
            return Ok(false);
        }
        let Some(when) = &self.when else { return Ok(true) };
        let mut data = data.clone();
        data["event"] = event.data();
        Expression::parse(when)?.holds(&data)
    }
}

impl Kind for Config {
    fn acts(&self) -> bool {
        false
    }

    fn check(&self, check: &mut Check<'_, '_>) {
        if self.event.is_empty() == self.condition.is_none() {
            check.problem("", Rule::Shape, "what is waited for is either `event` or `condition`; keep one of the two");
        }
        if let Some(condition) = &self.condition {
            check.condition("condition", condition);
            if self.when.is_some() || self.since != Since::Step {
                let message = "`when` and `since` say which event counts; take them away, or write `event`";
                check.problem("", Rule::Shape, message);
            }
        }
        if let Some(when) = &self.when {
            check.condition_in("when", when, &with_event());
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let awaited = run.enrollment.hearing.awaited.as_ref().filter(|awaited| awaited.step == run.step.id);
        if awaited.is_some_and(|awaited| awaited.met) {
            return Ok(Next::GoOn);
        }
        if let Some(condition) = &self.condition
            && run.holds(condition)?
        {
            return Ok(Next::GoOn);
        }
        Ok(match awaited {
            Some(awaited) if awaited.until > run.now => Next::Await(awaited.until),
            Some(_) => self.on_timeout.clone().map_or(Next::GoOn, Next::GoTo),
            None => Next::Await(run.now + self.timeout.delta()),
        })
    }

    fn targets(&self) -> Vec<(&'static str, &str)> {
        self.on_timeout.iter().map(|step| ("on_timeout", step.as_str())).collect()
    }

    fn waits(&self) -> bool {
        // A condition may hold at once, and again in the next round.
        !self.event.is_empty()
    }
}
