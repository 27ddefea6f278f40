//! `propose`: the account is proposed for a target list, in the name of a user. It turns no key: two people agree on a list.

use super::{Effect, Failure, Kind, Next, Origin, Run};
use crate::sequence::names::{Named, Thing};
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use crate::target_list::ChangeReason;
use serde::{Deserialize, Serialize};

/// The person's company is proposed for a target list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The key of the list.
    pub list: String,
    /// The tier asked for: a code, name or alias of the taxonomy.
    pub tier: String,
    /// Why: at least one reason code.
    pub reasons: Vec<ChangeReason>,
    /// What speaks for it: a template of at most 2,000 characters; without it, the name of the sequence and the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The e-mail address of the user in whose name it is proposed; without it, whoever published the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposer: Option<String>,
}

/// A proposal that a step asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedProposal {
    /// Which step of which run asks for it.
    pub origin: Origin,
    /// The key of the list.
    pub list: String,
    /// The tier, as written.
    pub tier: String,
    /// Why.
    pub reasons: Vec<ChangeReason>,
    /// What speaks for it.
    pub note: String,
    /// The e-mail address of the proposer; none for whoever published the version.
    pub proposer: Option<String>,
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        if self.reasons.is_empty() {
            check.problem("reasons", Rule::Shape, "a proposal needs a reason; write `reasons: [ICP_FIT]`");
        }
        for (field, text) in [("list", &self.list), ("tier", &self.tier)] {
            if text.trim().is_empty() {
                check.problem(field, Rule::Shape, "it is empty; write something");
            }
        }
        if let Some(note) = &self.note {
            check.template("note", note, Form::Text, &[], 2_000);
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let note = match &self.note {
            Some(note) => run.render(note, Form::Text)?,
            None => format!("Proposed by the step `{}` of the sequence `{}`.", run.step.id, run.sequence_key()),
        };
        let proposal = PlannedProposal {
            origin: run.origin(),
            list: self.list.clone(),
            tier: self.tier.clone(),
            reasons: self.reasons.clone(),
            note: note.chars().take(2_000).collect(),
            proposer: self.proposer.clone(),
        };
        Ok(Next::Act(Box::new(Effect::Propose(proposal))))
    }

    fn names(&self) -> Vec<Named<'_>> {
        let mut named = vec![
            Named { field: "list", thing: Thing::List, key: &self.list },
            Named { field: "tier", thing: Thing::Tier, key: &self.tier },
        ];
        let proposer = self.proposer.as_deref();
        named.extend(proposer.map(|key| Named { field: "proposer", thing: Thing::Proposer, key }));
        named
    }
}
