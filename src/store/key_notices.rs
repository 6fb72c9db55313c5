//! Keys of which somebody should be told before it hurts: those that expire soon, and those that
//! nobody uses.

use sqlx::FromRow;

use super::error::corrupt;
use super::{Conn, StoreError, on_conn};
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, first_suffix};
use crate::domain::time::Timestamp;

const TABLE: &str = "api_key";

/// A key, as far as a notice tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyNotice {
    /// The key.
    pub key: KeyId,
    /// Its account.
    pub account: AccountId,
    /// The parent of its account.
    pub parent: Option<AccountId>,
    /// Its environment.
    pub environment: Environment,
    /// Its name.
    pub name: Option<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was used last.
    pub last_used_at: Option<Timestamp>,
}

#[derive(FromRow)]
struct Row {
    id: String,
    account_id: String,
    parent_id: Option<String>,
    environment: String,
    name: Option<String>,
    expires_at: Option<i64>,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl TryFrom<Row> for KeyNotice {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let parent = row.parent_id.map(|id| AccountId::parse(&id)).transpose();
        Ok(Self {
            key: KeyId::parse(&row.id).map_err(|_| corrupt(TABLE, "id"))?,
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt(TABLE, "account_id"))?,
            parent: parent.map_err(|_| corrupt("account", "parent_id"))?,
            environment: Environment::parse(&row.environment)
                .ok_or_else(|| corrupt(TABLE, "environment"))?,
            name: row.name,
            expires_at: row.expires_at.map(Timestamp::from_millis),
            created_at: Timestamp::from_millis(row.created_at),
            last_used_at: row.last_used_at.map(Timestamp::from_millis),
        })
    }
}

/// Whether keys count of which somebody was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// They do not.
    Not,
    /// They do.
    Also,
}

impl Told {
    const fn flag(self) -> i64 {
        match self {
            Self::Not => 0,
            Self::Also => 1,
        }
    }
}

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT k.id AS id, k.account_id AS account_id, a.parent_id AS parent_id,
                 k.environment AS environment, k.name AS name, k.expires_at AS expires_at,
                 k.created_at AS created_at, (
                     SELECT MAX(s.last_used_at) FROM api_key_secret s WHERE s.key_id = k.id
                 ) AS last_used_at
             FROM api_key k JOIN account a ON a.id = k.account_id
             WHERE k.ended_at IS NULL AND k.enabled = 1 AND a.state = 'active' AND ",
            $where
        )
    };
}

/// Living keys that expire between two instants, soonest first.
///
/// # Errors
/// [`StoreError`].
pub async fn expiring(
    conn: Conn<'_>,
    from: Timestamp,
    until: Timestamp,
    told: Told,
    take: i64,
) -> Result<Vec<KeyNotice>, StoreError> {
    let rows: Vec<Row> = on_conn!(conn, |c| {
        sqlx::query_as(select!(
            "k.expires_at > $1 AND k.expires_at <= $2
                 AND ($3 = 1 OR NOT EXISTS (
                     SELECT 1 FROM webhook_notice n
                     WHERE n.id = 'expiring:' || k.id || ':' || CAST(k.expires_at AS TEXT)))
             ORDER BY k.expires_at, k.id LIMIT $4"
        ))
        .bind(from.millis())
        .bind(until.millis())
        .bind(told.flag())
        .bind(take)
        .fetch_all(c)
        .await?
    });
    rows.into_iter().map(KeyNotice::try_from).collect()
}

/// Living keys that were made, rotated and last used before an instant, as
/// [`is_unused`](crate::domain::api_key::is_unused) says. Every older key is looked at, so this is not
/// for every minute.
///
/// # Errors
/// [`StoreError`].
pub async fn unused(
    conn: Conn<'_>,
    before: Timestamp,
    now: Timestamp,
    told: Told,
    take: i64,
) -> Result<Vec<KeyNotice>, StoreError> {
    let rows: Vec<Row> = on_conn!(conn, |c| {
        sqlx::query_as(select!(
            "k.id < $1 AND (k.expires_at IS NULL OR k.expires_at > $2)
                 AND NOT EXISTS (
                     SELECT 1 FROM api_key_secret s
                     WHERE s.key_id = k.id AND (s.last_used_at >= $3 OR s.created_at >= $4))
                 AND ($5 = 1 OR NOT EXISTS (
                     SELECT 1 FROM webhook_notice n WHERE n.id = 'unused:' || k.id))
             ORDER BY k.id LIMIT $6"
        ))
        .bind(format!("{}{}", KeyId::PREFIX, first_suffix(before)))
        .bind(now.millis())
        .bind(before.millis())
        .bind(before.millis())
        .bind(told.flag())
        .bind(take)
        .fetch_all(c)
        .await?
    });
    rows.into_iter().map(KeyNotice::try_from).collect()
}
