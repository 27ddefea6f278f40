//! What the numbers of an experiment say.

use super::Experiment;
use super::evidence::{Counted, interval, p_value};
use super::ratio::ratio;
use serde::{Deserialize, Serialize};

/// What is known of the people of one variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The variant's key.
    pub variant: String,
    /// Everybody who was given it.
    pub assigned: u64,
    /// Those of them whose days are over: only they are compared.
    pub counted: u64,
    /// Those of the counted who converted.
    pub converted: u64,
}

/// How a variant does beside the control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The variant's share less the control's, as it was found.
    pub difference: f64,
    /// The smallest difference that the numbers leave possible.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// The always-valid p-value of the statement that there is no difference.
    pub p_value: f64,
    /// Whether there is one, as sure as was registered.
    pub differs: bool,
}

/// What the numbers say of one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantResult {
    /// The people.
    pub tally: Tally,
    /// The share that converted; none without people.
    pub share: Option<f64>,
    /// How it does beside the control; none for the control itself.
    pub compared: Option<Comparison>,
}

/// What the numbers say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// Of each variant, the control first.
    pub variants: Vec<VariantResult>,
    /// The chi-square statistic and the p-value of the numbers of people against the weights; none while there are too few.
    pub ratio: Option<(f64, f64)>,
    /// Whether people were not shared as the weights say: then the rest says nothing.
    pub ratio_mismatch: bool,
    /// The variant that is better than the control, or the control where it is better than every other: as sure as was
    /// registered. None while that is open, and where the ratio does not match.
    pub leader: Option<String>,
    /// How many people each variant needs before the smallest effect is likely to be seen.
    pub people_needed: u64,
}

/// Judges an experiment by its tallies; a variant without one has nobody.
pub fn assess(experiment: &Experiment, tallies: &[Tally]) -> Assessment {
    let tally = |key: &str| {
        let none = || Tally { variant: key.to_owned(), assigned: 0, counted: 0, converted: 0 };
        tallies.iter().find(|tally| tally.variant == key).cloned().unwrap_or_else(none)
    };
    let (prior, alpha) = (experiment.prior(), experiment.alpha_each());
    let mut control = None;
    let variants: Vec<VariantResult> = experiment
        .variants
        .iter()
        .map(|variant| {
            let tally = tally(&variant.key);
            let counted = Counted::new(tally.counted, tally.converted);
            let Some(control) = control else {
                control = Some(counted);
                return VariantResult { tally, share: counted.share(), compared: None };
            };
            let (low, high) = interval(control, counted, prior, alpha);
            let p_value = p_value(control, counted, prior);
            let difference = counted.share().unwrap_or_default() - control.share().unwrap_or_default();
            let compared = Some(Comparison { difference, low, high, p_value, differs: p_value <= alpha });
            VariantResult { tally, share: counted.share(), compared }
        })
        .collect();
    let people: Vec<(u32, u64)> =
        experiment.variants.iter().zip(&variants).map(|(variant, of)| (variant.weight, of.tally.assigned)).collect();
    let ratio = ratio(&people);
    let ratio_mismatch = ratio.is_some_and(|ratio| ratio.mismatch);
    Assessment {
        leader: leader(&variants).filter(|_| !ratio_mismatch).map(str::to_owned),
        variants,
        ratio: ratio.map(|ratio| (ratio.chi_square, ratio.p_value)),
        ratio_mismatch,
        people_needed: experiment.sizes().1,
    }
}

fn leader(variants: &[VariantResult]) -> Option<&str> {
    let compared = || variants.iter().filter_map(|variant| Some((variant, variant.compared.as_ref()?)));
    let better = compared().filter(|(_, compared)| compared.differs && compared.difference > 0.0);
    let best = better.max_by(|(_, one), (_, other)| one.difference.total_cmp(&other.difference));
    if let Some((best, _)) = best {
        return Some(&best.tally.variant);
    }
    let all_worse = compared().count() > 0 && compared().all(|(_, compared)| compared.differs);
    variants.first().filter(|_| all_worse).map(|control| control.tally.variant.as_str())
}
