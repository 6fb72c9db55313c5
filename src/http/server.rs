//! Serves a router on a port, with a bound on everything that a client can take from it.
//!
//! `axum::serve` sets no timer, so that a client which sends its request byte by byte holds a
//! connection for ever, and it cancels a handler when its client goes away. Here the head of a
//! request, its body, its handler and its answer each have a time limit; connections, requests and
//! bytes have a number. The caller owns the port and the end, so that tests need neither a fixed
//! port nor a signal.

mod fast_path;
mod rewind;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, Version};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tower::ServiceExt as _;
use tracing::{debug, error, info, warn};

use self::fast_path::Next;
use self::rewind::Rewind;
use super::activity::{Activity, InFlight, WatchedBody};
use crate::domain::limits::BODY_BYTES_MAX;
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

/// What the server answers without, or in place of, the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerProblem {
    /// The body has more than [`BODY_BYTES_MAX`] bytes: 413.
    BodyTooLarge,
    /// The body did not arrive in time: 408.
    BodyTooSlow,
    /// The body broke off or was not well-formed: 400.
    BodyUnreadable,
    /// The handler panicked: 500. Nothing is granted.
    Panicked,
    /// The handler did not answer in time: 503. It goes on, so that the outcome is not known.
    TooSlow,
    /// Too many requests are under way: 503.
    Overloaded,
}

impl ServerProblem {
    const fn leaves_body_unread(self) -> bool {
        match self {
            Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyUnreadable | Self::Overloaded => {
                true
            }
            Self::Panicked | Self::TooSlow => false,
        }
    }
}

/// Makes the answer to a [`ServerProblem`] of a request for a target.
pub type RenderProblem = dyn Fn(ServerProblem, &Uri) -> Response + Send + Sync;

/// What answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Begins to answer a request whose body was read.
    fn start(&self, request: Request) -> Started;

    /// Whether a request changes nothing, so that it may be given up when its client goes away. It
    /// is then answered by the task of its connection and costs no other.
    fn changes_nothing(&self, head: &Parts) -> bool;

    /// Whether what is asked of a target has no body, changes nothing, and is nearly always answered at
    /// once with a body that is in memory. Such requests are spared what they do not need.
    fn is_fast(&self, target: &str) -> bool;
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

    fn is_fast(&self, _: &str) -> bool {
        false
    }
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

struct Shared<H> {
    handler: H,
    limits: ServerLimits,
    render: Arc<RenderProblem>,
    requests: Arc<Semaphore>,
}

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

    fn is_fast(&self, target: &str) -> bool {
        self.shared.handler.is_fast(target)
    }

    /// The answer to one request, of which the body is still to be read if there is one. The future
    /// owns what it needs.
    fn answer(&self, head: Parts, body: Option<Incoming>) -> Answering {
        let in_flight = self.activity.begin();
        let asked = Asked {
            target: head.uri.clone(),
            version: head.version,
            is_head: head.method == Method::HEAD,
        };
        let shared = &self.shared;
        let first = match shared.first(head, body, self.peer, &in_flight) {
            First::Done(outcome) => outcome,
            First::Rest(rest) => {
                let (shared, alive) = (Arc::clone(shared), self.alive.clone());
                return Answering::Later(Box::pin(async move {
                    let outcome = shared.rest(rest, &in_flight, alive).await;
                    shared.finish(outcome, &asked, in_flight)
                }));
            }
        };
        Answering::Now(Some(shared.finish(first, &asked, in_flight)))
    }
}

/// What the answer to a request depends on beside its handler.
struct Asked {
    target: Uri,
    version: Version,
    is_head: bool,
}

/// The answer to HEAD (RFC 9110 §9.3.2): the length of what GET would answer, and nothing of it. hyper
/// sees to that in HTTP/1 alone.
fn without_body(mut answer: Response) -> Response {
    if let Some(len) = answer.body().size_hint().exact() {
        let headers = answer.headers_mut();
        headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(len));
    }
    *answer.body_mut() = Body::empty();
    answer
}

/// What became of a request as soon as its head was there.
enum First {
    Done(Result<Response, ServerProblem>),
    Rest(Rest),
}

/// A request that is not answered yet.
struct Rest {
    deadline: Instant,
    permit: OwnedSemaphorePermit,
    state: State,
}

enum State {
    /// Its body is still to be read.
    Unread(Box<(Parts, Incoming)>),
    Goes(Goes),
}

/// A handler that works.
struct Goes {
    answer: BoxFuture<'static, Response>,
    changes_nothing: bool,
}

/// The future of an answer.
enum Answering {
    Now(Option<Response<WatchedBody>>),
    Later(BoxFuture<'static, Response<WatchedBody>>),
}

impl Future for Answering {
    type Output = Result<Response<WatchedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            // Nobody asks again after the answer.
            Self::Now(answer) => answer
                .take()
                .map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Later(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

impl<H: Handler> Shared<H> {
    /// Answers a request without a body, if its handler needs nobody else.
    fn first(
        &self,
        mut head: Parts,
        body: Option<Incoming>,
        peer: SocketAddr,
        in_flight: &InFlight,
    ) -> First {
        let deadline = Instant::now() + self.limits.request_timeout;
        let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() else {
            return First::Done(Err(ServerProblem::Overloaded));
        };
        head.extensions.insert(PeerAddr(peer));
        let state = if let Some(body) = body {
            State::Unread(Box::new((head, body)))
        } else {
            in_flight.touch();
            match self.start(head, Bytes::new()) {
                Ok(ControlFlow::Break(answer)) => return First::Done(Ok(answer)),
                Ok(ControlFlow::Continue(goes)) => State::Goes(goes),
                Err(problem) => return First::Done(Err(problem)),
            }
        };
        First::Rest(Rest {
            deadline,
            permit,
            state,
        })
    }

    /// Lets the handler begin: its answer, or how it goes on.
    fn start(
        &self,
        head: Parts,
        body: Bytes,
    ) -> Result<ControlFlow<Response, Goes>, ServerProblem> {
        let changes_nothing = self.handler.changes_nothing(&head);
        let request = Request::from_parts(head, Body::from(body));
        let started = std::panic::catch_unwind(AssertUnwindSafe(|| self.handler.start(request)));
        match started {
            Ok(Started::Answered(answer)) => Ok(ControlFlow::Break(answer)),
            Ok(Started::Goes(answer)) => Ok(ControlFlow::Continue(Goes {
                answer,
                changes_nothing,
            })),
            Err(_) => Err(panicked()),
        }
    }

    async fn rest(
        &self,
        rest: Rest,
        in_flight: &InFlight,
        alive: Alive,
    ) -> Result<Response, ServerProblem> {
        let Rest {
            deadline,
            permit,
            state,
        } = rest;
        let goes = match state {
            State::Unread(request) => {
                let (head, body) = *request;
                let body = tokio::time::timeout_at(deadline, read_body(body))
                    .await
                    .map_err(|_| ServerProblem::BodyTooSlow)??;
                in_flight.touch();
                match self.start(head, body)? {
                    ControlFlow::Break(answer) => return Ok(answer),
                    ControlFlow::Continue(goes) => goes,
                }
            }
            State::Goes(goes) => goes,
        };
        let Goes {
            answer,
            changes_nothing,
        } = goes;
        if changes_nothing {
            let answer = AssertUnwindSafe(answer).catch_unwind();
            return match tokio::time::timeout_at(deadline, answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(panicked()),
                Err(_) => Err(too_slow()),
            };
        }

        // A task of its own: a client that goes away drops the future of its connection, and a
        // handler that is dropped between its commit and what follows the commit (telling the
        // caches of a revocation, say) would leave the two apart. For the same reason a handler
        // that is too slow is not ended; its statements have time limits of their own.
        let handler = tokio::spawn(async move {
            let answer = answer.await;
            drop((permit, alive));
            answer
        });
        match tokio::time::timeout_at(deadline, handler).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(ended)) if ended.is_panic() => Err(panicked()),
            // The runtime is shutting down.
            Ok(Err(_)) => Err(ServerProblem::TooSlow),
            Err(_) => Err(too_slow()),
        }
    }

    fn finish(
        &self,
        outcome: Result<Response, ServerProblem>,
        asked: &Asked,
        in_flight: InFlight,
    ) -> Response<WatchedBody> {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(problem) => {
                let mut answer = (self.render)(problem, &asked.target);
                // Or else hyper would wait for the rest of the body. HTTP/2 has no such header.
                if problem.leaves_body_unread() && asked.version < Version::HTTP_2 {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                answer
            }
        };
        let answer = if asked.is_head {
            without_body(answer)
        } else {
            answer
        };
        // The request is over when its answer was taken by the connection.
        answer.map(|body| WatchedBody::new(body, in_flight))
    }
}

/// The text of the panic may hold a secret; the panic hook is the operator's.
fn panicked() -> ServerProblem {
    error!("a handler panicked");
    ServerProblem::Panicked
}

fn too_slow() -> ServerProblem {
    warn!("a handler did not answer in time");
    ServerProblem::TooSlow
}

/// Reads the whole body: every endpoint needs it whole, and here a client that sends it slowly
/// holds no handler.
async fn read_body(body: Incoming) -> Result<Bytes, ServerProblem> {
    let bytes_max = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX);
    if body.size_hint().lower() > bytes_max {
        return Err(ServerProblem::BodyTooLarge);
    }
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ServerProblem::BodyTooLarge),
        Err(_) => Err(ServerProblem::BodyUnreadable),
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

/// The error body of DESIGN.md §8 without a request id, for a server that renders none itself.
pub fn plain_problem(problem: ServerProblem, _: &Uri) -> Response {
    let (status, code, message) = match problem {
        ServerProblem::BodyTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "CONTENT_TOO_LARGE",
            "The request body is too large.",
        ),
        ServerProblem::BodyTooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "REQUEST_TIMEOUT",
            "The request body did not arrive in time.",
        ),
        ServerProblem::BodyUnreadable => (
            StatusCode::BAD_REQUEST,
            "BAD_REQUEST",
            "The request body could not be read.",
        ),
        ServerProblem::Panicked => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_SERVER_ERROR",
            "Internal error.",
        ),
        ServerProblem::TooSlow | ServerProblem::Overloaded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
            "The service is busy. Try again later.",
        ),
    };
    let body = serde_json::json!({
        "message": message,
        "code": code,
        "error": { "code": code, "message": message },
    });
    let json = [(CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}

#[cfg(test)]
#[path = "tests/server.rs"]
mod tests;
