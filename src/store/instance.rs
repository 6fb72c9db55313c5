//! The one row that says that this database was set up, and who the operator is.

use super::{Conn, StoreError, on_conn};
use crate::domain::id::AccountId;
use crate::domain::time::Timestamp;
use crate::store::error::corrupt;

/// The operator account; `None` before the first start.
///
/// # Errors
/// [`StoreError`].
pub async fn operator(conn: Conn<'_>) -> Result<Option<AccountId>, StoreError> {
    let id: Option<String> = on_conn!(conn, |c| {
        sqlx::query_scalar("SELECT operator_account_id FROM instance WHERE id = 1")
            .fetch_optional(c)
            .await?
    });
    id.map(|id| AccountId::parse(&id).map_err(|_| corrupt("instance", "operator_account_id")))
        .transpose()
}

/// Records the operator account. `false` when another node was first.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(
    conn: Conn<'_>,
    operator: &AccountId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO instance (id, operator_account_id, created_at) VALUES (1, $1, $2)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(operator.as_str())
        .bind(now.millis())
        .execute(c)
        .await?
        .rows_affected()
    });
    Ok(rows == 1)
}
