//! Serves a router on a port, with a bound on everything that a client can take from it.
//!
//! `axum::serve` sets no timer, so that a client which sends its request byte by byte holds a
//! connection for ever, and it cancels a handler when its client goes away. Here the head of a
//! request, its body, its handler and its answer each have a time limit; connections, requests and
//! bytes have a number. The caller owns the port and the end, so that tests need neither a fixed
//! port nor a signal.

mod fast_path;
mod head;
mod problem;
mod request;
mod rewind;
mod written;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use self::fast_path::Next;
pub use self::head::Head;
pub use self::problem::{RenderProblem, ServerProblem, plain_problem};
use self::request::Shared;
use self::rewind::Rewind;
pub use self::written::Written;
use super::activity::Activity;
use crate::settings::Limits;

/// The other end of the connection of a request: a client or a proxy. In the extensions of each
/// request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// How much clients can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections that are open at the same time; more wait in the backlog of the socket. As many
    /// requests may be under way at the same time; more are answered 503.
    pub connections_max: usize,
    /// From the head of a request until its answer is there, its body included. A client that
    /// takes nothing of its answer for as long is cut off.
    pub request_timeout: Duration,
    /// How long the head of a request may take. A connection without a request is closed after
    /// one to two times as long.
    pub header_read_timeout: Duration,
    /// How long the shutdown waits for what was accepted.
    pub drain_timeout: Duration,
}

const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 100;
/// Requests of one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 100;
/// How long to wait when the machine has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

impl From<&Limits> for ServerLimits {
    fn from(limits: &Limits) -> Self {
        let secs = |secs: u32| Duration::from_secs(u64::from(secs));
        Self {
            connections_max: usize::try_from(limits.connections_max).unwrap_or(usize::MAX),
            request_timeout: secs(limits.request_timeout_secs),
            header_read_timeout: secs(limits.header_read_timeout_secs),
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// What answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Begins to answer a request whose body was read.
    fn start(&self, request: Request) -> Started;

    /// Whether a request changes nothing, so that it may be given up when its client goes away. It
    /// is then answered by the task of its connection and costs no other.
    fn changes_nothing(&self, head: &Parts) -> bool;

    /// Which way a request goes by its method and its target, as far as hallpass may choose.
    fn way(&self, method: &str, target: &str) -> Way;

    /// Begins to answer a request of [`Way::Fast`], and writes the answer if it has one.
    fn start_fast(&self, head: &Head<'_>, peer: PeerAddr, written: &mut Written) -> Fast {
        // Whatever was written is begun anew.
        let _ = written;
        Fast::Started(self.start(head.to_request(peer)))
    }
}

/// The way that a request goes. It is the same for whoever asks and answers; only what it costs differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The way of all that has no other.
    Hyper,
    /// Without a body, changing nothing, and nearly always answered at once with a body that is in
    /// memory.
    Fast,
    /// With a small body that nearly always comes with its head, and answered with one that is in
    /// memory.
    Short,
}

/// What became of a fast request at once.
#[derive(Debug)]
pub enum Fast {
    /// Its answer is written.
    Written,
    /// It goes the way of all others.
    Started(Started),
}

/// An answer, or the future of one.
pub enum Started {
    /// It needed nobody else.
    Answered(Response),
    /// It is on its way.
    Goes(BoxFuture<'static, Response>),
}

impl Started {
    /// The answer.
    pub async fn answer(self) -> Response {
        match self {
            Self::Answered(response) => response,
            Self::Goes(answer) => answer.await,
        }
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered(_) => "Answered",
            Self::Goes(_) => "Goes",
        })
    }
}

/// All of it may change something.
impl Handler for Router {
    fn start(&self, request: Request) -> Started {
        let answer = self.clone().oneshot(request);
        Started::Goes(Box::pin(async move {
            answer.await.unwrap_or_else(|never| match never {})
        }))
    }

    fn changes_nothing(&self, _: &Parts) -> bool {
        false
    }

    fn way(&self, _: &str, _: &str) -> Way {
        Way::Hyper
    }
}

/// What the fast path does with the head of a request without a body, without a connection: the bytes
/// of the answer, or how it goes on; nothing when it is not for it. For tests.
#[doc(hidden)]
pub fn answer_head(
    handler: &impl Handler,
    peer: PeerAddr,
    head: &[u8],
) -> Option<Result<Vec<u8>, Box<Started>>> {
    let mut written = Written::new();
    let way = |method: &str, target: &str| handler.way(method, target);
    let answered = head::with_head(head, &mut String::new(), way, |head, _| {
        let start = || (handler.start_fast(head, peer, &mut written), head.is_head());
        head.body.is_none().then(start)
    });
    let (fast, is_head) = answered.flatten()?;
    Some(match fast {
        Fast::Written => Ok(written.end(false, is_head, false).to_vec()),
        Fast::Started(started) => Err(Box::new(started)),
    })
}

/// Serves `handler` on `listener` until `shutdown` is over; then accepts nothing more, finishes what
/// was accepted within [`ServerLimits::drain_timeout`], and returns.
pub async fn run<H: Handler>(
    listener: TcpListener,
    handler: H,
    limits: ServerLimits,
    render: Arc<RenderProblem>,
    shutdown: impl Future<Output = ()>,
) {
    let (alive, mut all_ended) = mpsc::channel::<Infallible>(1);
    let (phases, phase) = watch::channel(Phase::Serving);
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let shared = Arc::new(Shared {
        handler,
        limits,
        render,
        requests: Arc::new(Semaphore::new(limits.connections_max)),
    });
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else {
            break;
        };
        let connection = Connection {
            shared: Arc::clone(&shared),
            peer,
            activity: Activity::new(),
            alive: Alive(alive.clone()),
        };
        let phase = phase.clone();
        tokio::spawn(async move {
            connection.serve(stream, phase).await;
            drop(permit);
        });
    }
    drop(listener);
    drop(alive);
    info!("no longer accepting; finishing what was accepted");
    phases.send_replace(Phase::Draining);
    // Nothing is ever sent: the channel ends when the last connection and the last handler do.
    if tokio::time::timeout(limits.drain_timeout, all_ended.recv())
        .await
        .is_err()
    {
        warn!("some requests did not end in time and are cut off");
        phases.send_replace(Phase::Over);
    }
}

/// Serving, then no new requests, then nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Over,
}

/// Held by all that the shutdown waits for.
#[derive(Clone)]
struct Alive(
    #[expect(dead_code, reason = "held to keep the channel open")] mpsc::Sender<Infallible>,
);

/// The next connection, once there is room for one. `None` never happens: nobody closes the
/// semaphore.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            // The client of this one connection was faster to leave than we to accept.
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind())
}

struct Connection<H> {
    shared: Arc<Shared<H>>,
    peer: SocketAddr,
    activity: Activity,
    alive: Alive,
}

impl<H: Handler> Connection<H> {
    async fn serve(self, mut stream: TcpStream, mut phase: watch::Receiver<Phase>) {
        let limits = self.shared.limits;
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection ended before it began");
            return;
        }
        let mut watchdog = self
            .activity
            .watchdog(limits.header_read_timeout, limits.request_timeout);
        let next = fast_path::serve(&self, &mut stream, &phase, &mut watchdog).await;
        let Next::Hyper(read) = next else {
            return;
        };
        let stream = TokioIo::new(Rewind::new(read, stream));
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let body = (!body.is_end_stream()).then_some(body);
            self.answer(head, body)
        });
        let builder = builder(limits);
        let mut connection = pin!(builder.serve_connection(stream, service));

        let mut closing = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection ended with an error");
                    }
                    return;
                }
                changed = phase.wait_for(|phase| match phase {
                    Phase::Serving => false,
                    Phase::Draining => !closing,
                    Phase::Over => true,
                }) => match changed.map(|phase| *phase) {
                    Ok(Phase::Serving | Phase::Draining) => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    Ok(Phase::Over) | Err(_) => return,
                },
                () = watchdog.finds_it_stuck() => {
                    // First politely, then not.
                    if closing {
                        return;
                    }
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    fn way(&self, method: &str, target: &str) -> Way {
        self.shared.handler.way(method, target)
    }
}

fn builder(limits: ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_MAX);
    builder
}

#[cfg(test)]
#[path = "tests/server.rs"]
mod tests;
