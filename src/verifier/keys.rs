//! The published keys of an issuer, fetched and kept.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::sync::Mutex;

use super::BuildError;
use crate::domain::time::Timestamp;
use crate::token::jwks::JWKS_LEN_MAX;
use crate::token::{KeySet, KeySetError};

/// How long keys are used, in seconds, before they are fetched again. hallpass publishes a new key
/// for at least its `max-age` before it signs, so no valid token waits for this.
pub(super) const MAX_AGE_SECS: i64 = 600;
/// How long keys are used, in seconds, while they cannot be fetched again.
pub(super) const STALE_SECS_MAX: i64 = 3_600;
/// How many seconds lie between a fetch and one for an unknown `kid`, so that forged tokens cannot
/// make this service flood the issuer.
pub(super) const COOLDOWN_SECS: i64 = 30;
/// How many seconds lie between a fetch that failed and the next.
pub(super) const RETRY_SECS: i64 = 2;
/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the keys were not fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// No answer in time, or the connection failed.
    #[error("the issuer cannot be reached: {0}")]
    Unreachable(Arc<reqwest::Error>),
    /// Another status than 200; redirects are not followed.
    #[error("the issuer answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The answer is no key set, or too long for one.
    #[error(transparent)]
    Set(#[from] KeySetError),
    /// There are no keys, and the last try failed too short a time ago for another.
    #[error("the keys could not be fetched a moment ago")]
    JustFailed,
}

/// One remote key set. Many may ask at once; one fetch is made for all of them.
#[derive(Debug)]
pub(super) struct RemoteKeys {
    http: reqwest::Client,
    url: Url,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    asked_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Kept {
    keys: Arc<KeySet>,
    fetched_at: Timestamp,
}

/// Whether `now` lies within so many seconds after `at`. A clock that was set back makes nothing
/// recent.
fn is_within(secs: i64, at: Timestamp, now: Timestamp) -> bool {
    at <= now && now < at.plus_secs(secs)
}

impl RemoteKeys {
    pub(super) fn new(url: &str) -> Result<Self, BuildError> {
        let url = Url::parse(url).map_err(|_| BuildError::Url)?;
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_here;
        if !is_safe {
            return Err(BuildError::Url);
        }
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("hallpass-verifier/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(BuildError::Client)?;
        Ok(Self {
            http,
            url,
            state: Mutex::default(),
        })
    }

    /// Keys that are young enough; fetched when there are none. When they cannot be fetched, those
    /// that are there go on for a while.
    pub(super) async fn current(&self, now: Timestamp) -> Result<Arc<KeySet>, FetchError> {
        // Whoever waits here while another one fetches finds fresh keys.
        let mut state = self.state.lock().await;
        let old = match &state.kept {
            Some(kept) if is_within(MAX_AGE_SECS, kept.fetched_at, now) => {
                return Ok(Arc::clone(&kept.keys));
            }
            Some(kept) if is_within(STALE_SECS_MAX, kept.fetched_at, now) => {
                Some(Arc::clone(&kept.keys))
            }
            Some(_) | None => None,
        };
        let failed_lately = state
            .failed_at
            .is_some_and(|at| is_within(RETRY_SECS, at, now));
        let fetched = if failed_lately {
            Err(FetchError::JustFailed)
        } else {
            self.refresh(&mut state, now).await
        };
        fetched.or_else(|error| old.ok_or(error))
    }

    /// Keys that were fetched after `known`, which lacks a `kid`; `known` itself during the
    /// cooldown, and when they cannot be fetched.
    pub(super) async fn newer(&self, known: &Arc<KeySet>, now: Timestamp) -> Arc<KeySet> {
        let mut state = self.state.lock().await;
        if let Some(kept) = &state.kept
            && !Arc::ptr_eq(&kept.keys, known)
        {
            return Arc::clone(&kept.keys);
        }
        let asked_lately = state
            .asked_at
            .is_some_and(|at| is_within(COOLDOWN_SECS, at, now));
        if asked_lately {
            return Arc::clone(known);
        }
        // Noted first, so that a caller that goes away meanwhile does not undo the cooldown.
        state.asked_at = Some(now);
        self.refresh(&mut state, now)
            .await
            .unwrap_or_else(|_| Arc::clone(known))
    }

    async fn refresh(&self, state: &mut State, now: Timestamp) -> Result<Arc<KeySet>, FetchError> {
        let fetched = self.fetch().await;
        state.failed_at = fetched.is_err().then_some(now);
        let keys = Arc::new(fetched?);
        state.asked_at = Some(now);
        state.kept = Some(Kept {
            keys: Arc::clone(&keys),
            fetched_at: now,
        });
        Ok(keys)
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let unreachable = |error| FetchError::Unreachable(Arc::new(error));
        let call = self.http.get(self.url.clone()).send();
        let mut answer = call.await.map_err(unreachable)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status {
                status: answer.status().as_u16(),
            });
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > JWKS_LEN_MAX {
                return Err(KeySetError::TooLong.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(KeySet::parse(&bytes)?)
    }
}
