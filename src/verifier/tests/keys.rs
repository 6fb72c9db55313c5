use std::sync::Arc;

use super::support::{AUDIENCE, Issuer, JWKS_PATH, key};
use crate::token::TokenError;
use crate::token::jwks::JWKS_LEN_MAX;
use crate::verifier::keys::{COOLDOWN_SECS, MAX_AGE_SECS, RETRY_SECS, STALE_SECS_MAX};
use crate::verifier::{BuildError, Verifier, VerifyError};

#[tokio::test]
async fn many_who_ask_at_once_cost_one_fetch() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let (verifier, token) = (Arc::new(issuer.verifier()), issuer.token(&key, &[]));

    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (verifier, token) = (Arc::clone(&verifier), token.clone());
        tasks.spawn(async move { verifier.verify_token_alone(&token).await.is_ok() });
    }

    assert!(tasks.join_all().await.into_iter().all(|accepted| accepted));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_in_a_cooldown() {
    let (first, second) = (key(), key());
    let issuer = Issuer::start(&[&first]).await;
    let (verifier, token) = (issuer.verifier(), issuer.token(&second, &[]));
    let accepts = async || verifier.verify_token_alone(&token).await.is_ok();
    let advance = |secs: i64| issuer.clock.advance_ms(secs * 1000);

    assert!(!accepts().await);
    advance(COOLDOWN_SECS - 1);
    assert!(!accepts().await);
    assert_eq!(issuer.asked(), 1);

    advance(1);
    assert!(!accepts().await);
    issuer.publish(&[&first, &second]);
    advance(COOLDOWN_SECS - 1);
    assert!(!accepts().await);
    assert_eq!(issuer.asked(), 2);
    advance(1);
    assert!(accepts().await);
    assert!(accepts().await);
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn keys_are_fetched_again_when_they_are_old_and_a_withdrawn_one_is_gone() {
    let (old, new) = (key(), key());
    let issuer = Issuer::start(&[&old]).await;
    let (verifier, token) = (issuer.verifier(), issuer.token(&old, &[]));

    assert!(verifier.verify_token_alone(&token).await.is_ok());
    issuer.publish(&[&new]);
    issuer.clock.advance_ms(MAX_AGE_SECS * 1000 - 1);
    let before = verifier.verify_token_alone(&token).await;
    issuer.clock.advance_ms(1);
    let after = verifier.verify_token_alone(&token).await;

    assert!(before.is_ok());
    assert!(
        matches!(after, Err(VerifyError::Token(TokenError::UnknownKey))),
        "although its signature was remembered: {after:?}"
    );
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn keys_are_fetched_in_the_background_at_half_of_their_time() {
    let (old, new) = (key(), key());
    let issuer = Issuer::start(&[&old]).await;
    let verifier = issuer.verifier();
    let half_ms = MAX_AGE_SECS * 500;

    assert_eq!(verifier.keys.refresh_if_due().await, Some(half_ms));
    issuer.clock.advance_ms(half_ms - 1);
    assert_eq!(verifier.keys.refresh_if_due().await, Some(1));
    assert_eq!(issuer.asked(), 1);
    issuer.publish(&[&old, &new]);
    issuer.clock.advance_ms(1);
    assert_eq!(verifier.keys.refresh_if_due().await, Some(half_ms));
    assert_eq!(issuer.asked(), 2);
    assert_eq!(verifier.status().keys.keys, 2);

    let token = issuer.token(&new, &[]);
    assert!(verifier.verify_token_alone(&token).await.is_ok());
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn an_issuer_that_lets_keys_be_kept_for_less_is_asked_more_often() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let verifier = issuer.verifier();
    let set = crate::token::Jwks::new([key.public().jwk()])
        .render()
        .unwrap()
        .body;
    let set = String::from_utf8(set).unwrap();
    let length = set.len();
    issuer.on(JWKS_PATH, move |_| {
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncache-control: public, max-age=4\r\ncontent-length: {length}\r\n\r\n{set}"
        )
        .into_bytes()
    });

    assert_eq!(verifier.keys.refresh_if_due().await, Some(2000));
}

#[tokio::test]
async fn without_an_issuer_old_keys_go_on_for_a_while_and_then_nothing_is_accepted() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let (verifier, token) = (issuer.verifier(), issuer.token(&key, &[]));
    let ask = async || verifier.verify_token_alone(&token).await;
    let advance = |secs: i64| issuer.clock.advance_ms(secs * 1000);

    assert!(ask().await.is_ok());
    issuer.answer(JWKS_PATH, "503 Service Unavailable", b"");
    advance(MAX_AGE_SECS);
    assert!(ask().await.is_ok());
    advance(RETRY_SECS - 1);
    assert!(ask().await.is_ok());
    assert_eq!(issuer.asked(), 2);
    assert_eq!(verifier.status().keys.last_error, Some("keys_status"));
    advance(STALE_SECS_MAX - MAX_AGE_SECS - RETRY_SECS);
    assert!(ask().await.is_ok());

    advance(1);
    assert!(matches!(ask().await, Err(VerifyError::Keys(_))));
    assert!(!verifier.status().is_ready());
    issuer.publish(&[&key]);
    advance(RETRY_SECS);
    assert!(ask().await.is_ok());
}

#[tokio::test]
async fn redirects_long_answers_and_other_documents_are_no_keys() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let token = issuer.token(&key, &[]);

    let long = vec![b' '; JWKS_LEN_MAX + 1];
    for (status, body, code) in [
        ("302 Found", b"".as_slice(), "keys_status"),
        ("200 OK", long.as_slice(), "keys_too_long"),
        ("200 OK", b"<html>", "keys_malformed"),
    ] {
        issuer.answer(JWKS_PATH, status, body);
        let refused = issuer.verifier().verify_token_alone(&token).await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), refused.status()), (code, 503));
    }
}

#[tokio::test]
async fn a_verifier_needs_an_audience_a_safe_address_and_sane_bounds() {
    let of = |issuer: &str| Verifier::builder(issuer).audience(AUDIENCE);
    let nobody = Verifier::builder("https://auth.example.com").build();

    assert!(matches!(nobody, Err(BuildError::NoAudience)));
    for issuer in [
        "https://auth.example.com",
        "http://127.0.0.1:8080",
        "http://[::1]:1",
    ] {
        assert!(of(issuer).assemble().is_ok(), "{issuer}");
    }
    for issuer in [
        "http://auth.example.com",
        "ftp://localhost",
        "auth.example.com",
        "",
    ] {
        let built = of(issuer).assemble();
        assert!(matches!(built, Err(BuildError::Url)), "{issuer}");
    }
    let safe = || of("https://auth.example.com");
    for secs in [0, 3601] {
        let built = safe().bound_secs(secs).assemble();
        assert!(matches!(built, Err(BuildError::Bound)));
    }
    let built = safe().ask_online("a\nb").assemble();
    assert!(matches!(built, Err(BuildError::Key)));
    let built = safe().feed_url("http://feed.example.com").assemble();
    assert!(matches!(built, Err(BuildError::Url)));
}

#[test]
fn a_verifier_is_built_in_a_runtime_that_follows_the_feed() {
    let built = Verifier::builder("https://auth.example.com")
        .audience(AUDIENCE)
        .build();
    assert!(matches!(built, Err(BuildError::NoRuntime)));
}
