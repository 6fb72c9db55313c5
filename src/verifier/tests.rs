use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::keys::{COOLDOWN_SECS, MAX_AGE_SECS, RETRY_SECS, STALE_SECS_MAX};
use super::*;
use crate::token::jws::sign_compact;
use crate::token::{Algorithm, Jwks, PrivateKey};

const NOW: Timestamp = Timestamp::from_secs(1_900_000_000);
const AUDIENCE: &str = "https://api.example.com";

/// An issuer that answers every request with the same bytes, and counts them.
struct Issuer {
    url: String,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(keys: &[&PrivateKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::new(AtomicUsize::new(0));
        let issuer = Self {
            url,
            answer: Arc::clone(&answer),
            asked: Arc::clone(&asked),
        };
        issuer.publish(keys);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let length = socket.read(&mut head).await.unwrap();
                assert!(head[..length].starts_with(b"GET /.well-known/jwks.json "));
                asked.fetch_add(1, Ordering::SeqCst);
                let bytes = answer.lock().unwrap().clone();
                // A client that has read enough may have gone away.
                drop(socket.write_all(&bytes).await);
            }
        });
        issuer
    }

    fn publish(&self, keys: &[&PrivateKey]) {
        let jwks = Jwks::new(keys.iter().map(|key| key.public().jwk()));
        self.answer("200 OK", &jwks.render().unwrap().body);
    }

    fn answer(&self, status: &str, body: &[u8]) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\nlocation: /elsewhere\r\ncontent-length: {length}\r\n\r\n"
        );
        *self.answer.lock().unwrap() = [head.as_bytes(), body].concat();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn verifier(&self) -> Verifier {
        Verifier::builder(&self.url)
            .audience(AUDIENCE)
            .build()
            .unwrap()
    }

    fn token(&self, key: &PrivateKey, changes: &[(&str, Value)]) -> String {
        let mut claims = json!({
            "iss": self.url,
            "sub": "usr_01hzy0000000000000000000aa",
            "aud": AUDIENCE,
            "iat": NOW.secs_floor(),
            "nbf": NOW.secs_floor(),
            "exp": NOW.secs_floor() + 86_400,
            "jti": "ses_01hzy0000000000000000000aa",
            "client_id": "key_01hzy0000000000000000000aa",
            "allowedRoutes": ["GET bot/**", "conversation/*"],
            "lin": "AAAAAAAAAAA",
            "rev": "AAAAAAAAAAA.1",
        });
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        sign_compact(SESSION_TYP, claims.to_string().as_bytes(), key).unwrap()
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).unwrap()
}

#[tokio::test]
async fn a_session_makes_the_requests_that_its_routes_allow() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let issuer = Issuer::start(&[&key]).await;
        let (verifier, token) = (issuer.verifier(), issuer.token(&key, &[]));

        for target in ["/v1/bot/b1", "/v1/bot/b1/?q=1", "/v1/conversation/c1"] {
            let outcome = verifier.verify(&token, "GET", target, NOW).await.unwrap();
            assert_eq!(outcome.claims().aud, AUDIENCE, "{target}");
        }
        for (method, target) in [("POST", "/v1/bot/b1"), ("GET", "/v1/conversation/c1/x")] {
            let refused = verifier.verify(&token, method, target, NOW).await;
            assert!(matches!(refused, Err(VerifyError::Route)), "{target}");
        }
        for target in [
            "/v1/bot/../bot/b1",
            "/v1/bot//b1",
            "/v2/bot/b1",
            "/v1/bot/%62",
        ] {
            let refused = verifier.verify(&token, "GET", target, NOW).await;
            assert!(matches!(refused, Err(VerifyError::Path(_))), "{target}");
        }
        assert_eq!(issuer.asked(), 1);
    }
}

#[tokio::test]
async fn tokens_that_are_not_for_us_are_refused() {
    let (key, stranger) = (key(), key());
    let issuer = Issuer::start(&[&key]).await;
    let verifier = issuer.verifier();

    for (token, wanted) in [
        (
            issuer.token(&key, &[("aud", json!("https://other"))]),
            "aud",
        ),
        (
            issuer.token(&key, &[("iss", json!("https://other"))]),
            "iss",
        ),
        (
            issuer.token(&key, &[("nbf", json!(NOW.secs_floor() + 1))]),
            "nbf",
        ),
        (
            issuer.token(&key, &[("exp", json!(NOW.secs_floor()))]),
            "exp",
        ),
    ] {
        match verifier.verify(&token, "GET", "/v1/bot/b1", NOW).await {
            Err(VerifyError::Token(error)) => assert_eq!(error.claim(), Some(wanted)),
            other => panic!("{wanted}: {other:?}"),
        }
    }
    let forged = issuer.token(&stranger, &[]);
    let refused = verifier.claims(&forged, NOW).await;
    assert!(matches!(
        refused,
        Err(VerifyError::Token(TokenError::UnknownKey))
    ));
}

#[tokio::test]
async fn many_who_ask_at_once_cost_one_fetch() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let (verifier, token) = (Arc::new(issuer.verifier()), issuer.token(&key, &[]));

    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (verifier, token) = (Arc::clone(&verifier), token.clone());
        tasks.spawn(async move { verifier.claims(&token, NOW).await.is_ok() });
    }

    assert!(tasks.join_all().await.into_iter().all(|accepted| accepted));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_in_a_cooldown() {
    let (first, second) = (key(), key());
    let issuer = Issuer::start(&[&first]).await;
    let (verifier, token) = (issuer.verifier(), issuer.token(&second, &[]));
    let accepts = async |secs| verifier.claims(&token, NOW.plus_secs(secs)).await.is_ok();

    for secs in [0, 1, COOLDOWN_SECS - 1] {
        assert!(!accepts(secs).await);
    }
    assert_eq!(issuer.asked(), 1);

    assert!(!accepts(COOLDOWN_SECS).await);
    issuer.publish(&[&first, &second]);
    assert!(!accepts(2 * COOLDOWN_SECS - 1).await);
    assert_eq!(issuer.asked(), 2);
    assert!(accepts(2 * COOLDOWN_SECS).await);
    assert!(accepts(2 * COOLDOWN_SECS).await);
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn keys_are_fetched_again_when_they_are_old_and_a_withdrawn_one_is_gone() {
    let (old, new) = (key(), key());
    let issuer = Issuer::start(&[&old]).await;
    let (verifier, token) = (issuer.verifier(), issuer.token(&old, &[]));

    assert!(verifier.claims(&token, NOW).await.is_ok());
    issuer.publish(&[&new]);
    let before = verifier
        .claims(&token, NOW.plus_secs(MAX_AGE_SECS - 1))
        .await;
    let after = verifier.claims(&token, NOW.plus_secs(MAX_AGE_SECS)).await;

    assert!(before.is_ok());
    assert!(matches!(
        after,
        Err(VerifyError::Token(TokenError::UnknownKey))
    ));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn without_an_issuer_old_keys_go_on_for_a_while_and_then_nothing_is_accepted() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let (verifier, token) = (issuer.verifier(), issuer.token(&key, &[]));
    let ask = async |secs| verifier.claims(&token, NOW.plus_secs(secs)).await;

    assert!(ask(0).await.is_ok());
    issuer.answer("503 Service Unavailable", b"");
    assert!(ask(MAX_AGE_SECS).await.is_ok());
    assert!(ask(MAX_AGE_SECS + RETRY_SECS - 1).await.is_ok());
    assert_eq!(issuer.asked(), 2);
    assert!(ask(STALE_SECS_MAX - 1).await.is_ok());

    assert!(matches!(
        ask(STALE_SECS_MAX).await,
        Err(VerifyError::Keys(_))
    ));
    issuer.publish(&[&key]);
    assert!(ask(STALE_SECS_MAX + RETRY_SECS).await.is_ok());
}

#[tokio::test]
async fn redirects_long_answers_and_other_documents_are_no_keys() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let token = issuer.token(&key, &[]);

    let long = vec![b' '; crate::token::jwks::JWKS_LEN_MAX + 1];
    for (status, body) in [
        ("302 Found", b"".as_slice()),
        ("200 OK", long.as_slice()),
        ("200 OK", b"<html>"),
    ] {
        issuer.answer(status, body);
        let refused = issuer.verifier().claims(&token, NOW).await;
        assert!(matches!(refused, Err(VerifyError::Keys(_))), "{status}");
    }
}

#[test]
fn a_verifier_needs_an_audience_and_a_safe_address() {
    let build = |issuer: &str| Verifier::builder(issuer).audience(AUDIENCE).build();
    let nobody = Verifier::builder("https://auth.example.com").build();

    assert!(matches!(nobody, Err(BuildError::NoAudience)));
    for issuer in [
        "https://auth.example.com",
        "http://127.0.0.1:8080",
        "http://[::1]:1",
    ] {
        assert!(build(issuer).is_ok(), "{issuer}");
    }
    for issuer in [
        "http://auth.example.com",
        "ftp://localhost",
        "auth.example.com",
        "",
    ] {
        assert!(matches!(build(issuer), Err(BuildError::Url)), "{issuer}");
    }
}
