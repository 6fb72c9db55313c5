//! What was changed without being ended: by this, memories of keys and accounts learn that they are
//! out of date (DESIGN.md §9).

use super::error::corrupt;
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

/// The touches above a position, in order.
///
/// # Errors
/// [`StoreError`].
pub async fn since(conn: Conn<'_>, position: Position) -> Result<Vec<(Tag, Position)>, StoreError> {
    let rows: Vec<(i64, i64)> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT tag, position FROM change_touch WHERE position > $1 ORDER BY position, tag",
        )
        .bind(position.get())
        .fetch_all(c)
        .await?
    });
    Ok(rows
        .into_iter()
        .map(|(tag, at)| (Tag::from_i64(tag), Position::new(at)))
        .collect())
}

/// Up to where touches may be missing: they were dropped, or a node of an older version made the
/// change and wrote none. Asked after [`since`], so that what went meanwhile is below it.
///
/// # Errors
/// [`StoreError`].
pub async fn floor(conn: Conn<'_>) -> Result<Position, StoreError> {
    let floor: Option<i64> = on_conn!(conn, |c| {
        sqlx::query_scalar(
            "SELECT CASE WHEN touched_position = position THEN touch_floor ELSE position END
             FROM change_head WHERE id = 1",
        )
        .fetch_optional(c)
        .await?
    });
    floor
        .map(Position::new)
        .ok_or_else(|| corrupt("change_head", "touch_floor"))
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
