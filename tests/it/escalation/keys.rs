//! A key makes, changes and ends nothing that exceeds it.

use serde_json::{Value, json};

use super::support::{is_alive, is_dead, refused};
use crate::support::town::{Caller, Key, Town};

/// Every way to touch a key.
async fn touches(caller: &Caller, id: &str) -> Vec<crate::support::town::Answer> {
    let at = |end: &str| format!("/v1/token/{id}/{end}");
    vec![
        caller.post(&at("rotate"), json!({})).await,
        caller
            .post(&at("rotate"), json!({"overlapInSeconds": 0}))
            .await,
        caller.post(&at("update"), json!({"name": "mine"})).await,
        caller
            .post(&at("update"), json!({"config": {"allowedRoutes": ["**"]}}))
            .await,
        caller
            .post(&at("update"), json!({"clear": ["allowedRoutes"]}))
            .await,
        caller.post(&at("update"), json!({"enabled": false})).await,
        caller.post(&at("delete"), json!({})).await,
        caller
            .post(&at("delete"), json!({"descendants": false}))
            .await,
    ]
}

#[tokio::test]
async fn routes_alone_rotate_or_widen_neither_an_unrestricted_key_nor_itself() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let scoped = shop.key(json!({"allowedRoutes": ["token/**"]})).await;
    let before = town.database().await;

    for id in [&full.id, &scoped.id] {
        for answer in touches(&scoped, id).await {
            answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
        }
    }
    for path in [
        "/v1/token/list".to_owned(),
        format!("/v1/token/{}/fetch", full.id),
        "/v1/token/template/list".to_owned(),
    ] {
        let answer = scoped.get(&path).await;
        answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    }
    let answer = scoped
        .post(
            "/v1/token/create",
            json!({"config": {"allowedRoutes": ["token/**"]}}),
        )
        .await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");

    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn a_narrow_key_that_manages_touches_no_wider_one() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let wider = shop
        .key(json!({"allowedRoutes": ["token/**", "bot/**"], "manage": ["tokens"]}))
        .await;
    let more_manage = shop
        .key(json!({"allowedRoutes": ["token/**"], "manage": ["tokens", "users"]}))
        .await;
    let narrow = shop
        .key(json!({"allowedRoutes": ["token/**"], "manage": ["tokens"]}))
        .await;
    let before = town.database().await;

    for target in [&full, &wider, &more_manage] {
        for answer in touches(&narrow, &target.id).await {
            answer.status(403);
        }
    }

    assert_eq!(town.database().await, before);
    is_alive(&town, &full.token).await;
}

#[tokio::test]
async fn a_narrow_key_that_manages_ends_no_sessions_of_a_wider_one() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let session = full.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let narrow = shop
        .key(json!({"allowedRoutes": ["session/**"], "manage": ["tokens"]}))
        .await;

    let path = format!("/v1/session/{}/revoke", session.id);
    narrow
        .post(&path, json!({}))
        .await
        .refused(403, "ROUTE_NOT_COVERED");
    let answer = narrow
        .post_form("/oauth2/revoke", &[("token", &session.token)])
        .await;
    answer.status(403);

    is_alive(&town, &session.token).await;
}

#[tokio::test]
async fn sessions_of_another_key_are_neither_seen_nor_ended_without_manage() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let one = shop
        .key(json!({"allowedRoutes": ["session/**", "bot/**"]}))
        .await;
    let other = shop
        .key(json!({"allowedRoutes": ["session/**", "bot/**"]}))
        .await;
    let session = one.session(json!({"allowedRoutes": ["bot/**"]})).await;

    let at = |end: &str| format!("/v1/session/{}/{end}", session.id);
    other.get(&at("fetch")).await.refused(404, "NOT_FOUND");
    other
        .post(&at("revoke"), json!({}))
        .await
        .refused(404, "NOT_FOUND");
    let list = other.get("/v1/session/list").await.ok();
    assert_eq!(list["items"], json!([]));
    let named = format!("/v1/session/list?tokenId={}", one.id);
    assert_eq!(other.get(&named).await.ok()["items"], json!([]));

    is_alive(&town, &session.token).await;
}

/// A key that is narrowed in every dimension, and the body that made it.
fn narrow_body(town: &Town) -> Value {
    json!({
        "expiresAt": town.now_ms() + 86_400_000,
        "config": {
            "allowedRoutes": ["token/**", "session/**", "bot/**"],
            "permissions": ["bots:read"],
            "bindings": {"project": ["p1"]},
            "domains": ["example.com"],
            "cidrs": ["192.0.2.0/24"],
            "session": {
                "allowedRoutes": ["conversation/**"],
                "permissions": ["bots:read"],
                "bindings": {"project": ["p1"]},
                "domains": ["example.com"],
                "audiences": [format!("{}/api", Town::issuer())],
                "maxDurationInSeconds": 600,
                "maxRenewableInSeconds": 600,
            },
            "impersonation": {"allowedRoutes": ["bot/**"], "users": []},
            "manage": ["tokens"],
            "rateLimit": {"requests": 100_000, "perSeconds": 60},
        },
    })
}

fn in_place(key: &Key) -> Caller {
    key.origin("https://example.com")
        .header("x-project-id", "p1")
}

/// What would make it wider, dimension by dimension: a pointer into the body, and the value there.
fn wider() -> Vec<(&'static str, Value)> {
    vec![
        ("/config/allowedRoutes", json!(["**"])),
        (
            "/config/allowedRoutes",
            json!(["token/**", "session/**", "bot/**", "user/list"]),
        ),
        ("/config/permissions", json!(["bots:write"])),
        ("/config/permissions", json!(["admin"])),
        ("/config/bindings/project", json!(["p1", "p2"])),
        ("/config/domains", json!(["example.com", "evil.example"])),
        ("/config/domains", json!(["*.example.com"])),
        ("/config/cidrs", json!(["192.0.2.0/23"])),
        ("/config/cidrs", json!(["192.0.2.0/24", "::1/128"])),
        ("/config/session/allowedRoutes", json!(["**"])),
        ("/config/session/allowedRoutes", json!(["bot/**"])),
        ("/config/session/permissions", json!(["bots:write"])),
        ("/config/session/bindings/project", json!(["p2"])),
        ("/config/session/domains", json!(["evil.example"])),
        ("/config/session/maxDurationInSeconds", json!(601)),
        ("/config/session/maxRenewableInSeconds", json!(601)),
        ("/config/impersonation", json!(true)),
        (
            "/config/impersonation",
            json!({"allowedRoutes": ["**"], "users": []}),
        ),
        (
            "/config/impersonation",
            json!({"allowedRoutes": ["bot/**"]}),
        ),
        ("/config/manage", json!(["tokens", "users"])),
        ("/config/manage", json!(["tokens", "introspect"])),
        (
            "/config/rateLimit",
            json!({"requests": 100_001, "perSeconds": 60}),
        ),
        (
            "/config/rateLimit",
            json!({"requests": 100_000, "perSeconds": 59}),
        ),
        ("/expiresAt", json!(1_967_225_600_000_i64)),
        ("/operator", json!(true)),
    ]
}

/// What would make a new key wider by being left out.
const LEFT_OUT: &[&str] = &[
    "/config/allowedRoutes",
    "/config/permissions",
    "/config/bindings",
    "/config/domains",
    "/config/cidrs",
    "/config/session",
    "/config/session/allowedRoutes",
    "/config/session/maxDurationInSeconds",
    "/config/session/maxRenewableInSeconds",
    "/config/rateLimit",
    "/expiresAt",
];

fn with(body: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(name.to_owned(), value),
        None => parent.remove(name),
    };
    body
}

#[tokio::test]
async fn no_key_makes_one_that_is_wider_in_any_dimension() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let body = narrow_body(&town);
    let narrow = in_place(&shop.make_key(body.clone()).await);
    // The same again is allowed, so that each refusal below is for its one reason.
    narrow.post("/v1/token/create", body.clone()).await.ok();

    let before = town.database().await;
    for (pointer, value) in wider() {
        let wide = with(&body, pointer, Some(value.clone()));
        let answer = narrow.post("/v1/token/create", wide).await;
        assert_eq!(answer.status.as_u16(), 403, "{pointer} {value}: {answer}");
    }
    for pointer in LEFT_OUT {
        for absent in [None, Some(Value::Null)] {
            let wide = with(&body, pointer, absent);
            let answer = narrow.post("/v1/token/create", wide).await;
            assert_eq!(answer.status.as_u16(), 403, "no {pointer}: {answer}");
        }
    }
    for template in ["full-access", "read-only", "bot-management"] {
        let answer = narrow
            .post("/v1/token/create", json!({"template": template}))
            .await;
        refused(&answer);
    }
    let answer = narrow
        .post("/v1/token/create", json!({"unrestricted": true}))
        .await;
    refused(&answer);
    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn no_key_widens_itself_or_its_equal_in_any_dimension() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let body = narrow_body(&town);
    let narrow = shop.make_key(body.clone()).await;
    let equal = shop.make_key(body).await;
    let caller = in_place(&narrow);
    let before = town.database().await;

    for id in [&narrow.id, &equal.id] {
        let path = format!("/v1/token/{id}/update");
        for (pointer, value) in wider() {
            if pointer == "/operator" {
                continue;
            }
            let changes = match pointer.strip_prefix("/config/") {
                None => with(&json!({}), pointer, Some(value.clone())),
                Some(field) => {
                    let mut config = value.clone();
                    for name in field.rsplit('/') {
                        config = json!({ name: config });
                    }
                    json!({ "config": config })
                }
            };
            let answer = caller.post(&path, changes.clone()).await;
            assert_eq!(answer.status.as_u16(), 403, "{changes}: {answer}");
        }
        for pointer in LEFT_OUT {
            let dimension = pointer.trim_start_matches("/config/").replace('/', ".");
            let dimension = dimension.trim_start_matches('.');
            let answer = caller.post(&path, json!({"clear": [dimension]})).await;
            assert_eq!(answer.status.as_u16(), 403, "clear {dimension}: {answer}");
        }
        for unknown in [
            json!({"operator": true}),
            json!({"unrestricted": true}),
            json!({"environment": "test"}),
            json!({"userId": town.operator().id}),
            json!({"grantorId": null}),
        ] {
            refused(&caller.post(&path, unknown).await);
        }
    }

    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn an_absent_a_null_or_a_partial_config_widens_nothing() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let body = with(&narrow_body(&town), "/config/session/audiences", None);
    let target = shop.make_key(body).await;
    let effective = async || {
        let shown = in_place(&target).get("/v1/token/self/fetch").await.ok();
        shown["effective"].clone()
    };
    let before = effective().await;

    let path = format!("/v1/token/{}/update", target.id);
    for changes in [
        json!({}),
        json!({"config": null}),
        json!({"config": {}}),
        json!({"config": {"allowedRoutes": null, "permissions": null, "bindings": null}}),
        json!({"config": {"domains": null, "cidrs": null, "session": null, "manage": null}}),
        json!({"config": {"session": {"allowedRoutes": null, "domains": null}}}),
        json!({"config": {"impersonation": null, "rateLimit": null}}),
        json!({"expiresAt": null, "enabled": null, "clear": null}),
        json!({"clear": []}),
    ] {
        full.post(&path, changes.clone()).await.ok();
        assert_eq!(effective().await, before, "{changes}");
    }
}

#[tokio::test]
async fn an_empty_list_is_never_read_as_no_restriction() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let nothing = shop.key(json!({"allowedRoutes": []})).await;
    let no_permission = shop.key(json!({"permissions": []})).await;
    let no_domain = shop
        .key(json!({"allowedRoutes": ["**"], "domains": []}))
        .await;
    let no_address = shop
        .key(json!({"allowedRoutes": ["**"], "cidrs": []}))
        .await;
    let no_project = shop.key(json!({"bindings": {"project": []}})).await;

    let wanted = json!({"allowedRoutes": ["bot/**"]});
    for key in [&nothing, &no_domain, &no_address, &no_project] {
        let answer = key.post("/v1/session/create", wanted.clone()).await;
        answer.status(403);
        let answer = key
            .origin("https://example.com")
            .header("x-project-id", "p1")
            .post("/v1/session/create", wanted.clone())
            .await;
        answer.status(403);
    }
    let session = no_permission.session(wanted).await;
    assert_eq!(session.claims()["scope"], "");
}

#[tokio::test]
async fn a_key_with_permissions_alone_manages_nothing() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let full = shop.full_key().await;
    for permissions in [json!(["admin"]), json!(["bots:read", "bots:write"])] {
        let key = shop.key(json!({ "permissions": permissions })).await;
        let before = town.database().await;

        for answer in touches(&key, &full.id).await {
            answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
        }
        for (path, body) in [
            ("/v1/token/create".to_owned(), json!({"permissions": []})),
            ("/v1/user/create".to_owned(), json!({"name": "x"})),
            (format!("/v1/user/{}/suspend", branch.id), json!({})),
            ("/v1/user/self/update".to_owned(), json!({"name": "x"})),
        ] {
            let answer = key.post(&path, body).await;
            answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
        }
        for path in ["/v1/user/list", "/v1/audit/list", "/v1/token/list"] {
            key.get(path).await.refused(403, "MANAGEMENT_NOT_ALLOWED");
        }
        // Nor does it act as a child.
        let path = format!("/v1/user/{}/session/create", branch.id);
        key.post(&path, json!({}))
            .await
            .refused(403, "IMPERSONATION_DENIED");
        assert_eq!(town.database().await, before);
    }
}

#[tokio::test]
async fn no_ordinary_key_makes_changes_rotates_or_ends_an_operator_key() {
    let town = Town::new().await;
    let operator = town.operator_key().await;
    let first = town.first_key().await;
    let session = operator.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let before = town.database().await;

    let body = json!({"operator": true, "unrestricted": true});
    first
        .post("/v1/token/create", body)
        .await
        .refused(403, "MANAGEMENT_NOT_ALLOWED");
    let body = json!({"operator": true, "config": {"allowedRoutes": ["bot/**"]}});
    refused(&first.post("/v1/token/create", body).await);
    for answer in touches(&first, &operator.id).await {
        answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    }
    let path = format!("/v1/session/{}/revoke", session.id);
    refused(&first.post(&path, json!({})).await);
    let body = json!({"config": {"allowedRoutes": ["bot/**"], "manage": ["introspect"]}});
    refused(&first.post("/v1/token/create", body).await);
    let path = format!("/v1/token/{}/update", first.id);
    let body = json!({"config": {"manage": ["introspect"]}});
    refused(&first.post(&path, body).await);

    assert_eq!(town.database().await, before);
    is_alive(&town, &operator.token).await;
}

#[tokio::test]
async fn no_ordinary_key_does_what_only_an_operator_may() {
    let town = Town::new().await;
    let first = town.first_key().await;
    let keys = town
        .operator_key()
        .await
        .get("/v1/signing-key/list")
        .await
        .ok();
    let kid = keys["items"][0]["kid"].as_str().unwrap().to_owned();
    let before = town.database().await;

    first
        .get("/v1/signing-key/list")
        .await
        .refused(403, "MANAGEMENT_NOT_ALLOWED");
    let digest = "0".repeat(64);
    for (path, body) in [
        (
            "/v1/signing-key/rotate".to_owned(),
            json!({"environment": "live"}),
        ),
        (format!("/v1/signing-key/{kid}/revoke"), json!({})),
        (
            "/v1/token/import".to_owned(),
            json!({"digest": digest, "config": {"allowedRoutes": ["bot/**"]}}),
        ),
        ("/v1/user/create".to_owned(), json!({"root": true})),
    ] {
        let answer = first.post(&path, body).await;
        answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    }

    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn no_operator_power_exists_outside_the_operator_account() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let operator = town.operator_key().await;

    let body = json!({"operator": true, "unrestricted": true});
    refused(&shop.cli().post("/v1/token/create", body.clone()).await);
    let path = format!("/v1/user/{}/token/create", shop.id);
    refused(&operator.post(&path, body).await);
    let body = json!({"unrestricted": true});
    let made = operator.post(&path, body).await;
    let granted = if made.status.is_success() {
        made.ok()
    } else {
        operator.post(&path, json!({})).await.ok()
    };
    let granted = Key::of(&town, &granted);
    let shown = granted.get("/v1/token/self/fetch").await.ok();
    assert_eq!(shown["token"]["operator"], false);
    refused(&granted.get("/v1/signing-key/list").await);
}

#[tokio::test]
async fn a_test_key_changes_no_live_thing() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let live = shop.full_key().await;
    let session = live.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let test = shop.test_key().await;
    let before = town.database().await;

    for answer in touches(&test, &live.id).await {
        answer.refused(404, "NOT_FOUND");
    }
    for (path, body) in [
        ("/v1/user/create".to_owned(), json!({"name": "x"})),
        (
            format!("/v1/user/{}/update", branch.id),
            json!({"name": "x"}),
        ),
        (format!("/v1/user/{}/suspend", branch.id), json!({})),
        (format!("/v1/user/{}/resume", branch.id), json!({})),
        (format!("/v1/user/{}/delete", branch.id), json!({})),
        (
            "/v1/user/self/update".to_owned(),
            json!({"impersonationPolicy": "deny"}),
        ),
        (
            "/v1/token/create".to_owned(),
            json!({"environment": "live", "unrestricted": true}),
        ),
        (
            format!("/v1/user/{}/token/create", branch.id),
            json!({"environment": "live"}),
        ),
        (format!("/v1/session/{}/revoke", session.id), json!({})),
    ] {
        refused(&test.post(&path, body).await);
    }
    let list = test.get("/v1/token/list").await.ok();
    let shown = list["items"].as_array().unwrap();
    assert!(shown.iter().all(|item| item["environment"] == "test"));
    let list = test.get("/v1/session/list").await.ok();
    assert_eq!(list["items"], json!([]));
    let verified = test
        .post("/v1/session/verify", json!({"token": session.token}))
        .await
        .ok();
    assert_eq!(verified, json!({"active": false}));

    assert_eq!(town.database().await, before);
    is_alive(&town, &session.token).await;
}

#[tokio::test]
async fn a_test_operator_key_rotates_and_revokes_no_signing_key() {
    let town = Town::new().await;
    let test = town
        .operator()
        .make_key(json!({"operator": true, "unrestricted": true, "environment": "test"}))
        .await;
    let keys = test.get("/v1/signing-key/list").await.ok();
    let kid = keys["items"][0]["kid"].as_str().unwrap().to_owned();

    let path = format!("/v1/signing-key/{kid}/revoke");
    refused(&test.post(&path, json!({})).await);
    let body = json!({"environment": "live"});
    refused(&test.post("/v1/signing-key/rotate", body).await);
    refused(&test.post("/v1/user/create", json!({"root": true})).await);
    let digest = "0".repeat(64);
    let body =
        json!({"digest": digest, "config": {"allowedRoutes": ["bot/**"]}, "environment": "live"});
    refused(&test.post("/v1/token/import", body).await);
}

#[tokio::test]
async fn a_key_of_one_account_does_not_reach_into_another() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let other = town.account("other").await;
    let theirs = other.full_key().await;
    let session = theirs.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let full = shop.full_key().await;
    let before = town.database().await;

    for answer in touches(&full, &theirs.id).await {
        answer.refused(404, "NOT_FOUND");
    }
    for end in ["update", "suspend", "resume", "delete"] {
        let path = format!("/v1/user/{}/{end}", other.id);
        full.post(&path, json!({})).await.refused(404, "NOT_FOUND");
    }
    let path = format!("/v1/session/{}/revoke", session.id);
    full.post(&path, json!({})).await.refused(404, "NOT_FOUND");
    let answer = full
        .post("/v1/session/verify", json!({"token": session.token}))
        .await;
    assert_eq!(answer.ok(), json!({"active": false}));

    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn a_disabled_or_expired_key_does_not_bring_itself_back() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let key = shop
        .make_key(json!({
            "config": {"allowedRoutes": ["token/**"], "manage": ["tokens"]},
            "expiresAt": town.now_ms() + 60_000,
        }))
        .await;
    let path = format!("/v1/token/{}/update", key.id);

    full.post(&path, json!({"enabled": false})).await.ok();
    let answer = key.post(&path, json!({"enabled": true})).await;
    answer.refused(401, "INVALID_API_KEY");
    full.post(&path, json!({"enabled": true})).await.ok();
    town.advance_secs(61);
    let later = json!({"expiresAt": town.now_ms() + 60_000});
    let answer = key.post(&path, later).await;
    answer.refused(401, "API_KEY_EXPIRED");
    is_dead(&town, &key.token).await;
}
