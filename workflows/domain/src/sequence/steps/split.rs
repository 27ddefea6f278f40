//! `split`: each subject is given one of several variants, by lot, and the same one for good.

use super::{Failure, Kind, Next, Run};
use crate::sequence::definition::{NAME, is_name};
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How many variants a split has.
pub const VARIANTS: std::ops::RangeInclusive<usize> = 2..=10;
/// The largest weight of a variant.
pub const MOST_WEIGHT: u32 = 1_000;

/// Each subject is given one of several variants, by lot, and the same one for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The variants, 2 to 10.
    #[schemars(length(min = 2, max = 10))]
    pub variants: Vec<Variant>,
}

/// One of the variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name within the step: lower-case letters, digits and `_`.
    #[schemars(regex(pattern = NAME))]
    pub key: String,
    /// Its share of all weights, 1 to 1,000; 1 where it is not said.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MOST_WEIGHT))]
    pub weight: u32,
    /// The step that it goes to.
    #[schemars(regex(pattern = NAME))]
    pub then: String,
}

const fn one() -> u32 {
    1
}

/// The fields that name the steps, by the place of the variant.
const THEN: [&str; 10] = [
    "variants[0].then",
    "variants[1].then",
    "variants[2].then",
    "variants[3].then",
    "variants[4].then",
    "variants[5].then",
    "variants[6].then",
    "variants[7].then",
    "variants[8].then",
    "variants[9].then",
];

/// The place of the variant that a subject is given: SHA-256 of `sequence/step/subject`, its first eight bytes as a number
/// (the highest first), modulo the sum of the weights, and then the variant into whose share that falls. None where there
/// is no weight.
pub fn choose(sequence: &str, step: &str, subject: Uuid, weights: &[u32]) -> Option<usize> {
    let digest = Sha256::digest(format!("{sequence}/{step}/{subject}"));
    let lot = digest.iter().take(8).fold(0_u64, |lot, byte| lot << 8 | u64::from(*byte));
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let mut left = lot.checked_rem(total)?;
    weights.iter().position(|weight| {
        let weight = u64::from(*weight);
        let here = left < weight;
        left = left.saturating_sub(weight);
        here
    })
}

impl Kind for Config {
    fn acts(&self) -> bool {
        false
    }

    fn check(&self, check: &mut Check<'_, '_>) {
        if !VARIANTS.contains(&self.variants.len()) {
            let message =
                format!("a split has {} to {} variants; add or leave out some", VARIANTS.start(), VARIANTS.end());
            check.problem("variants", Rule::Shape, message);
        }
        let mut keys = BTreeSet::new();
        for (at, variant) in self.variants.iter().enumerate() {
            let key = format!("variants[{at}].key");
            if !is_name(&variant.key) {
                let message =
                    "a key is 1 to 60 lower-case letters, digits and `_`, a letter first; for example `short`";
                check.problem(&key, Rule::NameInvalid, message);
            } else if !keys.insert(&variant.key) {
                let message = format!("another variant has the key `{}`; give this one another", variant.key);
                check.problem(&key, Rule::Shape, message);
            }
            if !(1..=MOST_WEIGHT).contains(&variant.weight) {
                let message = format!("a weight is 1 to {MOST_WEIGHT}; leave out a variant that nobody shall be given");
                check.problem(&format!("variants[{at}].weight"), Rule::Shape, message);
            }
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let weights: Vec<u32> = self.variants.iter().map(|variant| variant.weight).collect();
        let chosen = choose(run.sequence_key(), &run.step.id, run.enrollment.subject_id(), &weights);
        let variant = chosen.and_then(|at| self.variants.get(at));
        let variant = variant.ok_or_else(|| Failure::new(Rule::Shape.as_str(), "a split without a variant"))?;
        Ok(Next::Split { variant: variant.key.clone(), to: variant.then.clone() })
    }

    fn targets(&self) -> Vec<(&'static str, &str)> {
        THEN.into_iter().zip(self.variants.iter().map(|variant| variant.then.as_str())).collect()
    }

    fn goes_on(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(sequence: &str, weights: &[u32]) -> Vec<usize> {
        let mut given = vec![0; weights.len()];
        for subject in 0..20_000 {
            given[choose(sequence, "test", Uuid::from_u128(subject), weights).unwrap()] += 1;
        }
        given
    }

    #[test]
    fn subjects_are_given_variants_by_their_weights() {
        for (weights, expected) in [
            (vec![1, 1], vec![10_000, 10_000]),
            (vec![3, 1], vec![15_000, 5_000]),
            (vec![90, 5, 5], vec![18_000, 1_000, 1_000]),
        ] {
            for (given, expected) in shares("welcome", &weights).into_iter().zip(expected) {
                // Five standard deviations and more.
                assert!(given.abs_diff(expected) < 400, "{given} of {expected}, {weights:?}");
            }
        }
        assert_eq!(choose("welcome", "test", Uuid::nil(), &[]), None);
        assert_eq!(choose("welcome", "test", Uuid::nil(), &[0]), None);
    }

    #[test]
    fn what_a_subject_is_given_in_one_split_says_nothing_about_another() {
        let both = (0..20_000_u128).map(Uuid::from_u128).filter(|subject| {
            choose("welcome", "one", *subject, &[1, 1]) == choose("welcome", "two", *subject, &[1, 1])
        });
        assert!(both.count().abs_diff(10_000) < 400);
    }

    #[test]
    fn a_variant_is_for_good() {
        // These were computed with another program: nobody who runs already is ever given another variant.
        let given: Vec<_> =
            (1..=8).map(|n| choose("welcome", "test", Uuid::from_u128(n), &[2, 3, 5]).unwrap()).collect();
        assert_eq!(given, [1, 1, 1, 0, 2, 2, 1, 2]);
    }
}
