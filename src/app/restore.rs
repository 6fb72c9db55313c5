//! After a backup was put back: what was revoked since must not be alive again.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Map;

use super::App;
use super::change::{About, Change};
use super::error::Error;
use super::journal::Since;
use crate::domain::audit::Action;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, WebhookId};
use crate::domain::liveness::{LogId, Position, Tag};
use crate::store::restore::{self, Loss, Switch};
use crate::store::{accounts, change_log};
use crate::token::rotation::Step;

/// What is known of the time between the backup and now.
#[derive(Debug, Clone)]
pub enum Knowledge {
    /// What the journals have.
    Journal(Since),
    /// Nothing: every key is switched off until somebody confirms it.
    None,
}

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Keys that are switched off until they are confirmed.
    pub keys_held: usize,
    /// Webhooks that are switched off until they are confirmed.
    pub webhooks_held: usize,
    /// Accounts that were suspended, because they were after the backup.
    pub accounts_suspended: usize,
    /// Signing keys that were revoked; new ones were made.
    pub signing_keys_revoked: u64,
}

impl App {
    /// The position of the last change in this database.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn last_position(&self) -> Result<Position, Error> {
        let mut read = self.store.read().await?;
        Ok(change_log::head(read.conn()).await?.position)
    }

    /// Makes a database that was put back from a backup safe to serve: a new log ends every session,
    /// every signing key is replaced, and keys that may have been changed since are switched off
    /// until somebody confirms them. All of it is one change.
    ///
    /// # Errors
    /// [`Error`]; nothing was done then.
    pub async fn restore(&self, knowledge: &Knowledge) -> Result<Restored, Error> {
        let mut done = Restored::default();
        let mut change = self.change_unasked().await?;
        let log = LogId::new(&*self.entropy)?;
        let position = change.position();
        restore::begin_log(change.conn(), log, position).await?;
        let now = change.now;
        for (id, tag, line) in restore::keys(change.conn()).await? {
            if is_changed(knowledge, &[tag, line]) {
                restore::switch(change.conn(), Switch::Key, &id, false, now).await?;
                restore::hold(change.conn(), &id, now).await?;
                done.keys_held += 1;
            }
        }
        // A webhook has no tag, and one that was deleted since may be in the wrong hands.
        for id in restore::webhooks(change.conn()).await? {
            restore::switch(change.conn(), Switch::Webhook, &id, false, now).await?;
            restore::hold(change.conn(), &id, now).await?;
            done.webhooks_held += 1;
        }
        if let Knowledge::Journal(since) = knowledge {
            done.accounts_suspended = lose(&mut change, &since.ended, position).await?;
        }
        // One that was revoked since could sign again.
        done.signing_keys_revoked = restore::revoke_signing_keys(change.conn(), now).await?;
        // They sign at once, though nobody has fetched them yet: no token is out that a verifier
        // could go on with, and to wait would only make the outage longer.
        let alg = self.policy.rotation.alg();
        let steps: Vec<_> = Environment::ALL
            .into_iter()
            .flat_map(|environment| {
                [Step::CreateActive { alg }, Step::CreateNext { alg }]
                    .map(|step| (environment, step))
            })
            .collect();
        self.apply(&mut change, &[], &steps).await?;
        let operator = self.operator.clone();
        let mut details = Map::new();
        details.insert("keysHeld".to_owned(), done.keys_held.into());
        details.insert("webhooksHeld".to_owned(), done.webhooks_held.into());
        details.insert(
            "accountsSuspended".to_owned(),
            done.accounts_suspended.into(),
        );
        let known = matches!(knowledge, Knowledge::Journal(_));
        details.insert("byJournal".to_owned(), known.into());
        self.record_restore(&mut change, &operator, Action::Restore, None, details)
            .await?;
        change.commit().await?;
        self.reload_signing_keys().await?;
        Ok(done)
    }

    /// What a restore switched off and nobody confirmed.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn held(&self) -> Result<Vec<String>, Error> {
        Ok(restore::held(self.store.read().await?.conn()).await?)
    }

    /// Switches on again what a restore switched off: these, or all.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an id that is not held; nothing was done then.
    pub async fn confirm(&self, wanted: Option<&[String]>) -> Result<usize, Error> {
        let mut change = self.change_unasked().await?;
        let now = change.now;
        let held = restore::held(change.conn()).await?;
        let ids: Vec<String> = match wanted {
            None => held,
            Some(wanted) => {
                if wanted.iter().any(|id| !held.contains(id)) {
                    return Err(Error::NotFound);
                }
                wanted.to_vec()
            }
        };
        let operator = self.operator.clone();
        for id in &ids {
            let what = if KeyId::parse(id).is_ok() {
                Switch::Key
            } else if WebhookId::parse(id).is_ok() {
                Switch::Webhook
            } else {
                return Err(Error::internal(
                    "something else than a key or webhook is held",
                ));
            };
            restore::switch(change.conn(), what, id, true, now).await?;
            restore::release(change.conn(), id).await?;
            let action = Action::RestoreConfirm;
            self.record_restore(&mut change, &operator, action, Some(id), Map::new())
                .await?;
        }
        change.commit().await?;
        Ok(ids.len())
    }

    async fn record_restore(
        &self,
        change: &mut Change<'_>,
        operator: &AccountId,
        action: Action,
        target: Option<&String>,
        details: Map<String, serde_json::Value>,
    ) -> Result<(), Error> {
        let chain = accounts::chain(change.conn(), operator)
            .await?
            .ok_or_else(|| Error::internal("no operator account"))?;
        let about = About {
            action,
            account: chain.account(),
            target: target.cloned(),
            session: None,
            details,
        };
        change.record_unasked(about).await
    }
}

fn is_changed(knowledge: &Knowledge, tags: &[Tag]) -> bool {
    match knowledge {
        Knowledge::None => true,
        Knowledge::Journal(since) => tags.iter().any(|tag| {
            let tag = tag.to_i64();
            since.ended.contains(&tag) || since.touched.contains(&tag)
        }),
    }
}

/// Takes from accounts what they lost after the backup. How many lost their life.
async fn lose(
    change: &mut Change<'_>,
    ended: &BTreeSet<i64>,
    position: Position,
) -> Result<usize, Error> {
    let mut suspended = 0;
    for (id, own, child, parent) in restore::accounts(change.conn()).await? {
        for (tag, loss) in [
            (own, Loss::Life),
            (child, Loss::ParentActs),
            (parent, Loss::ActsForChildren),
        ] {
            if ended.contains(&tag.to_i64()) {
                restore::take(change.conn(), &id, loss, position).await?;
                suspended += usize::from(loss == Loss::Life);
            }
        }
    }
    Ok(suspended)
}
