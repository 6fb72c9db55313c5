//! Does one set lie within another? Exact, with the shortest counter-example.
//!
//! This is inclusion of finite automata over segments. The alphabet is all literals that occur and
//! one fresh symbol for "any other". Two facts keep the search small.
//!
//! - A wildcard of the wanted set may be read as the fresh symbol alone. If a path is a
//!   counter-example, replace every segment that its wanted pattern takes by a wildcard with a
//!   fresh literal. The pattern still takes it. Whatever ceiling pattern takes the new path takes
//!   the fresh segments by wildcards, so it would take the old path as well. Thus the new path is
//!   a counter-example of the same length.
//! - Each wanted pattern is asked about alone, since a union lies within a set if and only if each
//!   part does. The ceiling is always taken as a whole.
//!
//! So a search state is a place in one wanted pattern and a subset of the ceiling's states. The
//! search is breadth-first. A state whose subset contains that of an earlier state at the same
//! place is dropped: what the larger subset refuses, the smaller one refuses too.

use super::automaton::{Automaton, Symbol};
use super::limits::COVER_WORK_MAX;
use super::method::{COUNTER_EXAMPLE_METHODS, Method};
use super::pattern::{Piece, RoutePattern};
use super::set::RouteSet;

/// Why a set of routes could not be shown to lie within another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// A request that the wanted set allows and the ceiling does not. No such path is shorter.
    #[error("`{method} {path}` would be allowed, and the ceiling does not allow it")]
    CounterExample {
        /// The method. One that neither set names stands for all of those.
        method: String,
        /// The decoded segments, joined by `/`, without a mount. `x` (or `x1`, …) is a segment
        /// that neither set names.
        path: String,
    },
    /// The question costs more than [`COVER_WORK_MAX`]. The answer is not known, so it is no.
    #[error("the route patterns are too complex to be compared; use fewer `**`")]
    TooComplex,
}

/// Proves that whatever `wanted` allows is allowed by `ceiling`, whose patterns count as a whole.
///
/// # Errors
/// [`NotCovered::CounterExample`] when it is not so, [`NotCovered::TooComplex`] when the work bound
/// was reached before the answer was known. The outcome depends on the two sets only.
pub fn covers(ceiling: &RouteSet, wanted: &RouteSet) -> Result<(), NotCovered> {
    covers_within(ceiling, wanted, &mut Work::up_to(COVER_WORK_MAX))
}

/// [`covers`] with a work bound of the caller's choice.
pub(super) fn covers_within(
    ceiling: &RouteSet,
    wanted: &RouteSet,
    work: &mut Work,
) -> Result<(), NotCovered> {
    if ceiling.is_everything() || ceiling == wanted {
        return Ok(());
    }
    let mut prover = None;
    let mut shortest: Option<CounterExample<'_>> = None;
    for pattern in wanted.patterns() {
        let takes_it = |ceiling: &RoutePattern| {
            ceiling.methods().covers(pattern.methods()) && takes_piece_by_piece(ceiling, pattern)
        };
        if ceiling.patterns().iter().any(takes_it) {
            continue;
        }
        let prover = prover.get_or_insert_with(|| Prover::new(ceiling.patterns()));
        let shorter_than = shortest
            .as_ref()
            .map_or(usize::MAX, |found| found.word.len());
        let found = prover
            .counter_example(pattern, shorter_than, work)
            .map_err(|TooMuchWork| NotCovered::TooComplex)?;
        shortest = found.or(shortest);
    }
    match shortest {
        None => Ok(()),
        Some(found) => Err(NotCovered::CounterExample {
            method: found.method.to_owned(),
            path: spell(&found.word, ceiling, wanted),
        }),
    }
}

/// Whether one pattern alone lies within another.
pub(super) fn covers_one(
    ceiling: &RoutePattern,
    wanted: &RoutePattern,
    work: &mut Work,
) -> Result<bool, TooMuchWork> {
    Ok(ceiling.methods().covers(wanted.methods()) && covers_paths(ceiling, wanted, work)?)
}

/// Whether one pattern alone lies within another, methods aside.
pub(super) fn covers_paths(
    ceiling: &RoutePattern,
    wanted: &RoutePattern,
    work: &mut Work,
) -> Result<bool, TooMuchWork> {
    if !may_cover(ceiling, wanted) {
        return Ok(false);
    }
    if takes_piece_by_piece(ceiling, wanted) {
        return Ok(true);
    }
    let found = Prover::new(std::slice::from_ref(ceiling)).search(wanted, 1, usize::MAX, work)?;
    Ok(found.is_none())
}

/// Looks at the ends only; most pairs of patterns differ there.
fn may_cover(ceiling: &RoutePattern, wanted: &RoutePattern) -> bool {
    let lengths = if ceiling.is_open() {
        ceiling.shortest() <= wanted.shortest()
    } else {
        !wanted.is_open() && ceiling.shortest() == wanted.shortest()
    };
    lengths
        && may_take(ceiling.pieces().first(), wanted.pieces().first())
        && may_take(ceiling.pieces().last(), wanted.pieces().last())
}

/// Whether a pattern takes each piece of another one by one of its own, and what is left by a `Many` at
/// its end. Then it takes every path that the other one takes. It is so with nearly all that people
/// write, and needs no search; that it is not so says nothing.
fn takes_piece_by_piece(ceiling: &RoutePattern, wanted: &RoutePattern) -> bool {
    let mut wanted = wanted.pieces().iter();
    let mut ceiling = ceiling.pieces().iter();
    loop {
        let (own, piece) = match (ceiling.next(), wanted.next()) {
            (Some(Piece::Many), _) if ceiling.as_slice().is_empty() => return true,
            (Some(own), Some(piece)) => (own, piece),
            (own, piece) => return own.is_none() && piece.is_none(),
        };
        let takes = match (own, piece) {
            (Piece::One, Piece::Literal(_)) => true,
            (own, piece) => own == piece,
        };
        if !takes {
            return false;
        }
    }
}

fn may_take(ceiling: Option<&Piece>, wanted: Option<&Piece>) -> bool {
    match (ceiling, wanted) {
        (Some(Piece::Literal(ceiling)), Some(Piece::Literal(wanted))) => ceiling == wanted,
        (Some(Piece::Literal(_)), Some(Piece::One | Piece::Many)) => false,
        (Some(Piece::One | Piece::Many) | None, _) | (_, None) => true,
    }
}

/// What is left of a work bound.
#[derive(Debug)]
pub(super) struct Work {
    left: u64,
}

/// The work bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuchWork;

impl Work {
    pub(super) fn up_to(left: u64) -> Self {
        Self { left }
    }

    /// What is left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    pub(super) fn spend(&mut self, words: usize) -> Result<(), TooMuchWork> {
        // A set without patterns has no words, and looking at it is work all the same.
        let words = u64::try_from(words.max(1)).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(words).ok_or(TooMuchWork)?;
        Ok(())
    }
}

struct CounterExample<'a> {
    method: &'static str,
    word: Vec<Symbol<'a>>,
}

/// The ceiling, made ready for questions about single patterns, and the memory that they share.
pub(super) struct Prover<'c> {
    automaton: Automaton<'c>,
    /// For each method of a counter-example, the ceiling's patterns that admit it, as bits.
    masks: Vec<(&'static str, Option<Method>, u64)>,
    nodes: Vec<Node>,
    /// The subset of each node, one behind the other.
    subsets: Vec<u64>,
    /// For each place in the wanted pattern, the last node there.
    last_at: Vec<Option<usize>>,
}

/// A state of the search.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// How many pieces of the wanted pattern are behind us.
    place: usize,
    /// How many segments led here.
    depth: usize,
    /// The node and the place in the pattern from which the last segment led here.
    from: Option<(usize, usize)>,
    /// The node before this one at the same place.
    before: Option<usize>,
}

impl<'c> Prover<'c> {
    pub(super) fn new(ceiling: &'c [RoutePattern]) -> Self {
        let masks = COUNTER_EXAMPLE_METHODS.map(|(name, method)| {
            let admitting = ceiling
                .iter()
                .enumerate()
                .filter(|(_, pattern)| pattern.methods().admits(method))
                .fold(0, |mask, (index, _)| mask | 1_u64 << index);
            (name, method, admitting)
        });
        Self {
            automaton: Automaton::new(ceiling),
            masks: masks.to_vec(),
            nodes: Vec::new(),
            subsets: Vec::new(),
            last_at: Vec::new(),
        }
    }

    /// Whether the ceiling as a whole covers the pattern.
    pub(super) fn covers(
        &mut self,
        wanted: &RoutePattern,
        work: &mut Work,
    ) -> Result<bool, TooMuchWork> {
        Ok(self.counter_example(wanted, usize::MAX, work)?.is_none())
    }

    /// Asks about the pattern for the sake of the work that it costs, all methods at once.
    pub(super) fn visit(
        &mut self,
        wanted: &RoutePattern,
        work: &mut Work,
    ) -> Result<(), TooMuchWork> {
        self.search(wanted, u64::MAX, usize::MAX, work)?;
        Ok(())
    }

    /// The shortest request that the pattern allows and the ceiling does not, if it has fewer
    /// segments than the given number.
    fn counter_example<'w>(
        &mut self,
        wanted: &'w RoutePattern,
        mut shorter_than: usize,
        work: &mut Work,
    ) -> Result<Option<CounterExample<'w>>, TooMuchWork> {
        let mut shortest = None;
        // Methods that the same ceiling patterns admit are one class, and are asked about once.
        let mut asked: Vec<u64> = Vec::new();
        for (name, method, mask) in self.masks.clone() {
            if !wanted.methods().admits(method) || asked.contains(&mask) {
                continue;
            }
            asked.push(mask);
            if let Some(word) = self.search(wanted, mask, shorter_than, work)? {
                shorter_than = word.len();
                shortest = Some(CounterExample { method: name, word });
            }
        }
        Ok(shortest)
    }

    /// The shortest path that the wanted pattern takes and none of the ceiling's patterns in
    /// `mask` does, if it has fewer segments than `shorter_than`.
    fn search<'w>(
        &mut self,
        wanted: &'w RoutePattern,
        mask: u64,
        shorter_than: usize,
        work: &mut Work,
    ) -> Result<Option<Vec<Symbol<'w>>>, TooMuchWork> {
        let pieces = wanted.pieces();
        self.nodes.clear();
        self.subsets.clear();
        self.last_at.clear();
        self.last_at.resize(pieces.len() + 1, None);

        let (mut from, mut to) = (Vec::new(), Vec::new());
        self.automaton.start(mask, &mut to);
        self.arrive(pieces, Node::first(), &to, work)?;

        let mut index = 0;
        while let Some(node) = self.nodes.get(index).copied() {
            let Some(piece) = pieces.get(node.place) else {
                // Nodes are in order of depth, so the first refusal is the shortest.
                if !self.automaton.accepts(self.subset(index)) {
                    return Ok(Some(self.word_to(index, pieces)));
                }
                index += 1;
                continue;
            };
            let (symbol, place) = match piece {
                Piece::Literal(literal) => (Symbol::Literal(literal), node.place + 1),
                Piece::One => (Symbol::Fresh, node.place + 1),
                Piece::Many => (Symbol::Fresh, node.place),
            };
            if node.depth + 1 < shorter_than {
                from.clear();
                from.extend_from_slice(self.subset(index));
                work.spend(from.len())?;
                self.automaton.step(&from, symbol, &mut to);
                let next = Node {
                    place,
                    depth: node.depth + 1,
                    from: Some((index, node.place)),
                    before: None,
                };
                self.arrive(pieces, next, &to, work)?;
            }
            index += 1;
        }
        Ok(None)
    }

    /// Takes a state into the search, and the state behind a `Many`, unless nothing new can come
    /// of it.
    fn arrive(
        &mut self,
        pieces: &[Piece],
        mut node: Node,
        subset: &[u64],
        work: &mut Work,
    ) -> Result<(), TooMuchWork> {
        if self.automaton.accepts_forever(subset) {
            return Ok(());
        }
        loop {
            if !self.is_known(node.place, subset, work)? {
                let index = self.nodes.len();
                if let Some(last) = self.last_at.get_mut(node.place) {
                    node.before = last.replace(index);
                }
                self.nodes.push(node);
                self.subsets.extend_from_slice(subset);
            }
            if pieces.get(node.place) != Some(&Piece::Many) {
                return Ok(());
            }
            node.place += 1;
        }
    }

    /// Whether an earlier node at this place has a subset of this subset.
    fn is_known(&self, place: usize, subset: &[u64], work: &mut Work) -> Result<bool, TooMuchWork> {
        let mut earlier = self.last_at.get(place).copied().flatten();
        while let Some(index) = earlier {
            work.spend(subset.len())?;
            let mut words = self.subset(index).iter().zip(subset);
            if words.all(|(small, large)| small & !large == 0) {
                return Ok(true);
            }
            earlier = self.nodes.get(index).and_then(|node| node.before);
        }
        Ok(false)
    }

    fn subset(&self, index: usize) -> &[u64] {
        let words = self.automaton.words();
        let begin = index * words;
        self.subsets.get(begin..begin + words).unwrap_or_default()
    }

    /// The segments that led to a node.
    fn word_to<'w>(&self, index: usize, pieces: &'w [Piece]) -> Vec<Symbol<'w>> {
        let mut word = Vec::new();
        let mut from = self.nodes.get(index).and_then(|node| node.from);
        while let Some((index, place)) = from {
            word.push(match pieces.get(place) {
                Some(Piece::Literal(literal)) => Symbol::Literal(literal),
                Some(Piece::One | Piece::Many) | None => Symbol::Fresh,
            });
            from = self.nodes.get(index).and_then(|node| node.from);
        }
        word.reverse();
        word
    }
}

impl Node {
    fn first() -> Self {
        Self {
            place: 0,
            depth: 0,
            from: None,
            before: None,
        }
    }
}

/// Writes a path down, with a readable literal for the fresh symbol.
fn spell(word: &[Symbol<'_>], ceiling: &RouteSet, wanted: &RouteSet) -> String {
    let named = |name: &str| {
        let patterns = ceiling.patterns().iter().chain(wanted.patterns());
        patterns
            .flat_map(RoutePattern::literals)
            .any(|literal| literal == name)
    };
    let mut fresh = "x".to_owned();
    let mut number = 0_u32;
    while named(&fresh) {
        number += 1;
        fresh = format!("x{number}");
    }
    let segments: Vec<&str> = word
        .iter()
        .map(|symbol| match symbol {
            Symbol::Literal(literal) => *literal,
            Symbol::Fresh => fresh.as_str(),
        })
        .collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> RouteSet {
        let texts = text.split(" | ").filter(|text| !text.is_empty());
        RouteSet::parse(texts).unwrap()
    }

    #[test]
    fn what_lies_within_is_covered() {
        for (ceiling, wanted) in [
            ("**", "bot/** | GET a | **/list"),
            ("", ""),
            ("bot/**", ""),
            ("bot/**", "bot/a | bot/*/fetch | bot/**/usage/fetch"),
            ("bot/* | bot/*/**", "bot/**"),
            ("bot | bot/**", "bot | bot/a"),
            ("a | */** | *", "**"),
            ("* | */* | */*/**", "**"),
            ("**/list", "list | bot/list | bot/**/list | **/bot/list"),
            ("GET bot/** | POST bot/**", "GET,POST bot/a"),
            ("GET bot/a | POST bot/**", "GET,POST bot/a"),
            ("a/**/b", "a/b | a/*/b | a/**/*/b | a/b/**/b"),
            ("**/a/** | **/a", "**/a/** | a | a/b/** | **/a/**/a"),
            ("*/**/a | a", "**/a"),
            ("**/a/** | a/** | b/**", "b/*/a"),
        ] {
            assert_eq!(
                covers(&set(ceiling), &set(wanted)),
                Ok(()),
                "{ceiling} {wanted}"
            );
        }
    }

    #[test]
    fn what_does_not_has_a_shortest_counter_example() {
        for (ceiling, wanted, example) in [
            ("", "**", "GET x"),
            ("", "bot/**", "GET bot/x"),
            ("bot/**", "bot", "GET bot"),
            ("bot/*", "bot/**", "GET bot/x/x"),
            ("bot/*/**", "bot/**", "GET bot/x"),
            ("bot/** | x/** | x1", "*/**", "GET x2/x2"),
            ("bot/**", "bot/** | key/create", "GET key/create"),
            ("**/list", "bot/**", "GET bot/x"),
            ("GET bot/**", "bot/**", "POST bot/x"),
            ("POST bot/**", "bot/**", "GET bot/x"),
            ("GET,HEAD **", "GET,POST bot/a", "POST bot/a"),
            (
                "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE **",
                "**",
                "PROPFIND x",
            ),
            ("GET bot/* | POST bot/**", "GET,POST bot/**", "GET bot/x/x"),
            ("**/a", "a/**", "GET a/x"),
            ("a/**/b", "a/**/c/**/b/*", "GET a/c/b/x"),
            ("* | */* | */*/* | */*/*/*", "**", "GET x/x/x/x/x"),
            ("a/* | a/*/c", "a/*/b | a/**", "GET a/x/x"),
            ("a/* | a/*/c", "a/*/b | a/*", "GET a/x/b"),
        ] {
            let Err(NotCovered::CounterExample { method, path }) =
                covers(&set(ceiling), &set(wanted))
            else {
                panic!("{ceiling} covers {wanted}");
            };
            assert_eq!(format!("{method} {path}"), example, "{ceiling} {wanted}");
        }
    }

    #[test]
    fn a_question_beyond_the_work_bound_is_not_answered_with_yes() {
        let ceiling = set("bot/* | bot/*/**");
        let wanted = set("bot/**");
        let ask = |bound| covers_within(&ceiling, &wanted, &mut Work::up_to(bound));

        let cost = (0..100).find(|bound| ask(*bound).is_ok()).unwrap();
        assert!(cost > 0);
        for bound in 0..cost {
            assert_eq!(ask(bound), Err(NotCovered::TooComplex));
        }
        assert_eq!(ask(COVER_WORK_MAX), Ok(()));
    }

    /// The outcome and what it cost.
    fn cost(ceiling: &RouteSet, wanted: &RouteSet) -> (Result<(), NotCovered>, u64) {
        let mut work = Work::up_to(COVER_WORK_MAX);
        let outcome = covers_within(ceiling, wanted, &mut work);
        (outcome, COVER_WORK_MAX - work.left)
    }

    fn stars(count: usize) -> String {
        ["*"].repeat(count).join("/")
    }

    #[test]
    fn exponentially_many_subsets_of_the_ceiling_are_not_visited() {
        // 65,536 subsets of its states are reachable, but not with fresh segments.
        let ceiling = set(&format!("**/a/{}", stars(15)));
        for (wanted, is_covered) in [
            (format!("b | **/a/{}", stars(15)), false),
            (format!("x/**/a/{}", stars(15)), true),
            (format!("**/a/**/a/{}", stars(15)), true),
            (format!("a/a/a/**/a/a/**/a/{}", stars(15)), true),
            ("**/a/**/a/**/a".to_owned(), false),
            ("**".to_owned(), false),
        ] {
            let (outcome, cost) = cost(&ceiling, &set(&wanted));
            assert_eq!(outcome.is_ok(), is_covered, "{wanted}");
            assert!(cost < 100_000, "{wanted} {cost}");
        }
    }

    #[test]
    fn sixty_four_patterns_against_sixty_four_are_far_below_the_bound() {
        let ceiling: Vec<String> = (0..64).map(|n| format!("**/{n}/*/**/{n}/**")).collect();
        let wanted: Vec<String> = (0..64).map(|n| format!("a/**/{n}/b/**/{n}/*/**")).collect();
        let (outcome, cost) = cost(
            &RouteSet::parse(ceiling).unwrap(),
            &RouteSet::parse(wanted).unwrap(),
        );
        assert_eq!(outcome, Ok(()));
        assert!(cost < COVER_WORK_MAX / 20, "{cost}");
    }

    #[test]
    fn a_hostile_question_ends_at_the_bound() {
        // Each set is harmless alone. Together, the subsets tell apart how far the path has come,
        // how far from `a`, and how far from `b`: some 3,000 of them, each compared with the others.
        let counters =
            |front: &'static str| (1..=15).map(move |count| format!("{front}{}/z", stars(count)));
        let counters = counters("")
            .chain(counters("**/a/"))
            .chain(counters("**/b/"));
        let ceiling = RouteSet::parse(counters.chain(["**/c".to_owned()])).unwrap();

        let (outcome, cost) = cost(&ceiling, &set("**/a/**/b/**/c"));

        // It is covered by `**/c` alone, and the answer is still not yes.
        assert_eq!(outcome, Err(NotCovered::TooComplex));
        assert!(cost <= COVER_WORK_MAX);
        // With two `**` less the same ceiling is no trouble.
        assert_eq!(covers(&ceiling, &set("**/a/b/c")), Ok(()));
    }
}
