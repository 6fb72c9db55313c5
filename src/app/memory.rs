//! What is remembered of keys, accounts and verified tokens, so that a request which was seen before
//! asks the database nothing. Nothing here is believed by itself: whoever takes something out asks
//! the [`Pulse`](super::pulse::Pulse) whether it still holds.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Parts with a lock each, so that whoever writes holds up few.
const SHARDS: usize = 16;

/// What takes up memory, about.
pub trait Weigh {
    /// In bytes, what it points to included, as far as that is its own.
    fn weigh(&self) -> usize;
}

/// A bounded memory. When a part is full, what was not asked for of late goes first.
#[derive(Debug)]
pub struct Memory<K, V, S = RandomState> {
    shards: [RwLock<Shard<K, V, S>>; SHARDS],
    shard_bytes_max: usize,
    hasher: S,
}

#[derive(Debug)]
struct Shard<K, V, S> {
    slots: HashMap<K, Slot<V>, S>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<V> {
    value: Arc<V>,
    bytes: usize,
    used: AtomicBool,
}

/// A digest of a credential, by which it is remembered. The whole of it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByDigest(pub [u8; 32]);

impl Hash for ByDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A part of a SHA-256 is as good a hash as any.
        let (first, _) = self.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        state.write_u64(u64::from_le_bytes(*first));
    }
}

/// For names that are random already, such as digests.
pub type Quick = BuildHasherDefault<TakeIt>;

/// Takes eight bytes that are random already for the hash; anything else is hashed.
#[derive(Debug, Default)]
pub struct TakeIt(u64);

impl Hasher for TakeIt {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write(bytes);
        self.0 = hasher.finish();
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl<K: Eq + Hash, V: Weigh, S: BuildHasher + Clone + Default> Memory<K, V, S> {
    /// An empty memory of so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        let hasher = S::default();
        Self {
            shards: std::array::from_fn(|_| {
                RwLock::new(Shard {
                    slots: HashMap::with_hasher(hasher.clone()),
                    bytes: 0,
                })
            }),
            shard_bytes_max: bytes_max / SHARDS,
            hasher,
        }
    }

    fn shard(&self, name: &K) -> Option<&RwLock<Shard<K, V, S>>> {
        // Not the bits by which a map picks its places.
        let place = usize::try_from(self.hasher.hash_one(name) >> 40).unwrap_or(0) % SHARDS;
        self.shards.get(place)
    }

    /// What is remembered under a name.
    pub fn get(&self, name: &K) -> Option<Arc<V>> {
        let shard = self.shard(name)?;
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        let slot = shard.slots.get(name)?;
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(&slot.value))
    }

    /// Remembers something, in place of what was remembered under the same name.
    pub fn put(&self, name: K, value: Arc<V>) {
        let bytes = value.weigh() + size_of::<(K, Slot<V>)>();
        let Some(shard) = self.shard(&name) else {
            return;
        };
        if bytes > self.shard_bytes_max {
            return;
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let slot = Slot {
            value,
            bytes,
            // What is asked for once and never again goes before what is asked for twice.
            used: AtomicBool::new(false),
        };
        shard.bytes += bytes;
        if let Some(old) = shard.slots.insert(name, slot) {
            shard.bytes -= old.bytes;
        }
        if shard.bytes > self.shard_bytes_max {
            shard.make_room(self.shard_bytes_max / 4 * 3);
        }
    }

    /// Forgets everything.
    pub fn forget(&self) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.slots.clear();
            shard.bytes = 0;
        }
    }

    /// How many bytes are taken up, about.
    pub fn bytes(&self) -> usize {
        let bytes = |shard: &RwLock<Shard<K, V, S>>| {
            shard.read().unwrap_or_else(PoisonError::into_inner).bytes
        };
        self.shards.iter().map(bytes).sum()
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Shard<K, V, S> {
    /// Drops what was not used since the last time that room was made, and if that was not enough,
    /// whatever comes first.
    fn make_room(&mut self, bytes_wanted: usize) {
        let mut bytes = self.bytes;
        let mut unused = |slot: &Slot<V>| {
            let drop = bytes > bytes_wanted && !slot.used.swap(false, Ordering::Relaxed);
            if drop {
                bytes -= slot.bytes;
            }
            drop
        };
        self.slots.retain(|_, slot| !unused(slot));
        self.slots.retain(|_, slot| {
            let drop = bytes > bytes_wanted;
            if drop {
                bytes -= slot.bytes;
            }
            !drop
        });
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Digests = Memory<ByDigest, Heavy, Quick>;

    #[derive(Debug)]
    struct Heavy(usize);

    impl Weigh for Heavy {
        fn weigh(&self) -> usize {
            self.0
        }
    }

    fn name(number: u64) -> ByDigest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        bytes[31] = 1;
        ByDigest(bytes)
    }

    #[test]
    fn what_was_put_is_there_and_nothing_else() {
        let memory = Digests::new(1 << 20);
        memory.put(name(1), Arc::new(Heavy(10)));

        assert_eq!(memory.get(&name(1)).unwrap().0, 10);
        assert!(memory.get(&name(2)).is_none());
        let mut twin = name(1);
        twin.0[31] = 2;
        assert!(memory.get(&twin).is_none(), "the whole digest is compared");
    }

    #[test]
    fn it_never_grows_beyond_its_bound_and_keeps_what_is_used() {
        const BYTES_MAX: usize = 1 << 20;
        let memory = Digests::new(BYTES_MAX);
        memory.put(name(0), Arc::new(Heavy(1_000)));

        for number in 1..20_000 {
            memory.put(name(number), Arc::new(Heavy(1_000)));
            assert!(
                memory.get(&name(0)).is_some(),
                "used each time, after {number}"
            );
            assert!(memory.bytes() <= BYTES_MAX);
        }

        assert!(memory.bytes() > BYTES_MAX / 2, "it is put to use");
        assert!(memory.get(&name(1)).is_none());
    }

    #[test]
    fn what_is_put_again_takes_the_place_of_the_old() {
        let memory = Digests::new(1 << 20);
        for _ in 0..10_000 {
            memory.put(name(7), Arc::new(Heavy(1_000)));
        }

        let one = 1_000 + size_of::<(ByDigest, Slot<Heavy>)>();
        assert_eq!(memory.bytes(), one);
    }

    #[test]
    fn what_is_larger_than_a_part_is_not_kept() {
        let memory = Digests::new(16 * 100);
        memory.put(name(1), Arc::new(Heavy(1_000)));

        assert!(memory.get(&name(1)).is_none());
    }
}
