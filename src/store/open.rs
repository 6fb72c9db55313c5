//! Opening a database: options, durability checks, migrations under a lock.

use std::path::Path;
use std::pin::Pin;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};

use super::{Pools, Store, StoreError};

/// Why a database could not be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no database that this program knows.
    #[error("the database URL must begin with sqlite:// or postgres://")]
    Scheme,
    /// The URL cannot be read.
    #[error("the database URL cannot be read")]
    Url(#[source] sqlx::Error),
    /// The folder of the database file cannot be made.
    #[error("the folder of the database, {folder}, cannot be made")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be reached or opened.
    #[error(
        "the database cannot be opened: is it there, writable, and not locked by another program?"
    )]
    Connect(#[source] sqlx::Error),
    /// The way past the pooler leads nowhere.
    #[error(
        "the database cannot be opened at database_direct_url: is it there, and may this user connect?"
    )]
    Direct(#[source] sqlx::Error),
    /// The direct address and the one behind the pooler lead to two databases.
    #[error(
        "database_direct_url leads to another database than database_url; both must name the same one"
    )]
    OtherDatabase,
    /// A newer program has been here.
    #[error(
        "the database has schema version {found}, which is newer than this program knows; run the newer hallpass"
    )]
    Newer {
        /// The version in the database.
        found: i64,
    },
    /// A migration that was applied is not the one that this program has.
    #[error("migration {version} in the database is not the one that this program was built with")]
    Altered {
        /// The version.
        version: i64,
    },
    /// A migration failed.
    #[error("the database could not be brought up to date")]
    Migrate(#[source] MigrateError),
    /// A setting of the database would lose acknowledged writes.
    #[error(
        "the database runs with {setting}, which can lose writes that were acknowledged; hallpass needs {needed}"
    )]
    Durability {
        /// What it is.
        setting: String,
        /// What it must be.
        needed: &'static str,
    },
    /// The lock beside the database file cannot be had.
    #[error("the lock file {file} cannot be taken")]
    Lock {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<MigrateError> for OpenError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the two that people can act on have a text of their own"
    )]
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(found) => Self::Newer { found },
            MigrateError::VersionMismatch(version) => Self::Altered { version },
            error => Self::Migrate(error),
        }
    }
}

/// How the schema of a database stands to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// It is what this program needs.
    Current,
    /// The next start brings it up to date.
    Older {
        /// The version in the database.
        found: i64,
        /// The version of this program.
        known: i64,
    },
}

/// How many connections to keep.
#[derive(Debug, Clone, Copy)]
pub struct PoolSize {
    /// At most so many at once.
    pub max: u32,
}

/// Connections of SQLite that read. Each is a thread with memory of its own, and reads wait for a core
/// and hardly ever for a disk, so more would make nothing quicker.
#[cfg(feature = "sqlite")]
const READERS_MAX: u32 = 8;
/// What all connections of SQLite that read may keep of the file together, in KiB. Pages that are not
/// kept are in the cache of the operating system, a few microseconds away.
#[cfg(feature = "sqlite")]
const READ_PAGES_KIB: u32 = 8_192;
/// The same for the one that writes.
#[cfg(feature = "sqlite")]
const WRITE_PAGES_KIB: u32 = 4_096;

pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Migrations under way. In a box, since the compiler cannot see of the bare future that opening may
/// be spawned.
pub(super) type Migrated<'a> = Pin<Box<dyn Future<Output = Result<(), MigrateError>> + Send + 'a>>;

impl Store {
    /// Opens the database that the URL names, makes it where it is SQLite and absent, and brings it
    /// up to date under a lock.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str, size: PoolSize) -> Result<Self, OpenError> {
        #[cfg(feature = "sqlite")]
        if url.starts_with("sqlite:") {
            return open_sqlite(url, size).await;
        }
        #[cfg(feature = "postgres")]
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return super::postgres::open(url, None, size).await;
        }
        Err(OpenError::Scheme)
    }

    /// The same for PostgreSQL behind a pooler in transaction mode. `direct_url` leads to the same
    /// database without it: what needs a session of its own, migrations and hints, goes there.
    ///
    /// # Errors
    /// [`OpenError`].
    #[cfg(feature = "postgres")]
    pub async fn open_pooled(
        url: &str,
        direct_url: &str,
        size: PoolSize,
    ) -> Result<Self, OpenError> {
        super::postgres::open(url, Some(direct_url), size).await
    }

    /// There is no PostgreSQL in this build.
    ///
    /// # Errors
    /// [`OpenError::Scheme`].
    #[cfg(not(feature = "postgres"))]
    #[expect(clippy::unused_async, reason = "it is one where there is PostgreSQL")]
    pub async fn open_pooled(_: &str, _: &str, _: PoolSize) -> Result<Self, OpenError> {
        Err(OpenError::Scheme)
    }

    /// How the schema stands to this program; nothing is changed.
    ///
    /// # Errors
    /// [`OpenError`], [`OpenError::Newer`] in particular.
    pub async fn schema(url: &str) -> Result<Schema, OpenError> {
        const VERSION: &str = "SELECT MAX(version) FROM _sqlx_migrations";
        use sqlx::ConnectOptions as _;

        #[cfg(feature = "sqlite")]
        if url.starts_with("sqlite:") {
            static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
            let options = sqlx::sqlite::SqliteConnectOptions::from_str(url)
                .map_err(OpenError::Url)?
                .read_only(true);
            let mut conn = options.connect().await.map_err(OpenError::Connect)?;
            let version = sqlx::query_scalar(VERSION).fetch_one(&mut conn).await;
            let found = version.map_err(OpenError::Connect)?;
            let known = MIGRATIONS.iter().map(|migration| migration.version).max();
            return compare(found, known);
        }
        #[cfg(feature = "postgres")]
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");
            let options =
                sqlx::postgres::PgConnectOptions::from_str(url).map_err(OpenError::Url)?;
            let mut conn = options.connect().await.map_err(OpenError::Connect)?;
            let version = sqlx::query_scalar(VERSION).fetch_one(&mut conn).await;
            let found = version.map_err(OpenError::Connect)?;
            let known = MIGRATIONS.iter().map(|migration| migration.version).max();
            return compare(found, known);
        }
        Err(OpenError::Scheme)
    }

    /// The file of the database, for SQLite.
    pub fn file(&self) -> Option<&Path> {
        match &self.pools {
            #[cfg(feature = "sqlite")]
            Pools::Sqlite { file, .. } => Some(file),
            #[cfg(feature = "postgres")]
            Pools::Postgres { .. } => None,
        }
    }

    /// Whether the URL names a database file that is not there. A server is asked when it is opened.
    #[cfg(feature = "sqlite")]
    pub fn is_absent(url: &str) -> bool {
        let options = sqlx::sqlite::SqliteConnectOptions::from_str(url);
        let absent = options.is_ok_and(|options| !options.get_filename().exists());
        url.starts_with("sqlite:") && absent
    }

    /// Whether the URL names a database file that is not there: this build knows none.
    #[cfg(not(feature = "sqlite"))]
    pub fn is_absent(_: &str) -> bool {
        false
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        // A file that was removed goes on working for those who have it open, until they end.
        if self.file().is_some_and(|file| !file.exists()) {
            return Err(StoreError::Unavailable(sqlx::Error::PoolClosed));
        }
        let mut read = self.read().await?;
        super::on_conn!(read.conn(), |c| {
            sqlx::query("SELECT 1").execute(c).await?;
        });
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(url: &str, size: PoolSize) -> Result<Store, OpenError> {
    use sqlx::Connection as _;
    use sqlx::sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    };

    static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

    let options = SqliteConnectOptions::from_str(url)
        .map_err(OpenError::Url)?
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(ACQUIRE_TIMEOUT);
    let file = options.get_filename().to_owned();
    if is_in_memory(url, &file) {
        return Err(OpenError::Durability {
            setting: "no file".to_owned(),
            needed: "a database in a file",
        });
    }
    if let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder {
            folder: folder.display().to_string(),
            source,
        })?;
    }
    // Migrations of SQLite take no lock of their own, nor is the change to a write-ahead log safe
    // from two programs that start at once.
    let lock = FileLock::take(&file.with_extension("migrate.lock")).await?;
    make_private(&file).map_err(|error| OpenError::Connect(sqlx::Error::Io(error)))?;

    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file needs no sign of life, which would cost as much as a statement.
        .test_before_acquire(false)
        // When the disk is full or fails, SQLite ends the transaction by itself, and sqlx goes on
        // taking the connection for one inside it: no other could ever begin.
        .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
        .connect_with(pages(options.clone(), WRITE_PAGES_KIB))
        .await
        .map_err(OpenError::Connect)?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&write)
        .await
        .map_err(OpenError::Connect)?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&write)
        .await
        .map_err(OpenError::Connect)?;
    if journal != "wal" || synchronous != 2 {
        return Err(OpenError::Durability {
            setting: format!("journal_mode={journal}, synchronous={synchronous}"),
            needed: "journal_mode=wal and synchronous=FULL (2)",
        });
    }
    // A file that is write-protected opens without a word, for reading alone; so something is
    // written: `hall`, by which other programs tell whose file this is.
    sqlx::query("PRAGMA application_id = 0x68616c6c")
        .execute(&write)
        .await
        .map_err(OpenError::Connect)?;
    let migrated: Migrated<'_> = Box::pin(MIGRATIONS.run(&write));
    migrated.await?;
    drop(lock);

    let readers = size.max.clamp(1, READERS_MAX);
    let read_pages = READ_PAGES_KIB / readers;
    let read = SqlitePoolOptions::new()
        .max_connections(readers)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        // What writes goes through the one connection that is for it.
        .connect_with(pages(options, read_pages).pragma("query_only", "ON"))
        .await
        .map_err(OpenError::Connect)?;
    Ok(Store {
        pools: Pools::Sqlite { read, write, file },
    })
}

/// A bound on the pages that a connection keeps. SQLite says it in KiB by a minus.
#[cfg(feature = "sqlite")]
fn pages(
    options: sqlx::sqlite::SqliteConnectOptions,
    kib: u32,
) -> sqlx::sqlite::SqliteConnectOptions {
    options.pragma("cache_size", format!("-{kib}"))
}

fn compare(found: Option<i64>, known: Option<i64>) -> Result<Schema, OpenError> {
    let (found, known) = (found.unwrap_or(0), known.unwrap_or(0));
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(Schema::Current),
        std::cmp::Ordering::Less => Ok(Schema::Older { found, known }),
        std::cmp::Ordering::Greater => Err(OpenError::Newer { found }),
    }
}

#[cfg(feature = "sqlite")]
fn is_in_memory(url: &str, file: &Path) -> bool {
    file.as_os_str().is_empty() || url.contains(":memory:") || url.contains("mode=memory")
}

/// Makes the file of the database where there is none, readable by its owner alone. SQLite gives the
/// files beside it the same mode.
#[cfg(feature = "sqlite")]
fn make_private(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A file whose lock only one program has at a time, until this is dropped.
#[cfg(feature = "sqlite")]
struct FileLock {
    _file: std::fs::File,
}

#[cfg(feature = "sqlite")]
impl FileLock {
    async fn take(path: &Path) -> Result<Self, OpenError> {
        const TRY_EVERY: Duration = Duration::from_millis(50);
        const TRIES: u32 = 600;

        let failed = |source| OpenError::Lock {
            file: path.display().to_string(),
            source,
        };
        let file = std::fs::File::create(path).map_err(failed)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(std::fs::TryLockError::WouldBlock) => tokio::time::sleep(TRY_EVERY).await,
                Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(failed(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "another program has had it for half a minute",
        )))
    }
}
