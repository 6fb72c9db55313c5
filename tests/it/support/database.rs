//! An empty database for one test, of either kind.
//!
//! SQLite is a file in a temporary folder. PostgreSQL is a schema of its own in the database that
//! `TEST_DATABASE_URL` names (`.ci/postgres start` makes one). Both are gone when the test is over,
//! however it ends.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;

use hallpass::store::{PoolSize, Store};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    /// PostgreSQL when `TEST_DATABASE_URL` is set, else SQLite: for tests that need one of them.
    pub(crate) fn from_environment() -> Self {
        match server() {
            Some(_) => Self::Postgres,
            None => Self::Sqlite,
        }
    }
}

/// An empty database that nobody else uses. Nothing is in it until [`TestDatabase::store`] brings it
/// up to date.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    kind: Kind,
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder { _folder: tempfile::TempDir },
    Schema { server: String, name: String },
}

/// The PostgreSQL to test with.
///
/// In CI it is a failure that there is none, not something to pass over.
fn server() -> Option<String> {
    let url = std::env::var("TEST_DATABASE_URL").ok();
    let url = url.filter(|url| !url.is_empty());
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        url.is_some() || !in_ci,
        "TEST_DATABASE_URL is not set, and in CI both databases are tested: see .ci/postgres"
    );
    url
}

impl TestDatabase {
    /// An empty database; `None` for PostgreSQL when there is none to test with.
    pub(crate) async fn fresh(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("hallpass.db");
                Some(Self {
                    kind,
                    url: format!("sqlite://{}", file.display()),
                    place: Place::Folder { _folder: folder },
                })
            }
            Kind::Postgres => {
                let server = server()?;
                let name = format!(
                    "t{}_{:x}",
                    std::process::id(),
                    RandomState::new().hash_one("schema")
                );
                let mut conn = PgConnection::connect(&server).await.unwrap();
                sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {name}")))
                    .execute(&mut conn)
                    .await
                    .unwrap();
                let mark = if server.contains('?') { '&' } else { '?' };
                Some(Self {
                    kind,
                    url: format!("{server}{mark}options=-c%20search_path%3D{name}"),
                    place: Place::Schema { server, name },
                })
            }
        }
    }

    /// Which database it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// What `--database-url` would be.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The store in it, brought up to date.
    pub(crate) async fn store(&self) -> Store {
        Store::open(self.url(), PoolSize { max: 10 }).await.unwrap()
    }

    /// A connection beside the store, which takes any statement: foreign keys are not checked.
    pub(crate) async fn raw(&self) -> Raw {
        match self.kind {
            Kind::Sqlite => {
                let options: SqliteConnectOptions = self.url.parse().unwrap();
                Raw::Sqlite(options.foreign_keys(false).connect().await.unwrap())
            }
            Kind::Postgres => {
                let options: PgConnectOptions = self.url.parse().unwrap();
                let replica = [("session_replication_role", "replica")];
                Raw::Postgres(options.options(replica).connect().await.unwrap())
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Place::Schema { server, name } = &self.place else {
            return;
        };
        let (server, name) = (server.clone(), name.clone());
        // A test that failed may have left a transaction open; its connection is ended first.
        let drop_schema = async move {
            let mut conn = PgConnection::connect(&server).await.unwrap();
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM (
                     SELECT DISTINCT held.pid FROM pg_locks held
                     JOIN pg_class ON pg_class.oid = held.relation
                     JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
                     WHERE pg_namespace.nspname = $1 AND held.pid <> pg_backend_pid()
                 ) AS holders",
            )
            .bind(&name)
            .execute(&mut conn)
            .await
            .unwrap();
            sqlx::query(AssertSqlSafe(format!("DROP SCHEMA {name} CASCADE")))
                .execute(&mut conn)
                .await
                .unwrap();
        };
        // A test's own runtime cannot be waited for from inside it.
        let thread = std::thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(drop_schema);
        });
        let dropped = thread.join();
        assert!(
            dropped.is_ok() || std::thread::panicking(),
            "the schema of the test was not dropped"
        );
    }
}

/// A connection that takes any statement.
#[derive(Debug)]
pub(crate) enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Raw {
    /// Runs a statement; the number of rows that it changed.
    pub(crate) async fn execute(&mut self, sql: &str) -> u64 {
        self.try_execute(sql).await.unwrap()
    }

    /// Runs a statement that may fail.
    pub(crate) async fn try_execute(&mut self, sql: &str) -> Result<u64, sqlx::Error> {
        let query = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(conn) => sqlx::query(query).execute(conn).await?.rows_affected(),
            Self::Postgres(conn) => sqlx::query(query).execute(conn).await?.rows_affected(),
        })
    }

    /// The rows of a query, of which every column is a text.
    pub(crate) async fn texts(&mut self, sql: &str) -> Vec<Vec<String>> {
        let query = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(conn) => {
                let rows = sqlx::query(query).fetch_all(conn).await.unwrap();
                let texts = |row: &sqlx::sqlite::SqliteRow| {
                    (0..row.len()).map(|index| row.get(index)).collect()
                };
                rows.iter().map(texts).collect()
            }
            Self::Postgres(conn) => {
                let rows = sqlx::query(query).fetch_all(conn).await.unwrap();
                let texts = |row: &sqlx::postgres::PgRow| {
                    (0..row.len()).map(|index| row.get(index)).collect()
                };
                rows.iter().map(texts).collect()
            }
        }
    }
}

/// Declares each of these tests, `async fn name(db: &TestDatabase)`, for SQLite and for PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            use crate::support::database::{Kind, TestDatabase};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let db = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
                    super::$name(&db).await;
                }
            )+
        }
        mod postgres {
            use crate::support::database::{Kind, TestDatabase};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(db) = TestDatabase::fresh(Kind::Postgres).await {
                        super::$name(&db).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_both_databases;

#[test]
fn postgres_is_tested_or_said_to_be_left_out() {
    let said = match Kind::from_environment() {
        Kind::Postgres => "the storage tests run on SQLite and on PostgreSQL",
        Kind::Sqlite => {
            "PostgreSQL IS LEFT OUT: TEST_DATABASE_URL is not set (see .ci/postgres); the storage \
             tests run on SQLite alone"
        }
    };
    // Not `eprintln!`, which the test harness keeps to itself.
    writeln!(std::io::stderr(), "{said}").unwrap();
}
