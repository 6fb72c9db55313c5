//! The revocation feed: what this node knows of the change log, signed (`docs/feed.md`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::App;
use super::error::Error;
use crate::domain::environment::Environment;
use crate::domain::feed::{Cursor, Page};
use crate::token::PrivateKey;
use crate::token::revocations::{ENTRIES_MAX, Revocations, is_nonce, sign_revocations};

/// The longest wait, in seconds.
pub const WAIT_SECS_MAX: u64 = 20;
/// How far ahead a cursor may lie, in seconds: further, and nobody was ever given it.
const CURSOR_AHEAD_SECS_MAX: i64 = 300;
/// Documents of more than [`SMALL_LEN`] entries that are on their way at the same time. Beyond,
/// documents are short, so that slow readers cannot fill the memory.
const LARGE_MAX: usize = 64;
const SMALL_LEN: usize = 1024;
/// Signed documents without a nonce that are kept, since many ask for the same.
const KEPT_MAX: usize = 32;

/// How much of the service those who wait for the feed may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLimits {
    waiting_max: usize,
    wait_max: Duration,
}

impl FeedLimits {
    /// For a service with so many connections and such a limit on the time of a request: a quarter
    /// of the connections, and half of the time.
    pub fn new(connections_max: u32, request_timeout_secs: u32) -> Self {
        let secs = u64::from(request_timeout_secs / 2).min(WAIT_SECS_MAX);
        Self {
            waiting_max: usize::try_from(connections_max / 4).unwrap_or(1).max(1),
            wait_max: Duration::from_secs(secs),
        }
    }
}

/// What is kept for those who read the feed.
#[derive(Debug)]
pub struct Feed {
    limits: FeedLimits,
    waiting: Semaphore,
    large: Arc<Semaphore>,
    catching_up: tokio::sync::Mutex<()>,
    kept: Mutex<VecDeque<Kept>>,
    stopped: watch::Sender<bool>,
}

#[derive(Debug, Clone)]
struct Kept {
    etag: String,
    body: Arc<[u8]>,
}

impl Feed {
    /// Nobody waits yet.
    pub fn new(limits: FeedLimits) -> Self {
        Self {
            limits,
            waiting: Semaphore::new(limits.waiting_max),
            large: Arc::new(Semaphore::new(LARGE_MAX)),
            catching_up: tokio::sync::Mutex::new(()),
            kept: Mutex::default(),
            stopped: watch::channel(false).0,
        }
    }

    fn find_kept(&self, etag: &str) -> Option<Arc<[u8]>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|kept| kept.etag == etag);
        found.map(|kept| Arc::clone(&kept.body))
    }

    fn keep(&self, etag: &str, body: &Arc<[u8]>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Kept {
            etag: etag.to_owned(),
            body: Arc::clone(body),
        });
    }
}

/// What is asked of the feed.
#[derive(Debug)]
pub struct FeedRequest {
    /// Whose tokens.
    pub environment: Environment,
    /// How far the one who asks has read.
    pub since: Option<Cursor>,
    /// What makes the answer fresh.
    pub nonce: Option<String>,
    /// How long the answer may take when there is nothing new.
    pub wait: Duration,
    /// The entity tags that the one who asks has.
    pub known_etags: Vec<String>,
}

/// A document, ready to be sent.
#[derive(Debug)]
pub struct FeedAnswer {
    /// The JSON body; `None` when the one who asked has it.
    pub body: Option<FeedBody>,
    /// The entity tag of a document that may be cached.
    pub etag: Option<String>,
}

/// The bytes of a document. A long one takes one of a few places until it is dropped.
#[derive(Debug)]
pub struct FeedBody {
    bytes: Arc<[u8]>,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for FeedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl App {
    /// What the feed says to this question.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Unavailable`] when this node does not know how far the log has
    /// come, or cannot sign.
    pub async fn revocations(&self, request: FeedRequest) -> Result<FeedAnswer, Error> {
        let FeedRequest {
            environment,
            since,
            nonce,
            wait,
            known_etags,
        } = request;
        if let Some(since) = since {
            self.catch_up(since).await?;
            if !wait.is_zero() {
                self.wait_for_entry(since, wait).await;
            }
        }
        // Only what is known is stated, and only while it is fresh; the keys must not be older.
        self.ensure_fresh().await?;
        let place = Arc::clone(&self.feed.large).try_acquire_owned().ok();
        let len_max = place.as_ref().map_or(SMALL_LEN, |_| ENTRIES_MAX);
        let page = self.pulse.page(since, len_max);
        let place = place.filter(|_| page.entries.len() > SMALL_LEN);
        self.render(environment, page, nonce, &known_etags, place)
    }

    fn render(
        &self,
        environment: Environment,
        page: Page,
        nonce: Option<String>,
        known_etags: &[String],
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<FeedAnswer, Error> {
        let ring = self.signing.ring();
        let key = ring
            .signs_documents(environment)
            .ok_or_else(|| Error::Unavailable("no signing key may sign".into()))?;
        let fresh = nonce.is_some();
        let revocations = Revocations {
            issuer: self.issuer(environment),
            page,
            revoked_keys: ring.revoked(environment),
            nonce,
        };
        let payload = revocations
            .to_json()
            .map_err(|error| Error::Internal(error.into()))?;
        let body = |bytes| FeedBody {
            bytes,
            _place: place,
        };
        if fresh {
            return Ok(FeedAnswer {
                body: Some(body(sign(&payload, key)?)),
                etag: None,
            });
        }
        let etag = etag(&payload, key);
        if known_etags.contains(&etag) {
            return Ok(FeedAnswer {
                body: None,
                etag: Some(etag),
            });
        }
        let bytes = if let Some(bytes) = self.feed.find_kept(&etag) {
            bytes
        } else {
            let bytes = sign(&payload, key)?;
            self.feed.keep(&etag, &bytes);
            bytes
        };
        Ok(FeedAnswer {
            body: Some(body(bytes)),
            etag: Some(etag),
        })
    }

    /// Reads the log again when somebody has heard more of it, from another node. Others who ask the
    /// same meanwhile wait for the same reading.
    async fn catch_up(&self, since: Cursor) -> Result<(), Error> {
        let latest = self.now().plus_secs(CURSOR_AHEAD_SECS_MAX).millis();
        if since.position.get() > latest.saturating_mul(1000) {
            return Err(Error::invalid("since", "no cursor that was given here"));
        }
        let is_behind = || {
            let known = self.pulse.known();
            known.log == since.log && known.position < since.position
        };
        if is_behind() {
            let _turn = self.feed.catching_up.lock().await;
            if is_behind() {
                let mut read = self.store.read().await?;
                self.pulse.refresh(read.conn()).await?;
            }
        }
        Ok(())
    }

    /// Waits for something new. When too many wait already, nobody is refused: the answer comes at
    /// once, and whoever asks has to come back by its own clock.
    async fn wait_for_entry(&self, since: Cursor, wait: Duration) {
        let Ok(_place) = self.feed.waiting.try_acquire() else {
            return;
        };
        let at_most = wait.min(self.feed.limits.wait_max);
        let mut stopped = self.feed.stopped.subscribe();
        tokio::select! {
            () = self.pulse.wait_for_entry(since, at_most) => {}
            // The sender lives as long as this.
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// Answers all who wait for the feed now, and lets nobody wait any more: the service stops.
    pub fn stop_waiting(&self) {
        self.feed.stopped.send_replace(true);
    }
}

/// Reads the nonce of a request.
///
/// # Errors
/// [`Error::Invalid`].
pub fn read_nonce(text: &str) -> Result<String, Error> {
    if is_nonce(text) {
        Ok(text.to_owned())
    } else {
        Err(Error::invalid(
            "nonce",
            "16 to 64 characters of `A-Z a-z 0-9 - _`",
        ))
    }
}

fn sign(payload: &[u8], key: &PrivateKey) -> Result<Arc<[u8]>, Error> {
    let document = sign_revocations(payload, key).map_err(|error| Error::Internal(error.into()))?;
    // Base64url and dots need no escapes.
    Ok(Arc::from(
        format!("{{\"document\":\"{document}\"}}").into_bytes(),
    ))
}

/// Weak, since a signature has many spellings.
fn etag(payload: &[u8], key: &PrivateKey) -> String {
    let mut signed = payload.to_vec();
    signed.extend_from_slice(key.public().kid().as_bytes());
    format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, &signed)))
}
