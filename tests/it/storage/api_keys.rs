//! API keys and their lineage.

use hallpass::domain::api_key::{ApiKey, Ended};
use hallpass::domain::environment::Environment;
use hallpass::domain::limits;
use hallpass::store::api_keys::{self, Filter};
use hallpass::store::{Order, Store, StoreError};

use super::fixtures::{Maker, reversed, walk};
use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases! {
    a_key_comes_back_as_it_was_stored,
    a_key_that_is_not_there_is_none,
    a_key_is_found_and_changed_in_its_own_account_alone,
    a_list_has_the_living_keys_of_one_account_in_pages_both_ways,
    a_list_is_narrowed_by_environment_and_by_the_callers_own_id,
    a_lineage_ends_at_a_key_without_a_maker_and_is_bounded,
    descendants_are_found_below_ended_keys_too,
    a_circle_of_makers_is_corrupt,
    granted_keys_of_one_account_end_together,
}

async fn insert(store: &Store, key: &ApiKey) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    api_keys::insert(tx.conn(), key).await?;
    tx.commit().await
}

async fn update(store: &Store, key: &ApiKey) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    api_keys::update(tx.conn(), key).await?;
    tx.commit().await
}

async fn a_key_comes_back_as_it_was_stored(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.stored_account(&store, None).await;
    let child = maker.stored_account(&store, Some(&root)).await;
    let first = maker.stored_key(&store, &root, None).await;
    let full = maker.full_key(&child, Some(&first));
    insert(&store, &full).await.unwrap();
    assert!(matches!(
        insert(&store, &full).await,
        Err(StoreError::Conflict)
    ));

    let mut read = store.read().await.unwrap();
    let found = api_keys::find_in(read.conn(), &child.id, &full.id).await;
    assert_eq!(found.unwrap().as_ref(), Some(&full));
    let lineage = api_keys::lineage(read.conn(), &full.id).await.unwrap();
    assert_eq!(lineage, Some((full.clone(), vec![first.clone()])));

    // All that can change does.
    let ended = Ended {
        at: maker.now(),
        line_lives_on: true,
    };
    let changed = ApiKey {
        id: first.id.clone(),
        account: first.account.clone(),
        maker: None,
        grantors: Vec::new(),
        depth: first.depth,
        environment: first.environment,
        kind: first.kind,
        operator: first.operator,
        ended: Some(ended),
        tag: first.tag,
        line_tag: first.line_tag,
        made_at: first.made_at,
        created_at: first.created_at,
        ..full
    };
    update(&store, &changed).await.unwrap();
    let lineage = api_keys::lineage(read.conn(), &first.id).await.unwrap();
    assert_eq!(lineage, Some((changed, Vec::new())));
}

async fn a_key_that_is_not_there_is_none(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let key = maker.key(&account, None);
    let mut read = store.read().await.unwrap();

    let found = api_keys::find_in(read.conn(), &account.id, &key.id).await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(api_keys::lineage(read.conn(), &key.id).await.unwrap(), None);
    let below = api_keys::descendants(read.conn(), &key.id).await;
    assert_eq!(below.unwrap(), []);
}

async fn a_key_is_found_and_changed_in_its_own_account_alone(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let ours = maker.stored_account(&store, None).await;
    let theirs = maker.stored_account(&store, None).await;
    let mut key = maker.stored_key(&store, &ours, None).await;

    let mut read = store.read().await.unwrap();
    let found = api_keys::find_in(read.conn(), &theirs.id, &key.id).await;
    assert_eq!(found.unwrap(), None);
    let moved = ApiKey {
        account: theirs.id.clone(),
        ..key.clone()
    };
    assert!(matches!(
        update(&store, &moved).await,
        Err(StoreError::Corrupt {
            table: "api_key",
            column: "id"
        })
    ));

    key.ended = Some(Ended {
        at: maker.now(),
        line_lives_on: false,
    });
    update(&store, &key).await.unwrap();
    let found = api_keys::find_in(read.conn(), &ours.id, &key.id).await;
    assert_eq!(found.unwrap(), None, "an ended key is gone for its account");
}

async fn a_list_has_the_living_keys_of_one_account_in_pages_both_ways(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let ours = maker.stored_account(&store, None).await;
    let theirs = maker.stored_account(&store, None).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let key = maker.stored_key(&store, &ours, None).await;
        maker.stored_key(&store, &theirs, None).await;
        ids.push(key.id.as_str().to_owned());
    }
    let mut gone = maker.stored_key(&store, &ours, None).await;
    gone.ended = Some(Ended {
        at: maker.now(),
        line_lives_on: false,
    });
    update(&store, &gone).await.unwrap();

    let filter = Filter::default();
    let mut read = store.read().await.unwrap();
    let all = api_keys::of_account(read.conn(), &ours.id).await.unwrap();
    drop(read);
    let oldest_first = walk!(store, Order::Asc, |conn, page| {
        api_keys::list(conn, &ours.id, &filter, &page)
    });
    let newest_first = walk!(store, Order::Desc, |conn, page| {
        api_keys::list(conn, &ours.id, &filter, &page)
    });

    assert_eq!(oldest_first, ids);
    assert_eq!(newest_first, reversed(&ids));
    let all: Vec<_> = all.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(all, ids);
}

async fn a_list_is_narrowed_by_environment_and_by_the_callers_own_id(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.stored_account(&store, None).await;
    let live = maker.stored_key(&store, &account, None).await;
    let test = maker.full_key(&account, None);
    insert(&store, &test).await.unwrap();

    let (live, test) = (live.id.as_str(), test.id.as_str());
    let cases = [
        (None, None, vec![live, test]),
        (Some(Environment::Live), None, vec![live]),
        (Some(Environment::Test), None, vec![test]),
        (None, Some("till-1"), vec![test]),
        (Some(Environment::Test), Some("till-1"), vec![test]),
        (Some(Environment::Live), Some("till-1"), vec![]),
        (None, Some("till-2"), vec![]),
        (None, Some(""), vec![]),
        (None, Some("till-1\0"), vec![]),
    ];
    for (environment, external_id, wanted) in cases {
        let external_id = external_id.map(str::to_owned);
        let filter = Filter {
            environment,
            external_id,
        };
        for order in [Order::Asc, Order::Desc] {
            let mut ids = walk!(store, order, |conn, page| {
                api_keys::list(conn, &account.id, &filter, &page)
            });
            ids.sort();
            assert_eq!(ids, wanted, "{filter:?} {order:?}");
        }
    }
}

async fn line(store: &Store, maker: &Maker, length: usize) -> Vec<ApiKey> {
    let account = maker.stored_account(store, None).await;
    let mut keys = vec![maker.stored_key(store, &account, None).await];
    for _ in 1..length {
        let key = maker.stored_key(store, &account, keys.last()).await;
        keys.push(key);
    }
    keys
}

async fn a_lineage_ends_at_a_key_without_a_maker_and_is_bounded(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let keys = line(&store, &maker, limits::DEPTH_MAX + 2).await;
    let mut read = store.read().await.unwrap();

    for (makers, key) in keys.iter().enumerate() {
        let lineage = api_keys::lineage(read.conn(), &key.id).await;
        if makers <= limits::DEPTH_MAX {
            let (itself, above) = lineage.unwrap().unwrap();
            assert_eq!(&itself, key);
            let wanted: Vec<_> = keys[..makers].iter().rev().cloned().collect();
            assert_eq!(above, wanted, "nearest first");
        } else {
            assert_broken(&lineage, "more makers than there may be");
        }
    }
    let below = api_keys::descendants(read.conn(), &keys[0].id)
        .await
        .unwrap();
    assert_eq!(below, keys[1..=limits::DEPTH_MAX]);
}

async fn descendants_are_found_below_ended_keys_too(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let mut keys = line(&store, &maker, 4).await;
    let other = line(&store, &maker, 2).await;
    keys[1].ended = Some(Ended {
        at: maker.now(),
        line_lives_on: true,
    });
    update(&store, &keys[1]).await.unwrap();
    let mut read = store.read().await.unwrap();

    let below = api_keys::descendants(read.conn(), &keys[0].id).await;

    assert_eq!(below.unwrap(), keys[2..]);
    let below = api_keys::descendants(read.conn(), &other[1].id).await;
    assert_eq!(below.unwrap(), []);
}

async fn a_circle_of_makers_is_corrupt(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let keys = line(&store, &maker, 3).await;
    let mut raw = db.raw().await;
    let (first, last) = (keys[0].id.as_str(), keys[2].id.as_str());
    raw.execute(&format!(
        "UPDATE api_key SET maker_id = '{last}' WHERE id = '{first}'"
    ))
    .await;
    let mut read = store.read().await.unwrap();

    for key in &keys {
        let lineage = api_keys::lineage(read.conn(), &key.id).await;
        assert_broken(&lineage, "a circle above");
        let below = api_keys::descendants(read.conn(), &key.id).await;
        assert_broken(&below, "a circle below");
    }
    raw.execute(&format!(
        "UPDATE api_key SET maker_id = id WHERE id = '{first}'"
    ))
    .await;
    let lineage = api_keys::lineage(read.conn(), &keys[0].id).await;
    assert_broken(&lineage, "a key that made itself");
    let below = api_keys::descendants(read.conn(), &keys[0].id).await;
    assert_broken(&below, "a key that made itself");
}

async fn granted_keys_of_one_account_end_together(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.stored_account(&store, None).await;
    let (child, sibling) = (
        maker.stored_account(&store, Some(&root)).await,
        maker.stored_account(&store, Some(&root)).await,
    );
    let own = maker.stored_key(&store, &child, None).await;
    let granted = [maker.full_key(&child, None), maker.full_key(&child, None)];
    let elsewhere = maker.full_key(&sibling, None);
    for key in granted.iter().chain([&elsewhere]) {
        insert(&store, key).await.unwrap();
    }
    let now = maker.now();

    let mut tx = store.write().await.unwrap();
    assert_eq!(
        api_keys::end_granted(tx.conn(), &child.id, now)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        api_keys::end_granted(tx.conn(), &child.id, now)
            .await
            .unwrap(),
        0
    );
    tx.commit().await.unwrap();

    let mut read = store.read().await.unwrap();
    for key in granted {
        let (ended, _) = api_keys::lineage(read.conn(), &key.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            ended.ended,
            Some(Ended {
                at: now,
                line_lives_on: false
            })
        );
    }
    for key in [own, elsewhere] {
        let found = api_keys::find_in(read.conn(), &key.account, &key.id).await;
        assert_eq!(found.unwrap(), Some(key));
    }
}

fn assert_broken<T: std::fmt::Debug>(result: &Result<T, StoreError>, why: &str) {
    assert!(
        matches!(
            result,
            Err(StoreError::Corrupt {
                table: "api_key",
                column: "maker_id"
            })
        ),
        "{why}: {result:?}"
    );
}
