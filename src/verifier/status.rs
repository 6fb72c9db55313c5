//! What a verifier tells about itself, for health checks and metrics.

/// How a verifier is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The published keys.
    pub keys: KeysStatus,
    /// The revocation feed; `None` for a verifier that was built without.
    pub feed: Option<FeedStatus>,
}

impl Status {
    /// Whether good tokens are accepted now.
    pub fn is_ready(&self) -> bool {
        self.keys.usable && self.feed.as_ref().is_none_or(|feed| feed.fresh)
    }
}

/// The published keys of the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysStatus {
    /// How many there are.
    pub keys: usize,
    /// When they were fetched, in milliseconds ago.
    pub age_ms: Option<i64>,
    /// Whether they are young enough to be used.
    pub usable: bool,
    /// Whether they are being fetched at this moment.
    pub reloading: bool,
    /// The code of the last fetch, if it failed.
    pub last_error: Option<&'static str>,
}

/// The revocation feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedStatus {
    /// Log and position up to which everything is known, as in `rev`.
    pub position: Option<String>,
    /// Ended tags in memory.
    pub entries: usize,
    /// Revoked signing keys.
    pub revoked_keys: usize,
    /// How old the knowledge is, in milliseconds: since the question was sent that it answers.
    pub age_ms: Option<i64>,
    /// How old it may be, in milliseconds.
    pub bound_ms: i64,
    /// Whether it is young enough.
    pub fresh: bool,
    /// Whether the log fell back, so that nothing is accepted until it has another id.
    pub fell_back: bool,
    /// The code of the last question, if it failed.
    pub last_error: Option<&'static str>,
}
