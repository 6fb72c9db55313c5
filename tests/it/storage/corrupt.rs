//! Rows that no version of this program wrote: an error that names table and column, never a guess
//! and never a panic.

use hallpass::store::{
    Order, Store, StoreError, accounts, api_keys, audit, instance, secrets, sessions,
};

use super::fixtures::{Maker, page};
use crate::support::database::{Kind, Raw, TestDatabase, on_both_databases};

on_both_databases! {
    a_corrupt_account_is_said_to_be,
    a_corrupt_key_is_said_to_be,
    a_corrupt_secret_is_said_to_be,
    a_corrupt_session_is_said_to_be,
    a_corrupt_entry_is_said_to_be,
    a_corrupt_operator_is_said_to_be,
}

/// The table has one row. For each column sets the value, expects the error, and puts back what was there.
async fn each<F>(raw: &mut Raw, table: &str, cases: &[(&'static str, &str)], read: F)
where
    F: AsyncFn() -> Result<(), StoreError>,
{
    read().await.expect("it is sound before");
    for (column, value) in cases {
        raw.execute(&format!(
            "CREATE TABLE kept AS SELECT {column} FROM {table}"
        ))
        .await;
        raw.execute(&format!("UPDATE {table} SET {column} = {value}"))
            .await;
        let result = read().await;
        let restore = format!("UPDATE {table} SET {column} = (SELECT {column} FROM kept)");
        raw.execute(&restore).await;
        raw.execute("DROP TABLE kept").await;
        let named = match &result {
            Err(StoreError::Corrupt {
                table: found,
                column,
            }) => (*found, *column),
            other => panic!("{table}.{column} = {value}: {other:?}"),
        };
        assert_eq!(named, (table, *column), "{value}");
    }
    read().await.expect("it is sound again");
}

async fn a_corrupt_account_is_said_to_be(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.full_account(None);
    let mut tx = store.write().await.unwrap();
    accounts::insert(tx.conn(), &account).await.unwrap();
    tx.commit().await.unwrap();
    let cases = [
        ("parent_id", "'key_00000000000000000000000000'"),
        ("parent_id", "''"),
        ("depth", "-1"),
        ("email", "'nobody'"),
        ("limits", "''"),
        ("limits", "'[]'"),
        ("meta", "'{\"a\":}'"),
        ("state", "'asleep'"),
        ("state", "'ACTIVE'"),
        ("impersonation_policy", "''"),
    ];
    each(&mut db.raw().await, "account", &cases, async || {
        let mut read = store.read().await?;
        accounts::chain(read.conn(), &account.id).await.map(drop)
    })
    .await;

    let by_list = async || {
        let mut read = store.read().await?;
        let (filter, all) = (accounts::Filter::default(), page(Order::Asc, None, 100));
        let list = accounts::list(read.conn(), None, &filter, &all);
        list.await.map(drop)
    };
    let cases = [("id", "'usr_'"), ("id", "'usr_I0000000000000000000000000'")];
    each(&mut db.raw().await, "account", &cases, by_list).await;
}

async fn a_corrupt_key_is_said_to_be(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let key = maker.full_key(&account, None);
    let mut tx = store.write().await.unwrap();
    api_keys::insert(tx.conn(), &key).await.unwrap();
    tx.commit().await.unwrap();
    let cases = [
        ("account_id", "'usr_0'"),
        ("maker_id", "'me'"),
        ("grantors", "'usr_00000000000000000000000000'"),
        ("grantors", "'[\"me\"]'"),
        ("depth", "-1"),
        ("environment", "'production'"),
        ("kind", "'admin'"),
        ("meta", "'null'"),
        ("config", "''"),
        ("config", "'{\"allowedRoute\":[\"**\"]}'"),
        ("config", "'{\"allowedRoutes\":[\"b?t\"]}'"),
        ("config", "'{\"impersonation\":{}}'"),
        ("config", "'{\"manage\":[\"everything\"]}'"),
    ];
    each(&mut db.raw().await, "api_key", &cases, async || {
        let mut read = store.read().await?;
        api_keys::lineage(read.conn(), &key.id).await.map(drop)
    })
    .await;

    let by_list = async || {
        let mut read = store.read().await?;
        let (filter, all) = (api_keys::Filter::default(), page(Order::Asc, None, 100));
        let list = api_keys::list(read.conn(), &account.id, &filter, &all);
        list.await.map(drop)
    };
    each(&mut db.raw().await, "api_key", &[("id", "'ses_'")], by_list).await;
}

async fn a_corrupt_secret_is_said_to_be(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let key = maker.stored_key(&store, &account, None).await;
    let secret = maker.secret(&key);
    let mut tx = store.write().await.unwrap();
    secrets::insert(tx.conn(), &secret).await.unwrap();
    tx.commit().await.unwrap();

    let short = match db.kind() {
        Kind::Sqlite => "x'00'",
        Kind::Postgres => "'\\x00'",
    };
    each(
        &mut db.raw().await,
        "api_key_secret",
        &[("digest", short)],
        async || {
            let mut read = store.read().await?;
            secrets::of_key(read.conn(), &key.id).await.map(drop)
        },
    )
    .await;
    each(
        &mut db.raw().await,
        "api_key_secret",
        &[("key_id", "'key_'")],
        async || {
            let mut read = store.read().await?;
            secrets::find(read.conn(), &secret.digest).await.map(drop)
        },
    )
    .await;
}

async fn a_corrupt_session_is_said_to_be(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.account(None);
    let session = maker.full_session(&account, &maker.key(&account, None));
    let mut tx = store.write().await.unwrap();
    let row = sessions::NewRow::new(&session, None).unwrap();
    sessions::insert(tx.conn(), &[row]).await.unwrap();
    tx.commit().await.unwrap();
    let detail = |member: &str| {
        let routes = r#""origin":"mint","allowedRoutes":["**"],"duration_secs":1,"durationSecs":1"#;
        format!("'{{{routes},{member}}}'")
    };
    let bad_actor = detail(r#""actors":["me"]"#);
    let bad_scope = detail(r#""scope":"two  spaces""#);
    let bad_domain = detail(r#""domains":["http://"]"#);
    let bad_value = detail(r#""profile":{"path":"a","values":{"b":"c/d"}}"#);
    let cases = [
        ("family_id", "''"),
        ("account_id", "'usr_'"),
        ("key_id", "'key_'"),
        ("environment", "'LIVE'"),
        ("tags", "''"),
        ("tags", "'AAAA'"),
        ("request_id", "'ses_00000000000000000000000000'"),
        ("address", "'192.0.2.256'"),
        ("detail", "''"),
        ("detail", "'{}'"),
        (
            "detail",
            "'{\"origin\":\"gift\",\"allowedRoutes\":[],\"durationSecs\":1}'",
        ),
        (
            "detail",
            "'{\"origin\":\"mint\",\"allowedRoutes\":[\"a//b\"],\"durationSecs\":1}'",
        ),
        ("detail", bad_actor.as_str()),
        ("detail", bad_scope.as_str()),
        ("detail", bad_domain.as_str()),
        ("detail", bad_value.as_str()),
    ];
    each(&mut db.raw().await, "session", &cases, async || {
        let mut read = store.read().await?;
        sessions::find(read.conn(), &session.id).await.map(drop)
    })
    .await;

    let by_list = async || {
        let mut read = store.read().await?;
        let (filter, all) = (sessions::Filter::default(), page(Order::Asc, None, 100));
        let list = sessions::list(read.conn(), &account.id, &filter, &all);
        list.await.map(drop)
    };
    each(&mut db.raw().await, "session", &[("id", "'ses_'")], by_list).await;
}

async fn a_corrupt_entry_is_said_to_be(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.account(None);
    let account = maker.account(Some(&root));
    let entry = maker.full_entry(&account);
    let mut tx = store.write().await.unwrap();
    audit::append(tx.conn(), &entry, Some(&root.id))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let cases = [
        ("id", "'aud_'"),
        ("action", "'token.steal'"),
        ("outcome", "''"),
        ("account_id", "'usr_'"),
        ("actor_id", "''"),
        ("key_id", "''"),
        ("session_id", "''"),
        ("request_id", "''"),
        ("address", "'here'"),
        ("details", "'[]'"),
    ];
    each(&mut db.raw().await, "audit", &cases, async || {
        let mut read = store.read().await?;
        let all = page(Order::Asc, None, 100);
        audit::list(read.conn(), &root.id, &all).await.map(drop)
    })
    .await;
}

async fn a_corrupt_operator_is_said_to_be(db: &TestDatabase) {
    let (store, maker): (Store, _) = (db.store().await, Maker::new());
    let mut tx = store.write().await.unwrap();
    let operator = maker.account(None).id;
    assert!(
        instance::insert(tx.conn(), &operator, maker.now())
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();

    let cases = [("operator_account_id", "'root'")];
    each(&mut db.raw().await, "instance", &cases, async || {
        let mut read = store.read().await?;
        instance::operator(read.conn()).await.map(drop)
    })
    .await;
}
