//! What the database says about how things are.

use super::App;
use super::error::Error;
use super::webhooks::{EXPIRING_SECS, UNUSED_SECS};
use crate::domain::time::Timestamp;
use crate::store::{health, key_notices, ledger, restore};

/// Keys that are looked for.
const KEYS_MAX: i64 = 1_000;

/// How things are.
#[derive(Debug, Clone)]
pub struct State {
    /// Keys that expire within 7 days.
    pub expiring: Vec<String>,
    /// Keys that nobody used for 90 days.
    pub unused: Vec<String>,
    /// The last sealed entry of the ledger.
    pub sealed_seq: i64,
    /// How long the newest entry waits to be sealed, in seconds.
    pub unsealed_secs: i64,
    /// When the newest entry of the ledger was made.
    pub newest_at: Timestamp,
    /// Webhooks that fail.
    pub webhooks_failing: i64,
    /// Webhooks that were disabled because they failed.
    pub webhooks_disabled: i64,
    /// Keys and webhooks that a restore switched off.
    pub held: usize,
}

impl App {
    /// How things are.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn examine(&self) -> Result<State, Error> {
        let now = self.now();
        let mut read = self.store.read().await?;
        let ids = |found: Vec<key_notices::KeyNotice>| -> Vec<String> {
            found
                .into_iter()
                .map(|one| one.key.as_str().to_owned())
                .collect()
        };
        let until = now.plus_secs(EXPIRING_SECS);
        let told = key_notices::Told::Also;
        let expiring = key_notices::expiring(read.conn(), now, until, told, KEYS_MAX).await?;
        let before = now.plus_secs(-UNUSED_SECS);
        let unused = key_notices::unused(read.conn(), before, now, told, KEYS_MAX).await?;
        let head = ledger::head(read.conn()).await?;
        let newest = health::newest_entry(read.conn()).await?;
        let (webhooks_failing, webhooks_disabled) = health::webhooks(read.conn()).await?;
        let waits_ms = if newest > head.sealed_at {
            now.millis() - newest
        } else {
            0
        };
        Ok(State {
            expiring: ids(expiring),
            unused: ids(unused),
            sealed_seq: head.seq,
            unsealed_secs: waits_ms / 1000,
            newest_at: Timestamp::from_millis(newest),
            webhooks_failing,
            webhooks_disabled,
            held: restore::held(read.conn()).await?.len(),
        })
    }
}
