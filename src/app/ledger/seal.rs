//! Putting what was written into the chain, and signing a checkpoint over it.

use std::ops::Bound::{Excluded, Included};

use super::memory::{Memory, recall};
use super::read::{entries, ordered};
use super::{hash, suffix};
use crate::app::App;
use crate::app::error::Error;
use crate::domain::environment::Environment;
use crate::domain::time::Timestamp;
use crate::store::ledger::{self, CheckpointRow, Head, Kind, Sealed};
use crate::token::ledger::{Chain, Checkpoint, hex};

/// For how long a node that sealed goes on sealing while others do not, in seconds.
const LEASE_SECS: i64 = 3;
/// Entries of one checkpoint.
const BATCH: usize = 5_000;

impl App {
    /// Seals what was written since the last checkpoint, unless another node does. The number of
    /// entries.
    ///
    /// # Errors
    /// [`Error`]; the entries are sealed the next time.
    pub async fn seal(&self) -> Result<usize, Error> {
        let mut memory = self.ledger.memory.lock().await;
        let mut count = 0;
        loop {
            let sealed = self.seal_once(&mut memory).await?;
            count += sealed;
            if sealed < BATCH {
                return Ok(count);
            }
        }
    }

    async fn seal_once(&self, memory: &mut Memory) -> Result<usize, Error> {
        let now = self.now();
        let mut read = self.store.read().await?;
        let head = ledger::head(read.conn()).await?;
        if head.holder != self.ledger.node && head.lease_until > now.millis() {
            *memory = Memory::default();
            return Ok(0);
        }
        if memory.checkpoint != Some(head.checkpoint) {
            *memory = recall(read.conn(), &head).await?;
        }
        let from = memory.from(now);
        let mut late = Vec::new();
        let mut tail = Vec::new();
        for kind in Kind::ALL {
            let after = format!("{}{from}", kind.prefix());
            let known = memory.set(kind);
            let last = known.last().cloned().unwrap_or_default();
            if last > after {
                // To count is much cheaper than to read, and there is seldom one that came late.
                let there = ledger::count(read.conn(), kind, &after, &last).await?;
                let between = (Excluded(&after), Included(&last));
                let known_there = known.range::<String, _>(between).count();
                if usize::try_from(there) != Ok(known_there) {
                    let ids = ledger::ids(read.conn(), kind, &after, there).await?;
                    late.extend(
                        ids.into_iter()
                            .filter(|id| *id <= last && !known.contains(id)),
                    );
                }
            }
            let behind = last.max(after);
            let take = i64::try_from(BATCH).unwrap_or(i64::MAX);
            tail.extend(ledger::ids(read.conn(), kind, &behind, take).await?);
        }
        let mut found = Vec::new();
        for id in late.iter().take(BATCH) {
            found.extend(entries(read.conn(), Kind::of(id), id, id).await?);
        }
        tail.sort_by(|a, b| suffix(a).cmp(suffix(b)));
        tail.truncate(BATCH.saturating_sub(found.len()));
        found.extend(ordered(read.conn(), &tail).await?);
        drop(read);
        let count = found.len();
        if count == 0 {
            memory.looked_at = Some(now);
            memory.forget(now);
            return Ok(0);
        }
        let won = self.store_checkpoint(&head, &found, now).await?;
        if !won {
            *memory = Memory::default();
            return Ok(0);
        }
        memory.checkpoint = Some(head.checkpoint + 1);
        memory.remember(found.into_iter().map(|entry| entry.id));
        if count < BATCH {
            memory.looked_at = Some(now);
            memory.forget(now);
        }
        Ok(count)
    }

    async fn store_checkpoint(
        &self,
        head: &Head,
        entries: &[Sealed],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let before = Chain {
            seq: head.seq,
            hash: hash(&head.hash)?,
        };
        let mut chain = before;
        let mut members = String::new();
        for entry in entries {
            let bytes = entry
                .bytes()
                .map_err(|error| Error::Internal(error.into()))?;
            chain.push(&bytes);
            members.push_str(&entry.id);
        }
        let number = head.checkpoint + 1;
        let mut tx = self.store.write().await?;
        let next = Head {
            checkpoint: number,
            seq: chain.seq,
            hash: chain.hash.to_vec(),
            sealed_at: now.millis(),
            holder: self.ledger.node,
            lease_until: now.plus_secs(LEASE_SECS).millis(),
        };
        if !ledger::advance(tx.conn(), &next).await? {
            return Ok(false);
        }
        let key = self.ledger_key(tx.conn(), now).await?;
        let checkpoint = Checkpoint {
            iss: self.issuer(Environment::Live),
            number,
            first: before.seq + 1,
            seq: chain.seq,
            previous: hex(&before.hash),
            hash: hex(&chain.hash),
            at: now,
        };
        let row = CheckpointRow {
            number,
            first_seq: before.seq + 1,
            last_seq: chain.seq,
            members,
            hash: chain.hash.to_vec(),
            signed: checkpoint
                .sign(&key)
                .map_err(|error| Error::Internal(error.into()))?,
            created_at: now.millis(),
        };
        ledger::insert(tx.conn(), &row).await?;
        tx.commit().await?;
        Ok(true)
    }
}
