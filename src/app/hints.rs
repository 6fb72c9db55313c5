//! Hints of the database that the change log has moved. Polling is the truth: without hints a change
//! is heard of a little later, and nothing else is different.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use super::error::Error;
use crate::entropy::Entropy;

/// The pauses between attempts to connect.
const PAUSE_MS_MIN: u64 = 200;
const PAUSE_MS_MAX: u64 = 30_000;

impl App {
    /// Listens for ever, over a connection of its own that is made again when it is lost. It ends at
    /// once where the database gives no hints.
    pub(super) async fn hear_hints(self: Arc<Self>) {
        let mut attempts = 0;
        loop {
            match self.listen(&mut attempts).await {
                Ok(()) => return,
                Err(error) => self.lost(&error),
            }
            tokio::time::sleep(pause(attempts, &*self.entropy)).await;
            attempts += 1;
        }
    }

    fn lost(&self, error: &Error) {
        self.pulse.set_listening(false);
        let error: &dyn std::error::Error = error;
        tracing::warn!(error, "no hints of changes; they are polled for");
    }

    /// Listens until the connection is lost.
    async fn listen(&self, attempts: &mut u32) -> Result<(), Error> {
        let Some(mut hints) = self.store.hints().await? else {
            return Ok(());
        };
        *attempts = 0;
        self.pulse.set_listening(true);
        // What happened before was not heard of.
        self.pulse.hinted();
        loop {
            hints.changed().await?;
            self.pulse.hinted();
        }
    }
}

/// How long to wait before another attempt: twice as long each time, and from half of it to all of
/// it, so that nodes that lost their connections together do not come back together.
fn pause(attempts: u32, entropy: &dyn Entropy) -> Duration {
    let longest = PAUSE_MS_MIN
        .saturating_mul(1 << attempts.min(16))
        .min(PAUSE_MS_MAX);
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
        let of = |attempts| pause(attempts, &entropy).as_millis();

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
