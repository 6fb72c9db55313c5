//! A change: a transaction under the lock of the change log.
//!
//! The lock is taken first; the caller, its lineage and accounts, and whatever the change concerns
//! are read after it. So the order of positions is the order of commits, and two changes cannot pass
//! each other.

use serde_json::{Map, Value};

use super::App;
use super::authorise::{Caller, Facts, Presented};
use super::error::Error;
use crate::domain::account::Account;
use crate::domain::api_key::ApiKey;
use crate::domain::audit::{Action, Entry, Outcome};
use crate::domain::id::{AccountId, AuditId, SessionId};
use crate::domain::liveness::{Position, Rev, Tag};
use crate::domain::time::Timestamp;
use crate::store::{Conn, StoreError, Tx, accounts, api_keys, audit, change_log, change_touch};

/// A change that is under way. Dropped without [`Change::commit`], it never was.
#[derive(Debug)]
pub struct Change<'a> {
    app: &'a App,
    tx: Tx,
    /// Where in the log it stands.
    pub rev: Rev,
    /// When.
    pub now: Timestamp,
    ended: Vec<Tag>,
    touched: Vec<Tag>,
}

/// What an entry of the ledger says beside who and when.
#[derive(Debug)]
pub struct About<'a> {
    /// What was done.
    pub action: Action,
    /// The account whose ledger it is in.
    pub account: &'a Account,
    /// The id of what it was done to.
    pub target: Option<String>,
    /// The session that it was done to.
    pub session: Option<SessionId>,
    /// What else there is to say. Never a secret.
    pub details: Map<String, Value>,
}

impl App {
    /// Begins a change and admits its caller again, by what the lock protects.
    ///
    /// # Errors
    /// As [`App::admit`].
    pub async fn change(&self, presented: &Presented) -> Result<(Change<'_>, Caller), Error> {
        let mut change = self.change_unasked().await?;
        let caller = self.admit_in(change.conn(), presented, false).await?;
        Ok((change, caller))
    }

    /// Begins a change that no caller asks for: at first start, by the clock, or by possession of a
    /// leaked secret.
    pub(crate) async fn change_unasked(&self) -> Result<Change<'_>, Error> {
        let mut tx = self.store.write().await?;
        let now = self.now();
        let rev = change_log::advance(tx.conn(), now).await?;
        Ok(Change {
            app: self,
            tx,
            rev,
            now,
            ended: Vec::new(),
            touched: Vec::new(),
        })
    }
}

impl Change<'_> {
    /// The connection, for one statement.
    pub fn conn(&mut self) -> Conn<'_> {
        self.tx.conn()
    }

    /// Where in the log it stands.
    pub fn position(&self) -> Position {
        self.rev.position
    }

    /// Ends every token with this tag that was minted before.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn end(&mut self, tag: Tag) -> Result<(), Error> {
        change_log::append(self.tx.conn(), self.rev.position, tag, self.now).await?;
        self.ended.push(tag);
        Ok(())
    }

    /// Stores a changed key. Whatever remembers it, or a key that was made with it, reads it again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn update_key(&mut self, key: &ApiKey) -> Result<(), Error> {
        api_keys::update(self.tx.conn(), key).await?;
        self.touch(key.line_tag).await
    }

    /// Stores a changed account. Whatever remembers it, or one below it, reads it again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another child of its parent has its address.
    pub async fn update_account(&mut self, account: &Account) -> Result<(), StoreError> {
        accounts::update(self.tx.conn(), account).await?;
        self.touch_rows(account.tag).await
    }

    /// Says that rows of this tag have changed: the line tag of a key whose row or secrets have, the
    /// tag of an account. [`Self::update_key`] and [`Self::update_account`] say it themselves.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn touch(&mut self, tag: Tag) -> Result<(), Error> {
        Ok(self.touch_rows(tag).await?)
    }

    async fn touch_rows(&mut self, tag: Tag) -> Result<(), StoreError> {
        change_touch::append(self.tx.conn(), self.rev.position, tag, self.now).await?;
        self.touched.push(tag);
        Ok(())
    }

    /// Writes an entry of the ledger, in the transaction of what it tells of.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn record(
        &mut self,
        caller: Option<&Caller>,
        facts: &Facts,
        about: About<'_>,
    ) -> Result<(), Error> {
        let About {
            action,
            account,
            target,
            session,
            details,
        } = about;
        let entry = Entry {
            id: AuditId::new(self.now, &*self.app.entropy)?,
            at: self.now,
            action,
            outcome: Outcome::Done,
            account: account.id.clone(),
            actor: caller.and_then(Caller::actor).cloned(),
            key: caller.and_then(Caller::key_id).cloned(),
            session,
            target,
            request: Some(facts.request.clone()),
            address: facts.address,
            details,
        };
        self.write(&entry, account.parent.as_ref()).await
    }

    /// Writes an entry of the ledger about something that no request asked for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn record_unasked(&mut self, about: About<'_>) -> Result<(), Error> {
        let About {
            action,
            account,
            target,
            session,
            details,
        } = about;
        let entry = Entry {
            id: AuditId::new(self.now, &*self.app.entropy)?,
            at: self.now,
            action,
            outcome: Outcome::Done,
            account: account.id.clone(),
            actor: None,
            key: None,
            session,
            target,
            request: None,
            address: None,
            details,
        };
        self.write(&entry, account.parent.as_ref()).await
    }

    /// Writes an entry of the ledger that no request asked for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write(&mut self, entry: &Entry, parent: Option<&AccountId>) -> Result<(), Error> {
        audit::append(self.tx.conn(), entry, parent).await?;
        let ordinal = self.rev.position.get();
        self.app
            .tell_entry(self.tx.conn(), entry, parent, ordinal)
            .await
    }

    /// Makes it durable and puts it in force on this node.
    ///
    /// # Errors
    /// [`Error`]; whether it happened is unknown then, and the next poll of the log tells.
    pub async fn commit(self) -> Result<(), Error> {
        let Self {
            app,
            tx,
            rev,
            ended,
            touched,
            now,
        } = self;
        app.policy.journal.note(rev, now, &ended, &touched).await;
        tx.commit().await?;
        app.pulse.changed_here(&ended, &touched, rev.position);
        app.webhooks.wake();
        for _ in &ended {
            app.metrics.revoked("tag");
        }
        Ok(())
    }
}
