//! Key sets: ours as it is published, and those of others as we read them (RFC 7517 §5).

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use super::jwk::{Jwk, JwkError};
use super::key::PublicKey;
use super::verify::KeySource;
use crate::domain::strict_json::{self, StrictJsonError};

/// The longest key set that is read, in bytes.
pub const JWKS_LEN_MAX: usize = 64 * 1024;
/// How many keys a set that is read may have.
pub const JWKS_KEYS_MAX: usize = 100;
/// How deep a key in such a set may be nested; ours are flat, `oth` and `key_ops` are not.
const JWK_DEPTH_MAX: usize = 4;
const KID_LEN_MAX: usize = 128;

/// The public keys of one environment, as everybody may fetch them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

/// A key set in the bytes that are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksDocument {
    /// JSON: members in the order of the alphabet, keys in the order of their `kid`, no spaces.
    pub body: Vec<u8>,
    /// A strong entity tag with its quotes: equal if and only if the body is.
    pub etag: String,
}

impl Jwks {
    /// A set of these keys. The order in which they come does not matter.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k Jwk>) -> Self {
        let by_kid: BTreeMap<&str, &Jwk> = keys.into_iter().map(|key| (key.kid(), key)).collect();
        Self {
            keys: by_kid.into_values().cloned().collect(),
        }
    }

    /// The keys, in the order of their `kid`.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The document with its entity tag.
    ///
    /// # Errors
    /// None that is known; `serde_json` reserves one.
    pub fn render(&self) -> Result<JwksDocument, serde_json::Error> {
        let body = serde_json::to_vec(self)?;
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, &body)));
        Ok(JwksDocument { body, etag })
    }
}

/// The usable keys of somebody's key set.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: BTreeMap<String, PublicKey>,
    skipped: Vec<Skipped>,
}

/// A key set that is not read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Too many bytes.
    #[error("the key set is longer than {JWKS_LEN_MAX} bytes")]
    TooLong,
    /// Too many keys.
    #[error("the key set has more than {JWKS_KEYS_MAX} keys")]
    TooManyKeys,
    /// Not a JSON object with an array `keys`.
    #[error("the key set is not an object with an array of keys")]
    Json(#[source] StrictJsonError),
}

/// A key that is left out, since it cannot be used here. A set may well have some: keys for
/// encryption, of algorithms to come, or broken ones that must not spoil the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why a key of a set is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// It has a repeated member or is nested too deeply.
    #[error("not a JSON object with one reading")]
    Json(#[source] StrictJsonError),
    /// It has no `kid`, or one that is no text of 1 to 128 bytes.
    #[error("the kid is missing or not a short text")]
    Kid,
    /// Another usable key has the same `kid`, so that it is not clear which one is meant. Both are
    /// left out.
    #[error("another key has the same kid")]
    DuplicateKid,
    /// It is not a sound public key of one of our algorithms.
    #[error(transparent)]
    Key(#[from] JwkError),
}

impl KeySet {
    /// Reads a key set, each key on its own.
    ///
    /// # Errors
    /// [`KeySetError`]; a set without a usable key is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > JWKS_LEN_MAX {
            return Err(KeySetError::TooLong);
        }
        let elements =
            strict_json::parse_each(bytes, "keys", JWK_DEPTH_MAX).map_err(KeySetError::Json)?;
        if elements.len() > JWKS_KEYS_MAX {
            return Err(KeySetError::TooManyKeys);
        }
        let mut usable = Vec::new();
        let mut skipped = Vec::new();
        for (index, element) in elements.into_iter().enumerate() {
            match read_key(element) {
                Ok((kid, key)) => usable.push((index, kid, key)),
                Err(reason) => skipped.push(Skipped { index, reason }),
            }
        }
        let repeated = repeated_kids(usable.iter().map(|(_, kid, _)| kid.as_str()));
        let mut keys = BTreeMap::new();
        for (index, kid, key) in usable {
            if repeated.contains(&kid) {
                let reason = SkipReason::DuplicateKid;
                skipped.push(Skipped { index, reason });
            } else {
                keys.insert(kid, key);
            }
        }
        skipped.sort_by_key(|skipped| skipped.index);
        Ok(Self { keys, skipped })
    }

    /// How many usable keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no usable key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The usable keys with their names in the set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        self.keys.iter().map(|(kid, key)| (kid.as_str(), key))
    }

    /// Whether both have the same keys under the same names.
    pub fn same_keys(&self, other: &Self) -> bool {
        self.keys == other.keys
    }

    /// What was left out, in the order of the set.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

impl KeySource for KeySet {
    fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.get(kid)
    }
}

fn read_key(element: Result<Value, StrictJsonError>) -> Result<(String, PublicKey), SkipReason> {
    let jwk = element.map_err(SkipReason::Json)?;
    let key = PublicKey::from_jwk(&jwk)?;
    let kid = jwk.get("kid").and_then(Value::as_str);
    match kid {
        Some(kid) if (1..=KID_LEN_MAX).contains(&kid.len()) => Ok((kid.to_owned(), key)),
        Some(_) | None => Err(SkipReason::Kid),
    }
}

fn repeated_kids<'k>(kids: impl Iterator<Item = &'k str>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    kids.filter(|kid| !seen.insert(*kid))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
#[path = "tests/jwks.rs"]
mod tests;
