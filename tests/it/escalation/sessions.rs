//! A session does what it was minted for, and nothing else.

use serde_json::{Value, json};

use super::support::{is_active, is_alive, is_dead, is_ended, refused};
use crate::openapi::Access;
use crate::support::town::{Session, Town, claims};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Every documented operation that asks for a credential is tried with the token.
async fn opens_no_door(town: &Town, session: &Session) {
    let own = [
        "/v1/token/self/fetch",
        "/v1/session/renew",
        "/v1/session/{sessionId}/revoke",
    ];
    let other = town.first_key().await;
    let before = town.database().await;
    for operation in Town::contract().operations() {
        if matches!(operation.access, Access::Public) || own.contains(&operation.path.as_str()) {
            continue;
        }
        let path = operation
            .path
            .replace("{tokenId}", &other.id)
            .replace("{userId}", &town.operator().id)
            .replace("{sessionId}", &session.id)
            .replace(['{', '}'], "");
        let answer = if operation.method.eq_ignore_ascii_case("get") {
            session.get(&path).await
        } else if path.starts_with("/oauth2") {
            session
                .post_form(
                    &path,
                    &[("token", "x"), ("grant_type", "client_credentials")],
                )
                .await
        } else {
            session.post(&path, json!({})).await
        };
        let status = answer.status.as_u16();
        assert!([400, 401, 403].contains(&status), "{answer}");
    }
    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn no_session_makes_a_key_mints_or_manages() {
    let town = Town::new().await;
    let first = town.first_key().await;
    let session = first.session(json!({"allowedRoutes": ["**"]})).await;

    opens_no_door(&town, &session).await;
    for (path, body) in [
        ("/v1/token/create", json!({"unrestricted": true})),
        ("/v1/session/create", json!({"allowedRoutes": ["bot/**"]})),
        ("/v1/bot/b1/session/create", json!({})),
        ("/v1/user/create", json!({})),
        (
            "/v1/user/self/update",
            json!({"impersonationPolicy": "deny"}),
        ),
    ] {
        session.post(path, body).await.refused(401, "INVALID_TOKEN");
    }
}

#[tokio::test]
async fn no_session_of_an_operator_key_carries_its_power() {
    let town = Town::new().await;
    let operator = town.operator_key().await;
    let session = operator.session(json!({"allowedRoutes": ["**"]})).await;
    let made = operator
        .post("/v1/integration/widget/w1/session/create", json!({}))
        .await
        .ok();
    let widget = Session::of(&town, &made);

    opens_no_door(&town, &session).await;
    opens_no_door(&town, &widget).await;
    assert_eq!(
        widget.get("/v1/token/self/fetch").await.ok()["effective"]["manage"],
        json!([])
    );
}

#[tokio::test]
async fn no_token_for_hallpass_itself_manages_either() {
    let manage = "https://hallpass.test/manage";
    let town = Town::with_settings(&format!("audiences = [\"{manage}\"]\n")).await;
    let key = town
        .account("shop")
        .await
        .key(json!({"allowedRoutes": ["**"], "session": {"audiences": [manage]}, "manage": ["tokens", "users"]}))
        .await;
    let session = key
        .session(json!({"allowedRoutes": ["**"], "audience": manage}))
        .await;

    let body = json!({"unrestricted": true});
    let answer = session.post("/v1/token/create", body).await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    opens_no_door(&town, &session).await;
}

#[tokio::test]
async fn no_session_impersonates() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop
        .child_with(json!({"email": "branch@example.com"}))
        .await;
    let full = shop.full_key().await;
    let session = full
        .session(json!({"allowedRoutes": ["**"], "renewableForInSeconds": 3600}))
        .await;

    for caller in [
        session.acting_as(&branch),
        session.header("x-runas-user-email", "branch@example.com"),
        session.acting_as(&shop),
    ] {
        let answer = caller.get("/v1/token/self/fetch").await;
        answer.refused(403, "IMPERSONATION_DENIED");
        let answer = caller.post("/v1/session/renew", json!({})).await;
        answer.refused(403, "IMPERSONATION_DENIED");
    }
}

#[tokio::test]
async fn no_session_ends_another() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let one = full.session(json!({"allowedRoutes": ["**"]})).await;
    let other = full.session(json!({"allowedRoutes": ["bot/**"]})).await;

    let path = format!("/v1/session/{}/revoke", other.id);
    one.post(&path, json!({})).await.refused(404, "NOT_FOUND");
    is_alive(&town, &other.token).await;
    let path = format!("/v1/session/{}/revoke", one.id);
    one.post(&path, json!({})).await.ok();
    is_ended(&town, &one.token).await;
}

#[tokio::test]
async fn no_renewal_survives_the_revocation_of_any_of_its_family() {
    for ended in 0..3 {
        let town = Town::new().await;
        let full = town.account("shop").await.full_key().await;
        let body = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 7200});
        let mut family = vec![full.session(body).await];
        for _ in 0..2 {
            town.advance_secs(300);
            let last = family.last().unwrap();
            let made = last.post("/v1/session/renew", json!({})).await.ok();
            family.push(Session::of(&town, &made));
        }

        let path = format!("/v1/session/{}/revoke", family[ended].id);
        full.post(&path, json!({})).await.ok();

        for session in &family {
            is_ended(&town, &session.token).await;
        }
    }
}

#[tokio::test]
async fn no_renewal_survives_a_report_of_the_first_token() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let body = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 7200});
    let first = full.session(body).await;
    let made = first.post("/v1/session/renew", json!({})).await.ok();
    let renewed = Session::of(&town, &made);

    let report = json!({"secret": first.token});
    town.nobody().post("/v1/token/report", report).await.ok();

    is_ended(&town, &renewed.token).await;
}

#[tokio::test]
async fn no_renewal_keeps_what_the_key_has_lost() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let key = shop.key(json!({"allowedRoutes": ["session/create", "bot/**"], "session": {"allowedRoutes": ["bot/**", "file/**"]}})).await;
    let body = json!({"allowedRoutes": ["bot/**", "file/**"], "renewableForInSeconds": 7200});
    let session = key.session(body.clone()).await;

    // A key that may no longer mint renews nothing, and narrowing it ends what it minted.
    let path = format!("/v1/token/{}/update", key.id);
    let narrower = json!({"config": {"session": {"allowedRoutes": ["bot/**"]}}});
    owner.post(&path, narrower).await.ok();

    is_ended(&town, &session.token).await;
    key.post("/v1/session/create", body)
        .await
        .refused(403, "ROUTE_NOT_COVERED");
}

#[tokio::test]
async fn no_renewal_goes_past_the_instant_that_was_fixed_at_the_mint() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let until = town.now_ms() + 1_000_000;
    let body = json!({"allowedRoutes": ["bot/**"], "durationInSeconds": 400, "renewableForInSeconds": 1000});
    let mut session = full.session(body).await;

    loop {
        town.advance_secs(300);
        let answer = session
            .post("/v1/session/renew", json!({"durationInSeconds": 86_400}))
            .await;
        if !answer.status.is_success() {
            break;
        }
        session = Session::of(&town, &answer.ok());
        assert!(session.claims()["exp"].as_i64().unwrap() * 1000 <= until);
        assert!(town.now_ms() < until, "renewed after the end");
    }
    assert!(town.now_ms() >= until);
}

#[tokio::test]
async fn a_session_that_was_not_minted_renewable_is_not_renewed() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let session = full.session(json!({"allowedRoutes": ["bot/**"]})).await;

    let answer = session.post("/v1/session/renew", json!({})).await;

    answer.refused(403, "NOT_RENEWABLE");
}

fn exchange(token: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", EXCHANGE.to_owned()),
        ("subject_token_type", JWT.to_owned()),
        ("subject_token", token.to_owned()),
    ]
}

async fn exchanged(
    caller: &crate::support::town::Caller,
    token: &str,
    more: &[(&'static str, &str)],
) -> crate::support::town::Answer {
    let form = exchange(token);
    let mut fields: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    fields.extend(more.iter().copied());
    caller.post_form("/oauth2/token", &fields).await
}

#[tokio::test]
async fn no_exchange_exceeds_its_source_or_the_key_that_exchanges() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let narrow = shop
        .key(json!({"allowedRoutes": ["session/create", "bot/b1/**"]}))
        .await;
    let source = full
        .session(json!({"allowedRoutes": ["bot/**"], "permissions": ["bots:read"], "domains": ["example.com"], "durationInSeconds": 600}))
        .await;

    for wide in ["[\"**\"]", "[\"dataset/**\"]"] {
        let answer = exchanged(&full, &source.token, &[("allowed_routes", wide)]).await;
        refused(&answer);
    }
    refused(&exchanged(&full, &source.token, &[("scope", "bots:write")]).await);
    refused(
        &exchanged(
            &full,
            &source.token,
            &[("audience", "https://elsewhere.example")],
        )
        .await,
    );
    // The narrow key cannot hand on all of the source.
    refused(&exchanged(&narrow, &source.token, &[]).await);
    let made = exchanged(
        &narrow,
        &source.token,
        &[("allowed_routes", "[\"bot/b1/list\"]")],
    )
    .await;
    let token = made.ok()["access_token"].as_str().unwrap().to_owned();
    let got = claims(&token);
    assert_eq!(got["allowedRoutes"], json!(["bot/b1/list"]));
    assert_eq!(got["scope"], "bots:read");
    assert_eq!(got["domains"], json!(["example.com"]));
    assert!(got["exp"].as_i64() <= source.claims()["exp"].as_i64());
    // It dies with its source, and with the key that exchanged it.
    let path = format!("/v1/token/{}/delete", narrow.id);
    full.post(&path, json!({})).await.ok();
    assert!(!is_active(&town, &token).await);
    assert!(is_active(&town, &source.token).await);
}

#[tokio::test]
async fn no_exchanged_token_outlives_its_source_or_is_renewed() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let source = full
        .session(json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 7200}))
        .await;
    let made = exchanged(&full, &source.token, &[]).await.ok();
    let token = made["access_token"].as_str().unwrap().to_owned();

    let answer = town
        .bearer(&token)
        .post("/v1/session/renew", json!({}))
        .await;
    answer.refused(403, "NOT_RENEWABLE");
    let path = format!("/v1/session/{}/revoke", source.id);
    full.post(&path, json!({})).await.ok();
    is_ended(&town, &token).await;
    refused(&exchanged(&full, &source.token, &[]).await);
}

#[tokio::test]
async fn no_session_of_another_account_or_environment_is_exchanged() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let theirs = town.account("other").await.full_key().await;
    let session = theirs.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let full = shop.full_key().await;
    let test = shop.test_key().await;
    let own = full.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let below = branch
        .full_key()
        .await
        .session(json!({"allowedRoutes": ["bot/**"]}))
        .await;

    refused(&exchanged(&full, &session.token, &[]).await);
    refused(&exchanged(&full, &below.token, &[]).await);
    refused(&exchanged(&test, &own.token, &[]).await);
    // A session is no client.
    refused(&exchanged(&own, &own.token, &[]).await);
}

#[tokio::test]
async fn no_exchange_loses_the_actor_or_escapes_the_denial_of_the_child() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let full = parent.full_key().await;
    let own = child.full_key().await;
    let body = json!({"allowedRoutes": ["bot/**"]});
    let by_parent = full
        .acting_as(&child)
        .post("/v1/session/create", body.clone())
        .await
        .ok();
    let by_parent = Session::of(&town, &by_parent);
    let childs = own.session(body).await;
    let granted = format!("/v1/user/{}/token/create", child.id);
    let granted = full.post(&granted, json!({})).await.ok();
    let granted = crate::support::town::Key::of(&town, &granted);

    // Whatever a parent gets by exchange says that the parent acts, and ends with its right to.
    let mut tokens: Vec<String> = Vec::new();
    for (caller, source) in [
        (full.acting_as(&child), &by_parent),
        (full.acting_as(&child), &childs),
        ((*granted).clone(), &by_parent),
        ((*granted).clone(), &childs),
        // A child that exchanges what its parent minted keeps the parent's name in it.
        ((*own).clone(), &by_parent),
    ] {
        let answer = exchanged(&caller, &source.token, &[]).await;
        if answer.status.is_success() {
            let token = answer.ok()["access_token"].as_str().unwrap().to_owned();
            assert_eq!(
                claims(&token)["act"]["sub"],
                parent.id,
                "{}",
                claims(&token)
            );
            tokens.push(token);
        } else {
            answer.status(403);
        }
    }
    assert!(!tokens.is_empty());
    own.post(
        "/v1/user/self/update",
        json!({"impersonationPolicy": "deny"}),
    )
    .await
    .ok();
    for token in &tokens {
        is_ended(&town, token).await;
    }
    is_alive(&town, &childs.token).await;
}

#[tokio::test]
async fn no_oversized_or_repeated_subject_token_falls_back_to_the_callers_own() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let session = full.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let before = town.database().await;

    let long = format!("{}{}", session.token, "A".repeat(9000));
    for token in [long.as_str(), "", "x"] {
        refused(&exchanged(&full, token, &[]).await);
        refused(&exchanged(&full, token, &[("allowed_routes", "[\"**\"]")]).await);
    }
    let again = session.token.clone();
    refused(&exchanged(&full, &session.token, &[("subject_token", &again)]).await);
    let form = [
        ("grant_type", "client_credentials"),
        ("subject_token", session.token.as_str()),
        ("allowed_routes", "[\"bot/**\"]"),
    ];
    refused(&full.post_form("/oauth2/token", &form).await);

    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn no_token_of_another_environment_or_hand_is_accepted() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let session = full.session(json!({"allowedRoutes": ["bot/**"]})).await;

    let parts: Vec<&str> = session.token.split('.').collect();
    let mut forged: Vec<String> = Vec::new();
    let mut wider: Value = session.claims();
    wider["allowedRoutes"] = json!(["**"]);
    let encode = |value: &Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
    };
    forged.push(format!("{}.{}.{}", parts[0], encode(&wider), parts[2]));
    let mut header = crate::support::town::jose_header(&session.token);
    header["alg"] = json!("none");
    forged.push(format!("{}.{}.", encode(&header), parts[1]));
    forged.push(format!("{}.{}.{}", encode(&header), parts[1], parts[2]));
    header["alg"] = json!("HS256");
    forged.push(format!("{}.{}.{}", encode(&header), parts[1], parts[2]));

    for token in &forged {
        is_dead(&town, token).await;
        assert!(!is_active(&town, token).await);
    }
    is_alive(&town, &session.token).await;
}

#[tokio::test]
async fn no_session_is_unrestricted_by_accident() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;

    for body in [
        json!({}),
        json!({"allowedRoutes": null}),
        json!({"mode": "intersect"}),
    ] {
        let answer = full.post("/v1/session/create", body).await;
        answer.refused(400, "ROUTES_REQUIRED");
    }
    let empty = full.session(json!({"allowedRoutes": []})).await;
    assert_eq!(empty.claims()["allowedRoutes"], json!([]));
}

#[tokio::test]
async fn no_session_exceeds_its_key_in_any_dimension() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({
            "allowedRoutes": ["session/create", "bot/**"],
            "permissions": ["bots:read"],
            "bindings": {"project": ["p1"]},
            "domains": ["example.com"],
            "session": {"maxDurationInSeconds": 600, "maxRenewableInSeconds": 600},
        }))
        .await;
    let caller = key
        .origin("https://example.com")
        .header("x-project-id", "p1");
    let base = json!({"allowedRoutes": ["bot/**"]});
    caller.post("/v1/session/create", base.clone()).await.ok();

    for (field, value) in [
        ("allowedRoutes", json!(["**"])),
        ("allowedRoutes", json!(["dataset/**"])),
        ("permissions", json!(["bots:write"])),
        ("permissions", json!(["admin"])),
        ("bindings", json!({"project": ["p2"]})),
        ("bindings", json!({"project": ["p1", "p2"]})),
        ("domains", json!(["evil.example"])),
        ("domains", json!(["*.example.com"])),
        ("durationInSeconds", json!(601)),
        ("durationInSeconds", json!(0)),
        ("durationInSeconds", json!(-1)),
        ("durationInSeconds", json!(1.5)),
        ("renewableForInSeconds", json!(601)),
        ("audience", json!("https://elsewhere.example")),
        ("audience", json!("https://hallpass.test/manage")),
    ] {
        let mut body = base.clone();
        body[field] = value;
        refused(&caller.post("/v1/session/create", body).await);
    }
    // What it leaves out, it inherits.
    let made = caller.post("/v1/session/create", base).await.ok();
    let got = claims(made["token"].as_str().unwrap());
    assert_eq!(got["scope"], "bots:read");
    assert_eq!(got["bindings"], json!({"project": ["p1"]}));
    assert_eq!(got["domains"], json!(["example.com"]));
}

#[tokio::test]
async fn no_placeholder_of_a_profile_becomes_a_pattern() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;

    for id in ["*", "**", "%2a", "a%2Fb", "..", "a,b", "{x}", "-", "a*"] {
        let path = format!("/v1/conversation/{id}/session/create");
        let answer = full.post(&path, json!({})).await;
        refused(&answer);
    }
    let made = full
        .post("/v1/conversation/c1/session/create", json!({}))
        .await
        .ok();
    let got = claims(made["token"].as_str().unwrap());
    assert_eq!(got["allowedRoutes"], json!(["conversation/c1/**"]));
}

#[tokio::test]
async fn a_scoped_key_mints_only_on_the_profile_path_that_it_may_call() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({"allowedRoutes": ["bot/b1/session/create"]}))
        .await;

    key.post("/v1/bot/b1/session/create", json!({})).await.ok();
    for path in [
        "/v1/bot/b2/session/create",
        "/v1/conversation/c1/session/create",
        "/v1/integration/widget/w1/session/create",
        "/v1/session/create",
    ] {
        key.post(path, json!({}))
            .await
            .refused(403, "ROUTE_NOT_ALLOWED");
    }
    let wide = json!({"allowedRoutes": ["bot/**"]});
    let answer = key.post("/v1/bot/b1/session/create", wide).await;
    answer.refused(403, "ROUTE_NOT_COVERED");
}
