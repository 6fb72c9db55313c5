//! `Idempotency-Key`: a repeated POST has one effect and one answer.

use serde_json::{Value, json};

use crate::support::town::{Key, Town};

async fn all_creates(town: &Town) -> (Key, Vec<(String, Value)>) {
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let key = shop.full_key().await;
    let target = key.make_key(json!({"unrestricted": true})).await;
    let requests = vec![
        (
            "/v1/session/create".to_owned(),
            json!({"allowedRoutes": ["**"]}),
        ),
        ("/v1/bot/b1/session/create".to_owned(), json!({})),
        (format!("/v1/user/{}/session/create", branch.id), json!({})),
        ("/v1/token/create".to_owned(), json!({"unrestricted": true})),
        (
            format!("/v1/user/{}/token/create", branch.id),
            json!({"unrestricted": true}),
        ),
        (format!("/v1/token/{}/rotate", target.id), json!({})),
        ("/v1/user/create".to_owned(), json!({"name": "another"})),
    ];
    (key, requests)
}

#[tokio::test]
async fn a_repeated_create_has_one_effect_and_one_answer() {
    let town = Town::new().await;
    let (key, requests) = all_creates(&town).await;
    for (path, body) in requests {
        let caller = key.idempotent(&format!("once {path}").replace([' ', '/'], "-"));
        let first = caller.post(&path, body.clone()).await;
        first.ok();
        assert_eq!(first.header("idempotent-replayed"), None);
        let after = town.database().await;
        town.advance_secs(3600);
        let again = caller.post(&path, body.clone()).await;
        again.ok();
        assert_eq!(again.text(), first.text(), "{path}");
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(town.database().await, after, "{path}");

        let other = json!({"description": "another body", "allowedRoutes": ["x"], "name": "n"});
        let other = if path.ends_with("session/create") {
            json!({"allowedRoutes": ["x"], "durationInSeconds": 7})
        } else if path.ends_with("rotate") {
            json!({"overlapInSeconds": 7})
        } else if path.contains("token") {
            json!({"unrestricted": true, "name": "n"})
        } else {
            other
        };
        let answer = caller.post(&path, without_routes(other, &path)).await;
        answer.refused(409, "CONFLICT");
        assert_eq!(town.database().await, after, "{path}");
    }
}

/// A body that the path takes.
fn without_routes(mut body: Value, path: &str) -> Value {
    if path.contains("bot") || path.ends_with("user/create") {
        body.as_object_mut().unwrap().remove("allowedRoutes");
    }
    body
}

#[tokio::test]
async fn the_stored_answer_is_over_after_a_day() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await.caller();
    let caller = key.idempotent("k1");
    let body = json!({"name": "another"});
    let first = caller.post("/v1/user/create", body.clone()).await.ok();
    town.advance_secs(86_400);
    let second = caller.post("/v1/user/create", body).await;
    assert_eq!(second.header("idempotent-replayed"), None);
    assert_ne!(second.ok()["id"], first["id"]);
}

#[tokio::test]
async fn another_credential_or_path_or_subject_does_not_meet_the_answer() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let one = shop.full_key().await;
    let two = shop.full_key().await;
    let body = json!({"allowedRoutes": ["order/**"]});
    let first = one
        .idempotent("k1")
        .post("/v1/session/create", body.clone())
        .await
        .ok();
    for (caller, path) in [
        (two.idempotent("k1"), "/v1/session/create"),
        (one.idempotent("k2"), "/v1/session/create"),
        (
            one.acting_as(&branch).idempotent("k1"),
            "/v1/session/create",
        ),
        (
            one.idempotent("k1"),
            "/v1/conversation/order/session/create",
        ),
    ] {
        let body = if path.contains("conversation") {
            json!({})
        } else {
            body.clone()
        };
        let answer = caller.post(path, body).await;
        let made = answer.ok();
        assert_eq!(answer.header("idempotent-replayed"), None);
        assert_ne!(made["token"], first["token"]);
    }
    // The same operation under its other path is the same.
    let again = one
        .idempotent("k1")
        .post("/api/v1/session/create", body)
        .await;
    assert_eq!(again.ok()["token"], first["token"]);
}

#[tokio::test]
async fn an_answer_is_not_replayed_to_a_credential_that_has_ended() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    let body = json!({"allowedRoutes": ["**"]});
    let caller = key.idempotent("k1");
    caller.post("/v1/session/create", body.clone()).await.ok();
    let path = format!("/v1/token/{}/update", key.id);
    owner
        .post(&path, json!({"config": {"allowedRoutes": ["order/**"]}}))
        .await
        .ok();
    let answer = caller.post("/v1/session/create", body.clone()).await;
    answer.refused(403, "ROUTE_NOT_ALLOWED");
    owner.post(&path, json!({"enabled": false})).await.ok();
    let answer = caller.post("/v1/session/create", body).await;
    answer.refused(401, "INVALID_API_KEY");
}

#[tokio::test]
async fn the_row_of_an_answer_tells_neither_the_answer_nor_the_key() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let caller = key.idempotent("a-key-to-look-for");
    let made = caller
        .post("/v1/token/create", json!({"unrestricted": true}))
        .await
        .ok();
    let rows = town.database().await;
    let row = rows["idempotency"].concat().to_lowercase();
    assert!(!row.is_empty());
    let hex = |text: &str| -> String { text.bytes().map(|byte| format!("{byte:02x}")).collect() };
    for secret in [
        made["token"].as_str().unwrap(),
        "a-key-to-look-for",
        &key.token,
        "createdAt",
    ] {
        assert!(!row.contains(&hex(secret)), "{secret}");
        assert!(!row.contains(&secret.to_lowercase()), "{secret}");
    }
}

#[tokio::test]
async fn a_refused_request_keeps_no_answer() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let caller = key.idempotent("k1");
    let answer = caller.post("/v1/user/create", json!({"email": "x"})).await;
    answer.refused(400, "INVALID_REQUEST");
    caller
        .post("/v1/user/create", json!({"email": "x@example.com"}))
        .await
        .ok();
    let bad = key.idempotent("two words");
    bad.post("/v1/user/create", json!({}))
        .await
        .refused(400, "INVALID_REQUEST");
    let bad = key.idempotent("k1").idempotent("k2");
    bad.post("/v1/user/create", json!({}))
        .await
        .refused(400, "INVALID_REQUEST");
    let bad = key.idempotent(&"k".repeat(256));
    bad.post("/v1/user/create", json!({}))
        .await
        .refused(400, "INVALID_REQUEST");
}
