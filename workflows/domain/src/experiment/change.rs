//! What may still change of an experiment before it is started.

use super::{Design, Experiment, ExperimentState, Metric, Refusal, Variant, check, check_metric, controlled, words};
use crate::decision::Decision;

/// What shall be measured instead. What is none stays as it was.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Redesign {
    /// What is expected to happen, and why: 1 to 500 characters.
    pub hypothesis: Option<String>,
    /// What counts.
    pub metric: Option<Metric>,
    /// The share of the control that is expected to convert, between 0 and 1, both excluded.
    pub baseline: Option<f64>,
    /// The smallest difference worth knowing, as a share. With the baseline it stays below 1.
    pub smallest_effect: Option<f64>,
    /// The probability of seeing a difference where there is none: 0.0001 to 0.2.
    pub alpha: Option<f64>,
    /// The probability of seeing the smallest effect where it is there: 0.5 to 0.99.
    pub power: Option<f64>,
    /// In how many days after the choice somebody converts: 1 to [`super::MOST_DAYS`].
    pub window_days: Option<u32>,
}

impl Redesign {
    fn of(self, before: &Design) -> Design {
        Design {
            hypothesis: self.hypothesis.unwrap_or_else(|| before.hypothesis.clone()),
            metric: self.metric.unwrap_or(before.metric),
            baseline: self.baseline.unwrap_or(before.baseline),
            smallest_effect: self.smallest_effect.unwrap_or(before.smallest_effect),
            alpha: self.alpha.unwrap_or(before.alpha),
            power: self.power.unwrap_or(before.power),
            window_days: self.window_days.unwrap_or(before.window_days),
        }
    }
}

/// Changes what is measured, before the start, and takes over the split of the newest version: nothing has been counted, so that
/// nothing is lost by it.
///
/// `variants` are those of the step in the newest version; none where it does not split, and then the registered ones stay. The
/// control stays, too, unless another is named; where the newest version does not have it any more, one must be. `others` are all
/// experiments of the same sequence.
pub fn change(
    experiment: Experiment,
    redesign: Redesign,
    control: Option<String>,
    variants: Option<Vec<Variant>>,
    others: &[Experiment],
) -> Result<Decision<Experiment>, Refusal> {
    if experiment.state != ExperimentState::Registered {
        return Err(Refusal::Started { metric: experiment.design.metric });
    }
    let variants = variants.unwrap_or_else(|| experiment.variants.clone());
    let variants = match control.or_else(|| Some(experiment.variants.first()?.key.clone())) {
        Some(control) => controlled(variants, control)?,
        None => variants,
    };
    let design = redesign.of(&experiment.design);
    check(&design)?;
    let design = Design { hypothesis: words("hypothesis", &design.hypothesis)?, ..design };
    check_metric(others.iter().filter(|other| other.id != experiment.id), design.metric)?;
    let mut fact = experiment.fact("experiment.changed").with("before", &experiment.design).with("design", &design);
    if variants != experiment.variants {
        fact = fact.with("variants_before", &experiment.variants).with("variants", &variants);
    }
    Ok(Decision::new(Experiment { design, variants, ..experiment }, fact))
}
