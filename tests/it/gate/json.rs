//! `POST /v1/authorize`, for APIs that ask by themselves.

use serde_json::{Value, json};

use super::support::town;

#[tokio::test]
async fn an_api_asks_about_one_request() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let key = shop.full_key().await;
    let narrow = shop.key(json!({"allowedRoutes": ["GET bot/**"]})).await;
    let api = town.nobody();
    let ask = async |question: Value| api.post("/v1/authorize", question).await.ok();

    let yes =
        ask(json!({"credential": narrow.token, "method": "GET", "path": "/v1/bot/b1?x=y"})).await;
    assert_eq!(
        yes,
        json!({
            "allowed": true,
            "account": shop.id,
            "key": narrow.id,
            "environment": "live",
            "pattern": "GET bot/**",
        })
    );
    let bearer = format!("Bearer {}", key.token);
    let headers = json!({"authorization": bearer, "X-RunAs-User-ID": child.id});
    let acting = ask(json!({"headers": headers, "method": "POST", "path": "/v1/bot/b1"})).await;
    assert_eq!(acting["account"], *child.id);
    assert_eq!(acting["actor"], *shop.id);

    let no = ask(json!({"credential": narrow.token, "method": "POST", "path": "/v1/bot/b1"})).await;
    assert_eq!(no["allowed"], false);
    assert_eq!(no["status"], 403);
    assert_eq!(no["reason"], "route_not_allowed");
    assert_eq!(no["code"], "NOT_AUTHORIZED");
    assert_eq!(no["error"]["code"], "ROUTE_NOT_ALLOWED");
    assert_eq!(no["message"], no["error"]["message"]);
    // Asked without a session or a key: nobody.
    let nobody = ask(json!({"method": "GET", "path": "/v1/bot/b1"})).await;
    assert_eq!(
        (&nobody["status"], &nobody["reason"]),
        (&json!(401), &json!("not_authenticated"))
    );
}

#[tokio::test]
async fn what_the_client_sent_wrong_is_a_refusal_and_what_the_api_sent_wrong_an_error() {
    let town = town("").await;
    let key = town.account("shop").await.full_key().await;
    let api = town.nobody();
    let bearer = format!("Bearer {}", key.token);
    for (headers, path, reason) in [
        (
            json!({"Authorization": bearer, "X-RunAs-User-ID": []}),
            "/v1/bot",
            "header_malformed",
        ),
        (
            json!({"Authorization": [bearer, bearer]}),
            "/v1/bot",
            "invalid_request",
        ),
        (
            json!({"Authorization": bearer, "authorization": bearer}),
            "/v1/bot",
            "invalid_request",
        ),
        (
            json!({"Authorization": bearer, "X-Bot-ID": ["a", "a"]}),
            "/v1/bot",
            "invalid_request",
        ),
        (
            json!({"Authorization": bearer, "x_runas_user_id": "usr"}),
            "/v1/bot",
            "invalid_request",
        ),
        (
            json!({"Authorization": bearer, "no header": "x"}),
            "/v1/bot",
            "header_malformed",
        ),
        (
            json!({"Authorization": bearer, "X": "a\nb"}),
            "/v1/bot",
            "header_malformed",
        ),
        (
            json!({"Authorization": bearer, "X-HTTP-Method-Override": "PUT"}),
            "/v1/bot",
            "method_override",
        ),
        (
            json!({"Authorization": bearer}),
            "/v1/bot/../x",
            "ambiguous_path",
        ),
        (
            json!({"Authorization": bearer}),
            "/other",
            "path_outside_mount",
        ),
        (json!({"Authorization": bearer}), "", "ambiguous_path"),
    ] {
        let question = json!({"method": "GET", "path": path, "headers": headers});
        let answer = api.post("/v1/authorize", question).await.ok();
        assert_eq!(
            (&answer["allowed"], &answer["reason"]),
            (&json!(false), &json!(reason)),
            "{headers} {path}"
        );
    }
    let both = json!({
        "credential": key.token,
        "headers": {"authorization": bearer},
        "method": "GET",
        "path": "/v1/bot",
    });
    let answer = api.post("/v1/authorize", both).await.ok();
    assert_eq!(answer["reason"], "invalid_request");

    for wrong in [
        json!({}),
        json!({"method": "GET"}),
        json!({"path": "/v1/bot"}),
        json!({"method": 1, "path": "/v1/bot"}),
        json!({"method": "GET", "path": "/v1/bot", "uri": "/v1/x"}),
        json!({"method": "GET", "path": "/v1/bot", "headers": {"a": 1}}),
        json!({"requests": [], "method": "GET"}),
        json!({"requests": []}),
        json!({"requests": [{"method": "GET"}]}),
    ] {
        let answer = api.post("/v1/authorize", wrong).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn the_address_is_what_the_api_says_and_unknown_when_it_says_nothing() {
    let town = town("").await;
    let config = json!({"allowedRoutes": ["**"], "cidrs": ["198.51.100.0/24"]});
    let key = town.account("shop").await.key(config).await;
    let ask = async |address: Value| {
        let question =
            json!({"credential": key.token, "method": "GET", "path": "/v1/x", "address": address});
        town.nobody().post("/v1/authorize", question).await.ok()
    };

    assert_eq!(ask(json!("198.51.100.7")).await["allowed"], true);
    assert_eq!(
        ask(json!("203.0.113.7")).await["reason"],
        "address_not_allowed"
    );
    assert_eq!(ask(Value::Null).await["reason"], "address_not_allowed");
    assert_eq!(ask(json!("nonsense")).await["reason"], "header_malformed");
}

#[tokio::test]
async fn an_api_asks_about_up_to_100_requests_at_once() {
    let town = town("").await;
    let shop = town.account("shop").await;
    let limited =
        json!({"allowedRoutes": ["bot/**"], "rateLimit": {"requests": 3, "perSeconds": 60}});
    let key = shop.key(limited).await;
    let free = shop.key(json!({"allowedRoutes": ["bot/**"]})).await;
    let question =
        |key: &str, path: &str| json!({"credential": key, "method": "GET", "path": path});
    let batch = |count: usize| {
        let requests: Vec<Value> = (0..count)
            .map(|_| question(&free.token, "/v1/bot/b1"))
            .collect();
        json!({ "requests": requests })
    };

    let requests = json!([
        question(&key.token, "/v1/bot/b1"),
        question(&key.token, "/v1/admin"),
        question("sk_live_x", "/v1/bot/b1"),
        question(&key.token, "/v1/bot/b2"),
        question(&key.token, "/v1/bot/b3"),
    ]);
    let answer = town
        .nobody()
        .post("/v1/authorize", json!({"requests": requests}))
        .await
        .ok();
    let decisions = answer["decisions"].as_array().unwrap();
    let reasons: Vec<&str> = decisions
        .iter()
        .map(|decision| decision["reason"].as_str().unwrap_or("allowed"))
        .collect();
    // Each takes its turn, refused ones, too.
    assert_eq!(
        reasons,
        [
            "allowed",
            "route_not_allowed",
            "invalid_api_key",
            "allowed",
            "rate_limited"
        ]
    );
    assert_eq!(decisions[4]["status"], 429);
    assert_eq!(decisions[4]["retryAfterInSeconds"], 20);
    assert_eq!(decisions[3]["rateLimit"]["remaining"], 0);

    let hundred = town.nobody().post("/v1/authorize", batch(100)).await.ok();
    assert_eq!(hundred["decisions"].as_array().unwrap().len(), 100);
    let answer = town.nobody().post("/v1/authorize", batch(101)).await;
    answer.refused(400, "INVALID_REQUEST");
}
