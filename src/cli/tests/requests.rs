//! Which request each command makes.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::super::output::Format;
use super::{Ran, hallpass, hallpass_reading};

/// The request that the command makes: its line and its body.
async fn request(args: &[&str]) -> (String, Value) {
    let ran = hallpass(args).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {ran:?}");
    let seen = ran.json();
    assert_eq!(seen["isOperator"], true, "{args:?}");
    (
        seen["line"].as_str().unwrap().to_owned(),
        seen["body"].clone(),
    )
}

pub(super) async fn check(cases: &[(&[&str], &str, Value)]) {
    for (args, line, body) in cases {
        let seen = request(args).await;
        assert_eq!(seen, ((*line).to_owned(), body.clone()), "{args:?}");
    }
}

#[tokio::test]
async fn account_commands() {
    check(&[
        (
            &[
                "account", "create", "--name", "Shop", "--email", "a@b.example", "--alias", "s",
                "--description", "d", "--image", "https://i.example", "--limits", r#"{"bots":3}"#,
                "--meta", "plan=pro", "--external-id", "x1", "--can-impersonate", "false",
            ],
            "POST /v1/user/create",
            json!({
                "name": "Shop", "email": "a@b.example", "alias": "s", "description": "d",
                "image": "https://i.example", "limits": { "bots": 3 }, "meta": { "plan": "pro" },
                "externalId": "x1", "canImpersonate": false,
            }),
        ),
        (
            &["account", "create", "--root"],
            "POST /v1/user/create",
            json!({ "root": true }),
        ),
        (&["account", "list"], "GET /v1/user/list", Value::Null),
        (
            &[
                "account", "list", "--email", "a@b.example", "--external-id", "x", "--meta", "k=v w",
                "--take", "5", "--order", "desc", "--cursor", "c+1",
            ],
            "GET /v1/user/list?cursor=c%2B1&order=desc&take=5&email=a%40b.example&externalId=x&meta.k=v%20w",
            Value::Null,
        ),
        (&["account", "fetch"], "GET /v1/user/self/fetch", Value::Null),
        (
            &["account", "fetch", "usr_1"],
            "GET /v1/user/usr_1/fetch",
            Value::Null,
        ),
        (
            &["account", "update", "usr_1", "--name", "N", "--clear", "email,alias"],
            "POST /v1/user/usr_1/update",
            json!({ "name": "N", "clear": ["email", "alias"] }),
        ),
        (
            &["account", "update", "self", "--impersonation-policy", "deny"],
            "POST /v1/user/self/update",
            json!({ "impersonationPolicy": "deny" }),
        ),
        (
            &["account", "suspend", "usr_1"],
            "POST /v1/user/usr_1/suspend",
            json!({}),
        ),
        (
            &["account", "resume", "usr_1"],
            "POST /v1/user/usr_1/resume",
            json!({}),
        ),
        (
            &["account", "delete", "usr_1"],
            "POST /v1/user/usr_1/delete",
            json!({}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn session_commands() {
    check(&[
        (
            &[
                "session",
                "create",
                "--duration",
                "15m",
                "--allow",
                "bot/**",
                "--permission",
                "bots:read",
                "--bind",
                "bot=b1",
                "--domain",
                "a.example",
                "--audience",
                "x",
                "--mode",
                "intersect",
                "--renewable-for",
                "12h",
                "--data",
                r#"{"a":1}"#,
            ],
            "POST /v1/session/create",
            json!({
                "durationInSeconds": 900, "allowedRoutes": ["bot/**"],
                "permissions": ["bots:read"], "bindings": { "bot": ["b1"] },
                "domains": ["a.example"], "audience": "x", "mode": "intersect",
                "renewableForInSeconds": 43_200, "data": { "a": 1 },
            }),
        ),
        (
            &[
                "session",
                "create",
                "--bot",
                "b1",
                "--contact-id",
                "c1",
                "--namespace",
                "n",
            ],
            "POST /v1/bot/b1/session/create",
            json!({ "config": { "contactId": "c1", "namespace": "n" } }),
        ),
        (
            &["session", "create", "--conversation", "c1"],
            "POST /v1/conversation/c1/session/create",
            json!({}),
        ),
        (
            &["session", "create", "--widget", "w1"],
            "POST /v1/integration/widget/w1/session/create",
            json!({}),
        ),
        (
            &["session", "create", "--user", "usr_1", "--allow", "bot/**"],
            "POST /v1/user/usr_1/session/create",
            json!({ "allowedRoutes": ["bot/**"] }),
        ),
        (
            &["session", "list", "--token", "key_1", "--state", "active"],
            "GET /v1/session/list?tokenId=key_1&state=active",
            Value::Null,
        ),
        (
            &["session", "fetch", "ses_1"],
            "GET /v1/session/ses_1/fetch",
            Value::Null,
        ),
        (
            &["session", "revoke", "ses_1"],
            "POST /v1/session/ses_1/revoke",
            json!({}),
        ),
        (
            &["session", "verify", "eyJ.a.b"],
            "POST /v1/session/verify",
            json!({ "token": "eyJ.a.b" }),
        ),
        (
            &["explain", "GET", "/v1/bot/b1"],
            "POST /v1/authorize/explain",
            json!({ "method": "GET", "path": "/v1/bot/b1" }),
        ),
        (
            &[
                "explain",
                "POST",
                "/v1/bot/b1",
                "--header",
                "Origin=https://example.com",
                "--header",
                "X-Bot-ID=b1",
                "--address",
                "192.0.2.1",
            ],
            "POST /v1/authorize/explain",
            json!({
                "method": "POST",
                "path": "/v1/bot/b1",
                "headers": { "Origin": "https://example.com", "X-Bot-ID": "b1" },
                "address": "192.0.2.1",
            }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn signing_key_and_audit_commands() {
    check(&[
        (
            &["signing-key", "list"],
            "GET /v1/signing-key/list",
            Value::Null,
        ),
        (
            &["signing-key", "rotate"],
            "POST /v1/signing-key/rotate",
            json!({}),
        ),
        (
            &[
                "signing-key",
                "rotate",
                "--environment",
                "test",
                "--algorithm",
                "EdDSA",
            ],
            "POST /v1/signing-key/rotate",
            json!({ "environment": "test", "algorithm": "EdDSA" }),
        ),
        (
            &["signing-key", "revoke", "-kid_1"],
            "POST /v1/signing-key/-kid_1/revoke",
            json!({}),
        ),
        (
            &[
                "audit",
                "list",
                "--user",
                "usr_1",
                "--action",
                "token.create",
                "--order",
                "asc",
            ],
            "GET /v1/audit/list?order=asc&userId=usr_1&action=token.create",
            Value::Null,
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_account_is_named_for_any_command_and_a_parent_for_create() {
    let cases: [(&[&str], Value); 4] = [
        (&["token", "list"], Value::Null),
        (&["token", "list", "--account", "usr_1"], json!("usr_1")),
        (&["--account", "usr_1", "audit", "list"], json!("usr_1")),
        (&["account", "create", "--parent", "usr_2"], json!("usr_2")),
    ];
    for (args, account) in cases {
        assert_eq!(hallpass(args).await.json()["account"], account, "{args:?}");
    }
}

#[tokio::test]
async fn creates_take_an_idempotency_key() {
    let commands: [&[&str]; 4] = [
        &["account", "create"],
        &["token", "create"],
        &["token", "rotate", "key_1"],
        &["session", "create"],
    ];
    for command in commands {
        let args = [command, &["--idempotency-key", "once"]].concat();
        let seen = hallpass(&args).await.json();
        assert_eq!(seen["idempotencyKey"], "once", "{command:?}");
    }
}

#[tokio::test]
async fn a_renewal_presents_the_session_and_not_the_operator() {
    let args = ["session", "renew", "eyJ.a.b", "--duration", "1h"];

    let seen = hallpass(&args).await.json();

    assert_eq!(seen["line"], "POST /v1/session/renew");
    assert_eq!(seen["body"], json!({ "durationInSeconds": 3600 }));
    assert_eq!(seen["authorization"], "Bearer eyJ.a.b");
    assert_eq!(seen["isOperator"], false);
}

#[tokio::test]
async fn secrets_and_json_come_from_standard_input_and_files() {
    let read = |path: &Path| match path.to_str() {
        Some("-") => Ok("sk_live_x\n".to_owned()),
        Some("key.json") => Ok(r#" {"allowedRoutes": []}"#.to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let reading = async |args: &[&str]| hallpass_reading(args, Format::Json, &read).await;

    let report = reading(&["token", "report"]).await;
    let verify = reading(&["session", "verify", "-"]).await;
    let create = reading(&["token", "create", "--config", "key.json"]).await;
    let lost = reading(&["token", "create", "--config", "lost.json"]).await;

    assert_eq!(report.json()["body"], json!({ "secret": "sk_live_x" }));
    assert_eq!(verify.json()["body"], json!({ "token": "sk_live_x" }));
    assert_eq!(
        create.json()["body"],
        json!({ "config": { "allowedRoutes": [] } })
    );
    assert_eq!(
        lost,
        Ran {
            code: 2,
            out: String::new(),
            err: "error: cannot read lost.json: entity not found\n".to_owned(),
        }
    );
}

#[tokio::test]
async fn arguments_that_do_not_fit_together_are_refused_before_anything_is_asked() {
    let cases: [(&[&str], &str); 6] = [
        (
            &[
                "token",
                "create",
                "--allow",
                "a",
                "--config",
                r#"{"allowedRoutes":["b"]}"#,
            ],
            "error: `allowedRoutes` is in --config and in a flag; give it once\n",
        ),
        (
            &[
                "token",
                "create",
                "--session-allow",
                "a",
                "--config",
                r#"{"session":{"allowedRoutes":["b"]}}"#,
            ],
            "error: `session` is in --config and in a flag; give it once\n",
        ),
        (
            &["token", "create", "--config", "[]"],
            "error: --config has to be a JSON object\n",
        ),
        (
            &["session", "create", "--data", "{"],
            "error: --data is not JSON: EOF while parsing an object at line 1 column 1\n",
        ),
        (
            &[
                "account",
                "create",
                "--parent",
                "usr_1",
                "--account",
                "usr_2",
            ],
            "error: --parent and --account cannot be given together\n",
        ),
        (
            &["token", "report", "two words"],
            "error: the secret is empty, too long, or has characters that no credential has\n",
        ),
    ];
    for (args, message) in cases {
        let ran = hallpass(args).await;
        assert_eq!((ran.code, ran.err.as_str()), (2, message), "{args:?}");
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[test]
fn arguments_that_are_no_arguments_are_a_usage_error() {
    let cases: [&[&str]; 10] = [
        &["token", "create", "--impersonate", "--no-impersonate"],
        &[
            "token",
            "create",
            "--expires-in",
            "1d",
            "--expires-at",
            "2030-01-01",
        ],
        &["token", "create", "--expires-in", "soon"],
        &["token", "create", "--placeholder", "botId=b1"],
        &["account", "create", "--root", "--parent", "usr_1"],
        &["token", "fetch", "../user/list"],
        &["session", "create", "--bot", "b1", "--widget", "w1"],
        &["session", "create", "--namespace", "n"],
        &["token", "import", "00ff"],
        &["routes", "covers", "--ceiling", "a"],
    ];
    for args in cases {
        let args = std::iter::once("hallpass").chain(args.iter().copied());
        let refused = super::args::command().try_get_matches_from(args.clone());
        assert_eq!(refused.unwrap_err().exit_code(), 2, "{args:?}");
    }
}
