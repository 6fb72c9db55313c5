//! Every check of the decision, for keys and for sessions.

use serde_json::json;

use super::support::{allowed, nginx, refused, town};
use crate::support::town::{Answer, Town};

#[tokio::test]
async fn without_a_good_credential_the_gate_answers_401_with_a_challenge() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let key = shop.full_key().await;
    let owner = shop.full_key().await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let soon = town.now_ms() + 60_000;
    let expiring = json!({"unrestricted": true, "expiresAt": soon});
    let expired = shop.make_key(expiring).await;

    refused(
        &nginx(&town.nobody(), "GET", "/v1/bot").await,
        401,
        "NOT_AUTHENTICATED",
    );
    for bearer in ["garbage", "sk_live_garbage", &format!("{}x", key.token)] {
        let answer = nginx(&town.bearer(bearer), "GET", "/v1/bot").await;
        refused(&answer, 401, "INVALID_API_KEY");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"hallpass\", error=\"invalid_token\"")
        );
    }
    allowed(&nginx(&expired, "GET", "/v1/bot").await);
    town.advance_secs(61);
    refused(
        &nginx(&expired, "GET", "/v1/bot").await,
        401,
        "API_KEY_EXPIRED",
    );
    allowed(&nginx(&session, "GET", "/v1/bot").await);
    town.advance_secs(900);
    refused(
        &nginx(&session, "GET", "/v1/bot").await,
        401,
        "INVALID_TOKEN",
    );

    // And at the very next request after the end of a key, for it and for what it minted.
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    allowed(&nginx(&key, "GET", "/v1/bot").await);
    allowed(&nginx(&session, "GET", "/v1/bot").await);
    let path = format!("/v1/token/{}/delete", key.id);
    owner.post(&path, json!({})).await.ok();
    refused(&nginx(&key, "GET", "/v1/bot").await, 401, "INVALID_API_KEY");
    refused(
        &nginx(&session, "GET", "/v1/bot").await,
        401,
        "INVALID_TOKEN",
    );
}

#[tokio::test]
async fn nothing_of_a_remembered_token_can_be_changed_or_mixed() {
    let town = town("").await;
    let key = town.account("shop").await.full_key().await;
    let narrow = key.session(json!({"allowedRoutes": ["bot"]})).await;
    let wide = key.session(json!({"allowedRoutes": ["**"]})).await;
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (first, second) = (parts(&narrow.token), parts(&wide.token));
    for _ in 0..2 {
        allowed(&nginx(&narrow, "GET", "/v1/bot").await);
        allowed(&nginx(&wide, "GET", "/v1/bot").await);
    }

    let claims = format!("{}A", first[1]);
    let shorter = first[2].get(1..).unwrap();
    for [header, claims, signature] in [
        [&*first[0], &*second[1], &*first[2]],
        [&first[0], &first[1], &second[2]],
        [&first[0], &claims, &first[2]],
        [&format!("{}A", first[0]), &first[1], &first[2]],
        [&first[0], &first[1], shorter],
    ] {
        let mixed = town.bearer(&format!("{header}.{claims}.{signature}"));
        let answer = nginx(&mixed, "GET", "/v1/bot").await;
        refused(&answer, 401, "INVALID_TOKEN");
    }

    allowed(&nginx(&narrow, "GET", "/v1/bot").await);
}

#[tokio::test]
async fn two_credentials_are_one_too_many() {
    let town = town("").await;
    let key = town.account("shop").await.full_key().await;
    let bearer = format!("Bearer {}", key.token);
    let joined = town
        .nobody()
        .header("authorization", &format!("{bearer},{bearer}"));
    let spaced = town
        .nobody()
        .header("authorization", &format!("{bearer}, {bearer}"));

    for caller in [key.header("authorization", &bearer), joined, spaced] {
        refused(
            &nginx(&caller, "GET", "/v1/bot").await,
            403,
            "INVALID_REQUEST",
        );
    }
}

#[tokio::test]
async fn a_session_passes_for_the_audiences_of_the_gate_alone() {
    let settings = "audiences = [\"https://other.example\", \"https://hallpass.test/manage\"]\n";
    let gate = "[gate]\npeers = [\"192.0.2.0/24\"]\n";
    let town = Town::with_settings(&format!("{settings}{gate}")).await;
    let shop = town.account("shop").await;
    let usual = "https://hallpass.test/api";
    let audiences = ["https://other.example", "https://hallpass.test/manage"];
    let mint = json!({"audiences": [usual, audiences[0], audiences[1]]});
    let minter = shop
        .key(json!({"allowedRoutes": ["**"], "session": mint}))
        .await;
    let routes = json!(["bot/**"]);

    let session = minter.session(json!({"allowedRoutes": routes})).await;
    let answer = nginx(&session, "GET", "/v1/bot/b1").await;
    allowed(&answer);
    assert_eq!(answer.header("x-auth-session-id"), Some(&*session.id));
    assert_eq!(answer.header("x-auth-key-id"), Some(&*minter.id));
    for audience in audiences {
        let body = json!({"allowedRoutes": routes, "audience": audience});
        let other = minter.session(body).await;
        refused(
            &nginx(&other, "GET", "/v1/bot/b1").await,
            401,
            "INVALID_TOKEN",
        );
    }

    let named = "audiences = [\"https://other.example\"]\n";
    let town = Town::with_settings(&format!("{named}{gate}{named}")).await;
    let minter = town
        .account("shop")
        .await
        .key(json!({
            "allowedRoutes": ["**"],
            "session": {"audiences": [usual, "https://other.example"]},
        }))
        .await;
    let body = json!({"allowedRoutes": routes, "audience": "https://other.example"});
    allowed(&nginx(&minter.session(body).await.caller(), "GET", "/v1/bot/b1").await);
    let usual = minter.session(json!({"allowedRoutes": routes})).await;
    refused(
        &nginx(&usual, "GET", "/v1/bot/b1").await,
        401,
        "INVALID_TOKEN",
    );
}

#[tokio::test]
async fn test_credentials_pass_only_where_the_gate_takes_them() {
    async fn ask(settings: &str) -> [Answer; 3] {
        let town = town(settings).await;
        let shop = town.account("shop").await;
        let test = shop.test_key().await;
        let session = test.session(json!({"allowedRoutes": ["bot/**"]})).await;
        [
            nginx(&shop.full_key().await.caller(), "GET", "/v1/bot/b1").await,
            nginx(&test, "GET", "/v1/bot/b1").await,
            nginx(&session, "GET", "/v1/bot/b1").await,
        ]
    }

    let [live, test, session] = ask("").await;
    allowed(&live);
    refused(&test, 403, "ENVIRONMENT_NOT_ALLOWED");
    refused(&session, 403, "ENVIRONMENT_NOT_ALLOWED");
    let [live, test, session] = ask("environments = [\"test\"]\n").await;
    refused(&live, 403, "ENVIRONMENT_NOT_ALLOWED");
    allowed(&test);
    allowed(&session);
    assert_eq!(test.header("x-auth-environment"), Some("test"));
    for answer in ask("environments = [\"live\", \"test\"]\n").await {
        allowed(&answer);
    }
}

const TABLE: &str = "\
[[gate.routes]]
route = \"GET,HEAD bot/**\"
permission = \"bots:read\"
[[gate.routes]]
route = \"bot/**\"
permission = \"bots:write\"
";

#[tokio::test]
async fn a_key_with_permissions_alone_calls_exactly_what_the_table_says() {
    let town = town(TABLE).await;
    let shop = town.account("shop").await;
    let reader = shop.key(json!({"permissions": ["bots:read"]})).await;
    let admin = shop.key(json!({"permissions": ["admin"]})).await;
    let routes = json!({"allowedRoutes": ["**"], "permissions": ["bots:write"]});
    let session = shop.full_key().await.session(routes).await;

    let answer = nginx(&reader, "GET", "/v1/bot/list").await;
    allowed(&answer);
    assert_eq!(answer.header("x-auth-scope"), Some("bots:read"));
    let answer = nginx(&reader, "POST", "/v1/bot/create").await;
    refused(&answer, 403, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(answer.json()["error"]["required_scope"], "bots:write");
    allowed(&nginx(&session, "POST", "/v1/bot/create").await);
    let answer = nginx(&session, "GET", "/v1/bot/list").await;
    refused(&answer, 403, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(answer.json()["error"]["required_scope"], "bots:read");
    // `get` is another method, and no rule makes less of it.
    let answer = nginx(&reader, "get", "/v1/bot/list").await;
    assert_eq!(answer.json()["error"]["required_scope"], "bots:write");

    allowed(&nginx(&admin, "DELETE", "/v1/bot/b1").await);
    for key in [&reader, &admin] {
        let answer = nginx(key, "GET", "/v1/channel/list").await;
        refused(&answer, 403, "INSUFFICIENT_PERMISSIONS");
        assert!(answer.json()["error"].get("required_scope").is_none());
    }
    allowed(&nginx(&shop.full_key().await.caller(), "GET", "/v1/channel/list").await);
}

#[tokio::test]
async fn a_route_without_a_rule_needs_the_default_permission() {
    let settings = format!("default_permission = \"channels:read\"\n{TABLE}");
    let town = town(&settings).await;
    let shop = town.account("shop").await;
    let reader = shop.key(json!({"permissions": ["bots:read"]})).await;
    let other = shop.key(json!({"permissions": ["channels:read"]})).await;

    allowed(&nginx(&reader, "GET", "/v1/bot/list").await);
    let answer = nginx(&reader, "GET", "/v1/channel/list").await;
    assert_eq!(answer.json()["error"]["required_scope"], "channels:read");
    allowed(&nginx(&other, "GET", "/v1/channel/list").await);
}

#[tokio::test]
async fn domains_are_the_host_of_origin_and_nothing_else() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let key = shop
        .key(json!({"allowedRoutes": ["**"], "domains": ["example.com"]}))
        .await;
    let minter = shop.full_key().await;
    let routes = json!({"allowedRoutes": ["**"], "domains": ["example.com"]});
    let session = minter.session(routes).await;

    for caller in [key.caller(), session.caller()] {
        for origin in [
            "https://example.com",
            "http://example.com:8080",
            "https://EXAMPLE.com",
        ] {
            allowed(&nginx(&caller.origin(origin), "GET", "/v1/bot").await);
        }
        for origin in [
            "https://www.example.com",
            "https://evil-example.com",
            "https://example.com.evil.io",
            "https://example.com:80:80",
            "https://example.com:99999",
            "https://example.com@evil.io",
            "https://user@example.com",
            "https://example.com.",
            "https://ex\u{e4}mple.com",
            "https://xn--exmple-cua.com",
            "https://example.com/",
            "https://example.com https://evil.io",
            "null",
            "",
        ] {
            let answer = nginx(&caller.origin(origin), "GET", "/v1/bot").await;
            answer.status(403);
        }
        refused(
            &nginx(&caller, "GET", "/v1/bot").await,
            403,
            "DOMAIN_NOT_ALLOWED",
        );
        let referer = caller.header("referer", "https://example.com/page");
        refused(
            &nginx(&referer, "GET", "/v1/bot").await,
            403,
            "DOMAIN_NOT_ALLOWED",
        );
        let host = caller.header("x-forwarded-host", "example.com");
        refused(
            &nginx(&host, "GET", "/v1/bot").await,
            403,
            "DOMAIN_NOT_ALLOWED",
        );
        let two = caller
            .origin("https://example.com")
            .origin("https://evil.io");
        refused(&nginx(&two, "GET", "/v1/bot").await, 403, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn addresses_come_from_trusted_gateways_alone() {
    let ask = async |trusted: &str, forwarded: Option<&str>| {
        let settings = format!("trusted_proxies = [{trusted}]\n[gate]\npeers = [\"192.0.2.0/24\"]");
        let town = Town::with_settings(&settings).await;
        let config = json!({"allowedRoutes": ["**"], "cidrs": ["198.51.100.0/24"]});
        let key = town.account("shop").await.key(config).await;
        let caller = match forwarded {
            Some(forwarded) => key.header("x-forwarded-for", forwarded),
            None => key.caller(),
        };
        nginx(&caller, "GET", "/v1/bot").await
    };
    let gateway = "\"192.0.2.1\"";

    allowed(&ask(gateway, Some("198.51.100.7")).await);
    allowed(&ask(gateway, Some("203.0.113.9, 198.51.100.7")).await);
    for (trusted, forwarded) in [
        (gateway, Some("198.51.100.7, 203.0.113.9")),
        (gateway, Some("nonsense")),
        (gateway, None),
        // A gateway that is not trusted says nothing about addresses.
        ("", Some("198.51.100.7")),
    ] {
        refused(&ask(trusted, forwarded).await, 403, "ADDRESS_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn a_rate_limit_is_403_with_the_time_to_wait() {
    let town = town("session_rate = { requests = 2, per_seconds = 60 }\n").await;
    let shop = town.account("shop").await;
    let limited = json!({"allowedRoutes": ["**"], "rateLimit": {"requests": 2, "perSeconds": 60}});
    let key = shop.key(limited).await;
    let minter = shop.full_key().await;
    let routes = json!({"allowedRoutes": ["**"]});
    let session = minter.session(routes.clone()).await;
    let other = minter.session(routes).await;

    for caller in [key.caller(), session.caller()] {
        for remaining in ["1", "0"] {
            let answer = nginx(&caller, "GET", "/v1/bot").await;
            allowed(&answer);
            assert_eq!(answer.header("ratelimit-limit"), Some("2"));
            assert_eq!(answer.header("ratelimit-remaining"), Some(remaining));
        }
        let answer = nginx(&caller, "GET", "/v1/bot").await;
        refused(&answer, 403, "TOO_MANY_REQUESTS");
        assert_eq!(answer.header("retry-after"), Some("30"));
        assert_eq!(answer.header("ratelimit-limit"), Some("2"));
        assert_eq!(answer.header("ratelimit-remaining"), Some("0"));
    }
    // Each session has a limit of its own.
    allowed(&nginx(&other, "GET", "/v1/bot").await);
    town.advance_secs(30);
    allowed(&nginx(&session, "GET", "/v1/bot").await);
    allowed(&nginx(&key, "GET", "/v1/bot").await);
}

#[tokio::test]
async fn guesses_are_limited_by_the_address_that_a_trusted_gateway_names() {
    let settings = "trusted_proxies = [\"192.0.2.1\"]\n\
        limits = { failed_authentications = { requests = 3, per_seconds = 60 } }\n\
        [gate]\npeers = [\"192.0.2.0/24\"]\n";
    let town = Town::with_settings(settings).await;
    let key = town.account("shop").await.full_key().await;
    let guess = async |forwarded: &str| {
        let guesser = town
            .bearer("not-one-of-ours")
            .header("x-forwarded-for", forwarded);
        nginx(&guesser, "GET", "/v1/bot").await
    };

    for spoofed in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        // What the client wrote itself stands left of what the gateway appended.
        let forwarded = format!("{spoofed}, 198.51.100.7");
        refused(&guess(&forwarded).await, 401, "INVALID_API_KEY");
    }
    let answer = guess("203.0.113.4, 198.51.100.7").await;
    refused(&answer, 403, "TOO_MANY_REQUESTS");
    assert!(answer.header("retry-after").is_some());
    refused(&guess("198.51.100.8").await, 401, "INVALID_API_KEY");
    let client = key.header("x-forwarded-for", "198.51.100.8");
    allowed(&nginx(&client, "GET", "/v1/bot").await);
}

#[tokio::test]
async fn tricks_with_headers_are_refused() {
    let town = town("").await;
    let key = town.account("shop").await.full_key().await;
    for name in [
        "x-http-method-override",
        "X-HTTP-Method",
        "x-method-override",
        "x_http_method_override",
        "X.Method.Override",
        "_method",
    ] {
        let answer = nginx(&key.header(name, "DELETE"), "GET", "/v1/bot").await;
        refused(&answer, 403, "METHOD_OVERRIDE");
    }
    for named in [
        "X-Auth-Identity",
        "close, X-Auth-Actor-Id",
        "x_auth_account_id",
        "Authorization",
        "Origin",
        "X-Original-URI",
        "X-Forwarded-Uri",
        "X-Bot-ID",
        "X-RunAs-User-ID",
        "X-Hallpass-Gate-Secret",
    ] {
        let answer = nginx(&key.header("connection", named), "GET", "/v1/bot").await;
        refused(&answer, 403, "CONNECTION_HEADER");
    }
    for harmless in ["close", "keep-alive, Upgrade"] {
        allowed(&nginx(&key.header("connection", harmless), "GET", "/v1/bot").await);
    }
}

#[tokio::test]
async fn a_slash_at_the_end_and_the_mount_are_settings() {
    let ask = async |settings: &str, target: &str| {
        let town = town(settings).await;
        let key = town
            .account("shop")
            .await
            .key(json!({"allowedRoutes": ["bot/b1"]}))
            .await;
        nginx(&key, "GET", target).await
    };

    allowed(&ask("", "/v1/bot/b1/").await);
    refused(
        &ask("trailing_slash = \"refuse\"\n", "/v1/bot/b1/").await,
        403,
        "AMBIGUOUS_PATH",
    );
    allowed(&ask("mount = \"/\"\n", "/bot/b1").await);
    refused(
        &ask("mount = \"/\"\n", "/v1/bot/b1").await,
        403,
        "ROUTE_NOT_ALLOWED",
    );
    allowed(&ask("mount = \"/api/v2\"\n", "/api/v2/bot/b1").await);
    refused(
        &ask("mount = \"/api/v2\"\n", "/api/v20/bot/b1").await,
        403,
        "PATH_OUTSIDE_MOUNT",
    );
}

#[tokio::test]
async fn when_the_database_is_lost_what_is_not_known_is_refused_with_403() {
    let town = town("").await;
    let key = town.account("shop").await.full_key().await;
    town.app().store.close().await;

    refused(
        &nginx(&key, "GET", "/v1/bot").await,
        403,
        "SERVICE_UNAVAILABLE",
    );
}

#[tokio::test]
async fn an_identity_that_does_not_fit_is_refused_and_never_cut() {
    let scopes: Vec<String> = (0..100)
        .map(|n| format!("\"a-rather-long-noun-{n:03}:read\""))
        .collect();
    let settings = format!(
        "permissions = [{}]\n[gate]\npeers = [\"192.0.2.0/24\"]\n\
        default_permission = \"a-rather-long-noun-000:read\"\n",
        scopes.join(",")
    );
    let town = Town::with_settings(&settings).await;
    let shop = town.account("shop").await;
    let named = |count: usize| -> Vec<String> {
        (0..count)
            .map(|n| format!("a-rather-long-noun-{n:03}:read"))
            .collect()
    };

    let few = shop.key(json!({"permissions": named(40)})).await;
    let answer = nginx(&few, "GET", "/v1/bot").await;
    allowed(&answer);
    let bytes: usize = super::support::IDENTITY
        .iter()
        .map(|name| name.len() + answer.header(name).unwrap().len() + 4)
        .sum();
    assert!(bytes <= 3_500, "{bytes}");
    let many = shop.key(json!({"permissions": named(100)})).await;
    refused(
        &nginx(&many, "GET", "/v1/bot").await,
        403,
        "IDENTITY_TOO_LARGE",
    );
}

#[tokio::test]
async fn decisions_are_counted_and_no_page_may_read_them() {
    let town = town("").await;
    let key = town
        .account("shop")
        .await
        .key(json!({"allowedRoutes": ["bot"]}))
        .await;

    let yes = nginx(&key, "GET", "/v1/bot").await;
    let no = nginx(&key, "GET", "/v1/other").await;

    for answer in [yes, no] {
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{answer}"
        );
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("location"), None);
    }
    let metrics = town.nobody().get("/metrics").await.text();
    for line in [
        "hallpass_gate_decisions_total{decision=\"allowed\"} 1",
        "hallpass_gate_decisions_total{decision=\"refused\"} 1",
        "hallpass_refusals_total{code=\"ROUTE_NOT_ALLOWED\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
