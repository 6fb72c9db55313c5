//! Whether something still happens on a connection.
//!
//! The timers of hyper watch the head of an HTTP/1 request only. A connection that says nothing at
//! all, an idle HTTP/2 connection and a client that does not take its answer would stay for ever,
//! and each holds one of the connections that the server allows.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// What happened on one connection so far.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    in_flight: AtomicUsize,
    events: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// A request begins; it is over when the value is dropped.
    pub(super) fn begin(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        let in_flight = InFlight(Arc::clone(&self.0));
        in_flight.touch();
        in_flight
    }

    /// Looks every `tick`. A connection is stuck when nothing happened for a tick without a
    /// request, or for more than `patience` with one.
    pub(super) fn watchdog(&self, tick: Duration, patience: Duration) -> Watchdog {
        let tick = tick.max(Duration::from_millis(1));
        let ticks = patience.as_millis().div_ceil(tick.as_millis());
        Watchdog {
            activity: Arc::clone(&self.0),
            tick,
            patience_ticks: u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(1),
            seen_events: 0,
            quiet_ticks: 0,
            timer: Box::pin(tokio::time::sleep(tick)),
        }
    }
}

/// A request that is not over: its handler works, or its answer is on the way.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Counts>);

impl InFlight {
    /// The request made progress.
    pub(super) fn touch(&self) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.touch();
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct Watchdog {
    activity: Arc<Counts>,
    tick: Duration,
    patience_ticks: u32,
    seen_events: u64,
    quiet_ticks: u32,
    timer: Pin<Box<tokio::time::Sleep>>,
}

impl Watchdog {
    /// Ends when the connection is stuck, and after one more patience again. Cancel-safe.
    pub(super) async fn finds_it_stuck(&mut self) {
        loop {
            self.timer.as_mut().await;
            // Whoever did not look for a while has not seen that nothing happened.
            let next = self.timer.deadline().max(Instant::now()) + self.tick;
            self.timer.as_mut().reset(next);

            let events = self.activity.events.load(Ordering::Relaxed);
            if events == self.seen_events {
                self.quiet_ticks += 1;
            } else {
                self.seen_events = events;
                self.quiet_ticks = 0;
            }
            let idle = self.activity.in_flight.load(Ordering::Relaxed) == 0;
            let patience_ticks = if idle { 1 } else { self.patience_ticks };
            if self.quiet_ticks >= patience_ticks {
                self.quiet_ticks = 0;
                return;
            }
        }
    }
}

/// The body of an answer, which ends its request when the connection has taken it whole.
#[derive(Debug)]
pub(super) struct WatchedBody {
    body: Body,
    in_flight: InFlight,
}

impl WatchedBody {
    pub(super) fn new(body: Body, in_flight: InFlight) -> Self {
        Self { body, in_flight }
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.in_flight.touch();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
