//! Who is signed in to the dashboard: digests of handles and of keys, never either of them.

use sqlx::FromRow;

use super::error::corrupt;
use super::{Conn, StoreError, on_conn};
use crate::domain::id::{AccountId, KeyId};
use crate::domain::secret::KeyDigest;
use crate::domain::time::Timestamp;

const TABLE: &str = "dashboard_sign_in";

/// One browser that is signed in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The digest of its handle.
    pub digest: [u8; 32],
    /// The key with which it signed in.
    pub key: KeyId,
    /// The digest of the very secret.
    pub key_digest: KeyDigest,
    /// The child that it acts as.
    pub acting_as: Option<AccountId>,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it was last seen, now and then.
    pub seen_at: Timestamp,
    /// When it ends unless it is seen again.
    pub expires_at: Timestamp,
}

#[derive(FromRow)]
struct Row {
    digest: Vec<u8>,
    key_id: String,
    key_digest: Vec<u8>,
    acting_as: Option<String>,
    created_at: i64,
    seen_at: i64,
    expires_at: i64,
}

impl TryFrom<Row> for SignIn {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let acting_as = row.acting_as.map(|id| AccountId::parse(&id)).transpose();
        Ok(Self {
            digest: row
                .digest
                .try_into()
                .map_err(|_| corrupt(TABLE, "digest"))?,
            key: KeyId::parse(&row.key_id).map_err(|_| corrupt(TABLE, "key_id"))?,
            key_digest: KeyDigest::from_bytes(&row.key_digest)
                .ok_or_else(|| corrupt(TABLE, "key_digest"))?,
            acting_as: acting_as.map_err(|_| corrupt(TABLE, "acting_as"))?,
            created_at: Timestamp::from_millis(row.created_at),
            seen_at: Timestamp::from_millis(row.seen_at),
            expires_at: Timestamp::from_millis(row.expires_at),
        })
    }
}

/// Stores a sign-in.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(conn: Conn<'_>, sign_in: &SignIn) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO dashboard_sign_in
                 (digest, key_id, key_digest, acting_as, created_at, seen_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(sign_in.digest.as_slice())
        .bind(sign_in.key.as_str())
        .bind(sign_in.key_digest.as_bytes().as_slice())
        .bind(sign_in.acting_as.as_ref().map(AccountId::as_str))
        .bind(sign_in.created_at.millis())
        .bind(sign_in.seen_at.millis())
        .bind(sign_in.expires_at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// The sign-in whose handle has this digest, if it has not expired.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: Conn<'_>,
    digest: &[u8; 32],
    now: Timestamp,
) -> Result<Option<SignIn>, StoreError> {
    let row: Option<Row> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT digest, key_id, key_digest, acting_as, created_at, seen_at, expires_at
             FROM dashboard_sign_in WHERE digest = $1 AND expires_at > $2",
        )
        .bind(digest.as_slice())
        .bind(now.millis())
        .fetch_optional(c)
        .await?
    });
    row.map(SignIn::try_from).transpose()
}

/// Notes that a sign-in was seen. One that has ended meanwhile stays so.
///
/// # Errors
/// [`StoreError`].
pub async fn seen(
    conn: Conn<'_>,
    digest: &[u8; 32],
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE dashboard_sign_in SET seen_at = $2, expires_at = $3
             WHERE digest = $1 AND expires_at > $2",
        )
        .bind(digest.as_slice())
        .bind(now.millis())
        .bind(expires_at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Says as which child a sign-in acts, or that it acts as itself.
///
/// # Errors
/// [`StoreError`].
pub async fn act_as(
    conn: Conn<'_>,
    digest: &[u8; 32],
    child: Option<&AccountId>,
) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query("UPDATE dashboard_sign_in SET acting_as = $2 WHERE digest = $1")
            .bind(digest.as_slice())
            .bind(child.map(AccountId::as_str))
            .execute(c)
            .await?;
    });
    Ok(())
}

/// Ends a sign-in.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(conn: Conn<'_>, digest: &[u8; 32]) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query("DELETE FROM dashboard_sign_in WHERE digest = $1")
            .bind(digest.as_slice())
            .execute(c)
            .await?;
    });
    Ok(())
}

/// Ends the sign-ins of a key, but for the newest `keep`. How many were ended.
///
/// # Errors
/// [`StoreError`].
pub async fn delete_of_key(conn: Conn<'_>, key: &KeyId, keep: u32) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query(
            "DELETE FROM dashboard_sign_in WHERE key_id = $1 AND digest NOT IN (
                 SELECT digest FROM dashboard_sign_in WHERE key_id = $1
                 ORDER BY created_at DESC, digest LIMIT $2)",
        )
        .bind(key.as_str())
        .bind(i64::from(keep))
        .execute(c)
        .await?
        .rows_affected()
    }))
}

/// Drops sign-ins that have expired.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(conn: Conn<'_>, now: Timestamp) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query("DELETE FROM dashboard_sign_in WHERE expires_at <= $1")
            .bind(now.millis())
            .execute(c)
            .await?
            .rows_affected()
    }))
}
