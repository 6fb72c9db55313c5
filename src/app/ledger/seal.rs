//! Putting what was written into the chain, and signing a checkpoint over it.

use super::memory::{Memory, recall};
use super::order::{Ids, Leaves};
use super::read::leaves;
use super::{hash, suffix};
use crate::app::App;
use crate::app::error::Error;
use crate::app::pulse::reborrow;
use crate::domain::environment::Environment;
use crate::domain::time::Timestamp;
use crate::store::Conn;
use crate::store::ledger::{self, CheckpointRow, Head, Kind};
use crate::token::ledger::{Chain, Checkpoint, Hash, hex};

/// For how long a node that sealed goes on sealing while others do not, in seconds.
const LEASE_SECS: i64 = 3;
/// Entries of one checkpoint.
const BATCH: usize = 10_000;

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
            let sealed = Box::pin(self.seal_once(&mut memory)).await?;
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
            self.ledger.handed.want(false);
            drop(self.ledger.handed.take(0));
            return Ok(0);
        }
        self.ledger.handed.want(true);
        if memory.checkpoint != Some(head.checkpoint) {
            *memory = recall(read.conn(), &head).await?;
        }
        // Before anything is asked of the database: all of these are there.
        memory.take(&self.ledger.handed);
        let from = memory.from(now);
        let mut late = Vec::new();
        let mut tail = Vec::new();
        for kind in Kind::ALL {
            let found = look(read.conn(), memory, kind, &from).await?;
            late.extend(found.late);
            tail.extend(found.tail);
        }
        // Of what was committed since, that is in what was found, most was handed over by now.
        memory.take(&self.ledger.handed);
        late.truncate(BATCH);
        tail.sort_by(|a, b| suffix(a).cmp(suffix(b)));
        tail.truncate(BATCH - late.len());
        late.append(&mut tail);
        let found = leaves(read.conn(), late, &memory.handed).await?;
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
        memory.sealed(found);
        if count < BATCH {
            memory.looked_at = Some(now);
            memory.forget(now);
        }
        Ok(count)
    }

    async fn store_checkpoint(
        &self,
        head: &Head,
        entries: &[(String, Hash)],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let before = Chain {
            seq: head.seq,
            hash: hash(&head.hash)?,
        };
        let mut chain = before;
        let mut members = String::new();
        for (id, leaf) in entries {
            chain.push_leaf(leaf);
            members.push_str(id);
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

/// Entries of one table that are not sealed.
struct Found {
    /// Those that came after one behind them was sealed.
    late: Vec<String>,
    /// Those behind all that are sealed.
    tail: Vec<String>,
}

/// Looks for entries of one table. Where as many are there as are known, none is read: to count them
/// is much cheaper.
async fn look(
    mut conn: Conn<'_>,
    memory: &mut Memory,
    kind: Kind,
    from: &str,
) -> Result<Found, Error> {
    let after = format!("{}{from}", kind.prefix());
    let sealed = std::mem::take(memory.set(kind));
    let found = look_beside(reborrow(&mut conn), &sealed, &memory.handed, kind, after).await;
    *memory.set(kind) = sealed;
    found
}

async fn look_beside(
    mut conn: Conn<'_>,
    sealed: &Ids,
    handed: &Leaves,
    kind: Kind,
    after: String,
) -> Result<Found, Error> {
    let last = sealed.last().unwrap_or_default().to_owned();
    let handed = handed.of(kind);
    let up_to = |end: &str| handed.partition_point(|(id, _)| **id <= *end);
    let ids = |from: usize, to: usize| {
        let some = handed.get(from..to).unwrap_or_default();
        some.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    let mut late: Vec<String> = Vec::new();
    if last > after {
        let there = ledger::count(reborrow(&mut conn), kind, &after, &last).await?;
        let waiting = up_to(&last).saturating_sub(up_to(&after));
        let known = sealed.count(&after, &last) + waiting;
        if usize::try_from(there) != Ok(known) {
            let found = ledger::ids(reborrow(&mut conn), kind, &after, there).await?;
            let is_handed = |id: &String| handed.binary_search_by(|(one, _)| one.cmp(id)).is_ok();
            late.extend(
                found
                    .into_iter()
                    .filter(|id| *id <= last && !sealed.contains(id) && !is_handed(id)),
            );
        }
    }
    let mut behind = last.max(after);
    let old = up_to(&behind);
    late.extend(ids(0, old));
    let new = ids(old, handed.len());
    let mut tail = Vec::new();
    if let Some(newest) = new.last() {
        let there = ledger::count(reborrow(&mut conn), kind, &behind, newest).await?;
        if usize::try_from(there) == Ok(new.len()) {
            behind.clone_from(newest);
            tail = new;
        }
    }
    let take = i64::try_from(BATCH).unwrap_or(i64::MAX);
    tail.extend(ledger::ids(conn, kind, &behind, take).await?);
    Ok(Found { late, tail })
}
