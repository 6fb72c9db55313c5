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

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::recall::{KnownKey, weigh_account, weigh_key, weigh_object, weigh_profile};
use crate::app::compact::{Named, Pool, Table};
use crate::app::memory::Weigh;
use crate::domain::account::{Account, AccountChain, Profile};
use crate::domain::api_key::{ApiKey, KeyChain, KeyProfile};
use crate::domain::effective::Effective;
use crate::domain::id::{AccountId, KeyId};
use crate::domain::liveness::{LogId, Position, Rev, Tag};
use crate::domain::secret::KeyDigest;
use crate::domain::text::JsonObject;
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

/// What only keys share that are described alike.
#[derive(Debug, PartialEq)]
struct Shape {
    name: Option<Box<str>>,
    external_id: Option<Box<str>>,
    long: Option<Box<(Option<String>, Option<JsonObject>)>>,
    expires_at: Option<Timestamp>,
    line_cut_at: Option<Position>,
    grade: Arc<Grade>,
}

/// What keys share that may do the same.
#[derive(Debug, PartialEq)]
struct Grade {
    log: LogId,
    /// A key without all that stands in records and shapes.
    key: ApiKey,
    makers: Arc<[ApiKey]>,
    /// Without an expiry.
    effective: Arc<Effective>,
}

/// What the keys of one account share.
#[derive(Debug, PartialEq)]
struct Owner {
    id: [u8; 16],
    tag: Tag,
    child_tag: Tag,
    parent_tag: Tag,
    created_at: Moment,
    updated_at: Moment,
    profile: Option<Box<Profile>>,
    family: Arc<Family>,
}

/// What sibling accounts share.
#[derive(Debug, PartialEq)]
struct Family {
    /// An account without all that stands in its owner.
    account: Account,
    above: Arc<[Account]>,
}

/// An instant in six bytes, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment([u8; 6]);

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

    /// Whether a secret is here.
    pub(super) fn has(&self, digest: &KeyDigest) -> bool {
        let Some(shard) = self.shard(digest) else {
            return false;
        };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(digest.as_bytes()).is_some()
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
            record.noted_secs = old.noted_secs;
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
            name: texts.name,
            external_id: texts.external_id,
            long: texts.long,
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
            profile: self.shape.profile(),
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
        let known = KnownKey::new(Arc::new(chain), effective, secret_expires_at, read_at);
        let noted_ms = i64::from(self.noted_secs) * 1_000;
        known.noted_ms.store(noted_ms, Ordering::Relaxed);
        known
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

/// What people wrote about a key.
struct Texts {
    name: Option<Box<str>>,
    external_id: Option<Box<str>>,
    long: Option<Box<(Option<String>, Option<JsonObject>)>>,
}

impl Texts {
    fn of(profile: &KeyProfile) -> Self {
        let KeyProfile {
            name,
            description,
            meta,
            external_id,
        } = profile;
        let long = (description.clone(), meta.clone());
        Self {
            name: name.as_deref().map(Box::from),
            external_id: external_id.as_deref().map(Box::from),
            long: (long != (None, None)).then(|| Box::new(long)),
        }
    }

    fn weigh(&self) -> usize {
        weigh_texts(&self.name, &self.external_id, &self.long)
    }
}

fn weigh_texts(
    name: &Option<Box<str>>,
    external_id: &Option<Box<str>>,
    long: &Option<Box<(Option<String>, Option<JsonObject>)>>,
) -> usize {
    const ALLOCATION: usize = 16;
    let short = [name, external_id];
    let long = long.as_deref().map_or(0, |(description, meta)| {
        size_of::<(Option<String>, Option<JsonObject>)>()
            + ALLOCATION
            + description.as_ref().map_or(0, String::len)
            + meta.as_ref().map_or(0, weigh_object)
    });
    short
        .into_iter()
        .flatten()
        .map(|text| text.len() + ALLOCATION)
        .sum::<usize>()
        + long
}

impl Shape {
    fn profile(&self) -> KeyProfile {
        let (description, meta) = self.long.as_deref().cloned().unwrap_or_default();
        KeyProfile {
            name: self.name.as_deref().map(str::to_owned),
            description,
            meta,
            external_id: self.external_id.as_deref().map(str::to_owned),
        }
    }
}

impl Owner {
    fn restore(&self) -> AccountChain {
        let common = &self.family.account;
        let account = Account {
            id: AccountId::from_bytes(self.id),
            parent: common.parent.clone(),
            depth: common.depth,
            profile: self.profile.as_deref().cloned().unwrap_or_default(),
            state: common.state,
            can_impersonate: common.can_impersonate,
            impersonation_policy: common.impersonation_policy,
            tag: self.tag,
            child_tag: self.child_tag,
            parent_tag: self.parent_tag,
            denied_at: common.denied_at,
            barred_at: common.barred_at,
            created_at: self.created_at.or_zero(),
            updated_at: self.updated_at.or_zero(),
        };
        AccountChain::below(account, Arc::clone(&self.family.above))
    }
}

impl Family {
    fn of(chain: &AccountChain) -> Self {
        const NONE: Tag = Tag::from_i64(0);
        let account = Account {
            id: AccountId::from_bytes([0; 16]),
            profile: Profile::default(),
            tag: NONE,
            child_tag: NONE,
            parent_tag: NONE,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            ..chain.account().clone()
        };
        Self {
            account,
            above: chain.shared_above(),
        }
    }
}

/// What a key may have in common with others.
fn in_common(key: &ApiKey) -> ApiKey {
    ApiKey {
        id: KeyId::from_bytes([0; 16]),
        account: AccountId::from_bytes([0; 16]),
        profile: KeyProfile::default(),
        expires_at: None,
        tag: Tag::from_i64(0),
        line_tag: Tag::from_i64(0),
        made_at: Position::new(0),
        line_cut_at: None,
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
        ..key.clone()
    }
}

fn without_expiry(effective: &Arc<Effective>) -> Arc<Effective> {
    if effective.expires_at.is_none() {
        return Arc::clone(effective);
    }
    Arc::new(Effective {
        expires_at: None,
        ..Effective::clone(effective)
    })
}

fn to_secs(millis: i64) -> u32 {
    u32::try_from(millis / 1_000).unwrap_or(0)
}

impl Moment {
    const NONE: Self = Self([0xff; 6]);

    /// Nothing when it does not fit.
    fn of(at: Option<Timestamp>) -> Option<Self> {
        let Some(at) = at else {
            return Some(Self::NONE);
        };
        let [first, second, bytes @ ..] = at.millis().to_be_bytes();
        let moment = Self(bytes);
        ([first, second] == [0, 0] && moment != Self::NONE).then_some(moment)
    }

    fn get(self) -> Option<Timestamp> {
        let [a, b, c, d, e, f] = self.0;
        let millis = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        (self != Self::NONE).then_some(Timestamp::from_millis(millis))
    }

    fn or_zero(self) -> Timestamp {
        self.get().unwrap_or(Timestamp::from_millis(0))
    }
}

// Equality is total: what is kept as JSON has no number that does not equal itself. Hashes cover what
// mostly tells them apart.

impl Eq for Shape {}
impl Eq for Grade {}
impl Eq for Owner {}
impl Eq for Family {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.external_id.hash(state);
        self.expires_at.hash(state);
        Arc::as_ptr(&self.grade).hash(state);
    }
}

impl Hash for Grade {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ApiKey {
            maker,
            grantors,
            restrictions,
            ..
        } = &self.key;
        maker.hash(state);
        grantors.hash(state);
        restrictions.routes.hash(state);
        restrictions.session.routes.hash(state);
        for bindings in [&restrictions.bindings, &restrictions.session.bindings] {
            for named in bindings.iter() {
                named.hash(state);
            }
        }
    }
}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Hash for Family {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.account.parent.hash(state);
        self.account.denied_at.map(Position::get).hash(state);
    }
}

impl Weigh for Shape {
    fn weigh(&self) -> usize {
        size_of::<Self>() + weigh_texts(&self.name, &self.external_id, &self.long)
    }
}

impl Weigh for Grade {
    fn weigh(&self) -> usize {
        let keys = std::iter::once(&self.key).chain(&*self.makers);
        size_of::<Self>() + size_of::<Effective>() + keys.map(weigh_key).sum::<usize>()
    }
}

impl Weigh for Owner {
    fn weigh(&self) -> usize {
        let texts = self
            .profile
            .as_deref()
            .map_or(0, |profile| size_of::<Profile>() + weigh_profile(profile));
        size_of::<Self>() + texts
    }
}

impl Weigh for Family {
    fn weigh(&self) -> usize {
        let accounts = std::iter::once(&self.account).chain(&*self.above);
        size_of::<Self>() + accounts.map(weigh_account).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
