//! What two shares differ by, and how sure that is, at whatever moment somebody looks.
//!
//! A test with a fixed size is wrong about nothing in one case of twenty only if it is looked at once; looked at every day, it is
//! wrong in far more. This one may be looked at after every single person (Johari, Pekelis, Walsh: Always Valid Inference,
//! Operations Research 70(3), 2022).
//!
//! The likelihood of what two variants' people did, mixed over a prior of both shares, divided by that under the true shares, is a
//! martingale that begins at 1, in whatever order people come (Robbins, Ann. Math. Statist. 41(5), 1970; with beta priors: Howard,
//! Ramdas, McAuliffe, Sekhon, Ann. Statist. 49(2), 2021). By Ville's inequality it ever reaches 1/alpha with a probability of at
//! most alpha. Two shares that differ by `d` are some pair (p, p + d): the smallest quotient over all these pairs is no larger than
//! that of the true one, so whoever finds it at 1/alpha may say, wrongly in at most alpha of all cases, that they do not differ
//! by `d` (the nuisance parameter profiled as in Wasserman, Ramdas, Balakrishnan, PNAS 117(29), 2020). With `d = 0` that is the
//! test; all `d` that it leaves are the interval. Nothing in this is an approximation for many people: it holds for the first
//! and for rare events.
//!
//! The prior mixes what was planned for, the control at its expected share and the other above or below it by the smallest
//! difference worth knowing, with that of Jeffreys, for when the expectation was wrong. It is fixed before the start, and a bad one
//! costs people, never the truth of the statement.

use super::numbers::ln_beta;

/// How many people one variant was given to, and how many of them did what is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counted {
    /// The people.
    pub people: f64,
    /// Those of them who did it; at most as many.
    pub converted: f64,
}

impl Counted {
    /// Counts of whole people; of more converted than people only as many count.
    pub fn new(people: u64, converted: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of people are far below 2^53")]
        let (people, converted) = (people as f64, converted.min(people) as f64);
        Self { people, converted }
    }

    /// The share that did it; none without people.
    pub fn share(self) -> Option<f64> {
        (self.people > 0.0).then(|| self.converted / self.people)
    }
}

/// A beta distribution, by its two parameters.
type Beta = (f64, f64);

/// What was expected before the start: of the control and of the other, in three ways that are mixed by their weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    ways: [(f64, Beta, Beta); 3],
}

/// How wide each of the expectations is, in smallest effects: as wide as makes the sizes small where the expectation is right, and not
/// much larger where it is off by an effect.
const WIDTH: f64 = 0.7;

impl Prior {
    /// Of the expected share of the control (between 0 and 1, both excluded) and the smallest difference worth knowing (above 0).
    pub fn new(baseline: f64, smallest_effect: f64) -> Self {
        let baseline = if baseline.is_nan() { 0.5 } else { baseline.clamp(1e-6, 1.0 - 1e-6) };
        let effect = smallest_effect.max(1e-9);
        let around = |share: f64| {
            let share = share.clamp(baseline / 4.0, 1.0 - (1.0 - baseline) / 4.0);
            // As many imagined people as make it so wide; at least one.
            let people = (share * (1.0 - share) / (WIDTH * effect).powi(2) - 1.0).max(1.0);
            (share * people, (1.0 - share) * people)
        };
        let jeffreys = (0.5, 0.5);
        let ways = [
            (0.45, around(baseline), around(baseline + effect)),
            (0.45, around(baseline), around(baseline - effect)),
            (0.1, jeffreys, jeffreys),
        ];
        Self { ways }
    }

    /// The logarithm of the likelihood of both counts, mixed over the prior.
    fn mixed(self, control: Counted, other: Counted) -> f64 {
        let of = |Counted { people, converted }: Counted, (a, b): Beta| {
            ln_beta(a + converted, b + people - converted) - ln_beta(a, b)
        };
        let ways = self.ways.map(|(weight, one, two)| f64::ln(weight) + of(control, one) + of(other, two));
        let most = ways.into_iter().fold(f64::NEG_INFINITY, f64::max);
        most + ways.into_iter().map(|way| (way - most).exp()).sum::<f64>().ln()
    }
}

/// The logarithm of the likelihood of the counts under a share.
fn under(counted: Counted, share: f64) -> f64 {
    let part = |times: f64, of: f64| if times > 0.0 { times * of.ln() } else { 0.0 };
    part(counted.converted, share) + part(counted.people - counted.converted, 1.0 - share)
}

/// The evidence against the statement that the share of `other` is that of `control` plus `difference` (-1 to 1): a natural
/// logarithm. By chance alone it ever reaches `ln(1/alpha)` with a probability of at most alpha, if the statement is true.
pub fn against(control: Counted, other: Counted, prior: Prior, difference: f64) -> f64 {
    let mixed = prior.mixed(control, other);
    if difference == 0.0 {
        let people = control.people + other.people;
        let pooled = if people > 0.0 { (control.converted + other.converted) / people } else { 0.5 };
        return mixed - under(control, pooled) - under(other, pooled);
    }
    let likelihood = |share: f64| under(control, share) + under(other, share + difference);
    let (low, high) = ((-difference).max(0.0), (1.0 - difference).min(1.0));
    mixed - highest(likelihood, low, high)
}

/// The highest value of a function that rises and then falls between two places, by the golden section.
fn highest(function: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let mut best = function(low).max(function(high));
    let (mut left, mut right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_left, mut at_right) = (function(left), function(right));
    for _ in 0..80 {
        if at_left >= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - GOLDEN * (high - low);
            at_left = function(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + GOLDEN * (high - low);
            at_right = function(right);
        }
    }
    best = best.max(at_left).max(at_right);
    best
}

/// The probability that evidence like this, or more, is ever seen while the two shares are the same: at most this, however often
/// it is looked at.
pub fn p_value(control: Counted, other: Counted, prior: Prior) -> f64 {
    (-against(control, other, prior, 0.0)).exp().min(1.0)
}

/// The differences (the share of `other` less that of `control`) that the counts leave possible: the true one is outside at any
/// moment with a probability of at most `alpha`, however often it is looked at. Without people it is -1 to 1.
pub fn interval(control: Counted, other: Counted, prior: Prior, alpha: f64) -> (f64, f64) {
    let limit = -alpha.clamp(1e-12, 1.0).ln();
    let middle = other.share().unwrap_or(0.5) - control.share().unwrap_or(0.5);
    let edge = |mut outside: f64| {
        if against(control, other, prior, outside) < limit {
            return outside;
        }
        let mut inside = middle;
        for _ in 0..60 {
            let between = f64::midpoint(inside, outside);
            if against(control, other, prior, between) < limit {
                inside = between;
            } else {
                outside = between;
            }
        }
        outside
    };
    (edge(-1.0), edge(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: (f64, f64) = (0.1, 0.03);

    fn prior() -> Prior {
        Prior::new(PRIOR.0, PRIOR.1)
    }

    #[test]
    fn nothing_is_known_without_people_and_more_with_more_of_them() {
        let none = Counted::default();
        assert_eq!(interval(none, none, prior(), 0.05), (-1.0, 1.0));
        assert_eq!(p_value(none, none, prior()), 1.0);
        let mut width = 2.0;
        for people in [10, 100, 1_000, 10_000, 100_000] {
            let (control, other) = (Counted::new(people, people / 10), Counted::new(people, people * 3 / 20));
            let (low, high) = interval(control, other, prior(), 0.05);
            assert!(low < 0.05 && 0.05 < high && high - low < width, "{people}: {low} to {high}");
            width = high - low;
        }
        assert!(width < 0.02, "{width}");
    }

    #[test]
    fn the_interval_leaves_out_nought_exactly_where_the_test_says_that_they_differ() {
        for (control, other) in
            [((1_000, 100), (1_000, 130)), ((1_000, 100), (1_000, 180)), ((300, 0), (310, 9)), ((50, 50), (60, 3))]
        {
            let (control, other) = (Counted::new(control.0, control.1), Counted::new(other.0, other.1));
            let (low, high) = interval(control, other, prior(), 0.05);
            let differs = p_value(control, other, prior()) <= 0.05;
            assert_eq!(differs, low > 0.0 || high < 0.0, "{control:?} {other:?}: {low} to {high}");
        }
    }
}
