//! `stop_sequence`: the runs of the same subject through another sequence end.

use super::{Effect, Failure, Kind, Next, Origin, Run};
use crate::sequence::definition::{NAME, is_name};
use crate::sequence::names::{Named, Thing};
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};

/// The runs of the same subject through another sequence end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The key of the sequence.
    #[schemars(regex(pattern = NAME))]
    pub sequence: String,
}

/// Runs that a step asks to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStop {
    /// Which step of which run asks for it.
    pub origin: Origin,
    /// The key of the sequence.
    pub sequence: String,
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        if !is_name(&self.sequence) {
            check.problem("sequence", Rule::Shape, "this is no key of a sequence; write the `key` that it has");
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let stop = PlannedStop { origin: run.origin(), sequence: self.sequence.clone() };
        Ok(Next::Act(Box::new(Effect::StopSequence(stop))))
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named { field: "sequence", thing: Thing::Sequence, key: &self.sequence }]
    }
}
