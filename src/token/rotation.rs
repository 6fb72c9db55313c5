//! When signing keys come and go.
//!
//! The plans are pure: they say what has to be done with rows that somebody read under a lock, and
//! that somebody does it in the same transaction.

use super::algorithm::Algorithm;
use super::keyring::{KeyRecord, SigningKeyState};
use crate::domain::environment::Environment;
use crate::domain::time::Timestamp;

/// What is added to the lead time, in seconds: other nodes publish a new key a little later than
/// the one that made it.
pub const PUBLISH_MARGIN_SECS: i64 = 5;

/// How keys are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationPolicy {
    alg: Algorithm,
    lead_secs: i64,
    period_secs: Option<i64>,
    any_next: bool,
}

impl RotationPolicy {
    /// After how many seconds the active key is replaced; `None` by command only.
    pub const fn period_secs(&self) -> Option<i64> {
        self.period_secs
    }

    /// When a key is replaced that signs since then; `None` when there is no schedule.
    pub fn rotates_at(&self, activated_at: Timestamp) -> Option<Timestamp> {
        self.period_secs.map(|secs| activated_at.plus_secs(secs))
    }

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
            any_next: false,
        }
    }

    /// The same, but a next key of another algorithm may stay: somebody asked for it by command.
    pub fn with_any_next(self) -> Self {
        Self {
            any_next: true,
            ..self
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
    let due = stock
        .active
        .is_some_and(|active| match active.activated_at {
            Some(at) => policy.rotates_at(at).is_some_and(|at| at <= now),
            None => policy.period_secs.is_some(),
        });
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

/// Until when nothing would be signed in `env` if the key `kid` were ended at once: the key that then
/// takes its place signs only when verifiers know it. `None` where one signs meanwhile.
///
/// # Errors
/// [`RotationError::UnknownKey`], [`RotationError::AlreadyRevoked`].
pub fn gap_of_revocation(
    keys: &[KeyRecord],
    env: Environment,
    kid: &str,
    now: Timestamp,
    policy: &RotationPolicy,
) -> Result<Option<Timestamp>, RotationError> {
    let steps = plan_revocation(keys, env, kid, now, policy)?;
    let activated = steps.iter().find_map(|step| match step {
        Step::Activate { at, .. } => Some(*at),
        Step::CreateActive { .. } => Some(now),
        Step::CreateNext { .. }
        | Step::Retire { .. }
        | Step::Revoke { .. }
        | Step::Delete { .. } => None,
    });
    let stays = || {
        let mut active = keys
            .iter()
            .filter(|key| key.env == env && key.kid != kid && key.state == SigningKeyState::Active);
        active.next().map(|key| key.activated_at.unwrap_or(now))
    };
    // With neither, the key that is made now follows as soon as it may.
    let signs_at = activated.or_else(stays).unwrap_or(policy.ready_at(now));
    Ok(Some(signs_at).filter(|at| *at > now))
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
/// change the algorithm, so one of another algorithm is replaced, unless the policy lets it stay; in
/// an emergency it is taken.
fn choose_next<'k>(
    candidates: impl Iterator<Item = &'k KeyRecord>,
    active: Option<&KeyRecord>,
    policy: &RotationPolicy,
) -> Option<&'k KeyRecord> {
    candidates
        .filter(|key| active.is_none() || policy.any_next || key.alg == policy.alg)
        .min_by_key(|key| (key.published_at, &key.kid))
}

#[cfg(test)]
#[path = "tests/rotation.rs"]
mod tests;
