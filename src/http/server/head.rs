//! The head of a request for the fast path, where it was read.

use std::mem::MaybeUninit;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, Uri};

use super::{PeerAddr, Way};
use crate::domain::limits::BODY_BYTES_MAX;
use crate::http::fields::Fields;

/// Headers of a request; gateways pass on those of a browser, which has about twenty.
const HEADERS_MAX: usize = 48;
/// What says something of the connection or of how a body is sent, and so is hyper's.
const FOR_HYPER: [&str; 3] = ["transfer-encoding", "expect", "upgrade"];
/// Digits of a length that is looked at.
const LENGTH_DIGITS_MAX: usize = 5;

/// The head of a request that says nothing of its connection but that it goes on, with its body if it
/// has one that came whole. Nothing of it is copied but the names of its fields, which are in lower
/// case here.
#[derive(Debug)]
pub struct Head<'r> {
    /// The method.
    pub method: Method,
    /// The target: a path and perhaps a query, of characters that may stand there
    /// (RFC 9112 §3.2.1).
    pub target: &'r str,
    lines: &'r [httparse::Header<'r>],
    /// One name behind the other, in lower case.
    names: &'r str,
    /// What stands behind the head and belongs to it; nothing of a request without a body.
    pub(super) body: Option<&'r [u8]>,
}

impl Fields for Head<'_> {
    fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut names = self.names;
        self.lines.iter().filter_map(move |line| {
            let (name, others) = names.split_at_checked(line.name.len())?;
            names = others;
            Some((name, line.value))
        })
    }

    fn values<'f>(&'f self, name: &'static str) -> impl DoubleEndedIterator<Item = &'f [u8]> {
        let lines = self.lines.iter();
        lines
            .filter(move |line| line.name.eq_ignore_ascii_case(name))
            .map(|line| line.value)
    }
}

impl Head<'_> {
    /// Whether the body of its answer is not wanted (RFC 9110 §9.3.2).
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The target as hyper would give it.
    pub(super) fn uri(&self) -> Uri {
        // What is plain can be read.
        self.target.parse().unwrap_or_default()
    }

    /// The request as hyper would give it, without its body.
    pub fn to_request(&self, peer: PeerAddr) -> Request {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri();
        request.extensions_mut().insert(peer);
        let headers = request.headers_mut();
        for (name, value) in self.lines() {
            // The parser takes nothing that these do not.
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            ) {
                headers.append(name, value);
            }
        }
        request
    }
}

/// Gives the first request of what was read to `then`, with its length, if it is whole and for the fast
/// path. `names` is only room.
pub(super) fn with_head<T>(
    read: &[u8],
    names: &mut String,
    way: impl Fn(&str, &str) -> Way,
    then: impl FnOnce(&Head<'_>, usize) -> T,
) -> Option<T> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(len)) = parsed.parse_with_uninit_headers(read, &mut lines)
    else {
        return None;
    };
    let (Some(1), Some(method), Some(target)) = (parsed.version, parsed.method, parsed.path) else {
        return None;
    };
    let way = way(method, target);
    if way == Way::Hyper || !is_plain(target) || method == Method::CONNECT.as_str() {
        return None;
    }
    names.clear();
    let mut body_len = None;
    for line in &*parsed.headers {
        let begin = names.len();
        names.push_str(line.name);
        let name = names.get_mut(begin..)?;
        name.make_ascii_lowercase();
        match &*name {
            // What a client of HTTP/1.1 means anyway (RFC 9112 §9.3).
            "connection" if line.value.eq_ignore_ascii_case(b"keep-alive") => {}
            // A second one, and any that is not plain, is hyper's.
            "content-length" if way == Way::Short && body_len.is_none() => {
                body_len = Some(length(line.value)?);
            }
            "connection" | "content-length" => return None,
            name if FOR_HYPER.contains(&name) => return None,
            _ => {}
        }
    }
    let (body, len) = match (way, body_len) {
        (Way::Short, Some(body_len)) => {
            let end = len.checked_add(body_len)?;
            (Some(read.get(len..end)?), end)
        }
        (Way::Short, None) => return None,
        (Way::Hyper | Way::Fast, _) => (None, len),
    };
    let head = Head {
        method: Method::from_bytes(method.as_bytes()).ok()?,
        target,
        lines: parsed.headers,
        names,
        body,
    };
    Some(then(&head, len))
}

/// A length as nearly everybody writes it (RFC 9112 §6.3): a few digits and nothing else.
fn length(value: &[u8]) -> Option<usize> {
    let digits =
        (1..=LENGTH_DIGITS_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let value = str::from_utf8(value).ok().filter(|_| digits)?;
    value.parse().ok().filter(|len| *len <= BODY_BYTES_MAX)
}

/// Whether a target is a path with nothing in it that RFC 3986 does not allow in a path or a query.
/// Of others the parser takes some and the types of HTTP do not.
fn is_plain(target: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    target.starts_with('/') && target.bytes().all(is_allowed)
}

#[cfg(test)]
#[path = "../tests/head.rs"]
mod tests;
