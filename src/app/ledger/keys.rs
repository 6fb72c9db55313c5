//! The keys that sign checkpoints.

use serde_json::{Map, Value};

use crate::app::App;
use crate::app::authorise::Presented;
use crate::app::change::About;
use crate::app::error::Error;
use crate::app::pulse::reborrow;
use crate::domain::audit::Action;
use crate::domain::time::Timestamp;
use crate::store::Conn;
use crate::store::ledger::{self, LedgerKeyRow};
use crate::token::{Algorithm, MasterKey, PrivateKey};

impl App {
    /// The key that signs checkpoints; made when there is none.
    pub(super) async fn ledger_key(
        &self,
        mut conn: Conn<'_>,
        now: Timestamp,
    ) -> Result<PrivateKey, Error> {
        let keys = ledger::keys(reborrow(&mut conn)).await?;
        let sealed = keys
            .iter()
            .rev()
            .find(|key| key.retired_at.is_none())
            .and_then(|key| Some((key.kid.clone(), key.sealed_private.clone()?)));
        let Some((kid, sealed)) = sealed else {
            let (row, key) = self.new_ledger_key(now)?;
            ledger::insert_key(conn, &row).await?;
            return Ok(key);
        };
        let opened = self
            .master
            .open(&sealed, &aad(&kid))
            .map_err(|error| Error::Unavailable(error.into()))?;
        PrivateKey::from_pkcs8(Algorithm::EdDsa, &opened)
            .map_err(|error| Error::Internal(error.into()))
    }

    fn new_ledger_key(&self, now: Timestamp) -> Result<(LedgerKeyRow, PrivateKey), Error> {
        let internal = |error: crate::token::KeyError| Error::Internal(error.into());
        let key = PrivateKey::generate(Algorithm::EdDsa).map_err(internal)?;
        let pkcs8 = key.to_pkcs8().map_err(internal)?;
        let kid = key.public().kid().to_owned();
        let sealed = self
            .master
            .seal(&pkcs8, &aad(&kid), &*self.entropy)
            .map_err(|error| Error::Internal(error.into()))?;
        let row = LedgerKeyRow {
            public_jwk: serde_json::to_string(key.public().jwk())
                .map_err(|error| Error::Internal(error.into()))?,
            kid,
            sealed_private: Some(sealed),
            created_at: now.millis(),
            retired_at: None,
        };
        Ok((row, key))
    }

    /// Lets another key sign checkpoints from now on. The private half of the one before is
    /// dropped; its public half is kept, and what it signed can be checked as before.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rotate_ledger_key(&self, presented: &Presented) -> Result<String, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let now = change.now;
        for mut old in ledger::keys(change.conn()).await? {
            if old.retired_at.is_none() {
                old.retired_at = Some(now.millis());
                old.sealed_private = None;
                ledger::update_key(change.conn(), &old).await?;
            }
        }
        let (row, _) = self.new_ledger_key(now)?;
        ledger::insert_key(change.conn(), &row).await?;
        let about = About {
            action: Action::AuditKeyRotate,
            account: caller.subject()?.account(),
            target: Some(row.kid.clone()),
            session: None,
            details: Map::new(),
        };
        change
            .record(Some(&caller), &presented.facts, about)
            .await?;
        change.commit().await?;
        Ok(row.kid)
    }

    /// The public keys of all checkpoints, also of those that sign no more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn ledger_keys(&self) -> Result<Vec<Value>, Error> {
        let rows = ledger::keys(self.store.read().await?.conn()).await?;
        rows.iter()
            .map(|row| serde_json::from_str(&row.public_jwk))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Internal(error.into()))
    }

    pub(crate) async fn rewrap_ledger(
        &self,
        mut conn: Conn<'_>,
        new: &MasterKey,
    ) -> Result<usize, Error> {
        let mut count = 0;
        for mut row in ledger::keys(reborrow(&mut conn)).await? {
            let Some(sealed) = &row.sealed_private else {
                continue;
            };
            let opened = self
                .master
                .open(sealed, &aad(&row.kid))
                .map_err(|error| Error::Unavailable(error.into()))?;
            let again = new
                .seal(&opened, &aad(&row.kid), &*self.entropy)
                .map_err(|error| Error::Internal(error.into()))?;
            row.sealed_private = Some(again);
            ledger::update_key(reborrow(&mut conn), &row).await?;
            count += 1;
        }
        Ok(count)
    }
}

/// What the sealed private half of a key is bound to.
fn aad(kid: &str) -> Vec<u8> {
    format!("hallpass ledger key {kid}").into_bytes()
}
