//! The law of living versions: a run that is moved to another version repeats no effect and skips none, keeps what it waits
//! for, and its timer, however it is paused, settled or fired twice meanwhile. And the laws of what becomes of a backlog.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::decision::{Decision, Job};
use tandem_domain::id::{ContactId, EnrollmentId, SequenceId, SequenceMigrationId, SequenceVersionId};
use tandem_domain::sequence::backlog::{Backlog, Way, Wish};
use tandem_domain::sequence::enrollment::{
    self, Candidate, Enrollment, EnrollmentState, ExitReason, FinishReason, PauseReason, StateKind, WaitReason,
};
use tandem_domain::sequence::migration::moving::{Route, Whereabouts, migrate};
use tandem_domain::sequence::migration::preview::{Crowd, Fate, judge, preview};
use tandem_domain::sequence::migration::{
    self, MapEntry, MigrationState, NewMigration, Part, Policy, Running, SequenceMigration,
};
use tandem_domain::sequence::publishing::{self, By, Sequence, SequenceState, SequenceVersion};
use tandem_domain::sequence::stepper::{Context, advance};
use tandem_domain::sequence::{Definition, Effect};
use tandem_domain::standing::Standing;
use uuid::Uuid;

static NO_CALENDARS: tandem_domain::calendar::Calendars = tandem_domain::calendar::Calendars::new();

const START: &str = "2026-01-05T09:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A version with these steps, as it would be stored; what no reader would accept is there too, since what holds for it holds.
fn version(number: u32, steps: &[Value]) -> SequenceVersion {
    let definition: Definition =
        serde_json::from_value(json!({"key": "k", "name": "N", "subject": "contact", "steps": steps})).unwrap();
    SequenceVersion {
        id: SequenceVersionId(id(u128::from(number))),
        sequence: SequenceId(id(100)),
        number,
        hash: publishing::hash(&definition),
        definition,
        source: String::new(),
        published_by: None,
        published_at: at(START),
    }
}

fn sequence() -> Sequence {
    let source = "{key: k, name: Name, subject: contact, steps: [{id: done, kind: end}]}";
    let by = By { sequence: SequenceId(id(100)), version: SequenceVersionId(id(0)), user: None };
    publishing::publish(None, source, by, at(START)).unwrap().next.0
}

fn mail(id: &str) -> Value {
    json!({"id": id, "kind": "send_email", "template": {"subject": id, "text": id}})
}

fn wait(id: &str, days: u32) -> Value {
    json!({"id": id, "kind": "wait", "duration": format!("{days}d")})
}

fn end() -> Value {
    json!({"id": "done", "kind": "end"})
}

/// The kind of a step follows from the first letter of its id.
fn step(id: &str) -> Value {
    match id.as_bytes()[0] {
        b'm' | b'n' => mail(id),
        b't' => json!({"id": id, "kind": "create_task", "title": id, "due_in": "1d"}),
        b'f' => json!({"id": id, "kind": "set_field", "field": "contact.x", "value": id}),
        b'w' => wait(id, 2),
        _ => end(),
    }
}

fn acts(id: &str) -> bool {
    matches!(id.as_bytes()[0], b'm' | b'n' | b't' | b'f')
}

/// One run with everything around it that moves it.
struct Life {
    run: Enrollment,
    version: SequenceVersion,
    now: DateTime<Utc>,
    coin: bool,
    timers: Vec<(u32, DateTime<Utc>)>,
    /// Every effect, by the step and the visit.
    effects: Vec<(String, u32)>,
    /// The visit of an e-mail whose fate is not known.
    in_flight: Option<u32>,
    sequence: SequenceState,
}

impl Life {
    fn begin(version: &SequenceVersion, coin: bool) -> Self {
        let data = json!({"contact": {"custom": {"coin": coin}}});
        let context = Self::context(&data, SequenceState::Active);
        let candidate = Candidate {
            id: EnrollmentId(id(1)),
            contact: ContactId(id(2)),
            lead: None,
            account: None,
            vars: Map::new(),
        };
        let begun = enrollment::enroll(candidate, &sequence(), version, None, &context, at(START)).unwrap();
        let mut life = Self {
            run: begun.next.clone(),
            version: version.clone(),
            now: at(START),
            coin,
            timers: Vec::new(),
            effects: Vec::new(),
            in_flight: None,
            sequence: SequenceState::Active,
        };
        life.took(begun);
        life
    }

    fn context(data: &Value, sequence: SequenceState) -> Context<'_> {
        Context {
            data,
            zone: Tz::UTC,
            standing: Standing::Allowed,
            replied: false,
            meeting_booked: false,
            sequence,
            calendars: &NO_CALENDARS,
            mailboxes: &[],
            capped: None,
        }
    }

    fn took(&mut self, decision: Decision<Enrollment>) {
        for planned in decision.jobs {
            if let Job::AdvanceEnrollment { visit, .. } = planned.job {
                self.timers.push((visit, planned.due));
            }
        }
        self.run = decision.next;
        assert!(self.run.keeps_the_law(), "{:?}", self.run);
    }

    /// Fires every timer that is due, in order, each twice.
    fn fire(&mut self) {
        for _ in 0..200 {
            self.timers.sort_by_key(|(_, due)| *due);
            let Some(first) = self.timers.iter().position(|(_, due)| *due <= self.now) else { return };
            let (visit, _) = self.timers.remove(first);
            self.advance(visit);
            self.advance(visit);
        }
    }

    fn advance(&mut self, visit: u32) {
        if self.run.visit != visit {
            return;
        }
        let mut data = json!({"contact": {"custom": {"coin": self.coin}}});
        data["enrollment"] = self.run.data();
        data["now"] = json!(self.now.to_rfc3339());
        let context = Self::context(&data, self.sequence);
        let Ok(decision) = advance(&self.run, &self.version.definition, &context, self.now) else { return };
        if let Some(effect) = &decision.next.effect {
            let (step, visit) = name(effect);
            if effect.reaches_the_person() {
                self.in_flight = Some(visit);
            }
            self.effects.push((step, visit));
        }
        self.took(decision.map(|advance| advance.enrollment));
    }

    fn settle(&mut self) {
        let Some(visit) = self.in_flight.take() else { return };
        if let Some(settled) = enrollment::email_settled(self.run.clone(), visit, self.now) {
            self.took(settled);
        }
    }

    fn later(&mut self, hours: i64) {
        self.now += TimeDelta::hours(hours);
        self.fire();
    }

    /// Runs it to its end, with every e-mail settled at once.
    fn finish(&mut self) {
        for _ in 0..80 {
            self.settle();
            self.fire();
            if !self.run.state.is_live() {
                return;
            }
            self.later(48);
        }
    }

    fn taken(&self) -> BTreeSet<&str> {
        self.effects.iter().map(|(step, _)| step.as_str()).collect()
    }
}

fn name(effect: &Effect) -> (String, u32) {
    let (step, visit) = effect.origin();
    (step.to_owned(), visit)
}

/// Everything that a run before `from` can come to, itself included: from the stored form, by a way of its own.
fn reach(version: &SequenceVersion, from: &str) -> BTreeSet<String> {
    let stored = serde_json::to_value(&version.definition).unwrap();
    let steps = stored["steps"].as_array().unwrap().clone();
    let at = |id: &str| steps.iter().position(|step| step["id"] == *id);
    let (mut found, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(here) = open.pop() {
        let Some(place) = at(&here) else { continue };
        if !found.insert(here) {
            continue;
        }
        let step = &steps[place];
        let named = |field: &str| step[field].as_str().map(str::to_owned);
        match step["kind"].as_str().unwrap() {
            "branch" => open.extend([named("then"), named("else")].into_iter().flatten()),
            "end" => {}
            _ => open.extend(named("next").or_else(|| steps.get(place + 1)?["id"].as_str().map(str::to_owned))),
        }
    }
    found
}

fn moved(life: &Life, to: &SequenceVersion, map: &[MapEntry]) -> Result<Decision<Enrollment>, &'static str> {
    let route = Route::new(&life.version, to, map);
    migrate(life.run.clone(), &route, SequenceMigrationId(id(9)), life.now).map_err(|refusal| refusal.code())
}

fn to(from: &str, to: &str) -> MapEntry {
    MapEntry { version: None, from: from.to_owned(), to: Some(to.to_owned()), repeat: false, skip: false }
}

const POOL: [&str; 12] = ["m1", "m2", "m3", "m4", "t1", "t2", "f1", "w1", "w2", "w3", "n1", "n2"];

/// Some steps in some order, and an end.
fn line() -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(POOL.to_vec(), 2..POOL.len())
        .prop_shuffle()
        .prop_map(|ids| ids.into_iter().chain(["done"]).map(str::to_owned).collect())
}

/// The same, with branches by a coin and jumps, also backwards.
fn programme() -> impl Strategy<Value = Vec<Value>> {
    let jump = prop::option::weighted(0.25, any::<prop::sample::Index>());
    let fork = prop::option::weighted(0.3, any::<(prop::sample::Index, prop::sample::Index)>());
    (line(), prop::collection::vec((jump, fork), POOL.len())).prop_map(|(ids, ways)| {
        let mut names: Vec<String> = Vec::new();
        for (id, (_, fork)) in ids.iter().zip(ways.iter().chain(std::iter::repeat(&(None, None)))) {
            names.push(id.clone());
            if fork.is_some() && id != "done" {
                names.push(format!("b_{id}"));
            }
        }
        let mut steps = Vec::new();
        for (id, (jump, fork)) in ids.iter().zip(ways.iter().chain(std::iter::repeat(&(None, None)))) {
            let mut one = step(id);
            if id == "done" {
                steps.push(one);
                continue;
            }
            if let (Some(jump), None) = (jump, fork) {
                one["next"] = json!(jump.get(&names));
            }
            steps.push(one);
            if let Some((then, other)) = fork {
                let (then, other) = (then.get(&names), other.get(&names));
                let when = "contact.custom.coin == true";
                steps.push(
                    json!({"id": format!("b_{id}"), "kind": "branch", "when": when, "then": then, "else": other}),
                );
            }
        }
        steps
    })
}

/// A step, where it leads, and whether it may repeat and skip.
type Pick = (prop::sample::Index, Option<prop::sample::Index>, bool, bool);

#[derive(Debug, Clone)]
enum Event {
    Later(i64),
    Settle,
    Pause,
    Resume,
    PauseAll,
    ResumeAll(Option<Way>, i64),
    Flip,
    Move(usize, Vec<Pick>),
}

fn event() -> impl Strategy<Value = Event> {
    let entry = any::<Pick>();
    let way = prop_oneof![Just(None), Just(Some(Way::Skip)), Just(Some(Way::Latest))];
    prop_oneof![
        6 => (1..60_i64).prop_map(Event::Later),
        5 => Just(Event::Settle),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
        1 => Just(Event::PauseAll),
        2 => (way, 0..30_i64).prop_map(|(way, hours)| Event::ResumeAll(way, hours)),
        1 => Just(Event::Flip),
        4 => (0..3_usize, prop::collection::vec(entry, 0..4)).prop_map(|(to, map)| Event::Move(to, map)),
    ]
}

fn map_of(from: &SequenceVersion, to: &SequenceVersion, picks: &[Pick]) -> Vec<MapEntry> {
    let entry = |(step, target, repeat, skip): &Pick| MapEntry {
        version: None,
        from: step.get(&from.definition.steps).id.clone(),
        to: target.as_ref().map(|target| target.get(&to.definition.steps).id.clone()),
        repeat: *repeat,
        skip: *skip,
    };
    let mut seen = BTreeSet::new();
    picks.iter().map(entry).filter(|entry| seen.insert(entry.from.clone())).collect()
}

/// Whether an entry of a map gives a step another name, so that the two are the same.
fn same<'a>(from: &SequenceVersion, to: &'a SequenceVersion, map: &'a [MapEntry], step: &'a str) -> Option<&'a str> {
    if to.definition.step(step).is_some() {
        return Some(step);
    }
    let name = map.iter().find(|entry| entry.from == step)?.to.as_deref()?;
    let kind = |version: &SequenceVersion, id: &str| version.definition.step(id).map(|(_, step)| step.kind.name());
    let renamed = from.definition.step(name).is_none() && kind(from, step) == kind(to, name);
    (kind(from, step).is_some() && renamed).then_some(name)
}

/// Moves the run, where it may be moved, and holds the law against what really happened to it.
fn hold_the_law(life: &mut Life, target: &SequenceVersion, map: &[MapEntry]) {
    let before = life.run.clone();
    let Ok(decision) = moved(life, target, map) else {
        return;
    };
    let after = decision.next.clone();
    if !after.state.is_live() {
        assert_eq!(after.state, EnrollmentState::Exited(ExitReason::Superseded));
        let entry = map.iter().find(|entry| entry.from == before.step).unwrap();
        assert_eq!(entry.to, None, "only the map ends anybody");
        life.took(decision);
        return;
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
    assert_eq!((after.version, after.rule.as_str()), (target.id, format!("k@{}", target.number).as_str()));
    if let Some(due) = after.due_at {
        assert!(life.timers.contains(&(after.visit, due)), "a timer leads on: {after:?} {:?}", life.timers);
    }
    let entry = map.iter().find(|entry| entry.from == before.step);
    let (repeat, skip) = entry.map_or((false, false), |entry| (entry.repeat, entry.skip));
    let (was, is) = (reach(&life.version, &before.step), reach(target, &after.step));
    for step in life.taken() {
        let again = same(&life.version, target, map, step).is_some_and(|step| acts(step) && is.contains(step));
        assert!(!again || repeat || was.contains(step), "`{step}` would be repeated: {before:?} -> {after:?}");
    }
    for step in was.iter().filter(|step| acts(step) && !life.taken().contains(step.as_str())) {
        let Some(step) = same(&life.version, target, map, step).filter(|step| acts(step)) else { continue };
        assert!(is.contains(step) || skip, "`{step}` would be skipped: {before:?} -> {after:?}");
    }
    life.version = target.clone();
    life.took(decision);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_moved_run_repeats_no_effect_and_skips_none_whenever_it_is_moved_and_however_often(
        programmes in prop::array::uniform3(programme()),
        coin in any::<bool>(),
        old in any::<bool>(),
        history in prop::collection::vec(event(), 1..40),
    ) {
        let versions: Vec<SequenceVersion> =
            programmes.iter().zip(1_u32..).map(|(steps, number)| version(number, steps)).collect();
        let mut life = Life::begin(&versions[0], coin);
        if old {
            // A run from before the effects were kept.
            life.run.trail.taken = None;
        }
        for event in &history {
            if life.effects.len() > 60 {
                break;
            }
            match event {
                Event::Later(hours) => life.later(*hours),
                Event::Settle => life.settle(),
                Event::Flip => life.coin = !life.coin,
                Event::Pause => {
                    if let Ok(paused) = enrollment::pause(life.run.clone(), PauseReason::Manual, None, life.now) {
                        life.took(paused);
                    }
                }
                Event::Resume if life.run.state == EnrollmentState::Paused(PauseReason::Manual) => {
                    let resumed = enrollment::resume(life.run.clone(), life.now).unwrap();
                    life.took(resumed);
                }
                Event::PauseAll => life.sequence = SequenceState::Paused,
                Event::ResumeAll(way, hours) => {
                    life.sequence = SequenceState::Active;
                    if life.run.state == EnrollmentState::Paused(PauseReason::Sequence) {
                        let turn = life.now + TimeDelta::hours(*hours);
                        let resumed = enrollment::resume_from_backlog(life.run.clone(), turn, *way, life.now).unwrap();
                        life.took(resumed);
                    }
                }
                Event::Move(to, picks) if life.run.state.is_live() => {
                    let target = &versions[*to];
                    let map = map_of(&life.version, target, picks);
                    hold_the_law(&mut life, target, &map);
                }
                _ => {}
            }
        }
        // No two effects have one name, on whichever version they were taken.
        let names: BTreeSet<&(String, u32)> = life.effects.iter().collect();
        prop_assert_eq!(names.len(), life.effects.len());
    }

    #[test]
    fn in_a_programme_without_ways_back_every_effect_of_both_versions_happens_exactly_once(
        older in line(),
        newer in line(),
        hours in 0..400_i64,
        settled in any::<bool>(),
        old in any::<bool>(),
        picks in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..4),
    ) {
        let steps = |ids: &[String]| ids.iter().map(|id| step(id)).collect::<Vec<_>>();
        let (one, two) = (version(1, &steps(&older)), version(2, &steps(&newer)));
        let picks: Vec<_> = picks.into_iter().map(|(from, to)| (from, Some(to), false, false)).collect();
        // Only where no name is given anew: what is the same is then told by the id alone.
        let map: Vec<MapEntry> = map_of(&one, &two, &picks)
            .into_iter()
            .filter(|entry| two.definition.step(&entry.from).is_some())
            .collect();
        let mut life = Life::begin(&one, true);
        if old {
            life.run.trail.taken = None;
        }
        let moment = at(START) + TimeDelta::hours(hours);
        while life.now < moment {
            life.fire();
            life.settle();
            life.later(7);
        }
        life.fire();
        if settled {
            life.settle();
        }
        if life.run.state.is_live() && let Ok(decision) = moved(&life, &two, &map) {
            life.version = two.clone();
            life.took(decision);
            life.finish();
            prop_assert_eq!(life.run.state, EnrollmentState::Finished(FinishReason::Completed));
            for id in older.iter().filter(|id| acts(id) && newer.contains(id)) {
                let times = life.effects.iter().filter(|(step, _)| step == id).count();
                prop_assert_eq!(times, 1, "{} in {:?}, moved from {:?} to {:?} by {:?}", id, life.effects, older, newer, map);
            }
        }
    }

    #[test]
    fn whoever_skips_a_backlog_reaches_nobody_before_the_next_wait_and_loses_no_value(
        ids in line(),
        hours in 0..300_i64,
        paused in 0..400_i64,
    ) {
        let steps: Vec<Value> = ids.iter().map(|id| step(id)).collect();
        let mut life = Life::begin(&version(1, &steps), true);
        while life.now < at(START) + TimeDelta::hours(hours) {
            life.fire();
            life.settle();
            life.later(7);
        }
        // An e-mail that is still on its way would be waited for.
        life.settle();
        life.sequence = SequenceState::Paused;
        life.later(paused);
        prop_assume!(life.run.state == EnrollmentState::Paused(PauseReason::Sequence));
        life.sequence = SequenceState::Active;
        let (before, next) = (life.effects.len(), life.run.step.clone());
        let resumed = enrollment::resume_from_backlog(life.run.clone(), life.now, Some(Way::Skip), life.now).unwrap();
        life.took(resumed);
        life.fire();
        // From the step that was due up to the wait, fields alone were set, and all of them.
        let rest: Vec<&String> = ids.iter().skip_while(|id| **id != next).collect();
        let expected: Vec<&str> =
            rest.iter().take_while(|id| !id.starts_with('w')).filter(|id| id.starts_with('f')).map(|id| id.as_str()).collect();
        let happened: Vec<&str> = life.effects[before..].iter().map(|(step, _)| step.as_str()).collect();
        prop_assert_eq!(happened, expected);
        if rest.iter().any(|id| id.starts_with('w')) {
            prop_assert_eq!(life.run.state, EnrollmentState::Waiting(WaitReason::Time));
            prop_assert_eq!(life.run.due_at, Some(life.now + TimeDelta::days(2)));
        } else {
            prop_assert_eq!(life.run.state, EnrollmentState::Finished(FinishReason::Completed));
        }
        prop_assert_eq!(life.run.trail.catch_up, None);
    }

    #[test]
    fn of_a_backlog_only_the_newest_email_is_sent_and_everything_else_happens(ids in line(), paused in 0..700_i64) {
        let steps: Vec<Value> = ids.iter().map(|id| step(id)).collect();
        let mut life = Life::begin(&version(1, &steps), true);
        life.sequence = SequenceState::Paused;
        life.later(paused);
        prop_assert_eq!(life.run.state, EnrollmentState::Paused(PauseReason::Sequence));
        life.sequence = SequenceState::Active;
        let resumed = enrollment::resume_from_backlog(life.run.clone(), life.now, Some(Way::Latest), life.now).unwrap();
        life.took(resumed);
        life.fire();
        // Each wait takes two days, everything else no time.
        let mut waited = 0;
        let missed: Vec<&str> = ids
            .iter()
            .map(String::as_str)
            .take_while(|id| {
                waited += if id.starts_with('w') { 48 } else { 0 };
                waited <= paused
            })
            .collect();
        let is_mail = |id: &str| id.starts_with(['m', 'n']);
        let newest = missed.iter().rposition(|id| is_mail(id));
        let expected: Vec<&str> = match newest {
            Some(newest) => {
                missed[..=newest].iter().enumerate().filter(|(at, id)| acts(id) && (!is_mail(id) || *at == newest)).map(|(_, id)| *id).collect()
            }
            None => missed.iter().filter(|id| acts(id)).copied().collect(),
        };
        let happened: Vec<&str> = life.effects.iter().map(|(step, _)| step.as_str()).collect();
        prop_assert_eq!(happened, expected, "{:?}", ids);
        life.finish();
        prop_assert_eq!(life.run.state, EnrollmentState::Finished(FinishReason::Completed));
        for id in ids.iter().filter(|id| acts(id) && !is_mail(id)) {
            prop_assert_eq!(life.effects.iter().filter(|(step, _)| step == id).count(), 1);
        }
    }
}

/// A run that took `m1` and waits, before `m2`.
fn waiting(steps: &[Value]) -> Life {
    let mut life = Life::begin(&version(1, steps), true);
    life.fire();
    life.settle();
    life.fire();
    life
}

#[test]
fn what_lies_behind_is_not_led_back_to_and_what_lies_ahead_not_led_past_unless_the_map_says_so() {
    let old = [mail("m1"), wait("w1", 2), mail("m2"), wait("w2", 2), mail("m3"), end()];
    let life = waiting(&old);
    assert_eq!((life.run.step.as_str(), life.run.state), ("m2", EnrollmentState::Waiting(WaitReason::Time)));
    let new = version(2, &old);
    assert_eq!(moved(&life, &new, &[to("m2", "m1")]).unwrap_err(), "SEQUENCE_MIGRATION_REPEATS");
    assert_eq!(moved(&life, &new, &[to("m2", "w1")]).unwrap().next.step, "w1", "nothing happens twice in a wait");
    assert_eq!(moved(&life, &new, &[to("m2", "m3")]).unwrap_err(), "SEQUENCE_MIGRATION_SKIPS");
    let said = |entry: MapEntry, repeat, skip| MapEntry { repeat, skip, ..entry };
    assert_eq!(moved(&life, &new, &[said(to("m2", "m1"), true, false)]).unwrap().next.step, "m1");
    assert_eq!(moved(&life, &new, &[said(to("m2", "m3"), false, true)]).unwrap().next.step, "m3");
    // The same under another name.
    let renamed = version(2, &[mail("n1"), wait("w1", 2), mail("m2"), end()]);
    assert_eq!(moved(&life, &renamed, &[to("m1", "n1"), to("m2", "n1")]).unwrap_err(), "SEQUENCE_MIGRATION_REPEATS");
    assert_eq!(moved(&life, &renamed, &[to("m1", "n1")]).unwrap().next.step, "m2");
    // A step that is gone needs an answer; one for this version goes before one for all.
    let gone = version(2, &[mail("m1"), wait("w1", 2), mail("m3"), end()]);
    assert_eq!(moved(&life, &gone, &[]).unwrap_err(), "SEQUENCE_MIGRATION_STEP_GONE");
    let other = MapEntry { version: Some(1), ..to("m2", "m3") };
    assert_eq!(moved(&life, &gone, &[to("m2", "done"), other]).unwrap().next.step, "m3");
    let ends = MapEntry { to: None, ..to("m2", "") };
    assert_eq!(moved(&life, &gone, &[ends]).unwrap().next.state, EnrollmentState::Exited(ExitReason::Superseded));
}

#[test]
fn an_effect_of_a_version_long_gone_is_not_repeated_when_a_later_version_brings_it_back() {
    let mut life = waiting(&[mail("m1"), wait("w1", 2), mail("m2"), end()]);
    let without = version(2, &[wait("w1", 2), mail("m2"), end()]);
    let decision = moved(&life, &without, &[]).unwrap();
    life.version = without;
    life.took(decision);
    let back = version(3, &[wait("w1", 2), mail("m2"), wait("w2", 2), mail("m1"), end()]);
    assert_eq!(moved(&life, &back, &[]).unwrap_err(), "SEQUENCE_MIGRATION_REPEATS");
}

#[test]
fn what_a_run_of_before_may_have_taken_is_neither_repeated_nor_counted_as_done() {
    let fork = json!({"id": "b1", "kind": "branch", "when": "contact.custom.coin == true", "then": "m1", "else": "w1"});
    let mut life = Life::begin(&version(1, &[fork, mail("m1"), wait("w1", 2), mail("m2"), end()]), false);
    life.fire();
    life.run.trail.taken = None;
    let second = version(2, &[wait("w1", 2), mail("m2"), end()]);
    let decision = moved(&life, &second, &[]).unwrap();
    life.version = second;
    life.took(decision);
    assert_eq!((life.run.trail.taken.clone(), life.run.trail.perhaps.len()), (Some(BTreeSet::new()), 1));
    let back = version(3, &[wait("w1", 2), mail("m2"), mail("m1"), end()]);
    assert_eq!(moved(&life, &back, &[]).unwrap_err(), "SEQUENCE_MIGRATION_REPEATS");
    // Where it may come, and was perhaps not taken, it is not led past.
    let again = MapEntry { repeat: true, ..to("m2", "m2") };
    let decision = moved(&life, &back, &[again]).unwrap();
    life.version = back;
    life.took(decision);
    let last = version(4, &[mail("m1"), wait("w1", 2), mail("m2"), end()]);
    assert_eq!(moved(&life, &last, &[]).unwrap_err(), "SEQUENCE_MIGRATION_SKIPS");
}

#[test]
fn an_email_on_its_way_is_waited_for_and_then_the_run_goes_on_at_the_mapped_step() {
    let mut life = Life::begin(&version(1, &[mail("m1"), mail("m2"), end()]), true);
    life.fire();
    assert_eq!(life.run.state, EnrollmentState::Waiting(WaitReason::Email));
    let new = version(2, &[mail("m1"), mail("n1"), wait("w1", 2), mail("m2"), end()]);
    let decision = moved(&life, &new, &[to("m2", "n1")]).unwrap();
    life.version = new;
    life.took(decision);
    assert_eq!((life.run.awaits, life.run.state), (Some(0), EnrollmentState::Waiting(WaitReason::Email)));
    life.later(24);
    assert_eq!(life.effects.len(), 1, "nothing before the e-mail is settled");
    life.settle();
    life.fire();
    assert_eq!(life.effects.iter().map(|(step, _)| step.as_str()).collect::<Vec<_>>(), ["m1", "n1"]);
    life.finish();
    assert_eq!(life.effects.iter().map(|(step, _)| step.as_str()).collect::<Vec<_>>(), ["m1", "n1", "m2"]);
}

fn crowd(version: &SequenceVersion, step: &str, count: u64) -> Crowd {
    Crowd {
        version: version.id,
        at: Whereabouts { step: step.to_owned(), called: false, task: None },
        state: StateKind::Waiting,
        reason: Some("TIME".to_owned()),
        count,
    }
}

#[test]
fn a_preview_says_step_by_step_who_stands_where_and_what_becomes_of_them() {
    let old = version(1, &[mail("m1"), wait("w1", 2), mail("m2"), step("t1"), end()]);
    let new = version(2, &[mail("m1"), mail("n1"), wait("w1", 2), mail("m2"), end()]);
    let crowds = [crowd(&old, "m2", 7), crowd(&old, "t1", 2), crowd(&old, "m1", 1), crowd(&new, "m2", 50)];
    let with =
        |policy, map: Vec<MapEntry>| preview(&Running { policy, map }, &new, &[old.clone(), new.clone()], &crowds);
    let moves = |to: &str, passed: &[&str]| Fate::Moves {
        to: to.to_owned(),
        may_repeat: Vec::new(),
        may_skip: Vec::new(),
        passed: passed.iter().map(|step| (*step).to_owned()).collect(),
    };
    let shown = with(Policy::Migrate, Vec::new());
    assert_eq!((shown.count, shown.versions.len(), shown.problems.len()), (10, 1, 0));
    let [m1, m2, t1] = shown.versions[0].steps.clone().try_into().unwrap();
    assert_eq!((m1.step.as_str(), m1.count, m1.fate), ("m1", 1, moves("m1", &[])));
    assert_eq!((m2.count, m2.fate), (7, moves("m2", &["n1"])));
    assert_eq!(m2.states, BTreeMap::from([((StateKind::Waiting, Some("TIME".to_owned())), 7)]));
    let Fate::Refused(refusal) = t1.fate else { panic!("{t1:?}") };
    assert_eq!(refusal.code(), "SEQUENCE_MIGRATION_STEP_GONE");
    assert!(refusal.to_string().contains("`t1`"), "{refusal}");
    assert_eq!(judge(&with(Policy::Migrate, Vec::new())).unwrap_err().code(), "SEQUENCE_MIGRATION_STEP_GONE");
    assert!(judge(&with(Policy::Migrate, vec![to("t1", "done")])).is_ok());
    let back = judge(&with(Policy::Migrate, vec![to("t1", "m2")])).unwrap_err();
    assert_eq!(back.code(), "SEQUENCE_MIGRATION_REPEATS", "they have surely had it");
    assert!(with(Policy::Finish, Vec::new()).versions[0].steps.iter().all(|step| step.fate == Fate::Ends));
    assert!(with(Policy::Stay, Vec::new()).versions[0].steps.iter().all(|step| step.fate == Fate::Stays));
    let code = |policy, map| judge(&with(policy, map)).unwrap_err();
    let typo = code(Policy::Migrate, vec![to("t1", "dome")]);
    assert_eq!(typo.code(), "SEQUENCE_MIGRATION_STEP_UNKNOWN");
    assert!(typo.to_string().contains("did you mean `done`?"), "{typo}");
    assert_eq!(code(Policy::Migrate, vec![to("x", "done")]).code(), "SEQUENCE_MIGRATION_STEP_UNKNOWN");
    assert_eq!(code(Policy::Migrate, vec![to("t1", "done"), to("t1", "m2")]).code(), "SEQUENCE_MIGRATION_STEP_TWICE");
    assert_eq!(code(Policy::Finish, vec![to("t1", "done")]).code(), "SEQUENCE_MIGRATION_MAP_UNUSED");
}

#[test]
fn what_only_some_have_had_is_left_to_each_of_them() {
    let fork = json!({"id": "b1", "kind": "branch", "when": "contact.custom.coin == true", "then": "m1", "else": "w1"});
    let old = version(1, &[fork, mail("m1"), wait("w1", 2), mail("m2"), end()]);
    let new = version(2, &[wait("w1", 2), mail("m2"), wait("w2", 2), mail("m1"), end()]);
    let running = Running { policy: Policy::Migrate, map: Vec::new() };
    let shown = preview(&running, &new, std::slice::from_ref(&old), &[crowd(&old, "m2", 3)]);
    assert!(judge(&shown).is_ok());
    let Fate::Moves { may_repeat, .. } = &shown.versions[0].steps[0].fate else { panic!("{shown:?}") };
    assert_eq!(may_repeat, &["m1"]);
    for (coin, expected) in [(true, Err("SEQUENCE_MIGRATION_REPEATS")), (false, Ok("m2".to_owned()))] {
        let mut life = Life::begin(&old, coin);
        life.fire();
        life.settle();
        life.fire();
        assert_eq!(life.run.step, "m2");
        assert_eq!(moved(&life, &new, &[]).map(|decision| decision.next.step), expected);
    }
}

fn begun() -> SequenceMigration {
    let new = NewMigration {
        id: SequenceMigrationId(id(9)),
        sequence: SequenceId(id(100)),
        target: SequenceVersionId(id(3)),
        number: 3,
        running: Running { policy: Policy::Migrate, map: Vec::new() },
        left: (vec![SequenceVersionId(id(1)), SequenceVersionId(id(2))], 500),
        by: None,
    };
    let decision = migration::begin(new.clone(), at(START)).unwrap();
    assert_eq!(decision.jobs[0].job, Job::MigrateEnrollments { migration: new.id, revision: 0 });
    assert_eq!(decision.facts[0].kind, "sequence_migration.begun");
    let stays = Running { policy: Policy::Stay, map: Vec::new() };
    assert_eq!(
        migration::begin(NewMigration { running: stays, ..new.clone() }, at(START)).unwrap_err().code(),
        "SEQUENCE_MIGRATION_STAYS"
    );
    let nobody = NewMigration { left: (Vec::new(), 0), ..new };
    assert_eq!(migration::begin(nobody, at(START)).unwrap_err().code(), "SEQUENCE_MIGRATION_NOTHING");
    decision.next
}

#[test]
fn a_migration_goes_from_version_to_version_counts_each_run_once_and_completes() {
    let last = EnrollmentId(id(77));
    let part = Part {
        moved: 199,
        refused: vec![(last, "SEQUENCE_MIGRATION_REPEATS")],
        last: Some(last),
        more: true,
        ended: 0,
    };
    let first = migration::went_on(begun(), part, at(START));
    assert_eq!((first.next.state, first.next.after, first.next.left.len()), (MigrationState::Running, Some(last), 2));
    assert_eq!(first.facts[0].detail["refused"][0]["code"], json!("SEQUENCE_MIGRATION_REPEATS"));
    assert_eq!(first.jobs.len(), 1);
    let second =
        migration::went_on(first.next, Part { moved: 1, ended: 2, last: Some(last), ..Part::default() }, at(START));
    assert_eq!((second.next.after, second.next.left.len()), (None, 1), "the next version, from its beginning");
    let third = migration::went_on(second.next, Part { moved: 3, ..Part::default() }, at(START));
    let done = third.next;
    assert_eq!((done.state, done.moved, done.ended), (MigrationState::Completed, 203, 2));
    assert_eq!(done.refused, BTreeMap::from([("SEQUENCE_MIGRATION_REPEATS".to_owned(), 1)]));
    assert!(third.jobs.is_empty() && done.ended_at.is_some());
    assert_eq!(migration::wanted(&done, done.revision).unwrap_err().code(), "SEQUENCE_MIGRATION_NOT_ALLOWED");
}

#[test]
fn a_paused_migration_moves_nobody_until_it_is_resumed_and_a_cancelled_one_never() {
    let paused = migration::pause(begun()).unwrap().next;
    assert_eq!(migration::wanted(&paused, 0).unwrap_err().code(), "SEQUENCE_MIGRATION_STALE");
    assert_eq!(migration::wanted(&paused, 1).unwrap_err().code(), "SEQUENCE_MIGRATION_NOT_ALLOWED");
    assert_eq!(migration::pause(paused.clone()).unwrap_err().code(), "SEQUENCE_MIGRATION_NOT_ALLOWED");
    let resumed = migration::resume(paused.clone(), at(START)).unwrap();
    assert_eq!(resumed.jobs[0].job, Job::MigrateEnrollments { migration: paused.id, revision: 2 });
    assert!(migration::wanted(&resumed.next, 2).is_ok() && migration::wanted(&resumed.next, 0).is_err());
    let cancelled = migration::cancel(resumed.next, "MANUAL", at(START)).unwrap().next;
    assert_eq!((cancelled.state, cancelled.ended_at), (MigrationState::Cancelled, Some(at(START))));
    assert!(
        migration::resume(cancelled.clone(), at(START)).is_err()
            && migration::cancel(cancelled, "MANUAL", at(START)).is_err()
    );
}

#[test]
fn a_pause_with_an_end_resumes_by_itself_and_only_while_it_is_the_same_pause() {
    let until = at(START) + TimeDelta::days(3);
    assert_eq!(publishing::pause(sequence(), Some(at(START)), at(START)).unwrap_err().code(), "SEQUENCE_PAUSE_OVER");
    let decision = publishing::pause(sequence(), Some(until), at(START)).unwrap();
    let paused = decision.next;
    assert_eq!(decision.jobs[0].due, until);
    assert_eq!(decision.jobs[0].job, Job::WakeSequence { sequence: paused.id, revision: paused.revision });
    let early = publishing::wake(paused.clone(), paused.revision, 0, at(START)).unwrap_err();
    assert_eq!(early.code(), "SEQUENCE_PAUSE_ENDED");
    let woken = publishing::wake(paused.clone(), paused.revision, 500, until).unwrap().next;
    let resumption = woken.resumption.clone().unwrap();
    assert_eq!((woken.state, woken.paused_until), (SequenceState::Active, None));
    assert_eq!((resumption.backlog, resumption.days, resumption.runs), (Backlog::Spread, Some(1), 500));
    let wish = Some(Wish { backlog: Backlog::Skip, days: None });
    let by_hand = publishing::resume(paused.clone(), wish, 500, at(START)).unwrap().next;
    let again = publishing::pause(by_hand, Some(until), at(START)).unwrap().next;
    assert_eq!(publishing::wake(again, paused.revision, 0, until).unwrap_err().code(), "SEQUENCE_PAUSE_ENDED");
}

#[test]
fn what_was_stored_before_reads_as_it_was_and_has_the_same_form() {
    let life = waiting(&[mail("m1"), wait("w1", 2), mail("m2"), end()]);
    let mut stored = serde_json::to_value(&life.run).unwrap();
    assert_eq!(stored["trail"], json!({"taken": ["m1"]}));
    stored.as_object_mut().unwrap().remove("trail");
    let read: Enrollment = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(read.trail.taken, None);
    assert_eq!(serde_json::to_value(&read).unwrap(), stored);
    let before = serde_json::to_value(sequence()).unwrap();
    assert!(before.get("resumption").is_none() && before.get("paused_until").is_none());
    assert_eq!(
        serde_json::from_value::<Job>(json!({"kind": "resume_enrollments", "sequence": id(1), "revision": 2})).unwrap(),
        Job::ResumeEnrollments { sequence: SequenceId(id(1)), revision: 2, done: 0 }
    );
}
