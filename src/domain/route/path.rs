//! Paths of requests: parsed, found unambiguous, and only then matched.
//!
//! Nothing is normalised here. A path that two programs could read differently is refused, because
//! the decision would be made for another request than the one that is served.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits::{PATH_BYTES_MAX, PATH_SEGMENTS_MAX};
use super::mount::Mount;

/// A path behind its mount, as decoded segments. It has at least one segment and at most
/// [`PATH_SEGMENTS_MAX`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestPath {
    /// The decoded segments, joined by `/`, which no decoded segment contains.
    text: String,
    /// Where each segment ends in `text`.
    ends: Vec<usize>,
}

/// Why a path is not authorised, whatever the credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The target does not begin with `/`: absolute form, authority form, `*` or nothing.
    #[error("the request target is not an absolute path")]
    NotAPath,
    /// More than [`PATH_BYTES_MAX`] bytes before the query.
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// More than [`PATH_SEGMENTS_MAX`] segments behind the mount.
    #[error("the path has more than {PATH_SEGMENTS_MAX} segments")]
    TooManySegments,
    /// The path does not lie below the mount.
    #[error("the path is outside the mount")]
    OutsideMount,
    /// Nothing is left behind the mount.
    #[error("the path has no segment behind the mount")]
    NoSegment,
    /// The path ends with `/`, and here this makes a difference.
    #[error("the path ends with a slash")]
    TrailingSlash,
    /// Two slashes with nothing between them.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`.
    #[error("the path has a dot segment")]
    DotSegment,
    /// A backslash, which some programs read as `/`.
    #[error("the path has a backslash")]
    Backslash,
    /// `;`, behind which some programs see parameters.
    #[error("the path has a semicolon")]
    Semicolon,
    /// `#` anywhere in the target.
    #[error("the request target has a fragment")]
    Fragment,
    /// A control character anywhere in the target, or encoded in the path.
    #[error("the request target has a control character")]
    ControlCharacter,
    /// A byte above 127 that is not percent-encoded.
    #[error("the path has a byte that is not ASCII and not percent-encoded")]
    NotAscii,
    /// An ASCII character that RFC 3986 does not allow in a path.
    #[error("the path has {character:?}, which must be percent-encoded")]
    IllegalCharacter {
        /// The character.
        character: char,
    },
    /// `%` without two hexadecimal digits behind it.
    #[error("the path has a `%` without two hexadecimal digits")]
    BadEncoding,
    /// One of `/ \ % ? # ;` percent-encoded.
    #[error("the path has {character:?} percent-encoded, which programs read differently")]
    EncodedDelimiter {
        /// What was encoded.
        character: char,
    },
    /// A letter, a digit or one of `- . _ ~` percent-encoded.
    #[error("the path has {character:?} percent-encoded, which needs no encoding")]
    NeedlessEncoding {
        /// What was encoded.
        character: char,
    },
    /// The encoded bytes are not UTF-8: invalid, overlong, or a surrogate.
    #[error("the path is not UTF-8 when decoded")]
    InvalidUtf8,
}

/// What one slash at the end of a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrailingSlash {
    /// Nothing: `bot/b1/` is `bot/b1`.
    #[default]
    Equal,
    /// The path is refused, for upstreams that tell the two apart.
    Refuse,
}

impl RequestPath {
    /// Reads a request target as it was sent, query included.
    ///
    /// # Errors
    /// [`PathError`] for every target that two programs could read differently.
    pub fn parse(
        raw_target: impl AsRef<[u8]>,
        mount: &Mount,
        trailing: TrailingSlash,
    ) -> Result<Self, PathError> {
        let target = raw_target.as_ref();
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(mark) => target.split_at(mark),
            None => (target, [].as_slice()),
        };
        if !path.starts_with(b"/") {
            return Err(PathError::NotAPath);
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        // A fragment or a line end in the query would let two programs disagree on where it ends.
        check_query(query)?;

        let rest = mount.cut(path)?;
        let rest = match (rest.strip_suffix(b"/"), trailing) {
            (None, _) => rest,
            (Some([]), TrailingSlash::Equal | TrailingSlash::Refuse) => {
                return Err(PathError::NoSegment);
            }
            (Some(shorter), TrailingSlash::Equal) => shorter,
            (Some(_), TrailingSlash::Refuse) => return Err(PathError::TrailingSlash),
        };
        // `rest` is empty or begins with the slash before its first segment.
        let Some(rest) = rest.strip_prefix(b"/") else {
            return Err(PathError::NoSegment);
        };
        let mut builder = Builder::new(rest.len());
        for segment in rest.split(|byte| *byte == b'/') {
            builder.push_raw(segment)?;
        }
        builder.finish()
    }

    /// A path of segments that are known in decoded form, for counter-examples and tests.
    ///
    /// # Errors
    /// [`PathError`] for a segment that no request could have.
    pub fn from_segments<'a>(
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, PathError> {
        let mut builder = Builder::new(0);
        for segment in segments {
            builder.push_decoded(segment)?;
        }
        builder.finish()
    }

    /// The decoded segments.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|index| self.segment(index))
    }

    /// The decoded segments, joined by `/`, for people to read. It is not a request target.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many segments there are.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The decoded segment at a place, counted from 0.
    pub fn segment(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before)? + 1,
            None => 0,
        };
        self.text.get(start..end)
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

fn check_query(query: &[u8]) -> Result<(), PathError> {
    for byte in query {
        match byte {
            b'#' => return Err(PathError::Fragment),
            0..=0x1f | 0x7f => return Err(PathError::ControlCharacter),
            _ => {}
        }
    }
    Ok(())
}

/// Collects decoded segments.
struct Builder {
    text: String,
    ends: Vec<usize>,
    /// The bytes of the segment that is being decoded.
    decoded: Vec<u8>,
}

impl Builder {
    fn new(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            ends: Vec::with_capacity(8),
            decoded: Vec::new(),
        }
    }

    fn push_raw(&mut self, raw: &[u8]) -> Result<(), PathError> {
        self.decoded.clear();
        let mut bytes = raw.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                check_raw(byte)?;
                self.decoded.push(byte);
                continue;
            }
            let (Some(high), Some(low)) = (hex(bytes.next()), hex(bytes.next())) else {
                return Err(PathError::BadEncoding);
            };
            let value = high << 4 | low;
            check_encoded(value)?;
            self.decoded.push(value);
        }
        let decoded = std::mem::take(&mut self.decoded);
        let text = std::str::from_utf8(&decoded).map_err(|_| PathError::InvalidUtf8)?;
        self.push(text)?;
        self.decoded = decoded;
        Ok(())
    }

    fn push_decoded(&mut self, text: &str) -> Result<(), PathError> {
        for byte in text.bytes() {
            match byte {
                b'/' | b'%' | b'?' => {
                    return Err(PathError::EncodedDelimiter {
                        character: char::from(byte),
                    });
                }
                b'\\' => return Err(PathError::Backslash),
                b';' => return Err(PathError::Semicolon),
                b'#' => return Err(PathError::Fragment),
                _ => {}
            }
        }
        self.push(text)
    }

    /// What holds for every segment once it is decoded.
    fn push(&mut self, text: &str) -> Result<(), PathError> {
        match text {
            "" => return Err(PathError::EmptySegment),
            "." | ".." => return Err(PathError::DotSegment),
            _ => {}
        }
        if text.chars().any(char::is_control) {
            return Err(PathError::ControlCharacter);
        }
        if self.ends.len() == PATH_SEGMENTS_MAX {
            return Err(PathError::TooManySegments);
        }
        if !self.ends.is_empty() {
            self.text.push('/');
        }
        self.text.push_str(text);
        self.ends.push(self.text.len());
        Ok(())
    }

    fn finish(self) -> Result<RequestPath, PathError> {
        if self.ends.is_empty() {
            return Err(PathError::NoSegment);
        }
        Ok(RequestPath {
            text: self.text,
            ends: self.ends,
        })
    }
}

/// A byte that stands for itself: RFC 3986 `pchar` without `;`.
fn check_raw(byte: u8) -> Result<(), PathError> {
    match byte {
        _ if is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte) => Ok(()),
        b'\\' => Err(PathError::Backslash),
        b';' => Err(PathError::Semicolon),
        b'#' => Err(PathError::Fragment),
        0..=0x1f | 0x7f => Err(PathError::ControlCharacter),
        0x80.. => Err(PathError::NotAscii),
        _ => Err(PathError::IllegalCharacter {
            character: char::from(byte),
        }),
    }
}

/// A byte that was percent-encoded. Those above 127 are judged as UTF-8 later. What RFC 3986 calls
/// unreserved needs no encoding; the reserved rest of `pchar`, such as `@`, may be sent either way.
fn check_encoded(byte: u8) -> Result<(), PathError> {
    match byte {
        b'/' | b'\\' | b'%' | b'?' | b'#' | b';' => Err(PathError::EncodedDelimiter {
            character: char::from(byte),
        }),
        _ if is_unreserved(byte) => Err(PathError::NeedlessEncoding {
            character: char::from(byte),
        }),
        0..=0x1f | 0x7f => Err(PathError::ControlCharacter),
        _ => Ok(()),
    }
}

/// RFC 3986 §2.3.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn hex(digit: Option<u8>) -> Option<u8> {
    match digit? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::PathError as E;
    use super::*;

    fn parse(target: impl AsRef<[u8]>) -> Result<String, PathError> {
        RequestPath::parse(target, &Mount::default(), TrailingSlash::Equal)
            .map(|path| path.as_str().to_owned())
    }

    #[test]
    fn plain_paths_are_split_and_decoded() {
        for (target, segments) in [
            ("/v1/bot", "bot"),
            ("/v1/bot/", "bot"),
            ("/v1/bot/b1/fetch", "bot/b1/fetch"),
            ("/v1/bot?a=/../b&c=%00%2f;d\\", "bot"),
            ("/v1/bot/?", "bot"),
            ("/v1/bot?x?y", "bot"),
            ("/v1/v1/bot", "v1/bot"),
            ("/v1/...", "..."),
            ("/v1/.well-known", ".well-known"),
            ("/v1/*/**", "*/**"),
            (
                "/v1/a-b.c_d~e!f$g&h'i(j)k*l+m,n=o:p@q",
                "a-b.c_d~e!f$g&h'i(j)k*l+m,n=o:p@q",
            ),
            ("/v1/a%20b", "a b"),
            ("/v1/me%40example.com", "me@example.com"),
            ("/v1/%7B%7d%5B%5d%3C%3e%22%5E%60%7C", "{}[]<>\"^`|"),
            ("/v1/caf%C3%A9", "caf\u{e9}"),
            ("/v1/caf%c3%a9/cafe%CC%81", "caf\u{e9}/cafe\u{301}"),
            ("/v1/%F0%9F%A4%96", "\u{1f916}"),
            ("/v1/%EF%BB%BFa", "\u{feff}a"),
        ] {
            assert_eq!(parse(target).as_deref(), Ok(segments), "{target}");
        }
    }

    #[test]
    fn targets_and_segments_that_programs_read_differently_are_refused() {
        for (target, error) in [
            // Not a path.
            ("", E::NotAPath),
            ("*", E::NotAPath),
            ("v1/bot", E::NotAPath),
            ("?/v1/bot", E::NotAPath),
            ("http://example.com/v1/bot", E::NotAPath),
            ("example.com:443", E::NotAPath),
            (" /v1/bot", E::NotAPath),
            // Outside the mount, or nothing behind it.
            ("/", E::OutsideMount),
            ("/bot", E::OutsideMount),
            ("/V1/bot", E::OutsideMount),
            ("/v1bot", E::OutsideMount),
            ("/v2/bot", E::OutsideMount),
            ("//v1/bot", E::OutsideMount),
            ("//example.com/v1/bot", E::OutsideMount),
            ("/./v1/bot", E::OutsideMount),
            ("/x/../v1/bot", E::OutsideMount),
            ("/%761/bot", E::OutsideMount),
            ("/v1%2Fbot", E::OutsideMount),
            ("/v1;x/bot", E::OutsideMount),
            ("/api/v1/bot", E::OutsideMount),
            ("/v1", E::NoSegment),
            ("/v1/", E::NoSegment),
            ("/v1?bot", E::NoSegment),
            ("/v1/?bot", E::NoSegment),
            // Segments.
            ("/v1//", E::EmptySegment),
            ("/v1//bot", E::EmptySegment),
            ("/v1/bot//", E::EmptySegment),
            ("/v1/bot//a", E::EmptySegment),
            ("/v1/.", E::DotSegment),
            ("/v1/./bot", E::DotSegment),
            ("/v1/bot/..", E::DotSegment),
            ("/v1/bot/../", E::DotSegment),
            ("/v1/bot/../key/create", E::DotSegment),
            ("/v1/../v1/bot", E::DotSegment),
        ] {
            assert_eq!(parse(target), Err(error), "{target:?}");
        }
    }

    #[test]
    fn encodings_and_characters_that_programs_read_differently_are_refused() {
        let delimiter = |character| E::EncodedDelimiter { character };
        let needless = |character| E::NeedlessEncoding { character };
        let illegal = |character| E::IllegalCharacter { character };
        for (target, error) in [
            // Encodings.
            ("/v1/%2e%2e/key", needless('.')),
            ("/v1/.%2E/key", needless('.')),
            ("/v1/bot%2Fa", delimiter('/')),
            ("/v1/..%2fkey", delimiter('/')),
            ("/v1/bot%5Ca", delimiter('\\')),
            ("/v1/%252e%252e/key", delimiter('%')),
            ("/v1/bot%3Fa", delimiter('?')),
            ("/v1/bot%23a", delimiter('#')),
            ("/v1/bot%3Ba", delimiter(';')),
            ("/v1/%61", needless('a')),
            ("/v1/%5A", needless('Z')),
            ("/v1/%30", needless('0')),
            ("/v1/%2D", needless('-')),
            ("/v1/%5f", needless('_')),
            ("/v1/%7E", needless('~')),
            ("/v1/bot%00", E::ControlCharacter),
            ("/v1/bot%0a", E::ControlCharacter),
            ("/v1/bot%0D%0Ax", E::ControlCharacter),
            ("/v1/bot%7F", E::ControlCharacter),
            ("/v1/bot%C2%80", E::ControlCharacter),
            ("/v1/bot%C2%9F", E::ControlCharacter),
            ("/v1/%", E::BadEncoding),
            ("/v1/%4", E::BadEncoding),
            ("/v1/%4/1", E::BadEncoding),
            ("/v1/%zz", E::BadEncoding),
            ("/v1/%u002e", E::BadEncoding),
            ("/v1/%+1", E::BadEncoding),
            ("/v1/%%34%31", E::BadEncoding),
            // UTF-8: overlong `/` and `.`, a lone continuation, a cut character, a surrogate, too
            // large, Latin-1.
            ("/v1/%c0%af", E::InvalidUtf8),
            ("/v1/%c0%ae%c0%ae/key", E::InvalidUtf8),
            ("/v1/%e0%80%af", E::InvalidUtf8),
            ("/v1/%80", E::InvalidUtf8),
            ("/v1/%C3", E::InvalidUtf8),
            ("/v1/%C3/%A9", E::InvalidUtf8),
            ("/v1/%ED%A0%80", E::InvalidUtf8),
            ("/v1/%F4%90%80%80", E::InvalidUtf8),
            ("/v1/caf%E9", E::InvalidUtf8),
            ("/v1/%FF%FE", E::InvalidUtf8),
            // Raw characters.
            ("/v1/bot\\a", E::Backslash),
            ("/v1/..\\key", E::Backslash),
            ("/v1/bot;a=b", E::Semicolon),
            ("/v1/..;/key", E::Semicolon),
            ("/v1/bot#a", E::Fragment),
            ("/v1/bot?a#b", E::Fragment),
            ("/v1/bot\0", E::ControlCharacter),
            ("/v1/bot\t", E::ControlCharacter),
            ("/v1/bot\r\n", E::ControlCharacter),
            ("/v1/bot\x7f", E::ControlCharacter),
            ("/v1/bot?a\nb", E::ControlCharacter),
            ("/v1/caf\u{e9}", E::NotAscii),
            ("/v1/a b", illegal(' ')),
            ("/v1/a\"b", illegal('"')),
            ("/v1/<a>", illegal('<')),
            ("/v1/[a]", illegal('[')),
            ("/v1/{a}", illegal('{')),
            ("/v1/a|b", illegal('|')),
            ("/v1/a^b", illegal('^')),
            ("/v1/a`b", illegal('`')),
        ] {
            assert_eq!(parse(target), Err(error), "{target:?}");
        }
        assert_eq!(parse(b"/v1/\xff"), Err(E::NotAscii));
        assert_eq!(parse(b"\xff"), Err(E::NotAPath));
    }

    #[test]
    fn a_slash_at_the_end_means_what_was_configured() {
        let refuse = |target: &str| {
            RequestPath::parse(target, &Mount::default(), TrailingSlash::Refuse).map(|_| ())
        };
        assert_eq!(refuse("/v1/bot"), Ok(()));
        assert_eq!(refuse("/v1/bot/"), Err(E::TrailingSlash));
        assert_eq!(refuse("/v1/bot/?x=/"), Err(E::TrailingSlash));
        assert_eq!(refuse("/v1/"), Err(E::NoSegment));
        assert_eq!(refuse("/v1/bot?x=/"), Ok(()));
    }

    #[test]
    fn mounts_decide_what_is_left() {
        let parse = |target: &str, mount: &Mount| {
            RequestPath::parse(target, mount, TrailingSlash::Equal)
                .map(|path| path.as_str().to_owned())
        };
        assert_eq!(parse("/v1/bot", Mount::hallpass()).as_deref(), Ok("bot"));
        assert_eq!(
            parse("/api/v1/bot", Mount::hallpass()).as_deref(),
            Ok("bot")
        );
        assert_eq!(parse("/api/bot", Mount::hallpass()), Err(E::OutsideMount));
        assert_eq!(parse("/v1/bot", &Mount::root()).as_deref(), Ok("v1/bot"));
        assert_eq!(parse("/", &Mount::root()), Err(E::NoSegment));
        assert_eq!(parse("//", &Mount::root()), Err(E::EmptySegment));
        assert_eq!(parse("//host/bot", &Mount::root()), Err(E::EmptySegment));
    }

    #[test]
    fn the_limits_hold_on_both_sides() {
        let segments = |count: usize| format!("/v1{}", "/a".repeat(count));
        assert!(parse(segments(PATH_SEGMENTS_MAX)).is_ok());
        assert_eq!(
            parse(segments(PATH_SEGMENTS_MAX + 1)),
            Err(E::TooManySegments)
        );

        let long = format!("/v1/{}", "a".repeat(PATH_BYTES_MAX - 4));
        assert!(parse(&long).is_ok());
        assert!(parse(format!("{long}?{}", "q".repeat(9000))).is_ok());
        assert_eq!(parse(format!("{long}a")), Err(E::TooLong));
    }

    #[test]
    fn known_segments_are_held_to_the_same_rules() {
        let path = RequestPath::from_segments(["bot", "caf\u{e9} *"]).unwrap();
        assert_eq!(path.segments().collect::<Vec<_>>(), ["bot", "caf\u{e9} *"]);
        assert_eq!(path.segment(2), None);

        for (segment, error) in [
            ("", E::EmptySegment),
            ("..", E::DotSegment),
            ("a/b", E::EncodedDelimiter { character: '/' }),
            ("a%", E::EncodedDelimiter { character: '%' }),
            ("a?", E::EncodedDelimiter { character: '?' }),
            ("a\\", E::Backslash),
            ("a;", E::Semicolon),
            ("a#", E::Fragment),
            ("a\0", E::ControlCharacter),
            ("\u{85}", E::ControlCharacter),
        ] {
            assert_eq!(
                RequestPath::from_segments([segment]),
                Err(error),
                "{segment:?}"
            );
        }
        assert_eq!(RequestPath::from_segments([]), Err(E::NoSegment));
        assert_eq!(
            RequestPath::from_segments(["a"; PATH_SEGMENTS_MAX + 1]),
            Err(E::TooManySegments)
        );
    }
}
