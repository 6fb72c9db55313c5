//! How much was done over time, counted in the ledger's own tables.

use super::{Conn, StoreError, on_conn};
use crate::domain::id::AccountId;
use crate::domain::time::Timestamp;

/// A window of time, in steps of equal length.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Where it begins.
    pub from: Timestamp,
    /// The length of a step, in milliseconds.
    pub step_ms: i64,
}

/// How often something happened in a step, by the number of the step.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Count {
    /// The step.
    pub step: i64,
    /// How often.
    pub number: i64,
}

/// The sessions that were minted for an account and its children. `after` is the least that an id of
/// the window can be, so that an index serves.
///
/// # Errors
/// [`StoreError`].
pub async fn sessions(
    conn: Conn<'_>,
    account: &AccountId,
    after: &str,
    environment: Option<&str>,
    window: Window,
) -> Result<Vec<Count>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT (issued_at - $3) / $4 AS step, COUNT(*) AS number FROM (
                 SELECT issued_at, environment FROM session
                 WHERE (account_id, id) > ($1, $2) AND account_id <= $1
                 UNION ALL
                 SELECT issued_at, environment FROM session
                 WHERE (parent_id, id) > ($1, $2) AND parent_id <= $1) AS minted
             WHERE issued_at >= $3 AND ($5 IS NULL OR environment = $5)
             GROUP BY 1 ORDER BY 1",
        )
        .bind(account.as_str())
        .bind(after)
        .bind(window.from.millis())
        .bind(window.step_ms)
        .bind(environment)
        .fetch_all(c)
        .await?
    }))
}

/// The entries of the ledger of an account and its children with this outcome.
///
/// # Errors
/// [`StoreError`].
pub async fn entries(
    conn: Conn<'_>,
    account: &AccountId,
    after: &str,
    outcome: &str,
    window: Window,
) -> Result<Vec<Count>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT (at - $3) / $4 AS step, COUNT(*) AS number FROM (
                 SELECT at, outcome FROM audit
                 WHERE (account_id, id) > ($1, $2) AND account_id <= $1
                 UNION ALL
                 SELECT at, outcome FROM audit
                 WHERE (parent_id, id) > ($1, $2) AND parent_id <= $1) AS entries
             WHERE at >= $3 AND outcome = $5
             GROUP BY 1 ORDER BY 1",
        )
        .bind(account.as_str())
        .bind(after)
        .bind(window.from.millis())
        .bind(window.step_ms)
        .bind(outcome)
        .fetch_all(c)
        .await?
    }))
}
