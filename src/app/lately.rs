//! What is written in batches: authenticated refusals, and what the gate allowed to somebody who acts
//! as somebody else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::App;
use super::authorise::{Caller, Facts, Presented, Who};
use super::error::Error;
use crate::domain::audit::{Action, Entry, Outcome};
use crate::domain::gate::Identity;
use crate::domain::id::AuditId;
use crate::domain::time::Timestamp;
use crate::store::{accounts, audit};

/// Refusals that are kept between two batches; what comes above is counted and not kept.
const REFUSALS_MAX: usize = 500;
/// Acts at the gate that wait at most; the next one waits until they are written.
const ACTS_MAX: usize = 1_000;

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Lately {
    refused: Mutex<Vec<Entry>>,
    acts: Mutex<Vec<Entry>>,
}

impl Lately {
    fn acts(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that an authenticated caller was refused.
    pub fn refused(&self, app: &App, presented: &Presented, who: &Who, now: Timestamp) {
        let (environment, account, actor, key, session) = match who {
            Who::Key(chain) => {
                let key = chain.key();
                (key.environment, &key.account, &key.account, &key.id, None)
            }
            Who::Session(session) => {
                let claims = &session.claims;
                let actor = claims.act.as_ref().map_or(&claims.sub, |act| &act.sub);
                let (key, id) = (&claims.client_id, Some(&claims.jti));
                (session.environment, &claims.sub, actor, key, id)
            }
            // The operator has the database before it.
            Who::Cli(_) => return,
        };
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
        details.insert("environment".to_owned(), environment.as_str().into());
        details.insert("method".to_owned(), Value::from(facts.method.clone()));
        details.insert("path".to_owned(), Value::from(facts.path.as_str()));
        refused.push(Entry {
            id,
            at: now,
            action: Action::Refused,
            outcome: Outcome::Refused,
            actor: Some(actor.clone()),
            account: account.clone(),
            key: Some(key.clone()),
            session: session.cloned(),
            target: None,
            request: Some(facts.request.clone()),
            address: facts.address,
            details,
        });
    }
}

impl App {
    /// Remembers that the gate allowed a request with an unsafe method to somebody who acts as
    /// somebody else. When too many wait, they are written first, so that none is left out.
    ///
    /// # Errors
    /// [`Error`] when they cannot be written; nothing is allowed then.
    pub(crate) async fn record_acting(
        self: &Arc<Self>,
        caller: &Caller,
        identity: &Identity<'_>,
        facts: &Facts,
    ) -> Result<(), Error> {
        let now = self.now();
        let mut details = Map::new();
        details.insert(
            "environment".to_owned(),
            identity.environment.as_str().into(),
        );
        details.insert("method".to_owned(), Value::from(facts.method.clone()));
        details.insert("path".to_owned(), Value::from(facts.path.as_str()));
        let entry = Entry {
            id: AuditId::new(now, &*self.entropy)?,
            at: now,
            action: Action::Impersonate,
            outcome: Outcome::Done,
            actor: identity.actor.cloned(),
            account: caller.account().clone(),
            key: identity.key.cloned(),
            session: identity.session.cloned(),
            target: None,
            request: Some(facts.request.clone()),
            address: facts.address,
            details,
        };
        let is_full = {
            let mut acts = self.lately.acts();
            acts.push(entry);
            acts.len() >= ACTS_MAX
        };
        if is_full {
            let app = Arc::clone(self);
            // A task of its own: this request may be given up with its client, and what was taken
            // to be written must not be lost with it.
            let written = tokio::spawn(async move { app.write_acts().await });
            written
                .await
                .map_err(|error| Error::Internal(error.into()))??;
        }
        Ok(())
    }

    /// Writes what the gate allowed to those who act as somebody else.
    ///
    /// # Errors
    /// [`Error`]; what was not written waits for the next time.
    pub async fn write_acts(&self) -> Result<(), Error> {
        let acts = std::mem::take(&mut *self.lately.acts());
        if acts.is_empty() {
            return Ok(());
        }
        let written = self.append_all(&acts).await;
        if written.is_err() {
            // In front of those that came meanwhile.
            self.lately.acts().splice(0..0, acts);
        }
        written
    }

    async fn append_all(&self, entries: &[Entry]) -> Result<(), Error> {
        let mut tx = self.store.write().await?;
        for entry in entries {
            let parent = accounts::chain(tx.conn(), &entry.account)
                .await?
                .and_then(|chain| chain.account().parent.clone());
            audit::append(tx.conn(), entry, parent.as_ref()).await?;
            let ordinal = entry.at.millis().saturating_mul(1000);
            self.tell_entry(tx.conn(), entry, parent.as_ref(), ordinal)
                .await?;
        }
        tx.commit().await?;
        self.webhooks.wake();
        Ok(())
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
        self.append_all(&refused).await
    }
}
