//! `/v1/<profile path>/session/create`: the right to call it is the right to mint what it gives.

use serde_json::json;

use crate::support::town::{Session, Town};

#[tokio::test]
async fn a_key_that_may_only_call_a_profile_path_mints_what_the_profile_gives() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({"allowedRoutes": ["bot/b1/session/create"]}))
        .await;
    let made = key.post("/v1/bot/b1/session/create", json!({})).await.ok();
    assert_eq!(made["id"], "b1");
    let conversation = made["conversationId"].as_str().unwrap();
    assert_eq!(
        made["allowedRoutes"],
        json!([format!("conversation/{conversation}/**")])
    );
    assert_eq!(made["expiresAt"], town.now_ms() + 3_600_000);
    let session = Session::of(&town, &made);
    assert_eq!(session.claims()["jti"], made["sessionId"]);

    let answer = key.post("/v1/bot/b2/session/create", json!({})).await;
    answer.refused(403, "ROUTE_NOT_ALLOWED");
    let body = json!({"allowedRoutes": ["conversation/other/**"]});
    let answer = key.post("/v1/bot/b1/session/create", body).await;
    answer.refused(403, "ROUTE_NOT_COVERED");
    let body = json!({"durationInSeconds": 86_401});
    let answer = key.post("/v1/bot/b1/session/create", body).await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn what_chatbotkit_clients_send_goes_into_data() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let body = json!({
        "contact": {"email": "a@example.com"},
        "meta": {"source": "web"},
        "messages": [],
        "config": {"contactId": "c1", "namespace": "n1"},
    });
    let made = key
        .post("/v1/conversation/c9/session/create", body)
        .await
        .ok();
    let session = Session::of(&town, &made);
    assert_eq!(
        session.claims()["data"],
        json!({
            "contact": {"email": "a@example.com"},
            "meta": {"source": "web"},
            "contactId": "c1",
            "namespace": "n1",
        })
    );
    let body = json!({"messages": [{"type": "user", "text": "hello"}]});
    let answer = key.post("/v1/conversation/c9/session/create", body).await;
    answer.refused(400, "INVALID_REQUEST");
    // These fields are those of the profile paths alone.
    let body = json!({"allowedRoutes": ["**"], "contact": {}});
    let answer = key.post("/v1/session/create", body).await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_widget_session_carries_the_widget_and_a_fresh_conversation() {
    let town = Town::new().await;
    let key = town
        .account("shop")
        .await
        .key(json!({"allowedRoutes": ["integration/widget/*/session/create"]}))
        .await;
    let path = "/v1/integration/widget/w1/session/create";
    let made = key.post(path, json!({})).await.ok();
    let conversation = made["conversationId"].as_str().unwrap();
    assert_eq!(
        made["allowedRoutes"],
        json!([
            format!("conversation/{conversation}/**"),
            "integration/widget/w1/**"
        ])
    );
    let again = key.post(path, json!({})).await.ok();
    assert_ne!(again["conversationId"], made["conversationId"]);
}

/// A value in a path becomes one literal, or nothing is minted.
#[tokio::test]
async fn a_hostile_id_in_a_profile_path_mints_nothing() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let before = town.database().await;
    for id in [
        "**", "*", "a,b", "a%20b", "%2a", "%2A", "%2f", "%2F", "..", ".", "%2e%2e", "a%00b",
        "a%2fb", "a;b", "a%3Bb", "%61", "-a", "a%5Cb", "%C3%A4", "%FF", "%zz", "$(x)", "a:b",
        "a@b",
    ] {
        let answer = key
            .post(&format!("/v1/bot/{id}/session/create"), json!({}))
            .await;
        let status = answer.status.as_u16();
        assert!([400, 404].contains(&status), "{answer}");
    }
    let long = "a".repeat(129);
    let answer = key
        .post(&format!("/v1/bot/{long}/session/create"), json!({}))
        .await;
    answer.refused(404, "NOT_FOUND");
    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn a_path_that_two_programs_could_read_differently_is_refused() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    for path in [
        "/v1/token//list",
        "/v1//token/list",
        "/v1/./token/list",
        "/v1/bot/../token/list",
        "/v1/token/list//",
        "/v1/token%2Flist",
        "/v1/token%2flist",
        "/v1/%74oken/list",
        "/v1/token/list;x=1",
        "/v1/token/list%00",
        "/v1/token/list%0a",
        "/v1/token/list%3Ftake=1",
        "/v1/token/list%23",
        "/v1/token/%",
        "/v1/token/%c0%af/fetch",
        "/v1/token/a%5cb/fetch",
    ] {
        key.get(path).await.refused(400, "AMBIGUOUS_PATH");
    }
    for path in [
        "/v1/token/list/",
        "/api/v1/token/list",
        "/api/v1/token/list/",
    ] {
        key.get(path).await.ok();
    }
    for path in [
        "/v2/token/list",
        "/token/list",
        "/v1/Token/list",
        "/v1/token",
        "/api/api/v1/token/list",
        "/v1/api/v1/token/list",
        "/v1/partner/token/list",
    ] {
        key.get(path).await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_bound_key_mints_only_where_the_request_names_its_value() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let config = json!({"allowedRoutes": ["**"], "bindings": {"bot": ["b1"]}});
    let key = shop.key(config).await;
    key.post("/v1/bot/b1/session/create", json!({})).await.ok();
    let answer = key.post("/v1/bot/b2/session/create", json!({})).await;
    answer.refused(403, "BINDING_DENIED");
    // Two sources that disagree.
    let answer = key
        .header("x-bot-id", "b2")
        .post("/v1/bot/b1/session/create", json!({}))
        .await;
    answer.refused(403, "BINDING_DENIED");
    let answer = key
        .post("/v1/session/create", json!({"allowedRoutes": ["order/**"]}))
        .await;
    answer.refused(403, "BINDING_DENIED");
    let body = json!({"allowedRoutes": ["order/**"], "bindings": {"bot": ["b1"]}});
    key.post("/v1/session/create", body).await.ok();
    let body = json!({"allowedRoutes": ["order/**"], "bindings": {"bot": ["b1", "b2"]}});
    let answer = key.post("/v1/session/create", body).await;
    answer.refused(403, "BINDING_DENIED");
}
