//! Answers to be replayed, and the one row of the instance: places that only one can take.

use hallpass::domain::time::Timestamp;
use hallpass::store::{Store, StoreError, idempotency, instance};

use super::fixtures::Maker;
use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases! {
    an_answer_is_kept_until_it_expires,
    of_two_at_once_the_second_sees_the_answer_of_the_first,
    when_the_first_fails_the_second_takes_the_place,
    an_answer_without_a_place_is_an_error,
    the_operator_is_recorded_once,
}

const ID: &[u8] = b"\x00\xff an id";
const BODY: &[u8] = b"digest of the body";

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn an_answer_is_kept_until_it_expires(db: &TestDatabase) {
    let store = db.store().await;
    let mut tx = store.write().await.unwrap();
    assert!(
        idempotency::find(tx.conn(), ID, at(0))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        idempotency::begin(tx.conn(), ID, BODY, at(5_000))
            .await
            .unwrap()
    );
    idempotency::finish(tx.conn(), ID, b"sealed \x00")
        .await
        .unwrap();
    assert!(
        idempotency::begin(tx.conn(), b"another", BODY, at(6_000))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();

    let mut tx = store.write().await.unwrap();
    let answer = idempotency::find(tx.conn(), ID, at(4_999))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.body_digest, BODY);
    assert_eq!(answer.sealed_answer, b"sealed \x00");
    assert!(
        idempotency::find(tx.conn(), ID, at(5_000))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        idempotency::find(tx.conn(), b"", at(0))
            .await
            .unwrap()
            .is_none()
    );

    // What has expired holds its place until it is dropped, alone or with all others.
    assert!(
        !idempotency::begin(tx.conn(), ID, BODY, at(9_000))
            .await
            .unwrap()
    );
    assert_eq!(
        idempotency::prune(tx.conn(), ID, at(4_999)).await.unwrap(),
        0
    );
    assert_eq!(
        idempotency::prune(tx.conn(), b"else", at(9_000))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        idempotency::prune(tx.conn(), ID, at(5_000)).await.unwrap(),
        1
    );
    assert!(
        idempotency::begin(tx.conn(), ID, BODY, at(9_000))
            .await
            .unwrap()
    );
    assert_eq!(
        idempotency::prune_expired(tx.conn(), at(8_999), 10)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        idempotency::prune_expired(tx.conn(), at(9_000), 10)
            .await
            .unwrap(),
        1
    );
}

/// Takes the place or says what is in it.
async fn second(store: Store) -> Option<Vec<u8>> {
    let mut tx = store.write().await.unwrap();
    if idempotency::begin(tx.conn(), ID, BODY, at(5_000))
        .await
        .unwrap()
    {
        return None;
    }
    let answer = idempotency::find(tx.conn(), ID, at(0)).await.unwrap();
    Some(
        answer
            .expect("the place is taken by an answer that can be seen")
            .sealed_answer,
    )
}

async fn of_two_at_once_the_second_sees_the_answer_of_the_first(db: &TestDatabase) {
    let store = db.store().await;
    let mut tx = store.write().await.unwrap();
    assert!(
        idempotency::begin(tx.conn(), ID, BODY, at(5_000))
            .await
            .unwrap()
    );
    let second = tokio::spawn(second(store.clone()));
    tokio::task::yield_now().await;
    idempotency::finish(tx.conn(), ID, b"answer").await.unwrap();
    assert!(!second.is_finished(), "it waits for the first");

    tx.commit().await.unwrap();

    assert_eq!(second.await.unwrap().as_deref(), Some(&b"answer"[..]));
}

async fn when_the_first_fails_the_second_takes_the_place(db: &TestDatabase) {
    let store = db.store().await;
    let mut tx = store.write().await.unwrap();
    assert!(
        idempotency::begin(tx.conn(), ID, BODY, at(5_000))
            .await
            .unwrap()
    );
    let second = tokio::spawn(second(store.clone()));
    tokio::task::yield_now().await;

    drop(tx);

    assert_eq!(second.await.unwrap(), None);
}

async fn an_answer_without_a_place_is_an_error(db: &TestDatabase) {
    let store = db.store().await;
    let mut tx = store.write().await.unwrap();
    assert!(matches!(
        idempotency::finish(tx.conn(), ID, b"answer").await,
        Err(StoreError::Corrupt {
            table: "idempotency",
            column: "id"
        })
    ));
}

async fn the_operator_is_recorded_once(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let mut read = store.read().await.unwrap();
    assert_eq!(instance::operator(read.conn()).await.unwrap(), None);

    let nodes: Vec<_> = (0..4)
        .map(|_| {
            let (store, id) = (store.clone(), maker.account(None).id);
            tokio::spawn(async move {
                let mut tx = store.write().await.unwrap();
                let first = instance::insert(tx.conn(), &id, at(1)).await.unwrap();
                tx.commit().await.unwrap();
                (first, id)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for node in nodes {
        let (first, id) = node.await.unwrap();
        if first {
            winners.push(id);
        }
    }

    assert_eq!(winners.len(), 1);
    let operator = instance::operator(read.conn()).await.unwrap();
    assert_eq!(operator.as_ref(), winners.first());
}
