//! Use cases: they own the transaction, and call the rules, the store and the signer.

pub mod accounts;
pub mod api_keys;
pub mod audit;
pub mod authorise;
mod backoff;
pub mod change;
mod compact;
pub mod dashboard;
pub mod doctor;
mod domains;
pub mod error;
pub mod feed;
pub mod gate;
#[cfg(feature = "postgres")]
mod hints;
pub mod idempotency;
pub mod journal;
pub mod keyring;
mod last_used;
pub mod lately;
pub mod ledger;
pub mod limiter;
pub mod maintenance;
pub mod memory;
mod prune;
pub mod pulse;
pub mod restore;
pub mod sessions;
pub mod signing;
pub mod start;
pub mod usage;
pub mod verify;
pub mod webhooks;
pub mod who;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::clock::Clock;
use crate::domain::api_key::ApiKey;
use crate::domain::environment::Environment;
use crate::domain::grant::Audiences;
use crate::domain::id::AccountId;
use crate::domain::lease::Lease;
use crate::domain::permission::{Permission, Vocabulary};
use crate::domain::profile::SessionProfile;
use crate::domain::rate::RateLimit;
use crate::domain::route::{RequestPath, RoutePattern};
use crate::domain::template::Template;
use crate::domain::time::Timestamp;
use crate::entropy::Entropy;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::token::RotationPolicy;
use crate::token::master::MasterKey;

pub use error::Error;

/// The settings that use cases ask.
#[derive(Debug)]
pub struct Policy {
    /// The issuer of the live environment.
    pub issuer: String,
    /// The audiences of sessions.
    pub audiences: Audiences,
    /// The permission scopes that exist.
    pub vocabulary: Vocabulary,
    /// What minting on a resource means.
    pub profiles: Vec<SessionProfile>,
    /// Templates of keys.
    pub templates: Vec<Template>,
    /// The permission that a route has; the first match wins, and a route without one is refused to
    /// credentials whose permissions are narrowed.
    pub permission_routes: Vec<(RoutePattern, Permission)>,
    /// When signing keys are rotated, and with which algorithm new ones sign.
    pub rotation: RotationPolicy,
    /// For how long verifiers may keep the key set, in seconds.
    pub jwks_max_age_secs: u32,
    /// Failed authentications per client address.
    pub failure_limit: RateLimit,
    /// How many may wait for the feed, and how long.
    pub feed: feed::FeedLimits,
    /// Where changes are noted beside the database.
    pub journal: journal::Journal,
    /// Where webhooks may go.
    pub webhooks: webhooks::WebhookPolicy,
    /// What the gate decides by.
    pub gate: gate::GatePolicy,
    /// For how long what is known of the change log is believed.
    pub lease: Lease,
}

impl Policy {
    /// hallpass's own audience; the default audience is never this one.
    pub fn manage_audience(&self) -> String {
        format!("{}/manage", self.issuer)
    }

    /// The permission that a route has.
    pub fn permission_of(&self, method: &str, path: &RequestPath) -> Option<&Permission> {
        let rule = self
            .permission_routes
            .iter()
            .find(|(route, _)| route.matches(method, path));
        rule.map(|(_, permission)| permission)
    }
}

/// All that a use case needs, shared by every request.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// The settings.
    pub policy: Policy,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The operator account.
    pub operator: AccountId,
    pub(crate) latest_ms: AtomicI64,
    pub(crate) leaving: AtomicBool,
    pub(crate) master: MasterKey,
    /// What this node knows of the change log.
    pub pulse: pulse::Pulse,
    pub(crate) signing: signing::Signing,
    pub(crate) limiter: limiter::Limiter,
    pub(crate) lately: lately::Lately,
    last_uses: last_used::LastUses,
    pub(crate) feed: feed::Feed,
    pub(crate) gate_history: usage::GateHistory,
    pub(crate) remembered: authorise::Remembered,
    pub(crate) writer: sessions::Writer,
    pub(crate) outbox: webhooks::Outbox,
    pub(crate) webhooks: webhooks::Webhooks,
    pub(crate) ledger: ledger::Ledger,
    pub(crate) upstream: gate::UpstreamTokens,
}

impl App {
    /// Now. It never goes back while the process lives: a clock that is put back revives nothing
    /// that has expired.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now().millis();
        Timestamp::from_millis(self.latest_ms.fetch_max(now, Ordering::SeqCst).max(now))
    }

    /// The issuer of an environment.
    pub fn issuer(&self, environment: Environment) -> String {
        environment.issuer(&self.policy.issuer)
    }

    /// From now on this node says that it is not ready, so that no more is sent to it. It goes on
    /// working.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether this node may be sent requests: tokens can be minted, and it is not about to stop.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it stops, or no signing key may sign.
    pub fn check_ready(&self) -> Result<(), Error> {
        if self.leaving.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("this node is about to stop".into()));
        }
        let ring = self.signing.ring();
        let signs = Environment::ALL
            .iter()
            .all(|env| ring.active(*env, self.now()).is_some());
        if signs {
            Ok(())
        } else {
            Err(Error::Unavailable("no signing key may sign".into()))
        }
    }

    /// Everything that is counted, in the text format of Prometheus 0.0.4.
    pub fn render_metrics(&self) -> String {
        self.metrics
            .render(self.remembered.bytes(), &self.pulse.state())
    }

    /// Whether a key may do what only an operator may: it was made so, in the operator account.
    pub(crate) fn is_operator(&self, key: &ApiKey) -> bool {
        key.operator && key.account == self.operator
    }
}
