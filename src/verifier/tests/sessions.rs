use serde_json::json;

use super::support::{AUDIENCE, Issuer, NOW, key};
use crate::token::{Algorithm, PrivateKey};
use crate::verifier::{Deny, Dimension, Environment, Permission, Request, VerifyError};

#[tokio::test]
async fn a_session_makes_the_requests_that_its_routes_allow() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let issuer = Issuer::start(&[&key]).await;
        let (verifier, token) = (issuer.verifier(), issuer.token(&key, &[]));
        let ask = async |method: &str, target: &str| {
            let request = Request::new(method, target);
            verifier.verify(&token, &request).await
        };

        for target in ["/v1/bot/b1", "/v1/bot/b1/?q=1", "/v1/conversation/c1"] {
            let proof = ask("GET", target).await.unwrap();
            assert_eq!(proof.claims().aud, AUDIENCE, "{target}");
            assert!(!proof.is_impersonated());
        }
        assert_eq!(
            ask("GET", "/v1/bot/b1").await.unwrap().pattern(),
            Some("GET bot/**")
        );
        for (method, target) in [("POST", "/v1/bot/b1"), ("GET", "/v1/conversation/c1/x")] {
            let refused = ask(method, target).await.unwrap_err();
            assert!(matches!(refused, VerifyError::Refused(Deny::Route)));
            assert_eq!(
                (refused.status(), refused.code()),
                (403, "route_not_allowed")
            );
            assert_eq!(refused.claim(), Some("allowedRoutes"));
        }
        for target in [
            "/v1/bot/../bot/b1",
            "/v1/bot//b1",
            "/v2/bot/b1",
            "/v1/bot/%62",
        ] {
            let refused = ask("GET", target).await.unwrap_err();
            assert_eq!((refused.status(), refused.code()), (403, "path_ambiguous"));
        }
        assert_eq!(issuer.asked(), 1);
    }
}

#[tokio::test]
async fn tokens_that_are_not_for_us_are_refused_with_claim_and_reason() {
    let (key, stranger) = (key(), key());
    let issuer = Issuer::start(&[&key]).await;
    let verifier = issuer.verifier();
    let secs = NOW.secs_floor();
    let of_test = format!("{}/test", issuer.url);

    for (claim, value, code, reason) in [
        (
            "aud",
            json!("https://other"),
            "claim_refused",
            "check_failed",
        ),
        ("aud", json!([AUDIENCE]), "claim_refused", "invalid"),
        (
            "iss",
            json!("https://other"),
            "claim_refused",
            "check_failed",
        ),
        ("iss", json!(of_test), "claim_refused", "check_failed"),
        (
            "nbf",
            json!(secs + 1),
            "token_not_yet_valid",
            "check_failed",
        ),
        ("exp", json!(secs), "claim_refused", "check_failed"),
        ("cnf", json!({"jkt": "x"}), "claim_refused", "check_failed"),
        ("allowedRoutes", json!(["a?"]), "claim_refused", "invalid"),
        ("lin", json!(""), "claim_refused", "invalid"),
        ("lin", json!("AAAA"), "claim_refused", "invalid"),
        ("rev", json!("AAAAAAAAAAA.01"), "claim_refused", "invalid"),
        ("scope", json!("Bots:Read"), "claim_refused", "invalid"),
        (
            "bindings",
            json!({"planet": ["p"]}),
            "claim_refused",
            "invalid",
        ),
        ("domains", json!(["https://x"]), "claim_refused", "invalid"),
    ] {
        let token = issuer.token(&key, &[(claim, value.clone())]);
        let refused = verifier.verify_token_alone(&token).await.unwrap_err();
        assert_eq!(refused.code(), code, "{claim} {value}");
        assert_eq!(refused.claim(), Some(claim), "{value}");
        let told = refused.reason().map(crate::token::ClaimReason::as_str);
        assert_eq!(told, Some(reason), "{claim} {value}");
        assert_eq!(refused.status(), 401);
    }
    let forged = issuer.token(&stranger, &[]);
    let refused = verifier.verify_token_alone(&forged).await.unwrap_err();
    assert_eq!(refused.code(), "key_unknown");
}

#[tokio::test]
async fn a_remembered_signature_is_judged_by_the_clock_each_time() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let verifier = issuer.verifier();
    let exp = json!(NOW.secs_floor() + 60);
    let token = issuer.token(&key, &[("exp", exp)]);

    assert!(verifier.verify_token_alone(&token).await.is_ok());
    issuer.clock.advance_ms(59_999);
    assert!(verifier.verify_token_alone(&token).await.is_ok());
    issuer.clock.advance_ms(1);
    let refused = verifier.verify_token_alone(&token).await.unwrap_err();
    assert_eq!(refused.code(), "token_expired");
}

#[tokio::test]
async fn what_is_remembered_has_a_bound_and_forged_tokens_are_not() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let builder = issuer.builder().dangerously_without_revocation();
    let verifier = builder.remember_signatures(320).assemble().unwrap();
    for number in 0..1000 {
        let token = issuer.token(&key, &[("data", json!({ "n": number }))]);
        assert!(verifier.verify_token_alone(&token).await.is_ok());
        assert!(verifier.cache.len() <= 320);
    }
    let before = verifier.cache.len();
    assert!(before > 100);
    for number in 0..100 {
        let token = issuer.token(&key, &[("exp", json!(number))]);
        assert!(verifier.verify_token_alone(&token).await.is_err());
    }
    assert_eq!(verifier.cache.len(), before);
}

#[tokio::test]
async fn permissions_bindings_and_domains_are_judged_as_at_the_gate() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let builder = issuer.builder().dangerously_without_revocation();
    let builder = builder.permission("POST bot/**", "bots:write").unwrap();
    let builder = builder.permission("bot/**", "bots:read").unwrap();
    let verifier = builder.assemble().unwrap();
    let routes = ("allowedRoutes", json!(["**"]));
    let code = async |token: &str, request: Request<'_>| {
        let outcome = verifier.verify(token, &request).await;
        outcome.map_or_else(|error| error.code(), |_| "ok")
    };
    let bot = |method| Request::new(method, "/v1/bot/b1");

    let reads = issuer.token(&key, &[routes.clone(), ("scope", json!("bots:read"))]);
    assert_eq!(code(&reads, bot("GET")).await, "ok");
    assert_eq!(code(&reads, bot("POST")).await, "permission_missing");
    let other = Request::new("GET", "/v1/file/f1");
    assert_eq!(code(&reads, other.clone()).await, "permission_missing");
    let read = Permission::parse("bots:read").unwrap();
    assert_eq!(code(&reads, other.clone().needs(&read)).await, "ok");
    let proof = verifier.verify(&reads, &bot("GET")).await.unwrap();
    assert!(proof.allows(&read));
    let write = Permission::parse("bots:write").unwrap();
    let refused = proof.require(&write).unwrap_err();
    assert_eq!(refused.required_permission(), Some(&write));

    let wide = issuer.token(&key, std::slice::from_ref(&routes));
    assert_eq!(code(&wide, bot("POST")).await, "ok");
    assert_eq!(code(&wide, other).await, "ok");
    let none = issuer.token(&key, &[routes.clone(), ("scope", json!(""))]);
    assert_eq!(code(&none, bot("GET")).await, "permission_missing");

    let bound = issuer.token(
        &key,
        &[routes.clone(), ("bindings", json!({"bot": ["b1"]}))],
    );
    assert_eq!(code(&bound, bot("GET")).await, "binding_denied");
    let b1 = bot("GET").names(Dimension::Bot, "b1").unwrap();
    assert_eq!(code(&bound, b1.clone()).await, "ok");
    assert!(b1.names(Dimension::Bot, "b2").is_err());
    let b2 = bot("GET").names(Dimension::Bot, "b2").unwrap();
    assert_eq!(code(&bound, b2).await, "binding_denied");

    let placed = issuer.token(&key, &[routes, ("domains", json!(["example.com"]))]);
    assert_eq!(code(&placed, bot("GET")).await, "domain_not_allowed");
    let from = |origin| bot("GET").origin(Some(origin));
    assert_eq!(code(&placed, from("https://example.com")).await, "ok");
    let elsewhere = from("https://example.com.evil.io");
    assert_eq!(code(&placed, elsewhere).await, "domain_not_allowed");

    let methods = issuer.token(&key, &[]);
    let overridden = bot("GET").overrides_method(true);
    assert_eq!(code(&methods, overridden.clone()).await, "method_override");
    assert_eq!(code(&wide, overridden).await, "ok");
    let as_another = bot("GET").wishes_to_act_as_another(true);
    assert_eq!(code(&wide, as_another).await, "impersonation_denied");
}

#[tokio::test]
async fn a_segment_of_the_path_names_what_a_session_is_bound_to() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let builder = issuer.builder().dangerously_without_revocation();
    let verifier = builder.names("bot/{bot}/**").unwrap().assemble().unwrap();
    let bound = issuer.token(
        &key,
        &[
            ("allowedRoutes", json!(["**"])),
            ("bindings", json!({"bot": ["b1"]})),
        ],
    );
    let code = async |request: Request<'_>| {
        let outcome = verifier.verify(&bound, &request).await;
        outcome.map_or_else(|error| error.code(), |_| "ok")
    };

    let own = Request::new("GET", "/v1/bot/b1/fetch");
    assert_eq!(code(own.clone()).await, "ok");
    let other = Request::new("GET", "/v1/bot/b2/fetch");
    assert_eq!(code(other.clone()).await, "binding_denied");
    // A header does not speak for a path that says something else.
    let disguised = other.names(Dimension::Bot, "b1").unwrap();
    assert_eq!(code(disguised).await, "binding_denied");
    assert_eq!(code(own.names(Dimension::Bot, "b1").unwrap()).await, "ok");
    assert_eq!(
        code(Request::new("GET", "/v1/bot/b1")).await,
        "binding_denied"
    );
}

#[tokio::test]
async fn who_acts_is_told_and_may_be_refused() {
    let key = key();
    let issuer = Issuer::start(&[&key]).await;
    let parent = "usr_01hzy0000000000000000000bb";
    let token = issuer.token(&key, &[("act", json!({ "sub": parent }))]);
    let request = Request::new("GET", "/v1/bot/b1");

    let proof = issuer.verifier().verify(&token, &request).await.unwrap();
    assert!(proof.is_impersonated());
    assert_eq!(proof.actor().as_str(), parent);
    assert_ne!(proof.account().as_str(), parent);

    let builder = issuer.builder().dangerously_without_revocation();
    let strict = builder.refuse_impersonated().assemble().unwrap();
    let refused = strict.verify(&token, &request).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.claim()),
        ("impersonated", Some("act"))
    );
    let own = issuer.token(&key, &[]);
    assert!(strict.verify(&own, &request).await.is_ok());
}

#[tokio::test]
async fn each_environment_is_an_issuer_of_its_own() {
    let (live, test) = (key(), key());
    let issuer = Issuer::start(&[&live]).await;
    let set = crate::token::Jwks::new([test.public().jwk()])
        .render()
        .unwrap()
        .body;
    issuer.answer("/test/.well-known/jwks.json", "200 OK", &set);
    let builder = issuer.builder().dangerously_without_revocation();
    let verifier = builder.environment(Environment::Test).assemble().unwrap();
    let of_test = ("iss", json!(format!("{}/test", issuer.url)));

    let good = issuer.token(&test, std::slice::from_ref(&of_test));
    assert!(verifier.verify_token_alone(&good).await.is_ok());
    for (key, changes) in [(&live, vec![]), (&live, vec![of_test]), (&test, vec![])] {
        let token = issuer.token(key, &changes);
        assert!(verifier.verify_token_alone(&token).await.is_err());
    }
}
