//! Accounts: a tree, at most eight deep, in which a parent may act as its direct children.

use std::sync::Arc;

use super::id::AccountId;
use super::liveness::{Position, Tag, Tags};
use super::text::{Email, JsonObject};
use super::time::Timestamp;

/// Whether an account lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// It works.
    Active,
    /// It is stopped with all below it until it is resumed. Its keys come back then, its sessions
    /// never.
    Suspended,
    /// It is gone for good.
    Deleted,
}

impl AccountState {
    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleted]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// Whether an account lets its parent act as it. The account alone writes this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImpersonationPolicy {
    /// The parent may, within its own limits.
    Allow,
    /// The parent may not.
    Deny,
}

impl ImpersonationPolicy {
    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Allow, Self::Deny]
            .into_iter()
            .find(|policy| policy.as_str() == text)
    }
}

/// What people write about an account.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// A name for people.
    pub name: Option<String>,
    /// Unique among the children of one parent, and among roots.
    pub email: Option<Email>,
    /// A short name.
    pub alias: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// An URL of a picture.
    pub image: Option<String>,
    /// Kept, not interpreted.
    pub limits: Option<JsonObject>,
    /// Kept, not interpreted.
    pub meta: Option<JsonObject>,
    /// The id that the caller's own system has for it.
    pub external_id: Option<String>,
}

/// An account: owns keys, is spoken for, has at most one parent and never another.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Its id; `sub` of sessions that speak for it.
    pub id: AccountId,
    /// The account that manages it; none for a root.
    pub parent: Option<AccountId>,
    /// 1 for a root.
    pub depth: usize,
    /// What people write about it.
    pub profile: Profile,
    /// Whether it lives.
    pub state: AccountState,
    /// Whether it may act as its children; set by whoever manages its parent.
    pub can_impersonate: bool,
    /// Whether its parent may act as it; written by itself alone.
    pub impersonation_policy: ImpersonationPolicy,
    /// Ends every token of the account and of all below it.
    pub tag: Tag,
    /// Ends every token in which its parent acts as it.
    pub child_tag: Tag,
    /// Ends every token in which it acts as one of its children.
    pub parent_tag: Tag,
    /// Keys that a parent made for it before this position have ended: it said `deny` here.
    pub denied_at: Option<Position>,
    /// Keys that it made for its children before this position have ended: it lost the right here.
    pub barred_at: Option<Position>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// An account and all above it, itself first, a root last: as stored rows, read together.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountChain {
    account: Account,
    above: Arc<[Account]>,
}

impl AccountChain {
    /// An account and all above it, nearest first.
    pub fn new(account: Account, above: Vec<Account>) -> Self {
        Self::below(account, above.into())
    }

    /// The same, with those above shared by all that are below them.
    pub const fn below(account: Account, above: Arc<[Account]>) -> Self {
        Self { account, above }
    }

    /// The account itself.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Those above it, nearest first, to be shared with others below them.
    pub fn shared_above(&self) -> Arc<[Account]> {
        Arc::clone(&self.above)
    }

    /// Itself, its parent, and so on to the root.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        std::iter::once(&self.account).chain(&*self.above)
    }

    /// Whether it and every account above it are active. A chain with a gap in it is not: what is
    /// missing could be the one that is suspended.
    pub fn is_active(&self) -> bool {
        let whole = self.iter().map(|account| account.parent.as_ref()).eq(self
            .above
            .iter()
            .map(|above| Some(&above.id))
            .chain([None]));
        whole
            && self
                .iter()
                .all(|account| account.state == AccountState::Active)
    }

    /// The account in this chain of which `child` is a child, with that child.
    pub fn link(&self, parent: &AccountId) -> Option<(&Account, &Account)> {
        self.iter()
            .zip(self.iter().skip(1))
            .find(|(_, above)| above.id == *parent)
    }

    /// The tags that are touched when one of these rows changes.
    pub fn rows(&self) -> Tags {
        let mut tags = Tags::new();
        self.add_tags(&mut tags);
        tags
    }

    /// Adds the tags of the account and of all above it.
    pub fn add_tags(&self, tags: &mut Tags) {
        for account in self.iter() {
            tags.add(account.tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::{account, account_id, chain, changed};
    use super::*;

    #[test]
    fn whoever_is_stopped_above_stops_all_below() {
        let family = chain(&[1, 2, 3]);
        assert!(family.is_active());

        for stopped in [1, 2, 3] {
            for state in [AccountState::Suspended, AccountState::Deleted] {
                let family = changed(&family, |account| {
                    if account.id == account_id(stopped) {
                        account.state = state;
                    }
                });

                assert!(!family.is_active(), "{stopped} is {state:?}");
            }
        }
    }

    #[test]
    fn a_chain_with_a_gap_is_not_active() {
        for broken in [
            AccountChain::new(account(1, Some(2)), Vec::new()),
            AccountChain::new(account(1, Some(2)), vec![account(3, None)]),
            AccountChain::new(account(1, Some(2)), vec![account(2, Some(3))]),
            AccountChain::new(account(1, None), vec![account(2, None)]),
        ] {
            assert!(!broken.is_active(), "{broken:?}");
        }
    }

    #[test]
    fn a_link_is_a_parent_in_the_chain_with_its_child() {
        let family = chain(&[1, 2, 3]);
        let ids = |parent| {
            let (child, parent) = family.link(&account_id(parent))?;
            Some((child.id.clone(), parent.id.clone()))
        };

        assert_eq!(ids(2), Some((account_id(1), account_id(2))));
        assert_eq!(ids(3), Some((account_id(2), account_id(3))));
        assert_eq!(ids(1), None);
        assert_eq!(ids(4), None);
    }

    #[test]
    fn each_account_of_a_chain_gives_its_tag() {
        let mut tags = Tags::new();

        chain(&[1, 2, 3]).add_tags(&mut tags);

        assert!(tags.iter().eq([10, 20, 30].map(Tag::from_i64)));
    }

    #[test]
    fn states_and_policies_are_read_as_they_are_written() {
        for state in [
            AccountState::Active,
            AccountState::Suspended,
            AccountState::Deleted,
        ] {
            assert_eq!(AccountState::parse(state.as_str()), Some(state));
        }
        for policy in [ImpersonationPolicy::Allow, ImpersonationPolicy::Deny] {
            assert_eq!(ImpersonationPolicy::parse(policy.as_str()), Some(policy));
        }
        for text in ["", "ACTIVE", "active ", "Allow"] {
            assert_eq!(AccountState::parse(text), None);
            assert_eq!(ImpersonationPolicy::parse(text), None);
        }
    }
}
