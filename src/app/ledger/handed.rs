//! What this node stored, handed to its sealer: it need not be read back from the database.
//!
//! It saves work and nothing rests on it. What was not handed over, since there was no room, or
//! another node stored it, or this one ended in between, is found in the database and read there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::sessions::NewRow;
use crate::token::ledger::{Hash, leaf};

/// Entries that wait for the sealer at most.
const ROOM: usize = 20_000;

/// Entries that are committed, on their way to the sealer.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    wanted: AtomicBool,
    waiting: Mutex<Vec<(String, Hash)>>,
}

impl Handed {
    /// Takes rows that were committed. Where another node seals nothing is done.
    pub(crate) fn give(&self, rows: &[NewRow]) {
        if !self.wanted.load(Ordering::Relaxed) || self.waiting().len() + rows.len() > ROOM {
            return;
        }
        // One that cannot be written is read by the sealer, which then says why.
        let leaves = rows.iter().filter_map(|row| {
            let bytes = row.sealed().ok()?;
            Some((row.id().to_owned(), leaf(&bytes)))
        });
        let mut leaves: Vec<_> = leaves.collect();
        self.waiting().append(&mut leaves);
    }

    /// Whether this node seals, so that it is worth while.
    pub(super) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Takes out what was handed over. It is lost to whoever has `have` already and no room for more.
    pub(super) fn take(&self, have: usize) -> Vec<(String, Hash)> {
        let taken = std::mem::take(&mut *self.waiting());
        if have < ROOM { taken } else { Vec::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(String, Hash)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
