//! Signing in and out, and what ends a sign-in.

use serde_json::json;

use super::browser::{Browser, COOKIE, between, sent_to};
use crate::support::town::Town;

#[tokio::test]
async fn the_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let mut browser = Browser::new(&town);

    let answer = browser.sign_in(&key.token).await;

    assert_eq!(sent_to(&answer), "/");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-hallpass="), "{cookie}");
    for attribute in ["; Path=/", "; HttpOnly", "; Secure", "; SameSite=Strict"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let handle = browser.cookie.clone().unwrap();
    assert_eq!(handle.len(), 43, "256 bits");
    assert!(browser.is_in().await);
}

#[tokio::test]
async fn neither_the_key_nor_the_handle_is_kept() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let handle = browser.cookie.clone().unwrap();

    let database = format!("{:?}", town.database().await);

    let raw = base64_of(&handle);
    let hex: Vec<String> = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    for secret in [&key.token, &handle, &hex, &hex.to_uppercase()] {
        assert!(!database.contains(secret.as_str()));
    }
}

fn base64_of(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .unwrap()
}

#[tokio::test]
async fn a_handle_is_no_bearer_and_a_bearer_is_no_handle() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let handle = browser.cookie.clone().unwrap();

    let as_bearer = town.bearer(&handle).get("/v1/token/list").await;
    as_bearer.refused(401, "INVALID_API_KEY");
    // The API does not look at cookies at all.
    browser
        .get("/v1/token/list")
        .await
        .refused(401, "NOT_AUTHENTICATED");

    for credential in [&key.token, &session.token] {
        let mut other = Browser::new(&town);
        other.cookie = Some(credential.clone());
        assert!(!other.is_in().await);
    }
    // Nor does the digest of a key, which the database has, open anything.
    let mut other = Browser::new(&town);
    other.cookie = Some(digest_of(&key.token));
    assert!(!other.is_in().await);
    // Nor does a bearer in its own header.
    let page = key.caller().get("/ui/keys").await;
    assert!(page.text().contains("action=\"/ui/sign-in\""));
    // A session token does not sign in.
    let mut other = Browser::new(&town);
    other.sign_in(&session.token).await.status(401);
    assert_eq!(other.cookie, None);
}

fn digest_of(key: &str) -> String {
    use base64::Engine as _;
    let digest = hallpass::domain::secret::KeyDigest::of(key.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_bytes())
}

#[tokio::test]
async fn each_request_is_judged_as_the_key_at_that_moment() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let boss = shop.full_key().await;

    // Revoked.
    let key = shop.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    assert!(browser.is_in().await);
    boss.post(&format!("/v1/token/{}/delete", key.id), json!({}))
        .await
        .ok();
    let page = browser.get("/ui/keys").await;
    assert!(page.text().contains("is not valid any more"), "{page}");
    let cleared = page.header("set-cookie").unwrap();
    assert!(cleared.starts_with("__Host-hallpass=; "), "{cleared}");
    assert!(cleared.contains("Max-Age=0"), "{cleared}");

    // Disabled, and enabled again: the sign-in is over nevertheless, once it was seen.
    let key = shop.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let update = format!("/v1/token/{}/update", key.id);
    boss.post(&update, json!({"enabled": false})).await.ok();
    assert!(!browser.is_in().await);
    boss.post(&update, json!({"enabled": true})).await.ok();
    assert!(!browser.is_in().await);

    // Narrowed.
    let key = shop.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    browser.get("/ui/accounts").await.status(200);
    let update = format!("/v1/token/{}/update", key.id);
    boss.post(&update, json!({"config": {"manage": ["tokens"]}}))
        .await
        .ok();
    browser.get("/ui/accounts").await.status(403);
    let page = browser.get("/ui/keys").await;
    page.status(200);
    assert!(!page.text().contains("href=\"/ui/accounts\""));

    // A rotation cuts the secret that signed in, and no other.
    let key = shop.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let rotate = format!("/v1/token/{}/rotate", key.id);
    boss.post(&rotate, json!({"overlapInSeconds": 600}))
        .await
        .ok();
    assert!(browser.is_in().await);
    town.advance_secs(601);
    assert!(!browser.is_in().await);

    // The account is suspended.
    let key = shop.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let suspend = format!("/v1/user/{}/suspend", shop.id);
    town.operator().cli().post(&suspend, json!({})).await.ok();
    assert!(!browser.is_in().await);
}

#[tokio::test]
async fn a_sign_in_ends_after_a_pause_and_after_a_day_of_work() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;

    let browser = Browser::signed_in(&town, &key.token).await;
    town.advance_secs(14 * 60);
    assert!(browser.is_in().await);
    town.advance_secs(14 * 60);
    assert!(browser.is_in().await);
    town.advance_secs(15 * 60);
    assert!(!browser.is_in().await);

    let browser = Browser::signed_in(&town, &key.token).await;
    for _ in 0..(8 * 60 - 10) / 10 {
        town.advance_secs(10 * 60);
        assert!(browser.is_in().await);
    }
    town.advance_secs(10 * 60);
    assert!(!browser.is_in().await, "however busy");
}

#[tokio::test]
async fn signing_in_again_ends_the_sign_in_before() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let mut browser = Browser::signed_in(&town, &key.token).await;
    let before = browser.clone();

    browser.sign_in(&key.token).await.status(303);

    assert_ne!(before.cookie, browser.cookie);
    assert!(browser.is_in().await);
    assert!(!before.is_in().await);
}

#[tokio::test]
async fn one_signs_out_here_or_everywhere() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let other_key = town.operator().full_key().await;
    let here = Browser::signed_in(&town, &key.token).await;
    let there = Browser::signed_in(&town, &key.token).await;
    let third = Browser::signed_in(&town, &key.token).await;
    let somebody = Browser::signed_in(&town, &other_key.token).await;

    let answer = here.submit("/ui/keys", "/ui/sign-out", &[]).await;
    assert_eq!(sent_to(&answer), "/?done=signed-out");
    assert!(!here.is_in().await);
    assert!(there.is_in().await);

    there
        .submit("/ui/keys", "/ui/sign-out-everywhere", &[])
        .await
        .status(303);
    assert!(!there.is_in().await);
    assert!(!third.is_in().await);
    assert!(somebody.is_in().await);
}

#[tokio::test]
async fn guesses_are_limited_by_address_and_good_keys_are_not() {
    let town = Town::with_settings(
        "[limits]\nfailed_authentications = { requests = 3, per_seconds = 60 }",
    )
    .await;
    let key = town.operator().full_key().await;
    let mut browser = Browser::new(&town);
    let wrong = "imported-key-that-nobody-has";

    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(browser.sign_in(wrong).await.status.as_u16());
    }

    assert_eq!(answers, [401, 401, 401, 429, 429]);
    // The same limit as the API has.
    town.bearer(wrong)
        .get("/v1/token/list")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    browser.from("192.0.2.77").sign_in(wrong).await.status(401);
    browser.sign_in(&key.token).await.status(303);
}

#[tokio::test]
async fn any_node_answers() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let other = town.second_node().await;
    let browser = Browser::signed_in(&town, &key.token).await;

    assert!(browser.at(&other).is_in().await);

    browser
        .at(&other)
        .submit("/ui/keys", "/ui/sign-out", &[])
        .await
        .status(303);
    assert!(!browser.is_in().await);
}

#[tokio::test]
async fn a_cookie_that_came_twice_is_none() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let again = format!("{COOKIE}={}", browser.cookie.clone().unwrap());

    let page = browser
        .caller()
        .header("cookie", &again)
        .get("/ui/keys")
        .await;

    assert!(page.text().contains("action=\"/ui/sign-in\""));
}

#[tokio::test]
async fn a_browser_too_many_ends_the_oldest() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let first = Browser::signed_in(&town, &key.token).await;
    for _ in 0..50 {
        town.advance_ms(1);
        Browser::signed_in(&town, &key.token).await;
    }
    assert!(!first.is_in().await);
}

#[tokio::test]
async fn what_was_typed_survives_the_end_of_a_sign_in() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let mut browser = Browser::signed_in(&town, &key.token).await;
    let hidden = browser.hidden("/ui/accounts/new").await;
    town.advance_secs(3600);
    let before = town.database().await["account"].clone();

    let name = "Tom & \"Jerry\" <b>";
    let mut fields: Vec<(&str, &str)> = hidden
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.push(("name", name));
    let asked = browser.send("/ui/accounts/new", &fields).await;
    asked.status(200);
    let escaped = "Tom &amp; &quot;Jerry&quot; &lt;b&gt;";
    let kept = format!("name=\"kept.name\" value=\"{escaped}\"");
    assert!(asked.text().contains(&kept), "{asked}");
    let next = between(&asked.text(), "name=\"next\" value=\"", "\"");
    assert_eq!(next, "/ui/accounts/new");

    let again = browser
        .sign_in_with(&[("key", &key.token), ("next", &next), ("kept.name", name)])
        .await;
    again.status(200);
    assert!(again.text().contains("action=\"/ui/accounts/new\""));
    // Which the page sends on, without anything that proves it is ours.
    let shown = browser.send("/ui/accounts/new", &[("name", name)]).await;
    shown.status(200);
    let typed = format!("value=\"{escaped}\"");
    assert!(shown.text().contains(&typed), "{shown}");
    assert!(shown.text().contains("Nothing was done"), "{shown}");
    assert_eq!(town.database().await["account"], before);
}

/// Whoever signs in next may be somebody else.
#[tokio::test]
async fn a_key_that_was_typed_is_not_kept_over_a_sign_in() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let other = town.account("other").await.full_key().await;
    let mut browser = Browser::signed_in(&town, &key.token).await;
    let hidden = browser.hidden("/ui/sessions/mint").await;
    town.advance_secs(3600);

    let mut fields: Vec<(&str, &str)> = hidden
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.extend([("key", other.token.as_str()), ("routes", "bot/**")]);
    let asked = browser.send("/ui/sessions/mint", &fields).await;
    asked.status(200);
    assert!(
        asked
            .text()
            .contains("name=\"kept.routes\" value=\"bot/**\""),
        "{asked}"
    );
    assert!(!asked.text().contains(&other.token), "{asked}");

    let next = between(&asked.text(), "name=\"next\" value=\"", "\"");
    let kept = [
        ("key", key.token.as_str()),
        ("next", &next),
        ("kept.routes", "bot/**"),
        ("kept.key", &other.token),
    ];
    let again = browser.sign_in_with(&kept).await;
    again.status(200);
    assert!(again.text().contains("bot/**"), "{again}");
    assert!(!again.text().contains(&other.token), "{again}");
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_after_signing_in() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/v1/token/list",
    ] {
        let mut browser = Browser::new(&town);
        let answer = browser
            .sign_in_with(&[("key", &key.token), ("next", next)])
            .await;
        assert_eq!(sent_to(&answer), "/");
    }
    let mut browser = Browser::new(&town);
    let answer = browser
        .sign_in_with(&[("key", &key.token), ("next", "/ui/keys?state=active")])
        .await;
    assert_eq!(sent_to(&answer), "/ui/keys?state=active");
}
