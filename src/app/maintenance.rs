//! What is done by the clock: polling the change log, writing batches, rotating signing keys,
//! and seeing to it that what is over is dropped.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use super::error::Error;
use super::ledger::SEAL_EVERY_MS;
use super::pulse::POLL_MS;

/// How long lies between two polls at least, however much is changed.
const POLL_PAUSE: Duration = Duration::from_millis(10);
/// How long one poll may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often batches of last uses and refusals are written, in seconds.
const BATCH_SECS: u64 = 5;
/// How often signing keys are looked after, and keys told of, in seconds.
const UPKEEP_SECS: u64 = 30;
/// How often it is looked for rows that are over, in seconds.
const PRUNE_SECS: u64 = 30;

impl App {
    /// Reads what is new in the change log, and what depends on it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn poll(&self) -> Result<(), Error> {
        let mut read = self.store.read().await?;
        // The keys first: a token is recalled only while they are as new as what is known of the log,
        // and else each of many requests would read them.
        let seen = self.pulse.look(read.conn()).await?;
        if !self.signing.is_as_new_as(seen.head) {
            self.read_signing_keys(read.conn()).await?;
        }
        self.pulse.catch_up(read.conn(), seen).await?;
        drop(read);
        self.ensure_signing_keys().await
    }

    /// The same with a bound: a database that is silent must not keep this node from asking again
    /// over another connection.
    async fn poll_in_time(&self) -> Result<(), Error> {
        tokio::time::timeout(POLL_TIMEOUT, self.poll())
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("no answer in time".into())))
    }

    /// Makes sure that what this node knows of the log and the signing keys that it has are younger
    /// than the bound: a node that slept may have keys that were retired or revoked meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when they are not and cannot be read, or may not.
    pub(crate) async fn ensure_fresh(&self) -> Result<(), Error> {
        self.pulse.ensure_fresh(&self.store).await?;
        self.ensure_signing_keys().await
    }

    /// Reads the signing keys again unless they are as new as what this node knows of the log,
    /// whoever read that.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn ensure_signing_keys(&self) -> Result<(), Error> {
        if self.signing.is_as_new_as(self.pulse.known()) {
            return Ok(());
        }
        self.reload_signing_keys().await
    }

    /// Writes what waits to be written.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write_batches(&self) -> Result<(), Error> {
        self.write_acts().await?;
        self.write_refusals().await?;
        self.tell_exceeded().await?;
        self.write_last_used().await.map(drop)
    }

    /// Writes all that waits to be written, before the end.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write_everything(&self) -> Result<(), Error> {
        self.write_batches().await?;
        while self.write_last_used().await? {}
        Ok(())
    }
}

/// Does it all for as long as the app lives. The tasks end when they are dropped.
pub fn spawn(app: &Arc<App>) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    let poller = Arc::clone(app);
    tasks.spawn(async move {
        let mut tick = ticker(Duration::from_millis(POLL_MS));
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = poller.pulse.poll_wanted() => {}
            }
            log_failure("poll the change log", poller.poll_in_time().await);
            // Many changes in a row make one poll of a few.
            tokio::time::sleep(POLL_PAUSE).await;
        }
    });
    #[cfg(feature = "postgres")]
    tasks.spawn(Arc::clone(app).hear_hints());
    let writer = Arc::clone(app);
    tasks.spawn(async move {
        let mut tick = ticker(Duration::from_secs(BATCH_SECS));
        loop {
            tick.tick().await;
            writer.note_gate();
            log_failure("write batches", writer.write_batches().await);
        }
    });
    let keeper = Arc::clone(app);
    tasks.spawn(async move {
        let mut tick = ticker(Duration::from_secs(UPKEEP_SECS));
        loop {
            tick.tick().await;
            log_failure("look after signing keys", keeper.keep_signing_keys().await);
            log_failure("tell of keys", keeper.tell_notices().await);
        }
    });
    // Apart from the keeper: after a long time, or a great many sessions, this takes a while.
    let pruner = Arc::clone(app);
    tasks.spawn(async move {
        let mut tick = ticker(Duration::from_secs(PRUNE_SECS));
        loop {
            tick.tick().await;
            log_failure("drop what is over", pruner.prune().await);
        }
    });
    let sealer = Arc::clone(app);
    tasks.spawn(async move {
        let mut tick = ticker(Duration::from_millis(SEAL_EVERY_MS));
        loop {
            tick.tick().await;
            log_failure("seal the ledger", sealer.seal().await.map(drop));
        }
    });
    tasks.spawn(Arc::clone(app).deliver_for_ever());
    tasks
}

fn ticker(period: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}

fn log_failure(task: &'static str, result: Result<(), Error>) {
    if let Err(error) = result {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(task, error, "a background task failed");
    }
}
