//! The signing keys of both environments, and the rules by which they come and go.
//!
//! A key is *next* (published, not yet signing), then *active*, then *retired* (published until
//! its last token is over). From each of these it may become *revoked* and is gone at once. No key
//! signs before verifiers that cache our key set had time to see it; only the very first key of an
//! environment does, since nobody has cached anything then. One *next* is always there, so that an
//! emergency has a successor.
//!
//! By which steps a key goes through that life is planned in [`super::rotation`].

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;
use super::jwks::Jwks;
use super::key::{PrivateKey, PublicKey};
use super::verify::{IAT_AHEAD_SECS_MAX, KeySource, LIFETIME_SECS_MAX};
use crate::domain::environment::Environment;
use crate::domain::time::Timestamp;

/// How long a retired key goes on verifying, in seconds: the longest token, and what the clocks of
/// two nodes may differ.
pub const RETIRED_SECS: i64 = LIFETIME_SECS_MAX + IAT_AHEAD_SECS_MAX;

/// Where a signing key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningKeyState {
    /// Published, so that verifiers know it before it signs.
    Next,
    /// Signs, from [`KeyRecord::activated_at`] on.
    Active,
    /// Signs no more; what it signed is good until it expires.
    Retired,
    /// Neither signs nor verifies, and is not published.
    Revoked,
}

/// A text that names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a signing key")]
pub struct UnknownState;

impl SigningKeyState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Next, Self::Active, Self::Retired, Self::Revoked];

    /// As rows and answers spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    /// Reads a state.
    ///
    /// # Errors
    /// [`UnknownState`].
    pub fn parse(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

impl fmt::Display for SigningKeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a signing key beside the key itself. This is all that planning needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its thumbprint.
    pub kid: String,
    /// What it signs with.
    pub alg: Algorithm,
    /// Whose tokens it signs.
    pub env: Environment,
    /// Where it is in its life.
    pub state: SigningKeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is in the key set.
    pub published_at: Timestamp,
    /// From when on it signs; may lie ahead after an emergency.
    pub activated_at: Option<Timestamp>,
    /// From when on it signs no more.
    pub retired_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl KeyRecord {
    /// Whether the last token that it can have signed is over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.retired_at
            .is_none_or(|at| now > at.plus_secs(RETIRED_SECS))
    }

    /// Whether tokens that it signed are accepted.
    pub(super) fn verifies(&self, now: Timestamp) -> bool {
        match self.state {
            SigningKeyState::Active => true,
            SigningKeyState::Retired => !self.is_over(now),
            SigningKeyState::Next | SigningKeyState::Revoked => false,
        }
    }

    /// Whether it is in the key set.
    pub(super) fn is_published(&self, now: Timestamp) -> bool {
        match self.state {
            SigningKeyState::Next | SigningKeyState::Active => true,
            SigningKeyState::Retired => !self.is_over(now),
            SigningKeyState::Revoked => false,
        }
    }
}

/// One signing key.
#[derive(Debug)]
pub struct SigningKey {
    /// What is known of it.
    pub record: KeyRecord,
    /// The half that verifies.
    pub public: PublicKey,
    /// The half that signs. It is thrown away when the key retires.
    pub private: Option<PrivateKey>,
}

/// Why keys make no ring. Each of these means that rows were changed by hand or by a program that
/// does not know the rules; nothing may be signed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// The name is not the thumbprint of the key, or the algorithm is not the key's.
    #[error("the signing key {kid} is not the key that its record describes")]
    WrongKey {
        /// Its name.
        kid: String,
    },
    /// Two keys have one name.
    #[error("the signing key {kid} is there twice")]
    Duplicate {
        /// Its name.
        kid: String,
    },
    /// Two keys want to sign.
    #[error("two signing keys are active in {env}")]
    TwoActive {
        /// Where.
        env: Environment,
    },
    /// The active key cannot sign.
    #[error("the active signing key {kid} has no private half or no time of activation")]
    CannotSign {
        /// Its name.
        kid: String,
    },
}

/// All signing keys at one moment. It never changes; a new one takes its place.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: Vec<SigningKey>,
}

impl KeyRing {
    /// A ring of these keys.
    ///
    /// # Errors
    /// [`KeyRingError`].
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, KeyRingError> {
        let mut names = BTreeSet::new();
        let mut active = BTreeSet::new();
        for key in &keys {
            let record = &key.record;
            let kid = || record.kid.clone();
            if record.kid != key.public.kid() || record.alg != key.public.alg() {
                return Err(KeyRingError::WrongKey { kid: kid() });
            }
            if !names.insert(&record.kid) {
                return Err(KeyRingError::Duplicate { kid: kid() });
            }
            if let Some(private) = &key.private
                && private.public() != &key.public
            {
                return Err(KeyRingError::WrongKey { kid: kid() });
            }
            if record.state != SigningKeyState::Active {
                continue;
            }
            if key.private.is_none() || record.activated_at.is_none() {
                return Err(KeyRingError::CannotSign { kid: kid() });
            }
            if !active.insert(record.env) {
                return Err(KeyRingError::TwoActive { env: record.env });
            }
        }
        Ok(Self { keys })
    }

    /// All keys, in no particular order.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// The key that signs now. None for a while after an emergency that found only a key which
    /// verifiers may not know yet; then nothing is minted.
    pub fn active(&self, env: Environment, now: Timestamp) -> Option<&SigningKey> {
        self.in_env(env).find(|key| {
            key.record.state == SigningKeyState::Active
                && key.record.activated_at.is_some_and(|at| at <= now)
        })
    }

    /// The key that signs documents which are not tokens: the active one, even while it may not sign
    /// tokens yet. Who does not know it can fetch the key set.
    pub fn signs_documents(&self, env: Environment) -> Option<&PrivateKey> {
        self.in_env(env)
            .find(|key| key.record.state == SigningKeyState::Active)
            .and_then(|key| key.private.as_ref())
    }

    /// The names of the keys that were revoked, sorted.
    pub fn revoked(&self, env: Environment) -> Vec<String> {
        let revoked = self
            .in_env(env)
            .filter(|key| key.record.state == SigningKeyState::Revoked);
        let mut kids: Vec<String> = revoked.map(|key| key.record.kid.clone()).collect();
        kids.sort_unstable();
        kids
    }

    /// The key of that name, if tokens that it signed are accepted now.
    pub fn find(&self, env: Environment, kid: &str, now: Timestamp) -> Option<&SigningKey> {
        self.in_env(env)
            .find(|key| key.record.kid == kid)
            .filter(|key| key.record.verifies(now))
    }

    /// What is published: the keys that sign, will sign, or have signed a token that may be alive.
    /// Only algorithms in use are in it, since one Ed25519 key makes some verifiers refuse a whole
    /// set.
    pub fn jwks(&self, env: Environment, now: Timestamp) -> Jwks {
        let published = self.in_env(env).filter(|key| key.record.is_published(now));
        Jwks::new(published.map(|key| key.public.jwk()))
    }

    /// The keys that verify tokens of `env` now.
    pub fn verifying(&self, env: Environment, now: Timestamp) -> Verifying<'_> {
        Verifying {
            ring: self,
            env,
            now,
        }
    }

    fn in_env(&self, env: Environment) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(move |key| key.record.env == env)
    }
}

/// See [`KeyRing::verifying`].
#[derive(Debug, Clone, Copy)]
pub struct Verifying<'r> {
    ring: &'r KeyRing,
    env: Environment,
    now: Timestamp,
}

impl KeySource for Verifying<'_> {
    fn find(&self, kid: &str) -> Option<&PublicKey> {
        let key = self.ring.find(self.env, kid, self.now)?;
        Some(&key.public)
    }
}

#[cfg(test)]
#[path = "tests/keyring.rs"]
mod tests;
