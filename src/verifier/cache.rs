//! Sessions whose signature was checked, by the digest of the whole token. What a session may do is
//! judged each time; that its token is genuine is not computed twice.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use crate::domain::effective::Effective;
use crate::domain::liveness::{Rev, Tags};
use crate::token::Claims;

/// A session that is genuine.
#[derive(Debug)]
pub(super) struct Genuine {
    pub(super) claims: Claims,
    pub(super) kid: String,
    pub(super) effective: Effective,
    pub(super) tags: Tags,
    pub(super) rev: Rev,
    /// The key set by which it was checked.
    pub(super) generation: u64,
}

/// SHA-256 of a token.
pub(super) type Digest = [u8; 32];

pub(super) fn digest_of(token: &str) -> Digest {
    let mut bytes = [0; 32];
    for (byte, digested) in bytes
        .iter_mut()
        .zip(digest(&SHA256, token.as_bytes()).as_ref())
    {
        *byte = *digested;
    }
    bytes
}

/// A digest is its own hash.
#[derive(Debug, Clone, Copy, Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_be_bytes(*first);
        }
    }

    // The length of the array comes this way.
    fn write_usize(&mut self, _: usize) {}
}

type Half = HashMap<Digest, Arc<Genuine>, BuildHasherDefault<DigestHasher>>;

const SHARDS: usize = 16;

/// A bounded number of sessions. Those that were not seen for long fall out.
#[derive(Debug)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    half_len_max: usize,
}

/// When the young half is full it becomes the old one, and what was in that is gone.
#[derive(Debug, Default)]
struct Shard {
    young: Half,
    old: Half,
}

impl Cache {
    /// Of at most about so many sessions; none at all with 0.
    pub(super) fn new(len_max: usize) -> Self {
        Self {
            shards: Default::default(),
            half_len_max: len_max / SHARDS / 2,
        }
    }

    fn shard(&self, digest: &Digest) -> Option<&Mutex<Shard>> {
        // Not the bytes that choose the place within a map.
        let last = digest.last().copied().unwrap_or_default();
        self.shards.get(usize::from(last) % SHARDS)
    }

    pub(super) fn find(&self, digest: &Digest) -> Option<Arc<Genuine>> {
        let mut shard = self
            .shard(digest)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = shard.young.get(digest) {
            return Some(Arc::clone(found));
        }
        let found = shard.old.remove(digest)?;
        shard.insert(*digest, Arc::clone(&found), self.half_len_max);
        Some(found)
    }

    pub(super) fn insert(&self, digest: Digest, session: Arc<Genuine>) {
        let Some(shard) = self.shard(&digest) else {
            return;
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.insert(digest, session, self.half_len_max);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let len = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap();
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(len).sum()
    }
}

impl Shard {
    fn insert(&mut self, digest: Digest, session: Arc<Genuine>, half_len_max: usize) {
        if half_len_max == 0 {
            return;
        }
        if self.young.len() >= half_len_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, session);
    }
}
