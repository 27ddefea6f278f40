//! `check_goal`: where a condition holds here, the enrolment is over and has reached its goal; else it goes on.
//!
//! The `goal` of the header is looked at before every step. This is for a goal that counts at one place alone.

use super::{Failure, Kind, Next, Run};
use crate::sequence::enrollment::FinishReason;
use crate::sequence::validate::Check;
use serde::{Deserialize, Serialize};

/// Where a condition holds here, the run is over and has reached its goal; else it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The condition, in CEL.
    pub when: String,
}

impl Kind for Config {
    fn acts(&self) -> bool {
        false
    }

    fn check(&self, check: &mut Check<'_, '_>) {
        check.condition("when", &self.when);
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        Ok(if run.holds(&self.when)? { Next::Finish(FinishReason::Goal) } else { Next::GoOn })
    }

    fn ends(&self) -> bool {
        true
    }
}
