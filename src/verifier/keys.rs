//! The published keys of an issuer, fetched and kept.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::sync::Mutex;

use super::fetch::{AnswerError, ask};
use super::status::KeysStatus;
use crate::clock::Clock;
use crate::token::jwks::JWKS_LEN_MAX;
use crate::token::{KeySet, KeySetError};

/// How long keys are used, in seconds, before somebody has to wait for newer ones. hallpass
/// publishes a new key for at least its `max-age` before it signs, so no valid token waits for this.
pub(super) const MAX_AGE_SECS: i64 = 600;
/// How long keys are used, in seconds, while they cannot be fetched again.
pub(super) const STALE_SECS_MAX: i64 = 3_600;
/// How many seconds lie between a fetch and one for an unknown `kid`, so that forged tokens cannot
/// make this service flood the issuer.
pub(super) const COOLDOWN_SECS: i64 = 30;
/// The same for the `kid` of a document of the feed, which comes from the issuer itself.
pub(super) const FEED_COOLDOWN_SECS: i64 = 1;
/// How many seconds lie between a fetch that failed and the next.
pub(super) const RETRY_SECS: i64 = 2;

/// Why the keys were not fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The issuer gave no answer that can be used.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The answer is no key set.
    #[error(transparent)]
    Set(#[from] KeySetError),
    /// There are no keys, and the last try failed too short a time ago for another.
    #[error("the keys could not be fetched a moment ago")]
    JustFailed,
}

impl FetchError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Answer(AnswerError::Unreachable(_)) => "keys_unreachable",
            Self::Answer(AnswerError::Status { .. }) => "keys_status",
            Self::Answer(AnswerError::TooLong) | Self::Set(KeySetError::TooLong) => "keys_too_long",
            Self::Set(KeySetError::TooManyKeys | KeySetError::Json(_)) => "keys_malformed",
            Self::JustFailed => "keys_unavailable",
        }
    }
}

/// A key set, and which one in the order in which they were fetched. Two with the same number are
/// the same.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) set: Arc<KeySet>,
    pub(super) generation: u64,
}

/// One remote key set. Many may ask at once; one fetch is made for all of them.
#[derive(Debug)]
pub(super) struct RemoteKeys {
    http: Client,
    url: Url,
    clock: Arc<dyn Clock>,
    kept: RwLock<Option<Kept>>,
    // Whoever holds it may fetch; the others wait and find what was fetched.
    attempts: Mutex<Attempts>,
}

#[derive(Debug, Clone)]
struct Kept {
    keys: Keys,
    fetched_at_ms: i64,
    max_age_secs: i64,
}

impl Kept {
    fn is_younger_than(&self, secs: i64, now_ms: i64) -> bool {
        now_ms - self.fetched_at_ms < secs * 1000
    }
}

#[derive(Debug, Default)]
struct Attempts {
    asked_at_ms: Option<i64>,
    failed_at_ms: Option<i64>,
    last_error: Option<&'static str>,
}

fn is_within(secs: i64, at_ms: Option<i64>, now_ms: i64) -> bool {
    at_ms.is_some_and(|at_ms| now_ms - at_ms < secs * 1000)
}

impl RemoteKeys {
    pub(super) fn new(http: Client, url: Url, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            url,
            clock,
            kept: RwLock::default(),
            attempts: Mutex::default(),
        }
    }

    fn kept(&self) -> Option<Kept> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    /// Keys that are young enough, if there are any. Asks nobody.
    pub(super) fn fresh(&self) -> Option<Keys> {
        let now_ms = self.clock.monotonic_ms();
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref()?;
        kept.is_younger_than(MAX_AGE_SECS, now_ms)
            .then(|| kept.keys.clone())
    }

    /// Keys that are young enough; fetched when there are none. When they cannot be fetched, those
    /// that are there go on for a while.
    pub(super) async fn current(&self) -> Result<Keys, FetchError> {
        if let Some(keys) = self.fresh() {
            return Ok(keys);
        }
        let mut attempts = self.attempts.lock().await;
        // Whoever waited here while another one fetched finds fresh keys.
        if let Some(keys) = self.fresh() {
            return Ok(keys);
        }
        let now_ms = self.clock.monotonic_ms();
        let fetched = if is_within(RETRY_SECS, attempts.failed_at_ms, now_ms) {
            Err(FetchError::JustFailed)
        } else {
            self.fetch(&mut attempts).await
        };
        fetched.or_else(|error| {
            let old = self
                .kept()
                .filter(|kept| kept.is_younger_than(STALE_SECS_MAX, now_ms));
            old.map(|kept| kept.keys).ok_or(error)
        })
    }

    /// Keys that were fetched after `known`, which lacks a `kid`; `known` itself during the
    /// cooldown, and when they cannot be fetched.
    pub(super) async fn newer(&self, known: Keys, cooldown_secs: i64) -> Keys {
        let mut attempts = self.attempts.lock().await;
        if let Some(kept) = self.kept()
            && kept.keys.generation != known.generation
        {
            return kept.keys;
        }
        let now_ms = self.clock.monotonic_ms();
        if is_within(cooldown_secs, attempts.asked_at_ms, now_ms) {
            return known;
        }
        // Noted first, so that a caller that goes away meanwhile does not undo the cooldown.
        attempts.asked_at_ms = Some(now_ms);
        self.fetch(&mut attempts).await.unwrap_or(known)
    }

    async fn fetch(&self, attempts: &mut Attempts) -> Result<Keys, FetchError> {
        let now_ms = self.clock.monotonic_ms();
        let fetched = self.try_fetch().await;
        attempts.failed_at_ms = fetched.is_err().then_some(now_ms);
        attempts.last_error = fetched.as_ref().err().map(FetchError::code);
        let (set, max_age_secs) = fetched?;
        attempts.asked_at_ms = Some(now_ms);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let keys = match &*kept {
            // The same keys again keep their number, and with it all that was judged by them.
            Some(kept) if kept.keys.set.same_keys(&set) => kept.keys.clone(),
            Some(kept) => Keys {
                set: Arc::new(set),
                generation: kept.keys.generation.wrapping_add(1),
            },
            None => Keys {
                set: Arc::new(set),
                generation: 0,
            },
        };
        *kept = Some(Kept {
            keys: keys.clone(),
            fetched_at_ms: now_ms,
            max_age_secs,
        });
        Ok(keys)
    }

    async fn try_fetch(&self) -> Result<(KeySet, i64), FetchError> {
        let request = self.http.get(self.url.clone());
        let body = ask(request, Duration::ZERO, JWKS_LEN_MAX).await?;
        let max_age_secs = body.max_age_secs.unwrap_or(MAX_AGE_SECS);
        Ok((
            KeySet::parse(&body.bytes)?,
            max_age_secs.clamp(1, MAX_AGE_SECS),
        ))
    }

    /// Fetches the keys again at half of the time for which the issuer lets them be kept, so that no
    /// request waits for that. Goes on for ever.
    pub(super) async fn keep_fresh(&self) {
        loop {
            let pause = match self.refresh_if_due().await {
                Some(due_in_ms) => due_in_ms.clamp(100, MAX_AGE_SECS * 1000),
                None => RETRY_SECS * 1000,
            };
            tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())).await;
        }
    }

    /// Fetches the keys if they are due. In how many milliseconds they are due again; `None` when
    /// they could not be fetched.
    pub(super) async fn refresh_if_due(&self) -> Option<i64> {
        let due_in_ms =
            |kept: &Kept| kept.fetched_at_ms + kept.max_age_secs * 500 - self.clock.monotonic_ms();
        if let Some(kept) = self.kept()
            && due_in_ms(&kept) > 0
        {
            return Some(due_in_ms(&kept));
        }
        let mut attempts = self.attempts.lock().await;
        self.fetch(&mut attempts).await.ok()?;
        self.kept().as_ref().map(due_in_ms)
    }

    pub(super) fn status(&self) -> KeysStatus {
        let now_ms = self.clock.monotonic_ms();
        let kept = self.kept();
        let attempts = self.attempts.try_lock();
        KeysStatus {
            keys: kept.as_ref().map_or(0, |kept| kept.keys.set.len()),
            age_ms: kept.as_ref().map(|kept| now_ms - kept.fetched_at_ms),
            usable: kept.is_some_and(|kept| kept.is_younger_than(STALE_SECS_MAX, now_ms)),
            reloading: attempts.is_err(),
            last_error: attempts.ok().and_then(|attempts| attempts.last_error),
        }
    }
}
