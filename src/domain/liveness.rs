//! Liveness of tokens: one question, asked in the same way at every door (DESIGN.md §9).
//!
//! A token carries `lin`, the revocation tags of all that it descends from, and `rev`, the position
//! of the change log as of which it was minted. It is dead if and only if the log has an entry with
//! one of its tags at a position above its `rev`. No clock, no walk, no session row.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::entropy::{Entropy, NoEntropy};

/// What is ended by one entry of the log: a key, a line of keys, a family of sessions, an account
/// with all below it, or a right to impersonate. 64 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u64);

impl Tag {
    /// Stands for the webhooks of all accounts, of which nodes remember together who wants to be told
    /// what. No token carries it, so nothing can be ended by it.
    pub const WEBHOOKS: Self = Self(u64::from_be_bytes(*b"webhooks"));

    /// A new tag.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn new(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        Ok(Self(u64::from_be_bytes(entropy.bytes()?)))
    }

    /// As the database holds it: the same 64 bits as a signed number.
    pub const fn to_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// Reads what [`Self::to_i64`] gives.
    pub const fn from_i64(number: i64) -> Self {
        Self(number.cast_unsigned())
    }

    /// Eight bytes, the highest first.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Reads what [`Self::to_bytes`] gives.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// Eleven characters of base64url.
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_bytes())
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`BadLivenessClaim`].
    pub fn decode(text: &str) -> Result<Self, BadLivenessClaim> {
        Ok(Self(decode_u64(text)?))
    }
}

fn decode_u64(text: &str) -> Result<u64, BadLivenessClaim> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadLivenessClaim)?;
    let bytes = bytes.try_into().map_err(|_| BadLivenessClaim)?;
    Ok(u64::from_be_bytes(bytes))
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({:016x})", self.0)
    }
}

/// A place in the change log: `greatest(last + 1, microseconds since 1970)`, in commit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(i64);

impl Position {
    /// From the database.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// For the database.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// Which log: a restored database gets a new one, and every token of the old one is dead.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(u64);

impl LogId {
    /// A new log.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn new(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        Ok(Self(u64::from_be_bytes(entropy.bytes()?)))
    }

    /// For the database.
    pub const fn to_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// From the database.
    pub const fn from_i64(number: i64) -> Self {
        Self(number.cast_unsigned())
    }

    /// Eleven characters of base64url, as in `rev`.
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_be_bytes())
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`BadLivenessClaim`].
    pub fn decode(text: &str) -> Result<Self, BadLivenessClaim> {
        Ok(Self(decode_u64(text)?))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({:016x})", self.0)
    }
}

/// As of which log and position something was read: the claim `rev`, `<log>.<position>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rev {
    /// The log.
    pub log: LogId,
    /// The lowest position as of which anything that the mint relied on was read.
    pub position: Position,
}

/// A claim that is not a list of tags or not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed revocation claim")]
pub struct BadLivenessClaim;

impl Rev {
    /// The claim.
    pub fn encode(self) -> String {
        format!("{}.{}", self.log.encode(), self.position.0)
    }

    /// Reads the claim.
    ///
    /// # Errors
    /// [`BadLivenessClaim`] unless it is exactly what [`Self::encode`] writes.
    pub fn decode(text: &str) -> Result<Self, BadLivenessClaim> {
        let (log, position) = text.split_once('.').ok_or(BadLivenessClaim)?;
        let log = LogId::decode(log)?;
        let position = Position(position.parse().map_err(|_| BadLivenessClaim)?);
        let rev = Self { log, position };
        if rev.encode() == text && position >= Position(0) {
            Ok(rev)
        } else {
            Err(BadLivenessClaim)
        }
    }

    /// The lower of two, for what relied on both. Different logs cannot be compared.
    pub fn min(self, other: Self) -> Option<Self> {
        (self.log == other.log).then(|| Self {
            log: self.log,
            position: self.position.min(other.position),
        })
    }
}

/// The tags of a token, each once, in the order in which they were added: the claim `lin`, eight
/// bytes a tag in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a tag unless it is there.
    pub fn add(&mut self, tag: Tag) {
        if !self.0.contains(&tag) {
            self.0.push(tag);
        }
    }

    /// Adds all of another.
    pub fn add_all(&mut self, other: &Self) {
        for tag in &other.0 {
            self.add(*tag);
        }
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Tag> + '_ {
        self.0.iter().copied()
    }

    /// The claim.
    pub fn encode(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|tag| tag.0.to_be_bytes()).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the claim. A token without a tag could never be ended, so it is refused.
    ///
    /// # Errors
    /// [`BadLivenessClaim`].
    pub fn decode(text: &str) -> Result<Self, BadLivenessClaim> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadLivenessClaim)?;
        let (chunks, rest) = bytes.as_chunks::<8>();
        if chunks.is_empty() || !rest.is_empty() {
            return Err(BadLivenessClaim);
        }
        Ok(Self(
            chunks
                .iter()
                .map(|chunk| Tag(u64::from_be_bytes(*chunk)))
                .collect(),
        ))
    }
}

/// What is known of the change log: for each tag the last position at which it was ended.
#[derive(Debug, Clone)]
pub struct EndedTags {
    log: LogId,
    confirmed: Position,
    // The highest position of an entry that was forgotten.
    floor: Position,
    ended: HashMap<Tag, Position, BuildHasherDefault<TagHasher>>,
}

/// Tags are random, and made by hallpass alone: each is its own hash.
#[derive(Debug, Clone, Copy, Default)]
struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never asked: a tag writes itself as a number. Still a hash, if it were.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, tag: u64) {
        self.0 = tag;
    }
}

/// What was changed of late without being ended: for each tag the last position at which it was
/// touched. A memory of something is out of date if and only if one of the tags of what it holds was
/// touched above the position as of which it was read.
#[derive(Debug, Clone)]
pub struct TouchedTags {
    // What was read at or below this may have been touched unseen.
    floor: Position,
    touched: HashMap<Tag, Position>,
}

impl TouchedTags {
    /// Touches that are kept at most. Beyond it the older half is forgotten, which costs whoever
    /// remembers something older one more look into the database.
    const KEPT_MAX: usize = 100_000;

    /// Nothing is known of touches up to `floor`.
    pub fn new(floor: Position) -> Self {
        Self {
            floor,
            touched: HashMap::new(),
        }
    }

    /// Takes in one touch.
    pub fn touch(&mut self, tag: Tag, at: Position) {
        let last = self.touched.entry(tag).or_insert(at);
        *last = (*last).max(at);
        if self.touched.len() > Self::KEPT_MAX {
            let mut positions: Vec<Position> = self.touched.values().copied().collect();
            let middle = positions.len() / 2;
            let (_, middle, _) = positions.select_nth_unstable(middle);
            self.raise_floor(*middle);
        }
    }

    /// Touches up to here are not all known.
    pub fn raise_floor(&mut self, floor: Position) {
        if floor > self.floor {
            self.floor = floor;
            self.touched.retain(|_, at| *at > floor);
        }
    }

    /// Whether what was read as of a position is still so.
    pub fn is_current(&self, tags: &Tags, read_at: Position) -> bool {
        read_at >= self.floor
            && tags
                .iter()
                .all(|tag| self.touched.get(&tag).is_none_or(|at| *at <= read_at))
    }
}

/// Why a token is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// One of its tags was ended after it was minted.
    Ended,
    /// It was minted under another log.
    OtherLog,
    /// It was minted before an entry that was forgotten, so whether it was ended is not known any
    /// more. Every such token has expired, unless the clock was put back.
    Forgotten,
}

impl EndedTags {
    /// Nothing is ended in this log up to `confirmed` but what is added next.
    pub fn new(log: LogId, confirmed: Position) -> Self {
        Self {
            log,
            confirmed,
            floor: Position(0),
            ended: HashMap::default(),
        }
    }

    /// The log, and up to where it is known.
    pub const fn known(&self) -> Rev {
        Rev {
            log: self.log,
            position: self.confirmed,
        }
    }

    /// Takes in one entry of the log.
    pub fn end(&mut self, tag: Tag, at: Position) {
        let last = self.ended.entry(tag).or_insert(at);
        *last = (*last).max(at);
    }

    /// All up to here was taken in.
    pub fn confirm(&mut self, up_to: Position) {
        self.confirmed = self.confirmed.max(up_to);
    }

    /// Forgets entries up to here: every token that was minted before them has expired. One that
    /// has not is dead from now on, since nobody remembers whether it was ended.
    pub fn forget(&mut self, up_to: Position) {
        let forgotten = self
            .ended
            .values()
            .filter(|at| **at <= up_to)
            .max()
            .copied();
        if let Some(floor) = forgotten {
            self.raise_floor(floor);
        }
        self.ended.retain(|_, at| *at > up_to);
    }

    /// Drops the entries that no longer decide anything: who was minted before them is dead by the
    /// floor alone.
    pub fn compact(&mut self) {
        let floor = self.floor;
        self.ended.retain(|_, at| *at > floor);
        if self.ended.len() < self.ended.capacity() / 4 {
            self.ended.shrink_to_fit();
        }
    }

    /// Tags that are remembered.
    pub fn len(&self) -> usize {
        self.ended.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }

    /// Entries up to here are not remembered.
    pub const fn floor(&self) -> Position {
        self.floor
    }

    /// Entries up to here were forgotten elsewhere, or before this process began.
    pub fn raise_floor(&mut self, floor: Position) {
        self.floor = self.floor.max(floor);
    }

    /// The one question.
    ///
    /// # Errors
    /// [`Dead`], with the reason.
    pub fn check(&self, tags: &Tags, rev: Rev) -> Result<(), Dead> {
        if rev.log != self.log {
            return Err(Dead::OtherLog);
        }
        if rev.position < self.floor {
            return Err(Dead::Forgotten);
        }
        for tag in &tags.0 {
            if self.ended.get(tag).is_some_and(|at| *at > rev.position) {
                return Err(Dead::Ended);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    fn tag(seed: u64) -> Tag {
        Tag::new(&SeededEntropy::new(seed)).unwrap()
    }

    #[test]
    fn a_token_dies_by_any_of_its_tags_ended_after_its_mint_and_by_nothing_else() {
        let log = LogId::new(&SeededEntropy::new(9)).unwrap();
        let mut tags = Tags::new();
        tags.add(tag(1));
        tags.add(tag(2));
        let mut ended = EndedTags::new(log, Position::new(100));
        ended.end(tag(2), Position::new(50));
        ended.end(tag(3), Position::new(90));

        let at = |position| Rev {
            log,
            position: Position::new(position),
        };
        assert_eq!(ended.check(&tags, at(49)), Err(Dead::Ended));
        assert_eq!(ended.check(&tags, at(50)), Ok(()));
        assert_eq!(ended.check(&tags, at(51)), Ok(()));
        ended.end(tag(2), Position::new(40));
        assert_eq!(
            ended.check(&tags, at(49)),
            Err(Dead::Ended),
            "an older entry undoes nothing"
        );
        let other = LogId::new(&SeededEntropy::new(10)).unwrap();
        let foreign = Rev {
            log: other,
            position: Position::new(99),
        };
        assert_eq!(ended.check(&tags, foreign), Err(Dead::OtherLog));
    }

    #[test]
    fn what_was_ended_by_a_forgotten_entry_stays_dead() {
        let log = LogId::new(&SeededEntropy::new(9)).unwrap();
        let mut tags = Tags::new();
        tags.add(tag(1));
        let mut ended = EndedTags::new(log, Position::new(100));
        ended.end(tag(2), Position::new(50));

        ended.forget(Position::new(60));

        let at = |position| Rev {
            log,
            position: Position::new(position),
        };
        assert_eq!(ended.check(&tags, at(49)), Err(Dead::Forgotten));
        assert_eq!(ended.check(&tags, at(50)), Ok(()), "minted after it");
    }

    #[test]
    fn a_memory_is_out_of_date_by_any_of_its_tags_touched_after_it_was_read() {
        let mut tags = Tags::new();
        tags.add(tag(1));
        tags.add(tag(2));
        let mut touched = TouchedTags::new(Position::new(10));
        touched.touch(tag(2), Position::new(50));
        touched.touch(tag(2), Position::new(40));
        touched.touch(tag(3), Position::new(90));

        let is_current = |touched: &TouchedTags, at| touched.is_current(&tags, Position::new(at));
        assert!(!is_current(&touched, 49));
        assert!(is_current(&touched, 50));
        assert!(!is_current(&touched, 9), "below the floor");
        touched.raise_floor(Position::new(60));
        assert!(!is_current(&touched, 59), "the touch itself is forgotten");
        assert!(is_current(&touched, 60));
    }

    #[test]
    fn touches_beyond_the_bound_make_older_memories_out_of_date() {
        let mut tags = Tags::new();
        tags.add(Tag(u64::MAX));
        let mut touched = TouchedTags::new(Position::new(0));
        assert!(touched.is_current(&tags, Position::new(1)));

        for at in 1..=TouchedTags::KEPT_MAX + 1 {
            let number = i64::try_from(at).unwrap();
            touched.touch(Tag::from_i64(number), Position::new(number));
        }

        assert!(touched.touched.len() <= TouchedTags::KEPT_MAX);
        assert!(!touched.is_current(&tags, Position::new(1)));
        let newest = i64::try_from(TouchedTags::KEPT_MAX).unwrap() + 1;
        assert!(touched.is_current(&tags, Position::new(newest)));
    }

    #[test]
    fn a_million_entries_take_less_than_64_mib_even_while_they_grow() {
        let mut ended = EndedTags::new(LogId::from_i64(1), Position::new(1));
        for number in 0..1_000_000_i64 {
            // Spread over the whole range, as random tags are.
            let spread = number.wrapping_mul(0x5851_f42d_4c95_7f2d);
            ended.end(Tag::from_i64(spread), Position::new(number));
        }

        assert_eq!(ended.len(), 1_000_000);
        // A bucket is a tag, a position and a byte; seven of eight may be full. While it grows, the
        // table of half the size is there, too.
        let buckets = (ended.ended.capacity() * 8).div_ceil(7);
        let bytes = buckets * (size_of::<(Tag, Position)>() + 1);
        assert!(bytes + bytes / 2 < 64 * 1024 * 1024, "{bytes}");
    }

    #[test]
    fn what_is_known_of_the_log_never_goes_back() {
        let log = LogId::new(&SeededEntropy::new(9)).unwrap();
        let mut ended = EndedTags::new(log, Position::new(10));

        ended.confirm(Position::new(20));
        ended.confirm(Position::new(15));

        assert_eq!(ended.known().position, Position::new(20));
        let rev = |log, position| Rev {
            log,
            position: Position::new(position),
        };
        assert_eq!(
            rev(log, 5).min(rev(log, 3)),
            Some(rev(log, 3)),
            "the lower of two"
        );
        let other = LogId::new(&SeededEntropy::new(10)).unwrap();
        assert_eq!(rev(log, 5).min(rev(other, 3)), None);
    }

    #[test]
    fn the_claims_survive_a_round_trip_and_nothing_else_is_read() {
        let log = LogId::new(&SeededEntropy::new(9)).unwrap();
        let rev = Rev {
            log,
            position: Position::new(1_764_000_000_000_000),
        };
        let mut tags = Tags::new();
        tags.add(tag(1));
        tags.add(tag(2));
        tags.add(tag(1));

        assert_eq!(Rev::decode(&rev.encode()), Ok(rev));
        assert_eq!(Tags::decode(&tags.encode()).unwrap().iter().count(), 2);
        for text in ["", "AAAA", "AAAAAAAAAAA=", "AAAAAAAAAAAA", "!!!!!!!!!!!"] {
            assert!(Tags::decode(text).is_err(), "{text}");
        }
        for text in [
            "",
            ".",
            "AAAAAAAAAAA",
            "AAAAAAAAAAA.",
            "AAAAAAAAAAA.+1",
            "AAAAAAAAAAA.-1",
            "AAAAAAAAAAA.01",
            "AA.1",
        ] {
            assert!(Rev::decode(text).is_err(), "{text}");
        }
    }
}
