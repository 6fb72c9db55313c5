//! Each endpoint reads the headers of its own convention, and nothing else.

use serde_json::json;

use super::support::{allowed, envoy, forwarded, nginx, refused, town};

#[tokio::test]
async fn a_request_that_the_key_may_make_passes_with_all_identity_headers() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({"allowedRoutes": ["GET bot/*/fetch"]}))
        .await;

    for answer in [
        nginx(&key, "GET", "/v1/bot/b1/fetch?full=1").await,
        forwarded(&key, "GET", "/v1/bot/b1/fetch?full=1").await,
        envoy(&key, "GET", "/v1/bot/b1/fetch?full=1").await,
    ] {
        allowed(&answer);
        assert_eq!(answer.header("x-auth-account-id"), Some(&*shop.id));
        assert_eq!(answer.header("x-auth-actor-id"), Some(""));
        assert_eq!(answer.header("x-auth-key-id"), Some(&*key.id));
        assert_eq!(answer.header("x-auth-session-id"), Some(""));
        assert_eq!(answer.header("x-auth-environment"), Some("live"));
        assert_eq!(answer.header("x-auth-scope"), Some(""));
        assert_eq!(answer.header("x-auth-token"), Some(""));
        let identity = format!(
            "account=\"{}\", key=\"{}\", environment=\"live\"",
            shop.id, key.id
        );
        assert_eq!(answer.header("x-auth-identity"), Some(&*identity));
    }
    for answer in [
        nginx(&key, "POST", "/v1/bot/b1/fetch").await,
        forwarded(&key, "GET", "/v1/bot/b1/update").await,
        envoy(&key, "DELETE", "/v1/bot/b1/fetch").await,
    ] {
        refused(&answer, 403, "ROUTE_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn headers_of_another_convention_are_not_read() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let key = shop.key(json!({"allowedRoutes": ["bot/ok"]})).await;
    let client = key
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-uri", "/v1/bot/ok")
        .header("x-original-url", "/v1/bot/ok")
        .header("x-rewrite-url", "/v1/bot/ok");

    refused(
        &nginx(&client, "DELETE", "/v1/admin/x").await,
        403,
        "ROUTE_NOT_ALLOWED",
    );
    refused(
        &envoy(&client, "DELETE", "/v1/admin/x").await,
        403,
        "ROUTE_NOT_ALLOWED",
    );
    let client = key
        .header("x-original-method", "GET")
        .header("x-original-uri", "/v1/bot/ok");
    refused(
        &forwarded(&client, "DELETE", "/v1/admin/x").await,
        403,
        "ROUTE_NOT_ALLOWED",
    );
    refused(
        &envoy(&client, "DELETE", "/v1/admin/x").await,
        403,
        "ROUTE_NOT_ALLOWED",
    );

    // Those of the other convention do not stand in for the own ones either.
    let missing = client.get("/v1/authorize/forwarded").await;
    refused(&missing, 403, "HEADER_MISSING");
}

#[tokio::test]
async fn the_own_query_and_host_are_not_read() {
    let town = town("").await;
    let key = town
        .account("shop")
        .await
        .key(json!({"allowedRoutes": ["bot/ok"]}))
        .await;
    let query = "?uri=/v1/bot/ok&method=GET&access_token=x&aud=y";
    let path = format!("/v1/authorize/nginx{query}");

    let client = key
        .header("host", "evil.example")
        .header("x-original-method", "GET");
    allowed(
        &client
            .header("x-original-uri", "/v1/bot/ok")
            .get(&path)
            .await,
    );
    let other = client
        .header("x-original-uri", "/v1/bot/other")
        .get(&path)
        .await;
    refused(&other, 403, "ROUTE_NOT_ALLOWED");
    refused(&client.get(&path).await, 403, "HEADER_MISSING");
}

#[tokio::test]
async fn a_header_that_is_missing_repeated_or_malformed_is_refused() {
    let town = town("").await;
    let key = town.account("shop").await.full_key().await;
    for (endpoint, method, target) in [
        ("nginx", "x-original-method", "x-original-uri"),
        ("forwarded", "x-forwarded-method", "x-forwarded-uri"),
    ] {
        let path = format!("/v1/authorize/{endpoint}");
        let with_method = key.header(method, "GET");
        let both = with_method.header(target, "/v1/bot/b1");
        allowed(&both.get(&path).await);
        allowed(&both.get(&format!("/api{path}")).await);

        refused(&key.get(&path).await, 403, "HEADER_MISSING");
        refused(&with_method.get(&path).await, 403, "HEADER_MISSING");
        let only_target = key.header(target, "/v1/bot/b1");
        refused(&only_target.get(&path).await, 403, "HEADER_MISSING");
        for repeated in [
            both.header(method, "GET"),
            both.header(target, "/v1/bot/b1"),
        ] {
            refused(&repeated.get(&path).await, 403, "HEADER_REPEATED");
        }
        refused(
            &with_method.header(target, "").get(&path).await,
            403,
            "HEADER_MALFORMED",
        );
        for wrong in ["", "GE T", "GET,POST", "G\u{e9}T", &"G".repeat(33)] {
            let wrong = only_target.header(method, wrong);
            refused(&wrong.get(&path).await, 403, "HEADER_MALFORMED");
        }
    }
    let forwarded = key
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-uri", "/v1/bot/b1")
        .header("x-forwarded-host", "api.example.com");
    allowed(&forwarded.get("/v1/authorize/forwarded").await);
    let repeated = forwarded.header("x-forwarded-host", "evil.example");
    refused(
        &repeated.get("/v1/authorize/forwarded").await,
        403,
        "HEADER_REPEATED",
    );
    refused(&key.get("/v1/authorize/envoy").await, 403, "AMBIGUOUS_PATH");
    refused(
        &key.get("/v1/authorize/envoy/").await,
        403,
        "PATH_OUTSIDE_MOUNT",
    );
}

#[tokio::test]
async fn envoy_is_answered_with_any_method_and_a_preflight_is_no_exception() {
    let town = town("").await;
    let key = town
        .account("shop")
        .await
        .key(json!({"allowedRoutes": ["GET bot/**"]}))
        .await;

    allowed(&envoy(&key, "GET", "/v1/bot/b1").await);
    for method in ["OPTIONS", "HEAD", "PUT", "get", "PROPFIND"] {
        let answer = envoy(&key, method, "/v1/bot/b1").await;
        answer.status(403);
        assert_eq!(answer.header("x-auth-reason"), Some("route_not_allowed"));
    }
    let preflight = envoy(&town.nobody(), "OPTIONS", "/v1/bot/b1").await;
    preflight.status(401);
}

#[tokio::test]
async fn paths_that_two_programs_could_read_differently_are_refused() {
    let town = town("").await;
    let key = town.account("shop").await.full_key().await;
    for target in [
        "/v1/bot/../admin",
        "/v1/bot/%2e%2e/admin",
        "/v1/bot/..%2fadmin",
        "/v1/bot/a%2Fb",
        "/v1/bot//x",
        "/v1/bot/..;/x",
        "/v1/bot/..\\admin",
        "/v1/bot/x%00y",
        "/v1/bot/%61",
        "/v1/bot/x%",
        "/v1/bot/%c0%af",
    ] {
        for answer in [
            nginx(&key, "GET", target).await,
            forwarded(&key, "GET", target).await,
            envoy(&key, "GET", target).await,
        ] {
            refused(&answer, 403, "AMBIGUOUS_PATH");
        }
    }
    for target in ["http://evil.example/v1/bot/x", "bot/x", "*", "/v1/bot/x#y"] {
        refused(&nginx(&key, "GET", target).await, 403, "AMBIGUOUS_PATH");
    }
    for target in ["/v2/bot/x", "//evil.example/v1/bot", "/api/v1/bot/x", "/"] {
        refused(&nginx(&key, "GET", target).await, 403, "PATH_OUTSIDE_MOUNT");
    }
}
