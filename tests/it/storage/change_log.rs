//! The change log, on which the truth of every revocation stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hallpass::domain::liveness::{Position, Tag};
use hallpass::domain::time::Timestamp;
use hallpass::store::{Conn, Read, Store, StoreError, change_log, change_touch};

use super::fixtures::{Maker, START};
use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases! {
    the_log_is_made_once,
    a_database_without_its_head_is_corrupt,
    positions_follow_the_clock_and_never_go_back_with_it,
    a_change_that_is_rolled_back_gives_its_position_back,
    entries_come_in_order_and_go_by_age,
    news_are_entries_and_touches_above_a_position_apart,
    touches_that_an_older_version_did_not_write_are_told_of,
    the_floor_is_the_highest_position_that_was_dropped_and_never_falls,
    who_saw_a_position_has_seen_all_below_it,
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn create(store: &Store, maker: &Maker) -> hallpass::domain::liveness::LogId {
    let log = maker.log();
    let mut tx = store.write().await.unwrap();
    change_log::create(tx.conn(), log, at(START)).await.unwrap();
    tx.commit().await.unwrap();
    log
}

async fn advance(store: &Store, now: Timestamp) -> i64 {
    let mut tx = store.write().await.unwrap();
    let rev = change_log::advance(tx.conn(), now).await.unwrap();
    tx.commit().await.unwrap();
    rev.position.get()
}

async fn entries_above(read: &mut Read, position: Position) -> Vec<(Tag, Position)> {
    let news = change_log::news(read.conn(), position).await.unwrap();
    assert_eq!(news.touches, []);
    news.entries
}

async fn the_log_is_made_once(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let log = create(&store, &maker).await;
    let position = advance(&store, at(START + 5)).await;

    create(&store, &maker).await;

    let mut read = store.read().await.unwrap();
    let head = change_log::head(read.conn()).await.unwrap();
    assert_eq!((head.log, head.position.get()), (log, position));
}

async fn a_database_without_its_head_is_corrupt(db: &TestDatabase) {
    let store = db.store().await;
    let mut tx = store.write().await.unwrap();

    let advanced = change_log::advance(tx.conn(), at(START)).await;
    let head = change_log::head(tx.conn()).await;
    let news = change_log::news(tx.conn(), Position::new(0)).await;

    for result in [advanced, head, news.map(|news| news.head)] {
        assert!(matches!(
            result,
            Err(StoreError::Corrupt {
                table: "change_head",
                column: "id"
            })
        ));
    }
}

async fn positions_follow_the_clock_and_never_go_back_with_it(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    create(&store, &maker).await;
    let start = START * 1000;

    let steps = [
        (START, start + 1),
        (START, start + 2),
        (START + 1, start + 1_000),
        // The clock is set back by an hour, by a century, and to nonsense.
        (START - 3_600_000, start + 1_001),
        (0, start + 1_002),
        (-1, start + 1_003),
        (START + 2, start + 2_000),
    ];
    for (now, wanted) in steps {
        assert_eq!(advance(&store, at(now)).await, wanted, "{now}");
    }
}

async fn a_change_that_is_rolled_back_gives_its_position_back(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    create(&store, &maker).await;
    let before = advance(&store, at(START)).await;

    let mut tx = store.write().await.unwrap();
    let rev = change_log::advance(tx.conn(), at(START)).await.unwrap();
    let log = change_log::append(tx.conn(), rev.position, maker.tag(), at(START)).await;
    log.unwrap();
    drop(tx);

    let mut read = store.read().await.unwrap();
    let head = change_log::head(read.conn()).await.unwrap();
    assert_eq!(head.position.get(), before);
    let news = change_log::news(read.conn(), Position::new(0)).await;
    assert_eq!(news.unwrap().entries, []);
    drop(read);
    assert_eq!(advance(&store, at(START)).await, before + 1);
}

async fn entries_come_in_order_and_go_by_age(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    create(&store, &maker).await;
    let mut entries = Vec::new();
    for millis in [START, START + 1, START + 2] {
        let mut tx = store.write().await.unwrap();
        let rev = change_log::advance(tx.conn(), at(millis)).await.unwrap();
        let mut tags = [
            maker.tag(),
            Tag::from_i64(i64::MIN),
            Tag::from_i64(i64::MAX),
        ];
        tags.sort_by_key(|tag| tag.to_i64());
        for tag in tags {
            // Twice is once.
            for _ in 0..2 {
                let done = change_log::append(tx.conn(), rev.position, tag, at(millis)).await;
                done.unwrap();
            }
            entries.push((tag, rev.position));
        }
        tx.commit().await.unwrap();
    }

    let mut read = store.read().await.unwrap();
    let all = entries_above(&mut read, Position::new(0)).await;
    assert_eq!(all, entries);
    let later = entries_above(&mut read, entries[2].1).await;
    assert_eq!(later, entries[3..]);
    let none = entries_above(&mut read, entries[8].1).await;
    assert_eq!(none, []);

    let mut tx = store.write().await.unwrap();
    assert_eq!(
        change_log::prune(tx.conn(), at(START + 1)).await.unwrap(),
        3
    );
    tx.commit().await.unwrap();
    let all = entries_above(&mut read, Position::new(0)).await;
    assert_eq!(all, entries[3..]);
}

async fn news_are_entries_and_touches_above_a_position_apart(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    let log = create(&store, &maker).await;
    let tag = Tag::from_i64;
    let mut revs = Vec::new();
    for change in 0..3 {
        let mut tx = store.write().await.unwrap();
        let now = at(START + change);
        let rev = change_log::advance(tx.conn(), now).await.unwrap();
        let done = change_log::append(tx.conn(), rev.position, tag(change), now).await;
        done.unwrap();
        for touched in [20 + change, 10 + change] {
            let done = change_touch::append(tx.conn(), rev.position, tag(touched), now).await;
            done.unwrap();
        }
        tx.commit().await.unwrap();
        revs.push(rev);
    }

    let mut read = store.read().await.unwrap();
    let [first, second, third] = [0, 1, 2].map(|change| revs[change].position);
    let news = change_log::news(read.conn(), first).await.unwrap();
    assert_eq!((news.head.log, news.head.position), (log, third));
    assert_eq!(news.entries, [(tag(1), second), (tag(2), third)]);
    let touches = [(11, second), (21, second), (12, third), (22, third)];
    assert_eq!(
        news.touches,
        touches.map(|(touched, at)| (tag(touched), at))
    );

    let news = change_log::news(read.conn(), third).await.unwrap();
    assert_eq!(
        (news.head, news.entries, news.touches),
        (revs[2], vec![], vec![])
    );
}

async fn touches_that_an_older_version_did_not_write_are_told_of(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    create(&store, &maker).await;
    let touch_floor = async |store: &Store| {
        let mut read = store.read().await.unwrap();
        let news = change_log::news(read.conn(), Position::new(0)).await;
        news.unwrap().touch_floor.get()
    };
    advance(&store, at(START)).await;
    let before = touch_floor(&store).await;

    let mut tx = store.write().await.unwrap();
    let moved = "UPDATE change_head SET position = position + 1 WHERE id = 1";
    match tx.conn() {
        Conn::Sqlite(conn) => drop(sqlx::query(moved).execute(conn).await.unwrap()),
        Conn::Postgres(conn) => drop(sqlx::query(moved).execute(conn).await.unwrap()),
    }
    tx.commit().await.unwrap();
    let of_older = touch_floor(&store).await;
    let ours = advance(&store, at(START)).await;

    assert!(before < of_older);
    assert_eq!(of_older, ours - 1);
    assert_eq!(touch_floor(&store).await, of_older);
}

async fn the_floor_is_the_highest_position_that_was_dropped_and_never_falls(db: &TestDatabase) {
    let (store, maker) = (db.store().await, Maker::new());
    create(&store, &maker).await;
    let mut positions = Vec::new();
    // The third was made by a node whose clock was an hour behind.
    for millis in [START + 1, START + 5, START - 3_600_000, START + 9] {
        let mut tx = store.write().await.unwrap();
        let rev = change_log::advance(tx.conn(), at(millis)).await.unwrap();
        let done = change_log::append(tx.conn(), rev.position, maker.tag(), at(millis)).await;
        done.unwrap();
        tx.commit().await.unwrap();
        positions.push(rev.position);
    }

    let steps = [
        (START - 9_000_000, Position::new(0), 0),
        (START, positions[2], 1),
        // The first is below what was dropped already.
        (START + 2, positions[2], 1),
        (START + 9, positions[2], 1),
        (START + 10, positions[3], 1),
        (START + 10, positions[3], 0),
    ];
    for (before, floor, dropped) in steps {
        let mut tx = store.write().await.unwrap();
        change_log::raise_floor(tx.conn(), at(before))
            .await
            .unwrap();
        let rows = change_log::prune(tx.conn(), at(before)).await.unwrap();
        tx.commit().await.unwrap();
        let mut read = store.read().await.unwrap();
        let news = change_log::news(read.conn(), Position::new(0))
            .await
            .unwrap();
        assert_eq!((news.floor, rows), (floor, dropped), "{before}");
    }
}

/// Writers commit changes as fast as they can, each by a clock of its own that jumps about. A reader
/// polls as a node does. Whatever the head said it has confirmed,
/// no entry may turn up at or below it later.
async fn who_saw_a_position_has_seen_all_below_it(db: &TestDatabase) {
    const WRITERS: i64 = 6;
    const CHANGES: i64 = 15;

    let (store, maker) = (db.store().await, Maker::new());
    create(&store, &maker).await;

    let over = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, over) = (store.clone(), Arc::clone(&over));
        async move {
            let mut seen: BTreeMap<i64, i64> = BTreeMap::new();
            let mut confirmed = Vec::new();
            let mut last = Position::new(0);
            loop {
                let done = over.load(Ordering::SeqCst);
                let mut read = store.read().await.unwrap();
                let news = change_log::news(read.conn(), last).await.unwrap();
                for (tag, at) in news.entries {
                    assert!(at <= news.head.position, "an entry above the head");
                    seen.insert(tag.to_i64(), at.get());
                }
                last = news.head.position;
                let below = seen.values().filter(|at| **at <= last.get()).count();
                confirmed.push((last.get(), below));
                if done {
                    return (seen, confirmed);
                }
                drop(read);
                tokio::task::yield_now().await;
            }
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut positions = Vec::new();
                for change in 0..CHANGES {
                    // Now ahead, now behind.
                    let now = at(START + change * 7 * (writer - WRITERS / 2));
                    let mut tx = store.write().await.unwrap();
                    let rev = change_log::advance(tx.conn(), now).await.unwrap();
                    tokio::task::yield_now().await;
                    let tag = Tag::from_i64(writer * CHANGES + change);
                    let done = change_log::append(tx.conn(), rev.position, tag, now).await;
                    done.unwrap();
                    if change % 5 == 4 {
                        drop(tx);
                    } else {
                        tx.commit().await.unwrap();
                        positions.push((tag.to_i64(), rev.position.get()));
                    }
                }
                positions
            })
        })
        .collect();
    let mut committed = BTreeMap::new();
    for writer in writers {
        let positions = writer.await.unwrap();
        assert!(
            positions.is_sorted_by_key(|(_, at)| *at),
            "a writer's own changes are in order"
        );
        committed.extend(positions);
    }
    over.store(true, Ordering::SeqCst);
    let (seen, confirmed) = reader.await.unwrap();

    assert_eq!(seen, committed);
    let mut distinct: Vec<_> = committed.values().copied().collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        committed.len(),
        "no position is given twice"
    );
    for (head, below) in confirmed {
        let really = committed.values().filter(|at| **at <= head).count();
        assert_eq!(
            below, really,
            "the head said {head} and not all below it was there"
        );
    }
}
