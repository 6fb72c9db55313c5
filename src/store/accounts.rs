//! Accounts.

use sqlx::FromRow;

use super::error::{corrupt, one_row, to_json};
use super::{Conn, Page, StoreError, by_order, never_stored, on_conn};
use crate::domain::account::{Account, AccountChain, AccountState, ImpersonationPolicy, Profile};
use crate::domain::id::AccountId;
use crate::domain::limits;
use crate::domain::liveness::{Position, Tag};
use crate::domain::text::{Email, JsonObject};
use crate::domain::time::Timestamp;

const TABLE: &str = "account";

#[derive(FromRow)]
struct AccountRow {
    id: String,
    parent_id: Option<String>,
    depth: i64,
    name: Option<String>,
    email: Option<String>,
    alias: Option<String>,
    description: Option<String>,
    image: Option<String>,
    limits: Option<String>,
    meta: Option<String>,
    external_id: Option<String>,
    state: String,
    can_impersonate: i64,
    impersonation_policy: String,
    tag: i64,
    child_tag: i64,
    parent_tag: i64,
    denied_at: Option<i64>,
    barred_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        let object = |text: Option<String>, column| -> Result<Option<JsonObject>, StoreError> {
            text.map(|text| serde_json::from_str(&text).map_err(|_| corrupt(TABLE, column)))
                .transpose()
        };
        let email = row
            .email
            .map(|email| Email::parse(&email).map_err(|_| corrupt(TABLE, "email")));
        Ok(Self {
            id: AccountId::parse(&row.id).map_err(|_| corrupt(TABLE, "id"))?,
            parent: row
                .parent_id
                .map(|id| AccountId::parse(&id).map_err(|_| corrupt(TABLE, "parent_id")))
                .transpose()?,
            depth: usize::try_from(row.depth).map_err(|_| corrupt(TABLE, "depth"))?,
            profile: Profile {
                name: row.name,
                email: email.transpose()?,
                alias: row.alias,
                description: row.description,
                image: row.image,
                limits: object(row.limits, "limits")?,
                meta: object(row.meta, "meta")?,
                external_id: row.external_id,
            },
            state: AccountState::parse(&row.state).ok_or_else(|| corrupt(TABLE, "state"))?,
            can_impersonate: row.can_impersonate != 0,
            impersonation_policy: ImpersonationPolicy::parse(&row.impersonation_policy)
                .ok_or_else(|| corrupt(TABLE, "impersonation_policy"))?,
            tag: Tag::from_i64(row.tag),
            child_tag: Tag::from_i64(row.child_tag),
            parent_tag: Tag::from_i64(row.parent_tag),
            denied_at: row.denied_at.map(Position::new),
            barred_at: row.barred_at.map(Position::new),
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

fn json(object: Option<&JsonObject>) -> Result<Option<String>, StoreError> {
    object.map(to_json).transpose()
}

/// Stores a new account.
///
/// # Errors
/// [`StoreError::Conflict`] when a sibling has the same e-mail address.
pub async fn insert(conn: Conn<'_>, account: &Account) -> Result<(), StoreError> {
    let Account {
        id,
        parent,
        depth,
        profile,
        state,
        can_impersonate,
        impersonation_policy,
        tag,
        child_tag,
        parent_tag,
        denied_at,
        barred_at,
        created_at,
        updated_at,
    } = account;
    let (limits, meta) = (json(profile.limits.as_ref())?, json(profile.meta.as_ref())?);
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO account (id, parent_id, depth, name, email, alias, description, image,
                 limits, meta, external_id, state, can_impersonate, impersonation_policy,
                 tag, child_tag, parent_tag, denied_at, barred_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                 $18, $19, $20, $21)",
        )
        .bind(id.as_str())
        .bind(parent.as_ref().map(AccountId::as_str))
        .bind(i64::try_from(*depth).unwrap_or(i64::MAX))
        .bind(profile.name.as_deref())
        .bind(profile.email.as_ref().map(Email::as_str))
        .bind(profile.alias.as_deref())
        .bind(profile.description.as_deref())
        .bind(profile.image.as_deref())
        .bind(limits)
        .bind(meta)
        .bind(profile.external_id.as_deref())
        .bind(state.as_str())
        .bind(i64::from(*can_impersonate))
        .bind(impersonation_policy.as_str())
        .bind(tag.to_i64())
        .bind(child_tag.to_i64())
        .bind(parent_tag.to_i64())
        .bind(denied_at.map(Position::get))
        .bind(barred_at.map(Position::get))
        .bind(created_at.millis())
        .bind(updated_at.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Stores all of an account that can change.
///
/// # Errors
/// [`StoreError::Conflict`] when a sibling has the same e-mail address.
pub async fn update(conn: Conn<'_>, account: &Account) -> Result<(), StoreError> {
    let limits = json(account.profile.limits.as_ref())?;
    let meta = json(account.profile.meta.as_ref())?;
    let rows = on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE account SET name = $2, email = $3, alias = $4, description = $5, image = $6,
                 limits = $7, meta = $8, external_id = $9, state = $10, can_impersonate = $11,
                 impersonation_policy = $12, denied_at = $13, barred_at = $14, updated_at = $15
             WHERE id = $1",
        )
        .bind(account.id.as_str())
        .bind(account.profile.name.as_deref())
        .bind(account.profile.email.as_ref().map(Email::as_str))
        .bind(account.profile.alias.as_deref())
        .bind(account.profile.description.as_deref())
        .bind(account.profile.image.as_deref())
        .bind(limits)
        .bind(meta)
        .bind(account.profile.external_id.as_deref())
        .bind(account.state.as_str())
        .bind(i64::from(account.can_impersonate))
        .bind(account.impersonation_policy.as_str())
        .bind(account.denied_at.map(Position::get))
        .bind(account.barred_at.map(Position::get))
        .bind(account.updated_at.millis())
        .execute(c)
        .await?
        .rows_affected()
    });
    one_row(rows, TABLE)
}

/// An account with all above it, in one snapshot.
///
/// # Errors
/// [`StoreError`].
pub async fn chain(conn: Conn<'_>, id: &AccountId) -> Result<Option<AccountChain>, StoreError> {
    // `CROSS JOIN` so that SQLite goes from those found to their rows, never the other way round.
    let rows: Vec<AccountRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "WITH RECURSIVE up (id, parent_id, level) AS (
                 SELECT id, parent_id, 0 FROM account WHERE id = $1
                 UNION ALL
                 SELECT a.id, a.parent_id, up.level + 1
                 FROM account a JOIN up ON a.id = up.parent_id WHERE up.level < $2
             )
             SELECT a.id, a.parent_id, a.depth, a.name, a.email, a.alias, a.description, a.image,
                 a.limits, a.meta, a.external_id, a.state, a.can_impersonate,
                 a.impersonation_policy, a.tag, a.child_tag, a.parent_tag, a.denied_at,
                 a.barred_at, a.created_at, a.updated_at
             FROM up CROSS JOIN account a
             WHERE a.id = up.id
             ORDER BY up.level",
        )
        .bind(id.as_str())
        .bind(i64::try_from(limits::DEPTH_MAX).unwrap_or(i64::MAX))
        .fetch_all(c)
        .await?
    });
    let mut accounts = rows.into_iter().map(Account::try_from);
    let Some(account) = accounts.next().transpose()? else {
        return Ok(None);
    };
    let above = accounts.collect::<Result<Vec<_>, _>>()?;
    if above.last().unwrap_or(&account).parent.is_some() {
        return Err(corrupt(TABLE, "parent_id"));
    }
    Ok(Some(AccountChain::new(account, above)))
}

/// The child of an account with this e-mail address, that was not deleted.
///
/// # Errors
/// [`StoreError`].
pub async fn find_child_by_email(
    conn: Conn<'_>,
    parent: &AccountId,
    email: &Email,
) -> Result<Option<AccountId>, StoreError> {
    let id: Option<String> = on_conn!(conn, |c| {
        sqlx::query_scalar(
            "SELECT id FROM account
             WHERE parent_key = $1 AND email = $2 AND email IS NOT NULL
                 AND state <> 'deleted'",
        )
        .bind(parent.as_str())
        .bind(email.as_str())
        .fetch_optional(c)
        .await?
    });
    id.map(|id| AccountId::parse(&id).map_err(|_| corrupt(TABLE, "id")))
        .transpose()
}

/// What a list of accounts is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The e-mail address.
    pub email: Option<Email>,
    /// The id in the caller's own system.
    pub external_id: Option<String>,
}

/// The children of an account that were not deleted, by id; `None` lists the roots.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: Conn<'_>,
    parent: Option<&AccountId>,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Account>, StoreError> {
    macro_rules! select {
        ($order:literal, $narrow:literal) => {
            concat!(
                "SELECT id, parent_id, depth, name, email, alias, description, image, limits, meta,
                     external_id, state, can_impersonate, impersonation_policy, tag, child_tag,
                     parent_tag, denied_at, barred_at, created_at, updated_at
                 FROM account
                 WHERE state <> 'deleted' AND ",
                $narrow,
                " ORDER BY parent_key ",
                $order,
                ", id ",
                $order,
                " LIMIT $6"
            )
        };
    }
    let (email, external_id) = (filter.email.as_ref(), filter.external_id.as_deref());
    if never_stored(external_id) {
        return Ok(Vec::new());
    }
    // Each has an index of its own.
    let text = if email.is_some() {
        by_order!(
            page.order,
            select,
            "parent_key = $1 AND email = $4 AND id > $2 AND id < $3
                AND ($5 IS NULL OR external_id = $5)"
        )
    } else if external_id.is_some() {
        by_order!(
            page.order,
            select,
            "parent_key = $1 AND external_id = $5 AND id > $2 AND id < $3 AND $4 IS NULL"
        )
    } else {
        by_order!(
            page.order,
            select,
            "(parent_key, id) > ($1, $2) AND (parent_key, id) < ($1, $3)
                AND $4 IS NULL AND $5 IS NULL"
        )
    };
    let (lower, upper) = page.bounds();
    let rows: Vec<AccountRow> = on_conn!(conn, |c| {
        sqlx::query_as(text)
            .bind(parent.map_or("", AccountId::as_str))
            .bind(lower)
            .bind(upper)
            .bind(email.map(Email::as_str))
            .bind(external_id)
            .bind(page.limit())
            .fetch_all(c)
            .await?
    });
    rows.into_iter().map(Account::try_from).collect()
}
