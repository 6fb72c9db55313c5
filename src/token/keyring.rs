//! The signing keys of both environments, and the rules by which they come and go.
//!
//! A key is *next* (published, not yet signing), then *active*, then *retired* (published until
//! its last token is over). From each of these it may become *revoked* and is gone at once. No key
//! signs before verifiers that cache our key set had time to see it; only the very first key of an
//! environment does, since nobody has cached anything then. One *next* is always there, so that an
//! emergency has a successor.
//!
//! The plans are pure: they say what has to be done with rows that somebody read under a lock, and
//! that somebody does it in the same transaction.

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
/// What is added to the lead time, in seconds: other nodes publish a new key a little later than
/// the one that made it.
pub const PUBLISH_MARGIN_SECS: i64 = 5;

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
    fn is_over(&self, now: Timestamp) -> bool {
        self.retired_at
            .is_none_or(|at| now > at.plus_secs(RETIRED_SECS))
    }

    /// Whether tokens that it signed are accepted.
    fn verifies(&self, now: Timestamp) -> bool {
        match self.state {
            SigningKeyState::Active => true,
            SigningKeyState::Retired => !self.is_over(now),
            SigningKeyState::Next | SigningKeyState::Revoked => false,
        }
    }

    /// Whether it is in the key set.
    fn is_published(&self, now: Timestamp) -> bool {
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

/// How keys are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationPolicy {
    alg: Algorithm,
    lead_secs: i64,
    period_secs: Option<i64>,
}

impl RotationPolicy {
    /// New keys sign with `alg`; a key is published for `lead_secs` before it signs, and never
    /// for less than `jwks_max_age_secs`, for which verifiers may keep our key set; the active key
    /// is replaced after `period_secs`, or by command only.
    pub fn new(
        alg: Algorithm,
        lead_secs: i64,
        jwks_max_age_secs: i64,
        period_secs: Option<i64>,
    ) -> Self {
        let lead_secs = lead_secs.max(jwks_max_age_secs).max(0);
        Self {
            alg,
            lead_secs: lead_secs.saturating_add(PUBLISH_MARGIN_SECS),
            period_secs,
        }
    }

    /// The algorithm of new keys.
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    /// When a key that was published then may sign.
    pub fn ready_at(&self, published_at: Timestamp) -> Timestamp {
        published_at.plus_secs(self.lead_secs)
    }
}

/// One thing to do with the stored keys of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a key that signs at once. Only where there has never been one.
    CreateActive {
        /// With what.
        alg: Algorithm,
    },
    /// Make a key and publish it.
    CreateNext {
        /// With what.
        alg: Algorithm,
    },
    /// Make the *next* key *active*.
    Activate {
        /// Which.
        kid: String,
        /// From when on it signs; ahead of now when verifiers may not know it yet.
        at: Timestamp,
    },
    /// Make the *active* key *retired*, and erase its private half.
    Retire {
        /// Which.
        kid: String,
    },
    /// Make the key *revoked*, and erase its private half.
    Revoke {
        /// Which.
        kid: String,
    },
    /// Delete a key that nothing depends on: its last token is over, or it has never signed.
    Delete {
        /// Which.
        kid: String,
    },
}

/// Why a rotation or a revocation is not planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The next key has not been published for long enough.
    #[error("the next signing key may not sign yet")]
    NextTooYoung {
        /// When it may.
        ready_at: Timestamp,
    },
    /// There is no such key in this environment.
    #[error("there is no such signing key")]
    UnknownKey,
    /// The key is revoked already.
    #[error("the signing key is revoked already")]
    AlreadyRevoked,
}

/// What there is to do in `env` now: at start and then by a timer, often. Answers nothing when all
/// is well, so that it may be asked as often as one likes.
pub fn plan_upkeep(
    keys: &[KeyRecord],
    env: Environment,
    now: Timestamp,
    policy: &RotationPolicy,
) -> Vec<Step> {
    let stock = Stock::take(keys, env, now, policy);
    let due = match (stock.active, policy.period_secs) {
        (Some(active), Some(period_secs)) => active
            .activated_at
            .is_none_or(|at| at.plus_secs(period_secs) <= now),
        (Some(_) | None, None) | (None, Some(_)) => false,
    };
    match stock.next {
        Some(next) if due && policy.ready_at(next.published_at) <= now => {
            stock.rotate(next, now, policy)
        }
        Some(_) | None => stock.complete(now, policy),
    }
}

/// What there is to do in `env` to replace the active key now, by command.
///
/// # Errors
/// [`RotationError::NextTooYoung`] when verifiers may not know the next key yet.
pub fn plan_rotation(
    keys: &[KeyRecord],
    env: Environment,
    now: Timestamp,
    policy: &RotationPolicy,
) -> Result<Vec<Step>, RotationError> {
    let stock = Stock::take(keys, env, now, policy);
    match (stock.active, stock.next) {
        (Some(_), Some(next)) => {
            let ready_at = policy.ready_at(next.published_at);
            if ready_at <= now {
                Ok(stock.rotate(next, now, policy))
            } else {
                Err(RotationError::NextTooYoung { ready_at })
            }
        }
        (Some(_), None) => Err(RotationError::NextTooYoung {
            ready_at: policy.ready_at(now),
        }),
        // There is nothing to be replaced; what is missing is made good.
        (None, Some(_) | None) => Ok(stock.complete(now, policy)),
    }
}

/// What there is to do in `env` to end the key `kid` at once. The *next* key takes the place of an
/// active one: now, or as soon as verifiers know it.
///
/// # Errors
/// [`RotationError::UnknownKey`], [`RotationError::AlreadyRevoked`].
pub fn plan_revocation(
    keys: &[KeyRecord],
    env: Environment,
    kid: &str,
    now: Timestamp,
    policy: &RotationPolicy,
) -> Result<Vec<Step>, RotationError> {
    let target = keys
        .iter()
        .find(|key| key.env == env && key.kid == kid)
        .ok_or(RotationError::UnknownKey)?;
    if target.state == SigningKeyState::Revoked {
        return Err(RotationError::AlreadyRevoked);
    }
    let mut after = keys.to_vec();
    for key in &mut after {
        if key.env == env && key.kid == kid {
            key.state = SigningKeyState::Revoked;
        }
    }
    let mut steps = vec![Step::Revoke {
        kid: kid.to_owned(),
    }];
    steps.extend(Stock::take(&after, env, now, policy).complete(now, policy));
    Ok(steps)
}

/// The keys of one environment, sorted by what is to become of them.
struct Stock<'k> {
    untouched: bool,
    active: Option<&'k KeyRecord>,
    next: Option<&'k KeyRecord>,
    useless: Vec<&'k str>,
}

impl<'k> Stock<'k> {
    fn take(
        keys: &'k [KeyRecord],
        env: Environment,
        now: Timestamp,
        policy: &RotationPolicy,
    ) -> Self {
        let keys: Vec<_> = keys.iter().filter(|key| key.env == env).collect();
        let of_state = |state| keys.iter().copied().filter(move |key| key.state == state);
        let active = of_state(SigningKeyState::Active).next();
        let next = choose_next(of_state(SigningKeyState::Next), active, policy);
        let surplus = of_state(SigningKeyState::Next)
            .filter(|key| next.is_none_or(|next| next.kid != key.kid));
        let over = of_state(SigningKeyState::Retired).filter(|key| key.is_over(now));
        Self {
            untouched: keys.is_empty(),
            active,
            next,
            useless: over.chain(surplus).map(|key| key.kid.as_str()).collect(),
        }
    }

    fn sweep(&self) -> Vec<Step> {
        let delete = |kid: &&str| Step::Delete {
            kid: (*kid).to_owned(),
        };
        self.useless.iter().map(delete).collect()
    }

    /// The next key takes the active one's place, and a new next one is made.
    fn rotate(&self, next: &KeyRecord, now: Timestamp, policy: &RotationPolicy) -> Vec<Step> {
        let mut steps = self.sweep();
        if let Some(active) = self.active {
            steps.push(Step::Retire {
                kid: active.kid.clone(),
            });
        }
        steps.push(Step::Activate {
            kid: next.kid.clone(),
            at: now.max(policy.ready_at(next.published_at)),
        });
        steps.push(Step::CreateNext { alg: policy.alg });
        steps
    }

    /// Whatever is missing is made.
    fn complete(&self, now: Timestamp, policy: &RotationPolicy) -> Vec<Step> {
        let alg = policy.alg;
        match (self.active, self.next) {
            (Some(_), Some(_)) => self.sweep(),
            (None, Some(next)) => self.rotate(next, now, policy),
            (None, None) if self.untouched => {
                vec![Step::CreateActive { alg }, Step::CreateNext { alg }]
            }
            // Without an active key, the one that is made here becomes it at the next upkeep.
            (Some(_) | None, None) => {
                let mut steps = self.sweep();
                steps.push(Step::CreateNext { alg });
                steps
            }
        }
    }
}

/// The *next* key that has been published for longest. While another key signs there is time to
/// change the algorithm, so one of another algorithm is replaced; in an emergency it is taken.
fn choose_next<'k>(
    candidates: impl Iterator<Item = &'k KeyRecord>,
    active: Option<&KeyRecord>,
    policy: &RotationPolicy,
) -> Option<&'k KeyRecord> {
    candidates
        .filter(|key| active.is_none() || key.alg == policy.alg)
        .min_by_key(|key| (key.published_at, &key.kid))
}

#[cfg(test)]
#[path = "tests/keyring.rs"]
mod tests;
