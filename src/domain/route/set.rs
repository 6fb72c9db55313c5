//! A bounded set of patterns.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::cover::{Prover, TooMuchWork, Work, covers_one};
use super::limits::{PATTERNS_PER_SET_MAX, SET_WORK_MAX};
use super::method::{Method, Methods};
use super::path::RequestPath;
use super::pattern::{Piece, RoutePattern};
use super::syntax::RoutePatternError;

/// The routes that a credential may take: what at least one of its patterns matches. It is kept in
/// canonical form: sorted, and no pattern lies within another one.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct RouteSet {
    patterns: Arc<[RoutePattern]>,
}

/// Why some patterns are not a route set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteSetError {
    /// One of them is not a pattern.
    #[error("pattern {index}: {error}")]
    Pattern {
        /// Which one, counted from 0.
        index: usize,
        /// What is wrong with it. It is part of the message above, so it is no `source`.
        error: RoutePatternError,
    },
    /// More than [`PATTERNS_PER_SET_MAX`].
    #[error(
        "there are at most {PATTERNS_PER_SET_MAX} patterns; write `*` or `**` for what many of them share"
    )]
    TooManyPatterns,
    /// Comparing the set with itself costs more than [`SET_WORK_MAX`].
    #[error("the patterns are too complex together; use fewer `**`")]
    TooComplex,
    /// What two sets have in common cannot be written as patterns.
    #[error("what the route sets have in common cannot be written as patterns: {0}")]
    Inexpressible(RoutePatternError),
}

impl RouteSetError {
    /// Which of the given patterns is at fault, counted from 0, if it is a single one.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Pattern { index, .. } => Some(*index),
            Self::TooManyPatterns | Self::TooComplex | Self::Inexpressible(_) => None,
        }
    }
}

impl RouteSet {
    /// Reads patterns. No patterns at all is a set, too: it matches nothing.
    ///
    /// # Errors
    /// [`RouteSetError`].
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, RouteSetError> {
        let mut patterns = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            if index == PATTERNS_PER_SET_MAX {
                return Err(RouteSetError::TooManyPatterns);
            }
            let pattern = RoutePattern::parse(text.as_ref())
                .map_err(|error| RouteSetError::Pattern { index, error })?;
            patterns.push(pattern);
        }
        Self::from_patterns(patterns)
    }

    /// The set that matches what one of the patterns matches.
    ///
    /// # Errors
    /// [`RouteSetError::TooManyPatterns`] counts what is left when repeated and covered patterns
    /// are dropped; [`RouteSetError::TooComplex`].
    pub fn from_patterns(patterns: Vec<RoutePattern>) -> Result<Self, RouteSetError> {
        Self::canonical(patterns, &mut Work::up_to(SET_WORK_MAX))
    }

    /// The same for patterns as [`RouteSet::patterns`] gives them, out of a token whose signature was
    /// checked: they are not compared with each other again, which is most of the work. If they are
    /// not in that order, they are.
    ///
    /// # Errors
    /// [`RouteSetError`].
    pub fn from_canonical(patterns: Vec<RoutePattern>) -> Result<Self, RouteSetError> {
        let in_order = patterns.is_sorted_by(|one, next| one < next);
        if in_order && patterns.len() <= PATTERNS_PER_SET_MAX {
            return Ok(Self {
                patterns: patterns.into(),
            });
        }
        Self::from_patterns(patterns)
    }

    /// [`RouteSet::from_patterns`] with a work bound of the caller's choice.
    pub(super) fn canonical(
        mut patterns: Vec<RoutePattern>,
        work: &mut Work,
    ) -> Result<Self, RouteSetError> {
        // Sorted first, so that neither the outcome nor the work depends on the given order.
        patterns.sort_unstable();
        patterns.dedup();
        let patterns =
            drop_covered(patterns, work).map_err(|TooMuchWork| RouteSetError::TooComplex)?;
        if patterns.len() > PATTERNS_PER_SET_MAX {
            return Err(RouteSetError::TooManyPatterns);
        }
        measure(&patterns, work).map_err(|TooMuchWork| RouteSetError::TooComplex)?;
        Ok(Self {
            patterns: patterns.into(),
        })
    }

    /// The set that matches nothing.
    pub fn empty() -> Self {
        Self {
            patterns: Arc::new([]),
        }
    }

    /// The set that matches every path with every method: `**`.
    pub fn everything() -> Self {
        Self {
            patterns: Arc::new([RoutePattern::everything()]),
        }
    }

    /// Whether it matches nothing.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `**` for all methods is among the patterns. Canonical form makes it the only one.
    pub fn is_everything(&self) -> bool {
        self.patterns.iter().any(RoutePattern::is_everything)
    }

    /// Whether some pattern names methods. Then a header that overrides the method of a request
    /// would change the answer, so such requests are refused.
    pub fn narrows_methods(&self) -> bool {
        let mut patterns = self.patterns.iter();
        patterns.any(|pattern| pattern.methods() != Methods::Any)
    }

    /// The patterns in canonical form.
    pub fn patterns(&self) -> &[RoutePattern] {
        &self.patterns
    }

    /// The patterns as tokens carry them.
    pub fn to_strings(&self) -> Vec<String> {
        self.patterns.iter().map(RoutePattern::to_string).collect()
    }

    /// The first pattern that matches, if one does.
    pub fn matches(&self, method: &str, path: &RequestPath) -> Option<&RoutePattern> {
        let method = Method::from_request(method);
        self.patterns
            .iter()
            .find(|pattern| pattern.methods().admits(method) && pattern.matches_path(path))
    }
}

/// Drops every pattern that lies within another one of those that are left.
fn drop_covered(
    patterns: Vec<RoutePattern>,
    work: &mut Work,
) -> Result<Vec<RoutePattern>, TooMuchWork> {
    let mut kept: Vec<RoutePattern> = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        if any_covers(&kept, &pattern, work)? {
            continue;
        }
        let mut still_kept = Vec::with_capacity(kept.len() + 1);
        for other in kept {
            if !covers_one(&pattern, &other, work)? {
                still_kept.push(other);
            }
        }
        still_kept.push(pattern);
        kept = still_kept;
    }
    Ok(kept)
}

fn any_covers(
    ceilings: &[RoutePattern],
    wanted: &RoutePattern,
    work: &mut Work,
) -> Result<bool, TooMuchWork> {
    for ceiling in ceilings {
        if covers_one(ceiling, wanted, work)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Compares the set with itself, only to see what that costs.
fn measure(patterns: &[RoutePattern], work: &mut Work) -> Result<(), TooMuchWork> {
    if at_most(patterns).is_some_and(|words| words <= work.left()) {
        return Ok(());
    }
    let mut prover = Prover::new(patterns);
    for pattern in patterns {
        prover.visit(pattern, work)?;
    }
    Ok(())
}

/// What it costs at most to compare a set with itself, if `Many` stands nowhere but at the end of its
/// patterns.
///
/// A search then goes through the pieces of the wanted pattern one by one. That pattern is in the
/// ceiling, too, where it goes along: so as soon as the search is at the `Many`, the ceiling takes
/// whatever comes, and the search is over. Nothing is compared with an earlier node, since no place has
/// two. That is a step for each piece at most, which costs a state set, and that has a word for each
/// pattern at most.
fn at_most(patterns: &[RoutePattern]) -> Option<u64> {
    let mut pieces = 0;
    for pattern in patterns {
        let (_, front) = pattern.pieces().split_last()?;
        if front.contains(&Piece::Many) {
            return None;
        }
        pieces += pattern.pieces().len();
    }
    u64::try_from(pieces * patterns.len()).ok()
}

impl fmt::Debug for RouteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.patterns.iter()).finish()
    }
}

impl Serialize for RouteSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.patterns.iter().map(RoutePattern::as_str))
    }
}

impl TryFrom<Vec<String>> for RouteSet {
    type Error = RouteSetError;
    fn try_from(texts: Vec<String>) -> Result<Self, RouteSetError> {
        Self::parse(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy as _, SeededEntropy};

    fn set(text: &str) -> RouteSet {
        RouteSet::parse(text.split(" | ")).unwrap()
    }

    #[test]
    fn sets_are_sorted_and_without_what_others_cover() {
        for (given, canonical) in [
            ("b | a | b", "a | b"),
            ("bot/a | bot/** | bot/*/b", "bot/**"),
            ("bot/* | bot/*/**", "bot/* | bot/*/**"),
            ("GET bot/** | bot/**", "bot/**"),
            ("GET bot/** | GET,HEAD bot/a", "GET bot/** | GET,HEAD bot/a"),
            ("GET,HEAD bot/** | GET bot/a", "GET,HEAD bot/**"),
            ("**/list | bot/list | list", "**/list"),
            ("**/*/list | **/list", "**/list"),
            ("** | bot/** | GET a", "**"),
            ("GET ** | bot", "GET ** | bot"),
            ("**/a/** | a/** | x/a/y", "**/a/**"),
            ("/v1/bot/** | bot/**", "bot/**"),
        ] {
            let given = set(given);
            assert_eq!(given.to_strings().join(" | "), canonical);
            assert_eq!(RouteSet::parse(given.to_strings()).unwrap(), given);
            let mut patterns = given.patterns().to_vec();
            assert_eq!(RouteSet::from_canonical(patterns.clone()).unwrap(), given);
            patterns.reverse();
            assert_eq!(RouteSet::from_canonical(patterns).unwrap(), given);
        }
    }

    #[test]
    fn the_order_and_repetition_of_patterns_do_not_matter() {
        assert_eq!(set("a | GET b/** | c"), set("c | get b/** | a | a"));
        assert_ne!(set("a"), set("GET a"));
    }

    #[test]
    fn an_empty_set_matches_nothing_and_everything_matches_all() {
        let path = RequestPath::from_segments(["bot"]).unwrap();

        assert_eq!(RouteSet::parse([""; 0]).unwrap(), RouteSet::empty());
        assert!(RouteSet::empty().is_empty());
        assert_eq!(RouteSet::empty().matches("GET", &path), None);

        assert_eq!(set("** | a"), RouteSet::everything());
        assert!(RouteSet::everything().matches("FOO", &path).is_some());
        assert!(!set("GET **").is_everything());
        assert!(set("a | GET b").narrows_methods());
        assert!(!set("a | b").narrows_methods() && !RouteSet::empty().narrows_methods());
    }

    #[test]
    fn a_match_names_the_pattern() {
        let routes = set("POST bot/*/session/create | bot/*/fetch | **/list");
        let matched = |method, text: &str| {
            let path = RequestPath::from_segments(text.split('/')).unwrap();
            routes.matches(method, &path).map(RoutePattern::as_str)
        };

        assert_eq!(
            matched("POST", "bot/b1/session/create"),
            Some("POST bot/*/session/create")
        );
        assert_eq!(matched("GET", "bot/b1/session/create"), None);
        assert_eq!(matched("GET", "bot/list"), Some("**/list"));
        assert_eq!(matched("GET", "bot"), None);
    }

    #[test]
    fn the_pattern_at_fault_is_named() {
        let error = RouteSet::parse(["bot/**", "bot/a?"]).unwrap_err();
        assert_eq!(error.index(), Some(1));
        assert_eq!(
            error.to_string(),
            "pattern 1: `?` is no wildcard, and the query is not matched; write `*` for a whole segment"
        );
    }

    #[test]
    fn a_set_has_at_most_64_patterns() {
        let texts = |count: usize| (0..count).map(|number| format!("bot/{number}/*"));
        assert!(RouteSet::parse(texts(PATTERNS_PER_SET_MAX)).is_ok());
        assert_eq!(
            RouteSet::parse(texts(PATTERNS_PER_SET_MAX + 1)),
            Err(RouteSetError::TooManyPatterns)
        );
        // An endless list is not read to its end.
        assert_eq!(
            RouteSet::parse(std::iter::repeat("**")),
            Err(RouteSetError::TooManyPatterns)
        );
    }

    #[test]
    fn a_set_that_costs_too_much_to_compare_is_refused() {
        // The subsets tell apart how far the path has come, how far from `a`, and how far from `b`.
        let counters = |front: &'static str| {
            (1..=15).map(move |count| format!("{front}{}z", "*/".repeat(count)))
        };
        let counters = counters("")
            .chain(counters("**/a/"))
            .chain(counters("**/b/"));
        let harmless: Vec<String> = counters.collect();
        let hostile = [harmless.clone(), vec!["**/a/**/b/**/c".to_owned()]].concat();

        assert!(RouteSet::parse(&harmless).is_ok());
        assert_eq!(RouteSet::parse(&hostile), Err(RouteSetError::TooComplex));
        let mut backwards = hostile;
        backwards.reverse();
        assert_eq!(RouteSet::parse(&backwards), Err(RouteSetError::TooComplex));
    }

    /// What comparing a set with itself really costs.
    fn measured(patterns: &[RoutePattern]) -> u64 {
        const MUCH: u64 = 1 << 32;
        let mut prover = Prover::new(patterns);
        let mut work = Work::up_to(MUCH);
        for pattern in patterns {
            prover.visit(pattern, &mut work).unwrap();
        }
        MUCH - work.left()
    }

    #[test]
    fn what_a_set_costs_at_most_is_not_less_than_what_it_costs() {
        let words = ["a", "b", "*"];
        let mut reached = 0;
        for seed in 0_u64..400 {
            let entropy = SeededEntropy::new(seed);
            let mut patterns = Vec::new();
            for _ in 0..=seed % 24 {
                let mut dice = [0; 10];
                entropy.fill(&mut dice).unwrap();
                let len = 1 + usize::from(dice[0]) % 8;
                let mut segments: Vec<&str> = dice[1..=len]
                    .iter()
                    .map(|die| words[usize::from(*die) % words.len()])
                    .collect();
                if dice[9] % 2 == 0 {
                    segments.push("**");
                }
                patterns.push(RoutePattern::parse(&segments.join("/")).unwrap());
            }
            let most = at_most(&patterns).unwrap();
            assert!(measured(&patterns) <= most, "{patterns:?} {most}");
            reached += u32::from(measured(&patterns) == most);
        }
        // It is no more than it has to be: a pattern alone costs just that.
        assert!(reached > 0);
        let inner = [RoutePattern::parse("**/a").unwrap()];
        assert_eq!(at_most(&inner), None);
    }

    #[test]
    fn json_has_sets_as_lists_of_strings() {
        let routes: RouteSet = serde_json::from_str(r#"["b/a", "get b/**", "b/**"]"#).unwrap();
        assert_eq!(serde_json::to_string(&routes).unwrap(), r#"["b/**"]"#);
        assert!(serde_json::from_str::<RouteSet>(r#"["a//b"]"#).is_err());
        assert!(serde_json::from_str::<RouteSet>("null").is_err());
    }
}
