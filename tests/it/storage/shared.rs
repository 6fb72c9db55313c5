//! What only PostgreSQL has, since several nodes share it: hints of changes, and a pooler between.

use std::hash::{BuildHasher as _, RandomState};

use hallpass::domain::liveness::LogId;
use hallpass::domain::time::Timestamp;
use hallpass::store::sessions::{self, NewRow};
use hallpass::store::{Conn, OpenError, PoolSize, Store, change_log};
use sqlx::postgres::PgListener;

use super::fixtures::{Maker, START};
use crate::support::database::{Kind, TestDatabase};

const NOW: Timestamp = Timestamp::from_millis(START);

/// A log with an id of its own: other tests use the same channel.
async fn create_log(store: &Store) -> i64 {
    let id = RandomState::new().hash_one("log").cast_signed();
    let mut tx = store.write().await.unwrap();
    change_log::create(tx.conn(), LogId::from_i64(id), NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

#[tokio::test]
async fn the_other_nodes_are_told_of_a_change_that_is_committed_and_of_nothing_else() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let (store, maker) = (db.store().await, Maker::new());
    let log = create_log(&store).await;
    let mut listener = PgListener::connect(db.url()).await.unwrap();
    listener.listen("hallpass_change").await.unwrap();
    let ours = log.to_string();
    let mut next = async || loop {
        let heard = listener.recv().await.unwrap().payload().to_owned();
        if heard.starts_with(&ours) {
            return heard;
        }
    };

    // A change that is rolled back, and a mint.
    let mut tx = store.write().await.unwrap();
    change_log::advance(tx.conn(), NOW).await.unwrap();
    drop(tx);
    let account = maker.account(None);
    let session = maker.session(&account, &maker.key(&account, None));
    let row = NewRow::new(&session, None).unwrap();
    let mut one = store.write_one().await.unwrap();
    sessions::insert(one.conn(), &[row]).await.unwrap();
    one.done().await.unwrap();
    let mark = format!("SELECT pg_notify('hallpass_change', '{log}, a mark')");
    db.raw().await.execute(&mark).await;
    assert_eq!(next().await, format!("{log}, a mark"));

    let mut tx = store.write().await.unwrap();
    change_log::advance(tx.conn(), NOW).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(next().await, log.to_string());
}

#[tokio::test]
async fn a_node_hears_of_a_change_and_not_of_a_file() {
    if let Some(db) = TestDatabase::fresh(Kind::Postgres).await {
        let store = db.store().await;
        create_log(&store).await;
        let mut hints = store.hints().await.unwrap().unwrap();

        let mut tx = store.write().await.unwrap();
        change_log::advance(tx.conn(), NOW).await.unwrap();
        tx.commit().await.unwrap();

        hints.changed().await.unwrap();
    }
    let file = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
    assert!(file.store().await.hints().await.unwrap().is_none());
}

#[tokio::test]
async fn one_node_at_a_time_drops_sessions() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let (one, other) = (db.store().await, db.store().await);
    let mut first = one.write().await.unwrap();
    assert!(sessions::may_prune(first.conn()).await.unwrap());

    let mut second = other.write().await.unwrap();
    assert!(!sessions::may_prune(second.conn()).await.unwrap());
    drop(second);

    first.commit().await.unwrap();
    let mut second = other.write().await.unwrap();
    assert!(sessions::may_prune(second.conn()).await.unwrap());
}

/// What a session is set to.
async fn setting(conn: Conn<'_>, name: &str) -> String {
    let Conn::Postgres(conn) = conn else {
        panic!("not PostgreSQL")
    };
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(conn)
        .await
        .unwrap()
}

#[tokio::test]
async fn with_and_without_a_pooler_statements_have_their_limits_and_see_what_is_committed() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let size = PoolSize { max: 2 };
    let direct = Store::open(db.url(), size).await.unwrap();
    let pooled = Store::open_pooled(db.url(), db.url(), size).await.unwrap();
    for store in [direct, pooled] {
        for (name, value) in [
            ("statement_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "30s"),
            ("transaction_isolation", "read committed"),
        ] {
            let mut read = store.read().await.unwrap();
            assert_eq!(setting(read.conn(), name).await, value);
            drop(read);
            let mut tx = store.write().await.unwrap();
            assert_eq!(setting(tx.conn(), name).await, value);
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_where_it_is_ours_alone_and_others_are_left() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let keeps = async |store: &Store| store.keep(store.read().await.unwrap()).is_some();
    let (enough, few) = (PoolSize { max: 4 }, PoolSize { max: 3 });

    let own = Store::open(db.url(), enough).await.unwrap();
    assert!(keeps(&own).await);
    let small = Store::open(db.url(), few).await.unwrap();
    assert!(!keeps(&small).await);
    // Kept, it would be one transaction for ever.
    let pooled = Store::open_pooled(db.url(), db.url(), enough).await;
    assert!(!keeps(&pooled.unwrap()).await);
    let Some(file) = TestDatabase::fresh(Kind::Sqlite).await else {
        return;
    };
    assert!(!keeps(&file.store().await).await);
}

#[tokio::test]
async fn the_direct_address_of_another_database_is_refused() {
    let (Some(one), Some(other)) = (
        TestDatabase::fresh(Kind::Postgres).await,
        TestDatabase::fresh(Kind::Postgres).await,
    ) else {
        return;
    };
    let size = PoolSize { max: 2 };
    let refused = async |direct: &TestDatabase| {
        let opened = Store::open_pooled(one.url(), direct.url(), size).await;
        matches!(opened, Err(OpenError::OtherDatabase))
    };

    assert!(refused(&other).await, "one of them has no tables");
    for db in [&one, &other] {
        let store = Store::open(db.url(), size).await.unwrap();
        create_log(&store).await;
    }
    assert!(refused(&other).await, "both are set up");
    assert!(!refused(&one).await);
}

#[tokio::test]
async fn behind_a_pooler_what_is_done_is_stored_and_what_is_not_is_not() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let size = PoolSize { max: 2 };
    let store = Store::open_pooled(db.url(), db.url(), size).await.unwrap();
    let maker = Maker::new();
    let account = maker.account(None);
    let key = maker.key(&account, None);
    for done in [false, true] {
        let session = maker.session(&account, &key);
        let row = NewRow::new(&session, None).unwrap();
        let mut one = store.write_one().await.unwrap();
        sessions::insert(one.conn(), &[row]).await.unwrap();
        if done {
            one.done().await.unwrap();
        } else {
            drop(one);
        }

        let mut read = store.read().await.unwrap();
        let found = sessions::find(read.conn(), &session.id).await.unwrap();
        assert_eq!(found.is_some(), done);
    }
}

#[tokio::test]
async fn behind_a_pooler_nothing_that_another_prepared_is_in_the_way() {
    let Some(db) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    let size = PoolSize { max: 2 };
    let store = Store::open_pooled(db.url(), db.url(), size).await.unwrap();
    let mut read = store.read().await.unwrap();
    // As a session that others had before: names are numbers, from one on.
    let Conn::Postgres(conn) = read.conn() else {
        panic!("not PostgreSQL")
    };
    for number in 1..100 {
        let prepare = format!("PREPARE sqlx_s_{number} AS SELECT 1");
        sqlx::raw_sql(sqlx::AssertSqlSafe(prepare))
            .execute(&mut *conn)
            .await
            .unwrap();
    }
    drop(read);

    for _ in 0..4 {
        let mut read = store.read().await.unwrap();
        assert_eq!(setting(read.conn(), "server_encoding").await, "UTF8");
    }
}
