//! The laws of experiments: what is registered before the start stays, looking often is harmless, and sizes keep their promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use tandem_domain::decision::Decision;
use tandem_domain::experiment::evidence::{Counted, Prior, against, interval, p_value};
use tandem_domain::experiment::ratio::ratio;
use tandem_domain::experiment::size::{Plan, looked_at_always};
use tandem_domain::experiment::{
    self, Assessment, Design, Experiment, ExperimentState, Metric, Proposal, Redesign, Refusal, Tally, Variant, assess,
    promoted,
};
use tandem_domain::id::{ExperimentId, SequenceId, UserId};
use uuid::Uuid;

/// A generator that a seed determines (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether something of this probability happens.
    fn happens(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= probability
    }
}

/// Lets people come one by one to either variant, and looks after each of them; gives whether any look was as `says` wants.
fn ever(chance: &mut Chance, shares: (f64, f64), people: usize, says: impl Fn([Counted; 2]) -> bool) -> bool {
    let mut counts = [(0, 0); 2];
    (0..people).any(|_| {
        let arm = usize::from(chance.happens(0.5));
        let converted = chance.happens(if arm == 0 { shares.0 } else { shares.1 });
        counts[arm] = (counts[arm].0 + 1, counts[arm].1 + u64::from(converted));
        says(counts.map(|(people, converted)| Counted::new(people, converted)))
    })
}

/// The most wrong runs of so many that a probability explains: three deviations above what is expected.
fn at_most(runs: usize, probability: f64) -> usize {
    let runs = runs as f64;
    (runs * probability + 3.0 * (runs * probability * (1.0 - probability)).sqrt()).floor() as usize
}

/// The test of two shares that is made to be looked at once.
fn naive([one, other]: [Counted; 2]) -> bool {
    let people = one.people.min(other.people);
    let pooled = (one.converted + other.converted) / (one.people + other.people);
    let spread = (pooled * (1.0 - pooled) * (1.0 / one.people + 1.0 / other.people)).sqrt();
    people >= 30.0 && spread > 0.0 && ((one.share().unwrap() - other.share().unwrap()) / spread).abs() > 1.645
}

#[test]
fn where_there_is_no_difference_looking_after_every_person_finds_one_no_oftener_than_alpha() {
    const RUNS: usize = 250;
    const ALPHA: f64 = 0.1;
    for (seed, share, expected) in [(1, 0.02, 0.02), (2, 0.1, 0.1), (3, 0.5, 0.5), (4, 0.3, 0.05)] {
        let prior = Prior::new(expected, 0.05);
        let mut chance = Chance(seed);
        let says = |[one, other]: [Counted; 2]| p_value(one, other, prior) <= ALPHA;
        let wrong = (0..RUNS).filter(|_| ever(&mut chance, (share, share), 1_200, says)).count();
        assert!(wrong <= at_most(RUNS, ALPHA), "share {share}: {wrong} of {RUNS}");
    }
    // The usual test, made for the same alpha, does not stand it.
    let mut chance = Chance(5);
    let wrong = (0..RUNS).filter(|_| ever(&mut chance, (0.1, 0.1), 1_200, naive)).count();
    assert!(wrong > 2 * at_most(RUNS, ALPHA), "{wrong} of {RUNS}");
}

#[test]
fn the_true_difference_leaves_the_interval_no_oftener_than_alpha_however_often_it_is_looked_at() {
    const RUNS: usize = 120;
    const ALPHA: f64 = 0.1;
    for (seed, shares) in [(11, (0.1, 0.16)), (12, (0.4, 0.1)), (13, (0.02, 0.03))] {
        let prior = Prior::new(0.1, 0.05);
        let limit = -ALPHA.ln();
        let mut chance = Chance(seed);
        let says = |[one, other]: [Counted; 2]| against(one, other, prior, shares.1 - shares.0) >= limit;
        let wrong = (0..RUNS).filter(|_| ever(&mut chance, shares, 400, says)).count();
        assert!(wrong <= at_most(RUNS, ALPHA), "{shares:?}: {wrong} of {RUNS}");
    }
}

#[test]
fn an_effect_that_is_there_is_seen_with_the_power_asked_for() {
    const RUNS: usize = 200;
    for (seed, baseline, smallest_effect, power) in [(21, 0.1, 0.05, 0.8), (22, 0.05, 0.03, 0.9), (23, 0.4, 0.1, 0.8)] {
        let plan = Plan { baseline, smallest_effect, alpha: 0.05, power };
        let people = looked_at_always(plan);
        let prior = Prior::new(baseline, smallest_effect);
        let mut chance = Chance(seed);
        let mut drawn = |share: f64| Counted::new(people, (0..people).filter(|_| chance.happens(share)).count() as u64);
        let seen = (0..RUNS)
            .filter(|_| p_value(drawn(baseline), drawn(baseline + smallest_effect), prior) <= plan.alpha)
            .count();
        let missed = RUNS - seen;
        assert!(missed <= at_most(RUNS, 1.0 - power), "{plan:?}: {missed} of {RUNS} missed with {people} each");
        // And it is not bought with far too many people.
        assert!(missed * 6 >= (at_most(RUNS, 1.0 - power)), "{plan:?}: {missed} of {RUNS} missed with {people} each");
    }
}

#[test]
fn a_fair_split_is_hardly_ever_called_broken_and_a_broken_one_is() {
    let mut chance = Chance(31);
    let mut share = |of: f64| {
        let one = (0..4_000).filter(|_| chance.happens(of)).count() as u64;
        ratio(&[(50, one), (50, 4_000 - one)]).unwrap().mismatch
    };
    let wrong = (0..500).filter(|_| share(0.5)).count();
    assert!(wrong <= at_most(500, 0.001), "{wrong}");
    assert!((0..50).all(|_| share(0.56)));
}

fn at(days: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + days)
}

fn variants() -> Vec<Variant> {
    ["a", "b", "c"].map(|key| Variant { key: key.to_owned(), weight: 1 }).to_vec()
}

fn design(metric: Metric) -> Design {
    Design {
        hypothesis: "A question is answered more often than a statement".to_owned(),
        metric,
        baseline: 0.05,
        smallest_effect: 0.03,
        alpha: 0.05,
        power: 0.8,
        window_days: 14,
    }
}

fn measured(metric: Metric) -> Redesign {
    Redesign { metric: Some(metric), ..Redesign::default() }
}

fn proposal(n: u128, step: &str, metric: Metric) -> Proposal {
    Proposal {
        id: ExperimentId(Uuid::from_u128(n)),
        sequence: SequenceId(Uuid::from_u128(900)),
        step: step.to_owned(),
        variants: Some(variants()),
        control: None,
        design: design(metric),
        by: UserId(Uuid::from_u128(800)),
    }
}

fn nothing(experiment: &Experiment) -> Assessment {
    assess(experiment, &[])
}

#[test]
fn a_second_metric_in_a_sequence_and_a_second_experiment_on_a_step_are_refused() {
    let first = experiment::register(proposal(1, "split", Metric::Replied), &[], at(0)).unwrap().next;
    let others = [first.clone()];
    let other_metric = experiment::register(proposal(2, "later", Metric::Won), &others, at(1)).unwrap_err();
    assert_eq!(other_metric, Refusal::MetricDiffers { expected: Metric::Replied });
    let same_step = experiment::register(proposal(2, "split", Metric::Replied), &others, at(1)).unwrap_err();
    assert!(matches!(same_step, Refusal::Exists { experiment, .. } if experiment == first.id));
    let elsewhere = experiment::register(proposal(2, "later", Metric::Replied), &others, at(1)).unwrap().next;
    // Also once it is decided: what was measured by it stays measured by it.
    let all = [first, elsewhere.clone()];
    let changed = experiment::change(elsewhere, measured(Metric::Clicked), None, Some(variants()), &all).unwrap_err();
    assert_eq!((changed.code(), changed.field()), ("EXPERIMENT_METRIC_DIFFERS", Some("metric")));
    let no_split = Proposal { variants: None, ..proposal(3, "hello", Metric::Replied) };
    assert_eq!(experiment::register(no_split, &[], at(0)).unwrap_err().code(), "EXPERIMENT_NO_SPLIT");
}

#[test]
fn the_control_comes_first_and_numbers_out_of_range_are_named() {
    let chosen = Proposal { control: Some("c".to_owned()), ..proposal(1, "split", Metric::Won) };
    let made = experiment::register(chosen, &[], at(0)).unwrap().next;
    assert_eq!(made.variants.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["c", "a", "b"]);
    let unknown = Proposal { control: Some("d".to_owned()), ..proposal(1, "split", Metric::Won) };
    assert_eq!(experiment::register(unknown, &[], at(0)).unwrap_err().field(), Some("control"));
    let good = design(Metric::Won);
    for (wrong, field) in [
        (Design { baseline: 0.0, ..good.clone() }, "baseline"),
        (Design { baseline: f64::NAN, ..good.clone() }, "baseline"),
        (Design { smallest_effect: 0.0, ..good.clone() }, "smallestEffect"),
        (Design { smallest_effect: 0.95, ..good.clone() }, "smallestEffect"),
        (Design { alpha: 0.5, ..good.clone() }, "alpha"),
        (Design { power: 1.0, ..good.clone() }, "power"),
        (Design { window_days: 0, ..good.clone() }, "windowDays"),
        (Design { hypothesis: " ".to_owned(), ..good.clone() }, "hypothesis"),
    ] {
        let proposal = Proposal { design: wrong, ..proposal(1, "split", Metric::Won) };
        assert_eq!(experiment::register(proposal, &[], at(0)).unwrap_err().field(), Some(field));
    }
}

#[test]
fn what_a_person_promotes_is_on_the_record_with_the_numbers_of_that_moment() {
    let made = experiment::register(proposal(1, "split", Metric::Replied), &[], at(0)).unwrap().next;
    assert_eq!(experiment::start(made.clone(), None, at(1)).unwrap_err().code(), "EXPERIMENT_SPLIT_CHANGED");
    let running = experiment::start(made, Some(&variants()), at(1)).unwrap().next;
    let tally =
        |variant: &str, converted| Tally { variant: variant.to_owned(), assigned: 2_100, counted: 2_000, converted };
    let assessment = assess(&running, &[tally("a", 100), tally("b", 240), tally("c", 110)]);
    assert_eq!((assessment.leader.as_deref(), assessment.ratio_mismatch), (Some("b"), false));
    let b = assessment.variants[1].compared.as_ref().unwrap();
    assert!(b.differs && b.low > 0.0 && b.low < 0.07 && 0.07 < b.high);
    assert!(!assessment.variants[2].compared.as_ref().unwrap().differs);
    let who = UserId(Uuid::from_u128(7));
    let unknown =
        experiment::decide(running.clone(), Some("z".to_owned()), "why", &assessment, who, at(2)).unwrap_err();
    assert_eq!((unknown.code(), unknown.field()), ("EXPERIMENT_VARIANT_UNKNOWN", Some("winner")));
    let silent = experiment::decide(running.clone(), Some("b".to_owned()), " ", &assessment, who, at(2)).unwrap_err();
    assert_eq!((silent.code(), silent.field()), ("EXPERIMENT_WORDS_MISSING", Some("why")));
    let Decision { next, facts, .. } =
        experiment::decide(running.clone(), Some("b".to_owned()), "Twice the answers", &assessment, who, at(2))
            .unwrap();
    assert_eq!((next.state, promoted([&next], "split")), (ExperimentState::Decided, Some("b")));
    assert_eq!((promoted([&next], "later"), promoted([&running], "split")), (None, None));
    let [fact] = facts.try_into().unwrap();
    assert_eq!((fact.kind, &fact.detail["by"]), ("experiment.decided", &serde_json::json!(who)));
    assert_eq!((&fact.detail["why"], &fact.detail["winner"]), (&"Twice the answers".into(), &"b".into()));
    assert_eq!(fact.detail["result"]["variants"][1]["tally"]["converted"], 240);
    // People who were not shared as the weights say are compared, but nobody leads.
    let lopsided = [Tally { assigned: 3_000, ..tally("a", 100) }, tally("b", 240), tally("c", 110)];
    let assessment = assess(&running, &lopsided);
    assert_eq!((assessment.leader, assessment.ratio_mismatch), (None, true));
}

#[derive(Debug, Clone)]
enum Move {
    Register(usize, usize),
    Change(usize, usize),
    Start(usize),
    Decide(usize, Option<usize>),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0..3_usize, 0..5_usize).prop_map(|(step, metric)| Move::Register(step, metric)),
        (0..9_usize, 0..5_usize).prop_map(|(which, metric)| Move::Change(which, metric)),
        (0..9_usize).prop_map(Move::Start),
        (0..9_usize, proptest::option::of(0..3_usize)).prop_map(|(which, winner)| Move::Decide(which, winner)),
    ];
    proptest::collection::vec(one, 1..40)
}

proptest! {
    /// Whatever people do in whatever order: one metric a sequence, one open experiment a step, and what was started keeps what
    /// was registered before.
    #[test]
    fn a_sequence_has_one_metric_and_what_was_started_keeps_its_design(moves in moves()) {
        let mut all: Vec<Experiment> = Vec::new();
        let mut designs = std::collections::BTreeMap::new();
        for (day, one) in (0..).zip(moves) {
            let now = at(day);
            let which = |which: usize, all: &[Experiment]| (!all.is_empty()).then(|| which % all.len());
            match one {
                Move::Register(step, metric) => {
                    let proposal = proposal(all.len() as u128 + 1, &format!("s{step}"), Metric::ALL[metric]);
                    if let Ok(made) = experiment::register(proposal, &all, now) { all.push(made.next); }
                }
                Move::Change(n, metric) => if let Some(n) = which(n, &all)
                    && let Ok(made) = experiment::change(all[n].clone(), measured(Metric::ALL[metric]), None, Some(variants()), &all) { all[n] = made.next; },
                Move::Start(n) => if let Some(n) = which(n, &all)
                    && let Ok(made) = experiment::start(all[n].clone(), Some(&variants()), now) { all[n] = made.next; },
                Move::Decide(n, winner) => if let Some(n) = which(n, &all) {
                    let winner = winner.map(|winner| variants()[winner].key.clone());
                    let by = UserId(Uuid::nil());
                    if let Ok(made) = experiment::decide(all[n].clone(), winner, "it is so", &nothing(&all[n]), by, now) { all[n] = made.next; }
                },
            }
            let metrics: std::collections::BTreeSet<_> = all.iter().map(|one| one.design.metric).collect();
            prop_assert!(metrics.len() <= 1);
            for step in ["s0", "s1", "s2"] {
                prop_assert!(all.iter().filter(|one| one.step == step && one.is_open()).count() <= 1);
                let newest = all.iter().filter(|one| one.step == step && one.started_at.is_some()).max_by_key(|one| one.started_at);
                prop_assert_eq!(promoted(&all, step), newest.and_then(|one| one.winner.as_deref()));
            }
            for one in all.iter().filter(|one| one.started_at.is_some()) {
                let kept = designs.entry(one.id).or_insert_with(|| one.design.clone());
                prop_assert_eq!(&*kept, &one.design);
            }
        }
    }

    /// The interval holds what was found, and the test and the interval never contradict each other.
    #[test]
    fn the_interval_holds_what_was_found(n in 0..3_000_u64, m in 0..3_000_u64, x in 0.0..1.0_f64, y in 0.0..1.0_f64, baseline in 0.01..0.9_f64) {
        let part = |of: u64, share: f64| (of as f64 * share) as u64;
        let (one, other) = (Counted::new(n, part(n, x)), Counted::new(m, part(m, y)));
        let prior = Prior::new(baseline, 0.05);
        let (low, high) = interval(one, other, prior, 0.05);
        prop_assert!((-1.0..=1.0).contains(&low) && low <= high && high <= 1.0);
        if let (Some(one), Some(other)) = (one.share(), other.share()) {
            prop_assert!(low <= other - one + 1e-9 && other - one <= high + 1e-9);
        }
        let p = p_value(one, other, prior);
        prop_assert!((0.0..=1.0).contains(&p));
        prop_assert!(!(p < 0.0499 && low < 0.0 && high > 0.0));
        prop_assert!(!(p > 0.0501 && (low > 1e-9 || high < -1e-9)));
    }
}
