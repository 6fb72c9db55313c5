//! PostgreSQL: how it is opened, with or without a pooler between, and its hints.

use std::pin::Pin;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::Row as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};

use super::open::{ACQUIRE_TIMEOUT, Migrated};
use super::{OpenError, PoolSize, Pools, SIGN_OF_LIFE, Store, StoreError};

/// Where changes are told of. Channels are of one database, whatever its schemas.
const CHANNEL: &str = "hallpass_change";
/// How often a connection that says nothing is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(20);

/// How a transaction begins behind a pooler in transaction mode.
///
/// What a connection of our own is given once when it is made, each transaction is given here, since
/// each may be in another session. Statements that others prepared there go first: sqlx names its
/// own by numbers, and another node has used the same ones. A standby refuses to write, also where
/// nothing is written: what it knows may be old.
pub(super) const BEGIN_POOLED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL statement_timeout = '10s'; \
     SET LOCAL idle_in_transaction_session_timeout = '30s'; \
     DEALLOCATE ALL";

pub(super) async fn open(
    url: &str,
    direct_url: Option<&str>,
    size: PoolSize,
) -> Result<Store, OpenError> {
    static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

    let direct = options(direct_url.unwrap_or(url))?.options([
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        // Changes read behind the lock of the log, so each statement must see what is committed then.
        ("default_transaction_isolation", "read committed"),
    ]);
    // Migrations have a pool of their own: they may wait long for another node's, and when one fails,
    // the advisory lock that they take goes with its connection.
    let patient = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(direct.clone().options([("statement_timeout", "5min")]))
        .await
        .map_err(match direct_url {
            None => OpenError::Connect,
            Some(_) => OpenError::Direct,
        })?;
    for setting in ["fsync", "synchronous_commit"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&patient)
            .await
            .map_err(OpenError::Connect)?;
        if value == "off" {
            return Err(OpenError::Durability {
                setting: format!("{setting}=off"),
                needed: "fsync=on and synchronous_commit=on",
            });
        }
    }
    let migrated: Migrated<'_> = Box::pin(MIGRATIONS.run(&patient));
    migrated.await?;

    let pooled = direct_url.is_some();
    let serving = if pooled {
        // A pooler refuses parameters of a session that it does not know, and a statement that was
        // prepared in one session is not there in the next.
        options(url)?
            .extra_float_digits(None)
            .statement_cache_capacity(0)
    } else {
        direct.clone()
    };
    let mut pool = PgPoolOptions::new();
    if !pooled {
        pool = pool.after_connect(|conn, _| primary_alone(conn));
    }
    let pool = pool
        .max_connections(size.max.max(2))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // The same question as sqlx's own, with a bound.
        .test_before_acquire(false)
        .before_acquire(|conn, _| sign_of_life(conn))
        .after_release(|conn, _| sign_of_life(conn))
        .connect_with(serving)
        .await
        .map_err(OpenError::Connect)?;
    if pooled {
        let told = log_behind(&patient).await.map_err(OpenError::Connect)?;
        let found = log_behind(&pool).await.map_err(OpenError::Connect)?;
        match (told, found) {
            (_, None) => return Err(OpenError::OtherDatabase),
            (Some(Some(told)), Some(Some(found))) if told != found => {
                return Err(OpenError::OtherDatabase);
            }
            // Another node may set it up at this moment.
            (Some(_) | None, Some(_)) => {}
        }
    }
    patient.close().await;
    Ok(Store {
        pools: Pools::Postgres {
            pool,
            pooled,
            direct: Box::new(direct),
        },
    })
}

/// Whether there is a change log, and which. By the simple protocol, since a pooler may have
/// statements of others under the names of ours.
async fn log_behind(pool: &PgPool) -> sqlx::Result<Option<Option<i64>>> {
    let is_there = sqlx::raw_sql("SELECT to_regclass('change_head') IS NOT NULL");
    if !is_there.fetch_one(pool).await?.try_get::<bool, _>(0)? {
        return Ok(None);
    }
    let log = sqlx::raw_sql("SELECT log_id FROM change_head WHERE id = 1");
    let row = log.fetch_optional(pool).await?;
    row.map(|row| row.try_get(0)).transpose().map(Some)
}

fn options(url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(OpenError::Url)?;
    Ok(options.application_name("hallpass"))
}

/// Refuses a standby, where an address leads to after a failover: what it knows may be old, and nothing
/// says how old. A primary becomes one only by a new start, which ends its connections.
fn primary_alone(
    conn: &mut PgConnection,
) -> Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + '_>> {
    Box::pin(async {
        let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()")
            .fetch_one(conn)
            .await?;
        if is_standby {
            return Err(sqlx::Error::Configuration(
                "the server is a standby, and only the primary is asked".into(),
            ));
        }
        Ok(())
    })
}

/// Whether a connection answers; an error when it does not, so that it is thrown away.
fn sign_of_life(
    conn: &mut PgConnection,
) -> Pin<Box<dyn Future<Output = Result<bool, sqlx::Error>> + Send + '_>> {
    Box::pin(async {
        let silent = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(SIGN_OF_LIFE, conn.ping())
            .await
            .map_err(|_| silent())??;
        Ok(true)
    })
}

/// Hears of changes as soon as they are committed, over a connection of its own.
#[derive(Debug)]
pub struct Hints {
    listener: PgListener,
    // It would otherwise be closed with the last handle.
    _pool: PgPool,
}

impl Hints {
    pub(super) async fn listen(direct: &PgConnectOptions) -> Result<Self, StoreError> {
        let options = direct
            .clone()
            // As an operator sees it among the sessions.
            .application_name("hallpass hints")
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        let listening = listener.listen(CHANNEL);
        tokio::time::timeout(SIGN_OF_LIFE, listening)
            .await
            .map_err(|_| StoreError::Unavailable(sqlx::Error::PoolTimedOut))??;
        Ok(Self {
            listener,
            _pool: pool,
        })
    }

    /// Over when something was changed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the connection is lost; this one hears nothing more then.
    pub async fn changed(&mut self) -> Result<(), StoreError> {
        let lost =
            || StoreError::Unavailable(sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into()));
        loop {
            let heard = tokio::time::timeout(SILENCE, self.listener.try_recv()).await;
            match heard {
                Ok(Ok(Some(_))) => return Ok(()),
                Ok(Ok(None)) => return Err(lost()),
                Ok(Err(error)) => return Err(StoreError::Unavailable(error)),
                Err(_) => {
                    let asked = sqlx::Executor::execute(&mut self.listener, "SELECT 1");
                    tokio::time::timeout(SIGN_OF_LIFE, asked)
                        .await
                        .map_err(|_| lost())??;
                }
            }
        }
    }
}
