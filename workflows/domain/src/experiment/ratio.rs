//! Whether people were shared among the variants as they should have been.
//!
//! A split that gives one variant more people than its weight says is broken somewhere, and so is every result of it: whoever is
//! missing is not missing by chance (Fabijan et al.: Diagnosing Sample Ratio Mismatch in Online Controlled Experiments, KDD 2019).

use super::numbers::chi_square_tail;

/// Below this probability the shares are no accident. It is small, since it is looked at often.
pub const MISMATCH_BELOW: f64 = 0.001;
/// The fewest people that a variant should have had: with fewer, the test says nothing.
const FEWEST: f64 = 5.0;

/// How well the numbers of people fit the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Pearson's chi-square statistic.
    pub chi_square: f64,
    /// The probability of numbers that fit as badly, or worse, by chance.
    pub p_value: f64,
    /// Whether that is so small that the split must be broken.
    pub mismatch: bool,
}

/// Compares the numbers of people with the weights, variant by variant: (weight, people). None where there is one variant, no
/// weight, or too few people to tell.
pub fn ratio(variants: &[(u32, u64)]) -> Option<Ratio> {
    #[expect(clippy::cast_precision_loss, reason = "counts of people are far below 2^53")]
    let counts: Vec<(f64, f64)> =
        variants.iter().filter(|(weight, _)| *weight > 0).map(|(weight, n)| (f64::from(*weight), *n as f64)).collect();
    let freedom = u32::try_from(counts.len()).ok()?.checked_sub(1).filter(|freedom| *freedom > 0)?;
    let weights: f64 = counts.iter().map(|(weight, _)| weight).sum();
    let people: f64 = counts.iter().map(|(_, people)| people).sum();
    let expected = |weight: f64| people * weight / weights;
    if counts.iter().any(|(weight, _)| expected(*weight) < FEWEST) {
        return None;
    }
    let chi_square: f64 =
        counts.iter().map(|(weight, found)| (found - expected(*weight)).powi(2) / expected(*weight)).sum();
    let p_value = chi_square_tail(chi_square, freedom);
    Some(Ratio { chi_square, p_value, mismatch: p_value < MISMATCH_BELOW })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_split_is_seen_and_a_fair_one_is_not() {
        let fair = ratio(&[(50, 5_060), (50, 4_940)]).unwrap();
        assert!(!fair.mismatch && (fair.chi_square - 1.44).abs() < 1e-9);
        assert!(ratio(&[(50, 5_250), (50, 4_750)]).unwrap().mismatch);
        assert!(!ratio(&[(1, 1_010), (2, 1_990), (1, 1_000)]).unwrap().mismatch);
        assert!(ratio(&[(1, 1_300), (2, 1_900), (1, 800)]).unwrap().mismatch);
        // Too few, one variant, or nothing to compare with.
        for nothing in [&[(50, 4), (50, 0)][..], &[(1, 100)], &[], &[(0, 9), (0, 9)]] {
            assert_eq!(ratio(nothing), None);
        }
    }
}
