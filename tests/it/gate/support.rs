//! A gateway in front of an API, as the gate sees it.

use crate::support::town::{Answer, Caller, Town};

/// The gate answers where the callers of the tests sit.
pub(super) const PEERS: &str = "peers = [\"192.0.2.0/24\"]\n";

/// A town whose gate has these settings beside its peers.
pub(super) async fn town(gate: &str) -> Town {
    Town::with_settings(&format!("[gate]\n{PEERS}{gate}")).await
}

/// What nginx asks about a request of this caller.
pub(super) async fn nginx(caller: &Caller, method: &str, target: &str) -> Answer {
    caller
        .header("x-original-method", method)
        .header("x-original-uri", target)
        .get("/v1/authorize/nginx")
        .await
}

/// What Caddy and Traefik ask about a request of this caller.
pub(super) async fn forwarded(caller: &Caller, method: &str, target: &str) -> Answer {
    caller
        .header("x-forwarded-method", method)
        .header("x-forwarded-uri", target)
        .get("/v1/authorize/forwarded")
        .await
}

/// What Envoy asks about a request of this caller.
pub(super) async fn envoy(caller: &Caller, method: &str, target: &str) -> Answer {
    let path = format!("/v1/authorize/envoy{target}");
    caller.send(method, &path, Vec::new()).await
}

/// Asserts that a gateway was refused, with this status, code and reason.
#[track_caller]
pub(super) fn refused(answer: &Answer, status: u16, code: &str) {
    answer.refused(status, code);
    let reason = match code {
        "TOO_MANY_REQUESTS" => "rate_limited".to_owned(),
        code => code.to_lowercase(),
    };
    assert_eq!(answer.header("x-auth-reason"), Some(&*reason), "{answer}");
    assert!(answer.header("x-auth-identity").is_none(), "{answer}");
}

/// The identity headers, each of which is in every answer that allows.
pub(super) const IDENTITY: [&str; 8] = [
    "x-auth-identity",
    "x-auth-account-id",
    "x-auth-actor-id",
    "x-auth-key-id",
    "x-auth-session-id",
    "x-auth-environment",
    "x-auth-scope",
    "x-auth-token",
];

/// Asserts that a gateway was told to pass the request on, with every identity header.
#[track_caller]
pub(super) fn allowed(answer: &Answer) {
    answer.status(200);
    for name in IDENTITY {
        assert!(answer.header(name).is_some(), "{name}: {answer}");
    }
    // Whoever kept it would let a key pass that was ended since.
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}
