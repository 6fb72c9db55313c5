//! The start: the database, the master key, the first account, its first key, the signing keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

use serde_json::Map;

use super::authorise::Remembered;
use super::error::Error;
use super::feed::Feed;
use super::gate::UpstreamTokens;
use super::keyring::{SigningKeysError, open};
use super::last_used::LastUses;
use super::lately::Lately;
use super::ledger::Ledger;
use super::limiter::Limiter;
use super::pulse::Pulse;
use super::sessions::Writer;
use super::signing::Signing;
use super::usage::GateHistory;
use super::webhooks::{Outbox, Webhooks};
use super::{App, Policy};
use crate::clock::Clock;
use crate::domain::account::{Account, AccountState, ImpersonationPolicy, Profile};
use crate::domain::api_key::{ApiKey, KeyProfile};
use crate::domain::audit::{Action, Entry, Outcome};
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, AuditId, KeyId};
use crate::domain::liveness::{LogId, Tag};
use crate::domain::restrictions::Restrictions;
use crate::domain::secret::{KeyKind, PlainKey};
use crate::entropy::Entropy;
use crate::metrics::Metrics;
use crate::store::secrets::Secret;
use crate::store::{Store, accounts, api_keys, audit, change_log, instance, secrets, signing_keys};
use crate::token::MasterKey;

/// What the app is made of.
#[derive(Debug)]
pub struct Parts {
    /// The database, open and up to date.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// The settings.
    pub policy: Policy,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What seals the signing keys.
    pub master: MasterKey,
}

/// What the first start made. There is nothing in it at any other.
#[derive(Debug)]
pub struct FirstStart {
    /// The operator account.
    pub operator: AccountId,
    /// Its first key, to be printed once.
    pub key: PlainKey,
}

impl App {
    /// Makes what is missing and reads the rest. Several nodes may start at once on an empty
    /// database: one makes it all, and it alone gets the first key.
    ///
    /// # Errors
    /// [`Error`], in particular when the master key is the wrong one.
    pub async fn start(parts: Parts) -> Result<(Arc<Self>, Option<FirstStart>), Error> {
        let Parts {
            store,
            clock,
            entropy,
            policy,
            metrics,
            master,
        } = parts;
        let first = first_start(&store, &*clock, &*entropy).await?;
        let operator = instance::operator(store.read().await?.conn())
            .await?
            .ok_or_else(|| Error::internal("the database has no operator account"))?;
        // Before anything is made: a wrong master key stops the start.
        open(
            &signing_keys::list(store.read().await?.conn()).await?,
            &master,
        )?;
        let pulse = Pulse::open(&store, Arc::clone(&clock), policy.lease).await?;
        let limiter = Limiter::new(policy.failure_limit);
        let feed = Feed::new(policy.feed);
        let webhooks = Webhooks::new(&policy.webhooks)?;
        let ledger = Ledger::new(&*entropy)?;
        let outbox = Outbox::new(Arc::clone(&entropy), Arc::clone(&metrics));
        let handed = Arc::clone(&ledger.handed);
        let app = Arc::new(Self {
            writer: Writer::start(store.clone(), handed, outbox.clone()),
            store,
            clock,
            entropy,
            policy,
            metrics,
            operator,
            latest_ms: AtomicI64::new(i64::MIN),
            leaving: AtomicBool::new(false),
            master,
            pulse,
            signing: Signing::empty(),
            limiter,
            lately: Lately::default(),
            last_uses: LastUses::default(),
            feed,
            gate_history: GateHistory::default(),
            remembered: Remembered::nothing(),
            outbox,
            webhooks,
            ledger,
            upstream: UpstreamTokens::default(),
        });
        let head = change_log::head(app.store.read().await?.conn()).await?;
        app.policy.journal.begin(head, app.now()).await;
        app.keep_signing_keys().await?;
        app.reload_signing_keys().await?;
        Ok((app, first))
    }
}

/// Whether an error says that the master key is the wrong one.
pub fn is_wrong_master_key(error: &Error) -> bool {
    match error {
        Error::Unavailable(source) => {
            matches!(
                source.downcast_ref(),
                Some(SigningKeysError::WrongMasterKey)
            )
        }
        Error::Unauthenticated(_)
        | Error::Forbidden(_)
        | Error::NotFound
        | Error::Invalid(_)
        | Error::Conflict(_)
        | Error::TooMany { .. }
        | Error::Internal(_) => false,
    }
}

async fn first_start(
    store: &Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Option<FirstStart>, Error> {
    if instance::operator(store.read().await?.conn())
        .await?
        .is_some()
    {
        return Ok(None);
    }
    let now = clock.now();
    let mut tx = store.write().await?;
    change_log::create(tx.conn(), LogId::new(entropy)?, now).await?;
    let rev = change_log::advance(tx.conn(), now).await?;
    let account = Account {
        id: AccountId::new(now, entropy)?,
        parent: None,
        depth: 1,
        profile: Profile {
            name: Some("operator".to_owned()),
            ..Profile::default()
        },
        state: AccountState::Active,
        can_impersonate: true,
        impersonation_policy: ImpersonationPolicy::Allow,
        tag: Tag::new(entropy)?,
        child_tag: Tag::new(entropy)?,
        parent_tag: Tag::new(entropy)?,
        denied_at: None,
        barred_at: None,
        created_at: now,
        updated_at: now,
    };
    if !instance::insert(tx.conn(), &account.id, now).await? {
        // Another node was first, and prints the key.
        return Ok(None);
    }
    accounts::insert(tx.conn(), &account).await?;
    let key = ApiKey {
        id: KeyId::new(now, entropy)?,
        account: account.id.clone(),
        maker: None,
        grantors: Vec::new(),
        depth: 1,
        environment: Environment::Live,
        kind: KeyKind::Secret,
        profile: KeyProfile {
            name: Some("first key".to_owned()),
            ..KeyProfile::default()
        },
        enabled: true,
        operator: false,
        declared_unrestricted: true,
        restrictions: Restrictions::default(),
        expires_at: None,
        ended: None,
        tag: Tag::new(entropy)?,
        line_tag: Tag::new(entropy)?,
        made_at: rev.position,
        line_cut_at: None,
        created_at: now,
        updated_at: now,
    };
    api_keys::insert(tx.conn(), &key).await?;
    let plain = PlainKey::generate(key.kind, key.environment, entropy)?;
    let secret = Secret {
        digest: plain.digest(),
        key: key.id.clone(),
        hint: plain.hint(),
        created_at: now,
        expires_at: None,
        last_used: None,
    };
    secrets::insert(tx.conn(), &secret).await?;
    for (action, target) in [
        (Action::UserCreate, None),
        (Action::TokenCreate, Some(key.id.as_str())),
    ] {
        let entry = Entry {
            id: AuditId::new(now, entropy)?,
            at: now,
            action,
            outcome: Outcome::Done,
            account: account.id.clone(),
            actor: None,
            key: None,
            session: None,
            target: target.map(str::to_owned),
            request: None,
            address: None,
            details: Map::new(),
        };
        audit::append(tx.conn(), &entry, None).await?;
    }
    tx.commit().await?;
    Ok(Some(FirstStart {
        operator: account.id,
        key: plain,
    }))
}
