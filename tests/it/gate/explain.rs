//! `POST /v1/authorize/explain`: a holder asks about its own credential.

use serde_json::{Value, json};

use super::support::town;
use crate::support::town::{Caller, Town};

const TABLE: &str = "\
[[gate.routes]]
route = \"bot/{bot}/**\"
permission = \"bots:write\"
";

async fn ask(caller: &Caller, question: Value) -> Value {
    caller.post("/v1/authorize/explain", question).await.ok()
}

fn remedies(answer: &Value) -> Vec<String> {
    let list = answer["remedies"].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|remedy| {
            let text = |name: &str| remedy[name].as_str().unwrap().to_owned();
            let values: Vec<&str> = remedy["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(|value| value.as_str().unwrap())
                .collect();
            format!("{} {} {}", text("place"), text("field"), values.join(" "))
        })
        .collect()
}

#[tokio::test]
async fn a_holder_learns_by_which_pattern_it_passes() {
    let town = town(TABLE).await;
    let shop = town.account("shop").await;
    let config =
        json!({"allowedRoutes": ["bot/**", "session/create"], "permissions": ["bots:write"]});
    let key = shop.key(config).await;
    let session = key.session(json!({"allowedRoutes": ["bot/*/fetch"]})).await;
    let question = json!({"method": "GET", "path": "/v1/bot/b1/fetch"});

    assert_eq!(
        ask(&key, question.clone()).await,
        json!({"allowed": true, "pattern": "bot/**", "permission": "bots:write"})
    );
    assert_eq!(ask(&session, question).await["pattern"], "bot/*/fetch");
}

#[tokio::test]
async fn a_refusal_comes_with_all_that_would_have_to_be_changed() {
    let town = town(TABLE).await;
    let shop = town.account("shop").await;
    let config = json!({
        "allowedRoutes": ["GET bot/**"],
        "permissions": ["bots:read"],
        "bindings": {"bot": ["b1"]},
        "domains": ["example.com"],
    });
    let key = shop.key(config).await;

    let question = json!({"method": "POST", "path": "/v1/bot/b2/update"});
    // The question itself comes from where the key may be presented, too.
    let page = key.origin("https://example.com");
    let answer = ask(&page, question).await;
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["reason"], "route_not_allowed");
    assert_eq!(
        remedies(&answer),
        [
            "credential allowedRoutes POST bot/b2/update",
            "credential permissions bots:write",
            "credential bindings.bot b2",
            "request Origin example.com",
        ]
    );
    // And what was told is enough.
    let owner = shop.full_key().await;
    let change = json!({"config": {
        "allowedRoutes": ["GET bot/**", "POST bot/b2/update"],
        "permissions": ["bots:read", "bots:write"],
        "bindings": {"bot": ["b1", "b2"]},
    }});
    owner
        .post(&format!("/v1/token/{}/update", key.id), change)
        .await
        .ok();
    let question = json!({
        "method": "POST",
        "path": "/v1/bot/b2/update",
        "headers": {"Origin": "https://example.com"},
    });
    assert_eq!(ask(&page, question).await["allowed"], true);
    super::support::allowed(&super::support::nginx(&page, "POST", "/v1/bot/b2/update").await);

    let other = json!({"method": "GET", "path": "/v1/channel/list"});
    let answer = ask(
        &shop.key(json!({"permissions": ["admin"]})).await.caller(),
        other,
    )
    .await;
    assert_eq!(remedies(&answer), ["gate gate.routes GET channel/list"]);
}

#[tokio::test]
async fn what_the_gate_does_not_take_at_all_is_told_too() {
    let town = Town::with_settings("audiences = [\"https://other.example\"]\n").await;
    let shop = town.account("shop").await;
    let audiences = json!({"audiences": ["https://other.example"]});
    let minter = shop
        .key(json!({"allowedRoutes": ["**"], "session": audiences}))
        .await;
    let body = json!({"allowedRoutes": ["**"], "audience": "https://other.example"});
    let question = json!({"method": "GET", "path": "/v1/bot"});

    let session = minter.session(body).await;
    let answer = ask(&session, question.clone()).await;
    assert_eq!(answer["reason"], "invalid_token");
    assert_eq!(
        remedies(&answer),
        ["credential audience https://hallpass.test/api"]
    );
    let answer = ask(&shop.test_key().await.caller(), question).await;
    assert_eq!(answer["reason"], "environment_not_allowed");
    assert_eq!(remedies(&answer), ["credential environment live"]);

    let key = shop.full_key().await;
    for (path, reason) in [
        ("/v1/a//b", "ambiguous_path"),
        ("/v2/a", "path_outside_mount"),
    ] {
        let answer = ask(&key, json!({"method": "GET", "path": path})).await;
        assert_eq!(
            (&answer["allowed"], &answer["reason"]),
            (&json!(false), &json!(reason))
        );
        assert!(answer.get("remedies").is_none());
    }
}

#[tokio::test]
async fn with_a_run_as_header_every_refusal_is_the_one_answer() {
    let town = town(TABLE).await;
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let rival = town.account("rival").await;
    let routes =
        json!({"allowedRoutes": ["**"], "impersonation": {"allowedRoutes": ["bot/ok/**"]}});
    let key = shop.key(routes).await;
    let passes = json!({"method": "GET", "path": "/v1/bot/ok/fetch"});

    assert_eq!(
        ask(&key.acting_as(&child), passes.clone()).await["allowed"],
        true
    );
    let mut answers = Vec::new();
    for (account, path) in [
        (&rival, "/v1/bot/ok/fetch"),
        (&child, "/v1/bot/other/fetch"),
        (&child, "/v1/a//b"),
    ] {
        let question = json!({"method": "GET", "path": path});
        let answer = key
            .acting_as(account)
            .post("/v1/authorize/explain", question)
            .await;
        answer.refused(403, "IMPERSONATION_DENIED");
        answers.push(answer.without_request_id());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");

    // A wish inside the question would be another caller.
    for headers in [
        json!({"x-runas-user-id": child.id}),
        json!({"Authorization": "Bearer x"}),
        json!({"no header": "x"}),
    ] {
        let question = json!({"method": "GET", "path": "/v1/bot", "headers": headers});
        let answer = key.post("/v1/authorize/explain", question).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn asking_takes_no_turn_of_a_session_and_needs_no_place() {
    let town = town("session_rate = { requests = 1, per_seconds = 60 }\n").await;
    let key = town.account("shop").await.full_key().await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let question = json!({"method": "GET", "path": "/v1/bot"});

    let elsewhere = session.address("203.0.113.9");
    for _ in 0..3 {
        assert_eq!(ask(&elsewhere, question.clone()).await["allowed"], true);
    }
    super::support::allowed(&super::support::nginx(&session, "GET", "/v1/bot").await);
}
