//! Query strings and forms, read strictly.
//!
//! A parameter that is repeated, spelt in a broken way or too long is refused and never left out.

use percent_encoding::percent_decode_str;

use crate::domain::limits::BODY_BYTES_MAX;

/// A query string, in bytes.
const QUERY_BYTES_MAX: usize = 4096;
/// Parameters in a query string or form.
const PARAMETERS_MAX: usize = 64;

/// Why a query string or form cannot be used: 400. It does not quote the parameters, which may be
/// secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too many bytes.
    #[error("the parameters are longer than {bytes_max} bytes")]
    TooLong {
        /// Bytes that there may be.
        bytes_max: usize,
    },
    /// Too many parameters.
    #[error("more than {PARAMETERS_MAX} parameters")]
    TooMany,
    /// A parameter without a name, such as in `a=1&&b=2`.
    #[error("a parameter has no name")]
    NoName,
    /// A `%` without two hexadecimal digits.
    #[error("a parameter has a `%` without two hexadecimal digits")]
    Escape,
    /// Bytes that are no UTF-8.
    #[error("a parameter is not UTF-8")]
    NotUtf8,
    /// A control character.
    #[error("a parameter has a control character")]
    Control,
    /// A parameter twice.
    #[error("the parameter `{name}` is given more than once")]
    Repeated {
        /// Its name, shortened.
        name: String,
    },
}

/// The parameters of a query string, decoded, in order. `+` is a space.
///
/// # Errors
/// [`QueryError`].
pub fn parse_query(raw: Option<&str>) -> Result<Vec<(String, String)>, QueryError> {
    parse(raw.unwrap_or_default(), QUERY_BYTES_MAX)
}

/// The parameters of a body of `application/x-www-form-urlencoded`.
///
/// # Errors
/// [`QueryError`].
pub fn parse_form(bytes: &[u8]) -> Result<Vec<(String, String)>, QueryError> {
    let text = std::str::from_utf8(bytes).map_err(|_| QueryError::NotUtf8)?;
    parse(text, BODY_BYTES_MAX)
}

fn parse(raw: &str, bytes_max: usize) -> Result<Vec<(String, String)>, QueryError> {
    if raw.len() > bytes_max {
        return Err(QueryError::TooLong { bytes_max });
    }
    let mut parameters: Vec<(String, String)> = Vec::new();
    if raw.is_empty() {
        return Ok(parameters);
    }
    for pair in raw.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if name.is_empty() {
            return Err(QueryError::NoName);
        }
        if parameters.iter().any(|(other, _)| *other == name) {
            let name = name.chars().take(100).collect();
            return Err(QueryError::Repeated { name });
        }
        if parameters.len() == PARAMETERS_MAX {
            return Err(QueryError::TooMany);
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

fn decode(text: &str) -> Result<String, QueryError> {
    let triplets_are_whole = text.split('%').skip(1).all(|after| {
        let mut digits = after.bytes();
        [digits.next(), digits.next()]
            .iter()
            .all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
    });
    if !triplets_are_whole {
        return Err(QueryError::Escape);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced)
        .decode_utf8()
        .map_err(|_| QueryError::NotUtf8)?;
    if decoded.contains(char::is_control) {
        return Err(QueryError::Control);
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_in_order() {
        for (raw, expected) in [
            ("", vec![]),
            ("take=5", vec![("take", "5")]),
            ("b=1&a=2", vec![("b", "1"), ("a", "2")]),
            ("flag", vec![("flag", "")]),
            ("a=", vec![("a", "")]),
            ("a=b=c", vec![("a", "b=c")]),
            ("meta.k=a%26b+c", vec![("meta.k", "a&b c")]),
            (
                "email=a%2Bb%40example.com",
                vec![("email", "a+b@example.com")],
            ),
            ("%61=%C3%A4", vec![("a", "ä")]),
            ("a=1;b=2", vec![("a", "1;b=2")]),
        ] {
            let parameters = parse_query(Some(raw)).unwrap();
            let parameters: Vec<(&str, &str)> = parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(parameters, expected, "{raw}");
        }
        assert_eq!(parse_query(None), Ok(vec![]));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let repeated = |name: &str| QueryError::Repeated {
            name: name.to_owned(),
        };
        for (raw, expected) in [
            ("a=1&a=2", repeated("a")),
            ("a=1&%61=2", repeated("a")),
            ("a&a", repeated("a")),
            ("a=1&&b=2", QueryError::NoName),
            ("&", QueryError::NoName),
            ("a=1&", QueryError::NoName),
            ("=1", QueryError::NoName),
            ("a=%", QueryError::Escape),
            ("a=%2", QueryError::Escape),
            ("a=%zz", QueryError::Escape),
            ("a=%%32%35", QueryError::Escape),
            ("%=1", QueryError::Escape),
            ("a=%2%30", QueryError::Escape),
            ("a=%+1", QueryError::Escape),
            ("a=%c3", QueryError::NotUtf8),
            ("a=%c0%af", QueryError::NotUtf8),
            ("a=%ed%a0%80", QueryError::NotUtf8),
            ("a=%00", QueryError::Control),
            ("a=%0d%0a", QueryError::Control),
            ("a=%c2%85", QueryError::Control),
        ] {
            assert_eq!(parse_query(Some(raw)), Err(expected), "{raw}");
        }
    }

    #[test]
    fn there_is_a_limit_on_both_sides() {
        let long = |len: usize| format!("a={}", "x".repeat(len - 2));
        assert!(parse_query(Some(&long(QUERY_BYTES_MAX))).is_ok());
        assert_eq!(
            parse_query(Some(&long(QUERY_BYTES_MAX + 1))),
            Err(QueryError::TooLong {
                bytes_max: QUERY_BYTES_MAX
            })
        );

        let many = |count: usize| {
            let parameters: Vec<String> = (0..count).map(|number| format!("p{number}")).collect();
            parameters.join("&")
        };
        assert!(parse_query(Some(&many(PARAMETERS_MAX))).is_ok());
        assert_eq!(
            parse_query(Some(&many(PARAMETERS_MAX + 1))),
            Err(QueryError::TooMany)
        );
    }

    #[test]
    fn a_form_is_read_by_the_same_rules() {
        let long = format!("subject_token={}", "x".repeat(QUERY_BYTES_MAX));
        assert!(parse_form(long.as_bytes()).is_ok());
        assert!(parse_form(b"grant_type=a&grant_type=b").is_err());
        assert_eq!(parse_form(b"a=\xff"), Err(QueryError::NotUtf8));
        assert!(parse_form(&vec![b'a'; BODY_BYTES_MAX + 1]).is_err());
    }
}
