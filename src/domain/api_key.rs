//! API keys as stored, and whether one is alive.

use std::sync::Arc;

use super::account::{AccountChain, ImpersonationPolicy};
use super::effective::Effective;
use super::environment::Environment;
use super::id::{AccountId, KeyId};
use super::liveness::{Position, Tag, Tags};
use super::restrictions::Restrictions;
use super::secret::KeyKind;
use super::text::JsonObject;
use super::time::Timestamp;

/// What people write about a key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeyProfile {
    /// A name for people.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Kept, not interpreted.
    pub meta: Option<JsonObject>,
    /// The id that the caller's own system has for it.
    pub external_id: Option<String>,
}

/// Whether nobody has used a key since `before`, by when it was made, and when each of its secrets
/// was made and used last: one that was made or rotated since had no time to be used yet.
/// `store::key_notices::unused` asks the same of the database; what is changed here is changed there.
pub fn is_unused(
    created_at: Timestamp,
    secrets: impl IntoIterator<Item = (Timestamp, Option<Timestamp>)>,
    before: Timestamp,
) -> bool {
    let since = |at: Timestamp| at >= before;
    let mut secrets = secrets.into_iter();
    !since(created_at) && !secrets.any(|(made, used)| since(made) || used.is_some_and(since))
}

/// How a key was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Whether the keys that were made with it live on.
    pub line_lives_on: bool,
}

/// An API key as stored. Its secrets are rows of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Its id; `client_id` of the sessions that it mints.
    pub id: KeyId,
    /// The account that it speaks for.
    pub account: AccountId,
    /// The key that made it; none when the operator's CLI, a claim or the first start did.
    pub maker: Option<KeyId>,
    /// The accounts that made it for a child, nearest first; none for an account's own key. Each is
    /// the parent of the one before it (of `account`, for the first).
    pub grantors: Vec<AccountId>,
    /// 1 for a key without a maker.
    pub depth: usize,
    /// Live or test.
    pub environment: Environment,
    /// What it is for.
    pub kind: KeyKind,
    /// What people write about it.
    pub profile: KeyProfile,
    /// Reversible.
    pub enabled: bool,
    /// Whether it may do what only an operator may.
    pub operator: bool,
    /// Whether it was created with `"unrestricted": true`.
    pub declared_unrestricted: bool,
    /// All that narrows it.
    pub restrictions: Restrictions,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it is gone for good.
    pub ended: Option<Ended>,
    /// Ends the sessions of this key alone.
    pub tag: Tag,
    /// Ends the sessions of this key and of every key of its line.
    pub line_tag: Tag,
    /// Where in the change log it was made.
    pub made_at: Position,
    /// Keys that were made with it up to here have ended.
    pub line_cut_at: Option<Position>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl ApiKey {
    /// Declared so, and narrowed in no dimension.
    pub fn is_unrestricted(&self) -> bool {
        self.declared_unrestricted && self.restrictions.narrow_nothing()
    }

    /// What it may do: the one function that says so.
    pub fn effective(&self) -> Effective {
        Effective::of(self)
    }
}

/// Why a key does not work. A stranger learns none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDead {
    /// It, or a maker of it, was deleted or its line was cut.
    Ended,
    /// It, or a maker of it, is disabled.
    Disabled,
    /// A maker of it has expired.
    MakerExpired,
    /// Its account, or one above, is suspended or deleted.
    Account,
    /// It was made for a child, and the right to act as that child is gone.
    Grant,
}

/// A key with its makers, and its account with all above it: as stored rows, read together.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyChain {
    key: ApiKey,
    makers: Arc<[ApiKey]>,
    accounts: Arc<AccountChain>,
}

impl KeyChain {
    /// A key, its makers nearest first, and its account.
    pub fn new(key: ApiKey, makers: Vec<ApiKey>, accounts: impl Into<Arc<AccountChain>>) -> Self {
        Self::made_by(key, makers.into(), accounts)
    }

    /// The same, with makers that are shared by all that they made.
    pub fn made_by(
        key: ApiKey,
        makers: Arc<[ApiKey]>,
        accounts: impl Into<Arc<AccountChain>>,
    ) -> Self {
        Self {
            key,
            makers,
            accounts: accounts.into(),
        }
    }

    /// The key itself.
    pub const fn key(&self) -> &ApiKey {
        &self.key
    }

    /// Its makers, nearest first.
    pub fn makers(&self) -> &[ApiKey] {
        &self.makers
    }

    /// Its makers, to be shared with other keys that they made.
    pub fn shared_makers(&self) -> Arc<[ApiKey]> {
        Arc::clone(&self.makers)
    }

    /// Its account with all above it.
    pub const fn accounts(&self) -> &Arc<AccountChain> {
        &self.accounts
    }

    /// The tags that are touched when one of these rows, or a secret of the key, changes.
    pub fn rows(&self) -> Tags {
        let mut tags = self.accounts.rows();
        for key in std::iter::once(&self.key).chain(&*self.makers) {
            tags.add(key.line_tag);
        }
        tags
    }

    /// The one question for keys: whether it, every maker of it (those that were ended alone aside)
    /// and every account above it are alive. Its own expiry is asked later, by the decision, since
    /// the holder of the right secret is told of it.
    ///
    /// # Errors
    /// [`KeyDead`].
    pub fn check_alive(&self, now: Timestamp) -> Result<(), KeyDead> {
        if self.key.ended.is_some() || !self.is_whole() {
            return Err(KeyDead::Ended);
        }
        if !self.key.enabled {
            return Err(KeyDead::Disabled);
        }
        let mut made = &self.key;
        for maker in &*self.makers {
            if maker.line_cut_at.is_some_and(|cut| made.made_at <= cut) {
                return Err(KeyDead::Ended);
            }
            let aside = match maker.ended {
                Some(ended) if ended.line_lives_on => true,
                Some(_) => return Err(KeyDead::Ended),
                None => false,
            };
            if !aside && !maker.enabled {
                return Err(KeyDead::Disabled);
            }
            if !aside && maker.expires_at.is_some_and(|at| at <= now) {
                return Err(KeyDead::MakerExpired);
            }
            made = maker;
        }
        if !self.accounts.is_active() {
            return Err(KeyDead::Account);
        }
        self.check_grant()
    }

    /// Whether every maker is there, and the account is the key's own. What is missing could be
    /// what ended.
    fn is_whole(&self) -> bool {
        let keys = std::iter::once(&self.key).chain(&*self.makers);
        self.key.account == self.accounts.account().id
            && keys.map(|key| key.maker.as_ref()).eq(self
                .makers
                .iter()
                .map(|maker| Some(&maker.id))
                .chain([None]))
    }

    fn check_grant(&self) -> Result<(), KeyDead> {
        for grantor in &self.key.grantors {
            let (child, parent) = self.accounts.link(grantor).ok_or(KeyDead::Grant)?;
            let denied = child.impersonation_policy == ImpersonationPolicy::Deny
                || child.denied_at.is_some_and(|at| self.key.made_at <= at);
            let barred = !parent.can_impersonate
                || parent.barred_at.is_some_and(|at| self.key.made_at <= at);
            if denied || barred {
                return Err(KeyDead::Grant);
            }
        }
        Ok(())
    }

    /// The tags of all that anything made with this key descends from.
    pub fn tags(&self) -> Tags {
        let mut tags = Tags::new();
        tags.add(self.key.tag);
        tags.add(self.key.line_tag);
        for maker in &*self.makers {
            tags.add(maker.line_tag);
        }
        self.accounts.add_tags(&mut tags);
        for grantor in &self.key.grantors {
            if let Some((child, parent)) = self.accounts.link(grantor) {
                tags.add(child.child_tag);
                tags.add(parent.parent_tag);
            }
        }
        tags
    }
}

#[cfg(test)]
mod tests;
