//! What only a restore does: to every key, account and webhook at once.

use super::{Conn, StoreError, on_conn};
use crate::domain::liveness::{LogId, Position, Tag};
use crate::domain::time::Timestamp;

/// Begins another log: every token of the one before is dead.
///
/// # Errors
/// [`StoreError`].
pub async fn begin_log(conn: Conn<'_>, log: LogId, position: Position) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE change_head SET log_id = $1, position = $2, floor = 0, touch_floor = $3
             WHERE id = 1",
        )
        .bind(log.to_i64())
        .bind(position.get())
        .bind(position.get())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// A living key that is switched on: its id, its tag, and that of its line.
///
/// # Errors
/// [`StoreError`].
pub async fn keys(conn: Conn<'_>) -> Result<Vec<(String, Tag, Tag)>, StoreError> {
    let rows: Vec<(String, i64, i64)> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT id, tag, line_tag FROM api_key WHERE ended_at IS NULL AND enabled = 1
             ORDER BY id",
        )
        .fetch_all(c)
        .await?
    });
    Ok(rows
        .into_iter()
        .map(|(id, tag, line)| (id, Tag::from_i64(tag), Tag::from_i64(line)))
        .collect())
}

/// An account: its id, its tag, and those of acting as it and of acting for its children.
///
/// # Errors
/// [`StoreError`].
pub async fn accounts(conn: Conn<'_>) -> Result<Vec<(String, Tag, Tag, Tag)>, StoreError> {
    let rows: Vec<(String, i64, i64, i64)> = on_conn!(conn, |c| {
        sqlx::query_as("SELECT id, tag, child_tag, parent_tag FROM account ORDER BY id")
            .fetch_all(c)
            .await?
    });
    Ok(rows
        .into_iter()
        .map(|(id, own, child, parent)| {
            (
                id,
                Tag::from_i64(own),
                Tag::from_i64(child),
                Tag::from_i64(parent),
            )
        })
        .collect())
}

/// The webhooks that are switched on.
///
/// # Errors
/// [`StoreError`].
pub async fn webhooks(conn: Conn<'_>) -> Result<Vec<String>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_scalar(
            "SELECT id FROM webhook WHERE enabled = 1 AND deleted_at IS NULL ORDER BY id",
        )
        .fetch_all(c)
        .await?
    }))
}

/// What can be switched off and on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// A key.
    Key,
    /// A webhook.
    Webhook,
}

/// Switches a key or a webhook on or off.
///
/// # Errors
/// [`StoreError`].
pub async fn switch(
    conn: Conn<'_>,
    what: Switch,
    id: &str,
    enabled: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = match what {
        Switch::Key => "UPDATE api_key SET enabled = $2, updated_at = $3 WHERE id = $1",
        Switch::Webhook => "UPDATE webhook SET enabled = $2, updated_at = $3 WHERE id = $1",
    };
    on_conn!(conn, |c| {
        sqlx::query(text)
            .bind(id)
            .bind(i64::from(enabled))
            .bind(now.millis())
            .execute(c)
            .await?;
    });
    Ok(())
}

/// What an account lost after the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It was suspended or deleted.
    Life,
    /// It said that its parent may not act as it.
    ParentActs,
    /// It may not act for its children.
    ActsForChildren,
}

/// Takes it from an account.
///
/// # Errors
/// [`StoreError`].
pub async fn take(
    conn: Conn<'_>,
    id: &str,
    loss: Loss,
    position: Position,
) -> Result<(), StoreError> {
    let text = match loss {
        Loss::Life => {
            "UPDATE account SET state = 'suspended' WHERE id = $1 AND state = 'active' AND $2 > 0"
        }
        Loss::ParentActs => {
            "UPDATE account SET impersonation_policy = 'deny', denied_at = $2 WHERE id = $1"
        }
        Loss::ActsForChildren => {
            "UPDATE account SET can_impersonate = 0, barred_at = $2 WHERE id = $1"
        }
    };
    on_conn!(conn, |c| {
        sqlx::query(text)
            .bind(id)
            .bind(position.get())
            .execute(c)
            .await?;
    });
    Ok(())
}

/// Revokes every signing key, and drops its private half.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke_signing_keys(conn: Conn<'_>, now: Timestamp) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE signing_key SET state = 'revoked', sealed_private = NULL, revoked_at = $1
             WHERE state <> 'revoked'",
        )
        .bind(now.millis())
        .execute(c)
        .await?
        .rows_affected()
    }))
}

/// Notes that something was switched off until it is confirmed.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(conn: Conn<'_>, id: &str, now: Timestamp) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO restore_hold (id, created_at) VALUES ($1, $2)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(now.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// What is switched off until it is confirmed.
///
/// # Errors
/// [`StoreError`].
pub async fn held(conn: Conn<'_>) -> Result<Vec<String>, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query_scalar("SELECT id FROM restore_hold ORDER BY id")
            .fetch_all(c)
            .await?
    }))
}

/// Forgets that something was switched off.
///
/// # Errors
/// [`StoreError`].
pub async fn release(conn: Conn<'_>, id: &str) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query("DELETE FROM restore_hold WHERE id = $1")
            .bind(id)
            .execute(c)
            .await?;
    });
    Ok(())
}
