//! What somebody wants to become of the runs on older versions, and where each step leads.

use super::Refusal;
use crate::codes;
use crate::nearest::nearest;
use crate::sequence::publishing::SequenceVersion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most entries of a map.
pub const MOST: usize = 1_000;

codes! {
    /// What becomes of the runs on older versions.
    pub enum Policy("running policy") {
        /// They stay on their versions, and go through to the end there.
        Stay = "STAY",
        /// They are moved to the newer version: to the step of the same id, or to where the map says.
        Migrate = "MIGRATE",
        /// They end as EXITED(SUPERSEDED), and the tasks that nobody has claimed are closed.
        Finish = "FINISH",
    }
}

/// Where runs that stand before a step of an older version go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapEntry {
    /// For runs of the version of this number alone; none for those of every older version that has the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The step that would run next.
    pub from: String,
    /// The step of the newer version that runs next instead; none to end the run.
    pub to: Option<String>,
    /// Whether effects that the run took before may be taken again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat: bool,
    /// Whether effects that the run still had before it may be left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
}

/// What becomes of the runs on older versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// What.
    pub policy: Policy,
    /// Where each step leads; for MIGRATE alone. A step that it does not name leads to the one of the same id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<MapEntry>,
}

/// The entry for a step of a version: one that names the version goes before one that does not.
pub(crate) fn entry<'m>(map: &'m [MapEntry], number: u32, step: &str) -> Option<&'m MapEntry> {
    let found = |version: Option<u32>| map.iter().find(|entry| entry.version == version && entry.from == step);
    found(Some(number)).or_else(|| found(None))
}

/// Everything that is wrong with a map, whoever is moved by it. `older` are the versions that runs are moved from.
pub fn problems(running: &Running, older: &[SequenceVersion], target: &SequenceVersion) -> Vec<Refusal> {
    let map = &running.map;
    if running.policy != Policy::Migrate && !map.is_empty() {
        return vec![Refusal::MapUnused { policy: running.policy }];
    }
    if map.len() > MOST {
        return vec![Refusal::MapTooLong];
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in map {
        if !seen.insert((entry.version, entry.from.as_str())) {
            found.push(Refusal::StepTwice { step: entry.from.clone() });
        }
        let concerned: Vec<&SequenceVersion> =
            older.iter().filter(|version| entry.version.is_none_or(|number| number == version.number)).collect();
        // Where nobody runs any more, what was said of them does not matter.
        if !older.is_empty() && !concerned.iter().any(|version| version.definition.step(&entry.from).is_some()) {
            let known = concerned.iter().flat_map(|version| &version.definition.steps).map(|step| step.id.as_str());
            let why = match entry.version {
                Some(number) => format!("version {number} has no live runs, or no such step"),
                None => "no older version with live runs has such a step".to_owned(),
            };
            found.push(unknown(&entry.from, why, known));
        }
        if let Some(to) = entry.to.as_deref().filter(|to| target.definition.step(to).is_none()) {
            let known = target.definition.steps.iter().map(|step| step.id.as_str());
            found.push(unknown(to, format!("version {} has no such step", target.number), known));
        }
    }
    found
}

fn unknown<'k>(step: &str, why: String, known: impl Iterator<Item = &'k str>) -> Refusal {
    let near = nearest(step, known.collect::<Vec<_>>());
    let hint = near.map_or_else(|| "; take one of its steps".to_owned(), |near| format!("; did you mean `{near}`?"));
    Refusal::StepUnknown { step: step.chars().take(60).collect(), why, hint }
}
