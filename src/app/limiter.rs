//! Rate limits of keys, and of failed authentication per client address. They are kept per node.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::domain::api_key::KeyChain;
use crate::domain::id::{KeyId, SessionId};
use crate::domain::rate::{Bucket, RateLimit, Turn};
use crate::domain::secret::KeyDigest;

/// Buckets that are kept at most; full ones are dropped first, then all.
const BUCKETS_MAX: usize = 100_000;
/// Digests of good keys that are remembered at most.
const KNOWN_GOOD_MAX: usize = 100_000;

/// Buckets by name.
#[derive(Debug)]
struct Buckets<K>(Mutex<HashMap<K, Bucket>>);

impl<K: Eq + Hash> Buckets<K> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn take(&self, name: K, limit: RateLimit, now_ms: i64) -> Turn {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| !bucket.is_full(now_ms));
            if buckets.len() >= BUCKETS_MAX {
                buckets.clear();
            }
        }
        buckets.entry(name).or_default().take(limit, now_ms)
    }

    fn peek(&self, name: &K, limit: RateLimit, now_ms: i64) -> Option<Turn> {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets
            .get(name)
            .map(|bucket| bucket.clone().take(limit, now_ms))
    }
}

/// The limits of this node.
#[derive(Debug)]
pub struct Limiter {
    keys: Buckets<KeyId>,
    sessions: Buckets<SessionId>,
    failures: Buckets<IpAddr>,
    failure_limit: RateLimit,
    // Which keys were good of late, so that a flood of bad ones from one address does not shut out
    // the good ones behind the same address. The digest is one of a random key, not of a password.
    known_good: Mutex<HashSet<[u8; 32]>>,
}

impl Limiter {
    /// Limits with so many failed authentications per address.
    pub fn new(failure_limit: RateLimit) -> Self {
        Self {
            keys: Buckets::new(),
            sessions: Buckets::new(),
            failures: Buckets::new(),
            failure_limit,
            known_good: Mutex::new(HashSet::new()),
        }
    }

    /// Takes a turn of a key and of every maker of it, since keys made with a key draw on its
    /// bucket, too. `None` when none of them is limited.
    pub fn take_key(&self, chain: &KeyChain, now_ms: i64) -> Option<Turn> {
        let mut tightest: Option<Turn> = None;
        for key in std::iter::once(chain.key()).chain(chain.makers()) {
            let Some(limit) = key.restrictions.rate_limit else {
                continue;
            };
            let turn = self.keys.take(key.id.clone(), limit, now_ms);
            match (turn, tightest) {
                (Turn::Wait { .. }, _) => return Some(turn),
                (
                    Turn::Go { remaining, .. },
                    Some(Turn::Go {
                        remaining: least, ..
                    }),
                ) if remaining >= least => {}
                (Turn::Go { .. }, _) => tightest = Some(turn),
            }
        }
        tightest
    }

    /// Takes a turn of a session.
    pub fn take_session(&self, session: &SessionId, limit: RateLimit, now_ms: i64) -> Turn {
        self.sessions.take(session.clone(), limit, now_ms)
    }

    /// Whether an address has failed too often of late to ask the database once more: milliseconds
    /// to wait. Credentials that were good of late pass.
    pub fn blocked(&self, address: Option<IpAddr>, digest: &KeyDigest, now_ms: i64) -> Option<i64> {
        let turn = self
            .failures
            .peek(&network(address?), self.failure_limit, now_ms)?;
        let Turn::Wait { retry_ms } = turn else {
            return None;
        };
        let known = self
            .known_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (!known.contains(digest.as_bytes())).then_some(retry_ms)
    }

    /// Counts a failed authentication. Milliseconds to wait when it was one too many.
    pub fn failed(&self, address: Option<IpAddr>, now_ms: i64) -> Option<i64> {
        match self
            .failures
            .take(network(address?), self.failure_limit, now_ms)
        {
            Turn::Wait { retry_ms } => Some(retry_ms),
            Turn::Go { .. } => None,
        }
    }

    /// Remembers that a key was good.
    pub fn good(&self, digest: &KeyDigest) {
        let mut known = self
            .known_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_GOOD_MAX {
            known.clear();
        }
        known.insert(*digest.as_bytes());
    }
}

/// One client: an IPv4 address, or the /64 network of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}
