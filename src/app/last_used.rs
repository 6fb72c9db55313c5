//! When secrets were used last, written in batches. How exact that is depends on how many are in
//! use: what it costs is bounded, whatever their number (decision 0024).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::App;
use super::authorise::Facts;
use super::error::Error;
use crate::domain::secret::KeyDigest;
use crate::domain::time::Timestamp;
use crate::store::secrets::{self, LastUsed};

/// How often at most the use of one secret is noted while few are in use, in milliseconds.
const EVERY_MIN_MS: i64 = 5_000;
/// The same while very many are.
const EVERY_MAX_MS: i64 = 3_600_000;
/// Rows of one batch; a batch is written every five seconds. Each is a page of the log of SQLite.
const ROWS_MAX: usize = 2_500;
/// Rows of one transaction, for which mints wait.
const ROWS_AT_ONCE: usize = 250;
/// What waits takes up so much at most, in bytes, about.
const BYTES_MAX: usize = 4 << 20;

/// Uses that wait to be written, one of each secret.
#[derive(Debug)]
pub(super) struct LastUses {
    waiting: Mutex<Waiting>,
    every_ms: AtomicI64,
}

#[derive(Debug, Default)]
struct Waiting {
    uses: HashMap<[u8; 32], Use>,
    /// The same secrets, the one that waits longest first.
    order: VecDeque<[u8; 32]>,
    bytes: usize,
}

#[derive(Debug)]
struct Use {
    at: Timestamp,
    address: Option<IpAddr>,
    agent: Option<Box<str>>,
}

impl Default for LastUses {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            every_ms: AtomicI64::new(EVERY_MIN_MS),
        }
    }
}

impl LastUses {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a use has to be noted of a secret of which one was noted at `noted_ms`.
    pub(super) fn is_due(&self, noted_ms: i64, now: Timestamp) -> bool {
        now.millis().saturating_sub(noted_ms) >= self.every_ms.load(Ordering::Relaxed)
    }

    /// Notes a use. Where there is no room it is not, and should be tried again with the next one.
    pub(super) fn note(
        &self,
        digest: &KeyDigest,
        at: Timestamp,
        address: Option<IpAddr>,
        agent: Option<&str>,
    ) -> bool {
        let agent = agent.map(Box::from);
        let mut waiting = self.waiting();
        waiting.put(*digest.as_bytes(), Use { at, address, agent })
    }

    /// Takes out the uses that waited longest, as many as one batch has. By how many there were it
    /// is set how often the use of a secret is noted from now on.
    fn take(&self) -> Vec<(KeyDigest, LastUsed)> {
        let mut waiting = self.waiting();
        let every_ms = self.every_ms.load(Ordering::Relaxed);
        let every_ms = match waiting.uses.len() {
            count if count > ROWS_MAX => every_ms * 2,
            // Far enough below, so that it does not go back and forth.
            count if count < ROWS_MAX / 4 => every_ms / 2,
            _ => every_ms,
        };
        let every_ms = every_ms.clamp(EVERY_MIN_MS, EVERY_MAX_MS);
        self.every_ms.store(every_ms, Ordering::Relaxed);
        let mut taken = Vec::with_capacity(waiting.uses.len().min(ROWS_MAX));
        while taken.len() < ROWS_MAX
            && let Some((digest, used)) = waiting.take_first()
        {
            taken.extend(KeyDigest::from_bytes(&digest).map(|digest| (digest, used.into())));
        }
        if waiting.uses.is_empty() {
            // Room that one hour needed is not kept for ever.
            *waiting = Waiting::default();
        }
        drop(waiting);
        // Nodes that write the same secrets do so in the same order.
        taken.sort_unstable_by(|left: &(KeyDigest, LastUsed), right| {
            left.0.as_bytes().cmp(right.0.as_bytes())
        });
        taken
    }

    /// Lets uses wait again that could not be written.
    fn put_back(&self, uses: &[(KeyDigest, LastUsed)]) {
        let mut waiting = self.waiting();
        for (digest, used) in uses {
            if waiting.uses.contains_key(digest.as_bytes()) {
                continue;
            }
            let again = Use {
                at: used.at,
                address: used.address.as_ref().and_then(|text| text.parse().ok()),
                agent: used.agent.as_deref().map(Box::from),
            };
            waiting.put(*digest.as_bytes(), again);
        }
    }
}

impl Waiting {
    fn put(&mut self, digest: [u8; 32], used: Use) -> bool {
        let bytes = used.bytes();
        if let Some(earlier) = self.uses.get_mut(&digest) {
            self.bytes = self.bytes + bytes - earlier.bytes();
            *earlier = used;
            return true;
        }
        if self.bytes + bytes > BYTES_MAX {
            return false;
        }
        self.bytes += bytes;
        self.order.push_back(digest);
        self.uses.insert(digest, used);
        true
    }

    fn take_first(&mut self) -> Option<([u8; 32], Use)> {
        let digest = self.order.pop_front()?;
        let used = self.uses.remove(&digest)?;
        self.bytes -= used.bytes();
        Some((digest, used))
    }
}

impl Use {
    /// With its places in both collections, which are half empty at worst.
    fn bytes(&self) -> usize {
        const ALLOCATION: usize = 16;
        const PLACES: usize = 2 * (size_of::<([u8; 32], Use)>() + size_of::<[u8; 32]>());
        let agent = self.agent.as_ref();
        PLACES + agent.map_or(0, |agent| agent.len() + ALLOCATION)
    }
}

impl From<Use> for LastUsed {
    fn from(used: Use) -> Self {
        Self {
            at: used.at,
            address: used.address.map(|address| address.to_string()),
            agent: used.agent.map(String::from),
        }
    }
}

impl App {
    /// Notes the use of a secret, not at each request. When a use of it was noted last, in
    /// milliseconds.
    pub(super) fn note_last_use(
        &self,
        digest: &KeyDigest,
        noted_ms: i64,
        facts: &Facts,
        now: Timestamp,
    ) -> i64 {
        let uses = &self.last_uses;
        let agent = facts.agent.as_deref();
        if uses.is_due(noted_ms, now) && uses.note(digest, now, facts.address, agent) {
            now.millis()
        } else {
            noted_ms
        }
    }

    /// Writes a batch of last uses. Whether more wait.
    ///
    /// # Errors
    /// [`Error`]; what was not written waits for the next time, as far as there is room.
    pub async fn write_last_used(&self) -> Result<bool, Error> {
        let uses = self.last_uses.take();
        let mut rest = uses.as_slice();
        while !rest.is_empty() {
            let (some, behind) = rest.split_at(rest.len().min(ROWS_AT_ONCE));
            if let Err(error) = self.touch(some).await {
                self.last_uses.put_back(rest);
                return Err(error);
            }
            rest = behind;
        }
        Ok(!self.last_uses.waiting().uses.is_empty())
    }

    async fn touch(&self, uses: &[(KeyDigest, LastUsed)]) -> Result<(), Error> {
        let mut tx = self.store.write().await?;
        secrets::touch(tx.conn(), uses).await?;
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> KeyDigest {
        KeyDigest::of(&number.to_le_bytes())
    }

    fn note(uses: &LastUses, number: usize, now_ms: i64) -> bool {
        let now = Timestamp::from_millis(now_ms);
        uses.note(&digest(number), now, None, Some("till/1.0"))
    }

    fn is_due(uses: &LastUses, noted_ms: i64, now_ms: i64) -> bool {
        uses.is_due(noted_ms, Timestamp::from_millis(now_ms))
    }

    #[test]
    fn with_few_in_use_each_is_noted_every_five_seconds() {
        let uses = LastUses::default();
        for turn in 0..100 {
            let now = turn * 5_000;
            assert!(is_due(&uses, i64::MIN, now));
            assert!(!is_due(&uses, now, now + 4_999));
            assert!(is_due(&uses, now, now + 5_000));
            for number in 0..ROWS_MAX {
                assert!(note(&uses, number, now));
                assert!(note(&uses, number, now + 1));
            }
            let taken = uses.take();
            assert_eq!(taken.len(), ROWS_MAX);
            assert!(taken.iter().all(|(_, used)| used.at.millis() == now + 1));
        }
    }

    #[test]
    fn with_more_in_use_they_are_noted_less_often_until_a_batch_is_enough() {
        const COUNT: usize = 4 * ROWS_MAX;
        let uses = LastUses::default();
        let mut noted = vec![i64::MIN; COUNT];
        let (mut written, mut oldest) = (0, 0);
        for turn in 0..200_i64 {
            let now = turn * 5_000;
            for (number, noted) in noted.iter_mut().enumerate() {
                if is_due(&uses, *noted, now) && note(&uses, number, now) {
                    *noted = now;
                }
            }
            let taken = uses.take();
            assert!(taken.len() <= ROWS_MAX);
            if turn >= 100 {
                written += taken.len();
                let age = taken.iter().map(|(_, used)| now - used.at.millis());
                oldest = oldest.max(age.max().unwrap_or(0));
            }
        }

        assert!(written <= 100 * ROWS_MAX);
        assert!(written >= 100 * ROWS_MAX / 4, "{written}");
        assert!(oldest <= 60_000, "{oldest}");

        // When few are left, it is as exact as before soon.
        for _ in 0..20 {
            uses.take();
        }
        assert!(is_due(&uses, 0, EVERY_MIN_MS));
    }

    #[test]
    fn what_waits_is_bounded_whoever_comes_and_whatever_they_say() {
        let uses = LastUses::default();
        let agent = "x".repeat(512);
        let noted = (0..100_000)
            .filter(|number| {
                let now = Timestamp::from_millis(1);
                uses.note(&digest(*number), now, None, Some(&agent))
            })
            .count();

        assert!(noted > ROWS_MAX && noted * 512 < BYTES_MAX, "{noted}");
        assert!(uses.waiting().bytes <= BYTES_MAX);
        for _ in 0..12 {
            uses.take();
            uses.take();
        }
        assert_eq!(uses.waiting().bytes, 0);
        for _ in 0..20 {
            note(&uses, 1, 1);
            while !uses.waiting().uses.is_empty() {
                uses.take();
            }
        }
        assert!(!is_due(&uses, 0, EVERY_MIN_MS - 1));
    }

    #[test]
    fn never_is_it_less_often_than_once_an_hour() {
        let uses = LastUses::default();
        for _ in 0..50 {
            for number in 0..=ROWS_MAX {
                note(&uses, number, 0);
            }
            while !uses.waiting().uses.is_empty() {
                uses.take();
                if uses.waiting().uses.len() < 2 {
                    break;
                }
            }
        }
        assert!(!is_due(&uses, 0, EVERY_MAX_MS - 1));
        assert!(is_due(&uses, 0, EVERY_MAX_MS));
    }

    #[test]
    fn what_could_not_be_written_waits_unless_there_was_a_later_use() {
        let uses = LastUses::default();
        note(&uses, 1, 5);
        note(&uses, 2, 5);
        let taken = uses.take();
        note(&uses, 2, 9);
        uses.put_back(&taken);

        let mut at: Vec<_> = uses
            .take()
            .iter()
            .map(|(_, used)| used.at.millis())
            .collect();
        at.sort_unstable();
        assert_eq!(at, [5, 9]);
    }
}
