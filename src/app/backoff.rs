//! How long to wait before the database is tried again.

use std::time::Duration;

use crate::entropy::Entropy;

/// The first wait, at most, in milliseconds.
const PAUSE_MS_MIN: u64 = 200;

/// How long to wait after so many attempts, in no case longer than `longest_ms`: twice as long each
/// time, and from half of it to all of it, so that nodes that lost their connections together do not
/// come back together.
pub(super) fn pause(attempts: u32, longest_ms: u64, entropy: &dyn Entropy) -> Duration {
    let longest = PAUSE_MS_MIN
        .saturating_mul(1 << attempts.min(16))
        .min(longest_ms);
    let dice = entropy.bytes().map_or(u16::MAX, u16::from_be_bytes);
    let spread = longest / 2 * u64::from(dice) / u64::from(u16::MAX);
    Duration::from_millis(longest / 2 + spread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let entropy = SeededEntropy::new(1);
        let of = |attempts| pause(attempts, 30_000, &entropy).as_millis();

        for (attempts, longest) in [
            (0, 200),
            (1, 400),
            (5, 6_400),
            (8, 30_000),
            (u32::MAX, 30_000),
        ] {
            for _ in 0..50 {
                let pause = of(attempts);
                assert!(
                    (longest / 2..=longest).contains(&pause),
                    "{attempts}: {pause}"
                );
            }
        }
        let some: std::collections::BTreeSet<_> = (0..50).map(|_| of(8)).collect();
        assert!(some.len() > 40, "{some:?}");
    }
}
