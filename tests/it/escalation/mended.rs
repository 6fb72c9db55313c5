//! What an attacker found once, and must not find again.

use serde_json::json;

use super::support::is_alive;
use crate::support::town::{Session, Town};

#[tokio::test]
async fn no_test_key_reads_the_ledger_of_live_things() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let live = shop.full_key().await;
    live.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let test = shop.test_key().await;
    let own = test.session(json!({"allowedRoutes": ["bot/**"]})).await;

    let ledger = test.get("/v1/audit/list").await.ok();

    let items = ledger["items"].as_array().unwrap();
    assert!(
        items
            .iter()
            .any(|item| item["sessionId"] == own.id.as_str())
    );
    for item in items {
        assert_eq!(item["details"]["environment"], "test", "{item}");
    }
}

#[tokio::test]
async fn no_renewal_passes_the_rate_limit_of_its_key() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({
            "allowedRoutes": ["session/create"],
            "rateLimit": {"requests": 3, "perSeconds": 60},
        }))
        .await;
    let wanted = json!({"allowedRoutes": ["session/create"], "renewableForInSeconds": 900});
    let session = key.session(wanted).await;

    for _ in 0..2 {
        session.post("/v1/session/renew", json!({})).await.ok();
    }

    let answer = session.post("/v1/session/renew", json!({})).await;
    answer.refused(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn no_flood_of_forged_tokens_goes_on_without_end() {
    let settings = "[limits.failed_authentications]\nrequests = 3\nper_seconds = 60\n";
    let town = Town::with_settings(settings).await;
    let key = town.account("shop").await.full_key().await;
    let session = key.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let (signed, _) = session.token.rsplit_once('.').unwrap();
    let forged = town.bearer(&format!("{signed}.{}", "A".repeat(86)));

    for _ in 0..3 {
        let answer = forged.get("/v1/token/self/fetch").await;
        answer.refused(401, "INVALID_TOKEN");
    }

    let answer = forged.get("/v1/token/self/fetch").await;
    answer.refused(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn no_misspelt_wish_and_no_made_up_cursor_is_ignored() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;

    for name in ["x-run-as-user-id", "x-run.as-user_id", "xrunas-user-id"] {
        let answer = key.header(name, "usr_1").get("/v1/user/list").await;
        answer.refused(400, "INVALID_REQUEST");
    }
    for list in ["token", "session", "user", "audit"] {
        let answer = key.get(&format!("/v1/{list}/list?cursor=abc")).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn no_renewal_right_after_a_change_is_born_dead() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let key = shop.full_key().await;
    let limit = json!({"config": {"rateLimit": {"requests": 100, "perSeconds": 60}}});
    let path = format!("/v1/token/{}/update", key.id);
    owner.post(&path, limit).await.ok();
    let wanted = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 900});

    let session = key.session(wanted).await;
    let renewed = session.post("/v1/session/renew", json!({})).await;

    is_alive(&town, &Session::of(&town, &renewed.ok()).token).await;
}
