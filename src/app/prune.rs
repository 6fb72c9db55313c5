//! Dropping what is over: in small transactions, one behind the other while there is more, so that a
//! table shrinks faster than it was ever filled, and whoever mints meanwhile hardly waits.

use std::time::Duration;

use super::App;
use super::error::Error;
use super::ledger::SWEEP_SECS;
use crate::domain::limits;
use crate::domain::liveness::Position;
use crate::domain::time::Timestamp;
use crate::store::{change_log, change_touch, dashboard, idempotency, ledger, secrets, sessions};

/// Rows that are dropped in one transaction. SQLite has one writer, and mints wait for it.
const ROWS: u32 = 100;
/// The pause behind a batch is so many times as long as the batch took: others that write have at
/// least two thirds of the time, and more when they are many, since waiting for them counts.
const PAUSE_TIMES: u64 = 2;
/// A pause at least, also where a batch took less than the clock can tell.
const PAUSE_MIN_MS: u64 = 2;
/// A pause at most, in milliseconds. It cuts none short on PostgreSQL, which ends a statement after
/// 10 seconds: a batch is six at most. It is there so that nothing is stopped by a clock that jumps.
const PAUSE_MAX_MS: u64 = 120_000;
/// How long one table is worked at, in milliseconds, before the others have their turn again.
const TABLE_MS: i64 = 20_000;
/// How long it is known what was touched, in seconds. A node that slept longer reads all again.
const TOUCH_SECS: i64 = 3_600;
/// How long secrets are kept after their overlap, in seconds, so that people see when the old one
/// was used last.
const OLD_SECRET_SECS: i64 = 30 * 86_400;
/// How long sessions stay in the ledger after they ended, in seconds (90 days).
const OLD_SESSION_SECS: i64 = 90 * 86_400;

/// What may have more rows that are over than one transaction should drop.
#[derive(Clone, Copy)]
enum Table {
    Answers,
    Webhooks,
    Sessions,
}

impl App {
    /// Drops what is over: all of it, unless there is so much that the next time has to go on. What
    /// fails of one table keeps nothing from the others.
    ///
    /// # Errors
    /// [`Error`], one of them.
    pub async fn prune(&self) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.store.write().await?;
        let entries_before = now.plus_secs(-limits::LOG_ENTRY_SECS);
        change_log::raise_floor(tx.conn(), entries_before).await?;
        change_log::prune(tx.conn(), entries_before).await?;
        let touches_before = now.plus_secs(-TOUCH_SECS);
        change_touch::raise_floor(tx.conn(), touches_before).await?;
        change_touch::prune(tx.conn(), touches_before).await?;
        dashboard::prune(tx.conn(), now).await?;
        secrets::prune(tx.conn(), now.plus_secs(-OLD_SECRET_SECS)).await?;
        tx.commit().await?;
        self.pulse
            .forget(Position::new(entries_before.millis().saturating_mul(1000)));
        let mut outcome = Ok(());
        for table in [Table::Answers, Table::Webhooks, Table::Sessions] {
            outcome = self.prune_table(table, now).await.and(outcome);
        }
        outcome
    }

    /// Drops batch after batch until one is not full, or it took long.
    async fn prune_table(&self, table: Table, now: Timestamp) -> Result<(), Error> {
        let sessions_before = self.sessions_over(now).await?;
        let table_began = self.clock.monotonic_ms();
        loop {
            let batch_began = self.clock.monotonic_ms();
            if batch_began.saturating_sub(table_began) >= TABLE_MS {
                return Ok(());
            }
            let rows = match table {
                Table::Answers => self.prune_answers(now).await?,
                Table::Webhooks => self.prune_webhooks(ROWS).await?,
                Table::Sessions => self.prune_sessions(sessions_before).await?,
            };
            if rows < u64::from(ROWS) {
                return Ok(());
            }
            let took = self.clock.monotonic_ms().saturating_sub(batch_began);
            let pause = u64::try_from(took).unwrap_or(0).saturating_mul(PAUSE_TIMES);
            let pause = pause.clamp(PAUSE_MIN_MS, PAUSE_MAX_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn prune_answers(&self, now: Timestamp) -> Result<u64, Error> {
        let mut tx = self.store.write().await?;
        let rows = idempotency::prune_expired(tx.conn(), now, ROWS).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// The instant before which sessions must have expired to be dropped. With its row a session
    /// leaves the ledger, so none goes that may not be sealed yet, though nobody sealed for long.
    async fn sessions_over(&self, now: Timestamp) -> Result<Timestamp, Error> {
        let mut read = self.store.read().await?;
        let sealed_at = ledger::head(read.conn()).await?.sealed_at;
        let sealed = Timestamp::from_millis(sealed_at).plus_secs(-SWEEP_SECS);
        Ok(now.plus_secs(-OLD_SESSION_SECS).min(sealed))
    }

    /// Drops a batch of sessions, unless another node is about it.
    async fn prune_sessions(&self, before: Timestamp) -> Result<u64, Error> {
        let mut tx = self.store.write().await?;
        if !sessions::may_prune(tx.conn()).await? {
            return Ok(0);
        }
        let rows = sessions::prune(tx.conn(), before, ROWS).await?;
        tx.commit().await?;
        Ok(rows)
    }
}
