//! Sessions: one row a minted token, which is its ledger entry, too.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::error::corrupt;
use super::{Conn, Page, StoreError, by_order, on_conn};
use crate::domain::config;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, RequestId, SessionId};
use crate::domain::liveness::{LogId, Position, Rev, Tag, Tags};
use crate::domain::permission::Permissions;
use crate::domain::profile::ProfileUse;
use crate::domain::route::{PlaceholderValue, RouteSet};
use crate::domain::session::{Origin, Session, SessionScope};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;

mod new_row;

use new_row::Insertion as _;
pub use new_row::NewRow;

const TABLE: &str = "session";

#[derive(FromRow)]
struct SessionRow {
    id: String,
    family_id: String,
    account_id: String,
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

/// What no query asks for stands together in one column.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    origin: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "<[AccountId]>::is_empty")]
    actors: Cow<'a, [AccountId]>,
    allowed_routes: RouteSet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bindings: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domains: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, JsonObject>>,
    duration_secs: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<DetailProfile>,
}

#[derive(Serialize, Deserialize)]
struct DetailProfile {
    path: String,
    values: BTreeMap<String, PlaceholderValue>,
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let bad = || corrupt(TABLE, "detail");
        let detail: Detail<'_> = serde_json::from_str(&row.detail).map_err(|_| bad())?;
        let address = row.address.map(|address| address.parse()).transpose();
        let permissions = match detail.scope.as_deref() {
            None => None,
            Some("") => Some(Permissions::default()),
            Some(scope) => Some(Permissions::from_scope(scope).ok_or_else(bad)?),
        };
        Ok(Self {
            id: SessionId::parse(&row.id).map_err(|_| corrupt(TABLE, "id"))?,
            family: SessionId::parse(&row.family_id).map_err(|_| corrupt(TABLE, "family_id"))?,
            family_tag: Tag::from_i64(row.family_tag),
            origin: Origin::parse(&detail.origin).ok_or_else(bad)?,
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt(TABLE, "account_id"))?,
            actors: detail.actors.into_owned(),
            key: KeyId::parse(&row.key_id).map_err(|_| corrupt(TABLE, "key_id"))?,
            environment: Environment::parse(&row.environment)
                .ok_or_else(|| corrupt(TABLE, "environment"))?,
            audience: row.audience,
            scope: SessionScope {
                routes: detail.allowed_routes,
                permissions,
                bindings: config::bindings(&detail.bindings.unwrap_or_default())
                    .map_err(|_| bad())?,
                domains: detail
                    .domains
                    .map(|domains| config::domains(&domains).map_err(|_| bad()))
                    .transpose()?,
            },
            data: detail.data.map(Cow::into_owned),
            tags: Tags::decode(&row.tags).map_err(|_| corrupt(TABLE, "tags"))?,
            rev: Rev {
                log: LogId::from_i64(row.log_id),
                position: Position::new(row.position),
            },
            duration_secs: detail.duration_secs,
            profile: detail.profile.map(|profile| ProfileUse {
                path: profile.path,
                values: profile.values,
            }),
            issued_at: Timestamp::from_millis(row.issued_at),
            expires_at: Timestamp::from_millis(row.expires_at),
            renewable_until: row.renewable_until.map(Timestamp::from_millis),
            request: RequestId::parse(&row.request_id).map_err(|_| corrupt(TABLE, "request_id"))?,
            address: address.map_err(|_| corrupt(TABLE, "address"))?,
        })
    }
}

/// Rows of one [`insert`] at most: there are as many texts of that statement as numbers of rows, and
/// a connection keeps so many of them prepared.
pub const ROWS_MAX: usize = 64;

/// Stores minted sessions by one statement: all of them or none, in a transaction of its own unless
/// the connection is in one. At least one row, and at most [`ROWS_MAX`].
///
/// # Errors
/// [`StoreError`].
pub async fn insert(conn: Conn<'_>, rows: &[NewRow]) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        let (text, values) = c.insertion(rows)?;
        sqlx::query_with(text, values).execute(c).await?;
    });
    Ok(())
}

/// A session by its id: for a renewal of the token that names it. Everything else goes through
/// [`find_in`].
///
/// # Errors
/// [`StoreError`].
pub async fn find(conn: Conn<'_>, id: &SessionId) -> Result<Option<Session>, StoreError> {
    let row: Option<SessionRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, family_id, account_id, key_id, environment, audience, issued_at,
                 expires_at, renewable_until, family_tag, tags, log_id, position, request_id,
                 address, detail
             FROM session WHERE id = $1",
        )
        .bind(id.as_str())
        .fetch_optional(c)
        .await?
    });
    row.map(Session::try_from).transpose()
}

/// A session of an account.
///
/// # Errors
/// [`StoreError`].
pub async fn find_in(
    conn: Conn<'_>,
    account: &AccountId,
    id: &SessionId,
) -> Result<Option<Session>, StoreError> {
    let row: Option<SessionRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, family_id, account_id, key_id, environment, audience, issued_at,
                 expires_at, renewable_until, family_tag, tags, log_id, position, request_id,
                 address, detail
             FROM session WHERE account_id = $1 AND id = $2",
        )
        .bind(account.as_str())
        .bind(id.as_str())
        .fetch_optional(c)
        .await?
    });
    row.map(Session::try_from).transpose()
}

/// What a list of sessions is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those that one key minted.
    pub key: Option<KeyId>,
    /// One environment, or both.
    pub environment: Option<Environment>,
}

/// The sessions of an account, by id.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: Conn<'_>,
    account: &AccountId,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Session>, StoreError> {
    macro_rules! select {
        ($order:literal, $narrow:literal) => {
            concat!(
                "SELECT id, family_id, account_id, key_id, environment, audience, issued_at,
                     expires_at, renewable_until, family_tag, tags, log_id, position, request_id,
                     address, detail
                 FROM session
                 WHERE ($5 IS NULL OR environment = $5) AND ",
                $narrow,
                " ORDER BY account_id ",
                $order,
                ", id ",
                $order,
                " LIMIT $6"
            )
        };
    }
    // Each has an index of its own.
    let text = if filter.key.is_some() {
        by_order!(
            page.order,
            select,
            "key_id = $4 AND (account_id, id) > ($1, $2) AND (account_id, id) < ($1, $3)"
        )
    } else {
        by_order!(
            page.order,
            select,
            "(account_id, id) > ($1, $2) AND (account_id, id) < ($1, $3) AND $4 IS NULL"
        )
    };
    let (lower, upper) = page.bounds();
    let rows: Vec<SessionRow> = on_conn!(conn, |c| {
        sqlx::query_as(text)
            .bind(account.as_str())
            .bind(lower)
            .bind(upper)
            .bind(filter.key.as_ref().map(KeyId::as_str))
            .bind(filter.environment.map(Environment::as_str))
            .bind(page.limit())
            .fetch_all(c)
            .await?
    });
    rows.into_iter().map(Session::try_from).collect()
}

/// The sessions that are in the ledger of an account: those that speak for it or for one of its
/// children.
///
/// # Errors
/// [`StoreError`].
pub async fn ledger(
    conn: Conn<'_>,
    account: &AccountId,
    page: &Page,
) -> Result<Vec<Session>, StoreError> {
    macro_rules! columns {
        () => {
                "id, family_id, account_id, key_id, environment, audience, issued_at, expires_at,
                     renewable_until, family_tag, tags, log_id, position, request_id, address,
                     detail"
        };
    }
    // Two ranges of two indexes, each no longer than the page, and the first rows of both.
    macro_rules! select {
        ($order:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM (
                     SELECT ",
                columns!(),
                " FROM session
                     WHERE (account_id, id) > ($1, $2) AND (account_id, id) < ($1, $3)
                     ORDER BY account_id ",
                $order,
                ", id ",
                $order,
                " LIMIT $4) AS own
                 UNION ALL
                 SELECT ",
                columns!(),
                " FROM (
                     SELECT ",
                columns!(),
                " FROM session
                     WHERE (parent_id, id) > ($1, $2) AND (parent_id, id) < ($1, $3)
                         AND parent_id IS NOT NULL
                     ORDER BY parent_id ",
                $order,
                ", id ",
                $order,
                " LIMIT $4) AS below
                 ORDER BY id ",
                $order,
                " LIMIT $4"
            )
        };
    }
    let (lower, upper) = page.bounds();
    let rows: Vec<SessionRow> = on_conn!(conn, |c| {
        sqlx::query_as(by_order!(page.order, select))
            .bind(account.as_str())
            .bind(lower)
            .bind(upper)
            .bind(page.limit())
            .fetch_all(c)
            .await?
    });
    rows.into_iter().map(Session::try_from).collect()
}

/// Whether sessions may be dropped in this transaction: no other one is about it. Nodes that drop the
/// same rows would wait for each other.
///
/// # Errors
/// [`StoreError`].
#[cfg_attr(
    not(feature = "postgres"),
    expect(clippy::unused_async, reason = "only PostgreSQL has to be asked")
)]
pub async fn may_prune(conn: Conn<'_>) -> Result<bool, StoreError> {
    match conn {
        // There is one writer at a time.
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(_) => Ok(true),
        // A lock of the table that is ours, since a database may have several schemas.
        #[cfg(feature = "postgres")]
        Conn::Postgres(c) => Ok(sqlx::query_scalar(
            "SELECT pg_try_advisory_xact_lock('session'::regclass::oid::int, 1)",
        )
        .fetch_one(c)
        .await?),
    }
}

/// Drops sessions that expired before an instant, at most `limit` of them, those that expired first
/// before others. The number of rows. With its row a session leaves the ledger.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(conn: Conn<'_>, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query(
            "DELETE FROM session WHERE id IN (
                 SELECT id FROM session WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        )
        .bind(before.millis())
        .bind(i64::from(limit))
        .execute(c)
        .await?
        .rows_affected()
    }))
}
