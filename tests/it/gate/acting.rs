//! Acting as a child through the gate.

use serde_json::json;

use super::support::{allowed, nginx, refused, town};

#[tokio::test]
async fn a_parent_passes_as_its_child_and_the_upstream_is_told_both() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let child = shop
        .child_with(json!({"name": "branch", "email": "branch@example.com"}))
        .await;
    let key = shop.full_key().await;

    for caller in [
        key.acting_as(&child),
        key.header("x-runas-user-email", "branch@example.com"),
        key.header("x-runas-userid", &child.id),
        key.header("x-runas-child-user-email", "branch@example.com"),
    ] {
        let answer = nginx(&caller, "GET", "/v1/bot/b1").await;
        allowed(&answer);
        assert_eq!(answer.header("x-auth-account-id"), Some(&*child.id));
        assert_eq!(answer.header("x-auth-actor-id"), Some(&*shop.id));
        let identity = answer.header("x-auth-identity").unwrap();
        let both = format!("account=\"{}\", actor=\"{}\", ", child.id, shop.id);
        assert!(identity.starts_with(&both), "{identity}");
    }
}

#[tokio::test]
async fn every_failure_of_a_wish_is_one_answer() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let grandchild = child.child("kiosk").await;
    let rival = town.account("rival").await;
    let denying = shop.child("denying").await;
    let policy = json!({"impersonationPolicy": "deny"});
    denying
        .full_key()
        .await
        .post("/v1/user/self/update", policy)
        .await
        .ok();
    let key = shop.full_key().await;
    let routes = json!({"allowedRoutes": ["**"], "impersonation": {"allowedRoutes": ["bot/ok"]}});
    let narrow = shop.key(routes).await;
    let cannot = shop.key(json!({"allowedRoutes": ["**"]})).await;

    let mut answers = Vec::new();
    for account in [&grandchild, &rival, &denying, &shop] {
        answers.push(nginx(&key.acting_as(account), "GET", "/v1/bot/b1").await);
    }
    for wish in ["usr_01kdvdna00v3rs3dtr98h6bcfn", "nonsense"] {
        let caller = key.header("x-runas-user-id", wish);
        answers.push(nginx(&caller, "GET", "/v1/bot/b1").await);
    }
    let caller = key.header("x-runas-user-email", "nobody@example.com");
    answers.push(nginx(&caller, "GET", "/v1/bot/b1").await);
    answers.push(nginx(&narrow.acting_as(&child), "GET", "/v1/bot/b1").await);
    answers.push(nginx(&cannot.acting_as(&child), "GET", "/v1/bot/b1").await);
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    answers.push(nginx(&session.acting_as(&child), "GET", "/v1/bot/b1").await);

    let first = answers.first().unwrap().without_request_id();
    for answer in &answers {
        refused(answer, 403, "IMPERSONATION_DENIED");
        assert_eq!(answer.without_request_id(), first);
    }
    allowed(&nginx(&narrow.acting_as(&child), "GET", "/v1/bot/ok").await);
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_is_refused_and_never_ignored() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let key = shop.full_key().await;
    let acting = key.acting_as(&child);

    for caller in [
        acting.acting_as(&child),
        acting.header("x-runas-user-email", "a@example.com"),
        key.header("x-runas-user-id", ""),
        key.header("x-runas-user-id", &"u".repeat(300)),
        key.header("x_runas_user_id", &child.id),
        key.header("x.runas.user.id", &child.id),
        key.header("x-run-as-user-id", &child.id),
        key.header("x-runas-anything", &child.id),
    ] {
        refused(
            &nginx(&caller, "GET", "/v1/bot/b1").await,
            403,
            "INVALID_REQUEST",
        );
    }
}

#[tokio::test]
async fn unsafe_requests_as_a_child_are_in_the_ledger_of_both() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let key = shop.full_key().await;
    let minted = key
        .acting_as(&child)
        .post("/v1/session/create", json!({"allowedRoutes": ["bot/**"]}))
        .await;
    let session = crate::support::town::Session::of(&town, &minted.ok());

    allowed(&nginx(&key.acting_as(&child), "POST", "/v1/bot/b1/update").await);
    allowed(&nginx(&key.acting_as(&child), "GET", "/v1/bot/b1/fetch").await);
    town.advance_secs(1);
    allowed(&nginx(&session, "DELETE", "/v1/bot/b1").await);
    allowed(&nginx(&key, "POST", "/v1/bot/b1/update").await);
    town.write_batches().await;

    for account in [&shop, &child] {
        let list = account
            .full_key()
            .await
            .get("/v1/audit/list?action=impersonate&order=asc")
            .await
            .ok();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{list}");
        for (item, method, path) in [
            (&items[0], "POST", "bot/b1/update"),
            (&items[1], "DELETE", "bot/b1"),
        ] {
            assert_eq!(item["userId"], *child.id);
            assert_eq!(item["actorId"], *shop.id);
            assert_eq!(item["tokenId"], *key.id);
            assert_eq!(item["details"]["method"], method);
            assert_eq!(item["details"]["path"], path);
        }
        assert_eq!(items[1]["sessionId"], *session.id);
    }
}

#[tokio::test]
async fn no_act_is_left_out_of_the_ledger_however_many_there_are() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let acting = shop.full_key().await.acting_as(&child);

    for _ in 0..1_001 {
        allowed(&nginx(&acting, "POST", "/v1/bot/b1/update").await);
    }

    let written = town.database().await["audit"].len();
    assert!(written >= 1_000, "{written}");
    town.write_batches().await;
    let acts = town.database().await["audit"]
        .iter()
        .filter(|row| row.contains("impersonate"))
        .count();
    assert_eq!(acts, 1_001);
}

#[tokio::test]
async fn acts_that_cannot_be_written_wait_and_are_not_lost() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let acting = shop.full_key().await.acting_as(&child);
    allowed(&nginx(&acting, "POST", "/v1/bot/b1/update").await);

    town.sql("ALTER TABLE audit RENAME TO hidden").await;
    assert!(town.app().write_batches().await.is_err());
    town.sql("ALTER TABLE hidden RENAME TO audit").await;
    town.write_batches().await;

    let rows = town.database().await;
    assert!(rows["audit"].iter().any(|row| row.contains("impersonate")));
}

#[tokio::test]
async fn refusals_of_keys_and_sessions_are_in_the_ledger_once_they_are_known() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let key = shop.full_key().await;
    let session = key.session(json!({"allowedRoutes": ["bot/ok"]})).await;
    let narrow = shop.key(json!({"allowedRoutes": ["bot/ok"]})).await;

    refused(
        &nginx(&narrow, "GET", "/v1/admin").await,
        403,
        "ROUTE_NOT_ALLOWED",
    );
    town.advance_secs(1);
    refused(
        &nginx(&session, "GET", "/v1/admin").await,
        403,
        "ROUTE_NOT_ALLOWED",
    );
    refused(
        &nginx(&town.bearer("sk_live_x"), "GET", "/v1/admin").await,
        401,
        "INVALID_API_KEY",
    );
    town.write_batches().await;

    let list = key
        .get("/v1/audit/list?action=refused&order=asc")
        .await
        .ok();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{list}");
    assert_eq!(items[0]["tokenId"], *narrow.id);
    assert_eq!(items[1]["sessionId"], *session.id);
    assert_eq!(items[1]["details"]["path"], "admin");
}
