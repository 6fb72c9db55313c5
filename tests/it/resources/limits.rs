//! Rate limits of keys, and the limit of failed authentication per address.

use serde_json::json;

use crate::support::town::Town;

#[tokio::test]
async fn a_limited_key_is_told_what_is_left_and_when_to_come_back() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let body = json!({"unrestricted": true, "config": {"manage": ["tokens"], "rateLimit": {"requests": 3, "perSeconds": 60}}});
    let key = shop.make_key(body).await;
    for left in ["2", "1", "0"] {
        let answer = key.get("/v1/token/list").await;
        answer.ok();
        assert_eq!(answer.header("ratelimit-limit"), Some("3"));
        assert_eq!(answer.header("ratelimit-remaining"), Some(left));
        assert!(answer.header("ratelimit-reset").is_some());
    }
    let before = town.database().await;
    let answer = key
        .post("/v1/token/create", json!({"unrestricted": true}))
        .await;
    answer.refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(answer.header("retry-after"), Some("20"));
    assert_eq!(answer.header("ratelimit-limit"), Some("3"));
    assert_eq!(answer.header("ratelimit-remaining"), Some("0"));
    assert!(answer.header("ratelimit-reset").is_some());
    assert_eq!(town.database().await, before);
    town.advance_secs(20);
    let answer = key.get("/v1/token/list?take=0").await;
    answer.refused(400, "INVALID_REQUEST");
    assert_eq!(answer.header("ratelimit-remaining"), Some("0"));
    key.get("/v1/token/list")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    // An unlimited key is told nothing.
    let answer = shop.full_key().await.get("/v1/token/list").await;
    assert_eq!(answer.header("ratelimit-limit"), None);
}

#[tokio::test]
async fn a_refused_request_takes_its_turn() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let config =
        json!({"allowedRoutes": ["order/**"], "rateLimit": {"requests": 2, "perSeconds": 60}});
    let key = shop.key(config).await;
    let answer = key.get("/v1/token/list").await;
    answer.refused(403, "ROUTE_NOT_ALLOWED");
    // Where there is nothing, nobody was let in.
    let answer = key.post("/v1/token/self/fetch", json!({})).await;
    answer.refused(405, "METHOD_NOT_ALLOWED");
    let answer = key.get("/v1/token/self/fetch").await;
    answer.ok();
    assert_eq!(answer.header("ratelimit-remaining"), Some("0"));
    key.get("/v1/token/list")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn keys_made_with_a_limited_key_draw_on_its_bucket() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let limit = json!({"requests": 3, "perSeconds": 60});
    let body = json!({"unrestricted": true, "config": {"manage": ["tokens"], "rateLimit": limit}});
    let maker = shop.make_key(body.clone()).await;
    let made = maker.make_key(body).await;
    made.get("/v1/token/self/fetch").await.ok();
    made.get("/v1/token/self/fetch").await.ok();
    made.get("/v1/token/self/fetch")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    maker
        .get("/v1/token/self/fetch")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    // Without a limit of its own it would have escaped.
    town.advance_secs(60);
    let answer = maker
        .post("/v1/token/create", json!({"unrestricted": true}))
        .await;
    answer.refused(403, "RESTRICTION_NOT_COVERED");
}

#[tokio::test]
async fn an_address_that_guesses_is_shut_out_and_the_good_keys_behind_it_are_not() {
    let settings = "[limits.failed_authentications]\nrequests = 3\nper_seconds = 60\n";
    let town = Town::with_settings(settings).await;
    let shop = town.account("shop").await;
    let known = shop.full_key().await;
    let fresh = shop.full_key().await;
    let far = "203.0.113.9";
    known.address(far).get("/v1/token/self/fetch").await.ok();
    let guess = town.bearer("a-guess").address(far);
    for _ in 0..3 {
        guess
            .get("/v1/token/self/fetch")
            .await
            .refused(401, "INVALID_API_KEY");
    }
    let answer = guess.get("/v1/token/self/fetch").await;
    answer.refused(429, "TOO_MANY_REQUESTS");
    assert!(answer.header("retry-after").is_some());
    known.address(far).get("/v1/token/self/fetch").await.ok();
    // A key that was just made works at once, whatever its neighbours guess.
    fresh.address(far).get("/v1/token/self/fetch").await.ok();
    // Guessing by report is guessing.
    let answer = town
        .nobody()
        .address(far)
        .post("/v1/token/report", json!({"secret": "another-guess"}))
        .await;
    answer.refused(429, "TOO_MANY_REQUESTS");
    fresh.get("/v1/token/self/fetch").await.ok();
    guess
        .address("203.0.113.10")
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    town.advance_secs(60);
    fresh.address(far).get("/v1/token/self/fetch").await.ok();
}

#[tokio::test]
async fn one_ipv6_network_is_one_client() {
    let settings = "[limits.failed_authentications]\nrequests = 2\nper_seconds = 60\n";
    let town = Town::with_settings(settings).await;
    let guess = town.bearer("a-guess");
    for address in ["2001:db8::1", "2001:db8::2"] {
        guess
            .address(address)
            .get("/v1/token/self/fetch")
            .await
            .refused(401, "INVALID_API_KEY");
    }
    guess
        .address("2001:db8::3")
        .get("/v1/token/self/fetch")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    guess
        .address("2001:db8:0:1::1")
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
}

#[tokio::test]
async fn a_forwarded_address_counts_only_from_a_listed_proxy() {
    let settings = "trusted_proxies = [\"192.0.2.1\"]\n[limits.failed_authentications]\nrequests = 1\nper_seconds = 60\n";
    let town = Town::with_settings(settings).await;
    let guess = town.bearer("a-guess");
    let by_proxy = |client: &str| guess.header("x-forwarded-for", client);
    by_proxy("203.0.113.9")
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    by_proxy("203.0.113.9")
        .get("/v1/token/self/fetch")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    by_proxy("203.0.113.8")
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    // What the client wrote itself stands left of what the proxy saw.
    by_proxy("198.51.100.1, 203.0.113.9")
        .get("/v1/token/self/fetch")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    let direct = guess.address("203.0.113.7");
    direct
        .header("x-forwarded-for", "203.0.113.9")
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
}
