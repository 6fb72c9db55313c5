//! For how long a node believes what it knows of the change log, and what it does then.

use serde::Deserialize;

/// What is done with a request when this node's knowledge of the change log is older than the bound.
/// It is never believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PastLease {
    /// The database is asked; when it does not answer, the request is refused.
    #[default]
    Ask,
    /// It is refused at once, until the log could be read again.
    Refuse,
}

/// For how long knowledge of the change log is believed. It is counted from before the log was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// In milliseconds.
    pub ms: i64,
    /// What is done then.
    pub past: PastLease,
}

impl Lease {
    /// Whether what was asked at an instant may still be believed at another.
    pub fn holds(self, asked_at_ms: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(asked_at_ms) <= self.ms
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            ms: 1_000,
            past: PastLease::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_up_to_its_bound_and_not_a_millisecond_longer() {
        let lease = Lease::default();

        assert!(lease.holds(5, 5));
        assert!(lease.holds(5, 1_005));
        assert!(!lease.holds(5, 1_006));
        assert!(!lease.holds(i64::MIN, i64::MAX));
    }
}
