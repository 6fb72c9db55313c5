//! A set of patterns as a nondeterministic automaton over segments, in machine words.
//!
//! A pattern of n pieces has n + 1 bits, which lie in one word: bit i says "the first i pieces are
//! behind us". Several patterns share a word while there is room. A step on a segment shifts the
//! bits whose piece takes the segment, keeps those that stand at a `Many`, and then lets every bit
//! at a `Many` also stand behind it (once is enough, since two `Many` are never neighbours).

use super::pattern::{Piece, RoutePattern};

/// One symbol of the alphabet: a literal, or a segment that no pattern names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol<'a> {
    Literal(&'a str),
    Fresh,
}

/// The automaton of some patterns. A state set is a slice of `words()` words.
#[derive(Debug)]
pub(super) struct Automaton<'a> {
    /// For each pattern its word and its first bits.
    starts: Vec<(usize, u64)>,
    /// Bits that stand at a `One`.
    one: Vec<u64>,
    /// Bits that stand at a `Many`.
    many: Vec<u64>,
    /// Bits that stand behind the last piece.
    accept: Vec<u64>,
    /// Bits at a `Many` that is the last piece: whatever comes, the path is accepted.
    forever: Vec<u64>,
    /// Where each literal stands: literal, word, bit. Sorted.
    literals: Vec<(&'a str, usize, u64)>,
}

impl<'a> Automaton<'a> {
    pub(super) fn new(patterns: &'a [RoutePattern]) -> Self {
        let mut automaton = Self {
            starts: Vec::with_capacity(patterns.len()),
            one: Vec::new(),
            many: Vec::new(),
            accept: Vec::new(),
            forever: Vec::new(),
            literals: Vec::with_capacity(patterns.len() * 4),
        };
        // No room yet, so the first pattern begins the first word.
        let mut free = 0;
        for pattern in patterns {
            automaton.push(pattern, &mut free);
        }
        automaton.literals.sort_unstable();
        automaton
    }

    fn push(&mut self, pattern: &'a RoutePattern, free: &mut u32) {
        let need = u32::try_from(pattern.pieces().len() + 1).unwrap_or(u32::MAX);
        if need > *free {
            *free = u64::BITS;
            for words in [
                &mut self.one,
                &mut self.many,
                &mut self.accept,
                &mut self.forever,
            ] {
                words.push(0);
            }
        }
        let word = self.one.len().saturating_sub(1);
        let mut bit = 1_u64 << (u64::BITS - *free);
        *free = free.saturating_sub(need);

        let starts_with_many = pattern.pieces().first() == Some(&Piece::Many);
        self.starts.push((
            word,
            if starts_with_many {
                bit | bit << 1
            } else {
                bit
            },
        ));
        for piece in pattern.pieces() {
            match piece {
                Piece::Literal(literal) => self.literals.push((literal, word, bit)),
                Piece::One => set(&mut self.one, bit),
                Piece::Many => set(&mut self.many, bit),
            }
            bit <<= 1;
        }
        set(&mut self.accept, bit);
        if pattern.pieces().last() == Some(&Piece::Many) {
            set(&mut self.forever, bit >> 1);
        }
    }

    /// Words of a state set.
    pub(super) fn words(&self) -> usize {
        self.one.len()
    }

    /// The state set before the first segment, for the patterns whose bits are in `mask`.
    pub(super) fn start(&self, mask: u64, states: &mut Vec<u64>) {
        states.clear();
        states.resize(self.words(), 0);
        for (index, (word, bits)) in self.starts.iter().enumerate() {
            if mask >> index & 1 == 1
                && let Some(states) = states.get_mut(*word)
            {
                *states |= bits;
            }
        }
    }

    /// The state set after one more segment.
    pub(super) fn step(&self, from: &[u64], symbol: Symbol<'_>, to: &mut Vec<u64>) {
        to.clear();
        let pieces = self.one.iter().zip(&self.many);
        to.extend(
            from.iter()
                .zip(pieces)
                .map(|(states, (one, many))| (states & one) << 1 | (states & many)),
        );
        if let Symbol::Literal(literal) = symbol {
            let first = self
                .literals
                .partition_point(|(text, _, _)| *text < literal);
            let occurrences = self.literals.get(first..).unwrap_or_default();
            for (_, word, bit) in occurrences
                .iter()
                .take_while(|(text, _, _)| *text == literal)
            {
                if let (Some(states), Some(next)) = (from.get(*word), to.get_mut(*word)) {
                    *next |= (states & bit) << 1;
                }
            }
        }
        for (states, many) in to.iter_mut().zip(&self.many) {
            *states |= (*states & many) << 1;
        }
    }

    /// Whether a path that led here is accepted.
    pub(super) fn accepts(&self, states: &[u64]) -> bool {
        meet(states, &self.accept)
    }

    /// Whether a path that led here is accepted, and every longer one.
    pub(super) fn accepts_forever(&self, states: &[u64]) -> bool {
        meet(states, &self.forever)
    }
}

fn set(words: &mut [u64], bit: u64) {
    if let Some(last) = words.last_mut() {
        *last |= bit;
    }
}

fn meet(left: &[u64], right: &[u64]) -> bool {
    left.iter()
        .zip(right)
        .any(|(left, right)| left & right != 0)
}
