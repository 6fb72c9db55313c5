//! Bodies are read strictly: what was not understood is refused, never left out.

use serde_json::json;

use crate::support::town::Town;

#[tokio::test]
async fn a_body_that_could_be_read_in_two_ways_is_refused_and_the_field_is_named() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let before = town.database().await;
    for (body, field) in [
        (
            r#"{"allowedRoutes": ["a"], "allowedRoutes": ["**"]}"#,
            Some("allowedRoutes"),
        ),
        (
            r#"{"allowedRoutes": ["a"], "data": {"x": 1, "x": 2}}"#,
            Some("data.x"),
        ),
        (
            r#"{"allowedRoutes": ["a"], "allowedroutes": ["b"]}"#,
            Some("allowedroutes"),
        ),
        (
            r#"{"allowedRoutes": ["a"], "allowed_routes": ["b"]}"#,
            Some("allowed_routes"),
        ),
        (r#"{"allowedRoutes": ["a"], "admin": true}"#, Some("admin")),
        (r#"{"allowedRoutes": "a"}"#, Some("allowedRoutes")),
        (r#"{"allowedRoutes": [1]}"#, Some("allowedRoutes[0]")),
        (r#"{"allowedRoutes": {"0": "a"}}"#, Some("allowedRoutes")),
        (
            r#"{"allowedRoutes": ["a"], "bindings": {"project": "p1"}}"#,
            Some("bindings.project"),
        ),
        (
            r#"{"allowedRoutes": ["a"], "mode": "STRICT"}"#,
            Some("mode"),
        ),
        (r#"{"allowedRoutes": ["a"],}"#, None),
        (r#"{"allowedRoutes": ["a"]} {}"#, None),
        ("{'allowedRoutes': ['a']}", None),
        (r#"{"allowedRoutes": ["a"] /* all */}"#, None),
        ("\u{feff}{\"allowedRoutes\": [\"a\"]}", None),
        (r#"{"allowedRoutes": ["\ud800"]}"#, None),
        (
            r#"{"allowedRoutes": ["a"], "durationInSeconds": NaN}"#,
            None,
        ),
        ("[]", None),
        ("null", None),
        ("\"x\"", None),
        ("{", None),
    ] {
        let answer = key.post_bytes("/v1/session/create", body).await;
        let told = answer.refused(400, "INVALID_REQUEST");
        assert_eq!(told["error"]["field"].as_str(), field, "{body}");
    }
    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn a_body_is_at_most_32_deep_and_64_kib_long() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let nested = |depth: usize| {
        format!(
            r#"{{"allowedRoutes": ["a"], "data": {{"d": {}{}}}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    key.post_bytes("/v1/session/create", nested(30)).await.ok();
    let answer = key.post_bytes("/v1/session/create", nested(31)).await;
    answer.refused(400, "INVALID_REQUEST");
    let answer = key
        .post_bytes("/v1/session/create", "[".repeat(60_000))
        .await;
    answer.refused(400, "INVALID_REQUEST");

    let padded = |length: usize| {
        let body = r#"{"allowedRoutes": ["a"]}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    key.post_bytes("/v1/session/create", padded(65_536))
        .await
        .ok();
    let answer = key.post_bytes("/v1/session/create", padded(65_537)).await;
    answer.refused(413, "CONTENT_TOO_LARGE");
}

#[tokio::test]
async fn a_body_is_json_by_its_media_type() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let body = br#"{"allowedRoutes": ["a"]}"#;
    let send = async |types: &[&str]| {
        let mut caller = key.caller();
        for media_type in types {
            caller = caller.header("content-type", media_type);
        }
        caller
            .send("POST", "/v1/session/create", body.to_vec())
            .await
    };
    for right in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
    ] {
        send(&[right]).await.ok();
    }
    for wrong in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/jsonl",
        "multipart/form-data",
    ] {
        send(&[wrong]).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    send(&[]).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    send(&["application/json", "application/json"])
        .await
        .refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let packed = key
        .header("content-encoding", "gzip")
        .post_bytes("/v1/session/create", *body)
        .await;
    packed.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    // No body at all is an empty object.
    let bot = key
        .send("POST", "/v1/bot/b1/session/create", Vec::new())
        .await;
    bot.ok();
}

#[tokio::test]
async fn where_nothing_is_asked_for_nothing_may_be_sent() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let key = shop.full_key().await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    for path in [
        format!("/v1/session/{}/revoke", session.id),
        format!("/v1/user/{}/suspend", branch.id),
        format!("/v1/user/{}/resume", branch.id),
        format!("/v1/user/{}/delete", branch.id),
    ] {
        let answer = key.post(&path, json!({"force": true})).await;
        answer.refused(400, "INVALID_REQUEST");
        key.post(&path, json!({})).await.ok();
    }
}

#[tokio::test]
async fn an_error_never_quotes_what_was_sent() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let secret = "hunter2hunter2";
    for (path, body) in [
        (
            "/v1/session/create",
            format!(r#"{{"durationInSeconds": "{secret}"}}"#),
        ),
        (
            "/v1/session/verify",
            format!(r#"{{"token": ["{secret}"]}}"#),
        ),
        (
            "/v1/token/report",
            format!(r#"{{"secret": {{"x": "{secret}"}}}}"#),
        ),
        ("/v1/token/import", format!(r#"{{"digest": ["{secret}"]}}"#)),
        ("/v1/session/create", format!(r#"{{"{secret}": "#)),
    ] {
        let answer = key.post_bytes(path, body).await;
        assert!(answer.status.is_client_error(), "{answer}");
        assert!(!answer.text().contains(secret), "{answer}");
    }
}
