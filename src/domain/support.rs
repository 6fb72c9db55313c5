//! What the tests of the rules are made of.

use std::collections::BTreeSet;

use serde_json::Value;

use super::account::{Account, AccountChain, AccountState, ImpersonationPolicy, Profile};
use super::api_key::{ApiKey, KeyProfile};
use super::config::Config;
use super::effective::Effective;
use super::environment::Environment;
use super::grant::Audiences;
use super::id::{AccountId, KeyId};
use super::liveness::{Position, Tag};
use super::permission::Vocabulary;
use super::restrictions::Restrictions;
use super::route::{RequestPath, RouteSet};
use super::secret::KeyKind;
use super::time::Timestamp;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_500);

pub(super) fn account_id(number: i64) -> AccountId {
    AccountId::parse(&format!("usr_{number:026}")).unwrap()
}

pub(super) fn key_id(number: i64) -> KeyId {
    KeyId::parse(&format!("key_{number:026}")).unwrap()
}

pub(super) fn path(text: &str) -> RequestPath {
    RequestPath::from_segments(text.split('/')).unwrap()
}

pub(super) fn routes(texts: &[&str]) -> RouteSet {
    RouteSet::parse(texts).unwrap()
}

pub(super) fn restrictions(config: Value) -> Restrictions {
    let config: Config = serde_json::from_value(config).unwrap();
    config.parse(&Vocabulary::default()).unwrap()
}

/// An account whose tags are ten times its number, and one and two more.
pub(super) fn account(number: i64, parent: Option<i64>) -> Account {
    Account {
        id: account_id(number),
        parent: parent.map(account_id),
        depth: 1,
        profile: Profile::default(),
        state: AccountState::Active,
        can_impersonate: true,
        impersonation_policy: ImpersonationPolicy::Allow,
        tag: Tag::from_i64(number * 10),
        child_tag: Tag::from_i64(number * 10 + 1),
        parent_tag: Tag::from_i64(number * 10 + 2),
        denied_at: None,
        barred_at: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

/// Accounts of these numbers, each the child of the one behind it.
pub(super) fn chain(numbers: &[i64]) -> AccountChain {
    let mut accounts = numbers
        .iter()
        .enumerate()
        .map(|(place, number)| account(*number, numbers.get(place + 1).copied()));
    let first = accounts.next().unwrap();
    AccountChain::new(first, accounts.collect())
}

/// A chain with its accounts changed.
pub(super) fn changed(chain: &AccountChain, change: impl Fn(&mut Account)) -> AccountChain {
    let mut accounts = chain.iter().cloned().map(|mut account| {
        change(&mut account);
        account
    });
    let first = accounts.next().unwrap();
    AccountChain::new(first, accounts.collect())
}

/// A key of account 1, made at the position that is its number, whose tags are its number times a
/// hundred, and one more.
pub(super) fn key(number: i64, config: Value) -> ApiKey {
    ApiKey {
        id: key_id(number),
        account: account_id(1),
        maker: None,
        grantors: Vec::new(),
        depth: 1,
        environment: Environment::Live,
        kind: KeyKind::Secret,
        profile: KeyProfile::default(),
        enabled: true,
        operator: false,
        declared_unrestricted: false,
        restrictions: restrictions(config),
        expires_at: None,
        ended: None,
        tag: Tag::from_i64(number * 100),
        line_tag: Tag::from_i64(number * 100 + 1),
        made_at: Position::new(number),
        line_cut_at: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

/// A key that was declared unrestricted, with this config.
pub(super) fn declared(config: Value) -> ApiKey {
    ApiKey {
        declared_unrestricted: true,
        ..key(1, config)
    }
}

/// What a key with this config may do.
pub(super) fn may(config: Value) -> Effective {
    key(1, config).effective()
}

pub(super) fn audiences() -> Audiences {
    Audiences {
        default: "api".to_owned(),
        all: BTreeSet::from(["api", "shop", "desk"].map(str::to_owned)),
    }
}
