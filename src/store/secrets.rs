//! The secrets of keys: digests and hints, never the keys themselves.

use sqlx::FromRow;

use super::error::corrupt;
use super::{Conn, StoreError, on_conn};
use crate::domain::id::KeyId;
use crate::domain::secret::KeyDigest;
use crate::domain::time::Timestamp;

const TABLE: &str = "api_key_secret";

/// One secret of a key.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The digest of the whole key.
    pub digest: KeyDigest,
    /// The key that it opens.
    pub key: KeyId,
    /// What people recognise it by.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working, after a rotation.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, as far as it was written (decision 0024).
    pub last_used: Option<LastUsed>,
}

/// The last use of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUsed {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub address: Option<String>,
    /// By which program, as it says itself.
    pub agent: Option<String>,
}

#[derive(FromRow)]
struct SecretRow {
    digest: Vec<u8>,
    key_id: String,
    hint: String,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    last_used_address: Option<String>,
    last_used_agent: Option<String>,
}

impl TryFrom<SecretRow> for Secret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        let (address, agent) = (row.last_used_address, row.last_used_agent);
        Ok(Self {
            digest: KeyDigest::from_bytes(&row.digest).ok_or_else(|| corrupt(TABLE, "digest"))?,
            key: KeyId::parse(&row.key_id).map_err(|_| corrupt(TABLE, "key_id"))?,
            hint: row.hint,
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: row.expires_at.map(Timestamp::from_millis),
            last_used: row.last_used_at.map(|at| LastUsed {
                at: Timestamp::from_millis(at),
                address,
                agent,
            }),
        })
    }
}

/// Stores a secret.
///
/// # Errors
/// [`StoreError::Conflict`] when the digest exists.
pub async fn insert(conn: Conn<'_>, secret: &Secret) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO api_key_secret (digest, key_id, hint, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(secret.digest.as_bytes().as_slice())
        .bind(secret.key.as_str())
        .bind(secret.hint.as_str())
        .bind(secret.created_at.millis())
        .bind(secret.expires_at.map(Timestamp::millis))
        .execute(c)
        .await?;
    });
    Ok(())
}

/// The secret with this digest, whatever its state.
///
/// # Errors
/// [`StoreError`].
pub async fn find(conn: Conn<'_>, digest: &KeyDigest) -> Result<Option<Secret>, StoreError> {
    let row: Option<SecretRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT digest, key_id, hint, created_at, expires_at, last_used_at,
                 last_used_address, last_used_agent
             FROM api_key_secret WHERE digest = $1",
        )
        .bind(digest.as_bytes().as_slice())
        .fetch_optional(c)
        .await?
    });
    row.map(Secret::try_from).transpose()
}

/// The secrets of a key, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn of_key(conn: Conn<'_>, key: &KeyId) -> Result<Vec<Secret>, StoreError> {
    let rows: Vec<SecretRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT digest, key_id, hint, created_at, expires_at, last_used_at,
                 last_used_address, last_used_agent
             FROM api_key_secret WHERE key_id = $1 ORDER BY created_at DESC, digest",
        )
        .bind(key.as_str())
        .fetch_all(c)
        .await?
    });
    rows.into_iter().map(Secret::try_from).collect()
}

/// The secrets of all listed keys, by key, the newest of each first. For one page of keys.
///
/// # Errors
/// [`StoreError`].
pub async fn of_keys(conn: Conn<'_>, keys: &[&KeyId]) -> Result<Vec<Secret>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<SecretRow> = on_conn!(conn, |c| {
        let mut query = sqlx::QueryBuilder::new(
            "SELECT digest, key_id, hint, created_at, expires_at, last_used_at,
                 last_used_address, last_used_agent
             FROM api_key_secret WHERE key_id IN (",
        );
        let mut ids = query.separated(", ");
        for key in keys {
            ids.push_bind(key.as_str());
        }
        query.push(") ORDER BY key_id, created_at DESC, digest");
        // Each length is a text of its own; they are not worth a place among the prepared ones.
        query
            .build_query_as()
            .persistent(false)
            .fetch_all(c)
            .await?
    });
    rows.into_iter().map(Secret::try_from).collect()
}

/// Lets the secrets of a key end at an instant, those that end earlier aside.
///
/// # Errors
/// [`StoreError`].
pub async fn expire(conn: Conn<'_>, key: &KeyId, at: Timestamp) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE api_key_secret SET expires_at = $2
             WHERE key_id = $1 AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(key.as_str())
        .bind(at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Ends a secret at once, and so that no clock brings it back: nothing has the digest that takes the
/// place of its own.
///
/// # Errors
/// [`StoreError`].
pub async fn cut(
    conn: Conn<'_>,
    digest: &KeyDigest,
    nobodys: &KeyDigest,
    at: Timestamp,
) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE api_key_secret
             SET digest = $2, expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END
             WHERE digest = $1",
        )
        .bind(digest.as_bytes().as_slice())
        .bind(nobodys.as_bytes().as_slice())
        .bind(at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Records last uses, each unless a later one is known. Some hundreds at once, of secrets that
/// differ.
///
/// # Errors
/// [`StoreError`].
pub async fn touch(conn: Conn<'_>, uses: &[(KeyDigest, LastUsed)]) -> Result<(), StoreError> {
    if uses.is_empty() {
        return Ok(());
    }
    on_conn!(conn, |c| {
        let mut query = sqlx::QueryBuilder::new(
            "UPDATE api_key_secret
             SET last_used_at = used.column2, last_used_address = used.column3,
                 last_used_agent = used.column4
             FROM (",
        );
        query.push_values(uses, |mut row, (digest, used)| {
            row.push_bind(digest.as_bytes().as_slice())
                .push_bind(used.at.millis())
                .push_bind(used.address.as_deref())
                .push_bind(used.agent.as_deref());
        });
        query.push(
            ") AS used
             WHERE digest = used.column1
                 AND (last_used_at IS NULL OR last_used_at <= used.column2)",
        );
        // Each length is a text of its own.
        query.build().persistent(false).execute(c).await?;
    });
    Ok(())
}

/// Drops secrets that stopped working before an instant. The number of rows.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(conn: Conn<'_>, before: Timestamp) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query("DELETE FROM api_key_secret WHERE expires_at < $1")
            .bind(before.millis())
            .execute(c)
            .await?
            .rows_affected()
    }))
}
