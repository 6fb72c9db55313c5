//! The requests that come most often, without what hyper does for all others: those that a gateway
//! sends before each of its own, and those that mint.
//!
//! They are the simplest that HTTP/1.1 has: a head that came whole, and no body or one whose length is
//! told once, in plain digits, and that came whole, too. They are read by the same parser as hyper's,
//! become the same [`Request`], go the same way ([`Connection::answer`]) and have the same limits.
//! Whatever is anything else, be it another body, a header that says more of the connection than that
//! it goes on, another version, a request that is not complete or that cannot be read, is hyper's: it
//! gets the connection with the bytes that were read of it, for good. So nothing is refused here, and
//! no rule of HTTP/1 is here that has two sides.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use axum::body::{Bytes, HttpBody as _};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::response::Response;
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::head::with_head;
use super::request::FastAnswer;
use super::{Connection, Handler, Phase, Written};
use crate::http::activity::{InFlight, Watchdog, WatchedBody};

/// For a request, or for several that came together. One that has no room in what is left is hyper's.
const BUFFER_BYTES: usize = 4 * 1024;

/// What becomes of a connection.
pub(super) enum Next {
    /// It is over.
    Over,
    /// Hyper goes on with it, with these bytes first.
    Hyper(Bytes),
}

/// Held until an answer was taken: the request is over then.
enum Held {
    Request(#[expect(dead_code, reason = "held")] InFlight),
    Body(#[expect(dead_code, reason = "held")] WatchedBody),
}

/// Answers requests as long as they are for the fast path.
pub(super) async fn serve<H: Handler>(
    connection: &Connection<H>,
    stream: &mut TcpStream,
    phase: &watch::Receiver<Phase>,
    watchdog: &mut Watchdog,
) -> Next {
    let mut read = BytesMut::with_capacity(BUFFER_BYTES);
    let mut names = String::new();
    let mut written = Written::new();
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
        let answered = with_head(
            &read,
            &mut names,
            |method, target| connection.way(method, target),
            |head, len| {
                let answer = connection.answer_fast(head, &mut written);
                (answer, head.is_head(), len)
            },
        );
        let Some((answer, is_head, len)) = answered else {
            return Next::Hyper(read.freeze());
        };
        read.advance(len);
        let answer = match answer {
            FastAnswer::Written(in_flight) => Ok(in_flight),
            FastAnswer::Answered(answer) => Err(answer),
            FastAnswer::Later(mut answer) => loop {
                // A client that goes away gives up what it asked, unless it changes something: that
                // has a task of its own.
                tokio::select! {
                    biased;
                    answer = &mut answer => break Err(answer),
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
        let mut is_last = is_draining(phase);
        let (held, bytes) = match answer {
            Ok(in_flight) => {
                let bytes = written.end(false, is_head, is_last);
                (Held::Request(in_flight), bytes)
            }
            Err(answer) => {
                let closes = answer.headers().contains_key(CONNECTION);
                let closing = is_last && !closes;
                is_last |= closes;
                match encode(answer, is_head, closing, &mut written).await {
                    Ok((body, bytes)) => (Held::Body(body), bytes),
                    Err(_) => return Next::Over,
                }
            }
        };
        let sent = match stream.try_write(bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Next::Over,
        };
        if let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            // The client is slow, or takes nothing at all.
            tokio::select! {
                sent = stream.write_all(rest) => if sent.is_err() {
                    return Next::Over;
                },
                () = &mut over => return Next::Over,
                () = &mut stuck => return Next::Over,
            }
        }
        drop(held);
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

/// Writes an answer. Its body comes back, for its end is the end of the request.
///
/// # Errors
/// When the body breaks off.
async fn encode(
    answer: Response<WatchedBody>,
    is_head: bool,
    closing: bool,
    written: &mut Written,
) -> Result<(WatchedBody, &[u8]), axum::Error> {
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
    let has_length = matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) || head.headers.contains_key(CONTENT_LENGTH);
    written.head(&head, content);
    Ok((body, written.end(has_length, is_head, closing)))
}

#[cfg(test)]
#[path = "../tests/fast_path.rs"]
mod tests;
