//! One scope glob.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::limits::{DOUBLE_STARS_PER_PATTERN_MAX, PATTERN_CHARS_MAX, SEGMENTS_PER_PATTERN_MAX};
use super::method::Methods;
use super::syntax::{Dialect, RoutePatternError, Segment, is_longer_than, read};

/// One scope glob, `[METHODS ]segment/segment/…`, in its canonical form: two patterns are equal if
/// and only if their texts are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoutePattern {
    text: Box<str>,
    methods: Methods,
    pieces: Box<[Piece]>,
    /// Segments of the shortest path that matches.
    shortest: usize,
    /// Whether longer paths can match as well, that is, whether there is a [`Piece::Many`].
    open: bool,
}

/// What a pattern is made of, once `**` means the same wherever it stands.
///
/// A trailing `**` is `One Many`, any other is `Many`. In every run of wildcards all `One` stand
/// before the `Many`, and there is at most one `Many`; so two `Many` are never neighbours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Piece {
    /// Exactly this segment, decoded.
    Literal(Box<str>),
    /// Exactly one segment.
    One,
    /// Any number of segments, zero included.
    Many,
}

impl Piece {
    /// As a segment of a text.
    fn as_str(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::One => "*",
            Self::Many => "**",
        }
    }
}

impl RoutePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`RoutePatternError`], which says what to write instead.
    pub fn parse(text: &str) -> Result<Self, RoutePatternError> {
        let (methods, segments) = read(text, Dialect::Pattern)?;
        Self::from_segments(methods, segments)
    }

    /// The pattern that is written with these segments. Placeholders must be filled by now.
    pub(super) fn from_segments(
        methods: Methods,
        segments: Vec<Segment<'_>>,
    ) -> Result<Self, RoutePatternError> {
        let last = segments.len().saturating_sub(1);
        let mut pieces = Vec::with_capacity(segments.len() + 1);
        for (place, segment) in segments.into_iter().enumerate() {
            match segment {
                Segment::Literal(text) => pieces.push(Piece::Literal(text.into())),
                Segment::Star => pieces.push(Piece::One),
                Segment::DoubleStar if place == last => {
                    pieces.extend([Piece::One, Piece::Many]);
                }
                Segment::DoubleStar => pieces.push(Piece::Many),
                Segment::Curly(_) => return Err(RoutePatternError::Braces),
                Segment::Angle(_) => return Err(RoutePatternError::AngleBrackets),
            }
        }
        Self::from_pieces(methods, pieces)
    }

    /// The pattern that is made of these pieces, in any order of wildcards. A run of wildcards at
    /// the end that has a `Many` needs a `One`, too, since a trailing `**` is one segment or more.
    pub(super) fn from_pieces(
        methods: Methods,
        pieces: Vec<Piece>,
    ) -> Result<Self, RoutePatternError> {
        let pieces = normal_form(pieces);
        let shortest = pieces.iter().filter(|piece| **piece != Piece::Many).count();
        let open = shortest < pieces.len();
        let text = print(methods, &pieces)?;
        Ok(Self {
            text: text.into(),
            methods,
            pieces: pieces.into(),
            shortest,
            open,
        })
    }

    /// The canonical form: methods in upper case, sorted, each once; no leading slash; wildcards
    /// in one order (`**/*` is `**`, `**/**/a` is `**/a`, `**/*/a` is `*/**/a`).
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The methods that the pattern is about.
    pub fn methods(&self) -> Methods {
        self.methods
    }

    /// `**` for all methods.
    pub fn everything() -> Self {
        Self {
            text: "**".into(),
            methods: Methods::Any,
            pieces: [Piece::One, Piece::Many].into(),
            shortest: 1,
            open: true,
        }
    }

    /// Whether this is `**` for all methods.
    pub(super) fn is_everything(&self) -> bool {
        &*self.text == "**"
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(super) fn shortest(&self) -> usize {
        self.shortest
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(&**text),
            Piece::One | Piece::Many => None,
        })
    }
}

/// Sorts each run of wildcards, so that equal languages have equal pieces.
pub(super) fn normal_form(pieces: Vec<Piece>) -> Vec<Piece> {
    // Nearly always, what was written was in this form, but for a `**` at its end.
    let wildcards = |pair: &[Piece]| matches!(pair, [Piece::Many, Piece::One | Piece::Many]);
    if !pieces.windows(2).any(wildcards) {
        return pieces;
    }
    let mut normal = Vec::with_capacity(pieces.len());
    let mut many = false;
    for piece in pieces {
        match piece {
            Piece::One => normal.push(Piece::One),
            Piece::Many => many = true,
            Piece::Literal(_) => {
                if many {
                    normal.push(Piece::Many);
                    many = false;
                }
                normal.push(piece);
            }
        }
    }
    if many {
        normal.push(Piece::Many);
    }
    normal
}

fn print(methods: Methods, pieces: &[Piece]) -> Result<String, RoutePatternError> {
    // The end `One Many` is written as one `**`. A `Many` alone at the end cannot be written.
    let (pieces, open_end) = match pieces {
        [front @ .., Piece::One, Piece::Many] => (front, true),
        [.., Piece::Many] => return Err(RoutePatternError::Empty),
        other => (other, false),
    };
    let segments = || {
        let written = pieces.iter().map(Piece::as_str);
        written.chain(open_end.then_some("**"))
    };
    let (mut count, mut double_stars, mut bytes) = (0, 0, 0);
    for segment in segments() {
        count += 1;
        double_stars += usize::from(segment == "**");
        bytes += segment.len() + 1;
    }
    if count == 0 {
        return Err(RoutePatternError::Empty);
    }
    if count > SEGMENTS_PER_PATTERN_MAX {
        return Err(RoutePatternError::TooManySegments);
    }
    if double_stars > DOUBLE_STARS_PER_PATTERN_MAX {
        return Err(RoutePatternError::TooManyDoubleStars);
    }
    let mut text = methods.to_string();
    text.reserve(bytes);
    for (place, segment) in segments().enumerate() {
        if place > 0 {
            text.push('/');
        }
        text.push_str(segment);
    }
    if is_longer_than(&text, PATTERN_CHARS_MAX) {
        return Err(RoutePatternError::TooLong);
    }
    Ok(text)
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

// The text says everything: the other fields are computed from the same pieces.
impl PartialEq for RoutePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RoutePattern {}

impl PartialOrd for RoutePattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoutePattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for RoutePattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl std::str::FromStr for RoutePattern {
    type Err = RoutePatternError;
    fn from_str(text: &str) -> Result<Self, RoutePatternError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RoutePattern {
    type Error = RoutePatternError;
    fn try_from(text: String) -> Result<Self, RoutePatternError> {
        Self::parse(&text)
    }
}

impl From<RoutePattern> for String {
    fn from(pattern: RoutePattern) -> Self {
        pattern.text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::RoutePatternError as E;
    use super::*;

    #[test]
    fn patterns_print_their_canonical_form() {
        for (text, canonical) in [
            ("**", "**"),
            ("*", "*"),
            ("bot/**", "bot/**"),
            ("/bot/**", "bot/**"),
            ("/v1/bot/**", "bot/**"),
            ("/api/v1/bot/**", "bot/**"),
            ("v1/bot", "v1/bot"),
            ("api/v1/bot", "api/v1/bot"),
            ("/v1", "v1"),
            ("/v1/v1/bot", "v1/bot"),
            ("/v1/api/v1/bot", "api/v1/bot"),
            ("POST bot/*/session/create", "POST bot/*/session/create"),
            ("get,HEAD,Get /v1/bot/**", "GET,HEAD bot/**"),
            ("PUT,PATCH,DELETE a", "DELETE,PATCH,PUT a"),
            ("**/*", "**"),
            ("**/**", "**"),
            ("**/**/a", "**/a"),
            ("**/*/a", "*/**/a"),
            ("a/**/*", "a/**"),
            ("a/**/*/*", "a/*/**"),
            ("a/*/**", "a/*/**"),
            ("a/**/**", "a/**"),
            ("*/**/*", "*/**"),
            ("**/*/**", "*/**"),
            ("a/**/b/**", "a/**/b/**"),
            (
                "caf\u{e9}/a:b@c,d=e+f$&'()~._-|^`\"",
                "caf\u{e9}/a:b@c,d=e+f$&'()~._-|^`\"",
            ),
            ("...", "..."),
        ] {
            let pattern = RoutePattern::parse(text).unwrap();
            assert_eq!(pattern.as_str(), canonical, "{text}");
            let again = RoutePattern::parse(canonical).unwrap();
            assert_eq!(again, pattern, "{text}");
            assert_eq!(again.pieces(), pattern.pieces(), "{text}");
            assert_eq!(again.methods(), pattern.methods(), "{text}");
        }
        assert_eq!(RoutePattern::parse("**"), Ok(RoutePattern::everything()));
    }

    #[test]
    fn what_is_not_in_the_language_is_refused() {
        let star = |segment: &str| E::StarInSegment {
            segment: segment.to_owned(),
        };
        let method = |name: &str| E::UnknownMethod {
            name: name.to_owned(),
        };
        for (text, error) in [
            ("", E::Empty),
            ("/", E::Empty),
            ("/v1/", E::Empty),
            ("GET ", E::Empty),
            ("GET /", E::Empty),
            ("bot/", E::TrailingSlash),
            ("bot/**/", E::TrailingSlash),
            ("//", E::EmptySegment),
            ("bot//", E::EmptySegment),
            ("bot//a", E::EmptySegment),
            ("//bot", E::EmptySegment),
            ("/v1//bot", E::EmptySegment),
            (".", E::DotSegment),
            ("..", E::DotSegment),
            ("bot/./a", E::DotSegment),
            ("bot/../a", E::DotSegment),
            ("bot*", star("bot*")),
            ("bot/a*b", star("a*b")),
            ("***", star("***")),
            ("bot/**a", star("**a")),
            ("bot/?", E::QuestionMark),
            ("bot?a=b", E::QuestionMark),
            ("bot/[ab]", E::Brackets),
            ("bot/a]", E::Brackets),
            ("bot/{a,b}", E::Braces),
            ("bot/{botId}", E::Braces),
            ("bot/}", E::Braces),
            ("bot/<botId>/session/create", E::AngleBrackets),
            ("!bot", E::ExclamationMark),
            ("bot/a!", E::ExclamationMark),
            ("bot\\a", E::Backslash),
            ("bot/\\*", E::Backslash),
            ("bot/%61", E::Percent),
            ("bot/%2F", E::Percent),
            ("bot;a=b", E::Semicolon),
            ("bot#a", E::Hash),
            ("bot\n", E::ControlCharacter { character: '\n' }),
            ("bot\0", E::ControlCharacter { character: '\0' }),
            (
                "bot/\u{85}",
                E::ControlCharacter {
                    character: '\u{85}',
                },
            ),
            ("bot/a b", E::WhiteSpace),
            (" bot", E::WhiteSpace),
            ("bot ", method("bot")),
            ("GET  bot", E::WhiteSpace),
            ("GET bot ", E::WhiteSpace),
            ("GET bot POST a", E::WhiteSpace),
            ("bot/\u{a0}", E::WhiteSpace),
            ("GET, HEAD bot", method("")),
            (",GET bot", method("")),
            ("FOO bot", method("FOO")),
            ("GET,FOO bot", method("FOO")),
            ("PROPFIND bot", method("PROPFIND")),
            ("a/**/b/**/c/**/d/**", E::TooManyDoubleStars),
            ("**/**/**/**", E::TooManyDoubleStars),
        ] {
            assert_eq!(RoutePattern::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_limits_hold_on_both_sides() {
        let segments = |count: usize| vec!["a"; count].join("/");
        assert!(RoutePattern::parse(&segments(SEGMENTS_PER_PATTERN_MAX)).is_ok());
        assert_eq!(
            RoutePattern::parse(&segments(SEGMENTS_PER_PATTERN_MAX + 1)),
            Err(E::TooManySegments)
        );

        // Characters are counted, not bytes.
        let longest = "\u{1f916}".repeat(PATTERN_CHARS_MAX);
        assert!(RoutePattern::parse(&longest).is_ok());
        assert_eq!(RoutePattern::parse(&format!("{longest}a")), Err(E::TooLong));
        assert_eq!(RoutePattern::parse(&"a/".repeat(1 << 20)), Err(E::TooLong));

        assert!(RoutePattern::parse("a/**/b/**/c/**").is_ok());
        assert!(RoutePattern::parse("**/a/**/b/**/c").is_ok());
    }

    #[test]
    fn json_has_patterns_as_strings() {
        let pattern: RoutePattern = serde_json::from_str(r#""get /v1/bot/**""#).unwrap();
        assert_eq!(serde_json::to_string(&pattern).unwrap(), r#""GET bot/**""#);
        assert!(serde_json::from_str::<RoutePattern>(r#""bot/[a]""#).is_err());
    }
}
