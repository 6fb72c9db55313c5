//! Renewal and exchange: a new token of the same family, never wider than its source.

use std::sync::Arc;

use serde::Deserialize;

use super::mint::{CHILD_PROFILE, profile_terms, refused};
use super::{
    App, BadCredential, Caller, Draft, Error, Forbidden, SessionCreated, capped, key_caller,
    session_caller,
};
use crate::app::authorise::Presented;
use crate::app::idempotency::Once;
use crate::domain::account::AccountChain;
use crate::domain::api_key::KeyChain;
use crate::domain::effective::Effective;
use crate::domain::grant::{ProfileTerms, Wanted, grant};
use crate::domain::rate::Turn;
use crate::domain::run_as::act_as;
use crate::domain::session::{Origin, Session};
use crate::domain::time::Timestamp;
use crate::store::{accounts, sessions};

/// What a session wants of its renewal.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct Renewal {
    pub duration_in_seconds: Option<i64>,
}

/// What a session is exchanged for (RFC 8693).
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The token that is exchanged.
    pub subject_token: String,
    /// What is wanted of the new one; what is left out is as in the source.
    pub wanted: Wanted,
}

/// A stored session with the key that minted it and the account for which it speaks, all alive.
struct Source {
    session: Session,
    key: KeyChain,
    subject: Arc<AccountChain>,
    effective: Effective,
}

impl App {
    /// Renews the caller's own session. Everything is judged anew, and what its key has lost
    /// meanwhile is cut.
    ///
    /// # Errors
    /// [`Forbidden::NotRenewable`], [`BadCredential`] when its key no longer works.
    pub async fn renew(
        &self,
        caller: &Caller,
        presented: &Presented,
        renewal: &Renewal,
    ) -> Result<Once<SessionCreated>, Error> {
        let own = session_caller(caller)?;
        let now = self.now();
        let source = self.source(&own.claims.jti, now).await?;
        // A renewal is a mint with the key, so it takes a turn of its limit.
        if let Some(Turn::Wait { retry_ms }) = self
            .limiter
            .take_key(&source.key, self.clock.monotonic_ms())
        {
            return Err(Error::too_many(retry_ms));
        }
        let until = source
            .session
            .renewable_until
            .filter(|until| *until > now)
            .ok_or(Forbidden::NotRenewable)?;
        let wanted = Wanted::again(&source.session, renewal.duration_in_seconds);
        let cap = until.max(source.session.expires_at);
        let rev = caller.rev;
        self.derive(
            caller,
            presented,
            source,
            &wanted,
            Origin::Renewal,
            cap,
            rev,
        )
        .await
    }

    /// Exchanges a session for a narrower one. The caller's key must be able to mint it, too.
    ///
    /// # Errors
    /// [`BadCredential`], [`Forbidden::Grant`].
    pub async fn exchange(
        &self,
        caller: &Caller,
        presented: &Presented,
        exchange: Exchange,
    ) -> Result<Once<SessionCreated>, Error> {
        let key = key_caller(caller)?;
        let now = self.now();
        self.ensure_fresh().await?;
        // Before liveness is asked of what this node knows.
        let rev = self
            .knowledge(self.store.read().await?.conn(), caller.rev)
            .await?;
        let own = self.identify_session(&exchange.subject_token, now)?;
        let source = self.source(&own.claims.jti, now).await?;
        // The session must be one that this key could have minted: of its account or, when it acts
        // as a child, of that child, and in its environment.
        if source.session.account != *caller.account()
            || !caller
                .effective
                .environment
                .covers(source.session.environment)
        {
            return Err(Forbidden::Impersonation.into());
        }
        // Whoever acts for the account here must be the one who acts in the source, or the new token
        // would not name it and not end with its right. The account itself may exchange whatever
        // was minted for it; the actors of the source stay in it.
        let actors = &caller.effective.grantors;
        if !actors.is_empty() && *actors != source.session.actors {
            return Err(Forbidden::Impersonation.into());
        }
        // Twice the same question: what of the wish lies within the source, and what of that within
        // the key. So the outcome lies within both, whatever the mode.
        let mode = exchange.wanted.mode;
        let asked = Wanted {
            // What is left out is as in the source, even where that is everything.
            routes: exchange
                .wanted
                .routes
                .or_else(|| Some(source.session.scope.routes.clone())),
            ..exchange.wanted
        };
        let ceiling = Effective::of_exchange(
            source.session.environment,
            &source.session.scope,
            &source.session.audience,
            source.session.expires_at,
        );
        let audiences = &self.policy.audiences;
        let of_source = grant(&ceiling, None, &asked, audiences, now).map_err(refused)?;
        let wanted = Wanted {
            routes: Some(of_source.scope.routes),
            permissions: of_source.scope.permissions,
            bindings: of_source.scope.bindings,
            domains: of_source.scope.domains,
            audience: Some(of_source.audience),
            duration_secs: Some(of_source.duration_secs),
            renewable_secs: None,
            mode,
        };
        let by_key = grant(
            &caller.effective,
            None,
            &wanted,
            &self.policy.audiences,
            now,
        )
        .map_err(refused)?;
        let cap = source.session.expires_at;
        let Source {
            session,
            key: minter,
            subject,
            ..
        } = source;
        let mut granted = by_key;
        granted.expires_at = capped(granted.expires_at, cap);
        granted.renewable_until = None;
        let mut source = session;
        // The new token carries what both the source and the exchanging key descend from.
        source.tags.add_all(&key.tags());
        let draft = Draft {
            origin: Origin::Exchange,
            key: &minter,
            subject: &subject,
            actors: source.actors.clone(),
            grant: granted,
            data: source.data.clone(),
            source: Some(&source),
            profile: source.profile.clone(),
            rev,
        };
        let (session, token) = self.sign(draft, presented)?;
        let answer = SessionCreated::new(&session, token, None);
        self.store_session(caller, &session, answer, None).await
    }

    /// A stored session whose key, accounts and right to act are alive now.
    async fn source(
        &self,
        id: &crate::domain::id::SessionId,
        now: Timestamp,
    ) -> Result<Source, Error> {
        let mut read = self.store.read().await?;
        let ended = || Error::from(BadCredential::TokenEnded);
        let session = sessions::find(read.conn(), id).await?.ok_or_else(ended)?;
        let key = self
            .key_chain(read.conn(), &session.key)
            .await?
            .ok_or_else(ended)?;
        key.check_alive(now).map_err(|_| ended())?;
        let mut effective = key.key().effective();
        if effective.expires_at.is_some_and(|end| end <= now) {
            return Err(ended());
        }
        let mut subject = Arc::clone(key.accounts());
        if session.account != key.key().account {
            let target = accounts::chain(read.conn(), &session.account).await?;
            let acting =
                act_as(&effective, key.accounts(), target.map(Arc::new)).map_err(|_| ended())?;
            subject = acting.child;
            effective = acting.effective;
        }
        if effective.grantors != session.actors {
            return Err(ended());
        }
        // The key must still be allowed to call what it minted at.
        let path = session.mint_path().ok_or(Forbidden::NotRenewable)?;
        if effective.call.allow("POST", &path).is_none() {
            return Err(Forbidden::NotRenewable.into());
        }
        Ok(Source {
            session,
            key,
            subject,
            effective,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a renewal is told all that it may depend on"
    )]
    async fn derive(
        &self,
        caller: &Caller,
        presented: &Presented,
        source: Source,
        wanted: &Wanted,
        origin: Origin,
        cap: Timestamp,
        rev: crate::domain::liveness::Rev,
    ) -> Result<Once<SessionCreated>, Error> {
        let Source {
            session,
            key,
            subject,
            effective,
        } = source;
        let terms = match &session.profile {
            None => None,
            Some(used) if used.path == CHILD_PROFILE => Some(ProfileTerms::of_child()),
            Some(used) => {
                let profile = self
                    .policy
                    .profiles
                    .iter()
                    .find(|profile| profile.path.to_string() == used.path)
                    .ok_or(Forbidden::NotRenewable)?;
                Some(profile_terms(profile, &used.values)?)
            }
        };
        let mut granted = grant(
            &effective,
            terms.as_ref(),
            wanted,
            &self.policy.audiences,
            self.now(),
        )
        .map_err(refused)?;
        granted.expires_at = capped(granted.expires_at, cap);
        granted.renewable_until = session.renewable_until;
        let cut = Some(granted.cut.clone()).filter(|cut| !cut.is_empty());
        let draft = Draft {
            origin,
            key: &key,
            subject: &subject,
            actors: session.actors.clone(),
            grant: granted,
            data: session.data.clone(),
            source: Some(&session),
            profile: session.profile.clone(),
            rev,
        };
        let (renewed, token) = self.sign(draft, presented)?;
        let answer = SessionCreated::new(&renewed, token, cut);
        let once = self.store_session(caller, &renewed, answer, None).await?;
        self.metrics
            .session_created(renewed.origin, renewed.environment);
        Ok(once)
    }
}
