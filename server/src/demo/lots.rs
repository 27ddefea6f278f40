//! The lots that the demo's people draw. A lot depends on what it is drawn for and on nothing else: not on ids, not on
//! the order of events, not on how often the process was started. So the same month comes out each time.

use tandem_domain::ledger::sha256_hex;

/// A number from 0 up to, not including, 1 for these words.
pub(super) fn draw(words: &[&str]) -> f64 {
    let hash = sha256_hex(&[words.join("\u{1f}").as_bytes()]);
    let top = u32::from_str_radix(hash.get(..8).unwrap_or("0"), 16).unwrap_or(0);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// One of the choices, each as likely as the others.
pub(super) fn pick<'a, T>(choices: &'a [T], words: &[&str]) -> Option<&'a T> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the number of choices")]
    choices.get((draw(words) * choices.len() as f64) as usize)
}

/// One of the choices by weight: the first whose running total passes the lot.
pub(super) fn weigh<T: Copy>(choices: &[(f64, T)], otherwise: T, words: &[&str]) -> T {
    let (lot, mut total) = (draw(words), 0.0);
    for (weight, choice) in choices {
        total += weight;
        if lot < total {
            return *choice;
        }
    }
    otherwise
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_repeat_and_spread() {
        assert_eq!(draw(&["a", "b"]).to_bits(), draw(&["a", "b"]).to_bits());
        assert_ne!(draw(&["a", "b"]).to_bits(), draw(&["ab"]).to_bits());
        let low = (0..1_000).filter(|n| draw(&["x", &n.to_string()]) < 0.25).count();
        assert!((200..300).contains(&low), "{low}");
    }
}
