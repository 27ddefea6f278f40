//! `start_sequence`: the subject is enrolled in another sequence. Where that refuses (the re-entry rule, the entry condition),
//! the run goes on and its record says so.

use super::{Effect, Failure, Kind, Next, Origin, Run};
use crate::expression::Expression;
use crate::sequence::definition::{NAME, is_name};
use crate::sequence::names::{Named, Thing};
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most values that one step hands over.
pub const MOST_VARS: usize = 20;

/// The subject is enrolled in another sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The key of the sequence.
    #[schemars(regex(pattern = NAME))]
    pub sequence: String,
    /// Values that the new run has as `enrollment.vars.<name>`, each computed in CEL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
}

/// A run that a step asks to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStart {
    /// Which step of which run asks for it.
    pub origin: Origin,
    /// The key of the sequence.
    pub sequence: String,
    /// The values that it hands over.
    pub vars: Map<String, Value>,
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        if !is_name(&self.sequence) {
            check.problem("sequence", Rule::Shape, "this is no key of a sequence; write the `key` that it has");
        }
        if self.vars.len() > MOST_VARS {
            check.problem("vars", Rule::TooLarge, format!("at most {MOST_VARS} values; leave some out"));
        }
        for (name, expression) in &self.vars {
            check.expression(&format!("vars.{name}"), expression);
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let mut vars = Map::new();
        for (name, expression) in &self.vars {
            vars.insert(name.clone(), Expression::parse(expression)?.evaluate(run.context.data)?);
        }
        let start = PlannedStart { origin: run.origin(), sequence: self.sequence.clone(), vars };
        Ok(Next::Act(Box::new(Effect::StartSequence(start))))
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named { field: "sequence", thing: Thing::Sequence, key: &self.sequence }]
    }
}
