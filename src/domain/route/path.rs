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

    pub(super) fn segment(&self, index: usize) -> Option<&str> {
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
