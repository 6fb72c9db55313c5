//! `/v1/token/…`: made, shown, changed, rotated, reported, imported.

use serde_json::{Value, json};

use crate::support::town::{Key, Town};

pub(super) async fn item(key: &Key, id: &str) -> Value {
    key.get(&format!("/v1/token/{id}/fetch")).await.ok()
}

#[tokio::test]
async fn a_key_must_be_narrowed_or_said_to_be_unrestricted() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    for nothing in [
        json!({}),
        json!({"unrestricted": false}),
        json!({"unrestricted": null, "config": null}),
        json!({"config": {}}),
        json!({"config": {"allowedRoutes": null}}),
        json!({"config": {"domains": ["example.com"]}}),
    ] {
        let answer = owner.post("/v1/token/create", nothing.clone()).await;
        let told = answer.refused(400, "INVALID_REQUEST");
        assert_eq!(told["error"]["field"], "config", "{nothing}");
    }
    for enough in [
        json!({"unrestricted": true}),
        json!({"template": "read-only"}),
        json!({"config": {"allowedRoutes": []}}),
        json!({"config": {"permissions": ["bots:read"]}}),
        json!({"config": {"projects": ["p1"]}}),
    ] {
        owner.post("/v1/token/create", enough).await.ok();
    }
}

#[tokio::test]
async fn an_empty_list_means_nothing_and_null_means_not_narrowed() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let none = shop.key(json!({"allowedRoutes": []})).await;
    let body = json!({"allowedRoutes": ["order/**"]});
    let answer = none.post("/v1/session/create", body.clone()).await;
    answer.refused(403, "ROUTE_NOT_ALLOWED");
    let all = shop
        .make_key(json!({"unrestricted": true, "config": {"allowedRoutes": null}}))
        .await;
    all.post("/v1/session/create", body).await.ok();
}

#[tokio::test]
async fn a_key_has_the_form_that_scanners_know_and_is_shown_once() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    for (kind, environment) in [
        ("sk", "live"),
        ("pat", "test"),
        ("bot", "live"),
        ("int", "test"),
    ] {
        let body = json!({"unrestricted": true, "kind": kind, "environment": environment});
        let made = owner.post("/v1/token/create", body).await.ok();
        let token = made["token"].as_str().unwrap();
        let prefix = format!("{kind}_{environment}_");
        assert!(token.starts_with(&prefix), "{token}");
        assert_eq!(token.len(), prefix.len() + 49);
        let shown = owner
            .get(&format!("/v1/token/{}/fetch", made["id"].as_str().unwrap()))
            .await;
        shown.ok();
        assert!(!shown.text().contains(token), "{shown}");
        assert!(!town.database().await.concat_all().contains(token));
    }
}

trait ConcatAll {
    fn concat_all(&self) -> String;
}

impl ConcatAll for std::collections::BTreeMap<&'static str, Vec<String>> {
    fn concat_all(&self) -> String {
        self.values().flatten().map(String::as_str).collect()
    }
}

#[tokio::test]
async fn every_shipped_template_makes_a_key() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let list = owner.get("/v1/token/template/list").await.ok();
    let templates = list["items"].as_array().unwrap();
    assert_eq!(templates.len(), 13);
    for template in templates {
        let names = template["placeholders"].as_array().unwrap();
        let filled: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| (name.as_str().unwrap().to_owned(), json!("b1")))
            .collect();
        let mut body = json!({"template": template["name"]});
        if !filled.is_empty() {
            let missing = owner.post("/v1/token/create", body.clone()).await;
            missing.refused(400, "INVALID_REQUEST");
            body["placeholders"] = json!(filled);
        }
        let made = owner.post("/v1/token/create", body).await.ok();
        let shown = item(&owner, made["id"].as_str().unwrap()).await;
        assert_eq!(shown["kind"], template["kind"], "{template}");
    }
    let answer = owner
        .post("/v1/token/create", json!({"template": "nonsense"}))
        .await;
    answer.refused(400, "INVALID_REQUEST");
    let body = json!({"template": "bot-session-create", "placeholders": {"botId": "**"}});
    let answer = owner.post("/v1/token/create", body).await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_clears_what_it_says() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let body = json!({
        "name": "till", "description": "by the door", "meta": {"plan": "pro"}, "externalId": "e1",
        "expiresAt": town.now_ms() + 1_000_000,
        "config": {"allowedRoutes": ["order/**"], "domains": ["example.com"], "cidrs": ["192.0.2.0/24"]},
    });
    let key = owner.make_key(body).await;
    let path = format!("/v1/token/{}/update", key.id);

    // Absent and null mean unchanged.
    let before = item(&owner, &key.id).await;
    owner
        .post(&path, json!({"name": null, "config": null}))
        .await
        .ok();
    owner
        .post(&path, json!({"config": {"domains": null}}))
        .await
        .ok();
    owner.post(&path, json!({})).await.ok();
    assert_eq!(item(&owner, &key.id).await, before);

    owner
        .post(&path, json!({"config": {"allowedRoutes": ["order/*"]}}))
        .await
        .ok();
    let after = item(&owner, &key.id).await;
    assert_eq!(after["config"]["allowedRoutes"], json!(["order/*"]));
    assert_eq!(after["config"]["domains"], json!(["example.com"]));

    let clear = json!([
        "domains",
        "cidrs",
        "name",
        "description",
        "meta",
        "externalId",
        "expiresAt"
    ]);
    owner.post(&path, json!({"clear": clear})).await.ok();
    let after = item(&owner, &key.id).await;
    assert_eq!(after["config"], json!({"allowedRoutes": ["order/*"]}));
    for gone in ["name", "description", "meta", "externalId", "expiresAt"] {
        assert_eq!(after.get(gone), None, "{gone}");
    }
    for wrong in ["everything", "enabled", "kind", ""] {
        let answer = owner.post(&path, json!({"clear": [wrong]})).await;
        let told = answer.refused(400, "INVALID_REQUEST");
        assert_eq!(told["error"]["field"], "clear");
    }
    let past = json!({"expiresAt": town.now_ms()});
    owner
        .post(&path, past)
        .await
        .refused(400, "INVALID_REQUEST");
    let answer = owner.post(&path, json!({"kind": "pat"})).await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn keys_are_found_by_external_id_environment_and_meta() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let made = owner
        .make_key(json!({"unrestricted": true, "externalId": "e1", "environment": "test", "meta": {"plan": "pro", "seats": 3}}))
        .await;
    for query in [
        "externalId=e1",
        "environment=test",
        "meta.plan=pro",
        "meta.seats=3",
        "meta.plan=pro&meta.seats=3",
    ] {
        let page = owner.get(&format!("/v1/token/list?{query}")).await.ok();
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{query}");
        assert_eq!(page["items"][0]["id"], made.id);
    }
    for query in [
        "externalId=e2",
        "meta.plan=free",
        "meta.none=x",
        "meta.plan=pro&meta.seats=4",
    ] {
        let page = owner.get(&format!("/v1/token/list?{query}")).await.ok();
        assert_eq!(page["items"], json!([]), "{query}");
    }
    let answer = owner.get("/v1/token/list?environment=prod").await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_test_key_sees_and_makes_test_keys_alone() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let live = shop.full_key().await;
    let test = shop.test_key().await;
    let page = test.get("/v1/token/list").await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["id"], test.id);
    test.get(&format!("/v1/token/{}/fetch", live.id))
        .await
        .refused(404, "NOT_FOUND");
    let made = test.make_key(json!({"unrestricted": true})).await;
    assert_eq!(item(&live, &made.id).await["environment"], "test");
    let body = json!({"unrestricted": true, "environment": "live"});
    let answer = test.post("/v1/token/create", body).await;
    answer.refused(403, "RESTRICTION_NOT_COVERED");
    let session = made.session(json!({"allowedRoutes": ["**"]})).await;
    assert_eq!(session.claims()["iss"], format!("{}/test", Town::issuer()));
}

#[tokio::test]
async fn a_rotated_key_has_two_secrets_for_the_overlap_and_then_one() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let old = owner.make_key(json!({"unrestricted": true})).await;
    let session = old
        .session(json!({"allowedRoutes": ["**"], "durationInSeconds": 86_400}))
        .await;
    let path = format!("/v1/token/{}/rotate", old.id);
    let made = owner
        .post(&path, json!({"overlapInSeconds": 60}))
        .await
        .ok();
    let new = Key::of(&town, &made);
    assert_eq!(new.id, old.id);
    assert_eq!(made["previousExpiresAt"], town.now_ms() + 60_000);

    old.get("/v1/token/self/fetch").await.ok();
    new.get("/v1/token/self/fetch").await.ok();
    let shown = item(&owner, &old.id).await;
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 2);
    town.advance_secs(60);
    old.get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    new.get("/v1/token/self/fetch").await.ok();
    // The key lives on, so its sessions do.
    session.get("/v1/token/self/fetch").await.ok();
    for wrong in ["-1", "1.5", "2592001", "\"0\""] {
        let body = format!(r#"{{"overlapInSeconds": {wrong}}}"#);
        let answer = owner.post_bytes(&path, body).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_cut_secret_ends_sessions_and_the_keys_that_were_made_with_it() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let leaked = owner.make_key(json!({"unrestricted": true})).await;
    let session = leaked.session(json!({"allowedRoutes": ["**"]})).await;
    let made_with_it = leaked.make_key(json!({"unrestricted": true})).await;
    let path = format!("/v1/token/{}/rotate", leaked.id);
    let new = Key::of(
        &town,
        &owner.post(&path, json!({"overlapInSeconds": 0})).await.ok(),
    );

    leaked
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    session
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    made_with_it
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    new.get("/v1/token/self/fetch").await.ok();
    // What is made from now on is of the new secret.
    let child = new.make_key(json!({"unrestricted": true})).await;
    child.get("/v1/token/self/fetch").await.ok();
    let body = json!({"overlapInSeconds": 0, "descendants": false});
    owner.post(&path, body).await.ok();
    child.get("/v1/token/self/fetch").await.ok();
}

#[tokio::test]
async fn a_key_has_five_living_secrets_at_most() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    let path = format!("/v1/token/{}/rotate", key.id);
    for _ in 0..4 {
        owner.post(&path, json!({})).await.ok();
    }
    owner.post(&path, json!({})).await.refused(409, "CONFLICT");
    owner.post(&path, json!({"overlapInSeconds": 0})).await.ok();
}

#[tokio::test]
async fn a_disabled_key_is_refused_like_an_unknown_one_and_comes_back() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let path = format!("/v1/token/{}/update", key.id);
    owner.post(&path, json!({"enabled": false})).await.ok();
    assert_eq!(item(&owner, &key.id).await["state"], "disabled");
    let disabled = key.get("/v1/token/self/fetch").await;
    disabled.refused(401, "INVALID_API_KEY");
    let unknown = town
        .bearer("sk-from-elsewhere")
        .get("/v1/token/self/fetch")
        .await;
    assert_eq!(disabled.without_request_id(), unknown.without_request_id());

    owner.post(&path, json!({"enabled": true})).await.ok();
    key.get("/v1/token/self/fetch").await.ok();
    // Sessions do not come back.
    session
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn whoever_holds_a_secret_may_report_it_and_ends_it_with_its_line() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let leaked = owner.make_key(json!({"unrestricted": true})).await;
    let child = leaked.make_key(json!({"unrestricted": true})).await;
    let finder = town.nobody();
    let body = json!({"secret": leaked.token});
    let told = finder.post("/v1/token/report", body.clone()).await.ok();
    assert_eq!(told, json!({"revoked": true}));
    for dead in [&leaked, &child] {
        dead.get("/v1/token/self/fetch")
            .await
            .refused(401, "INVALID_API_KEY");
    }
    let told = finder.post("/v1/token/report", body).await.ok();
    assert_eq!(told, json!({"revoked": false}));

    let session = owner.session(json!({"allowedRoutes": ["**"]})).await;
    let body = json!({"secret": session.token});
    let told = finder.post("/v1/token/report", body).await.ok();
    assert_eq!(told, json!({"revoked": true}));
    session
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    owner.get("/v1/token/self/fetch").await.ok();
    for garbage in ["", "x", "eyJ..", "sk_live_x"] {
        let told = finder
            .post("/v1/token/report", json!({"secret": garbage}))
            .await
            .ok();
        assert_eq!(told, json!({"revoked": false}), "{garbage}");
    }
    finder
        .post("/v1/token/report", json!({}))
        .await
        .refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_secret_past_its_overlap_reports_nothing() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    let path = format!("/v1/token/{}/rotate", key.id);
    let new = Key::of(
        &town,
        &owner
            .post(&path, json!({"overlapInSeconds": 10}))
            .await
            .ok(),
    );
    town.advance_secs(10);
    let body = json!({"secret": key.token});
    let told = town.nobody().post("/v1/token/report", body).await.ok();
    assert_eq!(told, json!({"revoked": false}));
    new.get("/v1/token/self/fetch").await.ok();
}

#[tokio::test]
async fn a_key_from_elsewhere_is_imported_by_its_digest_and_goes_on_working() {
    use base64::Engine as _;
    let town = Town::new().await;
    let operator = town.operator_key().await;
    let shop = town.account("shop").await;
    let digest = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        digest.as_ref().to_vec()
    };
    let hex: String = digest("old-key-1")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(digest("old-key-2"));
    let config =
        json!({"allowedRoutes": ["session/create"], "session": {"allowedRoutes": ["order/**"]}});
    for (text, digest) in [("old-key-1", &hex), ("old-key-2", &base64)] {
        let body = json!({"digest": digest, "userId": shop.id, "config": config});
        let made = operator.post("/v1/token/import", body.clone()).await.ok();
        assert_eq!(made.get("token"), None);
        let old = town.bearer(text);
        assert_eq!(
            old.get("/v1/token/self/fetch").await.ok()["userId"],
            shop.id
        );
        old.post("/v1/session/create", json!({})).await.ok();
        let answer = operator.post("/v1/token/import", body).await;
        answer.refused(409, "CONFLICT");
    }
    // The same digest in its other spelling.
    let body = json!({"digest": base64::engine::general_purpose::STANDARD.encode(digest("old-key-1")), "userId": shop.id, "config": config});
    let answer = operator.post("/v1/token/import", body).await;
    answer.refused(409, "CONFLICT");
    for wrong in ["", "xyz", &hex[1..], "old-key-1"] {
        let body = json!({"digest": wrong, "userId": shop.id, "config": config});
        let answer = operator.post("/v1/token/import", body).await;
        answer.refused(400, "INVALID_REQUEST");
    }
    let fresh = "cd".repeat(32);
    for loose in [json!(null), json!({}), json!({"domains": ["example.com"]})] {
        let body = json!({"digest": fresh, "userId": shop.id, "config": loose});
        let answer = operator.post("/v1/token/import", body).await;
        answer.refused(400, "INVALID_REQUEST");
    }
    let body = json!({"digest": fresh, "userId": shop.id, "config": config, "unrestricted": true});
    let answer = operator.post("/v1/token/import", body).await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_key_tells_about_itself_whatever_its_routes() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({"allowedRoutes": ["order/**"], "permissions": ["bots:read"]}))
        .await;
    let told = key.get("/v1/token/self/fetch").await.ok();
    assert_eq!(told["type"], "key");
    assert_eq!(told["userId"], shop.id);
    assert_eq!(told["effective"]["allowedRoutes"], json!([["order/**"]]));
    assert_eq!(told["effective"]["manage"], json!([]));
    let owner = shop.full_key().await;
    let session = owner.session(json!({"allowedRoutes": ["order/**"]})).await;
    let told = session.get("/v1/token/self/fetch").await.ok();
    assert_eq!(told["type"], "session");
    assert_eq!(told["session"]["id"], session.id);
}

#[tokio::test]
async fn a_key_works_only_from_its_origins_and_networks() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({"allowedRoutes": ["session/**"], "session": {"allowedRoutes": ["order/**"]}, "domains": ["example.com", "*.example.org"], "cidrs": ["198.51.100.0/24"]}))
        .await
        .address("198.51.100.7");
    let mint = async |caller: &crate::support::town::Caller| {
        caller.post("/v1/session/create", json!({})).await
    };
    for right in [
        "https://example.com",
        "http://EXAMPLE.com:8080",
        "https://a.example.org",
    ] {
        mint(&key.origin(right)).await.ok();
    }
    for wrong in [
        "https://www.example.com",
        "https://example.com.evil.test",
        "https://example.org",
        "null",
        "example.com",
        "",
        "https://example.com/path",
        "https://user@example.com",
    ] {
        mint(&key.origin(wrong))
            .await
            .refused(403, "DOMAIN_NOT_ALLOWED");
    }
    mint(&key).await.refused(403, "DOMAIN_NOT_ALLOWED");
    let referer = key.header("referer", "https://example.com/page");
    mint(&referer).await.refused(403, "DOMAIN_NOT_ALLOWED");
    let here = key.origin("https://example.com");
    let elsewhere = here.address("203.0.113.9");
    mint(&elsewhere).await.refused(403, "ADDRESS_NOT_ALLOWED");
    mint(&here.no_address())
        .await
        .refused(403, "ADDRESS_NOT_ALLOWED");
    // Nobody listed the peer as a proxy.
    let forwarded = elsewhere.header("x-forwarded-for", "198.51.100.7");
    mint(&forwarded).await.refused(403, "ADDRESS_NOT_ALLOWED");
}

#[tokio::test]
async fn a_config_that_cannot_be_read_is_refused_by_field() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    for (config, field) in [
        (json!({"allowedRoutes": ["bot/?"]}), "config.allowedRoutes"),
        (json!({"permissions": ["bots:fly"]}), "config.permissions"),
        (json!({"bindings": {"shoe": ["s1"]}}), "config.bindings"),
        (
            json!({"projects": ["p1"], "bindings": {"project": ["p2"]}}),
            "config.projects",
        ),
        (
            json!({"allowedRoutes": ["a"], "domains": ["https://example.com"]}),
            "config.domains",
        ),
        (
            json!({"allowedRoutes": ["a"], "domains": ["com"]}),
            "config.domains",
        ),
        (
            json!({"allowedRoutes": ["a"], "domains": ["*.co.uk"]}),
            "config.domains",
        ),
        (
            json!({"allowedRoutes": ["a"], "cidrs": ["10.0.0.0/33"]}),
            "config.cidrs",
        ),
        (
            json!({"allowedRoutes": ["a"], "impersonation": {}}),
            "config.impersonation",
        ),
        (
            json!({"allowedRoutes": ["a"], "manage": ["world"]}),
            "config.manage",
        ),
        (
            json!({"allowedRoutes": ["a"], "rateLimit": {"requests": 0, "perSeconds": 1}}),
            "config.rateLimit.requests",
        ),
        (
            json!({"allowedRoutes": ["a"], "session": {"maxDurationInSeconds": 0}}),
            "config.session.maxDurationInSeconds",
        ),
    ] {
        let answer = owner
            .post("/v1/token/create", json!({"config": config}))
            .await;
        answer.status(400);
        let told = answer.json();
        let told = told["error"]["field"].as_str().unwrap();
        assert!(told.starts_with(field), "{told}: {answer}");
    }
}
