//! Signing keys as rows.

use hallpass::store::signing_keys::{self, SigningKeyRow};
use hallpass::store::{Store, StoreError};

use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases! {
    a_signing_key_comes_back_as_it_was_stored,
    an_environment_has_one_active_key,
    of_two_nodes_that_rotate_one_wins,
}

fn row(kid: &str, environment: &str, state: &str) -> SigningKeyRow {
    SigningKeyRow {
        kid: kid.to_owned(),
        environment: environment.to_owned(),
        algorithm: "ES256".to_owned(),
        state: state.to_owned(),
        public_jwk: "{}".to_owned(),
        sealed_private: Some(vec![0, 255, 7]),
        created_at: 1,
        activated_at: None,
        retired_at: None,
        revoked_at: None,
    }
}

async fn insert(store: &Store, key: &SigningKeyRow) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    signing_keys::insert(tx.conn(), key).await?;
    tx.commit().await
}

async fn change(store: &Store, key: &SigningKeyRow, was: &str) -> Result<bool, StoreError> {
    let mut tx = store.write().await?;
    let changed = signing_keys::change_state(tx.conn(), key, was).await?;
    tx.commit().await?;
    Ok(changed)
}

async fn list(store: &Store) -> Vec<SigningKeyRow> {
    let mut read = store.read().await.unwrap();
    signing_keys::list(read.conn()).await.unwrap()
}

fn facts(key: &SigningKeyRow) -> (String, [Option<i64>; 4]) {
    let texts = [
        &key.kid,
        &key.environment,
        &key.algorithm,
        &key.state,
        &key.public_jwk,
    ];
    let text = format!("{texts:?} {:?}", key.sealed_private);
    let times = [
        Some(key.created_at),
        key.activated_at,
        key.retired_at,
        key.revoked_at,
    ];
    (text, times)
}

async fn a_signing_key_comes_back_as_it_was_stored(db: &TestDatabase) {
    let store = db.store().await;
    assert!(list(&store).await.is_empty());
    let mut key = row("b", "live", "next");
    let older = SigningKeyRow {
        created_at: 0,
        ..row("c", "live", "retired")
    };
    let same_age = row("a", "test", "next");
    for key in [&key, &older, &same_age] {
        insert(&store, key).await.unwrap();
    }
    assert!(matches!(
        insert(&store, &key).await,
        Err(StoreError::Conflict)
    ));

    key.state = "revoked".to_owned();
    key.sealed_private = None;
    (key.activated_at, key.retired_at, key.revoked_at) = (Some(2), Some(3), Some(4));
    assert!(change(&store, &key, "next").await.unwrap());

    let stored: Vec<_> = list(&store).await.iter().map(facts).collect();
    assert_eq!(stored, [facts(&older), facts(&same_age), facts(&key)]);
    let mut tx = store.write().await.unwrap();
    signing_keys::delete(tx.conn(), "b").await.unwrap();
    signing_keys::delete(tx.conn(), "not there").await.unwrap();
    tx.commit().await.unwrap();
    let left: Vec<_> = list(&store).await.into_iter().map(|key| key.kid).collect();
    assert_eq!(left, ["c", "a"]);
}

async fn an_environment_has_one_active_key(db: &TestDatabase) {
    let store = db.store().await;
    insert(&store, &row("a", "live", "active")).await.unwrap();
    insert(&store, &row("b", "test", "active")).await.unwrap();
    insert(&store, &row("c", "live", "next")).await.unwrap();

    assert!(matches!(
        insert(&store, &row("d", "live", "active")).await,
        Err(StoreError::Conflict)
    ));
    assert!(matches!(
        change(&store, &row("c", "live", "active"), "next").await,
        Err(StoreError::Conflict)
    ));

    // A rotation retires the one before it activates the other.
    let mut tx = store.write().await.unwrap();
    for (key, was) in [
        (row("a", "live", "retired"), "active"),
        (row("c", "live", "active"), "next"),
    ] {
        let changed = signing_keys::change_state(tx.conn(), &key, was).await;
        assert!(changed.unwrap());
    }
    tx.commit().await.unwrap();
}

async fn of_two_nodes_that_rotate_one_wins(db: &TestDatabase) {
    let store = db.store().await;
    insert(&store, &row("a", "live", "active")).await.unwrap();
    let nodes: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(
                async move { change(&store, &row("a", "live", "retired"), "active").await },
            )
        })
        .collect();
    let mut winners = 0;
    for node in nodes {
        winners += usize::from(node.await.unwrap().unwrap());
    }

    assert_eq!(winners, 1);
    assert!(
        !change(&store, &row("not there", "live", "retired"), "active")
            .await
            .unwrap()
    );
}
