//! Sending what is in the outbox.
//!
//! A node takes deliveries by moving their `due_at`, which is a lease: when it dies, another sends
//! them again. A webhook gets few deliveries at a time, one while it fails, and those that are slow
//! or fail share slots of their own, so that they cannot hold up the others.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Map;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::sender::{Letter, Outcome};
use super::{aad, lock};
use crate::app::App;
use crate::app::error::Error;
use crate::domain::audit::{Action, Entry, Outcome as Done};
use crate::domain::id::{AuditId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{
    DISABLE_AFTER_SECS, DeliveryState, GIVE_UP_SECS, endpoint_pause_ms, retry_after_ms,
};
use crate::store::accounts;
use crate::store::webhook_outbox::{self, Attempt, Logged};
use crate::store::webhooks::{self, Webhook};
use crate::token::WebhookSecret;

/// How often the outbox is looked at when nobody on this node says that something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For how long nobody else sends a delivery that was taken. An attempt is over long before.
const LEASE_SECS: i64 = 60;
/// Deliveries under way at a time, to webhooks that answer fast, and as many again to the others.
const LANE_SLOTS: usize = 32;
/// Deliveries under way at a time to one webhook.
const PER_WEBHOOK: usize = 4;
/// From when on a webhook is slow.
const SLOW_MS: i64 = 2_000;
/// Webhooks that are looked at in one round.
const WEBHOOKS_PER_ROUND: i64 = 200;
/// Slow webhooks that are remembered.
const SLOW_MAX: usize = 10_000;
/// What a receiver answers that wants nothing any more.
const GONE: u16 = 410;
/// How long deliveries are kept for people to see (30 days).
const LOG_SECS: i64 = 30 * 86_400;
/// How long it is remembered what was told once (a year: a key may be unused for long).
const NOTICE_SECS: i64 = 365 * 86_400;

/// What is under way.
#[derive(Debug)]
pub(super) struct Lanes {
    fast: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    busy: Arc<Mutex<HashMap<WebhookId, usize>>>,
    known_slow: Mutex<HashSet<WebhookId>>,
    /// The webhook after which the next round begins, so that each has its turn.
    cursor: Mutex<String>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            fast: Arc::new(Semaphore::new(LANE_SLOTS)),
            slow: Arc::new(Semaphore::new(LANE_SLOTS)),
            busy: Arc::default(),
            known_slow: Mutex::default(),
            cursor: Mutex::default(),
        }
    }
}

/// A slot of a lane and of a webhook, until it is dropped.
#[derive(Debug)]
struct Slot {
    busy: Arc<Mutex<HashMap<WebhookId, usize>>>,
    webhook: WebhookId,
    _lane: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut busy = lock(&self.busy);
        if let Some(count) = busy.get_mut(&self.webhook) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.webhook);
            }
        }
    }
}

impl Lanes {
    fn is_slow(&self, webhook: &Webhook) -> bool {
        webhook.health.failures > 0 || lock(&self.known_slow).contains(&webhook.id)
    }

    /// How many more deliveries a webhook may have under way.
    fn room(&self, webhook: &Webhook) -> usize {
        let most = if webhook.health.failures > 0 {
            1
        } else {
            PER_WEBHOOK
        };
        let under_way = lock(&self.busy).get(&webhook.id).copied().unwrap_or(0);
        most.saturating_sub(under_way)
    }

    fn slot(&self, webhook: &Webhook) -> Option<Slot> {
        let lane = if self.is_slow(webhook) {
            &self.slow
        } else {
            &self.fast
        };
        let permit = Arc::clone(lane).try_acquire_owned().ok()?;
        *lock(&self.busy).entry(webhook.id.clone()).or_default() += 1;
        Some(Slot {
            busy: Arc::clone(&self.busy),
            webhook: webhook.id.clone(),
            _lane: permit,
        })
    }

    fn took(&self, webhook: &WebhookId, duration_ms: i64) {
        let mut slow = lock(&self.known_slow);
        if duration_ms < SLOW_MS {
            slow.remove(webhook);
        } else if slow.len() < SLOW_MAX {
            slow.insert(webhook.clone());
        }
    }
}

/// A delivery that this node sends.
#[derive(Debug)]
pub struct Claimed {
    webhook: Webhook,
    logged: Logged,
    lease: Timestamp,
    _slot: Slot,
}

impl App {
    /// Sends what is due, for as long as the task lives.
    pub(crate) async fn deliver_for_ever(self: Arc<Self>) {
        let mut sending = JoinSet::new();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.webhooks.wake.notified() => {}
                _ = tick.tick() => {}
                Some(_) = sending.join_next() => {}
            }
            match self.claim_deliveries().await {
                Ok(claimed) => {
                    for one in claimed {
                        let app = Arc::clone(&self);
                        sending.spawn(async move { app.deliver_or_log(one).await });
                    }
                }
                Err(error) => log(&error, "what webhooks are to be sent cannot be read"),
            }
        }
    }

    async fn deliver_or_log(&self, claimed: Claimed) {
        if let Err(error) = self.deliver(claimed).await {
            log(&error, "how a webhook went cannot be stored");
        }
    }

    /// Sends all that is due, and what becomes due by it, and says how many attempts that were.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn deliver_due(&self) -> Result<usize, Error> {
        let mut count = 0;
        loop {
            let claimed = self.claim_deliveries().await?;
            if claimed.is_empty() {
                return Ok(count);
            }
            count += claimed.len();
            let all = claimed.into_iter().map(|one| self.deliver(one));
            for result in futures_util::future::join_all(all).await {
                result?;
            }
        }
    }

    /// Takes what is due, as far as there is room.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn claim_deliveries(&self) -> Result<Vec<Claimed>, Error> {
        let now = self.now();
        let lease = now.plus_secs(LEASE_SECS);
        let wanted = self.find_due(now).await?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut claimed = Vec::new();
        let mut tx = self.store.write().await?;
        for (webhook, logged, slot) in wanted {
            if webhook_outbox::claim(tx.conn(), &logged.delivery, lease).await? {
                claimed.push(Claimed {
                    webhook,
                    logged,
                    lease,
                    _slot: slot,
                });
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }

    async fn find_due(&self, now: Timestamp) -> Result<Vec<(Webhook, Logged, Slot)>, Error> {
        let lanes = &self.webhooks.lanes;
        let mut read = self.store.read().await?;
        let after = lock(&lanes.cursor).clone();
        let mut due = webhooks::due(read.conn(), &after, now, WEBHOOKS_PER_ROUND).await?;
        if due.is_empty() && !after.is_empty() {
            due = webhooks::due(read.conn(), "", now, WEBHOOKS_PER_ROUND).await?;
        }
        let last = due.last().map(|webhook| webhook.id.as_str().to_owned());
        *lock(&lanes.cursor) = last.unwrap_or_default();
        let mut wanted = Vec::new();
        for webhook in due {
            let room = i64::try_from(lanes.room(&webhook)).unwrap_or(0);
            if room == 0 {
                continue;
            }
            for logged in webhook_outbox::due(read.conn(), &webhook.id, now, room).await? {
                let Some(slot) = lanes.slot(&webhook) else {
                    break;
                };
                wanted.push((webhook.clone(), logged, slot));
            }
        }
        Ok(wanted)
    }

    /// Makes one attempt and stores how it went.
    ///
    /// # Errors
    /// [`Error`]; then it is made again when the lease is over.
    pub async fn deliver(&self, claimed: Claimed) -> Result<(), Error> {
        let Claimed {
            webhook,
            logged,
            lease,
            _slot,
        } = claimed;
        let letter = self.letter(&webhook, &logged)?;
        let begun_ms = self.clock.monotonic_ms();
        let outcome = self.webhooks.sender.send(letter).await;
        let duration_ms = self.clock.monotonic_ms().saturating_sub(begun_ms);
        self.webhooks.lanes.took(&webhook.id, duration_ms);
        let now = self.now();
        let (status, problem) = match outcome {
            Outcome::Taken(status) => (Some(i64::from(status)), None),
            Outcome::Refused(status, problem) => (Some(i64::from(status)), Some(problem)),
            Outcome::None(problem) => (None, Some(problem)),
        };
        let attempts = logged.delivery.attempts + 1;
        let jitter = u16::from_be_bytes(self.entropy.bytes()?);
        let again_ms = retry_after_ms(attempts, jitter);
        let (state, due_at) = match (problem, again_ms) {
            (None, _) => (DeliveryState::Delivered, now),
            (Some(_), Some(ms)) => (DeliveryState::Pending, now.plus_millis(ms)),
            (Some(_), None) => (DeliveryState::Failed, now),
        };
        self.metrics.webhook_delivered(
            problem.map_or("delivered", crate::domain::webhook::Problem::as_str),
        );
        let attempt = Attempt {
            state,
            due_at,
            tried_at: now,
            status,
            problem,
            duration_ms,
        };
        let mut tx = self.store.write().await?;
        webhook_outbox::settle(tx.conn(), &logged.delivery.id, lease, &attempt).await?;
        if problem.is_none() {
            webhooks::succeeded(tx.conn(), &webhook.id, now).await?;
        } else {
            let pause_ms = endpoint_pause_ms(webhook.health.failures + 1, jitter);
            webhooks::failed(tx.conn(), &webhook.id, now, now.plus_millis(pause_ms)).await?;
        }
        tx.commit().await?;
        let too_long = webhook
            .health
            .failing_since
            .is_some_and(|since| since.plus_secs(DISABLE_AFTER_SECS) <= now);
        let gone = matches!(outcome, Outcome::Refused(GONE, _));
        if gone || (problem.is_some() && too_long) {
            self.disable_webhook(&webhook, if gone { "gone" } else { "failing" })
                .await?;
        }
        Ok(())
    }

    fn letter(&self, webhook: &Webhook, logged: &Logged) -> Result<Letter, Error> {
        let now = self.now();
        let open = |sealed: &[u8]| -> Result<WebhookSecret, Error> {
            let key = self
                .master
                .open(sealed, &aad(webhook.id.as_str()))
                .map_err(|error| Error::Unavailable(error.into()))?;
            WebhookSecret::from_bytes(&key).map_err(|error| Error::Internal(error.into()))
        };
        let secret = open(&webhook.sealed_secret)?;
        let old = match (&webhook.sealed_old_secret, webhook.old_secret_until) {
            (Some(sealed), Some(until)) if until > now => Some(open(sealed)?),
            _ => None,
        };
        let id = logged.delivery.event.as_str().to_owned();
        let timestamp = now.secs_floor().to_string();
        let body = logged.body.clone();
        let mut signature = secret.sign(&id, &timestamp, body.as_bytes());
        if let Some(old) = &old {
            signature.push(' ');
            signature.push_str(&old.sign(&id, &timestamp, body.as_bytes()));
        }
        Ok(Letter {
            url: webhook.url.clone(),
            simple: secret.sign_simple(body.as_bytes()),
            simple_previous: old.map(|old| old.sign_simple(body.as_bytes())),
            id,
            timestamp,
            signature,
            body,
        })
    }

    /// Disables a webhook that failed for too long, or whose receiver says that it is gone.
    async fn disable_webhook(&self, webhook: &Webhook, reason: &str) -> Result<(), Error> {
        let mut change = self.change_unasked().await?;
        let now = change.now;
        if !webhooks::disable(change.conn(), &webhook.id, now).await? {
            return Ok(());
        }
        webhook_outbox::give_up(change.conn(), &webhook.id).await?;
        let parent = accounts::chain(change.conn(), &webhook.account)
            .await?
            .and_then(|chain| chain.account().parent.clone());
        let mut details = Map::new();
        details.insert("reason".to_owned(), reason.into());
        let entry = Entry {
            id: AuditId::new(now, &*self.entropy)?,
            at: now,
            action: Action::WebhookDisable,
            outcome: Done::Done,
            account: webhook.account.clone(),
            actor: None,
            key: None,
            session: None,
            target: Some(webhook.id.as_str().to_owned()),
            request: None,
            address: None,
            details,
        };
        change.write(&entry, parent.as_ref()).await?;
        change.commit().await
    }

    /// Gives up what waited for too long, and drops what is old, at most so many rows of a table. The
    /// number of the table that had most.
    pub(crate) async fn prune_webhooks(&self, rows: u32) -> Result<u64, Error> {
        let now = self.now();
        let mut tx = self.store.write().await?;
        webhook_outbox::expire(tx.conn(), now.plus_secs(-GIVE_UP_SECS)).await?;
        let log_before = now.plus_secs(-LOG_SECS);
        let deliveries = webhook_outbox::prune(tx.conn(), log_before, rows).await?;
        let events = webhook_outbox::prune_events(tx.conn(), log_before, rows).await?;
        webhook_outbox::prune_notices(tx.conn(), now.plus_secs(-NOTICE_SECS)).await?;
        webhooks::prune(tx.conn(), log_before).await?;
        tx.commit().await?;
        Ok(deliveries.max(events))
    }
}

fn log(error: &Error, what: &'static str) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(error, "{what}");
}
