//! The seal of the ledger: entries are put into a chain of hashes and sealed by signed checkpoints,
//! a moment after they were written, by one node.
//!
//! Entries are written in the transactions of what they tell of, by many nodes at once, and nothing
//! waits for the seal. Their ids sort by time, but they are not committed in that order: so the
//! sealer looks back over a while for entries that came late, and seals them behind the others. A
//! checkpoint lists its entries, so their order is fixed once they are sealed.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::App;
use super::authorise::Presented;
use super::change::About;
use super::error::Error;
use super::pulse::reborrow;
use crate::domain::audit::Action;
use crate::domain::environment::Environment;
use crate::domain::id::{SUFFIX_LEN, first_suffix};
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::store::Conn;
use crate::store::ledger::{self, CheckpointRow, Head, Kind, LedgerKeyRow, Sealed};
use crate::token::ledger::{Chain, Checkpoint, Hash, Line, hex};
use crate::token::{Algorithm, MasterKey, PrivateKey};

/// How often the ledger is sealed, in milliseconds. A second is promised.
pub(crate) const SEAL_EVERY_MS: u64 = 500;
/// For how long a node that sealed goes on sealing while others do not, in seconds.
const LEASE_SECS: i64 = 3;
/// Entries of one checkpoint.
const BATCH: usize = 5_000;
/// How far back each round looks for entries that came late, in seconds; how far some rounds look,
/// and every how many seconds.
const LOOK_BACK_SECS: i64 = 3;
const LOOK_FURTHER: [(i64, i64); 2] = [(10, 60), (60, SWEEP_SECS)];
/// What came later than so many seconds after its id was made, is sealed no more.
const SWEEP_SECS: i64 = 900;
/// Sealed ids that are remembered to tell late entries from those; above, the look back is shorter.
const REMEMBERED_MAX: usize = 300_000;
/// How old the entries of an export are at most, in seconds: older sessions are dropped.
const EXPORT_SECS: i64 = 90 * 86_400;

/// What this node knows of the seal.
#[derive(Debug)]
pub struct Ledger {
    node: i64,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The checkpoint up to which the rest is right; none when it is to be read again.
    checkpoint: Option<i64>,
    /// Of ids behind this suffix it is known whether they are sealed.
    cutoff: String,
    sealed: HashMap<&'static str, BTreeSet<String>>,
    /// Everything up to there was looked at.
    looked_at: Option<Timestamp>,
    looked_further: [Option<Timestamp>; 2],
}

impl Memory {
    fn set(&mut self, kind: Kind) -> &mut BTreeSet<String> {
        self.sealed.entry(kind.prefix()).or_default()
    }

    fn remember(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.set(Kind::of(&id)).insert(id);
        }
    }

    /// Forgets what is older than the sweep, or too much.
    fn forget(&mut self, now: Timestamp) {
        let mut cutoff = first_suffix(now.plus_secs(-SWEEP_SECS));
        let count: usize = self.sealed.values().map(BTreeSet::len).sum();
        if count > REMEMBERED_MAX {
            for set in self.sealed.values() {
                let over = set.len().saturating_sub(REMEMBERED_MAX / 2);
                let oldest = set.iter().nth(over).map(|id| suffix(id).to_owned());
                cutoff = cutoff.max(oldest.unwrap_or_default());
            }
        }
        if cutoff > self.cutoff {
            for set in self.sealed.values_mut() {
                set.retain(|id| *suffix(id) > *cutoff);
            }
            self.cutoff = cutoff;
        }
    }

    /// From where this round looks.
    fn from(&mut self, now: Timestamp) -> String {
        let Some(looked_at) = self.looked_at else {
            return self.cutoff.clone();
        };
        let mut back_secs = LOOK_BACK_SECS;
        for ((every, back), last) in LOOK_FURTHER.iter().zip(&mut self.looked_further) {
            if last.is_none_or(|last| last.plus_secs(*every) <= now) {
                *last = Some(now);
                back_secs = *back;
            }
        }
        first_suffix(looked_at.min(now).plus_secs(-back_secs)).max(self.cutoff.clone())
    }
}

fn suffix(id: &str) -> &str {
    id.get(id.len().saturating_sub(SUFFIX_LEN)..).unwrap_or(id)
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
        })
    }
}

/// Where an export begins and ends.
#[derive(Debug, Clone)]
pub struct Export {
    /// The keys and the state before the first entry, as lines.
    pub head: String,
    /// The first checkpoint, and the last.
    pub numbers: std::ops::RangeInclusive<i64>,
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
            let known_there = known.range(after.clone()..).count();
            let take = i64::try_from(known_there + BATCH).unwrap_or(i64::MAX);
            let last = known.last().cloned().unwrap_or_default();
            for id in ledger::ids(read.conn(), kind, &after, take).await? {
                if id > last {
                    tail.push(id);
                } else if !known.contains(&id) {
                    late.push(id);
                }
            }
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
            let bytes =
                serde_json::to_vec(&entry.data).map_err(|error| Error::Internal(error.into()))?;
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

    /// The key that signs checkpoints; made when there is none.
    async fn ledger_key(&self, mut conn: Conn<'_>, now: Timestamp) -> Result<PrivateKey, Error> {
        let keys = ledger::keys(reborrow(&mut conn)).await?;
        let sealed = keys
            .iter()
            .rev()
            .find(|key| key.retired_at.is_none())
            .and_then(|key| Some((key.kid.clone(), key.sealed_private.clone()?)));
        let Some((kid, sealed)) = sealed else {
            let (row, key) = self.new_ledger_key(now)?;
            ledger::insert_key(conn, &row).await?;
            return Ok(key);
        };
        let opened = self
            .master
            .open(&sealed, &aad(&kid))
            .map_err(|error| Error::Unavailable(error.into()))?;
        PrivateKey::from_pkcs8(Algorithm::EdDsa, &opened)
            .map_err(|error| Error::Internal(error.into()))
    }

    fn new_ledger_key(&self, now: Timestamp) -> Result<(LedgerKeyRow, PrivateKey), Error> {
        let internal = |error: crate::token::KeyError| Error::Internal(error.into());
        let key = PrivateKey::generate(Algorithm::EdDsa).map_err(internal)?;
        let pkcs8 = key.to_pkcs8().map_err(internal)?;
        let kid = key.public().kid().to_owned();
        let sealed = self
            .master
            .seal(&pkcs8, &aad(&kid), &*self.entropy)
            .map_err(|error| Error::Internal(error.into()))?;
        let row = LedgerKeyRow {
            public_jwk: serde_json::to_string(key.public().jwk())
                .map_err(|error| Error::Internal(error.into()))?,
            kid,
            sealed_private: Some(sealed),
            created_at: now.millis(),
            retired_at: None,
        };
        Ok((row, key))
    }

    /// Lets another key sign checkpoints from now on. The private half of the one before is
    /// dropped; its public half is kept, and what it signed can be checked as before.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rotate_ledger_key(&self, presented: &Presented) -> Result<String, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let now = change.now;
        for mut old in ledger::keys(change.conn()).await? {
            if old.retired_at.is_none() {
                old.retired_at = Some(now.millis());
                old.sealed_private = None;
                ledger::update_key(change.conn(), &old).await?;
            }
        }
        let (row, _) = self.new_ledger_key(now)?;
        ledger::insert_key(change.conn(), &row).await?;
        let about = About {
            action: Action::AuditKeyRotate,
            account: caller.subject()?.account(),
            target: Some(row.kid.clone()),
            session: None,
            details: Map::new(),
        };
        change
            .record(Some(&caller), &presented.facts, about)
            .await?;
        change.commit().await?;
        Ok(row.kid)
    }

    /// The public keys of all checkpoints, also of those that sign no more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn ledger_keys(&self) -> Result<Vec<Value>, Error> {
        let rows = ledger::keys(self.store.read().await?.conn()).await?;
        rows.iter()
            .map(|row| serde_json::from_str(&row.public_jwk))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Internal(error.into()))
    }

    pub(crate) async fn rewrap_ledger(
        &self,
        mut conn: Conn<'_>,
        new: &MasterKey,
    ) -> Result<usize, Error> {
        let mut count = 0;
        for mut row in ledger::keys(reborrow(&mut conn)).await? {
            let Some(sealed) = &row.sealed_private else {
                continue;
            };
            let opened = self
                .master
                .open(sealed, &aad(&row.kid))
                .map_err(|error| Error::Unavailable(error.into()))?;
            let again = new
                .seal(&opened, &aad(&row.kid), &*self.entropy)
                .map_err(|error| Error::Internal(error.into()))?;
            row.sealed_private = Some(again);
            ledger::update_key(reborrow(&mut conn), &row).await?;
            count += 1;
        }
        Ok(count)
    }

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

    /// Begins an export: from the first checkpoint that was made since an instant, up to the last.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn begin_export(&self, since: Option<Timestamp>) -> Result<Export, Error> {
        let oldest = self.now().plus_secs(-EXPORT_SECS);
        let since = since.map_or(oldest, |since| since.max(oldest));
        let keys = self.ledger_keys().await?;
        let mut read = self.store.read().await?;
        let head = ledger::head(read.conn()).await?;
        let first = ledger::first_since(read.conn(), since).await?;
        let first = first.unwrap_or(head.checkpoint + 1);
        let before = ledger::find(read.conn(), first - 1).await?;
        let start = match before {
            None => Line::Start {
                seq: 0,
                hash: hex(&Hash::default()),
                checkpoint: None,
            },
            Some(row) => Line::Start {
                seq: row.last_seq,
                hash: hex(&hash(&row.hash)?),
                checkpoint: Some(row.signed),
            },
        };
        Ok(Export {
            head: lines([Line::Keys { keys }, start])?,
            numbers: first..=head.checkpoint,
        })
    }

    /// The entries of one checkpoint, and the checkpoint, as lines.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn export_checkpoint(&self, number: i64) -> Result<String, Error> {
        let mut read = self.store.read().await?;
        let row = ledger::find(read.conn(), number)
            .await?
            .ok_or_else(|| Error::internal("a checkpoint is not there"))?;
        let before = match ledger::find(read.conn(), number - 1).await? {
            Some(before) => hash(&before.hash)?,
            None => Hash::default(),
        };
        let mut chain = Chain {
            seq: row.first_seq - 1,
            hash: before,
        };
        let ids: Vec<String> = row.members().map(str::to_owned).collect();
        let mut found: HashMap<String, Sealed> = by_id(read.conn(), &ids).await?;
        let mut written = Vec::with_capacity(ids.len() + 1);
        for (id, seq) in ids.into_iter().zip(row.first_seq..) {
            let Some(entry) = found.remove(&id) else {
                written.push(Line::Missing { seq, id });
                continue;
            };
            let bytes =
                serde_json::to_vec(&entry.data).map_err(|error| Error::Internal(error.into()))?;
            chain.push(&bytes);
            written.push(Line::Entry {
                seq,
                hash: hex(&chain.hash),
                data: entry.data,
            });
        }
        written.push(Line::Checkpoint { signed: row.signed });
        lines(written)
    }

    /// The entries behind a checkpoint, which are not sealed yet, as lines.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn export_unsealed(&self, after: i64) -> Result<String, Error> {
        let mut read = self.store.read().await?;
        let sealed_at = match ledger::find(read.conn(), after).await? {
            Some(row) => Timestamp::from_millis(row.created_at),
            None => Timestamp::from_millis(0),
        };
        let from = sealed_at.plus_secs(-SWEEP_SECS);
        let sealed: BTreeSet<String> = ledger::since(read.conn(), from)
            .await?
            .iter()
            .filter(|row| row.number <= after)
            .flat_map(|row| row.members().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let mut ids = Vec::new();
        for kind in Kind::ALL {
            let first = format!("{}{}", kind.prefix(), first_suffix(from));
            let found = ledger::ids(read.conn(), kind, &first, i64::from(u32::MAX)).await?;
            ids.extend(found.into_iter().filter(|id| !sealed.contains(id)));
        }
        ids.sort_by(|a, b| suffix(a).cmp(suffix(b)));
        let entries = ordered(read.conn(), &ids).await?;
        lines(
            entries
                .into_iter()
                .map(|entry| Line::Unsealed { data: entry.data }),
        )
    }
}

/// What is sealed already, of what could still be looked at.
async fn recall(mut conn: Conn<'_>, head: &Head) -> Result<Memory, Error> {
    let mut memory = Memory {
        checkpoint: Some(head.checkpoint),
        ..Memory::default()
    };
    if head.checkpoint > 0 {
        let since = Timestamp::from_millis(head.sealed_at).plus_secs(-SWEEP_SECS);
        let rows = ledger::since(reborrow(&mut conn), since.plus_secs(-SWEEP_SECS)).await?;
        memory.cutoff = first_suffix(since);
        for row in &rows {
            memory.remember(
                row.members()
                    .filter(|id| *suffix(id) > *memory.cutoff)
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            );
        }
    }
    Ok(memory)
}

/// Entries of one table, from one id to another.
async fn entries(
    conn: Conn<'_>,
    kind: Kind,
    first: &str,
    last: &str,
) -> Result<Vec<Sealed>, Error> {
    Ok(match kind {
        Kind::Audit => ledger::audits(conn, first, last).await?,
        Kind::Session => ledger::mints(conn, first, last).await?,
    })
}

/// These entries, by their ids.
async fn by_id(mut conn: Conn<'_>, ids: &[String]) -> Result<HashMap<String, Sealed>, Error> {
    let mut found = HashMap::with_capacity(ids.len());
    for kind in Kind::ALL {
        let mut own: Vec<&String> = ids.iter().filter(|id| Kind::of(id) == kind).collect();
        own.sort();
        // Those that came late lie far before the others, and what is between is not read.
        let mut rest = own.as_slice();
        while let [first, ..] = rest {
            let near = rest
                .iter()
                .take_while(|id| is_near(first, id))
                .count()
                .max(1);
            let (run, more) = rest.split_at(near);
            if let Some(last) = run.last() {
                for entry in entries(reborrow(&mut conn), kind, first, last).await? {
                    found.insert(entry.id.clone(), entry);
                }
            }
            rest = more;
        }
    }
    Ok(found)
}

/// Whether two ids were made in the same half minute: the first seven characters say that.
fn is_near(one: &str, other: &str) -> bool {
    suffix(one).get(..7) == suffix(other).get(..7)
}

/// These entries, in the order of their ids here.
async fn ordered(conn: Conn<'_>, ids: &[String]) -> Result<Vec<Sealed>, Error> {
    let mut found = by_id(conn, ids).await?;
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

fn lines(lines: impl IntoIterator<Item = Line>) -> Result<String, Error> {
    let mut text = String::new();
    for line in lines {
        let line = line
            .write()
            .map_err(|error| Error::Internal(error.into()))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn hash(bytes: &[u8]) -> Result<Hash, Error> {
    Hash::try_from(bytes).map_err(|_| Error::internal("a hash of the ledger is not one"))
}

/// What the sealed private half of a key is bound to.
fn aad(kid: &str) -> Vec<u8> {
    format!("hallpass ledger key {kid}").into_bytes()
}
