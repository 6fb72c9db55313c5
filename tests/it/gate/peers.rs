//! Who may ask the gate.

use serde_json::json;

use super::support::{allowed, envoy, nginx, refused};
use crate::support::town::{Caller, Town};

async fn key_of(town: &Town) -> Caller {
    town.account("shop").await.full_key().await.caller()
}

#[tokio::test]
async fn nobody_but_the_own_machine_may_ask_unless_it_is_said() {
    let town = Town::new().await;
    let key = key_of(&town).await;

    for own in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
        allowed(&nginx(&key.address(own), "GET", "/v1/bot").await);
    }
    for other in ["192.0.2.1", "10.0.0.1", "::2", "::ffff:192.0.2.1"] {
        let caller = key.address(other);
        refused(
            &nginx(&caller, "GET", "/v1/bot").await,
            403,
            "GATE_PEER_NOT_ALLOWED",
        );
        refused(
            &envoy(&caller, "GET", "/v1/bot").await,
            403,
            "GATE_PEER_NOT_ALLOWED",
        );
        // What headers say about addresses does not count here.
        let claims = caller.header("x-forwarded-for", "127.0.0.1");
        refused(
            &nginx(&claims, "GET", "/v1/bot").await,
            403,
            "GATE_PEER_NOT_ALLOWED",
        );
        let question = json!({"credential": "x", "method": "GET", "path": "/v1/bot"});
        let answer = town
            .nobody()
            .address(other)
            .post("/v1/authorize", question)
            .await;
        answer.refused(403, "GATE_PEER_NOT_ALLOWED");
    }
    let nowhere = nginx(&key.no_address(), "GET", "/v1/bot").await;
    refused(&nowhere, 403, "GATE_PEER_NOT_ALLOWED");
}

#[tokio::test]
async fn a_trusted_proxy_lends_its_place_to_nobody() {
    let town = Town::with_settings("trusted_proxies = [\"192.0.2.1\"]\n").await;
    let key = key_of(&town).await;

    let claims = key.header("x-forwarded-for", "127.0.0.1");
    refused(
        &nginx(&claims, "GET", "/v1/bot").await,
        403,
        "GATE_PEER_NOT_ALLOWED",
    );
}

#[tokio::test]
async fn with_a_shared_secret_the_place_alone_is_not_enough() {
    const SECRET: &str = "correct-horse-battery";
    let town = super::support::town(&format!("secret = \"{SECRET}\"\n")).await;
    let key = key_of(&town).await;
    let header = "x-hallpass-gate-secret";

    allowed(&nginx(&key.header(header, SECRET), "GET", "/v1/bot").await);
    let elsewhere = key.header(header, SECRET).address("203.0.113.1");
    refused(
        &nginx(&elsewhere, "GET", "/v1/bot").await,
        403,
        "GATE_PEER_NOT_ALLOWED",
    );
    for wrong in [
        key.clone(),
        key.header(header, "correct-horse-batterz"),
        key.header(header, "correct-horse"),
        key.header(header, ""),
        key.header(header, SECRET).header(header, SECRET),
    ] {
        refused(
            &nginx(&wrong, "GET", "/v1/bot").await,
            403,
            "GATE_SECRET_REQUIRED",
        );
    }
    let question = json!({"credential": "x", "method": "GET", "path": "/v1/bot"});
    let answer = town.nobody().post("/v1/authorize", question.clone()).await;
    answer.refused(403, "GATE_SECRET_REQUIRED");
    let api = town.nobody().header(header, SECRET);
    assert_eq!(
        api.post("/v1/authorize", question).await.ok()["allowed"],
        false
    );
}
