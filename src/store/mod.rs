//! SQL and nothing but SQL: one file per table, one text per query for both databases.
//!
//! A read is a pooled connection, a write a transaction; both give a [`Conn`]. Functions take the
//! connection first. A dropped transaction is rolled back.

use std::time::Duration;

pub mod accounts;
pub mod api_keys;
pub mod audit;
pub mod change_log;
pub mod change_touch;
pub mod dashboard;
pub mod error;
pub mod health;
pub mod idempotency;
pub mod instance;
pub mod key_notices;
pub mod ledger;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
pub mod restore;
pub mod secrets;
pub mod sessions;
pub mod signing_keys;
pub mod usage;
pub mod webhook_outbox;
pub mod webhooks;

pub use error::StoreError;
pub use open::{OpenError, PoolSize, Schema};
#[cfg(feature = "postgres")]
pub use postgres::Hints;

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("the server needs the feature `sqlite` or `postgres`, or both");

/// How long a connection to a server may take to show that it is alive, before it is used and after.
/// One whose other end is gone without a word would be waited for until the kernel gives it up.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// With fewer connections than this none is kept.
#[cfg(feature = "postgres")]
const SPARE_FROM: u32 = 4;

/// Two pools, of the database that was configured.
#[derive(Debug, Clone)]
pub struct Store {
    pools: Pools,
}

#[derive(Debug, Clone)]
enum Pools {
    #[cfg(feature = "sqlite")]
    Sqlite {
        read: sqlx::SqlitePool,
        // One connection: writers wait in a queue here, not in SQLite's busy loop.
        write: sqlx::SqlitePool,
        file: std::path::PathBuf,
    },
    #[cfg(feature = "postgres")]
    Postgres {
        pool: sqlx::PgPool,
        // A pooler in transaction mode lies between: what is not a transaction may be spread over
        // several sessions, even the two halves of one statement.
        pooled: bool,
        // Past the pooler.
        direct: Box<sqlx::postgres::PgConnectOptions>,
    },
}

/// A borrowed connection of one of the databases.
#[derive(Debug)]
pub enum Conn<'c> {
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(&'c mut sqlx::SqliteConnection),
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(&'c mut sqlx::PgConnection),
}

/// Runs the same body on whichever connection it is; the query's text serves both.
macro_rules! on_conn {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn {
            #[cfg(feature = "sqlite")]
            $crate::store::Conn::Sqlite($c) => $body,
            #[cfg(feature = "postgres")]
            $crate::store::Conn::Postgres($c) => $body,
        }
    };
}
pub(crate) use on_conn;

/// The text of a query that lists rows by id in one of two directions, from a macro that is given
/// the direction: two texts, so that an index serves each.
///
/// Such a text compares `(account_id, id)` as a whole and sorts by both. With `account_id = $1` alone
/// PostgreSQL may walk the primary key, which has the same order, past the rows of all other
/// accounts.
macro_rules! by_order {
    ($order:expr, $text:ident $(, $part:literal)*) => {
        match $order {
            $crate::store::Order::Asc => $text!("ASC" $(, $part)*),
            $crate::store::Order::Desc => $text!("DESC" $(, $part)*),
        }
    };
}
pub(crate) use by_order;

/// A pooled connection without a transaction. On SQLite a write through one that [`Store::read`] gave
/// is refused: writers wait for each other in [`Store::write`] and [`Store::write_one`].
#[derive(Debug)]
pub struct Read(ReadInner);

#[derive(Debug)]
enum ReadInner {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
    #[cfg(feature = "postgres")]
    Pooled(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Read {
    /// The connection, for one statement.
    pub fn conn(&mut self) -> Conn<'_> {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            ReadInner::Sqlite(conn) => Conn::Sqlite(conn),
            #[cfg(feature = "postgres")]
            ReadInner::Postgres(conn) => Conn::Postgres(conn),
            #[cfg(feature = "postgres")]
            ReadInner::Pooled(tx) => Conn::Postgres(tx),
        }
    }
}

/// A connection for one statement that writes. [`One::done`] must follow.
#[derive(Debug)]
pub struct One(Read);

impl One {
    /// The connection, for the statement.
    pub fn conn(&mut self) -> Conn<'_> {
        self.0.conn()
    }

    /// Makes it durable, where the statement was not a transaction of its own.
    ///
    /// # Errors
    /// [`StoreError`]; whether it happened is unknown then.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unused_async, reason = "PostgreSQL has something to wait for")
    )]
    pub async fn done(self) -> Result<(), StoreError> {
        match self.0.0 {
            #[cfg(feature = "sqlite")]
            ReadInner::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            ReadInner::Postgres(_) => Ok(()),
            #[cfg(feature = "postgres")]
            ReadInner::Pooled(tx) => Ok(tx.commit().await?),
        }
    }
}

/// A transaction that writes. It must be committed; dropped, it is rolled back. After an error it can
/// only be dropped: PostgreSQL refuses all that follows, and SQLite may have ended it already.
#[derive(Debug)]
pub struct Tx(TxInner);

#[derive(Debug)]
enum TxInner {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    /// The connection, for one statement.
    pub fn conn(&mut self) -> Conn<'_> {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(tx) => Conn::Sqlite(tx),
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => Conn::Postgres(tx),
        }
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`StoreError`]; whether it happened is unknown then.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.0 {
            #[cfg(feature = "sqlite")]
            TxInner::Sqlite(tx) => tx.commit().await?,
            #[cfg(feature = "postgres")]
            TxInner::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

// To wait for a connection takes the room of 4 kB in a future. It stands apart: whoever only might
// ask the database, which are all requests whose caller is remembered, would carry it along.
impl Store {
    /// A connection to read with.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when none can be had in time.
    pub async fn read(&self) -> Result<Read, StoreError> {
        Ok(Read(match &self.pools {
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { read, .. } => ReadInner::Sqlite(Box::pin(read.acquire()).await?),
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool, pooled, .. } => read_postgres(pool, *pooled).await?,
        }))
    }

    /// What can be kept of a connection for the next read; the rest goes back. It is one of
    /// PostgreSQL's, where no pooler lies between and enough are left for others. It is not asked for
    /// a sign of life any more: whoever keeps it gives it no longer than [`SIGN_OF_LIFE`].
    pub fn keep(&self, read: Read) -> Option<Read> {
        match (&self.pools, &read.0) {
            #[cfg(feature = "postgres")]
            (Pools::Postgres { pool, .. }, ReadInner::Postgres(_))
                if pool.options().get_max_connections() >= SPARE_FROM =>
            {
                Some(read)
            }
            _ => {
                drop(read);
                None
            }
        }
    }

    /// A transaction to write with.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when none can be had in time.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        Ok(Tx(match &self.pools {
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { write, .. } => {
                TxInner::Sqlite(Box::pin(write.begin_with("BEGIN IMMEDIATE")).await?)
            }
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool, pooled, .. } => TxInner::Postgres(if *pooled {
                Box::pin(pool.begin_with(postgres::BEGIN_POOLED)).await?
            } else {
                Box::pin(pool.begin()).await?
            }),
        }))
    }

    /// A connection for one statement that writes, which is a transaction of its own.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when none can be had in time.
    pub async fn write_one(&self) -> Result<One, StoreError> {
        Ok(One(Read(match &self.pools {
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { write, .. } => ReadInner::Sqlite(Box::pin(write.acquire()).await?),
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool, pooled, .. } => read_postgres(pool, *pooled).await?,
        })))
    }

    /// Begins to hear of changes as soon as they are committed; `None` where the database tells
    /// nothing, since only one node has it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[cfg(feature = "postgres")]
    pub async fn hints(&self) -> Result<Option<Hints>, StoreError> {
        match &self.pools {
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { .. } => Ok(None),
            Pools::Postgres { direct, .. } => Hints::listen(direct).await.map(Some),
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match &self.pools {
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { read, write, .. } => {
                read.close().await;
                write.close().await;
            }
            #[cfg(feature = "postgres")]
            Pools::Postgres { pool, .. } => pool.close().await,
        }
    }
}

#[cfg(feature = "postgres")]
async fn read_postgres(pool: &sqlx::PgPool, pooled: bool) -> Result<ReadInner, StoreError> {
    Ok(if pooled {
        ReadInner::Pooled(Box::pin(pool.begin_with(postgres::BEGIN_POOLED)).await?)
    } else {
        ReadInner::Postgres(Box::pin(pool.acquire()).await?)
    })
}

/// Which way a list runs, by id and so by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    #[default]
    Desc,
}

/// One page of a list: what comes after the cursor, at most so many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The id of the last item that the caller has.
    pub after: Option<String>,
    /// Which way.
    pub order: Order,
    /// At most so many.
    pub take: u32,
}

/// Rows of one page, whatever its reader asks for.
const TAKE_MAX: u32 = 1000;

impl Page {
    /// The bounds of the ids of this page, both exclusive, for `id > $lower AND id < $upper`: one
    /// text of a query then serves both directions and the first page.
    fn bounds(&self) -> (&str, &str) {
        const LAST: &str = "~";
        // A cursor is what a client wrote. An empty one is none, and no id has a NUL, which
        // PostgreSQL refuses in any text.
        let after = self.after.as_deref().and_then(|id| id.split('\0').next());
        let after = after.filter(|id| !id.is_empty());
        match self.order {
            Order::Asc => (after.unwrap_or_default(), LAST),
            Order::Desc => ("", after.unwrap_or(LAST)),
        }
    }

    /// The rows of this page, none of which is filtered out.
    pub(crate) fn batch<T>(&self, items: Vec<T>, id: impl Fn(&T) -> &str) -> Batch<T> {
        let read_up_to = items.last().map(|item| id(item).to_owned());
        let more = items.len() >= usize::try_from(self.take).unwrap_or(usize::MAX);
        Batch {
            items,
            read_up_to,
            more,
        }
    }

    fn limit(&self) -> i64 {
        i64::from(self.take.min(TAKE_MAX))
    }
}

/// Whether no row can hold this text: PostgreSQL stores no NUL.
fn never_stored(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.contains('\0'))
}

/// What one page of a list gave.
#[derive(Debug, Clone)]
pub struct Batch<T> {
    /// The items that are wanted.
    pub items: Vec<T>,
    /// The id of the last row that was read, wanted or not; `None` when there was none.
    pub read_up_to: Option<String>,
    /// Whether there may be more behind it.
    pub more: bool,
}
