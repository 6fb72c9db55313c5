//! Webhooks: made, shown, changed, rotated, tried and removed.

use serde::Deserialize;
use serde_json::{Map, json};

use super::view::{DeliveryItem, WebhookCreated, WebhookItem, WebhookRotated, WebhookSent};
use super::{News, aad};
use crate::app::App;
use crate::app::accounts::{put, put_object};
use crate::app::authorise::{Caller, Presented, Who};
use crate::app::change::{About, Change};
use crate::app::error::{Conflict, Error, Forbidden};
use crate::app::idempotency::{Once, Replay};
use crate::domain::audit::Action;
use crate::domain::environment::Environment;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::limits;
use crate::domain::liveness::Tag;
use crate::domain::text::JsonObject;
use crate::domain::webhook::{DeliveryState, EventFilter, EventKind};
use crate::store::webhook_outbox::{self, Delivery};
use crate::store::webhooks::{Health, Webhook};
use crate::store::{Batch, Conn, Page, accounts, webhooks};
use crate::token::WebhookSecret;

/// What a caller writes about a new webhook.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct NewWebhook {
    pub url: String,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub meta: Option<JsonObject>,
    #[serde(default)]
    pub events: Option<Vec<String>>,
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// What a caller changes about a webhook. What is left out stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct WebhookChanges {
    pub url: Option<String>,
    pub description: Option<String>,
    pub meta: Option<JsonObject>,
    pub events: Option<Vec<String>>,
    pub enabled: Option<bool>,
    pub clear: Option<Vec<String>>,
}

/// How the secret of a webhook is rotated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct WebhookRotation {
    pub overlap_in_seconds: Option<i64>,
}

impl App {
    /// Makes a webhook for the caller's account. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Conflict::Webhooks`], [`Forbidden::Granted`].
    pub async fn create_webhook(
        &self,
        presented: &Presented,
        new: NewWebhook,
        replay: Option<&Replay>,
    ) -> Result<Once<WebhookCreated>, Error> {
        let NewWebhook {
            url,
            description,
            meta,
            events,
            enabled,
        } = new;
        let (mut change, caller) = self.change(presented).await?;
        check_own(&caller)?;
        if let Some(replay) = replay
            && let Some(answer) = replay.begin(&mut change).await?
        {
            return Ok(Once {
                answer,
                replayed: true,
            });
        }
        let held = webhooks::count(change.conn(), caller.account()).await?;
        if usize::try_from(held).unwrap_or(usize::MAX) >= limits::WEBHOOKS_PER_ACCOUNT_MAX {
            return Err(Error::Conflict(Conflict::Webhooks));
        }
        let id = WebhookId::new(change.now, &*self.entropy)?;
        let secret = WebhookSecret::generate(&*self.entropy)?;
        let mut webhook = Webhook {
            url: self.policy.webhooks.check(&url)?,
            account: caller.account().clone(),
            description: None,
            meta: None,
            events: filter(events)?,
            enabled: enabled.unwrap_or(true),
            sealed_secret: self.seal_secret(&id, &secret)?,
            sealed_old_secret: None,
            old_secret_until: None,
            health: Health::default(),
            created_at: change.now,
            updated_at: change.now,
            id,
        };
        describe(&mut webhook, description, meta)?;
        webhooks::insert(change.conn(), &webhook).await?;
        change.touch(Tag::WEBHOOKS).await?;
        self.record_webhook(
            &mut change,
            &caller,
            presented,
            &webhook,
            Action::WebhookCreate,
        )
        .await?;
        let answer = WebhookCreated {
            id: webhook.id,
            secret: secret.expose().to_string(),
            created_at: webhook.created_at,
        };
        if let Some(replay) = replay {
            replay.finish(self, change.conn(), &answer).await?;
        }
        change.commit().await?;
        Ok(Once::first(answer))
    }

    /// The webhooks of the caller's account, or of the child that it acts as.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_webhooks(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Batch<WebhookItem>, Error> {
        let mut read = self.store.read().await?;
        let found = webhooks::list(read.conn(), caller.account(), page).await?;
        let now = self.now();
        let items = found
            .iter()
            .map(|webhook| WebhookItem::new(webhook, now))
            .collect();
        Ok(page.batch(items, |item: &WebhookItem| item.id.as_str()))
    }

    /// A webhook of the caller's account.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn fetch_webhook(&self, caller: &Caller, id: &str) -> Result<WebhookItem, Error> {
        let mut read = self.store.read().await?;
        let webhook = find_visible(read.conn(), caller, id).await?;
        Ok(WebhookItem::new(&webhook, self.now()))
    }

    /// Changes a webhook. Enabling it, and giving it another URL, forgets that it failed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Forbidden::Granted`].
    pub async fn update_webhook(
        &self,
        presented: &Presented,
        id: &str,
        changes: WebhookChanges,
    ) -> Result<WebhookId, Error> {
        let WebhookChanges {
            url,
            description,
            meta,
            events,
            enabled,
            clear,
        } = changes;
        let (mut change, caller) = self.change(presented).await?;
        check_own(&caller)?;
        let mut webhook = find_visible(change.conn(), &caller, id).await?;
        for name in clear.iter().flatten() {
            match name.as_str() {
                "description" => webhook.description = None,
                "meta" => webhook.meta = None,
                "events" => webhook.events = EventFilter::default(),
                _ => {
                    return Err(Error::invalid("clear", "description, meta or events"));
                }
            }
        }
        describe(&mut webhook, description, meta)?;
        if events.is_some() {
            webhook.events = filter(events)?;
        }
        let mended = url.is_some() || enabled == Some(true);
        if let Some(url) = url {
            webhook.url = self.policy.webhooks.check(&url)?;
        }
        webhook.enabled = enabled.unwrap_or(webhook.enabled);
        webhook.updated_at = change.now;
        webhooks::update(change.conn(), &webhook).await?;
        change.touch(Tag::WEBHOOKS).await?;
        if mended {
            webhooks::reset(change.conn(), &webhook.id).await?;
        }
        self.record_webhook(
            &mut change,
            &caller,
            presented,
            &webhook,
            Action::WebhookUpdate,
        )
        .await?;
        change.commit().await?;
        Ok(webhook.id)
    }

    /// Removes a webhook, with its secrets and what waits for it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Forbidden::Granted`].
    pub async fn delete_webhook(
        &self,
        presented: &Presented,
        id: &str,
    ) -> Result<WebhookId, Error> {
        let (mut change, caller) = self.change(presented).await?;
        check_own(&caller)?;
        let webhook = find_visible(change.conn(), &caller, id).await?;
        let now = change.now;
        webhooks::delete(change.conn(), &webhook.id, now).await?;
        change.touch(Tag::WEBHOOKS).await?;
        webhook_outbox::give_up(change.conn(), &webhook.id).await?;
        self.record_webhook(
            &mut change,
            &caller,
            presented,
            &webhook,
            Action::WebhookDelete,
        )
        .await?;
        change.commit().await?;
        Ok(webhook.id)
    }

    /// Gives a webhook a new secret. For the overlap, deliveries are signed with both.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Forbidden::Granted`].
    pub async fn rotate_webhook(
        &self,
        presented: &Presented,
        id: &str,
        rotation: &WebhookRotation,
        replay: Option<&Replay>,
    ) -> Result<Once<WebhookRotated>, Error> {
        let overlap_secs = rotation
            .overlap_in_seconds
            .unwrap_or(limits::OVERLAP_SECS_DEFAULT);
        if !(0..=limits::OVERLAP_SECS_MAX).contains(&overlap_secs) {
            let problem = format!("whole seconds from 0 to {}", limits::OVERLAP_SECS_MAX);
            return Err(Error::invalid("overlapInSeconds", problem));
        }
        let (mut change, caller) = self.change(presented).await?;
        check_own(&caller)?;
        if let Some(replay) = replay
            && let Some(answer) = replay.begin(&mut change).await?
        {
            return Ok(Once {
                answer,
                replayed: true,
            });
        }
        let mut webhook = find_visible(change.conn(), &caller, id).await?;
        let secret = WebhookSecret::generate(&*self.entropy)?;
        let until = change.now.plus_secs(overlap_secs);
        let sealed = self.seal_secret(&webhook.id, &secret)?;
        let old = std::mem::replace(&mut webhook.sealed_secret, sealed);
        webhook.sealed_old_secret = (overlap_secs > 0).then_some(old);
        webhook.old_secret_until = Some(until);
        webhook.updated_at = change.now;
        webhooks::update(change.conn(), &webhook).await?;
        self.record_webhook(
            &mut change,
            &caller,
            presented,
            &webhook,
            Action::WebhookRotate,
        )
        .await?;
        let answer = WebhookRotated {
            id: webhook.id,
            secret: secret.expose().to_string(),
            previous_secret_expires_at: until,
        };
        if let Some(replay) = replay {
            replay.finish(self, change.conn(), &answer).await?;
        }
        change.commit().await?;
        Ok(Once::first(answer))
    }

    /// Puts a test event into the outbox, for this webhook alone.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Conflict::State`] when it is disabled.
    pub async fn test_webhook(
        &self,
        presented: &Presented,
        id: &str,
    ) -> Result<WebhookSent, Error> {
        let (mut change, caller) = self.change(presented).await?;
        check_own(&caller)?;
        let webhook = find_sendable(change.conn(), &caller, id).await?;
        let news = News {
            kind: EventKind::WebhookTest,
            account: webhook.account.clone(),
            parent: None,
            at: change.now,
            // A test waits for nothing.
            subject: format!("test {}", change.position().get()),
            ordinal: change.position().get(),
            environment: None,
            data: json!({
                "at": change.now,
                "userId": webhook.account,
                "targetId": webhook.id,
                "details": {},
            }),
        };
        let event = self.outbox.put_event(change.conn(), &news).await?;
        let delivery = self.outbox.new_delivery(webhook.id.clone(), event, &news)?;
        webhook_outbox::insert(change.conn(), &delivery).await?;
        self.record_webhook(
            &mut change,
            &caller,
            presented,
            &webhook,
            Action::WebhookTest,
        )
        .await?;
        change.commit().await?;
        Ok(WebhookSent {
            id: delivery.id,
            event_id: delivery.event,
        })
    }

    /// Sends an event again: the same `webhook-id` and body, a new delivery.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Conflict::State`] while the webhook is disabled or the delivery waits.
    pub async fn replay_delivery(
        &self,
        presented: &Presented,
        id: &str,
        delivery: &str,
    ) -> Result<WebhookSent, Error> {
        let (mut change, caller) = self.change(presented).await?;
        check_own(&caller)?;
        let webhook = find_sendable(change.conn(), &caller, id).await?;
        let wanted = DeliveryId::parse(delivery).map_err(|_| Error::NotFound)?;
        let old = webhook_outbox::find(change.conn(), &webhook.id, &wanted)
            .await?
            .ok_or(Error::NotFound)?
            .delivery;
        if old.state == DeliveryState::Pending {
            return Err(Error::Conflict(Conflict::State));
        }
        let again = Delivery {
            id: DeliveryId::new(change.now, &*self.entropy)?,
            // What is sent by hand waits for nothing.
            subject: format!("replay {}", old.id),
            state: DeliveryState::Pending,
            attempts: 0,
            due_at: change.now,
            tried_at: None,
            status: None,
            problem: None,
            duration_ms: None,
            replay_of: Some(old.id.clone()),
            created_at: change.now,
            ..old
        };
        webhook_outbox::insert(change.conn(), &again).await?;
        self.record_webhook(
            &mut change,
            &caller,
            presented,
            &webhook,
            Action::WebhookReplay,
        )
        .await?;
        change.commit().await?;
        Ok(WebhookSent {
            id: again.id,
            event_id: again.event,
        })
    }

    /// What was sent to a webhook of the caller's account, and how that went. A test key sees what
    /// concerns test keys and test sessions.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn list_deliveries(
        &self,
        caller: &Caller,
        id: &str,
        state: Option<DeliveryState>,
        page: &Page,
    ) -> Result<Batch<DeliveryItem>, Error> {
        let mut read = self.store.read().await?;
        let webhook = find_visible(read.conn(), caller, id).await?;
        let logged = webhook_outbox::list(read.conn(), &webhook.id, state, page).await?;
        let items = logged
            .into_iter()
            .map(DeliveryItem::new)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::Internal(error.into()))?;
        let mut batch = page.batch(items, |item: &DeliveryItem| item.id.as_str());
        let test = caller.effective.environment == Environment::Test;
        batch
            .items
            .retain(|item| !test || item.environment == Some(Environment::Test));
        Ok(batch)
    }

    fn seal_secret(&self, id: &WebhookId, secret: &WebhookSecret) -> Result<Vec<u8>, Error> {
        self.master
            .seal(secret.as_bytes(), &aad(id.as_str()), &*self.entropy)
            .map_err(|error| Error::Internal(error.into()))
    }

    async fn record_webhook(
        &self,
        change: &mut Change<'_>,
        caller: &Caller,
        presented: &Presented,
        webhook: &Webhook,
        action: Action,
    ) -> Result<(), Error> {
        let chain = accounts::chain(change.conn(), &webhook.account)
            .await?
            .ok_or_else(|| Error::internal("a webhook without an account"))?;
        let about = About {
            action,
            account: chain.account(),
            target: Some(webhook.id.as_str().to_owned()),
            session: None,
            details: Map::new(),
        };
        change.record(Some(caller), &presented.facts, about).await
    }
}

/// Where an account is told of what concerns it is its own business: nobody who acts for it, and no
/// key that was made by another for it, decides that.
fn check_own(caller: &Caller) -> Result<(), Error> {
    if caller.acting || !caller.effective.grantors.is_empty() {
        return Err(Forbidden::Granted.into());
    }
    Ok(())
}

/// A webhook of the account for which the caller speaks.
async fn find_visible(conn: Conn<'_>, caller: &Caller, id: &str) -> Result<Webhook, Error> {
    let id = WebhookId::parse(id).map_err(|_| Error::NotFound)?;
    let webhook = match caller.who {
        // The operator's CLI has every account before it.
        Who::Cli(_) => webhooks::find(conn, &id).await?,
        Who::Key(_) | Who::Session(_) => webhooks::find_in(conn, caller.account(), &id).await?,
    };
    webhook.ok_or(Error::NotFound)
}

async fn find_sendable(conn: Conn<'_>, caller: &Caller, id: &str) -> Result<Webhook, Error> {
    let webhook = find_visible(conn, caller, id).await?;
    if webhook.enabled {
        Ok(webhook)
    } else {
        Err(Error::Conflict(Conflict::State))
    }
}

fn filter(events: Option<Vec<String>>) -> Result<EventFilter, Error> {
    let Some(names) = events else {
        return Ok(EventFilter::default());
    };
    EventFilter::parse(&names).map_err(|_| {
        let names = EventKind::ALL.map(EventKind::as_str).join(", ");
        Error::invalid("events", format!("some of {names}; leave it out for all"))
    })
}

fn describe(
    webhook: &mut Webhook,
    description: Option<String>,
    meta: Option<JsonObject>,
) -> Result<(), Error> {
    put(
        &mut webhook.description,
        description,
        "description",
        limits::DESCRIPTION_CHARS_MAX,
        true,
    )?;
    put_object(&mut webhook.meta, meta, "meta")
}
