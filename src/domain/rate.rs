//! Rate limits by the generic cell rate algorithm: as exact as a token bucket, one number a key.

/// So many requests in so many seconds, spread evenly, with a burst of all of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// Requests in the window, at least 1.
    pub requests: u32,
    /// The window, in seconds, at least 1.
    pub per_secs: u32,
}

/// What the limiter says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Go on. `remaining` more may follow at once.
    Go {
        /// Requests that may follow at once.
        remaining: u32,
        /// Milliseconds until the whole burst is there again.
        reset_ms: i64,
    },
    /// Come back later.
    Wait {
        /// Milliseconds until the next request may pass.
        retry_ms: i64,
    },
}

/// The state of one limit: the theoretical arrival time of the next request on the monotonic clock,
/// in units of a millisecond divided by the requests of the limit, so that no division rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    requests: u32,
    per_secs: u32,
    arrival: i64,
}

impl RateLimit {
    /// Whether `other` never lets more through than this, in the long run or at once.
    pub fn covers(&self, other: &Self) -> bool {
        let own = u64::from(self.requests) * u64::from(other.per_secs);
        let wanted = u64::from(other.requests) * u64::from(self.per_secs);
        other.requests <= self.requests && wanted <= own
    }
}

impl Bucket {
    /// Asks for one request at `now_ms`, and takes it if there is one. A limit that was changed
    /// starts with a full burst.
    pub fn take(&mut self, limit: RateLimit, now_ms: i64) -> Turn {
        let requests = i64::from(limit.requests.max(1));
        let cost = i64::from(limit.per_secs) * 1000;
        let now = now_ms.saturating_mul(requests);
        if self.requests != limit.requests {
            *self = Self {
                requests: limit.requests,
                per_secs: limit.per_secs,
                arrival: now,
            };
        }
        self.per_secs = limit.per_secs;

        let next = self.arrival.max(now) + cost;
        let early = next - now - cost * requests;
        if early > 0 {
            return Turn::Wait {
                retry_ms: ceil_div(early, requests),
            };
        }
        self.arrival = next;
        Turn::Go {
            remaining: u32::try_from(-early / cost.max(1)).unwrap_or(u32::MAX),
            reset_ms: ceil_div(next - now, requests),
        }
    }

    /// Milliseconds until the bucket is full again. One that is full says as much as none, so it
    /// need not be kept.
    pub fn full_in_ms(&self, now_ms: i64) -> i64 {
        let requests = i64::from(self.requests.max(1));
        let left = self.arrival - now_ms.saturating_mul(requests);
        ceil_div(left.max(0), requests)
    }

    /// Whether the next request would have to wait.
    pub fn is_spent(&self, now_ms: i64) -> bool {
        let limit = RateLimit {
            requests: self.requests,
            per_secs: self.per_secs,
        };
        let mut next = *self;
        matches!(next.take(limit, now_ms), Turn::Wait { .. })
    }
}

const fn ceil_div(number: i64, by: i64) -> i64 {
    (number + by - 1) / by
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        requests: 3,
        per_secs: 60,
    };

    #[test]
    fn a_burst_passes_then_one_each_interval() {
        let mut bucket = Bucket::default();
        for left in [2, 1, 0] {
            assert!(
                matches!(bucket.take(LIMIT, 1_000), Turn::Go { remaining, .. } if remaining == left)
            );
        }
        assert_eq!(bucket.take(LIMIT, 1_000), Turn::Wait { retry_ms: 20_000 });
        assert_eq!(bucket.take(LIMIT, 20_999), Turn::Wait { retry_ms: 1 });
        assert!(matches!(
            bucket.take(LIMIT, 21_000),
            Turn::Go { remaining: 0, .. }
        ));
        assert_eq!(bucket.full_in_ms(80_999), 1);
        assert_eq!(bucket.full_in_ms(81_000), 0);
        assert!(bucket.is_spent(40_999));
        assert!(!bucket.is_spent(41_000));
    }

    #[test]
    fn a_limit_that_does_not_divide_its_window_lets_exactly_its_burst_through() {
        for requests in [1_u32, 7, 59, 1000] {
            let limit = RateLimit {
                requests,
                per_secs: 1,
            };
            let mut bucket = Bucket::default();
            let passed = (0..2 * requests)
                .filter(|_| matches!(bucket.take(limit, 5), Turn::Go { .. }))
                .count();
            assert_eq!(passed, usize::try_from(requests).unwrap(), "{requests}");
        }
    }

    #[test]
    fn a_clock_that_goes_backwards_gives_nothing() {
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert!(matches!(bucket.take(LIMIT, 60_000), Turn::Go { .. }));
        }
        for earlier in [59_999, 30_000, 0, -1] {
            assert!(
                matches!(bucket.take(LIMIT, earlier), Turn::Wait { .. }),
                "{earlier}"
            );
        }
    }

    #[test]
    fn a_limit_never_lets_more_through_than_one_that_covers_it() {
        let limits = |most| {
            (1..=most).flat_map(move |requests| {
                (1..=most).map(move |per_secs| RateLimit { requests, per_secs })
            })
        };
        for (wide, narrow) in limits(4).flat_map(|wide| limits(4).map(move |narrow| (wide, narrow)))
        {
            if !wide.covers(&narrow) {
                continue;
            }
            let (mut own, mut wanted) = (Bucket::default(), Bucket::default());
            let (mut passed, mut passed_narrow) = (0, 0);
            for now_ms in (0..20_000).step_by(50) {
                while matches!(own.take(wide, now_ms), Turn::Go { .. }) {
                    passed += 1;
                }
                while matches!(wanted.take(narrow, now_ms), Turn::Go { .. }) {
                    passed_narrow += 1;
                }
                assert!(passed_narrow <= passed, "{wide:?} {narrow:?} at {now_ms}");
            }
        }
    }

    #[test]
    fn a_wider_limit_is_not_covered() {
        assert!(LIMIT.covers(&RateLimit {
            requests: 1,
            per_secs: 60
        }));
        assert!(!LIMIT.covers(&RateLimit {
            requests: 3,
            per_secs: 59
        }));
        assert!(!LIMIT.covers(&RateLimit {
            requests: 6,
            per_secs: 120
        }));
    }
}
