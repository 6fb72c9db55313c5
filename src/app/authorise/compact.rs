//! Keys that were seen, in little: the second level of what is remembered, below that of
//! [`KnownKey`]s, for a million keys in use.
//!
//! A record holds what a key has for itself. What many keys have in common (restrictions, makers,
//! account, texts) is there once, in pools. From both a [`KnownKey`] is made again that equals the
//! one that was read, with the rows and the position as of which it was read; so whoever takes it
//! asks the same question of it as of any other, whether it still holds. Nothing is believed for
//! being here.
//!
//! Only keys that were read from the database and found alive come in, so nobody fills it with keys
//! that do not exist.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use self::parts::{Family, Grade, Moment, Owner, Shape, Texts, in_common, to_secs, without_expiry};
use super::recall::KnownKey;
use crate::app::compact::{Named, Pool, Table};
use crate::app::memory::Weigh;
use crate::domain::account::Profile;
use crate::domain::api_key::{ApiKey, KeyChain};
use crate::domain::effective::Effective;
use crate::domain::id::KeyId;
use crate::domain::liveness::{Position, Rev, Tag};
use crate::domain::secret::KeyDigest;
use crate::domain::time::Timestamp;

/// Parts with a lock each.
const SHARDS: usize = 64;
/// What people wrote about one key takes up so much at most, in bytes; a key with more is
/// remembered in full only.
const TEXTS_BYTES_MAX: usize = 1_024;
/// How far a record lags behind what is known before that is noted in it, in positions
/// (microseconds): ten minutes.
const LAG_MAX: i64 = 600_000_000;

/// Many keys, by their secrets.
#[derive(Debug)]
pub(super) struct CompactKeys {
    shards: Box<[RwLock<Table<Record>>]>,
    bytes_max: usize,
    shapes: Pool<Shape>,
    grades: Pool<Grade>,
    owners: Pool<Owner>,
    families: Pool<Family>,
}

/// What a secret has for itself.
#[derive(Debug)]
struct Record {
    digest: [u8; 32],
    id: [u8; 16],
    tag: Tag,
    line_tag: Tag,
    made_at: Position,
    read_at: Position,
    created_at: Moment,
    updated_at: Moment,
    secret_expires_at: Moment,
    noted_secs: u32,
    used: AtomicBool,
    owner: Arc<Owner>,
    shape: Arc<Shape>,
}

impl CompactKeys {
    /// None yet, and never more than so many bytes, about.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(|| RwLock::new(Table::new()))
                .take(SHARDS)
                .collect(),
            bytes_max,
            shapes: Pool::new(),
            grades: Pool::new(),
            owners: Pool::new(),
            families: Pool::new(),
        }
    }

    /// How many bytes are taken up, about.
    pub(super) fn bytes(&self) -> usize {
        let bytes =
            |shard: &RwLock<Table<_>>| shard.read().unwrap_or_else(PoisonError::into_inner).bytes();
        self.shards.iter().map(bytes).sum::<usize>() + self.pooled_bytes()
    }

    fn pooled_bytes(&self) -> usize {
        self.shapes.bytes() + self.grades.bytes() + self.owners.bytes() + self.families.bytes()
    }

    fn shard(&self, digest: &KeyDigest) -> Option<&RwLock<Table<Record>>> {
        // Not the bytes by which a table picks its places.
        let [.., last] = digest.as_bytes();
        self.shards.get(usize::from(*last) % SHARDS)
    }

    /// The key of a secret, as it was read.
    pub(super) fn get(&self, digest: &KeyDigest) -> Option<KnownKey> {
        let shard = self.shard(digest)?.read();
        let shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard.get(digest.as_bytes()).map(Record::restore)
    }

    /// Takes in a key that was read and found alive.
    pub(super) fn put(&self, digest: &KeyDigest, known: &KnownKey) {
        let Some(shard) = self.shard(digest) else {
            return;
        };
        let Some(mut record) = self.record(digest, known) else {
            return;
        };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = shard.get_mut(digest.as_bytes()) {
            record.noted_secs = record.noted_secs.max(old.noted_secs);
        }
        if let Some(old) = shard.put(record) {
            self.release(old);
        }
        while shard.bytes() > self.bytes_max.saturating_sub(self.pooled_bytes()) / SHARDS {
            let Some(old) = shard.take_one() else {
                return;
            };
            self.release(old);
        }
    }

    /// Notes when the use of a secret was noted last.
    pub(super) fn noted(&self, digest: &KeyDigest, now: Timestamp) {
        self.change(digest, |record| record.noted_secs = to_secs(now.millis()));
    }

    /// Notes that what was read as of `read_at` still held as of `rev`, so that it is not out of
    /// reach when old touches are forgotten.
    pub(super) fn held(&self, digest: &KeyDigest, read_at: Rev, rev: Rev) {
        if rev.position.get() - read_at.position.get() < LAG_MAX {
            return;
        }
        self.change(digest, |record| {
            // It may have been read anew meanwhile.
            let same = record.read_at == read_at.position && record.shape.grade.log == read_at.log;
            if same && rev.log == read_at.log {
                record.read_at = rev.position;
            }
        });
    }

    fn change(&self, digest: &KeyDigest, change: impl FnOnce(&mut Record)) {
        if let Some(shard) = self.shard(digest) {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(record) = shard.get_mut(digest.as_bytes()) {
                change(record);
            }
        }
    }

    /// A key in little; nothing when it does not fit.
    fn record(&self, digest: &KeyDigest, known: &KnownKey) -> Option<Record> {
        let KnownKey {
            chain, effective, ..
        } = known;
        let (key, account) = (chain.key(), chain.accounts().account());
        let texts = Texts::of(&key.profile);
        let fits = key.account == account.id
            && effective.expires_at == key.expires_at
            && texts.weigh() <= TEXTS_BYTES_MAX;
        if !fits {
            return None;
        }
        // All that may fail is before anything is taken from a pool.
        let id = key.id.to_bytes()?;
        let created_at = Moment::of(Some(key.created_at))?;
        let updated_at = Moment::of(Some(key.updated_at))?;
        let secret_expires_at = Moment::of(known.secret_expires_at)?;
        let owner = Owner {
            id: account.id.to_bytes()?,
            tag: account.tag,
            child_tag: account.child_tag,
            parent_tag: account.parent_tag,
            created_at: Moment::of(Some(account.created_at))?,
            updated_at: Moment::of(Some(account.updated_at))?,
            profile: (account.profile != Profile::default())
                .then(|| Box::new(account.profile.clone())),
            family: self.families.one(Family::of(chain.accounts())).0,
        };
        let (owner, spare) = self.owners.one(owner);
        self.release_family(spare);
        let grade = Grade {
            log: known.read_at.log,
            key: in_common(key),
            makers: chain.shared_makers(),
            effective: without_expiry(effective),
        };
        let shape = Shape {
            texts,
            expires_at: key.expires_at,
            line_cut_at: key.line_cut_at,
            grade: self.grades.one(grade).0,
        };
        let (shape, spare) = self.shapes.one(shape);
        self.release_grade(spare);
        Some(Record {
            digest: *digest.as_bytes(),
            id,
            tag: key.tag,
            line_tag: key.line_tag,
            made_at: key.made_at,
            read_at: known.read_at.position,
            created_at,
            updated_at,
            secret_expires_at,
            noted_secs: to_secs(known.noted_ms.load(Ordering::Relaxed)),
            used: AtomicBool::new(false),
            owner,
            shape,
        })
    }

    fn release(&self, record: Record) {
        self.release_family(self.owners.release(record.owner));
        self.release_grade(self.shapes.release(record.shape));
    }

    fn release_family(&self, owner: Option<Owner>) {
        if let Some(owner) = owner {
            drop(self.families.release(owner.family));
        }
    }

    fn release_grade(&self, shape: Option<Shape>) {
        if let Some(shape) = shape {
            drop(self.grades.release(shape.grade));
        }
    }
}

impl Record {
    fn restore(&self) -> KnownKey {
        let Shape { grade, .. } = &*self.shape;
        let accounts = self.owner.restore();
        let common = &grade.key;
        let key = ApiKey {
            id: KeyId::from_bytes(self.id),
            account: accounts.account().id.clone(),
            maker: common.maker.clone(),
            grantors: common.grantors.clone(),
            depth: common.depth,
            environment: common.environment,
            kind: common.kind,
            profile: self.shape.texts.restore(),
            enabled: common.enabled,
            operator: common.operator,
            declared_unrestricted: common.declared_unrestricted,
            restrictions: common.restrictions.clone(),
            expires_at: self.shape.expires_at,
            ended: common.ended,
            tag: self.tag,
            line_tag: self.line_tag,
            made_at: self.made_at,
            line_cut_at: self.shape.line_cut_at,
            created_at: self.created_at.or_zero(),
            updated_at: self.updated_at.or_zero(),
        };
        let effective = match key.expires_at {
            None => Arc::clone(&grade.effective),
            expires_at => Arc::new(Effective {
                expires_at,
                ..Effective::clone(&grade.effective)
            }),
        };
        let chain = KeyChain::made_by(key, Arc::clone(&grade.makers), accounts);
        let read_at = Rev {
            log: grade.log,
            position: self.read_at,
        };
        let secret_expires_at = self.secret_expires_at.get();
        let noted_ms = i64::from(self.noted_secs) * 1_000;
        KnownKey::new(
            Arc::new(chain),
            effective,
            secret_expires_at,
            read_at,
            noted_ms,
        )
    }
}

impl Named for Record {
    fn name(&self) -> &[u8; 32] {
        &self.digest
    }

    fn used(&self) -> &AtomicBool {
        &self.used
    }
}

mod parts;
#[cfg(test)]
mod tests;
