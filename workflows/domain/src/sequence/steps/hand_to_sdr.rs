//! `hand_to_sdr`: the lead is qualified and enters the queue of the SDRs; the sequence lets go of it.

use super::{Effect, Failure, Kind, Next, Origin, Run};
use crate::lead;
use crate::sequence::names::{Named, Thing};
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use crate::work_item::MOST_NOTES;
use serde::{Deserialize, Serialize};

/// The lead is qualified and enters the queue of the SDRs; all settings may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the team whose queue it goes to; without it, everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// How urgent it becomes, 0 (least) to 100; without it, as urgent as it was, and 50 where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub priority: Option<u8>,
    /// The source of a lead that is made because the person has none; without it, `sequence:` and the key of the sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What the SDR should know: a template of at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A lead that a step hands to the SDRs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedHandover {
    /// Which step of which run asks for it.
    pub origin: Origin,
    /// The name of the team; none for everybody's queue.
    pub team: Option<String>,
    /// How urgent it becomes; none where that stays.
    pub priority: Option<u8>,
    /// The source of a lead that is made.
    pub source: String,
    /// What the SDR should know.
    pub notes: Option<String>,
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        if self.priority.is_some_and(|priority| priority > 100) {
            check.problem("priority", Rule::Shape, "a priority is 0 (least urgent) to 100; write one of these");
        }
        if let Some(source) = &self.source
            && let Err(refusal) = lead::normalise_source(source)
        {
            check.problem("source", Rule::Shape, refusal.to_string());
        }
        if let Some(notes) = &self.notes {
            check.template("notes", notes, Form::Text, &[], MOST_NOTES);
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let notes = self.notes.as_ref().map(|notes| run.render(notes, Form::Text)).transpose()?;
        let handover = PlannedHandover {
            origin: run.origin(),
            team: self.team.clone(),
            priority: self.priority,
            source: self.source.clone().unwrap_or_else(|| format!("sequence:{}", run.sequence_key())),
            notes: notes.map(|notes| notes.chars().take(MOST_NOTES).collect()),
        };
        Ok(Next::Act(Box::new(Effect::HandToSdr(handover))))
    }

    fn names(&self) -> Vec<Named<'_>> {
        let team = self.team.as_deref();
        team.map(|key| Named { field: "team", thing: Thing::Team, key }).into_iter().collect()
    }
}
