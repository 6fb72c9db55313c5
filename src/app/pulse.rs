//! What this node knows of the change log, and how old that is (DESIGN.md §9).
//!
//! Polling the log is the truth. Knowledge is a lease that begins before the poll is sent; when it
//! is older than the bound, the log is read before anything is decided, and when it cannot be read,
//! nothing is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::error::{BadCredential, Error};
use crate::clock::Clock;
use crate::domain::feed::{Cursor, Entries, Page};
use crate::domain::lease::{Lease, PastLease};
use crate::domain::liveness::{EndedTags, Position, Rev, Tag, Tags, TouchedTags};
use crate::metrics::LogState;
use crate::store::change_log::News;
use crate::store::{Conn, Store, change_log};

/// How often the log is polled, in milliseconds.
pub const POLL_MS: u64 = 200;
/// How long the database may take to say what is new in the log, when a request waits for it.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// The log went backwards: a database was put back without a new log id. Nothing is decided until
/// that is mended.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "the change log fell back behind a position that this node has seen; was an old backup put back? see docs/operations.md"
)]
pub struct LogFellBack;

/// What this node knows of the log is older than the bound, and it may not, or could not, ask.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("what this node knows of the change log is too old")]
pub struct TooOld;

/// What the log said, not yet taken in.
#[derive(Debug)]
pub struct Seen {
    asked_at_ms: i64,
    /// What was known before it was asked.
    before: Rev,
    news: News,
}

impl Seen {
    /// Where the log stood.
    pub fn head(&self) -> Rev {
        self.news.head
    }
}

#[derive(Debug)]
struct Known {
    ended: EndedTags,
    /// What was read of the log, in order. What this node committed itself comes in by the next
    /// poll, with what others committed before it.
    entries: Entries,
    touched: TouchedTags,
    asked_at_ms: i64,
    fell_back: bool,
}

/// What this node knows of the change log.
#[derive(Debug)]
pub struct Pulse {
    known: RwLock<Known>,
    clock: Arc<dyn Clock>,
    lease: Lease,
    /// The log, and the position of the last entry that was read of it.
    last_entry: watch::Sender<Rev>,
    /// A poll would find something: this node ended something, or the database gave a hint.
    poll_now: Notify,
    counts: Counts,
}

/// For the metrics.
#[derive(Debug, Default)]
struct Counts {
    listening: AtomicBool,
    hints: AtomicU64,
    asked: AtomicU64,
    refused: AtomicU64,
}

impl Pulse {
    /// Reads the whole log.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn open(store: &Store, clock: Arc<dyn Clock>, lease: Lease) -> Result<Self, Error> {
        let asked_at_ms = clock.monotonic_ms();
        let mut read = store.read().await?;
        let news = change_log::news(read.conn(), Position::new(0)).await?;
        let head = news.head;
        let mut ended = EndedTags::new(head.log, head.position);
        for (tag, at) in &news.entries {
            ended.end(*tag, *at);
        }
        let mut entries = Entries::default();
        entries.append(Position::new(0), head.position, &news.entries);
        ended.raise_floor(news.floor);
        let (last_entry, _) = watch::channel(entries.last_in(head.log));
        let known = RwLock::new(Known {
            ended,
            entries,
            // Nothing is remembered yet that could have been touched before.
            touched: TouchedTags::new(head.position),
            asked_at_ms,
            fell_back: false,
        });
        Ok(Self {
            known,
            clock,
            lease,
            last_entry,
            poll_now: Notify::new(),
            counts: Counts::default(),
        })
    }

    /// Reads what is new in the log.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the log cannot be read or has fallen back.
    pub async fn refresh(&self, conn: Conn<'_>) -> Result<(), Error> {
        let seen = self.look(conn).await?;
        self.catch_up(seen)
    }

    /// Reads what is new in the log. Knowledge is as old as this question when it was caught up.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn look(&self, mut conn: Conn<'_>) -> Result<Seen, Error> {
        let asked_at_ms = self.clock.monotonic_ms();
        // Before the log is read: what was confirmed by then cannot be missing from it.
        let before = self.known();
        let mut news = change_log::news(reborrow(&mut conn), before.position).await?;
        if news.head.log != before.log {
            // Its positions are nothing to this log.
            news = change_log::news(conn, Position::new(0)).await?;
        }
        Ok(Seen {
            asked_at_ms,
            before,
            news,
        })
    }

    /// Takes in what the log said.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it has fallen back.
    pub fn catch_up(&self, seen: Seen) -> Result<(), Error> {
        let Seen {
            asked_at_ms,
            before,
            news,
        } = seen;
        let News {
            head,
            floor,
            touch_floor,
            entries,
            touches,
        } = news;
        if head == before {
            self.write(|known| known.renew(asked_at_ms));
            return Ok(());
        }
        self.check_head(before, head)?;
        let other_log = head.log != before.log;
        let from = if other_log {
            Position::new(0)
        } else {
            before.position
        };
        self.write(|known| {
            if known.ended.known().log != head.log {
                // Another poll has seen a newer log than this one.
                if !other_log {
                    return;
                }
                known.ended = EndedTags::new(head.log, Position::new(0));
                known.entries = Entries::default();
                known.touched = TouchedTags::new(head.position);
                known.fell_back = false;
            }
            let confirmed = known.ended.known().position;
            known.entries.append(confirmed, head.position, &entries);
            for (tag, at) in &touches {
                known.touched.touch(*tag, *at);
            }
            if touch_floor > from {
                known.touched.raise_floor(touch_floor);
            }
            for (tag, at) in &entries {
                known.ended.end(*tag, *at);
            }
            known.ended.raise_floor(floor);
            known.ended.confirm(head.position);
            known.renew(asked_at_ms);
            let last = known.entries.last_in(head.log);
            self.last_entry
                .send_if_modified(|told| std::mem::replace(told, last) != last);
        });
        Ok(())
    }

    /// Whether the log stands where it stood or further. `known` must have been taken before `head`
    /// was read. A step back is remembered: nothing is decided until the log has another id.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with [`LogFellBack`].
    pub fn check_head(&self, known: Rev, head: Rev) -> Result<(), Error> {
        if head.log == known.log && head.position < known.position {
            self.write(|now| now.fell_back |= now.ended.known().log == known.log);
            return Err(Error::Unavailable(LogFellBack.into()));
        }
        Ok(())
    }

    /// Whether the knowledge is younger than the bound.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with [`LogFellBack`].
    pub fn is_fresh(&self) -> Result<bool, Error> {
        let (fell_back, asked_at_ms) = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            (known.fell_back, known.asked_at_ms)
        };
        if fell_back {
            return Err(Error::Unavailable(LogFellBack.into()));
        }
        Ok(self.lease.holds(asked_at_ms, self.clock.monotonic_ms()))
    }

    /// Makes sure that the knowledge is younger than the bound: past it the database is asked, or the
    /// request refused, as the settings have it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is not and the log cannot be read, or may not.
    pub async fn ensure_fresh(&self, store: &Store) -> Result<(), Error> {
        if self.is_fresh()? {
            return Ok(());
        }
        let asked = match self.lease.past {
            PastLease::Refuse => Err(Error::Unavailable(TooOld.into())),
            PastLease::Ask => {
                let ask = async {
                    let mut read = store.read().await?;
                    self.refresh(read.conn()).await
                };
                tokio::time::timeout(ASK_TIMEOUT, ask)
                    .await
                    .unwrap_or_else(|_| Err(Error::Unavailable(TooOld.into())))
            }
        };
        let count = match asked {
            Ok(()) => &self.counts.asked,
            Err(_) => &self.counts.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        asked
    }

    /// When the knowledge was asked for that is there now.
    pub fn asked_at_ms(&self) -> i64 {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.asked_at_ms
    }

    /// Whether an answer may still leave that relies on what was asked then. The machine may have
    /// slept while it was made.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with [`TooOld`].
    pub fn check_in_time(&self, asked_at_ms: i64) -> Result<(), Error> {
        if self.lease.holds(asked_at_ms, self.clock.monotonic_ms()) {
            Ok(())
        } else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            Err(Error::Unavailable(TooOld.into()))
        }
    }

    /// Takes in what this node itself has just committed, so that it is in force when the call
    /// returns. The position is confirmed by the next poll, which sees what others did before it.
    pub fn changed_here(&self, ended: &[Tag], touched: &[Tag], at: Position) {
        self.write(|known| {
            for tag in ended {
                known.ended.end(*tag, at);
            }
            for tag in touched {
                known.touched.touch(*tag, at);
            }
        });
        if !ended.is_empty() {
            self.poll_now.notify_one();
        }
    }

    /// The database said that the log has moved. Polling is the truth; this is a hint to poll now.
    pub fn hinted(&self) {
        self.counts.hints.fetch_add(1, Ordering::Relaxed);
        self.poll_now.notify_one();
    }

    /// Whether hints come.
    pub fn set_listening(&self, listening: bool) {
        self.counts.listening.store(listening, Ordering::Relaxed);
    }

    /// For the metrics.
    pub fn state(&self) -> LogState {
        let age_ms = self.clock.monotonic_ms() - self.asked_at_ms();
        LogState {
            age_ms: u64::try_from(age_ms).unwrap_or(0),
            lease_ms: u64::try_from(self.lease.ms).unwrap_or(0),
            listening: self.counts.listening.load(Ordering::Relaxed),
            hints: self.counts.hints.load(Ordering::Relaxed),
            asked: self.counts.asked.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        }
    }

    /// Over when there was something that was not polled since: this node ended it, or a hint came.
    pub async fn poll_wanted(&self) {
        self.poll_now.notified().await;
    }

    /// A part of what is known of the log, in order.
    pub fn page(&self, since: Option<Cursor>, len_max: usize) -> Page {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Known { ended, entries, .. } = &*known;
        entries.page(since, ended.known(), ended.floor(), len_max)
    }

    /// Over when there is something behind a cursor, at the latest after a while.
    pub async fn wait_for_entry(&self, since: Cursor, at_most: Duration) {
        let mut last_entry = self.last_entry.subscribe();
        // Whoever stopped within a position has more to read in any case.
        let is_news = |last: &Rev| {
            last.log != since.log || last.position > since.position || since.tag.is_some()
        };
        let news = last_entry.wait_for(is_news);
        // In both cases the answer is what is known then.
        drop(tokio::time::timeout(at_most, news).await);
    }

    /// As of where something still holds that was read as of `read_at` and depends on rows with these
    /// tags; nothing when it has to be read again: it was touched, or what this node knows is too old
    /// to tell.
    ///
    /// It is the later of the two positions: up to what is known nothing has touched it, and what
    /// was read later than that was so when it was read.
    pub fn as_of(&self, rows: &Tags, read_at: Rev) -> Option<Rev> {
        let now_ms = self.clock.monotonic_ms();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let confirmed = known.ended.known();
        let holds = !known.fell_back
            && self.lease.holds(known.asked_at_ms, now_ms)
            && confirmed.log == read_at.log
            && known.touched.is_current(rows, read_at.position);
        holds.then(|| Rev {
            log: confirmed.log,
            position: confirmed.position.max(read_at.position),
        })
    }

    /// The one question for a token that was verified before: alive, by knowledge that is fresh.
    /// `None` when that is too old to tell.
    pub fn check_fresh(&self, tags: &Tags, rev: Rev) -> Option<Result<Rev, BadCredential>> {
        let now_ms = self.clock.monotonic_ms();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.fell_back || !self.lease.holds(known.asked_at_ms, now_ms) {
            return None;
        }
        let alive = known.ended.check(tags, rev);
        Some(
            alive
                .map(|()| known.ended.known())
                .map_err(|_| BadCredential::TokenEnded),
        )
    }

    /// The one question for tokens. The knowledge must be fresh.
    ///
    /// # Errors
    /// [`BadCredential::TokenEnded`].
    pub fn check(&self, tags: &Tags, rev: Rev) -> Result<(), BadCredential> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .ended
            .check(tags, rev)
            .map_err(|_| BadCredential::TokenEnded)
    }

    /// The log, and up to where it is known.
    pub fn known(&self) -> Rev {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .ended
            .known()
    }

    /// Forgets entries up to a position: every token that was minted before them has expired.
    pub fn forget(&self, up_to: Position) {
        self.write(|known| {
            known.ended.forget(up_to);
            known.entries.forget(up_to);
        });
    }

    fn write(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Known {
    fn renew(&mut self, asked_at_ms: i64) {
        self.asked_at_ms = self.asked_at_ms.max(asked_at_ms);
    }
}

/// A connection again, for another statement.
pub(crate) fn reborrow<'a>(conn: &'a mut Conn<'_>) -> Conn<'a> {
    match conn {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(c) => Conn::Sqlite(c),
        #[cfg(feature = "postgres")]
        Conn::Postgres(c) => Conn::Postgres(c),
    }
}
