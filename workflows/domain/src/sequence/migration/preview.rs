//! Before anything is published or moved: who stands where, and what would become of them.

use super::Refusal;
use super::map::{self, Policy, Running};
use super::moving::{Behind, Losses, Place, Route, Whereabouts};
use crate::id::SequenceVersionId;
use crate::sequence::enrollment::StateKind;
use crate::sequence::publishing::SequenceVersion;
use std::collections::{BTreeMap, BTreeSet};

/// Live runs of one version that stand at one place in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// The version.
    pub version: SequenceVersionId,
    /// Where they stand.
    pub at: Whereabouts,
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
        /// Steps with an effect that some of them may not have had and would not come to: those runs are left where they are.
        may_skip: Vec<String>,
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
        let mut by_step: BTreeMap<(usize, &str), Vec<&Crowd>> = BTreeMap::new();
        for crowd in here {
            let place = version.definition.step(&crowd.at.step).map_or(usize::MAX, |(at, _)| at);
            by_step.entry((place, &crowd.at.step)).or_default().push(crowd);
        }
        let steps = by_step.into_iter().map(|((_, step), crowds)| step_preview(running.policy, &route, step, &crowds));
        let steps: Vec<StepPreview> = steps.collect();
        let count = steps.iter().map(|step| step.count).fold(0, u64::saturating_add);
        versions.push(VersionPreview { version: version.id, number: version.number, count, steps });
        concerned.push(version.clone());
    }
    versions.sort_by_key(|version| version.number);
    let count = versions.iter().map(|version| version.count).fold(0, u64::saturating_add);
    let problems = map::problems(running, &concerned, target);
    Preview { number: target.number, count, versions, problems }
}

fn step_preview(policy: Policy, route: &Route<'_>, step: &str, crowds: &[&Crowd]) -> StepPreview {
    let mut states: BTreeMap<(StateKind, Option<String>), u64> = BTreeMap::new();
    for crowd in crowds {
        let state = states.entry((crowd.state, crowd.reason.clone())).or_default();
        *state = state.saturating_add(crowd.count);
    }
    let places: BTreeSet<&Whereabouts> = crowds.iter().map(|crowd| &crowd.at).collect();
    StepPreview {
        step: step.to_owned(),
        count: states.values().copied().fold(0, u64::saturating_add),
        states,
        fate: fate(policy, route, step, &places),
    }
}

/// What becomes of those who stand before a step, or at it.
fn fate(policy: Policy, route: &Route<'_>, step: &str, places: &BTreeSet<&Whereabouts>) -> Fate {
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
    let (mut refused, mut some) = (Vec::new(), Losses::default());
    for at in places {
        // What holds for all of them: an effect that each has surely taken, or that none can have taken.
        let Behind { perhaps, surely } = route.behind(at);
        let all = Behind { perhaps: surely, surely: perhaps };
        refused.extend(route.forbidden(step, route.losses(at, &to, &all)).err());
        some.add(route.losses(at, &to, &Behind { perhaps: all.surely, surely: all.perhaps }));
    }
    if refused.len() == places.len()
        && let Some(refusal) = refused.into_iter().next()
    {
        return Fate::Refused(refusal);
    }
    let entry = route.entry(step);
    let unless = |allowed: bool, steps: BTreeSet<String>| steps.into_iter().filter(|_| !allowed).collect();
    Fate::Moves {
        passed: route.passed(&to),
        may_repeat: unless(entry.is_some_and(|entry| entry.repeat), some.repeats),
        may_skip: unless(entry.is_some_and(|entry| entry.skip), some.skips),
        to,
    }
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
