//! Runs that are moved to other versions, and what holds for each move.

use crate::choices::Choices;
use crate::life::{Person, Run};
use crate::oracle::{acts, reach};
use serde_json::json;
use std::collections::BTreeSet;
use tandem_domain::id::SequenceMigrationId;
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, ExitReason};
use tandem_domain::sequence::migration::moving::{Route, Whereabouts, migrate};
use tandem_domain::sequence::migration::preview::{Crowd, Fate, preview};
use tandem_domain::sequence::migration::{MapEntry, Policy, Refusal, Running};
use tandem_domain::sequence::publishing::SequenceVersion;
use uuid::Uuid;

fn map(from: &SequenceVersion, to: &SequenceVersion, choices: &mut Choices) -> Vec<MapEntry> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for _ in 0..choices.below(4) {
        let step = choices.of(&from.definition.steps).id.clone();
        let target = choices.of(&to.definition.steps).id.clone();
        let to = if choices.once_in(12) { None } else { Some(target) };
        if seen.insert(step.clone()) {
            entries.push(MapEntry { version: None, from: step, to, repeat: false, skip: false });
        }
    }
    entries
}

/// Moves a run to any of its versions by any map, where it may be moved so.
pub fn go(person: &mut Person, choices: &mut Choices, run: usize) {
    let Run { enrollment, versions, on, usual, .. } = &person.runs[run];
    let target = choices.below(versions.len());
    let (older, newer) = (versions[*on].clone(), versions[target].clone());
    let before = enrollment.clone();
    if !before.state.is_live() {
        return;
    }
    let map = map(&older, &newer, choices);
    let route = Route::new(&older, &newer, &map);
    let moved = migrate(before.clone(), &route, SequenceMigrationId(Uuid::nil()), person.now);
    if *usual {
        was_foreseen(&before, (&older, &newer), &map, moved.as_ref().map(|decision| &decision.next));
    }
    let Ok(decision) = moved else { return };
    let after = &decision.next;
    if !after.state.is_live() {
        assert_eq!(after.state, EnrollmentState::Exited(ExitReason::Superseded));
        let entry = map.iter().find(|entry| entry.from == before.step).unwrap();
        assert_eq!(entry.to, None, "only the map ends anybody");
        return person.took(run, decision);
    }
    let fact = &decision.facts[0];
    assert_eq!((fact.kind, decision.facts.len()), ("enrollment.migrated", 1));
    assert_eq!((&fact.detail["from_step"], &fact.detail["step"]), (&json!(before.step), &json!(after.step)));
    // What it waits for is what it waited for; the timer is the one that there is.
    assert!(decision.jobs.is_empty());
    assert_eq!(
        (after.state, after.due_at, after.visit, after.awaits, after.held),
        (before.state, before.due_at, before.visit, before.awaits, before.held)
    );
    let (was, is) = (reach(&older, &before.step), reach(&newer, &after.step));
    let taken: BTreeSet<&str> = person.runs[run].effects.iter().map(|it| it.effect.origin().0).collect();
    for step in &taken {
        let again = is.contains(*step) && !was.contains(*step);
        assert!(!again, "`{step}` would be repeated: {before:?} -> {after:?}");
    }
    let known = |step: &str| newer.definition.step(step).is_some();
    for step in was.iter().filter(|step| acts(step) && !taken.contains(step.as_str()) && known(step)) {
        assert!(is.contains(step), "`{step}` would be skipped: {before:?} -> {after:?}");
    }
    person.runs[run].on = target;
    person.runs[run].usual = false;
    person.took(run, decision);
}

/// What a preview says of all who stand somewhere holds for each of them that came there by its version alone.
fn was_foreseen(
    before: &Enrollment,
    (older, newer): (&SequenceVersion, &SequenceVersion),
    map: &[MapEntry],
    moved: Result<&Enrollment, &Refusal>,
) {
    let at = Whereabouts::of(before);
    let crowd = Crowd { version: older.id, at, state: before.state.kind(), reason: None, count: 1 };
    let running = Running { policy: Policy::Migrate, map: map.to_vec() };
    let shown = preview(&running, newer, std::slice::from_ref(older), &[crowd]);
    let Some(fate) = shown.versions.first().map(|version| &version.steps[0].fate) else { return };
    let told = format!("{fate:?}: {before:?} -> {moved:?}");
    match (fate, moved) {
        (Fate::Stays, _) => panic!("{told}"),
        (Fate::Ends, moved) => assert!(moved.is_ok_and(|after| !after.state.is_live()), "{told}"),
        (Fate::Refused(_), moved) => assert!(moved.is_err(), "{told}"),
        (Fate::Moves { to, .. }, Ok(after)) => assert_eq!(*to, after.step, "{told}"),
        (Fate::Moves { may_repeat, .. }, Err(Refusal::Repeats { steps, .. })) => {
            assert!(steps.iter().all(|step| may_repeat.contains(step)), "{told}");
        }
        (Fate::Moves { may_skip, .. }, Err(Refusal::Skips { steps, .. })) => {
            assert!(steps.iter().all(|step| may_skip.contains(step)), "{told}");
        }
        (Fate::Moves { .. }, Err(_)) => panic!("{told}"),
    }
}

/// Moves the first run to its second version by a map of names that both versions have; whether it could be moved.
pub fn by(person: &mut Person, map: &[(String, String)]) -> bool {
    let newer = person.runs[0].versions[1].clone();
    let mut seen = BTreeSet::new();
    let kept = map.iter().filter(|(from, _)| newer.definition.step(from).is_some() && seen.insert(from.clone()));
    let map: Vec<(&str, &str)> = kept.map(|(from, to)| (from.as_str(), to.as_str())).collect();
    mapped(person, &map)
}

/// Moves the first run to its second version by a map; whether it could be moved.
pub fn mapped(person: &mut Person, map: &[(&str, &str)]) -> bool {
    let Run { enrollment, versions, usual, .. } = &person.runs[0];
    let (older, newer) = (versions[0].clone(), versions[1].clone());
    let entry = |(from, to): &(&str, &str)| {
        let (from, to) = ((*from).to_owned(), Some((*to).to_owned()));
        MapEntry { version: None, from, to, repeat: false, skip: false }
    };
    let map: Vec<MapEntry> = map.iter().map(entry).collect();
    let route = Route::new(&older, &newer, &map);
    let moved = migrate(enrollment.clone(), &route, SequenceMigrationId(Uuid::nil()), person.now);
    if *usual && enrollment.state.is_live() {
        was_foreseen(enrollment, (&older, &newer), &map, moved.as_ref().map(|decision| &decision.next));
    }
    let Some(decision) = moved.ok().filter(|_| enrollment.state.is_live()) else { return false };
    person.runs[0].on = 1;
    person.took(0, decision);
    true
}
