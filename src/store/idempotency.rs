//! Answers to be replayed, sealed. The key that opens one is in no row (DESIGN.md §8).

use super::error::one_row;
use super::{Conn, StoreError, on_conn};
use crate::domain::time::Timestamp;

/// An answer that was given.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Answer {
    /// The digest of the body that it answered.
    pub body_digest: Vec<u8>,
    /// The answer.
    pub sealed_answer: Vec<u8>,
}

/// Takes the place of an answer. `false` when it is taken, be it by an answer that has expired;
/// [`prune`] it first. On PostgreSQL this waits until a transaction that holds the place ends.
///
/// # Errors
/// [`StoreError`].
pub async fn begin(
    conn: Conn<'_>,
    id: &[u8],
    body_digest: &[u8],
    expires_at: Timestamp,
) -> Result<bool, StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO idempotency (id, body_digest, sealed_answer, expires_at)
             VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(body_digest)
        .bind(Vec::<u8>::new())
        .bind(expires_at.millis())
        .execute(c)
        .await?
        .rows_affected()
    });
    Ok(rows == 1)
}

/// Puts the answer in the place that was taken in the same transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn finish(conn: Conn<'_>, id: &[u8], sealed_answer: &[u8]) -> Result<(), StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query("UPDATE idempotency SET sealed_answer = $2 WHERE id = $1")
            .bind(id)
            .bind(sealed_answer)
            .execute(c)
            .await?
            .rows_affected()
    });
    one_row(rows, "idempotency")
}

/// An answer that has not expired.
///
/// # Errors
/// [`StoreError`].
pub async fn find(conn: Conn<'_>, id: &[u8], now: Timestamp) -> Result<Option<Answer>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT body_digest, sealed_answer FROM idempotency WHERE id = $1 AND expires_at > $2",
        )
        .bind(id)
        .bind(now.millis())
        .fetch_optional(c)
        .await?
    }))
}

/// Drops one answer if it has expired. The number of rows.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(conn: Conn<'_>, id: &[u8], now: Timestamp) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query("DELETE FROM idempotency WHERE expires_at <= $1 AND id = $2")
            .bind(now.millis())
            .bind(id)
            .execute(c)
            .await?
            .rows_affected()
    }))
}

/// Drops answers that have expired, at most so many. The number of rows.
///
/// # Errors
/// [`StoreError`].
pub async fn prune_expired(conn: Conn<'_>, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query(
            "DELETE FROM idempotency WHERE id IN (
                 SELECT id FROM idempotency WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        )
        .bind(now.millis())
        .bind(i64::from(limit))
        .execute(c)
        .await?
        .rows_affected()
    }))
}
