//! A verifier in this process, and the service in one or two of their own.

use std::time::Duration;

use hallpass::clock::{Clock as _, SystemClock};
use hallpass::verifier::{Request, Verifier};
use serde_json::{Value, json};

use super::process::{Place, Server, on_both, wait_for};

on_both!(
    a_revoked_session_is_refused_within_the_bound,
    a_verifier_that_is_cut_off_refuses_at_its_bound,
);

/// The service's own bound, on top of that of a verifier.
const MARGIN_MS: i64 = 1000;

/// A service whose issuer is its address, where a verifier asks it.
fn serve(place: &Place) -> Server {
    Server::start(place.hallpass(&[]).env_remove("HALLPASS_ISSUER"))
}

fn verifier(server: &Server, bound_secs: u32) -> Verifier {
    Verifier::builder(server.url())
        .audience(format!("{}/api", server.url()))
        .bound_secs(bound_secs)
        .build()
        .unwrap()
}

fn mint(server: &Server, key: &str) -> (String, String) {
    let body = json!({"allowedRoutes": ["bot/**"]});
    let minted = server.post("/v1/session/create", key, &body).ok();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&minted["id"]), text(&minted["token"]))
}

async fn code(verifier: &Verifier, token: &str) -> &'static str {
    let request = Request::new("GET", "/v1/bot/b1");
    let outcome = verifier.verify(token, &request).await;
    outcome.map_or_else(|error| error.code(), |_| "ok")
}

fn a_revoked_session_is_refused_within_the_bound(place: &Place) {
    let server = serve(place);
    let key = server.announcement().key;
    let (id, token) = mint(&server, &key);
    let (_, other) = mint(&server, &key);
    wait_for(async {
        let verifier = verifier(&server, 10);
        verifier.ready().await;
        assert_eq!(code(&verifier, &token).await, "ok");

        let path = format!("/v1/session/{id}/revoke");
        server.post(&path, &key, &json!({})).ok();
        let since_revoked = SystemClock::new();
        while code(&verifier, &token).await == "ok" {
            assert!(since_revoked.monotonic_ms() <= 10_000 + MARGIN_MS);
            verifier.next_document().await;
        }

        assert_eq!(code(&verifier, &token).await, "session_ended");
        assert_eq!(code(&verifier, &other).await, "ok");
    });
    // Those who wait for the feed do not hold up the end.
    server.stop();
}

fn a_verifier_that_is_cut_off_refuses_at_its_bound(place: &Place) {
    const BOUND_SECS: u32 = 2;
    let server = serve(place);
    let key = server.announcement().key;
    let (_, token) = mint(&server, &key);
    wait_for(async {
        let verifier = verifier(&server, BOUND_SECS);
        verifier.ready().await;
        assert_eq!(code(&verifier, &token).await, "ok");

        server.signal("KILL");
        let since_cut = SystemClock::new();
        while code(&verifier, &token).await == "ok" {
            assert!(since_cut.monotonic_ms() <= i64::from(BOUND_SECS) * 1000 + MARGIN_MS);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }

        assert_eq!(code(&verifier, &token).await, "revocation_unknown");
    });
    server.end();
}
