//! The requests that a gateway sends before each of its own, without what hyper does for all others.
//!
//! They are the simplest that HTTP/1.1 has: a head that came whole and no body. They are read by the
//! same parser as hyper's, become the same [`Request`], go the same way ([`Connection::answer`]) and
//! have the same limits. Whatever is anything else, be it a body, a header that is about the
//! connection, another version, a head that is not complete or that cannot be read, is hyper's: it
//! gets the connection with the bytes that were read of it, for good. So nothing is refused here, and
//! no rule of HTTP/1 is here that has two sides.

use std::future::{Future as _, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, TRANSFER_ENCODING, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{Answering, Connection, Handler, Phase};
use crate::http::activity::{Watchdog, WatchedBody};

/// Headers of a request; gateways pass on those of a browser, which has about twenty.
const HEADERS_MAX: usize = 48;
/// What says something of the connection or of a body, and so is hyper's.
const FOR_HYPER: [HeaderName; 5] = [
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    EXPECT,
    UPGRADE,
];
/// For the heads of requests and for answers; either grows when it has to.
const BUFFER_BYTES: usize = 4 * 1024;

/// What becomes of a connection.
pub(super) enum Next {
    /// It is over.
    Over,
    /// Hyper goes on with it, with these bytes first.
    Hyper(Bytes),
}

/// Answers requests as long as they are for the fast path.
pub(super) async fn serve<H: Handler>(
    connection: &Connection<H>,
    stream: &mut TcpStream,
    phase: &watch::Receiver<Phase>,
    watchdog: &mut Watchdog,
) -> Next {
    let mut read = BytesMut::with_capacity(BUFFER_BYTES);
    let mut written = Vec::with_capacity(BUFFER_BYTES);
    let mut date = Date::default();
    let mut draining = pin!(past(phase.clone(), Phase::Serving));
    let mut over = pin!(past(phase.clone(), Phase::Draining));
    let mut stuck = pin!(watchdog.finds_it_stuck());
    loop {
        if read.is_empty() {
            read.reserve(BUFFER_BYTES);
            let more = poll_fn(|cx| {
                // What came is answered, even when the end is near.
                if let Poll::Ready(more) = pin!(stream.read_buf(&mut read)).poll(cx) {
                    return Poll::Ready(more.unwrap_or(0));
                }
                if draining.as_mut().poll(cx).is_ready() || stuck.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(0);
                }
                Poll::Pending
            });
            if more.await == 0 {
                return Next::Over;
            }
        }
        let head = match take(&mut read, |target| connection.is_fast(target)) {
            Ok(head) => head,
            Err(read) => return Next::Hyper(read),
        };
        let answer = match connection.answer(head, None) {
            Answering::Now(Some(answer)) => answer,
            // It was taken already, which nobody did.
            Answering::Now(None) => return Next::Over,
            Answering::Later(mut answer) => loop {
                // A client that goes away gives up what it asked: nothing of it changes anything.
                tokio::select! {
                    biased;
                    answer = &mut answer => break answer,
                    more = stream.read_buf(&mut read), if read.is_empty() => match more {
                        Ok(0) | Err(_) => return Next::Over,
                        // The next request, which waits for its turn.
                        Ok(_) => {}
                    },
                    () = &mut over => return Next::Over,
                    () = &mut stuck => return Next::Over,
                }
            },
        };
        let is_last = answer.headers().contains_key(CONNECTION) || is_draining(phase);
        let Ok(body) = encode(answer, is_last, &mut date, &mut written).await else {
            return Next::Over;
        };
        let sent = match stream.try_write(&written) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Next::Over,
        };
        if let Some(rest) = written.get(sent..).filter(|rest| !rest.is_empty()) {
            // The client is slow, or takes nothing at all.
            tokio::select! {
                sent = stream.write_all(rest) => if sent.is_err() {
                    return Next::Over;
                },
                () = &mut over => return Next::Over,
                () = &mut stuck => return Next::Over,
            }
        }
        // The request is over when its answer was taken.
        drop(body);
        if is_last {
            stream.shutdown().await.ok();
            return Next::Over;
        }
    }
}

/// Whether no more requests are wanted. Whoever serves has not looked at the phase since it was
/// [`Phase::Serving`].
fn is_draining(phase: &watch::Receiver<Phase>) -> bool {
    phase.has_changed().unwrap_or(true)
}

/// Ends when the server is past a phase.
async fn past(mut phase: watch::Receiver<Phase>, last: Phase) {
    // Without a server there is nothing to go on for either.
    phase.wait_for(|phase| *phase > last).await.ok();
}

/// The first request of what was read, if it is whole and for the fast path; or else all that was
/// read.
fn take(read: &mut BytesMut, is_fast: impl Fn(&str) -> bool) -> Result<Parts, Bytes> {
    let Some(found) = find(read, is_fast) else {
        return Err(read.split().freeze());
    };
    let head = read.split_to(found.len).freeze();
    parts(found, &head).map_err(|NotHttp| {
        let mut whole = BytesMut::from(head);
        whole.extend_from_slice(&read.split());
        whole.freeze()
    })
}

/// A request, and where its parts are in what was read: they are not copied.
struct Found {
    method: Method,
    target: Range<usize>,
    headers: Vec<(HeaderName, Range<usize>)>,
    len: usize,
}

fn find(read: &[u8], is_fast: impl Fn(&str) -> bool) -> Option<Found> {
    let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut lines);
    let Ok(httparse::Status::Complete(len)) = parsed.parse(read) else {
        return None;
    };
    let (Some(1), Some(method), Some(target)) = (parsed.version, parsed.method, parsed.path) else {
        return None;
    };
    if !is_fast(target) || method == Method::CONNECT.as_str() {
        return None;
    }
    // What is not a part of it would be read from somewhere else.
    let place = |text: &[u8]| {
        let begin = text.as_ptr().addr().checked_sub(read.as_ptr().addr())?;
        let end = begin.checked_add(text.len())?;
        (end <= len).then_some(begin..end)
    };
    let mut headers = Vec::with_capacity(parsed.headers.len());
    for line in &*parsed.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        if FOR_HYPER.contains(&name) {
            return None;
        }
        headers.push((name, place(line.value)?));
    }
    Some(Found {
        method: Method::from_bytes(method.as_bytes()).ok()?,
        target: place(target.as_bytes())?,
        headers,
        len,
    })
}

/// The parser took what the types of HTTP do not.
struct NotHttp;

fn parts(found: Found, head: &Bytes) -> Result<Parts, NotHttp> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = Uri::from_maybe_shared(head.slice(found.target)).map_err(|_| NotHttp)?;
    parts.method = found.method;
    parts.headers.reserve(found.headers.len());
    for (name, value) in found.headers {
        let value = HeaderValue::from_maybe_shared(head.slice(value)).map_err(|_| NotHttp)?;
        parts.headers.append(name, value);
    }
    Ok(parts)
}

/// Writes an answer as HTTP/1.1 (RFC 9112 §4). Its body comes back, for its end is the end of the
/// request.
///
/// # Errors
/// When the body breaks off.
async fn encode(
    answer: Response<WatchedBody>,
    closing: bool,
    date: &mut Date,
    into: &mut Vec<u8>,
) -> Result<WatchedBody, axum::Error> {
    let (head, mut body) = answer.into_parts();
    let mut content = Bytes::new();
    while !body.is_end_stream() {
        let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else {
            break;
        };
        if let Ok(data) = frame?.into_data() {
            content = if content.is_empty() {
                data
            } else {
                [content, data].concat().into()
            };
        }
    }
    into.clear();
    into.extend_from_slice(b"HTTP/1.1 ");
    into.extend_from_slice(head.status.as_str().as_bytes());
    into.push(b' ');
    let reason = head.status.canonical_reason().unwrap_or("");
    into.extend_from_slice(reason.as_bytes());
    into.extend_from_slice(b"\r\n");
    for (name, value) in &head.headers {
        line(into, name, value.as_bytes());
    }
    let has_length = matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) || head.headers.contains_key(CONTENT_LENGTH);
    if !has_length {
        let length = HeaderValue::from(content.len());
        line(into, &CONTENT_LENGTH, length.as_bytes());
    }
    if closing && !head.headers.contains_key(CONNECTION) {
        line(into, &CONNECTION, b"close");
    }
    line(into, &DATE, date.now());
    into.extend_from_slice(b"\r\n");
    into.extend_from_slice(&content);
    Ok(body)
}

fn line(into: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    into.extend_from_slice(name.as_str().as_bytes());
    into.extend_from_slice(b": ");
    into.extend_from_slice(value);
    into.extend_from_slice(b"\r\n");
}

/// What stands in `Date` (RFC 9110 §6.6.1), written once a second.
#[derive(Default)]
struct Date {
    secs: u64,
    text: String,
}

impl Date {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is for caches and decides nothing; hyper asks the machine, too"
    )]
    fn now(&mut self) -> &[u8] {
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.secs || self.text.is_empty() {
            self.secs = since.as_secs();
            self.text = httpdate::fmt_http_date(now);
        }
        self.text.as_bytes()
    }
}

#[cfg(test)]
#[path = "../tests/fast_path.rs"]
mod tests;
