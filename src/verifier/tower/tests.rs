//! The layer as a service is called, without a network between.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::super::tests::support::{AUDIENCE, Issuer, key};
use super::super::{Verified, Verifier};
use super::*;
use crate::token::PrivateKey;

/// Answers who it was, by the proof that it needs.
#[derive(Debug, Clone)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let verified = request.extensions().get::<Verified>().unwrap();
        std::future::ready(Ok(Response::new(verified.account().to_string())))
    }
}

struct World {
    key: PrivateKey,
    issuer: Issuer,
    layer: VerifyLayer,
}

impl World {
    async fn new(
        change: impl FnOnce(super::super::VerifierBuilder) -> super::super::VerifierBuilder,
    ) -> Self {
        let key = key();
        let issuer = Issuer::start(&[&key]).await;
        let builder = issuer.builder().dangerously_without_revocation();
        let verifier = Arc::new(change(builder).assemble().unwrap());
        Self {
            key,
            issuer,
            layer: VerifyLayer::new(verifier),
        }
    }

    fn token(&self, changes: &[(&str, Value)]) -> String {
        self.issuer.token(&self.key, changes)
    }

    async fn send(&self, target: &str, headers: &[(&str, &str)]) -> Response<String> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        self.layer.layer(Inner).call(request).await.unwrap()
    }

    /// Status, `error.code`, and the reason that the client is not told.
    async fn refused(&self, target: &str, headers: &[(&str, &str)]) -> (u16, String, &'static str) {
        let response = self.send(target, headers).await;
        let body: Value = serde_json::from_str(response.body()).unwrap();
        assert_eq!(body["message"], body["error"]["message"]);
        let code = body["error"]["code"].as_str().unwrap().to_owned();
        let Refusal(reason) = *response.extensions().get().unwrap();
        (response.status().as_u16(), code, reason)
    }
}

const BOT: &str = "/v1/bot/b1";

#[tokio::test]
async fn an_allowed_request_comes_through_with_the_proof() {
    let world = World::new(|builder| builder).await;
    let token = world.token(&[]);
    for bearer in [
        format!("Bearer {token}"),
        format!("bearer   {token}"),
        format!("Token {token}"),
    ] {
        let response = world.send(BOT, &[("authorization", &bearer)]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.body(), "usr_01hzy0000000000000000000aa");
    }
    let absolute = format!("https://api.example.com{BOT}?q=1");
    let bearer = format!("Bearer {token}");
    let response = world.send(&absolute, &[("authorization", &bearer)]).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_without_exactly_one_token_is_not_authenticated() {
    let world = World::new(|builder| builder).await;
    let token = world.token(&[]);
    let bearer = format!("Bearer {token}");
    let missing = world.refused(BOT, &[]).await;
    assert_eq!(
        missing,
        (401, "NOT_AUTHENTICATED".to_owned(), "credential_missing")
    );

    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    let joined = format!("{bearer},{bearer}");
    let lists: [&[(&str, &str)]; 5] = [
        &twice,
        &[("authorization", &joined)],
        &[("authorization", &token)],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic eDp5")],
    ];
    for headers in lists {
        let refused = world.refused(BOT, headers).await;
        assert_eq!(
            refused,
            (401, "INVALID_TOKEN".to_owned(), "credential_malformed")
        );
    }
    let broken = world
        .refused(BOT, &[("authorization", "Bearer eyJ.eyJ.x")])
        .await;
    assert_eq!((broken.0, broken.1.as_str()), (401, "INVALID_TOKEN"));
}

#[tokio::test]
async fn refusals_have_the_codes_of_hallpass_and_a_challenge() {
    let permission =
        |builder: super::super::VerifierBuilder| builder.permission("bot/**", "bots:read").unwrap();
    let world = World::new(permission).await;
    let routes = ("allowedRoutes", json!(["GET bot/**"]));
    let own = |changes: &[(&'static str, Value)]| {
        let all = [std::slice::from_ref(&routes), changes].concat();
        format!("Bearer {}", world.token(&all))
    };
    let plain = own(&[]);
    let scoped = own(&[("scope", json!("files:read"))]);
    let bound = own(&[("bindings", json!({"project": ["p1"], "bot": ["b1"]}))]);
    let placed = own(&[("domains", json!(["example.com"]))]);
    let ended = own(&[("exp", json!(1))]);
    let auth = |bearer: &str| ("authorization", bearer.to_owned());
    let header = |name: &'static str, value: &str| (name, value.to_owned());

    let cases = [
        (
            "/v1/file/f1",
            vec![auth(&plain)],
            403,
            "ROUTE_NOT_ALLOWED",
            "route_not_allowed",
        ),
        (
            "/v1/bot//b1",
            vec![auth(&plain)],
            403,
            "AMBIGUOUS_PATH",
            "path_ambiguous",
        ),
        (
            BOT,
            vec![auth(&scoped)],
            403,
            "INSUFFICIENT_PERMISSIONS",
            "permission_missing",
        ),
        (
            BOT,
            vec![auth(&bound)],
            403,
            "PROJECT_ACCESS_DENIED",
            "binding_denied",
        ),
        (
            BOT,
            vec![
                auth(&bound),
                header("x-project-id", "p1"),
                header("x-bot-id", "b2"),
            ],
            403,
            "BINDING_DENIED",
            "binding_denied",
        ),
        (
            BOT,
            vec![
                auth(&placed),
                header("origin", "https://example.com:444.evil.io"),
            ],
            403,
            "DOMAIN_NOT_ALLOWED",
            "domain_not_allowed",
        ),
        (
            BOT,
            vec![auth(&plain), header("x-http_method.override", "POST")],
            403,
            "ROUTE_NOT_ALLOWED",
            "method_override",
        ),
        (
            BOT,
            vec![auth(&plain), header("x_run-as.userid", "usr_1")],
            403,
            "IMPERSONATION_DENIED",
            "impersonation_denied",
        ),
        (
            BOT,
            vec![auth(&plain), header("connection", "close, X-RunAs-User-ID")],
            403,
            "IMPERSONATION_DENIED",
            "impersonation_denied",
        ),
        (
            BOT,
            vec![
                auth(&plain),
                header("x-bot-id", "b1"),
                header("x-bot-id", "b1"),
            ],
            400,
            "INVALID_REQUEST",
            "request_malformed",
        ),
        (
            BOT,
            vec![auth(&plain), header("x-bot-id", "b 1")],
            400,
            "INVALID_REQUEST",
            "request_malformed",
        ),
        (
            BOT,
            vec![auth(&ended)],
            401,
            "INVALID_TOKEN",
            "claim_refused",
        ),
    ];
    for (target, headers, status, code, reason) in cases {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let refused = world.refused(target, &headers).await;
        assert_eq!(
            refused,
            (status, code.to_owned(), reason),
            "{target} {headers:?}"
        );
    }

    let metadata = format!("resource_metadata=\"{AUDIENCE}/.well-known/oauth-protected-resource\"");
    for (bearer, challenge) in [
        (None, format!("Bearer {metadata}")),
        (
            Some(&ended),
            format!("Bearer error=\"invalid_token\", {metadata}"),
        ),
        (
            Some(&scoped),
            format!("Bearer error=\"insufficient_scope\", scope=\"bots:read\", {metadata}"),
        ),
    ] {
        let headers: Vec<_> = bearer
            .iter()
            .map(|b| ("authorization", b.as_str()))
            .collect();
        let response = world.send(BOT, &headers).await;
        assert_eq!(response.headers()["www-authenticate"], challenge.as_str());
        assert!(!response.body().contains("eyJ"));
    }
}

#[tokio::test]
async fn it_says_who_issues_tokens_for_it() {
    let world = World::new(|builder| {
        let builder = builder.resource("https://api.example.com/v1");
        builder.permission("bot/**", "bots:read").unwrap()
    })
    .await;

    let path = "/.well-known/oauth-protected-resource/v1";
    let response = world.send(path, &[]).await;

    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!(
        body,
        json!({
            "resource": "https://api.example.com/v1",
            "authorization_servers": [world.issuer.url],
            "scopes_supported": ["bots:read"],
            "bearer_methods_supported": ["header"],
        })
    );
    let elsewhere = world
        .send("/.well-known/oauth-protected-resource", &[])
        .await;
    assert_eq!(elsewhere.status(), StatusCode::UNAUTHORIZED);

    // An audience that is no address has no metadata.
    let bare = Verifier::builder("https://auth.example.com")
        .audience("api")
        .assemble()
        .unwrap();
    let layer = VerifyLayer::new(Arc::new(bare));
    let request = Request::get("/v1/bot/b1").body(()).unwrap();
    let response = layer.layer(Inner).call(request).await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
}
