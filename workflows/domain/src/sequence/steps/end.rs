//! `end`: the enrolment is over.

use super::{Failure, Kind, Next, Run};
use crate::sequence::enrollment::FinishReason;
use crate::sequence::validate::Check;
use serde::{Deserialize, Serialize};

/// The run is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How it ended; `completed` without it.
    #[serde(default)]
    pub outcome: Outcome,
}

/// How an enrolment comes to its end by a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It went through to the end.
    #[default]
    Completed,
    /// It reached what it was for.
    Goal,
    /// A meeting was booked.
    MeetingBooked,
    /// It was left early, by a rule.
    Exit,
}

impl Kind for Config {
    fn check(&self, _: &mut Check<'_, '_>) {}

    fn plan(&self, _: &Run<'_>) -> Result<Next, Failure> {
        Ok(match self.outcome {
            Outcome::Completed => Next::Finish(FinishReason::Completed),
            Outcome::Goal => Next::Finish(FinishReason::Goal),
            Outcome::MeetingBooked => Next::Finish(FinishReason::MeetingBooked),
            Outcome::Exit => Next::Exit,
        })
    }

    fn goes_on(&self) -> bool {
        false
    }

    fn ends(&self) -> bool {
        true
    }

    fn acts(&self) -> bool {
        false
    }
}
