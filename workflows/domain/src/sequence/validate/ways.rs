//! The ways between steps: that each leads somewhere, is reached, waits in its loops and comes to an end.

use super::{Problems, Rule, join};
use crate::nearest::nearest;
use crate::sequence::definition::{Definition, Step};
use std::collections::{BTreeMap, BTreeSet};

/// Where each step may go, as positions; unknown targets and missing ends are reported on the way.
pub(super) fn check_ways(definition: &Definition, problems: &mut Problems<'_>) {
    let steps = &definition.steps;
    let mut positions: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        positions.entry(&step.id).or_insert(at);
    }
    let mut ways: Vec<Vec<usize>> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let path = format!("steps[{at}]");
        let mut targets: Vec<(&str, &str)> = step.kind.targets();
        if let Some(next) = step.next.as_deref() {
            if step.kind.goes_on() {
                targets.push(("next", next));
            } else {
                let message = format!("a step of kind {} has no next; take it away", step.kind.name());
                problems.add(join(&path, "next"), Rule::Shape, message);
            }
        } else if step.kind.goes_on() && at + 1 == steps.len() {
            problems.add(path.clone(), Rule::NoEnd, "nothing follows this step; add a step of kind end after it");
        }
        let mut to = Vec::new();
        for (field, target) in targets {
            match positions.get(target) {
                Some(position) => to.push(*position),
                None => {
                    let near = nearest(target, positions.keys().copied());
                    let hint = near.map_or("; add it".to_owned(), |near| format!("; did you mean `{near}`?"));
                    problems.add(join(&path, field), Rule::StepUnknown, format!("there is no step `{target}`{hint}"));
                }
            }
        }
        if step.kind.goes_on() && step.next.is_none() && at + 1 < steps.len() {
            to.push(at + 1);
        }
        ways.push(to);
    }
    let reached = reachable(&ways, &[0]);
    for (at, step) in steps.iter().enumerate().filter(|(at, _)| !reached.contains(at)) {
        let message = format!("no way leads to the step `{}`; go to it from another step, or take it away", step.id);
        problems.add(format!("steps[{at}]"), Rule::StepUnreachable, message);
    }
    // Backwards from the ends: what is not met there can never end by itself.
    let mut back = vec![Vec::new(); steps.len()];
    for (from, to) in ways.iter().enumerate() {
        to.iter().for_each(|to| back[*to].push(from));
    }
    let ends: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].kind.ends()).collect();
    let ending = reachable(&back, &ends);
    if let Some(at) = (0..steps.len()).find(|at| reached.contains(at) && !ending.contains(at)) {
        let message = "from here no way leads to a step of kind end; add one";
        if !problems.has(Rule::NoEnd) {
            problems.add(format!("steps[{at}]"), Rule::NoEnd, message);
        }
    }
    for at in hot_loops(steps, &ways) {
        let message = format!(
            "a loop through the step `{}` never waits for certain; put a step of kind wait into it (a wait_for with `event` and a \
             create_task with `wait: true` count too; a condition may hold already, and an e-mail or a call may be settled at once)",
            steps[at].id
        );
        problems.add(format!("steps[{at}]"), Rule::LoopWithoutWait, message);
    }
}

fn reachable(ways: &[Vec<usize>], from: &[usize]) -> BTreeSet<usize> {
    let (mut reached, mut open) = (BTreeSet::new(), from.to_vec());
    while let Some(at) = open.pop() {
        if reached.insert(at) {
            open.extend(&ways[at]);
        }
    }
    reached
}

/// The first step of each loop that has no waiting step in it.
fn hot_loops(steps: &[Step], ways: &[Vec<usize>]) -> Vec<usize> {
    let hot = |at: &usize| !steps[*at].kind.waits();
    let mut left: BTreeSet<usize> = (0..steps.len()).filter(hot).collect();
    let mut found = Vec::new();
    for at in 0..steps.len() {
        if !left.contains(&at) {
            continue;
        }
        let inner: Vec<Vec<usize>> =
            ways.iter().map(|to| to.iter().copied().filter(|to| left.contains(to)).collect()).collect();
        if reachable(&inner, &inner[at]).contains(&at) {
            found.push(at);
        }
        // Every loop through this step is reported by now.
        left.remove(&at);
    }
    found
}
