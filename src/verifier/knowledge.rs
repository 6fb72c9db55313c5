//! What a verifier knows of the change log. Pure: documents and instants come as arguments.

use std::collections::BTreeSet;

use super::fetch::AnswerError;
use crate::domain::feed::{Cursor, Page};
use crate::domain::liveness::{Dead, EndedTags, LogId, Position, Rev, Tags};
use crate::token::{DocumentError, Revocations};

/// Why a document of the feed was not taken in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FeedError {
    /// The issuer gave no answer that can be used.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The answer is no JSON object with a document.
    #[error("the answer is no document of the feed")]
    Malformed,
    /// The document cannot be believed, or not be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A document of another issuer.
    #[error("the document is of another issuer")]
    Issuer,
    /// A document that was made for another question, or before this one was asked.
    #[error("the document answers another request")]
    Nonce,
    /// A document that does not begin where the last one ended.
    #[error("the document does not go on where the last one ended")]
    Gap,
    /// Another log, and not in answer to a nonce.
    #[error("the document is of another log, and may be an old one")]
    Log,
    /// A position below one that was confirmed.
    #[error("the document's position lies below one that was confirmed before")]
    Position,
    /// There are no keys to check the document with.
    #[error("there are no keys to check the document with")]
    Keys,
    /// No random bytes for a nonce.
    #[error(transparent)]
    Entropy(#[from] crate::entropy::NoEntropy),
}

impl FeedError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Answer(AnswerError::Unreachable(_)) => "feed_unreachable",
            Self::Answer(AnswerError::Status { .. }) => "feed_status",
            Self::Answer(AnswerError::TooLong) | Self::Document(DocumentError::TooLong) => {
                "feed_too_long"
            }
            Self::Malformed | Self::Document(DocumentError::Malformed) => "feed_malformed",
            Self::Document(DocumentError::Type) => "feed_type",
            Self::Document(DocumentError::UnknownKey) => "feed_key_unknown",
            Self::Document(DocumentError::RevokedKey) => "feed_key_revoked",
            Self::Document(DocumentError::Signature) => "feed_signature",
            Self::Document(DocumentError::Payload) => "feed_payload",
            Self::Document(DocumentError::Entries) => "feed_entries",
            Self::Issuer => "feed_issuer",
            Self::Nonce => "feed_nonce",
            Self::Gap => "feed_gap",
            Self::Log => "feed_log",
            Self::Position => "feed_position",
            Self::Keys => "feed_keys",
            Self::Entropy(_) => "feed_entropy",
        }
    }
}

/// Why a token that is genuine is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAlive {
    /// It was ended, or may have been.
    #[error("the session was ended")]
    Dead(Dead),
    /// Its signing key was revoked.
    #[error("the token's signing key was revoked")]
    RevokedKey,
    /// Whether it was ended is not known: the feed was not heard of for longer than the bound.
    #[error("it is not known whether the session was ended")]
    Unknown,
    /// The log fell back behind a position that was confirmed: an old database was put back. Nothing
    /// is accepted until the log has another id.
    #[error("the change log of the issuer fell back")]
    FellBack,
}

/// What was asked of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) since: Option<Cursor>,
    pub(super) nonce: Option<String>,
    pub(super) sent_at_ms: i64,
}

/// What came of a document that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// There is more to ask for at once.
    pub(super) more: bool,
    /// Whether it brought entries.
    pub(super) news: bool,
}

/// Entries, and how far and how lately they are known.
#[derive(Debug)]
pub(super) struct Knowledge {
    issuer: String,
    ended: Option<EndedTags>,
    cursor: Option<Cursor>,
    revoked_keys: BTreeSet<String>,
    /// When the question was sent whose answer confirmed that everything was known.
    confirmed_at_ms: Option<i64>,
    fell_back: bool,
    /// The floor at which entries were last dropped.
    compacted_at: Position,
}

/// For the status page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    pub(super) known: Option<Rev>,
    pub(super) entries: usize,
    pub(super) revoked_keys: usize,
    pub(super) confirmed_at_ms: Option<i64>,
    pub(super) fell_back: bool,
}

impl Knowledge {
    pub(super) fn new(issuer: String) -> Self {
        Self {
            issuer,
            ended: None,
            cursor: None,
            revoked_keys: BTreeSet::new(),
            confirmed_at_ms: None,
            fell_back: false,
            compacted_at: Position::new(0),
        }
    }

    /// Where the next question begins.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    pub(super) fn is_revoked(&self, kid: &str) -> bool {
        self.revoked_keys.contains(kid)
    }

    /// Takes in a document that was read and whose signature is right. Nothing is ever taken back.
    pub(super) fn take(
        &mut self,
        question: &Question,
        document: Revocations,
    ) -> Result<Taken, FeedError> {
        let Revocations {
            issuer,
            page,
            revoked_keys,
            nonce,
        } = document;
        if issuer != self.issuer {
            return Err(FeedError::Issuer);
        }
        if nonce != question.nonce {
            return Err(FeedError::Nonce);
        }
        let fresh = nonce.is_some();
        let log = page.next.log;
        let anew = page.since.is_none() && question.since.is_some_and(|since| since.log != log);
        if page.since != question.since && !anew {
            return Err(FeedError::Gap);
        }
        self.follow(log, fresh)?;
        self.take_page(&page, fresh, question.sent_at_ms)?;
        self.revoked_keys.extend(revoked_keys);
        Ok(Taken {
            more: page.more,
            news: !page.entries.is_empty(),
        })
    }

    /// Goes over to another log, if this is one. Only a document that cannot be an old one may say
    /// so.
    fn follow(&mut self, log: LogId, fresh: bool) -> Result<(), FeedError> {
        match &self.ended {
            Some(ended) if ended.known().log == log => return Ok(()),
            Some(_) if !fresh => return Err(FeedError::Log),
            Some(_) | None => {}
        }
        self.ended = Some(EndedTags::new(log, Position::new(0)));
        self.cursor = None;
        self.confirmed_at_ms = None;
        self.fell_back = false;
        self.compacted_at = Position::new(0);
        Ok(())
    }

    fn take_page(&mut self, page: &Page, fresh: bool, sent_at_ms: i64) -> Result<(), FeedError> {
        let Some(ended) = &mut self.ended else {
            return Err(FeedError::Log);
        };
        if !page.more && page.confirmed < ended.known().position {
            self.fell_back |= fresh;
            return Err(FeedError::Position);
        }
        for (position, tag) in &page.entries {
            ended.end(*tag, *position);
        }
        ended.raise_floor(page.floor);
        self.cursor = Some(page.next);
        if !page.more {
            ended.confirm(page.confirmed);
            if fresh && !self.fell_back {
                self.confirmed_at_ms = self.confirmed_at_ms.max(Some(sent_at_ms));
            }
        }
        Ok(())
    }

    /// Drops entries that decide nothing any more. Worth a walk over all of them now and then.
    pub(super) fn compact(&mut self) {
        if let Some(ended) = &mut self.ended
            && ended.floor() > self.compacted_at
        {
            self.compacted_at = ended.floor();
            ended.compact();
        }
    }

    /// Whether a token is alive. What is dead by what is known is dead, however old that is; what
    /// is not is alive only if that is fresh.
    pub(super) fn check(
        &self,
        kid: &str,
        tags: &Tags,
        rev: Rev,
        now_ms: i64,
        bound_ms: i64,
    ) -> Result<(), NotAlive> {
        if self.is_revoked(kid) {
            return Err(NotAlive::RevokedKey);
        }
        if self.fell_back {
            return Err(NotAlive::FellBack);
        }
        let Some(ended) = &self.ended else {
            return Err(NotAlive::Unknown);
        };
        match ended.check(tags, rev) {
            Ok(()) if self.is_fresh(now_ms, bound_ms) => Ok(()),
            Ok(()) => Err(NotAlive::Unknown),
            // A log that is not known for certain yet says nothing about another one.
            Err(Dead::OtherLog) if !self.is_fresh(now_ms, bound_ms) => Err(NotAlive::Unknown),
            Err(dead) => Err(NotAlive::Dead(dead)),
        }
    }

    pub(super) fn is_fresh(&self, now_ms: i64, bound_ms: i64) -> bool {
        !self.fell_back
            && self
                .confirmed_at_ms
                .is_some_and(|at_ms| now_ms - at_ms <= bound_ms)
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            known: self.ended.as_ref().map(EndedTags::known),
            entries: self.ended.as_ref().map_or(0, EndedTags::len),
            revoked_keys: self.revoked_keys.len(),
            confirmed_at_ms: self.confirmed_at_ms,
            fell_back: self.fell_back,
        }
    }
}
