//! `consent`: what the person agreed to or took back is recorded, e.g. after a double opt-in.

use super::{Effect, Failure, Kind, Next, Origin, Run};
use crate::contact::ConsentState;
use crate::sequence::template::Form;
use crate::sequence::validate::Check;
use serde::{Deserialize, Serialize};

/// What the person agreed to or took back is recorded, e.g. after a double opt-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the person said.
    pub state: Said,
    /// Where that is known from: a template of one line, at most 200 characters.
    pub source: String,
}

/// What a person says about being written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Agreed. A consent that was withdrawn stays withdrawn.
    Granted,
    /// Took it back, or refused: the run ends before its next step.
    Withdrawn,
}

impl From<Said> for ConsentState {
    fn from(said: Said) -> Self {
        match said {
            Said::Granted => Self::Granted,
            Said::Withdrawn => Self::Withdrawn,
        }
    }
}

/// A consent that a step asks to record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedConsent {
    /// Which step of which run asks for it.
    pub origin: Origin,
    /// What the person said.
    pub state: ConsentState,
    /// Where that is known from.
    pub source: String,
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        check.template("source", &self.source, Form::Line, &[], 200);
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let source = run.render(&self.source, Form::Line)?.chars().take(200).collect();
        let consent = PlannedConsent { origin: run.origin(), state: self.state.into(), source };
        Ok(Next::Act(Box::new(Effect::Consent(consent))))
    }
}
