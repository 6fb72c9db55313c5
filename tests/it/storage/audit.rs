//! The ledger.

use hallpass::domain::audit::{Action, Entry};
use hallpass::domain::id::AccountId;
use hallpass::store::{Order, Store, StoreError, audit};

use super::fixtures::{Maker, page, reversed, walk};
use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases! {
    an_entry_comes_back_as_it_was_stored,
    the_ledger_has_the_entries_of_the_account_and_of_its_children,
}

async fn append(
    store: &Store,
    entry: &Entry,
    parent: Option<&AccountId>,
) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    audit::append(tx.conn(), entry, parent).await?;
    tx.commit().await
}

async fn an_entry_comes_back_as_it_was_stored(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.account(None);
    let child = maker.account(Some(&root));
    let mut entries = vec![maker.entry(&child), maker.full_entry(&child)];
    entries.extend(Action::ALL.map(|action| Entry {
        action,
        ..maker.entry(&child)
    }));
    for entry in &entries {
        append(&store, entry, Some(&root.id)).await.unwrap();
    }
    assert!(matches!(
        append(&store, &entries[0], None).await,
        Err(StoreError::Conflict)
    ));

    let mut read = store.read().await.unwrap();
    let all = page(Order::Asc, None, 100);
    for account in [&child, &root] {
        let ledger = audit::list(read.conn(), &account.id, &all).await;
        assert_eq!(ledger.unwrap(), entries);
    }
}

async fn the_ledger_has_the_entries_of_the_account_and_of_its_children(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let root = maker.account(None);
    let child = maker.account(Some(&root));
    let grandchild = maker.account(Some(&child));
    let (mut of_root, mut of_child) = (Vec::new(), Vec::new());
    for account in [
        &child,
        &child,
        &child,
        &root,
        &grandchild,
        &root,
        &root,
        &child,
        &root,
    ] {
        let entry = maker.entry(account);
        append(&store, &entry, account.parent.as_ref())
            .await
            .unwrap();
        let id = entry.id.as_str().to_owned();
        if account.id == root.id || account.id == child.id {
            of_root.push(id.clone());
        }
        if account.id == child.id || account.id == grandchild.id {
            of_child.push(id);
        }
    }

    for (account, wanted) in [(&root, of_root), (&child, of_child)] {
        let oldest_first = walk!(store, Order::Asc, |conn, page| {
            audit::list(conn, &account.id, &page)
        });
        let newest_first = walk!(store, Order::Desc, |conn, page| {
            audit::list(conn, &account.id, &page)
        });
        assert_eq!(oldest_first, wanted);
        assert_eq!(newest_first, reversed(&wanted));
    }
    let stranger = maker.account(None);
    let mut read = store.read().await.unwrap();
    let all = page(Order::Asc, None, 100);
    let ledger = audit::list(read.conn(), &stranger.id, &all).await;
    assert_eq!(ledger.unwrap(), []);
}
