//! What a run remembers of its own steps, and the end of its wait for a task.

use super::{Enrollment, TaskEnd};
use crate::decision::Decision;
use crate::id::EnrollmentId;
use crate::sequence::definition::Definition;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run remembers of its own steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The variants that it was given, by the id of the step that splits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, String>,
    /// While it waits for a task, paused or not: which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<AwaitedTask>,
    /// How the last task that it waited for came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_task_outcome: Option<TaskEnd>,
    /// While it waits for an answer: whether it was moved away from the step that made the call. Then it goes on at its present
    /// step, which it has not taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved_on: bool,
    /// The runs that started each other, of which this one is the last; none where a person or a rule outside started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// Whether one of its steps ended it, and nothing that came in between.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended_by_step: bool,
}

/// The task that a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedTask {
    /// The step that made it.
    pub step: String,
    /// The visit that made it.
    pub visit: u32,
}

/// Runs that started each other, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The run that started this one.
    pub by: EnrollmentId,
    /// How many starts there were in a row, with this one.
    pub length: u32,
    /// When the first of them was.
    pub since: DateTime<Utc>,
}

/// How many runs may start each other in a row within [`CHAIN_HOURS`]: more of them would be a loop.
pub const MOST_IN_CHAIN: u32 = 10;
/// After how many hours a chain of starts begins anew, so that programmes that follow each other over months are none.
pub const CHAIN_HOURS: i64 = 24;

impl Chain {
    /// The chain of a run that `parent` starts at `now`; none where it would be too long.
    pub fn after(parent: &Enrollment, now: DateTime<Utc>) -> Option<Self> {
        let young = |chain: &Self| now.signed_duration_since(chain.since) < TimeDelta::hours(CHAIN_HOURS);
        let by = parent.id;
        match parent.memory.chain.filter(young) {
            Some(chain) if chain.length >= MOST_IN_CHAIN => None,
            Some(chain) => Some(Self { by, length: chain.length + 1, since: chain.since }),
            None => Some(Self { by, length: 1, since: now }),
        }
    }
}

impl Memory {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The run does not wait for its task any longer; whether it did.
    pub(crate) fn give_up_task(&mut self) -> bool {
        let waited = self.task.take().is_some();
        if waited {
            self.last_task_outcome = Some(TaskEnd::TimedOut);
        }
        waited
    }
}

/// Ends the wait for the task that was made under `visit`: the run goes on at the step that its definition names for this
/// end, now or as soon as it is resumed. None where the run does not wait for that task (any more).
pub fn task_settled(
    mut enrollment: Enrollment,
    definition: &Definition,
    visit: u32,
    end: TaskEnd,
    now: DateTime<Utc>,
) -> Option<Decision<Enrollment>> {
    let task = enrollment.memory.task.take_if(|task| task.visit == visit)?;
    let fact = enrollment.fact("enrollment.task_settled").with("planned_under", visit).with("outcome", end);
    enrollment.memory.last_task_outcome = Some(end);
    if let Some(step) = definition.after_task(&task.step, end) {
        step.clone_into(&mut enrollment.step);
    }
    let fact = fact.with("goes_on_at", &enrollment.step);
    Some(enrollment.due_at_once(fact, now))
}
