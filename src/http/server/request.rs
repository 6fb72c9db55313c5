//! One request from its head to its answer: its limits, its body, its handler.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Uri, Version};
use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{error, warn};

use super::{
    Alive, Connection, Fast, Handler, Head, PeerAddr, RenderProblem, ServerLimits, ServerProblem,
    Started, Written,
};
use crate::domain::limits::BODY_BYTES_MAX;
use crate::http::activity::{InFlight, WatchedBody};

/// What all connections share.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    pub(super) limits: ServerLimits,
    pub(super) render: Arc<RenderProblem>,
    pub(super) requests: Arc<Semaphore>,
}

impl<H: Handler> Connection<H> {
    /// The answer to one request, of which the body is still to be read if there is one. The future
    /// owns what it needs.
    pub(super) fn answer(&self, head: Parts, body: Option<Incoming>) -> Answering {
        let in_flight = self.activity.begin();
        let asked = Asked {
            target: head.uri.clone(),
            version: head.version,
            is_head: head.method == Method::HEAD,
        };
        let shared = &self.shared;
        let first = match shared.first(head, body, self.peer, &in_flight) {
            First::Done(outcome) => outcome,
            First::Rest(rest) => return Answering::Later(self.later(rest, asked, in_flight)),
        };
        Answering::Now(Some(shared.finish(first, &asked, in_flight)))
    }

    /// [`Connection::answer`] for the fast path.
    pub(super) fn answer_fast(&self, head: &Head<'_>, written: &mut Written) -> FastAnswer {
        let in_flight = self.activity.begin();
        let shared = &self.shared;
        let asked = |target| Asked {
            target,
            version: Version::HTTP_11,
            is_head: head.is_head(),
        };
        let Ok(permit) = Arc::clone(&shared.requests).try_acquire_owned() else {
            let outcome = Err(ServerProblem::Overloaded);
            return FastAnswer::Answered(shared.finish(outcome, &asked(head.uri()), in_flight));
        };
        let peer = PeerAddr(self.peer);
        let (started, target) = if let Some(body) = head.body {
            let (parts, _) = head.to_request(peer).into_parts();
            let target = parts.uri.clone();
            (shared.start(parts, Bytes::copy_from_slice(body)), target)
        } else {
            let start = || shared.handler.start_fast(head, peer, written);
            let started = match std::panic::catch_unwind(AssertUnwindSafe(start)) {
                Ok(Fast::Written) => return FastAnswer::Written(in_flight),
                Ok(Fast::Started(Started::Answered(answer))) => Ok(ControlFlow::Break(answer)),
                Ok(Fast::Started(Started::Goes(answer))) => Ok(ControlFlow::Continue(Goes {
                    answer,
                    changes_nothing: true,
                })),
                Err(_) => Err(panicked()),
            };
            (started, head.uri())
        };
        let asked = asked(target);
        let outcome = match started {
            Ok(ControlFlow::Break(answer)) => Ok(answer),
            Ok(ControlFlow::Continue(goes)) => {
                let rest = Rest {
                    deadline: Instant::now() + shared.limits.request_timeout,
                    permit,
                    state: State::Goes(goes),
                };
                return FastAnswer::Later(self.later(rest, asked, in_flight));
            }
            Err(problem) => Err(problem),
        };
        FastAnswer::Answered(shared.finish(outcome, &asked, in_flight))
    }

    fn later(
        &self,
        rest: Rest,
        asked: Asked,
        in_flight: InFlight,
    ) -> BoxFuture<'static, Response<WatchedBody>> {
        let (shared, alive) = (Arc::clone(&self.shared), self.alive.clone());
        Box::pin(async move {
            let outcome = shared.rest(rest, &in_flight, alive).await;
            shared.finish(outcome, &asked, in_flight)
        })
    }
}

/// What became of a fast request at once.
pub(super) enum FastAnswer {
    /// Its answer is written, and the request is over when it was taken.
    Written(InFlight),
    /// It is answered as all others are.
    Answered(Response<WatchedBody>),
    /// It will be.
    Later(BoxFuture<'static, Response<WatchedBody>>),
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
pub(super) enum Answering {
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
