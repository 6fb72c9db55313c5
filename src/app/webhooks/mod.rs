//! Webhooks: what happened is put into the outbox in the transaction in which it happens, and sent
//! from there, at least once, by whichever node takes it.

mod deliver;
mod manage;
mod notices;
mod outbox;
mod sender;
mod view;
mod watching;

pub(crate) use notices::{EXPIRING_SECS, UNUSED_SECS};

pub(crate) use outbox::Outbox;

pub use manage::{NewWebhook, WebhookChanges, WebhookRotation};
pub use sender::WebhookPolicy;
pub use view::{DeliveryItem, WebhookCreated, WebhookItem, WebhookRotated, WebhookSent};

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;

use super::App;
use super::audit::AuditItem;
use super::error::Error;
use super::pulse::reborrow;
use crate::domain::audit::Entry;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId};
use crate::domain::session::{Origin, Session};
use crate::domain::time::Timestamp;
use crate::domain::webhook::EventKind;
use crate::store::{Conn, webhooks};

use deliver::Lanes;
use notices::Exceeded;
use sender::Sender;
use watching::Watching;

/// What this node knows of webhooks.
#[derive(Debug)]
pub struct Webhooks {
    sender: Sender,
    lanes: Lanes,
    /// Something may be due.
    wake: Notify,
    watching: Watching,
    exceeded: Mutex<HashMap<KeyId, Exceeded>>,
    looked_for_unused: Mutex<Option<Timestamp>>,
}

impl Webhooks {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Internal`] when there can be no HTTP client.
    pub fn new(policy: &WebhookPolicy) -> Result<Self, Error> {
        Ok(Self {
            sender: Sender::new(policy)?,
            lanes: Lanes::default(),
            wake: Notify::new(),
            watching: Watching::default(),
            exceeded: Mutex::default(),
            looked_for_unused: Mutex::default(),
        })
    }

    /// Says that something may be due.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }
}

/// What happened, on its way into the outbox.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) kind: EventKind,
    /// Whom it concerns. The webhooks of this account and of its parent are told, as the ledger is
    /// read by both.
    pub(crate) account: AccountId,
    pub(crate) parent: Option<AccountId>,
    pub(crate) at: Timestamp,
    /// What it is about: news about one thing come in their order.
    pub(crate) subject: String,
    pub(crate) ordinal: i64,
    pub(crate) environment: Option<Environment>,
    /// What is told. Never a secret.
    pub(crate) data: Value,
}

impl News {
    /// What an entry of the ledger is told as, if it is.
    fn of_entry(entry: &Entry, parent: Option<&AccountId>, ordinal: i64) -> Option<Self> {
        let kind = EventKind::of_entry(entry.action)?;
        let subject = entry
            .target
            .clone()
            .or_else(|| entry.session.as_ref().map(|id| id.as_str().to_owned()))
            .unwrap_or_else(|| entry.account.as_str().to_owned());
        let environment = entry.details.get("environment").and_then(Value::as_str);
        Some(Self {
            kind,
            account: entry.account.clone(),
            parent: parent.cloned(),
            at: entry.at,
            subject,
            ordinal,
            environment: environment.and_then(Environment::parse),
            data: json!(AuditItem::from(entry.clone())),
        })
    }

    /// What a session that somebody else acts in is told as.
    fn of_session(session: &Session, parent: Option<&AccountId>) -> Option<Self> {
        Self::is_news(session).then(|| Self {
            kind: EventKind::UserImpersonated,
            account: session.account.clone(),
            parent: parent.cloned(),
            at: session.issued_at,
            subject: session.id.as_str().to_owned(),
            ordinal: session.issued_at.millis().saturating_mul(1000),
            environment: Some(session.environment),
            data: json!(AuditItem::from(session.clone())),
        })
    }

    /// Of a renewal was told when the session began.
    fn is_news(session: &Session) -> bool {
        !session.actors.is_empty() && session.origin != Origin::Renewal
    }

    fn body(&self) -> Result<String, Error> {
        let nanos = i128::from(self.at.millis()) * 1_000_000;
        let timestamp = OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .ok_or_else(|| Error::internal("an instant that cannot be written"))?;
        let body = json!({
            "type": self.kind.as_str(),
            "timestamp": timestamp,
            "data": self.data,
        });
        Ok(body.to_string())
    }
}

impl App {
    /// Puts an entry of the ledger into the outbox, in the transaction of the entry.
    pub(crate) async fn tell_entry(
        &self,
        conn: Conn<'_>,
        entry: &Entry,
        parent: Option<&AccountId>,
        ordinal: i64,
    ) -> Result<(), Error> {
        match News::of_entry(entry, parent, ordinal) {
            Some(news) => self.outbox.tell(conn, &[&news]).await,
            None => Ok(()),
        }
    }

    /// What webhooks are to be told of a session, in which then somebody acts for another; nothing when
    /// none wants to be.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(crate) async fn news_of_session(
        &self,
        session: &Session,
        parent: Option<&AccountId>,
    ) -> Result<Option<News>, Error> {
        if !News::is_news(session) {
            return Ok(None);
        }
        let accounts = [&session.account, parent.unwrap_or(&session.account)];
        let is_watched = if let Some(is_watched) = self.is_watched(&accounts).await? {
            is_watched
        } else {
            let mut read = self.store.read().await?;
            let told = webhooks::told(read.conn(), &session.account, parent).await?;
            told.iter()
                .any(|(_, filter)| filter.wants(EventKind::UserImpersonated))
        };
        Ok(is_watched
            .then(|| News::of_session(session, parent))
            .flatten())
    }

    /// Seals the secrets of all webhooks under another master key.
    pub(crate) async fn rewrap_webhooks(
        &self,
        mut conn: Conn<'_>,
        new: &crate::token::MasterKey,
    ) -> Result<usize, Error> {
        let all = webhooks::all_secrets(reborrow(&mut conn)).await?;
        let count = all.len();
        for (id, secret, old) in all {
            let aad = aad(&id);
            let again = |sealed: Vec<u8>| -> Result<Vec<u8>, Error> {
                let opened = self
                    .master
                    .open(&sealed, &aad)
                    .map_err(|error| Error::Unavailable(error.into()))?;
                new.seal(&opened, &aad, &*self.entropy)
                    .map_err(|error| Error::Internal(error.into()))
            };
            let secret = again(secret)?;
            let old = old.map(again).transpose()?;
            webhooks::set_secrets(reborrow(&mut conn), &id, &secret, old.as_deref()).await?;
        }
        Ok(count)
    }
}

/// What a sealed secret is bound to, so that one that was moved to another row does not open.
fn aad(webhook: &str) -> Vec<u8> {
    format!("hallpass webhook secret {webhook}").into_bytes()
}

/// Members that are there.
fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let mut object = Map::new();
    for (name, value) in members {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    }
    Value::Object(object)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
