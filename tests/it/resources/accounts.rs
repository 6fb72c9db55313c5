//! `/v1/user/…`: children, and the account itself.

use serde_json::json;

use crate::support::town::{Key, Town};

#[tokio::test]
async fn a_child_is_made_shown_found_and_changed() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let body = json!({
        "name": "Branch", "email": " Branch@Example.COM ", "alias": "b", "description": "d",
        "image": "https://example.com/i.png", "limits": {"bots": 3}, "meta": {"plan": "pro"},
        "externalId": "e1",
    });
    let made = owner.post("/v1/user/create", body).await.ok();
    let id = made["id"].as_str().unwrap();
    let path = format!("/v1/user/{id}/fetch");
    let shown = owner.get(&path).await.ok();
    assert_eq!(shown["email"], "branch@example.com");
    assert_eq!(shown["parentId"], shop.id);
    assert_eq!(shown["state"], "active");
    assert_eq!(shown["limits"], json!({"bots": 3}));
    for query in [
        "email=branch@example.com",
        "email=BRANCH%40example.com",
        "externalId=e1",
        "meta.plan=pro",
    ] {
        let page = owner.get(&format!("/v1/user/list?{query}")).await.ok();
        assert_eq!(page["items"], json!([shown]), "{query}");
    }
    let update = format!("/v1/user/{id}/update");
    owner
        .post(
            &update,
            json!({"name": "Renamed", "clear": ["meta", "email"], "alias": null}),
        )
        .await
        .ok();
    let shown = owner.get(&path).await.ok();
    assert_eq!(shown["name"], "Renamed");
    assert_eq!(shown["alias"], "b");
    assert_eq!(shown.get("email"), None);
    assert_eq!(shown.get("meta"), None);
    for wrong in [
        json!({"clear": ["id"]}),
        json!({"root": true}),
        json!({"parentId": "x"}),
        json!({"name": "a\u{0}b"}),
        json!({"meta": {"m": "x".repeat(4096)}}),
    ] {
        owner
            .post(&update, wrong)
            .await
            .refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn an_address_is_taken_among_siblings_and_free_among_cousins() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let rival = town.account("rival").await;
    let owner = shop.full_key().await;
    let body = json!({"email": "branch@example.com"});
    let first = owner.post("/v1/user/create", body.clone()).await.ok();
    let upper = json!({"email": "BRANCH@example.com"});
    owner
        .post("/v1/user/create", upper)
        .await
        .refused(409, "CONFLICT");
    rival
        .full_key()
        .await
        .post("/v1/user/create", body.clone())
        .await
        .ok();

    let second = owner
        .post("/v1/user/create", json!({"name": "second"}))
        .await
        .ok();
    let update = format!("/v1/user/{}/update", second["id"].as_str().unwrap());
    owner
        .post(&update, body.clone())
        .await
        .refused(409, "CONFLICT");
    let delete = format!("/v1/user/{}/delete", first["id"].as_str().unwrap());
    owner.post(&delete, json!({})).await.ok();
    owner.post(&update, body).await.ok();
}

#[tokio::test]
async fn an_address_that_only_looks_like_another_is_refused() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    for wrong in [
        "аdmin@example.com",
        "admin@exаmple.com",
        "admin@example。com",
        "admin@example.com\u{200b}",
        "ad\u{00ad}min@example.com",
        "ſhop@example.com",
        "\u{212a}elvin@example.com",
        "a b@example.com",
        "a@b@example.com",
        "\"a b\"@example.com",
        "a@",
        "@example.com",
        "a",
        "",
        "a,b@example.com",
        "a@example..com",
        "a@.example.com",
        "a\n@example.com",
        "<a@example.com>",
    ] {
        let answer = owner.post("/v1/user/create", json!({"email": wrong})).await;
        let told = answer.refused(400, "INVALID_REQUEST");
        assert_eq!(told["error"]["field"], "email", "{wrong}");
    }
}

#[tokio::test]
async fn suspending_ends_everything_below_at_once_and_resuming_brings_keys_back() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let keys = [shop.full_key().await, branch.full_key().await];
    let mut sessions = Vec::new();
    for key in &keys {
        sessions.push(key.session(json!({"allowedRoutes": ["**"]})).await);
    }
    let top = town.first_key().await;
    top.post(&format!("/v1/user/{}/suspend", shop.id), json!({}))
        .await
        .ok();
    for key in &keys {
        key.get("/v1/token/self/fetch")
            .await
            .refused(401, "INVALID_API_KEY");
    }
    for session in &sessions {
        session
            .get("/v1/token/self/fetch")
            .await
            .refused(401, "INVALID_TOKEN");
    }
    let answer = top
        .acting_as(&shop)
        .post("/v1/session/create", json!({"allowedRoutes": ["**"]}))
        .await;
    answer.refused(403, "IMPERSONATION_DENIED");

    top.post(&format!("/v1/user/{}/resume", shop.id), json!({}))
        .await
        .ok();
    for key in &keys {
        key.get("/v1/token/self/fetch").await.ok();
    }
    for session in &sessions {
        session
            .get("/v1/token/self/fetch")
            .await
            .refused(401, "INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_all_below_it() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop.child("branch").await.full_key().await;
    let top = town.first_key().await;
    top.post(&format!("/v1/user/{}/delete", shop.id), json!({}))
        .await
        .ok();
    key.get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    for path in ["fetch", "resume", "suspend", "delete", "update"] {
        let path = format!("/v1/user/{}/{path}", shop.id);
        let answer = if path.ends_with("fetch") {
            top.get(&path).await
        } else {
            top.post(&path, json!({})).await
        };
        answer.refused(404, "NOT_FOUND");
    }
    assert_eq!(top.get("/v1/user/list").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn a_tree_is_at_most_8_deep() {
    let town = Town::new().await;
    let mut account = town.operator();
    for _ in 0..7 {
        account = account.child("below").await;
    }
    let key = account.full_key().await;
    let answer = key.post("/v1/user/create", json!({"name": "ninth"})).await;
    answer.refused(409, "CONFLICT");
}

#[tokio::test]
async fn a_child_alone_says_whether_it_may_be_acted_as() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let owner = shop.full_key().await;
    let own = branch.full_key().await;
    let acting = owner.acting_as(&branch);
    let minted = acting
        .post("/v1/session/create", json!({"allowedRoutes": ["**"]}))
        .await
        .ok();
    let session = crate::support::town::Session::of(&town, &minted);

    let deny = json!({"impersonationPolicy": "deny"});
    // Neither by update from above nor while acting as it.
    let path = format!("/v1/user/{}/update", branch.id);
    owner
        .post(&path, deny.clone())
        .await
        .refused(400, "INVALID_REQUEST");
    let answer = acting.post("/v1/user/self/update", deny.clone()).await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    own.post("/v1/user/self/update", deny).await.ok();

    session
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    let answer = acting.get("/v1/user/self/fetch").await;
    answer.refused(403, "IMPERSONATION_DENIED");
    own.post(
        "/v1/user/self/update",
        json!({"impersonationPolicy": "allow"}),
    )
    .await
    .ok();
    let shown = acting.get("/v1/user/self/fetch").await.ok();
    assert_eq!(shown["id"], branch.id);
    let answer = own
        .post(
            "/v1/user/self/update",
            json!({"impersonationPolicy": "ask"}),
        )
        .await;
    answer.refused(400, "INVALID_REQUEST");
    for managed in [
        json!({"canImpersonate": true}),
        json!({"email": "x@example.com"}),
        json!({"limits": {}}),
        json!({"externalId": "e"}),
    ] {
        own.post("/v1/user/self/update", managed)
            .await
            .refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn every_failed_wish_to_act_as_somebody_is_the_same_answer() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop
        .child_with(json!({"email": "branch@example.com"}))
        .await;
    let grandchild = branch.child("kiosk").await;
    let rival = town.account("rival").await;
    let owner = shop.full_key().await;
    owner
        .header("x-runas-user-email", "Branch@example.com")
        .get("/v1/user/self/fetch")
        .await
        .ok();
    let barred = shop
        .key(json!({"allowedRoutes": ["**"], "manage": ["users"]}))
        .await;
    let parent = town.operator();
    let mut answers = vec![
        barred.acting_as(&branch).get("/v1/user/self/fetch").await,
        owner
            .header("x-runas-user-email", "nobody@example.com")
            .get("/v1/user/self/fetch")
            .await,
        owner
            .header("x-runas-user-email", "not-an-address")
            .get("/v1/user/self/fetch")
            .await,
        owner
            .header("x-runas-user-id", "nonsense")
            .get("/v1/user/self/fetch")
            .await,
        owner
            .header("x-runas-user-id", "usr_01kdvdna003mv6vz9g0e6qe11w")
            .get("/v1/user/self/fetch")
            .await,
    ];
    for wrong in [&grandchild, &rival, &shop, &parent] {
        answers.push(owner.acting_as(wrong).get("/v1/user/self/fetch").await);
    }
    for answer in &answers {
        answer.refused(403, "IMPERSONATION_DENIED");
        assert_eq!(answer.without_request_id(), answers[0].without_request_id());
    }
}

#[tokio::test]
async fn a_child_claims_its_first_own_key_once_and_ends_the_granted_ones() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let owner = shop.full_key().await;
    let path = format!("/v1/user/{}/token/create", branch.id);
    let granted = Key::of(
        &town,
        &owner.post(&path, json!({"unrestricted": true})).await.ok(),
    );
    let shown = granted.get("/v1/token/self/fetch").await.ok();
    assert_eq!(shown["userId"], branch.id);
    assert_eq!(shown["token"]["grantorId"], shop.id);
    let session = granted.session(json!({"allowedRoutes": ["**"]})).await;
    assert_eq!(session.claims()["act"], json!({"sub": shop.id}));
    let answer = granted
        .post("/v1/user/self/update", json!({"name": "x"}))
        .await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");

    let made = granted
        .post("/v1/user/self/claim", json!({"unrestricted": true}))
        .await
        .ok();
    let own = Key::of(&town, &made);
    let shown = own.get("/v1/token/self/fetch").await.ok();
    assert_eq!(shown["token"].get("grantorId"), None);
    granted
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    session
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    own.post("/v1/user/self/update", json!({"name": "x"}))
        .await
        .ok();

    let again = Key::of(
        &town,
        &owner.post(&path, json!({"unrestricted": true})).await.ok(),
    );
    let answer = again
        .post("/v1/user/self/claim", json!({"unrestricted": true}))
        .await;
    answer.refused(409, "CONFLICT");
    let answer = own
        .post("/v1/user/self/claim", json!({"unrestricted": true}))
        .await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
}

#[tokio::test]
async fn roots_are_made_by_operators_alone() {
    let town = Town::new().await;
    let root = json!({"name": "another root", "root": true});
    let first = town.first_key().await;
    let answer = first.post("/v1/user/create", root.clone()).await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    let operator = town.operator_key().await;
    let made = operator.post("/v1/user/create", root).await.ok();
    let path = format!("/v1/user/{}/fetch", made["id"].as_str().unwrap());
    // It is nobody's child, the operator's neither.
    operator.get(&path).await.refused(404, "NOT_FOUND");
    assert_eq!(town.cli().get(&path).await.ok().get("parentId"), None);
}
