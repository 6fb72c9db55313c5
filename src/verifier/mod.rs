//! For services behind hallpass: is this session token genuine, and may it make this request?
//!
//! A [`Verifier`] fetches the published keys of one issuer, keeps them, and decides offline. It
//! checks all that `hallpass::token` checks (RFC 9068: type, signature, issuer, audience, times)
//! and the routes of the session (`docs/routes.md`).
//!
//! **What it does not know is revocation.** A session that was ended goes on being accepted here
//! until it expires. Mint short sessions, or ask `POST /v1/session/verify` where that is too late.
//!
//! Permissions, bindings and domains of a session are in its [`Claims`]; they are not checked here.
//!
//! ```no_run
//! use hallpass::clock::{Clock as _, SystemClock};
//! use hallpass::verifier::{Verifier, VerifyError};
//!
//! # async fn example(token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let clock = SystemClock::new();
//! let verifier = Verifier::builder("https://hallpass.example.com")
//!     .audience("https://api.example.com")
//!     .build()?;
//!
//! match verifier.verify(token, "GET", "/v1/bot/b1", clock.now()).await {
//!     Ok(verified) => println!("for {}", verified.claims().sub),
//!     Err(VerifyError::Token(why)) => println!("401: {why}"),
//!     Err(VerifyError::Path(_) | VerifyError::Route) => println!("403"),
//!     Err(VerifyError::Keys(why)) => println!("503: {why}"),
//! }
//! # Ok(())
//! # }
//! ```

mod keys;

use crate::domain::route::{Mount, RequestPath, RouteSet, TrailingSlash};
use crate::domain::time::Timestamp;
use crate::token::verify::SESSION_TYP;
use crate::token::{Audiences, Claims, Expected, Leeway, TokenError, verify_token};

pub use crate::domain::route::{MountError, PathError};
pub use keys::FetchError;

use keys::RemoteKeys;

/// Decides about requests with session tokens. Cheap to share behind an `Arc`; one is enough for a
/// process.
#[derive(Debug)]
pub struct Verifier {
    keys: RemoteKeys,
    expected: Expected,
    mount: Mount,
    trailing_slash: TrailingSlash,
}

/// What a [`Verifier`] is to accept.
#[derive(Debug, Clone)]
pub struct VerifierBuilder {
    issuer: String,
    jwks_url: Option<String>,
    audiences: Vec<String>,
    leeway_secs: u8,
    mount: Mount,
    trailing_slash: TrailingSlash,
}

/// Why there is no verifier.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No audience was named. A verifier that accepts every audience accepts tokens that were made
    /// for somebody else.
    #[error("name the audience of this service")]
    NoAudience,
    /// The address of the keys is not `https://…`, or `http://…` on this machine.
    #[error("the keys are fetched by https, or by http from this machine only")]
    Url,
    /// The leeway is too long.
    #[error(transparent)]
    Leeway(#[from] crate::token::verify::LeewayTooLong),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The token is not genuine, not ours, not for us, or not of now: 401.
    #[error(transparent)]
    Token(TokenError),
    /// The path can be read in two ways, or lies outside the mount: 403.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The session may not make this request: 403.
    #[error("the session does not allow this request")]
    Route,
    /// There are no keys to judge the token by: 503.
    #[error("the published keys cannot be fetched")]
    Keys(#[from] FetchError),
}

/// The proof that a request was allowed. Only [`Verifier::verify`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    claims: Claims,
    path: RequestPath,
}

impl Verified {
    /// What the token says. `sub` is the account for whom the request is made, `act` who really
    /// acts.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The path as it was judged: behind the mount, decoded.
    pub fn path(&self) -> &RequestPath {
        &self.path
    }
}

impl VerifierBuilder {
    /// An audience that is accepted. May be named several times; at least one must be.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Where the keys are, when not at `<issuer>/.well-known/jwks.json`.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.jwks_url = Some(url.into());
        self
    }

    /// Below which path the routes lie: `/v1` unless set, `/` for none.
    ///
    /// # Errors
    /// [`MountError`].
    pub fn mount(mut self, mount: &str) -> Result<Self, MountError> {
        self.mount = Mount::parse(mount)?;
        Ok(self)
    }

    /// Refuse paths that end with a slash, for services that tell the two forms apart.
    pub fn refuse_trailing_slash(mut self) -> Self {
        self.trailing_slash = TrailingSlash::Refuse;
        self
    }

    /// How many seconds this machine's clock may be behind, at most 5; none unless set.
    pub fn leeway_secs(mut self, secs: u8) -> Self {
        self.leeway_secs = secs;
        self
    }

    /// The verifier. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(self) -> Result<Verifier, BuildError> {
        let Self {
            issuer,
            jwks_url,
            audiences,
            leeway_secs,
            mount,
            trailing_slash,
        } = self;
        if audiences.is_empty() {
            return Err(BuildError::NoAudience);
        }
        let url = jwks_url.unwrap_or_else(|| format!("{issuer}/.well-known/jwks.json"));
        Ok(Verifier {
            keys: RemoteKeys::new(&url)?,
            expected: Expected {
                issuer,
                audiences: Audiences::OneOf(audiences),
                typ: SESSION_TYP,
                leeway: Leeway::from_secs(leeway_secs)?,
            },
            mount,
            trailing_slash,
        })
    }
}

impl Verifier {
    /// A verifier of the tokens of `issuer`, which is compared byte by byte: `<issuer>` for live
    /// tokens, `<issuer>/test` for those of the test environment.
    pub fn builder(issuer: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder {
            issuer: issuer.into(),
            jwks_url: None,
            audiences: Vec::new(),
            leeway_secs: 0,
            mount: Mount::default(),
            trailing_slash: TrailingSlash::Equal,
        }
    }

    /// Judges a request: its bearer token, its method, and its target as it was sent, query
    /// included and nothing decoded. Fetches the keys when they are needed, and otherwise asks
    /// nobody.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn verify(
        &self,
        token: &str,
        method: &str,
        target: &str,
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        let path = RequestPath::parse(target, &self.mount, self.trailing_slash)?;
        let claims = self.claims(token, now).await?;
        let routes = RouteSet::parse(&claims.allowed_routes)
            .map_err(|_| VerifyError::Token(TokenError::Payload))?;
        match routes.matches(method, &path) {
            Some(_) => Ok(Verified { claims, path }),
            None => Err(VerifyError::Route),
        }
    }

    /// Judges a token alone, for services that have no routes, such as those with web sockets.
    ///
    /// # Errors
    /// [`VerifyError::Token`], [`VerifyError::Keys`].
    pub async fn claims(&self, token: &str, now: Timestamp) -> Result<Claims, VerifyError> {
        let keys = self.keys.current(now).await?;
        let first = verify_token(token, &*keys, &self.expected, now);
        let outcome = match first {
            Err(TokenError::UnknownKey) => {
                // A key that is new since the last fetch.
                let keys = self.keys.newer(&keys, now).await;
                verify_token(token, &*keys, &self.expected, now)
            }
            first => first,
        };
        outcome.map_err(VerifyError::Token)
    }
}

#[cfg(test)]
mod tests;
