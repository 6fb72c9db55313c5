//! Following the feed in the background.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Url};
use tokio::sync::watch;
use tokio::time::Instant;

use super::fetch::ask;
use super::keys::{FEED_COOLDOWN_SECS, RemoteKeys};
use super::knowledge::{FeedError, Knowledge, NotAlive, Question, Summary, Taken};
use super::status::FeedStatus;
use crate::clock::Clock;
use crate::domain::liveness::{Rev, Tags};
use crate::domain::strict_json;
use crate::entropy::Entropy;
use crate::token::revocations::DOCUMENT_LEN_MAX;
use crate::token::{DocumentError, Revocations, read_revocations};

/// The longest wait that the feed allows, in seconds.
const WAIT_SECS_MAX: i64 = 20;
/// How long lies between two questions at least, so that many changes in a row are one answer.
const PAUSE_MS: i64 = 50;
/// An answer without news that took so long was waited for.
const WAITED_MS: i64 = 500;
/// The first pause after a failure; it doubles up to a fifth of the bound.
const RETRY_MS: i64 = 100;
/// How often entries that decide nothing any more are dropped.
const COMPACT_MS: i64 = 300_000;
/// Around a document: `{"document":"…"}`.
const WRAPPING_LEN: usize = 1024;

/// One feed that is followed.
#[derive(Debug)]
pub(super) struct Follower {
    http: Client,
    url: Url,
    keys: Arc<RemoteKeys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    bound_ms: i64,
    knowledge: RwLock<Knowledge>,
    last_error: Mutex<Option<&'static str>>,
    /// Counts documents that were taken in.
    taken: watch::Sender<u64>,
}

impl Follower {
    pub(super) fn new(
        http: Client,
        url: Url,
        keys: Arc<RemoteKeys>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        issuer: String,
        bound_ms: i64,
    ) -> Self {
        Self {
            http,
            url,
            keys,
            clock,
            entropy,
            bound_ms,
            knowledge: RwLock::new(Knowledge::new(issuer)),
            last_error: Mutex::default(),
            taken: watch::channel(0).0,
        }
    }

    /// The one question about a token.
    pub(super) fn check(&self, kid: &str, tags: &Tags, rev: Rev) -> Result<(), NotAlive> {
        let now_ms = self.clock.monotonic_ms();
        self.read(|knowledge| knowledge.check(kid, tags, rev, now_ms, self.bound_ms))
    }

    fn is_fresh(&self) -> bool {
        let now_ms = self.clock.monotonic_ms();
        self.read(|knowledge| knowledge.is_fresh(now_ms, self.bound_ms))
    }

    /// Over when what is known is fresh.
    pub(super) async fn ready(&self) {
        let mut taken = self.taken.subscribe();
        while !self.is_fresh() {
            // The sender lives as long as this.
            if taken.changed().await.is_err() {
                return;
            }
        }
    }

    /// Over when the next document was taken in.
    pub(super) async fn next_document(&self) {
        // The sender lives as long as this.
        drop(self.taken.subscribe().changed().await);
    }

    /// Follows for ever. Nothing that goes wrong ends it.
    pub(super) async fn follow(&self) {
        let mut failures = 0;
        let mut compacted_at_ms = self.clock.monotonic_ms();
        let mut wait_secs = 0;
        // At first without a nonce, so that caches can help.
        let mut fresh = false;
        loop {
            let sent_at = Instant::now();
            let outcome = self.ask_once(fresh, wait_secs).await;
            let took_ms = i64::try_from(sent_at.elapsed().as_millis()).unwrap_or(i64::MAX);
            let pause_ms = if let Ok(taken) = outcome {
                failures = 0;
                let asked_to_wait = wait_secs > 0;
                let caught_up = fresh && !taken.more;
                // Without a nonce for more entries; with one for their being all.
                fresh = !taken.more;
                wait_secs = if caught_up { self.wait_secs() } else { 0 };
                if caught_up && (asked_to_wait || wait_secs == 0) {
                    self.pause_after(taken, took_ms)
                } else {
                    0
                }
            } else {
                failures += 1;
                // Whatever a cache may have answered, the issuer itself is asked next.
                fresh = true;
                wait_secs = 0;
                self.pause_after_failures(failures)
            };
            let now_ms = self.clock.monotonic_ms();
            if now_ms - compacted_at_ms > COMPACT_MS {
                compacted_at_ms = now_ms;
                self.write(Knowledge::compact);
            }
            tokio::time::sleep(Duration::from_millis(pause_ms.max(0).unsigned_abs())).await;
        }
    }

    /// A third of the bound, so that one question may fail.
    fn wait_secs(&self) -> i64 {
        (self.bound_ms / 3000).clamp(0, WAIT_SECS_MAX)
    }

    /// How long to wait before the next question, all being known.
    fn pause_after(&self, taken: Taken, took_ms: i64) -> i64 {
        let pause_ms = if taken.news {
            PAUSE_MS
        } else if took_ms >= WAITED_MS {
            // The issuer waited. Whatever happens from now on waits for the next question.
            0
        } else {
            // It did not: it has enough who wait, or the bound is too short for that.
            self.bound_ms / 3
        };
        pause_ms - took_ms
    }

    /// Twice as long each time, by chance half of that to all of it, so that many verifiers do not
    /// come back at one moment.
    fn pause_after_failures(&self, failures: u32) -> i64 {
        let longest = (self.bound_ms / 5).max(RETRY_MS);
        let doubled = RETRY_MS.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let pause_ms = doubled.min(longest);
        let chance = self.entropy.bytes::<1>().map_or(255, |[byte]| byte);
        pause_ms / 2 + pause_ms / 2 * i64::from(chance) / 255
    }

    /// One question and its answer.
    pub(super) async fn ask_once(&self, fresh: bool, wait_secs: i64) -> Result<Taken, FeedError> {
        let outcome = self.try_ask(fresh, wait_secs).await;
        let error = outcome.as_ref().err().map(FeedError::code);
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = error;
        if outcome.is_ok() {
            self.taken
                .send_modify(|count| *count = count.wrapping_add(1));
        }
        outcome
    }

    async fn try_ask(&self, fresh: bool, wait_secs: i64) -> Result<Taken, FeedError> {
        let nonce = if fresh {
            Some(URL_SAFE_NO_PAD.encode(self.entropy.bytes::<16>()?))
        } else {
            None
        };
        let question = Question {
            since: self.read(Knowledge::cursor),
            nonce,
            sent_at_ms: self.clock.monotonic_ms(),
        };
        let mut url = self.url.clone();
        if question.since.is_some() || question.nonce.is_some() {
            let mut query = url.query_pairs_mut();
            if let Some(since) = question.since {
                query.append_pair("since", &since.encode());
            }
            if let Some(nonce) = &question.nonce {
                query.append_pair("nonce", nonce);
            }
            if wait_secs > 0 {
                query.append_pair("wait", &wait_secs.to_string());
            }
        }
        let wait = Duration::from_secs(wait_secs.unsigned_abs());
        let body = ask(self.http.get(url), wait, DOCUMENT_LEN_MAX + WRAPPING_LEN).await?;
        let document = unwrap(&body.bytes).ok_or(FeedError::Malformed)?;
        let document = self.read_document(&document).await?;
        self.write(|knowledge| knowledge.take(&question, document))
    }

    async fn read_document(&self, document: &str) -> Result<Revocations, FeedError> {
        let keys = self.keys.current().await.map_err(|_| FeedError::Keys)?;
        let is_revoked = |kid: &str| self.read(|knowledge| knowledge.is_revoked(kid));
        match read_revocations(document, &*keys.set, &is_revoked) {
            Err(DocumentError::UnknownKey) => {
                // A key that is new since the last fetch.
                let keys = self.keys.newer(keys, FEED_COOLDOWN_SECS).await;
                Ok(read_revocations(document, &*keys.set, &is_revoked)?)
            }
            read => Ok(read?),
        }
    }

    pub(super) fn status(&self) -> FeedStatus {
        let now_ms = self.clock.monotonic_ms();
        let Summary {
            known,
            entries,
            revoked_keys,
            confirmed_at_ms,
            fell_back,
        } = self.read(Knowledge::summary);
        let last_error = self.last_error.lock();
        FeedStatus {
            position: known.map(Rev::encode),
            entries,
            revoked_keys,
            age_ms: confirmed_at_ms.map(|at_ms| now_ms - at_ms),
            bound_ms: self.bound_ms,
            fresh: self.is_fresh(),
            fell_back,
            last_error: *last_error.unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Knowledge) -> T) -> T {
        look(
            &self
                .knowledge
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn write<T>(&self, change: impl FnOnce(&mut Knowledge) -> T) -> T {
        change(
            &mut self
                .knowledge
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

/// The document in an answer.
pub(super) fn unwrap(answer: &[u8]) -> Option<String> {
    let answer = strict_json::parse(answer, 1).ok()?;
    let document = answer.get("document")?.as_str()?.to_owned();
    (answer.as_object()?.len() == 1).then_some(document)
}
