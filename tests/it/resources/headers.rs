//! What a request says in its headers is read in one way or refused.

use serde_json::json;

use crate::support::town::Town;

#[tokio::test]
async fn a_credential_stands_in_one_authorization_header() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let token = &key.token;
    let with = |value: &str| town.nobody().header("authorization", value);
    for right in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER   {token}"),
        format!("Token {token}"),
        format!("tOkEn {token}"),
    ] {
        with(&right).get("/v1/token/self/fetch").await.ok();
    }
    for wrong in [
        token.clone(),
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer {token},"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer {token} x"),
        format!("Basic {token}"),
        format!("ApiKey {token}"),
        format!("Bearer {}", "x".repeat(8193)),
        format!("Bearer {}", "x".repeat(513)),
    ] {
        let answer = with(&wrong).get("/v1/token/self/fetch").await;
        answer.refused(401, "INVALID_API_KEY");
    }
    let twice = key.header("authorization", &format!("Bearer {token}"));
    twice
        .get("/v1/token/self/fetch")
        .await
        .refused(400, "INVALID_REQUEST");
    let raw = town
        .nobody()
        .raw_header("authorization", b"Bearer \xff\xfe");
    raw.get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    // Nowhere else.
    for elsewhere in [
        "x-api-key",
        "cookie",
        "proxy-authorization",
        "x-authorization",
    ] {
        let caller = town.nobody().header(elsewhere, &format!("Bearer {token}"));
        caller
            .get("/v1/token/self/fetch")
            .await
            .refused(401, "NOT_AUTHENTICATED");
    }
    let path = format!("/v1/token/self/fetch?access_token={token}");
    town.nobody()
        .get(&path)
        .await
        .refused(401, "NOT_AUTHENTICATED");
}

#[tokio::test]
async fn a_wish_to_act_as_another_is_never_overlooked() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop
        .child_with(json!({"email": "branch@example.com"}))
        .await;
    let owner = shop.full_key().await;
    let id = branch.id.as_str();
    for (name, value) in [
        ("X-RunAs-User-ID", id),
        ("x-runas-userid", id),
        ("X-RunAs-User-Email", "branch@example.com"),
        ("X-RunAs-Child-User-Email", "branch@example.com"),
    ] {
        let shown = owner
            .header(name, value)
            .get("/v1/user/self/fetch")
            .await
            .ok();
        assert_eq!(shown["id"], branch.id, "{name}");
    }
    let path = "/v1/user/self/fetch";
    for (name, value) in [
        ("x_runas_user_id", id),
        ("x-runas_user-id", id),
        ("x.runas.user.id", id),
        ("x-runas", id),
        ("x-runas-user", id),
        ("x-runasuserid", id),
        ("x-runas-user-id-", id),
        ("x-runas-user-id", ""),
        ("x-runas-user-id", " "),
        ("x-runas-user-id", "a,b"),
        ("x-runas-user-id", "a b"),
    ] {
        let answer = owner.header(name, value).get(path).await;
        answer.refused(400, "INVALID_REQUEST");
    }
    let long = "u".repeat(255);
    owner
        .header("x-runas-user-id", &long)
        .get(path)
        .await
        .refused(400, "INVALID_REQUEST");
    let raw = owner.raw_header("x-runas-user-id", "usr_ä".as_bytes());
    raw.get(path).await.refused(400, "INVALID_REQUEST");
    let acting = owner.acting_as(&branch);
    for (name, value) in [
        ("x-runas-user-id", id),
        ("x-runas-userid", id),
        ("x-runas-user-email", "branch@example.com"),
        ("connection", "close, X-RunAs-User-ID"),
        ("connection", "x_runas_user_id"),
    ] {
        let answer = acting.header(name, value).get(path).await;
        answer.refused(400, "INVALID_REQUEST");
    }
    // The header alone decides; it is read even where there is nothing to act for.
    let nobody = town.nobody().header("x-runas-user", "x");
    nobody.get(path).await.refused(400, "INVALID_REQUEST");
    let session = owner.session(json!({"allowedRoutes": ["**"]})).await;
    let answer = session.acting_as(&branch).get("/v1/token/self/fetch").await;
    answer.refused(403, "IMPERSONATION_DENIED");
}

#[tokio::test]
async fn nobody_changes_keys_or_accounts_while_acting_as_another() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let kiosk = branch.child("kiosk").await;
    let key = branch.full_key().await;
    let acting = shop.full_key().await.acting_as(&branch);
    let before = town.database().await;
    for path in [
        "token/create".to_owned(),
        format!("token/{}/update", key.id),
        format!("token/{}/delete", key.id),
        format!("token/{}/rotate", key.id),
        "user/create".to_owned(),
        "user/self/update".to_owned(),
        "user/self/claim".to_owned(),
        format!("user/{}/update", kiosk.id),
        format!("user/{}/suspend", kiosk.id),
    ] {
        let answer = acting.post(&format!("/v1/{path}"), json!({})).await;
        answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    }
    // A wish beside a wish is one for a grandchild.
    let path = format!("/v1/user/{}/session/create", kiosk.id);
    acting
        .post(&path, json!({}))
        .await
        .refused(403, "IMPERSONATION_DENIED");
    assert_eq!(town.database().await, before);
    let list = acting.get("/v1/token/list").await.ok();
    assert_eq!(list["items"][0]["id"], key.id);
}

#[tokio::test]
async fn a_header_that_may_stand_once_is_refused_twice() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    for name in [
        "origin",
        "x-project-id",
        "x-workspace-id",
        "x-bot-id",
        "x-integration-id",
        "idempotency-key",
    ] {
        let twice = key.header(name, "a").header(name, "a");
        let answer = twice.get("/v1/token/self/fetch").await;
        answer.refused(400, "INVALID_REQUEST");
    }
    for value in ["a,b", "a b", "", "*"] {
        let answer = key
            .header("x-project-id", value)
            .get("/v1/token/self/fetch")
            .await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_method_override_is_refused_when_methods_are_narrowed() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({"allowedRoutes": ["GET session/list"]}))
        .await;
    key.get("/v1/session/list").await.ok();
    for name in [
        "x-http-method-override",
        "x-method-override",
        "x-http-method",
        "X_HTTP_Method_Override",
    ] {
        let answer = key.header(name, "POST").get("/v1/session/list").await;
        answer.refused(403, "ROUTE_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn a_browser_may_ask_beforehand_and_never_send_a_wish() {
    let town = Town::new().await;
    let answer = town
        .nobody()
        .origin("https://example.com")
        .header("access-control-request-method", "POST")
        .send("OPTIONS", "/v1/session/renew", Vec::new())
        .await;
    answer.status(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let allowed = answer.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("Authorization") && !allowed.to_lowercase().contains("runas"));
    assert!(answer.body.is_empty());
}
