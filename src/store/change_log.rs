//! The change log: one row that is the lock of all changes, and the entries (DESIGN.md §9).

use sqlx::FromRow;

use super::error::corrupt;
use super::{Conn, StoreError, on_conn};
use crate::domain::liveness::{LogId, Position, Rev, Tag};
use crate::domain::time::Timestamp;

/// Makes the log, unless there is one.
///
/// # Errors
/// [`StoreError`].
pub async fn create(conn: Conn<'_>, log: LogId, now: Timestamp) -> Result<(), StoreError> {
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO change_head (id, log_id, position, floor) VALUES (1, $1, $2, 0)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(log.to_i64())
        .bind(now.millis().saturating_mul(1000))
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Takes the lock and the next position. It must be the first statement of a change: then the order
/// of positions is the order of commits, and two changes cannot pass each other.
///
/// A change of an older version moves the position and not `touched_position`: what it touched is
/// nowhere written, so all that was remembered up to it has to be read again.
///
/// # Errors
/// [`StoreError`].
pub async fn advance(conn: Conn<'_>, now: Timestamp) -> Result<Rev, StoreError> {
    macro_rules! text {
        ($hint:literal) => {
            concat!(
                "UPDATE change_head
                 SET touch_floor =
                         CASE WHEN touched_position = position THEN touch_floor ELSE position END,
                     touched_position = CASE WHEN position + 1 > $1 THEN position + 1 ELSE $1 END,
                     position = CASE WHEN position + 1 > $1 THEN position + 1 ELSE $1 END
                 WHERE id = 1
                 RETURNING log_id, position",
                $hint
            )
        };
    }
    let text = match &conn {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(_) => text!(""),
        // The other nodes are told when this is committed, and never when it is not.
        #[cfg(feature = "postgres")]
        Conn::Postgres(_) => text!(", pg_notify('hallpass_change', log_id::text)"),
    };
    let row: Option<(i64, i64)> = on_conn!(conn, |c| {
        sqlx::query_as(text)
            .bind(now.millis().saturating_mul(1000))
            .fetch_optional(c)
            .await?
    });
    let (log, position) = row.ok_or_else(|| corrupt("change_head", "id"))?;
    Ok(Rev {
        log: LogId::from_i64(log),
        position: Position::new(position),
    })
}

/// The log and the position of the last change.
///
/// # Errors
/// [`StoreError`].
pub async fn head(conn: Conn<'_>) -> Result<Rev, StoreError> {
    let (log, position): (i64, i64) = on_conn!(conn, |c| {
        sqlx::query_as("SELECT log_id, position FROM change_head WHERE id = 1")
            .fetch_optional(c)
            .await?
    })
    .ok_or_else(|| corrupt("change_head", "id"))?;
    Ok(Rev {
        log: LogId::from_i64(log),
        position: Position::new(position),
    })
}

/// Ends a tag at a position that was just taken.
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
            "INSERT INTO change_log (position, tag, created_at) VALUES ($1, $2, $3)
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

/// What one poll reads, all of it as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The log and the position of the last change.
    pub head: Rev,
    /// The highest position of an entry that was dropped.
    pub floor: Position,
    /// Up to where touches may be missing: they were dropped, or a node of an older version made the
    /// change and wrote none.
    pub touch_floor: Position,
    /// The entries above the position that was asked from, in order.
    pub entries: Vec<(Tag, Position)>,
    /// The touches above it, in order.
    pub touches: Vec<(Tag, Position)>,
}

/// A row of [`news`]: the head, and an entry or touch unless there is none.
#[derive(FromRow)]
struct NewsRow {
    log_id: i64,
    head: i64,
    floor: i64,
    touch_floor: i64,
    touched: Option<i64>,
    tag: Option<i64>,
    position: Option<i64>,
}

/// Where the log stands, and what is in it above a position.
///
/// It is one statement, which sees one state of the database: no entry is in it that is above the
/// head, and none at or below the head is missing that is above the floor. And every node asks this
/// again and again, so it is worth one round trip and not five.
///
/// # Errors
/// [`StoreError`].
pub async fn news(conn: Conn<'_>, above: Position) -> Result<News, StoreError> {
    let rows: Vec<NewsRow> = on_conn!(conn, |c| {
        sqlx::query_as(
            "SELECT h.log_id, h.position AS head, h.floor,
                 CASE WHEN h.touched_position = h.position THEN h.touch_floor ELSE h.position END
                     AS touch_floor,
                 news.touched, news.tag, news.position
             FROM change_head h LEFT JOIN (
                 SELECT CAST(0 AS BIGINT) AS touched, tag, position
                 FROM change_log WHERE position > $1
                 UNION ALL
                 SELECT CAST(1 AS BIGINT), tag, position FROM change_touch WHERE position > $1
             ) news ON TRUE
             WHERE h.id = 1
             ORDER BY news.position, news.tag",
        )
        .bind(above.get())
        .fetch_all(c)
        .await?
    });
    let first = rows.first().ok_or_else(|| corrupt("change_head", "id"))?;
    let mut news = News {
        head: Rev {
            log: LogId::from_i64(first.log_id),
            position: Position::new(first.head),
        },
        floor: Position::new(first.floor),
        touch_floor: Position::new(first.touch_floor),
        entries: Vec::new(),
        touches: Vec::new(),
    };
    for row in &rows {
        if let (Some(touched), Some(tag), Some(at)) = (row.touched, row.tag, row.position) {
            let those = if touched == 0 {
                &mut news.entries
            } else {
                &mut news.touches
            };
            those.push((Tag::from_i64(tag), Position::new(at)));
        }
    }
    Ok(news)
}

/// Remembers the highest position of the entries that were made before an instant, which are then
/// dropped by [`prune`]. Both belong into one transaction, this one first: it takes the lock of the
/// log, so that no entry comes between. The floor never falls, though a clock may have been wrong.
///
/// # Errors
/// [`StoreError`].
pub async fn raise_floor(conn: Conn<'_>, before: Timestamp) -> Result<(), StoreError> {
    // `+ 0` so that the old entries are looked for by age, not all by position from the newest on.
    on_conn!(conn, |c| {
        sqlx::query(
            "UPDATE change_head
             SET floor = COALESCE((
                 SELECT MAX(position + 0) FROM change_log
                 WHERE created_at < $1 AND position > floor
             ), floor)
             WHERE id = 1",
        )
        .bind(before.millis())
        .execute(c)
        .await?;
    });
    Ok(())
}

/// Drops entries that were made before an instant. The number of rows.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(conn: Conn<'_>, before: Timestamp) -> Result<u64, StoreError> {
    Ok(on_conn!(conn, |c| {
        sqlx::query("DELETE FROM change_log WHERE created_at < $1")
            .bind(before.millis())
            .execute(c)
            .await?
            .rows_affected()
    }))
}
