//! The fields of a head (RFC 9110 §5), whoever read them and whoever is to write them.
//!
//! What hyper reads is a map, and what the fast path reads are the lines where the parser found
//! them. Every rule about headers is written once, over either.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a request.
pub trait Fields {
    /// Each line: its name, in lower case, and its value.
    fn lines(&self) -> impl Iterator<Item = (&str, &[u8])>;

    /// The values of the lines of one name, which is in lower case, in the order of the lines.
    fn values<'f>(&'f self, name: &'static str) -> impl DoubleEndedIterator<Item = &'f [u8]>;
}

impl Fields for HeaderMap {
    fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    fn values<'f>(&'f self, name: &'static str) -> impl DoubleEndedIterator<Item = &'f [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// How often a name is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values<'f> {
    /// Not at all.
    None,
    /// Once.
    One(&'f [u8]),
    /// More than once.
    Several,
}

/// The value of a field that may be there once.
pub fn only<'f>(fields: &'f impl Fields, name: &'static str) -> Values<'f> {
    let mut values = fields.values(name);
    match (values.next(), values.next()) {
        (None, _) => Values::None,
        (Some(value), None) => Values::One(value),
        (Some(_), Some(_)) => Values::Several,
    }
}

/// A value as text, if it is visible ASCII with spaces and tabs.
pub fn text(value: &[u8]) -> Option<&str> {
    // Without a way out in between, so that many bytes are looked at together.
    let is_visible = value.iter().fold(true, |so_far, byte| {
        so_far & matches!(byte, b'\t' | b' '..=b'~')
    });
    is_visible.then(|| std::str::from_utf8(value).ok())?
}

/// A value that cannot stand in a head: something in it is not visible ASCII, a space or a tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value cannot stand in a header")]
pub struct BadValue;

/// Takes the fields of an answer.
pub trait FieldSink {
    /// One field, which is not there yet.
    ///
    /// # Errors
    /// [`BadValue`]. What was written so far is no answer then.
    fn field(&mut self, name: &HeaderName, value: &str) -> Result<(), BadValue>;
}

impl FieldSink for HeaderMap {
    fn field(&mut self, name: &HeaderName, value: &str) -> Result<(), BadValue> {
        let value = text(value.as_bytes()).ok_or(BadValue)?;
        let value = HeaderValue::from_str(value).map_err(|_| BadValue)?;
        self.insert(name, value);
        Ok(())
    }
}
