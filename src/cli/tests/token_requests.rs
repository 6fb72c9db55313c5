//! Which request each command about API keys makes.

use serde_json::{Value, json};

use super::requests::check;

#[tokio::test]
async fn token_create_says_what_narrows_the_key() {
    check(&[
        (
            &[
                "token",
                "create",
                "--unrestricted",
                "--operator",
                "--disabled",
            ],
            "POST /v1/token/create",
            json!({ "enabled": false, "operator": true, "unrestricted": true }),
        ),
        (
            &[
                "token",
                "create",
                "--name",
                "n",
                "--description",
                "d",
                "--meta-json",
                r#"{"a":1}"#,
                "--external-id",
                "x",
                "--kind",
                "bot",
                "--environment",
                "test",
                "--expires-in",
                "1d",
                "--template",
                "bot-session-create",
                "--placeholder",
                "botId=b1",
            ],
            "POST /v1/token/create",
            json!({
                "name": "n", "description": "d", "meta": { "a": 1 }, "externalId": "x",
                "kind": "bot", "environment": "test", "expiresAt": 1_900_086_400_000_i64,
                "template": "bot-session-create", "placeholders": { "botId": "b1" },
            }),
        ),
        (
            &[
                "token",
                "create",
                "--allow",
                "GET,HEAD bot/**",
                "--allow",
                "dataset/*",
                "--permission",
                "bots:read,bots:write",
                "--bind",
                "bot=b1",
                "--bind",
                "bot=b2",
                "--bind",
                "project=p1",
                "--domain",
                "example.com",
                "--cidr",
                "10.0.0.0/8",
                "--session-allow",
                "conversation/**",
                "--session-permission",
                "conversations:read",
                "--session-bind",
                "bot=b1",
                "--session-domain",
                "w.example",
                "--audience",
                "https://api.example",
                "--session-max-duration",
                "1h",
                "--session-max-renewable",
                "7d",
                "--impersonate-route",
                "bot/**",
                "--impersonate-user",
                "usr_1,usr_2",
                "--manage",
                "tokens,audit",
                "--rate",
                "100/60",
                "--expires-at",
                "2030-01-01",
            ],
            "POST /v1/token/create",
            json!({
                "expiresAt": 1_893_456_000_000_i64,
                "config": {
                    "allowedRoutes": ["GET,HEAD bot/**", "dataset/*"],
                    "permissions": ["bots:read", "bots:write"],
                    "bindings": { "bot": ["b1", "b2"], "project": ["p1"] },
                    "domains": ["example.com"],
                    "cidrs": ["10.0.0.0/8"],
                    "session": {
                        "allowedRoutes": ["conversation/**"],
                        "permissions": ["conversations:read"],
                        "bindings": { "bot": ["b1"] },
                        "domains": ["w.example"],
                        "audiences": ["https://api.example"],
                        "maxDurationInSeconds": 3600,
                        "maxRenewableInSeconds": 604_800,
                    },
                    "impersonation": { "allowedRoutes": ["bot/**"], "users": ["usr_1", "usr_2"] },
                    "manage": ["tokens", "audit"],
                    "rateLimit": { "requests": 100, "perSeconds": 60 },
                },
            }),
        ),
        (
            &["token", "create", "--user", "usr_1", "--impersonate"],
            "POST /v1/user/usr_1/token/create",
            json!({ "config": { "impersonation": true } }),
        ),
        (
            &[
                "token",
                "create",
                "--no-impersonate",
                "--config",
                r#"{"permissions":[]}"#,
            ],
            "POST /v1/token/create",
            json!({ "config": { "permissions": [], "impersonation": false } }),
        ),
        (
            &[
                "token",
                "create",
                "--session-max-duration",
                "60",
                "--config",
                r#"{"session":{"domains":["a.example"]}}"#,
            ],
            "POST /v1/token/create",
            json!({
                "config": { "session": { "domains": ["a.example"], "maxDurationInSeconds": 60 } },
            }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn token_commands_that_show_or_change_something() {
    check(&[
        (
            &[
                "token",
                "list",
                "--environment",
                "live",
                "--external-id",
                "x",
                "--meta",
                "a=b",
            ],
            "GET /v1/token/list?externalId=x&environment=live&meta.a=b",
            Value::Null,
        ),
        (
            &["token", "list", "--user", "usr_1", "--take", "1"],
            "GET /v1/user/usr_1/token/list?take=1",
            Value::Null,
        ),
        (
            &["token", "fetch", "key_1"],
            "GET /v1/token/key_1/fetch",
            Value::Null,
        ),
        (
            &["token", "fetch", "key_1", "--user", "usr_1"],
            "GET /v1/user/usr_1/token/key_1/fetch",
            Value::Null,
        ),
        (
            &[
                "token",
                "update",
                "key_1",
                "--name",
                "n",
                "--enabled",
                "false",
                "--expires-in",
                "10s",
                "--domain",
                "a.example",
                "--clear",
                "cidrs",
            ],
            "POST /v1/token/key_1/update",
            json!({
                "name": "n", "enabled": false, "expiresAt": 1_900_000_010_000_i64,
                "config": { "domains": ["a.example"] }, "clear": ["cidrs"],
            }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn token_commands_that_end_or_import_something() {
    check(&[
        (
            &["token", "rotate", "key_1"],
            "POST /v1/token/key_1/rotate",
            json!({}),
        ),
        (
            &[
                "token",
                "rotate",
                "key_1",
                "--overlap",
                "0",
                "--keep-descendants",
            ],
            "POST /v1/token/key_1/rotate",
            json!({ "descendants": false, "overlapInSeconds": 0 }),
        ),
        (
            &["token", "delete", "key_1"],
            "POST /v1/token/key_1/delete",
            json!({}),
        ),
        (
            &[
                "token",
                "delete",
                "key_1",
                "--keep-descendants",
                "--user",
                "usr_1",
            ],
            "POST /v1/user/usr_1/token/key_1/delete",
            json!({ "descendants": false }),
        ),
        (
            &["token", "report", "sk_live_x"],
            "POST /v1/token/report",
            json!({ "secret": "sk_live_x" }),
        ),
        (
            &[
                "token",
                "import",
                "00ff",
                "--user",
                "usr_1",
                "--kind",
                "sk",
                "--environment",
                "live",
                "--name",
                "old",
                "--expires-at",
                "1900000000000",
                "--allow",
                "bot/**",
            ],
            "POST /v1/token/import",
            json!({
                "digest": "00ff", "userId": "usr_1", "kind": "sk", "environment": "live",
                "name": "old", "expiresAt": 1_900_000_000_000_i64,
                "config": { "allowedRoutes": ["bot/**"] },
            }),
        ),
        (
            &["token", "templates"],
            "GET /v1/token/template/list",
            Value::Null,
        ),
        (&["token", "self"], "GET /v1/token/self/fetch", Value::Null),
    ])
    .await;
}
