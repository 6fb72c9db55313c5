//! What is written in batches: when secrets were used last, and authenticated refusals.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::App;
use super::authorise::{Facts, Presented};
use super::error::Error;
use crate::domain::api_key::ApiKey;
use crate::domain::audit::{Action, Entry, Outcome};
use crate::domain::id::AuditId;
use crate::domain::secret::KeyDigest;
use crate::domain::time::Timestamp;
use crate::store::secrets::LastUsed;
use crate::store::{accounts, audit, secrets};

/// Refusals that are kept between two batches; what comes above is counted and not kept.
const REFUSALS_MAX: usize = 500;
/// Secrets that are remembered between two batches.
const USED_MAX: usize = 50_000;

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Lately {
    used: Mutex<HashMap<[u8; 32], LastUsed>>,
    refused: Mutex<Vec<Entry>>,
}

impl Lately {
    /// Remembers that a secret was used.
    pub fn used(&self, digest: &KeyDigest, facts: &Facts, now: Timestamp) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED_MAX && !used.contains_key(digest.as_bytes()) {
            return;
        }
        let address = facts.address.map(|address| address.to_string());
        used.insert(
            *digest.as_bytes(),
            LastUsed {
                at: now,
                address,
                agent: facts.agent.clone(),
            },
        );
    }

    /// Remembers that an authenticated caller was refused.
    pub fn refused(&self, app: &App, presented: &Presented, key: &ApiKey, now: Timestamp) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REFUSALS_MAX {
            app.metrics.refused("LEDGER_BATCH_FULL");
            return;
        }
        let Ok(id) = AuditId::new(now, &*app.entropy) else {
            return;
        };
        let facts = &presented.facts;
        let mut details = Map::new();
        details.insert("environment".to_owned(), key.environment.as_str().into());
        details.insert("method".to_owned(), Value::from(facts.method.clone()));
        details.insert("path".to_owned(), Value::from(facts.path.as_str()));
        refused.push(Entry {
            id,
            at: now,
            action: Action::Refused,
            outcome: Outcome::Refused,
            actor: Some(key.account.clone()),
            account: key.account.clone(),
            key: Some(key.id.clone()),
            session: None,
            target: None,
            request: Some(facts.request.clone()),
            address: facts.address,
            details,
        });
    }
}

impl App {
    /// Writes when secrets were used last.
    ///
    /// # Errors
    /// [`Error`]; what was not written is lost.
    pub async fn write_last_used(&self) -> Result<(), Error> {
        let used = std::mem::take(
            &mut *self
                .lately
                .used
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if used.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write().await?;
        for (digest, used) in &used {
            if let Some(digest) = KeyDigest::from_bytes(digest) {
                secrets::touch(tx.conn(), &digest, used).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Writes the authenticated refusals of the last moment.
    ///
    /// # Errors
    /// [`Error`]; what was not written is lost.
    pub async fn write_refusals(&self) -> Result<(), Error> {
        let refused = std::mem::take(
            &mut *self
                .lately
                .refused
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if refused.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write().await?;
        for entry in &refused {
            let parent = accounts::chain(tx.conn(), &entry.account)
                .await?
                .and_then(|chain| chain.account().parent.clone());
            audit::append(tx.conn(), entry, parent.as_ref()).await?;
        }
        Ok(tx.commit().await?)
    }
}
