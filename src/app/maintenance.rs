//! What is done by the clock: polling the change log, writing batches, rotating signing keys,
//! and seeing to it that what is over is dropped.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use super::backoff::pause;
use super::error::Error;
use super::ledger::SEAL_EVERY_MS;
use super::pulse::{POLL_MS, Seen};
use crate::store::{Read, SIGN_OF_LIFE};

/// How long lies between two polls at least, however much is changed.
const POLL_PAUSE: Duration = Duration::from_millis(10);
/// How long lies at most between two polls while they fail, in milliseconds.
const RETRY_MS_MAX: u64 = 1_000;
/// How long one poll may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// For how many polls a connection is kept: about a minute.
const POLLS_KEPT: u32 = 300;
/// How often batches of last uses and refusals are written, in seconds.
const BATCH_SECS: u64 = 5;
/// How often signing keys are looked after, and keys told of, in seconds.
const UPKEEP_SECS: u64 = 30;
/// How often it is looked for rows that are over, in seconds.
const PRUNE_SECS: u64 = 30;

/// The connection of the poller, kept from one poll to the next: taken from the pool each time, it
/// would be asked for three signs of life around one question.
#[derive(Debug, Default)]
pub struct Kept {
    read: Option<Read>,
    polls: u32,
}

impl Kept {
    fn take(&mut self) -> Option<Read> {
        self.read.take()
    }

    fn put(&mut self, read: Option<Read>) {
        self.polls = (self.polls + 1) % POLLS_KEPT;
        // Now and then another, as the pool does by itself.
        self.read = read.filter(|_| self.polls != 0);
    }
}

impl App {
    /// Reads what is new in the change log, and what depends on it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn poll(&self) -> Result<(), Error> {
        self.poll_over(&mut Kept::default()).await
    }

    /// The same over the connection of the last poll, when there is one that answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn poll_over(&self, kept: &mut Kept) -> Result<(), Error> {
        let looked = self.look_over(kept.take()).await;
        let (mut read, seen) = if let Some(looked) = looked {
            looked
        } else {
            let mut read = self.store.read().await?;
            let seen = self.pulse.look(read.conn()).await?;
            (read, seen)
        };
        // The keys first: a token is recalled only while they are as new as what is known of the log,
        // and else each of many requests would read them.
        if !self.signing.is_as_new_as(seen.head()) {
            self.read_signing_keys_as_of(read.conn(), seen.head())
                .await?;
        }
        self.pulse.catch_up(seen)?;
        // Whatever went wrong before, or was given up, did not keep it.
        kept.put(self.store.keep(read));
        self.ensure_signing_keys().await
    }

    /// Asks over a connection that was kept. It was not asked for a sign of life before, so this has
    /// the time of one; nothing when there is no answer.
    async fn look_over(&self, kept: Option<Read>) -> Option<(Read, Seen)> {
        let mut read = kept?;
        let looked = tokio::time::timeout(SIGN_OF_LIFE, self.pulse.look(read.conn())).await;
        let seen = looked.ok()?.ok()?;
        Some((read, seen))
    }

    /// The same with a bound: a database that is silent must not keep this node from asking again
    /// over another connection.
    async fn poll_in_time(&self, kept: &mut Kept) -> Result<(), Error> {
        tokio::time::timeout(POLL_TIMEOUT, self.poll_over(kept))
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
        let mut kept = Kept::default();
        let mut failures = 0;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = poller.pulse.poll_wanted() => {}
            }
            let outcome = poller.poll_in_time(&mut kept).await;
            let pause = if outcome.is_err() {
                let pause = pause(failures, RETRY_MS_MAX, &*poller.entropy);
                failures = failures.saturating_add(1);
                pause
            } else {
                failures = 0;
                // Many changes in a row make one poll of a few.
                POLL_PAUSE
            };
            log_failure("poll the change log", outcome);
            tokio::time::sleep(pause).await;
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
