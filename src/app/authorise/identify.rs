//! Identification: whose credential it is, and that it is alive.

use std::sync::Arc;

use super::permit::everything;
use super::recall::KnownKey;
use super::{Credential, Identified, Presented, SessionCaller, Who};
use crate::app::App;
use crate::app::error::{BadCredential, Error};
use crate::app::pulse::reborrow;
use crate::domain::api_key::KeyChain;
use crate::domain::effective::Effective;
use crate::domain::id::KeyId;
use crate::domain::liveness::Rev;
use crate::domain::secret::KeyDigest;
use crate::domain::time::Timestamp;
use crate::store::{Conn, accounts, api_keys, change_log, secrets};
use crate::token::TokenError;

/// A key by one of its secrets, as the database has it.
pub(crate) struct FoundKey {
    pub(crate) chain: KeyChain,
    pub(crate) secret_expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
}

impl App {
    pub(super) async fn identify(
        &self,
        mut conn: Conn<'_>,
        presented: &Presented,
        now: Timestamp,
        first: bool,
    ) -> Result<Identified, Error> {
        let asked_at_ms = self.clock.monotonic_ms();
        // Before anything is read or asked, so that whatever ends meanwhile ends what is made of
        // it, too: rows are as new as the database, liveness is as new as this node's knowledge.
        let known = self.pulse.known();
        let head = change_log::head(reborrow(&mut conn)).await?;
        self.pulse.check_head(known, head)?;
        let rev = match &presented.credential {
            Credential::Token(_) if first => self.knowledge(reborrow(&mut conn), head).await?,
            // Under the lock the head is this change's own, which nobody may take for known yet.
            Credential::Token(_) => self
                .pulse
                .known()
                .min(head)
                .ok_or(BadCredential::TokenEnded)?,
            Credential::None
            | Credential::Key(_)
            | Credential::Cli(_)
            | Credential::Dashboard(_) => head,
        };
        let (who, effective) = match &presented.credential {
            Credential::None => return Err(BadCredential::Missing.into()),
            Credential::Key(key) => {
                let digest = key.digest();
                self.identify_as_key(conn, &digest, presented, rev, first)
                    .await?
            }
            // As the key, now.
            Credential::Dashboard(signed_in) => {
                self.identify_as_key(conn, &signed_in.key, presented, rev, first)
                    .await?
            }
            Credential::Token(token) => {
                // The log may just have been read, and say that a signing key was revoked.
                if !self.signing.is_as_new_as(self.pulse.known()) {
                    self.read_signing_keys(conn).await?;
                }
                let session = self.identify_token(token, presented, now)?;
                let own = Arc::clone(&session.effective);
                (Who::Session(session), own)
            }
            Credential::Cli(account) => {
                let id = account.as_ref().unwrap_or(&self.operator);
                let chain = accounts::chain(conn, id).await?.ok_or(Error::NotFound)?;
                (Who::Cli(Arc::new(chain)), Arc::new(everything()))
            }
        };
        Ok(Identified {
            who,
            effective,
            rev,
            asked_at_ms,
        })
    }

    /// As of where this node knows the change log, read again when that is older than `head`: what
    /// relies on both would be as old as the older of them, and a change that was made before may
    /// have ended it already.
    pub(crate) async fn knowledge(&self, conn: Conn<'_>, head: Rev) -> Result<Rev, Error> {
        let known = self.pulse.known();
        if known.log == head.log && known.position >= head.position {
            return Ok(head);
        }
        self.pulse.refresh(conn).await?;
        self.pulse
            .known()
            .min(head)
            .ok_or_else(|| BadCredential::TokenEnded.into())
    }

    /// The key of a digest, with what it may do.
    async fn identify_as_key(
        &self,
        conn: Conn<'_>,
        digest: &KeyDigest,
        presented: &Presented,
        rev: Rev,
        first: bool,
    ) -> Result<(Who, Arc<Effective>), Error> {
        let now = self.now();
        let (found, noted_ms) = self.identify_key(conn, digest, presented, now).await?;
        let chain = Arc::new(found.chain);
        let mut own = chain.key().effective();
        own.operator = own.operator && self.is_operator(chain.key());
        let own = Arc::new(own);
        // What is read under the lock is not there for others before it is committed.
        if first {
            let parts = (Arc::clone(&chain), Arc::clone(&own));
            let known = KnownKey::new(parts.0, parts.1, found.secret_expires_at, rev, noted_ms);
            self.remembered.key(digest, known);
        }
        Ok((Who::Key(chain), own))
    }

    /// A key that is alive, and when a use of its secret was noted last, in milliseconds.
    async fn identify_key(
        &self,
        mut conn: Conn<'_>,
        digest: &KeyDigest,
        presented: &Presented,
        now: Timestamp,
    ) -> Result<(FoundKey, i64), Error> {
        let address = presented.facts.address;
        let clock_ms = self.clock.monotonic_ms();
        if let Some(retry_ms) = self.limiter.blocked(address, digest, clock_ms) {
            return Err(Error::too_many(retry_ms));
        }
        match self.find_key(reborrow(&mut conn), digest, now).await? {
            Some(found) if found.chain.check_alive(now).is_ok() => {
                self.limiter.good(digest);
                let used_ms = found.last_used_at.map_or(i64::MIN, Timestamp::millis);
                let noted_ms = self.note_last_use(digest, used_ms, &presented.facts, now);
                Ok((found, noted_ms))
            }
            _ => {
                self.metrics.authentication_failed("key");
                match self.limiter.failed(address, clock_ms) {
                    Some(retry_ms) => Err(Error::too_many(retry_ms)),
                    None => Err(BadCredential::Key.into()),
                }
            }
        }
    }

    /// A session token, with the same limit on guesses as keys have.
    pub(super) fn identify_token(
        &self,
        token: &str,
        presented: &Presented,
        now: Timestamp,
    ) -> Result<Arc<SessionCaller>, Error> {
        let address = presented.facts.address;
        let clock_ms = self.clock.monotonic_ms();
        let digest = KeyDigest::of(token.as_bytes());
        if let Some(retry_ms) = self.limiter.blocked(address, &digest, clock_ms) {
            return Err(Error::too_many(retry_ms));
        }
        let identified = self.identify_session(token, now).map(Arc::new);
        match &identified {
            Ok(session) => {
                self.limiter.good(&digest);
                self.remembered.token(token, session);
            }
            // Signed here, and over: no guess.
            Err(Error::Unauthenticated(
                BadCredential::Token(TokenError::Expired) | BadCredential::TokenEnded,
            )) => {}
            Err(Error::Unauthenticated(_)) => {
                self.metrics.authentication_failed("token");
                if let Some(retry_ms) = self.limiter.failed(address, clock_ms) {
                    return Err(Error::too_many(retry_ms));
                }
            }
            Err(_) => {}
        }
        identified
    }

    /// The key that a digest opens, with its makers and accounts, whatever their state, and when the
    /// secret stops working; nothing when the secret is unknown or past its overlap.
    pub(crate) async fn find_key(
        &self,
        mut conn: Conn<'_>,
        digest: &KeyDigest,
        now: Timestamp,
    ) -> Result<Option<FoundKey>, Error> {
        let secret = secrets::find(reborrow(&mut conn), digest).await?;
        let Some(secret) = secret.filter(|secret| secret.digest.matches(digest)) else {
            return Ok(None);
        };
        if secret.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        let chain = self.key_chain(conn, &secret.key).await?;
        Ok(chain.map(|chain| FoundKey {
            chain,
            secret_expires_at: secret.expires_at,
            last_used_at: secret.last_used.map(|used| used.at),
        }))
    }

    /// A key with its makers and accounts, whatever their state.
    pub(crate) async fn key_chain(
        &self,
        mut conn: Conn<'_>,
        id: &KeyId,
    ) -> Result<Option<KeyChain>, Error> {
        let Some((key, makers)) = api_keys::lineage(reborrow(&mut conn), id).await? else {
            return Ok(None);
        };
        let accounts = accounts::chain(conn, &key.account)
            .await?
            .ok_or_else(|| Error::internal("a key without an account"))?;
        Ok(Some(KeyChain::new(key, makers, accounts)))
    }
}
