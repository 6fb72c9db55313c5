//! Webhooks and deliveries as the API shows them. There is no secret, but for the one answer that
//! has a new one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, DeliveryId, EventId, WebhookId};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;
use crate::domain::webhook::DeliveryState;
use crate::store::webhook_outbox::Logged;
use crate::store::webhooks::Webhook;

/// A webhook as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct WebhookItem {
    pub id: WebhookId,
    pub user_id: AccountId,
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<JsonObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<&'static str>>,
    pub enabled: bool,
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflowed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_secret_expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl WebhookItem {
    pub(super) fn new(webhook: &Webhook, now: Timestamp) -> Self {
        let health = &webhook.health;
        let state = match (webhook.enabled, health.failing_since) {
            (false, _) => "disabled",
            (true, Some(_)) => "failing",
            (true, None) => "active",
        };
        Self {
            id: webhook.id.clone(),
            user_id: webhook.account.clone(),
            url: webhook.url.clone(),
            description: webhook.description.clone(),
            meta: webhook.meta.clone(),
            events: webhook.events.names(),
            enabled: webhook.enabled,
            state,
            failing_since: health.failing_since,
            disabled_at: health.disabled_at,
            overflowed_at: health.overflowed_at,
            delivered_at: health.delivered_at,
            previous_secret_expires_at: webhook.old_secret_until.filter(|until| *until > now),
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// The answer to a creation, with the secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct WebhookCreated {
    pub id: WebhookId,
    pub secret: String,
    pub created_at: Timestamp,
}

/// The answer to a rotation, with the new secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct WebhookRotated {
    pub id: WebhookId,
    pub secret: String,
    pub previous_secret_expires_at: Timestamp,
}

impl std::fmt::Debug for WebhookCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookCreated")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for WebhookRotated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRotated")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What was put into the outbox by hand.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct WebhookSent {
    pub id: DeliveryId,
    pub event_id: EventId,
}

/// A delivery as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct DeliveryItem {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event_id: EventId,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    pub state: &'static str,
    pub attempts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_in_milliseconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<DeliveryId>,
    pub payload: Value,
    pub created_at: Timestamp,
}

impl DeliveryItem {
    pub(super) fn new(logged: Logged) -> Result<Self, serde_json::Error> {
        let Logged {
            delivery,
            kind,
            environment,
            body,
        } = logged;
        let pending = delivery.state == DeliveryState::Pending;
        Ok(Self {
            id: delivery.id,
            webhook_id: delivery.webhook,
            event_id: delivery.event,
            kind: kind.as_str(),
            environment,
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            next_attempt_at: pending.then_some(delivery.due_at),
            last_attempt_at: delivery.tried_at,
            status: delivery.status,
            problem: delivery
                .problem
                .map(crate::domain::webhook::Problem::as_str),
            duration_in_milliseconds: delivery.duration_ms,
            replay_of: delivery.replay_of,
            payload: serde_json::from_str(&body)?,
            created_at: delivery.created_at,
        })
    }
}
