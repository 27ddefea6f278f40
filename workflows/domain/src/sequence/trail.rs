//! What a run has behind it: the effects it took, and what it still has to catch up with after a pause of its sequence.

use super::backlog::CatchUp;
use super::definition::Definition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a run has behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// The steps of which it took an effect, by their ids; those of earlier versions too. None for a run that began before
    /// this was kept: of such a run only the way that it can have come is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<BTreeSet<String>>,
    /// For a run that began before this was kept and was moved since: further steps of which it may have taken an effect.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub perhaps: BTreeSet<String>,
    /// How it catches up with what fell due while its sequence was paused; none where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
}

impl Trail {
    /// That of a run that begins.
    pub fn new() -> Self {
        Self { taken: Some(BTreeSet::new()), ..Self::default() }
    }

    /// Whether nothing is known; such a trail is left out of what is stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_none() && self.perhaps.is_empty() && self.catch_up.is_none()
    }

    /// Whether it is known that no effect was taken.
    pub(crate) fn is_untouched(&self) -> bool {
        self.taken.as_ref().is_some_and(BTreeSet::is_empty) && self.perhaps.is_empty()
    }

    /// Remembers that an effect of the step was taken.
    pub(crate) fn take(&mut self, step: &str) {
        if let Some(taken) = &mut self.taken
            && !taken.contains(step)
        {
            taken.insert(step.to_owned());
            self.perhaps.remove(step);
        }
    }
}

/// Which steps a run that is about to take a step can come to, and which it can have come from.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    /// For each step, the positions that a run there can come to, itself included.
    ahead: Vec<BTreeSet<usize>>,
    /// For each step, the steps with an effect that every way from the first step to it leads through, itself left out.
    surely: Vec<BTreeSet<usize>>,
    acts: Vec<bool>,
    ids: Vec<String>,
}

impl Ways {
    /// Works them out. A definition has at most 200 steps.
    pub(crate) fn of(definition: &Definition) -> Self {
        let count = definition.steps.len();
        let position = |id: &str| definition.step(id).map(|(at, _)| at);
        let next: Vec<Vec<usize>> =
            (0..count).map(|at| definition.ways(at).into_iter().filter_map(position).collect()).collect();
        let reach = |from: usize, without: Option<usize>| {
            let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(at) = open.pop() {
                if Some(at) != without && reached.insert(at) {
                    open.extend(&next[at]);
                }
            }
            reached
        };
        let acts: Vec<bool> = definition.steps.iter().map(|step| step.kind.acts()).collect();
        let mut surely = vec![BTreeSet::new(); count];
        for step in (0..count).filter(|at| acts[*at]) {
            let around = reach(0, Some(step));
            for at in (0..count).filter(|at| *at != step && !around.contains(at)) {
                surely[at].insert(step);
            }
        }
        let ahead = (0..count).map(|at| reach(at, None)).collect();
        Self { ahead, surely, acts, ids: definition.steps.iter().map(|step| step.id.clone()).collect() }
    }

    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|known| known == id)
    }

    /// Whether a run at the one step can come to the other, or is there.
    pub(crate) fn leads(&self, from: usize, to: usize) -> bool {
        self.ahead.get(from).is_some_and(|ahead| ahead.contains(&to))
    }

    pub(crate) fn acts(&self, at: usize) -> bool {
        self.acts.get(at).copied().unwrap_or(false)
    }

    /// The steps with an effect that a run at the step can come to, itself included.
    pub(crate) fn effects_ahead(&self, from: usize) -> impl Iterator<Item = &str> {
        let ahead = self.ahead.get(from).into_iter().flatten();
        ahead.filter(|at| self.acts(**at)).filter_map(|at| self.ids.get(*at).map(String::as_str))
    }

    /// The steps with an effect that a run at the step has surely passed, unless it was moved to where it is.
    pub(crate) fn surely_taken(&self, at: usize) -> BTreeSet<String> {
        let taken = self.surely.get(at).into_iter().flatten();
        taken.filter_map(|at| self.ids.get(*at).cloned()).collect()
    }

    /// The steps with an effect that a run at the step can have passed.
    pub(crate) fn perhaps_taken(&self, at: usize) -> BTreeSet<String> {
        // It was at the step before: what leads here and is not only this moment, or comes round again.
        let passed = (0..self.ids.len()).filter(|from| self.acts(*from) && self.comes_from(at, *from));
        passed.filter_map(|at| self.ids.get(at).cloned()).collect()
    }

    /// Whether a run that has passed the step `from` can come to the step `at`.
    pub(crate) fn comes_from(&self, at: usize, from: usize) -> bool {
        if from != at {
            return self.leads(from, at);
        }
        // A step comes from itself only round a loop.
        self.ahead.iter().enumerate().any(|(other, ahead)| other != at && ahead.contains(&at) && self.leads(at, other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::validate;

    const LOOP: &str = "{key: k, name: Name, subject: contact, steps: [\
        {id: mail, kind: send_email, template: {subject: a, text: b}}, \
        {id: fork, kind: branch, when: 'contact.phone != null', then: call, else: note}, \
        {id: call, kind: create_task, title: Call, due_in: 1d, next: rest}, \
        {id: note, kind: set_field, field: contact.x, value: yes it is}, \
        {id: rest, kind: wait, duration: 1d}, \
        {id: again, kind: branch, when: 'contact.phone != null', then: fork, else: done}, \
        {id: done, kind: end}]}";

    #[test]
    fn what_a_run_has_passed_surely_and_perhaps_and_what_lies_ahead_are_told_apart() {
        let ways = Ways::of(&validate::read(LOOP).unwrap());
        let at = |id: &str| ways.position(id).unwrap();
        let named = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(named(ways.surely_taken(at("rest"))), "mail");
        assert_eq!(named(ways.perhaps_taken(at("rest"))), "call mail note");
        assert_eq!(ways.effects_ahead(at("rest")).collect::<Vec<_>>(), ["call", "note"]);
        // The first step has nothing behind it, a step in a loop itself.
        assert_eq!(named(ways.perhaps_taken(at("mail"))), "");
        assert_eq!(named(ways.perhaps_taken(at("call"))), "call mail note");
    }
}
