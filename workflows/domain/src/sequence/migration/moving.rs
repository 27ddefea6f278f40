//! Where a run goes on in a newer version, and whether it may.
//!
//! A run stands before the step that runs next; while it waits, that is the step after the wait. It goes on before the step
//! that the map names, else before the step of the same id. What it waits for and until when stay as they are, and so does its
//! visit: the timer that was planned stays the one that there is, and an e-mail that is on its way is still waited for. So does
//! what it has heard: of a step that was renamed under its new name.
//!
//! A step of the older version is *the same* as one of the newer where the ids are equal, or where the map leads from an id
//! that the newer version does not have to one that the older did not have, and both are of one kind.
//!
//! The move **repeats** an effect where a step of which the run took an effect could not come again in the older version, and
//! the same step can come in the newer. It **skips** an effect where a step with an effect that the run did not take could
//! still come in the older version, and the newer has the same step but it cannot come there. Both are refused unless the entry
//! says `repeat` or `skip`. A run that waits for an answer stands at the step that made the call: that effect lies behind it. Where
//! the map leads it to another step, it goes on there once the answer has come. One that waits for a task stands before every
//! step that the end of the task may lead to. A loop of the sequence itself is no repetition: what could come again before may come again after.

use super::map::{MapEntry, entry};
use super::{Refusal, SequenceMigration};
use crate::decision::Decision;
use crate::id::SequenceMigrationId;
use crate::sequence::enrollment::{AwaitedTask, Enrollment, EnrollmentState, ExitReason, Memory, TaskEnd, close};
use crate::sequence::hearing::{Awaited, Hearing};
use crate::sequence::publishing::SequenceVersion;
use crate::sequence::trail::{Trail, Ways};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// The way from one version to another by a map.
#[derive(Debug)]
pub struct Route<'a> {
    older: &'a SequenceVersion,
    newer: &'a SequenceVersion,
    map: &'a [MapEntry],
    before: Ways,
    after: Ways,
}

/// Where runs that stand before a step go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// They go on before this step.
    Step(String),
    /// They end.
    End,
}

/// Effects that would happen twice or never, by the ids of the newer version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) repeats: BTreeSet<String>,
    pub(super) skips: BTreeSet<String>,
}

impl Losses {
    pub(super) fn add(&mut self, mut others: Self) {
        self.repeats.append(&mut others.repeats);
        self.skips.append(&mut others.skips);
    }
}

/// Where a run stands, as far as its move depends on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whereabouts {
    /// The step that runs next.
    pub step: String,
    /// Whether that step made a call, of which the run waits for the answer: its effect lies behind the run.
    pub called: bool,
    /// The step that made the task which the run waits for: where it goes on is known once the task has ended.
    pub task: Option<String>,
}

impl Whereabouts {
    /// Those of a run.
    pub fn of(run: &Enrollment) -> Self {
        let task = run.memory.task.as_ref().map(|task| task.step.clone());
        Self { step: run.step.clone(), called: run.stands_at_its_call(), task }
    }
}

/// One place of a run: before a step, or at one whose effect it took already.
#[derive(Debug, Clone, Copy)]
struct Stand<'a> {
    step: &'a str,
    done: bool,
}

/// The steps of which a run took an effect: those of which it may have, and those of which it surely has.
pub(super) struct Behind {
    pub(super) perhaps: BTreeSet<String>,
    pub(super) surely: BTreeSet<String>,
}

impl<'a> Route<'a> {
    /// The way from one version to another.
    pub fn new(older: &'a SequenceVersion, newer: &'a SequenceVersion, map: &'a [MapEntry]) -> Self {
        let (before, after) = (Ways::of(&older.definition), Ways::of(&newer.definition));
        Self { older, newer, map, before, after }
    }

    /// The entry of the map for a step of the older version.
    pub(super) fn entry(&self, step: &str) -> Option<&'a MapEntry> {
        entry(self.map, self.older.number, step)
    }

    /// Where runs that stand before a step of the older version go, by the map or by the id.
    pub(super) fn place(&self, step: &str) -> Result<Place, Refusal> {
        let gone = |step: &str| Refusal::StepGone { step: step.to_owned(), number: self.newer.number };
        match self.entry(step) {
            Some(MapEntry { to: None, .. }) => Ok(Place::End),
            Some(MapEntry { to: Some(to), .. }) if self.after.position(to).is_some() => Ok(Place::Step(to.clone())),
            Some(MapEntry { to: Some(to), .. }) => Err(gone(to)),
            None if self.after.position(step).is_some() => Ok(Place::Step(step.to_owned())),
            None => Err(gone(step)),
        }
    }

    /// The step of the newer version that is the same as this one of the older.
    pub(super) fn same(&self, step: &str) -> Option<&str> {
        if let Some((_, same)) = self.newer.definition.step(step) {
            return Some(&same.id);
        }
        let to = self.entry(step)?.to.as_deref()?;
        let (_, is) = self.newer.definition.step(to)?;
        let was = self.older.definition.step(step).map(|(_, was)| was)?;
        let renamed = self.older.definition.step(to).is_none() && was.kind.name() == is.kind.name();
        renamed.then_some(is.id.as_str())
    }

    /// What the move of a run to before a step would repeat and skip. The run may stand at more than one place: at its call, of
    /// which the answer is still to come, or at the ways that the end of its task may lead to.
    pub(super) fn losses(&self, run: &Whereabouts, to: &str, behind: &Behind) -> Losses {
        let at = |step: &'a str, done: bool| Stand { step, done };
        let (from, to) = match (self.older.definition.step(&run.step), self.newer.definition.step(to)) {
            (Some((_, from)), Some((_, to))) => (from.id.as_str(), to.id.as_str()),
            _ => return Losses::default(),
        };
        let first = (at(from, run.called), at(to, run.called && self.same(from) == Some(to)));
        let mut pairs = vec![first];
        if let Some(task) = &run.task {
            let known = self.same(task);
            for end in TaskEnd::ALL {
                let was = self.older.definition.after_task(task, *end).unwrap_or(from);
                let is = known.and_then(|task| self.newer.definition.after_task(task, *end)).unwrap_or(to);
                pairs.push((at(was, false), at(is, false)));
            }
        }
        let mut all = Losses::default();
        for (was, is) in pairs {
            all.add(self.losses_between(was, is, behind));
        }
        all
    }

    fn losses_between(&self, from: Stand<'_>, to: Stand<'_>, behind: &Behind) -> Losses {
        let Some(place) = self.after.position(to.step) else { return Losses::default() };
        let leads = |ways: &Ways, stand: Stand<'_>, at: usize, step: usize| {
            if stand.done { ways.comes_from(step, at) } else { ways.leads(at, step) }
        };
        let origin = self.before.position(from.step);
        let comes_after = |step: &str| {
            let at = self.after.position(step)?;
            self.after.acts(at).then(|| leads(&self.after, to, place, at))
        };
        let came_before = |step: &str| match (origin, self.before.position(step)) {
            (Some(at), Some(step)) => leads(&self.before, from, at, step),
            _ => false,
        };
        let repeats = behind.perhaps.iter().filter(|step| !came_before(step)).filter_map(|step| self.same(step));
        let repeats = repeats.filter(|step| comes_after(step) == Some(true)).map(str::to_owned).collect();
        let ahead = origin.into_iter().flat_map(|at| self.before.effects_ahead(at)).filter(|step| came_before(step));
        let skips = ahead.filter(|step| !behind.surely.contains(*step)).filter_map(|step| self.same(step));
        let skips = skips.filter(|step| comes_after(step) == Some(false)).map(str::to_owned);
        Losses { repeats, skips: skips.collect() }
    }

    /// The losses that the entry for the step does not allow.
    pub(super) fn forbidden(&self, from: &str, losses: Losses) -> Result<(), Refusal> {
        let (repeat, skip) = self.entry(from).map_or((false, false), |entry| (entry.repeat, entry.skip));
        let (step, number) = (from.to_owned(), self.newer.number);
        let listed = |steps: BTreeSet<String>| steps.into_iter().collect();
        if !repeat && !losses.repeats.is_empty() {
            return Err(Refusal::Repeats { step, number, steps: listed(losses.repeats) });
        }
        if !skip && !losses.skips.is_empty() {
            return Err(Refusal::Skips { step, number, steps: listed(losses.skips) });
        }
        Ok(())
    }

    /// The steps with an effect that the newer version has anew and that runs which go on before `to` never come to.
    pub(super) fn passed(&self, to: &str) -> Vec<String> {
        let Some(to) = self.after.position(to) else { return Vec::new() };
        let known: BTreeSet<&str> = self.older.definition.steps.iter().filter_map(|step| self.same(&step.id)).collect();
        let steps = self.newer.definition.steps.iter().enumerate();
        steps
            .filter(|(at, step)| {
                self.after.acts(*at) && !known.contains(step.id.as_str()) && !self.after.leads(to, *at)
            })
            .map(|(_, step)| step.id.clone())
            .collect()
    }

    /// What runs that stand there have behind them, as far as the version alone tells.
    pub(super) fn behind(&self, run: &Whereabouts) -> Behind {
        let Some(at) = self.before.position(&run.step) else {
            return Behind { perhaps: BTreeSet::new(), surely: BTreeSet::new() };
        };
        let (mut perhaps, mut surely) = (self.before.perhaps_taken(at), self.before.surely_taken(at));
        for made in run.task.iter().chain(run.called.then_some(&run.step)) {
            perhaps.insert(made.clone());
            surely.insert(made.clone());
        }
        Behind { perhaps, surely }
    }

    fn behind_run(&self, run: &Enrollment, at: &Whereabouts) -> Behind {
        match &run.trail.taken {
            Some(taken) => {
                Behind { perhaps: taken.union(&run.trail.perhaps).cloned().collect(), surely: taken.clone() }
            }
            None => self.behind(at),
        }
    }
}

/// Moves a run of the older version along a route, or ends it where the map says so. It takes a live run of the route's older
/// version and gives it on the newer one; its next step, its due time and its timer are there as before.
pub fn migrate(
    run: Enrollment,
    route: &Route<'_>,
    migration: SequenceMigrationId,
    now: DateTime<Utc>,
) -> Result<Decision<Enrollment>, Refusal> {
    let to = match route.place(&run.step)? {
        Place::End => return Ok(finish(run, migration, now)),
        Place::Step(to) => to,
    };
    let at = Whereabouts::of(&run);
    let behind = route.behind_run(&run, &at);
    route.forbidden(&run.step, route.losses(&at, &to, &behind))?;
    // Under the names that the newer version has for them, too.
    let named = |steps: BTreeSet<String>| -> BTreeSet<String> {
        let anew: Vec<String> = steps.iter().filter_map(|step| route.same(step).map(str::to_owned)).collect();
        steps.into_iter().chain(anew).collect()
    };
    let (perhaps, taken) = (named(behind.perhaps), named(behind.surely));
    let perhaps = perhaps.difference(&taken).cloned().collect();
    let (from_rule, from_step) = (run.rule.clone(), run.step.clone());
    let away = at.called && route.same(&run.step) != Some(to.as_str());
    // What it knows of its steps it knows under the names that the newer version has for them: else it would no longer hear of
    // what it waits for.
    let renamed = |step: String| route.same(&step).map(str::to_owned).unwrap_or(step);
    let task = run.memory.task.map(|task| AwaitedTask { step: renamed(task.step), ..task });
    let variants = run.memory.variants.into_iter().map(|(step, variant)| (renamed(step), variant)).collect();
    let memory = Memory { moved_on: run.memory.moved_on || away, task, variants, ..run.memory };
    let noted = run.hearing.noted.into_iter().map(|(step, event)| (renamed(step), event)).collect();
    let awaited = run.hearing.awaited.map(|awaited| Awaited { step: renamed(awaited.step), ..awaited });
    let hearing = Hearing { noted, awaited, ..run.hearing };
    let newer = route.newer;
    let moved = Enrollment {
        version: newer.id,
        rule: format!("{}@{}", newer.definition.header.key, newer.number),
        step: to,
        trail: Trail { taken: Some(taken), perhaps, catch_up: run.trail.catch_up },
        memory,
        hearing,
        ..run
    };
    let fact = moved
        .fact("enrollment.migrated")
        .with("migration", migration)
        .with("from_rule", from_rule)
        .with("from_step", from_step)
        .with("state", moved.state.kind())
        .with("due_at", moved.due_at);
    Ok(Decision::new(moved, fact))
}

/// Ends a run because a newer version took the place of its own.
pub fn finish(run: Enrollment, migration: SequenceMigrationId, now: DateTime<Utc>) -> Decision<Enrollment> {
    let mut decision = close(run, EnrollmentState::Exited(ExitReason::Superseded), now);
    decision.facts = decision.facts.into_iter().map(|fact| fact.with("migration", migration)).collect();
    decision
}

impl SequenceMigration {
    /// The route from an older version to the one that it moves to.
    pub fn route<'a>(&'a self, older: &'a SequenceVersion, target: &'a SequenceVersion) -> Route<'a> {
        Route::new(older, target, &self.map)
    }
}
