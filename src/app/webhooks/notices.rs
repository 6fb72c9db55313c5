//! What the clock and the limiter have to tell, each once, whichever node sees it first.

use serde_json::{Value, json};

use super::{News, lock, object};
use crate::app::App;
use crate::app::authorise::Facts;
use crate::app::error::Error;
use crate::domain::account::AccountChain;
use crate::domain::api_key::ApiKey;
use crate::domain::time::Timestamp;
use crate::domain::webhook::EventKind;
use crate::store::key_notices::{self, KeyNotice, Told};
use crate::store::webhook_outbox;
use crate::token::SigningKeyState;

/// How long before it expires a key is told of, in seconds (7 days).
pub(crate) const EXPIRING_SECS: i64 = 7 * 86_400;
/// For how long a key is not used before it is told of, in seconds (90 days).
pub(crate) const UNUSED_SECS: i64 = 90 * 86_400;
/// How often it is looked for such keys, in seconds.
const UNUSED_EVERY_SECS: i64 = 86_400;
/// Keys that are told of in one round.
const PER_ROUND: i64 = 200;
/// Keys over their limit that are remembered between two batches.
const EXCEEDED_MAX: usize = 1_000;
/// A key that stays over its limit is told of so often.
const EXCEEDED_EVERY_MS: i64 = 3_600_000;

/// A key that was over its limit.
#[derive(Debug)]
pub(super) struct Exceeded {
    at: Timestamp,
    /// `None` when it was told.
    news: Option<News>,
}

impl App {
    /// Remembers that a key was over its limit.
    pub(crate) fn limit_exceeded(
        &self,
        key: &ApiKey,
        accounts: &AccountChain,
        facts: &Facts,
        now: Timestamp,
    ) {
        let mut exceeded = lock(&self.webhooks.exceeded);
        let recent = exceeded
            .get(&key.id)
            .is_some_and(|known| known.at.plus_millis(EXCEEDED_EVERY_MS) > now);
        if recent || (exceeded.len() >= EXCEEDED_MAX && !exceeded.contains_key(&key.id)) {
            return;
        }
        let limit = key
            .restrictions
            .rate_limit
            .map(|limit| json!({ "requests": limit.requests, "perSeconds": limit.per_secs }));
        let news = News {
            kind: EventKind::LimitExceeded,
            account: key.account.clone(),
            parent: accounts.account().parent.clone(),
            at: now,
            subject: key.id.as_str().to_owned(),
            ordinal: now.millis().saturating_mul(1000),
            environment: Some(key.environment),
            data: object([
                ("at", Some(json!(now))),
                ("userId", Some(json!(key.account))),
                ("targetId", Some(json!(key.id))),
                ("requestId", Some(json!(facts.request))),
                ("address", facts.address.map(|address| json!(address))),
                (
                    "details",
                    Some(object([
                        ("environment", Some(json!(key.environment))),
                        ("name", key.profile.name.clone().map(Value::from)),
                        ("rateLimit", limit),
                    ])),
                ),
            ]),
        };
        exceeded.insert(
            key.id.clone(),
            Exceeded {
                at: now,
                news: Some(news),
            },
        );
    }

    /// Tells of keys that were over their limit.
    pub(crate) async fn tell_exceeded(&self) -> Result<(), Error> {
        let now = self.now();
        let news: Vec<News> = {
            let mut exceeded = lock(&self.webhooks.exceeded);
            exceeded.retain(|_, known| {
                known.news.is_some() || known.at.plus_millis(EXCEEDED_EVERY_MS) > now
            });
            exceeded
                .values_mut()
                .filter_map(|known| known.news.take())
                .collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write().await?;
        for one in &news {
            let hour = one.at.millis() / EXCEEDED_EVERY_MS;
            let notice = format!("limit:{}:{hour}", one.subject);
            if webhook_outbox::note(tx.conn(), &notice, now).await? {
                self.outbox.tell(tx.conn(), &[one]).await?;
            }
        }
        tx.commit().await?;
        self.webhooks.wake();
        Ok(())
    }

    /// Tells of keys that expire soon, of signing keys that are replaced soon, and once a day of keys
    /// that nobody uses.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn tell_notices(&self) -> Result<(), Error> {
        let now = self.now();
        let mut read = self.store.read().await?;
        let until = now.plus_secs(EXPIRING_SECS);
        let expiring = key_notices::expiring(read.conn(), now, until, Told::Not, PER_ROUND).await?;
        let due = {
            let mut last = lock(&self.webhooks.looked_for_unused);
            let due = last.is_none_or(|last| last.plus_secs(UNUSED_EVERY_SECS) <= now);
            if due {
                *last = Some(now);
            }
            due
        };
        let unused = if due {
            let before = now.plus_secs(-UNUSED_SECS);
            key_notices::unused(read.conn(), before, now, Told::Not, PER_ROUND).await?
        } else {
            Vec::new()
        };
        drop(read);
        let rotating = self.rotating(now).await?;
        if expiring.is_empty() && unused.is_empty() && rotating.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write().await?;
        for (notice, news) in &rotating {
            if webhook_outbox::note(tx.conn(), notice, now).await? {
                self.outbox.tell(tx.conn(), &[news]).await?;
            }
        }
        for key in &expiring {
            let Some(expires_at) = key.expires_at else {
                continue;
            };
            let notice = format!("expiring:{}:{}", key.key, expires_at.millis());
            // A key that was made to live shorter than this is meant to run out.
            let short_lived = key.created_at.plus_secs(EXPIRING_SECS) >= expires_at;
            if webhook_outbox::note(tx.conn(), &notice, now).await? && !short_lived {
                let news = about(EventKind::TokenExpiring, key, now);
                self.outbox.tell(tx.conn(), &[&news]).await?;
            }
        }
        for key in &unused {
            let notice = format!("unused:{}", key.key);
            if webhook_outbox::note(tx.conn(), &notice, now).await? {
                let news = about(EventKind::TokenUnused, key, now);
                self.outbox.tell(tx.conn(), &[&news]).await?;
            }
        }
        tx.commit().await?;
        self.webhooks.wake();
        Ok(())
    }

    /// Signing keys that are replaced soon and of which that was not told, each with the name of the
    /// notice. The schedule does it by itself; who keeps copies of the published keys wants to know
    /// before.
    async fn rotating(&self, now: Timestamp) -> Result<Vec<(String, News)>, Error> {
        let rotation = &self.policy.rotation;
        let Some(period_secs) = rotation.period_secs() else {
            return Ok(Vec::new());
        };
        let before_secs = EXPIRING_SECS.min(period_secs / 4);
        let mut due = Vec::new();
        for key in self.list_signing_keys().await? {
            let active = key.state == SigningKeyState::Active;
            let since = key.activated_at.filter(|_| active);
            let Some(at) = since.and_then(|since| rotation.rotates_at(since)) else {
                continue;
            };
            if at.plus_secs(-before_secs) > now {
                continue;
            }
            let notice = format!("rotating:{}", key.kid);
            let mut read = self.store.read().await?;
            if webhook_outbox::is_noted(read.conn(), &notice).await? {
                continue;
            }
            drop(read);
            let details = object([
                ("environment", Some(json!(key.environment))),
                ("algorithm", Some(json!(key.algorithm))),
                ("rotatesAt", Some(json!(at))),
            ]);
            let news = News {
                kind: EventKind::SigningKeyExpiring,
                account: self.operator.clone(),
                parent: None,
                at: now,
                ordinal: now.millis().saturating_mul(1000),
                environment: Some(key.environment),
                data: object([
                    ("at", Some(json!(now))),
                    ("userId", Some(json!(self.operator))),
                    ("targetId", Some(json!(key.kid))),
                    ("details", Some(details)),
                ]),
                subject: key.kid,
            };
            due.push((notice, news));
        }
        Ok(due)
    }
}

fn about(kind: EventKind, key: &KeyNotice, now: Timestamp) -> News {
    let details = object([
        ("environment", Some(json!(key.environment))),
        ("name", key.name.clone().map(Value::from)),
        ("expiresAt", key.expires_at.map(|at| json!(at))),
        ("createdAt", Some(json!(key.created_at))),
        ("lastUsedAt", key.last_used_at.map(|at| json!(at))),
    ]);
    News {
        kind,
        account: key.account.clone(),
        parent: key.parent.clone(),
        at: now,
        subject: key.key.as_str().to_owned(),
        ordinal: now.millis().saturating_mul(1000),
        environment: Some(key.environment),
        data: object([
            ("at", Some(json!(now))),
            ("userId", Some(json!(key.account))),
            ("targetId", Some(json!(key.key))),
            ("details", Some(details)),
        ]),
    }
}
