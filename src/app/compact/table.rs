//! A table of very many small things by digest, without an allocation for each.
//!
//! The things lie side by side in chunks, so that the table grows without being copied and has no
//! empty places. Where each lies stands in an index with open addressing, four bytes for a place,
//! which are mostly full. What is looked for in vain touches, nearly always, the index alone.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

/// Things in one chunk.
const CHUNK: usize = 32;
/// Bits of an entry of the index that say where the thing lies, counted from one.
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// Places of the smallest index.
const PLACES_MIN: usize = 64;

/// What lies in a table.
pub(crate) trait Named {
    /// The digest by which it is found, random in every bit. The whole of it is compared.
    fn name(&self) -> &[u8; 32];
    /// Set when it is found.
    fn used(&self) -> &AtomicBool;
}

/// Many things by name.
#[derive(Debug)]
pub(crate) struct Table<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
    /// Nothing, or in the upper bits some of the name, in the lower ones where the thing lies.
    index: Box<[u32]>,
    /// Where whoever makes room looks next.
    hand: usize,
}

impl<T: Named> Table<T> {
    /// Things in a table at most.
    pub(crate) const LEN_MAX: usize = (1 << SLOT_BITS) - 2;

    /// An empty table.
    pub(crate) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
            index: Box::default(),
            hand: 0,
        }
    }

    /// How many bytes it takes up by itself.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + size_of_val(&*self.index)
    }

    /// How many things are in it.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The thing of a name.
    pub(crate) fn get(&self, name: &[u8; 32]) -> Option<&T> {
        let (_, slot) = self.find(name)?;
        let found = self.at(slot)?;
        if !found.used().load(Ordering::Relaxed) {
            found.used().store(true, Ordering::Relaxed);
        }
        Some(found)
    }

    /// The thing of a name, to be changed. Its name must stay.
    pub(crate) fn get_mut(&mut self, name: &[u8; 32]) -> Option<&mut T> {
        let (_, slot) = self.find(name)?;
        self.at_mut(slot)
    }

    /// Puts a thing into the table; gives the one of the same name, whose place it takes. A table
    /// that is full gives back what it was given.
    pub(crate) fn put(&mut self, thing: T) -> Option<T> {
        if let Some(old) = self.get_mut(thing.name()) {
            return Some(mem::replace(old, thing));
        }
        if self.len >= Self::LEN_MAX {
            return Some(thing);
        }
        if (self.len + 1) * 8 > self.index.len() * 7 {
            self.index = Box::from(vec![0; PLACES_MIN.max(self.index.len() / 4 * 5)]);
            for slot in 0..self.len {
                self.enter(slot);
            }
        }
        let slot = self.len;
        if self.chunks.len() * CHUNK <= slot {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(last) = self.chunks.last_mut() {
            last.push(thing);
            self.len += 1;
            self.enter(slot);
        }
        None
    }

    /// Takes out the next thing that was not looked for since the last time that it was passed.
    pub(crate) fn take_one(&mut self) -> Option<T> {
        // Twice around, everything was passed once before.
        for _ in 0..=2 * self.len {
            if self.hand >= self.len {
                self.hand = 0;
            }
            let passed = self.at(self.hand)?;
            if !passed.used().swap(false, Ordering::Relaxed) {
                return self.take(self.hand);
            }
            self.hand += 1;
        }
        None
    }

    fn take(&mut self, slot: usize) -> Option<T> {
        let (place, _) = self.find(self.at(slot)?.name())?;
        self.leave(place);
        let last = self.len.checked_sub(1)?;
        if slot != last {
            // The last one comes into the gap.
            let (place, _) = self.find(self.at(last)?.name())?;
            let entry = entry(self.at(last)?.name(), slot);
            *self.index.get_mut(place)? = entry;
        }
        let moved = self.chunks.last_mut()?.pop()?;
        self.len = last;
        if last.is_multiple_of(CHUNK) {
            self.chunks.pop();
        }
        if slot == last {
            return Some(moved);
        }
        self.at_mut(slot).map(|gap| mem::replace(gap, moved))
    }

    fn at(&self, slot: usize) -> Option<&T> {
        self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)
    }

    fn at_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
    }

    /// Where a name stands in the index, and where its thing lies.
    fn find(&self, name: &[u8; 32]) -> Option<(usize, usize)> {
        let mark = entry(name, 0) & !SLOT_MASK;
        let mut place = self.home(name)?;
        loop {
            let found = *self.index.get(place)?;
            let slot = slot_of(found)?;
            if found & !SLOT_MASK == mark && self.at(slot)?.name() == name {
                return Some((place, slot));
            }
            place = self.next(place);
        }
    }

    /// Writes into the index where a thing lies that does not stand there.
    fn enter(&mut self, slot: usize) {
        let Some(name) = self.at(slot).map(Named::name) else {
            return;
        };
        let entry = entry(name, slot);
        let Some(mut place) = self.home(name) else {
            return;
        };
        // There is always an empty place.
        while self.index.get(place).is_some_and(|taken| *taken != 0) {
            place = self.next(place);
        }
        if let Some(empty) = self.index.get_mut(place) {
            *empty = entry;
        }
    }

    /// Empties a place of the index and closes the gap, so that who stands behind it is found.
    fn leave(&mut self, place: usize) {
        let mut gap = place;
        let mut next = self.next(gap);
        while let Some(slot) = self.index.get(next).copied().and_then(slot_of) {
            let home = self.at(slot).and_then(|thing| self.home(thing.name()));
            let Some(home) = home else { break };
            // Whether its home lies behind the gap, up to where it stands: then it stays.
            let stays = if gap < next {
                gap < home && home <= next
            } else {
                gap < home || home <= next
            };
            if !stays {
                self.index.swap(gap, next);
                gap = next;
            }
            next = self.next(next);
        }
        if let Some(gap) = self.index.get_mut(gap) {
            *gap = 0;
        }
    }

    /// The place at which a name stands if nobody else does.
    fn home(&self, name: &[u8; 32]) -> Option<usize> {
        let (first, _) = name.split_first_chunk()?;
        let random = u64::from(u32::from_le_bytes(*first));
        let places = u64::try_from(self.index.len()).ok()?;
        usize::try_from((random * places) >> 32).ok()
    }

    const fn next(&self, place: usize) -> usize {
        if place + 1 >= self.index.len() {
            0
        } else {
            place + 1
        }
    }
}

/// An entry of the index: twelve bits of the name by which no place is picked, and where it lies.
fn entry(name: &[u8; 32], slot: usize) -> u32 {
    let (mark, _) = name
        .get(4..)
        .and_then(|rest| rest.split_first_chunk())
        .unwrap_or((&[0; 4], &[]));
    let slot = u32::try_from(slot + 1).unwrap_or(0) & SLOT_MASK;
    (u32::from_le_bytes(*mark) & !SLOT_MASK) | slot
}

fn slot_of(entry: u32) -> Option<usize> {
    usize::try_from(entry & SLOT_MASK).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::entropy::{Entropy, SeededEntropy};

    #[derive(Debug)]
    struct Thing {
        name: [u8; 32],
        value: usize,
        used: AtomicBool,
    }

    impl Named for Thing {
        fn name(&self) -> &[u8; 32] {
            &self.name
        }
        fn used(&self) -> &AtomicBool {
            &self.used
        }
    }

    fn thing(name: [u8; 32], value: usize) -> Thing {
        Thing {
            name,
            value,
            used: AtomicBool::new(false),
        }
    }

    #[test]
    fn it_has_what_a_map_would_have_whatever_was_put_and_taken() {
        let entropy: &dyn Entropy = &SeededEntropy::new(1);
        let names: Vec<[u8; 32]> = (0..3_000).map(|_| entropy.bytes().unwrap()).collect();
        let mut table = Table::new();
        let mut map = HashMap::new();
        for turn in 0..30_000_usize {
            let [one, two, ..]: [u8; 8] = entropy.bytes().unwrap();
            let name = names[(usize::from(one) * 256 + usize::from(two)) % names.len()];
            // It grows for a while, and shrinks for a while.
            let puts = if (turn / 5_000).is_multiple_of(2) {
                3
            } else {
                1
            };
            if turn % 4 < puts {
                let old = table.put(thing(name, turn)).map(|old| old.value);
                assert_eq!(old, map.insert(name, turn));
            } else if let Some(taken) = table.take_one() {
                assert_eq!(map.remove(&taken.name), Some(taken.value));
            }
            assert_eq!(table.len(), map.len());
            if turn % 500 == 0 {
                for name in &names {
                    assert_eq!(table.get(name).map(|t| t.value), map.get(name).copied());
                }
            }
        }
        while let Some(taken) = table.take_one() {
            assert_eq!(map.remove(&taken.name), Some(taken.value));
        }
        assert!(map.is_empty());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn the_whole_name_is_compared() {
        let mut table = Table::new();
        table.put(thing([7; 32], 1));

        for byte in 0..32 {
            let mut other = [7; 32];
            other[byte] = 8;
            assert!(table.get(&other).is_none(), "{byte}");
        }
        assert!(table.get(&[7; 32]).is_some());
    }

    #[test]
    fn what_was_looked_for_goes_after_what_was_not() {
        let entropy: &dyn Entropy = &SeededEntropy::new(2);
        let mut table = Table::new();
        let names: Vec<[u8; 32]> = (0..1_000).map(|_| entropy.bytes().unwrap()).collect();
        for name in &names {
            table.put(thing(*name, 0));
        }
        for name in names.iter().step_by(2) {
            assert!(table.get(name).is_some());
        }
        for _ in 0..500 {
            table.take_one().unwrap();
        }

        assert!(
            names
                .iter()
                .step_by(2)
                .all(|name| table.get(name).is_some())
        );
    }

    #[test]
    fn an_entry_costs_little_more_than_the_thing() {
        let entropy: &dyn Entropy = &SeededEntropy::new(3);
        let mut table = Table::new();
        for _ in 0..20_000 {
            table.put(thing(entropy.bytes().unwrap(), 0));
        }

        let things = table.len() * size_of::<Thing>();
        assert!(
            table.bytes() < things + 7 * table.len(),
            "{}",
            table.bytes()
        );
    }
}
