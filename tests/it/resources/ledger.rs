//! The seal of the ledger, and exports that are checked elsewhere.

use hallpass::token::ledger::{Fault, Known, Summary, check_export};
use serde_json::{Value, json};

use crate::support::town::{Key, Town};

const EXPORT: &str = "/v1/audit/export";
const CHECKPOINT: &str = "/v1/audit/checkpoint/fetch";

async fn export(operator: &Key) -> String {
    let answer = operator.get(EXPORT).await;
    answer.status(200);
    answer.text()
}

fn check(export: &str) -> Result<Summary, Fault> {
    check_export(export.as_bytes(), None, None)
}

struct Scene {
    town: Town,
    operator: Key,
    shop: Key,
}

impl Scene {
    async fn new() -> Self {
        let town = Town::new().await;
        Self {
            operator: town.operator_key().await,
            shop: town.account("shop").await.full_key().await,
            town,
        }
    }

    async fn mint(&self) {
        self.shop.session(json!({"allowedRoutes": ["**"]})).await;
    }
}

#[tokio::test]
async fn every_entry_and_every_mint_is_sealed_and_the_export_is_whole() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        scene.mint().await;
    }
    let sealed = scene.town.seal().await;
    assert!(sealed > 8, "{sealed}");
    assert_eq!(scene.town.seal().await, 0, "nothing is sealed twice");
    scene.town.advance_secs(1);
    scene.mint().await;
    assert_eq!(scene.town.seal().await, 1);
    scene.mint().await;

    let summary = check(&export(&scene.operator).await).unwrap();

    assert_eq!(summary.entries, i64::try_from(sealed).unwrap() + 1);
    assert_eq!(summary.checkpoints, 2);
    assert_eq!(summary.unsealed, 1);
    assert_eq!(summary.first_seq, 1);
    let last = scene.shop.get(CHECKPOINT).await.ok();
    assert_eq!(last["seq"], summary.last_seq);
    assert_eq!(last["hash"], summary.hash);
    let keys = scene
        .town
        .nobody()
        .get("/.well-known/hallpass-ledger-keys.json")
        .await
        .ok();
    assert_eq!(keys["keys"][0]["kid"], summary.keys[0]);
}

#[tokio::test]
async fn a_row_that_was_changed_or_deleted_in_the_database_is_named() {
    let scene = Scene::new().await;
    scene.mint().await;
    scene.mint().await;
    scene.town.seal().await;
    let before = export(&scene.operator).await;
    check(&before).unwrap();
    let entries: Vec<Value> = before
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["type"] == "entry")
        .collect();
    let id = |entry: &Value| entry["data"]["id"].as_str().unwrap().to_owned();
    let session = entries.iter().find(|one| id(one).starts_with("ses_"));
    let session = session.unwrap();

    let update = format!(
        "UPDATE session SET address = '198.51.100.7' WHERE id = '{}'",
        id(session)
    );
    assert_eq!(scene.town.sql(&update).await, 1);
    let changed = export(&scene.operator).await;
    // All hashes are computed from what is in the database, so the checkpoint tells.
    assert!(matches!(check(&changed), Err(Fault::Checkpoint { .. })));

    let delete = format!("DELETE FROM session WHERE id = '{}'", id(session));
    assert_eq!(scene.town.sql(&delete).await, 1);
    match check(&export(&scene.operator).await) {
        Err(Fault::Removed { seq, .. }) => assert_eq!(seq, session["seq"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_mint_that_was_changed_before_it_was_sealed_is_named() {
    let scene = Scene::new().await;
    scene.mint().await;
    // From then on this node knows that it seals, and keeps what it stores.
    scene.town.seal().await;
    scene.mint().await;
    let update = "UPDATE session SET address = '198.51.100.7'
        WHERE id = (SELECT MAX(id) FROM session)";
    assert_eq!(scene.town.sql(update).await, 1);

    assert_eq!(scene.town.seal().await, 1);

    let export = export(&scene.operator).await;
    assert!(matches!(check(&export), Err(Fault::Checkpoint { .. })));
}

#[tokio::test]
async fn what_another_node_stored_is_sealed_among_what_this_one_did() {
    let scene = Scene::new().await;
    scene.mint().await;
    scene.town.seal().await;
    for copy in ["'0'", "'1'", "'2'"] {
        scene.mint().await;
        // Nobody hands this one over.
        let other = format!(
            "INSERT INTO session (id, family_id, account_id, parent_id, actor_id, key_id,
                 environment, audience, issued_at, expires_at, renewable_until, family_tag, tags,
                 log_id, position, request_id, address, detail)
             SELECT substr(id, 1, 29) || CASE substr(id, 30, 1) WHEN {copy} THEN 'x' ELSE {copy} END,
                 family_id, account_id, parent_id, actor_id, key_id,
                 environment, audience, issued_at, expires_at, renewable_until, family_tag, tags,
                 log_id, position, request_id, address, detail
             FROM session WHERE id = (SELECT MAX(id) FROM session)"
        );
        assert_eq!(scene.town.sql(&other).await, 1);
    }

    assert_eq!(scene.town.seal().await, 6);

    assert_eq!(scene.town.seal().await, 0, "nothing is sealed twice");
    let summary = check(&export(&scene.operator).await).unwrap();
    assert_eq!(summary.unsealed, 0);
}

#[tokio::test]
async fn a_ledger_that_was_written_anew_is_told_by_a_state_that_was_kept() {
    let scene = Scene::new().await;
    scene.mint().await;
    scene.town.seal().await;
    let kept = scene.shop.get(CHECKPOINT).await.ok();
    let known = Known {
        seq: kept["seq"].as_i64().unwrap(),
        hash: kept["hash"].as_str().unwrap().to_owned(),
    };
    // Somebody who has the database and the master key removes an entry and seals all anew.
    scene.town.sql("DELETE FROM session").await;
    scene.town.sql("DELETE FROM ledger_checkpoint").await;
    let zero = format!(
        "UPDATE ledger_head SET checkpoint = 0, seq = 0, sealed_at = 0, lease_until = 0, hash = {}",
        scene.town.blob(&[0; 32])
    );
    scene.town.sql(&zero).await;
    scene.town.seal().await;
    scene.mint().await;
    scene.town.seal().await;
    let anew = export(&scene.operator).await;

    check(&anew).unwrap();
    let told = check_export(anew.as_bytes(), None, Some(&known));
    assert!(matches!(told, Err(Fault::Known { .. })), "{told:?}");
}

#[tokio::test]
async fn entries_that_come_late_are_sealed_behind_the_others() {
    let scene = Scene::new().await;
    scene.mint().await;
    scene.town.seal().await;
    // An entry that was made before, in a transaction that took long.
    let late = "INSERT INTO audit (id, at, action, outcome, account_id, details)
        SELECT substr(id, 1, 29) || CASE substr(id, 30, 1) WHEN '0' THEN '1' ELSE '0' END, at,
            action, outcome, account_id, details
        FROM audit ORDER BY id LIMIT 1";
    assert_eq!(scene.town.sql(late).await, 1);

    assert_eq!(scene.town.seal().await, 1);

    check(&export(&scene.operator).await).unwrap();
    // Some time later only some rounds look that far back.
    scene.town.advance_secs(30);
    scene.mint().await;
    assert_eq!(scene.town.seal().await, 1);
    let later = late
        .replace("29", "28")
        .replace("30, 1", "29, 2")
        .replace("'0'", "'00'");
    let later = later.replace("'1'", "'11'");
    assert_eq!(scene.town.sql(&later).await, 1);
    scene.town.advance_secs(61);
    assert_eq!(scene.town.seal().await, 1);
    let summary = check(&export(&scene.operator).await).unwrap();
    assert_eq!(summary.unsealed, 0);
}

#[tokio::test]
async fn one_of_two_nodes_seals_and_the_other_takes_over() {
    let scene = Scene::new().await;
    let other = scene.town.second_node().await;
    scene.mint().await;
    let (one, two) = tokio::join!(scene.town.seal(), other.seal());
    assert!(one == 0 || two == 0, "{one} {two}");
    assert!(one + two > 0);
    let (winner, loser) = if one > 0 {
        (&scene.town, &other)
    } else {
        (&other, &scene.town)
    };
    scene.mint().await;
    assert_eq!(loser.seal().await, 0, "the lease is another's");
    assert_eq!(winner.seal().await, 1);
    scene.mint().await;
    scene.town.advance_secs(4);
    assert_eq!(loser.seal().await, 1);
    scene.mint().await;
    assert_eq!(winner.seal().await, 0);
    scene.town.restart().await;
    scene.town.advance_secs(4);
    assert_eq!(scene.town.seal().await, 1);

    let summary = check(&export(&scene.operator).await).unwrap();
    assert_eq!(summary.unsealed, 0);
}

#[tokio::test]
async fn checkpoints_are_checked_after_their_key_was_rotated() {
    let scene = Scene::new().await;
    scene.mint().await;
    scene.town.seal().await;
    let first = check(&export(&scene.operator).await).unwrap();
    scene.town.advance_secs(1);

    let rotated = scene
        .operator
        .post("/v1/audit/key/rotate", json!({}))
        .await
        .ok();
    scene.mint().await;
    scene.town.seal().await;

    let summary = check(&export(&scene.operator).await).unwrap();
    assert_eq!(summary.checkpoints, 2);
    let mut expected = vec![first.keys[0].clone()];
    expected.push(rotated["kid"].as_str().unwrap().to_owned());
    expected.sort();
    let mut keys = summary.keys;
    keys.sort();
    assert_eq!(keys, expected);
    let rows = scene.town.database().await["ledger_key"].len();
    assert_eq!(rows, 2);
    let kept = "DELETE FROM ledger_key WHERE sealed_private IS NOT NULL";
    assert_eq!(
        scene.town.sql(kept).await,
        1,
        "the old private half is gone"
    );
}

#[tokio::test]
async fn an_export_may_begin_later_and_names_what_it_does_not_know() {
    let scene = Scene::new().await;
    scene.mint().await;
    scene.town.seal().await;
    scene.town.advance_secs(60);
    let since = scene.town.now_ms();
    scene.mint().await;
    scene.town.seal().await;

    let answer = scene.operator.get(&format!("{EXPORT}?since={since}")).await;
    answer.status(200);
    let summary = check(&answer.text()).unwrap();

    assert_eq!(summary.entries, 1);
    assert!(summary.first_seq > 1);
    for query in ["since=x", "until=1", "since=1.5"] {
        let answer = scene.operator.get(&format!("{EXPORT}?{query}")).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn before_the_first_checkpoint_there_is_none() {
    let scene = Scene::new().await;
    let answer = scene.shop.get(CHECKPOINT).await;
    answer.refused(404, "NOT_FOUND");
    assert!(check(&export(&scene.operator).await).unwrap().entries == 0);
}
