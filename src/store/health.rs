//! Sums for `hallpass doctor`.

use super::{Conn, StoreError, on_conn};

/// When the newest entry of the ledger was made, in milliseconds since 1970.
///
/// # Errors
/// [`StoreError`].
pub async fn newest_entry(conn: Conn<'_>) -> Result<i64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_scalar(
            "SELECT MAX(at) FROM (
                 SELECT COALESCE((SELECT at FROM audit ORDER BY id DESC LIMIT 1), 0) AS at
                 UNION ALL
                 SELECT COALESCE((SELECT issued_at FROM session ORDER BY id DESC LIMIT 1), 0)
             ) AS newest",
        )
        .fetch_one(c)
        .await?
    }))
}

/// Webhooks that fail, and webhooks that were disabled because they did.
///
/// # Errors
/// [`StoreError`].
pub async fn webhooks(conn: Conn<'_>) -> Result<(i64, i64), StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT COUNT(CASE WHEN enabled = 1 AND failing_since IS NOT NULL THEN 1 END),
                 COUNT(CASE WHEN enabled = 0 AND disabled_at IS NOT NULL THEN 1 END)
             FROM webhook WHERE deleted_at IS NULL",
        )
        .fetch_one(c)
        .await?
    }))
}
