//! `/v1/session/…`: minted, shown, renewed, verified and ended.

use serde_json::{Value, json};

use crate::support::town::{Key, Session, Town};

async fn town_and_key() -> (Town, Key) {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    (town, key)
}

#[tokio::test]
async fn a_session_says_who_for_whom_what_and_until_when() {
    let (town, key) = town_and_key().await;
    let body = json!({
        "durationInSeconds": 60,
        "allowedRoutes": ["/v1/order/**", "get,POST bot/*", "order/1/list"],
        "permissions": ["bots:read"],
        "bindings": {"project": ["p1"]},
        "domains": ["Shop.Example.com"],
        "data": {"cart": 7},
    });
    let made = key.post("/v1/session/create", body).await.ok();
    let session = Session::of(&town, &made);
    let claims = session.claims();

    let now = town.now_ms() / 1000;
    assert_eq!(claims["iss"], Town::issuer());
    assert_eq!(claims["aud"], format!("{}/api", Town::issuer()));
    assert_eq!(claims["jti"], made["id"]);
    assert_eq!(claims["client_id"], key.id);
    assert_eq!(claims["iat"], now);
    assert_eq!(claims["nbf"], now);
    assert_eq!(claims["exp"], now + 60);
    assert_eq!(
        claims["allowedRoutes"],
        json!(["GET,POST bot/*", "order/**"])
    );
    assert_eq!(claims["scope"], "bots:read");
    assert_eq!(claims["bindings"], json!({"project": ["p1"]}));
    assert_eq!(claims["domains"], json!(["shop.example.com"]));
    assert_eq!(claims["data"], json!({"cart": 7}));
    assert_eq!(claims.get("act"), None);
    assert_eq!(made["expiresAt"], (now + 60) * 1000);
    let header = crate::support::town::jose_header(&session.token);
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header["typ"], "at+jwt");
}

#[tokio::test]
async fn a_session_that_names_no_routes_is_refused_when_its_key_names_none() {
    let (_, key) = town_and_key().await;
    let answer = key.post("/v1/session/create", json!({})).await;
    answer.refused(400, "ROUTES_REQUIRED");
    let answer = key
        .post("/v1/session/create", json!({"allowedRoutes": null}))
        .await;
    answer.refused(400, "ROUTES_REQUIRED");
}

#[tokio::test]
async fn a_lifetime_is_a_whole_number_of_seconds_from_one_to_a_day() {
    let (town, key) = town_and_key().await;
    for wrong in [
        "0",
        "-1",
        "1.5",
        "1e99",
        "\"60\"",
        "86401",
        "9223372036854775808",
        "true",
        "[60]",
    ] {
        let body = format!(r#"{{"allowedRoutes": ["**"], "durationInSeconds": {wrong}}}"#);
        let answer = key.post_bytes("/v1/session/create", body).await;
        let told = answer.refused(400, "INVALID_REQUEST");
        assert_eq!(told["error"]["field"], "durationInSeconds", "{wrong}");
    }
    for (right, secs) in [("1", 1), ("86400", 86_400), ("null", 900)] {
        let body = format!(r#"{{"allowedRoutes": ["**"], "durationInSeconds": {right}}}"#);
        let made = key.post_bytes("/v1/session/create", body).await.ok();
        assert_eq!(made["expiresAt"], town.now_ms() + secs * 1000);
    }
}

#[tokio::test]
async fn a_session_never_outlives_its_key() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let end = town.now_ms() + 30_500;
    let key = shop
        .make_key(json!({"unrestricted": true, "expiresAt": end}))
        .await;
    let made = key
        .post("/v1/session/create", json!({"allowedRoutes": ["**"]}))
        .await
        .ok();
    assert_eq!(made["expiresAt"], town.now_ms() + 30_000);
}

#[tokio::test]
async fn a_route_outside_the_key_is_refused_with_a_counter_example_and_cut_on_request() {
    let town = Town::new().await;
    let key = town
        .account("shop")
        .await
        .key(json!({"allowedRoutes": ["session/create", "order/**"]}))
        .await;
    let wanted = json!(["order/1/*", "bot/b1"]);
    let answer = key
        .post("/v1/session/create", json!({"allowedRoutes": wanted}))
        .await;
    let told = answer.refused(403, "ROUTE_NOT_COVERED");
    assert_eq!(told["error"]["counterExample"]["path"], "bot/b1");

    let body = json!({"allowedRoutes": wanted, "mode": "intersect"});
    let made = key.post("/v1/session/create", body).await.ok();
    assert_eq!(made["allowedRoutes"], json!(["order/1/*"]));
    assert_eq!(made["cut"], json!(["bot/b1"]));

    let body = json!({"allowedRoutes": ["bot/**"], "mode": "intersect"});
    let answer = key.post("/v1/session/create", body).await;
    answer.refused(403, "ROUTE_NOT_COVERED");
    let body = json!({"allowedRoutes": ["order/1"], "mode": "lenient"});
    let answer = key.post("/v1/session/create", body).await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_route_pattern_that_is_none_is_refused_by_name() {
    let (_, key) = town_and_key().await;
    for wrong in [
        "bot/b?",
        "bot/[a-z]",
        "bot/{a,b}",
        "!bot",
        "bot//x",
        "bot/b*",
        "..",
        "FLY bot",
        "",
        "bot/%2f",
    ] {
        let body = json!({"allowedRoutes": [wrong]});
        let answer = key.post("/v1/session/create", body).await;
        let told = answer.refused(400, "INVALID_ROUTE_PATTERN");
        assert_eq!(told["error"]["field"], "allowedRoutes", "{wrong}");
    }
}

#[tokio::test]
async fn attached_data_is_at_most_2_kib() {
    let (_, key) = town_and_key().await;
    let with = |length: usize| json!({"allowedRoutes": ["**"], "data": {"d": "x".repeat(length)}});
    // {"d":""} are eight bytes.
    key.post("/v1/session/create", with(2040)).await.ok();
    let answer = key.post("/v1/session/create", with(2041)).await;
    let told = answer.refused(400, "INVALID_REQUEST");
    assert_eq!(told["error"]["field"], "data");
    let body = json!({"allowedRoutes": ["**"], "data": [1]});
    let answer = key.post("/v1/session/create", body).await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_token_that_no_gateway_would_pass_on_is_refused() {
    let (town, key) = town_and_key().await;
    let long = |index: usize| format!("order/{index:03}/{}", "x".repeat(100));
    let routes: Vec<String> = (0..40).map(long).collect();
    let before = town.database().await;
    let answer = key
        .post("/v1/session/create", json!({"allowedRoutes": routes}))
        .await;
    answer.refused(400, "TOKEN_TOO_LARGE");
    assert_eq!(town.database().await, before);

    let five: Vec<String> = (0..5).map(|index| format!("order/{index}/**")).collect();
    let made = key.session(json!({"allowedRoutes": five})).await;
    assert!(made.token.len() < 1024, "{} bytes", made.token.len());
}

#[tokio::test]
async fn an_audience_is_one_that_is_configured_and_that_the_key_names() {
    let settings =
        "audience = \"https://api.example.com\"\naudiences = [\"https://other.example.com\"]\n";
    let town = Town::with_settings(settings).await;
    let shop = town.account("shop").await;
    let plain = shop.full_key().await;
    let with = |audience: &str| json!({"allowedRoutes": ["**"], "audience": audience});
    let session = plain.session(json!({"allowedRoutes": ["**"]})).await;
    assert_eq!(session.claims()["aud"], "https://api.example.com");
    let answer = plain
        .post("/v1/session/create", with("https://other.example.com"))
        .await;
    answer.refused(403, "RESTRICTION_NOT_COVERED");
    let answer = plain
        .post("/v1/session/create", with("https://nobody.example.com"))
        .await;
    answer.refused(400, "INVALID_REQUEST");

    let config =
        json!({"allowedRoutes": ["**"], "session": {"audiences": ["https://other.example.com"]}});
    let other = shop.key(config).await;
    let session = other.session(with("https://other.example.com")).await;
    assert_eq!(session.claims()["aud"], "https://other.example.com");
    let config =
        json!({"allowedRoutes": ["**"], "session": {"audiences": ["https://nobody.example.com"]}});
    let answer = plain
        .post("/v1/token/create", json!({"config": config}))
        .await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn sessions_are_listed_in_pages_that_neither_overlap_nor_leave_anything_out() {
    let (town, key) = town_and_key().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(key.session(json!({"allowedRoutes": ["**"]})).await.id);
        town.advance_ms(1);
    }
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
        items.iter().map(id).collect()
    };
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for _ in 0..4 {
        let path = format!("/v1/session/list?order=asc&take=2&cursor={cursor}");
        let page = key.get(&path).await.ok();
        seen.extend(ids(&page));
        page["cursor"].as_str().unwrap().clone_into(&mut cursor);
    }
    assert_eq!(seen, made);

    made.reverse();
    let newest_first = key.get("/v1/session/list").await.ok();
    assert_eq!(ids(&newest_first), made);

    for wrong in [
        "take=0",
        "take=101",
        "take=x",
        "take=1&take=2",
        "order=up",
        "limit=1",
        "state=dead",
        "tokenId=x",
        "meta.=x",
    ] {
        let answer = key.get(&format!("/v1/session/list?{wrong}")).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_list_is_streamed_as_lines_through_all_pages() {
    let (_, key) = town_and_key().await;
    for _ in 0..5 {
        key.session(json!({"allowedRoutes": ["**"]})).await;
    }
    let lines = key
        .header("accept", "application/jsonl")
        .get("/v1/session/list?take=2")
        .await
        .lines();
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line["type"] == "item"));
    let answer = key
        .header("accept", "text/html")
        .get("/v1/session/list")
        .await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn sessions_are_listed_by_state_and_by_key() {
    let (town, key) = town_and_key().await;
    let short = key
        .session(json!({"allowedRoutes": ["**"], "durationInSeconds": 1}))
        .await;
    let revoked = key.session(json!({"allowedRoutes": ["**"]})).await;
    let active = key.session(json!({"allowedRoutes": ["**"]})).await;
    revoked
        .post(&format!("/v1/session/{}/revoke", revoked.id), json!({}))
        .await
        .ok();
    town.advance_secs(1);
    for (state, session) in [
        ("expired", &short),
        ("revoked", &revoked),
        ("active", &active),
    ] {
        let page = key
            .get(&format!("/v1/session/list?state={state}"))
            .await
            .ok();
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{state}");
        assert_eq!(page["items"][0]["id"], session.id, "{state}");
        let item = key
            .get(&format!("/v1/session/{}/fetch", session.id))
            .await
            .ok();
        assert_eq!(item["state"], state);
    }
    let path = format!("/v1/session/list?tokenId={}", key.id);
    assert_eq!(
        key.get(&path).await.ok()["items"].as_array().unwrap().len(),
        3
    );
}

#[tokio::test]
async fn without_managing_keys_a_key_sees_only_the_sessions_that_it_minted() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let till = shop.key(json!({"allowedRoutes": ["session/**"]})).await;
    let theirs = owner.session(json!({"allowedRoutes": ["**"]})).await;
    let own = till.session(json!({})).await;

    let page = till.get("/v1/session/list").await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["id"], own.id);
    let path = format!("/v1/session/{}/fetch", theirs.id);
    till.get(&path).await.refused(404, "NOT_FOUND");
    let path = format!("/v1/session/{}/revoke", theirs.id);
    till.post(&path, json!({})).await.refused(404, "NOT_FOUND");
    let path = format!("/v1/session/{}/revoke", own.id);
    owner.post(&path, json!({})).await.ok();
}

#[tokio::test]
async fn a_session_is_renewed_until_the_instant_that_its_first_mint_fixed() {
    let (town, key) = town_and_key().await;
    let body =
        json!({"allowedRoutes": ["**"], "durationInSeconds": 100, "renewableForInSeconds": 150});
    let first = key.session(body).await;
    let until = town.now_ms() + 150_000;

    town.advance_secs(90);
    let made = first.post("/v1/session/renew", json!({})).await.ok();
    assert_eq!(made["renewableUntil"], until);
    assert_eq!(made["expiresAt"], until);
    let second = Session::of(&town, &made);
    let item = key
        .get(&format!("/v1/session/{}/fetch", second.id))
        .await
        .ok();
    assert_eq!(item["familyId"], first.id);
    assert_eq!(item["origin"], "renewal");

    town.advance_secs(60);
    let answer = second.post("/v1/session/renew", json!({})).await;
    answer.refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn a_session_that_was_not_minted_as_renewable_is_not_renewed() {
    let (_, key) = town_and_key().await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let answer = session.post("/v1/session/renew", json!({})).await;
    answer.refused(403, "NOT_RENEWABLE");
    for wrong in [0, -1, 30 * 86_400 + 1] {
        let body = json!({"allowedRoutes": ["**"], "renewableForInSeconds": wrong});
        let answer = key.post("/v1/session/create", body).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_renewal_cuts_what_the_key_has_lost_meanwhile() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({"allowedRoutes": ["session/**", "order/**", "bot/**"]}))
        .await;
    let body = json!({"allowedRoutes": ["order/**", "bot/**"], "renewableForInSeconds": 3600});
    let session = key.session(body).await;

    // A wider key keeps its sessions.
    let path = format!("/v1/token/{}/update", key.id);
    let wider =
        json!({"config": {"allowedRoutes": ["session/**", "order/**", "bot/**", "file/**"]}});
    shop.cli().post(&path, wider).await.ok();
    let made = session.post("/v1/session/renew", json!({})).await.ok();
    assert_eq!(made["allowedRoutes"], json!(["bot/**", "order/**"]));

    // A narrower one loses them.
    let narrower = json!({"config": {"allowedRoutes": ["session/**", "order/**"]}});
    shop.cli().post(&path, narrower).await.ok();
    let answer = session.post("/v1/session/renew", json!({})).await;
    answer.refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn a_revoked_session_ends_with_its_whole_family() {
    let (town, key) = town_and_key().await;
    let body = json!({"allowedRoutes": ["**"], "renewableForInSeconds": 3600});
    let first = key.session(body).await;
    let second = Session::of(
        &town,
        &first.post("/v1/session/renew", json!({})).await.ok(),
    );
    let other = key.session(json!({"allowedRoutes": ["**"]})).await;
    let path = format!("/v1/session/{}/revoke", first.id);
    second.post(&path, json!({})).await.ok();

    for dead in [&first, &second] {
        dead.get("/v1/token/self/fetch")
            .await
            .refused(401, "INVALID_TOKEN");
        let verified = key
            .post("/v1/session/verify", json!({"token": dead.token}))
            .await;
        assert_eq!(verified.ok(), json!({"active": false}));
    }
    other.get("/v1/token/self/fetch").await.ok();
    // Nobody else's family.
    let path = format!("/v1/session/{}/revoke", second.id);
    other.post(&path, json!({})).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_session_is_verified_for_its_account_and_those_above() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let session = branch
        .full_key()
        .await
        .session(json!({"allowedRoutes": ["order/**"]}))
        .await;
    let body = json!({"token": session.token});
    for above in [shop.full_key().await, town.first_key().await] {
        let claims = above.post("/v1/session/verify", body.clone()).await.ok();
        assert_eq!(claims["active"], true);
        assert_eq!(claims["sub"], branch.id);
    }
    let rival = town.account("rival").await;
    let answer = rival
        .full_key()
        .await
        .post("/v1/session/verify", body.clone())
        .await;
    assert_eq!(answer.ok(), json!({"active": false}));
    for garbage in ["", "x", "eyJ.e.x", &format!("{}x", session.token)] {
        let body = json!({"token": garbage});
        let answer = shop.full_key().await.post("/v1/session/verify", body).await;
        assert_eq!(answer.ok(), json!({"active": false}), "{garbage}");
    }
    town.advance_secs(900);
    let answer = shop.full_key().await.post("/v1/session/verify", body).await;
    assert_eq!(answer.ok(), json!({"active": false}));
}

#[tokio::test]
async fn a_key_for_other_tenants_tokens_is_granted_by_an_operator_alone() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let session = shop
        .full_key()
        .await
        .session(json!({"allowedRoutes": ["**"]}))
        .await;
    let gate = town.account("gate").await;
    let config = json!({"allowedRoutes": ["session/verify"], "manage": ["introspect"]});
    let answer = gate
        .full_key()
        .await
        .post("/v1/token/create", json!({"config": config}))
        .await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    let verifier = gate.key(config).await;
    let body = json!({"token": session.token});
    let claims = verifier.post("/v1/session/verify", body).await.ok();
    assert_eq!(claims["sub"], shop.id);
}

#[tokio::test]
async fn a_session_for_a_child_says_who_acts() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let owner = shop.full_key().await;
    let path = format!("/v1/user/{}/session/create", branch.id);
    let made = owner.post(&path, json!({})).await.ok();
    let session = Session::of(&town, &made);
    assert_eq!(session.claims()["sub"], branch.id);
    assert_eq!(session.claims()["act"], json!({"sub": shop.id}));
    assert_eq!(made["allowedRoutes"], json!(["**"]));

    let body = json!({"config": {"allowedRoutes": ["order/**"]}});
    let made = owner.post(&path, body).await.ok();
    assert_eq!(made["allowedRoutes"], json!(["order/**"]));
    let partner = path.replace("/v1/user", "/api/v1/partner/user");
    owner.post(&format!("{partner}/"), json!({})).await.ok();

    let by_header = owner.acting_as(&branch);
    let made = by_header
        .post("/v1/session/create", json!({"allowedRoutes": ["**"]}))
        .await
        .ok();
    assert_eq!(
        Session::of(&town, &made).claims()["act"],
        json!({"sub": shop.id})
    );
}

/// A key may not be narrowed to a domain below which anybody can register a name, and neither may
/// what it mints, by any way.
#[tokio::test]
async fn no_session_is_for_a_public_suffix() {
    let (town, key) = town_and_key().await;
    let shop = town.account("parent").await;
    let child = shop.child("child").await;
    let parent = shop.full_key().await;
    for domain in ["com", "*.com", "co.uk", "*.github.io"] {
        let body = json!({"allowedRoutes": ["bot/**"], "domains": [domain]});
        let profile = json!({"domains": [domain]});
        let for_child = parent.header("x-runas-user-id", &child.id);
        for answer in [
            key.post("/v1/session/create", body.clone()).await,
            key.post("/v1/bot/b1/session/create", profile).await,
            for_child.post("/v1/session/create", body).await,
        ] {
            answer.refused(400, "INVALID_REQUEST");
            assert!(answer.text().contains("public suffix"), "{answer}");
        }
    }
}
