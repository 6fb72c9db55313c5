//! The outbox of webhooks: events, and one delivery for each webhook that wants one.

use sqlx::FromRow;

use super::error::corrupt;
use super::{Conn, Page, StoreError, by_order, never_stored, on_conn};
use crate::domain::environment::Environment;
use crate::domain::id::{DeliveryId, EventId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DeliveryState, EventKind, Problem};

const TABLE: &str = "webhook_delivery";

/// What happened, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id, the `webhook-id`.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// Of which environment, where it is of one.
    pub environment: Option<Environment>,
    /// The body.
    pub body: String,
    /// When.
    pub created_at: Timestamp,
}

/// One event for one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// For which webhook.
    pub webhook: WebhookId,
    /// Which event.
    pub event: EventId,
    /// What the event is about.
    pub subject: String,
    /// Its place among those about the same.
    pub ordinal: i64,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: i64,
    /// When it is to be tried; while it is tried, when it may be tried by another.
    pub due_at: Timestamp,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
    /// What the receiver answered then.
    pub status: Option<i64>,
    /// What was wrong then.
    pub problem: Option<Problem>,
    /// How long that took.
    pub duration_ms: Option<i64>,
    /// The delivery that this one repeats by hand.
    pub replay_of: Option<DeliveryId>,
    /// When it was put here.
    pub created_at: Timestamp,
}

/// A delivery with its event, as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The delivery.
    pub delivery: Delivery,
    /// What happened.
    pub kind: EventKind,
    /// Of which environment.
    pub environment: Option<Environment>,
    /// The body.
    pub body: String,
}

#[derive(FromRow)]
struct LoggedRow {
    id: String,
    webhook_id: String,
    event_id: String,
    subject: String,
    ordinal: i64,
    state: String,
    attempts: i64,
    due_at: i64,
    tried_at: Option<i64>,
    status: Option<i64>,
    problem: Option<String>,
    duration_ms: Option<i64>,
    replay_of: Option<String>,
    created_at: i64,
    kind: String,
    environment: Option<String>,
    body: String,
}

impl TryFrom<LoggedRow> for Logged {
    type Error = StoreError;

    fn try_from(row: LoggedRow) -> Result<Self, StoreError> {
        let bad = |column| move || corrupt(TABLE, column);
        let problem = match row.problem.as_deref() {
            None => None,
            Some(text) => Some(Problem::parse(text).ok_or_else(bad("problem"))?),
        };
        let environment = match row.environment.as_deref() {
            None => None,
            Some(text) => Some(
                Environment::parse(text).ok_or_else(|| corrupt("webhook_event", "environment"))?,
            ),
        };
        let replay_of = row.replay_of.map(|id| DeliveryId::parse(&id)).transpose();
        Ok(Self {
            delivery: Delivery {
                id: DeliveryId::parse(&row.id).map_err(|_| corrupt(TABLE, "id"))?,
                webhook: WebhookId::parse(&row.webhook_id)
                    .map_err(|_| corrupt(TABLE, "webhook_id"))?,
                event: EventId::parse(&row.event_id).map_err(|_| corrupt(TABLE, "event_id"))?,
                subject: row.subject,
                ordinal: row.ordinal,
                state: DeliveryState::parse(&row.state).ok_or_else(bad("state"))?,
                attempts: row.attempts,
                due_at: Timestamp::from_millis(row.due_at),
                tried_at: row.tried_at.map(Timestamp::from_millis),
                status: row.status,
                problem,
                duration_ms: row.duration_ms,
                replay_of: replay_of.map_err(|_| corrupt(TABLE, "replay_of"))?,
                created_at: Timestamp::from_millis(row.created_at),
            },
            kind: EventKind::parse(&row.kind).ok_or_else(|| corrupt("webhook_event", "kind"))?,
            environment,
            body: row.body,
        })
    }
}

macro_rules! columns {
    () => {
        "d.id AS id, d.webhook_id AS webhook_id, d.event_id AS event_id, d.subject AS subject,
             d.ordinal AS ordinal, d.state AS state, d.attempts AS attempts, d.due_at AS due_at,
             d.tried_at AS tried_at, d.status AS status, d.problem AS problem,
             d.duration_ms AS duration_ms, d.replay_of AS replay_of,
             d.created_at AS created_at, e.kind AS kind, e.environment AS environment,
             e.body AS body"
    };
}

/// Stores what happened.
///
/// # Errors
/// [`StoreError`].
pub async fn insert_event(conn: Conn<'_>, event: &Event) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO webhook_event (id, kind, environment, body, created_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(event.id.as_str())
        .bind(event.kind.as_str())
        .bind(event.environment.map(Environment::as_str))
        .bind(event.body.as_str())
        .bind(event.created_at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Stores that a webhook is to be told.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(conn: Conn<'_>, delivery: &Delivery) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO webhook_delivery (id, webhook_id, event_id, subject, ordinal, state,
                 attempts, due_at, replay_of, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(delivery.id.as_str())
        .bind(delivery.webhook.as_str())
        .bind(delivery.event.as_str())
        .bind(delivery.subject.as_str())
        .bind(delivery.ordinal)
        .bind(delivery.state.as_str())
        .bind(delivery.attempts)
        .bind(delivery.due_at.millis())
        .bind(delivery.replay_of.as_ref().map(DeliveryId::as_str))
        .bind(delivery.created_at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// How many deliveries wait for a webhook, counted up to a bound.
///
/// # Errors
/// [`StoreError`].
pub async fn pending(conn: Conn<'_>, webhook: &WebhookId, up_to: i64) -> Result<i64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_scalar(
            "SELECT COUNT(*) FROM (
                 SELECT 1 FROM webhook_delivery
                 WHERE webhook_id = $1 AND state = 'pending' LIMIT $2) AS waiting",
        )
        .bind(webhook.as_str())
        .bind(up_to)
        .fetch_one(c)
        .await?
    }))
}

/// What is due for a webhook, oldest first. What is about the same thing as something earlier that
/// waits, waits, too.
///
/// # Errors
/// [`StoreError`].
pub async fn due(
    conn: Conn<'_>,
    webhook: &WebhookId,
    now: Timestamp,
    take: i64,
) -> Result<Vec<Logged>, StoreError> {
    let rows: Vec<LoggedRow> = on_conn!(conn, |c| {
        sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM webhook_delivery d JOIN webhook_event e ON e.id = d.event_id
             WHERE d.webhook_id = $1 AND d.state = 'pending' AND d.due_at <= $2
                 AND NOT EXISTS (
                     SELECT 1 FROM webhook_delivery b
                     WHERE b.webhook_id = d.webhook_id AND b.subject = d.subject
                         AND b.state = 'pending' AND b.ordinal < d.ordinal)
             ORDER BY d.due_at, d.ordinal LIMIT $3"
        ))
        .bind(webhook.as_str())
        .bind(now.millis())
        .bind(take)
        .fetch_all(c)
        .await?
    });
    rows.into_iter().map(Logged::try_from).collect()
}

/// Takes a delivery to send it, until `lease`. `false` when another node was first.
///
/// # Errors
/// [`StoreError`].
pub async fn claim(
    conn: Conn<'_>,
    delivery: &Delivery,
    lease: Timestamp,
) -> Result<bool, StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook_delivery SET due_at = $3, attempts = attempts + 1
             WHERE id = $1 AND due_at = $2 AND state = 'pending'",
        )
        .bind(delivery.id.as_str())
        .bind(delivery.due_at.millis())
        .bind(lease.millis())
        .execute(c)
        .await?
        .rows_affected()
    });
    Ok(rows == 1)
}

/// How an attempt went.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Where the delivery stands after it.
    pub state: DeliveryState,
    /// When it is tried again, if it is.
    pub due_at: Timestamp,
    /// When it was tried.
    pub tried_at: Timestamp,
    /// What the receiver answered.
    pub status: Option<i64>,
    /// What was wrong.
    pub problem: Option<Problem>,
    /// How long it took.
    pub duration_ms: i64,
}

/// Stores how an attempt went, unless its lease was over and another has it.
///
/// # Errors
/// [`StoreError`].
pub async fn settle(
    conn: Conn<'_>,
    id: &DeliveryId,
    lease: Timestamp,
    attempt: &Attempt,
) -> Result<bool, StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook_delivery SET state = $3, due_at = $4, tried_at = $5, status = $6,
                 problem = $7, duration_ms = $8
             WHERE id = $1 AND due_at = $2 AND state = 'pending'",
        )
        .bind(id.as_str())
        .bind(lease.millis())
        .bind(attempt.state.as_str())
        .bind(attempt.due_at.millis())
        .bind(attempt.tried_at.millis())
        .bind(attempt.status)
        .bind(attempt.problem.map(Problem::as_str))
        .bind(attempt.duration_ms)
        .execute(c)
        .await?
        .rows_affected()
    });
    Ok(rows == 1)
}

/// The log of a webhook.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: Conn<'_>,
    webhook: &WebhookId,
    state: Option<DeliveryState>,
    page: &Page,
) -> Result<Vec<Logged>, StoreError> {
    macro_rules! select {
        ($order:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM webhook_delivery d JOIN webhook_event e ON e.id = d.event_id
                 WHERE (d.webhook_id, d.id) > ($1, $2) AND (d.webhook_id, d.id) < ($1, $3)
                     AND ($4 = '' OR d.state = $4)
                 ORDER BY d.webhook_id ",
                $order,
                ", d.id ",
                $order,
                " LIMIT $5"
            )
        };
    }
    if never_stored(page.after.as_deref()) {
        return Ok(Vec::new());
    }
    let (lower, upper) = page.bounds();
    let rows: Vec<LoggedRow> = on_conn!(conn, |c| {
        sqlx::query_as(by_order!(page.order, select))
            .bind(webhook.as_str())
            .bind(lower)
            .bind(upper)
            .bind(state.map_or("", DeliveryState::as_str))
            .bind(page.limit())
            .fetch_all(c)
            .await?
    });
    rows.into_iter().map(Logged::try_from).collect()
}

/// One delivery of a webhook.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: Conn<'_>,
    webhook: &WebhookId,
    id: &DeliveryId,
) -> Result<Option<Logged>, StoreError> {
    let row: Option<LoggedRow> = on_conn!(conn, |c| {
        sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM webhook_delivery d JOIN webhook_event e ON e.id = d.event_id
             WHERE d.webhook_id = $1 AND d.id = $2"
        ))
        .bind(webhook.as_str())
        .bind(id.as_str())
        .fetch_optional(c)
        .await?
    });
    row.map(Logged::try_from).transpose()
}

/// Gives up what waits for a webhook that was disabled or deleted.
///
/// # Errors
/// [`StoreError`].
pub async fn give_up(conn: Conn<'_>, webhook: &WebhookId) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook_delivery SET state = 'failed', problem = 'disabled'
             WHERE webhook_id = $1 AND state = 'pending'",
        )
        .bind(webhook.as_str())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Gives up what waits since before an instant.
///
/// # Errors
/// [`StoreError`].
pub async fn expire(conn: Conn<'_>, before: Timestamp) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE webhook_delivery SET state = 'failed', problem = 'expired'
             WHERE state = 'pending' AND created_at < $1",
        )
        .bind(before.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Drops deliveries from before an instant that do not wait, at most so many. Their number.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(conn: Conn<'_>, before: Timestamp, take: u32) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query(
            "DELETE FROM webhook_delivery WHERE id IN (
                 SELECT id FROM webhook_delivery WHERE created_at < $1 AND state <> 'pending'
                 ORDER BY created_at LIMIT $2)",
        )
        .bind(before.millis())
        .bind(i64::from(take))
        .execute(c)
        .await?
        .rows_affected()
    }))
}

/// Drops events from before an instant that no delivery has any more, at most so many. Their
/// number.
///
/// # Errors
/// [`StoreError`].
pub async fn prune_events(conn: Conn<'_>, before: Timestamp, take: u32) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query(
            "DELETE FROM webhook_event WHERE id IN (
                 SELECT e.id FROM webhook_event e WHERE e.created_at < $1 AND NOT EXISTS (
                     SELECT 1 FROM webhook_delivery d WHERE d.event_id = e.id)
                 ORDER BY e.created_at LIMIT $2)",
        )
        .bind(before.millis())
        .bind(i64::from(take))
        .execute(c)
        .await?
        .rows_affected()
    }))
}

/// Forgets what was told before an instant.
///
/// # Errors
/// [`StoreError`].
pub async fn prune_notices(conn: Conn<'_>, before: Timestamp) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query("DELETE FROM webhook_notice WHERE created_at < $1")
            .bind(before.millis())
            .execute(c)
            .await?;
    });
    Ok(())
}

/// Whether something was told before.
///
/// # Errors
/// [`StoreError`].
pub async fn is_noted(conn: Conn<'_>, id: &str) -> Result<bool, StoreError> {
    let found: Option<String> = on_conn!(conn, |c| {
        sqlx::query_scalar("SELECT id FROM webhook_notice WHERE id = $1")
            .bind(id)
            .fetch_optional(c)
            .await?
    });
    Ok(found.is_some())
}

/// Notes that something is told. `false` when it was told before.
///
/// # Errors
/// [`StoreError`].
pub async fn note(conn: Conn<'_>, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO webhook_notice (id, created_at) VALUES ($1, $2)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(now.millis())
        .execute(c)
        .await?
        .rows_affected()
    });
    Ok(rows == 1)
}
