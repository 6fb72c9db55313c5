//! Several nodes on one database: what a node believes, for how long, and what it does then.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

use serde_json::json;

use crate::support::town::{Answer, Caller, Key, Town, jose_header};

/// For how long a signing key is published before it may sign.
const LEAD_SECS: i64 = 605;
const JWKS: &str = "/.well-known/jwks.json";

/// A town whose gate may be asked from where its callers sit, with these settings beside.
async fn town(nodes: &str) -> Town {
    let gate = "[gate]\npeers = [\"192.0.2.0/24\"]\n";
    Town::with_settings(&format!("{gate}[nodes]\n{nodes}")).await
}

async fn ask(caller: &Caller) -> Answer {
    caller
        .header("x-original-method", "GET")
        .header("x-original-uri", "/v1/bot/b1/fetch")
        .get("/v1/authorize/nginx")
        .await
}

/// A key of a shop that both nodes have seen, and who may end it.
async fn known_to_both(town: &Town, other: &Town) -> (Key, Key) {
    let owner = town.account("shop").await.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    for node in [town, other] {
        node.poll().await;
        ask(&node.bearer(&key.token)).await.status(200);
    }
    (owner, key)
}

async fn end(owner: &Key, key: &Key) {
    let path = format!("/v1/token/{}/delete", key.id);
    owner.post(&path, json!({})).await.ok();
}

#[tokio::test]
async fn what_is_known_is_believed_up_to_the_bound_of_the_settings_and_no_longer() {
    for (nodes, bound_ms) in [("", 1_000), ("lease_ms = 3000", 3_000)] {
        let town = town(nodes).await;
        let other = town.second_node().await;
        let (owner, key) = known_to_both(&town, &other).await;
        end(&owner, &key).await;

        town.advance_ms(bound_ms);
        ask(&other.bearer(&key.token)).await.status(200);
        town.advance_ms(1);
        ask(&other.bearer(&key.token))
            .await
            .refused(401, "INVALID_API_KEY");
    }
}

#[tokio::test]
async fn a_node_that_may_not_ask_refuses_past_the_bound_until_it_has_read_the_log() {
    let town = town("past_lease = 'refuse'").await;
    let other = town.second_node().await;
    let (_, key) = known_to_both(&town, &other).await;
    let caller = other.bearer(&key.token);

    town.advance_ms(1_001);
    ask(&caller).await.refused(403, "SERVICE_UNAVAILABLE");
    let mint = json!({"allowedRoutes": ["**"]});
    let minted = caller.post("/v1/session/create", mint.clone()).await;
    minted.refused(503, "SERVICE_UNAVAILABLE");

    other.poll().await;
    ask(&caller).await.status(200);
    caller.post("/v1/session/create", mint).await.ok();
}

/// How often the clock is read while the gate answers, and whether it allowed, when the machine
/// sleeps after so many readings.
async fn ask_and_sleep(caller: &Caller, town: &Town, readings: u16) -> (bool, bool) {
    town.clock().sleep_after(readings, 60_000);
    let answer = ask(caller).await;
    let slept = town.clock().sleep_after(0, 0);
    (slept, answer.status == 200)
}

#[tokio::test]
async fn wherever_the_machine_sleeps_while_the_gate_answers_nobody_is_let_in_by_what_was_known_before()
 {
    // The clock is read once more when the answer is counted, and nothing is decided by that.
    const AFTER_THE_CHECK: u16 = 1;
    let town = town("").await;
    let other = town.second_node().await;
    let owner = town.account("shop").await.full_key().await;
    let limited = json!({
        "unrestricted": true,
        "config": { "rateLimit": { "requests": 1000, "perSeconds": 1 } },
    });
    let mut allowed = Vec::new();
    let mut readings = 1;
    loop {
        let key = owner.make_key(limited.clone()).await;
        for node in [&town, &other] {
            node.poll().await;
            ask(&node.bearer(&key.token)).await.status(200);
        }
        end(&owner, &key).await;
        let (slept, let_in) = ask_and_sleep(&other.bearer(&key.token), &town, readings).await;
        if !slept {
            break;
        }
        allowed.push(let_in);
        readings += 1;
        assert!(readings < 100);
    }

    // The sleep that comes after the last look at the clock cannot be seen by anybody.
    let before_the_check = allowed.len() - usize::from(AFTER_THE_CHECK) - 1;
    assert!(before_the_check >= 3, "{allowed:?}");
    assert!(
        allowed[..before_the_check].iter().all(|allowed| !allowed),
        "{allowed:?}"
    );
}

async fn rotate(operator: &Key) {
    let body = json!({"environment": "live"});
    operator.post("/v1/signing-key/rotate", body).await.ok();
}

#[tokio::test]
async fn a_node_that_slept_does_not_sign_with_a_key_that_was_retired_meanwhile() {
    let town = town("").await;
    let other = town.second_node().await;
    let operator = town.operator_key().await;
    let (_, key) = known_to_both(&town, &other).await;
    let sleeper = other.bearer(&key.token);
    let mint = json!({"allowedRoutes": ["**"]});
    let kid = |answer: &Answer| jose_header(answer.ok()["token"].as_str().unwrap())["kid"].clone();
    town.advance_secs(LEAD_SECS);
    let before = kid(&sleeper.post("/v1/session/create", mint.clone()).await);

    rotate(&operator).await;
    town.advance_ms(1_001);

    let after = kid(&sleeper.post("/v1/session/create", mint.clone()).await);
    assert_ne!(before, after);
    let awake = town.bearer(&key.token);
    assert_eq!(kid(&awake.post("/v1/session/create", mint).await), after);
}

#[tokio::test]
async fn a_token_of_a_revoked_signing_key_is_recalled_no_more_once_the_log_was_read() {
    let town = town("").await;
    let other = town.second_node().await;
    let operator = town.operator_key().await;
    let owner = town.account("shop").await.full_key().await;
    let mint = json!({"allowedRoutes": ["**"]});
    let seen = owner.session(mint.clone()).await;
    let unseen = owner.session(mint).await;
    town.advance_secs(LEAD_SECS);
    other.poll().await;
    ask(&other.bearer(&seen.token)).await.status(200);

    let kid = jose_header(&seen.token)["kid"].as_str().unwrap().to_owned();
    let path = format!("/v1/signing-key/{kid}/revoke");
    operator.post(&path, json!({})).await.ok();
    other.read_log().await;

    for token in [&seen.token, &unseen.token] {
        ask(&other.bearer(token))
            .await
            .refused(401, "INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_key_set_that_cannot_be_confirmed_is_told_and_not_to_be_kept() {
    let town = town("").await;
    let other = town.second_node().await;
    let published = other.nobody().get(JWKS).await;
    assert_eq!(
        published.header("cache-control"),
        Some("public, max-age=600")
    );

    other.app().store.close().await;
    town.advance_ms(1_000);
    let in_time = other.nobody().get(JWKS).await;
    assert_eq!(in_time.header("cache-control"), Some("public, max-age=600"));
    town.advance_ms(1);
    let late = other.nobody().get(JWKS).await;

    assert_eq!(late.header("cache-control"), Some("no-cache"));
    assert_eq!(late.ok(), published.ok());
}

#[tokio::test]
async fn a_node_that_slept_publishes_what_others_made_meanwhile() {
    let town = town("").await;
    let other = town.second_node().await;
    let operator = town.operator_key().await;
    town.advance_secs(LEAD_SECS);
    other.poll().await;

    rotate(&operator).await;
    town.advance_ms(1_001);

    let keys = |answer: &Answer| answer.ok()["keys"].clone();
    let here = town.nobody().get(JWKS).await;
    assert_eq!(keys(&here).as_array().unwrap().len(), 3);
    assert_eq!(keys(&other.nobody().get(JWKS).await), keys(&here));
}

#[tokio::test]
async fn a_node_that_is_about_to_stop_is_not_ready_and_goes_on_working() {
    let town = town("").await;
    let key = town.first_key().await;
    town.nobody().get("/readyz").await.ok();

    town.app().leave();

    town.nobody()
        .get("/readyz")
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    town.nobody().get("/healthz").await.ok();
    ask(&town.bearer(&key.token)).await.status(200);
    key.session(json!({"allowedRoutes": ["**"]})).await;
}

#[tokio::test]
async fn the_metrics_say_how_old_knowledge_is_and_what_was_done_past_the_bound() {
    let town = town("").await;
    let key = town.first_key().await;
    town.poll().await;
    town.advance_ms(1_500);
    let metrics = async || town.nobody().get("/metrics").await.text();

    let before = metrics().await;
    assert!(
        before.contains("\nhallpass_change_log_age_seconds 1.500\n"),
        "{before}"
    );
    assert!(
        before.contains("\nhallpass_change_log_lease_seconds 1.000\n"),
        "{before}"
    );
    assert!(
        before.contains("\nhallpass_change_log_listening 0\n"),
        "{before}"
    );
    ask(&town.bearer(&key.token)).await.status(200);
    let after = metrics().await;

    assert!(
        after.contains("\nhallpass_past_lease_total{outcome=\"asked\"} 1\n"),
        "{after}"
    );
    assert!(
        after.contains("\nhallpass_past_lease_total{outcome=\"refused\"} 0\n"),
        "{after}"
    );
    assert!(
        after.contains("\nhallpass_change_log_age_seconds 0.000\n"),
        "{after}"
    );
}
