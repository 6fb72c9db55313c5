//! Accounts: nobody stops, changes or reaches one by routes alone, or one that is not its own.

use serde_json::json;

use super::support::{is_alive, is_dead, is_ended, refused};
use crate::support::town::Town;

#[tokio::test]
async fn routes_alone_suspend_no_child() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let key = branch.full_key().await;
    let scoped = shop
        .key(json!({"allowedRoutes": ["user/**", "partner/**"]}))
        .await;
    let before = town.database().await;

    for root in [
        "/v1/user",
        "/v1/partner/user",
        "/api/v1/user",
        "/api/v1/partner/user",
    ] {
        for end in ["suspend", "resume", "delete", "update"] {
            let path = format!("{root}/{}/{end}", branch.id);
            let answer = scoped.post(&path, json!({})).await;
            answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
        }
        let answer = scoped.post(&format!("{root}/create"), json!({})).await;
        answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
        for path in [
            format!("{root}/list"),
            format!("{root}/{}/fetch", branch.id),
        ] {
            scoped
                .get(&path)
                .await
                .refused(403, "MANAGEMENT_NOT_ALLOWED");
        }
        let path = format!("{root}/{}/token/create", branch.id);
        let answer = scoped.post(&path, json!({})).await;
        answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
        let path = format!("{root}/{}/session/create", branch.id);
        let answer = scoped.post(&path, json!({})).await;
        answer.status(403);
    }

    assert_eq!(town.database().await, before);
    is_alive(&town, &key.token).await;
}

#[tokio::test]
async fn management_without_the_route_does_nothing() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let key = shop
        .key(json!({"allowedRoutes": ["bot/**"], "manage": ["users", "tokens", "audit"]}))
        .await;

    for path in [
        format!("/v1/user/{}/suspend", branch.id),
        "/v1/user/create".to_owned(),
        "/v1/token/create".to_owned(),
    ] {
        key.post(&path, json!({}))
            .await
            .refused(403, "ROUTE_NOT_ALLOWED");
    }
    key.get("/v1/audit/list")
        .await
        .refused(403, "ROUTE_NOT_ALLOWED");
}

#[tokio::test]
async fn nobody_manages_a_grandchild_itself_or_its_parent() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let desk = branch.child("desk").await;
    let full = shop.full_key().await;
    let before = town.database().await;

    for target in [&desk.id, &shop.id, &town.operator().id] {
        for end in ["suspend", "resume", "delete", "update"] {
            let path = format!("/v1/user/{target}/{end}");
            full.post(&path, json!({})).await.refused(404, "NOT_FOUND");
        }
        let path = format!("/v1/user/{target}/fetch");
        full.get(&path).await.refused(404, "NOT_FOUND");
    }

    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn a_suspended_account_leaves_nothing_alive_and_resume_revives_no_session() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let desk = branch.child("desk").await;
    let (above, own, below) = (
        shop.full_key().await,
        branch.full_key().await,
        desk.full_key().await,
    );
    let wanted = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600});
    let mut sessions = vec![
        own.session(wanted.clone()).await,
        below.session(wanted.clone()).await,
    ];
    let made = above
        .acting_as(&branch)
        .post("/v1/session/create", wanted.clone())
        .await
        .ok();
    sessions.push(crate::support::town::Session::of(&town, &made));

    above
        .post(&format!("/v1/user/{}/suspend", branch.id), json!({}))
        .await
        .ok();

    for key in [&own, &below] {
        is_dead(&town, &key.token).await;
    }
    for session in &sessions {
        is_ended(&town, &session.token).await;
    }
    let answer = above
        .acting_as(&branch)
        .post("/v1/session/create", wanted.clone())
        .await;
    answer.refused(403, "IMPERSONATION_DENIED");

    above
        .post(&format!("/v1/user/{}/resume", branch.id), json!({}))
        .await
        .ok();

    for key in [&own, &below] {
        is_alive(&town, &key.token).await;
    }
    for session in &sessions {
        is_ended(&town, &session.token).await;
    }
    // Nor on a node that knows only the database.
    town.restart().await;
    for session in &sessions {
        is_ended(&town, &session.token).await;
    }
}

#[tokio::test]
async fn a_deleted_account_is_not_resumed() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let key = branch.full_key().await;
    let full = shop.full_key().await;

    full.post(&format!("/v1/user/{}/delete", branch.id), json!({}))
        .await
        .ok();
    for end in ["resume", "suspend", "update"] {
        let path = format!("/v1/user/{}/{end}", branch.id);
        full.post(&path, json!({})).await.refused(404, "NOT_FOUND");
    }
    let path = format!("/v1/user/{}/token/create", branch.id);
    refused(&full.post(&path, json!({})).await);
    is_dead(&town, &key.token).await;
}

#[tokio::test]
async fn no_account_takes_an_owner_or_a_parent_from_a_body() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let other = town.account("other").await;
    let full = shop.full_key().await;
    let before = town.database().await;

    for body in [
        json!({"unrestricted": true, "userId": other.id}),
        json!({"unrestricted": true, "accountId": other.id}),
        json!({"unrestricted": true, "grantorId": other.id}),
        json!({"unrestricted": true, "makerId": null}),
    ] {
        full.post("/v1/token/create", body)
            .await
            .refused(400, "INVALID_REQUEST");
    }
    for body in [json!({"parentId": other.id}), json!({"state": "active"})] {
        full.post("/v1/user/create", body.clone())
            .await
            .refused(400, "INVALID_REQUEST");
    }
    for body in [
        json!({"sub": other.id, "allowedRoutes": ["bot/**"]}),
        json!({"userId": other.id, "allowedRoutes": ["bot/**"]}),
        json!({"act": {"sub": other.id}, "allowedRoutes": ["bot/**"]}),
    ] {
        full.post("/v1/session/create", body)
            .await
            .refused(400, "INVALID_REQUEST");
    }

    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn caller_data_never_becomes_a_claim_of_its_own() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let data = json!({"sub": "usr_x", "act": {"sub": "usr_y"}, "allowedRoutes": ["**"], "exp": 9});

    let session = full
        .session(json!({"allowedRoutes": ["bot/**"], "data": data}))
        .await;

    let claims = session.claims();
    assert_eq!(claims["data"], data);
    assert_ne!(claims["sub"], "usr_x");
    assert!(claims.get("act").is_none());
    assert_eq!(claims["allowedRoutes"], json!(["bot/**"]));
}
