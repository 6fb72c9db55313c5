//! The fields of a form, and the parameters of a page.
//!
//! Forms of people have lines of text and boxes that are ticked several at a time, so they are read
//! less strictly than those of programs. What they say goes to the API, which is strict.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};

/// Fields that are read at most. More are refused: a form that lost its last fields would do
/// something else than it says.
pub(super) const FIELDS_MAX: usize = 200;

/// There are more than [`FIELDS_MAX`] fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// Names with values, decoded, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The parameters behind the `?`.
    pub(super) fn of_query(query: Option<&str>) -> Result<Self, TooMany> {
        Self::read(query.unwrap_or_default())
    }

    /// The body of a form; nothing when it is of another type.
    pub(super) fn of_form(headers: &HeaderMap, body: &[u8]) -> Result<Self, TooMany> {
        let media_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let is_form = media_type.is_some_and(|media_type| {
            media_type
                .split(';')
                .next()
                .is_some_and(|essence| essence.trim() == "application/x-www-form-urlencoded")
        });
        match std::str::from_utf8(body) {
            Ok(text) if is_form => Self::read(text),
            Ok(_) | Err(_) => Ok(Self::default()),
        }
    }

    fn read(text: &str) -> Result<Self, TooMany> {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let mut fields = Vec::new();
        for pair in pairs {
            if fields.len() == FIELDS_MAX {
                return Err(TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.push((decode(name), decode(value)));
        }
        Ok(Self(fields))
    }

    /// From names and values.
    pub(super) fn new(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// The first value of a field without the space around it; empty when there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value as it was sent.
    pub(super) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The value, unless it is empty.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// Whether a field has this value among its values.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.0
            .iter()
            .any(|(field, other)| field == name && other == value)
    }

    /// All values of a field.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The lines of a field, and what commas separate in them, without the empty ones.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.raw(name)
            .split(['\n', '\r'])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What RFC 3986 calls unreserved stays as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as part of a path or query.
pub(super) fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_boxes_are_read() {
        let fields = Fields::read("routes=a%0D%0A%0D%0A+b+&manage=tokens&manage=users&x").unwrap();

        assert_eq!(fields.list("routes"), ["a", "b"]);
        assert_eq!(fields.all("manage"), ["tokens", "users"]);
        assert_eq!(fields.get("x"), "");
        assert_eq!(fields.some("x"), None);
        assert!(fields.has("manage", "users"));
        assert!(!fields.has("manage", "audit"));
    }

    #[test]
    fn broken_escapes_are_text() {
        assert_eq!(Fields::read("a=%zz%ff").unwrap().get("a"), "%zz\u{fffd}");
    }

    #[test]
    fn what_is_escaped_stays_one_segment() {
        assert_eq!(escape("../a?b#c&d"), "..%2Fa%3Fb%23c%26d");
    }
}
