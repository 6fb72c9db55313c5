//! The schema and its migrations.

use hallpass::store::{PoolSize, Store};

use crate::support::database::{Kind, TestDatabase, on_both_databases};

on_both_databases! {
    a_database_is_brought_up_to_date_once,
    programs_that_start_at_once_all_succeed,
    a_database_of_a_newer_program_is_refused,
    a_migration_that_is_not_ours_is_refused,
    text_is_compared_byte_by_byte,
}

async fn open(db: &TestDatabase) -> Result<Store, hallpass::store::OpenError> {
    Store::open(db.url(), PoolSize { max: 4 }).await
}

async fn a_database_is_brought_up_to_date_once(db: &TestDatabase) {
    let applied = "SELECT description || ' ' || installed_on FROM _sqlx_migrations";
    db.store().await.close().await;
    let first = db.raw().await.texts(&as_text(db, applied)).await;

    let again = db.store().await;

    again.ping().await.unwrap();
    assert_eq!(db.raw().await.texts(&as_text(db, applied)).await, first);
}

/// Both give an instant as text when they are asked to.
fn as_text(db: &TestDatabase, sql: &str) -> String {
    match db.kind() {
        Kind::Sqlite => sql.to_owned(),
        Kind::Postgres => sql.replace("installed_on", "installed_on::text"),
    }
}

async fn programs_that_start_at_once_all_succeed(db: &TestDatabase) {
    let opens: Vec<_> = (0..4)
        .map(|_| {
            let url = db.url().to_owned();
            tokio::spawn(async move { Store::open(&url, PoolSize { max: 2 }).await })
        })
        .collect();
    for open in opens {
        open.await.unwrap().unwrap().ping().await.unwrap();
    }
}

async fn a_database_of_a_newer_program_is_refused(db: &TestDatabase) {
    db.store().await.close().await;
    let mut raw = db.raw().await;
    let newer = "INSERT INTO _sqlx_migrations
             (version, description, installed_on, success, checksum, execution_time)
         SELECT 9999, 'later', installed_on, success, checksum, 1 FROM _sqlx_migrations LIMIT 1";
    assert_eq!(raw.execute(newer).await, 1);

    let error = open(db).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "the database has schema version 9999, which is newer than this program knows; run the \
         newer hallpass"
    );
    // Nor is anything locked by the attempt.
    raw.execute("DELETE FROM _sqlx_migrations WHERE version = 9999")
        .await;
    open(db).await.unwrap();
}

async fn a_migration_that_is_not_ours_is_refused(db: &TestDatabase) {
    db.store().await.close().await;
    let mut raw = db.raw().await;
    let foreign = match db.kind() {
        Kind::Sqlite => "UPDATE _sqlx_migrations SET checksum = x'00'",
        Kind::Postgres => "UPDATE _sqlx_migrations SET checksum = '\\x00'",
    };
    raw.execute(foreign).await;

    let error = open(db).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "migration 1 in the database is not the one that this program was built with"
    );
}

async fn text_is_compared_byte_by_byte(db: &TestDatabase) {
    db.store().await.close().await;
    let mut raw = db.raw().await;
    for id in ["a", "~", "B", "_", "b", "ä", "1"] {
        raw.execute(&format!(
            "INSERT INTO signing_key (kid, environment, algorithm, state, public_jwk, created_at)
             VALUES ('{id}', 'live', '', '', '', 0)"
        ))
        .await;
    }

    let sorted = raw.texts("SELECT kid FROM signing_key ORDER BY kid").await;

    assert_eq!(sorted.concat(), ["1", "B", "_", "a", "b", "~", "ä"]);
}

/// Tables, columns and indexes are the same, and so is what may be null.
#[tokio::test]
async fn both_databases_have_the_same_schema() {
    let sqlite = TestDatabase::fresh(Kind::Sqlite).await.unwrap();
    let Some(postgres) = TestDatabase::fresh(Kind::Postgres).await else {
        return;
    };
    sqlite.store().await.close().await;
    postgres.store().await.close().await;

    let columns_sqlite = "SELECT t.name, c.name, CASE c.type WHEN 'INTEGER' THEN 'number' WHEN
             'TEXT' THEN 'text' WHEN 'BLOB' THEN 'bytes' ELSE c.type END,
             CASE c.\"notnull\" WHEN 0 THEN 'null' ELSE 'not null' END,
             CAST(c.cid AS TEXT)
         FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> '_sqlx_migrations'
         ORDER BY t.name, c.cid";
    let columns_postgres = "SELECT table_name::text, column_name::text,
             CASE data_type WHEN 'bigint' THEN 'number' WHEN 'text' THEN 'text'
                 WHEN 'bytea' THEN 'bytes' ELSE data_type::text END,
             CASE is_nullable WHEN 'YES' THEN 'null' ELSE 'not null' END,
             (ordinal_position - 1)::text
         FROM information_schema.columns
         WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations'
         ORDER BY table_name COLLATE \"C\", ordinal_position";
    let ours = sqlite.raw().await.texts(columns_sqlite).await;
    let theirs = postgres.raw().await.texts(columns_postgres).await;
    assert!(ours.len() > 80, "{}", ours.len());
    assert_eq!(ours, theirs);

    let indexes_sqlite = "SELECT name, tbl_name FROM sqlite_schema
         WHERE type = 'index' AND name NOT LIKE 'sqlite%' ORDER BY name";
    let indexes_postgres = "SELECT indexname::text, tablename::text FROM pg_indexes
         WHERE schemaname = current_schema() AND indexname NOT LIKE '%pkey'
         ORDER BY indexname COLLATE \"C\"";
    let ours = sqlite.raw().await.texts(indexes_sqlite).await;
    let theirs = postgres.raw().await.texts(indexes_postgres).await;
    assert_eq!(ours, theirs);

    let loose = "SELECT name FROM sqlite_schema
         WHERE type = 'table' AND name NOT LIKE '%sql%' AND sql NOT LIKE '%STRICT%'";
    assert!(sqlite.raw().await.texts(loose).await.is_empty());
    let by_language = "SELECT table_name::text, column_name::text FROM information_schema.columns
         WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations'
             AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'";
    assert!(postgres.raw().await.texts(by_language).await.is_empty());
}
