//! Rotation that nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hallpass::verifier::{Request, Verifier};
use serde_json::json;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use super::follow::Served;
use crate::support::town::{Town, jose_header};

const ROTATIONS: usize = 12;
/// `max-age` of the key set, and the moment in which other nodes learn of a new key.
const LEAD_SECS: i64 = 6;

/// Waits until the keys were fetched after time was moved.
async fn keys_are_fetched(verifier: &Verifier) {
    let looking = async {
        while verifier
            .status()
            .keys
            .age_ms
            .is_none_or(|age_ms| age_ms >= LEAD_SECS * 1000)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), looking).await;
    assert!(found.is_ok(), "{:?}", verifier.status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_keys_rotate_one_after_the_other_and_no_verification_fails() {
    let town = Town::with_settings("jwks_max_age_secs = 1\n").await;
    let served = Served::at(town, "127.0.0.1:0".parse().unwrap()).await;
    let operator = served.town.operator_key().await;
    let key = served.town.account("shop").await.full_key().await;
    // The hand on the clock goes faster than the feed is asked.
    let warm = Arc::new(served.verifier_with(|builder| builder.bound_secs(3600)));
    let cold =
        Arc::new(served.verifier_with(|builder| builder.bound_secs(3600).remember_signatures(0)));
    let tokens = Arc::new(RwLock::new(Vec::<String>::new()));
    let (counted, stop) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut load = JoinSet::new();
    for asked in [&warm, &cold] {
        asked.ready().await;
        let (verifier, tokens) = (Arc::clone(asked), Arc::clone(&tokens));
        let (counted, stop) = (Arc::clone(&counted), Arc::clone(&stop));
        load.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let tokens = tokens.read().await.clone();
                for token in &tokens {
                    let request = Request::new("GET", "/v1/bot/b1");
                    let outcome = verifier.verify(token, &request).await;
                    assert!(outcome.is_ok(), "{:?}", outcome.err());
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                tokio::task::yield_now().await;
            }
        });
    }

    let mut kids = std::collections::BTreeSet::new();
    for _ in 0..ROTATIONS {
        let session = key.session(json!({"allowedRoutes": ["bot/**"]})).await;
        kids.insert(jose_header(&session.token)["kid"].to_string());
        tokens.write().await.push(session.token);
        served.town.advance_secs(LEAD_SECS);
        keys_are_fetched(&warm).await;
        keys_are_fetched(&cold).await;
        let body = json!({"environment": "live"});
        operator.post("/v1/signing-key/rotate", body).await.ok();
    }

    assert_eq!(kids.len(), ROTATIONS);
    let before = counted.load(Ordering::SeqCst);
    while counted.load(Ordering::SeqCst) < before + 4 * ROTATIONS {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::SeqCst);
    load.join_all().await;
    served.stop().await;
}
