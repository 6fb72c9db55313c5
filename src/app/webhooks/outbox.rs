//! The way of news into the outbox.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::News;
use crate::app::error::Error;
use crate::app::pulse::reborrow;
use crate::domain::id::{DeliveryId, EventId, WebhookId};
use crate::domain::limits;
use crate::domain::webhook::DeliveryState;
use crate::entropy::Entropy;
use crate::metrics::Metrics;
use crate::store::webhook_outbox::{self, Delivery, Event};
use crate::store::{Conn, webhooks};

/// Puts news into the outbox.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    entropy: Arc<dyn Entropy>,
    metrics: Arc<Metrics>,
}

impl Outbox {
    /// An outbox that makes its ids of this randomness.
    pub(crate) fn new(entropy: Arc<dyn Entropy>, metrics: Arc<Metrics>) -> Self {
        Self { entropy, metrics }
    }

    /// Puts news into the outbox, for each webhook that wants them, in the transaction of what they
    /// tell.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub(crate) async fn tell(&self, mut conn: Conn<'_>, news: &[&News]) -> Result<(), Error> {
        let mut told = HashMap::new();
        let mut held: HashMap<WebhookId, i64> = HashMap::new();
        for one in news {
            let who_wants = match told.entry((&one.account, one.parent.as_ref())) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let (account, parent) = *place.key();
                    place.insert(webhooks::told(reborrow(&mut conn), account, parent).await?)
                }
            };
            let wanting: Vec<&WebhookId> = who_wants
                .iter()
                .filter(|(_, filter)| filter.wants(one.kind))
                .map(|(id, _)| id)
                .collect();
            if wanting.is_empty() {
                continue;
            }
            let event = self.put_event(reborrow(&mut conn), one).await?;
            for webhook in wanting {
                let max = limits::WEBHOOK_PENDING_MAX;
                let count = match held.entry(webhook.clone()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let held = webhook_outbox::pending(reborrow(&mut conn), webhook, max);
                        place.insert(held.await?)
                    }
                };
                if *count >= max {
                    self.metrics.webhook_delivered("overflowed");
                    webhooks::overflowed(reborrow(&mut conn), webhook, one.at).await?;
                    continue;
                }
                let delivery = self.new_delivery(webhook.clone(), event.clone(), one)?;
                webhook_outbox::insert(reborrow(&mut conn), &delivery).await?;
                *count += 1;
            }
        }
        Ok(())
    }

    /// Stores what happened, for no webhook yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub(super) async fn put_event(&self, conn: Conn<'_>, news: &News) -> Result<EventId, Error> {
        let event = Event {
            id: EventId::new(news.at, &*self.entropy)?,
            kind: news.kind,
            environment: news.environment,
            body: news.body()?,
            created_at: news.at,
        };
        webhook_outbox::insert_event(conn, &event).await?;
        Ok(event.id)
    }

    /// One webhook that is to be told, not stored yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without randomness.
    pub(super) fn new_delivery(
        &self,
        webhook: WebhookId,
        event: EventId,
        news: &News,
    ) -> Result<Delivery, Error> {
        Ok(Delivery {
            id: DeliveryId::new(news.at, &*self.entropy)?,
            webhook,
            event,
            subject: news.subject.clone(),
            ordinal: news.ordinal,
            state: DeliveryState::Pending,
            attempts: 0,
            due_at: news.at,
            tried_at: None,
            status: None,
            problem: None,
            duration_ms: None,
            replay_of: None,
            created_at: news.at,
        })
    }
}
