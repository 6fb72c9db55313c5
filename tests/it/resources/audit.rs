//! `/v1/audit/list`: who did what, as whom, readable from both sides.

use serde_json::{Value, json};

use crate::support::town::{Key, Town};

async fn entries(key: &Key, query: &str) -> Vec<Value> {
    let page = key.get(&format!("/v1/audit/list?{query}")).await.ok();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn both_sides_of_an_impersonation_read_who_acted() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let owner = shop.full_key().await;
    let path = format!("/v1/user/{}/session/create", branch.id);
    let by_path = owner.post(&path, json!({})).await.ok();
    let by_header = owner
        .acting_as(&branch)
        .post("/v1/session/create", json!({"allowedRoutes": ["**"]}))
        .await
        .ok();

    let reader = branch.full_key().await;
    for side in [&owner, &reader] {
        let seen = entries(side, &format!("userId={}&action=session.create", branch.id)).await;
        let ids: Vec<&Value> = seen.iter().map(|entry| &entry["sessionId"]).collect();
        assert_eq!(ids, [&by_header["id"], &by_path["id"]]);
        for entry in &seen {
            assert_eq!(entry["userId"], branch.id);
            assert_eq!(entry["actorId"], shop.id);
            assert_eq!(entry["tokenId"], owner.id);
            assert_eq!(entry["outcome"], "done");
            assert_eq!(entry["address"], "192.0.2.1");
        }
    }
    let rival = town.account("rival").await.full_key().await;
    let seen = entries(&rival, "").await;
    assert!(
        seen.iter()
            .all(|entry| entry["userId"] != branch.id.as_str())
    );
}

#[tokio::test]
async fn every_change_is_in_the_ledger_with_its_request() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    let session = owner.session(json!({"allowedRoutes": ["**"]})).await;
    let child = owner
        .post("/v1/user/create", json!({"name": "c"}))
        .await
        .ok();
    let child = child["id"].as_str().unwrap().to_owned();
    let mut requests = Vec::new();
    for (path, action) in [
        (format!("/v1/token/{}/update", key.id), "token.update"),
        (format!("/v1/token/{}/rotate", key.id), "token.rotate"),
        (format!("/v1/token/{}/delete", key.id), "token.delete"),
        (
            format!("/v1/session/{}/revoke", session.id),
            "session.revoke",
        ),
        (format!("/v1/user/{child}/update"), "user.update"),
        (format!("/v1/user/{child}/suspend"), "user.suspend"),
        (format!("/v1/user/{child}/resume"), "user.resume"),
        (format!("/v1/user/{child}/delete"), "user.delete"),
        ("/v1/user/self/update".to_owned(), "user.self.update"),
    ] {
        town.advance_ms(1);
        let answer = owner.post(&path, json!({})).await;
        answer.ok();
        let request = answer.header("x-request-id").unwrap().to_owned();
        requests.push((action, request));
    }
    let seen = entries(&owner, "order=asc").await;
    let told: Vec<(&str, String)> = seen
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            (text("action"), text("requestId").to_owned())
        })
        .collect();
    assert_eq!(told[told.len() - requests.len()..], requests);
}

#[tokio::test]
async fn a_refusal_of_a_known_key_is_in_the_ledger_after_a_batch() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let till = shop.key(json!({"allowedRoutes": ["order/**"]})).await;
    till.get("/v1/token/list")
        .await
        .refused(403, "ROUTE_NOT_ALLOWED");
    assert_eq!(entries(&owner, "action=refused").await, Vec::<Value>::new());
    town.write_batches().await;
    let seen = entries(&owner, "action=refused").await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["outcome"], "refused");
    assert_eq!(seen[0]["tokenId"], till.id);
    // What nobody authenticated is counted and not kept.
    town.nobody()
        .get("/v1/token/list")
        .await
        .refused(401, "NOT_AUTHENTICATED");
    town.write_batches().await;
    assert_eq!(entries(&owner, "action=refused").await.len(), 1);
}

#[tokio::test]
async fn pages_merge_mints_and_changes_in_order_and_leave_nothing_out() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    for index in 0..6 {
        town.advance_ms(1);
        if index % 2 == 0 {
            owner.session(json!({"allowedRoutes": ["**"]})).await;
        } else {
            owner.make_key(json!({"unrestricted": true})).await;
        }
    }
    for order in ["asc", "desc"] {
        let all = entries(&owner, &format!("order={order}")).await;
        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/audit/list?order={order}&take=3&cursor={cursor}");
            let page = owner.get(&path).await.ok();
            let items = page["items"].as_array().unwrap();
            if items.is_empty() {
                break;
            }
            paged.extend(items.clone());
            page["cursor"].as_str().unwrap().clone_into(&mut cursor);
        }
        assert_eq!(paged, all);
        // Behind their prefixes the ids of both kinds sort by time.
        let made: Vec<&str> = all
            .iter()
            .map(|entry| entry["id"].as_str().unwrap().rsplit_once('_').unwrap().1)
            .collect();
        assert!(made.is_sorted_by(|one, two| (one < two) == (order == "asc")));
    }
    let lines = owner
        .header("accept", "application/jsonl")
        .get("/v1/audit/list?take=2")
        .await
        .lines();
    assert_eq!(lines.len(), entries(&owner, "").await.len());
    for wrong in ["userId=x", "action=fly", "tokenId=x"] {
        let answer = owner.get(&format!("/v1/audit/list?{wrong}")).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn no_secret_is_in_the_ledger() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let body = json!({"secret": key.token});
    town.nobody().post("/v1/token/report", body).await.ok();
    town.write_batches().await;
    let dump: String = town.database().await.into_values().flatten().collect();
    for secret in [&owner.token, &key.token, &session.token] {
        assert!(!dump.contains(secret.as_str()));
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_happen() {
    let town = Town::new().await;
    let key = town.operator_key().await;
    let child = town.operator().child("child").await;
    let target = key.make_key(json!({"unrestricted": true})).await;
    let session = target.session(json!({"allowedRoutes": ["**"]})).await;
    let hook = json!({"url": "https://example.com/"});
    let hook = key.post("/v1/webhook/create", hook).await.ok();
    let hook = hook["id"].as_str().unwrap().to_owned();
    let id = &target.id;
    let before = town.database().await;

    for (path, body) in [
        ("/v1/token/create".to_owned(), json!({"unrestricted": true})),
        (format!("/v1/token/{id}/update"), json!({"name": "other"})),
        (format!("/v1/token/{id}/update"), json!({"enabled": false})),
        (format!("/v1/token/{id}/rotate"), json!({})),
        (format!("/v1/token/{id}/delete"), json!({})),
        (
            "/v1/token/report".to_owned(),
            json!({"secret": target.token}),
        ),
        (format!("/v1/session/{}/revoke", session.id), json!({})),
        ("/v1/user/create".to_owned(), json!({"name": "second"})),
        (
            format!("/v1/user/{}/update", child.id),
            json!({"name": "other"}),
        ),
        (format!("/v1/user/{}/suspend", child.id), json!({})),
        (format!("/v1/user/{}/delete", child.id), json!({})),
        (
            format!("/v1/user/{}/token/create", child.id),
            json!({"unrestricted": true}),
        ),
        (
            "/v1/webhook/create".to_owned(),
            json!({"url": "https://example.com/"}),
        ),
        (format!("/v1/webhook/{hook}/rotate"), json!({})),
        (format!("/v1/webhook/{hook}/test"), json!({})),
        (format!("/v1/webhook/{hook}/delete"), json!({})),
    ] {
        town.sql("ALTER TABLE audit RENAME TO hidden").await;
        let answer = key.post(&path, body).await;
        town.sql("ALTER TABLE hidden RENAME TO audit").await;
        assert!(answer.status.is_server_error(), "{answer}");
    }

    assert_eq!(town.database().await, before);
    target.get("/v1/token/self/fetch").await.ok();
    session.get("/v1/token/self/fetch").await.ok();
}
