//! Databases that cannot be opened: each says so, in words that a person can act on.

use std::path::Path;

use hallpass::store::{Conn, OpenError, PoolSize, Store};

use crate::support::database::{Kind, TestDatabase};

async fn refusal(url: &str) -> OpenError {
    Store::open(url, PoolSize { max: 2 }).await.expect_err(url)
}

fn url_of(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

#[tokio::test]
async fn an_url_of_another_kind_is_refused() {
    for url in [
        "",
        "mysql://localhost/x",
        "hallpass.db",
        "SQLITE://x",
        "file:x.db",
    ] {
        assert!(matches!(refusal(url).await, OpenError::Scheme), "{url}");
    }
}

#[tokio::test]
async fn an_url_that_cannot_be_read_is_refused() {
    for url in [
        "sqlite://x.db?mode=sometimes",
        "sqlite://x.db?journal=off",
        "postgres://localhost:port/x",
        "postgres://[::1/x",
        "postgres://localhost/x?sslmode=maybe",
    ] {
        let error = refusal(url).await;
        assert!(matches!(error, OpenError::Url(_)), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_in_a_file_is_refused() {
    for url in [
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite://x.db?mode=memory",
        "sqlite:",
        "sqlite://",
    ] {
        let error = refusal(url).await;
        assert!(
            matches!(error, OpenError::Durability { .. }),
            "{url}: {error:?}"
        );
    }
    assert_eq!(
        refusal("sqlite::memory:").await.to_string(),
        "the database runs with no file, which can lose writes that were acknowledged; hallpass \
         needs a database in a file"
    );
}

#[tokio::test]
async fn the_folder_of_the_file_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a/b/hallpass.db");

    let store = Store::open(&url_of(&file), PoolSize { max: 0 })
        .await
        .unwrap();

    store.ping().await.unwrap();
    assert_eq!(store.file(), Some(file.as_path()));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let blocker = folder.path().join("file");
    std::fs::write(&blocker, "not a folder").unwrap();

    let error = refusal(&url_of(&blocker.join("data/hallpass.db"))).await;

    let OpenError::Folder { folder, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(folder.ends_with("file/data"), "{folder}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    let notes = "these are my notes, which are worth more than a database\n".repeat(100);
    std::fs::write(&file, &notes).unwrap();

    let error = refusal(&url_of(&file)).await;

    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), notes);
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("hallpass.db");
    std::fs::create_dir(&place).unwrap();

    let error = refusal(&url_of(&place)).await;

    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_read_only_database_is_refused() {
    let db = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
    let url = format!("{}?mode=ro", db.url());
    assert!(matches!(refusal(&url).await, OpenError::Connect(_)));

    // One that is up to date is refused, too: nothing could be acknowledged.
    db.store().await.close().await;
    let error = refusal(&url).await;
    assert_eq!(
        error.to_string(),
        "the database cannot be opened: is it there, writable, and not locked by another program?"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let db = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
    let store = db.store().await;

    let file = store.file().unwrap();
    let mut found = 0;
    for entry in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".lock") {
            continue;
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        found += 1;
    }
    assert_eq!(found, 3, "the database, its log and the index of the log");
}

#[tokio::test]
async fn opening_waits_for_another_program_that_migrates() {
    let db = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
    let file = db.url().strip_prefix("sqlite://").unwrap();
    let lock = std::fs::File::create(Path::new(file).with_extension("migrate.lock")).unwrap();
    lock.lock().unwrap();
    let url = db.url().to_owned();
    let open = tokio::spawn(async move { Store::open(&url, PoolSize { max: 1 }).await });
    tokio::task::yield_now().await;
    assert!(
        !Path::new(file).exists(),
        "nothing is touched without the lock"
    );

    drop(lock);

    open.await.unwrap().unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_postgres_that_is_not_there_is_said_to_be() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };

    let error = refusal(&format!("postgres://nobody:secret@127.0.0.1:{port}/x")).await;

    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn of_two_addresses_the_one_that_leads_nowhere_is_named() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let direct = format!("postgres://nobody:secret@127.0.0.1:{port}/x");
    let size = PoolSize { max: 2 };

    let opened = Store::open_pooled("postgres://pooler/x", &direct, size).await;

    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::Direct(_)), "{error:?}");
    assert!(error.to_string().contains("database_direct_url"));
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn a_postgres_that_may_lose_writes_is_refused() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };

    let error = refusal(&format!("{}%20-c%20synchronous_commit%3Doff", db.url())).await;

    assert_eq!(
        error.to_string(),
        "the database runs with synchronous_commit=off, which can lose writes that were \
         acknowledged; hallpass needs fsync=on and synchronous_commit=on"
    );
}

/// A server or role may ask for another isolation; changes rely on ours.
#[tokio::test]
async fn a_postgres_of_another_isolation_runs_with_ours() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let url = format!(
        "{}%20-c%20default_transaction_isolation%3Dserializable",
        db.url()
    );
    let store = Store::open(&url, PoolSize { max: 2 }).await.unwrap();
    let mut tx = store.write().await.unwrap();
    let Conn::Postgres(conn) = tx.conn() else {
        panic!("not PostgreSQL");
    };

    let isolation: String = sqlx::query_scalar("SHOW transaction_isolation")
        .fetch_one(conn)
        .await
        .unwrap();

    assert_eq!(isolation, "read committed");
}

#[tokio::test]
async fn connections_keep_few_pages_of_the_file_however_many_they_are() {
    async fn kib(conn: Conn<'_>) -> i64 {
        let Conn::Sqlite(conn) = conn else {
            panic!("another database");
        };
        let size = sqlx::query_scalar("PRAGMA cache_size");
        -size.fetch_one(conn).await.unwrap_or(0)
    }
    let folder = tempfile::tempdir().unwrap();
    let url = url_of(&folder.path().join("hallpass.db"));

    for (max, wanted) in [
        (1, 8_192),
        (4, 2_048),
        (8, 1_024),
        (16, 1_024),
        (1_000, 1_024),
    ] {
        let store = Store::open(&url, PoolSize { max }).await.unwrap();
        assert_eq!(kib(store.read().await.unwrap().conn()).await, wanted);
        assert_eq!(kib(store.write().await.unwrap().conn()).await, 4_096);
        store.close().await;
    }
}
