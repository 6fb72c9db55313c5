//! Transactions, and databases that fail under them.

use hallpass::store::{Conn, PoolSize, Store, StoreError, accounts, secrets};

use super::fixtures::Maker;
use crate::support::database::{Kind, TestDatabase, on_both_databases};

on_both_databases! {
    what_was_committed_is_there_after_a_restart,
    what_was_not_committed_was_never_there,
    a_transaction_sees_its_own_changes_and_others_do_not,
    a_statement_that_fails_leaves_nothing_behind,
    a_store_that_was_closed_is_unavailable,
}

async fn is_there(store: &Store, account: &hallpass::domain::account::Account) -> bool {
    let mut read = store.read().await.unwrap();
    let chain = accounts::chain(read.conn(), &account.id).await.unwrap();
    chain.is_some()
}

async fn what_was_committed_is_there_after_a_restart(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    store.close().await;

    assert!(is_there(&db.store().await, &account).await);
}

async fn what_was_not_committed_was_never_there(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.account(None);
    let mut tx = store.write().await.unwrap();
    accounts::insert(tx.conn(), &account).await.unwrap();

    drop(tx);

    assert!(!is_there(&store, &account).await);
    // Nor is the writer's place lost with it.
    maker.stored_account(&store, None).await;
}

async fn a_transaction_sees_its_own_changes_and_others_do_not(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.account(None);
    let mut tx = store.write().await.unwrap();
    accounts::insert(tx.conn(), &account).await.unwrap();

    let own = accounts::chain(tx.conn(), &account.id).await.unwrap();
    assert!(own.is_some());
    assert!(!is_there(&store, &account).await);
    tx.commit().await.unwrap();
    assert!(is_there(&store, &account).await);
}

async fn a_statement_that_fails_leaves_nothing_behind(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let there = maker.stored_account(&store, None).await;
    let account = maker.account(None);
    let mut tx = store.write().await.unwrap();
    accounts::insert(tx.conn(), &account).await.unwrap();
    assert!(matches!(
        accounts::insert(tx.conn(), &there).await,
        Err(StoreError::Conflict)
    ));

    drop(tx);

    assert!(!is_there(&store, &account).await);
}

async fn a_store_that_was_closed_is_unavailable(db: &TestDatabase) {
    let store = db.store().await;
    store.ping().await.unwrap();
    store.close().await;

    assert!(matches!(
        store.read().await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.write().await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test]
async fn a_read_connection_of_sqlite_does_not_write() {
    let db = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.account(None);

    let mut read = store.read().await.unwrap();
    let written = accounts::insert(read.conn(), &account).await;

    assert!(matches!(written, Err(StoreError::Unavailable(_))));
    assert!(!is_there(&store, &account).await);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_nothing_is_lost() {
    let db = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
    let (store, maker) = (db.store().await, Maker::new());
    let mut stored = vec![maker.stored_account(&store, None).await];
    let limit = async |pages: i64| {
        let mut tx = store.write().await.unwrap();
        let Conn::Sqlite(conn) = tx.conn() else {
            panic!("not SQLite");
        };
        let pragma = format!("PRAGMA max_page_count = {pages}");
        let text = sqlx::AssertSqlSafe(pragma);
        sqlx::query(text).execute(conn).await.unwrap();
    };
    limit(1).await;

    let refused = loop {
        let account = maker.full_account(stored.last());
        let mut tx = store.write().await.unwrap();
        match accounts::insert(tx.conn(), &account).await {
            Ok(()) => tx.commit().await.unwrap(),
            Err(error) => break error,
        }
        stored.push(account);
        assert!(stored.len() < 10_000, "the disk is never full");
    };

    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    limit(1_000_000).await;
    maker.stored_account(&store, None).await;
    let mut raw = db.raw().await;
    let rows = raw
        .texts("SELECT CAST(count(*) AS TEXT) FROM account")
        .await;
    assert_eq!(rows.concat(), [(stored.len() + 1).to_string()]);
}

/// Another program holds the lock of the file, for writing or altogether, for longer than we wait.
/// Both waits are five seconds long, so they run side by side.
#[tokio::test]
async fn a_locked_file_is_unavailable_and_cannot_be_opened() {
    let (busy, shut) = (
        TestDatabase::fresh(Kind::Sqlite).await.unwrap(),
        TestDatabase::fresh(Kind::Sqlite).await.unwrap(),
    );
    let store = busy.store().await;
    shut.store().await.close().await;
    let (mut writer, mut owner) = (busy.raw().await, shut.raw().await);
    writer.execute("BEGIN IMMEDIATE").await;
    owner.execute("PRAGMA locking_mode = EXCLUSIVE").await;
    owner.execute("DELETE FROM account").await;

    let (write, open) = tokio::join!(store.write(), Store::open(shut.url(), PoolSize { max: 1 }));

    assert!(
        matches!(write, Err(StoreError::Unavailable(_))),
        "{write:?}"
    );
    store.ping().await.expect("readers are not held up");
    assert_eq!(
        open.unwrap_err().to_string(),
        "the database cannot be opened: is it there, writable, and not locked by another program?"
    );
    writer.execute("ROLLBACK").await;
    store.write().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_unavailable_and_the_next_one_works() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.account(None);
    let mut tx = store.write().await.unwrap();
    accounts::insert(tx.conn(), &account).await.unwrap();

    // The transaction holds locks of our tables, so its connection is the one that goes.
    let ended = db
        .raw()
        .await
        .texts(
            "SELECT DISTINCT pg_terminate_backend(held.pid)::text FROM pg_locks held
             WHERE held.relation = 'account'::regclass AND held.pid <> pg_backend_pid()",
        )
        .await;
    assert_eq!(ended.concat(), ["true"]);

    let lost = accounts::insert(tx.conn(), &maker.account(None)).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert!(matches!(tx.commit().await, Err(StoreError::Unavailable(_))));
    assert!(!is_there(&store, &account).await);
    maker.stored_account(&store, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_became_read_only_is_unavailable() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let (store, maker) = (db.store().await, Maker::new());
    let mut tx = store.write().await.unwrap();
    let Conn::Postgres(conn) = tx.conn() else {
        panic!("not PostgreSQL");
    };
    sqlx::query("SET TRANSACTION READ ONLY")
        .execute(conn)
        .await
        .unwrap();

    let refused = accounts::insert(tx.conn(), &maker.account(None)).await;

    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}

/// A deadlock, which the order of locks of this program does not allow, would be worth another try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_took_too_long_is_unavailable() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let key = maker.stored_key(&store, &account, None).await;
    let secret = maker.secret(&key);
    let mut first = store.write().await.unwrap();
    secrets::insert(first.conn(), &secret).await.unwrap();
    let mut second = store.write().await.unwrap();
    let Conn::Postgres(conn) = second.conn() else {
        panic!("not PostgreSQL");
    };
    sqlx::query("SET LOCAL statement_timeout = '10ms'")
        .execute(conn)
        .await
        .unwrap();

    let refused = secrets::insert(second.conn(), &secret).await;

    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}
