//! What was changed without being ended: by this, memories of keys and accounts learn that they are
//! out of date (DESIGN.md §9). They are read with the log, by [`super::change_log::news`].

use super::{Conn, StoreError, on_conn};
use crate::domain::liveness::{Position, Tag};
use crate::domain::time::Timestamp;

/// Touches a tag at a position that was just taken.
///
/// # Errors
/// [`StoreError`].
pub async fn append(
    conn: Conn<'_>,
    position: Position,
    tag: Tag,
    now: Timestamp,
) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO change_touch (position, tag, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (position, tag) DO NOTHING",
        )
        .bind(position.get())
        .bind(tag.to_i64())
        .bind(now.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Remembers up to where touches are missing when those that were made before an instant are dropped
/// by [`prune`]. Both belong into one transaction, behind the lock of the log.
///
/// # Errors
/// [`StoreError`].
pub async fn raise_floor(conn: Conn<'_>, before: Timestamp) -> Result<(), StoreError> {
    // `+ 0` so that old touches are looked for by age, not all by position from the newest on.
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE change_head
             SET touch_floor = COALESCE((
                 SELECT MAX(position + 0) FROM change_touch
                 WHERE created_at < $1 AND position > touch_floor
             ), touch_floor)
             WHERE id = 1",
        )
        .bind(before.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Drops touches that were made before an instant. The number of rows.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(conn: Conn<'_>, before: Timestamp) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query("DELETE FROM change_touch WHERE created_at < $1")
            .bind(before.millis())
            .execute(c)
            .await?
            .rows_affected()
    }))
}
