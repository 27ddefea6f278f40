//! `branch`: one of two ways, by a condition.

use super::{Failure, Kind, Next, Run};
use crate::sequence::definition::NAME;
use crate::sequence::validate::Check;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One of two ways, by a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The condition, in CEL.
    pub when: String,
    /// The step to go to where it holds.
    #[schemars(regex(pattern = NAME))]
    pub then: String,
    /// The step to go to where it does not.
    #[serde(rename = "else")]
    #[schemars(regex(pattern = NAME))]
    pub otherwise: String,
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        check.condition("when", &self.when);
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let target = if run.holds(&self.when)? { &self.then } else { &self.otherwise };
        Ok(Next::GoTo(target.clone()))
    }

    fn because(&self, next: &Next) -> Option<Map<String, Value>> {
        let Next::GoTo(target) = next else { return None };
        let mut decided = Map::from_iter([("when".to_owned(), Value::from(self.when.as_str()))]);
        // Where both ways are one, which of them was taken says nothing.
        if self.then != self.otherwise {
            decided.insert("held".to_owned(), Value::from(*target == self.then));
        }
        Some(decided)
    }

    fn targets(&self) -> Vec<(&'static str, &str)> {
        vec![("then", &self.then), ("else", &self.otherwise)]
    }

    fn goes_on(&self) -> bool {
        false
    }

    fn acts(&self) -> bool {
        false
    }
}
