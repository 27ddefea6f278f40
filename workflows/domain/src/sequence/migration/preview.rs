//! Before anything is published or moved: who stands where, and what would become of them.

use super::Refusal;
use super::map::{self, Policy, Running};
use super::moving::{Behind, Losses, Place, Route};
use crate::id::SequenceVersionId;
use crate::sequence::enrollment::StateKind;
use crate::sequence::publishing::SequenceVersion;
use std::collections::BTreeMap;

/// Live runs of one version that stand before one step in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// The version.
    pub version: SequenceVersionId,
    /// The step that runs next.
    pub step: String,
    /// The state.
    pub state: StateKind,
    /// The code of the state's reason, where it has one.
    pub reason: Option<String>,
    /// How many they are.
    pub count: u64,
}

/// What would become of the runs that stand before a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// They stay on their version.
    Stays,
    /// They go on before a step of the newer version; what they wait for and until when stay as they are.
    Moves {
        /// The step.
        to: String,
        /// Steps of which some of them may have taken an effect that would come again: those runs are left where they are.
        may_repeat: Vec<String>,
        /// Steps with an effect that the newer version has anew, and that they do not come to.
        passed: Vec<String>,
    },
    /// They end as EXITED(SUPERSEDED).
    Ends,
    /// None of them can be moved so: nothing is published or begun.
    Refused(Refusal),
}

/// The runs that stand before one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPreview {
    /// The step.
    pub step: String,
    /// How many they are.
    pub count: u64,
    /// How many are in each state, with its reason.
    pub states: BTreeMap<(StateKind, Option<String>), u64>,
    /// What would become of them.
    pub fate: Fate,
}

/// The live runs of one older version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPreview {
    /// The version.
    pub version: SequenceVersionId,
    /// Its number.
    pub number: u32,
    /// How many they are.
    pub count: u64,
    /// Where they stand, in the order of the version's steps.
    pub steps: Vec<StepPreview>,
}

/// Who runs on older versions, and what would become of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The number of the newer version, or the one that it would have.
    pub number: u32,
    /// How many run on older versions.
    pub count: u64,
    /// The older versions that have live runs, oldest first.
    pub versions: Vec<VersionPreview>,
    /// What is wrong with the map itself.
    pub problems: Vec<Refusal>,
}

/// Works out what would become of the live runs on `older` versions if `target` took their place. `crowds` counts the runs;
/// those of other versions are left out.
pub fn preview(running: &Running, target: &SequenceVersion, older: &[SequenceVersion], crowds: &[Crowd]) -> Preview {
    let mut versions = Vec::new();
    let mut concerned: Vec<SequenceVersion> = Vec::new();
    for version in older.iter().filter(|version| version.id != target.id) {
        let here: Vec<&Crowd> = crowds.iter().filter(|crowd| crowd.version == version.id).collect();
        if here.is_empty() {
            continue;
        }
        let route = Route::new(version, target, &running.map);
        let mut steps: BTreeMap<(usize, &str), StepPreview> = BTreeMap::new();
        for crowd in here {
            let place = version.definition.step(&crowd.step).map_or(usize::MAX, |(at, _)| at);
            let step = steps.entry((place, &crowd.step)).or_insert_with(|| StepPreview {
                step: crowd.step.clone(),
                count: 0,
                states: BTreeMap::new(),
                fate: fate(running.policy, &route, &crowd.step),
            });
            step.count = step.count.saturating_add(crowd.count);
            let state = step.states.entry((crowd.state, crowd.reason.clone())).or_default();
            *state = state.saturating_add(crowd.count);
        }
        let steps: Vec<StepPreview> = steps.into_values().collect();
        let count = steps.iter().map(|step| step.count).fold(0, u64::saturating_add);
        versions.push(VersionPreview { version: version.id, number: version.number, count, steps });
        concerned.push(version.clone());
    }
    versions.sort_by_key(|version| version.number);
    let count = versions.iter().map(|version| version.count).fold(0, u64::saturating_add);
    let problems = map::problems(running, &concerned, target);
    Preview { number: target.number, count, versions, problems }
}

fn fate(policy: Policy, route: &Route<'_>, step: &str) -> Fate {
    match policy {
        Policy::Stay => return Fate::Stays,
        Policy::Finish => return Fate::Ends,
        Policy::Migrate => {}
    }
    let to = match route.place(step) {
        Ok(Place::Step(to)) => to,
        Ok(Place::End) => return Fate::Ends,
        Err(refusal) => return Fate::Refused(refusal),
    };
    // What holds for all of them: an effect that each has surely taken, or that none can have taken.
    let Behind { perhaps, surely } = route.behind(step);
    let all = Behind { perhaps: surely, surely: perhaps };
    if let Err(refusal) = route.forbidden(step, route.losses(step, &to, &all)) {
        return Fate::Refused(refusal);
    }
    let some = Behind { perhaps: all.surely, surely: all.perhaps };
    let Losses { repeats, .. } = route.losses(step, &to, &some);
    let allowed = route.entry(step).is_some_and(|entry| entry.repeat);
    let may_repeat = if allowed { Vec::new() } else { repeats };
    Fate::Moves { passed: route.passed(&to), may_repeat, to }
}

/// Refuses what cannot be done to anybody who stands before some step, so that nothing is published or begun that somebody did
/// not think of. What concerns only some of the runs is left to each of them.
pub fn judge(preview: &Preview) -> Result<(), Refusal> {
    if let Some(problem) = preview.problems.first() {
        return Err(problem.clone());
    }
    let steps = preview.versions.iter().flat_map(|version| &version.steps);
    let mut refused = steps.filter_map(|step| match &step.fate {
        Fate::Refused(refusal) => Some(refusal.clone()),
        _ => None,
    });
    refused.next().map_or(Ok(()), Err)
}
