//! Signing keys as rows; the key ring makes keys of them.

use sqlx::FromRow;

use super::{Conn, StoreError, on_conn};

/// A signing key as stored. The private half is sealed.
#[derive(Clone, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct SigningKeyRow {
    pub kid: String,
    pub environment: String,
    pub algorithm: String,
    pub state: String,
    pub public_jwk: String,
    pub sealed_private: Option<Vec<u8>>,
    pub created_at: i64,
    pub activated_at: Option<i64>,
    pub retired_at: Option<i64>,
    pub revoked_at: Option<i64>,
}

impl std::fmt::Debug for SigningKeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeyRow")
            .field("kid", &self.kid)
            .field("environment", &self.environment)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// All signing keys, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(conn: Conn<'_>) -> Result<Vec<SigningKeyRow>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT kid, environment, algorithm, state, public_jwk, sealed_private, created_at,
                 activated_at, retired_at, revoked_at
             FROM signing_key ORDER BY created_at, kid",
        )
        .fetch_all(c)
        .await?
    }))
}

/// Stores a new key.
///
/// # Errors
/// [`StoreError::Conflict`] when the environment has an active key already.
pub async fn insert(conn: Conn<'_>, key: &SigningKeyRow) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO signing_key (kid, environment, algorithm, state, public_jwk,
                 sealed_private, created_at, activated_at, retired_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(key.kid.as_str())
        .bind(key.environment.as_str())
        .bind(key.algorithm.as_str())
        .bind(key.state.as_str())
        .bind(key.public_jwk.as_str())
        .bind(key.sealed_private.as_deref())
        .bind(key.created_at)
        .bind(key.activated_at)
        .bind(key.retired_at)
        .bind(key.revoked_at)
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Stores the state of a key if it is still in the state in which it was read. `false` when another
/// node was first.
///
/// # Errors
/// [`StoreError`].
pub async fn change_state(
    conn: Conn<'_>,
    key: &SigningKeyRow,
    was: &str,
) -> Result<bool, StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE signing_key SET state = $3, sealed_private = $4, activated_at = $5,
                 retired_at = $6, revoked_at = $7
             WHERE kid = $1 AND state = $2",
        )
        .bind(key.kid.as_str())
        .bind(was)
        .bind(key.state.as_str())
        .bind(key.sealed_private.as_deref())
        .bind(key.activated_at)
        .bind(key.retired_at)
        .bind(key.revoked_at)
        .execute(c)
        .await?
        .rows_affected()
    });
    Ok(rows == 1)
}

/// Removes a key whose last token is over.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(conn: Conn<'_>, kid: &str) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query("DELETE FROM signing_key WHERE kid = $1")
            .bind(kid)
            .execute(c)
            .await?;
    });
    Ok(())
}
