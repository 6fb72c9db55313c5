//! Where the time comes from. Only this file looks at the clocks of the machine; the `Date` of an answer and
//! the time of a line of the log, which decide nothing, do so by themselves.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::time::Timestamp;

/// The time, as an argument: what the program is given in place of looking at a clock.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, in milliseconds since 1970. It may move backwards.
    fn now(&self) -> Timestamp;

    /// A clock that never moves backwards and counts while the machine sleeps, in milliseconds since
    /// some unknown instant. Leases and rate limits are measured with it.
    fn monotonic_ms(&self) -> i64;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock {
    started_ms: i64,
}

impl SystemClock {
    /// The clocks of the machine, from now on.
    pub fn new() -> Self {
        Self {
            started_ms: running_ms(),
        }
    }
}

/// For how long the machine has been running, the time that it slept included. The clock of
/// `Instant` stands still meanwhile, and what was known before would be taken for fresh after it.
fn running_ms() -> i64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const ID: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const ID: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

    let time = rustix::time::clock_gettime(ID);
    time.tv_sec
        .saturating_mul(1_000)
        .saturating_add(time.tv_nsec / 1_000_000)
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock for what is decided"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic_ms(&self) -> i64 {
        running_ms() - self.started_ms
    }
}

/// A clock that a test moves by hand.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicI64,
    /// How often it is read until the machine sleeps, and for how long then.
    readings_left: AtomicI64,
    sleep_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `now` until it is moved.
    pub fn at(now: Timestamp) -> Self {
        Self {
            wall_ms: AtomicI64::new(now.millis()),
            monotonic_ms: AtomicI64::new(0),
            readings_left: AtomicI64::new(-1),
            sleep_ms: AtomicI64::new(0),
        }
    }

    /// Lets the machine sleep for so long once the monotonic clock was read so often, just after the
    /// last of these readings. `false` when the sleep of before did not come yet.
    pub fn sleep_after(&self, readings: u16, sleep_ms: i64) -> bool {
        self.sleep_ms.store(sleep_ms, Ordering::SeqCst);
        let left = self
            .readings_left
            .swap(i64::from(readings), Ordering::SeqCst);
        left < 0
    }

    /// Moves both clocks forward.
    pub fn advance_ms(&self, by_ms: i64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(by_ms.max(0), Ordering::SeqCst);
    }

    /// Moves the wall clock alone, backwards too, as an administrator or NTP would.
    pub fn set_wall(&self, now: Timestamp) {
        self.wall_ms.store(now.millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_ms.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> i64 {
        let read_ms = self.monotonic_ms.load(Ordering::SeqCst);
        if self.readings_left.load(Ordering::SeqCst) >= 0
            && self.readings_left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.readings_left.store(-1, Ordering::SeqCst);
            self.advance_ms(self.sleep_ms.load(Ordering::SeqCst));
        }
        read_ms
    }
}
