//! What a verifier is to accept, and how it is made.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::Verifier;
use super::cache::Cache;
use super::fetch::{client, safe_url};
use super::follow::Follower;
use super::keys::RemoteKeys;
use super::online::Online;
use crate::clock::{Clock, SystemClock};
use crate::domain::environment::Environment;
use crate::domain::gate::{GateRule, GateRuleError, GateTable};
use crate::domain::permission::Permission;
use crate::domain::route::{Mount, MountError, TrailingSlash};
use crate::entropy::{Entropy, SystemEntropy};
use crate::token::verify::SESSION_TYP;
use crate::token::{Audiences, Expected, Leeway};

/// How old knowledge of the feed may be unless set, in seconds.
const BOUND_SECS: u32 = 10;
/// The shortest and the longest bound, in seconds.
const BOUND_SECS_RANGE: std::ops::RangeInclusive<u32> = 1..=3600;
/// Sessions whose signature is remembered, unless set.
const CACHED_MAX: usize = 10_000;

/// What a [`Verifier`] is to accept.
#[derive(Debug)]
pub struct VerifierBuilder {
    issuer: String,
    environment: Environment,
    audiences: Vec<String>,
    resource: Option<String>,
    leeway_secs: u8,
    mount: Mount,
    trailing_slash: TrailingSlash,
    rules: Vec<GateRule>,
    default_permission: Option<Permission>,
    takes_impersonated: bool,
    jwks_url: Option<String>,
    feed_url: Option<String>,
    follows_feed: bool,
    bound_secs: u32,
    online_key: Option<String>,
    cached_max: usize,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Why there is no verifier.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No audience was named. A verifier that accepts every audience accepts tokens that were made
    /// for somebody else.
    #[error("name the audience of this service")]
    NoAudience,
    /// An address is not `https://…`, or `http://…` on this machine.
    #[error("the issuer is asked by https, or by http on this machine only")]
    Url,
    /// The leeway is too long.
    #[error(transparent)]
    Leeway(#[from] crate::token::verify::LeewayTooLong),
    /// The bound is too short or too long.
    #[error("the bound of the feed is 1 to 3600 seconds")]
    Bound,
    /// The key for asking online cannot stand in a header.
    #[error("the API key for asking online is not well-formed")]
    Key,
    /// A text that is no permission.
    #[error("`{0}` is no permission, such as `bots:read`")]
    Permission(String),
    /// A text that is no route of the table.
    #[error("the route `{text}`: {error}")]
    Route {
        /// The text.
        text: String,
        /// What is wrong with it. It is part of the message above, so it is no `source`.
        error: GateRuleError,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
    /// There is no Tokio runtime in which to follow the feed.
    #[error("build the verifier within a Tokio runtime, in which it follows the feed")]
    NoRuntime,
}

impl VerifierBuilder {
    pub(super) fn new(issuer: String) -> Self {
        Self {
            issuer,
            environment: Environment::Live,
            audiences: Vec::new(),
            resource: None,
            leeway_secs: 0,
            mount: Mount::default(),
            trailing_slash: TrailingSlash::Equal,
            rules: Vec::new(),
            default_permission: None,
            takes_impersonated: true,
            jwks_url: None,
            feed_url: None,
            follows_feed: true,
            bound_secs: BOUND_SECS,
            online_key: None,
            cached_max: CACHED_MAX,
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy::new()),
        }
    }

    /// The environment whose tokens are accepted: live unless set. Each has an issuer and keys of
    /// its own, so a service that takes both makes two verifiers.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// An audience that is accepted. May be named several times; at least one must be.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// The address of this service as its metadata names it (RFC 9728): the first audience unless
    /// set, when that is an address.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
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
    #[must_use]
    pub fn refuse_trailing_slash(mut self) -> Self {
        self.trailing_slash = TrailingSlash::Refuse;
        self
    }

    /// A route needs a permission, as in the table of the gate. The first that matches counts; a
    /// route without one is refused to sessions whose permissions are narrowed. A segment may be
    /// named, as in [`VerifierBuilder::names`].
    ///
    /// # Errors
    /// [`BuildError::Route`], [`BuildError::Permission`].
    pub fn permission(self, route: &str, permission: &str) -> Result<Self, BuildError> {
        let permission = parse_permission(permission)?;
        self.rule(route, Some(permission))
    }

    /// What routes need that no rule gives a permission.
    ///
    /// # Errors
    /// [`BuildError::Permission`].
    pub fn default_permission(mut self, permission: &str) -> Result<Self, BuildError> {
        self.default_permission = Some(parse_permission(permission)?);
        Ok(self)
    }

    /// Segments of a route name what sessions can be bound to: `bot/{bot}/**`. A header that names
    /// another value is refused.
    ///
    /// # Errors
    /// [`BuildError::Route`].
    pub fn names(self, route: &str) -> Result<Self, BuildError> {
        self.rule(route, None)
    }

    fn rule(mut self, route: &str, permission: Option<Permission>) -> Result<Self, BuildError> {
        let wrong = |error| BuildError::Route {
            text: route.to_owned(),
            error,
        };
        let rule = GateRule::parse(route, permission).map_err(wrong)?;
        self.rules.push(rule);
        Ok(self)
    }

    /// Refuse sessions in which another account acts than the one for whom they speak.
    #[must_use]
    pub fn refuse_impersonated(mut self) -> Self {
        self.takes_impersonated = false;
        self
    }

    /// How many seconds this machine's clock may be behind, at most 5; none unless set.
    #[must_use]
    pub fn leeway_secs(mut self, secs: u8) -> Self {
        self.leeway_secs = secs;
        self
    }

    /// For how many seconds tokens are accepted when the feed is not heard: 10 unless set. The
    /// issuer's own bound of a second comes on top.
    #[must_use]
    pub fn bound_secs(mut self, secs: u32) -> Self {
        self.bound_secs = secs;
        self
    }

    /// Past the bound, ask `POST /v1/session/verify` about each token with this API key, in place of
    /// refusing it. The key must be of the account of the sessions or above, or have
    /// `manage: introspect`, and be allowed to call `session/verify`.
    #[must_use]
    pub fn ask_online(mut self, key: impl Into<String>) -> Self {
        self.online_key = Some(key.into());
        self
    }

    /// Do not follow the feed. **A session that was ended goes on being accepted until it expires**,
    /// for up to a day. For programs that cannot keep a connection, with short sessions.
    #[must_use]
    pub fn dangerously_without_revocation(mut self) -> Self {
        self.follows_feed = false;
        self
    }

    /// Where the keys are, when not at `<issuer>/.well-known/jwks.json`.
    #[must_use]
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.jwks_url = Some(url.into());
        self
    }

    /// Where the feed is, when not at `<issuer>/v1/revocations`.
    #[must_use]
    pub fn feed_url(mut self, url: impl Into<String>) -> Self {
        self.feed_url = Some(url.into());
        self
    }

    /// How many sessions' signatures are remembered: 10,000 unless set, none with 0.
    #[must_use]
    pub fn remember_signatures(mut self, sessions: usize) -> Self {
        self.cached_max = sessions;
        self
    }

    /// Another clock than that of the machine, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Other random bytes than those of the machine, for tests.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// The verifier. It begins to follow the feed; until it has heard it, which takes a moment,
    /// every token is refused ([`Verifier::ready`]).
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(self) -> Result<Verifier, BuildError> {
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let mut verifier = self.assemble()?;
        let keys = Arc::clone(&verifier.keys);
        verifier
            .tasks
            .spawn_on(async move { keys.keep_fresh().await }, &runtime);
        if let Some(feed) = &verifier.feed {
            let feed = Arc::clone(feed);
            verifier
                .tasks
                .spawn_on(async move { feed.follow().await }, &runtime);
        }
        Ok(verifier)
    }

    /// The verifier, doing nothing by itself.
    pub(super) fn assemble(self) -> Result<Verifier, BuildError> {
        let Self {
            issuer,
            environment,
            audiences,
            resource,
            leeway_secs,
            mount,
            trailing_slash,
            rules,
            default_permission,
            takes_impersonated,
            jwks_url,
            feed_url,
            follows_feed,
            bound_secs,
            online_key,
            cached_max,
            clock,
            entropy,
        } = self;
        if audiences.is_empty() {
            return Err(BuildError::NoAudience);
        }
        if !BOUND_SECS_RANGE.contains(&bound_secs) {
            return Err(BuildError::Bound);
        }
        let http = client()?;
        let base = issuer;
        let issuer = environment.issuer(&base);
        let jwks_url = jwks_url.unwrap_or_else(|| format!("{issuer}/.well-known/jwks.json"));
        let keys = Arc::new(RemoteKeys::new(
            http.clone(),
            safe_url(&jwks_url)?,
            Arc::clone(&clock),
        ));
        let feed_url = feed_url.unwrap_or_else(|| format!("{issuer}/v1/revocations"));
        let feed_url = safe_url(&feed_url)?;
        let feed = follows_feed.then(|| {
            Arc::new(Follower::new(
                http.clone(),
                feed_url,
                Arc::clone(&keys),
                Arc::clone(&clock),
                entropy,
                issuer.clone(),
                i64::from(bound_secs) * 1000,
            ))
        });
        let online_url = safe_url(&format!("{base}/v1/session/verify"))?;
        let online = online_key.map(|key| Online::new(http, online_url, &key));
        let is_address = |audience: &&String| {
            audience.starts_with("https://") || audience.starts_with("http://")
        };
        let resource = resource.or_else(|| audiences.iter().find(is_address).cloned());
        Ok(Verifier {
            keys,
            feed,
            online: online.transpose()?,
            cache: Cache::new(cached_max),
            clock,
            expected: Expected {
                issuer,
                audiences: Audiences::OneOf(audiences),
                typ: SESSION_TYP,
                leeway: Leeway::from_secs(leeway_secs)?,
            },
            environment,
            mount,
            trailing_slash,
            table: GateTable::new(rules, default_permission),
            takes_impersonated,
            resource,
            tasks: JoinSet::new(),
        })
    }
}

fn parse_permission(text: &str) -> Result<Permission, BuildError> {
    Permission::parse(text).ok_or_else(|| BuildError::Permission(text.to_owned()))
}
