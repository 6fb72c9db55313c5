//! The secrets of keys.

use hallpass::domain::secret::KeyDigest;
use hallpass::domain::time::Timestamp;
use hallpass::store::secrets::{self, LastUsed, Secret};
use hallpass::store::{Store, StoreError};

use super::fixtures::Maker;
use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases! {
    a_secret_is_found_by_its_digest_and_only_once,
    secrets_of_keys_come_the_newest_of_each_first,
    a_secret_expires_at_the_earlier_of_two_instants,
    the_last_use_is_the_latest,
    secrets_that_ended_long_ago_are_dropped,
}

async fn insert(store: &Store, secret: &Secret) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    secrets::insert(tx.conn(), secret).await?;
    tx.commit().await
}

async fn find(store: &Store, digest: &KeyDigest) -> Option<Secret> {
    let mut read = store.read().await.unwrap();
    secrets::find(read.conn(), digest).await.unwrap()
}

fn same(left: &Secret, right: &Secret) -> bool {
    left.digest.matches(&right.digest)
        && (&left.key, &left.hint, left.created_at) == (&right.key, &right.hint, right.created_at)
        && (left.expires_at, &left.last_used) == (right.expires_at, &right.last_used)
}

async fn a_secret_is_found_by_its_digest_and_only_once(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let key = maker.stored_key(&store, &account, None).await;
    let secret = maker.secret(&key);

    assert!(find(&store, &secret.digest).await.is_none());
    insert(&store, &secret).await.unwrap();
    assert!(same(&find(&store, &secret.digest).await.unwrap(), &secret));

    let other = maker.stored_key(&store, &account, None).await;
    let stolen = Secret {
        key: other.id,
        ..secret.clone()
    };
    assert!(matches!(
        insert(&store, &stolen).await,
        Err(StoreError::Conflict)
    ));
    let of_nobody = maker.secret(&maker.key(&account, None));
    assert!(matches!(
        insert(&store, &of_nobody).await,
        Err(StoreError::Database(_))
    ));
}

async fn secrets_of_keys_come_the_newest_of_each_first(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let mut keys = Vec::new();
    let mut all = Vec::new();
    for _ in 0..3 {
        let key = maker.stored_key(&store, &account, None).await;
        let mut pair = [maker.secret(&key), maker.secret(&key)];
        for secret in &pair {
            insert(&store, secret).await.unwrap();
        }
        pair.reverse();
        all.extend(pair);
        keys.push(key.id);
    }
    let mut read = store.read().await.unwrap();

    let of_one = secrets::of_key(read.conn(), &keys[1]).await.unwrap();
    assert!(of_one.iter().zip(&all[2..4]).all(|(a, b)| same(a, b)));
    assert_eq!(of_one.len(), 2);
    let two: Vec<_> = keys.iter().rev().take(2).collect();
    let of_two = secrets::of_keys(read.conn(), &two).await.unwrap();
    assert!(of_two.iter().zip(&all[2..]).all(|(a, b)| same(a, b)));
    assert_eq!(of_two.len(), 4);
    let nothing = secrets::of_keys(read.conn(), &[]).await.unwrap();
    assert!(nothing.is_empty());
    let page: Vec<_> = keys.iter().cycle().take(100).collect();
    let of_page = secrets::of_keys(read.conn(), &page).await.unwrap();
    assert_eq!(of_page.len(), 6);
}

async fn a_secret_expires_at_the_earlier_of_two_instants(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let key = maker.stored_key(&store, &account, None).await;
    let other = maker.stored_key(&store, &account, None).await;
    let (secret, elsewhere) = (maker.secret(&key), maker.secret(&other));
    insert(&store, &secret).await.unwrap();
    insert(&store, &elsewhere).await.unwrap();
    let at = Timestamp::from_millis;

    for (expire, wanted) in [(5_000, 5_000), (9_000, 5_000), (4_999, 4_999)] {
        let mut tx = store.write().await.unwrap();
        secrets::expire(tx.conn(), &key.id, at(expire))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let found = find(&store, &secret.digest).await.unwrap();
        assert_eq!(found.expires_at, Some(at(wanted)));
    }
    let untouched = find(&store, &elsewhere.digest).await.unwrap();
    assert_eq!(untouched.expires_at, None);
}

async fn the_last_use_is_the_latest(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let key = maker.stored_key(&store, &account, None).await;
    let secret = maker.secret(&key);
    insert(&store, &secret).await.unwrap();
    let used = |millis, agent: Option<&str>| LastUsed {
        at: Timestamp::from_millis(millis),
        address: Some("192.0.2.1".to_owned()),
        agent: agent.map(str::to_owned),
    };
    let (first, late, second) = (
        used(5_000, Some("a")),
        used(4_999, Some("b")),
        used(5_001, None),
    );

    // Nodes write their batches in any order.
    for (touch, wanted) in [(&first, &first), (&late, &first), (&second, &second)] {
        let mut tx = store.write().await.unwrap();
        secrets::touch(tx.conn(), &[(secret.digest, touch.clone())])
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let found = find(&store, &secret.digest).await.unwrap();
        assert_eq!(found.last_used.as_ref(), Some(wanted));
    }
    // One that was dropped meanwhile is no failure.
    let mut tx = store.write().await.unwrap();
    let gone = KeyDigest::of(b"gone");
    let touches = [(gone, first.clone()), (secret.digest, first)];
    secrets::touch(tx.conn(), &touches).await.unwrap();
    tx.commit().await.unwrap();
    let found = find(&store, &secret.digest).await.unwrap();
    assert_eq!(found.last_used, Some(second));
}

async fn secrets_that_ended_long_ago_are_dropped(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let key = maker.stored_key(&store, &account, None).await;
    let at = Timestamp::from_millis;
    let mut stored = Vec::new();
    for expires_at in [None, Some(at(4_999)), Some(at(5_000))] {
        let secret = Secret {
            expires_at,
            ..maker.secret(&key)
        };
        insert(&store, &secret).await.unwrap();
        stored.push(secret);
    }

    let mut tx = store.write().await.unwrap();
    assert_eq!(secrets::prune(tx.conn(), at(5_000)).await.unwrap(), 1);
    tx.commit().await.unwrap();

    assert!(find(&store, &stored[0].digest).await.is_some());
    assert!(find(&store, &stored[1].digest).await.is_none());
    assert!(find(&store, &stored[2].digest).await.is_some());
}
