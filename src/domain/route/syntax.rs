//! Reading the text of patterns and templates.

use super::limits::{
    DOUBLE_STARS_PER_PATTERN_MAX, PATTERN_CHARS_MAX, PLACEHOLDER_NAME_CHARS_MAX,
    SEGMENTS_PER_PATTERN_MAX,
};
use super::method::{Method, MethodSet, Methods};

/// Why a text is not a route pattern, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutePatternError {
    /// Nothing is left when the methods and the leading slash are taken away.
    #[error("a pattern needs at least one segment; write `**` for every path")]
    Empty,
    /// More than [`PATTERN_CHARS_MAX`] characters.
    #[error(
        "a pattern has at most {PATTERN_CHARS_MAX} characters; write `*` or `**` for the parts that may vary"
    )]
    TooLong,
    /// More than [`SEGMENTS_PER_PATTERN_MAX`] segments.
    #[error(
        "a pattern has at most {SEGMENTS_PER_PATTERN_MAX} segments; write `**` for the rest of the path"
    )]
    TooManySegments,
    /// More than [`DOUBLE_STARS_PER_PATTERN_MAX`] times `**`.
    #[error(
        "a pattern has at most {DOUBLE_STARS_PER_PATTERN_MAX} times `**`; write `*` where exactly one segment stands, or several patterns"
    )]
    TooManyDoubleStars,
    /// Two slashes with nothing between them.
    #[error("a segment is empty; write one `/` between two segments")]
    EmptySegment,
    /// A slash at the end.
    #[error(
        "a pattern does not end with `/`; write `bot` for the path itself, `bot/**` for what lies below it"
    )]
    TrailingSlash,
    /// `.` or `..`.
    #[error("`.` and `..` never match, since such paths are refused; write the path that is meant")]
    DotSegment,
    /// `*` with something beside it.
    #[error("`*` stands for a whole segment; write `*` in place of `{segment}`")]
    StarInSegment {
        /// The segment as it was written.
        segment: String,
    },
    /// `?`
    #[error("`?` is no wildcard, and the query is not matched; write `*` for a whole segment")]
    QuestionMark,
    /// `[` or `]`
    #[error("`[…]` is no wildcard; write one pattern for each choice, or `*` for a whole segment")]
    Brackets,
    /// `{` or `}`
    #[error("`{{…}}` is no choice; write one pattern for each choice, such as `bot/a` and `bot/b`")]
    Braces,
    /// `<` or `>`
    #[error("`<…>` is a placeholder of a template; write its value, or `*` for any value")]
    AngleBrackets,
    /// `!`
    #[error("`!` does not exclude anything; write the patterns that are allowed")]
    ExclamationMark,
    /// `\`
    #[error("`\\` does not escape anything; write `/` between segments")]
    Backslash,
    /// `%`
    #[error("`%` does not encode anything; write the character itself, or `*` for a whole segment")]
    Percent,
    /// `;`
    #[error("`;` never matches, since paths with parameters are refused; leave the parameter out")]
    Semicolon,
    /// `#`
    #[error("`#` never matches, since paths with fragments are refused; leave the fragment out")]
    Hash,
    /// A control character.
    #[error("{character:?} is a control character; leave it out")]
    ControlCharacter {
        /// The character.
        character: char,
    },
    /// White space other than the one space behind the methods.
    #[error(
        "the only space is the one between methods and path, as in `GET,HEAD bot/**`; write `*` for a segment with a space"
    )]
    WhiteSpace,
    /// A method that patterns do not know.
    #[error(
        "`{name}` is not a method that a pattern can name; write GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE or CONNECT, or no method for any method"
    )]
    UnknownMethod {
        /// The name as it was written.
        name: String,
    },
    /// A placeholder whose name is not well-formed.
    #[error(
        "`{name}` does not name a placeholder; write a letter and then letters, digits or `_`, at most {PLACEHOLDER_NAME_CHARS_MAX}"
    )]
    PlaceholderName {
        /// The name as it was written.
        name: String,
    },
}

/// One segment as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Literal(&'a str),
    Star,
    DoubleStar,
    Curly(&'a str),
    Angle(&'a str),
}

/// What may stand in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Literals, `*` and `**`.
    Pattern,
    /// Whole segments may be placeholders, too.
    Template,
}

/// Splits a text into methods and segments, and checks everything that can be checked by looking
/// at it: characters, names, limits.
pub(super) fn read(
    text: &str,
    dialect: Dialect,
) -> Result<(Methods, Vec<Segment<'_>>), RoutePatternError> {
    if is_longer_than(text, PATTERN_CHARS_MAX) {
        return Err(RoutePatternError::TooLong);
    }
    let (methods, path) = match text.split_once(' ') {
        Some((methods, path)) => (read_methods(methods)?, path),
        None => (Methods::Any, text),
    };
    let path = cut_prefix(path);
    if path.is_empty() {
        return Err(RoutePatternError::Empty);
    }
    if path != "/" && path.ends_with('/') && !path.ends_with("//") {
        return Err(RoutePatternError::TrailingSlash);
    }

    let mut segments = Vec::new();
    let mut double_stars = 0;
    for segment in path.split('/') {
        let segment = read_segment(segment, dialect)?;
        if segment == Segment::DoubleStar {
            double_stars += 1;
        }
        segments.push(segment);
    }
    if segments.len() > SEGMENTS_PER_PATTERN_MAX {
        return Err(RoutePatternError::TooManySegments);
    }
    if double_stars > DOUBLE_STARS_PER_PATTERN_MAX {
        return Err(RoutePatternError::TooManyDoubleStars);
    }
    Ok((methods, segments))
}

/// Whether a text has more characters than that. Most texts are so short or so long that they need
/// not be counted.
pub(super) fn is_longer_than(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && (text.len() > chars_max * 4 || text.chars().count() > chars_max)
}

/// What people copy from the address of an endpoint is cut, once.
fn cut_prefix(path: &str) -> &str {
    ["/api/v1/", "/v1/", "/"]
        .into_iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .unwrap_or(path)
}

fn read_methods(text: &str) -> Result<Methods, RoutePatternError> {
    // `a/b c` and ` a` have a space that is not behind methods.
    if text.is_empty() || text.contains('/') {
        return Err(RoutePatternError::WhiteSpace);
    }
    let mut set = MethodSet::default();
    for name in text.split(',') {
        let Some(method) = Method::from_pattern(name) else {
            return Err(RoutePatternError::UnknownMethod {
                name: name.to_owned(),
            });
        };
        set.insert(method);
    }
    Ok(Methods::Only(set))
}

fn read_segment(segment: &str, dialect: Dialect) -> Result<Segment<'_>, RoutePatternError> {
    match segment {
        "" => return Err(RoutePatternError::EmptySegment),
        "." | ".." => return Err(RoutePatternError::DotSegment),
        "*" => return Ok(Segment::Star),
        "**" => return Ok(Segment::DoubleStar),
        _ => {}
    }
    if dialect == Dialect::Template {
        if let Some(name) = between(segment, '{', '}') {
            return read_placeholder_name(name).map(Segment::Curly);
        }
        if let Some(name) = between(segment, '<', '>') {
            return read_placeholder_name(name).map(Segment::Angle);
        }
    }
    // No such character is ever refused.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if segment.bytes().all(is_plain) {
        return Ok(Segment::Literal(segment));
    }
    match segment.chars().find_map(|c| refusal(c, segment)) {
        Some(error) => Err(error),
        None => Ok(Segment::Literal(segment)),
    }
}

fn between(segment: &str, open: char, close: char) -> Option<&str> {
    segment.strip_prefix(open)?.strip_suffix(close)
}

fn read_placeholder_name(name: &str) -> Result<&str, RoutePatternError> {
    let well_formed = name.len() <= PLACEHOLDER_NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if well_formed {
        Ok(name)
    } else {
        Err(RoutePatternError::PlaceholderName {
            name: name.to_owned(),
        })
    }
}

/// Why this character may not stand in a literal, if it may not.
fn refusal(character: char, segment: &str) -> Option<RoutePatternError> {
    match character {
        '*' => Some(RoutePatternError::StarInSegment {
            segment: segment.to_owned(),
        }),
        '?' => Some(RoutePatternError::QuestionMark),
        '[' | ']' => Some(RoutePatternError::Brackets),
        '{' | '}' => Some(RoutePatternError::Braces),
        '<' | '>' => Some(RoutePatternError::AngleBrackets),
        '!' => Some(RoutePatternError::ExclamationMark),
        '\\' => Some(RoutePatternError::Backslash),
        '%' => Some(RoutePatternError::Percent),
        ';' => Some(RoutePatternError::Semicolon),
        '#' => Some(RoutePatternError::Hash),
        _ if character.is_control() => Some(RoutePatternError::ControlCharacter { character }),
        _ if character.is_whitespace() => Some(RoutePatternError::WhiteSpace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_without_a_closer_look_is_what_a_closer_look_allows() {
        for character in (0..=u8::MAX).map(char::from) {
            let segment = format!("a{character}b");
            let allowed = refusal(character, &segment).is_none();
            if character != '/' {
                let read = read_segment(&segment, Dialect::Pattern);
                assert_eq!(read.is_ok(), allowed, "{character:?}");
            }
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert!(!is_longer_than(&"é".repeat(10), 10));
        assert!(is_longer_than(&"é".repeat(11), 10));
        assert!(!is_longer_than(&"e".repeat(10), 10));
        assert!(is_longer_than(&"e".repeat(11), 10));
        assert!(is_longer_than(&"e".repeat(41), 10));
    }
}
