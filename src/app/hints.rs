//! Hints of the database that the change log has moved. Polling is the truth: without hints a change
//! is heard of a little later, and nothing else is different.

use std::sync::Arc;

use super::App;
use super::backoff::pause;
use super::error::Error;

/// The longest pause between attempts to connect.
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
            tokio::time::sleep(pause(attempts, PAUSE_MS_MAX, &*self.entropy)).await;
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
