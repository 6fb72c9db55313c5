//! The token for the API behind the gate. It needs no row: it says what the answer beside it says,
//! for seconds, and nobody can do anything with it here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::UpstreamToken;
use crate::app::App;
use crate::app::authorise::{Caller, Facts, Who};
use crate::app::error::{BadCredential, Error};
use crate::domain::gate::Identity;
use crate::domain::id::{KeyId, SessionId};
use crate::domain::time::Timestamp;
use crate::token::claims::Actor;
use crate::token::jws::sign_compact;
use crate::token::upstream::{UPSTREAM_TYP, UpstreamClaims};

/// Tokens that are remembered at most; then all are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Tokens that were made a moment ago, by the identity that they tell. Whether the request may pass
/// was decided before one is looked for.
#[derive(Debug, Default)]
pub struct UpstreamTokens(Mutex<HashMap<String, Remembered>>);

#[derive(Debug, Clone)]
struct Remembered {
    token: Arc<str>,
    /// From when on another one is made.
    fresh_until: Timestamp,
    expires_at: Timestamp,
    /// The key that signed it.
    kid: String,
}

impl UpstreamTokens {
    fn find(
        &self,
        identity: &str,
        kid: &str,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Arc<str>> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tokens.get(identity)?;
        let outlives = ends_at.is_some_and(|end| found.expires_at > end);
        let usable = now < found.fresh_until && !outlives && found.kid == kid;
        usable.then(|| Arc::clone(&found.token))
    }

    fn remember(&self, identity: String, remembered: Remembered) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= REMEMBERED_MAX {
            tokens.clear();
        }
        tokens.insert(identity, remembered);
    }
}

impl App {
    /// A token that says who the caller is. One that was made for the same identity within the first
    /// half of its life is given again.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no key may sign; [`Error::Unauthenticated`] in the last moments of a
    /// credential, for which no token could be good.
    pub(super) fn upstream_token(
        &self,
        wanted: &UpstreamToken,
        caller: &Caller,
        identity: &Identity<'_>,
        facts: &Facts,
    ) -> Result<Arc<str>, Error> {
        let now = self.now();
        let ends_at = caller.effective.expires_at.map(Timestamp::floor_to_secs);
        let ring = self.signing.ring();
        let signer = ring
            .active(identity.environment, now)
            .and_then(|key| key.private.as_ref())
            .ok_or_else(|| Error::Unavailable("no signing key may sign at this moment".into()))?;
        let kid = signer.public().kid();
        let name = identity.to_dictionary();
        if let Some(token) = self.upstream.find(&name, kid, ends_at, now) {
            return Ok(token);
        }
        let issued_at = now.floor_to_secs();
        let longest = issued_at.plus_secs(wanted.duration_secs);
        let expires_at = ends_at.map_or(longest, |end| longest.min(end));
        if expires_at <= now {
            // What is left of the credential is less than the second in which a token would end.
            return Err(match &caller.who {
                Who::Session(_) => BadCredential::TokenEnded,
                Who::Key(_) | Who::Cli(_) => BadCredential::KeyExpired,
            }
            .into());
        }
        let act = match &caller.who {
            Who::Session(session) => session.claims.act.clone(),
            Who::Key(_) | Who::Cli(_) => Actor::chain(caller.effective.grantors.iter()),
        };
        let claims = UpstreamClaims {
            iss: &self.issuer(identity.environment),
            sub: identity.account.as_str(),
            aud: &wanted.audience,
            iat: issued_at.secs_floor(),
            nbf: issued_at.secs_floor(),
            exp: expires_at.secs_floor(),
            jti: facts.request.as_str(),
            client_id: identity.key.map(KeyId::as_str),
            sid: identity.session.map(SessionId::as_str),
            act: act.as_ref(),
            scope: identity.scope,
        };
        let payload = claims
            .to_json()
            .map_err(|error| Error::Internal(error.into()))?;
        let token: Arc<str> = sign_compact(UPSTREAM_TYP, &payload, signer)
            .map_err(|error| Error::Internal(error.into()))?
            .into();
        self.upstream.remember(
            name,
            Remembered {
                token: Arc::clone(&token),
                fresh_until: issued_at
                    .plus_millis(wanted.duration_secs * 1000 / 2)
                    .min(expires_at),
                expires_at,
                kid: kid.to_owned(),
            },
        );
        Ok(token)
    }
}
