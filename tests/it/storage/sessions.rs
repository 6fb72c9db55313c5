//! Sessions and their part of the ledger.

use hallpass::domain::environment::Environment;
use hallpass::domain::id::AccountId;
use hallpass::domain::session::Session;
use hallpass::domain::time::Timestamp;
use hallpass::store::ledger;
use hallpass::store::sessions::{self, Filter, NewRow, ROWS_MAX};
use hallpass::store::{Order, Store, StoreError};

use super::fixtures::{Maker, reversed, walk};
use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases! {
    a_session_comes_back_as_it_was_stored,
    many_sessions_are_stored_by_one_statement,
    what_is_sealed_of_a_new_row_is_what_is_read_of_a_stored_one,
    a_session_is_found_in_its_own_account_alone,
    a_list_has_the_sessions_of_one_account_in_pages_both_ways,
    a_list_is_narrowed_by_key_and_by_environment,
    the_ledger_has_the_sessions_of_the_account_and_of_its_children,
    expired_sessions_are_dropped_a_few_at_a_time,
}

async fn insert(
    store: &Store,
    session: &Session,
    parent: Option<&AccountId>,
) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    sessions::insert(tx.conn(), &[NewRow::new(session, parent)?]).await?;
    tx.commit().await
}

async fn a_session_comes_back_as_it_was_stored(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.account(None);
    let child = maker.account(Some(&root));
    let key = maker.key(&root, None);
    for session in [
        maker.session(&child, &key),
        maker.full_session(&child, &key),
    ] {
        insert(&store, &session, Some(&root.id)).await.unwrap();
        let mut read = store.read().await.unwrap();
        let found = sessions::find(read.conn(), &session.id).await;
        assert_eq!(found.unwrap().as_ref(), Some(&session));
        drop(read);
        assert!(matches!(
            insert(&store, &session, None).await,
            Err(StoreError::Conflict)
        ));
    }
}

/// As many as one statement may have, and no others.
async fn many_sessions_are_stored_by_one_statement(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.account(None);
    let child = maker.account(Some(&root));
    let key = maker.key(&root, None);
    let row = |session: &Session| NewRow::new(session, Some(&root.id)).unwrap();
    for count in [1, 2, 3, 31, ROWS_MAX] {
        let mut kept = Vec::new();
        for place in 0..count {
            kept.push(if place % 2 == 0 {
                maker.full_session(&child, &key)
            } else {
                maker.session(&child, &key)
            });
        }
        let rows: Vec<NewRow> = kept.iter().map(row).collect();
        let mut one = store.write_one().await.unwrap();
        sessions::insert(one.conn(), &rows).await.unwrap();
        one.done().await.unwrap();
        let mut read = store.read().await.unwrap();
        for session in &kept {
            let found = sessions::find(read.conn(), &session.id).await;
            assert_eq!(found.unwrap().as_ref(), Some(session));
        }
    }
    let one_more = vec![row(&maker.session(&child, &key)); ROWS_MAX + 1];
    for rows in [&one_more, &Vec::new()] {
        let mut one = store.write_one().await.unwrap();
        let refused = sessions::insert(one.conn(), rows).await.unwrap_err();
        assert!(refused.to_string().len() > 5, "{refused}");
        assert!(matches!(refused, StoreError::Database(_)), "{refused:?}");
    }
}

async fn what_is_sealed_of_a_new_row_is_what_is_read_of_a_stored_one(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.account(None);
    let child = maker.account(Some(&root));
    let key = maker.key(&root, None);
    for (session, parent) in [
        (maker.session(&child, &key), None),
        (maker.full_session(&child, &key), Some(&root.id)),
    ] {
        insert(&store, &session, parent).await.unwrap();
        let mut read = store.read().await.unwrap();
        let id = session.id.as_str();
        let stored = ledger::mints(read.conn(), id, id).await.unwrap();

        let new = NewRow::new(&session, parent).unwrap();

        assert_eq!(new.id(), id);
        assert_eq!(new.sealed().unwrap(), stored[0].bytes().unwrap());
    }
}

async fn a_session_is_found_in_its_own_account_alone(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let (ours, theirs) = (maker.account(None), maker.account(None));
    let session = maker.session(&ours, &maker.key(&ours, None));
    let mut read = store.read().await.unwrap();
    let found = sessions::find(read.conn(), &session.id).await;
    assert_eq!(found.unwrap(), None);
    insert(&store, &session, Some(&theirs.id)).await.unwrap();

    let found = sessions::find_in(read.conn(), &theirs.id, &session.id).await;
    assert_eq!(found.unwrap(), None);
    let found = sessions::find_in(read.conn(), &ours.id, &session.id).await;
    assert_eq!(found.unwrap(), Some(session));
}

async fn a_list_has_the_sessions_of_one_account_in_pages_both_ways(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let (ours, theirs) = (maker.account(None), maker.account(None));
    let key = maker.key(&ours, None);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let session = maker.session(&ours, &key);
        insert(&store, &session, None).await.unwrap();
        insert(&store, &maker.session(&theirs, &key), Some(&ours.id))
            .await
            .unwrap();
        ids.push(session.id.as_str().to_owned());
    }

    let filter = Filter::default();
    let oldest_first = walk!(store, Order::Asc, |conn, page| {
        sessions::list(conn, &ours.id, &filter, &page)
    });
    let newest_first = walk!(store, Order::Desc, |conn, page| {
        sessions::list(conn, &ours.id, &filter, &page)
    });

    assert_eq!(oldest_first, ids);
    assert_eq!(newest_first, reversed(&ids));
}

async fn a_list_is_narrowed_by_key_and_by_environment(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.account(None);
    let keys = [maker.key(&account, None), maker.key(&account, None)];
    let live = maker.session(&account, &keys[0]);
    let test = maker.full_session(&account, &keys[1]);
    for session in [&live, &test] {
        insert(&store, session, None).await.unwrap();
    }

    let (live, test) = (live.id.as_str(), test.id.as_str());
    let cases = [
        (None, None, vec![live, test]),
        (Some(&keys[0]), None, vec![live]),
        (Some(&keys[1]), None, vec![test]),
        (None, Some(Environment::Test), vec![test]),
        (Some(&keys[1]), Some(Environment::Test), vec![test]),
        (Some(&keys[1]), Some(Environment::Live), vec![]),
    ];
    for (key, environment, wanted) in cases {
        let filter = Filter {
            key: key.map(|key| key.id.clone()),
            environment,
        };
        for order in [Order::Asc, Order::Desc] {
            let mut ids = walk!(store, order, |conn, page| {
                sessions::list(conn, &account.id, &filter, &page)
            });
            ids.sort();
            assert_eq!(ids, wanted, "{filter:?} {order:?}");
        }
    }
}

async fn the_ledger_has_the_sessions_of_the_account_and_of_its_children(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.account(None);
    let child = maker.account(Some(&root));
    let grandchild = maker.account(Some(&child));
    let key = maker.key(&root, None);
    let (mut of_root, mut of_child) = (Vec::new(), Vec::new());
    // More of the one than a page holds before one of the other.
    for account in [
        &root,
        &root,
        &root,
        &child,
        &grandchild,
        &child,
        &child,
        &root,
        &child,
    ] {
        let session = maker.session(account, &key);
        insert(&store, &session, account.parent.as_ref())
            .await
            .unwrap();
        let id = session.id.as_str().to_owned();
        if account.id == root.id || account.id == child.id {
            of_root.push(id.clone());
        }
        if account.id == child.id || account.id == grandchild.id {
            of_child.push(id);
        }
    }

    for (account, wanted) in [(&root, of_root), (&child, of_child)] {
        let oldest_first = walk!(store, Order::Asc, |conn, page| {
            sessions::ledger(conn, &account.id, &page)
        });
        let newest_first = walk!(store, Order::Desc, |conn, page| {
            sessions::ledger(conn, &account.id, &page)
        });
        assert_eq!(oldest_first, wanted);
        assert_eq!(newest_first, reversed(&wanted));
    }
}

async fn expired_sessions_are_dropped_a_few_at_a_time(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let account = maker.account(None);
    let key = maker.key(&account, None);
    let at = Timestamp::from_millis;
    let mut stored = Vec::new();
    for expires in [5_000, 3_000, 1_000, 2_000, 4_000] {
        let session = Session {
            expires_at: at(expires),
            ..maker.session(&account, &key)
        };
        insert(&store, &session, None).await.unwrap();
        stored.push(session);
    }

    for (dropped, left) in [(2, 3), (1, 2), (0, 2)] {
        let mut tx = store.write().await.unwrap();
        let rows = sessions::prune(tx.conn(), at(4_000), 2).await;
        assert_eq!(rows.unwrap(), dropped);
        tx.commit().await.unwrap();
        let filter = Filter::default();
        let ids = walk!(store, Order::Asc, |conn, page| {
            sessions::list(conn, &account.id, &filter, &page)
        });
        assert_eq!(ids.len(), left);
        assert!(ids.contains(&stored[0].id.as_str().to_owned()));
        assert!(ids.contains(&stored[4].id.as_str().to_owned()));
    }
}
