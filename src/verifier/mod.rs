//! For services behind hallpass: is this session token genuine and alive, and may it make this
//! request?
//!
//! A [`Verifier`] is made once for a process. It fetches the published keys of one issuer, follows
//! the issuer's revocation feed in the background, and decides without asking anybody. It is a
//! profile and not a toolbox: RFC 9068 and RFC 8725 in one call, the routes, permissions, bindings
//! and domains of the session, and whether it was ended. See `docs/verifier.md`.
//!
//! **Past its bound it refuses.** When nothing was heard of the feed for 10 seconds (unless set),
//! no token is accepted any more, or the issuer is asked about each
//! ([`VerifierBuilder::ask_online`]).
//!
//! ```no_run
//! use hallpass::verifier::{Request, Verifier};
//!
//! # async fn example(token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = Verifier::builder("https://hallpass.example.com")
//!     .audience("https://api.example.com")
//!     .build()?;
//! verifier.ready().await;
//!
//! match verifier.verify(token, &Request::new("GET", "/v1/bot/b1")).await {
//!     Ok(verified) => println!("for {}", verified.account()),
//!     Err(refused) => println!("{}: {refused} ({})", refused.status(), refused.code()),
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod cache;
mod error;
mod fetch;
mod follow;
mod keys;
mod knowledge;
mod online;
mod request;
mod status;
#[cfg(feature = "verifier-tower")]
mod tower;
mod verified;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::domain::decision::{Asked, BindingCheck, RoutePermission, decide};
use crate::domain::effective::Effective;
use crate::domain::environment::Environment as Env;
use crate::domain::gate::{Disagreement, GateTable};
use crate::domain::rate::Turn;
use crate::domain::route::{Mount, RequestPath, TrailingSlash};
use crate::domain::time::Timestamp;
use crate::token::verify::{VerifiedSession, recheck_claims, verify_session};
use crate::token::{Expected, SessionParts, TokenError};

pub use crate::domain::binding::Dimension;
pub use crate::domain::decision::Deny;
pub use crate::domain::environment::Environment;
pub use crate::domain::gate::GateRuleError;
pub use crate::domain::id::{AccountId, KeyId, SessionId};
pub use crate::domain::liveness::Dead;
pub use crate::domain::permission::Permission;
pub use crate::domain::route::{MountError, PathError};
pub use crate::token::{ClaimReason, Claims, TokenError as BadToken};
pub use builder::{BuildError, VerifierBuilder};
pub use error::VerifyError;
pub use fetch::AnswerError;
pub use keys::FetchError;
pub use knowledge::{FeedError, NotAlive};
pub use request::{Request, RequestError};
pub use status::{FeedStatus, KeysStatus, Status};
#[cfg(feature = "verifier-axum")]
pub use tower::NotVerified;
#[cfg(feature = "verifier-tower")]
pub use tower::{Refusal, VerifyLayer, VerifyService};
pub use verified::Verified;

use cache::{Cache, Digest, Genuine, digest_of};
use follow::Follower;
use keys::{COOLDOWN_SECS, Keys, RemoteKeys};
use online::Online;

/// Decides about requests with session tokens. Cheap to share behind an `Arc`; one is enough for a
/// process. Its background tasks end when it is dropped.
#[derive(Debug)]
pub struct Verifier {
    keys: Arc<RemoteKeys>,
    feed: Option<Arc<Follower>>,
    online: Option<Online>,
    cache: Cache,
    clock: Arc<dyn Clock>,
    expected: Expected,
    environment: Env,
    mount: Mount,
    trailing_slash: TrailingSlash,
    table: GateTable,
    takes_impersonated: bool,
    #[cfg_attr(
        not(feature = "verifier-tower"),
        expect(dead_code, reason = "the layer tells it to whoever was refused")
    )]
    resource: Option<String>,
    // Held to end with the verifier.
    tasks: JoinSet<()>,
}

impl Verifier {
    /// A verifier of the tokens of `issuer`, compared byte by byte: the address of hallpass, without
    /// a slash at the end. Tokens of the test environment are taken by
    /// [`VerifierBuilder::environment`].
    pub fn builder(issuer: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::new(issuer.into())
    }

    /// Over when good tokens are accepted: the keys are there, and the feed was heard. Worth a wait
    /// before the first request is taken.
    pub async fn ready(&self) {
        if let Some(feed) = &self.feed {
            feed.ready().await;
        }
    }

    /// Over when the next document of the feed was taken in, which is every few seconds; for whoever
    /// shows the status. Never, for a verifier without a feed.
    pub async fn next_document(&self) {
        match &self.feed {
            Some(feed) => feed.next_document().await,
            None => std::future::pending().await,
        }
    }

    /// How it is.
    pub fn status(&self) -> Status {
        Status {
            keys: self.keys.status(),
            feed: self.feed.as_ref().map(|feed| feed.status()),
        }
    }

    /// Judges a request: its bearer token, and what is asked of it.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn verify(
        &self,
        token: &str,
        request: &Request<'_>,
    ) -> Result<Verified, VerifyError> {
        let session = self.authenticate(token).await?;
        self.authorise(session, request)
    }

    /// Judges a token alone, for services that have no routes, such as those with web sockets:
    /// genuine, ours, for us, of now, and alive. What the session may do is not asked; look at its
    /// claims.
    ///
    /// # Errors
    /// [`VerifyError`] of the statuses 401 and 503, and [`VerifyError::Impersonated`].
    pub async fn verify_token_alone(&self, token: &str) -> Result<Claims, VerifyError> {
        let session = self.authenticate(token).await?;
        Ok(session.claims.clone())
    }

    async fn authenticate(&self, token: &str) -> Result<Arc<Genuine>, VerifyError> {
        let now = self.clock.now();
        let digest = digest_of(token);
        let session = match self.find(&digest, now) {
            Some(known) => known?,
            None => self.judge(token, digest, now).await?,
        };
        if !self.takes_impersonated && session.claims.act.is_some() {
            return Err(VerifyError::Impersonated);
        }
        self.check_alive(token, &session).await?;
        Ok(session)
    }

    /// A session whose signature was checked before by keys that are still the published ones. Its
    /// times are judged again.
    fn find(&self, digest: &Digest, now: Timestamp) -> Option<Result<Arc<Genuine>, VerifyError>> {
        let keys = self.keys.fresh()?;
        let session = self.cache.find(digest)?;
        if session.generation != keys.generation {
            return None;
        }
        Some(match recheck_claims(&session.claims, &self.expected, now) {
            Ok(()) => Ok(session),
            Err(error) => Err(error.into()),
        })
    }

    async fn judge(
        &self,
        token: &str,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Arc<Genuine>, VerifyError> {
        let keys = self.keys.current().await?;
        let session = match self.read(token, &keys, now) {
            Err(TokenError::UnknownKey) => {
                // A key that is new since the last fetch.
                let keys = self.keys.newer(keys, COOLDOWN_SECS).await;
                self.read(token, &keys, now)?
            }
            outcome => outcome?,
        };
        let session = Arc::new(session);
        self.cache.insert(digest, Arc::clone(&session));
        Ok(session)
    }

    fn read(&self, token: &str, keys: &Keys, now: Timestamp) -> Result<Genuine, TokenError> {
        let VerifiedSession { claims, parts, kid } =
            verify_session(token, &*keys.set, &self.expected, now)?;
        let SessionParts { scope, tags, rev } = parts;
        let expires_at = Timestamp::from_secs(claims.exp);
        Ok(Genuine {
            effective: Effective::of_session(self.environment, &scope, expires_at),
            claims,
            kid,
            tags,
            rev,
            generation: keys.generation,
        })
    }

    async fn check_alive(&self, token: &str, session: &Genuine) -> Result<(), VerifyError> {
        let Some(feed) = &self.feed else {
            return Ok(());
        };
        let Genuine { kid, tags, rev, .. } = session;
        match (feed.check(kid, tags, *rev), &self.online) {
            (Err(NotAlive::Unknown), Some(online)) => Ok(online.check(token).await?),
            (outcome, _) => Ok(outcome?),
        }
    }

    fn authorise(
        &self,
        session: Arc<Genuine>,
        request: &Request<'_>,
    ) -> Result<Verified, VerifyError> {
        if request.run_as {
            return Err(VerifyError::RunAs);
        }
        let path = RequestPath::parse(request.target, &self.mount, self.trailing_slash)?;
        let by_table = || self.table.permission_of(request.method, &path);
        let permission = request.permission.or_else(by_table);
        let mut named = request.named.clone();
        self.table
            .name_values(request.method, &path, &mut named)
            .map_err(|Disagreement(dimension)| VerifyError::Refused(Deny::Binding(dimension)))?;
        let asked = Asked {
            method: request.method,
            path: Some(&path),
            method_override: request.method_override,
            address: None,
            origin: request.origin,
            named: &named,
            permission: RoutePermission::Gate(permission),
            manage: None,
            bindings: BindingCheck::Here,
        };
        // A session has no rate of its own here; its expiry was judged with its claims.
        let mut free = || Turn::Go {
            remaining: u32::MAX,
            reset_ms: 0,
        };
        let permit = decide(&session.effective, &asked, self.clock.now(), &mut free)
            .map_err(VerifyError::Refused)?;
        let pattern = permit.pattern().map(str::to_owned);
        Ok(Verified {
            session,
            path,
            pattern,
        })
    }
}

#[cfg(test)]
mod tests;
