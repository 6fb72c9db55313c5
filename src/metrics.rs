//! What is counted.
use std::sync::atomic::{AtomicU64, Ordering};
/// Counters.
#[derive(Debug, Default)]
pub struct Metrics {
    n: AtomicU64,
}
impl Metrics {
    /// x
    pub fn authentication_failed(&self) {
        self.n.fetch_add(1, Ordering::Relaxed);
    }
    /// x
    pub fn refusal_dropped(&self) {}
    /// x
    pub fn revoked(&self, _n: usize) {}
    /// x
    pub fn minted(&self) {}
    /// x
    pub fn renewed(&self) {}
}
