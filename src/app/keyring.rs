//! The signing keys: sealed rows in the database, opened into an immutable key ring.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::App;
use super::authorise::Presented;
use super::change::{About, Change};
use super::error::{Conflict, Error};
use super::pulse::reborrow;
use crate::domain::audit::{Action, Entry, Outcome};
use crate::domain::environment::Environment;
use crate::domain::id::AuditId;
use crate::domain::liveness::{Rev, Tag};
use crate::domain::time::Timestamp;
use crate::store::signing_keys::{self, SigningKeyRow};
use crate::store::{Conn, StoreError, accounts, change_log};
use crate::token::master::SealError;
use crate::token::rotation::{
    RotationError, RotationPolicy, Step, gap_of_revocation, plan_revocation, plan_rotation,
    plan_upkeep,
};
use crate::token::{
    Algorithm, Jwks, KeyRecord, KeyRing, MasterKey, PrivateKey, PublicKey, SigningKey,
    SigningKeyState,
};

/// Why the signing keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeysError {
    /// The master key is another one than that which sealed them.
    #[error(
        "the master key is not the one that sealed the signing keys; start with the right one (see HALLPASS_MASTER_KEY and the keys folder)"
    )]
    WrongMasterKey,
    /// A row is not one that was written here.
    #[error("signing key {kid} in the database cannot be read")]
    Corrupt {
        /// Which.
        kid: String,
    },
}

/// A signing key as the API shows it. There is no private half.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct SigningKeyItem {
    pub kid: String,
    pub environment: Environment,
    pub algorithm: String,
    pub state: SigningKeyState,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Until when nothing would be signed if it were revoked now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned_until: Option<Timestamp>,
}

fn aad(environment: &str, kid: &str) -> Vec<u8> {
    format!("hallpass signing key {environment} {kid}").into_bytes()
}

/// What planning needs of a row.
fn record(row: &SigningKeyRow) -> Option<KeyRecord> {
    Some(KeyRecord {
        kid: row.kid.clone(),
        alg: row.algorithm.parse().ok()?,
        env: Environment::parse(&row.environment)?,
        state: SigningKeyState::parse(&row.state).ok()?,
        created_at: Timestamp::from_millis(row.created_at),
        published_at: Timestamp::from_millis(row.created_at),
        activated_at: row.activated_at.map(Timestamp::from_millis),
        retired_at: row.retired_at.map(Timestamp::from_millis),
        revoked_at: row.revoked_at.map(Timestamp::from_millis),
    })
}

fn records(rows: &[SigningKeyRow]) -> Result<Vec<KeyRecord>, Error> {
    rows.iter()
        .map(|row| {
            let corrupt = || SigningKeysError::Corrupt {
                kid: row.kid.clone(),
            };
            record(row).ok_or_else(|| Error::Internal(corrupt().into()))
        })
        .collect()
}

fn open_row(row: &SigningKeyRow, master: &MasterKey) -> Result<SigningKey, SigningKeysError> {
    let corrupt = || SigningKeysError::Corrupt {
        kid: row.kid.clone(),
    };
    let record = record(row).ok_or_else(corrupt)?;
    let jwk: Value = serde_json::from_str(&row.public_jwk).map_err(|_| corrupt())?;
    let public = PublicKey::from_jwk(&jwk).map_err(|_| corrupt())?;
    let private = match &row.sealed_private {
        None => None,
        Some(sealed) => {
            let opened = master
                .open(sealed, &aad(&row.environment, &row.kid))
                .map_err(|error| match error {
                    SealError::WrongMasterKey => SigningKeysError::WrongMasterKey,
                    SealError::Corrupt | SealError::NoEntropy(_) | SealError::Cipher => corrupt(),
                })?;
            Some(PrivateKey::from_pkcs8(record.alg, &opened).map_err(|_| corrupt())?)
        }
    };
    Ok(SigningKey {
        record,
        public,
        private,
    })
}

/// Opens all signing keys.
pub(crate) fn open(rows: &[SigningKeyRow], master: &MasterKey) -> Result<KeyRing, Error> {
    let keys = rows
        .iter()
        .map(|row| open_row(row, master))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Unavailable(error.into()))?;
    KeyRing::new(keys).map_err(|error| Error::Internal(error.into()))
}

impl App {
    /// Reads the signing keys again, because the change log moved.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn reload_signing_keys(&self) -> Result<(), Error> {
        let mut read = self.store.read().await?;
        self.read_signing_keys(read.conn()).await
    }

    pub(crate) async fn read_signing_keys(&self, mut conn: Conn<'_>) -> Result<(), Error> {
        let as_of = change_log::head(reborrow(&mut conn)).await?;
        self.read_signing_keys_as_of(conn, as_of).await
    }

    /// The same by whoever has just read where the log stands.
    pub(crate) async fn read_signing_keys_as_of(
        &self,
        conn: Conn<'_>,
        as_of: Rev,
    ) -> Result<(), Error> {
        let rows = signing_keys::list(conn).await?;
        if !self.signing.keep(&rows, as_of) {
            let ring = open(&rows, &self.master)?;
            self.signing.set(Arc::new(ring), rows, as_of);
        }
        Ok(())
    }

    /// The public keys of an environment.
    pub fn jwks(&self, environment: Environment) -> Jwks {
        self.signing.ring().jwks(environment, self.now())
    }

    /// Makes, rotates and drops signing keys as the clock says. Many nodes may do this at once; the
    /// lock of the change log lets one win, and the others find nothing to do.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn keep_signing_keys(&self) -> Result<(), Error> {
        self.keep_by(self.policy.rotation.with_any_next()).await
    }

    /// The same when the service starts: a next key of another algorithm than the configured one is
    /// replaced, since the setting may have changed. Later, such a key was asked for by command.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn adopt_configured_algorithm(&self) -> Result<(), Error> {
        self.keep_by(self.policy.rotation).await
    }

    async fn keep_by(&self, policy: RotationPolicy) -> Result<(), Error> {
        let plan = |rows: &[SigningKeyRow], now| -> Result<Vec<(Environment, Step)>, Error> {
            let records = records(rows)?;
            Ok(Environment::ALL
                .into_iter()
                .flat_map(|environment| {
                    plan_upkeep(&records, environment, now, &policy)
                        .into_iter()
                        .map(move |step| (environment, step))
                })
                .collect())
        };
        let rows = signing_keys::list(self.store.read().await?.conn()).await?;
        if plan(&rows, self.now())?.is_empty() {
            return Ok(());
        }
        let mut change = self.change_unasked().await?;
        let rows = signing_keys::list(change.conn()).await?;
        let steps = plan(&rows, change.now)?;
        self.apply(&mut change, &rows, &steps).await?;
        if !steps.is_empty() {
            self.record_upkeep(&mut change, &steps).await?;
        }
        change.commit().await?;
        self.reload_signing_keys().await
    }

    /// All signing keys.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_signing_keys(&self) -> Result<Vec<SigningKeyItem>, Error> {
        let rows = signing_keys::list(self.store.read().await?.conn()).await?;
        let records = records(&rows)?;
        let (now, policy) = (self.now(), self.policy.rotation.with_any_next());
        let gap = |key: &KeyRecord| {
            // Of a key that is revoked already there is nothing to foresee.
            gap_of_revocation(&records, key.env, &key.kid, now, &policy)
                .ok()
                .flatten()
        };
        Ok(records
            .iter()
            .map(|record| (gap(record), record.clone()))
            .map(|(unsigned_until, record)| SigningKeyItem {
                kid: record.kid,
                environment: record.env,
                algorithm: record.alg.to_string(),
                state: record.state,
                created_at: record.created_at,
                activated_at: record.activated_at,
                retired_at: record.retired_at,
                revoked_at: record.revoked_at,
                unsigned_until,
            })
            .collect())
    }

    /// Rotates the signing key of an environment now, or changes the algorithm of the next one: the
    /// active key goes on until the next has been published for long enough. The id of the key
    /// that signs after it.
    ///
    /// # Errors
    /// [`Conflict::SigningKey`] when the next key is too young to sign.
    pub async fn rotate_signing_key(
        &self,
        presented: &Presented,
        environment: Environment,
        algorithm: Option<Algorithm>,
    ) -> Result<String, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let policy = self.policy.rotation.with_any_next();
        let rows = signing_keys::list(change.conn()).await?;
        let mut records = records(&rows)?;
        let mut steps = Vec::new();
        if let Some(algorithm) = algorithm
            && let Some(next) = records.iter().find(|key| {
                key.env == environment && key.state == SigningKeyState::Next && key.alg != algorithm
            })
        {
            // A next key of another algorithm has signed nothing, so it can simply go.
            let kid = next.kid.clone();
            records.retain(|key| key.kid != kid);
            steps.push(Step::Delete { kid });
            steps.push(Step::CreateNext { alg: algorithm });
        } else {
            let planned = plan_rotation(&records, environment, change.now, &policy);
            steps.extend(planned.map_err(|error| conflict(&error))?);
        }
        let steps: Vec<_> = steps.into_iter().map(|step| (environment, step)).collect();
        let kid = self.apply(&mut change, &rows, &steps).await?;
        let mut details = Map::new();
        details.insert("environment".to_owned(), environment.as_str().into());
        let about = About {
            action: Action::SigningKeyRotate,
            account: caller.subject()?.account(),
            target: kid.clone(),
            session: None,
            details,
        };
        change
            .record(Some(&caller), &presented.facts, about)
            .await?;
        change.commit().await?;
        self.reload_signing_keys().await?;
        kid.ok_or_else(|| Error::internal("a rotation without a new key"))
    }

    /// Ends a signing key at once, with every token that it signed. Until when nothing is signed in
    /// its environment, if the key that takes its place is too young.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Conflict::SigningKey`] when it is revoked already.
    pub async fn revoke_signing_key(
        &self,
        presented: &Presented,
        kid: &str,
    ) -> Result<Option<Timestamp>, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let rows = signing_keys::list(change.conn()).await?;
        let records = records(&rows)?;
        let environment = records
            .iter()
            .find(|key| key.kid == kid)
            .map(|key| key.env)
            .ok_or(Error::NotFound)?;
        let policy = self.policy.rotation.with_any_next();
        let steps = plan_revocation(&records, environment, kid, change.now, &policy)
            .map_err(|error| conflict(&error))?;
        let unsigned_until = gap_of_revocation(&records, environment, kid, change.now, &policy)
            .map_err(|error| conflict(&error))?;
        let steps: Vec<_> = steps.into_iter().map(|step| (environment, step)).collect();
        self.apply(&mut change, &rows, &steps).await?;
        // No token has this tag. It makes an entry of the log, so that whoever waits for one hears
        // of the key at once.
        change.end(Tag::new(&*self.entropy)?).await?;
        let about = About {
            action: Action::SigningKeyRevoke,
            account: caller.subject()?.account(),
            target: Some(kid.to_owned()),
            session: None,
            details: Map::new(),
        };
        change
            .record(Some(&caller), &presented.facts, about)
            .await?;
        change.commit().await?;
        self.reload_signing_keys().await?;
        Ok(unsigned_until)
    }

    /// Carries out planned steps. The id of the key that was made active, or made, last.
    pub(crate) async fn apply(
        &self,
        change: &mut Change<'_>,
        rows: &[SigningKeyRow],
        steps: &[(Environment, Step)],
    ) -> Result<Option<String>, Error> {
        let mut kid = None;
        let now = change.now.millis();
        for (environment, step) in steps {
            let find = |kid: &str| {
                rows.iter()
                    .find(|row| row.kid == kid)
                    .cloned()
                    .ok_or_else(|| Error::internal("a step for a signing key that is not there"))
            };
            match step {
                Step::CreateActive { alg } => {
                    let row = self.make(*environment, *alg, change.now, true).await?;
                    signing_keys::insert(change.conn(), &row)
                        .await
                        .map_err(taken)?;
                    kid = Some(row.kid);
                }
                Step::CreateNext { alg } => {
                    let row = self.make(*environment, *alg, change.now, false).await?;
                    signing_keys::insert(change.conn(), &row)
                        .await
                        .map_err(taken)?;
                    kid = kid.or(Some(row.kid));
                }
                Step::Activate { kid: next, at } => {
                    let mut row = find(next)?;
                    let was = std::mem::replace(&mut row.state, "active".to_owned());
                    row.activated_at = Some(at.millis());
                    change_state(change.conn(), &row, &was).await?;
                    kid = Some(row.kid);
                }
                Step::Retire { kid: old } => {
                    let mut row = find(old)?;
                    let was = std::mem::replace(&mut row.state, "retired".to_owned());
                    row.retired_at = Some(now);
                    row.sealed_private = None;
                    change_state(change.conn(), &row, &was).await?;
                }
                Step::Revoke { kid: bad } => {
                    let mut row = find(bad)?;
                    let was = std::mem::replace(&mut row.state, "revoked".to_owned());
                    row.revoked_at = Some(now);
                    row.sealed_private = None;
                    change_state(change.conn(), &row, &was).await?;
                }
                Step::Delete { kid: old } => signing_keys::delete(change.conn(), old).await?,
            }
        }
        Ok(kid)
    }

    async fn make(
        &self,
        environment: Environment,
        algorithm: Algorithm,
        now: Timestamp,
        active: bool,
    ) -> Result<SigningKeyRow, Error> {
        // An RSA key takes long enough to make that other requests would notice.
        let private = tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm))
            .await
            .map_err(|error| Error::Internal(error.into()))?
            .map_err(|error| Error::Internal(error.into()))?;
        let public = private.public();
        let kid = public.kid().to_owned();
        let pkcs8 = private
            .to_pkcs8()
            .map_err(|error| Error::Internal(error.into()))?;
        let sealed = self
            .master
            .seal(&pkcs8, &aad(environment.as_str(), &kid), &*self.entropy)
            .map_err(|error| Error::Internal(error.into()))?;
        Ok(SigningKeyRow {
            kid,
            environment: environment.as_str().to_owned(),
            algorithm: algorithm.to_string(),
            state: if active { "active" } else { "next" }.to_owned(),
            public_jwk: serde_json::to_string(public.jwk())
                .map_err(|error| Error::Internal(error.into()))?,
            sealed_private: Some(sealed),
            created_at: now.millis(),
            activated_at: active.then_some(now.millis()),
            retired_at: None,
            revoked_at: None,
        })
    }

    async fn record_upkeep(
        &self,
        change: &mut Change<'_>,
        steps: &[(Environment, Step)],
    ) -> Result<(), Error> {
        let operator = accounts::chain(change.conn(), &self.operator)
            .await?
            .ok_or_else(|| Error::internal("no operator account"))?;
        let mut details = Map::new();
        let names: Vec<Value> = steps
            .iter()
            .map(|(environment, step)| format!("{environment} {}", name(step)).into())
            .collect();
        details.insert("steps".to_owned(), names.into());
        let entry = Entry {
            id: AuditId::new(change.now, &*self.entropy)?,
            at: change.now,
            action: Action::SigningKeyRotate,
            outcome: Outcome::Done,
            account: operator.account().id.clone(),
            actor: None,
            key: None,
            session: None,
            target: None,
            request: None,
            address: None,
            details,
        };
        change.write(&entry, None).await
    }

    /// Seals all private keys, and all else that is sealed, under another master key. Everything after must be started with it.
    ///
    /// # Errors
    /// [`Error`]; nothing was changed then.
    pub async fn rewrap(&self, new: &MasterKey, presented: &Presented) -> Result<usize, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let mut sealed = 0;
        for mut row in signing_keys::list(change.conn()).await? {
            let Some(old) = row.sealed_private.take() else {
                continue;
            };
            let aad = aad(&row.environment, &row.kid);
            let opened = self
                .master
                .open(&old, &aad)
                .map_err(|error| Error::Unavailable(error.into()))?;
            let again = new
                .seal(&opened, &aad, &*self.entropy)
                .map_err(|error| Error::Internal(error.into()))?;
            row.sealed_private = Some(again);
            let state = row.state.clone();
            change_state(change.conn(), &row, &state).await?;
            sealed += 1;
        }
        sealed += self.rewrap_webhooks(change.conn(), new).await?;
        sealed += self.rewrap_ledger(change.conn(), new).await?;
        let about = About {
            action: Action::SigningKeyRewrap,
            account: caller.subject()?.account(),
            target: None,
            session: None,
            details: Map::new(),
        };
        change
            .record(Some(&caller), &presented.facts, about)
            .await?;
        change.commit().await?;
        Ok(sealed)
    }
}

/// The rotation that settings ask for.
pub(crate) fn rotation_policy(
    algorithm: Algorithm,
    max_age_secs: u32,
    period_secs: Option<i64>,
) -> RotationPolicy {
    let max_age_secs = i64::from(max_age_secs);
    RotationPolicy::new(algorithm, max_age_secs, max_age_secs, period_secs)
}

fn name(step: &Step) -> String {
    match step {
        Step::CreateActive { alg } => format!("create active {alg}"),
        Step::CreateNext { alg } => format!("create next {alg}"),
        Step::Activate { kid, .. } => format!("activate {kid}"),
        Step::Retire { kid } => format!("retire {kid}"),
        Step::Revoke { kid } => format!("revoke {kid}"),
        Step::Delete { kid } => format!("delete {kid}"),
    }
}

fn conflict(error: &RotationError) -> Error {
    match error {
        RotationError::NextTooYoung { .. } | RotationError::AlreadyRevoked => {
            Error::Conflict(Conflict::SigningKey)
        }
        RotationError::UnknownKey => Error::NotFound,
    }
}

fn taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::Conflict(Conflict::SigningKey),
        error @ (StoreError::Unavailable(_)
        | StoreError::Corrupt { .. }
        | StoreError::Database(_)) => error.into(),
    }
}

async fn change_state(mut conn: Conn<'_>, row: &SigningKeyRow, was: &str) -> Result<(), Error> {
    if signing_keys::change_state(reborrow(&mut conn), row, was)
        .await
        .map_err(taken)?
    {
        Ok(())
    } else {
        Err(Error::Conflict(Conflict::SigningKey))
    }
}
