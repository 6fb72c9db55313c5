//! `/oauth2/…`: the same use cases in the forms of the RFCs.

use serde_json::{Value, json};

use crate::support::town::{Key, Session, Town, claims};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn basic(id: &str, secret: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    format!("Basic {text}")
}

async fn exchange(
    key: &Key,
    session: &Session,
    more: &[(&str, &str)],
) -> crate::support::town::Answer {
    let mut form = vec![
        ("grant_type", EXCHANGE),
        ("subject_token", session.token.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    form.extend(more);
    key.post_form("/oauth2/token", &form).await
}

#[tokio::test]
async fn a_client_gets_a_token_by_bearer_by_basic_and_by_its_form() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let form = vec![
        ("grant_type", "client_credentials"),
        ("allowed_routes", "[\"order/**\"]"),
        ("scope", "bots:read bots:write"),
    ];
    let mut by_form = form.clone();
    by_form.extend([
        ("client_id", key.id.as_str()),
        ("client_secret", key.token.as_str()),
    ]);
    let header = town
        .nobody()
        .header("authorization", &basic(&key.id, &key.token));
    let answers = [
        key.post_form("/oauth2/token", &form).await,
        header.post_form("/oauth2/token", &form).await,
        town.nobody().post_form("/oauth2/token", &by_form).await,
    ];
    for answer in answers {
        let body = answer.ok();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 900);
        assert_eq!(body["scope"], "bots:read bots:write");
        let claims = claims(body["access_token"].as_str().unwrap());
        assert_eq!(claims["client_id"], key.id);
        assert_eq!(claims["allowedRoutes"], json!(["order/**"]));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_client_that_says_who_it_is_in_two_ways_is_refused() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop.full_key().await;
    let other = shop.full_key().await;
    let form = [
        ("grant_type", "client_credentials"),
        ("allowed_routes", "[\"**\"]"),
        ("client_secret", key.token.as_str()),
    ];
    key.post_form("/oauth2/token", &form)
        .await
        .refused(400, "invalid_request");
    let two = key.header("authorization", &format!("Bearer {}", key.token));
    two.post_form("/oauth2/token", &form[..2])
        .await
        .refused(400, "invalid_request");
    // An id that is not the one of the secret.
    let wrong = town
        .nobody()
        .header("authorization", &basic(&other.id, &key.token));
    wrong
        .post_form("/oauth2/token", &form[..2])
        .await
        .refused(401, "invalid_client");
    for broken in ["Basic", "Basic !!", "Basic Og==", "Digest x", "Bearer a,b"] {
        let caller = town.nobody().header("authorization", broken);
        caller
            .post_form("/oauth2/token", &form[..2])
            .await
            .refused(401, "invalid_client");
    }
    town.nobody()
        .post_form("/oauth2/token", &form[..2])
        .await
        .refused(401, "invalid_client");
}

#[tokio::test]
async fn a_parameter_that_is_unknown_or_repeated_is_refused() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let good = [
        ("grant_type", "client_credentials"),
        ("allowed_routes", "[\"**\"]"),
    ];
    let with = |more: (&'static str, &'static str)| [good[0], good[1], more];
    for more in [
        ("resource", "x"),
        ("Scope", "bots:read"),
        ("grant_type", "client_credentials"),
        ("subject_token", "x"),
    ] {
        let answer = key.post_form("/oauth2/token", &with(more)).await;
        answer.refused(400, "invalid_request");
    }
    for (more, error) in [
        (("scope", "bots:fly"), "invalid_scope"),
        (("audience", "https://nobody.example.com"), "invalid_target"),
    ] {
        key.post_form("/oauth2/token", &with(more))
            .await
            .refused(400, error);
    }
    let answer = key
        .post_form("/oauth2/token", &[("grant_type", "password")])
        .await;
    answer.refused(400, "unsupported_grant_type");
    key.post_form("/oauth2/token", &[])
        .await
        .refused(400, "invalid_request");
    let routes = [good[0], ("allowed_routes", "order/**")];
    key.post_form("/oauth2/token", &routes)
        .await
        .refused(400, "invalid_request");
    let answer = key
        .post("/oauth2/token", json!({"grant_type": "client_credentials"}))
        .await;
    answer.refused(415, "invalid_request");
    let run_as = key.header("x-runas-user-id", "a,b");
    run_as
        .post_form("/oauth2/token", &good)
        .await
        .refused(400, "invalid_request");
    town.nobody().get("/oauth2/token").await.status(405);
}

#[tokio::test]
async fn an_exchanged_token_is_never_wider_than_its_source_or_its_client() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let body = json!({"allowedRoutes": ["order/**"], "permissions": ["bots:read"], "bindings": {"project": ["p1"]}, "domains": ["example.com"], "durationInSeconds": 300, "renewableForInSeconds": 3600});
    let source = owner.session(body).await;
    town.advance_secs(100);
    let same = exchange(&owner, &source, &[]).await.ok();
    assert_eq!(same["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(same["expires_in"], 200);
    let derived = claims(same["access_token"].as_str().unwrap());
    for claim in [
        "sub",
        "aud",
        "exp",
        "allowedRoutes",
        "scope",
        "bindings",
        "domains",
    ] {
        assert_eq!(derived[claim], source.claims()[claim], "{claim}");
    }
    let narrower = [("allowed_routes", "[\"order/1\"]")];
    let answer = exchange(&owner, &source, &narrower).await.ok();
    let derived = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(derived["allowedRoutes"], json!(["order/1"]));
    for wider in [
        ("allowed_routes", "[\"order/**\", \"bot/**\"]"),
        ("scope", "bots:read bots:write"),
    ] {
        exchange(&owner, &source, &[wider])
            .await
            .refused(400, "invalid_scope");
    }
    // Nor than the key that exchanges.
    let till = shop
        .key(
            json!({"allowedRoutes": ["session/create"], "session": {"allowedRoutes": ["order/1"]}}),
        )
        .await;
    exchange(&till, &source, &[])
        .await
        .refused(400, "invalid_scope");
    let answer = exchange(&till, &source, &narrower).await.ok();
    // Revoking the source ends what came of it.
    let derived = town
        .bearer(answer["access_token"].as_str().unwrap())
        .origin("https://example.com");
    derived.get("/v1/token/self/fetch").await.ok();
    let path = format!("/v1/session/{}/revoke", source.id);
    owner.post(&path, json!({})).await.ok();
    derived
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    exchange(&owner, &source, &[])
        .await
        .refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_token_of_somebody_else_is_not_exchanged() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let source = shop
        .full_key()
        .await
        .session(json!({"allowedRoutes": ["**"]}))
        .await;
    let rival = town.account("rival").await.full_key().await;
    let before = town.database().await;
    exchange(&rival, &source, &[])
        .await
        .refused(403, "access_denied");
    exchange(&shop.test_key().await, &source, &[])
        .await
        .refused(403, "access_denied");
    let mut kinds = vec![
        ("grant_type", EXCHANGE),
        ("subject_token", source.token.as_str()),
    ];
    rival
        .post_form("/oauth2/token", &kinds)
        .await
        .refused(400, "invalid_request");
    kinds.push((
        "subject_token_type",
        "urn:ietf:params:oauth:token-type:saml2",
    ));
    rival
        .post_form("/oauth2/token", &kinds)
        .await
        .refused(400, "invalid_request");
    assert_eq!(town.database().await["session"], before["session"]);
}

#[tokio::test]
async fn a_token_is_introspected_by_those_who_may_know() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let session = owner
        .session(json!({"allowedRoutes": ["order/**"], "permissions": ["bots:read"]}))
        .await;
    let form = [
        ("token", session.token.as_str()),
        ("token_type_hint", "access_token"),
    ];
    let told = owner.post_form("/oauth2/introspect", &form).await.ok();
    assert_eq!(told["active"], true);
    assert_eq!(told["token_type"], "Bearer");
    assert_eq!(told["sub"], shop.id);
    let rival = town.account("rival").await.full_key().await;
    let told = rival.post_form("/oauth2/introspect", &form).await.ok();
    assert_eq!(told, json!({"active": false}));
    let told = owner
        .post_form("/oauth2/introspect", &[("token", "x")])
        .await
        .ok();
    assert_eq!(told, json!({"active": false}));
    owner
        .post_form("/oauth2/introspect", &[])
        .await
        .refused(400, "invalid_request");
    town.nobody()
        .post_form("/oauth2/introspect", &form)
        .await
        .refused(401, "invalid_client");
}

#[tokio::test]
async fn a_token_is_revoked_and_a_bad_one_is_answered_alike() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let session = owner.session(json!({"allowedRoutes": ["**"]})).await;
    let form = [("token", session.token.as_str())];
    let rival = town.account("rival").await.full_key().await;
    assert_eq!(
        rival.post_form("/oauth2/revoke", &form).await.ok(),
        json!({})
    );
    session.get("/v1/token/self/fetch").await.ok();
    let narrow = shop.key(json!({"allowedRoutes": ["session/create"]})).await;
    narrow
        .post_form("/oauth2/revoke", &form)
        .await
        .refused(403, "access_denied");

    assert_eq!(
        owner.post_form("/oauth2/revoke", &form).await.ok(),
        json!({})
    );
    session
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    for bad in [session.token.as_str(), "x"] {
        let answer = owner.post_form("/oauth2/revoke", &[("token", bad)]).await;
        assert_eq!(answer.ok(), Value::Object(serde_json::Map::new()));
    }
}
