//! API keys, with their makers. Digests are in [`super::secrets`].

use std::collections::BTreeSet;

use sqlx::FromRow;

use super::error::{corrupt, one_row, to_json};
use super::{Conn, Page, StoreError, by_order, never_stored, on_conn};
use crate::domain::api_key::{ApiKey, Ended, KeyProfile};
use crate::domain::config::Config;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId};
use crate::domain::limits;
use crate::domain::liveness::{Position, Tag};
use crate::domain::secret::KeyKind;
use crate::domain::time::Timestamp;

const TABLE: &str = "api_key";

#[derive(FromRow)]
struct KeyRow {
    id: String,
    account_id: String,
    maker_id: Option<String>,
    grantors: String,
    depth: i64,
    environment: String,
    kind: String,
    name: Option<String>,
    description: Option<String>,
    meta: Option<String>,
    external_id: Option<String>,
    enabled: i64,
    operator: i64,
    unrestricted: i64,
    config: String,
    expires_at: Option<i64>,
    ended_at: Option<i64>,
    line_lives_on: i64,
    tag: i64,
    line_tag: i64,
    made_at: i64,
    line_cut_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let config: Config =
            serde_json::from_str(&row.config).map_err(|_| corrupt(TABLE, "config"))?;
        let meta = row
            .meta
            .map(|meta| serde_json::from_str(&meta).map_err(|_| corrupt(TABLE, "meta")))
            .transpose()?;
        Ok(Self {
            id: KeyId::parse(&row.id).map_err(|_| corrupt(TABLE, "id"))?,
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt(TABLE, "account_id"))?,
            maker: row
                .maker_id
                .map(|id| KeyId::parse(&id).map_err(|_| corrupt(TABLE, "maker_id")))
                .transpose()?,
            grantors: serde_json::from_str(&row.grantors)
                .map_err(|_| corrupt(TABLE, "grantors"))?,
            depth: usize::try_from(row.depth).map_err(|_| corrupt(TABLE, "depth"))?,
            environment: Environment::parse(&row.environment)
                .ok_or_else(|| corrupt(TABLE, "environment"))?,
            kind: KeyKind::parse(&row.kind).ok_or_else(|| corrupt(TABLE, "kind"))?,
            profile: KeyProfile {
                name: row.name,
                description: row.description,
                meta,
                external_id: row.external_id,
            },
            enabled: row.enabled != 0,
            operator: row.operator != 0,
            declared_unrestricted: row.unrestricted != 0,
            // What was stored was valid then; a vocabulary that lost a scope since does not lock
            // the key out, the scope just never allows anything.
            restrictions: config
                .parse_stored()
                .map_err(|_| corrupt(TABLE, "config"))?,
            expires_at: row.expires_at.map(Timestamp::from_millis),
            ended: row.ended_at.map(|at| Ended {
                at: Timestamp::from_millis(at),
                line_lives_on: row.line_lives_on != 0,
            }),
            tag: Tag::from_i64(row.tag),
            line_tag: Tag::from_i64(row.line_tag),
            made_at: Position::new(row.made_at),
            line_cut_at: row.line_cut_at.map(Position::new),
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

fn config(key: &ApiKey) -> Result<String, StoreError> {
    to_json(&Config::from_restrictions(&key.restrictions))
}

/// Stores a new key.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(conn: Conn<'_>, key: &ApiKey) -> Result<(), StoreError> {
    let grantors = to_json(&key.grantors)?;
    let meta = key.profile.meta.as_ref().map(to_json).transpose()?;
    let config = config(key)?;
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO api_key (id, account_id, maker_id, grantors, depth, environment, kind,
                 name, description, meta, external_id, enabled, operator, unrestricted, config,
                 expires_at, ended_at, line_lives_on, tag, line_tag, made_at, line_cut_at,
                 created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                 $18, $19, $20, $21, $22, $23, $24)",
        )
        .bind(key.id.as_str())
        .bind(key.account.as_str())
        .bind(key.maker.as_ref().map(KeyId::as_str))
        .bind(grantors)
        .bind(i64::try_from(key.depth).unwrap_or(i64::MAX))
        .bind(key.environment.as_str())
        .bind(key.kind.as_str())
        .bind(key.profile.name.as_deref())
        .bind(key.profile.description.as_deref())
        .bind(meta)
        .bind(key.profile.external_id.as_deref())
        .bind(i64::from(key.enabled))
        .bind(i64::from(key.operator))
        .bind(i64::from(key.declared_unrestricted))
        .bind(config)
        .bind(key.expires_at.map(Timestamp::millis))
        .bind(key.ended.map(|ended| ended.at.millis()))
        .bind(i64::from(
            key.ended.is_some_and(|ended| ended.line_lives_on),
        ))
        .bind(key.tag.to_i64())
        .bind(key.line_tag.to_i64())
        .bind(key.made_at.get())
        .bind(key.line_cut_at.map(Position::get))
        .bind(key.created_at.millis())
        .bind(key.updated_at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Stores all of a key that can change.
///
/// # Errors
/// [`StoreError`].
pub async fn update(conn: Conn<'_>, key: &ApiKey) -> Result<(), StoreError> {
    let meta = key.profile.meta.as_ref().map(to_json).transpose()?;
    let config = config(key)?;
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE api_key SET name = $2, description = $3, meta = $4, external_id = $5,
                 enabled = $6, unrestricted = $7, config = $8, expires_at = $9, ended_at = $10,
                 line_lives_on = $11, line_cut_at = $12, updated_at = $13
             WHERE id = $1 AND account_id = $14",
        )
        .bind(key.id.as_str())
        .bind(key.profile.name.as_deref())
        .bind(key.profile.description.as_deref())
        .bind(meta)
        .bind(key.profile.external_id.as_deref())
        .bind(i64::from(key.enabled))
        .bind(i64::from(key.declared_unrestricted))
        .bind(config)
        .bind(key.expires_at.map(Timestamp::millis))
        .bind(key.ended.map(|ended| ended.at.millis()))
        .bind(i64::from(
            key.ended.is_some_and(|ended| ended.line_lives_on),
        ))
        .bind(key.line_cut_at.map(Position::get))
        .bind(key.updated_at.millis())
        .bind(key.account.as_str())
        .execute(c)
        .await?
        .rows_affected()
    });
    one_row(rows, TABLE)
}

/// A key and its makers, nearest first, in one snapshot. It is for authentication and for the rules
/// of lineage; everything that belongs to an account goes through [`find_in`].
///
/// # Errors
/// [`StoreError`].
pub async fn lineage(
    conn: Conn<'_>,
    id: &KeyId,
) -> Result<Option<(ApiKey, Vec<ApiKey>)>, StoreError> {
    // `CROSS JOIN` so that SQLite goes from those found to their rows, never the other way round.
    let rows: Vec<KeyRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "WITH RECURSIVE up (id, maker_id, level) AS (
                 SELECT id, maker_id, 0 FROM api_key WHERE id = $1
                 UNION ALL
                 SELECT k.id, k.maker_id, up.level + 1
                 FROM api_key k JOIN up ON k.id = up.maker_id WHERE up.level < $2
             )
             SELECT k.id, k.account_id, k.maker_id, k.grantors, k.depth, k.environment, k.kind,
                 k.name, k.description, k.meta, k.external_id, k.enabled, k.operator,
                 k.unrestricted, k.config, k.expires_at, k.ended_at, k.line_lives_on, k.tag,
                 k.line_tag, k.made_at, k.line_cut_at, k.created_at, k.updated_at
             FROM up CROSS JOIN api_key k
             WHERE k.id = up.id
             ORDER BY up.level",
        )
        .bind(id.as_str())
        .bind(i64::try_from(limits::DEPTH_MAX).unwrap_or(i64::MAX))
        .fetch_all(c)
        .await?
    });
    let mut keys = rows.into_iter().map(ApiKey::try_from);
    let Some(key) = keys.next().transpose()? else {
        return Ok(None);
    };
    let makers = keys.collect::<Result<Vec<_>, _>>()?;
    if makers.last().unwrap_or(&key).maker.is_some() {
        return Err(corrupt(TABLE, "maker_id"));
    }
    Ok(Some((key, makers)))
}

/// A key of an account that was not ended.
///
/// # Errors
/// [`StoreError`].
pub async fn find_in(
    conn: Conn<'_>,
    account: &AccountId,
    id: &KeyId,
) -> Result<Option<ApiKey>, StoreError> {
    let row: Option<KeyRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, account_id, maker_id, grantors, depth, environment, kind, name,
                 description, meta, external_id, enabled, operator, unrestricted, config,
                 expires_at, ended_at, line_lives_on, tag, line_tag, made_at, line_cut_at,
                 created_at, updated_at
             FROM api_key WHERE account_id = $1 AND id = $2 AND ended_at IS NULL",
        )
        .bind(account.as_str())
        .bind(id.as_str())
        .fetch_optional(c)
        .await?
    });
    row.map(ApiKey::try_from).transpose()
}

/// The keys that were made with a key, and with those, that were not ended.
///
/// # Errors
/// [`StoreError`].
pub async fn descendants(conn: Conn<'_>, id: &KeyId) -> Result<Vec<ApiKey>, StoreError> {
    // `CROSS JOIN` so that SQLite goes from those found to their rows, never the other way round.
    let rows: Vec<KeyRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "WITH RECURSIVE down (id, level) AS (
                 SELECT id, 1 FROM api_key WHERE maker_id = $1
                 UNION ALL
                 SELECT k.id, down.level + 1
                 FROM api_key k JOIN down ON k.maker_id = down.id WHERE down.level < $2
             )
             SELECT k.id, k.account_id, k.maker_id, k.grantors, k.depth, k.environment, k.kind,
                 k.name, k.description, k.meta, k.external_id, k.enabled, k.operator,
                 k.unrestricted, k.config, k.expires_at, k.ended_at, k.line_lives_on, k.tag,
                 k.line_tag, k.made_at, k.line_cut_at, k.created_at, k.updated_at
             FROM down CROSS JOIN api_key k
             WHERE k.id = down.id AND k.ended_at IS NULL
             ORDER BY down.level, k.id",
        )
        .bind(id.as_str())
        .bind(i64::try_from(limits::DEPTH_MAX).unwrap_or(i64::MAX))
        .fetch_all(c)
        .await?
    });
    let mut seen = BTreeSet::from([id.as_str().to_owned()]);
    if !rows.iter().all(|row| seen.insert(row.id.clone())) {
        return Err(corrupt(TABLE, "maker_id"));
    }
    rows.into_iter().map(ApiKey::try_from).collect()
}

/// What a list of keys is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// One environment, or both.
    pub environment: Option<Environment>,
    /// The id in the caller's own system.
    pub external_id: Option<String>,
}

/// The keys of an account that were not ended, by id.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: Conn<'_>,
    account: &AccountId,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<ApiKey>, StoreError> {
    macro_rules! select {
        ($order:literal, $narrow:literal) => {
            concat!(
                "SELECT id, account_id, maker_id, grantors, depth, environment, kind, name,
                     description, meta, external_id, enabled, operator, unrestricted, config,
                     expires_at, ended_at, line_lives_on, tag, line_tag, made_at, line_cut_at,
                     created_at, updated_at
                 FROM api_key
                 WHERE ended_at IS NULL AND ($4 IS NULL OR environment = $4) AND ",
                $narrow,
                " ORDER BY account_id ",
                $order,
                ", id ",
                $order,
                " LIMIT $6"
            )
        };
    }
    let external_id = filter.external_id.as_deref();
    if never_stored(external_id) {
        return Ok(Vec::new());
    }
    // Each has an index of its own.
    let text = if external_id.is_some() {
        by_order!(
            page.order,
            select,
            "account_id = $1 AND external_id = $5 AND id > $2 AND id < $3"
        )
    } else {
        by_order!(
            page.order,
            select,
            "(account_id, id) > ($1, $2) AND (account_id, id) < ($1, $3) AND $5 IS NULL"
        )
    };
    let (lower, upper) = page.bounds();
    let rows: Vec<KeyRow> = on_conn!(conn, |c| {
        sqlx::query_as(text)
            .bind(account.as_str())
            .bind(lower)
            .bind(upper)
            .bind(filter.environment.map(Environment::as_str))
            .bind(external_id)
            .bind(page.limit())
            .fetch_all(c)
            .await?
    });
    rows.into_iter().map(ApiKey::try_from).collect()
}

/// Ends every key that was made for an account by a parent. The number of keys.
///
/// # Errors
/// [`StoreError`].
pub async fn end_granted(
    conn: Conn<'_>,
    account: &AccountId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE api_key SET ended_at = $2, updated_at = $2
             WHERE account_id = $1 AND grantors <> '[]' AND ended_at IS NULL",
        )
        .bind(account.as_str())
        .bind(now.millis())
        .execute(c)
        .await?
        .rows_affected()
    }))
}

/// Whether an account has or ever had a key that no parent made for it.
///
/// # Errors
/// [`StoreError`].
pub async fn had_own(conn: Conn<'_>, account: &AccountId) -> Result<bool, StoreError> {
    let own: Option<String> = on_conn!(conn, |c| {
        sqlx::query_scalar(
            "SELECT id FROM api_key WHERE account_id = $1 AND grantors = '[]' LIMIT 1",
        )
        .bind(account.as_str())
        .fetch_optional(c)
        .await?
    });
    Ok(own.is_some())
}

/// Every key of an account that was not ended, by id.
///
/// # Errors
/// [`StoreError`].
pub async fn of_account(conn: Conn<'_>, account: &AccountId) -> Result<Vec<ApiKey>, StoreError> {
    let rows: Vec<KeyRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, account_id, maker_id, grantors, depth, environment, kind, name,
                 description, meta, external_id, enabled, operator, unrestricted, config,
                 expires_at, ended_at, line_lives_on, tag, line_tag, made_at, line_cut_at,
                 created_at, updated_at
             FROM api_key WHERE account_id = $1 AND ended_at IS NULL ORDER BY id",
        )
        .bind(account.as_str())
        .fetch_all(c)
        .await?
    });
    rows.into_iter().map(ApiKey::try_from).collect()
}
