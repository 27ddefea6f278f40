//! An experiment on a step that splits its people among variants.
//!
//! ```text
//! REGISTERED -start-> RUNNING -decide-> DECIDED (with a winner, or without one)
//!  \__ change (the design, and the split of the newest version)
//! ```
//!
//! What is measured, and how, is registered before the start and never changes after it: whoever looks for the metric in which a
//! favourite wins will find one. All experiments of a sequence have the same metric for the same reason. A subject counts once, at
//! its first choice after the start, and converts if it does what the metric says within so many days of that choice, whichever
//! programme it is in by then. It is counted once those days are over, so that everybody had the same time.
//!
//! A person promotes the winner: from then on the split gives it to everybody new.

mod change;
pub mod evidence;
pub mod numbers;
pub mod ratio;
mod refusal;
pub mod result;
pub mod size;

pub use change::{Redesign, change};
pub use refusal::Refusal;
pub use result::{Assessment, Comparison, Tally, VariantResult, assess};

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::{ExperimentId, SequenceId, UserId};
use crate::normalise;
use crate::sequence::Definition;
use crate::sequence::steps::StepKind;
use chrono::{DateTime, TimeDelta, Utc};
use evidence::Prior;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use size::Plan;
use std::collections::BTreeSet;

/// The longest hypothesis, and the longest reason, in characters.
pub const MOST_WORDS: usize = 500;
/// The most days in which somebody converts.
pub const MOST_DAYS: u32 = 365;

/// The kind of step that an experiment is made on.
const SPLIT: &str = "split";

codes! {
    /// What somebody has to do to count as converted.
    pub enum Metric("metric") {
        /// Answered: an e-mail of the person, or of a colleague to an e-mail of the run.
        Replied = "REPLIED",
        /// Booked or held a meeting.
        Meeting = "MEETING",
        /// Followed a link of an e-mail of the run; no machine did it.
        Clicked = "CLICKED",
        /// Became a lead for the SDRs.
        Qualified = "QUALIFIED",
        /// Bought.
        Won = "WON",
    }
}

codes! {
    /// Where an experiment is.
    pub enum ExperimentState("experiment state") {
        /// It is planned, and may still change.
        Registered = "REGISTERED",
        /// People are counted.
        Running = "RUNNING",
        /// Somebody decided what comes of it.
        Decided = "DECIDED",
    }
}

/// One of the ways that a split gives people to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its key in the definition.
    pub key: String,
    /// How many people it gets, in proportion to the weights of the others.
    pub weight: u32,
}

/// What is measured, and how sure the answer shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// What is expected to happen, and why: 1 to 500 characters.
    pub hypothesis: String,
    /// What counts.
    pub metric: Metric,
    /// The share of the control that is expected to convert, between 0 and 1, both excluded.
    pub baseline: f64,
    /// The smallest difference worth knowing, as a share: 0.02 for two points of a hundred. With the baseline it stays below 1.
    pub smallest_effect: f64,
    /// The probability of seeing a difference where there is none: 0.0001 to 0.2.
    pub alpha: f64,
    /// The probability of seeing the smallest effect where it is there: 0.5 to 0.99.
    pub power: f64,
    /// In how many days after the choice somebody converts: 1 to [`MOST_DAYS`].
    pub window_days: u32,
}

impl Design {
    fn plan(&self) -> Plan {
        let Self { baseline, smallest_effect, alpha, power, .. } = *self;
        Plan { baseline, smallest_effect, alpha, power }
    }
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its id.
    pub id: ExperimentId,
    /// The sequence.
    pub sequence: SequenceId,
    /// The step that splits.
    pub step: String,
    /// The variants as they were registered; the first is the control.
    pub variants: Vec<Variant>,
    /// What is measured.
    pub design: Design,
    /// Where it is.
    pub state: ExperimentState,
    /// What everybody new gets, once that is decided; none where nothing was better.
    pub winner: Option<String>,
    /// Why that was decided.
    pub why: Option<String>,
    /// Who registered it.
    pub registered_by: UserId,
    /// When.
    pub registered_at: DateTime<Utc>,
    /// When people began to be counted.
    pub started_at: Option<DateTime<Utc>>,
    /// Who decided.
    pub decided_by: Option<UserId>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
}

impl Experiment {
    /// Whether it is not decided yet.
    pub fn is_open(&self) -> bool {
        self.state != ExperimentState::Decided
    }

    /// How long somebody has to convert.
    pub fn window(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.design.window_days))
    }

    /// What the test of one variant against the control may be wrong in: alpha, shared by all such tests (Bonferroni).
    pub fn alpha_each(&self) -> f64 {
        shared(self.design.alpha, u32::try_from(self.variants.len()).unwrap_or(u32::MAX))
    }

    /// What was expected before the start.
    pub fn prior(&self) -> Prior {
        Prior::new(self.design.baseline, self.design.smallest_effect)
    }

    /// How many people each variant needs: for a single look at the end, and for looks at any time.
    pub fn sizes(&self) -> (u64, u64) {
        sizes(self.design.plan(), self.alpha_each())
    }

    fn fact(&self, kind: &'static str) -> Fact {
        Fact::ledger(kind, self.id).with("sequence", self.sequence).with("step", &self.step)
    }
}

/// The variants of the step with this id, in the order of the definition; none where the step does not split.
pub fn variants_of(definition: &Definition, step: &str) -> Option<Vec<Variant>> {
    let (_, step) = definition.step(step)?;
    if step.kind.name() != SPLIT {
        return None;
    }
    // Read from the settings as they are written, of which the key and the weight are looked at.
    let settings = serde_json::to_value(&step.kind).ok()?;
    serde_json::from_value(settings.get("variants")?.clone()).ok()
}

fn shared(alpha: f64, variants: u32) -> f64 {
    alpha / f64::from(variants.saturating_sub(1).max(1))
}

fn sizes(plan: Plan, alpha: f64) -> (u64, u64) {
    let plan = Plan { alpha, ..plan };
    (size::looked_at_once(plan), size::looked_at_always(plan))
}

/// How many people each of so many variants (2 to 10) needs: for a single look at the end, and for looks at any time.
pub fn sizes_of(plan: Plan, variants: u32) -> Result<(u64, u64), Refusal> {
    check_plan(plan)?;
    in_range("variants", (2..=10).contains(&variants), "2 to 10")?;
    Ok(sizes(plan, shared(plan.alpha, variants)))
}

fn in_range(field: &'static str, fits: bool, rule: &'static str) -> Result<(), Refusal> {
    if fits { Ok(()) } else { Err(Refusal::OutOfRange { field, rule }) }
}

fn check_plan(plan: Plan) -> Result<(), Refusal> {
    let Plan { baseline, smallest_effect, alpha, power } = plan;
    in_range("baseline", baseline > 0.0 && baseline < 1.0, "between 0 and 1, both excluded")?;
    let fits = smallest_effect >= 1e-4 && baseline + smallest_effect < 1.0;
    in_range("smallestEffect", fits, "at least 0.0001, and with the baseline below 1")?;
    in_range("alpha", (0.0001..=0.2).contains(&alpha), "0.0001 to 0.2")?;
    in_range("power", (0.5..=0.99).contains(&power), "0.5 to 0.99")
}

fn check(design: &Design) -> Result<(), Refusal> {
    check_plan(design.plan())?;
    in_range("windowDays", (1..=MOST_DAYS).contains(&design.window_days), "1 to 365")
}

fn words(field: &'static str, text: &str) -> Result<String, Refusal> {
    let text = normalise::line(field, text, MOST_WORDS).map_err(|_| Refusal::WordsMissing { field })?;
    if text.is_empty() { Err(Refusal::WordsMissing { field }) } else { Ok(text) }
}

/// Refuses a metric that is not that of the other experiments of the sequence.
fn check_metric<'a>(others: impl Iterator<Item = &'a Experiment>, metric: Metric) -> Result<(), Refusal> {
    match others.map(|other| other.design.metric).find(|other| *other != metric) {
        Some(expected) => Err(Refusal::MetricDiffers { expected }),
        None => Ok(()),
    }
}

/// The variants with the control first.
fn controlled(mut variants: Vec<Variant>, control: String) -> Result<Vec<Variant>, Refusal> {
    let Some(place) = variants.iter().position(|variant| variant.key == control) else {
        let known = variants.iter().map(|variant| variant.key.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Refusal::VariantUnknown { field: "control", given: control, known });
    };
    variants[..=place].rotate_right(1);
    Ok(variants)
}

/// What an experiment is to be made on.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its id.
    pub id: ExperimentId,
    /// The sequence.
    pub sequence: SequenceId,
    /// The step.
    pub step: String,
    /// The variants of that step, as [`variants_of`] gives them; none where it does not split.
    pub variants: Option<Vec<Variant>>,
    /// The variant that the others are compared with; the first of the step where it is left out.
    pub control: Option<String>,
    /// What is measured.
    pub design: Design,
    /// Who wants it.
    pub by: UserId,
}

/// Registers an experiment. `others` are all experiments of the same sequence.
pub fn register(
    proposal: Proposal,
    others: &[Experiment],
    now: DateTime<Utc>,
) -> Result<Decision<Experiment>, Refusal> {
    let Proposal { id, sequence, step, variants, control, design, by } = proposal;
    let variants = variants.ok_or_else(|| Refusal::NoSplit { step: step.clone() })?;
    let variants = match control {
        Some(control) => controlled(variants, control)?,
        None => variants,
    };
    check(&design)?;
    let design = Design { hypothesis: words("hypothesis", &design.hypothesis)?, ..design };
    if let Some(open) = others.iter().find(|other| other.is_open() && other.step == step) {
        let hint = match open.state {
            ExperimentState::Registered => "change it, which takes over the split of the newest version, too",
            ExperimentState::Running | ExperimentState::Decided => "decide it first",
        };
        return Err(Refusal::Exists { experiment: open.id, state: open.state, hint });
    }
    check_metric(others.iter(), design.metric)?;
    let experiment = Experiment {
        id,
        sequence,
        step,
        variants,
        design,
        state: ExperimentState::Registered,
        winner: None,
        why: None,
        registered_by: by,
        registered_at: now,
        started_at: None,
        decided_by: None,
        decided_at: None,
    };
    let fact = experiment
        .fact("experiment.registered")
        .with("variants", &experiment.variants)
        .with("design", &experiment.design);
    Ok(Decision::new(experiment, fact))
}

/// Begins to count. `variants` are those of the step in the newest version: they must be what was registered.
pub fn start(
    experiment: Experiment,
    variants: Option<&[Variant]>,
    now: DateTime<Utc>,
) -> Result<Decision<Experiment>, Refusal> {
    if experiment.state != ExperimentState::Registered {
        let hint = "it was started before; look at its result";
        return Err(Refusal::NotAllowed { state: experiment.state, hint });
    }
    let by_key = |variants: &[Variant]| {
        let mut variants = variants.to_vec();
        variants.sort_by(|one, other| one.key.cmp(&other.key));
        variants
    };
    if variants.map(by_key) != Some(by_key(&experiment.variants)) {
        let hint = match variants {
            Some(_) => "change the experiment, which takes that split over, and start it then",
            None => {
                "there it splits nobody; publish a version in which it does, change the experiment, and start it then"
            }
        };
        return Err(Refusal::SplitChanged { step: experiment.step, hint });
    }
    let (from, state) = (experiment.state, ExperimentState::Running);
    let (once, always) = experiment.sizes();
    let fact = experiment
        .fact("experiment.started")
        .moved(from, state)
        .with("metric", experiment.design.metric)
        .with("people_of_each_variant", always)
        .with("people_of_each_variant_for_one_look", once);
    Ok(Decision::new(Experiment { state, started_at: Some(now), ..experiment }, fact))
}

/// Decides what comes of an experiment: the winner that everybody new gets, or none. What the numbers said at that moment goes on
/// the record with it; a person may decide against them, and must say why.
pub fn decide(
    experiment: Experiment,
    winner: Option<String>,
    why: &str,
    assessment: &Assessment,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<Decision<Experiment>, Refusal> {
    if experiment.state != ExperimentState::Running {
        let hint = match experiment.state {
            ExperimentState::Registered => "start it first",
            ExperimentState::Running | ExperimentState::Decided => "register another one to look again",
        };
        return Err(Refusal::NotAllowed { state: experiment.state, hint });
    }
    if let Some(given) = winner.as_ref().filter(|key| !experiment.variants.iter().any(|one| one.key == **key)) {
        let known = experiment.variants.iter().map(|variant| variant.key.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Refusal::VariantUnknown { field: "winner", given: given.clone(), known });
    }
    let why = words("why", why)?;
    let (from, state) = (experiment.state, ExperimentState::Decided);
    let fact = experiment
        .fact("experiment.decided")
        .moved(from, state)
        .with("winner", &winner)
        .with("why", &why)
        .with("by", by)
        .with("metric", experiment.design.metric)
        .with("result", assessment);
    let (why, decided_by, decided_at) = (Some(why), Some(by), Some(now));
    Ok(Decision::new(Experiment { state, winner, why, decided_by, decided_at, ..experiment }, fact))
}

/// The variant that a split gives to everybody new, where one was promoted: that of the newest experiment on the step which was
/// started. While an experiment runs, none is promoted. `experiments` are those of the sequence, in any order.
pub fn promoted<'a>(experiments: impl IntoIterator<Item = &'a Experiment>, step: &str) -> Option<&'a str> {
    newest(experiments, step)?.winner.as_deref()
}

/// The newest experiment on the step which was started.
fn newest<'a>(experiments: impl IntoIterator<Item = &'a Experiment>, step: &str) -> Option<&'a Experiment> {
    let started = experiments.into_iter().filter(|one| one.step == step && one.started_at.is_some());
    started.max_by_key(|one| (one.started_at, one.id))
}

/// Whether a definition has a step that splits.
pub fn splits(definition: &Definition) -> bool {
    definition.steps.iter().any(|step| step.kind.name() == SPLIT)
}

/// The definition as it is for somebody new: a split with a promoted variant gives that to everybody. None where that changes
/// nothing. `keeps` says of which splits the run has a variant already, which it keeps. Where the version splits among other variants
/// than those that were compared, nobody knows which is the best of them, and it splits as it says.
pub fn with_winners(
    definition: &Definition,
    experiments: &[Experiment],
    keeps: impl Fn(&str) -> bool,
) -> Option<Definition> {
    let mut changed = None;
    for (place, step) in definition.steps.iter().enumerate() {
        if step.kind.name() != SPLIT || keeps(&step.id) {
            continue;
        }
        let Some(experiment) = newest(experiments, &step.id) else { continue };
        let Some(winner) = &experiment.winner else { continue };
        if let Some(kind) = only(&step.kind, winner, &experiment.variants)
            && let Some(step) = changed.get_or_insert_with(|| definition.clone()).steps.get_mut(place)
        {
            step.kind = kind;
        }
    }
    changed
}

/// A split in which every other variant has the weight 0; none where it is not among the variants that were `compared`. It is
/// changed in the form in which it is written, of which the key and the weight are looked at.
fn only(kind: &StepKind, winner: &str, compared: &[Variant]) -> Option<StepKind> {
    let mut settings = serde_json::to_value(kind).ok()?;
    let variants = settings.get_mut("variants")?.as_array_mut()?;
    let keys: BTreeSet<&str> = variants.iter().filter_map(|variant| variant.get("key")?.as_str()).collect();
    if keys != compared.iter().map(|variant| variant.key.as_str()).collect() {
        return None;
    }
    for variant in variants {
        let wins = variant.get("key").and_then(Value::as_str) == Some(winner);
        variant.as_object_mut()?.insert("weight".to_owned(), Value::from(u32::from(wins)));
    }
    serde_json::from_value(settings).ok()
}
