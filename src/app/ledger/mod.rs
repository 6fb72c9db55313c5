//! The seal of the ledger: entries are put into a chain of hashes and sealed by signed checkpoints,
//! a moment after they were written, by one node.
//!
//! Entries are written in the transactions of what they tell of, by many nodes at once, and nothing
//! waits for the seal. Their ids sort by time, but they are not committed in that order: so the
//! sealer looks back over a while for entries that came late, and seals them behind the others. A
//! checkpoint lists its entries, so their order is fixed once they are sealed.

mod export;
mod handed;
mod keys;
mod memory;
mod order;
mod read;
mod seal;

use std::sync::Arc;

use tokio::sync::Mutex;

use super::App;
use super::error::Error;
use crate::domain::id::SUFFIX_LEN;
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::store::ledger;
use crate::token::ledger::{Hash, hex};

pub use export::Export;
pub(crate) use handed::Handed;

use memory::Memory;

/// How often the ledger is sealed, in milliseconds. A second is promised.
pub(crate) const SEAL_EVERY_MS: u64 = 500;
/// What came later than so many seconds after its id was made, is sealed no more.
pub(super) const SWEEP_SECS: i64 = 900;

/// What this node knows of the seal.
#[derive(Debug)]
pub struct Ledger {
    node: i64,
    memory: Mutex<Memory>,
    /// What this node stored since it sealed last.
    pub(crate) handed: Arc<Handed>,
}

impl Ledger {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn new(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        Ok(Self {
            node: i64::from_be_bytes(entropy.bytes()?),
            memory: Mutex::default(),
            handed: Arc::default(),
        })
    }
}

/// The last checkpoint, as the API shows it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct CheckpointItem {
    pub number: i64,
    pub seq: i64,
    pub hash: String,
    pub at: Timestamp,
    pub signed: String,
}

impl App {
    /// The last checkpoint. Who keeps it can tell later whether the ledger before it was written
    /// anew.
    ///
    /// # Errors
    /// [`Error::NotFound`] before the first.
    pub async fn last_checkpoint(&self) -> Result<CheckpointItem, Error> {
        let mut read = self.store.read().await?;
        let head = ledger::head(read.conn()).await?;
        let row = ledger::find(read.conn(), head.checkpoint)
            .await?
            .ok_or(Error::NotFound)?;
        Ok(CheckpointItem {
            number: row.number,
            seq: row.last_seq,
            hash: hex(&hash(&row.hash)?),
            at: Timestamp::from_millis(row.created_at),
            signed: row.signed,
        })
    }
}

fn suffix(id: &str) -> &str {
    id.get(id.len().saturating_sub(SUFFIX_LEN)..).unwrap_or(id)
}

fn hash(bytes: &[u8]) -> Result<Hash, Error> {
    Hash::try_from(bytes).map_err(|_| Error::internal("a hash of the ledger is not one"))
}
