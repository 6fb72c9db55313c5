//! What records have in common, and the little forms of what they hold.
//!
//! Whatever is compared is hashed, too: who may make keys chooses all of it, and must not be able
//! to choose much that is told apart by comparison alone.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::app::authorise::recall::{weigh_account, weigh_key, weigh_object, weigh_profile};
use crate::app::memory::Weigh;
use crate::domain::account::{Account, AccountChain, Profile};
use crate::domain::api_key::{ApiKey, KeyProfile};
use crate::domain::effective::Effective;
use crate::domain::id::{AccountId, KeyId};
use crate::domain::liveness::{LogId, Position, Tag};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;

/// What only keys share that are described alike.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) texts: Texts,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) line_cut_at: Option<Position>,
    pub(super) grade: Arc<Grade>,
}

/// What keys share that may do the same.
#[derive(Debug, PartialEq)]
pub(super) struct Grade {
    pub(super) log: LogId,
    /// A key without all that stands in records and shapes.
    pub(super) key: ApiKey,
    pub(super) makers: Arc<[ApiKey]>,
    /// Without an expiry.
    pub(super) effective: Arc<Effective>,
}

/// What the keys of one account share.
#[derive(Debug, PartialEq)]
pub(super) struct Owner {
    pub(super) id: [u8; 16],
    pub(super) tag: Tag,
    pub(super) child_tag: Tag,
    pub(super) parent_tag: Tag,
    pub(super) created_at: Moment,
    pub(super) updated_at: Moment,
    pub(super) profile: Option<Box<Profile>>,
    pub(super) family: Arc<Family>,
}

/// What sibling accounts share.
#[derive(Debug, PartialEq)]
pub(super) struct Family {
    /// An account without all that stands in its owner.
    pub(super) account: Account,
    pub(super) above: Arc<[Account]>,
}

/// An instant in six bytes, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Moment([u8; 6]);

/// What people wrote about a key.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Texts {
    pub(super) name: Option<Box<str>>,
    pub(super) external_id: Option<Box<str>>,
    pub(super) long: Option<Box<Long>>,
}

/// What few keys have.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Long {
    pub(super) description: Option<String>,
    pub(super) meta: Option<Meta>,
}

/// The same only if it reads the same: objects are equal whatever the order of their members.
#[derive(Debug)]
pub(super) struct Meta(JsonObject);

impl Meta {
    fn text(&self) -> Option<String> {
        serde_json::to_string(&self.0).ok()
    }
}

impl PartialEq for Meta {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 && self.text() == other.text()
    }
}

impl Eq for Meta {}

impl Hash for Meta {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

impl Texts {
    pub(super) fn of(profile: &KeyProfile) -> Self {
        let KeyProfile {
            name,
            description,
            meta,
            external_id,
        } = profile;
        let long = Long {
            description: description.clone(),
            meta: meta.clone().map(Meta),
        };
        Self {
            name: name.as_deref().map(Box::from),
            external_id: external_id.as_deref().map(Box::from),
            long: (long != Long::default()).then(|| Box::new(long)),
        }
    }

    pub(super) fn restore(&self) -> KeyProfile {
        let long = self.long.as_deref();
        KeyProfile {
            name: self.name.as_deref().map(str::to_owned),
            description: long.and_then(|long| long.description.clone()),
            meta: long.and_then(|long| Some(long.meta.as_ref()?.0.clone())),
            external_id: self.external_id.as_deref().map(str::to_owned),
        }
    }
}

impl Weigh for Texts {
    fn weigh(&self) -> usize {
        const ALLOCATION: usize = 16;
        let short = [&self.name, &self.external_id];
        let long = self.long.as_deref().map_or(0, |long| {
            size_of::<Long>()
                + long.description.as_ref().map_or(0, String::len)
                + long.meta.as_ref().map_or(0, |meta| weigh_object(&meta.0))
                + 3 * ALLOCATION
        });
        short
            .into_iter()
            .flatten()
            .map(|text| text.len() + ALLOCATION)
            .sum::<usize>()
            + long
    }
}

impl Owner {
    pub(super) fn restore(&self) -> AccountChain {
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
    pub(super) fn of(chain: &AccountChain) -> Self {
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
pub(super) fn in_common(key: &ApiKey) -> ApiKey {
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

pub(super) fn without_expiry(effective: &Arc<Effective>) -> Arc<Effective> {
    if effective.expires_at.is_none() {
        return Arc::clone(effective);
    }
    Arc::new(Effective {
        expires_at: None,
        ..Effective::clone(effective)
    })
}

pub(super) fn to_secs(millis: i64) -> u32 {
    u32::try_from(millis / 1_000).unwrap_or(0)
}

impl Moment {
    const NONE: Self = Self([0xff; 6]);

    /// Nothing when it does not fit.
    pub(super) fn of(at: Option<Timestamp>) -> Option<Self> {
        let Some(at) = at else {
            return Some(Self::NONE);
        };
        let [first, second, bytes @ ..] = at.millis().to_be_bytes();
        let moment = Self(bytes);
        ([first, second] == [0, 0] && moment != Self::NONE).then_some(moment)
    }

    pub(super) fn get(self) -> Option<Timestamp> {
        let mut bytes = [0; 8];
        let (_, low) = bytes.split_at_mut(2);
        low.copy_from_slice(&self.0);
        let millis = i64::from_be_bytes(bytes);
        (self != Self::NONE).then_some(Timestamp::from_millis(millis))
    }

    pub(super) fn or_zero(self) -> Timestamp {
        self.get().unwrap_or(Timestamp::from_millis(0))
    }
}

// Equality is total: no number of JSON is unequal to itself. An effective is computed from the key;
// of rows that are kept whole the id and the time say which version it is.

impl Eq for Grade {}
impl Eq for Owner {}
impl Eq for Family {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts.hash(state);
        self.expires_at.hash(state);
        self.line_cut_at.hash(state);
        // There is one of each.
        Arc::as_ptr(&self.grade).hash(state);
    }
}

impl Hash for Grade {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let key = &self.key;
        self.log.hash(state);
        (&key.maker, &key.grantors, key.depth).hash(state);
        (key.environment, key.kind).hash(state);
        (key.enabled, key.operator, key.declared_unrestricted).hash(state);
        key.restrictions.hash(state);
        for maker in &*self.makers {
            (&maker.id, maker.updated_at, maker.line_cut_at).hash(state);
        }
    }
}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id, self.tag, self.updated_at).hash(state);
    }
}

impl Hash for Family {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.account.parent.hash(state);
        for account in std::iter::once(&self.account).chain(&*self.above) {
            (&account.id, account.updated_at).hash(state);
            (account.denied_at, account.barred_at).hash(state);
        }
    }
}

impl Weigh for Shape {
    fn weigh(&self) -> usize {
        size_of::<Self>() + self.texts.weigh()
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
