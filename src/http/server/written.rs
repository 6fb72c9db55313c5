//! An answer as the bytes of HTTP/1.1 (RFC 9112 §4), written as it comes.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName};
use axum::http::response::Parts;
use axum::http::{HeaderValue, StatusCode};

use crate::http::fields::{BadValue, FieldSink, text};

/// For what is written; it grows when it has to.
const BUFFER_BYTES: usize = 4 * 1024;

/// An answer that is being written. Each connection has one and uses it again and again.
#[derive(Debug)]
pub struct Written {
    bytes: Vec<u8>,
    body: Bytes,
    date: Date,
}

impl Written {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(BUFFER_BYTES),
            body: Bytes::new(),
            date: Date::default(),
        }
    }

    /// Begins an answer anew: 200 with this body. Its fields follow.
    pub fn ok(&mut self, body: &'static [u8]) {
        self.begin(StatusCode::OK, Bytes::from_static(body));
    }

    /// Begins an answer anew, with all fields that it has.
    pub(super) fn head(&mut self, head: &Parts, body: Bytes) {
        self.begin(head.status, body);
        for (name, value) in &head.headers {
            self.line(name, value.as_bytes());
        }
    }

    fn begin(&mut self, status: StatusCode, body: Bytes) {
        self.bytes.clear();
        self.bytes.extend_from_slice(b"HTTP/1.1 ");
        self.bytes.extend_from_slice(status.as_str().as_bytes());
        self.bytes.push(b' ');
        let reason = status.canonical_reason().unwrap_or("");
        self.bytes.extend_from_slice(reason.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
        self.body = body;
    }

    fn line(&mut self, name: &HeaderName, value: &[u8]) {
        let name = name.as_str().as_bytes();
        self.bytes.reserve(name.len() + value.len() + 4);
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Writes what the end of the head needs, and the body: all of it. `has_length` says whether its
    /// length is written already or is none that is to be written, `is_head` that the body is not
    /// wanted.
    pub(super) fn end(&mut self, has_length: bool, is_head: bool, closing: bool) -> &[u8] {
        if !has_length {
            let length = HeaderValue::from(self.body.len());
            self.line(&CONTENT_LENGTH, length.as_bytes());
        }
        if closing {
            self.line(&CONNECTION, b"close");
        }
        self.date.refresh();
        self.bytes.extend_from_slice(DATE.as_str().as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(self.date.text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n\r\n");
        if !is_head {
            self.bytes.extend_from_slice(&self.body);
        }
        &self.bytes
    }
}

impl FieldSink for Written {
    fn field(&mut self, name: &HeaderName, value: &str) -> Result<(), BadValue> {
        let value = text(value.as_bytes()).ok_or(BadValue)?;
        self.line(name, value.as_bytes());
        Ok(())
    }
}

/// What stands in `Date` (RFC 9110 §6.6.1), written once a second.
#[derive(Debug, Default)]
struct Date {
    secs: u64,
    text: String,
}

impl Date {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is for caches and decides nothing; hyper asks the machine, too"
    )]
    fn refresh(&mut self) {
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.secs || self.text.is_empty() {
            self.secs = since.as_secs();
            self.text = httpdate::fmt_http_date(now);
        }
    }
}

#[cfg(test)]
#[path = "../tests/written.rs"]
mod tests;
