//! The seal of the ledger: its head, its checkpoints, its keys; and entries as they are sealed.

use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::FromRow;

use super::error::{corrupt, one_row};
use super::{Conn, StoreError, on_conn};
use crate::domain::id::{AuditId, SessionId};
use crate::domain::time::Timestamp;

/// How far the ledger is sealed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct Head {
    pub checkpoint: i64,
    pub seq: i64,
    pub hash: Vec<u8>,
    pub sealed_at: i64,
    pub holder: i64,
    pub lease_until: i64,
}

/// The head of the seal.
///
/// # Errors
/// [`StoreError`].
pub async fn head(conn: Conn<'_>) -> Result<Head, StoreError> {
    on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT checkpoint, seq, hash, sealed_at, holder, lease_until
             FROM ledger_head WHERE id = 1",
        )
        .fetch_optional(c)
        .await?
    })
    .ok_or_else(|| corrupt("ledger_head", "id"))
}

/// Moves the head on by one checkpoint. `false` when another node was first, or has the lease.
///
/// # Errors
/// [`StoreError`].
pub async fn advance(conn: Conn<'_>, head: &Head) -> Result<bool, StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE ledger_head SET checkpoint = $1, seq = $2, hash = $3, sealed_at = $4,
                 holder = $5, lease_until = $6
             WHERE id = 1 AND checkpoint = $7 AND (holder = $8 OR lease_until <= $9)",
        )
        .bind(head.checkpoint)
        .bind(head.seq)
        .bind(head.hash.as_slice())
        .bind(head.sealed_at)
        .bind(head.holder)
        .bind(head.lease_until)
        .bind(head.checkpoint - 1)
        .bind(head.holder)
        .bind(head.sealed_at)
        .execute(c)
        .await?
        .rows_affected()
    });
    Ok(rows == 1)
}

/// A checkpoint as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct CheckpointRow {
    pub number: i64,
    pub first_seq: i64,
    pub last_seq: i64,
    pub members: String,
    pub hash: Vec<u8>,
    pub signed: String,
    pub created_at: i64,
}

/// Characters of an id of an entry.
const ID_LEN: usize = 30;

impl CheckpointRow {
    /// The ids of its entries, in their order.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        split(&self.members)
    }
}

/// Ids that stand one behind the other.
fn split(ids: &str) -> impl Iterator<Item = &str> {
    (0..ids.len() / ID_LEN).filter_map(|index| ids.get(index * ID_LEN..(index + 1) * ID_LEN))
}

/// Stores a checkpoint.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(conn: Conn<'_>, row: &CheckpointRow) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO ledger_checkpoint (number, first_seq, last_seq, members, hash, signed,
                 created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(row.number)
        .bind(row.first_seq)
        .bind(row.last_seq)
        .bind(row.members.as_str())
        .bind(row.hash.as_slice())
        .bind(row.signed.as_str())
        .bind(row.created_at)
        .execute(c)
        .await?;
    });
    Ok(())
}

/// One checkpoint.
///
/// # Errors
/// [`StoreError`].
pub async fn find(conn: Conn<'_>, number: i64) -> Result<Option<CheckpointRow>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT number, first_seq, last_seq, members, hash, signed, created_at
             FROM ledger_checkpoint WHERE number = $1",
        )
        .bind(number)
        .fetch_optional(c)
        .await?
    }))
}

/// Checkpoints that were made from an instant on.
///
/// # Errors
/// [`StoreError`].
pub async fn since(conn: Conn<'_>, from: Timestamp) -> Result<Vec<CheckpointRow>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT number, first_seq, last_seq, members, hash, signed, created_at
             FROM ledger_checkpoint WHERE created_at >= $1 ORDER BY created_at, number",
        )
        .bind(from.millis())
        .fetch_all(c)
        .await?
    }))
}

/// The number of the first checkpoint that was made from an instant on.
///
/// # Errors
/// [`StoreError`].
pub async fn first_since(conn: Conn<'_>, from: Timestamp) -> Result<Option<i64>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_scalar(
            "SELECT number FROM ledger_checkpoint WHERE created_at >= $1
             ORDER BY created_at, number LIMIT 1",
        )
        .bind(from.millis())
        .fetch_optional(c)
        .await?
    }))
}

/// A key that signs checkpoints.
#[derive(Clone, FromRow)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct LedgerKeyRow {
    pub kid: String,
    pub public_jwk: String,
    pub sealed_private: Option<Vec<u8>>,
    pub created_at: i64,
    pub retired_at: Option<i64>,
}

impl std::fmt::Debug for LedgerKeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerKeyRow")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// All keys, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn keys(conn: Conn<'_>) -> Result<Vec<LedgerKeyRow>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT kid, public_jwk, sealed_private, created_at, retired_at
             FROM ledger_key ORDER BY created_at, kid",
        )
        .fetch_all(c)
        .await?
    }))
}

/// Stores a new key.
///
/// # Errors
/// [`StoreError`].
pub async fn insert_key(conn: Conn<'_>, key: &LedgerKeyRow) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO ledger_key (kid, public_jwk, sealed_private, created_at, retired_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(key.kid.as_str())
        .bind(key.public_jwk.as_str())
        .bind(key.sealed_private.as_deref())
        .bind(key.created_at)
        .bind(key.retired_at)
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Stores the private half and the end of a key.
///
/// # Errors
/// [`StoreError`].
pub async fn update_key(conn: Conn<'_>, key: &LedgerKeyRow) -> Result<(), StoreError> {
    let rows = on_conn!(conn, |c| {
        sqlx::query("UPDATE ledger_key SET sealed_private = $2, retired_at = $3 WHERE kid = $1")
            .bind(key.kid.as_str())
            .bind(key.sealed_private.as_deref())
            .bind(key.retired_at)
            .execute(c)
            .await?
            .rows_affected()
    });
    one_row(rows, "ledger_key")
}

/// Which of the two tables of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was done and refused.
    Audit,
    /// What was minted.
    Session,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Audit, Self::Session];

    /// What the ids begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Audit => AuditId::PREFIX,
            Self::Session => SessionId::PREFIX,
        }
    }

    /// By an id.
    pub fn of(id: &str) -> Self {
        if id.starts_with(SessionId::PREFIX) {
            Self::Session
        } else {
            Self::Audit
        }
    }
}

/// Ids of entries behind one, in order. They come as one row: what a row costs on its way from the
/// database is many times what there is in one of these.
///
/// # Errors
/// [`StoreError`].
pub async fn ids(
    conn: Conn<'_>,
    kind: Kind,
    after: &str,
    take: i64,
) -> Result<Vec<String>, StoreError> {
    let text = match kind {
        Kind::Audit => {
            "SELECT string_agg(id, '') FROM (
                 SELECT id FROM audit WHERE id > $1 ORDER BY id LIMIT $2) AS page"
        }
        Kind::Session => {
            "SELECT string_agg(id, '') FROM (
                 SELECT id FROM session WHERE id > $1 ORDER BY id LIMIT $2) AS page"
        }
    };
    let ids: Option<String> = on_conn!(conn, |c| {
        sqlx::query_scalar(text)
            .bind(after)
            .bind(take)
            .fetch_one(c)
            .await?
    });
    // Nothing says in which order they are put together.
    let mut ids: Vec<String> = split(&ids.unwrap_or_default()).map(str::to_owned).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// How many entries there are behind one, up to another.
///
/// # Errors
/// [`StoreError`].
pub async fn count(conn: Conn<'_>, kind: Kind, after: &str, last: &str) -> Result<i64, StoreError> {
    let text = match kind {
        Kind::Audit => "SELECT COUNT(*) FROM audit WHERE id > $1 AND id <= $2",
        Kind::Session => "SELECT COUNT(*) FROM session WHERE id > $1 AND id <= $2",
    };
    Ok(on_conn!(conn, |c| {
        sqlx::query_scalar(text)
            .bind(after)
            .bind(last)
            .fetch_one(c)
            .await?
    }))
}

/// An entry as it is sealed: every column of its row, in this order. The form is for ever: the hash
/// of an entry is computed anew when it is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its id.
    pub id: String,
    row: Row,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Row {
    Audit(AuditRow),
    Session(SessionRow),
}

impl Sealed {
    /// What is hashed: JSON without white space.
    ///
    /// # Errors
    /// [`serde_json::Error`].
    pub fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&self.row)
    }

    /// The same, to be written into an export.
    ///
    /// # Errors
    /// [`serde_json::Error`].
    pub fn data(&self) -> Result<Map<String, Value>, serde_json::Error> {
        serde_json::from_slice(&self.bytes()?)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditRow {
    id: String,
    at: i64,
    action: String,
    outcome: String,
    account_id: String,
    parent_id: Option<String>,
    actor_id: Option<String>,
    key_id: Option<String>,
    session_id: Option<String>,
    target: Option<String>,
    request_id: Option<String>,
    address: Option<String>,
    details: String,
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionRow {
    id: String,
    family_id: String,
    account_id: String,
    parent_id: Option<String>,
    actor_id: Option<String>,
    key_id: String,
    environment: String,
    audience: String,
    issued_at: i64,
    expires_at: i64,
    renewable_until: Option<i64>,
    family_tag: i64,
    tags: String,
    log_id: i64,
    position: i64,
    request_id: String,
    address: Option<String>,
    detail: String,
}

impl From<AuditRow> for Sealed {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id.clone(),
            row: Row::Audit(row),
        }
    }
}

impl From<SessionRow> for Sealed {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id.clone(),
            row: Row::Session(row),
        }
    }
}

/// Entries of the audit table from one id to another, both included, in order.
///
/// # Errors
/// [`StoreError`].
pub async fn audits(conn: Conn<'_>, first: &str, last: &str) -> Result<Vec<Sealed>, StoreError> {
    let rows: Vec<AuditRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, at, action, outcome, account_id, parent_id, actor_id, key_id,
                 session_id, target, request_id, address, details
             FROM audit WHERE id >= $1 AND id <= $2 ORDER BY id",
        )
        .bind(first)
        .bind(last)
        .fetch_all(c)
        .await?
    });
    Ok(rows.into_iter().map(Sealed::from).collect())
}

/// Minted sessions from one id to another, both included, in order.
///
/// # Errors
/// [`StoreError`].
pub async fn mints(conn: Conn<'_>, first: &str, last: &str) -> Result<Vec<Sealed>, StoreError> {
    let rows: Vec<SessionRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, family_id, account_id, parent_id, actor_id, key_id, environment,
                 audience, issued_at, expires_at, renewable_until, family_tag, tags, log_id,
                 position, request_id, address, detail
             FROM session WHERE id >= $1 AND id <= $2 ORDER BY id",
        )
        .bind(first)
        .bind(last)
        .fetch_all(c)
        .await?
    });
    Ok(rows.into_iter().map(Sealed::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of an entry that was sealed years ago is computed from these bytes.
    #[test]
    fn the_bytes_of_an_entry_stay_as_they_are() {
        let audit = AuditRow {
            id: "aud_1".to_owned(),
            at: 1,
            action: "token/create".to_owned(),
            outcome: "ok".to_owned(),
            account_id: "usr_1".to_owned(),
            parent_id: None,
            actor_id: Some("usr_2".to_owned()),
            key_id: Some("key_1".to_owned()),
            session_id: None,
            target: Some("key_2".to_owned()),
            request_id: Some("req_1".to_owned()),
            address: None,
            details: "{\"a\":\"é\"}".to_owned(),
        };
        let session = SessionRow {
            id: "ses_1".to_owned(),
            family_id: "ses_0".to_owned(),
            account_id: "usr_1".to_owned(),
            parent_id: Some("usr_0".to_owned()),
            actor_id: None,
            key_id: "key_1".to_owned(),
            environment: "live".to_owned(),
            audience: "api".to_owned(),
            issued_at: 1,
            expires_at: 2,
            renewable_until: None,
            family_tag: -3,
            tags: "t".to_owned(),
            log_id: 4,
            position: 5,
            request_id: "req_1".to_owned(),
            address: Some("::1".to_owned()),
            detail: "{}".to_owned(),
        };

        let text = |sealed: Sealed| String::from_utf8(sealed.bytes().unwrap()).unwrap();
        assert_eq!(
            text(audit.into()),
            r#"{"id":"aud_1","at":1,"action":"token/create","outcome":"ok","accountId":"usr_1","parentId":null,"actorId":"usr_2","keyId":"key_1","sessionId":null,"target":"key_2","requestId":"req_1","address":null,"details":"{\"a\":\"é\"}"}"#
        );
        assert_eq!(
            text(session.into()),
            r#"{"id":"ses_1","familyId":"ses_0","accountId":"usr_1","parentId":"usr_0","actorId":null,"keyId":"key_1","environment":"live","audience":"api","issuedAt":1,"expiresAt":2,"renewableUntil":null,"familyTag":-3,"tags":"t","logId":4,"position":5,"requestId":"req_1","address":"::1","detail":"{}"}"#
        );
    }
}
