//! The document of the revocation feed (`docs/feed.md`), signed and read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::TokenError;
use super::jws::{parse_compact_up_to, sign_compact};
use super::key::{PrivateKey, SignError};
use super::verify::KeySource;
use crate::domain::feed::{Cursor, Page};
use crate::domain::liveness::{LogId, Position, Tag};
use crate::domain::strict_json;

/// The `typ` of a document. No verifier of tokens accepts it, and none of its members is a claim.
pub const REVOCATIONS_TYP: &str = "hallpass-revocations+jwt";
/// The longest document that is read, in bytes.
pub const DOCUMENT_LEN_MAX: usize = 1024 * 1024;
/// Entries in one document.
pub const ENTRIES_MAX: usize = 16 * 1024;
/// A nonce, in characters.
pub const NONCE_CHARS: std::ops::RangeInclusive<usize> = 16..=64;

/// What one document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocations {
    /// The issuer of the environment.
    pub issuer: String,
    /// The entries, and where they stand.
    pub page: Page,
    /// The signing keys that were revoked.
    pub revoked_keys: Vec<String>,
    /// What the one who asked sent.
    pub nonce: Option<String>,
}

/// Why a document is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Too many bytes.
    #[error("the document is longer than {DOCUMENT_LEN_MAX} bytes")]
    TooLong,
    /// Not a JWS of three parts with exactly our header.
    #[error("the document is not a JWS with exactly alg, kid and typ")]
    Malformed,
    /// Another kind of document.
    #[error("the document is of another type")]
    Type,
    /// The signing key is not in the key set.
    #[error("the document's signing key is not known")]
    UnknownKey,
    /// The signing key was revoked.
    #[error("the document's signing key was revoked")]
    RevokedKey,
    /// The signature is not the key's.
    #[error("the document's signature is not valid")]
    Signature,
    /// A member is missing, unknown, or not of its type.
    #[error("the document's members are not exactly the known ones")]
    Payload,
    /// The records are not in order or not where the document says that they are.
    #[error("the document's entries do not fit")]
    Entries,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Members<'d> {
    issuer: &'d str,
    log: String,
    since: Option<String>,
    entries: String,
    next: String,
    more: bool,
    confirmed: i64,
    floor: i64,
    revoked_keys: &'d [String],
    nonce: Option<&'d str>,
}

impl Revocations {
    /// The payload of the document.
    ///
    /// # Errors
    /// None that is known; `serde_json` reserves one.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let Self {
            issuer,
            page,
            revoked_keys,
            nonce,
        } = self;
        let Page {
            since,
            entries,
            next,
            more,
            confirmed,
            floor,
        } = page;
        let mut records = Vec::with_capacity(entries.len() * 16);
        for (position, tag) in entries {
            records.extend_from_slice(&tag.to_bytes());
            records.extend_from_slice(&position.get().to_be_bytes());
        }
        serde_json::to_vec(&Members {
            issuer,
            log: next.log.encode(),
            since: since.map(Cursor::encode),
            entries: URL_SAFE_NO_PAD.encode(records),
            next: next.encode(),
            more: *more,
            confirmed: confirmed.get(),
            floor: floor.get(),
            revoked_keys,
            nonce: nonce.as_deref(),
        })
    }

    fn parse(payload: &[u8]) -> Result<Self, DocumentError> {
        let payload = strict_json::parse(payload, 2).map_err(|_| DocumentError::Payload)?;
        let Value::Object(mut members) = payload else {
            return Err(DocumentError::Payload);
        };
        let document = read(&mut members).ok_or(DocumentError::Payload)?;
        if !members.is_empty() {
            return Err(DocumentError::Payload);
        }
        let Document {
            log,
            entries,
            revocations,
        } = document;
        let page = Page {
            entries: records(&entries).ok_or(DocumentError::Payload)?,
            ..revocations.page
        };
        if !fits(log, &page) {
            return Err(DocumentError::Entries);
        }
        Ok(Self {
            page,
            ..revocations
        })
    }
}

struct Document {
    log: LogId,
    entries: String,
    revocations: Revocations,
}

fn read(members: &mut Map<String, Value>) -> Option<Document> {
    let mut take = |name: &str| members.remove(name);
    let issuer = text(take("issuer")?)?;
    let log = LogId::decode(&text(take("log")?)?).ok()?;
    let since = match nullable_text(take("since")?)? {
        None => None,
        Some(since) => Some(Cursor::decode(&since).ok()?),
    };
    let entries = text(take("entries")?)?;
    let next = Cursor::decode(&text(take("next")?)?).ok()?;
    let more = take("more")?.as_bool()?;
    let confirmed = position(&take("confirmed")?)?;
    let floor = position(&take("floor")?)?;
    let revoked_keys = match take("revokedKeys")? {
        Value::Array(kids) => kids.into_iter().map(text).collect::<Option<_>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            return None;
        }
    };
    let nonce = nullable_text(take("nonce")?)?;
    let page = Page {
        since,
        entries: Vec::new(),
        next,
        more,
        confirmed,
        floor,
    };
    let revocations = Revocations {
        issuer,
        page,
        revoked_keys,
        nonce,
    };
    Some(Document {
        log,
        entries,
        revocations,
    })
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// `Some(None)` for `null`.
#[expect(
    clippy::option_option,
    reason = "a text, none, and neither are three answers"
)]
fn nullable_text(value: Value) -> Option<Option<String>> {
    if value.is_null() {
        Some(None)
    } else {
        text(value).map(Some)
    }
}

fn position(value: &Value) -> Option<Position> {
    value.as_i64().filter(|at| *at >= 0).map(Position::new)
}

fn records(entries: &str) -> Option<Vec<(Position, Tag)>> {
    let bytes = URL_SAFE_NO_PAD.decode(entries).ok()?;
    let (records, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() || records.len() > ENTRIES_MAX {
        return None;
    }
    let record = |record: &[u8; 16]| {
        let (tag, position) = record.split_first_chunk::<8>()?;
        let position = i64::from_be_bytes(position.try_into().ok()?);
        (position >= 0).then(|| (Position::new(position), Tag::from_bytes(*tag)))
    };
    records.iter().map(record).collect()
}

/// Whether the parts of a document agree with each other.
fn fits(log: LogId, page: &Page) -> bool {
    let Page {
        since,
        entries,
        next,
        more,
        confirmed,
        floor: _,
    } = page;
    let of_this_log = next.log == log && since.is_none_or(|since| since.log == log);
    let behind = match (since, entries.first()) {
        (Some(since), Some(first)) => since.is_before(*first),
        (None, _) | (_, None) => true,
    };
    let in_order = entries.is_sorted_by(|one, other| one < other);
    let last = entries.last().copied();
    let ends = match (more, last) {
        (true, None) => false,
        (true, Some((position, tag))) => {
            next.position == position && next.tag == Some(tag) && *confirmed == position
        }
        (false, last) => {
            next.position == *confirmed
                && next.tag.is_none()
                && last.is_none_or(|(position, _)| position <= *confirmed)
        }
    };
    of_this_log && behind && in_order && ends
}

/// Signs a document whose payload is [`Revocations::to_json`].
///
/// # Errors
/// [`SignError`].
pub fn sign_revocations(payload: &[u8], key: &PrivateKey) -> Result<String, SignError> {
    sign_compact(REVOCATIONS_TYP, payload, key)
}

/// Reads a document: its signature by one of `keys` that `is_revoked` does not name, and that its
/// parts agree. Whether it answers the question that was asked, and goes on from what was known, is
/// for whoever asked.
///
/// # Errors
/// [`DocumentError`], the first check that failed.
pub fn read_revocations(
    document: &str,
    keys: &dyn KeySource,
    is_revoked: &dyn Fn(&str) -> bool,
) -> Result<Revocations, DocumentError> {
    let parsed = parse_compact_up_to(document, DOCUMENT_LEN_MAX).map_err(|error| {
        if error == TokenError::TooLong {
            DocumentError::TooLong
        } else {
            DocumentError::Malformed
        }
    })?;
    if parsed.typ() != REVOCATIONS_TYP {
        return Err(DocumentError::Type);
    }
    let kid = parsed.kid().to_owned();
    if is_revoked(&kid) {
        return Err(DocumentError::RevokedKey);
    }
    let key = keys.find(&kid).ok_or(DocumentError::UnknownKey)?;
    let payload = parsed.verify(key).map_err(|_| DocumentError::Signature)?;
    let revocations = Revocations::parse(&payload)?;
    // Nobody says that of the key with which it is said.
    if revocations.revoked_keys.contains(&kid) {
        return Err(DocumentError::RevokedKey);
    }
    Ok(revocations)
}

/// Whether a text can be a nonce: 16 to 64 characters of base64url.
pub fn is_nonce(text: &str) -> bool {
    NONCE_CHARS.contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
#[path = "tests/revocations.rs"]
mod tests;
