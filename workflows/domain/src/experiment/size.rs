//! How many people an experiment needs.

use super::evidence::{Counted, Prior, against};
use super::numbers::normal_quantile;

/// More people than there are: the answer where an effect is too small to be seen.
pub const TOO_MANY: u64 = 10_000_000_000;

/// What is planned for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The share of the control that is expected, between 0 and 1.
    pub baseline: f64,
    /// The smallest difference worth knowing, as a share: 0.02 for two points of a hundred.
    pub smallest_effect: f64,
    /// The probability of seeing a difference where there is none.
    pub alpha: f64,
    /// The probability of seeing the smallest effect where it is there.
    pub power: f64,
}

impl Plan {
    fn shares(self) -> (f64, f64) {
        (self.baseline, self.baseline + self.smallest_effect)
    }

    /// The deviation of the difference of both shares, of one person each.
    fn spread(self) -> f64 {
        let (one, other) = self.shares();
        (one * (1.0 - one) + other * (1.0 - other)).sqrt()
    }
}

/// How many people each variant needs for a test of two shares that is looked at once, at the end: the textbook's size
/// (Fleiss, Levin, Paik: Statistical Methods for Rates and Proportions, 3rd ed. 2003, chapter 4, two-sided),
///
/// ```text
/// n = ( z(1-alpha/2) sqrt(2 p (1-p)) + z(power) sqrt(p1 (1-p1) + p2 (1-p2)) )^2 / (p2 - p1)^2,  p = (p1 + p2) / 2
/// ```
pub fn looked_at_once(plan: Plan) -> u64 {
    let (one, other) = plan.shares();
    let mean = f64::midpoint(one, other);
    let root = normal_quantile(1.0 - plan.alpha / 2.0) * (2.0 * mean * (1.0 - mean)).sqrt()
        + normal_quantile(plan.power) * plan.spread();
    whole((root / plan.smallest_effect).powi(2))
}

/// How many people each variant needs until the test that may be looked at at any time (see [`super::evidence`]) sees the smallest
/// effect with the power asked for, in good approximation. The price of looking whenever one likes is that this is more than
/// [`looked_at_once`]; where the effect is larger than the smallest, it is over long before.
pub fn looked_at_always(plan: Plan) -> u64 {
    let (one, other) = plan.shares();
    let prior = Prior::new(plan.baseline, plan.smallest_effect);
    let limit = -plan.alpha.ln();
    let seen = |people: f64| {
        // The difference that is exceeded with the power asked for.
        let unlucky = normal_quantile(plan.power) * plan.spread() * people.sqrt();
        let converted = other * people - unlucky;
        converted > one * people
            && against(Counted { people, converted: one * people }, Counted { people, converted }, prior, 0.0) >= limit
    };
    let (mut few, mut enough) = (1.0, 2.0);
    while !seen(enough) {
        few = enough;
        enough *= 2.0;
        if whole(enough) >= TOO_MANY {
            return TOO_MANY;
        }
    }
    while enough - few > 1.0 {
        let between = f64::midpoint(few, enough).floor();
        if seen(between) {
            enough = between;
        } else {
            few = between;
        }
    }
    whole(enough)
}

fn whole(people: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "it is between 0 and the most that is given"
    )]
    let whole = people.ceil().clamp(0.0, TOO_MANY as f64) as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_the_textbook() {
        let plan = Plan { baseline: 0.10, smallest_effect: 0.05, alpha: 0.05, power: 0.8 };
        // The usual examples: 10 % against 15 %, and 50 % against 60 %, without a correction for continuity.
        assert_eq!(looked_at_once(plan), 686);
        let plan = Plan { baseline: 0.5, smallest_effect: 0.1, ..plan };
        assert_eq!(looked_at_once(plan), 388);
    }

    #[test]
    fn looking_whenever_one_likes_has_its_price() {
        for (baseline, smallest_effect) in [(0.02, 0.01), (0.1, 0.02), (0.3, 0.1), (0.5, 0.05)] {
            let plan = Plan { baseline, smallest_effect, alpha: 0.05, power: 0.8 };
            let (once, always) = (looked_at_once(plan), looked_at_always(plan));
            assert!(always > once && always < once * 4, "{baseline}: {once} and {always}");
            // A smaller error, a smaller effect and more power each need more people.
            assert!(looked_at_always(Plan { alpha: 0.01, ..plan }) > always);
            assert!(looked_at_always(Plan { power: 0.95, ..plan }) > always);
            assert!(looked_at_always(Plan { smallest_effect: smallest_effect / 2.0, ..plan }) > always);
        }
        let hopeless = Plan { baseline: 0.5, smallest_effect: 1e-7, alpha: 0.05, power: 0.8 };
        assert_eq!((looked_at_once(hopeless), looked_at_always(hopeless)), (TOO_MANY, TOO_MANY));
    }
}
