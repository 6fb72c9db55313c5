//! Webhooks: where accounts are told of what happened, and how each of these fares.

use std::collections::HashSet;

use sqlx::FromRow;

use super::error::{corrupt, one_row, to_json};
use super::{Conn, Page, StoreError, by_order, never_stored, on_conn};
use crate::domain::id::{AccountId, WebhookId};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{EventFilter, EventKind};

const TABLE: &str = "webhook";

/// A webhook as stored.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The account that is told.
    pub account: AccountId,
    /// Where.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// Kept, not interpreted.
    pub meta: Option<JsonObject>,
    /// Of what.
    pub events: EventFilter,
    /// Whether anything is sent.
    pub enabled: bool,
    /// The secret, sealed under the master key.
    pub sealed_secret: Vec<u8>,
    /// The secret before, which signs as well until an instant.
    pub sealed_old_secret: Option<Vec<u8>>,
    /// Until when.
    pub old_secret_until: Option<Timestamp>,
    /// How it fares.
    pub health: Health,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// How deliveries to a webhook fare.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Attempts that failed since the last that did not.
    pub failures: i64,
    /// Since when they fail.
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent before.
    pub retry_at: Timestamp,
    /// When it was disabled because it failed for too long.
    pub disabled_at: Option<Timestamp>,
    /// When an event was last not kept for it, because too many waited.
    pub overflowed_at: Option<Timestamp>,
    /// When an event was last taken.
    pub delivered_at: Option<Timestamp>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            failures: 0,
            failing_since: None,
            retry_at: Timestamp::from_millis(0),
            disabled_at: None,
            overflowed_at: None,
            delivered_at: None,
        }
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .field("account", &self.account)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

#[derive(FromRow)]
struct WebhookRow {
    id: String,
    account_id: String,
    url: String,
    description: Option<String>,
    meta: Option<String>,
    events: Option<String>,
    enabled: i64,
    sealed_secret: Vec<u8>,
    sealed_old_secret: Option<Vec<u8>>,
    old_secret_until: Option<i64>,
    failures: i64,
    failing_since: Option<i64>,
    retry_at: i64,
    disabled_at: Option<i64>,
    overflowed_at: Option<i64>,
    delivered_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<WebhookRow> for Webhook {
    type Error = StoreError;

    fn try_from(row: WebhookRow) -> Result<Self, StoreError> {
        let meta = row.meta.map(|meta| serde_json::from_str(&meta)).transpose();
        Ok(Self {
            id: WebhookId::parse(&row.id).map_err(|_| corrupt(TABLE, "id"))?,
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt(TABLE, "account_id"))?,
            url: row.url,
            description: row.description,
            meta: meta.map_err(|_| corrupt(TABLE, "meta"))?,
            events: filter(row.events.as_deref())?,
            enabled: row.enabled != 0,
            sealed_secret: row.sealed_secret,
            sealed_old_secret: row.sealed_old_secret,
            old_secret_until: row.old_secret_until.map(Timestamp::from_millis),
            health: Health {
                failures: row.failures,
                failing_since: row.failing_since.map(Timestamp::from_millis),
                retry_at: Timestamp::from_millis(row.retry_at),
                disabled_at: row.disabled_at.map(Timestamp::from_millis),
                overflowed_at: row.overflowed_at.map(Timestamp::from_millis),
                delivered_at: row.delivered_at.map(Timestamp::from_millis),
            },
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

fn filter(names: Option<&str>) -> Result<EventFilter, StoreError> {
    let Some(names) = names else {
        return Ok(EventFilter::default());
    };
    let names: Vec<String> = serde_json::from_str(names).map_err(|_| corrupt(TABLE, "events"))?;
    EventFilter::parse(&names).map_err(|_| corrupt(TABLE, "events"))
}

fn names(filter: &EventFilter) -> Result<Option<String>, StoreError> {
    filter.names().map(|names| to_json(&names)).transpose()
}

macro_rules! columns {
    () => {
        "id, account_id, url, description, meta, events, enabled, sealed_secret,
             sealed_old_secret, old_secret_until, failures, failing_since, retry_at, disabled_at,
             overflowed_at, delivered_at, created_at, updated_at"
    };
}

/// Stores a new webhook.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(conn: Conn<'_>, webhook: &Webhook) -> Result<(), StoreError> {
    let meta = webhook.meta.as_ref().map(to_json).transpose()?;
    let events = names(&webhook.events)?;
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO webhook (id, account_id, url, description, meta, events, enabled,
                 sealed_secret, failures, retry_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9, $10)",
        )
        .bind(webhook.id.as_str())
        .bind(webhook.account.as_str())
        .bind(webhook.url.as_str())
        .bind(webhook.description.as_deref())
        .bind(meta)
        .bind(events)
        .bind(i64::from(webhook.enabled))
        .bind(webhook.sealed_secret.as_slice())
        .bind(webhook.created_at.millis())
        .bind(webhook.updated_at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Stores what people write about a webhook, and its secrets. How it fares is written apart.
///
/// # Errors
/// [`StoreError`].
pub async fn update(conn: Conn<'_>, webhook: &Webhook) -> Result<(), StoreError> {
    let meta = webhook.meta.as_ref().map(to_json).transpose()?;
    let events = names(&webhook.events)?;
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook SET url = $2, description = $3, meta = $4, events = $5, enabled = $6,
                 sealed_secret = $7, sealed_old_secret = $8, old_secret_until = $9,
                 updated_at = $10
             WHERE id = $1 AND deleted_at IS NULL",
        )
        .bind(webhook.id.as_str())
        .bind(webhook.url.as_str())
        .bind(webhook.description.as_deref())
        .bind(meta)
        .bind(events)
        .bind(i64::from(webhook.enabled))
        .bind(webhook.sealed_secret.as_slice())
        .bind(webhook.sealed_old_secret.as_deref())
        .bind(webhook.old_secret_until.map(Timestamp::millis))
        .bind(webhook.updated_at.millis())
        .execute(c)
        .await?
        .rows_affected()
    });
    one_row(rows, TABLE)
}

/// Removes a webhook and its secrets. Its deliveries go when they are old.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(conn: Conn<'_>, id: &WebhookId, now: Timestamp) -> Result<(), StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook SET deleted_at = $2, enabled = 0, sealed_secret = $3,
                 sealed_old_secret = NULL
             WHERE id = $1 AND deleted_at IS NULL",
        )
        .bind(id.as_str())
        .bind(now.millis())
        .bind(Vec::<u8>::new())
        .execute(c)
        .await?
        .rows_affected()
    });
    one_row(rows, TABLE)
}

/// A webhook of an account.
///
/// # Errors
/// [`StoreError`].
pub async fn find_in(
    conn: Conn<'_>,
    account: &AccountId,
    id: &WebhookId,
) -> Result<Option<Webhook>, StoreError> {
    let row: Option<WebhookRow> = on_conn!(conn, |c| {
        sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM webhook WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL"
        ))
        .bind(id.as_str())
        .bind(account.as_str())
        .fetch_optional(c)
        .await?
    });
    row.map(Webhook::try_from).transpose()
}

/// A webhook of any account, for the operator and for who sends.
///
/// # Errors
/// [`StoreError`].
pub async fn find(conn: Conn<'_>, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
    let row: Option<WebhookRow> = on_conn!(conn, |c| {
        sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM webhook WHERE id = $1 AND deleted_at IS NULL"
        ))
        .bind(id.as_str())
        .fetch_optional(c)
        .await?
    });
    row.map(Webhook::try_from).transpose()
}

/// The webhooks of an account.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: Conn<'_>,
    account: &AccountId,
    page: &Page,
) -> Result<Vec<Webhook>, StoreError> {
    macro_rules! select {
        ($order:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM webhook
                 WHERE (account_id, id) > ($1, $2) AND (account_id, id) < ($1, $3)
                     AND deleted_at IS NULL
                 ORDER BY account_id ",
                $order,
                ", id ",
                $order,
                " LIMIT $4"
            )
        };
    }
    if never_stored(page.after.as_deref()) {
        return Ok(Vec::new());
    }
    let (lower, upper) = page.bounds();
    let rows: Vec<WebhookRow> = on_conn!(conn, |c| {
        sqlx::query_as(by_order!(page.order, select))
            .bind(account.as_str())
            .bind(lower)
            .bind(upper)
            .bind(page.limit())
            .fetch_all(c)
            .await?
    });
    rows.into_iter().map(Webhook::try_from).collect()
}

/// How many webhooks an account has.
///
/// # Errors
/// [`StoreError`].
pub async fn count(conn: Conn<'_>, account: &AccountId) -> Result<i64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_scalar(
            "SELECT COUNT(*) FROM webhook WHERE account_id = $1 AND deleted_at IS NULL",
        )
        .bind(account.as_str())
        .fetch_one(c)
        .await?
    }))
}

/// The webhooks that are told of what concerns an account: its own and those of its parent, as the
/// ledger is read by both.
///
/// # Errors
/// [`StoreError`].
pub async fn told(
    conn: Conn<'_>,
    account: &AccountId,
    parent: Option<&AccountId>,
) -> Result<Vec<(WebhookId, EventFilter)>, StoreError> {
    let rows: Vec<(String, Option<String>)> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, events FROM webhook
             WHERE account_id IN ($1, $2) AND deleted_at IS NULL AND enabled = 1 ORDER BY id",
        )
        .bind(account.as_str())
        .bind(parent.unwrap_or(account).as_str())
        .fetch_all(c)
        .await?
    });
    rows.into_iter()
        .map(|(id, events)| {
            let id = WebhookId::parse(&id).map_err(|_| corrupt(TABLE, "id"))?;
            Ok((id, filter(events.as_deref())?))
        })
        .collect()
}

/// The accounts with an enabled webhook that wants to be told of events of a kind. `None` when there
/// are more than `up_to` enabled webhooks.
///
/// # Errors
/// [`StoreError`].
pub async fn accounts_wanting(
    conn: Conn<'_>,
    kind: EventKind,
    up_to: u32,
) -> Result<Option<HashSet<AccountId>>, StoreError> {
    let rows: Vec<(String, Option<String>)> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT account_id, events
             FROM webhook WHERE enabled = 1 AND deleted_at IS NULL LIMIT $1",
        )
        .bind(i64::from(up_to) + 1)
        .fetch_all(c)
        .await?
    });
    if rows.len() > usize::try_from(up_to).unwrap_or(usize::MAX) {
        return Ok(None);
    }
    let mut accounts = HashSet::new();
    for (account, events) in rows {
        if filter(events.as_deref())?.wants(kind) {
            accounts.insert(AccountId::parse(&account).map_err(|_| corrupt(TABLE, "account_id"))?);
        }
    }
    Ok(Some(accounts))
}

/// All that are sealed: the ids, and the secrets.
///
/// # Errors
/// [`StoreError`].
pub async fn all_secrets(
    conn: Conn<'_>,
) -> Result<Vec<(String, Vec<u8>, Option<Vec<u8>>)>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, sealed_secret, sealed_old_secret FROM webhook WHERE deleted_at IS NULL",
        )
        .fetch_all(c)
        .await?
    }))
}

/// Stores the secrets of a webhook, sealed again.
///
/// # Errors
/// [`StoreError`].
pub async fn set_secrets(
    conn: Conn<'_>,
    id: &str,
    sealed_secret: &[u8],
    sealed_old_secret: Option<&[u8]>,
) -> Result<(), StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query("UPDATE webhook SET sealed_secret = $2, sealed_old_secret = $3 WHERE id = $1")
            .bind(id)
            .bind(sealed_secret)
            .bind(sealed_old_secret)
            .execute(c)
            .await?
            .rows_affected()
    });
    one_row(rows, TABLE)
}

/// Webhooks behind `after`, in order of their ids, for which something is due.
///
/// # Errors
/// [`StoreError`].
pub async fn due(
    conn: Conn<'_>,
    after: &str,
    now: Timestamp,
    take: i64,
) -> Result<Vec<Webhook>, StoreError> {
    let rows: Vec<WebhookRow> = on_conn!(conn, |c| {
        sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM webhook
             WHERE id > $1 AND enabled = 1 AND deleted_at IS NULL AND retry_at <= $2
                 AND EXISTS (
                     SELECT 1 FROM webhook_delivery
                     WHERE webhook_delivery.webhook_id = webhook.id
                         AND webhook_delivery.state = 'pending' AND webhook_delivery.due_at <= $3)
                 AND EXISTS (
                     SELECT 1 FROM account
                     WHERE account.id = webhook.account_id AND account.state <> 'deleted')
             ORDER BY id LIMIT $4"
        ))
        .bind(after)
        .bind(now.millis())
        .bind(now.millis())
        .bind(take)
        .fetch_all(c)
        .await?
    });
    rows.into_iter().map(Webhook::try_from).collect()
}

/// A receiver took something: it does not fail any more.
///
/// # Errors
/// [`StoreError`].
pub async fn succeeded(conn: Conn<'_>, id: &WebhookId, now: Timestamp) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook SET failures = 0, failing_since = NULL, retry_at = 0,
                 delivered_at = $2
             WHERE id = $1",
        )
        .bind(id.as_str())
        .bind(now.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// A receiver took nothing: it is left alone until `retry_at`.
///
/// # Errors
/// [`StoreError`].
pub async fn failed(
    conn: Conn<'_>,
    id: &WebhookId,
    now: Timestamp,
    retry_at: Timestamp,
) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook SET failures = failures + 1,
                 failing_since = COALESCE(failing_since, $2), retry_at = $3
             WHERE id = $1",
        )
        .bind(id.as_str())
        .bind(now.millis())
        .bind(retry_at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Disables a webhook that failed for too long. `false` when that was done already.
///
/// # Errors
/// [`StoreError`].
pub async fn disable(conn: Conn<'_>, id: &WebhookId, now: Timestamp) -> Result<bool, StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook SET enabled = 0, disabled_at = $2, updated_at = $3
             WHERE id = $1 AND enabled = 1",
        )
        .bind(id.as_str())
        .bind(now.millis())
        .bind(now.millis())
        .execute(c)
        .await?
        .rows_affected()
    });
    Ok(rows == 1)
}

/// Forgets how a webhook fared, because somebody mended it.
///
/// # Errors
/// [`StoreError`].
pub async fn reset(conn: Conn<'_>, id: &WebhookId) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook SET failures = 0, failing_since = NULL, retry_at = 0,
                 disabled_at = NULL
             WHERE id = $1",
        )
        .bind(id.as_str())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Notes that an event was not kept for a webhook.
///
/// # Errors
/// [`StoreError`].
pub async fn overflowed(conn: Conn<'_>, id: &WebhookId, now: Timestamp) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query("UPDATE webhook SET overflowed_at = $2 WHERE id = $1")
            .bind(id.as_str())
            .bind(now.millis())
            .execute(c)
            .await?;
    });
    Ok(())
}

/// Drops webhooks that were deleted before an instant and have no deliveries any more.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(conn: Conn<'_>, before: Timestamp) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "DELETE FROM webhook WHERE deleted_at < $1 AND NOT EXISTS (
                 SELECT 1 FROM webhook_delivery WHERE webhook_delivery.webhook_id = webhook.id)",
        )
        .bind(before.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}
