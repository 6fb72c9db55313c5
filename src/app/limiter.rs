//! Rate limits of keys, and of failed authentication per client address. They are kept per node.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::mem;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::domain::api_key::KeyChain;
use crate::domain::id::{KeyId, SessionId};
use crate::domain::rate::{Bucket, RateLimit, Turn};
use crate::domain::secret::KeyDigest;

/// Buckets of one kind that are kept at most. A bucket takes up about 100 bytes.
const BUCKETS_MAX: usize = 100_000;
/// How long it is not tried again to make room where little was found, in milliseconds.
const NO_ROOM_MS: i64 = 100;
/// Keys that were good of late, in each of two generations.
const KNOWN_GOOD_MAX: usize = 50_000;

/// Buckets by name.
#[derive(Debug)]
struct Buckets<K> {
    kept: Mutex<Kept<K>>,
    count_max: usize,
}

#[derive(Debug)]
struct Kept<K> {
    by_name: HashMap<K, Bucket>,
    /// Before this it is not tried to make room.
    room_from_ms: i64,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    fn new(count_max: usize) -> Self {
        Self {
            kept: Mutex::new(Kept {
                by_name: HashMap::new(),
                room_from_ms: i64::MIN,
            }),
            count_max,
        }
    }

    /// Takes a turn. Where all places are taken by buckets that are spent, a new name has none: it
    /// passes and is not counted. To refuse it would let whoever fills the places stop all others;
    /// to forget a spent bucket would let its owner go on.
    fn take(&self, name: K, limit: RateLimit, now_ms: i64) -> Turn {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = kept.by_name.get_mut(&name) {
            return bucket.take(limit, now_ms);
        }
        let mut bucket = Bucket::default();
        let turn = bucket.take(limit, now_ms);
        if kept.has_room(self.count_max, now_ms) {
            kept.by_name.insert(name, bucket);
        }
        turn
    }

    fn peek(&self, name: &K, limit: RateLimit, now_ms: i64) -> Option<Turn> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bucket = *kept.by_name.get(name)?;
        Some(bucket.take(limit, now_ms))
    }
}

impl<K: Eq + Hash + Clone> Kept<K> {
    fn has_room(&mut self, count_max: usize, now_ms: i64) -> bool {
        if self.by_name.len() < count_max {
            return true;
        }
        if now_ms < self.room_from_ms {
            return false;
        }
        // Much at once, so that it is seldom done.
        let wanted = count_max - count_max / 8;
        self.make_room(wanted, now_ms);
        if self.by_name.len() > wanted {
            self.room_from_ms = now_ms + NO_ROOM_MS;
        }
        self.by_name.len() < count_max
    }

    /// Forgets buckets that are full again, then those that will be soonest, but none that is spent.
    fn make_room(&mut self, wanted: usize, now_ms: i64) {
        self.by_name
            .retain(|_, bucket| bucket.full_in_ms(now_ms) > 0);
        let Some(too_many) = self.by_name.len().checked_sub(wanted + 1) else {
            return;
        };
        let mut left: Vec<i64> = self
            .by_name
            .values()
            .filter(|bucket| !bucket.is_spent(now_ms))
            .map(|bucket| bucket.full_in_ms(now_ms))
            .collect();
        // With more of the same time than are too many, more go.
        let latest = match left.len().checked_sub(1) {
            None => return,
            Some(last) => *left.select_nth_unstable(too_many.min(last)).1,
        };
        self.by_name
            .retain(|_, bucket| bucket.full_in_ms(now_ms) > latest || bucket.is_spent(now_ms));
    }
}

/// Digests in two generations: when the younger one is full, the older one is forgotten.
#[derive(Debug, Default)]
struct KnownGood {
    // Half a digest, which nobody can hit. It is one of a random key, not of a password.
    young: HashSet<[u8; 16]>,
    old: HashSet<[u8; 16]>,
}

impl KnownGood {
    fn name(digest: &KeyDigest) -> [u8; 16] {
        let (half, _) = digest
            .as_bytes()
            .split_first_chunk()
            .unwrap_or((&[0; 16], &[]));
        *half
    }

    fn has(&self, digest: &KeyDigest) -> bool {
        let name = Self::name(digest);
        self.young.contains(&name) || self.old.contains(&name)
    }

    fn put(&mut self, digest: &KeyDigest) {
        if self.young.len() >= KNOWN_GOOD_MAX {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(Self::name(digest));
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
    // the good ones behind the same address.
    known_good: Mutex<KnownGood>,
}

impl Limiter {
    /// Limits with so many failed authentications per address.
    pub fn new(failure_limit: RateLimit) -> Self {
        Self {
            keys: Buckets::new(BUCKETS_MAX),
            sessions: Buckets::new(BUCKETS_MAX),
            failures: Buckets::new(BUCKETS_MAX),
            failure_limit,
            known_good: Mutex::default(),
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
        (!known.has(digest)).then_some(retry_ms)
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
        self.known_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(digest);
    }
}

/// One client: an IPv4 address, or the /64 network of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT_MAX: usize = 80;
    /// Three at once, one more each 20 seconds.
    const LIMIT: RateLimit = RateLimit {
        requests: 3,
        per_secs: 60,
    };

    fn go(buckets: &Buckets<u32>, name: u32, now_ms: i64) -> bool {
        matches!(buckets.take(name, LIMIT, now_ms), Turn::Go { .. })
    }

    fn spend(buckets: &Buckets<u32>, name: u32, now_ms: i64) {
        while go(buckets, name, now_ms) {}
    }

    fn count(buckets: &Buckets<u32>) -> usize {
        buckets.kept.lock().unwrap().by_name.len()
    }

    #[test]
    fn however_many_names_come_a_spent_bucket_stays_spent_and_no_more_are_kept() {
        let buckets = Buckets::new(COUNT_MAX);
        spend(&buckets, 0, 0);

        for name in 1..100_000 {
            assert!(go(&buckets, name, i64::from(name) / 10), "{name}");
            assert!(count(&buckets) <= COUNT_MAX);
        }

        assert!(!go(&buckets, 0, 19_999));
        assert!(go(&buckets, 0, 20_000), "and is counted exactly");
        assert!(!go(&buckets, 0, 20_000));
    }

    #[test]
    fn what_is_full_again_goes_first_then_what_will_be_soonest() {
        let buckets = Buckets::new(8);
        for name in 0..3 {
            go(&buckets, name, 0);
        }
        for name in 3..8 {
            go(&buckets, name, 30_000);
            if name > 3 {
                go(&buckets, name, 30_000);
            }
        }

        go(&buckets, 8, 30_000);
        let kept = |name| buckets.peek(&name, LIMIT, 30_000).is_some();
        assert!((0..3).all(|name| !kept(name)) && (3..9).all(kept));

        for name in 9..12 {
            go(&buckets, name, 30_000);
        }
        assert!(!kept(3), "one turn was taken of it, of the others two");
        assert!((4..8).all(kept));
    }

    /// Limits differ, so a bucket that is spent may be full again before one that is not.
    #[test]
    fn a_spent_bucket_stays_though_others_are_full_later() {
        const SHORT: RateLimit = RateLimit {
            requests: 1,
            per_secs: 1,
        };
        let buckets = Buckets::new(COUNT_MAX);
        assert!(matches!(buckets.take(0, SHORT, 0), Turn::Go { .. }));

        for name in 1..1_000 {
            assert!(go(&buckets, name, 0), "{name}");
        }

        assert!(count(&buckets) <= COUNT_MAX);
        assert!(matches!(buckets.take(0, SHORT, 999), Turn::Wait { .. }));
    }

    #[test]
    fn where_all_are_spent_a_new_name_passes_and_none_is_forgotten() {
        let buckets = Buckets::new(COUNT_MAX);
        let names = 0..u32::try_from(COUNT_MAX).unwrap();
        for name in names.clone() {
            spend(&buckets, name, 0);
        }

        for _ in 0..10 {
            assert!(go(&buckets, 1_000, 0));
        }
        assert_eq!(count(&buckets), COUNT_MAX);
        assert!(names.clone().all(|name| !go(&buckets, name, 19_999)));

        spend(&buckets, 1_000, 20_000);
        assert!(!go(&buckets, 1_000, 20_000), "there is room again");
    }

    #[test]
    fn good_keys_are_known_until_very_many_others_came() {
        let digest = |number: usize| KeyDigest::of(&number.to_le_bytes());
        let mut known = KnownGood::default();
        for number in 0..=KNOWN_GOOD_MAX {
            known.put(&digest(number));
        }

        assert!((0..=KNOWN_GOOD_MAX).all(|number| known.has(&digest(number))));
        assert!(!known.has(&digest(KNOWN_GOOD_MAX + 1)));
        for number in 0..2 * KNOWN_GOOD_MAX {
            known.put(&digest(number + 1_000_000));
        }
        assert!(!known.has(&digest(0)));
        assert!(known.young.len() + known.old.len() <= 2 * KNOWN_GOOD_MAX);
    }
}
