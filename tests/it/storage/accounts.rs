//! Accounts.

use hallpass::domain::account::AccountState;
use hallpass::domain::limits;
use hallpass::store::accounts::{self, Filter};
use hallpass::store::{Order, Store, StoreError};

use super::fixtures::{Maker, email, full_profile, page, reversed, walk};
use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases! {
    an_account_comes_back_as_it_was_stored,
    an_account_that_is_not_there_is_none,
    an_account_changes_and_one_that_is_not_there_does_not,
    an_address_is_unique_among_living_siblings_and_among_roots,
    a_list_has_the_living_children_of_one_parent_in_pages_both_ways,
    a_list_is_narrowed_by_address_and_by_the_callers_own_id,
    a_cursor_is_whatever_a_client_writes,
    a_chain_ends_at_a_root_and_is_bounded,
}

async fn an_account_comes_back_as_it_was_stored(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.stored_account(&store, None).await;
    let child = maker.full_account(Some(&root));
    let mut tx = store.write().await.unwrap();
    accounts::insert(tx.conn(), &child).await.unwrap();
    tx.commit().await.unwrap();

    let mut read = store.read().await.unwrap();
    let chain = accounts::chain(read.conn(), &child.id).await.unwrap();

    let chain = chain.unwrap();
    let above: Vec<_> = chain.iter().cloned().collect();
    assert_eq!(above, [child, root]);
}

async fn an_account_that_is_not_there_is_none(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let nobody = maker.account(None);
    let mut read = store.read().await.unwrap();

    let chain = accounts::chain(read.conn(), &nobody.id).await.unwrap();
    assert_eq!(chain, None);
    let ann = email("ann@example.com");
    let found = accounts::find_child_by_email(read.conn(), &nobody.id, &ann).await;
    assert_eq!(found.unwrap(), None);
    let all = page(Order::Asc, None, 100);
    for parent in [None, Some(&nobody.id)] {
        let list = accounts::list(read.conn(), parent, &Filter::default(), &all).await;
        assert_eq!(list.unwrap(), []);
    }
}

async fn an_account_changes_and_one_that_is_not_there_does_not(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let before = maker.stored_account(&store, None).await;
    let after = hallpass::domain::account::Account {
        id: before.id.clone(),
        tag: before.tag,
        child_tag: before.child_tag,
        parent_tag: before.parent_tag,
        created_at: before.created_at,
        state: AccountState::Suspended,
        ..maker.full_account(None)
    };
    let mut tx = store.write().await.unwrap();
    accounts::update(tx.conn(), &after).await.unwrap();
    tx.commit().await.unwrap();

    let mut read = store.read().await.unwrap();
    let chain = accounts::chain(read.conn(), &before.id).await.unwrap();
    assert_eq!(chain.unwrap().account(), &after);

    drop(read);
    let mut tx = store.write().await.unwrap();
    let stranger = maker.account(None);
    assert!(matches!(
        accounts::update(tx.conn(), &stranger).await,
        Err(StoreError::Corrupt {
            table: "account",
            column: "id"
        })
    ));
}

async fn store_one(
    store: &Store,
    account: &hallpass::domain::account::Account,
) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    accounts::insert(tx.conn(), account).await?;
    tx.commit().await
}

async fn an_address_is_unique_among_living_siblings_and_among_roots(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let (first, second) = (maker.full_account(None), maker.account(None));
    store_one(&store, &first).await.unwrap();
    store_one(&store, &second).await.unwrap();
    assert!(matches!(
        store_one(&store, &first).await,
        Err(StoreError::Conflict)
    ));
    assert!(matches!(
        store_one(&store, &maker.full_account(None)).await,
        Err(StoreError::Conflict)
    ));

    // Children of different parents know nothing of each other.
    let ann = maker.full_account(Some(&first));
    store_one(&store, &ann).await.unwrap();
    store_one(&store, &maker.full_account(Some(&second)))
        .await
        .unwrap();
    let twin = maker.full_account(Some(&first));
    assert!(matches!(
        store_one(&store, &twin).await,
        Err(StoreError::Conflict)
    ));
    // Without an address there is nothing to be unique.
    store_one(&store, &maker.account(Some(&first)))
        .await
        .unwrap();
    let mut late = maker.account(Some(&first));
    store_one(&store, &late).await.unwrap();

    // Neither is one got by a change.
    late.profile = full_profile();
    let mut tx = store.write().await.unwrap();
    assert!(matches!(
        accounts::update(tx.conn(), &late).await,
        Err(StoreError::Conflict)
    ));
    drop(tx);

    // A suspended account keeps its address, a deleted one gives it back.
    for (state, free) in [
        (AccountState::Suspended, false),
        (AccountState::Deleted, true),
    ] {
        let mut tx = store.write().await.unwrap();
        let gone = hallpass::domain::account::Account {
            state,
            ..ann.clone()
        };
        accounts::update(tx.conn(), &gone).await.unwrap();
        let address = &full_profile().email.unwrap();
        let found = accounts::find_child_by_email(tx.conn(), &first.id, address).await;
        assert_eq!(found.unwrap().is_none(), free);
        tx.commit().await.unwrap();
        assert_eq!(store_one(&store, &twin).await.is_ok(), free, "{state:?}");
    }
    let mut read = store.read().await.unwrap();
    let address = &full_profile().email.unwrap();
    let found = accounts::find_child_by_email(read.conn(), &first.id, address).await;
    assert_eq!(found.unwrap(), Some(twin.id));
}

async fn a_list_has_the_living_children_of_one_parent_in_pages_both_ways(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.stored_account(&store, None).await;
    let other = maker.stored_account(&store, None).await;
    maker.stored_account(&store, Some(&other)).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let child = maker.stored_account(&store, Some(&root)).await;
        maker.stored_account(&store, Some(&child)).await;
        ids.push(child.id.as_str().to_owned());
    }
    let mut gone = maker.account(Some(&root));
    gone.state = AccountState::Deleted;
    store_one(&store, &gone).await.unwrap();

    let filter = Filter::default();
    let oldest_first = walk!(store, Order::Asc, |conn, page| {
        accounts::list(conn, Some(&root.id), &filter, &page)
    });
    let newest_first = walk!(store, Order::Desc, |conn, page| {
        accounts::list(conn, Some(&root.id), &filter, &page)
    });
    let roots = walk!(store, Order::Asc, |conn, page| {
        accounts::list(conn, None, &filter, &page)
    });

    assert_eq!(oldest_first, ids);
    assert_eq!(newest_first, reversed(&ids));
    assert_eq!(roots, [root.id.as_str(), other.id.as_str()]);
}

async fn a_list_is_narrowed_by_address_and_by_the_callers_own_id(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.stored_account(&store, None).await;
    let full = maker.full_account(Some(&root));
    store_one(&store, &full).await.unwrap();
    let mut empty_id = maker.account(Some(&root));
    empty_id.profile.external_id = Some(String::new());
    store_one(&store, &empty_id).await.unwrap();
    let mut same_id = maker.account(Some(&root));
    same_id.profile.external_id = Some("customer-1".to_owned());
    store_one(&store, &same_id).await.unwrap();

    let all = [&full.id, &empty_id.id, &same_id.id].map(|id| id.as_str().to_owned());
    let ann = Some(email("ann@example.com"));
    let id = |text: &str| Some(text.to_owned());
    let cases = [
        (None, None, &all[..]),
        (ann.clone(), None, &all[..1]),
        (Some(email("bob@example.com")), None, &[]),
        (ann.clone(), id("customer-1"), &all[..1]),
        (ann, id("customer-2"), &[]),
        (
            None,
            id("customer-1"),
            &[all[0].clone(), all[2].clone()][..],
        ),
        (None, id(""), &all[1..2]),
        (None, id("' OR '1'='1"), &[]),
        (None, id("customer-1\0"), &[]),
    ];
    for (email, external_id, wanted) in cases {
        let filter = Filter { email, external_id };
        for order in [Order::Asc, Order::Desc] {
            let mut ids = walk!(store, order, |conn, page| {
                accounts::list(conn, Some(&root.id), &filter, &page)
            });
            ids.sort();
            assert_eq!(ids, wanted, "{filter:?} {order:?}");
        }
    }
}

async fn a_cursor_is_whatever_a_client_writes(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let only = maker.stored_account(&store, None).await;
    let id = only.id.as_str();
    let (cut, _) = id.split_at(10);
    // Cursor, and whether the account comes after it, oldest first and newest first.
    let cases = [
        ("", true, true),
        (id, false, false),
        (cut, true, false),
        ("a", true, false),
        ("z", false, true),
        ("~~~", false, true),
        ("\u{10FFFF}", false, true),
        ("USR_", true, false),
        ("\0", true, true),
        ("' OR 1=1 --", true, false),
    ];
    for (cursor, ascending, descending) in cases {
        for (order, wanted) in [(Order::Asc, ascending), (Order::Desc, descending)] {
            let mut read = store.read().await.unwrap();
            let page = page(order, Some(cursor), u32::MAX);
            let list = accounts::list(read.conn(), None, &Filter::default(), &page).await;
            assert_eq!(!list.unwrap().is_empty(), wanted, "{cursor:?} {order:?}");
        }
    }
    let mut read = store.read().await.unwrap();
    let none = page(Order::Asc, None, 0);
    let list = accounts::list(read.conn(), None, &Filter::default(), &none).await;
    assert_eq!(list.unwrap(), []);
}

async fn a_chain_ends_at_a_root_and_is_bounded(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let mut accounts = vec![maker.stored_account(&store, None).await];
    for _ in 0..=limits::DEPTH_MAX {
        let child = maker.stored_account(&store, accounts.last()).await;
        accounts.push(child);
    }
    let mut read = store.read().await.unwrap();

    for (above, account) in accounts.iter().enumerate() {
        let chain = accounts::chain(read.conn(), &account.id).await;
        if above <= limits::DEPTH_MAX {
            assert_eq!(chain.unwrap().unwrap().iter().count(), above + 1);
        } else {
            assert_broken(&chain, "more above than there may be");
        }
    }

    // A circle, and a parent that is not there.
    let mut raw = db.raw().await;
    let (root, last) = (accounts[0].id.as_str(), accounts[3].id.as_str());
    raw.execute(&format!(
        "UPDATE account SET parent_id = '{last}' WHERE id = '{root}'"
    ))
    .await;
    for account in &accounts {
        let chain = accounts::chain(read.conn(), &account.id).await;
        assert_broken(&chain, "a circle");
    }
    let nobody = maker.account(None).id;
    raw.execute(&format!(
        "UPDATE account SET parent_id = '{nobody}' WHERE id = '{root}'"
    ))
    .await;
    let chain = accounts::chain(read.conn(), &accounts[1].id).await;
    assert_broken(&chain, "a parent that is not there");
}

fn assert_broken<T: std::fmt::Debug>(result: &Result<T, StoreError>, why: &str) {
    assert!(
        matches!(
            result,
            Err(StoreError::Corrupt {
                table: "account",
                column: "parent_id"
            })
        ),
        "{why}: {result:?}"
    );
}
