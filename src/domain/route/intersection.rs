//! What two sets have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::cover::{Prover, TooMuchWork, Work, covers_paths};
use super::limits::{COVER_WORK_MAX, INTERSECTION_WORK_MAX, PATTERNS_PER_SET_MAX, SET_WORK_MAX};
use super::method::Methods;
use super::pattern::{Piece, RoutePattern, normal_form};
use super::set::{RouteSet, RouteSetError};

/// What is left of a wish below a ceiling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intersected {
    /// What may be had: every route of it is allowed by the wish and by the ceiling.
    pub kept: RouteSet,
    /// The wanted patterns that the ceiling does not cover, in canonical form.
    pub cut: Vec<String>,
}

impl RouteSet {
    /// Exactly the requests that both sets allow.
    ///
    /// # Errors
    /// [`RouteSetError`] when that is not a set within the limits.
    pub fn intersection(&self, other: &Self) -> Result<Self, RouteSetError> {
        if self.is_everything() || self == other {
            return Ok(other.clone());
        }
        if other.is_everything() {
            return Ok(self.clone());
        }
        let mut proofs = Work::up_to(COVER_WORK_MAX);
        let mut writing = Work::up_to(INTERSECTION_WORK_MAX);
        // What lies within the other side as a whole is common as it stands. Only the rest is
        // taken apart, pair by pair.
        let (mut common, left) = split(self, other, &mut proofs).map_err(too_complex)?;
        let (within_self, right) = split(other, self, &mut proofs).map_err(too_complex)?;
        common.extend(within_self);
        for left in &left {
            for right in &right {
                common.extend(both(left, right, &mut proofs, &mut writing)?);
            }
        }
        Self::from_patterns(common)
    }

    /// The part of this wish that a ceiling surely allows: the wanted patterns that the ceiling
    /// covers, and the ceiling's patterns that the wish covers. It never holds too much, but it
    /// may hold less than [`RouteSet::intersection`]; a pattern that is too complex to be compared
    /// counts as not covered.
    pub fn within(&self, ceiling: &Self) -> Intersected {
        let mut work = Work::up_to(COVER_WORK_MAX);
        let (mut kept, cut) = sure(self, ceiling, &mut work);
        let room = PATTERNS_PER_SET_MAX.saturating_sub(kept.len());
        let wanted_kept = kept.clone();
        let (within_wish, _) = sure(ceiling, self, &mut work);
        kept.extend(within_wish.into_iter().take(room));

        let canonical = |patterns| Self::canonical(patterns, &mut Work::up_to(SET_WORK_MAX));
        match canonical(kept).or_else(|_| canonical(wanted_kept)) {
            Ok(kept) => Intersected {
                kept,
                cut: cut.iter().map(RoutePattern::to_string).collect(),
            },
            // Part of a set is hardly ever dearer than the set. Then nothing is surely allowed.
            Err(_) => Intersected {
                kept: Self::empty(),
                cut: self.to_strings(),
            },
        }
    }
}

fn too_complex(_: TooMuchWork) -> RouteSetError {
    RouteSetError::TooComplex
}

/// The patterns of a set that the ceiling covers, and those that it does not.
fn split(
    wanted: &RouteSet,
    ceiling: &RouteSet,
    work: &mut Work,
) -> Result<(Vec<RoutePattern>, Vec<RoutePattern>), TooMuchWork> {
    let mut prover = Prover::new(ceiling.patterns());
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for pattern in wanted.patterns() {
        if prover.covers(pattern, work)? {
            inside.push(pattern.clone());
        } else {
            outside.push(pattern.clone());
        }
    }
    Ok((inside, outside))
}

/// The patterns of a set that the ceiling surely covers, and the others.
fn sure(
    wanted: &RouteSet,
    ceiling: &RouteSet,
    work: &mut Work,
) -> (Vec<RoutePattern>, Vec<RoutePattern>) {
    let mut prover = Prover::new(ceiling.patterns());
    let patterns = wanted.patterns().iter().cloned();
    patterns.partition(|pattern| prover.covers(pattern, work) == Ok(true))
}

/// What two patterns have in common.
fn both(
    left: &RoutePattern,
    right: &RoutePattern,
    proofs: &mut Work,
    writing: &mut Work,
) -> Result<Vec<RoutePattern>, RouteSetError> {
    let Some(methods) = left.methods().intersection(right.methods()) else {
        return Ok(Vec::new());
    };
    for (narrow, wide) in [(left, right), (right, left)] {
        if covers_paths(wide, narrow, proofs).map_err(too_complex)? {
            return Ok(vec![pattern(methods, narrow.pieces().to_vec())?]);
        }
    }
    let mut product = Product {
        left: left.pieces(),
        right: right.pieces(),
        known: BTreeMap::new(),
    };
    let words = product.from(0, 0, writing).map_err(too_complex)?;
    let words = words.into_iter().map(|mut reversed| {
        reversed.reverse();
        normal_form(reversed)
    });
    let joined = join(words.collect());
    joined
        .into_iter()
        .map(|pieces| pattern(methods, pieces))
        .collect()
}

fn pattern(methods: Methods, pieces: Vec<Piece>) -> Result<RoutePattern, RouteSetError> {
    RoutePattern::from_pieces(methods, pieces).map_err(RouteSetError::Inexpressible)
}

/// The product of two patterns, seen from the places that are reached.
struct Product<'p> {
    left: &'p [Piece],
    right: &'p [Piece],
    known: BTreeMap<(usize, usize), Vec<Vec<Piece>>>,
}

impl Product<'_> {
    /// What the rest of the left pattern and the rest of the right one have in common, as words of
    /// pieces that are written from back to front.
    fn from(
        &mut self,
        left: usize,
        right: usize,
        work: &mut Work,
    ) -> Result<Vec<Vec<Piece>>, TooMuchWork> {
        if let Some(words) = self.known.get(&(left, right)) {
            return Ok(words.clone());
        }
        let (next_left, next_right) = (left + 1, right + 1);
        let mut words = match (self.left.get(left), self.right.get(right)) {
            (None, None) => vec![Vec::new()],
            // A path that is over takes no more segments, and a `Many` may take none.
            (Some(Piece::Many), None) => self.from(next_left, right, work)?,
            (None, Some(Piece::Many)) => self.from(left, next_right, work)?,
            (Some(Piece::Literal(_) | Piece::One), None)
            | (None, Some(Piece::Literal(_) | Piece::One)) => Vec::new(),
            // One of the two ends first, or both at once; until then, anything.
            (Some(Piece::Many), Some(Piece::Many)) => {
                let mut words = self.from(next_left, right, work)?;
                words.extend(self.from(left, next_right, work)?);
                put_before(words, &Piece::Many)
            }
            // The `Many` takes no segment, or the one that the other side takes.
            (Some(Piece::Many), Some(piece @ (Piece::Literal(_) | Piece::One))) => {
                let piece = piece.clone();
                let mut words = self.from(next_left, right, work)?;
                words.extend(put_before(self.from(left, next_right, work)?, &piece));
                words
            }
            (Some(piece @ (Piece::Literal(_) | Piece::One)), Some(Piece::Many)) => {
                let piece = piece.clone();
                let mut words = self.from(left, next_right, work)?;
                words.extend(put_before(self.from(next_left, right, work)?, &piece));
                words
            }
            (Some(Piece::Literal(one)), Some(Piece::Literal(other))) if one != other => Vec::new(),
            (Some(piece), Some(Piece::One))
            | (Some(Piece::One | Piece::Literal(_)), Some(piece)) => {
                let piece = piece.clone();
                put_before(self.from(next_left, next_right, work)?, &piece)
            }
        };
        words.sort_unstable();
        words.dedup();
        for word in &words {
            work.spend(word.len())?;
        }
        self.known.insert((left, right), words.clone());
        Ok(words)
    }
}

fn put_before(mut words: Vec<Vec<Piece>>, piece: &Piece) -> Vec<Vec<Piece>> {
    for word in &mut words {
        word.push(piece.clone());
    }
    words
}

/// Joins `a/b` and `a/*/**/b` to `a/**/b`, which is the same, as often as it can be done.
fn join(mut words: BTreeSet<Vec<Piece>>) -> BTreeSet<Vec<Piece>> {
    while let Some((short, long, joined)) = words.iter().find_map(|long| joinable(long, &words)) {
        words.remove(&short);
        words.remove(&long);
        words.insert(joined);
    }
    words
}

type Joinable = (Vec<Piece>, Vec<Piece>, Vec<Piece>);

fn joinable(long: &[Piece], words: &BTreeSet<Vec<Piece>>) -> Option<Joinable> {
    for (place, pair) in long.windows(2).enumerate() {
        if pair != [Piece::One, Piece::Many] {
            continue;
        }
        let (front, behind) = (long.get(..place)?, long.get(place + 2..)?);
        // At the very end, `a` and `a/**` have no common way of writing.
        if behind.is_empty() && front.last() != Some(&Piece::One) {
            continue;
        }
        let short = [front, behind].concat();
        if words.contains(&short) {
            let joined = [front, &[Piece::Many], behind].concat();
            return Some((short, long.to_vec(), joined));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> RouteSet {
        let texts = text.split(" | ").filter(|text| !text.is_empty());
        RouteSet::parse(texts).unwrap()
    }

    #[test]
    fn an_intersection_is_what_both_allow() {
        for (left, right, common) in [
            ("**", "bot/**", "bot/**"),
            ("", "**", ""),
            ("a", "b", ""),
            ("bot/*", "*/fetch", "bot/fetch"),
            ("bot/**", "**/list", "bot/**/list"),
            ("bot/**", "bot/**", "bot/**"),
            ("bot/**", "key/**", ""),
            ("bot/*/**", "bot/*", ""),
            ("bot/**", "**/bot", "bot/**/bot"),
            ("**/a", "**/b", ""),
            ("**/a", "a/**", "a/**/a"),
            ("**/a/**", "**/b/**", "**/a/**/b/** | **/b/**/a/**"),
            ("*/**", "**/a", "*/**/a"),
            ("a/*/c", "a/b/*", "a/b/c"),
            ("a/**/c", "a/b/**", "a/b/**/c"),
            ("a/**/b/c", "a/b/**", "a/b/**/b/c | a/b/c"),
            ("GET bot/**", "bot/**", "GET bot/**"),
            ("GET,POST bot/**", "POST,PUT **/list", "POST bot/**/list"),
            ("GET bot/**", "POST bot/**", ""),
            ("GET,POST a/**", "POST,PUT a/**", "POST a/**"),
            ("a/** | b/**", "**/x | b", "a/**/x | b/**/x"),
            ("bot/* | bot/*/**", "bot/** | key", "bot/**"),
        ] {
            let common = set(common);
            assert_eq!(
                set(left).intersection(&set(right)),
                Ok(common.clone()),
                "{left} {right}"
            );
            assert_eq!(
                set(right).intersection(&set(left)),
                Ok(common),
                "{right} {left}"
            );
        }
    }

    #[test]
    fn words_are_joined_where_the_outcome_can_be_written() {
        let literal = |text: &str| Piece::Literal(text.into());
        let (one, many) = (Piece::One, Piece::Many);
        let join = |words: &[&[Piece]]| join(words.iter().map(|word| word.to_vec()).collect());
        let (a, b) = (literal("a"), literal("b"));

        let joined = join(&[
            &[a.clone(), b.clone()],
            &[a.clone(), one.clone(), many.clone(), b.clone()],
        ]);
        assert_eq!(joined, BTreeSet::from([vec![a.clone(), many.clone(), b]]));

        let joined = join(&[
            std::slice::from_ref(&one),
            &[one.clone(), one.clone(), many.clone()],
        ]);
        assert_eq!(joined, BTreeSet::from([vec![one.clone(), many.clone()]]));

        let apart = [vec![a.clone()], vec![a, one, many]];
        assert_eq!(join(&[&apart[0], &apart[1]]), BTreeSet::from(apart));
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let outcome = set("**/a/**/c/**").intersection(&set("**/b/**"));
        assert!(
            matches!(outcome, Err(RouteSetError::Inexpressible(_))),
            "{outcome:?}"
        );
    }

    #[test]
    fn the_sure_part_of_a_wish_is_kept_and_the_rest_is_named() {
        for (wish, ceiling, kept, cut) in [
            ("bot/** | key/**", "bot/**", "bot/**", "key/**"),
            ("**", "bot/** | GET a", "bot/** | GET a", "**"),
            ("**/list", "bot/**", "", "**/list"),
            ("bot/a | bot/b", "**", "bot/a | bot/b", ""),
            ("", "**", "", ""),
            ("bot/**", "", "", "bot/**"),
            ("bot/**", "bot/* | bot/*/**", "bot/**", ""),
            (
                "bot/** | GET key/**",
                "bot/*/fetch | key/**",
                "bot/*/fetch | GET key/**",
                "bot/**",
            ),
        ] {
            let outcome = set(wish).within(&set(ceiling));
            assert_eq!(outcome.kept, set(kept), "{wish} {ceiling}");
            assert_eq!(outcome.cut.join(" | "), cut, "{wish} {ceiling}");
        }
    }

    #[test]
    fn the_sure_part_stays_within_the_limits() {
        let texts = |kind: &str| -> Vec<String> {
            (0..63).map(|number| format!("{kind}/{number}/*")).collect()
        };
        let wish = RouteSet::parse(texts("a").into_iter().chain(["b/**".to_owned()])).unwrap();
        let ceiling = RouteSet::parse(texts("b").into_iter().chain(["a/**".to_owned()])).unwrap();

        let outcome = wish.within(&ceiling);

        assert_eq!(outcome.kept.patterns().len(), PATTERNS_PER_SET_MAX);
        assert_eq!(outcome.cut, ["b/**"]);
        assert_eq!(super::super::covers(&ceiling, &outcome.kept), Ok(()));
        assert_eq!(super::super::covers(&wish, &outcome.kept), Ok(()));
    }
}
